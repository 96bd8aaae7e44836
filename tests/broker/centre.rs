//! A site with a simulated gateway, a centre that has never heard of it, and what the centre shows, orders
//! and passes on.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::process::Stdio;

use powerwall_server::simulator::{GatewayHandle, SiteKind, SiteOptions};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::program::{Program, run};
use super::server::{SITE, Server, until};
use super::tools::required_tool;
use super::{SLOTS, START, Site};

pub const SECRET: &str = "a long enough control secret";
/// What a centre calls the gateway `home` of [`SITE`].
pub const HOME: &str = "north-17-home";

/// A database of the test's own.
struct Victoria {
    port: u16,
    _folder: TempDir,
    _child: Child,
}

impl Victoria {
    fn start() -> Option<Self> {
        let program = required_tool("victoria-metrics")?;
        let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        let folder = tempfile::tempdir().unwrap();
        let child = Command::new(program)
            .arg(format!("-storageDataPath={}", folder.path().display()))
            .arg(format!("-httpListenAddr=127.0.0.1:{port}"))
            .args(["-retentionPeriod=100y", "-dedup.minScrapeInterval=1s"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Some(Self { port, _folder: folder, _child: child })
    }

    /// When the points of a gateway begin, and what is in them.
    async fn points(&self, gateway: &str) -> Vec<(i64, f64)> {
        let at = |path: &str| format!("http://127.0.0.1:{}{path}", self.port);
        let _ = awc::Client::default().get(at("/internal/force_flush")).send().await;
        let query = "/api/v1/export?match=powerwall_energy_home_kwh&start=2024-01-01T00:00:00Z";
        let Ok(mut response) = awc::Client::default().get(at(query)).send().await else { return Vec::new() };
        let body = response.body().limit(16 << 20).await.unwrap();
        let text = String::from_utf8(body.to_vec()).unwrap();
        let blocks = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let blocks = blocks.filter(|block| block["metric"]["gateway"] == gateway);
        let mut points = Vec::new();
        for block in blocks {
            let values = block["values"].as_array().unwrap().iter().map(|value| value.as_f64().unwrap());
            let times =
                block["timestamps"].as_array().unwrap().iter().map(|time| time.as_i64().unwrap() / 1000);
            points.extend(times.zip(values));
        }
        points
    }
}

/// A centre that watches everything.
pub async fn centre(url: &str, more: &[(&'static str, &str)]) -> Program {
    let mut environment = vec![
        ("PW_PORT", "0"),
        ("PW_BIND_ADDRESS", "127.0.0.1"),
        ("PW_BROKER_URL", url),
        ("PW_BROKER_SITES", ">"),
        ("PW_CONTROL_SECRET", SECRET),
    ];
    environment.extend(more);
    Program::start(&["serve"], &environment).await
}

/// A site whose gateway is simulated and takes orders.
pub async fn site(gateway: &GatewayHandle, url: &str, folder: &TempDir, orders: &str) -> Program {
    let list = json!([gateway.customer_settings()]).to_string();
    let folder = folder.path().to_str().unwrap();
    let environment = [
        ("PW_GATEWAYS", list.as_str()),
        ("PW_AUTH_PATH", folder),
        ("PW_TIMESERIES_PATH", folder),
        ("PW_PORT", "0"),
        ("PW_BIND_ADDRESS", "127.0.0.1"),
        ("PW_CACHE_EXPIRE", "1"),
        ("PW_BROKER_URL", url),
        ("PW_BROKER_SITE", SITE),
        ("PW_BROKER_GROUP", "Harbour"),
        ("PW_BROKER_ORDERS", orders),
    ];
    Program::start(&["serve"], &environment).await
}

async fn gateway() -> GatewayHandle {
    GatewayHandle::start(SiteOptions::new("home", "Lake house", SiteKind::Powerwall2)).await.unwrap()
}

pub async fn order(centre: &Program, value: u8) -> (u16, Value) {
    let url = format!("http://{}/api/gateways/{HOME}/control/reserve?wait=40", centre.addr);
    let client = awc::Client::builder().timeout(std::time::Duration::from_secs(60)).finish();
    let request = client.post(url).insert_header(("authorization", format!("Bearer {SECRET}")));
    let mut response = request.send_json(&json!({ "value": value })).await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

#[actix_web::test]
async fn a_centre_shows_what_a_site_reports_and_says_who_is_silent() {
    let Some(server) = Server::start().await else { return };
    let (gateway, folder) = (gateway().await, tempfile::tempdir().unwrap());
    let centre = centre(&server.url(), &[]).await;
    let mut site = site(&gateway, &server.url(), &folder, "no").await;

    let seen = async || centre.json(&format!("/api/gateways/{HOME}")).await;
    until(async || seen().await["online"] == true).await;
    let at_site = site.json("/api/gateways/home").await;
    let here = seen().await;
    assert_eq!(here["gateway"]["name"], at_site["gateway"]["name"], "{here}");
    let (there, at_centre) = (site.json("/soe").await, centre.json("/soe").await);
    let difference =
        there["percentage"].as_f64().unwrap_or(-1.0) - at_centre["percentage"].as_f64().unwrap_or(9.0);
    assert!(difference.abs() < 2.0, "{there} and {at_centre}");

    site.signal("TERM").await;
    site.ended().await;
    let stopped = centre.health_becomes(HOME, |health| health["last_error"]["kind"] == "site_stopped").await;
    assert!(stopped.to_string().contains(SITE), "{stopped}");
    let refused = order(&centre, 30).await;
    assert_eq!(refused.0, 409, "{refused:?}");
}

#[actix_web::test]
async fn an_order_goes_to_the_site_once_and_its_outcome_comes_back() {
    let Some(server) = Server::start().await else { return };
    let (gateway, folder) = (gateway().await, tempfile::tempdir().unwrap());
    let centre = centre(&server.url(), &[("PW_BROKER_ORDERS", "yes")]).await;
    let site = site(&gateway, &server.url(), &folder, "yes").await;
    let can = async || {
        let control = centre.json(&format!("/api/gateways/{HOME}/control")).await;
        let orders = control["orders"].as_array().cloned().unwrap_or_default();
        orders.iter().any(|order| order["order"] == "reserve" && order["can"] == true)
    };
    until(can).await;
    let (status, answer) = order(&centre, 35).await;
    assert_eq!((status, answer["outcome"].clone()), (200, json!("stored")), "{answer}");
    assert_eq!(gateway.orders().received, 1);
    assert_eq!(gateway.reserve().0, 35.0 * 0.95 + 5.0);
    // The journal of the site, which the broker keeps, says who ordered it and what came of it.
    let journal = async || format!("{:?}", server.messages("powerwall_journal").await);
    until(async || journal().await.contains("broker: the centre") && journal().await.contains("stored"))
        .await;
    drop(site);
}

#[actix_web::test]
async fn both_sides_say_how_they_stand_with_the_broker() {
    let Some(mut server) = Server::start().await else { return };
    let (gateway, folder) = (gateway().await, tempfile::tempdir().unwrap());
    let url = server.url();
    let centre = centre(&url, &[]).await;
    let site = site(&gateway, &url, &folder, "no").await;
    let side = async |program: &Program, side: &str| program.json("/api/broker").await[side].take();
    until(async || side(&site, "site").await["counts"]["reports"].as_u64() > Some(0)).await;
    until(async || side(&centre, "centre").await["counts"]["reports"].as_u64() > Some(0)).await;
    let (here, there) = (side(&site, "site").await, side(&centre, "centre").await);
    assert_eq!((&here["id"], &here["connected"], &here["server"]), (&json!(SITE), &json!(true), &json!(url)));
    assert_eq!((&there["sites"], &there["connected"]), (&json!([">"]), &json!(true)), "{there}");
    assert_eq!(side(&site, "centre").await, Value::Null);
    let (_, metrics) = site.get("/metrics").await;
    assert!(metrics.contains("powerwall_server_broker_connected{side=\"site\"} 1"), "{metrics}");

    let environment = [("PW_BROKER_URL", url.as_str()), ("PW_BROKER_SITE", SITE)];
    let works = run(&["doctor"], &environment).await;
    assert_eq!(works.code, Some(0), "{}{}", works.stdout, works.stderr);
    assert!(works.stdout.contains("connection    works"), "{}", works.stdout);
    assert!(works.stdout.contains("site          north.17: "), "{}", works.stdout);
    let shown = run(&["check-config"], &environment).await.stdout;
    assert!(shown.contains("reports as site north.17, takes no orders from the broker"), "{shown}");

    server.kill().await;
    until(async || side(&centre, "centre").await["connected"] == false).await;
    let fails = run(&["doctor"], &environment).await;
    assert_eq!(fails.code, Some(1), "{}", fails.stdout);
    assert!(fails.stdout.contains("connection    failed: "), "{}", fails.stdout);
}

#[actix_web::test]
async fn every_quarter_of_an_hour_is_in_the_database_once_whoever_is_killed() {
    let (Some(mut server), Some(victoria)) = (Server::start().await, Victoria::start()) else { return };
    let site = Site::new(server.url()).await;
    let database = format!("http://127.0.0.1:{}/write", victoria.port);
    let export = [("PW_EXPORT_URL", database.as_str())];
    let mut first = centre(&server.url(), &export).await;
    let mut program = site.serve().await;
    until(async || !victoria.points(HOME).await.is_empty()).await;
    first.signal("KILL").await;
    first.ended().await;
    program.signal("KILL").await;
    program.ended().await;
    server.kill().await;

    // Everything begins again, in the least helpful order.
    let _program = site.serve().await;
    let _centres = (centre(&server.url(), &export).await, centre(&server.url(), &export).await);
    server.begin().await;
    until(async || victoria.points(HOME).await.len() >= SLOTS as usize).await;
    let points = victoria.points(HOME).await;
    let starts: BTreeSet<i64> = points.iter().map(|(at, _)| *at).collect();
    assert_eq!(starts, (0..SLOTS).map(|slot| START + 900 * slot).collect());
    assert_eq!(points.len(), starts.len(), "each once");
    for (at, kwh) in points {
        assert_eq!(kwh, ((at - START) / 900) as f64 / 1000.0);
    }
    // What was passed on leaves the stream: acknowledged, not only read.
    until(async || server.count("powerwall_slots").await == 0).await;
}

#[actix_web::test]
async fn a_centre_that_records_sends_no_quarters_of_an_hour_that_sites_send_themselves() {
    let (Some(server), Some(victoria)) = (Server::start().await, Victoria::start()) else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let row = |slot: i64| format!("{},9\n", START + 900 * slot);
    std::fs::write(path("table.csv"), "start,home_kwh\n".to_owned() + &(0..9).map(row).collect::<String>())
        .unwrap();
    let database = format!("http://127.0.0.1:{}/write", victoria.port);
    let list = json!([
        {"id": HOME, "from": "broker", "site": SITE, "gateway": "home"},
        {"id": "own", "host": "127.0.0.1", "port": 9, "gw_pwd": "x", "timezone": "UTC"},
    ]);
    let (list, store) = (list.to_string(), path("history.db"));
    let environment = [
        ("PW_GATEWAYS", list.as_str()),
        ("PW_TIMESERIES_PATH", store.as_str()),
        ("PW_EXPORT_URL", database.as_str()),
    ];
    for gateway in [HOME, "own"] {
        let mut here = vec![("PW_BROKER_URL", "nats://127.0.0.1:9"), ("PW_BROKER_SITES", ">")];
        here.extend(environment);
        let said =
            run(&["import", &path("table.csv"), "--gateway", gateway, "--timezone", "UTC"], &here).await;
        assert_eq!(said.code, Some(0), "{}", said.stderr);
    }
    let site = Site::new(server.url()).await;
    let _program = site.serve().await;
    let _first = centre(&server.url(), &[("PW_EXPORT_URL", database.as_str())]).await;
    until(async || victoria.points(HOME).await.len() >= SLOTS as usize).await;
    // What it would send of the site would come later, and before that of its own, whose id comes behind.
    let _centre = centre(&server.url(), &environment).await;
    until(async || victoria.points("own").await.len() == 9).await;
    for (at, kwh) in victoria.points(HOME).await {
        assert_eq!(kwh, ((at - START) / 900) as f64 / 1000.0, "as the site has it");
    }
}
