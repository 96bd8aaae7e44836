//! The OpenAPI document against the running server: every route over every link, in every state.

#[path = "../common/mod.rs"]
mod common;
mod links;
mod schemas;

use actix_web::http::Method;
use common::{Answer, OWNER, Outputs, SECOND, TOKEN, experienced, http, snapshot};
use links::{Home, homes};
use powerwall_server::model::Freshness::{self, Expired, Live, Never, Stale};
use powerwall_server::model::{Adjustments, Health, Snapshot};
use powerwall_server::settings::HttpSettings;
use powerwall_server::store::Store;
use powerwall_server::store::history::{History, Keep, Keeping};
use schemas::Schemas;
use serde_json::Value;

fn gateway(id: &str, home: &Home, freshness: Freshness) -> Snapshot {
    let mut snapshot = experienced(snapshot(id, &home.telemetry, freshness));
    snapshot.health.links[0].kind = home.link;
    snapshot
}

/// Every state that a body may have to describe.
async fn states() -> Vec<(String, Outputs)> {
    let homes = homes().await;
    let mut states = Vec::new();
    for home in &homes {
        for freshness in [Live, Stale, Expired, Never] {
            let one = gateway("north", home, freshness);
            states.push((format!("{}, {freshness:?}", home.name), Outputs::guarded(vec![one])));
        }
    }
    let several = [("north", Live), ("cabin", Stale), ("barn", Expired), ("shed", Never), ("roof", Live)];
    let several = several.iter().zip(homes.iter().cycle().step_by(2));
    let several = several.map(|((id, freshness), home)| gateway(id, home, *freshness)).collect();
    states.push(("several".into(), Outputs::guarded(several)));
    let new = Snapshot { health: Health::default(), ..snapshot("north", &homes[0].telemetry, Never) };
    states.push(("not asked yet".into(), Outputs::guarded(vec![new])));
    states.push(("none".into(), Outputs::guarded(Vec::new())));
    let zeros = Adjustments { legacy_zeros: true, ..Adjustments::default() };
    let expired = gateway("north", &homes[0], Expired);
    states.push(("expired, with the old zeros".into(), Outputs::polled_with(vec![expired], zeros)));
    states
}

fn filled(path: &str) -> String {
    path.replace("{id}", "north")
        .replace("{path}", "system_status/soe")
        .replace("{file}", "docs.js")
        .replace("{action}", "reserve")
}

/// Paths of the document with an operation of `method`, and the operation.
fn operations<'a>(document: &'a Value, method: &'a str) -> impl Iterator<Item = (&'a str, &'a Value)> {
    let paths = document["paths"].as_object().unwrap().iter();
    paths.filter_map(move |(path, item)| Some((path.as_str(), item.get(method)?)))
}

async fn post(outputs: &Outputs, path: &str, token: Option<&str>) -> Answer {
    let header = token.map(|token| format!("Bearer {token}"));
    let headers: Vec<_> = header.iter().map(|header| ("authorization", header.as_str())).collect();
    outputs.send(Method::POST, path, &headers).await
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

/// Adds to `found` how `answer` differs from what the document says.
fn fits(
    document: &Value,
    schemas: &mut Schemas,
    operation: &Value,
    answer: &Answer,
    place: &str,
    found: &mut Vec<String>,
) {
    let Some(response) = response(document, operation, answer.status) else {
        return found.push(format!("{place}: status {} is not documented", answer.status));
    };
    let content_type = answer.header("content-type").unwrap_or_default();
    let content = response["content"].as_object().unwrap();
    let Some(media) = content.get(content_type).or(content.get("*/*")) else {
        return found.push(format!("{place}: {content_type} is not documented"));
    };
    if content_type == "application/json" {
        assert!(media["schema"].is_object(), "{place}: no schema");
        let body = serde_json::from_slice(&answer.body).unwrap();
        found.extend(schemas.misfits(&media["schema"], &body).iter().map(|why| format!("{place}{why}")));
    }
}

#[actix_web::test]
async fn every_answer_over_every_link_in_every_state_is_as_documented() {
    let mut found = Vec::new();
    let states = states().await;
    let document = states[0].1.json("/openapi.json").await;
    assert!(document["paths"].as_object().unwrap().len() > 100);
    let mut schemas = Schemas::new(&document);
    for (state, outputs) in &states {
        let mut paths = Vec::new();
        for (path, operation) in operations(&document, "get") {
            // A feed that is asked without an upgrade says so; those that stream do not end.
            if operation["responses"]["200"]["content"].get("text/event-stream").is_none() {
                paths.push((filled(path), operation));
                if path.contains('{') {
                    paths.push((
                        filled(&path.replace("{id}", "nobody").replace("{file}", "nothing")),
                        operation,
                    ));
                }
            }
        }
        for path in ["/health?ready=1", "/csv?headers", "/csv/v2?headers=1"] {
            paths.push((path.to_owned(), &document["paths"][path.split('?').next().unwrap()]["get"]));
        }
        for (path, operation) in paths {
            let answer = outputs.send(Method::GET, &path, &OWNER).await;
            let place = format!("{state}: {path}");
            fits(&document, &mut schemas, operation, &answer, &place, &mut found);
        }
    }
    assert!(found.is_empty(), "{} misfits:\n{}", found.len(), found[..found.len().min(80)].join("\n"));
}

#[actix_web::test]
async fn orders_are_as_documented_with_and_without_the_token() {
    let disabled = Outputs::of(Vec::new());
    let document = disabled.json("/openapi.json").await;
    let (mut schemas, mut found) = (Schemas::new(&document), Vec::new());
    let orders: Vec<_> = operations(&document, "post").collect();
    assert!(orders.len() >= 3);
    for (path, operation) in orders {
        let is_guarded = operation.get("security").is_some();
        // One for each, because whoever guesses wrong too often has to wait.
        let enabled = Outputs::guarded(Vec::new());
        for (outputs, token, expected) in [
            (&enabled, Some(TOKEN), 200),
            (&enabled, None, 401),
            (&enabled, Some("wrong"), 401),
            (&disabled, Some(TOKEN), 403),
        ] {
            let answer = post(outputs, &filled(path), token).await;
            // Without a gateway an order is none; what becomes of one is tested with one.
            let needs_gateway = ["time_of_use_settings", "fleet/orders"];
            if !path.contains('{') && !needs_gateway.iter().any(|end| path.ends_with(end)) {
                assert_eq!(answer.status, if is_guarded { expected } else { 200 }, "{path}");
            }
            let place = format!("POST {path}");
            fits(&document, &mut schemas, operation, &answer, &place, &mut found);
        }
    }
    assert!(found.is_empty(), "{found:?}");
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

#[actix_web::test]
async fn the_history_is_answered_as_documented_in_every_form() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("timeseries.db");
    std::fs::copy("tests/fixtures/timeseries-0.13.0.db", &path).unwrap();
    let store = Store::open(path.clone()).unwrap();
    let keeping = Keeping { samples: Keep::Forever, signals: Keep::Forever, ..Keeping::default() };
    let history = History::kept_in(&path, &store, &keeping).unwrap();
    let home = &homes().await[0];
    let snapshots = ["site-1", "site-2"].map(|id| gateway(id, home, Live));
    let outputs = Outputs::recorded(snapshots.into(), history);
    let document = outputs.json("/openapi.json").await;
    let (mut schemas, mut found) = (Schemas::new(&document), Vec::new());
    let window = "start=1795653120&end=1795653900";
    for (path, query, status) in [
        ("history", "start=2026-11-25&end=2026-11-26&bucket=day", 200),
        ("history", "start=1795600000&end=1795700000", 200),
        ("history", "start=2026-11-01&bucket=month&end=2026-11-30&gateway=site-1", 200),
        ("history", "format=csv", 200),
        ("history", "format=jsonl&start=0&bucket=slot", 200),
        ("history", "format=xml", 400),
        ("history", "gateway=nobody", 404),
        ("history", "bucket=year", 400),
        ("daily", "start=2026-11-20&end=2026-11-30", 200),
        ("daily", "days=0", 422),
        ("daily", "start=2026-11-31", 422),
        ("daily", "start=2026-11-30&end=2026-11-20", 422),
        ("today", "", 200),
        ("trend", window, 200),
        ("trend", "start=2&end=1", 422),
        ("trend", "start=inf", 422),
        ("trend", "fit=perhaps", 422),
        ("trend", "fit=true", 200),
        ("samples", window, 200),
        ("samples", "start=NaN", 200),
        ("samples", "limit=10001", 422),
        ("samples", "format=jsonl", 200),
        ("samples", "format=xml", 422),
        ("status", "", 200),
        ("signals", "", 200),
        ("signals", "format=csv", 200),
        ("signals", "format=jsonl&resolution=daily", 200),
        ("signals", "format=csv&resolution=hourly", 422),
        ("signal_trend", window, 200),
        ("signal_trend", &format!("{window}&resolution=daily"), 200),
        ("signal_trend", "resolution=hourly", 422),
        ("signal_trend", "end=4102444801", 422),
        ("signal_trend", "hours=many", 422),
    ] {
        let route = if path == "history" { "/api/history".into() } else { format!("/api/timeseries/{path}") };
        let answer = outputs.get(&format!("{route}?{query}")).await;
        assert_eq!(answer.status, status, "{route}?{query}");
        let operation = &document["paths"][&route]["get"];
        fits(&document, &mut schemas, operation, &answer, &format!("{route}?{query}"), &mut found);
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}
