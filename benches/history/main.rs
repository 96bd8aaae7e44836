//! What a history costs: `cargo bench --bench history`. Reports, never fails.
//!
//! Files are made by the store itself of days that never were; the program that serves them is a process of
//! its own. `docs/benchmarks.md` says what each line means.

#[path = "../system/program.rs"]
mod program;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use powerwall_server::clock::unix_time;
use powerwall_server::model::site::recorded::CAPACITY;
use powerwall_server::simulator::{Fleet, PastDay, SiteKind, SiteOptions, ZONE};
use powerwall_server::store::Store;
use powerwall_server::store::history::batch::{Added, Batch, Signal};
use powerwall_server::store::history::queries::energy;
use powerwall_server::store::history::{History, Keep, Keeping};
use program::{Program, pause};
use serde_json::{Value, json};
use tokio::time::Instant;

/// Of power, at `POLL` seconds.
const YEAR: usize = 365;
const POLL: usize = 5;
/// Of quarters of an hour.
const TEN_YEARS: usize = 3652;
/// Of signals, once a minute.
const MONTH: usize = 30;
const SIGNALS: usize = 40;
const ROUNDS: usize = 11;
const SETTLING: Duration = Duration::from_secs(20);
const OBSERVED: Duration = Duration::from_secs(60);

fn main() {
    println!("| what | measured |\n|---|---|");
    let folder = tempfile::tempdir().expect("there is a place for files");
    let runtime = actix::System::new();
    runtime.block_on(sizes(folder.path()));
    let file = folder.path().join("years.db");
    runtime.block_on(years(&file));
    questions(&file);
    for gateways in [1, 100] {
        recording(gateways, folder.path());
    }
}

fn report(what: &str, measured: &str) {
    println!("| {what} | {measured} |");
}

/// A history that is written.
struct Past {
    history: History,
    /// Ends with the last handle.
    _store: Store,
    today: Date,
    zone: TimeZone,
    batches: i64,
}

impl Past {
    fn of(file: &Path) -> Self {
        let store = Store::open(file.to_owned()).expect("a thread is to be had");
        let for_ever = Keeping { samples: Keep::Forever, signals: Keep::Forever, ..Keeping::default() };
        let history = History::kept_in(file, &store, &for_ever).expect("a thread is to be had");
        let zone = TimeZone::get(ZONE).expect("it is known");
        let today = energy::date(unix_time(), &zone).expect("it is a date");
        Self { history, _store: store, today, zone, batches: 0 }
    }

    /// Writes the day so many days ago.
    async fn write(&mut self, site: &SiteOptions, ago: usize, sampled: Option<usize>, signals: usize) {
        let date = self.today.checked_sub(jiff::Span::new().days(ago as i64)).expect("it is a date");
        let past = PastDay { date, zone: self.zone.clone(), until: unix_time(), sampled };
        let mut added = past.record(site).expect("it is a date");
        let start = added.slots.keys().next().copied().unwrap_or_default();
        added.signals = measured(start, signals);
        self.add(&site.id, added).await;
    }

    async fn add(&mut self, id: &str, added: Added) {
        self.batches += 1;
        let batch = Batch { run: 1, number: self.batches, added: [(id.to_owned(), added)].into() };
        self.history.write(Arc::new(batch)).await.expect("it can be written");
    }
}

/// A day of signals from `start` on, once a minute.
fn measured(start: i64, signals: usize) -> Vec<Signal> {
    let values = (0..1440).flat_map(|minute| (0..signals).map(move |signal| (minute, signal)));
    let signal = |(minute, signal): (i64, usize)| Signal {
        device: format!("PVS--1707000-11-M--TG{signal:02}"),
        metric: "inverter_ambient",
        at: start + minute * 60,
        value: 20.0 + (minute as f64 / 200.0).sin() + signal as f64,
    };
    let capacity = Signal {
        device: "TEPOD--1707000-11-M--TG01".to_owned(),
        metric: CAPACITY,
        at: start,
        value: 13_100.0,
    };
    values.map(signal).chain((signals > 0).then_some(capacity)).collect()
}

/// Of the file, with everything that was in its log.
fn bytes(file: &Path) -> u64 {
    let connection = rusqlite::Connection::open(file).expect("it can be opened");
    let checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)";
    connection.query_row(checkpoint, [], |_| Ok(())).expect("nobody else writes");
    std::fs::metadata(file).map_or(0, |found| found.len())
}

/// Bytes that a gateway needs for a day of each kind.
async fn sizes(folder: &Path) {
    let site = SiteOptions::new("home", "Home", SiteKind::Powerwall3);
    for (what, sampled, signals) in [
        ("power at 5 s, quarters of an hour and the day", Some(POLL), 0),
        ("quarters of an hour and the day", None, 0),
        ("the same and 40 signals once a minute", None, SIGNALS),
    ] {
        let file = folder.join("sizes.db");
        let mut past = Past::of(&file);
        let days = 20;
        past.write(&site, 2 * days, sampled, signals).await;
        drop(past);
        let before = bytes(&file);
        let mut past = Past::of(&file);
        for ago in (days..2 * days).rev() {
            past.write(&site, ago, sampled, signals).await;
        }
        drop(past);
        let more = (bytes(&file) - before) as f64 / days as f64 / 1000.0;
        report(&format!("a gateway and day of {what}"), &format!("{more:.1} kB"));
        for suffix in ["db", "db-wal", "db-shm"] {
            let _ = std::fs::remove_file(file.with_extension(suffix));
        }
    }
}

/// A year of power and ten years of quarters of an hour of one gateway, a month of its signals.
async fn years(file: &Path) {
    let site = SiteOptions::new("gw1", "Home", SiteKind::Powerwall3);
    let mut past = Past::of(file);
    let started = Instant::now();
    for ago in (0..TEN_YEARS).rev() {
        let sampled = (ago < YEAR).then_some(POLL);
        past.write(&site, ago, sampled, if ago < MONTH { SIGNALS } else { 0 }).await;
    }
    let took = started.elapsed().as_secs_f64();
    drop(past);
    let size = bytes(file) as f64 / 1e6;
    report(
        "a year of 5 s, ten years of quarters of an hour, a month of 40 signals",
        &format!("{size:.0} MB"),
    );
    report("to write them", &format!("{took:.0} s"));
}

/// What the pages ask, each several times after the first.
fn questions(file: &Path) {
    let fleet = Fleet::of(1).expect("loopback ports are free");
    let mut gateways = fleet.settings();
    gateways[0]["id"] = "gw1".into();
    let path = file.to_string_lossy();
    let variables = [
        ("PW_TIMESERIES_PATH", &*path),
        ("PW_TIMESERIES_RETENTION", "0"),
        ("PW_TIMESERIES_SIGNAL_RETENTION", "0"),
    ];
    let program = Program::start_with(&gateways, &variables);
    let is_on =
        |body: &[u8]| serde_json::from_slice(body).is_ok_and(|body: Value| body["enabled"] == json!(true));
    program.wait_for("/api/timeseries/status", is_on);
    pause(SETTLING);
    report("resident memory with that file, before it is asked", &format!("{:.1} MB", program.resident_mb()));
    let zone = TimeZone::get(ZONE).expect("it is known");
    let today = energy::date(unix_time(), &zone).expect("it is a date");
    let ago = |days: i64| today.checked_sub(jiff::Span::new().days(days)).expect("it is a date");
    let range =
        |days: i64, bucket: &str| format!("/api/history?start={}&end={today}&bucket={bucket}", ago(days));
    let now = unix_time();
    let temperatures = |days: f64| {
        let start = now - days * 86_400.0;
        format!("/api/timeseries/signal_trend?metrics=inverter_ambient&start={start}&end={now}")
    };
    for (what, path) in [
        ("display, console: today", "/api/timeseries/today".to_owned()),
        ("console: the line of 24 hours", "/api/timeseries/trend?hours=24".to_owned()),
        ("history: a day", range(0, "slot")),
        ("history: a week", range(6, "hour")),
        ("history: a month", range(30, "day")),
        ("history: a year", range(365, "month")),
        ("history: everything", format!("/api/history?start=2010-01-01&end={today}&bucket=month")),
        ("history: battery health", "/api/history/health".to_owned()),
        ("history: the signals that there are", "/api/timeseries/signals".to_owned()),
        ("history: temperatures of a day", temperatures(1.0)),
        ("history: temperatures of a month", temperatures(30.0)),
        ("days of a month", "/api/timeseries/daily?days=30".to_owned()),
        ("how recording goes", "/api/timeseries/status".to_owned()),
        ("no page: 90 days by quarters of an hour", range(90, "slot")),
    ] {
        let mut times = Vec::new();
        let mut size = 0;
        for _ in 0..=ROUNDS {
            let started = Instant::now();
            size = program.get(&path).expect("it answers").len();
            times.push(started.elapsed().as_secs_f64() * 1e3);
        }
        let first = times.remove(0);
        times.sort_by(f64::total_cmp);
        let (median, worst) = (times[times.len() / 2], times[times.len() - 1]);
        report(
            &format!("{what} ({:.1} kB)", size as f64 / 1000.0),
            &format!(
                "{median:.1} ms (worst of {ROUNDS}: {worst:.1} ms, the first one {first:.1} ms), \
                 {:.1} MB resident",
                program.resident_mb()
            ),
        );
    }
}

/// What recording costs while nobody asks.
fn recording(gateways: u32, folder: &Path) {
    let fleet = Fleet::of(gateways).expect("loopback ports are free");
    let file = folder.join(format!("recorded{gateways}.db"));
    let file = file.to_string_lossy();
    for (what, path) in [("without a history", "off"), ("with one", &*file)] {
        let program = Program::start_with(&fleet.settings(), &[("PW_TIMESERIES_PATH", path)]);
        let all = |body: &[u8]| {
            serde_json::from_slice(body).is_ok_and(|sum: Value| sum["num_online"] == json!(gateways))
        };
        program.wait_for("/api/aggregate/battery", all);
        pause(SETTLING);
        let before = program.cpu();
        pause(OBSERVED);
        let cpu = (program.cpu() - before).as_secs_f64() / OBSERVED.as_secs_f64() * 100.0;
        let memory = program.resident_mb();
        let plural = if gateways == 1 { "gateway" } else { "gateways" };
        report(
            &format!("{gateways} {plural} at 5 s, {what}"),
            &format!("{cpu:.1} % of a core, {memory:.1} MB resident"),
        );
    }
}
