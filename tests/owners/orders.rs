//! Orders over the owners API, and the owners API behind a local link.

use actix_web::http::Method;
use powerwall_server::simulator::Fault;
use serde_json::json;

use super::*;

const OWNER: &str = "CanaryOwner-of-everything";

async fn order(service: &Service, id: &str, kind: &str, body: &Value) -> (u16, Value) {
    let url = format!("http://{}/api/gateways/{id}/control/{kind}?wait=60", service.addr);
    let client = awc::Client::builder().timeout(PATIENCE * 2).finish();
    let request =
        client.request(Method::POST, url).insert_header(("Authorization", format!("Bearer {OWNER}")));
    let mut response = request.send_json(body).await.unwrap();
    let answer = response.body().limit(1 << 20).await.unwrap();
    (response.status().as_u16(), serde_json::from_slice(&answer).unwrap())
}

async fn can_take(service: &Service, id: &str, kind: &str) {
    let is_able = |control: &Value| {
        let orders = control["orders"].as_array().cloned().unwrap_or_default();
        orders.iter().any(|order| order["order"] == kind && order["can"] == true)
    };
    becomes(service, &format!("/api/gateways/{id}/control"), "takes orders", is_able).await;
}

fn posts(tesla: &OwnersHandle) -> Vec<String> {
    let posts = tesla.asked().into_iter().filter(|asked| asked.method == "POST");
    let sites = posts.filter(|asked| asked.path.contains("energy_sites"));
    sites.map(|asked| format!("{} {}", asked.path.rsplit('/').next().unwrap(), asked.body)).collect()
}

#[actix_web::test]
async fn settings_are_ordered_once_each_and_read_back() {
    let world = world().await;
    let service = world.serve(&[("PW_CONTROL_SECRET", OWNER)]);
    can_take(&service, "default", "reserve").await;
    for (kind, body) in [
        ("reserve", json!({ "value": 0 })),
        ("mode", json!({ "value": "autonomous" })),
        ("grid_charging", json!({ "value": false })),
        ("grid_export", json!({ "value": "battery_ok" })),
    ] {
        let (status, order) = order(&service, "default", kind, &body).await;
        assert_eq!((status, &order["outcome"]), (200, &"stored".into()), "{order}");
    }
    assert_eq!(
        posts(&world.tesla),
        [
            r#"backup {"backup_reserve_percent":0}"#,
            r#"operation {"default_real_mode":"autonomous"}"#,
            r#"grid_import_export {"disallow_charge_from_grid_with_solar_installed":true}"#,
            r#"grid_import_export {"customer_preferred_export_rule":"battery_ok"}"#,
        ]
    );
    // A reserve that Tesla would store as another one is not sent, and the person is told why.
    let (_, capped) = order(&service, "default", "reserve", &json!({ "value": 90 })).await;
    assert_eq!(capped["order"]["outcome"], "not_sent", "{capped}");
    assert!(capped.to_string().contains("80 %"), "{capped}");
    // One that commits and cuts the connection is not repeated; what reads back decides.
    world.tesla.set_times("/backup", CloudFault::Cut, 1);
    let (_, lost) = order(&service, "default", "reserve", &json!({ "value": 40 })).await;
    assert_eq!(lost["outcome"], "stored", "{lost}");
    // What it does not take is said.
    let control = get(&service, "/api/gateways/default/control").await;
    let orders = control["orders"].as_array().unwrap();
    for kind in ["islanding", "max_backup", "storm_watch", "tariff"] {
        let order = orders.iter().find(|order| order["order"] == kind).unwrap();
        assert_eq!((&order["can"], &order["why"]), (&false.into(), &"no_link".into()), "{order}");
    }
    service.stop().await;
    assert_eq!(posts(&world.tesla).len(), 5);
}

#[actix_web::test]
async fn the_owners_api_stands_by_for_a_local_gateway_which_confirms_orders() {
    let world = world().await;
    let list = json!([world.house.settings()]).to_string();
    let variables = [
        ("PW_GATEWAYS", list.as_str()),
        ("PW_CLOUD_HYBRID", "yes"),
        ("PW_CACHE_EXPIRE", "1"),
        ("PW_TIMEOUT", "2"),
        ("PW_CONTROL_SECRET", OWNER),
    ];
    let service = world.serve(&variables);
    is_read(&service).await;
    // Which of two sites it is follows from the gateway that answers.
    world.tesla.add(12, &house("cabin", 2).await);
    can_take(&service, "home", "reserve").await;
    let (_, order) = order(&service, "home", "reserve", &json!({ "value": 40 })).await;
    assert!(["stored", "in_effect"].contains(&order["outcome"].as_str().unwrap()), "{order}");
    assert!(!order["evidence"].to_string().contains("Tesla has stored"), "the house confirms it: {order}");
    assert_eq!(posts(&world.tesla), [r#"backup {"backup_reserve_percent":40}"#]);
    let stats = get(&service, "/stats").await;
    assert_eq!(stats["cloud_control"]["configured"], true, "{stats}");

    world.house.set(Fault::Refuse);
    let over_cloud =
        |body: &Value| body["solar"]["timeout"] == 1_000_000_000 && body["load"]["disclaimer"].is_null();
    becomes(&service, "/aggregates", "comes from the cloud", over_cloud).await;
    assert_eq!(world.tesla.requests("/12/"), 0);
    service.stop().await;
}
