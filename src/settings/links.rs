//! What each link needs to reach its gateway, validated. Which link a gateway gets is decided in
//! [`super::modes`]; what a link does with it is its own.

use super::{CertificatePolicy, FleetConfig, Role, RsaKey, Secret};
use crate::model::{LinkKind, Place};

/// How a gateway is reached: one link and what it needs.
#[derive(Clone, Debug, PartialEq)]
pub enum LinkConfig {
    Tedapi(TedapiConfig),
    /// TEDAPI with an installer login instead of the password in every request.
    Bearer(TedapiConfig),
    V1r(V1rConfig),
    Local(LocalConfig),
    /// FleetAPI or the owners API, as the account says.
    Fleet(FleetConfig),
    Relay(RelayConfig),
    Broker(BrokerConfig),
    /// Understood, but this version has no link of that kind: the gateway is shown with an error that says
    /// so.
    Unsupported(LinkKind),
}

impl LinkConfig {
    /// Which link it is for.
    pub fn kind(&self) -> LinkKind {
        match self {
            Self::Tedapi(_) => LinkKind::Tedapi,
            Self::Bearer(_) => LinkKind::Bearer,
            Self::V1r(_) => LinkKind::V1r,
            Self::Local(_) => LinkKind::Local,
            Self::Fleet(config) => config.kind(),
            Self::Relay(_) => LinkKind::Relay,
            Self::Broker(_) => LinkKind::Broker,
            Self::Unsupported(kind) => *kind,
        }
    }

    /// Account and site, of a link through Tesla's cloud.
    pub fn fleet(&self) -> Option<&FleetConfig> {
        match self {
            Self::Fleet(config) => Some(config),
            Self::Relay(config) => Some(&config.fleet),
            _ => None,
        }
    }

    /// Which certificates are accepted; `None`: the link meets none.
    pub fn certificate(&self) -> Option<&CertificatePolicy> {
        match self {
            Self::Tedapi(config) | Self::Bearer(config) => Some(&config.certificate),
            Self::V1r(config) => Some(&config.certificate),
            Self::Local(config) => Some(&config.certificate),
            Self::Fleet(_) | Self::Relay(_) | Self::Broker(_) | Self::Unsupported(_) => None,
        }
    }
}

/// A gateway that another instance of this program reports.
#[derive(Clone, Debug, PartialEq)]
pub struct BrokerConfig {
    /// Which gateway of which instance.
    pub place: Place,
    /// `PW_BROKER_ORDERS`: with which role orders are sent there; `None`: none are.
    pub orders: Option<Role>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct TedapiConfig {
    /// Name or address, without port.
    pub host: String,
    /// 443 unless configured.
    pub port: u16,
    /// The gateway's Wi-Fi password from its sticker.
    pub password: Secret,
    pub query_set: QuerySet,
    pub certificate: CertificatePolicy,
}

/// TEDAPI with signed requests over the wired LAN.
#[derive(Clone, Debug, PartialEq)]
pub struct V1rConfig {
    /// Name or address of the leader on the LAN, without port.
    pub host: String,
    /// 443 unless configured.
    pub port: u16,
    /// The customer password: the last five characters of the gateway password, unless the owner chose
    /// another one.
    pub password: Secret,
    pub key: RsaKey,
    pub query_set: QuerySet,
    pub certificate: CertificatePolicy,
    /// The gateway's own Wi-Fi, for followers and as standby.
    pub wifi: Option<TedapiConfig>,
    /// `PW_FAILOVER`: whether Wi-Fi may take over. Without, the leader is asked over the LAN only.
    pub failover: bool,
}

/// TEDAPI v1r through Tesla's cloud.
#[derive(Clone, Debug, PartialEq)]
pub struct RelayConfig {
    /// Account, site and interval, which is five minutes at least.
    pub fleet: FleetConfig,
    pub key: RsaKey,
    pub query_set: QuerySet,
}

/// The customer API of a Powerwall 2 or +, or the little that a Powerwall 3 has of it over its wired LAN.
#[derive(Clone, Debug, PartialEq)]
pub struct LocalConfig {
    /// Name or address, without port.
    pub host: String,
    /// 443 unless configured.
    pub port: u16,
    /// Sent with the login; gateways take any.
    pub email: String,
    /// The customer password: the owner's, or the last five characters of the one on the sticker.
    pub password: Secret,
    pub auth_mode: AuthMode,
    /// Sent with the login. IANA name.
    pub timezone: String,
    pub certificate: CertificatePolicy,
}

/// How a session travels with each request to the customer API.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AuthMode {
    #[default]
    Cookie,
    Token,
}

/// The generation of signed queries a gateway is asked with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum QuerySet {
    #[default]
    V2024_06,
    V2026_06,
}
