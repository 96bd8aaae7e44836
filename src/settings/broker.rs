//! `broker:` and `PW_BROKER_…` → how this program meets others of its kind on a NATS server: as a site that
//! reports, as a centre that watches sites, or as both. Connecting is left to [`crate::nats`].

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::load::Reader;
use super::problem::nearest;
use super::sites::{label, level, patterns, site, split, tags};
use super::values::{self, Refusal};
use super::{BrokerConfig, GatewaySettings, LinkConfig, Role, Secret, Settings};
use crate::model::{GatewayFacts, Labels, LinkKind};

/// What JetStream allows.
const MOST_REPLICAS: u64 = 5;

/// The keys of `broker:`, each with the variable that it stands for.
const KEYS: [(&str, &str); 10] = [
    ("url", "PW_BROKER_URL"),
    ("credentials", "PW_BROKER_CREDENTIALS"),
    ("ca", "PW_BROKER_CA"),
    ("prefix", "PW_BROKER_PREFIX"),
    ("replicas", "PW_BROKER_REPLICAS"),
    ("site", "PW_BROKER_SITE"),
    ("tags", "PW_BROKER_TAGS"),
    ("group", "PW_BROKER_GROUP"),
    ("sites", "PW_BROKER_SITES"),
    ("orders", "PW_BROKER_ORDERS"),
];

/// The NATS servers, and what this program is to them.
#[derive(Clone, Debug, PartialEq)]
pub struct BrokerSettings {
    /// `PW_BROKER_URL`: each `nats://` or `tls://`; may hold a name and a password.
    pub servers: Vec<Secret>,
    /// `PW_BROKER_CREDENTIALS`: a file of `nsc` (`.creds`) or with the seed of an NKey.
    pub credentials: Option<PathBuf>,
    /// `PW_BROKER_CA`: PEM file of the only authority to trust.
    pub authority: Option<PathBuf>,
    /// `PW_BROKER_PREFIX`: what our subjects and streams begin with; one level.
    pub prefix: String,
    /// `PW_BROKER_REPLICAS`: of streams that this program makes.
    pub replicas: u8,
    /// What is reported, and as which site; `None`: nothing is.
    pub site: Option<SiteSettings>,
    /// `PW_BROKER_SITES`: which sites are watched; empty: none.
    pub watched: Vec<String>,
    /// `PW_BROKER_ORDERS`: with which role orders are taken from the broker at a site, and sent at a centre;
    /// `None`: there are none.
    pub orders: Option<Role>,
}

/// Who reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteSettings {
    /// `PW_BROKER_SITE`: one to four levels, such as `north.17`.
    pub id: String,
    /// `PW_BROKER_TAGS`
    pub tags: Vec<String>,
    /// `PW_BROKER_GROUP`
    pub group: Option<String>,
}

#[derive(Default, Deserialize)]
struct BrokerVariables {
    pw_broker_url: Option<String>,
    pw_broker_credentials: Option<String>,
    pw_broker_ca: Option<String>,
    pw_broker_prefix: Option<String>,
    pw_broker_replicas: Option<String>,
    pw_broker_site: Option<String>,
    pw_broker_tags: Option<String>,
    pw_broker_group: Option<String>,
    pw_broker_sites: Option<String>,
    pw_broker_orders: Option<String>,
}

impl BrokerSettings {
    /// The first server without what may be secret: for the log.
    pub fn name(&self) -> String {
        self.servers.first().map(|server| shown(server.expose())).unwrap_or_default()
    }
}

impl Settings {
    /// Whether there is no gateway, and none can appear.
    pub fn watches_nothing(&self) -> bool {
        self.gateways.is_empty() && self.broker.as_ref().is_none_or(|broker| broker.watched.is_empty())
    }
}

impl GatewaySettings {
    /// A gateway that another instance reports.
    pub fn reported(
        id: String,
        name: String,
        labels: Labels,
        config: BrokerConfig,
        timeout: Duration,
    ) -> Self {
        let facts = GatewayFacts {
            id,
            name,
            labels,
            links: vec![LinkKind::Broker],
            reason: "another instance reports it",
            place: Some(config.place.clone()),
            ..GatewayFacts::default()
        };
        Self {
            facts: Arc::new(facts),
            link: LinkConfig::Broker(config),
            timeout,
            state_file: None,
            energies: None,
            standby: Vec::new(),
        }
    }
}

impl Reader {
    /// Says of gateways that are reported whether orders go there.
    pub(super) fn check_reported(
        &mut self,
        gateways: &mut [GatewaySettings],
        broker: Option<&BrokerSettings>,
    ) {
        for gateway in gateways {
            if let LinkConfig::Broker(config) = &mut gateway.link {
                config.orders = broker.and_then(|broker| broker.orders);
                if broker.is_none() {
                    let why = format!("missing: gateway {} comes from a broker", gateway.facts.id);
                    self.problems.add("PW_BROKER_URL", why);
                }
            }
        }
    }

    /// Takes over what the file says; it wins over the environment.
    pub(super) fn broker_of_file(&mut self, given: &Value, place: &str) {
        let Some(given) = given.as_object() else {
            let all: Vec<&str> = KEYS.iter().map(|(key, _)| *key).collect();
            return self.problems.add(place, format!("expected a mapping with {}", all.join(", ")));
        };
        for (key, value) in given.iter().filter(|(_, value)| !value.is_null()) {
            let keys = KEYS.map(|(key, _)| key);
            let Some((_, variable)) = KEYS.iter().find(|(known, _)| known == key) else {
                let hint = nearest(key, keys).map(|name| format!("did you mean {name}?"));
                let hint = hint.unwrap_or_else(|| format!("known keys: {}", keys.join(", ")));
                self.problems.add(format!("{place}.{key}"), format!("unknown key; {hint}"));
                continue;
            };
            match text(value) {
                Some(text) => self.take(variable, &text, place),
                None => self.problems.add(format!("{place}.{key}"), "expected a text, or a list of texts"),
            }
        }
    }

    /// `None`: there is no broker.
    pub(super) fn broker(&mut self) -> Option<BrokerSettings> {
        let raw: BrokerVariables = self.variables();
        let others = [
            ("PW_BROKER_CREDENTIALS", &raw.pw_broker_credentials),
            ("PW_BROKER_CA", &raw.pw_broker_ca),
            ("PW_BROKER_SITE", &raw.pw_broker_site),
            ("PW_BROKER_SITES", &raw.pw_broker_sites),
        ];
        if raw.pw_broker_url.is_none() {
            for (name, _) in others.iter().filter(|(_, text)| text.is_some()) {
                self.warnings.push(format!("{name} has no effect without PW_BROKER_URL"));
            }
        }
        let show = |servers: &Vec<Secret>| if servers.is_empty() { "none".to_owned() } else { String::new() };
        let servers = self.value("PW_BROKER_URL", raw.pw_broker_url, Vec::new(), servers, show);
        for (name, text) in &others[..2] {
            if let Some(path) = text {
                self.note(name, path, true);
            }
        }
        let prefix =
            self.value("PW_BROKER_PREFIX", raw.pw_broker_prefix, PREFIX.into(), level, ToString::to_string);
        let parse = |text: &str| values::integer(text, 1..=MOST_REPLICAS);
        let replicas =
            self.value("PW_BROKER_REPLICAS", raw.pw_broker_replicas, 1, parse, ToString::to_string);
        let optional = |text: &str| site(text).map(Some);
        let id = self.value("PW_BROKER_SITE", raw.pw_broker_site, None, optional, |id: &Option<String>| {
            id.clone().unwrap_or_else(|| "none".into())
        });
        let joined = |list: &Vec<String>| list.join(",");
        let tags = self.value("PW_BROKER_TAGS", raw.pw_broker_tags, Vec::new(), tags, joined);
        let group = |text: &str| label(text).map(Some);
        let group = self.value("PW_BROKER_GROUP", raw.pw_broker_group, None, group, |group| {
            group.clone().unwrap_or_default()
        });
        let watched = self.value("PW_BROKER_SITES", raw.pw_broker_sites, Vec::new(), patterns, joined);
        let shown = |role: &Option<Role>| role.map_or("no", Role::word).to_owned();
        let orders = self.value("PW_BROKER_ORDERS", raw.pw_broker_orders, None, orders, shown);
        if servers.is_empty() {
            return None;
        }
        if !cfg!(feature = "broker") {
            let why = "this program was built without the feature broker; the images and packages have it";
            self.problems.add("PW_BROKER_URL", why);
            return None;
        }
        if id.is_none() && watched.is_empty() {
            let why = "nothing is reported to the broker: PW_BROKER_SITE says as which site, and \
                       PW_BROKER_SITES which sites are watched (all of them: >)";
            self.warnings.push(why.into());
        }
        Some(BrokerSettings {
            servers,
            credentials: raw.pw_broker_credentials.map(Into::into),
            authority: raw.pw_broker_ca.map(Into::into),
            prefix,
            replicas: u8::try_from(replicas).unwrap_or(1),
            site: id.map(|id| SiteSettings { id, tags, group }),
            watched,
            orders,
        })
    }
}

const PREFIX: &str = "powerwall";

/// Who may be asked to do what over the broker: `yes` is what an operator may order.
fn orders(text: &str) -> Result<Option<Role>, Refusal> {
    match Role::of_word(text) {
        Some(role) if role > Role::Viewer => Ok(Some(role)),
        _ => match values::boolean(text) {
            Ok(takes) => Ok(takes.then_some(Role::Operator)),
            Err(_) => Err(format!("{text:?} is neither no, yes, operator nor owner")),
        },
    }
}

/// A value of the file as the variable has it.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        Value::Array(list) => {
            let texts: Option<Vec<&str>> = list.iter().map(Value::as_str).collect();
            texts.map(|texts| texts.join(","))
        }
        _ => None,
    }
}

/// Never shows an address that may hold a password.
fn servers(text: &str) -> Result<Vec<Secret>, Refusal> {
    let is_right = |server: &str| {
        let rest = server.strip_prefix("nats://").or_else(|| server.strip_prefix("tls://"));
        let host = rest.map(|rest| rest.rsplit('@').next().unwrap_or(rest));
        let is_plain = server.chars().all(|character| character.is_ascii_graphic());
        is_plain && host.is_some_and(|host| !host.is_empty() && !host.contains(['/', '?', '#']))
    };
    let all: Vec<Secret> = split(text).map(Secret::new).collect();
    match !all.is_empty() && all.iter().all(|server| is_right(server.expose())) {
        true => Ok(all),
        false => {
            Err("expected addresses such as nats://host:4222 or tls://host:4222, separated by commas".into())
        }
    }
}

fn shown(server: &str) -> String {
    let (scheme, rest) = server.split_once("://").unwrap_or(("nats", server));
    format!("{scheme}://{}", rest.rsplit('@').next().unwrap_or(rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Inputs, Settings};

    fn load(environment: &[(&str, &str)]) -> Result<Settings, super::super::Problems> {
        let environment =
            environment.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        Settings::load(&Inputs { environment, flags: Vec::new() })
    }

    #[test]
    fn mistakes_name_the_variable_and_never_the_password() {
        let wrong = [
            ("PW_HOST", "10.0.0.1"),
            ("PW_GW_PWD", "x"),
            ("PW_BROKER_URL", "http://me:canary@host:4222"),
            ("PW_BROKER_SITE", "a b"),
            ("PW_BROKER_REPLICAS", "9"),
        ];
        let problems = load(&wrong).unwrap_err().to_string();
        for name in ["PW_BROKER_URL", "PW_BROKER_SITE", "PW_BROKER_REPLICAS"] {
            assert!(problems.contains(name), "{problems}");
        }
        assert!(!problems.contains("canary"), "{problems}");
        let servers = servers("nats://me:canary@host:4222,tls://other").unwrap();
        assert_eq!(shown(servers[0].expose()), "nats://host:4222");
        assert!(!format!("{servers:?}").contains("canary"));
    }

    #[test]
    fn orders_are_those_of_a_role() {
        for (text, role) in [
            ("no", None),
            ("false", None),
            ("yes", Some(Role::Operator)),
            ("true", Some(Role::Operator)),
            ("operator", Some(Role::Operator)),
            ("owner", Some(Role::Owner)),
        ] {
            assert_eq!(orders(text), Ok(role), "{text}");
        }
        for wrong in ["viewer", "admin", "", "Owner "] {
            assert!(orders(wrong).is_err(), "{wrong}");
        }
    }
}
