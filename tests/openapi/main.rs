//! The OpenAPI document against the running server, in every state, and the bodies that its schemas and
//! examples are made from.

#[path = "../common/mod.rs"]
mod common;
mod schema;

use std::collections::BTreeMap;

use actix_web::http::Method;
use common::{Answer, OWNER, Outputs, SECOND, TOKEN, experienced, http, snapshot, telemetry};
use powerwall_server::model::Freshness::{Expired, Live, Never, Stale};
use powerwall_server::model::{Health, Snapshot};
use powerwall_server::settings::HttpSettings;
use powerwall_server::simulator::SiteKind::{Inverter, Powerwall2, Powerwall3};
use schema::{Shape, misfit};
use serde_json::{Map, Value, json};

/// Ids of the gateways here; in bodies, a key that is one of them is a name. None is a key of anything else.
pub const IDS: [&str; 3] = ["north", "cabin", "barn"];
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/web/bodies.json");
/// Nobody can say what shape these have: they are the gateway's own words, or another route's.
const FREE: [&str; 3] = ["/tedapi/", "/api/gateways/{id}/api/", "/openapi.json"];
/// Keys of these bodies are names, whatever they look like.
const NAMED: [&str; 1] = ["/alerts/pw"];

fn outputs(snapshots: Vec<Snapshot>) -> Outputs {
    Outputs::guarded(snapshots)
}

/// Every state that a body may have to describe, the best one first.
async fn states() -> Vec<(&'static str, Outputs)> {
    let (two, three, solar) =
        (telemetry(Powerwall2).await, telemetry(Powerwall3).await, telemetry(Inverter).await);
    let home = |telemetry, freshness| experienced(snapshot("north", telemetry, freshness));
    let new = Snapshot { health: Health::default(), ..snapshot("north", &three, Never) };
    let several = vec![
        home(&three, Live),
        experienced(snapshot("cabin", &two, Stale)),
        experienced(snapshot("barn", &solar, Expired)),
    ];
    vec![
        ("several", outputs(several)),
        ("a Powerwall 3", outputs(vec![home(&three, Live)])),
        ("a Powerwall 2", outputs(vec![home(&two, Live)])),
        ("an inverter", outputs(vec![home(&solar, Live)])),
        ("stale", outputs(vec![home(&three, Stale)])),
        ("expired", outputs(vec![home(&three, Expired)])),
        ("never", outputs(vec![home(&three, Never)])),
        ("not asked yet", outputs(vec![new])),
        ("none", outputs(Vec::new())),
    ]
}

fn filled(path: &str) -> String {
    path.replace("{id}", "north").replace("{path}", "system_status/soe").replace("{file}", "docs.js")
}

/// Paths of the document with an operation of `method`, and the operation.
fn operations<'a>(document: &'a Value, method: &'a str) -> impl Iterator<Item = (&'a str, &'a Value)> {
    let paths = document["paths"].as_object().unwrap().iter();
    paths.filter_map(move |(path, item)| Some((path.as_str(), item.get(method)?)))
}

fn is_feed(operation: &Value) -> bool {
    operation["responses"].get("101").is_some()
        || operation["responses"]["200"]["content"].get("text/event-stream").is_some()
}

async fn post(outputs: &Outputs, path: &str, token: Option<&str>) -> Answer {
    let header = token.map(|token| format!("Bearer {token}"));
    let headers: Vec<_> = header.iter().map(|header| ("authorization", header.as_str())).collect();
    outputs.send(Method::POST, path, &headers).await
}

/// What is in the file: a schema and an example for each route.
#[actix_web::test]
async fn schemas_and_examples_are_those_of_rendered_bodies() {
    let states = states().await;
    let document = states[0].1.json("/openapi.json").await;
    let mut bodies: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for (_, outputs) in &states {
        for (path, operation) in operations(&document, "get") {
            if is_feed(operation) || path == "/openapi.json" {
                continue;
            }
            let answer = outputs.send(Method::GET, &filled(path), &OWNER).await;
            // How the service is, is told in one shape whether it is well or not.
            let is_told = answer.status == 200 || ["/health", "/readyz"].contains(&path);
            let body = match answer.header("content-type") {
                Some("application/json") if is_told => serde_json::from_slice(&answer.body).unwrap(),
                Some(text) if text.starts_with("text/plain") => String::from_utf8_lossy(&answer.body).into(),
                _ => continue,
            };
            bodies.entry(path.to_owned()).or_default().push(body);
        }
        for (path, _) in operations(&document, "post") {
            let answer = post(outputs, path, Some(TOKEN)).await;
            assert_eq!(answer.status, 200, "POST {path}");
            bodies
                .entry(format!("POST {path}"))
                .or_default()
                .push(serde_json::from_slice(&answer.body).unwrap());
        }
    }
    let mut told: Map<String, Value> =
        bodies.iter().map(|(path, bodies)| (path.clone(), told(path, bodies))).collect();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        // An example that still fits stays, so that a change of the file is a change of what it says.
        let known: Value = serde_json::from_str(&std::fs::read_to_string(FILE).unwrap()).unwrap_or_default();
        for (path, now) in &mut told {
            let example = &known[path]["example"];
            if known[path]["schema"] == now["schema"] && misfit(&now["schema"], example, path).is_none() {
                now["example"] = example.clone();
            }
        }
        let lines: Vec<String> = told.iter().map(|(path, body)| format!("{}: {body}", json!(path))).collect();
        std::fs::write(FILE, format!("{{\n{}\n}}\n", lines.join(",\n"))).unwrap();
    }
    let known: Value = serde_json::from_str(&std::fs::read_to_string(FILE).unwrap()).unwrap();
    let hint = "UPDATE_DOCS=1 cargo test --test openapi";
    assert_eq!(
        known.as_object().unwrap().keys().collect::<Vec<_>>(),
        told.keys().collect::<Vec<_>>(),
        "{hint}"
    );
    for (path, now) in &told {
        assert_eq!(known[path]["schema"], now["schema"], "{path}: {hint}");
        assert_eq!(misfit(&now["schema"], &known[path]["example"], path), None, "{hint}");
    }
}

fn told(path: &str, bodies: &[Value]) -> Value {
    if FREE.iter().any(|free| path.starts_with(free)) {
        return json!({ "schema": {}, "example": beginning(&bodies[0], 3) });
    }
    if let Value::String(text) = &bodies[0] {
        let lines: String = text.lines().take(12).map(|line| format!("{line}\n")).collect();
        return json!({ "schema": { "type": "string" }, "example": lines });
    }
    let mut shape = Shape::default();
    bodies.iter().for_each(|body| shape.take(body, NAMED.contains(&path)));
    json!({ "schema": shape.schema(), "example": shape.example(&bodies[0]) })
}

/// The first things of a large answer.
fn beginning(value: &Value, depth: usize) -> Value {
    match value {
        Value::Array(_) | Value::Object(_) if depth == 0 => Value::Null,
        Value::Array(items) => items.iter().take(1).map(|item| beginning(item, depth - 1)).collect(),
        Value::Object(object) => {
            let first = object.iter().take(6);
            first.map(|(key, value)| (key.clone(), beginning(value, depth - 1))).collect::<Map<_, _>>().into()
        }
        plain => plain.clone(),
    }
}

/// The response of the document for `status`, without references.
fn response<'a>(document: &'a Value, operation: &'a Value, status: u16) -> Option<&'a Value> {
    operation["responses"].get(status.to_string()).map(|response| resolved(document, response))
}

fn resolved<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    match value["$ref"].as_str() {
        Some(reference) => document.pointer(reference.trim_start_matches('#')).expect(reference),
        None => value,
    }
}

fn fits(document: &Value, operation: &Value, answer: &Answer, place: &str) {
    let response = response(document, operation, answer.status);
    let response = response.unwrap_or_else(|| panic!("{place}: status {} is not documented", answer.status));
    let content_type = answer.header("content-type").unwrap_or_default();
    let content = response["content"].as_object().unwrap();
    let media = content.get(content_type).or(content.get("*/*"));
    let media = media.unwrap_or_else(|| panic!("{place}: {content_type} is not documented"));
    if content_type == "application/json" {
        let schema = resolved(document, &media["schema"]);
        assert!(schema.is_object(), "{place}: no schema");
        let body = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(misfit(schema, &body, place), None);
        if let Some(example) = media.get("example") {
            assert_eq!(misfit(schema, example, place), None, "the example");
        }
    }
}

#[actix_web::test]
async fn every_answer_in_every_state_is_as_documented() {
    for (state, outputs) in &states().await {
        let document = outputs.json("/openapi.json").await;
        assert!(document["paths"].as_object().unwrap().len() > 100);
        for (path, operation) in operations(&document, "get") {
            // A feed that is asked without an upgrade says so; those that stream do not end.
            if operation["responses"]["200"]["content"].get("text/event-stream").is_some() {
                continue;
            }
            let answer = outputs.get(&filled(path)).await;
            fits(&document, operation, &answer, &format!("{path} ({state})"));
            if path.contains('{') {
                let strange = filled(&path.replace("{id}", "nobody").replace("{file}", "nothing"));
                fits(&document, operation, &outputs.get(&strange).await, &format!("{strange} ({state})"));
            }
        }
        for path in ["/health?ready=1", "/csv?headers", "/csv/v2?headers=1"] {
            let operation = &document["paths"][path.split('?').next().unwrap()]["get"];
            fits(&document, operation, &outputs.get(path).await, &format!("{path} ({state})"));
        }
    }
}

#[actix_web::test]
async fn orders_are_as_documented_with_and_without_the_token() {
    let enabled = outputs(Vec::new());
    let disabled = Outputs::of(Vec::new());
    let document = enabled.json("/openapi.json").await;
    let orders: Vec<_> = operations(&document, "post").collect();
    assert!(orders.len() >= 3);
    for (path, operation) in orders {
        let is_guarded = operation.get("security").is_some();
        for (outputs, token, expected) in [
            (&enabled, Some(TOKEN), 200),
            (&enabled, None, 401),
            (&enabled, Some("wrong"), 401),
            (&disabled, Some(TOKEN), 403),
        ] {
            let answer = post(outputs, path, token).await;
            assert_eq!(answer.status, if is_guarded { expected } else { 200 }, "{path}");
            fits(&document, operation, &answer, &format!("POST {path}"));
        }
    }
}

#[actix_web::test]
async fn the_viewer_finds_its_files_however_it_is_asked_for() {
    let http = HttpSettings { base_path: "/powerwall".into(), ..http() };
    let outputs = Outputs::with(Vec::new(), http, 30 * SECOND);
    for path in ["/docs", "/docs/", "/redoc", "/docs/oauth2-redirect", "/powerwall/docs", "/powerwall/docs/"]
    {
        let answer = outputs.get(path).await;
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        let page = String::from_utf8(answer.body.to_vec()).unwrap();
        assert!(!page.contains("<style") && !page.contains("style=") && !page.contains("//"), "{path}");
        let links =
            page.split(['"']).filter(|text| text.contains("static/") || text.ends_with("openapi.json"));
        let links: Vec<&str> = links.collect();
        assert!(links.len() >= 4, "{links:?}");
        for link in links {
            let folder = &path[..=path.rfind('/').unwrap()];
            let mut parts: Vec<&str> =
                folder.trim_matches('/').split('/').filter(|part| !part.is_empty()).collect();
            for part in link.split('/') {
                match part {
                    ".." => _ = parts.pop().expect("it stays below the root"),
                    part => parts.push(part),
                }
            }
            let address = format!("/{}", parts.join("/"));
            assert_eq!(outputs.get(&address).await.status, 200, "{address} of {path}");
            assert_eq!(address.starts_with("/powerwall"), path.starts_with("/powerwall"), "{address}");
        }
    }
    let sizes = ["docs.js", "docs.css"].map(|file| format!("/static/{file}"));
    let mut bytes = outputs.get("/docs").await.body.len();
    for file in &sizes {
        bytes += outputs.get(file).await.body.len();
    }
    assert!(bytes < 15_000, "{bytes}");
    assert_eq!(outputs.json("/openapi.json").await["servers"][0]["url"], "/powerwall");
}
