//! Every body the servers before ours were recorded with, beside ours for the same gateway. Where ours differ
//! on purpose, the place and the reason are listed; a difference that is not listed fails, and so does an
//! entry that nothing needs.

mod common;

use std::collections::BTreeSet;

use common::Outputs;
use common::recorded::{default_gateway, recorded};
use powerwall_server::model::{Freshness, Health};
use serde_json::Value;

/// Place (`*`: one step, `**`: any number of steps) and reason.
type Deviations = &'static [(&'static str, &'static str)];

/// What has routes in the recordings and is no part of this program yet.
const NOT_YET: [&str; 2] = ["/control", "/api/timeseries"];

const UNREPORTED: &str = "not reported by the protocol: null, where the library has a constant 0";
const ENERGY: &str =
    "energy counters come from the customer API, which is not in this recording: unknown is null, not 0";
const CONSTANT: &str = "a constant of the library";
const FOREIGN: &str =
    "the library's sample of somebody else's system; ours is made of what this gateway reports";
const SORTED: &str = "sorted by name, so that two polls do not differ";
const MORE: &str = "more than they report, behind what they report";
const FLAG: &str = "a flag that the gateway does not report is null, not 0";
const NOW: &str = "the moment of the recording";
const EMPTY: &str = "unknown: an empty column";
const NULL: &str = "unknown is null, not 0";
const NO_LATCH: &str = "nothing is latched here, so there is no fallback to leave";

/// The recorded gateway reported watts where real ones report kilowatts.
const WATTS: &str = "watts, as over the customer API, and not kilowatts";

/// In every state of the server; entries need not be used in each.
const ALWAYS: Deviations = &[
    ("/stats/**", "another program at another time; clients.rs asserts the keys that clients read"),
    ("/api/solars/brands/**", "only the gateway's own set-up pages read it; they are not served"),
    ("/api/system/update/status/current_time", NOW),
    ("/api/system/update/status/last_status_time", NOW),
    ("/health/version", "ours"),
    ("/health/gateway_details/*/freshness", MORE),
    ("/health/pypowerwall", "of the proxy's /health; Home Assistant shows it"),
    ("/health/graceful_degradation", "of the proxy's /health"),
    ("/health/pypowerwall_cache_expire", "of the proxy's /health"),
    ("/health/degradation_cache_ttl_seconds", "of the proxy's /health"),
    ("/health/fallback_mode/default", NO_LATCH),
    ("/api/aggregate/timestamp", NOW),
    ("/api/aggregate/*/timestamp", NOW),
    ("**/last_updated", "the time of the last good answer, also when it is too old to be shown"),
    ("**/freshness", MORE),
    ("**/age", MORE),
    ("**/last_attempt", MORE),
    ("/api/aggregate/total_energy_remaining", MORE),
    ("/api/aggregate/contributors", MORE),
    ("/api/aggregate/stale", MORE),
    ("/api/aggregate/missing", MORE),
    ("/api/mqtt/status/last_error", MORE),
    ("/api/mqtt/status/last_error_at", MORE),
    ("/api/mqtt/status/queued", MORE),
    ("/api/mqtt/status/published", MORE),
];

/// With data.
const WITH_DATA: Deviations = &[
    ("/freq/*_p_out", WATTS),
    ("/pod/*_p_out", WATTS),
    ("**/instant_reactive_power", UNREPORTED),
    ("**/instant_apparent_power", UNREPORTED),
    ("**/frequency", UNREPORTED),
    ("**/energy_exported", ENERGY),
    ("**/energy_imported", ENERGY),
    ("**/disclaimer", ENERGY),
    ("**/i_a_current", UNREPORTED),
    ("**/i_b_current", UNREPORTED),
    ("**/i_c_current", UNREPORTED),
    ("**/VITALS/timestamp", "the gateway's own time; null if it cannot be read"),
    ("**/VITALS/pyPowerwall", "ours"),
    ("**/METER_Z_VL1N", "reported by the gateway under the name VL1G"),
    ("**/METER_Z_VL2N", "reported by the gateway under the name VL2G"),
    ("**/TEMSA--1538000-00-E--M123456789PQR/lastCommunicationTime", "as every device has it"),
    ("/pod/PW*_POD_ActiveHeating", FLAG),
    ("/pod/PW*_POD_ChargeComplete", FLAG),
    ("/pod/PW*_POD_ChargeRequest", FLAG),
    ("/pod/PW*_POD_DischargeComplete", FLAG),
    ("/pod/PW*_POD_PermanentlyFaulted", FLAG),
    ("/pod/PW*_POD_PersistentlyFaulted", FLAG),
    ("/pod/PW*_POD_enable_line", FLAG),
    ("/pod/PW*_off_grid", FLAG),
    ("/pod/PW*_vf_mode", FLAG),
    ("/pod/PW*_wobble_detected", FLAG),
    ("/pod/PW*_charge_power_clamped", FLAG),
    ("/pod/PW*_backup_ready", FLAG),
    ("/alerts/*", SORTED),
    ("/alerts/pw", SORTED),
    ("/pw/alerts/alerts/*", SORTED),
    ("**/data/alerts/*", SORTED),
    ("/api/aggregate/alerts/default/*", SORTED),
    ("/api/powerwalls/**", FOREIGN),
    ("**/data/powerwalls/**", FOREIGN),
    ("**/data/powerwalls", FOREIGN),
    ("**/battery_target_power", UNREPORTED),
    ("**/battery_target_reactive_power", UNREPORTED),
    ("**/max_power_energy_remaining", UNREPORTED),
    ("**/max_power_energy_to_be_charged", UNREPORTED),
    ("**/instantaneous_max_*", UNREPORTED),
    ("**/hardware_capability_*", UNREPORTED),
    ("**/available_charger_blocks", UNREPORTED),
    ("**/ffr_power_availability_*", UNREPORTED),
    ("**/load_charge_constraint", UNREPORTED),
    ("**/max_sustained_ramp_rate", UNREPORTED),
    ("**/smart_inv_delta_*", UNREPORTED),
    ("**/last_toggle_timestamp", CONSTANT),
    ("**/score", CONSTANT),
    ("**/auxiliary_load", UNREPORTED),
    ("**/all_enable_lines_high", CONSTANT),
    ("**/expected_energy_remaining", UNREPORTED),
    (
        "/api/operation/backup_reserve_percent",
        "the raw scale, as the gateway's own API; the app's is in /pw/get_reserve",
    ),
    (
        "**/data/tedapi_config",
        "too much and too private for a body that everybody reads; /tedapi/config has it, masked",
    ),
    ("**/data/timestamp", NOW),
    ("/api/aggregate/total_battery_capacity", "they never computed it"),
    ("/api/aggregate/battery/total_capacity", "they never computed it"),
];

const FRESH: Deviations = &[("/api/meters/site/**", FOREIGN)];

const STALE: Deviations = &[
    ("/health/gateway_details/*/error", "other words"),
    ("**/gateway/last_error", "other words"),
    ("/api/gateways/default/error", "other words"),
    ("**/default/error", "other words"),
    ("/tedapi/**", "the last good answer, as for every other route"),
    ("/api/meters/site", "the last good answer, as for every other route"),
    ("/api/operation/stale", "true, because it is"),
    ("/api/aggregate/total_*", "data within its time counts in the sum, and the sum says whose it is"),
    ("/api/aggregate/gateways/**", "data within its time counts in the sum"),
    ("/api/aggregate/power/*", "data within its time counts in the sum"),
    ("/api/aggregate/soe/*", "data within its time counts in the sum"),
    ("/api/aggregate/battery/*", "data within its time counts in the sum"),
];

/// Without data to show.
const WITHOUT_DATA: Deviations = &[
    ("/aggregates", "null, as the proxy: a database takes nothing from it"),
    ("/api/meters/aggregates", "null, as the proxy"),
    ("/soe", "null, as the proxy"),
    ("/vitals", "null, as the proxy"),
    ("/strings", "null, as the proxy"),
    ("/freq/freq", "a key that no other state has"),
    ("/csv", EMPTY),
    ("/csv/v2", EMPTY),
    ("/csv?headers", EMPTY),
    ("/csv/v2?headers", EMPTY),
    ("/pw/power/*", NULL),
    ("/api/aggregate/total_*", NULL),
    ("/api/aggregate/power/*", NULL),
    ("/api/aggregate/soe/*", NULL),
    ("/api/aggregate/battery/*", NULL),
    ("/api/aggregate/gateways/default", "every gateway is listed, with the reason why it has no data"),
];

const EXPIRED: Deviations = &[
    ("/health/gateway_details/*/error", "other words"),
    ("/api/gateways/default/gateway/last_error", "other words"),
    ("/api/gateways/default/error", "other words"),
];

const NEVER: Deviations = &[("/api/gateways/default/gateway/last_error", "as error")];

const NO_GATEWAY: Deviations = &[
    ("/api/aggregate/total_*", NULL),
    ("/api/aggregate/power/*", NULL),
    ("/api/aggregate/soe/*", NULL),
    ("/api/aggregate/battery/*", NULL),
];

const STRAY: &str = "404 and JSON, not 200 and a text";
const TESLA_PAGES: &str = "Tesla's pages are not shipped";
const OWN_PAGE: &str = "a page of ours";

/// Routes that only the proxy has.
const PROXY: Deviations = &[
    ("/help", OWN_PAGE),
    ("/", OWN_PAGE),
    ("/index.html", OWN_PAGE),
    ("/example.html", OWN_PAGE),
    ("/favicon.ico", "another picture"),
    ("/favicon-32x32.png", "another picture"),
    ("/static/app.js", OWN_PAGE),
    ("/viz-static/**", TESLA_PAGES),
    ("/bogus", "sample data of Tesla's pages"),
    ("/tedapi/nope", STRAY),
    ("/pw/nope", STRAY),
    ("/pw", STRAY),
    ("/api", STRAY),
    ("/api/devices/vitals", STRAY),
    ("/csvfoo", STRAY),
    ("/csv/v3", STRAY),
    ("/csv/v2/x?headers", STRAY),
    ("/fans/pwx", STRAY),
    ("/AGGREGATES", STRAY),
    ("//aggregates", STRAY),
    ("/../server.py", STRAY),
    ("/..%2fserver.py", STRAY),
    ("/ws/aggregate", "a WebSocket"),
    ("/aggregates", "a slash at the end makes no difference"),
    ("/aggregates?x=1", "a query makes no difference"),
    ("/api/status?x=1/**", "as /api/status of the server"),
    ("/api/gateways", "a route of the server"),
    ("/api/aggregate", "a route of the server"),
    ("/stats/clear/**", "another program at another time"),
    ("/stats/clear", "another program at another time"),
    ("/health/reset/**", "nothing is latched and nothing is cached, so nothing is cleared"),
];

/// Without data, where what follows the server differs from the proxy.
const PROXY_EXPIRED: Deviations = &[
    ("/pw/nope", STRAY),
    ("/pw", STRAY),
    ("/help", OWN_PAGE),
    ("/tedapi/error", "the hint, in every state"),
];

fn outputs(freshness: Freshness) -> Outputs {
    Outputs::of(vec![default_gateway(freshness)])
}

/// Places at which `ours` and `theirs` differ; the order of keys counts.
fn differences(path: &str, ours: &Value, theirs: &Value, found: &mut Vec<String>) {
    match (ours, theirs) {
        (Value::Object(ours), Value::Object(theirs)) => {
            for (key, value) in ours {
                match theirs.get(key) {
                    Some(other) => differences(&format!("{path}/{key}"), value, other, found),
                    None => found.push(format!("{path}/{key}: ours has it: {value}")),
                }
            }
            for (key, value) in theirs.iter().filter(|(key, _)| !ours.contains_key(*key)) {
                found.push(format!("{path}/{key}: theirs has it: {value}"));
            }
            let common = |one: &serde_json::Map<String, Value>, other: &serde_json::Map<String, Value>| {
                one.keys().filter(|key| other.contains_key(*key)).cloned().collect::<Vec<_>>()
            };
            if common(ours, theirs) != common(theirs, ours) {
                found.push(format!("{path}: other order of keys"));
            }
        }
        (Value::Array(ours), Value::Array(theirs)) if ours.len() == theirs.len() => {
            for (index, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
                differences(&format!("{path}/{index}"), ours, theirs, found);
            }
        }
        _ if ours == theirs => {}
        _ => found.push(format!("{path}: {ours} instead of {theirs}")),
    }
}

/// Whether a place is meant by a pattern; see [`Deviations`].
fn is_meant(pattern: &[&str], place: &[&str]) -> bool {
    let fits = |part: &str, step: &str| match part.split_once('*') {
        Some((start, end)) => step.len() + 1 >= part.len() && step.starts_with(start) && step.ends_with(end),
        None => part == step,
    };
    match (pattern, place) {
        ([], []) => true,
        (["**", rest @ ..], _) => (0..=place.len()).any(|skipped| is_meant(rest, &place[skipped..])),
        ([part, pattern @ ..], [step, place @ ..]) => fits(part, step) && is_meant(pattern, place),
        _ => false,
    }
}

fn steps(path: &str) -> Vec<&str> {
    path.split('/').collect()
}

/// What is served, beside what was recorded under `path`.
async fn found(outputs: &Outputs, path: &str, theirs: &Value) -> Vec<String> {
    let ours = outputs.get(path).await;
    let route = if path == "/" { path } else { path.trim_end_matches('/') };
    let mut found = Vec::new();
    if theirs["status"] != ours.status {
        found.push(format!("{route}: status {} instead of {}", ours.status, theirs["status"]));
    } else if let Some(text) = theirs["text"].as_str() {
        if ours.body != text.as_bytes() {
            found.push(format!("{route}: {:?} instead of {text:?}", String::from_utf8_lossy(&ours.body)));
        }
    } else {
        let body = serde_json::from_slice(&ours.body).unwrap();
        differences(route, &body, &theirs["json"], &mut found);
    }
    found
}

/// Asks for everything that was recorded, but for what `skip` names. Lists marked `false` may be longer than
/// needed: they serve several states.
async fn compare(
    golden: &Value,
    outputs: &Outputs,
    skip: impl Fn(&str) -> bool,
    lists: &[(Deviations, bool)],
) {
    let (mut unexpected, mut used) = (Vec::new(), BTreeSet::new());
    for (path, theirs) in golden.as_object().unwrap() {
        let later = NOT_YET.iter().any(|prefix| path.starts_with(prefix));
        if later || skip(path) {
            continue;
        }
        for difference in found(outputs, path, theirs).await {
            let place = steps(difference.split(": ").next().unwrap());
            let known = lists.iter().flat_map(|(list, _)| list.iter());
            let listed: Vec<_> = known.filter(|(pattern, _)| is_meant(&steps(pattern), &place)).collect();
            used.extend(listed.iter().map(|(pattern, _)| *pattern));
            if listed.is_empty() {
                unexpected.push(difference.chars().take(300).collect::<String>());
            }
        }
    }
    assert!(unexpected.is_empty(), "{} differences:\n{}", unexpected.len(), unexpected.join("\n"));
    let own = lists.iter().filter(|(_, all_needed)| *all_needed).flat_map(|(list, _)| list.iter());
    let needless: Vec<_> = own.filter(|(pattern, _)| !used.contains(pattern)).collect();
    assert!(needless.is_empty(), "nothing needs {needless:?}");
}

#[actix_web::test]
async fn a_fresh_gateway_is_shown_as_before() {
    let golden = recorded("server-0.13.0-one-fresh");
    let lists = [(ALWAYS, true), (WITH_DATA, true), (FRESH, true)];
    compare(&golden, &outputs(Freshness::Live), |_| false, &lists).await;
}

#[actix_web::test]
async fn a_gateway_that_missed_a_poll_is_shown_as_before_but_for_the_sum() {
    let golden = recorded("server-0.13.0-one-stale");
    let lists = [(ALWAYS, false), (WITH_DATA, false), (STALE, true)];
    compare(&golden, &outputs(Freshness::Stale), |_| false, &lists).await;
}

#[actix_web::test]
async fn an_expired_gateway_is_shown_as_before_but_for_invented_values() {
    let golden = recorded("server-0.13.0-one-expired");
    let lists = [(ALWAYS, false), (WITHOUT_DATA, true), (EXPIRED, true)];
    compare(&golden, &outputs(Freshness::Expired), |_| false, &lists).await;
}

#[actix_web::test]
async fn a_gateway_that_never_answered_is_shown_as_before_but_for_invented_values() {
    let mut snapshot = default_gateway(Freshness::Never);
    std::sync::Arc::make_mut(&mut snapshot.gateway).host = Some("127.0.0.1:8499".into());
    snapshot.health = Health::default();
    let golden = recorded("server-0.13.0-never-fresh");
    let lists = [(ALWAYS, false), (WITHOUT_DATA, true), (NEVER, true)];
    compare(&golden, &Outputs::of(vec![snapshot]), |_| false, &lists).await;
}

#[actix_web::test]
async fn without_gateways_everything_answers_as_before() {
    let golden = recorded("server-0.13.0-none-fresh");
    compare(&golden, &Outputs::of(Vec::new()), |_| false, &[(ALWAYS, false), (NO_GATEWAY, true)]).await;
}

#[actix_web::test]
async fn what_only_the_proxy_has_is_there() {
    let server = recorded("server-0.13.0-one-fresh");
    let golden = recorded("proxy-t97-tedapi_fresh");
    let both =
        |path: &str| server.get(path).is_some() || golden[path]["status"].is_null() && path != "/bogus";
    compare(&golden, &outputs(Freshness::Live), both, &[(PROXY, true)]).await;
}

#[actix_web::test]
async fn what_only_the_proxy_has_is_there_without_data() {
    let server = recorded("server-0.13.0-one-fresh");
    let golden = recorded("proxy-t97-tedapi_ttl-expired");
    let both = |path: &str| server.get(path).is_some();
    compare(&golden, &outputs(Freshness::Expired), both, &[(PROXY_EXPIRED, true)]).await;
}
