//! The history over real sockets: a file of pypowerwall-server 0.13 opened, answered as it answered, and
//! continued; recording of simulated gateways from poll to answer.

mod common;

use std::path::{Path, PathBuf};
use std::time::Duration;

use common::{Outputs, settings};
use powerwall_server::app::Service;
use powerwall_server::model::Snapshot;
use powerwall_server::model::energy::ledger::{Ledger, Reading};
use powerwall_server::model::energy::{Flow, Flows};
use powerwall_server::settings::Settings;
use powerwall_server::simulator::{GatewayHandle, SiteKind, SiteOptions};
use powerwall_server::store::Store;
use powerwall_server::store::history::batch::{Added, Batch, Sample};
use powerwall_server::store::history::{History, Keeping};
use rusqlite::Connection;
use serde_json::{Map, Value};

const GOLDEN: &str = "tests/fixtures/timeseries-0.13.0.db";

/// What the server before answered from this file, by path with query.
fn recorded() -> Map<String, Value> {
    let text = std::fs::read_to_string("tests/fixtures/timeseries-0.13.0-answers.json").unwrap();
    serde_json::from_str(&text).unwrap()
}

fn copy(folder: &Path) -> PathBuf {
    let path = folder.join("ts.db");
    std::fs::copy(GOLDEN, &path).unwrap();
    path
}

/// Keeps everything: the file is of a day that is not today.
fn for_ever() -> Keeping {
    use powerwall_server::store::history::Keep;

    Keeping { samples: Keep::Forever, signals: Keep::Forever, ..Keeping::default() }
}

/// A file that the server before wrote, opened by ours.
struct Golden {
    _folder: tempfile::TempDir,
    path: PathBuf,
    store: Store,
    history: History,
}

impl Golden {
    fn opened() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = copy(folder.path());
        let store = Store::open(path.clone()).unwrap();
        let history = History::kept_in(&path, &store, &for_ever()).unwrap();
        Self { _folder: folder, path, store, history }
    }
}

/// One sample of one gateway.
fn one_sample() -> std::sync::Arc<Batch> {
    let sample = Sample { at: 1_795_653_120.0, power: Flows([Some(1.0); 6]), soe: None };
    let added = Added { samples: vec![sample], ..Added::default() };
    std::sync::Arc::new(Batch { run: 1, number: 1, added: [("home".to_owned(), added)].into() })
}

fn never_polled(id: &str) -> Snapshot {
    use common::ttl;
    use powerwall_server::model::GatewayFacts;

    let name = id.replace("site-", "Site ");
    let timezone = Some("America/Los_Angeles".to_owned());
    let facts = GatewayFacts { id: id.to_owned(), name, timezone, ..GatewayFacts::default() };
    Snapshot::initial(std::sync::Arc::new(facts), ttl())
}

/// Numbers that differ by a rounding are the same: sums of floats depend on their order.
fn differ(is: &Value, should: &Value, place: &str, found: &mut Vec<String>) {
    match (is, should) {
        (Value::Number(one), Value::Number(other)) => {
            let (one, other) = (one.as_f64().unwrap(), other.as_f64().unwrap());
            if (one - other).abs() > 1e-9 * other.abs().max(1.0) {
                found.push(format!("{place}: {one} instead of {other}"));
            }
        }
        (Value::Object(one), Value::Object(other)) => {
            for (key, should) in other {
                differ(one.get(key).unwrap_or(&Value::Null), should, &format!("{place}.{key}"), found);
            }
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            for (index, (is, should)) in one.iter().zip(other).enumerate() {
                differ(is, should, &format!("{place}[{index}]"), found);
            }
        }
        _ if is == should => {}
        _ => found.push(format!("{place}: {is} instead of {should}")),
    }
}

#[actix_web::test]
async fn the_file_of_the_server_before_is_answered_as_it_answered() {
    let Golden { _folder, history, .. } = Golden::opened();
    let sites = ["site-1", "site-2", "site-3"].map(never_polled);
    let outputs = Outputs::recorded(sites.into(), history);
    let mut found = Vec::new();
    let mut asked = 0;
    for (path, expected) in recorded() {
        let no_window = path == "/api/timeseries/signal_trend?metrics=nope";
        // N53: a window that ends before it begins is a mistake, not nothing.
        let backwards = path == "/api/timeseries/trend?start=1795653813.315938&end=1795653120.373557";
        // Without a window, the newest days are counted back from today.
        let of_today = path.contains("daily") && !path.contains("start") && !path.contains("days=0");
        if backwards || of_today || no_window {
            continue;
        }
        let answer = outputs.get(&path).await;
        asked += 1;
        let status = expected["status"].as_u64().unwrap();
        assert_eq!(u64::from(answer.status), status, "{path}");
        let mut body: Value = serde_json::from_slice(&answer.body).unwrap();
        let mut expected = expected["json"].clone();
        if path.contains("status") {
            // Ours keeps more in the file, and the test keeps everything.
            for other in ["db_size_bytes", "retention_seconds", "signal_retention_seconds"] {
                assert!(body[other].is_number(), "{other}");
                body.as_object_mut().unwrap().remove(other);
                expected.as_object_mut().unwrap().remove(other);
            }
        }
        if let Some(expected) = expected.as_object_mut().filter(|_| path.contains("/trend")) {
            // When it was asked.
            expected.remove("last_updated");
        }
        if path.contains("/signal") {
            // No unit has a number before its gateway was heard of.
            for series in expected["series"].as_array_mut().into_iter().flatten() {
                series["powerwall"] = Value::Null;
                series["powerwall_order"] = Value::Null;
            }
        }
        differ(&body, &expected, &path, &mut found);
    }
    assert!(asked > 10, "{asked}");
    assert!(found.is_empty(), "{}", found.join("\n"));
    let answer = outputs.get("/api/timeseries/trend?start=1795653813.3&end=1795653120.3").await;
    assert_eq!(answer.status, 422);
}

#[actix_web::test]
async fn a_trend_says_who_is_missing_and_leaves_out_who_is_gone() {
    let Golden { _folder, history, .. } = Golden::opened();
    let window = "/api/timeseries/trend?start=1795653120.373557&end=1795653813.315938";
    let all = Outputs::recorded(["site-1", "site-3"].map(never_polled).into(), history.clone());
    let all = all.json(window).await;
    assert_eq!(all["points"][0].get("missing"), None, "{all}");
    let one = Outputs::recorded(["site-1", "site-2"].map(never_polled).into(), history);
    let one = one.json(window).await;
    assert_eq!(one["points"][0]["missing"], serde_json::json!(["site-2"]));
    let of_one = &recorded()[&format!("{window}&gateway=site-1")]["json"]["points"][0]["solar_kw"];
    assert_eq!(&one["points"][0]["solar_kw"], of_one, "site-3 is not configured any more");
}

async fn start(settings: &Settings) -> Service {
    Service::start(settings, 1).unwrap()
}

async fn get(service: &Service, path: &str) -> Value {
    let mut response =
        awc::Client::default().get(format!("http://{}{path}", service.addr)).send().await.unwrap();
    assert_eq!(response.status().as_u16(), 200, "{path}");
    serde_json::from_slice(&response.body().limit(16 << 20).await.unwrap()).unwrap()
}

/// Waits until `condition` holds; a test that waits in vain is ended from outside.
async fn eventually(condition: impl AsyncFn() -> bool) {
    while !condition().await {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn count(path: &Path, table: &str) -> i64 {
    let connection = Connection::open(path).unwrap();
    connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
}

#[actix_web::test]
async fn what_a_gateway_reports_is_recorded_and_survives_the_program() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.db");
    let gateway = GatewayHandle::start(SiteOptions::new("home", "Home", SiteKind::Powerwall3)).await.unwrap();
    let variables = [("PW_TIMESERIES_PATH", path.to_str().unwrap()), ("PW_CACHE_EXPIRE", "1")];
    let settings = settings(&[&gateway], &variables);
    let service = start(&settings).await;
    let waiting = async || get(&service, "/api/timeseries/status").await["writes_pending"].as_u64().unwrap();
    eventually(async || waiting().await >= 3).await;
    // What waits is written when the program ends in order.
    service.stop().await;
    assert!(count(&path, "samples") >= 3);
    assert_eq!(count(&path, "integration_state"), 1);

    let service = start(&settings).await;
    let today = get(&service, "/api/timeseries/today").await;
    let row = &today["gateways"]["home"];
    assert!(row["home_kwh"].as_f64().unwrap() > 0.0, "{today}");
    let samples = get(&service, "/api/timeseries/samples").await;
    assert!(samples["count"].as_u64().unwrap() >= 3, "{samples}");
    let days = get(&service, "/api/timeseries/daily").await;
    assert_eq!(&days["days"][0]["gateways"]["home"], row);
    service.stop().await;
}

/// What pypowerwall-server 0.13 does with the file when it starts and records: its own statements.
fn taken_back(path: &Path) {
    let connection = Connection::open(path).unwrap();
    let sound: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(sound, "ok");
    let tables = Connection::open(GOLDEN).unwrap();
    let mut statement = tables.prepare("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL").unwrap();
    let schema: Vec<String> =
        statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    for sql in schema {
        let name = sql.split_whitespace().nth(2).unwrap();
        let here = "SELECT sql FROM sqlite_master WHERE name = ?1";
        let here: String = connection.query_row(here, [name], |row| row.get(0)).unwrap();
        assert_eq!(here, sql, "{name}");
    }
    let insert = "INSERT OR REPLACE INTO samples (gateway_id, ts, solar_w, home_w, battery_charge_w,
        battery_discharge_w, grid_import_w, grid_export_w, soe) VALUES ('site-1', 2e9, 1, 1, 1, 1, 1, 1, 50)";
    connection.execute(insert, []).unwrap();
    let day = "INSERT INTO daily_energy (gateway_id, day, home_kwh, updated_at)
        VALUES ('site-1', '2033-05-18', 1, 2e9)
        ON CONFLICT (gateway_id, day) DO UPDATE SET home_kwh = home_kwh + excluded.home_kwh";
    connection.execute(day, []).unwrap();
}

#[actix_web::test]
async fn the_file_of_the_server_before_is_continued_without_counting_twice_and_can_be_taken_back() {
    let Golden { _folder, path, store, history } = Golden::opened();
    let last = 1_795_653_813.290_674;
    let recalled = history.recall("site-1").await.unwrap().state.unwrap();
    assert_eq!((recalled.at, recalled.power[Flow::Solar]), (last, Some(4490.2)));
    // Five seconds on with the same power, and then an hour without a poll.
    let mut ledger = Ledger::resumed(recalled.clone());
    let mut added = Added { zone: jiff::tz::TimeZone::get("America/Los_Angeles").ok(), ..Added::default() };
    for (seconds, at) in [(5, last + 5.0), (3605, last + 3605.0)] {
        let reading = Reading {
            at,
            clock: Duration::from_secs(seconds),
            power: recalled.power,
            counters: Flows::default(),
            din: None,
        };
        added.book(ledger.take(&reading, 5.0));
        added.samples.push(Sample { at, power: recalled.power, soe: Some(50.0) });
    }
    added.state = ledger.state();
    let batch = Batch { run: 1, number: 1, added: [("site-1".to_owned(), added)].into() };
    let batch = std::sync::Arc::new(batch);
    for _ in 0..2 {
        history.write(batch.clone()).await.unwrap();
    }
    let outputs = Outputs::recorded(["site-1", "site-3"].map(never_polled).into(), history);
    let range = "/api/timeseries/daily?start=2026-11-25&end=2026-11-26";
    let days = outputs.json(range).await;
    let before = &recorded()[range]["json"]["days"][0]["gateways"];
    let solar = |days: &Value| days["site-1"]["solar_kwh"].as_f64().unwrap();
    let more = solar(&days["days"][0]["gateways"]) - solar(before);
    assert!((more - 4490.2 * 5.0 / 3.6e6).abs() < 1e-9, "{more}: five seconds, and not an hour");
    assert_eq!(days["days"][0]["gateways"]["site-3"], before["site-3"], "nothing was added there");
    drop(outputs);
    drop(store);
    taken_back(&path);
}

#[actix_web::test]
async fn without_a_file_nothing_is_recorded_and_every_route_says_so() {
    let outputs = Outputs::of(vec![never_polled("home")]);
    for route in ["daily", "today", "trend", "samples", "status", "signals", "signal_trend"] {
        let body = outputs.json(&format!("/api/timeseries/{route}")).await;
        assert_eq!(body["enabled"], false, "{route}");
    }
}

#[actix_web::test]
async fn energy_of_any_range_says_what_is_missing_and_how_it_was_got() {
    let Golden { _folder, history, .. } = Golden::opened();
    let outputs = Outputs::recorded(["site-1", "site-2", "site-3"].map(never_polled).into(), history);
    let day = outputs.json("/api/history?start=2026-11-25&end=2026-11-25&bucket=day").await;
    let golden = &recorded()["/api/timeseries/daily"]["json"]["days"][0]["gateways"];
    let row = &day["gateways"]["site-1"]["rows"][0];
    assert_eq!(row["name"], "2026-11-25");
    assert_eq!(row["sources"]["solar"], serde_json::json!(["taken_over"]));
    assert_eq!(row["coverage"], Value::Null, "the server before does not say");
    let near =
        |one: &Value, other: f64| assert!((one.as_f64().unwrap() - other).abs() < 1e-9, "{one}, {other}");
    let solar = |id: &str| golden[id]["solar_kwh"].as_f64().unwrap();
    near(&row["solar_kwh"], solar("site-1"));
    assert_eq!(day["gateways"]["site-2"]["rows"], serde_json::json!([]));
    assert_eq!(day["gateways"]["site-2"]["total"]["solar_kwh"], Value::Null);
    let sum = &day["sum"]["rows"][0];
    near(&sum["solar_kwh"], solar("site-1") + solar("site-3"));
    assert_eq!(sum["missing"], serde_json::json!(["site-2"]));
    let month =
        outputs.json("/api/history?start=2026-11-01&end=2026-11-30&bucket=month&gateway=site-1").await;
    near(&month["gateways"]["site-1"]["rows"][0]["solar_kwh"], solar("site-1"));
    near(&month["sum"]["total"]["solar_kwh"], solar("site-1"));
    let csv = outputs.get("/api/history?start=2026-11-25&end=2026-11-25&bucket=day&format=csv").await;
    assert!(csv.header("content-type").unwrap().starts_with("text/csv"));
    let text = String::from_utf8(csv.body.to_vec()).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert!(lines[0].starts_with("gateway,start,end,name,solar_kwh"), "{text}");
    assert!(lines[1].starts_with("site-1,") && lines[1].ends_with(",,taken_over"), "{text}");
    for (query, status) in [
        ("start=2026-11-26&end=2026-11-25", 400),
        ("start=yesterday", 400),
        ("bucket=year", 400),
        ("start=2020-01-01&bucket=slot", 400),
        ("gateway=nobody", 404),
    ] {
        assert_eq!(outputs.get(&format!("/api/history?{query}")).await.status, status, "{query}");
    }
    assert_eq!(Outputs::of(Vec::new()).get("/api/history").await.status, 503, "there is none");
}

/// A folder stands where the file should be; then it is gone.
#[actix_web::test]
async fn what_cannot_be_written_waits_is_said_and_is_written_later() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.db");
    std::fs::create_dir(&path).unwrap();
    let store = Store::open(path.clone()).unwrap();
    let history = History::kept_in(&path, &store, &for_ever()).unwrap();
    let outputs = Outputs::recorded(vec![never_polled("home")], history.clone());
    let sample = Sample { at: 1_795_653_120.0, power: Flows([Some(1.0); 6]), soe: None };
    let added = Added { samples: vec![sample], ..Added::default() };
    let batch = std::sync::Arc::new(Batch { run: 1, number: 1, added: [("home".to_owned(), added)].into() });
    assert!(history.recall("home").await.is_err());
    for _ in 0..2 {
        history.write(batch.clone()).await.unwrap_err();
    }
    for path in ["/api/timeseries/status", "/stats"] {
        let mut body = outputs.json(path).await;
        let body = if path == "/stats" { body["history"].take() } else { body };
        assert!(body["problem"].as_str().unwrap().contains("not a regular file"), "{body}");
        assert_eq!(body.get("failures").or(body.get("write_failures")), Some(&3.into()), "{body}");
    }
    assert_eq!(outputs.get("/api/timeseries/samples").await.status, 503);
    let status = outputs.json("/api/timeseries/status").await;
    assert_eq!(status["samples"], Value::Null, "nobody knows how many there are");

    std::fs::remove_dir(&path).unwrap();
    history.write(batch.clone()).await.unwrap();
    let status = outputs.json("/api/timeseries/status").await;
    assert_eq!((&status["problem"], &status["samples"]), (&Value::Null, &1.into()), "{status}");
    assert!(status["db_size_bytes"].as_u64().unwrap() > 4096);
}

#[actix_web::test]
async fn a_damaged_file_is_set_aside_and_recording_goes_on_in_a_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = copy(folder.path());
    let mut torn = std::fs::read(&path).unwrap();
    for byte in &mut torn[4096..40_000] {
        *byte ^= 0x55;
    }
    std::fs::write(&path, torn).unwrap();
    let store = Store::open(path.clone()).unwrap();
    let history = History::kept_in(&path, &store, &for_ever()).unwrap();
    history.write(one_sample()).await.unwrap();
    let outputs = Outputs::recorded(vec![never_polled("home")], history);
    assert_eq!(outputs.json("/api/timeseries/samples").await["count"], 1);
    let names = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(names.into_iter().any(|name| name.to_string_lossy().contains(".damaged-")));
}

/// More days than a page has: they come in pieces, and make the same list.
#[actix_web::test]
async fn a_long_list_of_days_comes_in_pieces() {
    let folder = tempfile::tempdir().unwrap();
    let path = copy(folder.path());
    let file = Connection::open(&path).unwrap();
    let mut day = jiff::civil::date(2020, 1, 1);
    for _ in 0..1000 {
        let insert = "INSERT INTO daily_energy (gateway_id, day, home_kwh, last_sample_ts, updated_at)
             VALUES ('site-1', ?1, 1.5, 1000.0, 2.0)";
        file.execute(insert, [day.to_string()]).unwrap();
        day = day.tomorrow().unwrap();
    }
    drop(file);
    let store = Store::open(path.clone()).unwrap();
    let history = History::kept_in(&path, &store, &for_ever()).unwrap();
    let outputs = Outputs::recorded(vec![never_polled("site-1")], history);
    let all = outputs.json("/api/timeseries/daily?start=2019-01-01&end=2025-12-31").await;
    let days: Vec<&str> =
        all["days"].as_array().unwrap().iter().map(|day| day["day"].as_str().unwrap()).collect();
    assert_eq!(days.len(), 1000);
    assert!(days.is_sorted_by(|one, other| one > other), "the newest first, and each once");
    assert_eq!((days[0], days[999]), ("2022-09-26", "2020-01-01"));
    assert_eq!(all["last_updated"], 1000.0);
    let answer = outputs.get("/api/timeseries/daily?start=2019-01-01&end=2025-12-31").await;
    assert_eq!(answer.header("content-length"), None);
    let few = outputs.json("/api/timeseries/daily?start=2022-09-20&end=2025-12-31").await;
    assert_eq!(few["days"].as_array().unwrap().len(), 7);
}

async fn text(outputs: &Outputs, path: &str) -> String {
    let answer = outputs.get(path).await;
    assert_eq!(answer.status, 200, "{path}");
    String::from_utf8(answer.body.to_vec()).unwrap()
}

/// Everything as a table and as JSON lines: as many rows as there are, each once, in order.
#[actix_web::test]
async fn everything_can_be_had_as_a_list_of_any_length() {
    let folder = tempfile::tempdir().unwrap();
    let path = copy(folder.path());
    let store = Store::open(path.clone()).unwrap();
    let history = History::kept_in(&path, &store, &for_ever()).unwrap();
    history.write(one_sample()).await.unwrap();
    // More than a page of samples and values, and more quarters of an hour than an answer may have.
    let file = Connection::open(&path).unwrap();
    file.execute_batch(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9000)
             INSERT INTO samples (gateway_id, ts, soe) SELECT 'site-1', 1700000000.5 + i * 5, 50 FROM n;
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9000)
             INSERT INTO device_samples SELECT (SELECT min(series_id) FROM device_series),
                 1700000000 + i * 60, i FROM n;
         INSERT OR IGNORE INTO history_gateways (id, zone) VALUES ('site-1', 'UTC');
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 12000)
             INSERT INTO history_slots SELECT (SELECT number FROM history_gateways WHERE id = 'site-1'),
                 1700000100 + i * 900, 1000, i, 0, 0, 0, 0, 900, 900, 900, 900, 900, 900, 1118481, 50
             FROM n;",
    )
    .unwrap();
    let samples: i64 = count(&path, "samples") + count(&path, "history_samples");
    let values = count(&path, "device_samples");
    let days = count(&path, "device_daily");
    let outputs = Outputs::recorded(["site-1", "site-2", "site-3", "home"].map(never_polled).into(), history);
    let range = "start=1600000000&end=1800000000&bucket=slot&gateway=site-1";
    for (query, names, rows) in [
        ("timeseries/samples?start=0".to_owned(), "gateway_id,ts,solar_w,", samples),
        ("timeseries/signals?start=0".to_owned(), "gateway_id,device,metric,ts,value", values),
        ("timeseries/signals?resolution=daily".to_owned(), "gateway_id,device,metric,day,min,", days),
        (format!("history?{range}"), "gateway,start,end,name,solar_kwh,", 12_000),
    ] {
        let table = text(&outputs, &format!("/api/{query}&format=csv")).await;
        assert!(table.starts_with(names), "{}", &table[..100]);
        let lines: Vec<&str> = table.lines().skip(1).collect();
        assert_eq!(lines.len() as i64, rows, "{query}");
        let different: std::collections::HashSet<&&str> = lines.iter().collect();
        assert_eq!(different.len() as i64, rows, "{query}: each once");
        let json = text(&outputs, &format!("/api/{query}&format=jsonl")).await;
        assert_eq!(json.lines().count() as i64, rows, "{query}");
        let first: Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
        assert_eq!(
            first.get("gateway").or(first.get("gateway_id")).unwrap(),
            &lines[0].split(',').next().unwrap()
        );
    }
    let sum: f64 = text(&outputs, &format!("/api/history?{range}&format=jsonl"))
        .await
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["home_kwh"].as_f64().unwrap())
        .sum();
    assert!((sum - 12_000.0 * 12_001.0 / 2.0 / 1000.0).abs() < 1e-6, "{sum}");
    assert_eq!(
        outputs.get(&format!("/api/history?{range}")).await.status,
        400,
        "as a document it is too long"
    );
    let nobody = text(&outputs, "/api/timeseries/samples?gateway=nobody&format=csv").await;
    assert_eq!(nobody.lines().count(), 1, "the names of the columns");
}
