//! How the service and its gateways are: for people, for containers, for monitoring.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::web::{Data, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use super::plumbing::{get, json_value};
use super::{State, access, fleet};
use crate::frames::Frames;
use crate::gateway::messages::GetSnapshot;
use crate::model::{Freshness, Snapshot};
use crate::pieces::Listing;
use crate::views::status;

/// An actor that does not answer within this is reported as not responding.
const ANSWER_DEADLINE: Duration = Duration::from_millis(250);

pub(super) fn routes(config: &mut ServiceConfig) {
    config.service(get("/health/gateways", gateways));
}

/// 200 whatever it says, because that it answers is the point; with `?ready=1`, 503 while nothing is fresh.
pub(super) fn health(state: &State, request: &HttpRequest) -> HttpResponse {
    let selection = match fleet::selection(state, request) {
        Ok(selection) => selection,
        Err(refused) => return *refused,
    };
    let now = Instant::now();
    let snapshots = state.directory.snapshots();
    let online = snapshots.iter().filter(|snapshot| snapshot.freshness(now) == Freshness::Live).count();
    // Whoever watches over the program is answered in any case; what the gateways are called is a reading.
    let reads = access::reads_everything(state, request);
    let word = match (snapshots.len(), online) {
        (0, _) => "no_gateways",
        (all, online) if all == online => "healthy",
        (_, 0) => "unhealthy",
        _ => "degraded",
    };
    let mut body = json!({
        "status": word, "version": env!("CARGO_PKG_VERSION"), "gateways": snapshots.len(),
    });
    if !reads {
        body["gateways_online"] = online.into();
        return json_value(readiness(request, online), &body);
    }
    let selected: Vec<&str> = selection.iter().map(|entry| entry.id.as_str()).collect();
    if snapshots.is_empty() {
        body["gateway_ids"] = json!([]);
    } else {
        let polling = state.polling.load();
        body["gateways_online"] = online.into();
        body["gateways_offline"] = (snapshots.len() - online).into();
        body["gateway_ids"] = selected.into();
        body["gateway_details"] = json!([]);
        body["fallback_mode"] = json!({});
        body["pypowerwall"] = format!("{} powerwall-server", env!("CARGO_PKG_VERSION")).into();
        body["graceful_degradation"] = polling.graceful_degradation.into();
        body["pypowerwall_cache_expire"] = polling.interval.as_secs().into();
        body["degradation_cache_ttl_seconds"] = polling.cache_ttl.as_secs().into();
    }
    let listing =
        Listing::new(fleet::around(&body, "gateway_details"), selection.clone(), move |_, entry, out| {
            status::put(out, &details(&entry.board.glance(), now));
            true
        });
    fleet::listed(request, &selection, readiness(request, online), listing)
}

/// 200, or 503 if the request asks for readiness and there is none.
fn readiness(request: &HttpRequest, online: usize) -> StatusCode {
    let asks_for_it = request.query_string().split('&').any(|parameter| parameter == "ready=1");
    if asks_for_it && online == 0 { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK }
}

fn details(snapshot: &Snapshot, now: Instant) -> Value {
    let freshness = snapshot.freshness(now);
    json!({
        "id": snapshot.gateway.id, "online": freshness == Freshness::Live,
        "error": status::error(snapshot), "freshness": freshness,
    })
}

/// Asks every actor itself, all at once and with a deadline: here it matters whether they answer.
async fn gateways(state: Data<State>, request: HttpRequest) -> HttpResponse {
    state.table.count("/health/gateways");
    let selection = match fleet::selection(&state, &request) {
        Ok(selection) => selection,
        Err(refused) => return *refused,
    };
    let asked = selection.iter().map(|entry| async {
        let addr = entry.addr()?;
        timeout(ANSWER_DEADLINE, addr.send(GetSnapshot)).await.ok()?.ok()
    });
    // The board shows what the actor answers; keeping the answers of a fleet would keep its readings.
    let responding: Vec<bool> = join_all(asked).await.iter().map(Option::is_some).collect();
    let at = Frames::moment();
    let around = fleet::around(&json!({ "gateways": [] }), "gateways");
    let listing = Listing::new(around, selection.clone(), move |place, entry, out| {
        let responds = responding.get(place).copied().unwrap_or_default();
        status::put(out, &status::health(&entry.board.read(), at, responds));
        true
    });
    fleet::listed(&request, &selection, StatusCode::OK, listing)
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
