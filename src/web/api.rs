//! `/api/gateways` and `/api/aggregate`: every gateway by its id, and the sum of all.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::{Data, Path, ServiceConfig};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::State;
use super::plumbing::{get, json, json_value, no_such_gateway};
use crate::clock::unix_time;
use crate::model::Aggregate;
use crate::model::views::{View, status};

pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .service(get("/api/gateways", gateways))
        .service(get("/api/gateways/{id}", gateway))
        .service(get("/api/gateways/{id}/vitals", |state: Data<State>, id: Path<String>| {
            part(state, id, View::Vitals)
        }))
        .service(get("/api/gateways/{id}/strings", |state: Data<State>, id: Path<String>| {
            part(state, id, View::Strings)
        }))
        .service(get("/api/gateways/{id}/aggregates", |state: Data<State>, id: Path<String>| {
            part(state, id, View::Aggregates)
        }))
        .service(get("/api/aggregate", aggregate))
        .service(get("/api/aggregate/power", |state: Data<State>| sum(state, "/api/aggregate/power", power)))
        .service(get("/api/aggregate/soe", |state: Data<State>| sum(state, "/api/aggregate/soe", soe)))
        .service(get("/api/aggregate/battery", |state: Data<State>| {
            sum(state, "/api/aggregate/battery", battery)
        }))
        .service(get("/api/aggregate/strings", |state: Data<State>| {
            each(state, "/api/aggregate/strings", View::Strings)
        }))
        .service(get("/api/aggregate/alerts", |state: Data<State>| {
            each(state, "/api/aggregate/alerts", View::Alerts)
        }))
        .service(get("/api/aggregate/vitals", |state: Data<State>| {
            each(state, "/api/aggregate/vitals", View::Vitals)
        }));
}

async fn gateways(state: Data<State>) -> HttpResponse {
    state.counters.count_path("/api/gateways");
    json(state.frames.gateways())
}

async fn gateway(state: Data<State>, id: Path<String>) -> HttpResponse {
    state.counters.count_path("/api/gateways/{id}");
    match state.directory.get(&id) {
        Some(entry) => json(state.frames.gateway(&entry.board.read())),
        None => no_such_gateway(&id),
    }
}

/// A part of one gateway's data; `{}` without any.
async fn part(state: Data<State>, id: Path<String>, view: View) -> HttpResponse {
    state.counters.count_path("/api/gateways/{id}/…");
    let Some(entry) = state.directory.get(&id) else { return no_such_gateway(&id) };
    let snapshot = entry.board.glance();
    let body = snapshot.telemetry(Instant::now()).map(|telemetry| telemetry.view(view));
    json(body.filter(|body| *body != "null").unwrap_or_else(|| "{}".into()))
}

async fn aggregate(state: Data<State>) -> HttpResponse {
    state.counters.count_path("/api/aggregate");
    json(state.frames.aggregate())
}

async fn sum(state: Data<State>, path: &'static str, shape: fn(&Aggregate) -> Value) -> HttpResponse {
    state.counters.count_path(path);
    let mut value = shape(&state.directory.aggregate.read());
    value["timestamp"] = unix_time().into();
    json_value(StatusCode::OK, &value)
}

fn power(sum: &Aggregate) -> Value {
    json!({ "site": sum.site, "battery": sum.battery, "load": sum.load, "solar": sum.solar, "grid": sum.site })
}

fn soe(sum: &Aggregate) -> Value {
    json!({ "percentage": sum.app_percent(), "raw_percentage": sum.state_of_energy, "num_gateways": sum.online })
}

fn battery(sum: &Aggregate) -> Value {
    json!({
        "total_capacity": sum.capacity,
        "battery_percent": sum.app_percent(),
        "battery_percent_raw": sum.state_of_energy,
        "battery_power": sum.battery,
        "num_gateways": sum.gateways,
        "num_online": sum.online,
    })
}

/// A document of every gateway that has one, by id.
async fn each(state: Data<State>, path: &'static str, view: View) -> HttpResponse {
    state.counters.count_path(path);
    let now = Instant::now();
    let snapshots = state.directory.snapshots();
    let bodies = snapshots.iter().filter_map(|snapshot| {
        let body = snapshot.telemetry(now)?.view(view);
        (body != "null").then_some((snapshot.gateway.id.as_str(), body))
    });
    json(status::by_id(bodies))
}
