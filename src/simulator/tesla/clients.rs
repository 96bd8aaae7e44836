//! Unsigned messages that the cloud passes on: registering and listing keys, and where the gateway is.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::backups;
use super::replies::{error, response};
use super::state::{Registered, Site, Spelling, State};
use crate::simulator::http::Answer;
use crate::simulator::lan::Registration;

const PENDING: u8 = 1;
const TIMED_OUT: u8 = 2;
const VERIFIED: u8 = 3;

pub(super) fn answer(state: &mut State, path: &str, body: &[u8]) -> Answer {
    if !state.scopes.iter().any(|scope| scope == "energy_cmds") {
        return error(403, "Unauthorized missing scopes energy_cmds");
    }
    let (spelling, window, is_hasty, address) =
        (state.spelling, state.window, state.is_hasty, state.address.clone());
    let Some(site) = site(&mut state.sites, path) else { return error(404, "not_found") };
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let message = &body["command_properties"]["message"];
    let is_command =
        body["command_type"] == "grpc_command" && body["command_properties"]["identifier_type"] == 1;
    if !is_command {
        return error(400, "invalid_command");
    }
    if let Some(request) = message["authorization"].get("add_authorized_client_request") {
        let Some(at) = add(site, request, is_hasty) else { return error(400, "invalid_field") };
        let client = shown(site, &site.clients[at], spelling, window);
        let held = json!({ "client": client });
        return held_in(spelling, "Authorization", "AddAuthorizedClientResponse", &held);
    }
    if message["authorization"].get("list_authorized_clients_request").is_some() {
        // What a gateway has forgotten is in no list.
        let lan = site.lan.as_ref().and_then(|gateway| gateway.lan.as_ref());
        site.clients.retain(|client| lan.is_none_or(|lan| lan.knows(&client.key)));
        let clients: Vec<_> =
            site.clients.iter().map(|client| shown(site, client, spelling, window)).collect();
        let held = json!({ "clients": clients, "enable_line_switch_off": true });
        return held_in(spelling, "Authorization", "ListAuthorizedClientsResponse", &held);
    }
    if message["common"].get("get_networking_status_request").is_some() {
        let block = |address: &str, is_used: bool| {
            let config = json!({ "address": address });
            json!({ "enabled": true, "active_route": is_used, "ipv4_config": config })
        };
        let held = json!({ "eth": block(&address, true), "wifi": block("0.0.0.0", false), "gsm": null });
        return held_in(spelling, "Common", "GetNetworkingStatusResponse", &held);
    }
    if let Some((name, answer)) = backups::answer(&site.gateway, &message["teg"]) {
        return held_in(spelling, "Teg", name, &answer);
    }
    error(400, "invalid_command")
}

/// The site that a path names.
pub(super) fn site<'a>(sites: &'a mut [Site], path: &str) -> Option<&'a mut Site> {
    let (id, _) = path.strip_prefix("/api/1/energy_sites/")?.split_once('/')?;
    sites.iter_mut().find(|site| site.id.to_string() == id)
}

/// Registers a key, or the same once more; its place.
fn add(site: &mut Site, request: &Value, is_hasty: bool) -> Option<usize> {
    if request["key_type"] != 1 || request["authorized_client_type"] != 1 {
        return None;
    }
    let key = BASE64_STANDARD.decode(request["public_key"].as_str()?).ok()?;
    let description = request["description"].as_str()?.to_owned();
    let lan = site.lan.as_ref().and_then(|gateway| gateway.lan.as_ref());
    let is_accepted = lan.is_some_and(|lan| lan.accepts(&key));
    if let Some(lan) = lan.filter(|_| !is_accepted) {
        lan.register(&key, Registration::Pending);
    }
    let is_verified = is_accepted || is_hasty;
    let since = Instant::now();
    match site.clients.iter().position(|known| known.key == key) {
        Some(at) => {
            (site.clients[at].since, site.clients[at].is_verified) = (since, is_verified);
            Some(at)
        }
        None => {
            site.clients.push(Registered { key, description, is_verified, since });
            Some(site.clients.len() - 1)
        }
    }
}

fn shown(site: &Site, client: &Registered, spelling: Spelling, window: std::time::Duration) -> Value {
    let lan = site.lan.as_ref().and_then(|gateway| gateway.lan.as_ref());
    let is_verified = client.is_verified || lan.is_some_and(|lan| lan.accepts(&client.key));
    let state = match is_verified {
        true => VERIFIED,
        false if client.since.elapsed() > window => TIMED_OUT,
        false => PENDING,
    };
    let key = BASE64_STANDARD.encode(&client.key);
    match spelling {
        Spelling::Snake => json!({ "type": 1, "description": client.description, "key_type": 1,
            "public_key": key, "roles": [1], "state": state, "verification": u8::from(is_verified) }),
        Spelling::Camel => {
            let names = ["PENDING_VERIFICATION", "PENDING_VERIFICATION_TIMEOUT", "VERIFIED"];
            json!({ "description": client.description, "publicKey": key, "roles": ["CUSTOMER"],
                "authorizedClientState": names[usize::from(state) - 1] })
        }
    }
}

fn held_in(spelling: Spelling, category: &str, message: &str, held: &Value) -> Answer {
    match spelling {
        Spelling::Camel => {
            response(&json!({ "message": { "Payload": { category: { "Message": { message: held } } } } }))
        }
        Spelling::Snake => {
            let mut snake = String::new();
            for (at, letter) in message.char_indices() {
                if letter.is_uppercase() && at > 0 {
                    snake.push('_');
                }
                snake.push(letter.to_ascii_lowercase());
            }
            let category = category.to_ascii_lowercase();
            response(&json!({ "message": { "payload": { category: { "message": { snake: held } } } } }))
        }
    }
}
