//! Environment, file and flags → one validated value, every mistake reported at once. Knows no gateway and no
//! socket.

pub mod access;
mod as_before;
mod broker;
mod credentials;
mod export;
mod fleet;
mod gateways;
mod history;
mod house;
mod http;
mod item;
mod links;
mod load;
mod logging;
pub mod modes;
mod mqtt;
pub mod notify;
mod problem;
pub mod reference;
pub mod rsa_key;
pub mod secret;
pub mod sites;
mod spelled;
mod store;
mod style;
mod tariff;
mod values;
pub mod variables;
mod ways;

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

pub use access::{Access, Role, Token};
pub use broker::{BrokerSettings, SiteSettings};
pub use export::ExportSettings;
pub use fleet::{AccountConfig, FleetConfig, OWNERS_AUTH, OWNERS_FILE, Origin, TOKEN_FILE, TokenSource};
pub use house::House;
pub use links::{
    AuthMode, BrokerConfig, LinkConfig, LocalConfig, QuerySet, RelayConfig, TedapiConfig, V1rConfig,
};
pub use load::Inputs;
pub use logging::{LogFormat, LoggingSettings};
pub use mqtt::{BrokerTls, Controls, Layout, MqttSettings};
pub use notify::{Happening, NotifyKind, NotifyTarget, QuietHours};
pub use problem::{Problem, Problems};
pub use rsa_key::RsaKey;
pub use secret::Secret;
pub use style::Style;
pub use ways::Ways;

use crate::client::TrustedProxies;
use crate::model::{Adjustments, GatewayFacts, Ttl};
use crate::store::history::Keeping;
pub use crate::tls::CertificatePolicy;

/// Everything the operator decided, validated.
#[derive(Clone, Debug)]
pub struct Settings {
    pub gateways: Vec<GatewaySettings>,
    pub polling: PollingSettings,
    pub http: HttpSettings,
    /// `PW_CONTROL_SECRET`, `tokens`, `anonymous`: who may read and who may give orders.
    pub access: Access,
    /// `notify`: who is notified of what.
    pub notify: Vec<NotifyTarget>,
    pub mqtt: MqttSettings,
    pub logging: LoggingSettings,
    /// `PW_TIMESERIES_PATH`: the SQLite file of journal and history; `None`: the journal lives in memory, and
    /// no history is kept.
    pub store: Option<PathBuf>,
    /// `PW_TIMESERIES_…`: what of the history is kept in the same file.
    pub history: Keeping,
    /// `PW_EXPORT_…`: the database that what is recorded is sent to; `None`: none.
    pub export: Option<ExportSettings>,
    /// `PW_BROKER_…`: the NATS server on which instances of this program meet; `None`: none.
    pub broker: Option<BrokerSettings>,
    /// How time runs in a demo; `None`: this is none. Set by the command line alone.
    pub demo: Option<DemoClock>,
    /// What the operator should know although it does not stop the start: settings without effect,
    /// look-alikes.
    pub warnings: Vec<String>,
    /// Every setting that counts, for `check-config`.
    pub effective: Vec<Effective>,
    /// The settings as `/stats` shows them, in the form of the servers before.
    pub as_before: Map<String, Value>,
}

/// The clock of simulated sites.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DemoClock {
    /// Hour of the day at the start, 0…24.
    pub hour: f64,
    /// Simulated seconds in a second.
    pub speed: f64,
}

/// One setting as it counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effective {
    /// The variable.
    pub name: &'static str,
    /// For people; secrets are masked.
    pub value: String,
    /// `default`, `environment`, a flag, or a file.
    pub source: String,
}

/// One gateway: who it is and how it is reached.
#[derive(Clone, Debug, PartialEq)]
pub struct GatewaySettings {
    pub facts: Arc<GatewayFacts>,
    pub link: LinkConfig,
    /// Limit of one exchange with the gateway.
    pub timeout: Duration,
    /// Where its session, its logins and its cool-downs are kept over restarts; `None`: they are not.
    pub state_file: Option<PathBuf>,
    /// The customer password with which the lifetime energies are read beside TEDAPI; `None`: they are not.
    pub energies: Option<Secret>,
    /// Other links to the same gateway, in order of preference behind `link`; each is used when the ones
    /// before it do not work, and for what they cannot know.
    pub standby: Vec<GatewaySettings>,
}

/// How all gateways are polled and how long their data counts.
#[derive(Clone, Debug, PartialEq)]
pub struct PollingSettings {
    /// `PW_CACHE_EXPIRE`
    pub interval: Duration,
    /// `PW_CACHE_TTL`
    pub cache_ttl: Duration,
    /// `PW_GRACEFUL_DEGRADATION`
    pub graceful_degradation: bool,
    pub adjustments: Adjustments,
    /// `PW_ISLANDING_COOLDOWN`: how long the contactor of a gateway is left alone after an order moved it; 0:
    /// not at all.
    pub islanding_cooldown: Duration,
    /// `PW_AUTH_PATH`: where what must outlive the program is kept; `None`: nowhere.
    pub memory: Option<PathBuf>,
}

impl GatewaySettings {
    /// How often it is polled, if its preferred link has an interval of its own.
    pub fn interval(&self) -> Option<Duration> {
        match &self.link {
            LinkConfig::Fleet(config) => Some(config.interval),
            // Nothing is asked of anybody: what came is looked at.
            LinkConfig::Broker(_) => Some(Duration::from_secs(1)),
            _ => None,
        }
    }
}

impl PollingSettings {
    /// The file with the numbers of a gateway's units.
    pub fn numbers_of(&self, id: &str) -> Option<PathBuf> {
        self.memory.as_ref().map(|folder| folder.join(format!(".powerwall-server.{id}.units.json")))
    }

    pub fn ttl(&self, interval: Duration, timeout: Duration) -> Ttl {
        Ttl::new(interval, timeout, self.cache_ttl, self.graceful_degradation)
    }
}

/// How the service is reached.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpSettings {
    pub bind: IpAddr,
    /// 0 lets the system choose (for tests); the chosen one is logged.
    pub port: u16,
    /// `""` or `/prefix`, stripped from requests that carry it.
    pub base_path: String,
    pub origins: AllowedOrigins,
    /// `PW_ALLOWED_HOSTS`: names under which this service may be asked; `None`: any. Keeps a page of another
    /// site from reaching it by pointing its own name here (DNS rebinding).
    pub hosts: Option<Vec<String>>,
    /// `PW_BROWSER_CACHE`: how long browsers may keep scripts, styles and pictures without asking again.
    pub browser_cache: Duration,
    /// `PW_STYLE`: how the page at `/` looks inside a frame, unless its address says otherwise.
    pub style: Style,
    /// `PW_FRAME_ANCESTORS`: which pages may show ours in a frame, as `Content-Security-Policy` writes it.
    pub frame_ancestors: String,
    /// `PW_RATE_LIMIT_…`; `None`: off.
    pub rate_limit: Option<RateLimit>,
    /// `PW_TRUSTED_PROXIES`: whose `X-Forwarded-For` says who asks.
    pub trusted_proxies: TrustedProxies,
    /// `PW_INGRESS`: Home Assistant's Supervisor, whose `X-Ingress-Path` counts and whose users read.
    pub ingress: TrustedProxies,
    /// `PW_CONNECTIONS_PER_ADDRESS`: how many connections one client may have, unless it is a trusted proxy.
    pub connections_per_address: usize,
    /// `PW_LIVE_CLIENTS_PER_ADDRESS`: how many of the live clients may be of one address.
    pub live_per_address: usize,
    /// `PW_HTTPS`; `None`: plain HTTP.
    pub tls: Option<TlsFiles>,
}

/// The operator's own certificate.
#[derive(Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// `PW_TLS_CERT`: PEM, with the certificates between it and the root behind it.
    pub certificate: PathBuf,
    /// `PW_TLS_KEY`: PEM.
    pub key: PathBuf,
}

impl std::fmt::Debug for TlsFiles {
    /// Where a key lies is nobody's business.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsFiles").finish_non_exhaustive()
    }
}

/// How much one client may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// Within a window.
    pub requests: u64,
    /// Starts with the first request of a client.
    pub window: Duration,
    /// Clients remembered at the same time.
    pub most_clients: usize,
}

/// Who may read across origins and open a WebSocket from a page of another origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowedOrigins {
    Any,
    /// Exact `scheme://host[:port]`, beside the page's own origin.
    Listed(Vec<String>),
}
