"""Reads token and site file with pypowerwall as its users do; with a third argument, writes what a renewal gave, and the site of the fourth."""

import json
import logging
import sys

logging.disable(logging.CRITICAL)

from pypowerwall.cloud.pypowerwall_cloud import PyPowerwallCloud  # noqa: E402
from pypowerwall.cloud.teslapy import Tesla  # noqa: E402

folder, email = sys.argv[1:3]
cloud = PyPowerwallCloud(email, authpath=folder)
tesla = Tesla(email, cache_file=cloud.authfile)
print(json.dumps({"url": tesla.sso_base_url, "token": tesla.token, "site": cloud.siteid}))
if len(sys.argv) > 3:
    tesla.token = json.loads(sys.argv[3])
    tesla._token_updater()
    assert cloud._persist_siteid(int(sys.argv[4]))
