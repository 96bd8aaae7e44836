//! `/api/gateways` and `/api/aggregate`: every gateway by its id, and the sum of all.

use std::future::ready;

use actix_web::http::StatusCode;
use actix_web::web::{Data, Path, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use bytes::{Bytes, BytesMut};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::plumbing::{detail, get, json, json_value, no_such_gateway, not_found};
use super::route::{Answer, Later, Route};
use super::{State, bodies, fleet};
use crate::clock::unix_time;
use crate::directory::Entry;
use crate::pieces::Listing;
use crate::views::{View, status};

pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .service(get("/api/gateways/{id}", gateway))
        .service(get("/api/gateways/{id}/vitals", |state: Data<State>, id: Path<String>| {
            ready(part(&state, "/api/gateways/{id}/vitals", &id, View::Vitals))
        }))
        .service(get("/api/gateways/{id}/strings", |state: Data<State>, id: Path<String>| {
            ready(part(&state, "/api/gateways/{id}/strings", &id, View::Strings))
        }))
        .service(get("/api/gateways/{id}/aggregates", |state: Data<State>, id: Path<String>| {
            ready(part(&state, "/api/gateways/{id}/aggregates", &id, View::Aggregates))
        }))
        .service(get("/api/gateways/{id}/api/{path:.*}", customer_api));
}

pub(super) fn gateways(state: Data<State>, request: HttpRequest) -> Later {
    Box::pin(async move {
        let frames = state.frames.clone();
        fleet::shared(&state, &request, "gateways", move |selection| frames.gateways(selection)).await
    })
}

async fn gateway(state: Data<State>, id: Path<String>) -> HttpResponse {
    state.table.count("/api/gateways/{id}");
    match state.directory.get(&id) {
        Some(entry) => json(state.frames.gateway(&entry.board.read())),
        None => no_such_gateway(&id),
    }
}

/// A part of one gateway's data; `{}` without any.
fn part(state: &State, route: &str, id: &str, view: View) -> HttpResponse {
    state.table.count(route);
    let Some(entry) = state.directory.get(id) else { return no_such_gateway(id) };
    let snapshot = entry.board.glance();
    let body = snapshot.telemetry(Instant::now()).map(|telemetry| telemetry.view(view));
    json(body.filter(|body| *body != "null").unwrap_or_else(|| "{}".into()))
}

/// A route of the customer API for one gateway, from what is known: the routes of the table that speak of a
/// gateway, and no other. Nothing is passed on to the gateway.
async fn customer_api(state: Data<State>, request: HttpRequest, at: Path<(String, String)>) -> HttpResponse {
    state.table.count("/api/gateways/{id}/api/{path}");
    let (id, path) = at.into_inner();
    let Some(entry) = state.directory.get(&id) else { return no_such_gateway(&id) };
    let speaks_of_gateway = |route: &&Route| {
        matches!(route.answer, Answer::View { .. } | Answer::Gateway(_) | Answer::Fixed { .. })
    };
    let Some(route) = state.table.find(&format!("/api/{path}")).filter(speaks_of_gateway) else {
        return not_found();
    };
    let snapshot = entry.board.glance();
    let Some(telemetry) = snapshot.telemetry(Instant::now()) else {
        return detail(StatusCode::SERVICE_UNAVAILABLE, "API call failed or gateway offline");
    };
    // The server before passed this on to the gateway, which counts on the raw scale.
    if path.trim_end_matches('/') == "system_status/soe" {
        return json(telemetry.view(View::Soe));
    }
    bodies::of_gateway(&state, route, &request, &snapshot)
}

pub(super) fn aggregate(state: Data<State>, request: HttpRequest) -> Later {
    Box::pin(async move {
        let frames = state.frames.clone();
        fleet::shared(&state, &request, "aggregate", move |selection| frames.aggregate(selection)).await
    })
}

/// A sum; what is unknown is 0 for clients that cannot read null.
fn sum(state: &State, mut shape: Value) -> HttpResponse {
    if state.polling.load().adjustments.legacy_zeros {
        status::with_zeros(&mut shape);
    }
    shape["timestamp"] = unix_time().into();
    json_value(StatusCode::OK, &shape)
}

pub(super) fn power(state: &State, _: &HttpRequest) -> HttpResponse {
    let all = state.directory.aggregate.read();
    sum(
        state,
        json!({
            "site": all.site,
            "battery": all.battery,
            "load": all.load,
            "solar": all.solar,
            "grid": all.site,
        }),
    )
}

pub(super) fn soe(state: &State, _: &HttpRequest) -> HttpResponse {
    let all = state.directory.aggregate.read();
    sum(
        state,
        json!({
            "percentage": all.app_percent(),
            "raw_percentage": all.state_of_energy,
            "num_gateways": all.online,
        }),
    )
}

pub(super) fn battery(state: &State, _: &HttpRequest) -> HttpResponse {
    let all = state.directory.aggregate.read();
    sum(
        state,
        json!({
            "total_capacity": all.capacity,
            "battery_percent": all.app_percent(),
            "battery_percent_raw": all.state_of_energy,
            "battery_power": all.battery,
            "num_gateways": all.gateways,
            "num_online": all.online,
        }),
    )
}

pub(super) fn strings(state: Data<State>, request: HttpRequest) -> Later {
    each(state, request, "strings", View::Strings)
}

pub(super) fn alerts(state: Data<State>, request: HttpRequest) -> Later {
    each(state, request, "alerts", View::Alerts)
}

pub(super) fn vitals(state: Data<State>, request: HttpRequest) -> Later {
    each(state, request, "vitals", View::Vitals)
}

/// A document of every gateway that has one, by id.
fn each(state: Data<State>, request: HttpRequest, name: &'static str, view: View) -> Later {
    let item = move |_: usize, entry: &Entry, out: &mut BytesMut| {
        let snapshot = entry.board.read();
        let body = snapshot.telemetry(Instant::now()).map(|telemetry| telemetry.view(view));
        match body.map(|body| if body == "null" { Bytes::from_static(b"{}") } else { body }) {
            Some(body) => status::put_by_id(out, &entry.id, &body),
            None => return false,
        }
        true
    };
    let around = (Bytes::from_static(b"{"), Bytes::from_static(b"}"));
    Box::pin(async move {
        let listing = move |selection| Listing::new(around, selection, item);
        fleet::shared(&state, &request, name, listing).await
    })
}

pub(super) fn mqtt_status(state: &State, _: &HttpRequest) -> HttpResponse {
    json_value(StatusCode::OK, &json!(*state.mqtt.read()))
}
