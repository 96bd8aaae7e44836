//! `/stats`: what the service has done so far, in the words of the servers before it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::{Data, ServiceConfig};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::State;
use super::plumbing::{get, json_value};
use crate::clock::unix_time;
use crate::model::views::status;
use crate::model::{Freshness, Snapshot};

/// Counts answers. Paths are those of our routes, so their number is bounded.
#[derive(Debug, Default)]
pub(super) struct Counters {
    gets: AtomicU64,
    errors: AtomicU64,
    /// One counter per route, added when the route is first asked for.
    paths: Mutex<BTreeMap<&'static str, u64>>,
}

impl Counters {
    pub fn count(&self, status: StatusCode) {
        self.gets.fetch_add(1, Ordering::Relaxed);
        if status.as_u16() >= 400 {
            self.errors.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub fn count_path(&self, path: &'static str) {
        *self.paths.lock().unwrap_or_else(PoisonError::into_inner).entry(path).or_default() += 1;
    }
}

pub(super) fn routes(config: &mut ServiceConfig) {
    config.service(get("/stats", stats));
}

async fn stats(state: Data<State>) -> HttpResponse {
    state.counters.count_path("/stats");
    let now = Instant::now();
    let snapshots = state.directory.snapshots();
    let any = |what: fn(&Snapshot) -> bool| snapshots.iter().any(|snapshot| what(snapshot));
    let online = snapshots.iter().filter(|snapshot| snapshot.freshness(now) == Freshness::Live).count();
    let (cloud, fleet) = (any(|one| one.gateway.cloud_mode), any(|one| one.gateway.fleetapi));
    let tedapi = any(|one| one.gateway.host.is_some());
    let counters = &state.counters;
    let version = env!("CARGO_PKG_VERSION");
    let uptime = now.saturating_duration_since(state.started).as_secs();
    let readings = |one: &Snapshot| one.telemetry(now).map(|telemetry| telemetry.readings.clone());
    let mut body = json!({
        "pypowerwall": format!("{version} powerwall-server"),
        "pypowerwall_version": version,
        "server_version": version,
        "mode": if fleet { "FleetAPI" } else if cloud { "Cloud" } else { "Local" },
        "gets": counters.gets.load(Ordering::Relaxed),
        "posts": 0,
        "errors": counters.errors.load(Ordering::Relaxed),
        "timeout": snapshots.iter().map(|one| one.health.failures).sum::<u64>(),
        "uri": *counters.paths.lock().unwrap_or_else(PoisonError::into_inner),
        "ts": unix_time() as u64,
        "start": state.started_at as u64,
        "clear": state.started_at as u64,
        "uptime": duration(uptime),
        "mem": resident_kilobytes(),
        "cloudmode": cloud || fleet,
        "fleetapi": fleet,
        "tedapi": tedapi,
        "basiclan": false,
        "cloudcontrol": false,
        "cloud_control": null,
        "pw3": snapshots.iter().any(|one| readings(one).and_then(|readings| readings.powerwall3) == Some(true)),
        "tedapi_mode": if tedapi { Some("full") } else { None },
        "siteid": any(|one| one.gateway.site_id.is_some()).then_some("**********"),
        "counter": 0,
        "cf": null,
        "config": configuration(&state),
        "connection_health": connection_health(&snapshots),
        "gateways": { "total": snapshots.len(), "online": online, "offline": snapshots.len() - online },
        "gateway_statuses": snapshots.iter().map(|one| gateway_status(one, now)).collect::<Value>(),
        "fallback_mode": {},
    });
    if let Some(first) = snapshots.first() {
        let name = readings(first).and_then(|readings| readings.site_name);
        body["site_name"] = name.unwrap_or_else(|| first.gateway.name.clone()).into();
    }
    json_value(StatusCode::OK, &body)
}

fn configuration(state: &State) -> Value {
    let (http, polling) = (&state.http, state.polling.load());
    json!({
        "PW_BIND_ADDRESS": http.bind,
        "PW_PORT": http.port,
        "PW_CACHE_EXPIRE": polling.interval.as_secs(),
        "PW_CACHE_TTL": polling.cache_ttl.as_secs(),
        "PW_GRACEFUL_DEGRADATION": polling.graceful_degradation,
        "PW_NEG_SOLAR": polling.adjustments.keep_negative_solar,
        "PW_SITE_ZERO_THRESHOLD": polling.adjustments.site_zero_threshold,
    })
}

fn connection_health(snapshots: &[std::sync::Arc<Snapshot>]) -> Value {
    let sum = |what: fn(&Snapshot) -> u64| snapshots.iter().map(|snapshot| what(snapshot)).sum::<u64>();
    json!({
        "consecutive_failures": sum(|one| one.health.consecutive_failures.into()),
        "total_failures": sum(|one| one.health.failures),
        "total_successes": sum(|one| one.health.polls - one.health.failures.min(one.health.polls)),
        "is_degraded": snapshots.iter().any(|one| one.health.consecutive_failures > 0),
    })
}

fn gateway_status(snapshot: &Snapshot, now: Instant) -> Value {
    let backoff = snapshot.health.next_attempt.map(|next| next.saturating_duration_since(now).as_secs());
    json!({
        "id": snapshot.gateway.id,
        "name": snapshot.gateway.name,
        "host": snapshot.gateway.host,
        "online": snapshot.freshness(now) == Freshness::Live,
        "last_error": status::error(snapshot),
        "last_updated": snapshot.reading.as_ref().map(|reading| reading.taken_at),
        "consecutive_failures": snapshot.health.consecutive_failures,
        "backoff_seconds": backoff.filter(|_| snapshot.health.consecutive_failures > 0).unwrap_or(0),
    })
}

/// `H:MM:SS` or `N days, H:MM:SS`.
fn duration(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let clock = format!("{}:{:02}:{:02}", rest / 3600, rest / 60 % 60, rest % 60);
    match days {
        0 => clock,
        1 => format!("1 day, {clock}"),
        days => format!("{days} days, {clock}"),
    }
}

/// Memory in use; `None` where the system does not say.
fn resident_kilobytes() -> Option<u64> {
    // A file in memory: reading it takes no longer than any other system call.
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    #[test]
    fn uptimes_are_written_as_before() {
        assert_eq!(super::duration(11), "0:00:11");
        assert_eq!(super::duration(90_061), "1 day, 1:01:01");
        assert_eq!(super::duration(2 * 86_400), "2 days, 0:00:00");
    }
}
