//! `/api/gateways/{id}/control`: what a gateway can take at present, and orders to it.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::web::{Data, Path, Payload, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::State;
use super::backups;
use super::holder::{holder, reader};
use super::ingress;
use super::ordering::{self, Seen};
use super::orders::{LARGEST_BODY, LARGEST_TARIFF, body_within};
use super::plumbing::{Refusal, get, json_value, no_such_gateway, post};
use crate::clock::unix_time;
use crate::model::order::{Lease, LeaseState, Request};
use crate::model::{Capability, OrderKind, Outcome, Present, Snapshot, Standing};
use crate::settings::{Role, Token};

pub(super) const CONTROL: &str = "/api/gateways/{id}/control";
pub(super) const ACTION: &str = "/api/gateways/{id}/control/{action}";

/// How long a client waits for what becomes of its order, unless it says so itself.
const WAIT: Duration = Duration::from_secs(10);
const LONGEST_WAIT: u64 = 60;

pub(super) fn routes(config: &mut ServiceConfig) {
    config.service(get(CONTROL, capabilities)).service(post(ACTION, order));
}

async fn capabilities(state: Data<State>, request: HttpRequest, id: Path<String>) -> HttpResponse {
    state.table.count(CONTROL);
    let Some(entry) = state.directory.get(&id) else { return no_such_gateway(&id) };
    let token = match request.headers().contains_key(header::AUTHORIZATION) {
        true => match reader(&state, &request) {
            Ok(token) => Some(token),
            Err(denied) => return Refusal::from(denied).answer(),
        },
        false => None,
    };
    let snapshot = entry.board.read();
    let mut control = described(&snapshot, token.as_deref());
    control["enabled"] = state.control.tokens.takes_orders().into();
    json_value(StatusCode::OK, &control)
}

/// What the gateway can take, what its settings are, and what holds for a time; for `token`, what it may.
fn described(snapshot: &Snapshot, token: Option<&Token>) -> Value {
    let now = Instant::now();
    let readings = snapshot.telemetry(now).map(|telemetry| &telemetry.readings);
    let present = readings.map(|readings| Present::of(readings)).unwrap_or_default();
    let may = |kind| token.map(|token| token.reaches(&snapshot.gateway.id) && token.role.may_order(kind));
    let capabilities = snapshot.health.capabilities.iter().map(|capability| {
        let mut described = capability_body(capability);
        described["may"] = may(capability.order).into();
        described
    });
    json!({
        "gateway": snapshot.gateway.id,
        "enabled": null,
        "role": token.map(|token| token.role.word()),
        "present": {
            "reserve": present.reserve.map(|reserve| reserve.to_app_reserve().0),
            "mode": present.mode, "grid_charging": present.charging, "grid_export": present.export,
            "storm_watch": readings.and_then(|readings| readings.storm_watch),
            "vehicle_reserve": readings.and_then(|readings| readings.vehicle_reserve),
        },
        "max_backup": backups::known(snapshot),
        "orders": capabilities.collect::<Vec<_>>(),
        "leases": snapshot.health.leases.iter().map(|lease| lease_body(lease, now)).collect::<Vec<_>>(),
    })
}

fn capability_body(Capability { order, by }: &Capability) -> Value {
    match by {
        Ok(means) => json!({
            "order": order.word(), "can": true, "link": means.link.word(), "proves": means.proves.word(),
            "why": null, "message": null,
        }),
        Err(unable) => json!({
            "order": order.word(), "can": false, "link": null, "proves": null,
            "why": unable.obstacle.word(), "message": unable.message,
        }),
    }
}

fn lease_body(lease: &Lease, now: Instant) -> Value {
    let left = lease.ends.saturating_duration_since(now).as_secs();
    let (state, message) = match &lease.state {
        LeaseState::Holds => ("holds", None),
        LeaseState::Restores { .. } => ("restores", None),
        LeaseState::Ended(end) => (end.word(), Some(end.evidence())),
    };
    json!({
        "state": state, "message": message, "value": lease.leased.value(), "former": lease.former.value(),
        "ends_in_seconds": left, "ends_at": (unix_time() + left as f64).round(),
    })
}

async fn order(
    state: Data<State>,
    request: HttpRequest,
    at: Path<(String, String)>,
    payload: Payload,
) -> HttpResponse {
    state.table.count(ACTION);
    let (id, action) = at.into_inner();
    match placed(&state, &request, &id, &action, payload).await {
        Ok(seen) => answer(ingress::base(&state, &request), &seen),
        Err(response) => *response,
    }
}

async fn placed(
    state: &Data<State>,
    request: &HttpRequest,
    id: &str,
    action: &str,
    payload: Payload,
) -> Result<Seen, Box<HttpResponse>> {
    let refused = |refusal: Refusal| Box::new(refusal.answer());
    let bad = |why: String| refused(Refusal::new(StatusCode::BAD_REQUEST, why));
    // First, because nobody else's body is worth reading.
    let token = holder(state, request, Role::Operator).map_err(|denied| refused(denied.into()))?;
    let Some(gateway) = state.directory.get(id) else { return Err(Box::new(no_such_gateway(id))) };
    let kind = OrderKind::parse(action)
        .ok_or_else(|| refused(Refusal::new(StatusCode::NOT_FOUND, "There is no such order")))?;
    let patience = patience(request).map_err(bad)?;
    if !takes_json(request) {
        let why = "An order is a JSON object: send Content-Type: application/json";
        return Err(refused(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, why)));
    }
    let asker = ordering::asker(state, request, token).map_err(refused)?;
    let largest = if kind == OrderKind::Tariff { LARGEST_TARIFF } else { LARGEST_BODY };
    let body = body_within(largest, request.headers(), payload.into_inner()).await.map_err(refused)?;
    let body: Value = match body.is_empty() {
        true => json!({}),
        false => serde_json::from_slice(&body).map_err(|_| bad("The body is not JSON".into()))?,
    };
    let order = Request::read(kind, &body).map_err(|misread| bad(misread.to_string()))?;
    ordering::order(state, gateway, order, asker, patience, is_enough).await.map_err(refused)
}

/// Whether there is nothing to wait for any more.
fn is_enough(standing: &Standing) -> bool {
    standing.is_final || matches!(standing.outcome, Some(Outcome::Stored(_) | Outcome::InEffect(_)))
}

fn patience(request: &HttpRequest) -> Result<Duration, String> {
    let mut parameters = request.query_string().split('&').filter_map(|one| one.split_once('='));
    let Some((_, text)) = parameters.find(|(key, _)| *key == "wait") else { return Ok(WAIT) };
    let seconds = text.parse().ok().filter(|seconds| *seconds <= LONGEST_WAIT);
    seconds
        .map(Duration::from_secs)
        .ok_or_else(|| format!("wait is a number of seconds from 0 to {LONGEST_WAIT}"))
}

/// Without a word about it, a body is taken for JSON.
pub(super) fn takes_json(request: &HttpRequest) -> bool {
    let Some(given) = request.headers().get(header::CONTENT_TYPE) else { return true };
    let essence = given.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json") || essence.to_ascii_lowercase().ends_with("+json")
}

/// The status that says how an order stands.
pub(super) fn status(seen: &Seen) -> StatusCode {
    match seen.view.outcome.as_deref() {
        Some("stored" | "in_effect") => StatusCode::OK,
        Some("refused") => StatusCode::BAD_GATEWAY,
        Some("not_sent") => match seen.obstacle {
            Some("needs_confirmation" | "out_of_range" | "no_lease") => StatusCode::BAD_REQUEST,
            Some("cool_down") => StatusCode::TOO_MANY_REQUESTS,
            Some(
                "no_link" | "key_not_accepted" | "no_permission" | "firmware" | "no_battery" | "off_grid"
                | "charge_low" | "charge_unknown" | "former_unknown" | "unsupported",
            ) => StatusCode::CONFLICT,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        },
        // Waits, was accepted, or nobody knows yet: the order says more later.
        _ => StatusCode::ACCEPTED,
    }
}

/// `base`: below which path the client sees this service.
fn answer(base: &str, seen: &Seen) -> HttpResponse {
    let status = status(seen);
    let order = seen.view.body();
    let mut response = match status.is_success() {
        true => json_value(status, &order),
        false => {
            let detail = seen.view.evidence.as_deref().unwrap_or_default();
            json_value(status, &json!({ "detail": detail, "order": order }))
        }
    };
    let headers = response.headers_mut();
    if status == StatusCode::ACCEPTED
        && let Ok(place) = HeaderValue::try_from(format!("{base}/api/orders/{}", seen.view.id))
    {
        headers.insert(header::LOCATION, place);
    }
    if let Some(wait) = seen.retry_after {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs() + 1));
    }
    response
}
