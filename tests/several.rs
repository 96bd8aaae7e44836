//! One order to several gateways over HTTP, end to end: the running service, real sockets, real TLS to
//! simulated gateways.

#[path = "openapi/schemas.rs"]
mod schemas;

use std::time::Duration;

use powerwall_server::app::Service;
use powerwall_server::settings::{Inputs, RsaKey, Settings};
use powerwall_server::simulator::{Fault, GatewayHandle, Registration, SiteKind, SiteOptions};
use rusqlite::Connection;
use schemas::Schemas;
use serde_json::{Value, json};
use tempfile::TempDir;

const KEY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/v1r/key-4096.pem");
const OWNER: &str = "owner-of-everything-here";
const CAR: &str = "car-that-charges-at-night";
const ORDERS: &str = "/api/fleet/orders";
/// What the app shows as 30 %.
const THIRTY: f64 = 30.0 * 0.95 + 5.0;

/// A service with five gateways: `home` over v1r; `lake`, `same` and `slow` over the customer API; `deaf`,
/// which can be read only.
struct Fleet {
    gateways: Vec<GatewayHandle>,
    _lan: Option<GatewayHandle>,
    settings: Settings,
    _folder: TempDir,
    service: Option<Service>,
}

const ALL: [&str; 5] = ["home", "lake", "same", "slow", "deaf"];

impl Fleet {
    async fn new() -> Self {
        let mut gateways = Vec::new();
        for id in ALL {
            let kind =
                if ["home", "deaf"].contains(&id) { SiteKind::Powerwall3 } else { SiteKind::Powerwall2 };
            gateways
                .push(GatewayHandle::start(SiteOptions::new(id, &format!("At {id}"), kind)).await.unwrap());
        }
        gateways[2].somebody_sets_reserve(THIRTY);
        let lan = gateways[0].on_lan().await.unwrap();
        let key = RsaKey::read(KEY.as_ref()).unwrap();
        lan.lan().unwrap().register(key.public_der(), Registration::Verified);
        let mut wired = gateways[0].settings_with_lan(&lan, KEY);
        wired.as_object_mut().unwrap().remove("wifi_host");
        let mut entries = vec![wired];
        entries.extend(gateways[1..4].iter().map(GatewayHandle::customer_settings));
        entries.push(gateways[4].settings());
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let file = json!({
            "gateways": entries,
            "tokens": [{ "name": "car", "role": "operator", "gateways": ["lake", "same"], "secret": CAR }],
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
            ("PW_TIMEOUT", "3".to_owned()),
        ];
        let environment = environment.map(|(name, value)| (name.to_owned(), value)).into();
        let settings = Settings::load(&Inputs { environment, flags: Vec::new() }).unwrap();
        let service = Some(Service::start(&settings, 1).unwrap());
        let fleet = Self { gateways, _lan: Some(lan), settings, _folder: folder, service };
        fleet.is_able(&ALL[..4]).await;
        fleet.is_known("deaf").await;
        fleet
    }

    async fn is_able(&self, ids: &[&str]) {
        for id in ids {
            let able = |control: &Value| {
                let mut orders = control["orders"].as_array().unwrap().iter();
                orders.any(|order| order["order"] == "reserve" && order["can"] == true)
                    && control["present"]["reserve"].is_number()
            };
            self.until(&format!("/api/gateways/{id}/control"), able).await;
        }
    }

    async fn is_known(&self, id: &str) {
        let is_known = |control: &Value| control["present"]["reserve"].is_number();
        self.until(&format!("/api/gateways/{id}/control"), is_known).await;
    }

    async fn until(&self, path: &str, condition: impl Fn(&Value) -> bool) -> Value {
        let looked = async {
            loop {
                let (status, seen) = self.get(path, OWNER).await;
                if status == 200 && condition(&seen) {
                    return seen;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(90), looked).await.expect(path)
    }

    async fn restart(&mut self) {
        self.service.take().unwrap().stop().await;
        self.service = Some(Service::start(&self.settings, 2).unwrap());
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.service.as_ref().unwrap().addr)
    }

    async fn get(&self, path: &str, token: &str) -> (u16, Value) {
        let client = awc::Client::builder().timeout(Duration::from_secs(60)).finish();
        let mut answer =
            client.get(self.url(path)).insert_header(("authorization", token)).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    /// `key`: empty: none.
    async fn order(&self, token: &str, key: &str, body: Value) -> (u16, Value) {
        let client = awc::Client::builder().timeout(Duration::from_secs(60)).finish();
        let mut request = client.post(self.url(ORDERS)).insert_header(("authorization", token));
        if !key.is_empty() {
            request = request.insert_header(("idempotency-key", key));
        }
        let mut answer = request.send_json(&body).await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    fn received(&self) -> Vec<u64> {
        self.gateways.iter().map(|gateway| gateway.orders().received).collect()
    }

    /// Whether each of `bodies` is as `/openapi.json` says.
    async fn are_as_documented(&self, bodies: &[(&str, &Value)]) {
        let mut schemas = Schemas::new(&self.get("/openapi.json", OWNER).await.1);
        for (name, body) in bodies {
            let schema = json!({ "$ref": format!("#/components/schemas/{name}") });
            assert_eq!(schemas.misfits(&schema, body), Vec::<String>::new(), "{name}: {body}");
        }
    }

    /// Of one gateway, as the body has it.
    fn site<'a>(body: &'a Value, id: &str) -> &'a Value {
        let sites = body["sites"].as_array().unwrap_or_else(|| panic!("{body}"));
        sites.iter().find(|site| site["id"] == id).unwrap_or_else(|| panic!("{id} in {body}"))
    }
}

fn reserve(percent: u8, gateways: &[&str]) -> Value {
    json!({ "order": "reserve", "value": percent, "gateways": gateways })
}

fn with(mut body: Value, key: &str, value: Value) -> Value {
    body[key] = value;
    body
}

#[actix_web::test]
async fn a_preview_says_what_would_become_of_it_and_sends_nothing() {
    let fleet = Fleet::new().await;
    let preview = |body| with(body, "preview", json!(true));
    let (status, body) = fleet.order(OWNER, "", preview(reserve(30, &ALL))).await;
    assert_eq!((status, &body["preview"], &body["value"]), (200, &json!(true), &json!(30.0)), "{body}");
    let would: Vec<&Value> = body["sites"].as_array().unwrap().iter().map(|site| &site["would"]).collect();
    assert_eq!(would, ["order", "order", "nothing", "order", "refused"], "{body}");
    fleet.are_as_documented(&[("FleetOrders", &body), ("FleetPreview", &body)]).await;
    let site = |id| Fleet::site(&body, id);
    assert_eq!((&site("home")["over"], &site("home")["name"]), (&json!("v1r"), &json!("At home")));
    assert_eq!((&site("same")["now"], &site("lake")["over"]), (&json!(30.0), &json!("local")));
    // The refusal is that of an order that is given.
    let (_, given) = fleet.order(OWNER, "deaf-alone", reserve(30, &["deaf"])).await;
    assert_eq!(Fleet::site(&given, "deaf")["why"], site("deaf")["why"]);
    assert!(site("deaf")["why"].is_string());

    // What must be confirmed says so, and is judged by each house.
    let dispatch = json!({ "order": "dispatch", "power_watts": 3000, "duration_seconds": 60,
        "gateways": ["home", "lake"] });
    let (status, body) = fleet.order(OWNER, "", preview(dispatch.clone())).await;
    assert_eq!((status, &Fleet::site(&body, "home")["would"]), (200, &json!("refused")), "{body}");
    assert!(Fleet::site(&body, "home")["why"].as_str().unwrap().contains("'confirm': true"), "{body}");
    let (_, body) = fleet.order(OWNER, "", preview(with(dispatch, "confirm", json!(true)))).await;
    assert_eq!(Fleet::site(&body, "home")["would"], "order", "{body}");
    assert_eq!(Fleet::site(&body, "lake")["would"], "refused", "{body}");

    // What holds for a time is an order also where the value is there.
    let leased = preview(with(reserve(30, &["same"]), "for_seconds", json!(3600)));
    assert_eq!(fleet.order(OWNER, "", leased).await.1["sites"][0]["would"], "order");
    // One that does not answer may do so in a moment; the preview says it.
    fleet.gateways[1].set(Fault::Hang);
    let is_lost = |control: &Value| {
        let mut orders = control["orders"].as_array().unwrap().iter();
        orders.any(|order| order["order"] == "reserve" && order["why"] == "not_reached")
    };
    fleet.until("/api/gateways/lake/control", is_lost).await;
    let (_, body) = fleet.order(OWNER, "", preview(reserve(30, &["lake"]))).await;
    let lake = Fleet::site(&body, "lake");
    assert_eq!((&lake["would"], &lake["over"]), (&json!("order"), &Value::Null), "{body}");
    assert!(lake["why"].is_string(), "{body}");
    assert_eq!(fleet.received(), [0, 0, 0, 0, 0]);
}

#[actix_web::test]
async fn each_gateway_gets_its_order_once_however_often_it_is_asked_and_over_a_restart() {
    let mut fleet = Fleet::new().await;
    fleet.gateways[3].set(Fault::Hang);
    let (first, second) = tokio::join!(
        fleet.order(OWNER, "tonight", reserve(30, &ALL)),
        fleet.order(OWNER, "tonight", reserve(30, &["deaf", "slow", "same", "lake", "home"]))
    );
    assert_eq!((first.0, second.0), (202, 202), "{first:?}");
    let (id, orders) = (first.1["id"].clone(), |body: &Value| -> Vec<Value> {
        ALL.iter().map(|id| Fleet::site(body, id)["order_id"].clone()).collect()
    });
    assert_eq!((&second.1["id"], orders(&second.1)), (&id, orders(&first.1)));
    assert!(orders(&first.1)[..4].iter().all(Value::is_string), "{first:?}");
    assert_eq!(orders(&first.1)[4], Value::Null, "it was not taken");

    let path = format!("{ORDERS}/{}", id.as_str().unwrap());
    let done = |body: &Value, id: &str| Fleet::site(body, id)["outcome"] == "stored";
    let seen = fleet.until(&path, |body| ["home", "lake", "same"].iter().all(|id| done(body, id))).await;
    assert_eq!(Fleet::site(&seen, "deaf")["outcome"], "not_sent", "{seen}");
    let last = fleet.until(&path, |body| Fleet::site(body, "slow")["outcome"] != "pending").await;
    assert_eq!(Fleet::site(&last, "slow")["outcome"], "not_sent", "{last}");
    assert!(Fleet::site(&last, "slow")["why"].is_string() && Fleet::site(&last, "slow")["final"] == true);
    assert_eq!(fleet.received(), [1, 1, 0, 0, 0], "the link of `same` has looked, and sent nothing");
    fleet.are_as_documented(&[("FleetOrders", &first.1), ("FleetOrder", &last)]).await;
    for body in [reserve(31, &ALL), reserve(30, &ALL[..4]), with(reserve(30, &ALL), "for_seconds", json!(60))]
    {
        assert_eq!(fleet.order(OWNER, "tonight", body.clone()).await.0, 422, "{body}");
    }

    fleet.gateways[3].heal();
    fleet.restart().await;
    let (status, former) = fleet.get(&path, OWNER).await;
    assert_eq!((status, &former["id"], &former["value"]), (200, &id, &json!(30.0)), "{former}");
    fleet.are_as_documented(&[("FleetOrder", &former)]).await;
    assert_eq!(Fleet::site(&former, "home"), Fleet::site(&last, "home"));
    assert_eq!(fleet.order(OWNER, "tonight", reserve(30, &["deaf"])).await.0, 422, "another body");
    fleet.is_able(&ALL[..4]).await;
    let (status, again) = fleet.order(OWNER, "tonight", reserve(30, &ALL)).await;
    assert_eq!((status, &again["id"]), (202, &id));
    assert_eq!(orders(&again)[..4], orders(&first.1)[..4], "{again}");
    assert_eq!(fleet.received(), [1, 1, 0, 0, 0]);
}

#[actix_web::test]
async fn what_is_not_right_is_refused_all_at_once_by_name_and_nothing_is_sent() {
    let fleet = Fleet::new().await;
    let off_grid = json!({ "order": "islanding", "value": "off_grid", "confirm": true,
        "gateways": ["home", "lake"] });
    let many: Vec<String> = (0..501).map(|number| format!("g{number}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    for (token, key, body, status, why) in [
        ("nobody knows this one", "k", reserve(20, &["home"]), 401, ""),
        (CAR, "k", reserve(20, &["lake", "home", "slow"]), 403, "home, slow"),
        (CAR, "k", json!({ "order": "resume", "gateways": ["lake"] }), 403, "owner"),
        (OWNER, "k", reserve(20, &["home", "nowhere", "lake", "<b>"]), 404, "nowhere, (no id)"),
        (OWNER, "k", reserve(20, &["home", "lake", "home"]), 400, "home"),
        (OWNER, "k", reserve(20, &[]), 400, "1 to 500"),
        (OWNER, "k", reserve(20, &many), 400, "1 to 500"),
        (OWNER, "k", reserve(101, &["home"]), 400, "0 and 100"),
        (OWNER, "k", json!({ "order": "reserv", "gateways": ["home"] }), 400, "reserve_hold"),
        (OWNER, "k", with(reserve(20, &["home"]), "previw", json!(true)), 400, "previw"),
        (OWNER, "k", with(reserve(20, &["home"]), "preview", json!("yes")), 400, "preview"),
        (OWNER, "", reserve(20, &["home"]), 400, "Idempotency-Key"),
        (OWNER, "k", off_grid.clone(), 400, "one at a time"),
        (OWNER, "", with(off_grid, "preview", json!(true)), 400, "one at a time"),
    ] {
        let (seen, answer) = fleet.order(token, key, body.clone()).await;
        assert_eq!(seen, status, "{body}: {answer}");
        assert!(answer["detail"].as_str().unwrap().contains(why), "{why}: {answer}");
    }
    assert_eq!(fleet.received(), [0, 0, 0, 0, 0]);
    // A token for some gateways orders those, and sees no other rows.
    let (status, both) = fleet.order(OWNER, "both", reserve(35, &["home", "lake"])).await;
    assert_eq!(status, 202, "{both}");
    let path = format!("{ORDERS}/{}", both["id"].as_str().unwrap());
    let (status, seen) = fleet.get(&path, CAR).await;
    let ids: Vec<&Value> = seen["sites"].as_array().unwrap().iter().map(|site| &site["id"]).collect();
    assert_eq!((status, ids), (200, vec![&json!("lake")]));
    let (status, own) = fleet.order(CAR, "both", reserve(36, &["lake", "same"])).await;
    assert_eq!((status, own["id"] == both["id"]), (202, false), "two tokens may choose the same key");
    assert_eq!(fleet.get(&path, "nobody knows this one").await.0, 401);
    assert_eq!(fleet.get(&format!("{ORDERS}/{}", "0".repeat(32)), OWNER).await.0, 404);
}

/// The journal takes a few orders at a time, and 500 gateways are ordered at once.
#[actix_web::test]
async fn five_hundred_orders_are_written_down_and_none_for_want_of_room_is_not() {
    let gateway = GatewayHandle::start(SiteOptions::new("g", "G", SiteKind::Powerwall2)).await.unwrap();
    let mut entry = gateway.customer_settings();
    drop(gateway);
    let entries = (0..500).map(|number| {
        entry["id"] = json!(format!("g{number}"));
        entry.clone()
    });
    let list = Value::from(entries.collect::<Vec<_>>()).to_string();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap().to_owned();
    let environment = [
        ("PW_GATEWAYS", list),
        ("PW_CONTROL_SECRET", OWNER.to_owned()),
        ("PW_AUTH_PATH", path.clone()),
        ("PW_TIMESERIES_PATH", format!("{path}/journal.db")),
        ("PW_PORT", "0".to_owned()),
        ("PW_BIND_ADDRESS", "127.0.0.1".to_owned()),
    ];
    let environment = environment.map(|(name, value)| (name.to_owned(), value)).into();
    let settings = Settings::load(&Inputs { environment, flags: Vec::new() }).unwrap();
    let service = Some(Service::start(&settings, 1).unwrap());
    let disk = Connection::open(folder.path().join("journal.db")).unwrap();
    let fleet = Fleet { gateways: Vec::new(), _lan: None, settings, _folder: folder, service };
    let ids: Vec<String> = (0..500).map(|number| format!("g{number}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    fleet.get("/api/journal", OWNER).await;
    disk.execute_batch("BEGIN IMMEDIATE").unwrap();
    // Long enough for all of them to be given, if nothing waited for the disk.
    let disk_is_slow = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        disk.execute_batch("ROLLBACK").unwrap();
    };
    let ((status, body), ()) = tokio::join!(fleet.order(OWNER, "all", reserve(30, &ids)), disk_is_slow);
    assert_eq!(status, 202, "{body}");
    let path = format!("{ORDERS}/{}", body["id"].as_str().unwrap());
    let given = |body: &Value| body["sites"].as_array().unwrap().iter().all(|it| it["order_id"].is_string());
    let body = fleet.until(&path, given).await;
    let unwritten = |it: &&Value| it["why"].as_str().is_some_and(|why| why.contains("journal"));
    assert_eq!(body["sites"].as_array().unwrap().iter().find(unwritten), None);
    let journal = fleet.get("/api/journal?kind=order&limit=1000", OWNER).await.1;
    assert_eq!(journal["entries"].as_array().unwrap().len(), 500);
}

#[actix_web::test]
async fn a_batch_is_one_order_of_its_client_and_one_of_each_gateway() {
    let fleet = Fleet::new().await;
    for number in 0..10 {
        let (status, body) = fleet.order(OWNER, &format!("k{number}"), reserve(30, &["deaf", "same"])).await;
        assert_eq!(status, 202, "{body}");
    }
    assert_eq!(fleet.order(OWNER, "k0", reserve(30, &["deaf", "same"])).await.0, 202, "repeats do not count");
    let (status, refused) = fleet.order(OWNER, "k10", reserve(30, &["lake"])).await;
    assert_eq!(status, 429, "{refused}");
    let body = with(reserve(30, &["same", "lake"]), "preview", json!(true));
    let (_, preview) = fleet.order(OWNER, "", body).await;
    assert_eq!(Fleet::site(&preview, "same")["would"], "refused", "{preview}");
    assert_eq!(Fleet::site(&preview, "lake")["would"], "order", "{preview}");
}
