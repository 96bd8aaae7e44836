//! Registration of an application's domain, for which Tesla fetches a key from there.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::replies::{error, response};
use super::state::State;
use super::{CLIENT_ID, CLIENT_SECRET};
use crate::simulator::http::Answer;

/// The one domain that the application shares an origin with.
const DOMAIN: &str = "example.com";
/// Bytes of an uncompressed point of P-256.
const POINT: usize = 65;

pub(super) fn token(state: &mut State, secret: &str) -> Answer {
    if secret != CLIENT_SECRET {
        return error(401, "invalid_client");
    }
    let token = format!("simulated-partner-{}", state.given.len());
    state.given.push(token.clone());
    state.partners.push(token.clone());
    Answer::new(
        200,
        json!({ "access_token": token, "expires_in": 28_800, "token_type": "Bearer" }).to_string(),
    )
}

pub(super) fn register(state: &mut State, bearer: Option<&str>, body: &[u8], is_home: bool) -> Answer {
    if !is_partner(state, bearer) {
        return error(401, "invalid bearer token");
    }
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    if body["domain"] != DOMAIN {
        return error(412, "domain does not match allowed origins");
    }
    let Some(key) = state.shown_key.clone() else { return error(424, "public key not found") };
    state.registered.push(is_home);
    state.registered_key = Some(key.clone());
    response(&json!({ "client_id": CLIENT_ID, "domain": DOMAIN, "public_key": key.to_uppercase() }))
}

fn is_partner(state: &State, bearer: Option<&str>) -> bool {
    state.partners.iter().any(|token| Some(token.as_str()) == bearer)
}

/// The key that was fetched when the domain was registered in this region.
pub(super) fn record(state: &State, bearer: Option<&str>, query: &str, is_home: bool) -> Answer {
    if !is_partner(state, bearer) {
        return error(401, "invalid bearer token");
    }
    // Where nobody need register, somebody has, with a key that nobody knows.
    let unknown = (!state.needs_registration).then(|| "04".repeat(POINT));
    let key = state.registered_key.as_ref().filter(|_| state.registered.contains(&is_home));
    let key = key.or(unknown.as_ref());
    match key.filter(|_| query == format!("domain={DOMAIN}")) {
        Some(key) => response(&json!({ "public_key": key })),
        None => error(404, "not_found"),
    }
}

/// The point of a public key in PEM, as hex.
pub(super) fn point(pem: &str) -> String {
    let text: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    let der = BASE64_STANDARD.decode(text).unwrap_or_default();
    let point = &der[der.len().saturating_sub(POINT)..];
    point.iter().map(|byte| format!("{byte:02x}")).collect()
}
