//! `import`, `restore` and `history check`, as a person types them: the real program, files of others, and a
//! real InfluxDB.

mod database;
mod from_influx;
#[path = "../service/program.rs"]
#[allow(dead_code, reason = "shared with the other test program")]
mod program;
#[path = "../common/tools.rs"]
mod tools;

use std::path::{Path, PathBuf};

use program::{Program, Said, run};
use rusqlite::Connection;
use serde_json::Value;
use tempfile::TempDir;

const GOLDEN: &str = "tests/fixtures/timeseries-0.13.0.db";
/// How far the fixture is put back, so that it is of the past wherever the test runs.
const BACK: f64 = 2.0 * 365.0 * 86_400.0;

/// A house with its history in a folder of its own.
struct House {
    folder: TempDir,
    /// The ids of its gateways, in a zone.
    gateways: Vec<&'static str>,
    zone: Option<&'static str>,
}

impl House {
    fn new(gateways: &[&'static str], zone: Option<&'static str>) -> Self {
        Self { folder: tempfile::tempdir().unwrap(), gateways: gateways.to_vec(), zone }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn text(&self, name: &str, text: &str) -> String {
        std::fs::write(self.path(name), text).unwrap();
        self.path(name).display().to_string()
    }

    fn environment(&self) -> Vec<(&'static str, String)> {
        let gateway = |id: &&str| serde_json::json!({ "id": id, "host": "127.0.0.1", "gw_pwd": "x" });
        let gateways = self.gateways.iter().map(gateway).collect::<Value>().to_string();
        let mut environment = vec![
            ("PW_GATEWAYS", gateways),
            ("PW_TIMESERIES_PATH", self.path("history.db").display().to_string()),
            ("PW_TIMESERIES_RETENTION", "0".to_owned()),
            ("PW_TIMESERIES_SIGNAL_RETENTION", "0".to_owned()),
            ("PW_PORT", "0".to_owned()),
            ("PW_BIND_ADDRESS", "127.0.0.1".to_owned()),
        ];
        environment.extend(self.zone.map(|zone| ("PW_TIMEZONE", zone.to_owned())));
        environment
    }

    async fn types(&self, arguments: &[&str]) -> Said {
        let environment = self.environment();
        let environment: Vec<_> = environment.iter().map(|(name, text)| (*name, text.as_str())).collect();
        run(arguments, &environment).await
    }

    /// Imports, which must go well; the report.
    async fn imports(&self, arguments: &[&str]) -> String {
        let said = self.types(&[&["import"], arguments].concat()).await;
        assert_eq!(said.code, Some(0), "{}{}", said.stdout, said.stderr);
        said.stdout
    }

    async fn refuses(&self, arguments: &[&str]) -> String {
        let said = self.types(&[&["import"], arguments].concat()).await;
        assert_eq!(said.code, Some(1), "{}", said.stdout);
        said.stderr
    }

    async fn serve(&self) -> Program {
        let environment = self.environment();
        let environment: Vec<_> = environment.iter().map(|(name, text)| (*name, text.as_str())).collect();
        Program::start(&["serve"], &environment).await
    }

    fn file(&self) -> Connection {
        Connection::open(self.path("history.db")).unwrap()
    }

    /// Everything that is known of energy, but not when it was written.
    fn energies(&self) -> Vec<String> {
        let flows = "ifnull(solar, '-'), ifnull(home, '-'), ifnull(charge, '-'), ifnull(discharge, '-'),
             ifnull(import, '-'), ifnull(export, '-'), home_s, ways";
        let list = |of: &str, at: &str| {
            format!("SELECT concat_ws(' ', gateway, {at}, {flows}) FROM {of} ORDER BY gateway, {at}")
        };
        let file = self.file();
        let rows = |query: String| {
            let mut statement = file.prepare(&query).unwrap();
            let rows = statement.query_map([], |row| row.get(0)).unwrap();
            rows.map(Result::unwrap).collect::<Vec<String>>()
        };
        [rows(list("history_slots", "slot")), rows(list("history_days", "day"))].concat()
    }

    fn number(&self, query: &str) -> f64 {
        self.file().query_row(&format!("SELECT {query}"), [], |row| row.get(0)).unwrap()
    }
}

/// The file that pypowerwall-server 0.13 wrote, of two years before.
fn file_of_server_before(folder: &Path) -> String {
    let path = folder.join("theirs.db");
    std::fs::copy(GOLDEN, &path).unwrap();
    let file = Connection::open(&path).unwrap();
    let back = format!(
        "UPDATE samples SET ts = ts - {BACK}; UPDATE device_samples SET ts = ts - {BACK};
         UPDATE daily_energy SET day = '2024-11-25', last_sample_ts = last_sample_ts - {BACK};
         UPDATE device_daily SET day = '2024-11-25', last_ts = last_ts - {BACK};"
    );
    file.execute_batch(&back).unwrap();
    path.display().to_string()
}

fn near(is: f64, should: f64, within: f64) {
    assert!((is - should).abs() <= within, "{is} instead of {should}");
}

#[actix_web::test]
async fn a_file_of_the_server_before_comes_in_once_however_often_it_is_imported() {
    let house = House::new(&["site-1", "site-2", "cabin"], Some("America/Los_Angeles"));
    let theirs = file_of_server_before(house.folder.path());
    let refused = house.refuses(&[&theirs]).await;
    assert!(refused.contains("site-3") && refused.contains("--rename site-3="), "{refused}");
    assert_eq!(house.number("count(*) FROM daily_energy"), 0.0, "all of it or nothing");

    let import = [theirs.as_str(), "--rename", "site-3=cabin"];
    let report = house.imports(&import).await;
    assert!(report.contains("cabin: 1 days filled, 0 known already"), "{report}");
    assert!(report.contains("site-1: 109 samples of power and"), "{report}");
    let (file, golden) = (house.file(), Connection::open(GOLDEN).unwrap());
    for (here, there) in [("site-1", "site-1"), ("cabin", "site-3")] {
        let home = "SELECT home_kwh FROM daily_energy WHERE gateway_id = ?1";
        let kwh = |file: &Connection, id| file.query_row(home, [id], |row| row.get::<_, f64>(0)).unwrap();
        near(kwh(&file, here), kwh(&golden, there), 1e-12);
    }
    for table in ["samples", "device_samples", "device_daily", "device_series"] {
        let count = format!("SELECT count(*) FROM {table}");
        let of = |file: &Connection| file.query_row(&count, [], |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!(of(&file), of(&golden), "{table}");
    }
    // That server bridged gaps of its polls, which no slot does; the day is as it was, and not counted twice.
    let slots = house
        .number("sum(home) FROM history_slots JOIN history_gateways ON number = gateway WHERE id = 'site-1'");
    assert!((100.0..170.0).contains(&slots), "{slots}");
    let before = house.energies();
    for _ in 0..2 {
        let report = house.imports(&import).await;
        assert!(report.contains("cabin: 0 days filled, 1 known already"), "{report}");
        assert!(!report.contains("samples"), "{report}");
    }
    assert_eq!(house.energies(), before);
    let program = house.serve().await;
    let day = program.json("/api/history?start=2024-11-25&end=2024-11-25&bucket=day&gateway=cabin").await;
    let row = &day["gateways"]["cabin"]["rows"][0];
    assert_eq!(row["sources"]["home"], serde_json::json!(["imported"]), "{row}");
    assert_eq!(row["coverage"], Value::Null);
}

/// Those of the one gateway, with the coverage in four places, as a table has it.
fn rows(answer: &Value) -> Value {
    let mut rows = answer["gateways"]["home"]["rows"].clone();
    for row in rows.as_array_mut().unwrap() {
        if let Some(part) = row["coverage"].as_f64() {
            row["coverage"] = ((part * 1e4).round() / 1e4).into();
        }
    }
    rows
}

/// Energy of this program, as CSV, into another file of this program.
#[actix_web::test]
async fn what_history_writes_as_csv_comes_in_as_it_was() {
    let house = House::new(&["home"], Some("Europe/Berlin"));
    let simple = house.text(
        "simple.csv",
        "start,end,solar_kwh,home_kwh,import_kwh,soe\n\
         2024-03-31T00:45:00+01:00,2024-03-31T01:00:00+01:00,0.0,0.25,0.25,47.5\n\
         2024-03-31T01:45:00+01:00,,0.125,0.5,\n\
         1711854000,1711854225,0.1,0.1,0.1\n1711854225,1711854450,0.1,0.1,0.1\n\
         1711854225,1711854450,0.1,0.1,0.1\n\
         2024-03-31,2024-03-31,9,9,9\n2024-03-29,,1.5,2.5,3.5\nyesterday,,1,1,1\n",
    );
    let report = house.imports(&[&simple]).await;
    assert!(report.contains("home: 3 quarters of an hour filled"), "{report}");
    assert!(report.contains("home: 1 days filled, 1 known already"), "{report}");
    assert!(report.contains("1 rows not used: another row of the same time"), "{report}");
    assert!(report.contains("1 rows not used: they cannot be understood"), "{report}");
    let program = house.serve().await;
    for bucket in ["slot", "day"] {
        let query = format!("/api/history?start=2024-03-28&end=2024-04-02&bucket={bucket}");
        let before = program.json(&query).await;
        let table = program.get(&format!("{query}&format=csv")).await.1;
        let other = House::new(&["home"], Some("Europe/Berlin"));
        let table = other.text("table.csv", &table);
        other.imports(&[&table]).await;
        let same = other.energies();
        other.imports(&[&table]).await;
        assert_eq!(other.energies(), same);
        let other = other.serve().await;
        let after = other.json(&query).await;
        assert_eq!(rows(&after), rows(&before), "{bucket}");
        assert!(rows(&before).as_array().unwrap().len() >= 2);
    }
    // Its own history has it all.
    let before = house.energies();
    let table = program.get("/api/history?start=2024-03-28&end=2024-04-02&bucket=slot&format=csv").await.1;
    let report = house.imports(&[&house.text("own.csv", &table)]).await;
    assert!(report.contains("0 quarters of an hour filled, 3 known already"), "{report}");
    assert_eq!(house.energies(), before);
}

#[actix_web::test]
async fn what_cannot_be_imported_says_what_to_do() {
    let house = House::new(&["home", "cabin"], None);
    let table = house.text("table.csv", "start,home_kwh\n2024-03-31T00:45:00+01:00,1\n");
    assert!(house.refuses(&[&table]).await.contains("--gateway with one of home, cabin"));
    assert!(house.refuses(&[&table, "--gateway", "barn"]).await.contains("none of that id"));
    let nameless = house.refuses(&[&house.text("odd.csv", "a,b\n1,2\n"), "--gateway", "home"]).await;
    assert!(nameless.contains("start, end, solar_kwh"), "{nameless}");
    let empty = house.text("empty.csv", "start,home_kwh\n");
    assert!(house.refuses(&[&empty, "--gateway", "home"]).await.contains("nothing in it"));
    assert!(house.refuses(&["/nowhere/at/all"]).await.contains("cannot be read"));
    let unreachable = house.refuses(&["http://127.0.0.1:1", "--gateway", "home", "--timezone", "UTC"]).await;
    assert!(unreachable.contains("127.0.0.1:1"), "{unreachable}");
    let zoneless = house.refuses(&[&table, "--gateway", "home"]).await;
    assert!(zoneless.contains("--timezone Europe/Berlin"), "{zoneless}");
    let said = house.types(&["import", &table, "--gateway", "home", "--timezone", "Mars/Base"]).await;
    assert!(said.code == Some(2) && said.stderr.contains("no such zone"), "{}", said.stderr);
}

#[actix_web::test]
async fn a_backup_takes_the_place_of_the_file_when_the_service_is_stopped_and_can_be_examined() {
    let house = House::new(&["home"], Some("Europe/Berlin"));
    let day = "start,home_kwh\n2024-03-31T00:45:00+01:00,1\n";
    house.imports(&[&house.text("day.csv", day)]).await;
    let copy = house.path("copy.db").display().to_string();
    assert_eq!(house.types(&["backup", &copy]).await.code, Some(0));
    let later = "start,home_kwh\n2024-04-01T00:45:00+01:00,1\n";
    house.imports(&[&house.text("later.csv", later)]).await;

    let mut program = house.serve().await;
    let refused = house.types(&["restore", &copy]).await;
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("is in use; stop the service first"), "{}", refused.stderr);
    let sound = house.types(&["history", "check"]).await;
    assert_eq!(sound.code, Some(0), "{}{}", sound.stdout, sound.stderr);
    assert!(sound.stdout.contains("home: 2 quarters of an hour from 2024-03-31 00:45"), "{}", sound.stdout);
    assert!(sound.stdout.contains("home: 1 gaps, 23.8 hours together"), "{}", sound.stdout);
    program.signal("TERM").await;
    program.ended().await;

    let restored = house.types(&["restore", &copy]).await;
    assert_eq!(restored.code, Some(0), "{}", restored.stderr);
    let kept = restored.stdout.lines().find_map(|line| line.split_once(" is kept as ")).unwrap().1;
    assert_eq!(house.number("count(*) FROM history_slots"), 1.0);
    let before = Connection::open(kept).unwrap();
    let slots = before.query_row("SELECT count(*) FROM history_slots", [], |row| row.get::<_, i64>(0));
    assert_eq!(slots.unwrap(), 2, "what was recorded since is not lost");
    house.serve().await;

    house.file().execute("UPDATE history_slots SET home = -9", []).unwrap();
    let wrong = house.types(&["history", "check"]).await;
    assert_eq!(wrong.code, Some(1), "{}", wrong.stdout);
    assert!(wrong.stdout.contains("2024-03-31 says 1.000 kWh of home"), "{}", wrong.stdout);
    assert_eq!(house.types(&["history", "check", "/nowhere"]).await.code, Some(2));
    assert_eq!(house.types(&["history", "check", kept]).await.code, Some(0));
}
