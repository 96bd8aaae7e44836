//! Signed messages that the cloud passes on to a gateway, and the answers that it brings back.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::replies::{error, response};
use super::state::State;
use crate::simulator::http::Answer;
use crate::simulator::lan_answers;

pub(super) fn answer(state: &State, path: &str, body: &[u8]) -> Answer {
    if !state.scopes.iter().any(|scope| scope == "energy_cmds") {
        return error(403, "Unauthorized missing scopes energy_cmds");
    }
    let rest = path.strip_prefix("/api/1/energy_sites/").and_then(|rest| rest.split_once('/'));
    let site = rest.and_then(|(id, _)| state.sites.iter().find(|site| site.id.to_string() == id));
    let Some(site) = site else { return error(404, "not_found") };
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let data = &body["data"];
    let message = data["routable_message"].as_str().and_then(|text| BASE64_STANDARD.decode(text).ok());
    let Some(message) = message else { return error(400, "invalid_field") };
    let connected = site.lan.as_ref().filter(|gateway| !gateway.is_down());
    let Some((gateway, lan)) = connected.and_then(|gateway| Some((gateway, gateway.lan.as_ref()?))) else {
        return error(408, "device unavailable");
    };
    if data["identifier_type"] != 1 || data["target_id"] != gateway.din() {
        return error(400, "invalid_field");
    }
    match lan_answers::relayed(lan, gateway, message.into()) {
        Some(envelope) => response(&json!({ "message_envelope_as_bytes": BASE64_STANDARD.encode(envelope) })),
        None => response(&json!({})),
    }
}
