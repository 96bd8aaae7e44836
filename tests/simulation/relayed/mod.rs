//! One gateway over the relay, alone or behind a local link: what goes wrong on the way through Tesla's cloud
//! and here follows from a seed; what arrives at the gateway is judged in [`way`].
//!
//! *Always*: one question in flight; readings every five minutes at the fastest, however often anybody polls
//! and whatever goes wrong; what can wait no closer than twenty seconds; nothing during a pause that Tesla
//! asked for. An order arrives once, and is in effect only where the contactor was read afterwards and says
//! so.

mod way;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::ControlFlow;
use std::path::Path;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix::Addr;
use powerwall_server::board::Board;
use powerwall_server::clock::set_unix_time;
use powerwall_server::directory::Directory;
use powerwall_server::gateway::messages::CarryOut;
use powerwall_server::gateway::order_log::JournalLog;
use powerwall_server::link::Link;
use powerwall_server::link::standby::Standby;
use powerwall_server::link::tedapi::TedapiLink;
use powerwall_server::link::tedapi::channel::FrameChannel;
use powerwall_server::link::tedapi::queries::Queries;
use powerwall_server::link::tesla::account::{Account, Renewer};
use powerwall_server::link::tesla::relay::{RelayChannel, RelayLink};
use powerwall_server::model::order::Islanding;
use powerwall_server::model::{Adjustments, Aggregate, Freshness, GatewayFacts, LinkKind, Order, Outcome};
use powerwall_server::settings::{
    AccountConfig, GatewaySettings, LinkConfig, Origin, PollingSettings, QuerySet, TOKEN_FILE, TokenSource,
};
use powerwall_server::store::journal::Journal;
use powerwall_server::supervisor::{Configure, LinkFactory, Supervisor};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::task::LocalSet;
use tokio::time::{Instant, sleep_until};

use crate::options::SECOND;
use crate::signed::WeakKey;
use way::{Defect, Local, SITE, Trouble, Way, Wires};

const SEEDS: u64 = 20;
const LENGTH: Duration = Duration::from_secs(3 * 3600);
/// Anybody may poll as often as this.
const POLL: Duration = Duration::from_secs(15);
const INTERVAL: Duration = Duration::from_secs(300);
const LIMIT: Duration = Duration::from_secs(5);
/// After so long without trouble, and two readings, the gateway is shown.
const WELL: Duration = Duration::from_secs(1800);
/// A Friday in November 2026, 12:00 UTC.
const NOON: f64 = 1_795_780_800.0;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Event {
    Trouble(Trouble, Duration),
    /// The local link does not answer for a while.
    NoLocal(Duration),
    /// Whether the contactor moves when it is told to.
    Moves(bool),
    /// The program is killed and starts again.
    Killed,
    /// Somebody disconnects the house from the grid, or connects it again.
    Order(Islanding),
}

#[derive(Clone, Debug)]
struct Plan {
    seed: u64,
    /// Whether there is a local link, for which the relay stands in.
    has_local: bool,
    /// In order.
    events: Vec<(Duration, Event)>,
}

impl Plan {
    fn of(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed ^ 0x000e_1a7e);
        let mut plan = Self { seed, has_local: rng.random_bool(0.3), events: Vec::new() };
        let mut at = rng.random_range(60..1200);
        while at < LENGTH.as_secs() {
            let (when, lasts) = (Duration::from_secs(at), Duration::from_secs(rng.random_range(5..700)));
            let event = match rng.random_range(0..12) {
                0 | 1 => Event::Trouble(Trouble::AnswersLost, lasts),
                2 => Event::Trouble(Trouble::Unreachable, lasts),
                3 => Event::Trouble(Trouble::Hangs, lasts),
                4 | 5 => Event::Trouble(Trouble::Status(408), lasts),
                6 => Event::Trouble(Trouble::Status(503), lasts),
                7 => Event::Trouble(Trouble::NoEnvelope, lasts),
                8 => Event::Trouble(Trouble::Pause(rng.random_range(30..900)), lasts),
                9 | 10 => Event::NoLocal(lasts),
                _ => Event::Killed,
            };
            plan.events.push((when, event));
            at += lasts.as_secs() + rng.random_range(60..1200);
        }
        let (mut at, mut way) = (rng.random_range(400..1500), Islanding::OffGrid);
        while at < LENGTH.as_secs() {
            let when = Duration::from_secs(at);
            plan.events.push((when - SECOND, Event::Moves(rng.random_bool(0.8))));
            plan.events.push((when, Event::Order(way)));
            if rng.random_bool(0.3) {
                let lost = Event::Trouble(Trouble::AnswersLost, 8 * SECOND);
                plan.events.push((when - SECOND, lost));
            }
            way = if way == Islanding::OffGrid { Islanding::OnGrid } else { Islanding::OffGrid };
            at += rng.random_range(900..2400);
        }
        plan.events.sort_by_key(|(at, _)| *at);
        plan
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}, with a local link: {}", self.seed, self.has_local)?;
        self.events.iter().try_for_each(|(at, event)| writeln!(f, "  {:.3} s: {event:?}", at.as_secs_f64()))
    }
}

fn settings(timeout: Duration) -> Vec<GatewaySettings> {
    let facts = GatewayFacts { id: "home".into(), ..GatewayFacts::default() };
    vec![GatewaySettings {
        facts: Arc::new(facts),
        link: LinkConfig::Unsupported(LinkKind::Relay),
        timeout,
        state_file: None,
        energies: None,
        standby: Vec::new(),
    }]
}

/// The links of the program; one account for each run of it.
fn connect(has_local: bool, way: Arc<Way>, folder: &Path, defect: Option<Defect>) -> LinkFactory {
    let config = AccountConfig {
        source: TokenSource::File(folder.join(TOKEN_FILE)),
        base: None,
        auth: Origin::of("fleet-auth.prd.vn.cloud.tesla.com"),
        authorities: None,
        budget: None,
        ledger: Some(folder.join("ledger.json")),
    };
    Arc::new(move |settings| {
        let wires = Wires::new(way.clone(), defect);
        let (account, web) = (Account::new(config.clone()), Renewer::new(Rc::new(wires)));
        let channel = RelayChannel::new(account, web, Arc::new(WeakKey), Some(SITE));
        let queries = || Queries::of(QuerySet::V2024_06);
        let relay: Box<dyn Link> =
            Box::new(RelayLink::over("home", channel, queries(), INTERVAL, settings.timeout));
        if !has_local {
            return relay;
        }
        let channel = FrameChannel::new(Local::new(way.clone()), LinkKind::Tedapi);
        let local: Box<dyn Link> = Box::new(TedapiLink::over("home", channel, queries(), "192.168.91.1"));
        Box::new(Standby::new("home", vec![local, relay], settings.timeout))
    })
}

struct House {
    way: Arc<Way>,
    directory: Arc<Directory>,
    supervisor: Addr<Supervisor>,
    polling: PollingSettings,
    /// Grows when the program is killed: a gateway with another one is one whose settings have changed.
    timeout: Duration,
}

impl House {
    fn new(plan: &Plan, way: &Arc<Way>, folder: &Path, defect: Option<Defect>) -> Self {
        let directory = Arc::new(Directory::new(Vec::new(), Arc::new(Board::new(Aggregate::default()))));
        let polling = PollingSettings {
            islanding_cooldown: Duration::from_secs(30),
            interval: POLL,
            cache_ttl: Duration::from_secs(120),
            graceful_degradation: true,
            adjustments: Adjustments::default(),
            memory: None,
        };
        let connect = connect(plan.has_local, way.clone(), folder, defect);
        let log = JournalLog::new(Journal::in_memory());
        let supervisor =
            Supervisor::new(settings(LIMIT), polling.clone(), directory.clone(), connect, plan.seed)
                .with_order_log(Arc::new(log))
                .with_order_ids(crate::orders::ids(plan.seed));
        let supervisor = actix::Actor::start(supervisor);
        Self { way: way.clone(), directory, supervisor, polling, timeout: LIMIT }
    }

    async fn configure(&self) {
        self.supervisor.send(Configure(settings(self.timeout), self.polling.clone())).await.unwrap();
    }

    async fn happens(&mut self, event: Event) {
        self.way.note(format!("{event:?}"));
        match event {
            Event::Order(way) => self.order(way),
            Event::Killed => {
                self.directory.entries().iter().for_each(|entry| entry.forget_orders());
                self.way.killed();
                self.timeout += SECOND / 10;
                self.configure().await;
            }
            Event::Trouble(trouble, lasts) => self.way.trouble(trouble, lasts),
            Event::NoLocal(lasts) => self.way.no_local(lasts),
            Event::Moves(moves) => self.way.set_moves(moves),
        }
    }

    /// Asks, and follows what becomes of it.
    fn order(&self, islanding: Islanding) {
        let Some(addr) = self.directory.entries()[0].addr() else { return };
        let (way, number) = (self.way.clone(), self.way.gives());
        tokio::task::spawn_local(async move {
            let order = Order::Islanding(islanding);
            let asked_by = number.to_string();
            let carry_out = CarryOut { order, lease: None, confirmed: true, asked_by, mark: None };
            let Ok(receipt) = addr.send(carry_out).await else { return };
            let mut standing = receipt.standing;
            loop {
                let outcome = standing.borrow_and_update().outcome.clone();
                match outcome {
                    Some(Outcome::InEffect(_)) => way.is_in_effect(number, islanding == Islanding::OffGrid),
                    Some(Outcome::NotSent(_)) => way.is_not_sent(number),
                    Some(Outcome::Accepted(_)) => way.count("accepted"),
                    Some(Outcome::Unknown(_)) => way.count("unknown"),
                    Some(Outcome::Stored(_)) => way.violated("nothing about a contactor is stored".into()),
                    Some(Outcome::Refused(_)) | None => {}
                }
                // The program may have been killed.
                if standing.changed().await.is_err() {
                    break;
                }
            }
        });
    }

    fn look(&self) {
        let now = Instant::now();
        let snapshot = self.directory.entries()[0].board.read();
        let is_live = matches!(snapshot.freshness(now), Freshness::Live);
        self.way.count(if is_live { "live" } else { "not live" });
        if is_live && self.way.silent_for() > INTERVAL * 3 {
            self.way.violated(format!("shown as live, {:?} after the last answer", self.way.silent_for()));
        }
        if !is_live && self.way.well_for() > WELL {
            let error = snapshot.health.last_error.as_ref().map(|note| note.message.clone());
            self.way.violated(format!("well for {:?} and not live: {error:?}", self.way.well_for()));
        }
    }
}

/// What came of a seed.
struct Lived {
    plan: String,
    violations: Vec<String>,
    seen: BTreeMap<&'static str, u64>,
}

async fn inhabit(plan: Plan, folder: &Path, defect: Option<Defect>) -> Lived {
    set_unix_time(NOON);
    let way = Arc::new(Way::new(plan.seed, folder));
    let mut house = House::new(&plan, &way, folder, defect);
    house.configure().await;
    let started = Instant::now();
    let mut events = plan.events.iter().peekable();
    let mut next_look = started + 60 * SECOND;
    while next_look <= started + LENGTH && !way.is_violated() {
        match events.next_if(|(at, _)| started + *at < next_look) {
            Some((at, event)) => {
                sleep_until(started + *at).await;
                house.happens(*event).await;
            }
            None => {
                sleep_until(next_look).await;
                house.look();
                next_look += 60 * SECOND;
            }
        }
    }
    Lived { plan: plan.to_string(), violations: way.violations(), seen: way.seen() }
}

fn live(seed: u64, defect: Option<Defect>) -> Lived {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let lived = LocalSet::new().block_on(&runtime, inhabit(Plan::of(seed), folder.path(), defect));
    runtime.shutdown_background();
    lived
}

#[test]
fn over_the_relay_a_gateway_is_asked_rarely_and_an_order_arrives_once_whatever_goes_wrong() {
    let seeds = match crate::setting("RELAY_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..crate::setting("RELAY_SEEDS").unwrap_or(SEEDS),
    };
    let is_whole = seeds.end - seeds.start >= SEEDS;
    let (failed, seen) = (Mutex::new(Vec::new()), Mutex::new(BTreeMap::new()));
    crate::on_all_cores(seeds, |seed| {
        let lived = live(seed, None);
        let mut seen = seen.lock().unwrap();
        lived.seen.iter().for_each(|(what, count)| *seen.entry(*what).or_insert(0) += count);
        if !lived.violations.is_empty() {
            failed.lock().unwrap().push((seed, lived));
        }
        ControlFlow::Continue(())
    });
    let (failed, seen) = (failed.into_inner().unwrap(), seen.into_inner().unwrap());
    println!("seen: {seen:?}");
    if let Some((seed, lived)) = failed.first() {
        let seeds: Vec<_> = failed.iter().map(|(seed, lived)| (seed, &lived.violations[0])).collect();
        panic!("{seeds:#?}\nRELAY_SEED={seed}\n{}\n{}", lived.plan, lived.violations.join("\n"));
    }
    if is_whole {
        for kind in [
            "readings",
            "what can wait",
            "order arrived",
            "order arrived, answer lost",
            "read back",
            "in effect",
            "accepted",
            "pause",
            "live",
            "not live",
        ] {
            assert!(seen.get(kind).is_some_and(|count| *count > 4), "{kind} was hardly seen: {seen:?}");
        }
    }
}

#[test]
fn every_defect_of_the_relay_is_reported() {
    for (defect, words) in way::ALL {
        let found = Mutex::new(Vec::new());
        let is_found = || found.lock().unwrap().iter().any(|what: &String| what.contains(words));
        crate::on_all_cores(0..SEEDS, |seed| {
            found.lock().unwrap().extend(live(seed, Some(defect)).violations);
            if is_found() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert!(is_found(), "{defect:?}: {:#?}", found.into_inner().unwrap());
    }
}
