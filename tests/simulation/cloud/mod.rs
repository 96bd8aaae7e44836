//! Sites of one Tesla account in a simulated house: FleetAPI alone, behind a local link, before one, or for
//! orders only. What Tesla answers, and everything that goes wrong there and here, follows from a seed; what
//! arrives at Tesla is judged in [`tesla`].

mod defects;
pub mod local;
mod orders;
mod plan;
mod tesla;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix::Addr;
use powerwall_server::board::Board;
use powerwall_server::clock::set_unix_time;
use powerwall_server::directory::Directory;
use powerwall_server::gateway::order_log::JournalLog;
use powerwall_server::link::Link;
use powerwall_server::link::standby::Standby;
use powerwall_server::link::tedapi::TedapiLink;
use powerwall_server::link::tedapi::channel::FrameChannel;
use powerwall_server::link::tedapi::queries::Queries;
use powerwall_server::link::tesla::FleetLink;
use powerwall_server::link::tesla::account::{Account, Renewer};
use powerwall_server::model::{Adjustments, Aggregate, Freshness, GatewayFacts, LinkKind};
use powerwall_server::settings::{
    AccountConfig, FleetConfig, GatewaySettings, LinkConfig, Origin, PollingSettings, QuerySet, TOKEN_FILE,
    TokenSource,
};
use powerwall_server::store::journal::Journal;
use powerwall_server::supervisor::{Configure, LinkFactory, Supervisor};
use tokio::task::LocalSet;
use tokio::time::{Instant, sleep_until};

use defects::{CloudDefect, Deaf, DefectiveWires};
use local::Local;
use plan::{Event, Plan, Reach};
use tesla::{AUTH, Tesla, TeslaWires};

use crate::options::SECOND;

const SEEDS: u64 = 40;
/// Polls over a local link.
const POLL: Duration = Duration::from_secs(30);
/// After so long without trouble, every site is shown that may be asked for.
const WELL: Duration = Duration::from_secs(1800);
const LIMIT: Duration = Duration::from_secs(5);

/// One simulated account and the program that reads it.
struct House {
    plan: Plan,
    tesla: Arc<Tesla>,
    directory: Arc<Directory>,
    supervisor: Addr<Supervisor>,
    polling: PollingSettings,
    /// Grows when the program is killed: a gateway with another one is one whose settings have changed.
    timeout: Duration,
}

/// What came of a seed.
struct Outcome {
    seed: u64,
    plan: String,
    violations: Vec<String>,
    seen: BTreeMap<&'static str, u64>,
}

fn account(plan: &Plan, folder: &Path, defect: Option<CloudDefect>) -> AccountConfig {
    AccountConfig {
        source: TokenSource::File(folder.join(TOKEN_FILE)),
        base: None,
        auth: Origin::of(AUTH),
        authorities: None,
        budget: plan.budget.filter(|_| defect != Some(CloudDefect::NoBudget)),
        ledger: Some(folder.join("ledger.json")).filter(|_| defect != Some(CloudDefect::ForgetsPauses)),
    }
}

fn fleet(plan: &Plan, site: usize, account: AccountConfig, defect: Option<CloudDefect>) -> FleetConfig {
    let id = if defect == Some(CloudDefect::Crossed) { 0 } else { site };
    let takes_orders_first = plan.sites[site] == Reach::OrdersOverCloud;
    FleetConfig { account, site: Some(tesla::id(id)), interval: plan.interval, takes_orders_first }
}

fn settings(plan: &Plan, folder: &Path, timeout: Duration) -> Vec<GatewaySettings> {
    let sites = plan.sites.iter().enumerate();
    let settings = sites.map(|(site, reach)| {
        let fleet = fleet(plan, site, account(plan, folder, None), None);
        let facts = GatewayFacts { id: format!("site-{site:02}"), ..GatewayFacts::default() };
        GatewaySettings {
            facts: Arc::new(facts),
            link: match reach {
                Reach::Cloud | Reach::CloudFirst => LinkConfig::Fleet(fleet),
                _ => LinkConfig::Unsupported(LinkKind::Tedapi),
            },
            timeout,
            state_file: None,
            energies: None,
            standby: Vec::new(),
        }
    });
    settings.collect()
}

/// The links of the program, over wires that lead to simulated gateways and to a simulated Tesla. All that
/// are made while `timeout` stays the same share one account, as those of one run of the program do.
fn connect(plan: Plan, tesla: Arc<Tesla>, defect: Option<CloudDefect>) -> LinkFactory {
    let running: Mutex<Option<(Duration, Arc<Account>)>> = Mutex::default();
    Arc::new(move |settings| {
        let id = &settings.facts.id;
        let site: usize = id[id.len() - 2..].parse().unwrap();
        let config = account(&plan, tesla.folder(), defect);
        let account = {
            let mut running = running.lock().unwrap();
            let known = running.take().filter(|(timeout, _)| *timeout == settings.timeout);
            running
                .insert(known.unwrap_or_else(|| (settings.timeout, Account::new(config.clone()))))
                .1
                .clone()
        };
        let wires = DefectiveWires::new(TeslaWires::new(tesla.clone()), defect);
        let config = fleet(&plan, site, config, defect);
        let web = Renewer::new(Rc::new(wires));
        let cloud: Box<dyn Link> = Box::new(FleetLink::over(id, web, &config, account, settings.timeout));
        let local = || -> Box<dyn Link> {
            let (gateway, line) = tesla.local(site);
            let channel = FrameChannel::new(Local::new(gateway, line), LinkKind::Tedapi);
            let link = TedapiLink::over(id, channel, Queries::of(QuerySet::V2024_06), "192.168.91.1");
            match defect {
                Some(CloudDefect::BelievesTheCloud) => Box::new(Deaf(Box::new(link))),
                _ => Box::new(link),
            }
        };
        match plan.sites[site] {
            Reach::Cloud => cloud,
            Reach::LocalFirst => Box::new(Standby::new(id, vec![local(), cloud], settings.timeout)),
            Reach::CloudFirst => Box::new(Standby::new(id, vec![cloud, local()], settings.timeout)),
            Reach::OrdersOverCloud => {
                let standby = Standby::new(id, vec![local(), cloud], settings.timeout);
                Box::new(standby.with_cloud_first(true))
            }
        }
    })
}

impl House {
    fn new(plan: Plan, tesla: Arc<Tesla>, defect: Option<CloudDefect>) -> Self {
        let directory = Arc::new(Directory::new(Vec::new(), Arc::new(Board::new(Aggregate::default()))));
        let polling = PollingSettings {
            islanding_cooldown: Duration::from_secs(30),
            interval: POLL,
            cache_ttl: Duration::from_secs(120),
            graceful_degradation: true,
            adjustments: Adjustments::default(),
            memory: None,
        };
        let gateways = settings(&plan, tesla.folder(), LIMIT);
        let connect = connect(plan.clone(), tesla.clone(), defect);
        let log = JournalLog::new(Journal::in_memory());
        let supervisor = Supervisor::new(gateways, polling.clone(), directory.clone(), connect, plan.seed)
            .with_order_log(Arc::new(log))
            .with_order_ids(crate::orders::ids(plan.seed));
        let supervisor = actix::Actor::start(supervisor);
        Self { plan, tesla, directory, supervisor, polling, timeout: LIMIT }
    }

    async fn configure(&self) {
        let gateways = settings(&self.plan, self.tesla.folder(), self.timeout);
        self.supervisor.send(Configure(gateways, self.polling.clone())).await.unwrap();
    }

    async fn happens(&mut self, event: &Event) {
        self.tesla.note(format!("{event:?}"));
        match event {
            Event::Order(site, percent) => orders::give(&self.tesla, &self.directory, *site, *percent),
            Event::Killed => {
                for entry in self.directory.entries().iter() {
                    entry.forget_orders();
                }
                self.tesla.killed();
                self.timeout += SECOND / 10;
                self.configure().await;
            }
            event => self.tesla.happens(event),
        }
    }

    /// Once a minute: nothing of another site, and everything that there may be.
    fn look(&self) {
        let now = Instant::now();
        for (site, entry) in self.directory.entries().iter().enumerate() {
            let snapshot = entry.board.read();
            let shown = snapshot.reading.as_ref().and_then(|reading| reading.telemetry.readings.din.clone());
            if shown.is_some_and(|din| din != self.tesla.din(site)) {
                self.tesla.violated(format!("gateway {site} shows another one"));
            }
            let has_local_link = self.plan.sites[site] != Reach::Cloud;
            let well = self.tesla.well_for(site, has_local_link, self.plan.budget);
            let is_live = matches!(snapshot.freshness(now), Freshness::Live);
            self.tesla.count(if is_live { "live" } else { "not live" });
            if snapshot.health.last_error.as_ref().is_some_and(|note| note.kind == "budget") {
                self.tesla.count("over the budget");
            }
            if !is_live && well > WELL + self.plan.interval * 3 {
                let error = snapshot.health.last_error.as_ref().map(|note| note.message.clone());
                self.tesla.violated(format!("gateway {site} is well for {well:?} and not live: {error:?}"));
            }
        }
    }
}

async fn inhabit(plan: Plan, folder: &Path, defect: Option<CloudDefect>) -> Outcome {
    set_unix_time(plan.starts);
    let tesla = Arc::new(Tesla::new(&plan, folder));
    let mut house = House::new(plan.clone(), tesla.clone(), defect);
    house.configure().await;
    let started = Instant::now();
    let mut events = plan.events.iter().peekable();
    let mut next_look = started + 60 * SECOND;
    while next_look <= started + plan.length && !tesla.is_violated() {
        match events.next_if(|(at, _)| started + *at < next_look) {
            Some((at, event)) => {
                sleep_until(started + *at).await;
                house.happens(event).await;
            }
            None => {
                sleep_until(next_look).await;
                house.look();
                next_look += 60 * SECOND;
            }
        }
    }
    Outcome { seed: plan.seed, plan: plan.to_string(), violations: tesla.violations(), seen: tesla.seen() }
}

fn live(seed: u64, defect: Option<CloudDefect>) -> Outcome {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let outcome = LocalSet::new().block_on(&runtime, inhabit(Plan::of(seed), folder.path(), defect));
    runtime.shutdown_background();
    outcome
}

#[test]
fn an_account_is_used_as_tesla_wants_it_whatever_goes_wrong() {
    let seeds = match crate::setting("CLOUD_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..crate::setting("CLOUD_SEEDS").unwrap_or(SEEDS),
    };
    let is_whole = seeds.end - seeds.start >= SEEDS;
    let (failed, seen) = (Mutex::new(Vec::new()), Mutex::new(BTreeMap::new()));
    crate::on_all_cores(seeds, |seed| {
        let outcome = live(seed, None);
        let mut seen = seen.lock().unwrap();
        for (what, count) in &outcome.seen {
            *seen.entry(*what).or_insert(0) += count;
        }
        if !outcome.violations.is_empty() {
            failed.lock().unwrap().push(outcome);
        }
        ControlFlow::Continue(())
    });
    let (failed, seen) = (failed.into_inner().unwrap(), seen.into_inner().unwrap());
    println!("seen: {seen:?}");
    if let Some(first) = failed.first() {
        let seeds: Vec<_> = failed.iter().map(|outcome| (outcome.seed, &outcome.violations[0])).collect();
        let seed = first.seed;
        panic!("{seeds:#?}\nCLOUD_SEED={seed}\n{}\n{}", first.plan, first.violations.join("\n"));
    }
    if is_whole {
        let kinds = [
            "asked",
            "refreshed",
            "answer lost",
            "login required",
            "out of region",
            "found the region",
            "429",
            "killed in a pause",
            "over the budget",
            "order arrived",
            "stored, and seen by the gateway's own link",
            "live",
            "not live",
        ];
        for kind in kinds {
            assert!(seen.get(kind).is_some_and(|count| *count > 4), "{kind} was hardly seen: {seen:?}");
        }
    }
}

#[test]
fn every_defect_in_dealing_with_tesla_is_reported() {
    for (defect, words) in defects::ALL {
        let found = Mutex::new(Vec::new());
        let is_found = || found.lock().unwrap().iter().any(|what: &String| what.contains(words));
        crate::on_all_cores(0..SEEDS, |seed| {
            found.lock().unwrap().extend(live(seed, Some(defect)).violations);
            if is_found() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert!(is_found(), "{defect:?}: {:#?}", found.into_inner().unwrap());
    }
}
