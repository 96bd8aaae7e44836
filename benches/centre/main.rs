//! What watching a fleet costs a centre: `cargo bench --bench centre --all-features`. Reports, never fails;
//! needs `nats-server`.
//!
//! The sites are published by this process over one connection, as sites do: each has another report at most
//! every five seconds. It and the server share the processors with the centre. `docs/benchmarks.md` says what
//! each line means.

#[path = "../system/program.rs"]
mod program;

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_nats::Client;
use futures_util::StreamExt;
use powerwall_server::clock::unix_time;
use powerwall_server::simulator::Fleet as Gateways;
use program::{Program, pause};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

const SITES: usize = 2_000;
/// How often each site has another report.
const EVERY: Duration = Duration::from_secs(5);
/// Messages that leave at once.
const AT_ONCE: Duration = Duration::from_millis(50);
/// Configuration and units are read by then.
const LEARNED: Duration = Duration::from_secs(20);
const SETTLING: Duration = Duration::from_secs(30);
const MEASURED: Duration = Duration::from_secs(60);
const CHANGES: usize = 40;
/// A page that is open asks this often.
const PAGE_ASKS: Duration = Duration::from_secs(1);

fn main() {
    let sites = std::env::var("SITES").ok().and_then(|number| number.parse().ok()).unwrap_or(SITES);
    run(measure(sites));
}

fn run(work: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("the system allows it").block_on(work);
}

async fn measure(sites: usize) {
    let server = Server::start();
    let centre =
        Program::start_with(&json!([]), &[("PW_BROKER_URL", &server.url()), ("PW_BROKER_SITES", ">")]);
    pause(Duration::from_secs(1));
    let client = async_nats::connect(server.url()).await.expect("the server is there");
    let template = report(&server, &client).await;
    println!("| {sites} sites | measured |\n|---|---|");
    line("bytes of a report", &format!("{}", template.to_string().len()));

    let dark: Arc<[AtomicBool]> = (0..sites).map(|_| AtomicBool::new(false)).collect();
    let fleet = Fleet { client, template, sites, dark };
    let began = Instant::now();
    fleet.publish(0..sites, 0).await;
    let watched = |body: &[u8]| {
        let sum: Value = serde_json::from_slice(body).unwrap_or_default();
        sum["num_online"].as_u64().is_some_and(|online| online as usize >= sites)
    };
    centre.wait_for("/api/aggregate/battery", watched);
    line("all online after", &format!("{:.1} s", began.elapsed().as_secs_f64()));

    let (template, url, dark) = (fleet.template.clone(), server.url(), fleet.dark.clone());
    // On a thread of its own: what measures waits with its thread.
    std::thread::spawn(move || {
        run(async {
            let client = async_nats::connect(url).await.expect("the server is there");
            Fleet { client, template, sites, dark }.go_on().await;
        });
    });
    sleep(SETTLING).await;
    line("centre, nobody looks", &cost(&centre, None).await);
    line("centre, one page open", &cost(&centre, Some(PAGE_ASKS)).await);

    let mut times = Vec::new();
    for change in 0..CHANGES {
        times.push(fleet.change(&centre, change * 37 % sites).await);
    }
    times.sort_by(f64::total_cmp);
    let (middle, worst) = (times[CHANGES / 2], times[CHANGES - 1]);
    line("from a site's report to the page", &format!("{middle:.2} s, worst of {CHANGES}: {worst:.2} s"));

    let mut asked = Vec::new();
    for _ in 0..20 {
        let started = Instant::now();
        let size = centre.get("/api/fleet?limit=100").expect("it answers").len();
        asked.push((started.elapsed().as_secs_f64() * 1e3, size));
        sleep(Duration::from_millis(700)).await;
    }
    asked.sort_by(|one, other| one.0.total_cmp(&other.0));
    let ((middle, size), (worst, _)) = (asked[10], asked[19]);
    line("a page of a hundred", &format!("{size} bytes in {middle:.1} ms, worst of 20: {worst:.1} ms"));
    line("resident memory afterwards", &format!("{:.0} MB", centre.resident_mb()));
    let again = Instant::now();
    let variables = [("PW_BROKER_URL", server.url()), ("PW_BROKER_SITES", ">".to_owned())];
    let variables = variables.each_ref().map(|(key, value)| (*key, value.as_str()));
    let second = Program::start_with(&json!([]), &variables);
    second.wait_for("/api/aggregate/battery", watched);
    line("a second centre is complete after", &format!("{:.1} s", again.elapsed().as_secs_f64()));
}

fn line(what: &str, measured: &str) {
    println!("| {what} | {measured} |");
}

/// What it takes over a minute, while a page asks every `asks`.
async fn cost(centre: &Program, asks: Option<Duration>) -> String {
    let (began, before) = (Instant::now(), centre.cpu());
    while began.elapsed() < MEASURED {
        match asks {
            Some(asks) => {
                let _ = centre.get("/api/fleet?limit=100");
                sleep(asks).await;
            }
            None => sleep(MEASURED).await,
        }
    }
    let share = (centre.cpu() - before).as_secs_f64() / began.elapsed().as_secs_f64();
    format!("{:.0} MB resident, {:.0} % of a core", centre.resident_mb(), share * 100.0)
}

/// Sites that this process publishes.
struct Fleet {
    client: Client,
    /// What a real site has reported.
    template: Value,
    sites: usize,
    /// Those that have lost the grid.
    dark: Arc<[AtomicBool]>,
}

impl Fleet {
    async fn go_on(self) {
        let mut ticks = interval(AT_ONCE);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let steps = (EVERY.as_millis() / AT_ONCE.as_millis()) as usize;
        for round in 1.. {
            for step in 0..steps {
                ticks.tick().await;
                let share = |step: usize| self.sites * step / steps;
                self.publish(share(step)..share(step + 1), round).await;
            }
        }
    }

    async fn publish(&self, sites: std::ops::Range<usize>, round: u64) {
        for site in sites {
            let power = (site as u64 * 31 + round * 17) % 5_000;
            self.send(site, round, power as f64).await;
        }
        let _ = self.client.flush().await;
    }

    async fn send(&self, site: usize, seq: u64, solar: f64) {
        let grid = if self.dark[site].load(Ordering::Relaxed) { "DOWN" } else { "UP" };
        let mut report = self.template.clone();
        report["at"] = json!(unix_time());
        report["seq"] = json!(seq);
        report["site"]["solar"] = json!(solar);
        report["site"]["grid"] = json!(grid);
        report["gateway"]["name"] = json!(format!("Site {site}"));
        let subject = format!("$KV.powerwall_sites.s{site}.home");
        let _ = self.client.publish(subject, report.to_string().into()).await;
    }

    /// How long it takes until the page shows that a site lost the grid, in seconds.
    async fn change(&self, centre: &Program, site: usize) -> f64 {
        let path = format!("/api/fleet?search=s{site}-home");
        let began = Instant::now();
        self.dark[site].store(true, Ordering::Relaxed);
        self.send(site, u64::MAX >> 12, 1.0).await;
        let _ = self.client.flush().await;
        loop {
            let body = centre.get(&path).unwrap_or_default();
            let page: Value = serde_json::from_slice(&body).unwrap_or_default();
            let rows = page["sites"].as_array().cloned().unwrap_or_default();
            if rows.iter().any(|row| row["id"] == format!("s{site}-home") && row["grid"] == "DOWN") {
                return began.elapsed().as_secs_f64();
            }
            if began.elapsed() > EVERY {
                return f64::INFINITY;
            }
            sleep(Duration::from_millis(10)).await;
        }
    }
}

/// What a real site reports of a Powerwall 3 with a follower and an expansion; its key is removed again.
async fn report(server: &Server, client: &Client) -> Value {
    let gateways = Gateways::of(1).expect("loopback ports are free");
    let url = server.url();
    let variables = [("PW_BROKER_URL", url.as_str()), ("PW_BROKER_SITE", "template")];
    let site = Program::start_with(&gateways.settings(), &variables);
    let jetstream = async_nats::jetstream::new(client.clone());
    let began = Instant::now();
    while began.elapsed() < LEARNED {
        sleep(Duration::from_millis(200)).await;
    }
    let bucket = jetstream.get_key_value("powerwall_sites").await.expect("the centre has made it");
    let mut keys = bucket.keys().await.expect("the server answers");
    let key = keys.next().await.expect("the site has reported").expect("the server answers");
    let body = bucket.get(&key).await.expect("the server answers").expect("it is there");
    drop(site);
    bucket.delete(&key).await.expect("the server takes it");
    serde_json::from_slice(&body).expect("it is JSON")
}

/// A NATS server of its own, with a folder that goes with it.
struct Server {
    port: u16,
    child: Child,
    _folder: TempDir,
}

impl Server {
    fn start() -> Self {
        let free = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("loopback ports are free");
        let port = free.local_addr().expect("it is bound").port();
        drop(free);
        let folder = tempfile::tempdir().expect("there is a place for it");
        let child = Command::new("nats-server")
            .args(["-a", "127.0.0.1", "-p", &port.to_string(), "-js", "-sd"])
            .arg(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("nats-server is installed");
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            pause(Duration::from_millis(20));
        }
        Self { port, child, _folder: folder }
    }

    fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
