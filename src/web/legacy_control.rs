//! `/control`, as the servers before have it: JSON and forms, for the default gateway.
//!
//! What they call a success is here one as well: the gateway has accepted. What is known beyond that stands
//! beside it, as `order`.

use std::time::Duration;

use actix_web::http::header::{self, HeaderMap};
use actix_web::http::{Method, StatusCode};
use actix_web::web::{Data, Path, Payload, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::State;
use super::backups;
use super::control;
use super::form::{self, Form};
use super::holder::{holder, secret};
use super::ordering::{self, Seen};
use super::orders::{LARGEST_BODY, LARGEST_TARIFF, body, body_within};
use super::plumbing::{Refusal, json_value, method_not_allowed, no_gateways, not_found, post};
use super::shape;
use super::tesla::NO_LINK;
use crate::control::Denied;
use crate::model::order::Request;
use crate::model::{OrderKind, Present};
use crate::settings::Role;

pub(super) const ACTION: &str = "/control/{action}";
pub(super) const TARIFF: &str = "/api/tesla/time_of_use_settings";
pub(super) const DISABLED: &str = "Control Commands Disabled - Set PW_CONTROL_SECRET to enable";

/// Everybody before answers within ten seconds.
const PATIENCE: Duration = Duration::from_secs(9);
/// Of a form, in bytes.
const LARGEST_FORM: u64 = 4096;
/// What is read without a token.
const READS: [&str; 5] = ["reserve", "mode", "grid_charging", "grid_export", "max_backup"];

pub(super) fn routes(config: &mut ServiceConfig) {
    let all = || {
        web::route().to(
            |state: Data<State>, request: HttpRequest, action: Path<String>, payload: Payload| async move {
                answered(state, request, &action, payload).await
            },
        )
    };
    config.service(web::resource(["/control/{action}", "/control/{action}/"]).route(all()));
    let tariff = |state: Data<State>, request: HttpRequest, payload: Payload| async move {
        state.table.count(TARIFF);
        by_json(&state, &request, OrderKind::Tariff.word(), payload).await
    };
    config.service(post(TARIFF, tariff));
}

async fn answered(state: Data<State>, request: HttpRequest, action: &str, payload: Payload) -> HttpResponse {
    state.table.count(ACTION);
    match *request.method() {
        Method::GET | Method::HEAD => read(&state, action),
        Method::POST => match reading(request.headers()) {
            Reading::Json => by_json(&state, &request, action, payload).await,
            Reading::Form => by_form(&state, &request, action, payload).await,
            Reading::Whatever => by_whatever(&state, &request, action, payload).await,
            Reading::Neither => {
                Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, "The body is neither JSON nor a form").answer()
            }
        },
        _ => method_not_allowed("GET, HEAD, POST"),
    }
}

// === What is known ===

fn read(state: &State, action: &str) -> HttpResponse {
    match READS.contains(&action) {
        true => match known(state, action) {
            Some(known) => json_value(StatusCode::OK, &known),
            None => no_gateways(),
        },
        false if OrderKind::parse(action).is_some() => method_not_allowed("POST"),
        false => not_found(),
    }
}

/// `/control/status`
pub(super) fn status_answer(state: &State, _: &HttpRequest) -> HttpResponse {
    let enabled = state.control.tokens.takes_orders();
    let gateway = state.directory.default_gateway();
    let dispatches = gateway.is_some_and(|gateway| {
        let health = &gateway.board.glance().health;
        let mut capabilities = health.capabilities.iter();
        capabilities.any(|capability| capability.order == OrderKind::Dispatch && capability.by.is_ok())
    });
    json_value(StatusCode::OK, &json!({ "enabled": enabled, "battery_dispatch": enabled && dispatches }))
}

/// The present value of a setting; `None`: there is no gateway.
fn known(state: &State, action: &str) -> Option<Value> {
    if !state.control.tokens.takes_orders() {
        return Some(json!({ "error": DISABLED }));
    }
    let snapshot = state.directory.default_gateway()?.board.read();
    let readings = snapshot.telemetry(Instant::now()).map(|telemetry| &telemetry.readings);
    let present = readings.map(|readings| Present::of(readings)).unwrap_or_default();
    Some(match action {
        "reserve" => json!({ "reserve": present.reserve.map(|reserve| reserve.to_app_reserve().0) }),
        "mode" => json!({ "mode": present.mode }),
        "grid_charging" => json!({ "grid_charging": present.charging }),
        "grid_export" => json!({ "grid_export": present.export }),
        _ => backups::answer(&snapshot),
    })
}

// === How it is asked ===

enum Reading {
    Json,
    Form,
    /// Its first byte says what it is.
    Whatever,
    Neither,
}

fn reading(headers: &HeaderMap) -> Reading {
    let Some(given) = headers.get(header::CONTENT_TYPE) else { return Reading::Whatever };
    let essence = given.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
    match essence.trim().to_ascii_lowercase().as_str() {
        "application/x-www-form-urlencoded" => Reading::Form,
        "application/json" => Reading::Json,
        other if other.ends_with("+json") => Reading::Json,
        _ => Reading::Neither,
    }
}

fn is_long(headers: &HeaderMap) -> bool {
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    length.and_then(|length| length.parse::<u64>().ok()).is_some_and(|length| length > LARGEST_FORM)
}

async fn by_whatever(
    state: &Data<State>,
    request: &HttpRequest,
    action: &str,
    payload: Payload,
) -> HttpResponse {
    let body = match body(request.headers(), payload.into_inner()).await {
        Ok(body) => body,
        Err(refusal) => return refusal.answer(),
    };
    match body.first() {
        Some(b'{' | b'[') => match ordered_by_json(state, request, action, async { Ok(body) }).await {
            Ok(answer) | Err(answer) => *answer,
        },
        _ if is_long(request.headers()) => form::error("Control Command Error: Invalid Request"),
        _ => with_form(state, request, action, &Form::read(&body)).await,
    }
}

// === JSON ===

async fn by_json(state: &Data<State>, request: &HttpRequest, action: &str, payload: Payload) -> HttpResponse {
    let largest = if action == OrderKind::Tariff.word() { LARGEST_TARIFF } else { LARGEST_BODY };
    let body = body_within(largest, request.headers(), payload.into_inner());
    match ordered_by_json(state, request, action, body).await {
        Ok(answer) | Err(answer) => *answer,
    }
}

async fn ordered_by_json(
    state: &Data<State>,
    request: &HttpRequest,
    action: &str,
    body: impl Future<Output = Result<bytes::Bytes, Refusal>>,
) -> Result<Box<HttpResponse>, Box<HttpResponse>> {
    let refused = |refusal: Refusal| Box::new(refusal.answer());
    let refuse = |status, why: &str| refused(Refusal::new(status, why.to_owned()));
    let token = holder(state, request, Role::Operator).map_err(|denied| refused(denied.into()))?;
    let kind = OrderKind::parse(action)
        .ok_or_else(|| refuse(StatusCode::NOT_FOUND, "There is no such control action"))?;
    let asker = ordering::asker(state, request, token).map_err(refused)?;
    let body = body.await.map_err(refused)?;
    let body: Value = serde_json::from_slice(&body)
        .ok()
        .filter(Value::is_object)
        .ok_or_else(|| refuse(StatusCode::UNPROCESSABLE_ENTITY, "The body must be a JSON object"))?;
    let order =
        Request::read(kind, &body).map_err(|why| refuse(StatusCode::BAD_REQUEST, &why.to_string()))?;
    let Some(gateway) = state.directory.default_gateway() else { return Err(Box::new(no_gateways())) };
    let seen = ordering::order(state, gateway, order, asker, PATIENCE, |standing| standing.outcome.is_some());
    Ok(Box::new(json_answer(kind, &seen.await.map_err(refused)?)))
}

fn json_answer(kind: OrderKind, seen: &Seen) -> HttpResponse {
    let (status, detail) = match failure(kind, seen) {
        None => return json_value(StatusCode::OK, &with_order(shape::success(seen), seen)),
        Some(failure) => failure,
    };
    let detail = match kind {
        OrderKind::Islanding if status == StatusCode::BAD_GATEWAY => {
            json!({ "message": "Islanding was not acknowledged; check grid status.", "response": detail })
        }
        _ => detail.into(),
    };
    let mut response = json_value(status, &json!({ "detail": detail, "order": seen.view.body() }));
    mark(&mut response, seen);
    response
}

/// Says when to come back, where that is known.
fn mark(response: &mut HttpResponse, seen: &Seen) {
    if let Some(wait) = seen.retry_after {
        let seconds = (wait.as_secs() + 1).into();
        response.headers_mut().insert(header::RETRY_AFTER, seconds);
    }
}

fn with_order(mut answer: Map<String, Value>, seen: &Seen) -> Value {
    answer.insert("order".into(), seen.view.body());
    answer.into()
}

/// The status and the text of an order that the gateway has not accepted.
fn failure(kind: OrderKind, seen: &Seen) -> Option<(StatusCode, String)> {
    let why = seen.view.evidence.clone().unwrap_or_default();
    let unavailable = StatusCode::SERVICE_UNAVAILABLE;
    let failed =
        |status, why: &str| Some((status, format!("Control operation failed for {}: {why}", kind.word())));
    match (seen.view.outcome.as_deref(), seen.obstacle) {
        (Some("accepted" | "stored" | "in_effect"), _) => None,
        (Some("refused"), _) => failed(StatusCode::BAD_GATEWAY, &why),
        (Some("not_sent"), Some("no_link")) => Some((
            unavailable,
            match kind {
                OrderKind::MaxBackup => "max_backup requires v1r LAN transport".into(),
                OrderKind::Tariff => NO_LINK.into(),
                OrderKind::Dispatch | OrderKind::Resume => {
                    "Battery dispatch requires v1r LAN transport".into()
                }
                _ => return failed(unavailable, &why),
            },
        )),
        (Some("not_sent"), Some("charge_unknown")) if kind == OrderKind::ReserveHold => {
            Some((unavailable, "Battery state of charge unavailable".into()))
        }
        (Some("not_sent"), _) => match control::status(seen) {
            StatusCode::BAD_REQUEST => Some((StatusCode::BAD_REQUEST, why)),
            StatusCode::TOO_MANY_REQUESTS => Some((StatusCode::TOO_MANY_REQUESTS, why)),
            StatusCode::CONFLICT if kind == OrderKind::Islanding => Some((StatusCode::CONFLICT, why)),
            _ => failed(unavailable, &why),
        },
        (Some(_), _) => failed(unavailable, &format!("it may have been carried out all the same: {why}")),
        (None, _) => failed(unavailable, "it is still under way; see /api/orders"),
    }
}

// === Forms ===

async fn by_form(state: &Data<State>, request: &HttpRequest, action: &str, payload: Payload) -> HttpResponse {
    if !state.control.tokens.takes_orders() {
        return form::error(DISABLED);
    }
    if is_long(request.headers()) {
        return form::error("Control Command Error: Invalid Request");
    }
    match body(request.headers(), payload.into_inner()).await {
        Ok(body) => with_form(state, request, action, &Form::read(&body)).await,
        Err(refusal) => refusal.answer(),
    }
}

async fn with_form(state: &Data<State>, request: &HttpRequest, action: &str, form: &Form) -> HttpResponse {
    match ordered_by_form(state, request, action, form).await {
        Ok(seen) => form_answer(&seen),
        Err(answer) => *answer,
    }
}

async fn ordered_by_form(
    state: &Data<State>,
    request: &HttpRequest,
    action: &str,
    form: &Form,
) -> Result<(OrderKind, Seen), Box<HttpResponse>> {
    let given = form.get("token").map(str::as_bytes).or_else(|| secret(request.headers()));
    let token = state.control.holder(given, Role::Operator, state.client(request), Instant::now());
    let token = token.map_err(|denied| Box::new(denied_form(denied)))?;
    let invalid = |why: &str| Box::new(form::error(why));
    let kind = OrderKind::parse(action).filter(|kind| form::takes(*kind));
    let kind = kind.ok_or_else(|| invalid("Invalid Command Action"))?;
    if form.get("value").is_none() && READS.contains(&action) {
        let known = known(state, action).ok_or_else(|| Box::new(no_gateways()))?;
        let is_error = known.get("error").is_some();
        let status = if is_error { StatusCode::BAD_REQUEST } else { StatusCode::OK };
        return Err(Box::new(json_value(status, &known)));
    }
    let asker =
        ordering::asker(state, request, token).map_err(|refusal| Box::new(form::refusal(&refusal)))?;
    let body = form.body(kind).map_err(invalid)?;
    let order = Request::read(kind, &body).map_err(|_| invalid(form::complaint(kind)))?;
    let gateway = state.directory.default_gateway().ok_or_else(|| Box::new(no_gateways()))?;
    let seen = ordering::order(state, gateway, order, asker, PATIENCE, |standing| standing.outcome.is_some());
    Ok((kind, seen.await.map_err(|refusal| Box::new(form::refusal(&refusal)))?))
}

fn form_answer((kind, seen): &(OrderKind, Seen)) -> HttpResponse {
    let Some((_, why)) = failure(*kind, seen) else {
        let answer = match kind {
            OrderKind::Charging | OrderKind::Export => {
                let mut answer = Map::new();
                answer.insert(kind.word().into(), "Set Successfully".into());
                answer
            }
            _ => shape::success(seen),
        };
        return json_value(StatusCode::OK, &with_order(answer, seen));
    };
    let mut response =
        json_value(StatusCode::BAD_REQUEST, &json!({ "error": why, "order": seen.view.body() }));
    mark(&mut response, seen);
    response
}

/// Clients test for both words.
fn denied_form(denied: Denied) -> HttpResponse {
    match denied {
        Denied::Off => form::error(DISABLED),
        Denied::NoToken | Denied::WrongToken => {
            let why = "Control Command Token Invalid";
            json_value(StatusCode::UNAUTHORIZED, &json!({ "unauthorized": why, "error": why }))
        }
        denied => form::refusal(&denied.into()),
    }
}
