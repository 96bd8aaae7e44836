//! Every environment variable that a user of this or of the servers before it may have set.

use super::problem::nearest;

/// Whether setting a variable changes anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    Live,
    /// Recognised, so that old compose files keep working, but without effect; why.
    None(&'static str),
    /// As `Live`, and never shown.
    Secret,
    /// No secret by itself, but nobody's business either: an account, the place of a key. Not shown.
    Private,
}

use Effect::{Live, None, Private, Secret};

const HTTP: &str = "FleetAPI is always asked over HTTP/1.1, which is what that switch was for";
const BUILT_IN: &str = "built in: every gateway is polled, paused and recovered on its own";

pub const VARIABLES: &[(&str, Effect)] = &[
    ("PW_BIND_ADDRESS", Live),
    ("PW_PORT", Live),
    ("PW_DEBUG", Live),
    ("PW_LOG_FORMAT", Live),
    ("PW_HOST", Live),
    ("PW_GW_PWD", Secret),
    ("PW_GW_PWD_FILE", Live),
    ("PW_PASSWORD", Secret),
    ("PW_PASSWORD_FILE", Live),
    ("PW_EMAIL", Private),
    ("PW_TIMEZONE", Live),
    ("PW_AUTH_PATH", Live),
    ("PW_AUTHPATH", Live),
    ("PW_AUTH_MODE", Live),
    ("PW_CACHE_FILE", Live),
    ("PW_SITEID", Live),
    ("PW_CACHE_EXPIRE", Live),
    ("PW_CACHE_TTL", Live),
    ("PW_GRACEFUL_DEGRADATION", Live),
    ("PW_BROWSER_CACHE", Live),
    ("PW_TIMEOUT", Live),
    ("PW_POOL_MAXSIZE", None("one connection per gateway is all this program opens")),
    ("PW_HTTPS", Live),
    ("PW_TLS_CERT", Live),
    ("PW_TLS_KEY", Private),
    ("PW_SUPPRESS_NETWORK_ERRORS", None("errors are logged when they change, not when they repeat")),
    ("PW_NETWORK_ERROR_RATE_LIMIT", None("errors are logged when they change, not when they repeat")),
    ("PW_FAIL_FAST", None(BUILT_IN)),
    ("PW_HEALTH_CHECK", None(BUILT_IN)),
    ("PW_STYLE", Live),
    ("PW_FRAME_ANCESTORS", Live),
    ("PW_CONTROL_SECRET", Secret),
    ("PW_CONTROL_SECRET_FILE", Live),
    ("PW_ANONYMOUS", Live),
    ("PROXY_BASE_URL", Live),
    ("PW_RSA_KEY_PATH", Private),
    ("PW_WIFI_HOST", Live),
    ("PW_NEG_SOLAR", Live),
    ("PW_SITE_ZERO_THRESHOLD", Live),
    ("PW_TEDAPI_API_VERSION", Live),
    ("PW_TEDAPI_AUTH_MODE", Live),
    ("PW_TEDAPI_RECOVERY", None(BUILT_IN)),
    ("PW_TEDAPI_PROBE_INTERVAL", None(BUILT_IN)),
    ("PW_FIRMWARE_CHECK_INTERVAL", None("the firmware is read once an hour")),
    ("PW_CERTIFICATE", Live),
    ("PW_LEGACY_ZEROS", Live),
    ("PW_LIFETIME_ENERGY", Live),
    ("PW_ALLOWED_HOSTS", Live),
    ("PW_FAILOVER", Live),
    ("PW_FLEETAPI_HTTP", None(HTTP)),
    ("PW_CLOUD_HYBRID", Live),
    ("PW_FLEET_BASE", Live),
    ("PW_FLEET_TOKEN", Secret),
    ("PW_FLEET_TOKEN_FILE", Live),
    ("PW_FLEET_AUTH", Live),
    ("PW_FLEET_CA", Live),
    ("PW_OWNERS_BASE", Live),
    ("PW_OWNERS_AUTH", Live),
    ("PW_FLEET_BUDGET", Live),
    ("PW_FLEET_INTERVAL", Live),
    ("PW_LOCAL_FIRST", Live),
    ("PW_ISLANDING_COOLDOWN", Live),
    ("PW_RATE_LIMIT_ENABLED", Live),
    ("PW_RATE_LIMIT_MAX_REQUESTS", Live),
    ("PW_RATE_LIMIT_WINDOW_SECONDS", Live),
    ("PW_RATE_LIMIT_MAX_BUCKETS", Live),
    ("PW_TRUSTED_PROXIES", Live),
    ("PW_INGRESS", Live),
    ("PW_CONNECTIONS_PER_ADDRESS", Live),
    ("PW_LIVE_CLIENTS_PER_ADDRESS", Live),
    ("PW_TIMESERIES_RETENTION", Live),
    ("PW_TIMESERIES_DAILY_RETENTION", Live),
    ("PW_TIMESERIES_SIGNAL_RETENTION", Live),
    ("PW_TIMESERIES_SIGNAL_INTERVAL", Live),
    ("PW_TIMESERIES_MAX_MB", Live),
    ("PW_TIMESERIES_PATH", Live),
    ("PW_EXPORT_URL", Private),
    ("PW_EXPORT_TOKEN", Secret),
    ("PW_EXPORT_TOKEN_FILE", Live),
    ("PW_EXPORT_POWER", Live),
    ("PW_IMPORT_PASSWORD", Secret),
    ("PW_CONFIG", Live),
    ("PW_GATEWAYS", Secret),
    ("CORS_ORIGINS", Live),
    ("MQTT_HOST", Live),
    ("MQTT_PORT", Live),
    ("MQTT_USERNAME", Private),
    ("MQTT_PASSWORD", Secret),
    ("MQTT_PASSWORD_FILE", Live),
    ("MQTT_TLS", Live),
    ("MQTT_TLS_CA_CERT", Live),
    ("MQTT_TLS_INSECURE", Live),
    ("MQTT_TOPIC_PREFIX", Live),
    ("MQTT_HA_PREFIX", Live),
    ("MQTT_RETAIN", Live),
    ("MQTT_QOS", Live),
    ("MQTT_HA_DISCOVERY", Live),
    ("MQTT_CLIENT_ID", Live),
    ("MQTT_KEEPALIVE", Live),
    ("MQTT_LAYOUT", Live),
    ("MQTT_CONTROLS", Live),
    ("GATEWAYS", None("never meant to be read; use PW_GATEWAYS")),
    ("CONTROL_ENABLED", None("no server ever read it")),
    ("CONTROL_TOKEN", None("no server ever read it; PW_CONTROL_SECRET is the name")),
    ("SERVER_HOST", None("no server ever read it; use PW_BIND_ADDRESS")),
    ("SERVER_PORT", None("no server ever read it; use PW_PORT")),
];

/// The server before reads these as they stand, and all others in any case.
pub(super) const UPPER_CASE: [&str; 2] = ["PW_CONFIG", "PW_GATEWAYS"];

/// Variables whose value is a path, in which `~` stands for the folder of the user.
pub(super) const PATHS: [&str; 16] = [
    "PW_EXPORT_TOKEN_FILE",
    "PW_FLEET_CA",
    "PW_FLEET_TOKEN_FILE",
    "PW_AUTH_PATH",
    "PW_AUTHPATH",
    "PW_CACHE_FILE",
    "PW_CONFIG",
    "PW_RSA_KEY_PATH",
    "PW_TIMESERIES_PATH",
    "PW_TLS_CERT",
    "PW_TLS_KEY",
    "PW_GW_PWD_FILE",
    "PW_PASSWORD_FILE",
    "PW_CONTROL_SECRET_FILE",
    "MQTT_PASSWORD_FILE",
    "MQTT_TLS_CA_CERT",
];

/// Whether a variable is one of those that Kubernetes sets in every container for each service, as
/// `MQTT_PORT=tcp://10.43.7.8:1883` for one that is called mqtt.
pub(super) fn is_of_kubernetes(name: &str, value: &str) -> bool {
    let is_address = ["tcp://", "udp://", "sctp://"].iter().any(|scheme| value.trim().starts_with(scheme));
    // `…_PORT_1883_TCP`, and the same with `_PROTO`, `_PORT` or `_ADDR`.
    let of_one_port = || {
        let (_, rest) = name.split_once("_PORT_")?;
        let mut parts = rest.split('_');
        let is_number = parts.next()?.bytes().all(|byte| byte.is_ascii_digit());
        let is_protocol = ["TCP", "UDP", "SCTP"].contains(&parts.next()?);
        let is_known = parts.next().is_none_or(|what| ["PROTO", "PORT", "ADDR"].contains(&what));
        Some(is_number && is_protocol && is_known)
    };
    let of_service =
        name.ends_with("_SERVICE_HOST") || name.ends_with("_SERVICE_PORT") || name.contains("_SERVICE_PORT_");
    is_address && name.ends_with("_PORT")
        || effect(name).is_none() && (of_service || of_one_port() == Some(true))
}

/// What is known of a variable; `None` for one that belongs to somebody else.
pub fn effect(name: &str) -> Option<Effect> {
    VARIABLES.iter().find(|(known, _)| *known == name).map(|(_, effect)| *effect)
}

/// For a variable of our families that is not in the table: the name it probably meant.
pub(super) fn meant(name: &str) -> Option<Option<&'static str>> {
    let ours = name.starts_with("PW_") || name.starts_with("MQTT_");
    (ours && effect(name).is_none()).then(|| nearest(name, VARIABLES.iter().map(|(known, _)| *known)))
}
