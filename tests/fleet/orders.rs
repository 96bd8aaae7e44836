//! Orders over FleetAPI: the running service, the simulated cloud, and the house behind it.

use actix_web::http::Method;
use powerwall_server::app::Service;
use powerwall_server::clock::unix_time;
use powerwall_server::settings::RsaKey;
use powerwall_server::simulator::Registration;

use super::*;

pub(super) const OWNER: &str = "CanaryOwner-of-everything";
pub(super) const WITH_SECRET: (&str, &str) = ("PW_CONTROL_SECRET", OWNER);
pub(super) const KEY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/v1r/key-4096.pem");

pub(super) async fn order(service: &Service, kind: &str, body: &Value) -> (u16, Value) {
    let url = format!("http://{}/api/gateways/home/control/{kind}?wait=60", service.addr);
    let client = awc::Client::builder().timeout(PATIENCE * 2).finish();
    let request =
        client.request(Method::POST, url).insert_header(("Authorization", format!("Bearer {OWNER}")));
    let mut response = request.send_json(body).await.unwrap();
    let answer = response.body().limit(1 << 20).await.unwrap();
    (response.status().as_u16(), serde_json::from_slice(&answer).unwrap())
}

/// What stands in the way of an order of this kind, or the link that takes it.
pub(super) fn of_kind<'a>(control: &'a Value, kind: &str) -> &'a Value {
    let orders = control["orders"].as_array().unwrap();
    orders.iter().find(|order| order["order"] == kind).unwrap_or(&Value::Null)
}

pub(super) async fn able(service: &Service, kind: &str) -> Value {
    let is_able = |control: &Value| control["orders"].is_array() && of_kind(control, kind)["can"] == true;
    let control = becomes(service, "/api/gateways/home/control", "takes orders", is_able).await;
    of_kind(&control, kind).clone()
}

pub(super) fn posts(tesla: &TeslaHandle) -> Vec<String> {
    let asked = tesla.asked().into_iter().filter(|asked| asked.path.contains("energy_sites"));
    asked
        .filter(|asked| asked.method == "POST")
        .map(|asked| format!("{} {}", asked.path.rsplit('/').next().unwrap(), asked.body))
        .collect()
}

#[actix_web::test]
async fn settings_are_ordered_once_each_and_read_back() {
    let world = world().await;
    let service = world.serve(&fleet(), &[WITH_SECRET]);
    let means = able(&service, "reserve").await;
    assert_eq!((&means["link"], &means["proves"]), (&"fleet_api".into(), &"stored".into()), "{means}");
    for (kind, body) in [
        ("reserve", json!({ "value": 40 })),
        ("mode", json!({ "value": "autonomous" })),
        ("grid_charging", json!({ "value": false })),
        ("grid_export", json!({ "value": "battery_ok" })),
        ("operation", json!({ "reserve": 30, "mode": "backup" })),
    ] {
        let (status, order) = order(&service, kind, &body).await;
        assert_eq!((status, &order["outcome"]), (200, &"stored".into()), "{order}");
        assert!(order["evidence"].to_string().contains("Tesla has stored"), "{order}");
    }
    assert_eq!(
        posts(&world.tesla),
        [
            r#"backup {"backup_reserve_percent":40}"#,
            r#"operation {"default_real_mode":"autonomous"}"#,
            r#"grid_import_export {"disallow_charge_from_grid_with_solar_installed":true}"#,
            r#"grid_import_export {"customer_preferred_export_rule":"battery_ok"}"#,
            r#"backup {"backup_reserve_percent":30}"#,
            r#"operation {"default_real_mode":"backup"}"#,
        ]
    );
    assert_eq!((world.house.reserve().0, world.house.mode()), (33.5, "backup"));
    let usage = get(&service, "/api/tesla/usage").await;
    assert_eq!(usage["accounts"][0]["today"]["commands"], 6, "{usage}");

    // Nothing else goes over it, and no reserve that Tesla would store as another one.
    let control = get(&service, "/api/gateways/home/control").await;
    for kind in ["dispatch", "resume"] {
        assert_eq!(of_kind(&control, kind)["why"], "no_link", "{control}");
    }
    let (status, refused) = order(&service, "reserve", &json!({ "value": 90 })).await;
    assert_eq!((status, &refused["order"]["outcome"]), (409, &"not_sent".into()), "{refused}");
    assert_eq!(posts(&world.tesla).len(), 6);
    service.stop().await;
}

#[actix_web::test]
async fn without_consent_to_orders_none_is_offered() {
    let world = world().await;
    world.tesla.set_scopes(&["openid", "offline_access", "energy_device_data"]);
    world.tesla.sign_in(world.folder.path()).unwrap();
    let service = world.serve(&fleet(), &[WITH_SECRET]);
    let is_refused = |control: &Value| {
        control["orders"].is_array() && of_kind(control, "reserve")["why"] == "no_permission"
    };
    let control = becomes(&service, "/api/gateways/home/control", "says why", is_refused).await;
    assert!(of_kind(&control, "mode")["message"].to_string().contains("energy_cmds"), "{control}");
    let (status, refused) = order(&service, "reserve", &json!({ "value": 40 })).await;
    assert_eq!(status, 409, "{refused}");
    assert_eq!(posts(&world.tesla).len(), 0);
    service.stop().await;
}

#[actix_web::test]
async fn what_became_of_an_order_is_claimed_no_further_than_tesla_says() {
    for (fault, outcome, times) in [
        (CloudFault::body(200, r#"{"response":{"result":false,"reason":"not_supported"}}"#), "refused", 1),
        (CloudFault::body(400, r#"{"error":"invalid_command"}"#), "refused", 1),
        (CloudFault::body(403, r#"{"error":"Unauthorized missing scopes"}"#), "refused", 1),
        (CloudFault::status(429), "refused", 1),
        (CloudFault::status(503), "accepted or unknown", 1),
        // It was done, and nobody said so: reading back shows it.
        (CloudFault::Cut, "stored", 1),
    ] {
        let world = world().await;
        let service = world.serve(&fleet(), &[WITH_SECRET]);
        able(&service, "reserve").await;
        world.tesla.set("/backup", fault.clone());
        let url = format!("http://{}/api/gateways/home/control/reserve?wait=15", service.addr);
        let client = awc::Client::builder().timeout(PATIENCE).finish();
        let request = client.post(url).insert_header(("Authorization", format!("Bearer {OWNER}")));
        let mut response = request.send_json(&json!({ "value": 40 })).await.unwrap();
        let body: Value = serde_json::from_slice(&response.body().await.unwrap()).unwrap();
        let order = if body["order"].is_object() { &body["order"] } else { &body };
        let found = order["outcome"].as_str().unwrap();
        match outcome {
            "accepted or unknown" => assert_eq!(found, "unknown", "{fault:?}: {body}"),
            outcome => assert_eq!(found, outcome, "{fault:?}: {body}"),
        }
        assert_eq!(posts(&world.tesla).len(), times, "{fault:?}");
        service.stop().await;
    }
}

#[actix_web::test]
async fn an_order_whose_token_is_over_is_sent_once_more_with_a_new_one() {
    let world = world().await;
    let service = world.serve(&fleet(), &[WITH_SECRET]);
    able(&service, "reserve").await;
    world.tesla.set_times("/backup", CloudFault::body(401, r#"{"error":"token expired (401)"}"#), 1);
    let (_, order) = order(&service, "reserve", &json!({ "value": 40 })).await;
    assert_eq!(order["outcome"], "stored", "{order}");
    assert_eq!((posts(&world.tesla).len(), world.tesla.requests("oauth2")), (2, 1));
    service.stop().await;
}

#[actix_web::test]
async fn the_local_link_confirms_what_the_cloud_was_ordered() {
    let world = world().await;
    // TEDAPI without a key reads, and does not write.
    let variables = [WITH_SECRET, ("PW_CLOUD_HYBRID", "yes"), ("PW_CACHE_EXPIRE", "1")];
    let service = world.serve(&json!([world.house.settings()]), &variables);
    assert_eq!(able(&service, "reserve").await["link"], "fleet_api");
    let (_, done) = order(&service, "reserve", &json!({ "value": 40 })).await;
    assert_eq!(done["outcome"], "stored", "{done}");
    assert!(!done["evidence"].to_string().contains("Tesla"), "by the gateway itself: {done}");
    let shows = |stats: &Value| stats["cloud_control"]["last_known_reserve"] == 40.0;
    let stats = becomes(&service, "/stats", "shows the reserve", shows).await;
    let cloud = &stats["cloud_control"];
    assert_eq!((&stats["cloudcontrol"], &cloud["state"]), (&true.into(), &"healthy".into()), "{stats}");
    assert!(cloud["last_known_reserve_time"].is_f64() && cloud["configured"] == true, "{stats}");
    assert_eq!(
        (&stats["connection_health"]["cloud_healthy"], &cloud["consecutive_failures"]),
        (&true.into(), &0.into())
    );
    assert_eq!(world.house.reserve().0, 43.0);

    // Tesla stores it, and the gateway never gets it.
    world.tesla.set_delivers(false);
    let url = format!("http://{}/api/gateways/home/control/reserve?wait=15", service.addr);
    let request = awc::Client::builder().timeout(PATIENCE).finish().post(url);
    let request = request.insert_header(("Authorization", format!("Bearer {OWNER}")));
    let mut response = request.send_json(&json!({ "value": 60 })).await.unwrap();
    let body: Value = serde_json::from_slice(&response.body().await.unwrap()).unwrap();
    assert_eq!(body["outcome"], "accepted", "{body}");
    assert_eq!(posts(&world.tesla).len(), 2);
    service.stop().await;
}

#[actix_web::test]
async fn orders_go_over_the_local_link_first_unless_it_is_asked_otherwise() {
    for (local_first, link, posted) in [(None, "v1r", 0), (Some("no"), "fleet_api", 1)] {
        let world = world().await;
        let lan = world.house.on_lan().await.unwrap();
        lan.lan().unwrap().register(RsaKey::read(KEY.as_ref()).unwrap().public_der(), Registration::Verified);
        let mut entry = world.house.settings_with_lan(&lan, KEY);
        entry.as_object_mut().unwrap().remove("wifi_host");
        let mut variables = vec![WITH_SECRET, ("PW_CLOUD_HYBRID", "yes"), ("PW_CACHE_EXPIRE", "1")];
        variables.extend(local_first.map(|text| ("PW_LOCAL_FIRST", text)));
        let service = world.serve(&json!([entry]), &variables);
        let over =
            |control: &Value| control["orders"].is_array() && of_kind(control, "reserve")["link"] == link;
        becomes(&service, "/api/gateways/home/control", link, over).await;
        let (_, done) = order(&service, "reserve", &json!({ "value": 40 })).await;
        assert_eq!((&done["outcome"], posts(&world.tesla).len()), (&"stored".into(), posted), "{done}");
        assert!(!done["evidence"].to_string().contains("Tesla"), "{done}");
        service.stop().await;
    }
}

#[actix_web::test]
async fn nothing_is_ordered_from_a_site_that_is_another_gateway() {
    let world = world().await;
    let foreign = house("other", 3).await;
    let mut entry = foreign.settings();
    entry["standby"] = json!([{ "fleetapi": true }]);
    entry["id"] = "home".into();
    let service = world.serve(&json!([entry]), &[WITH_SECRET, ("PW_CACHE_EXPIRE", "1")]);
    becomes(&service, "/aggregates", "is there", |body| body["site"].is_object()).await;
    let is_refused = |body: &Value| body.to_string().contains("not in the Tesla account");
    becomes(&service, "/health/gateways", "says why", is_refused).await;
    let (status, refused) = order(&service, "reserve", &json!({ "value": 40 })).await;
    assert!(status >= 400, "{refused}");
    assert_eq!(posts(&world.tesla).len(), 0);

    // The site itself reports another gateway than the list of sites does.
    let lone = super::world().await;
    lone.tesla.report_instead("id", "1707000-11-J--TGOTHER".into());
    let alone = lone.serve(&fleet(), &[WITH_SECRET]);
    becomes(&alone, "/aggregates", "is there", |body| body["site"].is_object()).await;
    let (status, refused) = order(&alone, "reserve", &json!({ "value": 40 })).await;
    assert!(status >= 400, "{refused}");
    assert_eq!(posts(&lone.tesla).len(), 0);
    service.stop().await;
    alone.stop().await;
}

#[actix_web::test]
async fn a_budget_leaves_room_for_orders() {
    let world = world().await;
    // Most of it is used up, whatever day it is by now.
    let day = |ahead: i64| {
        let seconds = unix_time() as i64 + ahead * 86_400;
        let day = jiff::Timestamp::from_second(seconds).unwrap();
        (day.strftime("%Y-%m-%d").to_string(), json!({ "data": 20, "commands": 0, "tokens": 0 }))
    };
    let days: Value = [day(0), day(1)].into_iter().collect::<serde_json::Map<_, _>>().into();
    let ledger = world.folder.path().join(".powerwall-server.tesla.json");
    std::fs::write(ledger, json!({ "days": days }).to_string()).unwrap();
    let service = world.serve(&fleet(), &[WITH_SECRET, ("PW_FLEET_BUDGET", "30")]);
    error(&service, "budget").await;
    assert_eq!(world.tesla.asked().len(), 4);
    let (_, done) = order(&service, "reserve", &json!({ "value": 40 })).await;
    assert_eq!(done["outcome"], "stored", "{done}");
    service.stop().await;
}

#[actix_web::test]
async fn a_lease_over_the_cloud_ends_with_what_was_there_before() {
    let world = world().await;
    let service = world.serve(&fleet(), &[WITH_SECRET]);
    able(&service, "reserve").await;
    let before = world.house.reserve().0;
    let (_, leased) = order(&service, "reserve", &json!({ "value": 60, "for_seconds": 60 })).await;
    assert_eq!(leased["outcome"], "stored", "{leased}");
    assert_ne!(world.house.reserve().0, before);
    let restored = async {
        while world.house.reserve().0 != before {
            sleep(SECOND / 4).await;
        }
    };
    timeout(PATIENCE * 2, restored).await.expect("the lease ends");
    assert_eq!(posts(&world.tesla).len(), 2);
    service.stop().await;
}
