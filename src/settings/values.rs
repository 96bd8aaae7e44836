//! Texts → values: what counts as true, as a number, as a list. Each refusal says what would be accepted.

use std::net::{IpAddr, Ipv6Addr};
use std::ops::RangeInclusive;

use super::{AllowedOrigins, AuthMode, CertificatePolicy, QuerySet};
use crate::client::TrustedProxies;

/// Why a text was refused, to be put behind its place.
pub(super) type Refusal = String;

/// A text as meant: without blanks around it and without a trailing ` # comment`. `None`: nothing was meant.
pub(super) fn clean(text: &str) -> Option<String> {
    let text = text.trim();
    let end = text.find(" #").or_else(|| text.find("\t#")).unwrap_or(text.len());
    let text = if text.starts_with('#') { "" } else { text[..end].trim_end() };
    (!text.is_empty()).then(|| text.to_owned())
}

/// What some editors put before UTF-8.
pub(super) const BYTE_ORDER_MARK: char = '\u{feff}';

/// A secret as meant: it may contain ` #`, so only blanks and line ends around it go, and a byte order mark.
///
/// # Errors
/// With what no secret holds: a further line, or a control character. The text itself is not in it.
pub(super) fn secret(text: &str) -> Result<Option<String>, Refusal> {
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text).trim();
    if text.contains(['\n', '\r']) {
        return Err("has more than one line; a secret is a single one".into());
    }
    match text.chars().find(|c| c.is_control() || *c == BYTE_ORDER_MARK) {
        Some(odd) => Err(format!(
            "has the character U+{:04X}, which cannot be typed as part of a secret",
            u32::from(odd)
        )),
        None => Ok((!text.is_empty()).then(|| text.to_owned())),
    }
}

/// Whether quotes are around all of it.
pub(super) fn is_quoted(text: &str) -> bool {
    let around = |quote: char| text.len() > 1 && text.starts_with(quote) && text.ends_with(quote);
    around('"') || around('\'')
}

/// A path, with the folder of the user for a `~` at its beginning.
pub(super) fn path(text: &str, home: Option<&str>) -> String {
    let below = text.strip_prefix('~').filter(|rest| rest.is_empty() || rest.starts_with('/'));
    match home.filter(|home| !home.is_empty()).zip(below) {
        Some((home, below)) => format!("{}{below}", home.trim_end_matches('/')),
        None => text.to_owned(),
    }
}

pub(super) fn boolean(text: &str) -> Result<bool, Refusal> {
    match text.to_ascii_lowercase().as_str() {
        "yes" | "true" | "on" | "1" | "y" | "t" => Ok(true),
        "no" | "false" | "off" | "0" | "n" | "f" => Ok(false),
        _ => Err(format!("{text:?} is neither yes/true/on/1/y/t nor no/false/off/0/n/f")),
    }
}

pub(super) fn integer(text: &str, range: RangeInclusive<u64>) -> Result<u64, Refusal> {
    let refusal = || format!("{text:?} is not a whole number in {}..{}", range.start(), range.end());
    // The servers before ours took 5.0 for 5.
    let number = text.strip_suffix(".0").unwrap_or(text).parse().map_err(|_| refusal())?;
    if range.contains(&number) { Ok(number) } else { Err(refusal()) }
}

pub(super) fn address(text: &str) -> Result<IpAddr, Refusal> {
    text.parse().map_err(|_| format!("{text:?} is not an address such as 0.0.0.0, 127.0.0.1 or ::"))
}

/// A JSON list, a list with commas, or `*`.
pub(super) fn origins(text: &str) -> Result<AllowedOrigins, Refusal> {
    let list: Vec<String> = match text.starts_with('[') {
        true => serde_json::from_str(text).map_err(|error| format!("not a JSON list of texts: {error}"))?,
        false => text.split(',').map(|origin| origin.trim().to_owned()).collect(),
    };
    origin_list(list)
}

pub(super) fn origin_list(list: Vec<String>) -> Result<AllowedOrigins, Refusal> {
    let list: Vec<String> = list
        .iter()
        .map(|origin| origin.trim_end_matches('/').to_owned())
        .filter(|origin| !origin.is_empty())
        .collect();
    if list.iter().any(|origin| origin == "*") {
        return Ok(AllowedOrigins::Any);
    }
    match list.iter().find(|origin| !is_origin(origin)) {
        Some(odd) => Err(format!("{odd:?} is not an origin such as http://host:port, nor *")),
        None => Ok(AllowedOrigins::Listed(list)),
    }
}

fn is_origin(text: &str) -> bool {
    let host = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    host.is_some_and(|host| !host.is_empty() && !host.contains(['/', '?', '#', ' ']))
}

/// Origins, `self`, `none` or `*`, with blanks or commas, as the policy `frame-ancestors` writes them.
pub(super) fn frame_ancestors(text: &str) -> Result<String, Refusal> {
    let ancestors =
        text.split([' ', ',']).filter(|word| !word.is_empty()).map(|word| match word.trim_matches('\'') {
            "self" => Ok("'self'"),
            "none" => Ok("'none'"),
            "*" => Ok("*"),
            origin if is_origin(origin) && !origin.contains(';') => Ok(origin),
            odd => Err(format!("{odd:?} is not an origin such as http://host:port, nor self, none or *")),
        });
    Ok(ancestors.collect::<Result<Vec<_>, Refusal>>()?.join(" "))
}

/// Names and addresses with commas, without ports; `*` for any.
pub(super) fn hosts(text: &str) -> Result<Option<Vec<String>>, Refusal> {
    let hosts: Vec<String> = text
        .split(',')
        .map(|host| host.trim().to_ascii_lowercase())
        .filter(|host| !host.is_empty())
        .collect();
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
    match hosts.iter().find(|host| *host != "*" && !host.chars().all(plain)) {
        Some(odd) => Err(format!("{odd:?} is not a host name such as powerwall.local, nor *")),
        None if hosts.iter().any(|host| host == "*") => Ok(None),
        None => Ok(Some(hosts)),
    }
}

/// Addresses and networks with commas.
pub(super) fn networks(text: &str) -> Result<TrustedProxies, Refusal> {
    let networks = text.split(',').map(str::trim).filter(|network| !network.is_empty()).map(|network| {
        let refusal =
            || format!("{network:?} is not an address or a network such as 10.0.0.2 or 172.16.0.0/12");
        network.parse().map_err(|_| refusal())
    });
    networks.collect()
}

/// `/prefix` without a slash at the end; empty for the root.
pub(super) fn base_path(text: &str) -> Result<String, Refusal> {
    let path = text.trim_matches('/');
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_' | '.' | '~');
    match path {
        "" => Ok(String::new()),
        path if path.chars().all(plain) && !path.contains("//") => Ok(format!("/{path}")),
        _ => Err(format!("{text:?} is not a path such as /powerwall")),
    }
}

pub(super) fn query_set(text: &str) -> Result<QuerySet, Refusal> {
    match text {
        "V2024_06" => Ok(QuerySet::V2024_06),
        "V2026_06" => Ok(QuerySet::V2026_06),
        _ => Err(format!("{text:?} is neither V2024_06 nor V2026_06")),
    }
}

/// Whether an installer login is meant.
pub(super) fn is_bearer(text: &str) -> Result<bool, Refusal> {
    match text.to_ascii_lowercase().as_str() {
        "basic" => Ok(false),
        "bearer" => Ok(true),
        _ => Err(format!("{text:?} is neither basic nor bearer")),
    }
}

pub(super) fn auth_mode(text: &str) -> Result<AuthMode, Refusal> {
    match text.to_ascii_lowercase().as_str() {
        "cookie" => Ok(AuthMode::Cookie),
        "token" => Ok(AuthMode::Token),
        _ => Err(format!("{text:?} is neither cookie nor token")),
    }
}

/// `gateway` is the id; `store` is where its first fingerprint would be kept.
pub(super) fn certificate(
    text: &str,
    gateway: &str,
    store: Option<std::path::PathBuf>,
) -> Result<CertificatePolicy, Refusal> {
    let refusal = || format!("{text:?} is none of off, tofu, sha256:<64 hex digits>");
    match text.to_ascii_lowercase().as_str() {
        "off" => Ok(CertificatePolicy::Off),
        "tofu" => Ok(CertificatePolicy::TrustOnFirstUse { gateway: gateway.to_owned(), store }),
        other => {
            let digits: Vec<char> =
                other.strip_prefix("sha256:").ok_or_else(refusal)?.chars().filter(|c| *c != ':').collect();
            let mut fingerprint = [0; 32];
            if digits.len() != 64 {
                return Err(refusal());
            }
            for (byte, pair) in fingerprint.iter_mut().zip(digits.chunks(2)) {
                let pair: String = pair.iter().collect();
                *byte = u8::from_str_radix(&pair, 16).map_err(|_| refusal())?;
            }
            Ok(CertificatePolicy::Pinned(fingerprint))
        }
    }
}

pub(super) fn timezone(text: &str) -> Result<String, Refusal> {
    match jiff::tz::db().get(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err(format!("{text:?} is not a time zone such as America/Los_Angeles")),
    }
}

/// Host and port of `host`, `host:port`, `[v6]` or `[v6]:port`.
pub(super) fn host_and_port(text: &str) -> Result<(String, Option<u16>), Refusal> {
    let refusal = || format!("{text:?} is not a host or host:port");
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or_else(refusal)?;
            if !host.contains(':') || !(port.is_empty() || port.starts_with(':')) {
                return Err(refusal());
            }
            (host, port.strip_prefix(':'))
        }
        // More than one colon without brackets is an address of version 6.
        None => match text.split_once(':') {
            Some((host, port)) if !port.contains(':') => (host, Some(port)),
            _ => (text, None),
        },
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '%');
    // A zone may follow the address, as in fe80::1%eth0.
    let is_address = |host: &str| host.split('%').next().is_some_and(|host| host.parse::<Ipv6Addr>().is_ok());
    if host.is_empty() || !host.chars().all(plain) || host.contains(':') && !is_address(host) {
        return Err(refusal());
    }
    let port = port.map(|port| integer(port, 1..=65535)).transpose().map_err(|_| refusal())?;
    Ok((host.to_owned(), port.and_then(|port| u16::try_from(port).ok())))
}
