//! Clients of the servers before ours, as far as they read: the bodies they ask for, taken apart as they take
//! them apart.

mod common;

use std::collections::BTreeMap;

use actix_web::http::Method;
use common::Outputs;
use common::recorded::{adjusted, default_gateway, recorded};
use powerwall_server::model::Adjustments;
use powerwall_server::model::Freshness::{self, Expired, Live, Never, Stale};
use serde_json::Value;

/// What Powerwall-Dashboard has Telegraf ask for, every five seconds.
const TELEGRAF: [&str; 8] =
    ["/aggregates", "/soe", "/strings", "/temps/pw", "/freq", "/pod", "/fans/pw", "/alerts/pw"];

fn outputs(freshness: Freshness) -> Outputs {
    Outputs::of(vec![default_gateway(freshness)])
}

/// With the zeros that some clients cannot do without.
fn outputs_with_zeros(freshness: Freshness) -> Outputs {
    let adjustments = Adjustments { legacy_zeros: true, ..Adjustments::default() };
    Outputs::polled_with(vec![adjusted(freshness, adjustments)], adjustments)
}

/// The fields that Telegraf's JSON parser makes of a document: numbers, by the path to them.
fn flattened(document: &Value) -> BTreeMap<String, f64> {
    fn walk(path: &str, value: &Value, fields: &mut BTreeMap<String, f64>) {
        let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}_{key}") };
        match value {
            Value::Number(number) => {
                fields.insert(path.to_owned(), number.as_f64().unwrap());
            }
            Value::Object(map) => map.iter().for_each(|(key, value)| walk(&below(key), value, fields)),
            Value::Array(items) => {
                items
                    .iter()
                    .enumerate()
                    .for_each(|(index, item)| walk(&below(&index.to_string()), item, fields));
            }
            Value::Bool(_) | Value::String(_) | Value::Null => {}
        }
    }
    let mut fields = BTreeMap::new();
    walk("", document, &mut fields);
    fields
}

/// Fields that the others have only because a library fills what a gateway does not report.
fn is_invented(url: &str, field: &str) -> bool {
    let ends = |endings: &[&str]| endings.iter().any(|ending| field.ends_with(ending));
    match url {
        "/aggregates" => ends(&[
            "instant_reactive_power",
            "instant_apparent_power",
            "frequency",
            "i_a_current",
            "i_b_current",
            "i_c_current",
        ]),
        "/pod" => ends(&[
            "ActiveHeating",
            "ChargeComplete",
            "ChargeRequest",
            "DischargeComplete",
            "PermanentlyFaulted",
            "PersistentlyFaulted",
            "enable_line",
            "off_grid",
            "vf_mode",
            "wobble_detected",
            "charge_power_clamped",
            "backup_ready",
        ]),
        _ => false,
    }
}

/// Lifetime energies come from the customer API, which is not part of the recorded site.
fn is_energy_counter(field: &str) -> bool {
    field.ends_with("energy_exported") || field.ends_with("energy_imported")
}

#[actix_web::test]
async fn telegraf_stores_what_it_stored_and_nothing_invented() {
    for state in [Live, Stale] {
        let outputs = outputs(state);
        for golden in ["server-0.13.0-one-fresh", "proxy-t97-tedapi_fresh"] {
            let golden = recorded(golden);
            for url in TELEGRAF {
                let ours = flattened(&outputs.json(url).await);
                let theirs = flattened(&golden[url]["json"]);
                for (field, value) in &theirs {
                    if is_invented(url, field) {
                        assert_eq!((*value, ours.get(field)), (0.0, None), "{url} {field}");
                    } else if is_energy_counter(field) {
                        assert_eq!(ours.get(field), None, "{url} {field}: if it is known, compare it");
                    } else if field.ends_with("_p_out") {
                        // Watts; the recorded gateway reported watts where real ones report kilowatts.
                        assert_eq!(ours.get(field), Some(&(value * 1000.0)), "{url} {field}");
                    } else {
                        assert_eq!(ours.get(field), Some(value), "{url} {field}");
                    }
                }
                let added: Vec<_> = ours.keys().filter(|field| !theirs.contains_key(*field)).collect();
                // The server has the first, which the proxy does not; the gateway reports the others.
                let known = ["raw_percentage", "METER_Z_VL1N", "METER_Z_VL2N"];
                assert!(added.iter().all(|field| known.contains(&field.as_str())), "{url}: {added:?}");
            }
        }
    }
}

#[actix_web::test]
async fn telegraf_stores_nothing_during_an_outage() {
    for state in [Expired, Never] {
        let outputs = outputs(state);
        for url in TELEGRAF {
            let answer = outputs.get(url).await;
            assert_eq!(answer.status, 200, "{url}: another status is an error to Telegraf");
            let body = serde_json::from_slice(&answer.body).unwrap();
            assert_eq!(flattened(&body), BTreeMap::new(), "{url} {state:?}");
        }
    }
}

/// The integration for Home Assistant: three bodies it needs, the others if they are there.
#[actix_web::test]
async fn home_assistant_finds_what_it_needs() {
    for state in [Live, Stale, Expired, Never] {
        let outputs = outputs(state);
        for path in ["/aggregates", "/vitals", "/health"] {
            outputs.json(path).await;
        }
        let optional = [
            "/json",
            "/version",
            "/api/operation",
            "/api/system_status",
            "/api/sitemaster",
            "/pod",
            "/api/troubleshooting/problems",
            "/stats",
            "/pw/alerts",
            "/control/grid_charging",
            "/control/grid_export",
            "/control/max_backup",
        ];
        for path in optional {
            let answer = outputs.send(Method::GET, path, &[("connection", "close")]).await;
            assert!([200, 404].contains(&answer.status), "{path}: {}", answer.status);
            serde_json::from_slice::<Value>(&answer.body).unwrap();
        }
        assert!(outputs.json("/health").await["pypowerwall"].is_string());
        assert!(outputs.json("/version").await["version"].is_string());
    }
    let outputs = outputs(Live);
    let json = outputs.json("/json").await;
    for key in ["solar", "battery", "grid", "home", "soe", "reserve", "time_remaining_hours", "grid_status"] {
        assert!(json[key].is_number(), "{key}");
    }
    assert!(outputs.json("/aggregates").await["site"]["instant_average_voltage"].is_number());
    let vitals = outputs.json("/vitals").await;
    let pods: Vec<_> =
        vitals.as_object().unwrap().iter().filter(|(key, _)| key.starts_with("TEPOD--")).collect();
    assert_eq!(pods.len(), 2);
    assert!(pods.iter().all(|(_, pod)| pod["POD_nom_full_pack_energy"].is_number()));
    assert!(outputs.json("/api/operation").await["real_mode"].is_string());
    assert_eq!(outputs.json("/api/sitemaster").await["running"], true);
    let status = outputs.json("/api/system_status").await;
    assert!(status["battery_blocks"][0]["PackageSerialNumber"].is_string());
}

/// Numbers that Powerwall-TV cannot do without: a body that lacks one of them is none to it.
fn needed_by_powerwall_tv(meters: &Value) -> Vec<&'static str> {
    let needed = [
        "battery/instant_power",
        "battery/num_meters_aggregated",
        "load/instant_power",
        "solar/instant_power",
        "solar/energy_exported",
        "site/instant_power",
    ];
    needed.into_iter().filter(|path| !meters.pointer(&format!("/{path}")).unwrap().is_number()).collect()
}

#[actix_web::test]
async fn powerwall_tv_finds_what_it_needs() {
    let outputs = outputs(Live);
    assert_eq!(outputs.send(Method::POST, "/api/login/Basic", &[]).await.status, 200);
    let meters = outputs.json("/api/meters/aggregates").await;
    assert_eq!(
        needed_by_powerwall_tv(&meters),
        ["solar/energy_exported"],
        "without a customer API; see docs/migrating.md"
    );
    assert!(outputs.json("/api/system_status/soe").await["percentage"].is_number());
    assert!(outputs.json("/api/system_status/grid_status").await["grid_status"].is_string());
    assert!(outputs.json("/api/site_info").await["site_name"].is_string());

    let zeros = outputs_with_zeros(Live);
    let meters = zeros.json("/api/meters/aggregates").await;
    assert!(needed_by_powerwall_tv(&meters).is_empty());
    let before = recorded("proxy-t97-tedapi_fresh")["/aggregates"]["json"].clone();
    assert_eq!(flattened(&meters), flattened(&before), "as the proxy had them");
}

/// Five numbers with commas, in the way of `sscanf`.
fn five_floats(line: &str) -> Option<Vec<f64>> {
    let numbers: Vec<f64> = line.trim_end().split(',').map(str::parse).collect::<Result<_, _>>().ok()?;
    (numbers.len() >= 5).then_some(numbers)
}

#[actix_web::test]
async fn a_display_on_a_microcontroller_reads_five_numbers_or_keeps_the_last_ones() {
    let live = outputs(Live).get("/csv").await;
    assert_eq!(live.header("content-length"), Some(live.body.len().to_string().as_str()));
    assert_eq!(live.header("transfer-encoding"), None, "it cannot put chunks together");
    let line = std::str::from_utf8(&live.body).unwrap();
    assert_eq!(five_floats(line), Some(vec![-2100.0, 900.0, 6500.0, -3500.0, 24.07]));
    let expired = outputs(Expired).get("/csv").await;
    assert_eq!(five_floats(std::str::from_utf8(&expired.body).unwrap()), None, "it shows no zeros");
    let zeros = outputs_with_zeros(Expired).get("/csv").await;
    assert_eq!(zeros.body, "0.00,0.00,0.00,0.00,0.00\n");
}

/// Zeros in every place or in none: a client that cannot read null reads all of these.
#[actix_web::test]
async fn sums_have_the_old_zeros_too_and_an_unknown_grid_is_never_down() {
    for (outputs, unknown) in [(outputs(Expired), Value::Null), (outputs_with_zeros(Expired), 0.into())] {
        for path in ["/api/aggregate", "/api/aggregate/power", "/api/aggregate/soe", "/api/aggregate/battery"]
        {
            let sum = outputs.json(path).await;
            let members = sum.as_object().unwrap().iter().filter(|(key, _)| {
                ["total_", "percentage", "raw_", "battery", "site", "load", "solar", "grid"]
                    .iter()
                    .any(|start| key.starts_with(start) && *key != "grid_status")
            });
            for (key, value) in members {
                assert_eq!(*value, unknown, "{key} of {path}");
            }
            assert_eq!(sum.get("grid_status").unwrap_or(&Value::Null), &Value::Null, "{path}");
        }
        let json = outputs.json("/json").await;
        assert!(json["grid_status"].is_null(), "{json}");
        let line = outputs.get("/csv/v2").await;
        let columns =
            String::from_utf8_lossy(&line.body).trim_end().split(',').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(columns[5], "", "the grid in {columns:?}");
    }
}

/// The check of an installation that Powerwall-Dashboard ships cuts these out of the text, the last one it
/// finds.
#[actix_web::test]
async fn the_installation_check_finds_its_words() {
    for state in [Live, Expired] {
        let outputs = outputs(state);
        let stats = outputs.get("/stats").await;
        assert_eq!(stats.status, 200);
        let text = String::from_utf8(stats.body.to_vec()).unwrap();
        for key in ["pypowerwall", "site_name", "cloudmode", "siteid", "tedapi", "tedapi_mode"] {
            assert_eq!(text.matches(&format!("\"{key}\":")).count(), 1, "{key} in {text}");
        }
        assert!(text.contains(r#""tedapi_mode":"full""#) && text.contains(r#""cloudmode":false"#), "{text}");
        let version = outputs.get("/version").await;
        assert_eq!(version.status, 200);
        assert!(String::from_utf8_lossy(&version.body).contains(r#""version":""#));
        let line = outputs.get("/csv/v2").await;
        assert_eq!(line.status, 200);
        assert_eq!(String::from_utf8_lossy(&line.body).matches(',').count(), 6);
    }
    let line = outputs(Live).get("/csv/v2").await;
    assert_eq!(line.body, "-2100.00,900.00,6500.00,-3500.00,24.07,1,20\n");
}

/// Scripts that mail when the grid is lost, or change the mode by the hour.
#[actix_web::test]
async fn scripts_find_their_words() {
    let outputs = outputs(Live);
    assert!(outputs.json("/json").await["soe"].is_number());
    assert_eq!(outputs.json("/api/system_status/grid_status").await["grid_status"], "SystemGridConnected");
    let status = outputs.json("/api/status").await;
    assert!(status["version"].is_string() && status.get("up_time_seconds").is_some());
    for path in ["/api/system_status/grid_status", "/api/status"] {
        assert_eq!(outputs.json(path).await.get("code"), None, "{path}: would be an error");
    }
}
