//! What the statistics say of Tesla's cloud, in the words of the servers before: every key of theirs is
//! there, in their order, and each means what it meant.

use super::orders::WITH_SECRET;
use super::*;

/// What pypowerwall-server 0.13 answers to `path`.
fn golden(path: &str) -> Value {
    let text = include_str!("../fixtures/golden/server-0.13.0-one-fresh.json");
    serde_json::from_str::<Value>(text).unwrap()[path]["json"].take()
}

/// The keys of `theirs` are in `ours` in the same order.
fn has_keys_of(ours: &Value, theirs: &Value, place: &str) {
    let keys = |object: &Value| object.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let theirs = keys(theirs);
    let ours: Vec<String> = keys(ours).into_iter().filter(|key| theirs.contains(key)).collect();
    assert_eq!(ours, theirs, "{place}");
}

#[actix_web::test]
async fn every_key_of_the_statistics_before_is_there_and_no_secret() {
    let world = world().await;
    let variables = [
        WITH_SECRET,
        ("PW_SITEID", "11"),
        ("PW_EMAIL", "someone@example.com"),
        ("PW_FLEETAPI_HTTP", "1.1"),
        ("PW_CLOUD_HYBRID", "yes"),
        ("PW_CACHE_TTL", "45"),
    ];
    let list = json!([{ "id": "home", "name": "Home", "fleetapi": true, "siteid": 11 }]);
    let service = world.serve(&list, &variables);
    becomes(&service, "/aggregates", "is there", |body| body["site"].is_object()).await;
    let stats = get(&service, "/stats").await;
    let before = golden("/stats");
    has_keys_of(&stats, &before, "/stats");
    for part in ["config", "connection_health", "gateways"] {
        has_keys_of(&stats[part], &before[part], part);
    }
    has_keys_of(&stats["gateway_statuses"][0], &before["gateway_statuses"][0], "gateway_statuses");
    has_keys_of(&get(&service, "/health").await, &golden("/health"), "/health");
    let config = &stats["config"];
    for masked in ["PW_EMAIL", "PW_SITEID", "PW_AUTH_PATH", "PW_CONTROL_SECRET"] {
        assert_eq!(config[masked], "**********", "{masked}");
    }
    for unset in ["PW_PASSWORD", "PW_GW_PWD", "PW_CACHE_FILE"] {
        assert_eq!(config[unset], Value::Null, "{unset}");
    }
    for (key, value) in [
        ("PW_CLOUD_HYBRID", json!(true)),
        ("PW_LOCAL_FIRST", json!(true)),
        // This program has no such switch.
        ("PW_FLEETAPI_HTTP", Value::Null),
        ("PW_CACHE_TTL", json!(45)),
        ("PW_HTTPS", json!("no")),
        ("PW_HOST", json!("")),
        ("PW_TIMEOUT", json!(5)),
    ] {
        assert_eq!(config[key], value, "{key}");
    }
    // FleetAPI counts as cloud, and is no TEDAPI; no local gateway stands beside it.
    for (key, value) in [("cloudmode", json!(true)), ("fleetapi", json!(true)), ("tedapi", json!(false))] {
        assert_eq!(stats[key], value, "{key}");
    }
    assert_eq!((&stats["mode"], &stats["tedapi_mode"]), (&json!("FleetAPI"), &json!("off")));
    assert_eq!((&stats["cloud_control"], &stats["cloudcontrol"]), (&Value::Null, &json!(false)));
    let health = &stats["connection_health"];
    assert_eq!((&health["cloud_healthy"], &health["local_healthy"]), (&Value::Null, &Value::Null));
    assert!(health["last_success_time"].is_f64() && health["is_degraded"] == false, "{health}");
    assert_eq!((&stats["siteid"], &stats["pw3"]), (&json!("**********"), &json!(true)));
    service.stop().await;
}

#[actix_web::test]
async fn a_cloud_beside_a_local_link_is_healthy_or_unavailable() {
    let world = world().await;
    let variables = [WITH_SECRET, ("PW_CLOUD_HYBRID", "yes"), ("PW_CACHE_EXPIRE", "1")];
    world.tesla.set("/api/1/", CloudFault::status(503));
    let service = world.serve(&json!([world.house.settings()]), &variables);
    let state = |word: &'static str| move |stats: &Value| stats["cloud_control"]["state"] == word;
    let asked = |stats: &Value| {
        state("unavailable")(stats) && stats["cloud_control"]["consecutive_failures"].as_u64() > Some(0)
    };
    let stats = becomes(&service, "/stats", "has no cloud", asked).await;
    let cloud = &stats["cloud_control"];
    assert_eq!((&cloud["connected"], &cloud["last_success_time"]), (&json!(false), &Value::Null), "{cloud}");
    let health = &stats["connection_health"];
    assert_eq!((&health["cloud_healthy"], &health["is_degraded"]), (&json!(false), &json!(true)), "{health}");
    assert_eq!((&health["local_healthy"], &stats["cloudmode"]), (&json!(true), &json!(false)), "{stats}");
    assert_eq!((&stats["tedapi"], &stats["tedapi_mode"]), (&json!(true), &json!("full")), "{stats}");

    service.stop().await;

    world.tesla.heal();
    let service = world.serve(&json!([world.house.settings()]), &variables);
    let stats = becomes(&service, "/stats", "has a cloud", state("healthy")).await;
    let cloud = &stats["cloud_control"];
    assert_eq!((&cloud["consecutive_failures"], &cloud["connected"]), (&json!(0), &json!(true)), "{cloud}");
    let keys: Vec<&str> = cloud.as_object().unwrap().keys().map(String::as_str).collect();
    let contract = "configured connected state healthy consecutive_failures last_success_time \
        last_known_mode last_known_mode_time last_known_reserve last_known_reserve_time \
        last_known_grid_charging last_known_grid_charging_time last_known_grid_export \
        last_known_grid_export_time";
    assert_eq!(keys, contract.split_whitespace().collect::<Vec<_>>());
    service.stop().await;
}
