//! Where settings come from and which wins: flag, then file, then `PW_GATEWAYS`, then the single-gateway
//! variables.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::as_before::{MASKED, as_before};
use super::fleet::{self, FleetDefaults, NO_EMAIL, Origin, TOKEN_FILE};
use super::gateways::{self, Defaults};
use super::problem::{Problems, nearest};
use super::spelled::{self, NotJson};
use super::values::{self, Refusal};
use super::variables::{self, Effect, effect, meant};
use super::ways::{self, Ways};
use super::{AccountConfig, AuthMode, Effective, HttpSettings, PollingSettings, Secret, Settings};
use crate::files;
use crate::model::Adjustments;
use crate::settings::LinkConfig;

/// Where everything is taken from; nothing else is looked at.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    pub environment: Vec<(String, String)>,
    /// Variable, value and flag of each flag that was given.
    pub flags: Vec<(&'static str, String, &'static str)>,
}

/// A file larger than this is not one of ours.
const LARGEST_FILE: usize = 1 << 20;
/// The keys of the file, at the top.
const FILE_KEYS: [&str; 7] = ["server", "gateways", "tokens", "anonymous", "notify", "tariff", "broker"];

/// How all gateways are polled.
#[derive(Default, Deserialize)]
struct PollingVariables {
    pw_cache_expire: Option<String>,
    pw_cache_ttl: Option<String>,
    pw_graceful_degradation: Option<String>,
    pw_neg_solar: Option<String>,
    pw_islanding_cooldown: Option<String>,
    pw_site_zero_threshold: Option<String>,
    pw_legacy_zeros: Option<String>,
    pw_auth_path: Option<String>,
}

/// One gateway, and what all gateways take over.
#[derive(Default, Deserialize)]
struct GatewayVariables {
    pw_config: Option<String>,
    pw_gateways: Option<String>,
    pw_host: Option<String>,
    pw_gw_pwd: Option<String>,
    pw_password: Option<String>,
    pw_email: Option<String>,
    pw_timezone: Option<String>,
    pw_auth_path: Option<String>,
    pw_siteid: Option<String>,
    pw_rsa_key_path: Option<String>,
    pw_wifi_host: Option<String>,
    pw_tedapi_api_version: Option<String>,
    pw_certificate: Option<String>,
    pw_lifetime_energy: Option<String>,
    pw_timeout: Option<String>,
    pw_tedapi_auth_mode: Option<String>,
    pw_failover: Option<String>,
    pw_auth_mode: Option<String>,
    pw_cache_file: Option<String>,
}

/// What all gateways that are reached over FleetAPI take over.
#[derive(Default, Deserialize)]
struct FleetVariables {
    pw_fleet_base: Option<String>,
    pw_fleet_token: Option<String>,
    pw_fleet_auth: Option<String>,
    pw_fleet_ca: Option<String>,
    pw_owners_base: Option<String>,
    pw_owners_auth: Option<String>,
    pw_fleet_budget: Option<String>,
    pw_fleet_interval: Option<String>,
    pw_cloud_hybrid: Option<String>,
    pw_local_first: Option<String>,
}

/// What the file says of access, and where it says so.
#[derive(Default)]
pub(super) struct AccessInFile {
    pub tokens: Option<(Value, String)>,
    pub anonymous: Option<(Value, String)>,
}

/// Collects values, where they came from, and what was wrong.
pub(super) struct Reader {
    /// Cleaned values by variable, with their source.
    values: BTreeMap<String, (String, String)>,
    pub(super) problems: Problems,
    pub(super) warnings: Vec<String>,
    effective: Vec<Effective>,
    /// Of the entries read.
    ways: Vec<Ways>,
    /// What `~` at the beginning of a path stands for.
    pub(super) home: Option<String>,
    /// What the file says of access, until the gateways are known.
    pub(super) access_in_file: AccessInFile,
    /// What the file says of notifications, until the gateways are known.
    pub(super) notify_in_file: Option<(Value, String)>,
    /// What the file says of prices, and where.
    pub(super) tariff_in_file: Option<(Value, String)>,
    /// The variables `PW_TOKEN_…` and `PW_NOTIFY_…`, of which only the file speaks.
    pub(super) named_secrets: Vec<(String, Secret)>,
}

impl Settings {
    /// Every way that the credentials of each gateway on the local network allow. Mistakes elsewhere do not
    /// matter.
    ///
    /// # Errors
    /// If no entry can be read, with why.
    pub fn ways(inputs: &Inputs) -> Result<Vec<Ways>, Problems> {
        let mut reader = Reader::new(inputs);
        let mut http = reader.http();
        reader.gateways(&mut http);
        match reader.ways.is_empty() && !reader.problems.is_empty() {
            true => Err(reader.problems),
            false => Ok(reader.ways),
        }
    }

    /// The Tesla account of the shared variables, whatever gateways there are.
    ///
    /// # Errors
    /// If one of these variables is wrong.
    pub fn account(inputs: &Inputs) -> Result<AccountConfig, Problems> {
        let mut reader = Reader::new(inputs);
        let folder = reader.polling().memory;
        let shared = reader.fleet();
        match reader.problems.is_empty() {
            true => Ok(shared.account(shared.base.clone(), shared.token.clone(), folder.as_deref(), None)),
            false => Err(reader.problems),
        }
    }

    /// Reads everything.
    ///
    /// # Errors
    /// With every mistake at once.
    pub fn load(inputs: &Inputs) -> Result<Self, Problems> {
        let mut reader = Reader::new(inputs);
        let polling = reader.polling();
        let mut http = reader.http();
        let logging = reader.logging();
        let store = reader.store();
        let mut history = reader.history();
        let export = reader.export();
        let mut mqtt = reader.mqtt();
        let before = reader.problems.0.len();
        let mut gateways = reader.gateways(&mut http);
        let broker = reader.broker();
        reader.check_reported(&mut gateways, broker.as_ref());
        reader.check_export(export.as_ref(), store.is_some(), broker.as_ref());
        // A gateway with a mistake is not among them, and no reason to blame a token.
        let known = (reader.problems.0.len() == before).then_some(gateways.as_slice());
        let access = reader.access(known);
        let notify = reader.notify(known);
        history.tariffs = reader.tariffs(known);
        reader.check_controls(&mut mqtt, &access);
        mqtt.check_ids(&gateways, &mut reader.problems);
        for gateway in &gateways {
            if let LinkConfig::Unsupported(kind) = &gateway.link {
                let (id, kind) = (&gateway.facts.id, kind.name());
                reader.warnings.push(format!(
                    "gateway {id} is configured for {kind}, which this version cannot speak; it will show an \
                     error"
                ));
            }
        }
        if !reader.problems.is_empty() {
            return Err(reader.problems);
        }
        let as_before = as_before(|name| reader.given(name), |name| reader.counts(name));
        Ok(Self {
            gateways,
            polling,
            http,
            access,
            notify,
            mqtt,
            logging,
            store,
            history,
            export,
            broker,
            demo: None,
            warnings: reader.warnings,
            effective: reader.effective,
            as_before,
        })
    }
}

impl Reader {
    pub(super) fn new(inputs: &Inputs) -> Self {
        let mut reader = Self {
            values: BTreeMap::new(),
            problems: Problems::default(),
            warnings: Vec::new(),
            effective: Vec::new(),
            ways: Vec::new(),
            home: None,
            access_in_file: AccessInFile::default(),
            notify_in_file: None,
            tariff_in_file: None,
            named_secrets: Vec::new(),
        };
        let environment = &inputs.environment;
        reader.home = environment.iter().find(|(name, _)| name == "HOME").map(|(_, home)| home.clone());
        for (name, text) in environment {
            if !reader.takes_named_secret(name, text) {
                reader.take_variable(name, text, environment);
            }
        }
        for (name, text, flag) in &inputs.flags {
            if effect(name) == Some(Effect::Secret) {
                let advice = format!(
                    "{flag} on the command line is visible to everybody on this machine; use {name}_FILE"
                );
                reader.warnings.push(advice);
            }
            reader.take(name, text, flag);
        }
        reader.rename_old_ones();
        const IN_FILES: [&str; 6] = [
            "PW_GW_PWD",
            "PW_PASSWORD",
            "PW_CONTROL_SECRET",
            "PW_FLEET_TOKEN",
            "MQTT_PASSWORD",
            "PW_EXPORT_TOKEN",
        ];
        for name in IN_FILES {
            reader.secret_from_file(name);
        }
        reader
    }

    /// Takes a variable of the environment, whose name may be in any case.
    fn take_variable(&mut self, given: &str, text: &str, environment: &[(String, String)]) {
        let name = given.to_ascii_uppercase();
        if name != given && (effect(&name).is_some() || meant(&name).is_some()) {
            if variables::UPPER_CASE.contains(&name.as_str()) {
                self.warnings.push(format!("{given} has no effect: only {name} in upper case is read"));
                return;
            }
            if environment.iter().any(|(other, _)| *other == name) {
                self.warnings.push(format!("{given} has no effect: {name} is set as well"));
                return;
            }
        }
        if variables::is_of_kubernetes(&name, text) {
            let why = "it is what Kubernetes sets for a service of such a name, not a setting";
            self.warnings.push(format!("{given} has no effect: {why}"));
            return;
        }
        if effect(&name).is_some() && values::is_quoted(text.trim()) {
            let why = "docker run --env-file, for one, keeps the quotes of a line as they are";
            self.warnings
                .push(format!("{given} begins and ends with a quote, which is taken as part of it: {why}"));
        }
        self.take(&name, text, "environment");
    }

    pub(super) fn take(&mut self, name: &str, text: &str, source: &str) {
        let Some(effect) = effect(name) else {
            match meant(name) {
                Some(Some(nearest)) => {
                    self.problems.add(name, format!("unknown variable; did you mean {nearest}?"))
                }
                Some(None) => self.warnings.push(format!("{name} is not a setting of this program")),
                None => {}
            }
            return;
        };
        let cleaned = match effect {
            // A list of gateways may have lines; the secrets in it are looked at one by one.
            Effect::Secret if name != "PW_GATEWAYS" => values::secret(text),
            _ => Ok(values::clean(text)),
        };
        let cleaned = match cleaned {
            Ok(Some(cleaned)) => cleaned,
            Ok(None) => return,
            Err(refusal) => return self.problems.add(name, refusal),
        };
        if let Effect::None(why) = effect {
            self.warnings.push(format!("{name} has no effect: {why}"));
            return;
        }
        let cleaned = match variables::PATHS.contains(&name) {
            true => values::path(&cleaned, self.home.as_deref()),
            false => cleaned,
        };
        self.values.insert(name.to_owned(), (cleaned, source.to_owned()));
    }

    /// An old name counts where the new one is not set, whichever comes first.
    fn rename_old_ones(&mut self) {
        const OLD: &str = "PW_AUTHPATH";
        const NEW: &str = "PW_AUTH_PATH";
        let Some(value) = self.values.remove(OLD) else { return };
        if self.values.contains_key(NEW) {
            self.warnings.push(format!("{OLD} has no effect: {NEW} is set as well"));
            return;
        }
        self.warnings.push(format!("{OLD} is an old name; use {NEW}"));
        self.values.insert(NEW.to_owned(), value);
    }

    fn secret_from_file(&mut self, name: &str) {
        let variable = format!("{name}_FILE");
        let Some((path, _)) = self.values.get(&variable).cloned() else { return };
        if self.values.contains_key(name) {
            self.problems.add(&variable, format!("{name} is set as well; only one of them can count"));
            return;
        }
        let text = match read_file(Path::new(&path)) {
            Ok(text) => text,
            Err(error) => {
                self.problems.add(&variable, format!("{path:?} cannot be read: {error}"));
                return;
            }
        };
        match values::secret(&text) {
            Ok(Some(secret)) => {
                self.values.insert(name.to_owned(), (secret, format!("file {path}")));
            }
            Ok(None) => self.problems.add(&variable, format!("{path:?} is empty")),
            Err(refusal) => self.problems.add(&variable, format!("{path:?} {refusal}")),
        }
    }

    /// What a variable was set to.
    pub(super) fn given(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(|(text, _)| text.as_str()).filter(|text| !text.is_empty())
    }

    /// What counts for a variable, whether it was set or not, as [`Settings::effective`] has it.
    pub(super) fn counts(&self, name: &str) -> Option<&str> {
        self.effective.iter().find(|effective| effective.name == name).map(|one| one.value.as_str())
    }

    /// The variables of one concern.
    pub(super) fn variables<T: for<'de> Deserialize<'de> + Default>(&self) -> T {
        let values = self.values.iter().map(|(name, (text, _))| (name.clone(), text.clone()));
        // Every field is an optional text, which cannot fail.
        envy::from_iter(values).unwrap_or_default()
    }

    pub(super) fn note(&mut self, name: &'static str, shown: impl ToString, given: bool) {
        let source = match self.values.get(name) {
            Some((_, source)) if given => source.clone(),
            _ => "default".to_owned(),
        };
        let value = match effect(name) {
            Some(Effect::Secret | Effect::Private) if given => MASKED.to_owned(),
            _ => shown.to_string(),
        };
        self.effective.push(Effective { name, value, source });
    }

    /// Notes that the file at `place` says something else than the variable.
    pub(super) fn overrule(&mut self, name: &'static str, shown: &str, place: &str) {
        self.effective.retain(|effective| effective.name != name);
        self.effective.push(Effective { name, value: shown.to_owned(), source: place.to_owned() });
    }

    /// The value of a variable, its default, or its default with a problem.
    pub(super) fn value<T: Clone>(
        &mut self,
        name: &'static str,
        text: Option<String>,
        default: T,
        parse: impl FnOnce(&str) -> Result<T, Refusal>,
        show: impl FnOnce(&T) -> String,
    ) -> T {
        let value = match &text {
            Some(text) => parse(text).unwrap_or_else(|refusal| {
                self.problems.add(name, refusal);
                default
            }),
            None => default,
        };
        self.note(name, show(&value), text.is_some());
        value
    }

    pub(super) fn boolean(&mut self, name: &'static str, text: Option<String>, default: bool) -> bool {
        self.value(name, text, default, values::boolean, |on| if *on { "yes" } else { "no" }.to_owned())
    }

    pub(super) fn seconds(
        &mut self,
        name: &'static str,
        text: Option<String>,
        default: u64,
        range: std::ops::RangeInclusive<u64>,
    ) -> Duration {
        let parse = |text: &str| values::integer(text, range);
        Duration::from_secs(self.value(name, text, default, parse, |seconds| format!("{seconds} s")))
    }

    pub(super) fn polling(&mut self) -> PollingSettings {
        let raw: PollingVariables = self.variables();
        PollingSettings {
            interval: self.seconds("PW_CACHE_EXPIRE", raw.pw_cache_expire, 5, 1..=3600),
            cache_ttl: self.seconds("PW_CACHE_TTL", raw.pw_cache_ttl, 30, 0..=86_400),
            graceful_degradation: self.boolean("PW_GRACEFUL_DEGRADATION", raw.pw_graceful_degradation, true),
            adjustments: Adjustments {
                keep_negative_solar: self.boolean("PW_NEG_SOLAR", raw.pw_neg_solar, true),
                site_zero_threshold: self.value(
                    "PW_SITE_ZERO_THRESHOLD",
                    raw.pw_site_zero_threshold,
                    0,
                    |text| values::integer(text, 0..=100_000),
                    |watts| format!("{watts} W"),
                ) as f64,
                legacy_zeros: self.boolean("PW_LEGACY_ZEROS", raw.pw_legacy_zeros, false),
            },
            islanding_cooldown: self.seconds(
                "PW_ISLANDING_COOLDOWN",
                raw.pw_islanding_cooldown,
                30,
                0..=86_400,
            ),
            memory: raw.pw_auth_path.map(Into::into),
        }
    }

    fn gateways(&mut self, http: &mut HttpSettings) -> Vec<super::GatewaySettings> {
        let raw: GatewayVariables = self.variables();
        let mut defaults = Defaults {
            timeout: self.seconds("PW_TIMEOUT", raw.pw_timeout.clone(), 5, 1..=120),
            timezone: raw.pw_timezone.clone(),
            password: raw.pw_password.clone().map(Secret::new),
            query_set: raw.pw_tedapi_api_version.clone(),
            certificate: raw.pw_certificate.clone(),
            auth_path: raw.pw_auth_path.clone().map(Into::into),
            state_file: None,
            home: self.home.clone(),
            single: false,
            auth_mode: self.value(
                "PW_AUTH_MODE",
                raw.pw_auth_mode.clone(),
                AuthMode::Cookie,
                values::auth_mode,
                |mode| if *mode == AuthMode::Token { "token" } else { "cookie" }.to_owned(),
            ),
            bearer: self.value(
                "PW_TEDAPI_AUTH_MODE",
                raw.pw_tedapi_auth_mode.clone(),
                false,
                values::is_bearer,
                |bearer| if *bearer { "bearer" } else { "basic" }.to_owned(),
            ),
            failover: self.boolean("PW_FAILOVER", raw.pw_failover.clone(), true),
            lifetime_energy: self.boolean("PW_LIFETIME_ENERGY", raw.pw_lifetime_energy.clone(), true),
            fleet: self.fleet(),
        };
        self.check_defaults(&mut defaults);
        if let Some(path) = &raw.pw_config {
            self.note("PW_CONFIG", path, true);
            return self.file(path, &defaults, http);
        }
        if let Some(text) = &raw.pw_gateways {
            self.note("PW_GATEWAYS", MASKED, true);
            let what = match spelled::json(text) {
                Ok(list @ Value::Array(_)) => return self.list(&list, "PW_GATEWAYS", &defaults),
                Ok(_) => "expected an array of objects".to_owned(),
                Err(NotJson::Content(what)) => what,
                Err(NotJson::Syntax(error)) => {
                    let (line, column) = (error.line(), error.column());
                    format!("not valid JSON at line {line} column {column}: {}", category(&error))
                }
            };
            let quotes =
                if values::is_quoted(text) { "; it is in quotes that do not belong to it" } else { "" };
            self.problems.add("PW_GATEWAYS", format!("{what}{quotes}"));
            return Vec::new();
        }
        let in_auth_path = defaults.auth_path.as_ref().map(|path| path.join(gateways::SESSION_FILE));
        defaults.state_file = raw.pw_cache_file.clone().map(Into::into).or(in_auth_path);
        defaults.single = true;
        if let Some(file) = &raw.pw_cache_file {
            self.note("PW_CACHE_FILE", file, true);
        }
        self.single(&raw, &defaults)
    }

    pub(super) fn fleet(&mut self) -> FleetDefaults {
        let raw: FleetVariables = self.variables();
        let mut origin = |name: &'static str, text: Option<String>| {
            let parse = |text: &str| Origin::parse(text).map(Some);
            let show = |origin: &Option<Origin>| origin.as_ref().map(Origin::to_string).unwrap_or_default();
            self.value(name, text, None, parse, show)
        };
        let base = origin("PW_FLEET_BASE", raw.pw_fleet_base);
        let auth = origin("PW_FLEET_AUTH", raw.pw_fleet_auth);
        let owners_base = origin("PW_OWNERS_BASE", raw.pw_owners_base);
        let owners_auth = origin("PW_OWNERS_AUTH", raw.pw_owners_auth);
        let budget = self.value(
            "PW_FLEET_BUDGET",
            raw.pw_fleet_budget,
            0,
            |text| values::integer(text, 0..=1_000_000),
            |requests| if *requests == 0 { "none".to_owned() } else { format!("{requests} requests a day") },
        );
        let interval = raw.pw_fleet_interval.is_some();
        let every = self.seconds("PW_FLEET_INTERVAL", raw.pw_fleet_interval, 60, 5..=3600);
        if let Some(file) = &raw.pw_fleet_ca {
            self.note("PW_FLEET_CA", file, true);
        }
        FleetDefaults {
            base,
            auth,
            owners_base,
            owners_auth,
            token: raw.pw_fleet_token.map(Secret::new),
            authorities: raw.pw_fleet_ca.map(Into::into),
            budget: (budget > 0).then_some(budget),
            interval: interval.then_some(every),
            hybrid: self.boolean("PW_CLOUD_HYBRID", raw.pw_cloud_hybrid, false),
            cloud_first: !self.boolean("PW_LOCAL_FIRST", raw.pw_local_first, true),
        }
    }

    fn list(&mut self, list: &Value, place: &str, defaults: &Defaults) -> Vec<super::GatewaySettings> {
        self.ways = ways::of(list, defaults);
        let read = gateways::read(list, place, defaults, &mut self.problems);
        self.remark(read)
    }

    fn remark(&mut self, read: gateways::Read) -> Vec<super::GatewaySettings> {
        self.warnings.extend(read.warnings);
        read.gateways
    }

    /// The shared variables are checked once, under their own names, so that an entry is not blamed for them.
    fn check_defaults(&mut self, defaults: &mut Defaults) {
        if let Some(text) = defaults.timezone.take() {
            defaults.timezone =
                values::timezone(&text).map_err(|refusal| self.problems.add("PW_TIMEZONE", refusal)).ok();
        }
        if let Some(text) = defaults.query_set.take() {
            let checked = values::query_set(&text).map(|_| text);
            defaults.query_set =
                checked.map_err(|refusal| self.problems.add("PW_TEDAPI_API_VERSION", refusal)).ok();
        }
        if let Some(text) = defaults.certificate.take() {
            let checked = values::certificate(&text, "", None).map(|_| text);
            defaults.certificate =
                checked.map_err(|refusal| self.problems.add("PW_CERTIFICATE", refusal)).ok();
        }
    }

    fn single(&mut self, raw: &GatewayVariables, defaults: &Defaults) -> Vec<super::GatewaySettings> {
        // As the servers before ours choose: an address, else the tokens for FleetAPI, else an account.
        let file = defaults.auth_path.clone().unwrap_or_default().join(TOKEN_FILE);
        let is_fleet = raw.pw_host.is_none() && (defaults.fleet.token.is_some() || file.is_file());
        let is_owners = raw.pw_host.is_none() && fleet::has_owners_tokens_only(defaults.auth_path.as_deref());
        if raw.pw_host.is_none() && raw.pw_email.is_none() && !is_fleet && !is_owners {
            return Vec::new();
        }
        let mut entry = Map::new();
        if is_owners && !is_fleet && raw.pw_email.is_none() {
            entry.insert("email".into(), NO_EMAIL[0].into());
        }
        if is_fleet {
            entry.insert("fleetapi".into(), true.into());
        }
        entry.insert("id".into(), "default".into());
        entry.insert("name".into(), "Default Gateway".into());
        let fields = [
            ("PW_HOST", "host", &raw.pw_host),
            ("PW_GW_PWD", "gw_pwd", &raw.pw_gw_pwd),
            ("PW_PASSWORD", "password", &raw.pw_password),
            ("PW_EMAIL", "email", &raw.pw_email),
            ("PW_SITEID", "siteid", &raw.pw_siteid),
            ("PW_RSA_KEY_PATH", "rsa_key_path", &raw.pw_rsa_key_path),
            ("PW_WIFI_HOST", "wifi_host", &raw.pw_wifi_host),
        ];
        for (name, key, text) in fields {
            if let Some(text) = text {
                self.note(name, text, true);
                entry.insert(key.into(), text.as_str().into());
            }
        }
        if defaults.bearer {
            entry.insert("tedapi_auth_mode".into(), "bearer".into());
        }
        let mut found = Problems::default();
        let list = Value::Array(vec![entry.into()]);
        self.ways = ways::of(&list, defaults);
        let read = gateways::read(&list, "", defaults, &mut found);
        for problem in found.0 {
            let key = problem.place.rsplit('.').next().unwrap_or_default().to_owned();
            let known = fields.iter().map(|(name, key, _)| (*name, *key));
            let mut known =
                known.chain([("PW_TEDAPI_AUTH_MODE", "tedapi_auth_mode"), ("PW_FLEET_BASE", "fleet_base")]);
            let variable = known.find(|(_, known)| *known == key).map_or("PW_HOST", |(name, _)| name);
            let mut what = problem.what;
            if what.starts_with("missing") {
                for (name, key, _) in &fields {
                    what = what.replace(&format!(" {key} "), &format!(" {name} "));
                }
            }
            self.problems.add(variable, what);
        }
        self.remark(read)
    }

    fn file(
        &mut self,
        path: &str,
        defaults: &Defaults,
        http: &mut HttpSettings,
    ) -> Vec<super::GatewaySettings> {
        let text = match read_file(Path::new(path)) {
            Ok(text) => text,
            Err(error) => {
                self.problems.add("PW_CONFIG", format!("{path:?} cannot be read: {error}"));
                return Vec::new();
            }
        };
        let place =
            Path::new(path).file_name().map_or(path.into(), |name| name.to_string_lossy().into_owned());
        let document = match spelled::yaml(&text) {
            Ok(document) => document,
            Err(what) => {
                self.problems.add(place, what);
                return Vec::new();
            }
        };
        let Some(document) = document.as_object() else {
            self.problems.add(place, "expected a mapping with the keys server and gateways");
            return Vec::new();
        };
        for key in document.keys().filter(|key| !FILE_KEYS.contains(&key.as_str())) {
            let hint = nearest(key, FILE_KEYS).map(|name| format!("; did you mean {name}?"));
            let all = || format!("; known keys: {}", FILE_KEYS.join(", "));
            self.problems.add(format!("{place}: {key}"), format!("unknown key{}", hint.unwrap_or_else(all)));
        }
        let given = |key: &str| {
            let value = document.get(key).filter(|value| !value.is_null())?;
            Some((value.clone(), format!("{place}: {key}")))
        };
        self.access_in_file = AccessInFile { tokens: given("tokens"), anonymous: given("anonymous") };
        self.notify_in_file = given("notify");
        self.tariff_in_file = given("tariff");
        if let Some(server) = document.get("server").filter(|server| !server.is_null()) {
            self.server(server, &format!("{place}: server"), http);
        }
        if let Some(broker) = document.get("broker").filter(|broker| !broker.is_null()) {
            self.broker_of_file(broker, &format!("{place}: broker"));
        }
        match document.get("gateways") {
            None if self.given("PW_BROKER_SITES").is_some() => Vec::new(),
            Some(list) => {
                let place = format!("{place}: gateways");
                self.list(list, &place, defaults)
            }
            None => {
                self.problems.add(format!("{place}: gateways"), "missing");
                Vec::new()
            }
        }
    }

    /// The file wins over the environment, a flag over the file.
    fn server(&mut self, server: &Value, place: &str, http: &mut HttpSettings) {
        let Some(server) = server.as_object() else {
            self.problems.add(place, "expected a mapping with host, port, cors_origins");
            return;
        };
        for (key, value) in server {
            let variable = match key.as_str() {
                "host" => "PW_BIND_ADDRESS",
                "port" => "PW_PORT",
                "cors_origins" => "CORS_ORIGINS",
                _ => {
                    let known = ["host", "port", "cors_origins"];
                    let hint = nearest(key, known).map(|name| format!("; did you mean {name}?"));
                    let what = format!(
                        "unknown key{}",
                        hint.unwrap_or("; known keys: host, port, cors_origins".into())
                    );
                    self.problems.add(format!("{place}.{key}"), what);
                    continue;
                }
            };
            if self.values.get(variable).is_some_and(|(_, source)| source.starts_with("--")) {
                continue;
            }
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let outcome = match variable {
                "PW_BIND_ADDRESS" => values::address(&text).map(|address| http.bind = address),
                "PW_PORT" => values::integer(&text, 1..=65535)
                    .map(|port| http.port = u16::try_from(port).unwrap_or(8675)),
                _ => values::origins(&text).map(|origins| http.origins = origins),
            };
            match outcome {
                Ok(()) => self.overrule(variable, &text, place),
                Err(refusal) => self.problems.add(format!("{place}.{key}"), refusal),
            }
        }
    }
}

/// The kind of a JSON error without the text around it, which may be a secret.
fn category(error: &serde_json::Error) -> &'static str {
    match error.classify() {
        serde_json::error::Category::Eof => "it ends too early",
        _ => "a comma, quote or bracket is missing or too many",
    }
}

/// A small text file, without the mark that some editors put before UTF-8.
pub(super) fn read_file(path: &Path) -> std::io::Result<String> {
    let text = files::read_text(path, LARGEST_FILE)?;
    Ok(text.strip_prefix(values::BYTE_ORDER_MARK).map_or(text.clone(), str::to_owned))
}
