//! What is recorded, sent to real databases: VictoriaMetrics and InfluxDB 1.

#[path = "../import/database.rs"]
#[allow(dead_code, reason = "shared with the other test program")]
mod database;
#[path = "../service/program.rs"]
#[allow(dead_code, reason = "shared with the other test program")]
mod program;
#[path = "../common/tools.rs"]
mod tools;

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use database::Influx;
use program::{PATIENCE, Program, run};
use rusqlite::Connection;
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};
use tools::required_tool;

/// Slots that the history begins with, a quarter of an hour each.
const SLOTS: usize = 1_200;
/// 2024-03-01 00:00 UTC.
const START: i64 = 1_709_251_200;
const TOKEN: &str = "reader:CanaryPassword";

/// A house whose history was imported.
struct House {
    folder: TempDir,
    url: String,
}

impl House {
    async fn new(url: &str) -> Self {
        let house = Self { folder: tempfile::tempdir().unwrap(), url: url.to_owned() };
        house.import(0..SLOTS).await;
        house
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Slots with these numbers; each has as many Wh as its number.
    async fn import(&self, slots: std::ops::Range<usize>) {
        let row = |slot: usize| format!("{},{}\n", START + 900 * slot as i64, slot as f64 / 1000.0);
        let table = "start,home_kwh\n".to_owned() + &slots.map(row).collect::<String>();
        std::fs::write(self.path("table.csv"), table).unwrap();
        let table = self.path("table.csv").display().to_string();
        let environment = self.environment(&[]);
        let environment: Vec<_> = environment.iter().map(|(name, text)| (*name, text.as_str())).collect();
        let said = run(&["import", &table], &environment).await;
        assert_eq!(said.code, Some(0), "{}", said.stderr);
    }

    fn environment(&self, more: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
        let gateways = r#"[{"id":"home","host":"127.0.0.1","gw_pwd":"x","timezone":"UTC"}]"#;
        let mut environment = vec![
            ("PW_GATEWAYS", gateways.to_owned()),
            ("PW_TIMESERIES_PATH", self.path("history.db").display().to_string()),
            ("PW_PORT", "0".to_owned()),
            ("PW_BIND_ADDRESS", "127.0.0.1".to_owned()),
            ("PW_EXPORT_URL", self.url.clone()),
        ];
        environment.extend(more.iter().map(|(name, text)| (*name, (*text).to_owned())));
        environment
    }

    async fn serve(&self, more: &[(&'static str, &str)]) -> Program {
        let environment = self.environment(more);
        let environment: Vec<_> = environment.iter().map(|(name, text)| (*name, text.as_str())).collect();
        Program::start(&["serve"], &environment).await
    }

    /// As if nothing had been sent.
    fn forget(&self) {
        let file = Connection::open(self.path("history.db")).unwrap();
        assert_eq!(file.execute("DELETE FROM history_cursors", []).unwrap(), 1);
    }
}

/// A real VictoriaMetrics; ends with the test.
struct Victoria {
    folder: TempDir,
    child: Option<Child>,
    port: u16,
    /// Keeps the port from others until it is started.
    reserved: Option<tokio::net::TcpSocket>,
}

impl Victoria {
    /// Not started yet. `None`: the test is skipped.
    fn new() -> Option<Self> {
        required_tool("victoria-metrics")?;
        // Bound and not listened on: nobody else gets it, and who connects is refused.
        let reserved = tokio::net::TcpSocket::new_v4().unwrap();
        reserved.bind(([127, 0, 0, 1], 0).into()).unwrap();
        let port = reserved.local_addr().unwrap().port();
        Some(Self { folder: tempfile::tempdir().unwrap(), child: None, port, reserved: Some(reserved) })
    }

    fn start(&mut self) {
        self.reserved = None;
        let child = Command::new(required_tool("victoria-metrics").unwrap())
            .arg(format!("-storageDataPath={}", self.folder.path().display()))
            .arg(format!("-httpListenAddr=127.0.0.1:{}", self.port))
            .args(["-retentionPeriod=100y", "-dedup.minScrapeInterval=1s"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn();
        self.child = Some(child.unwrap());
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/write", self.port)
    }

    /// Points of home: how many there are, and their sum.
    async fn points(&self) -> (usize, f64) {
        // What came last is shown after some seconds, unless this is asked for.
        let at = |path: &str| format!("http://127.0.0.1:{}{path}", self.port);
        let _ = awc::Client::default().get(at("/internal/force_flush")).send().await;
        let query = "/api/v1/export?match=powerwall_energy_home_kwh&start=2024-01-01T00:00:00Z";
        let Ok(mut response) = awc::Client::default().get(at(query)).send().await else { return (0, 0.0) };
        let body = response.body().limit(64 << 20).await.unwrap();
        let text = String::from_utf8(body.to_vec()).unwrap();
        let blocks = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let values: Vec<f64> = blocks
            .flat_map(|block| block["values"].as_array().unwrap().clone())
            .map(|value| value.as_f64().unwrap())
            .collect();
        (values.len(), values.iter().sum())
    }
}

/// The sum of the first so many slots in kWh.
fn sum(slots: usize) -> f64 {
    (0..slots).map(|slot| slot as f64 / 1000.0).sum()
}

async fn eventually(what: impl AsyncFn() -> (usize, f64), slots: usize) {
    let becomes = async {
        loop {
            let (points, energy) = what().await;
            assert!(points <= slots, "{points} points: something is there twice");
            if points == slots && (energy - sum(slots)).abs() < 1e-6 {
                return;
            }
            sleep(Duration::from_millis(100)).await;
        }
    };
    if timeout(PATIENCE, becomes).await.is_err() {
        panic!("{:?} instead of {slots}, {}", what().await, sum(slots));
    }
}

#[actix_web::test]
async fn victoria_metrics_gets_everything_also_what_it_missed_and_nothing_twice() {
    let Some(mut victoria) = Victoria::new() else { return };
    let house = House::new(&victoria.url()).await;
    let mut program = house.serve(&[]).await;
    program.has_said("it cannot be reached; what is recorded is sent later").await;
    assert_eq!(program.get("/livez").await.0, 200, "nothing waits for it");
    victoria.start();
    program.has_said("takes what is recorded again").await;
    eventually(|| victoria.points(), SLOTS).await;
    program.signal("TERM").await;
    program.ended().await;

    house.import(SLOTS..SLOTS + 100).await;
    let mut program = house.serve(&[]).await;
    eventually(|| victoria.points(), SLOTS + 100).await;
    program.signal("TERM").await;
    program.ended().await;

    house.forget();
    house.import(SLOTS + 100..SLOTS + 101).await;
    let _program = house.serve(&[]).await;
    eventually(|| victoria.points(), SLOTS + 101).await;
}

#[actix_web::test]
async fn an_influxdb_gets_everything_and_the_same_again_replaces_itself() {
    let Some(database) = Influx::start(None).await else { return };
    database.tell("CREATE DATABASE powerwall").await;
    let house = House::new(&format!("{}/write?db=powerwall", database.url())).await;
    let points = async || {
        let query = "SELECT count(\"home_kwh\"), sum(\"home_kwh\") FROM \"powerwall_energy\" \
             WHERE \"gateway\" = 'home'";
        let answer = database.tell(query).await;
        let row = &answer["results"][0]["series"][0]["values"][0];
        (row[1].as_u64().unwrap_or_default() as usize, row[2].as_f64().unwrap_or_default())
    };
    let mut program = house.serve(&[]).await;
    eventually(points, SLOTS).await;
    program.signal("TERM").await;
    program.ended().await;
    house.forget();
    house.import(SLOTS..SLOTS + 1).await;
    let _program = house.serve(&[]).await;
    eventually(points, SLOTS + 1).await;
    let at = format!("SELECT \"home_kwh\" FROM \"powerwall_energy\" WHERE time = {}s", START + 900);
    assert_eq!(database.number(&at).await, 0.001, "a slot stands at its beginning");
}

/// What an InfluxDB does not keep for that long was given to it all the same.
#[actix_web::test]
async fn a_database_with_a_password_and_one_that_forgets_are_no_obstacle() {
    let Some(database) = Influx::start(Some(("reader", "CanaryPassword"))).await else { return };
    database.tell_as(TOKEN, "CREATE DATABASE powerwall WITH DURATION 2d").await;
    let house = House::new(&format!("{}/write?db=powerwall", database.url())).await;
    let token = house.path("token");
    std::fs::write(&token, "reader:CanaryOfBefore").unwrap();
    let program = house.serve(&[("PW_EXPORT_TOKEN_FILE", token.to_str().unwrap())]).await;
    program.has_said("it wants another token; see PW_EXPORT_TOKEN").await;
    std::fs::write(&token, TOKEN).unwrap();
    program.signal("HUP").await;
    let file = Connection::open(house.path("history.db")).unwrap();
    let reached = "SELECT max(reached) FROM history_cursors WHERE usage = 'send_slots'";
    let last = (START + 900 * (SLOTS as i64 - 1)) as f64;
    let done = async {
        while file.query_row(reached, [], |row| row.get::<_, Option<f64>>(0)).unwrap() != Some(last) {
            sleep(Duration::from_millis(50)).await;
        }
    };
    assert!(timeout(PATIENCE, done).await.is_ok(), "{}", program.log());
    assert!(!program.log().contains("Canary"), "{}", program.log());
}

/// Path with query, `Authorization`, and the first line of each request.
type Heard = Arc<Mutex<Vec<(String, Option<String>, String)>>>;

/// How other databases want it: an InfluxDB 2, and one behind a proxy that wants a bearer token.
#[actix_web::test]
async fn each_kind_of_database_is_addressed_and_told_who_asks_as_it_wants() {
    let heard = Heard::default();
    let hear = web::Data::new(heard.clone());
    let take = |heard: web::Data<Heard>, request: HttpRequest, body: String| async move {
        let login = request.headers().get("authorization").map(|login| login.to_str().unwrap().to_owned());
        let line = body.lines().next().unwrap_or_default().to_owned();
        heard.lock().unwrap().push((request.uri().to_string(), login, line));
        HttpResponse::NoContent().finish()
    };
    let app = move || App::new().app_data(hear.clone()).default_service(web::to(take));
    let server = HttpServer::new(app).workers(1).bind(("127.0.0.1", 0)).unwrap();
    let addr = server.addrs()[0];
    actix_web::rt::spawn(server.run());
    let organised = "/api/v2/write?org=my&bucket=house";
    for (path, token, login, asked) in [
        (organised, "a:b", "Token a:b", "/api/v2/write?org=my&bucket=house&precision=s"),
        ("/insert/0/influx/write", "a:b", "Basic YTpi", "/insert/0/influx/write?precision=s"),
        ("/write", "word", "Bearer word", "/write?precision=s"),
    ] {
        let house = House::new(&format!("http://{addr}{path}")).await;
        let _program = house.serve(&[("PW_EXPORT_TOKEN", token)]).await;
        let is_expected = |(path, given, _): &(String, Option<String>, String)| {
            path == asked && given.as_deref() == Some(login)
        };
        let came = async {
            while !heard.lock().unwrap().iter().any(is_expected) {
                sleep(Duration::from_millis(20)).await;
            }
        };
        assert!(timeout(PATIENCE, came).await.is_ok(), "{:?}", heard.lock().unwrap());
    }
    let first = heard.lock().unwrap()[0].2.clone();
    assert_eq!(first, format!("powerwall_energy,gateway=home home_kwh=0 {START}"));
}
