//! No password, token, key path or e-mail address leaves the real program: not in an answer, not in a frame,
//! not in its log, however much it logs.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures_util::StreamExt;
use powerwall_server::simulator::{GatewayHandle, SiteKind, SiteOptions};
use powerwall_server::web::compatibility;
use serde_json::{Value, json};
use tokio_tungstenite::connect_async;

use crate::program::{Program, run};

const CONTROL_SECRET: &str = "TOPSECRETTOKEN";
const GUESS: &str = "WRONGSECRETTOKEN";
const CUSTOMER_PASSWORD: &str = "CUSTOMERSECRET";

async fn ask(program: &Program, method: &str, path: &str, headers: &[(&str, &str)]) -> String {
    let url = format!("http://{}{path}", program.addr);
    let mut request = awc::Client::default().request(method.parse().unwrap(), url);
    for (name, value) in headers {
        request = request.insert_header((*name, *value));
    }
    let mut response = request.send().await.unwrap();
    let body = response.body().limit(16 << 20).await.unwrap();
    format!("{:?}\n{}", response.headers(), String::from_utf8_lossy(&body))
}

#[actix_web::test]
async fn no_secret_leaves_the_program() {
    let gateway = GatewayHandle::start(SiteOptions::new("home", "Home", SiteKind::Powerwall3)).await.unwrap();
    let dead = GatewayHandle::start(SiteOptions::new("dead", "Dead", SiteKind::Powerwall2)).await.unwrap();
    dead.set(powerwall_server::simulator::Fault::Status { code: 401, retry_after: None });
    let with = |gateway: &GatewayHandle| {
        let mut entry = gateway.settings();
        entry["email"] = json!("somebody.private@example.com");
        entry
    };
    let key = tempfile::Builder::new().prefix("private-key-path").tempfile().unwrap();
    let key_path = key.path().to_str().unwrap();
    let cloud =
        json!({ "id": "cloud", "email": "somebody.private@example.com", "password": CUSTOMER_PASSWORD });
    let list = json!([with(&gateway), with(&dead), cloud]).to_string();
    let environment = [
        ("PW_GATEWAYS", list.as_str()),
        ("PW_PORT", "0"),
        ("PW_BIND_ADDRESS", "127.0.0.1"),
        ("PW_CACHE_EXPIRE", "1"),
        ("PW_CONTROL_SECRET", CONTROL_SECRET),
        ("MQTT_PASSWORD", CUSTOMER_PASSWORD),
        ("PW_TLS_KEY", key_path),
        ("RUST_LOG", "trace"),
    ];
    let config = run(&["check-config"], &environment).await;
    assert_eq!(config.code, Some(0), "{}", config.stderr);
    let program = Program::start(&[], &environment).await;
    program.health_becomes("home", |health| health["state"] == "live").await;
    program.health_becomes("dead", |health| health["failures"].as_u64() > Some(0)).await;
    let mut said = config.stdout + &config.stderr;
    let page = compatibility();
    let paths = page.lines().filter(|line| line.starts_with("| `/") && line.contains("| GET"));
    for path in paths.map(|line| line.split('`').nth(1).unwrap()) {
        let feeds = ["/ws/", "/sse/"];
        if feeds.iter().any(|feed| path.starts_with(feed)) || path.contains("{file}") {
            continue;
        }
        for id in ["home", "dead"] {
            let path = path.replace("{id}", id).replace("{path}", "status");
            said += &ask(&program, "GET", &path, &[]).await;
        }
    }
    for token in [GUESS, CONTROL_SECRET] {
        let authorization = format!("Bearer {token}");
        said += &ask(&program, "POST", "/health/reset", &[("authorization", &authorization)]).await;
    }
    for path in ["/ws/aggregate", "/ws/gateway/home", "/ws/gateway/dead"] {
        let (mut feed, _) = connect_async(format!("ws://{}{path}", program.addr)).await.unwrap();
        said += &feed.next().await.unwrap().unwrap().into_text().unwrap();
    }
    assert!(said.contains("PackageSerialNumber") && said.len() > 50_000, "{}", said.len());
    let log = program.log();
    assert!(log.lines().count() > 10, "{log}");
    let password = gateway.settings()["gw_pwd"].as_str().unwrap().to_owned();
    assert!(!password.is_empty());
    // As it is in the header of every request to the gateway.
    let encoded = BASE64_STANDARD.encode(format!("Tesla_Energy_Device:{password}"));
    let secrets = [
        password.as_str(),
        &encoded,
        CONTROL_SECRET,
        GUESS,
        CUSTOMER_PASSWORD,
        "private-key-path",
        "somebody.private",
    ];
    for secret in secrets {
        for (place, text) in [("an answer", &said), ("the log", &log)] {
            let around = text
                .find(secret)
                .map(|at| text[at.saturating_sub(200)..].chars().take(300).collect::<String>());
            assert_eq!(around, None, "{secret} is in {place}");
        }
    }
    let _: Value = serde_json::from_str(&program.get("/stats").await.1).unwrap();
}
