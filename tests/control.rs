//! Orders over HTTP, end to end: the running service, real sockets, real TLS to simulated gateways.

mod common;

use std::time::Duration;

use actix_web::http::Method;
use powerwall_server::app::Service;
use powerwall_server::settings::{Inputs, RsaKey, Settings};
use powerwall_server::simulator::{GatewayHandle, OrderFault, Registration, SiteKind, SiteOptions};
use serde_json::{Value, json};
use tempfile::TempDir;

const KEY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/v1r/key-4096.pem");
const OWNER: &str = "CanaryOwner-of-everything";
const CAR: &str = "CanaryCar-that-charges-at-night";

/// A service with a Powerwall 3 over v1r (`home`, the default gateway) and a Powerwall 2 over its customer
/// API (`lake`).
struct House {
    home: GatewayHandle,
    lake: GatewayHandle,
    _lan: GatewayHandle,
    settings: Settings,
    _folder: TempDir,
    service: Option<Service>,
}

struct Answer {
    status: u16,
    head: String,
    retry_after: Option<u64>,
    location: Option<String>,
    text: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("{}", self.text))
    }
}

impl House {
    async fn new() -> Self {
        let home =
            GatewayHandle::start(SiteOptions::new("home", "Home", SiteKind::Powerwall3)).await.unwrap();
        let lake =
            GatewayHandle::start(SiteOptions::new("lake", "Lake", SiteKind::Powerwall2)).await.unwrap();
        let lan = home.on_lan().await.unwrap();
        let key = RsaKey::read(KEY.as_ref()).unwrap();
        lan.lan().unwrap().register(key.public_der(), Registration::Verified);
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let mut wired = home.settings_with_lan(&lan, KEY);
        wired.as_object_mut().unwrap().remove("wifi_host");
        let file = json!({
            "gateways": [wired, lake.customer_settings()],
            "tokens": [{ "name": "car", "role": "operator", "gateways": ["lake"], "secret": CAR }],
        });
        std::fs::write(path("config.json"), file.to_string()).unwrap();
        let environment = [
            ("PW_CONFIG", path("config.json")),
            ("PW_CONTROL_SECRET", OWNER.to_owned()),
            ("PW_AUTH_PATH", path("")),
            ("PW_TIMESERIES_PATH", path("journal.db")),
            ("PW_PORT", "0".to_owned()),
            ("PW_BIND_ADDRESS", "127.0.0.1".to_owned()),
            ("PW_CACHE_EXPIRE", "1".to_owned()),
            ("PW_INGRESS", "127.0.0.1".to_owned()),
        ];
        let environment = environment.map(|(name, value)| (name.to_owned(), value)).into();
        let settings = Settings::load(&Inputs { environment, flags: Vec::new() }).unwrap();
        let service = Service::start(&settings, 1).unwrap();
        let house = Self { home, lake, _lan: lan, settings, _folder: folder, service: Some(service) };
        house.is_able().await;
        house
    }

    /// Waits until both gateways have said what they can take.
    async fn is_able(&self) {
        for id in ["home", "lake"] {
            self.until(&format!("/api/gateways/{id}/control"), |control| {
                let mut orders = control["orders"].as_array().unwrap().iter();
                orders.any(|order| order["order"] == "reserve" && order["can"] == true)
            })
            .await;
        }
    }

    async fn until(&self, path: &str, condition: impl Fn(&Value) -> bool) -> Value {
        let looked = async {
            loop {
                let seen = self.ask(Method::GET, path, &[("authorization", OWNER)], "").await;
                if seen.status == 200 && condition(&seen.json()) {
                    return seen.json();
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), looked).await.expect(path)
    }

    async fn restart(&mut self) {
        self.service.take().unwrap().stop().await;
        self.service = Some(Service::start(&self.settings, 2).unwrap());
        self.is_able().await;
    }

    async fn ask(&self, method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let addr = self.service.as_ref().unwrap().addr;
        let client = awc::Client::builder().timeout(Duration::from_secs(70)).disable_redirects().finish();
        let mut request = client.request(method, format!("http://{addr}{path}"));
        for (name, value) in headers {
            request = request.insert_header((*name, *value));
        }
        let mut response = request.send_body(body.to_owned()).await.unwrap();
        let header =
            |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        let (retry_after, location) = (header("retry-after"), header("location"));
        let head = format!("{:?}", response.headers());
        let text = String::from_utf8(response.body().await.unwrap().to_vec()).unwrap();
        let retry_after = retry_after.map(|seconds| seconds.parse().unwrap());
        Answer { status: response.status().as_u16(), head, retry_after, location, text }
    }

    /// JSON with a token.
    async fn post(&self, path: &str, token: &str, body: Value) -> Answer {
        let token = format!("Bearer {token}");
        let headers = [("authorization", token.as_str()), ("content-type", "application/json")];
        self.ask(Method::POST, path, &headers, &body.to_string()).await
    }

    async fn form(&self, path: &str, body: &str) -> Answer {
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        self.ask(Method::POST, path, &headers, body).await
    }

    async fn get(&self, path: &str, token: &str) -> Answer {
        self.ask(Method::GET, path, &[("authorization", token)], "").await
    }

    fn received(&self) -> (u64, u64) {
        (self.home.orders().received, self.lake.orders().received)
    }
}

#[actix_web::test]
async fn a_reserve_is_stored_read_back_and_found_again() {
    let house = House::new().await;
    for (id, percent) in [("home", 35), ("lake", 45)] {
        let path = format!("/api/gateways/{id}/control/reserve");
        let answer = house.post(&format!("{path}?wait=30"), OWNER, json!({ "value": percent })).await;
        let order = answer.json();
        assert_eq!((answer.status, &order["outcome"]), (200, &json!("stored")), "{order}");
        assert_eq!((&order["value"], &order["unit"]), (&json!(f64::from(percent)), &json!("app_percent")));
        assert_eq!(order["asked_by"], "control secret");
        let again = house.get(&format!("/api/orders/{}", order["id"].as_str().unwrap()), OWNER).await;
        assert_eq!(again.json(), order);
    }
    assert_eq!(house.received(), (1, 1));
    assert_eq!(house.home.reserve().0, 35.0 * 0.95 + 5.0);

    let at_once =
        house.post("/api/gateways/home/control/mode?wait=0", OWNER, json!({ "value": "backup" })).await;
    let order = at_once.json();
    assert_eq!((at_once.status, order["final"].clone()), (202, json!(false)), "{order}");
    let place = at_once.location.unwrap();
    assert_eq!(place, format!("/api/orders/{}", order["id"].as_str().unwrap()));
    house.until(&place, |order| order["outcome"] == "stored" || order["outcome"] == "in_effect").await;

    let token = format!("Bearer {OWNER}");
    let ingress = [("authorization", token.as_str()), ("x-ingress-path", "/api/hassio_ingress/abc")];
    let headers = [ingress[0], ingress[1], ("content-type", "application/json")];
    let body = json!({ "value": "self_consumption" }).to_string();
    let through = house.ask(Method::POST, "/api/gateways/home/control/mode?wait=0", &headers, &body).await;
    let path = format!("/api/orders/{}", through.json()["id"].as_str().unwrap());
    let place = format!("/api/hassio_ingress/abc{path}");
    assert_eq!((through.status, through.location), (202, Some(place)));
    house.until(&path, |order| order["outcome"] == "stored" || order["outcome"] == "in_effect").await;

    let list = house.get("/api/orders?limit=2", OWNER).await.json();
    let kinds: Vec<&Value> = list["orders"].as_array().unwrap().iter().map(|order| &order["order"]).collect();
    assert_eq!(kinds, ["mode", "mode"]);
    let older = house.get(&format!("/api/orders?limit=2&before={}", list["next"]), OWNER).await.json();
    assert_eq!(older["orders"][0]["gateway"], "lake");
    let csv = house.get("/api/journal?kind=order,outcome&gateway=lake&format=csv", OWNER).await;
    assert!(
        csv.text.starts_with("id,at,time,gateway,kind,about,detail\r\n") && csv.text.contains(",lake,order,")
    );
}

#[actix_web::test]
async fn who_may_not_is_refused_before_anything_is_read_and_nothing_is_sent() {
    let house = House::new().await;
    let reserve = "/api/gateways/home/control/reserve";
    for (path, token, body, expected) in [
        (reserve, "nobody knows this one", json!({ "value": 20 }), 401),
        (reserve, CAR, json!({ "value": 20 }), 403),
        ("/api/gateways/lake/control/islanding", CAR, json!({ "value": "on_grid" }), 403),
        ("/api/gateways/lake/control/dispatch", CAR, json!({ "power_watts": 1, "duration_seconds": 1 }), 403),
        ("/control/reserve", CAR, json!({ "value": 20 }), 403),
        ("/api/gateways/nobody/control/reserve", OWNER, json!({ "value": 20 }), 404),
        ("/api/gateways/home/control/reserv", OWNER, json!({ "value": 20 }), 404),
        (reserve, OWNER, json!({ "value": 101 }), 400),
        (reserve, OWNER, json!({ "valu": 20 }), 400),
        ("/api/gateways/home/control/reserve?wait=61", OWNER, json!({ "value": 20 }), 400),
        ("/api/gateways/lake/control/max_backup", OWNER, json!({ "value": 3600 }), 409),
        ("/api/gateways/home/control/islanding", OWNER, json!({ "value": "off_grid" }), 400),
    ] {
        let answer = house.post(path, token, body).await;
        assert_eq!(answer.status, expected, "{path} {token}: {}", answer.text);
        assert!(answer.json()["detail"].is_string());
    }
    let owner = format!("Bearer {OWNER}");
    let headers = [("authorization", owner.as_str()), ("content-type", "text/plain")];
    assert_eq!(house.ask(Method::POST, reserve, &headers, "{\"value\":20}").await.status, 415);
    let cookie = format!("token={OWNER}");
    let answer = house.ask(Method::POST, reserve, &[("cookie", &cookie)], "{\"value\":20}").await;
    assert_eq!(answer.status, 401, "a cookie is no token");
    assert_eq!(house.get(reserve, OWNER).await.status, 405);
    assert_eq!(house.received(), (0, 0));
    for path in ["/api/orders", "/api/journal", "/api/orders/0123456789abcdef0123456789abcdef"] {
        assert_eq!(house.ask(Method::GET, path, &[], "").await.status, 401, "{path}");
    }
    assert_eq!(house.get("/api/journal?gateway=home", CAR).await.status, 403);
    assert_eq!(house.get("/api/journal?kind=orders", OWNER).await.status, 400, "no such kind");
}

#[actix_web::test]
async fn what_is_asked_twice_with_a_key_is_done_once_also_after_a_restart() {
    let mut house = House::new().await;
    let owner = format!("Bearer {OWNER}");
    let headers = [("authorization", owner.as_str()), ("idempotency-key", "tonight")];
    let path = "/api/gateways/home/control/reserve?wait=30";
    let (first, second) = tokio::join!(
        house.ask(Method::POST, path, &headers, "{\"value\":41}"),
        house.ask(Method::POST, path, &headers, "{\"value\": 41}")
    );
    assert_eq!((first.status, second.status), (200, 200));
    let id = first.json()["id"].clone();
    assert_eq!(second.json()["id"], id);
    assert_eq!(house.home.orders().received, 1);
    // Somebody else may choose the same key.
    let car = format!("Bearer {CAR}");
    let by_car = [("authorization", car.as_str()), ("idempotency-key", "tonight")];
    let other =
        house.ask(Method::POST, "/api/gateways/lake/control/reserve", &by_car, "{\"value\":41}").await;
    assert_ne!(other.json()["id"], id);
    for body in ["{\"value\":42}", "{\"value\":41,\"for_seconds\":3600}"] {
        assert_eq!(house.ask(Method::POST, path, &headers, body).await.status, 422, "{body}");
    }
    let lake = "/api/gateways/lake/control/reserve";
    assert_eq!(house.ask(Method::POST, lake, &headers, "{\"value\":41}").await.status, 422);
    assert_eq!(
        house.ask(Method::POST, path, &[headers[0], ("idempotency-key", "a b")], "{}").await.status,
        400
    );

    house.restart().await;
    let third = house.ask(Method::POST, path, &headers, "{\"value\":41}").await;
    assert_eq!((third.status, &third.json()["id"]), (200, &id));
    assert_eq!(house.ask(Method::POST, path, &headers, "{\"value\":42}").await.status, 422);
    assert_eq!(house.home.orders().received, 1);
}

#[actix_web::test]
async fn ten_orders_a_minute_are_enough_and_repeats_do_not_count() {
    let house = House::new().await;
    let owner = format!("Bearer {OWNER}");
    let path = "/api/gateways/home/control/reserve?wait=0";
    for _ in 0..12 {
        let headers = [("authorization", owner.as_str()), ("idempotency-key", "same")];
        assert_ne!(house.ask(Method::POST, path, &headers, "{\"value\":20}").await.status, 429);
    }
    let mut refused = None;
    for _ in 0..10 {
        let answer = house.post(path, OWNER, json!({ "value": 20 })).await;
        if answer.status == 429 {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.expect("the eleventh order is refused");
    assert!((1..=61).contains(&refused.retry_after.unwrap()));
    assert_eq!(
        house.post("/api/gateways/lake/control/reserve", OWNER, json!({ "value": 20 })).await.status,
        429
    );
}

#[actix_web::test]
async fn backup_events_are_listed_as_the_gateway_lists_them_and_no_reading_changes_them() {
    let house = House::new().await;
    let path = "/control/max_backup";
    let before = house.until(path, |list| list.get("error").is_none()).await;
    assert!(before["manual_backup"].is_null(), "{before}");
    let others = &before["backup_events"];
    assert_eq!((&others[0]["id"], &others[0]["name"]), (&json!("storm-1"), &json!("Storm Watch")));
    assert_eq!(&others[0]["duration_seconds"], 3600);
    let scheduled = house.post(path, OWNER, json!({ "value": 7200 })).await;
    assert_eq!(scheduled.status, 200, "{}", scheduled.text);
    let listed = house.until(path, |list| list["manual_backup"].is_object()).await;
    let manual = &listed["manual_backup"];
    assert_eq!((&manual["duration_seconds"], &manual["active"]), (&json!(7200), &json!(true)));
    assert_eq!(manual["end_time"].as_i64().unwrap() - manual["start_time"].as_i64().unwrap(), 7200);
    let orders = house.home.orders().received;
    assert_eq!(house.get(&format!("{path}?token={OWNER}"), OWNER).await.json()["manual_backup"], *manual);
    assert_eq!(house.home.orders().received, orders);
    let control = house.get("/api/gateways/home/control", OWNER).await.json();
    assert_eq!(control["max_backup"]["manual_backup"], *manual);
    assert!(house.get("/api/gateways/lake/control", OWNER).await.json()["max_backup"].is_null());
    let cancelled = house.post(path, OWNER, json!({ "value": "cancel" })).await;
    assert_eq!(cancelled.status, 200, "{}", cancelled.text);
    house.until(path, |list| list["manual_backup"].is_null()).await;
}

#[actix_web::test]
async fn clients_of_the_servers_before_find_what_they_know() {
    let house = House::new().await;
    // As ha-pypowerwall: JSON with the token in the header.
    let answer = house.post("/control/reserve", OWNER, json!({ "value": 30 })).await;
    let body = answer.json();
    assert_eq!(answer.status, 200, "{body}");
    assert_eq!(body["set_backup_reserve_percent"]["backup_reserve_percent"], 30.0 * 0.95 + 5.0);
    assert_eq!(body["set_backup_reserve_percent"]["result"]["response"]["Code"], 200);
    assert!(["accepted", "stored"].contains(&body["order"]["outcome"].as_str().unwrap()));
    let answer = house.post("/control/mode", OWNER, json!({ "value": "backup" })).await;
    assert_eq!(answer.json()["set_operation"]["real_mode"], "backup", "{}", answer.text);
    let answer = house.post("/control/nothing", OWNER, json!({ "value": 1 })).await;
    assert_eq!(answer.status, 404);
    assert_eq!(house.post("/control/reserve", OWNER, json!([20])).await.status, 422);
    assert_eq!(house.post("/control/reserve", OWNER, json!({ "value": 20.0 })).await.status, 400);
    // As pypowerwall and its scripts: a form with the token in it.
    let answer = house.form("/control/reserve", &format!("value=33&token={OWNER}")).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.json()["set_backup_reserve_percent"]["backup_reserve_percent"], 33.0 * 0.95 + 5.0);
    let answer = house.form("/control/grid_charging", &format!("value=False&token={OWNER}")).await;
    assert_eq!(answer.json()["grid_charging"], "Set Successfully", "{}", answer.text);
    for (path, form, status, error) in [
        ("/control/reserve", "value=33&token=wrong-and-long-enough", 401, "Control Command Token Invalid"),
        ("/control/nothing", "value=33&token=OWNER", 400, "Invalid Command Action"),
        ("/control/reserve", "value=x&token=OWNER", 400, "Control Command Value Invalid"),
    ] {
        let answer = house.form(path, &form.replace("OWNER", OWNER)).await;
        assert_eq!((answer.status, answer.json()["error"].as_str()), (status, Some(error)), "{form}");
    }
    house
        .until("/control/reserve", |known| {
            known["reserve"].as_f64().is_some_and(|it| (it - 33.0).abs() < 1e-6)
        })
        .await;
    let read = house.form("/control/mode", &format!("token={OWNER}")).await;
    assert_eq!(read.status, 200);
    let status = house.ask(Method::GET, "/control/status", &[], "").await.json();
    assert_eq!(status["enabled"], true);
    house.home.set_order_fault(Some(OrderFault::Refused));
    let refused = house.post("/control/reserve", OWNER, json!({ "value": 50 })).await;
    assert_eq!((refused.status, &refused.json()["order"]["outcome"]), (502, &json!("refused")));
    let refused = house.form("/control/reserve", &format!("value=51&token={OWNER}")).await;
    assert!(refused.status == 400 && refused.json()["error"].is_string());
}

#[actix_web::test]
async fn no_token_is_in_any_body_or_in_the_journal() {
    let house = House::new().await;
    let mut said = String::new();
    for token in [OWNER, CAR, "CanaryGuess-that-is-wrong"] {
        for path in ["/api/gateways/lake/control/reserve", "/control/reserve", "/control/nothing"] {
            let answer = house.post(path, token, json!({ "value": 20 })).await;
            said += &(answer.head + &answer.text);
            let answer = house.form(path, &format!("value=20&token={token}")).await;
            said += &(answer.head + &answer.text);
        }
    }
    for path in
        ["/api/orders", "/api/journal", "/api/journal?format=csv", "/stats", "/api/gateways/lake/control"]
    {
        let answer = house.get(path, OWNER).await;
        said += &(answer.head + &answer.text);
    }
    assert!(said.contains("asked_by") && said.contains("control secret"));
    assert!(!said.contains("Canary"), "{}", &said[said.find("Canary").unwrap_or(0)..]);
}
