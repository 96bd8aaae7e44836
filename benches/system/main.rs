//! What the real program costs, measured from outside: `cargo bench --bench system`. Reports, never fails.
//!
//! Each figure is that of a separate process started for it. The simulated gateways run in this process, so
//! their cost is not counted. `docs/benchmarks.md` says what each line means.

mod bare;
mod program;

use std::process::Command;
use std::time::Duration;

use powerwall_server::simulator::{Fleet, GatewayHandle};
use program::{Program, pause};
use serde_json::{Value, json};
use tokio::time::Instant;

const STARTS: usize = 11;
/// Long enough for the configuration, units and firmware to have been read.
const SETTLING: Duration = Duration::from_secs(20);
const OBSERVED: Duration = Duration::from_secs(60);
const WRK_ROUNDS: usize = 3;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, role, body] = arguments.as_slice()
        && role == bare::ROLE
    {
        return bare::serve(body);
    }
    println!("| what | measured |\n|---|---|");
    starts_with_dead_gateways();
    first_data();
    for gateways in [1, 100, 500] {
        steady(gateways);
    }
    throughput();
    stops();
}

fn report(what: &str, measured: &str) {
    println!("| {what} | {measured} |");
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn milliseconds(durations: &[Duration]) -> String {
    let values: Vec<_> = durations.iter().map(|duration| duration.as_secs_f64() * 1e3).collect();
    let worst = values.iter().copied().fold(0.0, f64::max);
    format!("{:.0} ms (worst of {}: {worst:.0} ms)", median(values), durations.len())
}

fn fleet(gateways: u32) -> Fleet {
    Fleet::of(gateways).expect("loopback ports are free")
}

/// Half of them refuse connections, half take them and never say anything.
fn starts_with_dead_gateways() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a loopback port is free");
    let port = silent.local_addr().expect("it listens").port();
    let gateways: Value = (0..10)
        .map(|number| {
            let port = if number % 2 == 0 { 1 } else { port };
            let id = format!("dead{number}");
            json!({ "id": id, "host": "127.0.0.1", "port": port, "gw_pwd": "NOBODYHERE" })
        })
        .collect();
    let starts: Vec<_> = (0..STARTS)
        .map(|_| {
            let started = Instant::now();
            let program = Program::start(&gateways);
            program.wait_for("/aggregates", |body| body == b"null");
            started.elapsed()
        })
        .collect();
    report("from start to the first answer, all 10 gateways dead", &milliseconds(&starts));
}

fn first_data() {
    let fleet = fleet(1);
    let starts: Vec<_> = (0..STARTS)
        .map(|_| {
            let started = Instant::now();
            let program = Program::start(&fleet.settings());
            program.wait_for("/aggregates", |body| body != b"null");
            started.elapsed()
        })
        .collect();
    report("from start to the first data of a gateway", &milliseconds(&starts));
}

fn steady(number: u32) {
    let fleet = fleet(number);
    let program = Program::start(&fleet.settings());
    let started = Instant::now();
    let all_online =
        |body: &[u8]| serde_json::from_slice(body).is_ok_and(|sum: Value| sum["num_online"] == json!(number));
    program.wait_for("/api/aggregate/battery", all_online);
    let online = started.elapsed();
    pause(SETTLING);

    let requests = |fleet: &Fleet| {
        fleet.gateways().iter().map(|gateway: &GatewayHandle| gateway.counters().all_requests()).sum::<u64>()
    };
    let (cpu, asked) = (program.cpu(), requests(&fleet));
    pause(OBSERVED);
    let seconds = OBSERVED.as_secs_f64();
    let cpu = (program.cpu() - cpu).as_secs_f64() / seconds * 100.0;
    let asked = (requests(&fleet) - asked) as f64 / seconds * 60.0 / f64::from(number);
    let plural = if number == 1 { "gateway" } else { "gateways" };
    report(&format!("{number} {plural} at 5 s: all online after"), &format!("{:.2} s", online.as_secs_f64()));
    report(
        &format!("{number} {plural} at 5 s: resident memory"),
        &format!("{:.1} MB", program.resident_mb()),
    );
    report(&format!("{number} {plural} at 5 s: CPU"), &format!("{cpu:.1} % of a core"));
    report(&format!("{number} {plural} at 5 s: requests per gateway"), &format!("{asked:.1} a minute"));
}

/// Answers a second of `wrk`, 2 threads and 32 connections, and its p99.
fn wrk(url: &str) -> Option<(f64, String)> {
    let output = Command::new("wrk").args(["-t1", "-c32", "-d5s", "--latency", url]).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.trim().strip_prefix(name))?;
        Some(line.trim().to_owned())
    };
    Some((field("Requests/sec:")?.parse().ok()?, field("99%")?))
}

/// Turn by turn with a bare handler, so that a busy machine slows both.
fn throughput() {
    let fleet = fleet(1);
    let program = Program::start(&fleet.settings());
    let body = program.wait_for("/aggregates", |body| body != b"null");
    let bare = Program::start_role(bare::ROLE, &body);
    let (mut ours, mut theirs, mut slowest) = (Vec::new(), Vec::new(), String::new());
    for _ in 0..WRK_ROUNDS {
        let rounds = [wrk(&program.url("/aggregates")), wrk(&bare.url("/"))];
        let [Some(mine), Some(other)] = rounds else {
            return report("answers a second", "`wrk` is not installed");
        };
        ours.push(mine.0);
        theirs.push(other.0);
        slowest = mine.1;
    }
    let (ours, theirs) = (median(ours), median(theirs));
    let size = body.len();
    report(&format!("`/aggregates` ({size} bytes), answers a second"), &format!("{ours:.0}"));
    report("the same bytes from a bare actix-web handler", &format!("{theirs:.0}"));
    report("ratio", &format!("{:.2}", ours / theirs));
    report("p99 of `/aggregates` under that load", &slowest);
    report("resident memory after that load", &format!("{:.1} MB", program.resident_mb()));
}

fn stops() {
    let fleet = fleet(10);
    let stops: Vec<_> = (0..STARTS)
        .map(|_| {
            let program = Program::start(&fleet.settings());
            program.wait_for("/aggregates", |body| body != b"null");
            program.stop()
        })
        .collect();
    report("from SIGTERM to the end", &milliseconds(&stops));
}
