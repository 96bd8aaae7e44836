//! Gateways as objects, from `PW_GATEWAYS`, from a file, or put together from the single-gateway variables.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use super::problem::{Problems, nearest};
use super::values::{self, Refusal};
use super::{Access, AuthMode, GatewaySettings, LocalAccess, Secret, TedapiAccess};
use crate::model::{GatewayFacts, GatewayKind, LinkKind};

const KEYS: [&str; 18] = [
    "id",
    "name",
    "host",
    "port",
    "gw_pwd",
    "password",
    "rsa_key_path",
    "wifi_host",
    "email",
    "authpath",
    "siteid",
    "site_id",
    "timezone",
    "cloud_mode",
    "fleetapi",
    "type",
    "timeout",
    "tedapi_api_version",
];
/// Ours; the servers before have no such key.
const CERTIFICATE: &str = "certificate";

/// What the servers before ours send with a login when they are told nothing; gateways do not look at it.
const ANY_EMAIL: &str = "email@example.com";
const ANY_TIMEZONE: &str = "America/Los_Angeles";

/// What a gateway takes over where its own entry is silent.
pub(super) struct Defaults {
    pub timeout: Duration,
    pub timezone: Option<String>,
    pub password: Option<Secret>,
    pub query_set: Option<String>,
    pub certificate: Option<String>,
    pub auth_path: Option<PathBuf>,
    /// `PW_CACHE_FILE`, or where else the servers before ours keep the session of a gateway from single variables.
    pub state_file: Option<PathBuf>,
    /// Whether there is one gateway, from single variables.
    pub single: bool,
    pub auth_mode: AuthMode,
}

/// The session file of the servers before ours.
pub(super) const SESSION_FILE: &str = ".powerwall";

impl Defaults {
    /// Where a session is kept when nobody says where: in the working directory.
    fn session_file_here(&self, id: &str) -> PathBuf {
        match self.single {
            true => SESSION_FILE.into(),
            false => format!(".powerwall-server.{id}.json").into(),
        }
    }
}

/// Reads the list at `place`, for example `PW_GATEWAYS`. Every mistake goes into `problems`.
pub(super) fn read(
    list: &Value,
    place: &str,
    defaults: &Defaults,
    problems: &mut Problems,
) -> Vec<GatewaySettings> {
    let Some(entries) = list.as_array() else {
        problems.add(place, "expected a list of gateways");
        return Vec::new();
    };
    let mut ids: Vec<(String, usize)> = Vec::new();
    let mut gateways = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        let place = format!("{place}[{index}]");
        let Some(object) = entry.as_object() else {
            problems.add(place, "expected an object with the keys of one gateway");
            continue;
        };
        let before = problems.0.len();
        // Looked at first: an entry with other mistakes can be a double as well.
        if let Some(id) = object.get("id").and_then(Value::as_str).and_then(values::clean) {
            match ids.iter().find(|(known, _)| *known == id) {
                Some((_, first)) => {
                    problems
                        .add(format!("{place}.id"), format!("{id:?} is already the id of entry [{first}]"));
                }
                None => ids.push((id, index)),
            }
        }
        let gateway = Entry { object, place: &place, problems }.read(defaults);
        if problems.0.len() == before {
            gateways.extend(gateway);
        }
    }
    gateways
}

/// One entry in the making.
struct Entry<'a> {
    object: &'a Map<String, Value>,
    place: &'a str,
    problems: &'a mut Problems,
}

impl Entry<'_> {
    fn problem(&mut self, key: &str, what: impl Into<String>) {
        self.problems.add(format!("{}.{key}", self.place), what);
    }

    /// A text; numbers are taken as they are written.
    fn text(&mut self, key: &str) -> Option<String> {
        match self.object.get(key)? {
            Value::Null => None,
            Value::String(text) => values::clean_secret(text),
            Value::Number(number) if key != "id" => Some(number.to_string()),
            _ => {
                self.problem(key, "expected a text in quotes");
                None
            }
        }
    }

    fn parsed<T>(&mut self, key: &str, parse: impl FnOnce(&str) -> Result<T, Refusal>) -> Option<T> {
        let text = self.text(key)?;
        parse(&text).map_err(|refusal| self.problem(key, refusal)).ok()
    }

    fn flag(&mut self, key: &str) -> bool {
        match self.object.get(key) {
            Some(Value::Bool(flag)) => *flag,
            None | Some(Value::Null) => false,
            Some(Value::String(text)) => values::boolean(text).unwrap_or_else(|refusal| {
                self.problem(key, refusal);
                false
            }),
            Some(_) => {
                self.problem(key, "expected true or false");
                false
            }
        }
    }

    fn read(mut self, defaults: &Defaults) -> Option<GatewaySettings> {
        for key in self.object.keys() {
            let known = || KEYS.into_iter().chain([CERTIFICATE]);
            if known().all(|name| name != key) {
                let hint = nearest(key, known()).map(|name| format!("; did you mean {name}?"));
                let all = || format!("; known keys: {}", known().collect::<Vec<_>>().join(", "));
                self.problem(key, format!("unknown key{}", hint.unwrap_or_else(all)));
            }
        }
        let id = self.parsed("id", |text| {
            let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
            match plain && text.len() <= 64 {
                true => Ok(text.to_owned()),
                false => Err(format!("{text:?} is not 1 to 64 of the characters A-Z a-z 0-9 _ -")),
            }
        });
        if !self.object.contains_key("id") {
            self.problem("id", "missing");
        }
        let kind = self.parsed("type", |text| match text {
            "powerwall" => Ok(GatewayKind::Powerwall),
            "inverter" => Ok(GatewayKind::Inverter),
            _ => Err(format!("{text:?} is neither powerwall nor inverter")),
        });
        let timeout = self.parsed("timeout", |text| values::integer(text, 1..=120)).map(Duration::from_secs);
        let timezone = self.parsed("timezone", values::timezone).or_else(|| defaults.timezone.clone());
        let host = self.parsed("host", values::host_and_port);
        let own_port = self.parsed("port", |text| values::integer(text, 1..=65535));
        let own_port = own_port.and_then(|port| u16::try_from(port).ok());
        let (host, port) = match host {
            Some((host, Some(port))) if own_port.is_some_and(|own| own != port) => {
                self.problem("port", format!("differs from the port {port} in host"));
                (Some(host), Some(port))
            }
            Some((host, port)) => (Some(host), port.or(own_port)),
            None => (None, own_port),
        };
        let email = self.text("email");
        let site_id = self.text("siteid").or_else(|| self.text("site_id"));
        let wifi_host = self.parsed("wifi_host", values::host_and_port).map(|(host, _)| host);
        let rsa_key = self.parsed("rsa_key_path", readable);
        let (cloud_mode, fleetapi) = (self.flag("cloud_mode"), self.flag("fleetapi"));
        let auth_path = self.text("authpath").map(PathBuf::from).or_else(|| defaults.auth_path.clone());
        let in_auth_path = |what: &str| {
            let (path, id) = auth_path.as_ref().zip(id.as_ref())?;
            Some(path.join(format!(".powerwall-server.{id}.{what}")))
        };
        let store = in_auth_path("sha256");
        let mut state_file = defaults.state_file.clone().or_else(|| in_auth_path("json"));
        let query_set = match self.text("tedapi_api_version").or_else(|| defaults.query_set.clone()) {
            Some(text) => {
                values::query_set(&text).map_err(|refusal| self.problem("tedapi_api_version", refusal)).ok()
            }
            None => Some(Default::default()),
        };
        let certificate = match self.text(CERTIFICATE).or_else(|| defaults.certificate.clone()) {
            Some(text) => {
                values::certificate(&text, store).map_err(|refusal| self.problem(CERTIFICATE, refusal)).ok()
            }
            None => Some(Default::default()),
        };
        let gateway_password = self.text("gw_pwd").map(Secret::new);
        let password = self.text("password").map(Secret::new).or_else(|| defaults.password.clone());
        let access = match (&host, gateway_password) {
            _ if rsa_key.is_some() && host.is_some() => Access::Unsupported(LinkKind::V1r),
            (Some(host), None) if password.is_some() => Access::Local(LocalAccess {
                host: host.clone(),
                port: port.unwrap_or(443),
                email: email.clone().unwrap_or_else(|| ANY_EMAIL.into()),
                password: password?,
                auth_mode: defaults.auth_mode,
                timezone: timezone.clone().unwrap_or_else(|| ANY_TIMEZONE.into()),
                certificate: certificate?,
            }),
            (Some(host), Some(password)) => Access::Tedapi(TedapiAccess {
                host: host.clone(),
                port: port.unwrap_or(443),
                password,
                query_set: query_set?,
                certificate: certificate?,
            }),
            (None, _) if fleetapi => Access::Unsupported(LinkKind::FleetApi),
            (None, _) if email.is_some() => Access::Unsupported(LinkKind::Cloud),
            (Some(_), None) => {
                self.problem(
                    "gw_pwd",
                    "missing: host needs gw_pwd (TEDAPI), rsa_key_path (v1r) or password (local)",
                );
                return None;
            }
            (None, _) if self.object.contains_key("host") => return None,
            (None, _) => {
                self.problem("host", "missing: a gateway needs host and gw_pwd (TEDAPI), or email (cloud)");
                return None;
            }
        };
        let id = id?;
        let facts = GatewayFacts {
            name: self.text("name").unwrap_or_else(|| id.clone()),
            id,
            host,
            port,
            rsa_key_configured: rsa_key.is_some(),
            wifi_host,
            site_id,
            timezone,
            cloud_mode: cloud_mode || access == Access::Unsupported(LinkKind::Cloud),
            fleetapi,
            customer_api: matches!(access, Access::Local(_)),
            kind: kind.unwrap_or_default(),
        };
        if matches!(access, Access::Local(_)) {
            // Without a session to go on with, every restart would be a login.
            state_file = state_file.or_else(|| Some(defaults.session_file_here(&facts.id)));
        }
        let timeout = timeout.unwrap_or(defaults.timeout);
        Some(GatewaySettings { facts: Arc::new(facts), access, timeout, state_file })
    }
}

fn readable(path: &str) -> Result<PathBuf, Refusal> {
    match std::fs::File::open(Path::new(path)) {
        Ok(_) => Ok(path.into()),
        Err(error) => Err(format!("{path:?} cannot be read: {error}")),
    }
}
