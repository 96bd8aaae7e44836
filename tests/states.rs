//! One table of what every route answers in every state of a gateway: `tests/fixtures/states.json`.
//!
//! FRESH for a site of two Powerwall 2, one of a Powerwall 3 with follower and expansion, and a solar
//! inverter without a battery; STALE, EXPIRED, never polled, no gateway, an unknown id, and several gateways
//! beside each other. The bodies stand there to be read: what changes a line of that file changes what
//! somebody's client sees. Equal bodies are written once, and what is different from run to run (times,
//! versions, pages) is left out.

mod common;

use std::collections::HashMap;
use std::sync::Arc;

use actix_web::http::Method;
use bytes::Bytes;
use common::{Answer, OWNER, Outputs, snapshot};
use powerwall_server::link::tedapi::answers::{SystemInfo, TedapiAnswers};
use powerwall_server::model::Freshness::{self, Expired, Live, Never, Stale};
use powerwall_server::model::{Adjustments, Health, Snapshot, Telemetry};
use powerwall_server::web::compatibility;
use serde_json::{Map, Value, json};

const TABLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/states.json");

/// Name in the table and in the recordings.
const SITES: [(&str, &str); 3] = [
    ("powerwall 2", "pw2_two_units_tepod"),
    ("powerwall 3", "pw3_leader_follower_expansion_trm_dropout"),
    ("inverter", "solar_only_neurio"),
];

/// Keys whose values are those of the moment.
const MOMENT: [&str; 15] = [
    "age",
    "clear",
    "current_time",
    "data_age_seconds",
    "end",
    "errors",
    "gets",
    "last_attempt",
    "last_status_time",
    "mem",
    "start",
    "ts",
    "uptime",
    "uri",
    "timestamp",
];

fn telemetry(site: &str) -> Arc<Telemetry> {
    let golden: Value = serde_json::from_str(include_str!("fixtures/tedapi/golden.json")).unwrap();
    let input = &golden[site]["input"];
    let bytes = |value: &Value| Bytes::from(value.to_string());
    let mut payloads = TedapiAnswers::new("192.168.91.1");
    payloads.accept_config(bytes(&input["config"])).unwrap();
    payloads.accept_controller(bytes(&input["device_controller"])).unwrap();
    payloads.accept_status(bytes(&input["status"])).unwrap();
    for (din, components) in input["components_by_din"].as_object().into_iter().flatten() {
        payloads.accept_components(din, bytes(components)).unwrap();
    }
    payloads.accept_system_info(SystemInfo {
        version: Some("26.26.11 c4db63ce".into()),
        ..SystemInfo::default()
    });
    Telemetry::new(Arc::new(payloads), Adjustments::default())
}

fn gateway(id: &str, site: &str, freshness: Freshness) -> Snapshot {
    let mut snapshot = snapshot(id, &telemetry(site), freshness);
    if freshness == Never {
        snapshot.health = Health::default();
    }
    snapshot
}

/// Every path that is read and that the servers before have as well, as the table of the program has it, with
/// something in its variable parts. Feeds and files have tests of their own.
fn paths(id: &str) -> Vec<String> {
    let page = compatibility();
    let rows = page
        .lines()
        .filter(|line| line.starts_with("| `/") && line.contains("| GET") && !line.contains("| new |"));
    let paths = rows.map(|row| row.split('`').nth(1).unwrap());
    let read = paths
        .filter(|path| !path.starts_with("/ws/") && !path.starts_with("/sse/") && !path.contains("{file}"));
    read.map(|path| path.replace("{id}", id).replace("{path}", "status")).collect()
}

/// Without what is different in every run.
fn steady(key: &str, value: &Value) -> Value {
    match value {
        Value::Number(_) | Value::String(_) | Value::Object(_) if MOMENT.contains(&key) => "…".into(),
        Value::Object(fields) => {
            fields.iter().map(|(key, value)| (key.clone(), steady(key, value))).collect::<Map<_, _>>().into()
        }
        Value::Array(items) => items.iter().map(|item| steady("", item)).collect(),
        Value::String(text) => text.replace(env!("CARGO_PKG_VERSION"), "VERSION").into(),
        plain => plain.clone(),
    }
}

/// An answer of the gateway is what the recordings have; only what is in it is in the table.
fn names(answer: &Value) -> Value {
    match answer {
        Value::Object(fields) if !fields.contains_key("error") => {
            format!("{{{}}}", fields.keys().cloned().collect::<Vec<_>>().join(", ")).into()
        }
        Value::Array(items) => format!("[{} items]", items.len()).into(),
        plain => plain.clone(),
    }
}

/// What is in the table for an answer.
fn shown(path: &str, answer: &Answer) -> Value {
    let kind = answer.header("content-type").unwrap_or_default();
    let text = String::from_utf8_lossy(&answer.body);
    // The list of routes is the table itself, and has tests of its own.
    let body = match kind {
        "application/json" if path.starts_with("/tedapi/") => names(&serde_json::from_str(&text).unwrap()),
        "application/json" if path != "/openapi.json" => steady("", &serde_json::from_str(&text).unwrap()),
        "text/plain; charset=utf-8" if path.starts_with("/csv") => text.into(),
        other => format!("({other})").into(),
    };
    if answer.status == 200 { body } else { json!({ "status": answer.status, "body": body }) }
}

/// Writes equal bodies once.
#[derive(Default)]
struct Known {
    /// Where a body stands, by its text.
    places: HashMap<String, String>,
}

impl Known {
    /// What to write for `body`, which stands at `place` from now on if it stands nowhere yet.
    fn refer(&mut self, place: &str, body: &Value) -> Value {
        let text = body.to_string();
        if text.len() < 60 {
            return body.clone();
        }
        if let Some(known) = self.places.get(&text) {
            return format!("as {known}").into();
        }
        self.places.insert(text, place.to_owned());
        self.shorten(body)
    }

    fn shorten(&self, body: &Value) -> Value {
        let part = |value: &Value| match self.places.get(&value.to_string()) {
            Some(known) => format!("as {known}").into(),
            None => self.shorten(value),
        };
        match body {
            Value::Object(fields) => {
                fields.iter().map(|(key, value)| (key.clone(), part(value))).collect::<Map<_, _>>().into()
            }
            Value::Array(items) => items.iter().map(part).collect(),
            plain => plain.clone(),
        }
    }
}

async fn bodies(outputs: &Outputs, id: &str) -> Vec<Value> {
    let mut bodies = Vec::new();
    for path in paths(id) {
        bodies.push(shown(&path, &outputs.send(Method::GET, &path, &OWNER).await));
    }
    bodies
}

async fn table() -> Value {
    let one = |site: &str, freshness| Outputs::guarded(vec![gateway("home", site, freshness)]);
    let mut known = Known::default();
    let mut columns: Vec<(String, Vec<Value>)> = Vec::new();
    for (name, site) in SITES {
        columns.push((format!("fresh, {name}"), bodies(&one(site, Live), "home").await));
    }
    let site = SITES[1].1;
    let several = vec![
        gateway("home", site, Live),
        gateway("cabin", SITES[0].1, Stale),
        gateway("roof", SITES[2].1, Live),
        gateway("barn", SITES[0].1, Expired),
    ];
    columns.push(("stale, powerwall 3".into(), bodies(&one(site, Stale), "home").await));
    columns.push(("expired".into(), bodies(&one(site, Expired), "home").await));
    columns.push(("never polled".into(), bodies(&one(site, Never), "home").await));
    columns.push(("no gateway".into(), bodies(&Outputs::guarded(Vec::new()), "home").await));
    columns.push(("unknown id".into(), bodies(&one(site, Live), "nope").await));
    columns
        .push(("several, the first a powerwall 3".into(), bodies(&Outputs::guarded(several), "home").await));
    let mut table = Map::new();
    for (index, path) in paths("{id}").into_iter().enumerate() {
        let mut row = Map::new();
        for (name, column) in &columns {
            let body = &column[index];
            if name == "unknown id" && !path.contains("{id}") {
                continue;
            }
            let written = match row.iter().find(|(other, _)| {
                columns.iter().any(|(column, bodies)| column == *other && bodies[index] == *body)
            }) {
                Some((other, _)) if body.to_string().len() >= 30 => format!("as {other}").into(),
                _ => known.refer(&format!("{path} ({name})"), body),
            };
            row.insert(name.clone(), written);
        }
        table.insert(path, row.into());
    }
    table.into()
}

#[actix_web::test]
async fn every_route_answers_in_every_state_as_the_table_says() {
    let found = serde_json::to_string_pretty(&table().await).unwrap() + "\n";
    if std::env::var_os("UPDATE_STATES").is_some() {
        std::fs::write(TABLE, &found).unwrap();
    }
    let expected = std::fs::read_to_string(TABLE).unwrap_or_default();
    let differing =
        found.lines().zip(expected.lines()).enumerate().find(|(_, (found, expected))| found != expected);
    if let Some((number, (found, expected))) = differing {
        panic!(
            "line {} of states.json is {expected:?}, found {found:?}; if that is meant: \
             UPDATE_STATES=1 cargo test --test states, and look at the difference",
            number + 1
        );
    }
    assert_eq!(found.len(), expected.len(), "states.json");
}

/// Whatever changes in the table: no state without data may show a number that nobody measured.
#[actix_web::test]
async fn no_state_without_data_invents_a_number() {
    const OF_THE_SERVICE: [&str; 10] = [
        "/api/gateways",
        "/api/aggregate",
        "/health",
        "/stats",
        "/api/mqtt",
        "/api/timeseries/status",
        // The catalogue of signals, and the window that is asked for.
        "/api/timeseries/signal",
        "/api/system/update",
        "/api/status",
        "/pw/status",
    ];
    fn numbers(place: &str, body: &Value, found: &mut Vec<String>) {
        match body {
            Value::Number(number) => found.push(format!("{place}: {number}")),
            Value::Object(fields) => {
                fields.iter().for_each(|(key, value)| numbers(&format!("{place}/{key}"), value, found))
            }
            Value::Array(items) => items.iter().for_each(|item| numbers(place, item, found)),
            _ => {}
        }
    }
    for freshness in [Expired, Never] {
        let outputs = Outputs::of(vec![gateway("home", SITES[1].1, freshness)]);
        let mut found = Vec::new();
        for path in paths("home") {
            let answer = outputs.get(&path).await;
            let is_json = answer.header("content-type") == Some("application/json");
            if is_json
                && !OF_THE_SERVICE.iter().any(|start| path.starts_with(start))
                && path != "/openapi.json"
            {
                numbers(&path, &serde_json::from_slice(&answer.body).unwrap(), &mut found);
            }
            if path.starts_with("/csv") {
                assert!(!answer.body.iter().any(u8::is_ascii_digit), "{path}: {:?}", answer.body);
            }
        }
        // How long a list is that is empty.
        found.retain(|place| !place.ends_with("/count: 0"));
        // The number that stands for a version that nobody reported.
        found.retain(|place| !place.ends_with("version/vint: 0") && !place.starts_with("/health/reset"));
        assert!(found.is_empty(), "{freshness:?}: {found:?}");
    }
}
