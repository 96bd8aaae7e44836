//! `get` and `set` as a person types them, and notifications of what comes of it: the real program, simulated
//! gateways, and a listener that somebody is notified at.

mod common;
#[path = "service/program.rs"]
#[allow(dead_code, reason = "another test program uses the rest")]
mod program;
#[path = "commands/readme.rs"]
mod readme;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_web::web::{Bytes, Data};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use powerwall_server::settings::RsaKey;
use powerwall_server::simulator::{GatewayHandle, Registration, SiteKind, SiteOptions};
use program::{Program, Said, run};
use serde_json::{Value, json};
use tempfile::TempDir;

const KEY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/v1r/key-4096.pem");
const OWNER: &str = "CanaryOwner-of-everything";
const TOKEN: &str = "CanaryToken-of-the-hook";

/// What a target was sent: path, token, body.
type Post = (String, Option<String>, Value);

#[derive(Clone, Default)]
struct Hook(Arc<Mutex<Vec<Post>>>);

impl Hook {
    /// Listens on loopback; the address.
    async fn listen(&self) -> String {
        let hook = Data::new(self.clone());
        let take = |hook: Data<Hook>, request: HttpRequest, body: Bytes| async move {
            let token =
                request.headers().get("authorization").map(|value| value.to_str().unwrap().to_owned());
            let body = serde_json::from_slice(&body).unwrap();
            hook.0.lock().unwrap().push((request.path().to_owned(), token, body));
            HttpResponse::Ok().finish()
        };
        let app = move || App::new().app_data(hook.clone()).default_service(web::to(take));
        let server = HttpServer::new(app).workers(1).bind(("127.0.0.1", 0)).unwrap();
        let addr = server.addrs()[0];
        actix_web::rt::spawn(server.run());
        format!("http://{addr}")
    }

    async fn until(&self, what: impl Fn(&Post) -> bool) -> Post {
        let looked = async {
            loop {
                if let Some(found) = self.0.lock().unwrap().iter().find(|post| what(post)) {
                    return found.clone();
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let found = tokio::time::timeout(program::PATIENCE, looked).await;
        found.unwrap_or_else(|_| panic!("{:?}", self.0.lock().unwrap()))
    }
}

/// A Powerwall 3 over v1r (`home`) and a Powerwall 2 over its customer API (`lake`), as the file has them.
struct House {
    home: GatewayHandle,
    _lake: GatewayHandle,
    _lan: GatewayHandle,
    folder: TempDir,
}

impl House {
    async fn new(hook: &str) -> Self {
        let start = |id: &str, kind| GatewayHandle::start(SiteOptions::new(id, id, kind));
        let (home, lake) = (start("home", SiteKind::Powerwall3), start("lake", SiteKind::Powerwall2));
        let (home, lake) = (home.await.unwrap(), lake.await.unwrap());
        let lan = home.on_lan().await.unwrap();
        lan.lan().unwrap().register(RsaKey::read(KEY.as_ref()).unwrap().public_der(), Registration::Verified);
        let mut wired = home.settings_with_lan(&lan, KEY);
        wired.as_object_mut().unwrap().remove("wifi_host");
        let file = json!({
            "gateways": [wired, lake.customer_settings()],
            "notify": [
                { "name": "hook", "kind": "webhook", "url": format!("{hook}/CanaryPath"),
                    "token_env": "PW_NOTIFY_HOOK", "on": ["outage"], "gateways": ["home"] },
                { "name": "phone", "kind": "ntfy", "url": format!("{hook}/CanaryTopic"), "on": ["outage"] },
            ],
        });
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config.json"), file.to_string()).unwrap();
        Self { home, _lake: lake, _lan: lan, folder }
    }

    fn environment(&self, port: &str) -> Vec<(&'static str, String)> {
        let path = |name: &str| self.folder.path().join(name).to_str().unwrap().to_owned();
        vec![
            ("PW_CONFIG", path("config.json")),
            ("PW_CONTROL_SECRET", OWNER.to_owned()),
            ("PW_NOTIFY_HOOK", TOKEN.to_owned()),
            ("PW_AUTH_PATH", path("")),
            ("PW_TIMESERIES_PATH", path("journal.db")),
            ("PW_PORT", port.to_owned()),
            ("PW_BIND_ADDRESS", "127.0.0.1".to_owned()),
            ("PW_CACHE_EXPIRE", "1".to_owned()),
        ]
    }

    async fn serve(&self) -> Program {
        let environment = self.environment("0");
        let environment: Vec<_> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
        Program::start(&["serve"], &environment).await
    }

    /// What a command says that is given where the service at `port` is configured.
    async fn typed(&self, port: u16, arguments: &[&str]) -> Said {
        let environment = self.environment(&port.to_string());
        let environment: Vec<_> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let said = run(arguments, &environment).await;
        assert!(
            !said.stdout.contains("Canary") && !said.stderr.contains("Canary"),
            "{}{}",
            said.stdout,
            said.stderr
        );
        said
    }
}

async fn can_be_ordered(program: &Program, id: &str) {
    let path = format!("/api/gateways/{id}/control");
    let looked = async {
        loop {
            let control = program.json(&path).await;
            // While its actor is being started there is no list.
            let mut orders = control["orders"].as_array().into_iter().flatten();
            if orders.any(|order| order["order"] == "reserve" && order["can"] == true) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(program::PATIENCE, looked).await.expect(id);
}

#[actix_web::test]
async fn what_is_typed_is_done_shown_and_people_are_notified() {
    let hook = Hook::default();
    let house = House::new(&hook.listen().await).await;
    let program = house.serve().await;
    can_be_ordered(&program, "home").await;
    let port = program.addr.port();

    let shown = house.typed(port, &["get", "--gateway", "home"]).await;
    assert_eq!(shown.code, Some(0), "{}", shown.stderr);
    assert!(shown.stdout.contains("islanding") && shown.stdout.contains("over v1r"), "{}", shown.stdout);
    let json = house.typed(port, &["get", "--gateway", "home", "--json"]).await;
    let json: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!((&json["gateway"], &json["enabled"]), (&json!("home"), &json!(true)));

    let several = house.typed(port, &["set", "reserve", "33"]).await;
    assert_eq!(several.code, Some(1));
    assert!(several.stderr.contains("--gateway home|lake"), "{}", several.stderr);
    let stored = house.typed(port, &["set", "reserve", "33", "--gateway", "home"]).await;
    assert_eq!(stored.code, Some(0), "{}{}", stored.stdout, stored.stderr);
    assert!(
        stored.stdout.contains("home: stored") || stored.stdout.contains("home: in effect"),
        "{}",
        stored.stdout
    );
    assert!((house.home.reserve().0 - 36.35).abs() < 0.01, "{:?}", house.home.reserve());
    for (arguments, code) in [
        (&["set", "reserve", "101", "--gateway", "home"][..], 2),
        (&["set", "fly", "1"], 2),
        (&["set", "reserve", "30", "--gateway", "cabin"], 1),
        (&["set", "islanding", "off_grid", "--gateway", "home"], 1),
        (&["set", "islanding", "off_grid", "--gateway", "lake", "--confirm"], 1),
    ] {
        let refused = house.typed(port, arguments).await;
        assert_eq!(refused.code, Some(code), "{arguments:?}: {}{}", refused.stdout, refused.stderr);
    }
    assert!(!house.home.is_off_grid());

    let off = house.typed(port, &["set", "islanding", "off_grid", "--gateway", "home", "--confirm"]).await;
    assert_eq!(off.code, Some(0), "{}{}", off.stdout, off.stderr);
    let (_, token, outage) = hook.until(|(path, _, _)| path == "/CanaryPath").await;
    assert_eq!(token.as_deref(), Some("Bearer CanaryToken-of-the-hook"));
    assert_eq!((&outage["event"], &outage["state"]), (&json!("outage"), &json!("began")));
    assert_eq!(outage["title"], "home: grid outage");
    program.has_said("gateway home: the home is cut off from the grid").await;
    assert!(program.log().contains(" and watches 2 gateways\n"), "{}", program.log());
    let (path, token, push) = hook.until(|(_, _, body)| body["topic"] == "CanaryTopic").await;
    assert_eq!((path.as_str(), token, &push["priority"]), ("/", None, &json!(5)));
    assert_eq!(hook.0.lock().unwrap().len(), 2, "once each");
    assert!(!program.log().contains("Canary"), "{}", program.log());
}

#[actix_web::test]
async fn a_folder_has_one_service_and_without_one_an_order_is_given_from_here() {
    let house = House::new("http://127.0.0.1:9").await;
    let mut program = house.serve().await;
    can_be_ordered(&program, "home").await;
    let port = program.addr.port();

    let second = house.typed(0, &["serve"]).await;
    assert_eq!(second.code, Some(2));
    assert!(second.stderr.contains("another powerwall-server uses"), "{}", second.stderr);
    // Whoever finds no service at the address that is configured must not go past one that is elsewhere.
    let past = house.typed(9, &["set", "reserve", "70", "--gateway", "home"]).await;
    assert_eq!(past.code, Some(1));
    assert!(past.stderr.contains("another powerwall-server uses"), "{}", past.stderr);

    program.signal("TERM").await;
    assert!(program.ended().await.success());
    let alone = house.typed(port, &["set", "reserve", "44", "--gateway", "home"]).await;
    assert_eq!(alone.code, Some(0), "{}{}", alone.stdout, alone.stderr);
    assert!(alone.stderr.contains("No service is running"), "{}", alone.stderr);
    assert!((house.home.reserve().0 - 46.8).abs() < 0.01, "{:?}", house.home.reserve());
    let lease = house.typed(port, &["set", "reserve", "50", "--gateway", "home", "--for", "1h"]).await;
    assert_eq!(lease.code, Some(1));
    assert!(lease.stderr.contains("somebody has to be there"), "{}", lease.stderr);
}

#[actix_web::test]
async fn help_says_what_counts_for_each_command_and_nothing_configured_is_said() {
    for (arguments, has, lacks) in [
        (&["help"][..], "check-config", "never"),
        (&["scan", "--help"], "--gateway-port", "--gw-pwd"),
        (&["set", "--help"], "--config", "--rate-limit"),
        (&["demo", "--help"], "--port", "--password"),
        (&["backup", "--help"], "FILE", "--style"),
        (&["history", "check", "--help"], "FILE", "--style"),
        (&["import", "--help"], "--config", "--style"),
        (&["doctor", "--help"], "--gw-pwd", "--style"),
        (&["settings", "mqtt_port"], "MQTT_PORT=8883", "PW_PORT"),
        (&["serve", "--help"], "--gw-pwd", "never"),
    ] {
        let said = run(arguments, &[]).await;
        assert_eq!(said.code, Some(0), "{arguments:?}: {}", said.stderr);
        assert!(said.stdout.contains(has) && !said.stdout.contains(lacks), "{arguments:?}: {}", said.stdout);
    }
    // As `serve` does.
    let nothing = run(&["check-config"], &[]).await;
    assert_eq!(nothing.code, Some(2));
    assert!(nothing.stderr.contains("No gateway is configured"), "{}", nothing.stderr);
    assert!(!nothing.stdout.contains("No gateway"), "said once: {}", nothing.stdout);
    let given = run(&["check-config"], &[("PW_HOST", "192.168.91.1"), ("PW_GW_PWD", "ABCDEFGHIJ")]).await;
    assert_eq!(given.code, Some(0), "{}", given.stderr);
}
