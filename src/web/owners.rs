//! What the owners API said of the default gateway, in its own envelopes. Nobody who reads here makes a
//! request.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use serde_json::Value;
use tokio::time::Instant;

use super::State;
use super::plumbing::{json as body, json_value};
use super::without_data::{CLOUD_HINT, NO_CLOUD};
use crate::model::{LinkKind, Part};
use crate::views::redact::redacted;

/// `None`: the default gateway has no such link.
fn said(state: &State, part: Part) -> Option<Value> {
    let snapshot = state.directory.default_gateway()?.board.read();
    if !snapshot.gateway.links.contains(&LinkKind::Cloud) {
        return None;
    }
    let raw = snapshot.telemetry(Instant::now()).and_then(|telemetry| telemetry.answers().raw(part));
    Some(raw.and_then(|raw| serde_json::from_slice::<Value>(&raw).ok()).unwrap_or_default())
}

fn shown(said: Option<Value>) -> HttpResponse {
    match said {
        Some(said) => json_value(StatusCode::OK, &redacted(&said)),
        None => body(Bytes::from_static(NO_CLOUD.as_bytes())),
    }
}

pub(super) fn hint(state: &State, _: &HttpRequest) -> HttpResponse {
    let hint = if said(state, Part::CloudStatus).is_some() { CLOUD_HINT } else { NO_CLOUD };
    body(Bytes::from_static(hint.as_bytes()))
}

pub(super) fn battery(state: &State, _: &HttpRequest) -> HttpResponse {
    shown(said(state, Part::CloudBattery))
}

pub(super) fn power(state: &State, _: &HttpRequest) -> HttpResponse {
    shown(said(state, Part::CloudStatus))
}

pub(super) fn config(state: &State, _: &HttpRequest) -> HttpResponse {
    shown(said(state, Part::CloudInfo))
}
