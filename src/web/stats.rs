//! `/stats`: what the service has done so far, in the words of the servers before it.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse};
use bytes::{BufMut, Bytes};
use log::info;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::State;
use super::cloud_control;
use super::docs::escaped;
use super::fleet;
use super::holder::holder;
use super::plumbing::{self, HTML, Refusal};
use crate::clock::unix_time;
use crate::directory::Selection;
use crate::model::{Freshness, LinkKind, Snapshot};
use crate::pieces::Listing;
use crate::settings::Role;
use crate::views::status;

/// Where the gateways stand in the statistics, one by one.
const STATUSES: &str = "gateway_statuses";
/// The log says at most this often that clients were cut.
const NEWS_EVERY: Duration = Duration::from_secs(60);

/// Counts answers.
#[derive(Debug)]
pub(super) struct Counters {
    gets: AtomicU64,
    /// Orders that were carried out.
    posts: AtomicU64,
    errors: AtomicU64,
    /// Unix seconds since when it is counted.
    since: AtomicU64,
    /// Clients that were disconnected because they did not take their answer.
    cut: AtomicU64,
    /// When the log last said so.
    logged: Mutex<Option<Instant>>,
}

impl Counters {
    /// Answers with a status of 400 or more.
    pub fn errors(&self) -> u64 {
        self.errors.load(Ordering::Relaxed)
    }

    /// Clients that were disconnected because they did not take their answer.
    pub fn cuts(&self) -> u64 {
        self.cut.load(Ordering::Relaxed)
    }

    /// Counts a client that is disconnected because it does not take its answer. The log says so once in a
    /// while: a thousand of them at once are one piece of news.
    pub fn cut(&self, now: Instant) {
        let cuts = self.cut.fetch_add(1, Ordering::Relaxed) + 1;
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        if logged.is_none_or(|logged| now.saturating_duration_since(logged) >= NEWS_EVERY) {
            *logged = Some(now);
            info!(event = "client_cut", clients = cuts; "clients that did not take their answer and were \
                disconnected: {cuts} so far");
        }
    }

    pub fn new(since: f64) -> Self {
        Self {
            gets: AtomicU64::new(0),
            posts: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            since: AtomicU64::new(since as u64),
            cut: AtomicU64::new(0),
            logged: Mutex::default(),
        }
    }

    pub fn count(&self, is_order: bool, status: StatusCode) {
        let refused = status.as_u16() >= 400;
        match is_order {
            true => self.posts.fetch_add(u64::from(!refused), Ordering::Relaxed),
            false => self.gets.fetch_add(1, Ordering::Relaxed),
        };
        if refused {
            self.errors.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Starts counting anew. By GET, as the proxy has it, but with the control token only: anybody else could
/// hide what they did, a page in a browser on this machine as well, and some readers follow every link.
pub(super) fn clear(state: &State, request: &HttpRequest) -> HttpResponse {
    match holder(state, request, Role::Operator) {
        Ok(_) => cleared(state, request),
        Err(denied) => Refusal::from(denied).answer(),
    }
}

pub(super) fn cleared(state: &State, request: &HttpRequest) -> HttpResponse {
    let counters = &state.counters;
    counters.gets.store(0, Ordering::Relaxed);
    counters.posts.store(0, Ordering::Relaxed);
    counters.errors.store(0, Ordering::Relaxed);
    counters.since.store(unix_time() as u64, Ordering::Relaxed);
    state.table.clear();
    stats(state, request)
}

/// `/help`: the statistics for people.
pub(super) fn help(state: &State, request: &HttpRequest) -> HttpResponse {
    let mut page = String::from(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta http-equiv=\"refresh\" content=\"5\">\
         <title>powerwall-server: statistics</title><h1>Statistics</h1><table>",
    );
    let selection = match fleet::selection(state, request) {
        Ok(selection) => selection,
        Err(refused) => return *refused,
    };
    for (name, value) in body(state).as_object().into_iter().flatten() {
        let text = match value {
            Value::String(text) => escaped(text),
            value => escaped(&value.to_string()),
        };
        let _ = write!(page, "<tr><th align=\"left\">{}<td>{text}", escaped(name));
    }
    page += "</table></html>";
    let mark = format!("<th align=\"left\">{STATUSES}<td>[");
    let page = statuses(fleet::split(page, &mark), selection.clone(), escaped);
    plumbing::page(match fleet::is_house(&selection) {
        true => fleet::whole(StatusCode::OK, HTML, page),
        false => fleet::sent(request, StatusCode::OK, HTML, page),
    })
}

pub(super) fn stats(state: &State, request: &HttpRequest) -> HttpResponse {
    match fleet::selection(state, request) {
        Ok(selection) => {
            let around = fleet::around(&body(state), STATUSES);
            let listing = statuses(around, selection.clone(), str::to_owned);
            fleet::listed(request, &selection, StatusCode::OK, listing)
        }
        Err(refused) => *refused,
    }
}

/// The list of gateways in the statistics, each as `written`.
fn statuses(around: (Bytes, Bytes), selection: Selection, written: fn(&str) -> String) -> Listing {
    let now = Instant::now();
    Listing::new(around, selection, move |_, entry, out| {
        let status = gateway_status(&entry.board.read(), now);
        out.put_slice(written(&status.to_string()).as_bytes());
        true
    })
}

/// Everything but the list of gateways.
fn body(state: &State) -> Value {
    let now = Instant::now();
    let snapshots = state.directory.snapshots();
    let any = |what: fn(&Snapshot) -> bool| snapshots.iter().any(|snapshot| what(snapshot));
    let online = snapshots.iter().filter(|snapshot| snapshot.freshness(now) == Freshness::Live).count();
    let (cloud, fleet) = (any(|one| one.gateway.cloud_mode), any(|one| one.gateway.fleetapi));
    // How it is reached, or should be, as long as nobody knows.
    let over = |one: &Snapshot, kind: LinkKind, configured: bool| match one.link_in_use() {
        Some(used) => used == kind,
        None => configured,
    };
    let over_fleet = snapshots.iter().any(|one| over(one, LinkKind::FleetApi, one.gateway.fleetapi));
    let over_owners = snapshots.iter().any(|one| over(one, LinkKind::Cloud, one.gateway.cloud_mode));
    let is_tedapi = |one: &Snapshot| match one.link_in_use() {
        Some(used) => used.tedapi_mode() != "off",
        None => one.gateway.expects_tedapi(),
    };
    let modes = || snapshots.iter().filter_map(|one| one.link_in_use()).map(LinkKind::tedapi_mode);
    // The last that has one; off if all are known to have none.
    let mode = modes().rfind(|mode| *mode != "off").or(modes().next_back());
    let expected = any(|one| one.gateway.expects_tedapi());
    let tedapi = snapshots.iter().any(|one| is_tedapi(one));
    let basic_lan =
        any(|one| one.reading.as_ref().is_some_and(|reading| reading.telemetry.answers().is_basic_lan()));
    let counters = &state.counters;
    let version = env!("CARGO_PKG_VERSION");
    let uptime = now.saturating_duration_since(state.started).as_secs();
    let configured = configuration(state);
    let mut body = json!({
        "pypowerwall": format!("{version} powerwall-server"),
        "pypowerwall_version": version,
        "server_version": version,
        "mode": if fleet { "FleetAPI" } else if cloud { "Cloud" } else { "Local" },
        "gets": counters.gets.load(Ordering::Relaxed),
        "posts": counters.posts.load(Ordering::Relaxed),
        "errors": counters.errors(),
        "timeout": snapshots.iter().map(|one| one.health.failures).sum::<u64>(),
        "uri": state.table.counts(),
        "ts": unix_time() as u64,
        "start": state.started_at as u64,
        "clear": counters.since.load(Ordering::Relaxed),
        "uptime": duration(uptime),
        "mem": resident_kilobytes(),
        "cloudmode": over_owners || over_fleet,
        "fleetapi": over_fleet,
        "tedapi": tedapi,
        "basiclan": basic_lan,
        "cloudcontrol": cloud_control::healthy(&snapshots).is_some(),
        "cloud_control": cloud_control::described(&snapshots),
        "pw3": is_powerwall3(&snapshots, now),
        "tedapi_mode": mode.or(expected.then_some("full")),
        "siteid": any(|one| one.gateway.site_id.is_some()).then_some("**********"),
        "counter": 0,
        "cf": configured.get("PW_CACHE_FILE").cloned().unwrap_or_default(),
        "config": configured,
        "connection_health": connection_health(&snapshots),
        "gateways": { "total": snapshots.len(), "online": online, "offline": snapshots.len() - online },
        STATUSES: [],
        "fallback_mode": {},
        "history": history(state),
    });
    if let Some(first) = snapshots.first() {
        let name = first.telemetry(now).and_then(|telemetry| telemetry.readings.site_name.clone());
        body["site_name"] = name.unwrap_or_else(|| first.gateway.name.clone()).into();
    }
    body
}

/// How recording goes.
fn history(state: &State) -> Value {
    let tally = state.history.tally();
    json!({
        "enabled": state.history.is_on(),
        "bytes": tally.bytes.load(Ordering::Relaxed),
        "waiting": tally.waiting.load(Ordering::Relaxed),
        "failures": tally.failures.load(Ordering::Relaxed),
        "rejections": tally.rejections.load(Ordering::Relaxed),
        "problem": tally.problem(),
    })
}

/// What is set: all that the servers before show, in their order, and what only this one has.
fn configuration(state: &State) -> Map<String, Value> {
    let (http, polling) = (&state.http, state.polling.load());
    let mut shown = Map::clone(&state.configured.load());
    let now = json!({
        "PW_BIND_ADDRESS": http.bind,
        "PW_PORT": http.port,
        "PW_CACHE_EXPIRE": polling.interval.as_secs(),
        "PW_CACHE_TTL": polling.cache_ttl.as_secs(),
        "PW_GRACEFUL_DEGRADATION": polling.graceful_degradation,
        "PW_NEG_SOLAR": polling.adjustments.keep_negative_solar,
        "PW_SITE_ZERO_THRESHOLD": polling.adjustments.site_zero_threshold,
        "PW_LEGACY_ZEROS": polling.adjustments.legacy_zeros,
        "PW_BROWSER_CACHE": http.browser_cache.as_secs(),
        "PW_STYLE": http.style.name(),
    });
    if let Value::Object(now) = now {
        shown.extend(now);
    }
    shown
}

/// Whether there is a Powerwall 3; null while only the hardware behind a signed link could be one.
fn is_powerwall3(snapshots: &[Arc<Snapshot>], now: Instant) -> Option<bool> {
    let known = |one: &Snapshot| one.telemetry(now).and_then(|known| known.readings.powerwall3);
    if snapshots.iter().any(|one| known(one) == Some(true)) {
        return Some(true);
    }
    let is_open = |one: &Snapshot| known(one).is_none() && one.gateway.links.contains(&LinkKind::V1r);
    (!snapshots.iter().any(|one| is_open(one))).then_some(false)
}

fn connection_health(snapshots: &[Arc<Snapshot>]) -> Value {
    let sum = |what: fn(&Snapshot) -> u64| snapshots.iter().map(|snapshot| what(snapshot)).sum::<u64>();
    let cloud = cloud_control::healthy(snapshots);
    let newest = snapshots.iter().filter_map(|one| one.reading.as_ref()).map(|reading| reading.taken_at);
    json!({
        "consecutive_failures": sum(|one| one.health.consecutive_failures.into()),
        "total_failures": sum(|one| one.health.failures),
        "total_successes": sum(|one| one.health.polls - one.health.failures.min(one.health.polls)),
        "is_degraded": snapshots.iter().any(|one| is_left_alone(one)) || cloud == Some(false),
        "local_healthy": cloud_control::local_healthy(snapshots),
        "cloud_healthy": cloud,
        "last_success_time": newest.reduce(f64::max),
        // Gateways of which there is something.
        "cache_size": snapshots.iter().filter(|one| one.reading.is_some()).count(),
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
        "backoff_seconds": backoff.filter(|_| is_left_alone(snapshot)).unwrap_or(0),
    })
}

/// Whether the next poll waits for a pause instead of the next tick.
fn is_left_alone(snapshot: &Snapshot) -> bool {
    snapshot.health.consecutive_failures > 0 || snapshot.health.cooldown_until.is_some()
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
pub(super) fn resident_kilobytes() -> Option<u64> {
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
