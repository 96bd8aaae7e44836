//! Every route in every state a gateway can be in.

mod common;

use std::io::Read;

use actix_web::http::Method;
use common::{Answer, Outputs, SECOND, http, snapshot, telemetry};
use flate2::read::GzDecoder;
use powerwall_server::link::local::answers::{CustomerAnswers, Endpoint};
use powerwall_server::model::Freshness::{self, Expired, Live, Never, Stale};
use powerwall_server::model::{Adjustments, Aggregate, Telemetry};
use powerwall_server::settings::{AllowedOrigins, HttpSettings, Style};
use powerwall_server::simulator::SiteKind;
use serde_json::{Value, json};

const NOTHING_IN_JSON: &str = concat!(
    r#"{"grid":null,"home":null,"solar":null,"battery":null,"soe":null,"soe_raw":null,"grid_status":null,"#,
    r#""reserve":null,"time_remaining_hours":null,"full_pack_energy":null,"energy_remaining":null,"#,
    r#""strings":null}"#,
);

/// Routes of the default gateway and what they say when there is nothing to say.
const ROUTES: [(&str, &str); 17] = [
    ("/aggregates", "null"),
    ("/api/meters/aggregates", "null"),
    ("/soe", "null"),
    ("/vitals", "null"),
    ("/strings", "null"),
    ("/temps", "{}"),
    ("/temps/pw", "{}"),
    ("/alerts", "[]"),
    ("/alerts/pw", "{}"),
    ("/fans", "{}"),
    ("/fans/pw", "{}"),
    ("/freq", "{}"),
    ("/pod", "{}"),
    ("/json", NOTHING_IN_JSON),
    ("/version", r#"{"version":"SolarOnly","vint":0}"#),
    ("/csv", ",,,,\n"),
    ("/csv/v2", ",,,,,,\n"),
];

#[actix_web::test]
async fn data_is_served_while_it_is_good_and_not_after() {
    let telemetry = telemetry(SiteKind::Powerwall3).await;
    let at = |freshness| Outputs::of(vec![snapshot("home", &telemetry, freshness)]);
    let (live, stale, expired, never) = (at(Live), at(Stale), at(Expired), at(Never));
    for (path, nothing) in ROUTES {
        let content_type =
            if path.starts_with("/csv") { "text/plain; charset=utf-8" } else { "application/json" };
        let good = live.get(path).await;
        assert_eq!((good.status, good.header("content-type")), (200, Some(content_type)), "{path}");
        assert!(good.body.len() > nothing.len(), "{path}: {:?}", good.body);
        assert_eq!(stale.get(path).await.body, good.body, "{path}: the last good answer");
        for without in [&expired, &never] {
            let answer = without.get(path).await;
            assert_eq!((answer.status, answer.header("content-type")), (200, Some(content_type)), "{path}");
            assert_eq!(answer.body, nothing, "{path}");
        }
    }
}

#[actix_web::test]
async fn without_gateways_the_routes_say_so() {
    let app = Outputs::of(Vec::new());
    for (path, _) in ROUTES {
        let answer = app.get(path).await;
        assert_eq!(answer.status, 503, "{path}");
        assert_eq!(answer.body, r#"{"detail":"No gateways configured"}"#, "{path}");
    }
    assert_eq!(app.json("/health").await["status"], "no_gateways");
    assert_eq!(app.json("/api/gateways").await, json!({}));
    assert_eq!(app.json("/api/aggregate").await["total_site_power"], Value::Null);
    assert_eq!(app.get("/livez").await.status, 200);
    assert_eq!(app.get("/readyz").await.status, 503);
}

#[actix_web::test]
async fn the_default_gateway_is_the_one_called_so_or_the_first() {
    let (two, three) = (telemetry(SiteKind::Powerwall2).await, telemetry(SiteKind::Powerwall3).await);
    let alone = Outputs::of(vec![snapshot("a", &three, Live)]);
    let first = Outputs::of(vec![snapshot("a", &three, Live), snapshot("b", &two, Live)]);
    let named = Outputs::of(vec![snapshot("b", &two, Live), snapshot("default", &three, Live)]);
    let expected = alone.get("/vitals").await.body;
    assert_eq!(first.get("/vitals").await.body, expected);
    assert_eq!(named.get("/vitals").await.body, expected);
}

#[actix_web::test]
async fn each_gateway_has_its_own_routes() {
    let telemetry = telemetry(SiteKind::Powerwall3).await;
    let app = Outputs::of(vec![snapshot("home", &telemetry, Live), snapshot("barn", &telemetry, Expired)]);
    for part in ["vitals", "strings", "aggregates"] {
        let expected = app.get(&format!("/{part}")).await.body;
        assert_eq!(app.get(&format!("/api/gateways/home/{part}")).await.body, expected, "{part}");
        assert_eq!(app.json(&format!("/api/gateways/barn/{part}")).await, json!({}), "{part}");
    }
    let home = app.json("/api/gateways/home").await;
    assert_eq!(home["online"], true);
    assert_eq!(home["freshness"], "live");
    assert_eq!(home["data"]["aggregates"], app.json("/aggregates").await);
    let barn = app.json("/api/gateways/barn").await;
    assert_eq!(barn["online"], false);
    assert_eq!(barn["data"], Value::Null);
    assert_eq!(barn["freshness"], "expired");
    assert_eq!(barn["error"], "the gateway did not answer within 5 s");
    assert!(barn["age"].as_f64().unwrap() >= 31.0);
    let all = app.json("/api/gateways").await;
    assert_eq!(all["home"]["data"], home["data"]);
    assert_eq!(all["barn"]["freshness"], "expired");
}

#[actix_web::test]
async fn an_unknown_gateway_is_not_found_and_a_strange_id_is_not_repeated() {
    let telemetry = telemetry(SiteKind::Inverter).await;
    let app = Outputs::of(vec![snapshot("home", &telemetry, Live)]);
    for path in ["/api/gateways/cabin", "/api/gateways/cabin/vitals", "/api/gateways/cabin/aggregates"] {
        let answer = app.get(path).await;
        assert_eq!(answer.status, 404, "{path}");
        assert_eq!(answer.body, r#"{"detail":"Gateway cabin not found"}"#, "{path}");
    }
    let answer = app.get("/api/gateways/%3Cscript%3E").await;
    assert_eq!(answer.status, 404);
    assert_eq!(answer.body, r#"{"detail":"Gateway not found"}"#);
}

#[actix_web::test]
async fn the_sum_counts_who_has_data_and_names_who_has_none() {
    let (two, three) = (telemetry(SiteKind::Powerwall2).await, telemetry(SiteKind::Powerwall3).await);
    let app = Outputs::of(vec![
        snapshot("home", &three, Live),
        snapshot("cabin", &two, Stale),
        snapshot("barn", &two, Expired),
    ]);
    let sum = app.json("/api/aggregate").await;
    assert_eq!((&sum["num_gateways"], &sum["num_online"]), (&json!(3), &json!(1)));
    assert_eq!(sum["contributors"], json!(["home", "cabin"]));
    assert_eq!(sum["stale"], json!(["cabin"]));
    assert_eq!(sum["missing"], json!(["barn"]));
    let load = |body: &Value| body["load"]["instant_power"].as_f64().unwrap();
    let home = load(&app.json("/api/gateways/home/aggregates").await);
    let cabin = load(&app.json("/api/gateways/cabin/aggregates").await);
    assert!((sum["total_load_power"].as_f64().unwrap() - home - cabin).abs() < 0.01);
    let power = app.json("/api/aggregate/power").await;
    assert_eq!(power["load"], sum["total_load_power"]);
    assert_eq!(power["grid"], power["site"]);
    let soe = app.json("/api/aggregate/soe").await;
    assert_eq!(soe["raw_percentage"], sum["total_battery_percent_raw"]);
    let battery = app.json("/api/aggregate/battery").await;
    assert_eq!(battery["total_capacity"], sum["total_battery_capacity"]);
    for each in ["vitals", "strings", "alerts"] {
        let body = app.json(&format!("/api/aggregate/{each}")).await;
        assert_eq!(body.as_object().unwrap().keys().collect::<Vec<_>>(), ["home", "cabin"], "{each}");
    }
}

#[actix_web::test]
async fn a_new_sum_is_shown_at_once() {
    let telemetry = telemetry(SiteKind::Powerwall3).await;
    let app = Outputs::of(vec![snapshot("home", &telemetry, Live)]);
    for watts in 1..=20 {
        let sum = Aggregate { load: Some(f64::from(watts)), ..Aggregate::default() };
        app.directory.aggregate.publish(sum.into());
        assert_eq!(app.json("/api/aggregate").await["total_load_power"], json!(f64::from(watts)));
    }
}

#[actix_web::test]
async fn health_says_how_everything_is() {
    let telemetry = telemetry(SiteKind::Powerwall3).await;
    let of = |states: &[Freshness]| {
        let named = states.iter().enumerate();
        Outputs::of(named.map(|(n, state)| snapshot(&format!("g{n}"), &telemetry, *state)).collect())
    };
    for (states, word, ready) in [
        (&[Live, Live][..], "healthy", 200),
        (&[Live, Expired], "degraded", 200),
        (&[Stale, Never], "unhealthy", 503),
    ] {
        let app = of(states);
        let health = app.json("/health").await;
        assert_eq!(health["status"], word, "{states:?}");
        assert_eq!(health["gateway_details"][1]["freshness"], json!(states[1]), "{states:?}");
        assert_eq!(app.get("/readyz").await.status, ready, "{states:?}");
        assert_eq!(app.get("/livez").await.status, 200, "{states:?}");
    }
    let app = of(&[Stale]);
    let gateway = &app.json("/health/gateways").await["gateways"][0];
    assert_eq!(gateway["state"], "stale");
    assert_eq!(gateway["responding"], false, "nobody runs this one");
    assert_eq!(gateway["consecutive_failures"], 2);
    assert_eq!(gateway["last_error"]["kind"], "timeout");
    assert!(gateway["data_age_seconds"].as_f64().unwrap() >= 20.0);
    for key in ["latency_ms", "next_attempt_seconds", "restarts"] {
        assert!(gateway.as_object().unwrap().contains_key(key), "{key}");
    }
}

#[actix_web::test]
async fn columns_have_names_for_those_who_ask() {
    let telemetry = telemetry(SiteKind::Powerwall3).await;
    let app = Outputs::of(vec![snapshot("home", &telemetry, Live)]);
    for (path, columns) in [
        ("/csv", "Grid,Home,Solar,Battery,BatteryLevel"),
        ("/csv/v2", "Grid,Home,Solar,Battery,BatteryLevel,GridStatus,Reserve"),
    ] {
        let plain = app.get(path).await.body;
        for query in ["headers", "headers=yes", "a=b&headers"] {
            let named = app.get(&format!("{path}?{query}")).await.body;
            assert_eq!(named, [columns.as_bytes(), b"\n", &plain].concat(), "{path}?{query}");
        }
        assert_eq!(plain.iter().filter(|byte| **byte == b',').count(), columns.matches(',').count());
    }
}

#[actix_web::test]
async fn requests_are_counted() {
    let telemetry = telemetry(SiteKind::Powerwall3).await;
    let app = Outputs::of(vec![snapshot("home", &telemetry, Live)]);
    for path in ["/soe", "/soe", "/nothing", "/aggregates"] {
        app.get(path).await;
    }
    let stats = app.json("/stats").await;
    assert_eq!(stats["gets"], 4);
    assert_eq!(stats["errors"], 1);
    assert_eq!(stats["uri"], json!({ "/aggregates": 1, "/soe": 2, "/stats": 1 }));
    assert_eq!(stats["gateways"], json!({ "total": 1, "online": 1, "offline": 0 }));
    assert_eq!(stats["pw3"], true);
}

#[actix_web::test]
async fn heads_slashes_and_other_methods() {
    let telemetry = telemetry(SiteKind::Powerwall3).await;
    let app = Outputs::of(vec![snapshot("home", &telemetry, Live)]);
    for path in ["/aggregates", "/csv", "/api/gateways", "/api/gateways/home", "/health", "/"] {
        let body = app.get(path).await.body;
        if path != "/" {
            let slashed = app.get(&format!("{path}/")).await;
            assert_eq!((slashed.status, slashed.body.len()), (200, body.len()), "{path}/");
        }
        let head = app.send(Method::HEAD, path, &[]).await;
        assert_eq!((head.status, head.body.len()), (200, 0), "{path}");
        let post = app.send(Method::POST, path, &[]).await;
        assert_eq!((post.status, post.header("allow")), (405, Some("GET, HEAD")), "{path}");
    }
    let nothing = ["/nothing", "/api/nothing", "/api/gateways/home/nothing", "/static/nothing.js"];
    let elsewhere = ["/static/../Cargo.toml", "/static/%2e%2e/Cargo.toml", "/static//etc/passwd"];
    for path in nothing.into_iter().chain(elsewhere) {
        let answer = app.get(path).await;
        assert_eq!(answer.status, 404, "{path}");
        assert_eq!(answer.body, r#"{"detail":"Not Found"}"#, "{path}");
    }
}

#[actix_web::test]
async fn a_base_path_works_beside_none() {
    let telemetry = telemetry(SiteKind::Powerwall3).await;
    let http = HttpSettings { base_path: "/powerwall".into(), ..http() };
    let app = Outputs::with(vec![snapshot("home", &telemetry, Live)], http, 30 * SECOND);
    for (path, _) in ROUTES {
        let expected = app.get(path).await.body;
        let answer = app.get(&format!("/powerwall{path}")).await;
        assert_eq!((answer.status, answer.body), (200, expected), "{path}");
    }
    for path in ["/powerwall/", "/powerwall/api/gateways/home", "/powerwall/static/wall.js"] {
        assert_eq!(app.get(path).await.status, 200, "{path}");
    }
    let links_need_a_slash = app.send(Method::GET, "/powerwall", &[]).await;
    assert_eq!(links_need_a_slash.header("location"), Some("/powerwall/"));
    assert_eq!(app.get("/powerwalls/soe").await.status, 404);
}

#[actix_web::test]
async fn pages_come_with_their_type_and_are_not_sent_twice() {
    let app = Outputs::of(Vec::new());
    for (path, expected) in [
        ("/", "text/html; charset=utf-8"),
        ("/static/wall.js", "text/javascript; charset=utf-8"),
        ("/static/theme.css", "text/css; charset=utf-8"),
        ("/kiosk", "text/html; charset=utf-8"),
        ("/console", "text/html; charset=utf-8"),
        ("/static/panels/energy.js", "text/javascript; charset=utf-8"),
        ("/static/fonts/barlow-600.woff2", "font/woff2"),
        ("/favicon.ico", "image/x-icon"),
        ("/favicon-32x32.png", "image/png"),
        ("/example", "text/html; charset=utf-8"),
    ] {
        let answer = app.get(path).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, Some(expected)), "{path}");
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.contains("script-src 'self'") && !policy.contains("unsafe"), "{policy}");
        let tag = answer.header("etag").unwrap();
        let again = app.send(Method::GET, path, &[("if-none-match", tag)]).await;
        assert_eq!((again.status, again.body.len()), (304, 0), "{path}");
    }
    for path in ["/docs", "/help"] {
        let answer = app.get(path).await;
        let html = Some("text/html; charset=utf-8");
        assert_eq!((answer.status, answer.header("content-type")), (200, html), "{path}");
        assert!(
            answer.header("content-security-policy").unwrap().starts_with("default-src 'none'"),
            "{path}"
        );
    }
}

#[actix_web::test]
async fn pages_are_what_the_settings_make_them() {
    let http = HttpSettings {
        style: Style::GrafanaDark,
        frame_ancestors: "'self' http://wall.local".into(),
        base_path: "/pw".into(),
        ..http()
    };
    let app = Outputs::with(Vec::new(), http, 30 * SECOND);
    let page = app.get("/").await;
    assert!(
        page.header("content-security-policy").unwrap().ends_with("frame-ancestors 'self' http://wall.local")
    );
    let text = |answer: Answer| String::from_utf8(answer.body.to_vec()).unwrap();
    let page = text(page);
    assert!(page.contains(r#"data-style="grafana-dark" data-kiosk="no""#));
    assert!(text(app.get("/kiosk").await).contains(r#"data-style="grafana-dark" data-kiosk="yes""#));
    let odd = text(app.get("/?style=%22%3E%3Cscript%3E").await);
    assert_eq!(odd, page, "what is asked for stays in the browser");
    // Relative addresses need the right place to start from.
    for (path, place) in [("/console/", "../console"), ("/pw/kiosk/?site=home", "../kiosk?site=home")] {
        let answer = app.get(path).await;
        assert_eq!((answer.status, answer.header("location")), (308, Some(place)), "{path}");
    }
}

#[actix_web::test]
async fn files_come_compressed_to_those_who_take_it() {
    let app = Outputs::of(Vec::new());
    let plain = app.get("/static/wall.js").await;
    let small = app.send(Method::GET, "/static/wall.js", &[("accept-encoding", "gzip, br")]).await;
    assert_eq!(small.header("content-encoding"), Some("gzip"));
    assert_eq!(
        (plain.header("vary"), small.header("vary")),
        (Some("Accept-Encoding"), Some("Accept-Encoding"))
    );
    assert_ne!(plain.header("etag"), small.header("etag"), "strong tags are of bytes");
    let mut unpacked = Vec::new();
    GzDecoder::new(&small.body[..]).read_to_end(&mut unpacked).unwrap();
    assert!(small.body.len() < plain.body.len() / 2 && unpacked == plain.body);
}

#[actix_web::test]
async fn pages_made_on_the_spot_run_nothing() {
    let app = Outputs::of(Vec::new());
    for path in ["/docs", "/redoc", "/help"] {
        let answer = app.get(path).await;
        assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"), "{path}");
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    }
}

/// What a page may contain of scripts and styles: references, nothing between the tags and no attribute.
fn has_nothing_inline(page: &str) -> bool {
    let scripts = page.split("<script").skip(1).all(|script| {
        let (head, rest) = script.split_once('>').unwrap_or_default();
        head.contains(" src=") && rest.starts_with("</script>")
    });
    let tags = page.split('<').skip(1).filter_map(|tag| tag.split('>').next());
    let attributes = tags.flat_map(str::split_whitespace).filter_map(|part| part.split_once('='));
    let is_inline = |name: &str| name == "style" || name.starts_with("on");
    let are_plain = attributes.into_iter().all(|(name, value)| {
        !is_inline(&name.to_ascii_lowercase()) && !value.to_ascii_lowercase().contains("javascript:")
    });
    scripts && are_plain && !page.contains("<style")
}

#[actix_web::test]
async fn no_page_has_a_script_in_it_or_makes_one_of_text() {
    let app = Outputs::of(Vec::new());
    let document: Value = app.json("/openapi.json").await;
    let is_page = |route: &Value| {
        route["get"]["responses"]["200"]["content"]
            .as_object()
            .is_some_and(|content| content.keys().any(|kind| kind.starts_with("text/html")))
    };
    let rows = document["paths"].as_object().unwrap().iter().filter(|(_, route)| is_page(route));
    let pages: Vec<&String> = rows.map(|(path, _)| path).collect();
    for expected in ["/", "/index.html", "/kiosk", "/console", "/example", "/help", "/docs", "/redoc"] {
        assert!(pages.iter().any(|path| *path == expected), "{expected} is a page: {pages:?}");
    }
    for path in pages {
        let answer = app.get(path).await;
        assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"), "{path}");
        let policy = answer.header("content-security-policy").expect(path);
        for rule in ["require-trusted-types-for 'script'", "trusted-types 'none'", "base-uri 'none'"] {
            assert!(policy.split("; ").any(|one| one == rule), "{path}: {rule} is not in {policy}");
        }
        assert!(policy.starts_with("default-src '") && !policy.contains("unsafe"), "{path}: {policy}");
        assert!(has_nothing_inline(std::str::from_utf8(&answer.body).unwrap()), "{path}");
    }
    for odd in
        ["<script>1</script>", "<p style='a'>", "<a onclick=\"b\">", "<style>", "<a href=\"JavaScript:b\">"]
    {
        assert!(!has_nothing_inline(odd), "{odd}");
    }
}

#[actix_web::test]
async fn other_origins_read_as_far_as_the_settings_allow() {
    let telemetry = telemetry(SiteKind::Powerwall3).await;
    let listed = AllowedOrigins::Listed(vec!["http://wall.local".into()]);
    for (origins, origin, expected) in [
        (AllowedOrigins::Any, "http://any.where", Some("*")),
        (listed.clone(), "http://wall.local", Some("http://wall.local")),
        (listed.clone(), "http://wall.local.evil", None),
        (listed, "https://wall.local", None),
    ] {
        let http = HttpSettings { origins, ..http() };
        let app = Outputs::with(vec![snapshot("home", &telemetry, Live)], http, 30 * SECOND);
        let answer = app.send(Method::GET, "/soe", &[("origin", origin)]).await;
        assert_eq!(answer.status, 200, "programs do not care");
        assert_eq!(answer.header("access-control-allow-origin"), expected, "{origin}");
        let asked = [("origin", origin), ("access-control-request-method", "GET")];
        let preflight = app.send(Method::OPTIONS, "/soe", &asked).await;
        assert_eq!(preflight.status == 200, expected.is_some(), "{origin}");
        assert_eq!(preflight.header("access-control-allow-origin"), expected, "{origin}");
        for names in ["x-grafana-device-id", "x-requested-with,cache-control"] {
            let asked = [asked[0], asked[1], ("access-control-request-headers", names)];
            let preflight = app.send(Method::OPTIONS, "/soe", &asked).await;
            let allowed = preflight.header("access-control-allow-headers");
            assert_eq!(allowed, expected.map(|_| names), "{origin}");
        }
    }
}

/// What a gateway with the customer API is known by, from the bodies of some of its endpoints.
fn customer(answers: &[(Endpoint, &'static str)]) -> std::sync::Arc<Telemetry> {
    let mut known = CustomerAnswers::default();
    for (endpoint, body) in answers {
        known.accept(*endpoint, body.as_bytes().into()).unwrap();
    }
    Telemetry::new(std::sync::Arc::new(known), Adjustments::default())
}

const METERS: &str = r#"{"site":{"instant_power":72},"battery":{"instant_power":-0},
    "load":{"instant_power":500},"solar":{"instant_power":428},
    "generator":{"instant_power":1500,"energy_exported":7}}"#;

#[actix_web::test]
async fn what_a_gateway_does_not_say_is_answered_as_by_the_server_before() {
    let basic_lan = customer(&[(Endpoint::Aggregates, METERS)]);
    for freshness in [Live, Stale] {
        let app = Outputs::of(vec![snapshot("home", &basic_lan, freshness)]);
        for path in ["/api/status", "/pw/status", "/api/gateways/home/api/status"] {
            let status = app.json(path).await;
            assert_eq!(status.as_object().unwrap().len(), 12, "{path}: {status}");
            assert_eq!(status["version"], "Unknown", "{path}");
        }
        assert_eq!(app.json("/pw/version").await, json!({ "version": "Unknown", "vint": 0 }));
        assert_eq!(app.json("/version").await, json!({ "version": "SolarOnly", "vint": 0 }));
        assert_eq!(app.json("/pw/vitals").await, json!({}));
        assert_eq!(app.get("/vitals").await.body, "null", "as the proxy has it");
        assert_eq!(app.json("/api/aggregate/strings").await, json!({ "home": {} }));
        assert_eq!(app.json("/aggregates").await["battery"]["instant_power"].to_string(), "0");
        assert!(app.get("/csv").await.body.starts_with(b"72.00,500.00,428.00,0.00,"));
    }
    let old = customer(&[
        (Endpoint::Aggregates, METERS),
        (Endpoint::Status, r#"{"din":"1--2","version":"21.44 a"}"#),
        (Endpoint::StateOfEnergy, r#"{"percentage":42.5}"#),
        (Endpoint::GridStatus, r#"{"grid_status":"SystemGridConnected","grid_services_active":true}"#),
    ]);
    let app = Outputs::of(vec![snapshot("home", &old, Live)]);
    let status = app.json("/api/status").await;
    assert_eq!((&status["teg_type"], &status["can_reboot"]), (&json!("unknown"), &json!(true)));
    assert_eq!(app.json("/alerts").await, json!(["GridServicesActive"]));
    let raw = app.json("/api/gateways/home/api/system_status/soe").await;
    assert_eq!(raw["percentage"], 42.5, "as the gateway counts");
    assert_ne!(app.json("/api/system_status/soe").await["percentage"], 42.5);
}

#[actix_web::test]
async fn a_generator_that_is_metered_has_its_place() {
    let app = Outputs::of(vec![snapshot("home", &customer(&[(Endpoint::Aggregates, METERS)]), Live)]);
    let state = app.json("/api/live").await;
    assert_eq!(state["state"]["gateway/home/meters"]["generator"]["power"], 1500);
    let text = |answer: Answer| String::from_utf8(answer.body.to_vec()).unwrap();
    let page = text(app.get("/metrics").await);
    assert!(page.contains(r#"powerwall_power_watts{gateway="home",meter="generator"} 1500"#), "{page}");
    let none = telemetry(SiteKind::Powerwall3).await;
    let page = text(Outputs::of(vec![snapshot("home", &none, Live)]).get("/metrics").await);
    assert!(!page.contains("generator"), "{page}");
}

#[actix_web::test]
async fn legacy_zeros_are_back_everywhere_but_for_the_grid() {
    let adjustments = Adjustments { legacy_zeros: true, ..Adjustments::default() };
    let known = telemetry(SiteKind::Powerwall2).await;
    let zeros = Telemetry::new(known.answers().clone(), adjustments);
    let app = Outputs::polled_with(vec![snapshot("home", &zeros, Live)], adjustments);
    let pod = app.json("/pod").await;
    for flag in ["POD_ActiveHeating", "POD_enable_line", "off_grid", "backup_ready"] {
        assert!(pod[format!("PW1_{flag}")].is_number(), "{flag}");
    }
    let status = app.json("/api/system_status").await;
    assert_eq!((&status["battery_target_power"], &status["auxiliary_load"]), (&json!(0), &json!(0)));
    let app = Outputs::polled_with(vec![snapshot("home", &zeros, Expired)], adjustments);
    assert_eq!(app.json("/json").await["grid_status"], Value::Null, "no power cut");
    assert_eq!(app.json("/json").await["home"], 0);
    assert_eq!(app.get("/csv/v2").await.body, "0.00,0.00,0.00,0.00,0.00,,0\n");
    assert_eq!(app.json("/api/aggregate/power").await["site"], 0);
    assert_eq!(app.json("/api/aggregate/battery").await["total_capacity"], 0);
}
