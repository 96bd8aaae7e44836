//! What the live feed costs: `cargo bench --bench feed`. Reports, never fails. About a minute.
//!
//! The clients run in this process, the servers in others. `docs/benchmarks.md` says what each line means.

mod clients;
#[path = "../system/program.rs"]
mod program;
mod servers;

use std::time::Duration;

use clients::{Clients, connect_stuck};
use powerwall_server::simulator::Fleet;
use program::{Program, pause};
use tokio::task::LocalSet;
use tokio::time::{Instant, sleep};

const CLIENTS: usize = 1000;
/// About what changes at a poll of one gateway.
const CHANGE: usize = 1200;
const ROUNDS: usize = 4;
const ROUND: Duration = Duration::from_secs(3);
/// Nothing but beats and a poll every 5 s.
const IDLE: Duration = Duration::from_secs(12);
const STUCK: usize = 100;
const LARGE_CHANGE: usize = 20_000;
const FILES: u64 = 10_000;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, role, file] = arguments.as_slice()
        && [servers::FEED, servers::BARE].contains(&role.as_str())
    {
        return servers::serve(role, file);
    }
    rlimit::increase_nofile_limit(FILES).expect("the limit of open files can be raised");
    println!("| what | measured |\n|---|---|");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    LocalSet::new().block_on(&runtime, async {
        broadcast().await;
        idle().await;
        stuck().await;
    });
}

fn report(what: &str, measured: &str) {
    println!("| {what} | {measured} |");
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn milliseconds(delays: &[Duration], percent: usize) -> String {
    let at = (delays.len() * percent / 100).min(delays.len().saturating_sub(1));
    format!("{:.1} ms", delays.get(at).map_or(f64::NAN, Duration::as_secs_f64) * 1e3)
}

/// One side of the comparison.
struct Side {
    program: Program,
    clients: Clients,
}

impl Side {
    async fn start(role: &str, change: usize, clients: usize) -> Self {
        let program = Program::start_role(role, change.to_string().as_bytes());
        let clients = Clients::connect(program.addr(), clients).await;
        if role == servers::FEED {
            clients.have_seen_others(1).await;
        }
        Self { program, clients }
    }

    /// Messages a second, and processor time of the server for each.
    async fn deliver(&mut self) -> (f64, Duration) {
        let (began, cpu, mut rounds) = (Instant::now(), self.program.cpu(), 0_u32);
        while began.elapsed() < ROUND {
            let program = &mut self.program;
            self.clients.round(|| program.say("")).await;
            rounds += 1;
        }
        let messages = f64::from(rounds) * CLIENTS as f64;
        let cpu = (self.program.cpu() - cpu).as_secs_f64() / messages;
        (messages / began.elapsed().as_secs_f64(), Duration::from_secs_f64(cpu))
    }
}

/// Turn by turn, so that a busy machine slows both: a change, and when all have it the next one.
async fn broadcast() {
    let mut ours = Side::start(servers::FEED, CHANGE, CLIENTS).await;
    let mut theirs = Side::start(servers::BARE, CHANGE, CLIENTS).await;
    let (mut our_rates, mut their_rates, mut our_costs, mut their_costs) = (vec![], vec![], vec![], vec![]);
    for _ in 0..ROUNDS {
        let (rate, cost) = ours.deliver().await;
        our_rates.push(rate);
        our_costs.push(cost.as_secs_f64() * 1e6);
        let (rate, cost) = theirs.deliver().await;
        their_rates.push(rate);
        their_costs.push(cost.as_secs_f64() * 1e6);
    }
    let (ours, theirs) = (median(our_rates), median(their_rates));
    report(&format!("{CHANGE}-byte changes to {CLIENTS} clients, messages a second"), &format!("{ours:.0}"));
    report("the same bytes written to bare sockets", &format!("{theirs:.0}"));
    report("ratio", &format!("{:.2}", ours / theirs));
    let costs = (median(our_costs), median(their_costs));
    report(
        "processor time of the server per message, ours and bare",
        &format!("{:.1} µs, {:.1} µs", costs.0, costs.1),
    );
}

/// The whole program with one gateway.
async fn idle() {
    let fleet = Fleet::of(1).expect("loopback ports are free");
    let program = Program::start(&fleet.settings());
    program.wait_for("/api/live", |body| String::from_utf8_lossy(body).contains("gateway/site-1/units"));
    pause(IDLE);
    let before = program.resident_mb();
    let clients = Clients::connect(program.addr(), CLIENTS).await;
    clients.have_seen_others(1).await;
    let cpu = program.cpu();
    sleep(IDLE).await;
    let cpu = (program.cpu() - cpu).as_secs_f64() / IDLE.as_secs_f64() * 100.0;
    let each = (program.resident_mb() - before) * 1024.0 / CLIENTS as f64;
    report(&format!("memory for each of {CLIENTS} idle clients, one gateway"), &format!("{each:.1} kB"));
    report(&format!("CPU with {CLIENTS} clients, one gateway at 5 s"), &format!("{cpu:.1} % of a core"));
    drop(clients);
}

/// Ten large changes a second to 200 clients, without and with more that never read.
async fn stuck() {
    const GOOD: usize = 200;
    let mut side = Side::start(servers::FEED, LARGE_CHANGE, GOOD).await;
    let mut delays = Vec::new();
    let mut memory = vec![side.program.resident_mb()];
    let mut bad = Vec::new();
    for with_stuck in [false, true] {
        if with_stuck {
            bad = connect_stuck(side.program.addr(), STUCK).await;
        }
        for _ in 0..100 {
            let program = &mut side.program;
            side.clients.round(|| program.say("")).await;
            sleep(Duration::from_millis(50)).await;
        }
        memory.push(side.program.resident_mb());
        delays.push(side.clients.delays());
    }
    let each = (memory[2] - memory[1]) * 1024.0 / STUCK as f64;
    report(&format!("memory for each of {STUCK} clients that never read"), &format!("{each:.1} kB"));
    for (delays, who) in delays.iter().zip(["without", "with"]) {
        let (half, most) = (milliseconds(delays, 50), milliseconds(delays, 99));
        report(
            &format!("{LARGE_CHANGE}-byte change to {GOOD} clients {who} them: p50, p99"),
            &format!("{half}, {most}"),
        );
    }
    drop(bad);
}
