//! What Prometheus scrapes, in every state a gateway can be in.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use common::tools::required_tool;
use common::{Outputs, snapshot, telemetry};
use futures_util::StreamExt;
use powerwall_server::model::Freshness::{self, Expired, Live, Never, Stale};
use powerwall_server::model::Snapshot;
use powerwall_server::simulator::SiteKind;
use serde_json::Value;
use tokio::time::timeout;
use tokio_tungstenite::connect_async;

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// The samples of a page by their name and labels.
type Samples = BTreeMap<String, f64>;

async fn page(outputs: &Outputs) -> String {
    let answer = outputs.get("/metrics").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    String::from_utf8(answer.body.to_vec()).unwrap()
}

fn samples(page: &str) -> Samples {
    let lines = page.lines().filter(|line| !line.starts_with('#'));
    let mut samples = Samples::new();
    for line in lines {
        let (series, value) = line.rsplit_once(' ').unwrap();
        assert_eq!(samples.insert(series.into(), value.parse().unwrap()), None, "{series} is there twice");
    }
    samples
}

fn names(samples: &Samples) -> BTreeSet<&str> {
    samples.keys().map(|series| series.split('{').next().unwrap()).collect()
}

fn of_gateway<'a>(samples: &'a Samples, id: &str) -> BTreeSet<&'a str> {
    let label = format!("gateway=\"{id}\"");
    let own = samples.keys().filter(|series| series.contains(&label));
    own.map(|series| series.split('{').next().unwrap()).collect()
}

async fn experienced(id: &str, kind: SiteKind, freshness: Freshness) -> Snapshot {
    common::experienced(snapshot(id, &telemetry(kind).await, freshness))
}

async fn everything() -> Outputs {
    Outputs::of(vec![
        experienced("home", SiteKind::Powerwall3, Live).await,
        experienced("cabin", SiteKind::Powerwall2, Stale).await,
        experienced("barn", SiteKind::Inverter, Expired).await,
        experienced("new", SiteKind::Powerwall3, Never).await,
    ])
}

#[actix_web::test]
async fn every_reading_has_its_value_and_its_unit() {
    let outputs = everything().await;
    let samples = samples(&page(&outputs).await);
    let home = outputs.json("/api/gateways/home/aggregates").await;
    for meter in ["site", "battery", "load", "solar"] {
        let watts = home[meter]["instant_power"].as_f64().unwrap();
        let series = format!("powerwall_power_watts{{gateway=\"home\",meter=\"{meter}\"}}");
        assert_eq!(samples[&series], watts, "{meter}");
    }
    let body = outputs.json("/json").await;
    let of_home = |name: &str, more: &str| samples[&format!("{name}{{gateway=\"home\"{more}}}")];
    assert_eq!(
        of_home("powerwall_battery_charge_percent", ",scale=\"raw\""),
        body["soe_raw"].as_f64().unwrap()
    );
    assert_eq!(
        of_home("powerwall_backup_reserve_percent", ",scale=\"app\""),
        body["reserve"].as_f64().unwrap()
    );
    let energy = body["energy_remaining"].as_f64().unwrap();
    assert_eq!(of_home("powerwall_battery_energy_watthours", ""), energy);
    let hours = body["time_remaining_hours"].as_f64().unwrap();
    assert_eq!(of_home("powerwall_battery_time_remaining_seconds", ""), hours * 3600.0);
    assert_eq!(of_home("powerwall_grid_status", ",status=\"up\""), 1.0);
    assert_eq!(of_home("powerwall_grid_status", ",status=\"down\""), 0.0);
    for (device, temperature) in outputs.json("/temps").await.as_object().unwrap() {
        let degrees = of_home("powerwall_temperature_celsius", &format!(",device=\"{device}\""));
        assert_eq!(degrees, temperature.as_f64().unwrap());
    }
    for (string, readings) in outputs.json("/strings").await.as_object().unwrap() {
        let volts = of_home("powerwall_string_voltage_volts", &format!(",string=\"{string}\""));
        assert_eq!(volts, readings["Voltage"].as_f64().unwrap());
    }
    for name in ["powerwall_fan_speed_rpm", "powerwall_fan_duty_percent", "powerwall_unit_energy_watthours"] {
        assert!(of_gateway(&samples, "home").contains(name), "{name}");
    }
    let target = "powerwall_fan_target_speed_rpm";
    assert!(of_gateway(&samples, "cabin").contains(target) && !of_gateway(&samples, "home").contains(target));
    let sum = outputs.json("/api/aggregate").await;
    let load = samples["powerwall_sum_power_watts{meter=\"load\"}"];
    assert_eq!(load, sum["total_load_power"].as_f64().unwrap());
}

#[actix_web::test]
async fn what_is_unknown_or_expired_is_absent_and_never_zero() {
    let samples = samples(&page(&everything().await).await);
    let (live, expired, never) =
        (of_gateway(&samples, "home"), of_gateway(&samples, "barn"), of_gateway(&samples, "new"));
    for reading in ["power_watts", "battery_energy_watthours", "grid_status", "string_power_watts", "alerts"]
    {
        let name = format!("powerwall_{reading}");
        assert!(live.contains(name.as_str()), "{name}");
        assert!(!expired.contains(name.as_str()) && !never.contains(name.as_str()), "{name}");
    }
    // A link that does not report a reading leaves it out also while it is live.
    assert!(
        !live.contains("powerwall_frequency_hertz")
            && !live.contains("powerwall_energy_imported_watthours_total")
    );
    // How old expired data is and how polling goes is known all the same.
    assert!(expired.contains("powerwall_data_age_seconds") && !never.contains("powerwall_data_age_seconds"));
    for health in ["gateway_up", "poll_duration_seconds_count", "next_poll_seconds", "cooldown_seconds"] {
        let name = format!("powerwall_{health}");
        assert!(never.contains(name.as_str()) && expired.contains(name.as_str()), "{name}");
    }
}

#[actix_web::test]
async fn how_polling_goes_is_counted_by_kind_and_class() {
    let samples = samples(&page(&everything().await).await);
    let of_cabin = |name: &str, more: &str| samples[&format!("{name}{{gateway=\"cabin\"{more}}}")];
    assert_eq!(of_cabin("powerwall_gateway_up", ""), 0.0);
    assert_eq!(of_cabin("powerwall_gateway_freshness", ",freshness=\"stale\""), 1.0);
    assert_eq!(of_cabin("powerwall_gateway_freshness", ",freshness=\"live\""), 0.0);
    assert_eq!(of_cabin("powerwall_poll_failures_total", ",kind=\"timeout\""), 2.0);
    assert_eq!(of_cabin("powerwall_poll_duration_seconds_bucket", ",le=\"0.1\""), 1.0);
    assert_eq!(of_cabin("powerwall_poll_duration_seconds_bucket", ",le=\"+Inf\""), 2.0);
    assert_eq!(of_cabin("powerwall_poll_duration_seconds_sum", ""), 5.08);
    assert_eq!(of_cabin("powerwall_link_up", ",link=\"tedapi\""), 0.0);
    assert_eq!(of_cabin("powerwall_link_in_use", ",link=\"tedapi\""), 1.0);
    assert!((20.0..30.0).contains(&of_cabin("powerwall_data_age_seconds", "")));
    assert!((7.0..30.0).contains(&of_cabin("powerwall_outage_seconds", "")));
    assert!((200.0..=250.0).contains(&of_cabin("powerwall_cooldown_seconds", "")));
    assert_eq!(samples["powerwall_cooldown_seconds{gateway=\"home\"}"], 0.0);
    assert_eq!(samples["powerwall_sum_gateways{state=\"missing\"}"], 2.0);
}

#[actix_web::test]
async fn requests_are_counted_by_route_and_strangers_make_no_series() {
    let outputs = everything().await;
    for path in ["/soe", "/soe/", "/api/gateways/home", "/api/gateways/cabin", "/wp-admin", "/soe?x=1"] {
        outputs.get(path).await;
    }
    let samples = samples(&page(&outputs).await);
    assert_eq!(samples["powerwall_server_requests_total{route=\"/soe\"}"], 3.0);
    assert_eq!(samples["powerwall_server_requests_total{route=\"/api/gateways/{id}\"}"], 2.0);
    assert_eq!(samples["powerwall_server_error_responses_total"], 1.0);
    assert!(samples.keys().all(|series| !series.contains("wp-admin")));
}

#[actix_web::test]
async fn clients_are_counted_while_they_listen_and_what_they_miss_is_counted_too() {
    let outputs = everything().await;
    let clients = |samples: &Samples| samples["powerwall_server_websocket_clients"];
    let (mut client, _) = connect_async(format!("ws://{}/ws/gateway/home", outputs.addr)).await.unwrap();
    client.next().await.unwrap().unwrap();
    assert_eq!(clients(&samples(&page(&outputs).await)), 1.0);
    let entry = outputs.directory.get("home").unwrap();
    for _ in 0..50 {
        let mut next = Snapshot::clone(&entry.board.read());
        next.sequence += 1;
        entry.board.publish(Arc::new(next));
    }
    let seen_and_missed = |samples: &Samples| {
        samples["powerwall_server_websocket_frames_total"]
            + samples["powerwall_server_websocket_frames_dropped_total"]
    };
    becomes(&outputs, |samples| seen_and_missed(samples) >= 51.0).await;
    drop(client);
    becomes(&outputs, |samples| clients(samples) == 0.0).await;
}

async fn becomes(outputs: &Outputs, expected: impl Fn(&Samples) -> bool) {
    let wait = async {
        while !expected(&samples(&page(outputs).await)) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    if timeout(PATIENCE, wait).await.is_err() {
        panic!("{}", page(outputs).await);
    }
}

#[actix_web::test]
async fn promtool_has_nothing_to_say_against_it() {
    let Some(promtool) = required_tool("promtool") else { return };
    for outputs in [everything().await, Outputs::of(Vec::new())] {
        let page = page(&outputs).await;
        let mut check = Command::new(&promtool);
        let check = check.args(["check", "metrics"]).stdin(Stdio::piped()).stderr(Stdio::piped());
        let mut check = check.spawn().unwrap();
        check.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
        let outcome = check.wait_with_output().unwrap();
        assert!(outcome.status.success(), "{}\n{page}", String::from_utf8_lossy(&outcome.stderr));
    }
}

/// Every name that starts like ours in a query.
fn asked_for(query: &str) -> impl Iterator<Item = &str> {
    let words = query.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':');
    words.filter(|word| word.starts_with("powerwall_") || word.starts_with("process_"))
}

#[actix_web::test]
async fn what_the_dashboard_and_the_alerts_ask_for_is_there() {
    let samples = samples(&page(&everything().await).await);
    let known = names(&samples);
    let dashboard: Value = serde_json::from_str(include_str!("../config/grafana/powerwall.json")).unwrap();
    let mut queries = Vec::new();
    fn collect(value: &Value, queries: &mut Vec<String>) {
        match value {
            Value::Object(object) => {
                for (key, value) in object {
                    match value {
                        Value::String(text) if key == "expr" || key == "definition" || key == "query" => {
                            queries.push(text.clone());
                        }
                        value => collect(value, queries),
                    }
                }
            }
            Value::Array(list) => list.iter().for_each(|value| collect(value, queries)),
            _ => {}
        }
    }
    collect(&dashboard, &mut queries);
    assert!(queries.len() > 10);
    let rules: Value = serde_norway::from_str(include_str!("../config/prometheus/alerts.yml")).unwrap();
    collect(&rules, &mut queries);
    let names: Vec<_> = queries.iter().flat_map(|query| asked_for(query)).collect();
    assert!(names.len() > 30, "{names:?}");
    for name in names {
        assert!(known.contains(name), "{name}");
    }
}
