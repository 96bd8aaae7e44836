//! How the service and its gateways are: for people, for containers, for monitoring.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::web::{Data, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use super::State;
use super::plumbing::{get, json_value};
use crate::frames::Frames;
use crate::gateway::messages::GetSnapshot;
use crate::model::Freshness;
use crate::views::status;

/// An actor that does not answer within this is reported as not responding.
const ANSWER_DEADLINE: Duration = Duration::from_millis(250);

pub(super) fn routes(config: &mut ServiceConfig) {
    config.service(get("/health/gateways", gateways));
}

/// 200 whatever it says, because that it answers is the point; with `?ready=1`, 503 while nothing is fresh.
pub(super) fn health(state: &State, request: &HttpRequest) -> HttpResponse {
    let now = Instant::now();
    let snapshots = state.directory.snapshots();
    let online = snapshots.iter().filter(|snapshot| snapshot.freshness(now) == Freshness::Live).count();
    let word = match (snapshots.len(), online) {
        (0, _) => "no_gateways",
        (all, online) if all == online => "healthy",
        (_, 0) => "unhealthy",
        _ => "degraded",
    };
    let ids: Vec<&str> = snapshots.iter().map(|snapshot| snapshot.gateway.id.as_str()).collect();
    let mut body = json!({
        "status": word, "version": env!("CARGO_PKG_VERSION"), "gateways": snapshots.len(),
    });
    if !snapshots.is_empty() {
        let details = snapshots.iter().map(|snapshot| {
            let freshness = snapshot.freshness(now);
            json!({
                "id": snapshot.gateway.id, "online": freshness == Freshness::Live,
                "error": status::error(snapshot), "freshness": freshness,
            })
        });
        let polling = state.polling.load();
        body["gateways_online"] = online.into();
        body["gateways_offline"] = (snapshots.len() - online).into();
        body["gateway_ids"] = ids.into();
        body["gateway_details"] = details.collect();
        body["fallback_mode"] = json!({});
        body["pypowerwall"] = format!("{} powerwall-server", env!("CARGO_PKG_VERSION")).into();
        body["graceful_degradation"] = polling.graceful_degradation.into();
        body["pypowerwall_cache_expire"] = polling.interval.as_secs().into();
        body["degradation_cache_ttl_seconds"] = polling.cache_ttl.as_secs().into();
    } else {
        body["gateway_ids"] = json!([]);
    }
    let asks_for_readiness = request.query_string().split('&').any(|parameter| parameter == "ready=1");
    let status = match asks_for_readiness && online == 0 {
        true => StatusCode::SERVICE_UNAVAILABLE,
        false => StatusCode::OK,
    };
    json_value(status, &body)
}

/// Asks every actor itself, all at once and with a deadline: here it matters whether they answer.
async fn gateways(state: Data<State>) -> HttpResponse {
    state.table.count("/health/gateways");
    let entries = state.directory.entries();
    let asked = entries.iter().map(|entry| async {
        let addr = entry.addr()?;
        timeout(ANSWER_DEADLINE, addr.send(GetSnapshot)).await.ok()?.ok()
    });
    let answers = join_all(asked).await;
    let at = Frames::moment();
    let list: Value = (entries.iter().zip(answers))
        .map(|(entry, answer)| {
            let responding = answer.is_some();
            let snapshot = answer.unwrap_or_else(|| entry.board.read());
            status::health(&snapshot, at, responding)
        })
        .collect();
    json_value(StatusCode::OK, &json!({ "gateways": list }))
}

pub(super) fn livez(_: &State, _: &HttpRequest) -> HttpResponse {
    json_value(StatusCode::OK, &json!({ "status": "alive" }))
}

/// 503 while no gateway has fresh data.
pub(super) fn readyz(state: &State, _: &HttpRequest) -> HttpResponse {
    let now = Instant::now();
    let snapshots = state.directory.snapshots();
    let fresh = snapshots.iter().filter(|snapshot| snapshot.freshness(now) == Freshness::Live).count();
    let status = if fresh > 0 { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    json_value(status, &json!({ "ready": fresh > 0, "fresh": fresh, "gateways": snapshots.len() }))
}
