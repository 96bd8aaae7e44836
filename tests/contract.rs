//! Every body the servers before ours were recorded with, beside ours for the same gateway. Where ours differ on
//! purpose, the place and the reason are listed; a difference that is not listed fails, and so does an entry that
//! nothing needs.

mod common;

use std::collections::BTreeSet;
use std::sync::Arc;

use common::{Faces, snapshot};
use powerwall_server::model::tedapi::{Payloads, SystemInfo};
use powerwall_server::model::{Adjustments, Freshness, Snapshot, Source, Telemetry};
use serde_json::Value;

/// Routes of later versions of ours; the reference has them already.
const NOT_YET: [&str; 2] = ["/control/", "/api/timeseries/"];

type Deviations = &'static [(&'static str, &'static str)];

/// In every state.
const ALWAYS: Deviations = &[
    ("/stats/**", "of another program, at another time"),
    ("/api/solars/brands/**", "only the gateway's own set-up pages read it; they are not served"),
    ("/api/system/update/status/current_time", "now"),
    ("/api/system/update/status/last_status_time", "now"),
    ("/health/version", "ours"),
    ("/api/mqtt/status/last_error", "ours"),
    ("/api/mqtt/status/last_error_at", "ours"),
    ("/api/mqtt/status/queued", "ours"),
    ("/api/mqtt/status/published", "ours"),
    ("/api/aggregate/timestamp", "now"),
    ("/api/aggregate/*/timestamp", "now"),
];

fn recorded(name: &str) -> Value {
    let path = format!("{}/tests/fixtures/golden/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// What the recorded gateway said, as ours would have heard it.
fn telemetry(golden: &Value) -> Arc<Telemetry> {
    let said = |path: &str| golden[path]["json"].to_string().into();
    let mut payloads = Payloads::new("127.0.0.1:8443");
    payloads.set_din("1232100-00-E--TG123456789ABC");
    payloads.accept_config(said("/tedapi/config")).unwrap();
    payloads.accept_controller(said("/tedapi/controller")).unwrap();
    payloads.accept_status(said("/tedapi/status")).unwrap();
    payloads.accept_system_info(SystemInfo {
        din: None,
        version: Some("25.42.2 4064fc6a".into()),
        git_hash: Some("4064fc6a5b3242".into()),
    });
    Telemetry::new(Source::Tedapi(payloads), Adjustments::default())
}

fn default_gateway(freshness: Freshness) -> Snapshot {
    let golden = recorded("server-0.13.0-one-fresh");
    let mut snapshot = snapshot("default", &telemetry(&golden), freshness);
    let facts = Arc::make_mut(&mut snapshot.gateway);
    facts.name = "Default Gateway".into();
    facts.host = Some("127.0.0.1:8443".into());
    facts.timezone = Some("America/Los_Angeles".into());
    snapshot
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

/// `*` stands for one part of a path, `**` for the rest.
fn matches(pattern: &str, place: &str) -> bool {
    let mut place = place.split('/');
    for part in pattern.split('/') {
        match (part, place.next()) {
            ("**", Some(_)) => return true,
            ("*", Some(_)) => {}
            (part, Some(other)) if part == other => {}
            _ => return false,
        }
    }
    place.next().is_none()
}

fn place(difference: &str) -> &str {
    difference.split(": ").next().unwrap()
}

/// Asks for everything that was recorded.
async fn compare(golden: &Value, faces: &Faces, deviations: &[Deviations]) {
    let (mut unexpected, mut used) = (Vec::new(), BTreeSet::new());
    for (path, theirs) in golden.as_object().unwrap() {
        if NOT_YET.iter().any(|prefix| path.starts_with(prefix)) {
            continue;
        }
        let ours = faces.get(path).await;
        let route = path.trim_end_matches('/');
        let mut found = Vec::new();
        if Value::from(ours.status) != theirs["status"] {
            found.push(format!("{route}: status {} instead of {}", ours.status, theirs["status"]));
        } else if let Some(text) = theirs["text"].as_str() {
            let ours = String::from_utf8_lossy(&ours.body);
            if ours != text {
                found.push(format!("{route}: {ours:?} instead of {text:?}"));
            }
        } else {
            let body = serde_json::from_slice(&ours.body).unwrap();
            differences(route, &body, &theirs["json"], &mut found);
        }
        for difference in found {
            let known = deviations.iter().copied().flatten();
            let listed: Vec<_> = known.filter(|(pattern, _)| matches(pattern, place(&difference))).collect();
            used.extend(listed.iter().map(|(pattern, _)| *pattern));
            if listed.is_empty() {
                unexpected.push(difference);
            }
        }
    }
    assert!(unexpected.is_empty(), "{} differences:\n{}", unexpected.len(), unexpected.join("\n"));
    let own = deviations.iter().skip(1).copied().flatten();
    let needless: Vec<_> = own.filter(|(pattern, _)| !used.contains(pattern)).collect();
    assert!(needless.is_empty(), "nothing needs {needless:?}");
}

#[actix_web::test]
async fn a_fresh_gateway_is_told_as_before() {
    let faces = Faces::of(vec![default_gateway(Freshness::Live)]);
    compare(&recorded("server-0.13.0-one-fresh"), &faces, &[ALWAYS, FRESH]).await;
}

#[actix_web::test]
async fn an_expired_gateway_is_told_as_before_but_for_invented_values() {
    let faces = Faces::of(vec![default_gateway(Freshness::Expired)]);
    compare(&recorded("server-0.13.0-one-expired"), &faces, &[ALWAYS, EXPIRED]).await;
}

#[actix_web::test]
async fn without_gateways_everything_answers_as_before() {
    compare(&recorded("server-0.13.0-none-fresh"), &Faces::of(Vec::new()), &[ALWAYS, NO_GATEWAY]).await;
}

const FRESH: Deviations = &[];
const EXPIRED: Deviations = &[];
const NO_GATEWAY: Deviations = &[];
