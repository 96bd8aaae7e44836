//! Gateways as objects, from `PW_GATEWAYS`, from a file, or put together from the single-gateway variables.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use super::modes::{self, Fact, Given, Verdict};
use super::problem::{Problems, nearest};
use super::rsa_key::{self, RsaKey};
use super::values::{self, Refusal};
use super::{AuthMode, GatewaySettings, LinkConfig, LocalConfig, QuerySet, Secret, TedapiConfig, V1rConfig};
use crate::model::{GatewayFacts, GatewayKind, LinkKind};

const KEYS: [&str; 19] = [
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
    "tedapi_auth_mode",
];
/// Ours, this and the next; the servers before have no such keys.
const CERTIFICATE: &str = "certificate";
const LIFETIME_ENERGY: &str = "lifetime_energy";

/// What the servers before ours send with a login when they are told nothing; gateways do not look at it.
const ANY_EMAIL: &str = "email@example.com";
const ANY_TIMEZONE: &str = "America/Los_Angeles";

/// What a gateway takes over where its own entry is silent.
#[derive(Clone)]
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
    /// `PW_TEDAPI_AUTH_MODE`: whether gateways without a key are asked with an installer login.
    pub bearer: bool,
    /// `PW_FAILOVER`
    pub failover: bool,
    /// `PW_LIFETIME_ENERGY`
    pub lifetime_energy: bool,
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

/// What an entry makes, and what to remark about it.
pub(super) struct Read {
    pub gateways: Vec<GatewaySettings>,
    pub warnings: Vec<String>,
}

/// Reads the list at `place`, for example `PW_GATEWAYS`. Every mistake goes into `problems`.
pub(super) fn read(list: &Value, place: &str, defaults: &Defaults, problems: &mut Problems) -> Read {
    let mut read = Read { gateways: Vec::new(), warnings: Vec::new() };
    let Some(entries) = list.as_array() else {
        problems.add(place, "expected a list of gateways");
        return read;
    };
    let mut ids: Vec<(String, usize)> = Vec::new();
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
        let gateway = Entry { object, place: &place, problems, warnings: &mut read.warnings }.read(defaults);
        if problems.0.len() == before {
            read.gateways.extend(gateway);
        }
    }
    read
}

/// One entry in the making.
struct Entry<'a> {
    object: &'a Map<String, Value>,
    place: &'a str,
    problems: &'a mut Problems,
    warnings: &'a mut Vec<String>,
}

impl Entry<'_> {
    /// Whether there is anything under `key`, right or wrong.
    fn gives(&self, key: &str) -> bool {
        match self.object.get(key) {
            None | Some(Value::Null) => false,
            Some(Value::String(text)) => values::clean_secret(text).is_some(),
            Some(_) => true,
        }
    }

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
            let known = || KEYS.into_iter().chain([CERTIFICATE, LIFETIME_ENERGY]);
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
        let wifi_host = self.parsed("wifi_host", values::host_and_port);
        let rsa_key = self.parsed("rsa_key_path", |path| RsaKey::read(Path::new(path)));
        let (cloud_mode, fleetapi) = (self.flag("cloud_mode"), self.flag("fleetapi"));
        let bearer = self.parsed("tedapi_auth_mode", values::is_bearer);
        // What holds for all gateways does not hold for one that signs.
        let bearer = bearer.unwrap_or(defaults.bearer && !self.gives("rsa_key_path"));
        let gateway_password = self.text("gw_pwd").map(Secret::new);
        let password = self.text("password").map(Secret::new).or_else(|| defaults.password.clone());

        let lifetime_energy = match self.gives(LIFETIME_ENERGY) {
            true => self.flag(LIFETIME_ENERGY),
            false => defaults.lifetime_energy,
        };
        let of_customer = password.clone().or_else(|| gateway_password.as_ref().map(customer_password));

        let at_wifi_address = host.as_deref() == Some("192.168.91.1") && port.is_none_or(|port| port == 443);
        let facts = [
            (Fact::Host, self.gives("host")),
            (Fact::WifiAddress, at_wifi_address),
            (Fact::GatewayPassword, self.gives("gw_pwd")),
            (Fact::CustomerPassword, password.is_some()),
            (Fact::RsaKey, self.gives("rsa_key_path")),
            (Fact::WifiHost, self.gives("wifi_host")),
            (Fact::Email, email.is_some()),
            (Fact::CloudMode, cloud_mode),
            (Fact::FleetApi, fleetapi),
            (Fact::Bearer, bearer),
        ];
        let given = Given::of(facts.into_iter().filter(|(_, given)| *given).map(|(fact, _)| fact));
        let row = modes::decide(given);
        let links = match row.verdict {
            Verdict::Use(links) => links,
            Verdict::Invalid { key } => {
                self.problem(key, row.why);
                return None;
            }
        };

        let api_version = self.text("tedapi_api_version").or_else(|| defaults.query_set.clone());
        let query_set = match api_version {
            Some(text) => {
                values::query_set(&text).map_err(|refusal| self.problem("tedapi_api_version", refusal)).ok()
            }
            // An installer login is answered in full with the newer queries only.
            None if links == [LinkKind::Bearer] => Some(QuerySet::V2026_06),
            None => Some(QuerySet::default()),
        }?;
        // Each address has its own certificate.
        let certificate_text = self.text(CERTIFICATE).or_else(|| defaults.certificate.clone());
        let auth_path = self.text("authpath").map(PathBuf::from).or_else(|| defaults.auth_path.clone());
        let in_auth_path = |what: &str| {
            let (path, id) = auth_path.as_ref().zip(id.as_ref())?;
            Some(path.join(format!(".powerwall-server.{id}.{what}")))
        };
        let mut state_file = defaults.state_file.clone().or_else(|| in_auth_path("json"));
        let mut certificate = |address: &str| {
            let store = in_auth_path(&format!("{address}sha256"));
            match &certificate_text {
                Some(text) => values::certificate(text, store)
                    .map_err(|refusal| self.problem(CERTIFICATE, refusal))
                    .ok(),
                None => Some(Default::default()),
            }
        };
        let tedapi = |host: String, port: Option<u16>, password: &Secret, certificate| TedapiConfig {
            host,
            port: port.unwrap_or(443),
            password: password.clone(),
            query_set,
            certificate,
        };
        let link = match links {
            [LinkKind::Tedapi] => {
                let certificate = certificate("")?;
                LinkConfig::Tedapi(tedapi(host.clone()?, port, &gateway_password?, certificate))
            }
            [LinkKind::Bearer] => {
                let certificate = certificate("")?;
                LinkConfig::Bearer(tedapi(host.clone()?, port, &gateway_password?, certificate))
            }
            [LinkKind::V1r, ..] => {
                let (own, over_wifi) = (certificate("")?, certificate("wifi.")?);
                let wifi = match (wifi_host.clone(), &gateway_password) {
                    (Some((host, port)), Some(password)) if links.contains(&LinkKind::Tedapi) => {
                        Some(tedapi(host, port, password, over_wifi))
                    }
                    _ => None,
                };
                LinkConfig::V1r(V1rConfig {
                    host: host.clone()?,
                    port: port.unwrap_or(443),
                    password: of_customer.clone()?,
                    key: rsa_key?,
                    query_set,
                    certificate: own,
                    wifi,
                    failover: defaults.failover,
                })
            }
            [LinkKind::Local] => LinkConfig::Local(LocalConfig {
                host: host.clone()?,
                port: port.unwrap_or(443),
                email: email.clone().unwrap_or_else(|| ANY_EMAIL.into()),
                password: password?,
                auth_mode: defaults.auth_mode,
                timezone: timezone.clone().unwrap_or_else(|| ANY_TIMEZONE.into()),
                certificate: certificate("")?,
            }),
            [kind, ..] => LinkConfig::Unsupported(*kind),
            [] => return None,
        };
        let id = id?;
        for remark in modes::remarks(given, links) {
            self.warnings.push(format!("gateway {id}: {remark}"));
        }
        match &link {
            LinkConfig::V1r(config) if config.key.bits() != rsa_key::USUAL_BITS => {
                let bits = config.key.bits();
                self.warnings.push(format!("gateway {id}: the RSA key has {bits} bits; gateways expect 4096"));
            }
            LinkConfig::Bearer(config) if config.query_set == QuerySet::V2024_06 => self.warnings.push(format!(
                "gateway {id}: with tedapi_auth_mode bearer, gateways may answer the queries of V2024_06 in part or not at all"
            )),
            _ => {}
        }
        let facts = GatewayFacts {
            name: self.text("name").unwrap_or_else(|| id.clone()),
            id,
            host,
            port,
            rsa_key_configured: self.gives("rsa_key_path"),
            wifi_host: wifi_host.map(|(host, _)| host),
            site_id,
            timezone,
            cloud_mode: cloud_mode || links == [LinkKind::Cloud],
            fleetapi,
            kind: kind.unwrap_or_default(),
            links,
            reason: row.why,
            may_be_basic_lan: links == [LinkKind::Local] && !given.has(Fact::GatewayPassword),
        };
        let energies = of_customer.filter(|_| lifetime_energy && link.kind().is_tedapi());
        if matches!(link, LinkConfig::Local(_) | LinkConfig::V1r(_) | LinkConfig::Bearer(_)) {
            // Without a session to go on with, every restart would be a login.
            state_file = state_file.or_else(|| Some(defaults.session_file_here(&facts.id)));
        }
        let timeout = timeout.unwrap_or(defaults.timeout);
        Some(GatewaySettings { facts: Arc::new(facts), link, timeout, state_file, energies })
    }
}

/// The customer password is the end of the gateway password, unless the owner chose another one.
pub(super) fn customer_password(gateway_password: &Secret) -> Secret {
    let text = gateway_password.expose();
    let start = text.char_indices().rev().nth(4).map_or(0, |(at, _)| at);
    Secret::new(&text[start..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_customer_password_is_the_last_five_characters() {
        for (gateway, customer) in [("ABCDEFGHIJ", "FGHIJ"), ("ABC", "ABC"), ("ÄÖÜäöüß", "Üäöüß")]
        {
            assert_eq!(customer_password(&Secret::new(gateway)), Secret::new(customer), "{gateway}");
        }
    }
}
