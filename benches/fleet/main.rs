//! What answers about 2,000 gateways cost the real program: `cargo bench --bench fleet`. Reports, never
//! fails.
//!
//! The simulated gateways run in this process and share the processors with the program, so times are an
//! upper bound. `docs/benchmarks.md` says what each line means.

#[path = "../system/program.rs"]
mod program;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use powerwall_server::simulator::Fleet;
use program::{Program, pause};
use serde_json::{Value, json};
use tokio::time::Instant;

const GATEWAYS: u32 = 2_000;
/// The first polls, configurations and units of all of them.
const SETTLING: Duration = Duration::from_secs(60);
const ROUNDS: usize = 4;
/// All that was derived for an answer is gone with the polls after it.
const AFTERWARDS: Duration = Duration::from_secs(20);
const CLIENTS: usize = 1_000;

fn main() {
    let gateways = std::env::var("GATEWAYS").ok().and_then(|number| number.parse().ok()).unwrap_or(GATEWAYS);
    println!("| what | measured |\n|---|---|");
    let fleet = Fleet::of(gateways).expect("loopback ports are free");
    let program = Program::start(&fleet.settings());
    let all = |body: &[u8]| {
        serde_json::from_slice(body).is_ok_and(|sum: Value| sum["num_online"] == json!(gateways))
    };
    let online = Instant::now();
    while !program.get("/api/aggregate/battery").is_ok_and(|body| all(&body)) {
        pause(Duration::from_millis(100));
        if online.elapsed() > Duration::from_secs(180) {
            break;
        }
    }
    pause(SETTLING);
    let idle = program.resident_mb();
    report(&format!("{gateways} gateways, idle: resident memory"), &format!("{idle:.0} MB"));

    for path in [
        "/soe",
        "/api/gateways?limit=50",
        "/api/gateways",
        "/api/aggregate",
        "/api/aggregate/vitals",
        "/metrics",
        "/health/gateways",
        "/stats",
        "/api/live",
        "/api/fleet",
        "/api/fleet/inventory.csv",
    ] {
        let probe = Probe::start(program.addr());
        let (mut times, mut size, mut peak) = (Vec::new(), 0, 0.0_f64);
        for _ in 0..ROUNDS {
            let started = Instant::now();
            size = program.get(path).expect("it answers").len();
            times.push(started.elapsed().as_secs_f64());
            peak = peak.max(program.resident_mb());
        }
        times.sort_by(f64::total_cmp);
        let (p99, worst) = probe.end();
        let measured = format!(
            "{:.2} MB in {:.2} s; memory {peak:.0} MB; `/soe` meanwhile p99 {p99:.1} ms, worst {worst:.1} ms",
            size as f64 / 1e6,
            times[ROUNDS / 2],
        );
        report(&format!("`{path}`"), &measured);
    }
    pause(AFTERWARDS);
    report("resident memory afterwards", &format!("{:.0} MB", program.resident_mb()));
    silent_clients(&program);
}

fn report(what: &str, measured: &str) {
    println!("| {what} | {measured} |");
}

fn silent_clients(program: &Program) {
    for path in ["/openapi.json", "/api/gateways"] {
        let before = program.resident_mb();
        let connect = |_| {
            let mut stream = TcpStream::connect(program.addr()).ok()?;
            write!(stream, "GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n").ok()?;
            Some(stream)
        };
        let clients: Vec<TcpStream> = (0..CLIENTS).filter_map(connect).collect();
        pause(Duration::from_secs(10));
        let with = program.resident_mb();
        drop(clients);
        pause(AFTERWARDS);
        let after = program.resident_mb();
        let measured = format!("{before:.0} MB before, {with:.0} MB with them, {after:.0} MB afterwards");
        report(&format!("{CLIENTS} clients that ask for `{path}` and do not read"), &measured);
    }
}

/// Somebody who wants a small answer fifty times a second.
struct Probe {
    ends: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<Vec<f64>>,
}

impl Probe {
    fn start(addr: std::net::SocketAddr) -> Self {
        let ends = Arc::new(AtomicBool::new(false));
        let ended = ends.clone();
        let thread = std::thread::spawn(move || {
            let mut stream = TcpStream::connect(addr).expect("it listens");
            let (mut times, mut buffer) = (Vec::new(), [0; 4096]);
            while !ended.load(Ordering::Relaxed) {
                let asked = Instant::now();
                stream.write_all(b"GET /soe HTTP/1.1\r\nHost: bench\r\n\r\n").expect("it takes it");
                assert!(stream.read(&mut buffer).expect("it answers") > 0);
                times.push(asked.elapsed().as_secs_f64() * 1e3);
                pause(Duration::from_millis(20));
            }
            times
        });
        Self { ends, thread }
    }

    /// The 99th percentile and the worst, in milliseconds.
    fn end(self) -> (f64, f64) {
        self.ends.store(true, Ordering::Relaxed);
        let mut times = self.thread.join().expect("it measures");
        times.sort_by(f64::total_cmp);
        let last = times.len().saturating_sub(1);
        times
            .get(times.len() * 99 / 100)
            .or(times.last())
            .copied()
            .zip(times.get(last).copied())
            .unwrap_or_default()
    }
}
