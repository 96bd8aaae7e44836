//! What a centre offers is what the site takes from the broker; and one order to several sites.

use async_nats::ConnectOptions;
use powerwall_server::settings::RsaKey;
use powerwall_server::simulator::{GatewayHandle, Registration, SiteKind, SiteOptions};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::centre::{HOME, centre};
use super::program::Program;
use super::server::{SITE, Server, until};

const SECRET: &str = "a long enough control secret";
const KEY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/v1r/key-4096.pem");

/// A Powerwall 3 that takes every order that a gateway takes, and its site.
struct Wired {
    gateway: GatewayHandle,
    lan: GatewayHandle,
    /// Others of the same site.
    others: Vec<GatewayHandle>,
    folder: TempDir,
    id: &'static str,
    url: String,
}

impl Wired {
    async fn new(id: &'static str, url: String) -> Self {
        let options = SiteOptions::new("home", "Lake house", SiteKind::Powerwall3);
        let gateway = GatewayHandle::start(options).await.unwrap();
        let lan = gateway.on_lan().await.unwrap();
        let key = RsaKey::read(KEY.as_ref()).unwrap();
        lan.lan().unwrap().register(key.public_der(), Registration::Verified);
        let (others, folder) = (Vec::new(), tempfile::tempdir().unwrap());
        Self { gateway, lan, others, folder, id, url }
    }

    async fn with_others(mut self, number: usize) -> Self {
        for other in 0..number {
            let options = SiteOptions::new(&format!("other-{other}"), "Cabin", SiteKind::Powerwall2);
            self.others.push(GatewayHandle::start(options).await.unwrap());
        }
        self
    }

    async fn serve(&self, orders: &str) -> Program {
        let mut list = vec![self.gateway.settings_with_lan(&self.lan, KEY)];
        list.extend(self.others.iter().map(GatewayHandle::customer_settings));
        let list = Value::from(list).to_string();
        let folder = self.folder.path().to_str().unwrap();
        let environment = [
            ("PW_GATEWAYS", list.as_str()),
            ("PW_AUTH_PATH", folder),
            ("PW_TIMESERIES_PATH", folder),
            ("PW_PORT", "0"),
            ("PW_BIND_ADDRESS", "127.0.0.1"),
            ("PW_CACHE_EXPIRE", "1"),
            ("PW_BROKER_URL", self.url.as_str()),
            ("PW_BROKER_SITE", self.id),
            ("PW_BROKER_ORDERS", orders),
        ];
        Program::start(&["serve"], &environment).await
    }
}

/// What `centre` says of an order to `gateway`.
async fn offered(centre: &Program, gateway: &str, order: &str) -> Value {
    let control = centre.json(&format!("/api/gateways/{gateway}/control")).await;
    let orders = control["orders"].as_array().cloned().unwrap_or_default();
    orders.into_iter().find(|one| one["order"] == order).unwrap_or_default()
}

async fn post(centre: &Program, path: &str, key: &str, body: Value) -> (u16, Value) {
    let client = awc::Client::builder().timeout(std::time::Duration::from_secs(60)).finish();
    let request = client
        .post(format!("http://{}{path}", centre.addr))
        .insert_header(("authorization", format!("Bearer {SECRET}")))
        .insert_header(("idempotency-key", key));
    let mut response = request.send_json(&body).await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

#[actix_web::test]
async fn a_centre_offers_what_the_site_takes_and_says_why_not() {
    let Some(server) = Server::start().await else { return };
    let site = Wired::new(SITE, server.url()).await;
    let centre = centre(&server.url(), &[("PW_BROKER_ORDERS", "owner")]).await;
    let mut program = site.serve("yes").await;
    until(async || offered(&centre, HOME, "reserve").await["can"] == true).await;
    for order in ["islanding", "dispatch", "resume"] {
        let offered = offered(&centre, HOME, order).await;
        assert_eq!((&offered["can"], &offered["why"]), (&json!(false), &json!("no_permission")), "{order}");
        assert!(offered["message"].as_str().unwrap().contains("PW_BROKER_ORDERS=owner there"), "{offered}");
    }
    let path = format!("/api/gateways/{HOME}/control/islanding?wait=40");
    let body = json!({ "value": "off_grid", "confirm": true });
    let (status, refused) = post(&centre, &path, "first", body.clone()).await;
    assert_eq!(status, 409, "{refused}");
    // Nor does the site take it from somebody who does not look.
    let client = ConnectOptions::new().connect(server.url()).await.unwrap();
    let errand = json!({ "v": 1, "id": "x", "order": "islanding", "value": "off_grid", "deadline": 4e9,
        "ttl_ms": 10_000, "by": "nobody", "confirmed": true });
    let subject = format!("powerwall.orders.{SITE}.home");
    let answer = client.request(subject, errand.to_string().into()).await.unwrap();
    let answer: Value = serde_json::from_slice(&answer.payload).unwrap();
    assert_eq!(answer["outcome"], "not_sent", "{answer}");
    assert!(answer["evidence"].as_str().unwrap().contains("PW_BROKER_ORDERS=owner"), "{answer}");
    assert_eq!(site.gateway.orders().received, 0);

    program.signal("TERM").await;
    program.ended().await;
    let _program = site.serve("owner").await;
    until(async || offered(&centre, HOME, "islanding").await["can"] == true).await;
    let (status, done) = post(&centre, &path, "second", body).await;
    assert_eq!((status, &done["outcome"]), (200, &json!("in_effect")), "{done}");
    assert!(site.gateway.is_off_grid() && site.gateway.orders().received == 1);
}

#[actix_web::test]
async fn one_order_goes_to_several_sites_and_each_says_what_became_of_it() {
    let Some(server) = Server::start().await else { return };
    // A site with more gateways than a client may give orders in a minute.
    let north = Wired::new(SITE, server.url()).await.with_others(11).await;
    let south = Wired::new("south.1", server.url()).await;
    let centre = centre(&server.url(), &[("PW_BROKER_ORDERS", "yes")]).await;
    let _programs = (north.serve("yes").await, south.serve("no").await);
    let others: Vec<String> = (0..11).map(|other| format!("north-17-other-{other}")).collect();
    for id in others.iter().map(String::as_str).chain([HOME]) {
        until(async || offered(&centre, id, "reserve").await["can"] == true).await;
    }
    until(async || offered(&centre, "south-1-home", "reserve").await["why"] == "no_permission").await;
    let mut gateways = vec![HOME.to_owned(), "south-1-home".to_owned()];
    gateways.extend(others);
    let mut body = json!({ "order": "reserve", "value": 35, "gateways": gateways, "preview": true });
    let (status, preview) = post(&centre, "/api/fleet/orders", "night", body.clone()).await;
    assert_eq!(status, 200, "{preview}");
    let would = |place: usize| (&preview["sites"][place]["would"], &preview["sites"][place]["over"]);
    assert_eq!(would(0), (&json!("order"), &json!("broker")), "{preview}");
    assert_eq!(would(1), (&json!("refused"), &Value::Null), "{preview}");
    body.as_object_mut().unwrap().remove("preview");
    let (status, given) = post(&centre, "/api/fleet/orders", "night", body).await;
    assert_eq!(status, 202, "{given}");
    assert_eq!(given["sites"][1]["why"], preview["sites"][1]["why"], "{given}");
    let order = format!("/api/fleet/orders/{}", given["id"].as_str().unwrap());
    let stored = async || {
        let client = awc::Client::default().get(format!("http://{}{order}", centre.addr));
        let seen =
            client.insert_header(("authorization", SECRET)).send().await.unwrap().body().await.unwrap();
        let seen: Value = serde_json::from_slice(&seen).unwrap();
        seen["sites"].as_array().unwrap().iter().filter(|site| site["outcome"] == "stored").count() == 12
    };
    until(stored).await;
    assert_eq!((north.gateway.orders().received, south.gateway.orders().received), (1, 0));
    assert!(north.others.iter().all(|other| other.orders().received == 1));
}
