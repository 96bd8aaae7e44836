//! A gateway that nobody reaches but Tesla: read and islanded over the relay, against a gateway that checks
//! every signature.

use powerwall_server::app::Service;
use powerwall_server::settings::RsaKey;
use powerwall_server::simulator::tesla::Asked;
use powerwall_server::simulator::{OrderFault, Registration};

use super::orders::{of_kind, order};
use super::set_up::output;
use super::*;

const WITH_SECRET: (&str, &str) = ("PW_CONTROL_SECRET", super::orders::OWNER);
const KEY: &str = super::orders::KEY;

/// A house whose gateway accepts the key, over Tesla's cloud alone.
struct Site {
    world: World,
    lan: GatewayHandle,
}

async fn site() -> Site {
    let world = world().await;
    let lan = world.house.on_lan().await.unwrap();
    lan.lan().unwrap().register(RsaKey::read(KEY.as_ref()).unwrap().public_der(), Registration::Verified);
    world.tesla.connect(11, &lan);
    Site { world, lan }
}

fn relay() -> Value {
    json!([{ "id": "home", "name": "Home", "relay": true, "rsa_key_path": KEY }])
}

impl Site {
    fn commands(&self) -> Vec<Asked> {
        let asked = self.world.tesla.asked().into_iter();
        asked.filter(|asked| asked.path.ends_with("/device_command")).collect()
    }

    fn forget_key(&self) {
        self.lan.lan().unwrap().forget(RsaKey::read(KEY.as_ref()).unwrap().public_der());
    }
}

async fn islanding(service: &Service, way: &str) -> Value {
    let (status, body) = order(service, "islanding", &json!({ "value": way, "confirm": true })).await;
    assert_eq!(status, 200, "{body}");
    body
}

#[actix_web::test]
async fn the_details_of_a_site_come_over_the_relay_and_cost_one_command_in_five_minutes() {
    let site = site().await;
    let service = site.world.serve(&relay(), &[("PW_CACHE_EXPIRE", "1")]);
    becomes(&service, "/aggregates", "is there", |body| body["site"].is_object()).await;
    // What FleetAPI never reports.
    let has_details = |body: &Value| body.to_string().contains("TESYNC");
    becomes(&service, "/vitals", "has details", has_details).await;
    let health = get(&service, "/health/gateways").await;
    assert_eq!(health["gateways"][0]["mode"], "relay", "{health}");
    assert!(get(&service, "/aggregates").await["solar"]["energy_exported"].is_null(), "unknown is null");
    // Several polls later, the gateway has been asked for readings once, and for one thing that can wait.
    sleep(4 * SECOND).await;
    let commands = site.commands();
    assert!(commands.len() <= 2, "{}", commands.len());
    let body: Value = serde_json::from_str(&commands[0].body).unwrap();
    let (target, kind) = (&body["data"]["target_id"], &body["data"]["identifier_type"]);
    assert_eq!((target, kind), (&site_din(&site).into(), &1.into()));
    assert_eq!((site.world.tesla.requests("live_status"), site.world.tesla.requests("/products")), (0, 1));
    let usage = get(&service, "/api/tesla/usage").await;
    let today = &usage["accounts"][0]["today"];
    assert_eq!((&today["data"], &today["commands"]), (&1.into(), &commands.len().into()), "{usage}");
    // What is minutes old says so.
    let age = get(&service, "/health/gateways").await["gateways"][0]["data_age_seconds"].as_f64().unwrap();
    assert!((3.5..60.0).contains(&age), "{age}");
    service.stop().await;
}

fn site_din(site: &Site) -> String {
    let config: Value = serde_json::from_slice(&site.world.house.config()).unwrap();
    config["vin"].as_str().unwrap().to_owned()
}

#[actix_web::test]
async fn islanding_over_the_relay_is_in_effect_when_the_contactor_says_so() {
    let site = site().await;
    let service = site.world.serve(&relay(), &[WITH_SECRET, ("PW_ISLANDING_COOLDOWN", "0")]);
    let can = |control: &Value| control["orders"].is_array() && of_kind(control, "islanding")["can"] == true;
    let control = becomes(&service, "/api/gateways/home/control", "takes islanding", can).await;
    let means = of_kind(&control, "islanding");
    assert_eq!((&means["link"], &means["proves"]), (&"relay".into(), &"in_effect".into()), "{control}");
    // Settings are left to FleetAPI, and what nobody has proven over this way is not offered.
    for kind in ["reserve", "mode", "dispatch", "max_backup"] {
        assert_eq!(of_kind(&control, kind)["why"], "no_link", "{control}");
    }
    let done = islanding(&service, "off_grid").await;
    assert_eq!((&done["outcome"], site.world.house.is_off_grid()), (&"in_effect".into(), true), "{done}");
    // The unsigned way, which does nothing, was never used.
    assert_eq!(site.world.tesla.requests("/command"), 0);
    assert_eq!(site.world.house.orders().executed, 1);

    // Acknowledged, and the contactor stays where it is.
    site.world.house.set_order_fault(Some(OrderFault::WithoutEffect));
    let url = format!("http://{}/api/gateways/home/control/islanding?wait=15", service.addr);
    let client = awc::Client::builder().timeout(PATIENCE).finish();
    let request = client.post(url).insert_header(("Authorization", format!("Bearer {}", WITH_SECRET.1)));
    let mut response = request.send_json(&json!({ "value": "on_grid", "confirm": true })).await.unwrap();
    let body: Value = serde_json::from_slice(&response.body().await.unwrap()).unwrap();
    assert_eq!(body["outcome"], "accepted", "{body}");
    service.stop().await;
}

#[actix_web::test]
async fn what_is_wrong_with_the_relay_is_named_by_the_service_and_the_doctor() {
    type Trouble = fn(&Site);
    let missing = CloudFault::body(200, r#"{"response":{}}"#);
    let cases: [(Trouble, &str, &str); 4] = [
        (|site| site.world.tesla.set("device_command", CloudFault::status(408)), "offline", "HTTP 408"),
        (|site| site.forget_key(), "malformed", "powerwall-server register"),
        (
            |site| {
                let key = RsaKey::read(KEY.as_ref()).unwrap();
                site.lan.lan().unwrap().register(key.public_der(), Registration::Pending);
            },
            "key_pending",
            "waits to be confirmed",
        ),
        (
            |site| {
                site.world.tesla.set_scopes(&["openid", "offline_access", "energy_device_data"]);
                site.world.tesla.sign_in(site.world.folder.path()).unwrap();
            },
            "no_permission",
            "does not cover this",
        ),
    ];
    for (trouble, kind, words) in cases {
        let site = site().await;
        trouble(&site);
        let service = site.world.serve(&relay(), &[("PW_CACHE_EXPIRE", "1")]);
        let text = error(&service, kind).await;
        assert!(text.contains(words), "{kind}: {text}");
        // A question that failed is not repeated before its time.
        sleep(3 * SECOND).await;
        assert_eq!(site.commands().len(), 1, "{kind}");
        assert_eq!(get(&service, "/aggregates").await, Value::Null);
        service.stop().await;
        let list = relay().to_string();
        let program = site.world.command(&["doctor"], &[("PW_GATEWAYS", &list)]);
        let (is_well, said) = output(program, "").await;
        let lines: Vec<&str> = said.lines().filter(|line| line.starts_with("  relay ")).collect();
        assert!(!is_well && lines.len() == 1 && lines[0].contains(words), "{kind}: {said}");
    }
    // An answer without an envelope, and then a whole one.
    let site = site().await;
    site.world.tesla.set_times("device_command", missing, 1);
    let list = relay().to_string();
    for (well, words) in [(false, "brings no answer of the gateway"), (true, "works: grid")] {
        let (is_well, said) = output(site.world.command(&["doctor"], &[("PW_GATEWAYS", &list)]), "").await;
        assert!(is_well == well && said.contains(words), "{said}");
        assert!(!well || said.contains("orders        taken: islanding"), "{said}");
        assert!(
            !well || said.contains("on the LAN    at 127.0.0.1") && said.contains("DIN 1707000"),
            "{said}"
        );
    }
}

#[actix_web::test]
async fn a_budget_holds_for_the_relay_and_an_order_whose_answer_is_lost_is_not_sent_again() {
    let site = site().await;
    let service = site.world.serve(&relay(), &[("PW_FLEET_BUDGET", "1")]);
    error(&service, "budget").await;
    assert_eq!(site.commands().len(), 0, "the list of sites was all that there was");
    service.stop().await;

    let site = self::site().await;
    let service = site.world.serve(&relay(), &[WITH_SECRET]);
    let can = |control: &Value| control["orders"].is_array() && of_kind(control, "islanding")["can"] == true;
    becomes(&service, "/api/gateways/home/control", "takes islanding", can).await;
    let before = site.commands().len();
    site.world.tesla.set_times("device_command", CloudFault::Cut, 1);
    let done = islanding(&service, "off_grid").await;
    // It was done, and nobody said so: the contactor shows it.
    assert_eq!((&done["outcome"], site.world.house.orders().executed), (&"in_effect".into(), 1), "{done}");
    assert!(site.commands().len() > before);
    service.stop().await;
}

#[actix_web::test]
async fn the_relay_stands_by_for_the_lan_and_never_shows_another_gateway() {
    let site = site().await;
    let mut entry = site.world.house.settings();
    entry["standby"] = json!([{ "relay": true, "rsa_key_path": KEY }]);
    let variables = [("PW_CACHE_EXPIRE", "1"), ("PW_TIMEOUT", "2")];
    let service = site.world.serve(&json!([entry]), &variables);
    becomes(&service, "/aggregates", "is there", |body| body["site"].is_object()).await;
    // Two sites: which one it is follows from the gateway that answered.
    site.world.tesla.add(12, &house("cabin", 2).await);
    site.world.house.set(Fault::Refuse);
    let over_relay = |body: &Value| body.to_string().contains(r#""kind":"relay""#);
    becomes(&service, "/api/live", "has the relay", over_relay).await;
    let in_use = |body: &Value| {
        let links = body["gateways"][0]["links"].as_array().cloned().unwrap_or_default();
        links.iter().any(|link| link["kind"] == "relay" && link["in_use"] == true)
    };
    becomes(&service, "/health/gateways", "is in use", in_use).await;
    becomes(&service, "/aggregates", "is there", |body| body["site"].is_object()).await;
    assert_eq!(site.world.tesla.requests("/12/"), 0);
    service.stop().await;

    let foreign = house("other", 3).await;
    let mut entry = foreign.settings();
    entry["standby"] = json!([{ "relay": true, "rsa_key_path": KEY }]);
    entry["siteid"] = "11".into();
    let service = site.world.serve(&json!([entry]), &variables);
    becomes(&service, "/aggregates", "is there", |body| body["site"].is_object()).await;
    let before = site.commands().len();
    foreign.set(Fault::Refuse);
    becomes(&service, "/aggregates", "is gone", Value::is_null).await;
    assert_eq!(site.commands().len(), before, "nothing is asked of another house");
    service.stop().await;
}
