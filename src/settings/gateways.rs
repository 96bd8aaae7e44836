//! Gateways as objects, from `PW_GATEWAYS`, from a file, or put together from the single-gateway variables.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use super::credentials::{Credentials, Places};
use super::fleet::{self, AccountConfig, FleetConfig, FleetDefaults, Origin};
use super::modes::{self, Links, Verdict};
use super::problem::{Problems, nearest};
use super::rsa_key::{self, RsaKey};
use super::sites;
use super::values::{self, Refusal};
use super::{
    AuthMode, BrokerConfig, CertificatePolicy, GatewaySettings, LinkConfig, LocalConfig, QuerySet,
    RelayConfig, Secret, TedapiConfig, V1rConfig,
};
use crate::model::{GatewayFacts, GatewayKind, Labels, LinkKind, Place};

pub(super) const KEYS: [&str; 19] = [
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
/// The servers before have no such keys.
pub(super) const OUR_KEYS: [&str; 12] = [
    CERTIFICATE,
    LIFETIME_ENERGY,
    STANDBY,
    FLEET_BASE,
    FLEET_TOKEN,
    INTERVAL,
    RELAY,
    FROM,
    SITE,
    GATEWAY,
    TAGS,
    GROUP,
];
pub(super) const CERTIFICATE: &str = "certificate";
const LIFETIME_ENERGY: &str = "lifetime_energy";
const STANDBY: &str = "standby";
const FLEET_BASE: &str = "fleet_base";
const FLEET_TOKEN: &str = "fleet_token";
const INTERVAL: &str = "interval";
const RELAY: &str = "relay";
const FROM: &str = "from";
const SITE: &str = "site";
const GATEWAY: &str = "gateway";
const TAGS: &str = "tags";
const GROUP: &str = "group";
/// All that an entry with `from` may have.
const OF_A_REPORT: [&str; 7] = ["id", "name", FROM, SITE, GATEWAY, TAGS, GROUP];
/// What a gateway has once, whichever link is in use.
const OF_THE_GATEWAY: [&str; 10] =
    ["id", "name", "type", "authpath", "timezone", "siteid", "site_id", STANDBY, TAGS, GROUP];
/// More links than a house has.
const MOST_STANDBY: usize = 3;

/// The port of a gateway where none is given.
const HTTPS: u16 = 443;
/// What the servers before ours send with a login when nothing is configured; gateways do not look at it.
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
    /// `PW_CACHE_FILE`, or where else the servers before ours keep the session of a gateway from single
    /// variables.
    pub state_file: Option<PathBuf>,
    /// What `~` at the beginning of a path stands for.
    pub home: Option<String>,
    /// Whether there is one gateway, from single variables.
    pub single: bool,
    pub auth_mode: AuthMode,
    /// `PW_TEDAPI_AUTH_MODE`: whether gateways without a key are asked with an installer login.
    pub bearer: bool,
    /// `PW_FAILOVER`
    pub failover: bool,
    /// `PW_LIFETIME_ENERGY`
    pub lifetime_energy: bool,
    /// `PW_FLEET_…`
    pub fleet: FleetDefaults,
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
        let gateway = Entry { object, place: &place, files: "", problems, warnings: &mut read.warnings };
        let gateway = gateway.read(defaults);
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
    /// Sets the files of one link of a gateway apart from those of another: `standby1.`, say.
    files: &'a str,
    problems: &'a mut Problems,
    warnings: &'a mut Vec<String>,
}

impl Entry<'_> {
    /// Whether there is anything under `key`, right or wrong.
    fn gives(&self, key: &str) -> bool {
        match self.object.get(key) {
            None | Some(Value::Null) => false,
            Some(Value::String(text)) => !text.trim().is_empty(),
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
            Value::String(text) => {
                let text = text.trim();
                (!text.is_empty()).then(|| text.to_owned())
            }
            Value::Number(number) if key != "id" => Some(number.to_string()),
            _ => {
                self.problem(key, "expected a text in quotes");
                None
            }
        }
    }

    fn secret(&mut self, key: &str) -> Option<Secret> {
        Some(Secret::new(self.parsed(key, values::secret)??))
    }

    /// A path, with the folder of the user for `~`.
    fn path(&mut self, key: &str, defaults: &Defaults) -> Option<PathBuf> {
        Some(values::path(&self.text(key)?, defaults.home.as_deref()).into())
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
        self.refuse_unknown_keys();
        if self.object.contains_key(FROM) {
            return self.reported(defaults);
        }
        if let Some(stray) = [SITE, GATEWAY].into_iter().find(|key| self.object.contains_key(*key)) {
            self.problem(stray, "belongs to an entry with from: broker");
        }
        let id = self.id();
        let labels = self.labels();
        let kind = self.kind();
        let timeout = self.parsed("timeout", |text| values::integer(text, 1..=120)).map(Duration::from_secs);
        let given = self.given(defaults);
        let row = modes::decide(given.summary());
        let links = match row.verdict {
            Verdict::Use(links) => links,
            Verdict::Invalid { key } => {
                self.problem(key, row.why);
                return None;
            }
        };

        let query_set = self.query_set(links, defaults)?;
        let places = self.places(id.as_deref(), defaults);
        let link = self.link(links, &given, query_set, &places, defaults)?;
        let id = id?;
        self.remark(&id, &given, links, &link);
        let standby = match self.wants_cloud(&link, defaults) {
            true => self.with_cloud(defaults),
            false => self.standby(defaults),
        };
        let also = standby.iter().flat_map(|member| member.facts.links.iter().copied());

        let mut state_file = defaults.state_file.clone().or_else(|| places.file("json"));
        if matches!(link, LinkConfig::Local(_) | LinkConfig::V1r(_) | LinkConfig::Bearer(_)) {
            // Without a session to go on with, every restart would be a login.
            state_file =
                state_file.or_else(|| Some(defaults.session_file_here(&format!("{id}{}", places.own()))));
        }
        let energies = given.customer_password().filter(|_| given.lifetime_energy && link.kind().is_tedapi());
        let facts = GatewayFacts {
            name: self.text("name").unwrap_or_else(|| id.clone()),
            id,
            rsa_key_configured: self.gives("rsa_key_path"),
            wifi_host: given.wifi_host.as_ref().map(|(host, _)| host.clone()),
            cloud_mode: given.cloud_mode || links == [LinkKind::Cloud],
            fleetapi: given.fleetapi,
            kind: kind.unwrap_or_default(),
            links: links.iter().copied().chain(also).collect(),
            reason: row.why,
            may_be_basic_lan: links == [LinkKind::Local] && !given.has_gateway_password,
            host: given.host,
            port: given.port,
            site_id: given.site_id,
            timezone: given.timezone,
            labels,
            place: None,
        };
        let timeout = timeout.unwrap_or(defaults.timeout);
        let facts = Arc::new(facts);
        Some(GatewaySettings { facts, link, timeout, state_file, energies, standby })
    }

    /// A gateway that another instance reports. Whether orders go there is decided for all of them.
    fn reported(&mut self, defaults: &Defaults) -> Option<GatewaySettings> {
        if self.text(FROM).as_deref() != Some("broker") {
            self.problem(FROM, "expected broker");
        }
        let stray = self.object.keys().find(|key| !OF_A_REPORT.contains(&key.as_str())).cloned();
        if let Some(stray) = stray {
            self.problem(&stray, "does not go with from: broker; the site knows how its gateway is reached");
        }
        let (id, labels) = (self.id(), self.labels());
        let site = self.parsed(SITE, sites::site);
        if site.is_none() && !self.object.contains_key(SITE) {
            self.problem(SITE, "missing: the id of the site at the broker, such as north.17");
        }
        let gateway = self.text(GATEWAY).or_else(|| id.clone())?;
        let (id, site) = (id?, site?);
        let name = self.text("name").unwrap_or_else(|| id.clone());
        let place = BrokerConfig { place: Place { site, gateway }, orders: None };
        Some(GatewaySettings::reported(id, name, labels, place, defaults.timeout))
    }

    fn labels(&mut self) -> Labels {
        let group = self.parsed(GROUP, sites::label);
        let tags = match self.object.get(TAGS) {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(list)) if list.iter().all(Value::is_string) => {
                let texts: Vec<&str> = list.iter().filter_map(Value::as_str).collect();
                sites::tags(&texts.join(",")).unwrap_or_else(|refusal| {
                    self.problem(TAGS, refusal);
                    Vec::new()
                })
            }
            Some(_) => {
                self.problem(TAGS, "expected a list of texts");
                Vec::new()
            }
        };
        Labels { tags, group }
    }

    /// The links behind the preferred one, each with what it needs; the rest is that of the gateway.
    fn standby(&mut self, defaults: &Defaults) -> Vec<GatewaySettings> {
        let list = match self.object.get(STANDBY) {
            None | Some(Value::Null) => return Vec::new(),
            Some(Value::Array(list)) if list.len() <= MOST_STANDBY => list,
            Some(_) => {
                let what = format!(
                    "expected a list of at most {MOST_STANDBY} objects, such as [{{host: …, gw_pwd: …}}]"
                );
                self.problem(STANDBY, what);
                return Vec::new();
            }
        };
        let read = list.iter().enumerate().filter_map(|(index, own)| {
            let place = format!("{}.{STANDBY}[{index}]", self.place);
            let Some(own) = own.as_object() else {
                self.problems.add(place, "expected an object with host and passwords");
                return None;
            };
            if let Some(odd) = OF_THE_GATEWAY.into_iter().find(|key| own.contains_key(*key)) {
                self.problems
                    .add(format!("{place}.{odd}"), "belongs to the gateway, not to one of its links");
                return None;
            }
            let common = OF_THE_GATEWAY.into_iter().filter(|key| *key != STANDBY);
            let common = common.filter_map(|key| Some((key.to_owned(), self.object.get(key)?.clone())));
            let object: Map<String, Value> = common.chain(own.clone()).collect();
            let files = format!("standby{}.", index + 1);
            let (problems, warnings) = (&mut *self.problems, &mut *self.warnings);
            Entry { object: &object, place: &place, files: &files, problems, warnings }.read(defaults)
        });
        read.collect()
    }

    /// Whether the cloud stands by because `PW_CLOUD_HYBRID` says so, and not the entry itself.
    fn wants_cloud(&self, link: &LinkConfig, defaults: &Defaults) -> bool {
        let is_preferred =
            self.files.is_empty() && !matches!(link.kind(), LinkKind::FleetApi | LinkKind::Cloud);
        let of_cloud = ["fleetapi", FLEET_TOKEN, "cloud_mode"];
        let is_cloud = |member: &Value| {
            of_cloud.iter().any(|key| member.get(*key).is_some())
                || member.get("email").is_some() && member.get("host").is_none()
        };
        let own = self.object.get(STANDBY).and_then(Value::as_array);
        defaults.fleet.hybrid && is_preferred && !own.is_some_and(|list| list.iter().any(is_cloud))
    }

    /// The links behind the preferred one, with Tesla's cloud as the last: FleetAPI, or the owners API where
    /// there are tokens for that only.
    fn with_cloud(&mut self, defaults: &Defaults) -> Vec<GatewaySettings> {
        let mut object = self.object.clone();
        let folder = self.path("authpath", defaults).or_else(|| defaults.auth_path.clone());
        let has_fleet = defaults.fleet.token.is_some() || self.gives(FLEET_TOKEN);
        let cloud = match !has_fleet && fleet::has_owners_tokens_only(folder.as_deref()) {
            true => {
                let email = object.get("email").cloned().unwrap_or_else(|| ANY_EMAIL.into());
                serde_json::json!({ "cloud_mode": true, "email": email })
            }
            false => serde_json::json!({ "fleetapi": true }),
        };
        let list = object.entry(STANDBY).or_insert_with(|| Value::Array(Vec::new()));
        if let Some(list) = list.as_array_mut().filter(|list| list.len() < MOST_STANDBY) {
            list.push(cloud);
        }
        let (place, files) = (self.place, self.files);
        let (problems, warnings) = (&mut *self.problems, &mut *self.warnings);
        Entry { object: &object, place, files, problems, warnings }.standby(defaults)
    }

    fn refuse_unknown_keys(&mut self) {
        let known = || KEYS.into_iter().chain(OUR_KEYS);
        for key in self.object.keys() {
            if known().all(|name| name != key) {
                let hint = nearest(key, known()).map(|name| format!("; did you mean {name}?"));
                let all = || format!("; known keys: {}", known().collect::<Vec<_>>().join(", "));
                self.problem(key, format!("unknown key{}", hint.unwrap_or_else(all)));
            }
        }
    }

    fn id(&mut self) -> Option<String> {
        let id = self.parsed("id", sites::level);
        if !self.object.contains_key("id") {
            self.problem("id", "missing");
        }
        id
    }

    fn kind(&mut self) -> Option<GatewayKind> {
        self.parsed("type", |text| match text {
            "powerwall" => Ok(GatewayKind::Powerwall),
            "inverter" => Ok(GatewayKind::Inverter),
            _ => Err(format!("{text:?} is neither powerwall nor inverter")),
        })
    }

    /// The host without its port, and the port from wherever it is given.
    fn host_and_port(&mut self) -> (Option<String>, Option<u16>) {
        let host = self.parsed("host", values::host_and_port);
        let own_port = self.parsed("port", |text| values::integer(text, 1..=65535));
        let own_port = own_port.and_then(|port| u16::try_from(port).ok());
        match host {
            Some((host, Some(port))) if own_port.is_some_and(|own| own != port) => {
                self.problem("port", format!("differs from the port {port} in host"));
                (Some(host), Some(port))
            }
            Some((host, port)) => (Some(host), port.or(own_port)),
            None => (None, own_port),
        }
    }

    /// Reads what decides how the gateway is reached.
    fn given(&mut self, defaults: &Defaults) -> Credentials {
        let timezone = self.parsed("timezone", values::timezone).or_else(|| defaults.timezone.clone());
        let (host, port) = self.host_and_port();
        let email = self.text("email");
        let site_id = self.text("siteid").or_else(|| self.text("site_id"));
        let wifi_host = self.parsed("wifi_host", values::host_and_port);
        let rsa_key = self.path("rsa_key_path", defaults).and_then(|path| {
            RsaKey::read(&path).map_err(|refusal| self.problem("rsa_key_path", refusal)).ok()
        });
        let (cloud_mode, fleetapi) =
            (self.flag("cloud_mode"), self.flag("fleetapi") || self.gives(FLEET_TOKEN));
        let relay = self.flag(RELAY);
        let bearer = self.parsed("tedapi_auth_mode", values::is_bearer);
        let gateway_password = self.secret("gw_pwd");
        let password = self.secret("password").or_else(|| defaults.password.clone());
        let lifetime_energy = match self.gives(LIFETIME_ENERGY) {
            true => self.flag(LIFETIME_ENERGY),
            false => defaults.lifetime_energy,
        };
        Credentials {
            has_host: self.gives("host"),
            has_gateway_password: self.gives("gw_pwd"),
            has_rsa_key: self.gives("rsa_key_path"),
            has_wifi_host: self.gives("wifi_host"),
            // What holds for all gateways does not hold for one that signs.
            bearer: bearer.unwrap_or(defaults.bearer && !self.gives("rsa_key_path")),
            host,
            port,
            email,
            site_id,
            timezone,
            wifi_host,
            rsa_key,
            cloud_mode,
            fleetapi,
            relay,
            gateway_password,
            password,
            lifetime_energy,
        }
    }

    fn places(&mut self, id: Option<&str>, defaults: &Defaults) -> Places {
        Places {
            folder: self.path("authpath", defaults).or_else(|| defaults.auth_path.clone()),
            id: id.map(str::to_owned),
            certificate: self.text(CERTIFICATE).or_else(|| defaults.certificate.clone()),
            prefix: self.files.to_owned(),
        }
    }

    fn query_set(&mut self, links: Links, defaults: &Defaults) -> Option<QuerySet> {
        match self.text("tedapi_api_version").or_else(|| defaults.query_set.clone()) {
            Some(text) => {
                values::query_set(&text).map_err(|refusal| self.problem("tedapi_api_version", refusal)).ok()
            }
            // An installer login is answered in full with the newer queries only.
            None if links == [LinkKind::Bearer] => Some(QuerySet::V2026_06),
            None => Some(QuerySet::default()),
        }
    }

    /// What the first of `links` needs.
    fn link(
        &mut self,
        links: Links,
        given: &Credentials,
        query_set: QuerySet,
        places: &Places,
        defaults: &Defaults,
    ) -> Option<LinkConfig> {
        match links {
            [LinkKind::Tedapi] => self.tedapi(given, query_set, places).map(LinkConfig::Tedapi),
            [LinkKind::Bearer] => self.tedapi(given, query_set, places).map(LinkConfig::Bearer),
            [LinkKind::V1r, others @ ..] => {
                let has_wifi = others == [LinkKind::Tedapi];
                self.v1r(given, has_wifi, query_set, places, defaults.failover).map(LinkConfig::V1r)
            }
            [LinkKind::Local] => self.local(given, places, defaults.auth_mode).map(LinkConfig::Local),
            [LinkKind::FleetApi] => self.fleet(given, places, defaults).map(LinkConfig::Fleet),
            [LinkKind::Cloud] => self.owners(given, places, defaults).map(LinkConfig::Fleet),
            [LinkKind::Relay] => self.relay(given, query_set, places, defaults).map(LinkConfig::Relay),
            [kind, ..] => Some(LinkConfig::Unsupported(*kind)),
            [] => None,
        }
    }

    fn tedapi(&mut self, given: &Credentials, query_set: QuerySet, places: &Places) -> Option<TedapiConfig> {
        let certificate = self.certificate("", places)?;
        Some(TedapiConfig {
            host: given.host.clone()?,
            port: given.port.unwrap_or(HTTPS),
            password: given.gateway_password.clone()?,
            query_set,
            certificate,
        })
    }

    /// `has_wifi`: whether the gateway's own Wi-Fi is used as well.
    fn v1r(
        &mut self,
        given: &Credentials,
        has_wifi: bool,
        query_set: QuerySet,
        places: &Places,
        failover: bool,
    ) -> Option<V1rConfig> {
        let (own, over_wifi) = (self.certificate("", places)?, self.certificate("wifi.", places)?);
        let wifi = given.wifi_host.clone().zip(given.gateway_password.clone()).filter(|_| has_wifi);
        let wifi = wifi.map(|((host, port), password)| TedapiConfig {
            host,
            port: port.unwrap_or(HTTPS),
            password,
            query_set,
            certificate: over_wifi,
        });
        Some(V1rConfig {
            host: given.host.clone()?,
            port: given.port.unwrap_or(HTTPS),
            password: given.customer_password()?,
            key: given.rsa_key.clone()?,
            query_set,
            certificate: own,
            wifi,
            failover,
        })
    }

    fn fleet(&mut self, given: &Credentials, places: &Places, defaults: &Defaults) -> Option<FleetConfig> {
        let shared = &defaults.fleet;
        let base = self.parsed(FLEET_BASE, Origin::parse).or_else(|| shared.base.clone());
        let token = self.secret(FLEET_TOKEN).or_else(|| shared.token.clone());
        if token.is_some() && base.is_none() {
            self.problem(FLEET_BASE, "missing: fleet_token needs the address of the provider that gave it");
        }
        let account = shared.account(base, token, places.folder.as_deref(), places.id.as_deref());
        self.site_of(account, given, shared)
    }

    /// The owners API.
    fn owners(&mut self, given: &Credentials, places: &Places, defaults: &Defaults) -> Option<FleetConfig> {
        let account = defaults.fleet.owners(places.folder.as_deref(), given.email.as_deref());
        self.site_of(account, given, &defaults.fleet)
    }

    /// The site of `account` that the entry is about.
    fn site_of(
        &mut self,
        account: AccountConfig,
        given: &Credentials,
        shared: &FleetDefaults,
    ) -> Option<FleetConfig> {
        let site = given.site_id.as_deref().map(|text| text.trim().parse::<u64>()).transpose();
        let Ok(site) = site else {
            self.problem("siteid", "expected the number of an energy site");
            return None;
        };
        let fastest = if given.relay { fleet::FASTEST_RELAY } else { fleet::FASTEST };
        let interval = self.parsed(INTERVAL, |text| values::integer(text, fastest..=3600));
        let usual = shared.interval.unwrap_or(fleet::USUAL_INTERVAL);
        // What holds for FleetAPI may be faster than the relay can be asked.
        let interval = interval.map_or(usual, Duration::from_secs).max(Duration::from_secs(fastest));
        let takes_orders_first = shared.cloud_first;
        Some(FleetConfig { account, site, interval, takes_orders_first })
    }

    fn relay(
        &mut self,
        given: &Credentials,
        query_set: QuerySet,
        places: &Places,
        defaults: &Defaults,
    ) -> Option<RelayConfig> {
        let fleet = self.fleet(given, places, defaults)?;
        Some(RelayConfig { fleet, key: given.rsa_key.clone()?, query_set })
    }

    fn local(&mut self, given: &Credentials, places: &Places, auth_mode: AuthMode) -> Option<LocalConfig> {
        Some(LocalConfig {
            host: given.host.clone()?,
            port: given.port.unwrap_or(HTTPS),
            email: given.email.clone().unwrap_or_else(|| ANY_EMAIL.into()),
            password: given.password.clone()?,
            auth_mode,
            timezone: given.timezone.clone().unwrap_or_else(|| ANY_TIMEZONE.into()),
            certificate: self.certificate("", places)?,
        })
    }

    /// Which certificates are accepted at `address`; each address has its own.
    fn certificate(&mut self, address: &str, places: &Places) -> Option<CertificatePolicy> {
        let store = places.file(&format!("{address}sha256"));
        match &places.certificate {
            Some(text) => values::certificate(text, places.id.as_deref().unwrap_or_default(), store)
                .map_err(|refusal| self.problem(CERTIFICATE, refusal))
                .ok(),
            None => Some(CertificatePolicy::default()),
        }
    }

    fn remark(&mut self, id: &str, given: &Credentials, links: Links, link: &LinkConfig) {
        for remark in modes::remarks(given.summary(), links) {
            self.warnings.push(format!("gateway {id}: {remark}"));
        }
        match link {
            LinkConfig::V1r(config) if config.key.bits() != rsa_key::USUAL_BITS => {
                let bits = config.key.bits();
                self.warnings
                    .push(format!("gateway {id}: the RSA key has {bits} bits; gateways expect 4096"));
            }
            LinkConfig::Fleet(config) if config.account.source.is_owners() => {
                self.warnings.push(format!(
                    "gateway {id}: Tesla may end the owners API any day; FleetAPI (powerwall-server login) \
                     and links on the local network do not depend on it"
                ));
            }
            LinkConfig::Fleet(config) if config.interval < fleet::USUAL_INTERVAL => {
                let seconds = config.interval.as_secs();
                self.warnings.push(format!(
                    "gateway {id}: asked every {seconds} s over FleetAPI; Tesla renews values about once a \
                     minute, and counts every request"
                ));
            }
            LinkConfig::Bearer(config) if config.query_set == QuerySet::V2024_06 => {
                self.warnings.push(format!(
                    "gateway {id}: with tedapi_auth_mode bearer, gateways may answer the queries of V2024_06 \
                     in part or not at all"
                ));
            }
            _ => {}
        }
    }
}
