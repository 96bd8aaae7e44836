//! What holds for every request, whatever its route: orders, limits, names, compression.

mod common;

use std::io::Read;
use std::time::Duration;

use actix_web::http::Method;
use common::{Answer, Outputs, SECOND, http, snapshot, telemetry};
use flate2::read::GzDecoder;
use powerwall_server::model::Freshness::Live;
use powerwall_server::settings::{Access, HttpSettings, RateLimit, Secret};
use powerwall_server::simulator::SiteKind;
use serde_json::{Value, json};

async fn outputs(http: HttpSettings) -> Outputs {
    let telemetry = telemetry(SiteKind::Powerwall3).await;
    Outputs::with(vec![snapshot("home", &telemetry, Live)], http, 30 * SECOND)
}

async fn guarded() -> Outputs {
    let telemetry = telemetry(SiteKind::Powerwall3).await;
    let access = Access::owned_by(Secret::new("open sesame to me"));
    Outputs::accessed(vec![snapshot("home", &telemetry, Live)], http(), access)
}

fn detail(answer: &Answer) -> (u16, String) {
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    (answer.status, body["detail"].as_str().unwrap_or_default().to_owned())
}

#[actix_web::test]
async fn orders_need_the_control_token() {
    let open = outputs(http()).await;
    let answer =
        open.send(Method::POST, "/health/reset", &[("authorization", "Bearer open sesame to me")]).await;
    assert_eq!(detail(&answer), (403, "Control features not enabled".into()));

    let guarded = guarded().await;
    let answer = guarded.send(Method::POST, "/health/reset", &[]).await;
    assert_eq!(detail(&answer), (401, "Authorization header required".into()));
    let answer = guarded.send(Method::POST, "/health/reset", &[("authorization", "Bearer guess")]).await;
    assert_eq!(detail(&answer), (401, "Invalid control token".into()));
    for token in ["Bearer open sesame to me", "open sesame to me"] {
        let answer = guarded.send(Method::POST, "/health/reset/", &[("authorization", token)]).await;
        let body: Value = serde_json::from_slice(&answer.body).unwrap();
        let expected =
            json!({ "status": "ok", "message": "SolarOnly fallback state reset for all gateways" });
        assert_eq!((answer.status, body), (200, expected));
    }
    for _ in 0..4 {
        guarded.send(Method::POST, "/health/reset", &[("authorization", "guess")]).await;
    }
    let answer = guarded.send(Method::POST, "/stats/clear", &[("authorization", "guess")]).await;
    assert_eq!(answer.status, 429, "who guesses waits");
    let right = guarded.send(Method::POST, "/stats/clear", &[("authorization", "open sesame to me")]).await;
    assert_eq!(right.status, 200, "and the one who knows it does not");
    assert!(answer.header("retry-after").is_some());
    assert_eq!(guarded.get("/health/reset").await.status, 200, "changes nothing");
}

#[actix_web::test]
async fn statistics_start_anew_for_who_has_the_token_and_for_nobody_else() {
    let guarded = guarded().await;
    for _ in 0..3 {
        guarded.get("/soe").await;
    }
    let token = [("authorization", "Bearer open sesame to me")];
    assert_eq!(guarded.send(Method::POST, "/stats/clear", &[]).await.status, 401);
    assert_eq!(guarded.json("/stats").await["uri"]["/soe"], 3);
    assert_eq!(guarded.send(Method::POST, "/stats/clear", &token).await.status, 200);
    let stats = guarded.json("/stats").await;
    assert_eq!((&stats["uri"]["/soe"], &stats["posts"]), (&Value::Null, &json!(1)));
    let answer = guarded.get("/stats/clear").await;
    assert_eq!(detail(&answer), (401, "Authorization header required".into()), "this machine is no token");
    let answer = guarded.send(Method::GET, "/stats/clear", &[("authorization", "guess")]).await;
    assert_eq!(detail(&answer), (401, "Invalid control token".into()));
    assert_ne!(guarded.json("/stats").await["gets"], 0);
    assert_eq!(guarded.send(Method::GET, "/stats/clear", &token).await.status, 200);
    let answer = outputs(http()).await.get("/stats/clear").await;
    assert_eq!(detail(&answer), (403, "Control features not enabled".into()));
}

#[actix_web::test]
async fn who_must_log_in_may_and_learns_nothing() {
    let app = outputs(http()).await;
    let answer = app.send(Method::POST, "/api/login/Basic", &[]).await;
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(
        body,
        json!({
            "email": "", "firstname": "Tesla", "lastname": "Energy", "roles": ["Home_Owner"],
            "token": "1234567890", "provider": "Basic", "loginType": "Basic",
        })
    );
    assert!(answer.header("set-cookie").is_some());
    let get = app.get("/api/login/Basic").await;
    assert_eq!((get.status, get.header("allow")), (405, Some("POST")));
    assert_eq!(app.get("/soe").await.header("set-cookie"), None, "only where somebody logs in");
}

#[actix_web::test]
async fn one_client_that_asks_too_much_learns_when_to_come_back() {
    let limit = RateLimit { requests: 3, window: Duration::from_secs(3600), most_clients: 10 };
    let app = outputs(HttpSettings { rate_limit: Some(limit), ..http() }).await;
    for _ in 0..3 {
        assert_eq!(app.get("/soe").await.status, 200);
    }
    let answer = app.get("/soe").await;
    assert_eq!(detail(&answer), (429, "Rate limit exceeded".into()));
    assert!(answer.header("retry-after").unwrap().parse::<u64>().unwrap() <= 3600);
    assert_eq!(app.get("/nothing").await.status, 429, "also for what is not there");
    for path in ["/livez", "/readyz", "/health"] {
        assert_eq!(app.get(path).await.status, 200, "{path}: a container must not be thought dead");
    }
}

#[actix_web::test]
async fn other_names_for_this_machine_are_refused_if_the_settings_say_so() {
    let app = outputs(HttpSettings { hosts: Some(vec!["wall.local".into()]), ..http() }).await;
    for (host, expected) in [
        ("wall.local", 200),
        ("Wall.Local:8675", 200),
        ("localhost:1", 200),
        ("192.168.1.5:8675", 200),
        ("[::1]:8675", 200),
        ("evil.example", 421),
        ("wall.local.evil.example", 421),
        ("[::1]", 200),
        ("[::1]junk", 421),
        ("[::1]evil.example:80", 421),
        ("[::1", 421),
        ("[wall.local]", 421),
        ("127.0.0.1:evil", 421),
        ("localhost:1.evil.example", 421),
        ("wall.local:80:80", 421),
    ] {
        assert_eq!(app.send(Method::GET, "/soe", &[("host", host)]).await.status, expected, "{host}");
    }
    let everybody = outputs(http()).await;
    assert_eq!(everybody.send(Method::GET, "/soe", &[("host", "any.name")]).await.status, 200);
}

#[actix_web::test]
async fn large_bodies_are_compressed_for_who_takes_them_so() {
    let app = outputs(http()).await;
    for path in ["/vitals", "/api/gateways/home", "/api/aggregate"] {
        let plain = app.send(Method::GET, path, &[("accept-encoding", "identity")]).await;
        assert_eq!(plain.header("content-encoding"), None, "{path}");
        let small = app.send(Method::GET, path, &[("accept-encoding", "br, gzip;q=0.8")]).await;
        assert_eq!(small.header("content-encoding"), Some("gzip"), "{path}");
        assert_eq!(small.header("vary"), Some("Accept-Encoding"), "{path}");
        assert_eq!(small.header("content-length"), Some(small.body.len().to_string().as_str()), "{path}");
        assert!(small.body.len() * 2 < plain.body.len(), "{path}");
        let mut read = String::new();
        GzDecoder::new(&small.body[..]).read_to_string(&mut read).unwrap();
        if path == "/vitals" {
            assert_eq!(read.as_bytes(), plain.body);
        }
        assert!(serde_json::from_str::<Value>(&read).is_ok(), "{path}");
    }
    for (path, accepted) in
        [("/soe", "gzip"), ("/vitals", "gzip;q=0"), ("/vitals", "br"), ("/vitals", "gzipped")]
    {
        let answer = app.send(Method::GET, path, &[("accept-encoding", accepted)]).await;
        assert_eq!(answer.header("content-encoding"), None, "{path} {accepted}");
    }
}

#[actix_web::test]
async fn what_is_asked_is_not_repeated() {
    let app = guarded().await;
    let script = "%3Cscript%3Ealert(1)%3C/script%3E";
    for path in [
        format!("/{script}"),
        format!("/?style={script}"),
        format!("/console?style={script}"),
        format!("/api/gateways/{script}"),
        format!("/api/gateways/home/api/{script}"),
        format!("/soe?{script}"),
        format!("/help?{script}"),
        format!("/stats?{script}"),
        format!("/static/{script}"),
    ] {
        let headers = [("x-forwarded-host", "<script>"), ("authorization", "<script>"), ("origin", "null")];
        let answer = app.send(Method::GET, &path, &headers).await;
        let body = String::from_utf8_lossy(&answer.body).to_lowercase();
        assert!(!body.contains("alert(1)") && !body.contains("%3cscript"), "{path}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
    }
}

#[actix_web::test]
async fn browsers_keep_scripts_as_long_as_the_settings_say_and_nothing_else() {
    let kept = outputs(HttpSettings { browser_cache: 60 * SECOND, ..http() }).await;
    let default = outputs(http()).await;
    for (path, with, without) in [
        ("/static/live.js", "max-age=60", "no-cache"),
        ("/favicon.ico", "max-age=60", "no-cache"),
        ("/", "no-cache", "no-cache"),
        ("/aggregates", "no-store", "no-store"),
    ] {
        assert_eq!(kept.get(path).await.header("cache-control"), Some(with), "{path}");
        assert_eq!(default.get(path).await.header("cache-control"), Some(without), "{path}");
    }
}
