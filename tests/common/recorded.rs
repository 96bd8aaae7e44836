//! What the servers before ours were recorded with, and the gateway behind the recordings. Their pages and
//! pictures are left out.

use std::sync::Arc;

use powerwall_server::link::tedapi::answers::{SystemInfo, TedapiAnswers};
use powerwall_server::model::{Adjustments, Freshness, Snapshot, Telemetry};
use serde_json::Value;

use super::snapshot;

pub fn recorded(name: &str) -> Value {
    let path = format!("{}/tests/fixtures/golden/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// What the recorded gateway said, as ours would have heard it.
pub fn telemetry(adjustments: Adjustments) -> Arc<Telemetry> {
    let golden = recorded("server-0.13.0-one-fresh");
    let said = |path: &str| golden[path]["json"].to_string().into();
    let mut payloads = TedapiAnswers::new("127.0.0.1:8443");
    payloads.set_din("1232100-00-E--TG123456789ABC");
    payloads.accept_config(said("/tedapi/config")).unwrap();
    payloads.accept_controller(said("/tedapi/controller")).unwrap();
    payloads.accept_status(said("/tedapi/status")).unwrap();
    payloads.accept_system_info(SystemInfo {
        din: None,
        version: Some("25.42.2 4064fc6a".into()),
        git_hash: Some("4064fc6a5b3242".into()),
    });
    Telemetry::new(Arc::new(payloads), adjustments)
}

/// The gateway of the recordings.
pub fn default_gateway(freshness: Freshness) -> Snapshot {
    adjusted(freshness, Adjustments::default())
}

pub fn adjusted(freshness: Freshness, adjustments: Adjustments) -> Snapshot {
    let mut snapshot = snapshot("default", &telemetry(adjustments), freshness);
    let facts = Arc::make_mut(&mut snapshot.gateway);
    facts.name = "Default Gateway".into();
    facts.host = Some("127.0.0.1:8443".into());
    facts.timezone = Some("America/Los_Angeles".into());
    snapshot
}
