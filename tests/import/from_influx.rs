//! Powerwall-Dashboard's database, real minutes in a real InfluxDB, over HTTP and as its client exports them.

use std::time::Duration;

use super::database::Influx;
use super::{House, near};
use powerwall_server::simulator::{GatewayHandle, SiteKind, SiteOptions};

/// 2024-03-30 00:00 in Berlin, the day before a short one.
const START: i64 = 1_711_753_200;
const DAY: i64 = 86_400;
/// The second day is one of 23 hours.
const END: i64 = START + 3 * DAY - 3600;
/// Two hours of the first day are missing.
const GAP: std::ops::Range<i64> = START + 10 * 3600..START + 12 * 3600;

/// Power of a minute in W, unlike that of any other.
fn power(minute: i64, flow: i64) -> f64 {
    let phase = (minute % 1440) as f64 / 1440.0 * std::f64::consts::TAU;
    (flow as f64 * 400.0 + 300.0 * (phase + flow as f64).sin() + (minute % 7) as f64 * 11.0).max(0.0)
}

/// The database with three days of minutes, of the last four hours in fives as the cloud has them, and with
/// the hours and days of two weeks before them.
async fn dashboard(database: &Influx) {
    database.tell("CREATE DATABASE powerwall").await;
    for policy in ["raw", "kwh", "daily", "monthly"] {
        let create = format!("CREATE RETENTION POLICY {policy} ON powerwall DURATION INF REPLICATION 1");
        database.tell(&create).await;
    }
    let mut lines = Vec::new();
    for at in (START..END).step_by(60).filter(|at| !GAP.contains(at)) {
        let is_cloud = at >= END - 4 * 3600;
        if is_cloud && at % 300 != 0 {
            continue;
        }
        let tags = if is_cloud { ",source=cloud" } else { "" };
        let minute = at / 60;
        let [home, solar, from_pw, to_pw, from_grid, to_grid] =
            [1, 2, 3, 4, 5, 6].map(|flow| power(minute, flow));
        lines.push(format!(
            "http{tags},month=Mar,year=2024 home={home},solar={solar},from_pw={from_pw},to_pw={to_pw},\
             from_grid={from_grid},to_grid={to_grid},percentage=62 {at}"
        ));
    }
    database.write("autogen", &lines).await;
    let sums = ["home", "solar", "from_pw", "to_pw", "from_grid", "to_grid"];
    let integrals = sums.map(|field| format!("integral(\"{field}\") / 3600000 AS \"{field}\"")).join(", ");
    database
        .tell(&format!(
            "SELECT {integrals} INTO \"powerwall\".\"kwh\".\"http\" FROM \"powerwall\".\"autogen\".\"http\"
             WHERE time >= {START}s AND time < {END}s GROUP BY time(1h)"
        ))
        .await;
    // The minutes before were not kept.
    let hours: Vec<String> = (START - 14 * DAY..START)
        .step_by(3600)
        .map(|at| format!("http,month=Mar,year=2024 home=0.5,solar=0.25,from_grid=0.125 {at}"))
        .collect();
    database.write("kwh", &hours).await;
    let day = format!("http,month=Mar,year=2024 home=7 {}", START - 20 * DAY);
    database.write("daily", &[day]).await;
}

#[actix_web::test]
async fn years_of_the_dashboard_come_in_once_whether_interrupted_or_not() {
    let Some(database) = Influx::start(None).await else { return };
    dashboard(&database).await;
    let house = House::new(&["home"], Some("Europe/Berlin"));
    let report = house.imports(&[&database.url()]).await;
    // Of 71 hours, two are missing.
    assert!(report.contains("home: 276 quarters of an hour filled, 0 known already"), "{report}");
    assert!(report.contains("home: 16 days filled"), "{report}");
    assert_eq!(house.number("count(*) FROM history_cursors"), 0.0);
    let file = house.file();
    let wh = |of: &str| house.number(&format!("sum(home) FROM history_slots WHERE {of}"));
    // What the database itself makes of its minutes, in straight lines between them.
    let of_database = database
        .number(&format!(
            "SELECT integral(\"home\") / 3600 FROM \"autogen\".\"http\" WHERE time >= {}s AND time < {}s",
            START + DAY,
            START + 2 * DAY - 3600
        ))
        .await;
    near(wh(&format!("slot >= {} AND slot < {}", START + DAY, START + 2 * DAY - 3600)), of_database, 30.0);
    let in_gap = format!("count(*) FROM history_slots WHERE slot >= {} AND slot < {}", GAP.start, GAP.end);
    assert_eq!(house.number(&in_gap), 0.0, "a gap stays one");
    let short = "SELECT home_s FROM history_days WHERE day = '2024-03-31'";
    near(file.query_row(short, [], |row| row.get(0)).unwrap(), 23.0 * 3600.0, 1.0);
    near(house.number("home FROM history_days WHERE day = '2024-03-20'"), 12_000.0, 1e-6);
    near(house.number("home FROM history_days WHERE day = '2024-03-10'"), 7_000.0, 1e-6);
    near(house.number("soe FROM history_slots LIMIT 1"), 60.0, 1e-9);
    let before = house.energies();
    let report = house.imports(&[&database.url()]).await;
    assert!(report.contains("home: 0 quarters of an hour filled, 276 known already"), "{report}");
    assert_eq!(house.energies(), before);

    // However far it came before it was killed.
    let other = House::new(&["home"], Some("Europe/Berlin"));
    let environment = other.environment();
    let url = database.url();
    for milliseconds in [30, 60, 90, 120, 180] {
        let mut import = tokio::process::Command::new(env!("CARGO_BIN_EXE_powerwall-server"));
        import.args(["import", &url]).env_clear().envs(environment.iter().cloned());
        let mut import = import.stdout(std::process::Stdio::null()).kill_on_drop(true).spawn().unwrap();
        let _ = tokio::time::timeout(Duration::from_millis(milliseconds), import.wait()).await;
        import.kill().await.unwrap();
    }
    other.imports(&[&url]).await;
    assert_eq!(other.energies(), before);
    assert_eq!(other.number("count(*) FROM history_cursors"), 0.0);
}

#[actix_web::test]
async fn what_the_client_exports_is_what_the_database_has() {
    let Some(database) = Influx::start(None).await else { return };
    dashboard(&database).await;
    let house = House::new(&["home"], Some("Europe/Berlin"));
    house.imports(&[&database.url()]).await;
    let other = House::new(&["home"], Some("Europe/Berlin"));
    let fields = "home, solar, from_pw, to_pw, from_grid, to_grid, percentage";
    for (policy, bound) in [("kwh", format!("WHERE time < {}s", START + DAY)), ("daily", String::new())] {
        let table = database.exported(&format!("SELECT {fields} FROM {policy}.http {bound}")).await;
        other.imports(&[&other.text("table.csv", &table)]).await;
    }
    let table = database.exported(&format!("SELECT {fields} FROM autogen.http")).await;
    assert!(table.lines().count() > 3_000, "{}", &table[..table.len().min(500)]);
    let report = other.imports(&[&other.text("minutes.csv", &table)]).await;
    assert!(report.contains("home: 276 quarters of an hour filled"), "{report}");
    assert_eq!(other.energies(), house.energies());
}

/// A second writer beside the service: nothing that is recorded fails or is refused.
#[actix_web::test]
async fn an_import_goes_on_beside_the_service_which_records_all_the_while() {
    let Some(database) = Influx::start(Some(("reader", "CanaryPassword"))).await else { return };
    let url = database.url();
    let house = House::new(&["home"], Some("Europe/Berlin"));
    let said = house.types(&["import", &url]).await;
    assert!(said.code == Some(1) && said.stderr.contains("another name and password"), "{}", said.stderr);
    let mut environment = house.environment();
    environment.push(("PW_IMPORT_PASSWORD", "CanaryPassword".to_owned()));
    let text: Vec<_> = environment.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let said = super::run(&["import", &url, "--username", "reader"], &text).await;
    assert!(said.code == Some(1) && said.stderr.contains("database not found"), "{}", said.stderr);
    let open = Influx::start(None).await.unwrap();
    dashboard(&open).await;
    let gateway = GatewayHandle::start(SiteOptions::new("home", "Home", SiteKind::Powerwall3)).await.unwrap();
    let mut environment = house.environment();
    environment[0].1 = serde_json::json!([gateway.settings()]).to_string();
    environment.push(("PW_CACHE_EXPIRE", "1".to_owned()));
    let text: Vec<_> = environment.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let program = super::Program::start(&["serve"], &text).await;
    let url = open.url();
    let import = ["import", url.as_str()];
    let said = super::run(&import, &text).await;
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    let status = program.json("/api/timeseries/status").await;
    assert_eq!((&status["write_failures"], &status["problem"]), (&0.into(), &serde_json::Value::Null));
    let day = program.json("/api/history?start=2024-03-31&end=2024-03-31&bucket=day").await;
    assert_eq!(day["gateways"]["home"]["rows"][0]["sources"]["home"][0], "imported", "{day}");
}
