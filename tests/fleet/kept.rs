//! Orders about what Tesla keeps and no gateway, and max backup over FleetAPI.

use super::orders::{OWNER, WITH_SECRET, able, of_kind, order, posts};
use super::*;

/// A flat price.
fn tariff(price: f64) -> Value {
    json!({
        "version": 1, "name": "Flat", "utility": "Test", "currency": "EUR",
        "seasons": { "Summer": {
            "fromMonth": 1, "fromDay": 1, "toMonth": 12, "toDay": 31,
            "tou_periods": { "ALL": { "periods": [{ "toDayOfWeek": 6 }] } },
        }},
        "energy_charges": { "Summer": { "rates": { "ALL": price } } },
        "demand_charges": { "ALL": { "rates": { "ALL": 0 } } },
    })
}

/// A price for each half hour of each day of the week.
fn half_hours() -> Value {
    let mut content = tariff(0.25);
    let names = (0..7 * 48).map(|at| format!("PERIOD_{}_{:02}_{:02}", at / 48, at % 48 / 2, at % 2 * 30));
    for (at, name) in names.enumerate() {
        let (day, half) = (at / 48, at % 48);
        content["seasons"]["Summer"]["tou_periods"][&name] = json!({ "periods": [{
            "fromDayOfWeek": day, "toDayOfWeek": day, "fromHour": half / 2, "fromMinute": half % 2 * 30,
            "toHour": half.div_ceil(2), "toMinute": (half + 1) % 2 * 30,
        }] });
        content["energy_charges"]["Summer"]["rates"][&name] = json!(at as f64 / 1000.0);
    }
    content["seasons"]["Summer"]["tou_periods"].as_object_mut().unwrap().remove("ALL");
    content
}

async fn post_tariff(service: &Service, token: &str, body: &str) -> (u16, Value) {
    let url = format!("http://{}/api/tesla/time_of_use_settings", service.addr);
    let client = awc::Client::builder().timeout(PATIENCE).finish();
    let request = client.post(url).insert_header(("Authorization", format!("Bearer {token}")));
    let request = request.insert_header(("Content-Type", "application/json"));
    let mut response = request.send_body(body.to_owned()).await.unwrap();
    let answer = response.body().await.unwrap();
    (response.status().as_u16(), serde_json::from_slice(&answer).unwrap())
}

#[actix_web::test]
async fn what_tesla_keeps_is_ordered_once_and_read_back() {
    let world = world().await;
    // Beside a local link, which can neither take these orders nor show them.
    let variables = [WITH_SECRET, ("PW_CLOUD_HYBRID", "yes"), ("PW_CACHE_EXPIRE", "1")];
    let service = world.serve(&json!([world.house.settings()]), &variables);
    let means = able(&service, "vehicle_reserve").await;
    assert_eq!((&means["link"], &means["proves"]), (&"fleet_api".into(), &"stored".into()), "{means}");
    let new = json!({ "tou_settings": { "tariff_content_v2": tariff(0.25) } });
    for (kind, body, value) in [
        ("storm_watch", json!({ "value": true }), json!(true)),
        ("vehicle_reserve", json!({ "value": 40 }), json!(40.0)),
        ("tariff", new.clone(), Value::Null),
    ] {
        let (status, done) = order(&service, kind, &body).await;
        assert_eq!((status, &done["outcome"]), (200, &"stored".into()), "{done}");
        assert!(done["evidence"].to_string().contains("reads back"), "{done}");
        let control = get(&service, "/api/gateways/home/control").await;
        assert_eq!(control["present"][kind], value, "{control}");
        // Once more changes nothing, and posts nothing.
        let (_, again) = order(&service, kind, &body).await;
        assert!(again["evidence"].to_string().contains("nothing was sent"), "{again}");
    }
    let expected = [
        r#"storm_mode {"enabled":true}"#.to_owned(),
        r#"off_grid_vehicle_charging_reserve {"off_grid_vehicle_charging_reserve_percent":40}"#.to_owned(),
        format!("time_of_use_settings {new}"),
    ];
    assert_eq!(posts(&world.tesla), expected);
    let usage = get(&service, "/api/tesla/usage").await;
    assert_eq!(usage["accounts"][0]["today"]["commands"], 3, "{usage}");

    // Tesla says yes, and a former value stays.
    world.tesla.report_instead("off_grid_vehicle_charging_reserve_percent", 40.into());
    world.tesla.keep_nothing();
    let url = format!("http://{}/api/gateways/home/control/vehicle_reserve?wait=8", service.addr);
    let request = awc::Client::builder().timeout(PATIENCE).finish().post(url);
    let request = request.insert_header(("Authorization", format!("Bearer {OWNER}")));
    let mut response = request.send_json(&json!({ "value": 60 })).await.unwrap();
    let body: Value = serde_json::from_slice(&response.body().await.unwrap()).unwrap();
    assert_eq!((&body["outcome"], &body["final"]), (&"accepted".into(), &false.into()), "{body}");
    service.stop().await;
}

#[actix_web::test]
async fn a_tariff_is_posted_as_the_servers_before_take_it() {
    let world = world().await;
    let service = world.serve(&fleet(), &[WITH_SECRET]);
    able(&service, "tariff").await;
    let (status, _) = post_tariff(&service, "wrong-secret-of-nobody", "{}").await;
    assert_eq!(status, 401);
    for (body, why) in [
        (r#"{"tou_settings":{}}"#, "'tou_settings' must be a non-empty object"),
        (r#"{"tou_settings":{"a":1}}"#, "'tou_settings.tariff_content_v2' must be an object"),
    ] {
        let (status, answer) = post_tariff(&service, OWNER, body).await;
        assert_eq!((status, &answer["detail"]), (400, &why.into()), "{answer}");
    }
    let body = json!({ "tou_settings": { "tariff_content_v2": half_hours() } }).to_string();
    assert!(body.len() > 17 << 10, "larger than any other order: {}", body.len());
    let (status, answer) = post_tariff(&service, OWNER, &body).await;
    assert_eq!(
        (status, &answer["Code"], &answer["Message"]),
        (200, &201.into(), &"Updated".into()),
        "{answer}"
    );
    let is_new = |body: &Value| body["name"] == "Flat";
    becomes(&service, "/api/tesla/tariff_rate", "is the new one", is_new).await;
    let order = &answer["order"];
    assert_eq!((&order["order"], &order["value"]["name"]), (&"tariff".into(), &"Flat".into()), "{order}");

    // What Tesla refuses in a good answer is a refusal.
    let odd = r#"{"tou_settings":{"tariff_content_v2":{"name":"Nothing"}}}"#;
    let (status, answer) = post_tariff(&service, OWNER, odd).await;
    assert_eq!(status, 502, "{answer}");
    assert_eq!(posts(&world.tesla).len(), 2);
    service.stop().await;
}

#[actix_web::test]
async fn max_backup_over_the_cloud_is_confirmed_by_the_gateways_list() {
    let world = world().await;
    let service = world.serve(&fleet(), &[WITH_SECRET]);
    able(&service, "max_backup").await;
    for (body, messages) in [
        (json!({ "value": 3600 }), ["get", "schedule", "get"].as_slice()),
        (json!({ "value": 7200 }), &["get", "cancel", "schedule", "get"]),
        (json!({ "value": "cancel" }), &["get", "cancel", "get"]),
        (json!({ "value": "cancel" }), &["get"]),
    ] {
        let before = posts(&world.tesla).len();
        let (status, done) = order(&service, "max_backup", &body).await;
        assert_eq!((status, &done["outcome"]), (200, &"stored".into()), "{done}");
        let posted = posts(&world.tesla)[before..].to_vec();
        assert_eq!(posted.len(), messages.len(), "{posted:?}");
        for (posted, message) in posted.iter().zip(messages) {
            assert!(posted.starts_with("command ") && posted.contains(&format!("{message}_")), "{posted}");
        }
        let control = get(&service, "/api/gateways/home/control").await;
        let manual = &control["max_backup"]["manual_backup"]["duration_seconds"];
        assert_eq!(*manual, body["value"].as_u64().map_or(Value::Null, Value::from), "{control}");
    }
    // Without the list, nothing is sent.
    world.tesla.set("/command", CloudFault::status(504));
    let before = posts(&world.tesla).len();
    let (_, done) = order(&service, "max_backup", &json!({ "value": 3600 })).await;
    assert_eq!(done["order"]["outcome"], "not_sent", "{done}");
    assert!(!posts(&world.tesla)[before..].iter().any(|posted| posted.contains("schedule_")));
    service.stop().await;
}

#[actix_web::test]
async fn what_a_site_does_not_have_is_not_ordered() {
    let world = world().await;
    world.tesla.report_instead("components", json!({ "battery": true, "storm_mode_capable": false }));
    let service = world.serve(&fleet(), &[WITH_SECRET]);
    let is_lacking = |control: &Value| {
        control["orders"].is_array() && of_kind(control, "vehicle_reserve")["why"] == "firmware"
    };
    let control = becomes(&service, "/api/gateways/home/control", "says why", is_lacking).await;
    assert_eq!(of_kind(&control, "storm_watch")["why"], "firmware", "{control}");
    assert!(control["present"]["vehicle_reserve"].is_null(), "{control}");
    let (status, _) = order(&service, "vehicle_reserve", &json!({ "value": 40 })).await;
    assert_eq!((status, posts(&world.tesla).len()), (409, 0));
    service.stop().await;
}
