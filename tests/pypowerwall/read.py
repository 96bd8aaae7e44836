"""Reads gateways with pypowerwall, as its users do: standard input lists them, standard output has what was read."""

import json
import logging
import sys
import tempfile
import warnings

warnings.filterwarnings("ignore")
logging.disable(logging.CRITICAL)

from pypowerwall.local.pypowerwall_local import PyPowerwallLocal  # noqa: E402
from pypowerwall.tedapi.pypowerwall_tedapi import PyPowerwallTEDAPI  # noqa: E402


def client(gateway):
    host, way = gateway["host"], gateway["way"]
    if way in ("cookie", "token"):
        local = PyPowerwallLocal(
            host, gateway["password"], "owner@example.com", "UTC", 10, 5, 10, way, tempfile.mktemp()
        )
        local.authenticate()
        return local
    if way == "v1r":
        signed = {"v1r": True, "password": gateway["password"], "rsa_key_path": gateway["key"]}
        return PyPowerwallTEDAPI(host=host, timeout=10, **signed)
    mode = "bearer" if way == "bearer" else "basic"
    return PyPowerwallTEDAPI(gw_pwd=gateway["password"], host=host, timeout=10, auth_mode=mode)


def read(gateway):
    reader = client(gateway)
    return {path: reader.poll(path) for path in gateway["paths"]}


print(json.dumps({gateway["name"]: read(gateway) for gateway in json.load(sys.stdin)}))
