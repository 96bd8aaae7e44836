//! Who may read and who may change something, for every route of the document.

mod common;

use std::sync::Arc;

use actix_web::http::Method;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use common::sockets::{connect, frame, refusal};
use common::{Outputs, http, snapshot, telemetry};
use powerwall_server::model::Freshness::Live;
use powerwall_server::settings::{Access, AllowedOrigins, HttpSettings, Role, Secret, Token};
use powerwall_server::simulator::SiteKind;
use serde_json::Value;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

const WALL: &str = "a-secret-of-the-wall";
const CAR: &str = "a-secret-of-the-car";
const NIGHT: &str = "a-secret-of-the-night";

fn token(name: &str, role: Role, gateways: Option<&[&str]>, secret: &str) -> Arc<Token> {
    let gateways = gateways.map(|ids| ids.iter().map(|id| (*id).to_owned()).collect());
    Arc::new(Token { name: name.into(), role, gateways, secret: Secret::new(secret) })
}

/// Two gateways; readings need a token.
async fn closed(http: HttpSettings) -> Outputs {
    let telemetry = telemetry(SiteKind::Powerwall3).await;
    let tokens = vec![
        token("wall", Role::Viewer, None, WALL),
        token("car", Role::Operator, Some(&["lake"]), CAR),
        token("night", Role::Owner, None, NIGHT),
    ];
    let gateways = vec![snapshot("home", &telemetry, Live), snapshot("lake", &telemetry, Live)];
    Outputs::accessed(gateways, http, Access { is_open: false, tokens })
}

fn bearer(secret: &str) -> String {
    format!("Bearer {secret}")
}

async fn status(outputs: &Outputs, path: &str, authorization: Option<&str>) -> u16 {
    let headers: Vec<_> = authorization.iter().map(|text| ("authorization", *text)).collect();
    outputs.send(Method::GET, path, &headers).await.status
}

/// Says something about a gateway to nobody: about the program, or constant.
const OPEN: [&str; 17] = [
    "/livez",
    "/readyz",
    "/health",
    "/health/reset",
    "/openapi.json",
    "/docs",
    "/redoc",
    "/docs/oauth2-redirect",
    "/api/auth/toggle/supported",
    "/favicon.ico",
    "/favicon-16x16.png",
    "/favicon-32x32.png",
    "/static/live.js",
    "/[object%20Object]",
    "/%5Bobject%20Object%5D",
    // Ask for a token in any case.
    "/stats/clear",
    "/api/login/Basic",
];

#[actix_web::test]
async fn where_readings_need_a_token_every_one_does() {
    let outputs = closed(http()).await;
    let document = outputs.json("/openapi.json").await;
    let paths = document["paths"].as_object().unwrap().iter().filter(|(_, item)| item.get("get").is_some());
    let mut guarded = 0;
    for (path, item) in paths {
        let path = path
            .replace("{id}", "home")
            .replace("{file}", "live.js")
            .replace("{path}", "status")
            .replace("{action}", "reserve");
        let content = &item["get"]["responses"]["200"]["content"];
        let alone = outputs.send(Method::GET, &path, &[]).await;
        if OPEN.contains(&path.as_str()) {
            assert_ne!(alone.header("www-authenticate"), Some(CHALLENGE), "{path}");
            continue;
        }
        guarded += 1;
        assert_eq!(alone.status, 401, "{path}");
        let asks_itself = ["/api/journal", "/api/orders", "/api/fleet/journal"];
        if !asks_itself.iter().any(|own| path.starts_with(own)) {
            assert_eq!(alone.header("www-authenticate"), Some(CHALLENGE), "{path}");
        }
        assert_eq!(
            status(&outputs, &path, Some(&bearer("a wrong secret of nobody"))).await / 100,
            4,
            "{path}"
        );
        // A feed does not end; those are listened to below.
        if content.get("text/event-stream").is_none() && item["get"]["responses"].get("101").is_none() {
            let answer = status(&outputs, &path, Some(&bearer(WALL))).await;
            assert!(![401, 403].contains(&answer), "{path}: {answer}");
        }
    }
    assert!(guarded > 90, "{guarded}");
    for path in ["/nothing", "/api/gateways/nobody", "/Aggregates", "/aggregates/x"] {
        assert_eq!(status(&outputs, path, None).await, 401, "{path}: not even what there is");
    }
}

const CHALLENGE: &str = r#"Basic realm="powerwall-server", charset="UTF-8""#;

#[actix_web::test]
async fn feeds_need_the_token_as_well() {
    let outputs = closed(http()).await;
    for path in ["/ws/live", "/ws/aggregate", "/ws/gateway/home"] {
        assert_eq!(refusal(outputs.addr, path, None).await, Some(401), "{path}");
        let mut request = format!("ws://{}{path}", outputs.addr).into_client_request().unwrap();
        request.headers_mut().insert("authorization", bearer(WALL).parse().unwrap());
        let (mut client, _) = tokio_tungstenite::connect_async(request).await.unwrap();
        assert!(frame(&mut client).await.is_object(), "{path}");
    }
    assert_eq!(status(&outputs, "/sse/live", None).await, 401);
    assert!(connect(Outputs::of(Vec::new()).addr, "/ws/live", None).await.is_ok(), "open is open");
}

#[actix_web::test]
async fn whoever_watches_over_the_program_learns_that_it_runs_and_no_more() {
    let outputs = closed(http()).await;
    let health = outputs.json("/health").await;
    let keys: Vec<&String> = health.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["status", "version", "gateways", "gateways_online"]);
    assert_eq!(outputs.get("/health?ready=1").await.status, 200);
    let all = outputs.send(Method::GET, "/health", &[("authorization", &bearer(WALL))]).await;
    let all: Value = serde_json::from_slice(&all.body).unwrap();
    assert_eq!(all["gateway_ids"][1], "lake");
    let of_one = outputs.send(Method::GET, "/health", &[("authorization", &bearer(CAR))]).await;
    assert!(!String::from_utf8_lossy(&of_one.body).contains("home"));
}

#[actix_web::test]
async fn a_token_for_some_gateways_reads_those_and_no_sum_of_others() {
    let outputs = closed(http()).await;
    for (path, expected) in [
        ("/api/gateways/lake", 200),
        ("/api/fleet", 403),
        ("/api/fleet/groups?search=lake", 403),
        ("/api/fleet/inventory", 403),
        ("/api/fleet/inventory.csv", 403),
        ("/api/gateways/lake/vitals", 200),
        ("/api/gateways/lake/api/status", 200),
        ("/api/gateways/home", 403),
        ("/api/gateways/home/", 403),
        ("/api/gateways", 403),
        ("/api/gateways/", 403),
        // The default gateway is the other one.
        ("/aggregates", 403),
        ("/api/status", 403),
        ("/api/aggregate/power", 403),
        ("/metrics", 403),
        ("/stats", 403),
        ("/health/gateways", 403),
        ("/api/live", 403),
        ("/", 403),
        ("/livez", 200),
    ] {
        assert_eq!(status(&outputs, path, Some(&bearer(CAR))).await, expected, "{path}");
    }
}

#[actix_web::test]
async fn a_browser_reads_with_a_password_and_orders_nothing_with_it() {
    let outputs = closed(HttpSettings { origins: AllowedOrigins::Any, ..http() }).await;
    let password = |secret: &str| format!("Basic {}", BASE64_STANDARD.encode(format!("anybody:{secret}")));
    assert_eq!(status(&outputs, "/soe", Some(&password(WALL))).await, 200);
    assert_eq!(status(&outputs, "/soe", Some(&password("a wrong secret of nobody"))).await, 401);
    let night = password(NIGHT);
    let order = outputs.send(Method::POST, "/health/reset", &[("authorization", &night)]).await;
    assert_eq!(order.status, 401, "a page of somebody else could make the browser send it");
    let own = format!("http://{}", outputs.addr);
    for (origin, expected) in [(own.as_str(), 200), ("http://evil.example", 401), ("null", 401)] {
        let headers = [("authorization", night.as_str()), ("origin", origin)];
        assert_eq!(outputs.send(Method::GET, "/soe", &headers).await.status, expected, "{origin}");
        // A program of another origin has the token itself.
        let own = bearer(NIGHT);
        let headers = [("authorization", own.as_str()), ("origin", origin)];
        assert_eq!(outputs.send(Method::GET, "/soe", &headers).await.status, 200, "{origin}");
    }
    let listed = AllowedOrigins::Listed(vec!["http://wall.local".into()]);
    let outputs = closed(HttpSettings { origins: listed, ..http() }).await;
    for (origin, expected) in [("http://wall.local", 200), ("http://evil.example", 401)] {
        let headers = [("authorization", night.as_str()), ("origin", origin)];
        assert_eq!(outputs.send(Method::GET, "/soe", &headers).await.status, expected, "{origin}");
    }
}

#[actix_web::test]
async fn who_only_reads_changes_nothing() {
    let outputs = closed(http()).await;
    for (secret, expected) in [(WALL, 403), (CAR, 200), (NIGHT, 200)] {
        let header = bearer(secret);
        let answer = outputs.send(Method::POST, "/health/reset", &[("authorization", &header)]).await;
        assert_eq!(answer.status, expected, "{secret}");
        if expected == 403 {
            let body: Value = serde_json::from_slice(&answer.body).unwrap();
            assert_eq!(body["detail"], "This token has the role viewer, and this needs operator");
        }
    }
    let cookie = format!("token={NIGHT}; AuthCookie={NIGHT}");
    let by_cookie = outputs.send(Method::POST, "/health/reset", &[("cookie", &cookie)]).await;
    assert_eq!(by_cookie.status, 401, "what a browser sends by itself is no token");
}

/// Sent by Home Assistant's Supervisor with every request.
const INGRESS: (&str, &str) = ("x-ingress-path", "/api/hassio_ingress/abc");

#[actix_web::test]
async fn ingress_reads_everything_from_the_supervisors_address_and_orders_nothing() {
    let supervisor = HttpSettings {
        ingress: ["127.0.0.1".parse().unwrap()].into_iter().collect(),
        hosts: Some(vec!["wall.lan".into()]),
        ..http()
    };
    let outputs = closed(supervisor).await;
    let get = async |path: &str, headers: &[(&str, &str)]| outputs.send(Method::GET, path, headers).await;
    let named = ("host", "homeassistant.local");
    for path in ["/", "/aggregates", "/api/gateways/home", "/api/journal", "/metrics"] {
        assert_eq!(get(path, &[]).await.status, 401, "{path}: the address alone is not enough");
        assert_eq!(get(path, &[INGRESS, named]).await.status, 200, "{path}");
    }
    for path in ["nothing", "/a b", "/<script>", "//?x"] {
        assert_eq!(get("/aggregates", &[("x-ingress-path", path)]).await.status, 401, "{path}");
    }
    let wrong = get("/aggregates", &[INGRESS, ("authorization", "Bearer wrong")]).await;
    assert_eq!(wrong.status, 401, "a token that is given counts");
    let order = outputs.send(Method::POST, "/stats/clear", &[INGRESS]).await;
    assert_eq!(order.status, 401, "{:?}", order.body);
    let document = get("/openapi.json", &[INGRESS]).await;
    let document: Value = serde_json::from_slice(&document.body).unwrap();
    assert_eq!(document["servers"][0]["url"], "/api/hassio_ingress/abc");
    assert_eq!(outputs.json("/openapi.json").await["servers"][0]["url"], "/");
    let mut request = format!("ws://{}/ws/live", outputs.addr).into_client_request().unwrap();
    request.headers_mut().insert(INGRESS.0, INGRESS.1.parse().unwrap());
    tokio_tungstenite::connect_async(request).await.expect("the feed of the pages");
}

#[actix_web::test]
async fn headers_of_ingress_from_elsewhere_are_ignored() {
    let settings = HttpSettings {
        ingress: ["172.30.32.2".parse().unwrap()].into_iter().collect(),
        trusted_proxies: ["127.0.0.1".parse().unwrap()].into_iter().collect(),
        hosts: Some(vec!["wall.lan".into()]),
        ..http()
    };
    let outputs = closed(settings).await;
    let forged = [INGRESS, ("x-forwarded-for", "172.30.32.2"), ("x-remote-user-id", "1")];
    assert_eq!(outputs.send(Method::GET, "/aggregates", &forged).await.status, 401);
    let named = [INGRESS, ("host", "homeassistant.local")];
    assert_eq!(outputs.send(Method::GET, "/livez", &named).await.status, 421);
    let document = outputs.send(Method::GET, "/openapi.json", &[INGRESS]).await;
    let document: Value = serde_json::from_slice(&document.body).unwrap();
    assert_eq!(document["servers"][0]["url"], "/");
}
