//! The settings under the names and in the form in which the servers before show them in `/stats`. No secret,
//! no account and no path is in it: what is set of those is shown as asterisks.

use serde_json::{Map, Value};

/// Stands for what nobody may see.
pub(super) const MASKED: &str = "**********";

/// How a setting is shown.
#[derive(Clone, Copy)]
enum Form {
    /// `true` or `false`.
    Flag,
    /// Without its unit.
    Number,
    /// As it counts.
    Text,
    /// As it was set, or an empty text.
    Given,
    /// Asterisks, or null.
    Masked,
    /// Asterisks, or an empty text.
    MaskedText,
}

use Form::{Flag, Given, Masked, MaskedText, Number, Text};

/// In the order of the servers before.
const SHOWN: [(&str, Form); 32] = [
    ("PW_BIND_ADDRESS", Text),
    ("PW_PASSWORD", Masked),
    ("PW_EMAIL", MaskedText),
    ("PW_HOST", Given),
    ("PW_TIMEZONE", Text),
    ("PW_DEBUG", Flag),
    ("PW_CACHE_EXPIRE", Number),
    ("PW_BROWSER_CACHE", Number),
    ("PW_TIMEOUT", Number),
    ("PW_POOL_MAXSIZE", Number),
    ("PW_HTTPS", Text),
    ("PW_PORT", Number),
    ("PW_STYLE", Text),
    ("PW_SITEID", Masked),
    ("PW_AUTH_PATH", MaskedText),
    ("PW_AUTH_MODE", Text),
    ("PW_CACHE_FILE", Masked),
    ("PW_CONTROL_SECRET", Masked),
    ("PW_GW_PWD", Masked),
    ("PW_NEG_SOLAR", Flag),
    ("PW_SUPPRESS_NETWORK_ERRORS", Flag),
    ("PW_NETWORK_ERROR_RATE_LIMIT", Number),
    ("PW_FAIL_FAST", Flag),
    ("PW_GRACEFUL_DEGRADATION", Flag),
    ("PW_HEALTH_CHECK", Flag),
    ("PW_CACHE_TTL", Number),
    ("PW_TEDAPI_RECOVERY", Flag),
    ("PW_TEDAPI_PROBE_INTERVAL", Number),
    ("PW_FAILOVER", Flag),
    ("PW_FLEETAPI_HTTP", Text),
    ("PW_CLOUD_HYBRID", Flag),
    ("PW_LOCAL_FIRST", Flag),
];

/// From what variables were set to, and from what counts for them whether they were set or not. Null is what
/// is not set, or what this program has no such setting for.
pub(super) fn as_before<'a>(
    given: impl Fn(&str) -> Option<&'a str>,
    counts: impl Fn(&str) -> Option<&'a str>,
) -> Map<String, Value> {
    let of = |(name, form): &(&str, Form)| {
        let value = shown(given(name), counts(name).or(given(name)), *form);
        ((*name).to_owned(), value)
    };
    SHOWN.iter().map(of).collect()
}

fn shown(given: Option<&str>, counts: Option<&str>, form: Form) -> Value {
    match form {
        Given => given.unwrap_or_default().into(),
        Masked => given.map(|_| MASKED.into()).unwrap_or_default(),
        MaskedText => given.map_or("", |_| MASKED).into(),
        Flag => counts.and_then(flag).map(Value::from).unwrap_or_default(),
        Number => counts.and_then(number).map(Value::from).unwrap_or_default(),
        Text => counts.map(Value::from).unwrap_or_default(),
    }
}

fn flag(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "yes" | "true" | "1" | "on" => Some(true),
        "no" | "false" | "0" | "off" => Some(false),
        _ => None,
    }
}

/// `5 s` is 5.
fn number(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse().ok()
}
