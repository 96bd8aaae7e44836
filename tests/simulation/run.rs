//! One simulated house, from its first second to its last: the real actors on a paused clock.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use bytes::Bytes;
use futures_util::future::LocalBoxFuture;
use powerwall_server::board::Board;
use powerwall_server::clock::set_unix_time;
use powerwall_server::directory::Directory;
use powerwall_server::link::careful::Careful;
use powerwall_server::link::knock::Knock;
use powerwall_server::link::local::LocalLink;
use powerwall_server::link::login::{Customer, Login};
use powerwall_server::link::memory::{Memories, Memory};
use powerwall_server::link::pair::Pair;
use powerwall_server::link::standby::Standby;
use powerwall_server::link::tedapi::TedapiLink;
use powerwall_server::link::tedapi::bearer::BearerTransport;
use powerwall_server::link::tedapi::channel::{Channel, FrameChannel};
use powerwall_server::link::tedapi::queries::Queries;
use powerwall_server::link::tedapi::transport::{Request, Transport};
use powerwall_server::link::v1r::SignedChannel;
use powerwall_server::link::{Link, LinkError};
use powerwall_server::model::{Adjustments, Aggregate, GatewayFacts, LinkKind};
use powerwall_server::settings::{
    AuthMode, CertificatePolicy, GatewaySettings, LinkConfig, LocalConfig, PollingSettings, QuerySet, Secret,
};
use powerwall_server::supervisor::{Configure, LinkFactory, Supervisor};
use tokio::task::LocalSet;
use tokio::time::{Instant, sleep_until};

use crate::answers::PASSWORD;
use crate::defects::{Defect, DefectiveLink, DefectiveTransport, Misaddressed, sum_wrongly};
use crate::options::{Door, Event, Options, SECOND, SitePlan, Way};
use crate::orders;
use crate::pair::{Place, Watched, Ways};
use crate::signed::WeakKey;
use crate::standby::{Member, Members, defective};
use crate::wire::Wire;
use crate::witness::{LOOK, Listener, Witness};
use crate::world::{Happened, WatchedLink, World};

/// Where the wall clock starts, Unix seconds.
const WALL_CLOCK: f64 = 1_780_000_000.0;

/// What came of one seed.
pub struct Outcome {
    options: Options,
    pub violations: Vec<String>,
    /// The last things that happened.
    tail: Vec<String>,
    /// Of everything that happened.
    pub trace: u64,
    /// How often each outcome of an exchange was seen.
    pub seen: Vec<(&'static str, u64)>,
    /// How often a client that looks each second saw a gateway's data as live, stale, not at all.
    pub counts: [u64; 3],
    /// New actors for dead ones.
    pub restarts: u64,
}

impl Outcome {
    pub fn seed(&self) -> u64 {
        self.options.seed
    }
}

impl fmt::Display for Outcome {
    /// What is needed to understand and to repeat a failure.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.options)?;
        writeln!(f, "the last that happened:\n{}", self.tail.join("\n"))?;
        for violation in &self.violations {
            writeln!(f, "VIOLATED: {violation}")?;
        }
        let (seed, hours) = (self.options.seed, self.options.length.as_secs() / 3600);
        write!(f, "replay: SEED={seed} HOURS={hours} cargo test --test simulation")
    }
}

fn gateway(site: usize, timeout: Duration) -> GatewaySettings {
    let facts = GatewayFacts { id: format!("site-{site}"), ..GatewayFacts::default() };
    GatewaySettings {
        facts: Arc::new(facts),
        link: LinkConfig::Unsupported(LinkKind::Cloud),
        timeout,
        state_file: None,
        energies: None,
        standby: Vec::new(),
    }
}

/// The links of the program, put together as it does, over wires that lead to simulated gateways.
fn link(
    world: &Arc<World>,
    site: usize,
    limit: Duration,
    memory: Arc<Memory>,
    defect: Option<Defect>,
) -> Box<dyn Link> {
    let leads_to = if defect == Some(Defect::Crossed) && site == 1 { 0 } else { site };
    let wire = |door| DefectiveTransport { inner: Wire::new(world.clone(), leads_to, door, limit), defect };
    let customer = || Login::customer(&Secret::new("ATED1"), None, memory.clone());
    let plan = &world.options.sites[leads_to];
    let local = |auth_mode| {
        let access = LocalConfig {
            host: "192.168.91.1".into(),
            port: 443,
            email: "owner@example.com".into(),
            password: Secret::new("ATED1"),
            auth_mode,
            timezone: "America/Los_Angeles".into(),
            certificate: CertificatePolicy::Off,
        };
        Box::new(LocalLink::over("home", wire(Door::Lan), &access, memory.clone()))
    };
    let link: Box<dyn Link> = match plan.way {
        Way::Tedapi(set) => {
            let transport = WithCustomer { inner: wire(Door::Wifi), login: plan.energies.then(customer) };
            tedapi(FrameChannel::new(transport, LinkKind::Tedapi), set, plan)
        }
        Way::Bearer => {
            let login = Login::installer(&Secret::new(PASSWORD), None, memory.clone());
            let transport = BearerTransport::over(wire(Door::Lan), login);
            tedapi(FrameChannel::new(transport, LinkKind::Bearer), QuerySet::V2026_06, plan)
        }
        Way::V1r => {
            let lan = SignedChannel::over(wire(Door::Lan), customer(), Arc::new(WeakKey), limit);
            match defect {
                Some(Defect::SignsForAnother) => tedapi(Misaddressed(lan), QuerySet::V2024_06, plan),
                _ => tedapi(lan, QuerySet::V2024_06, plan),
            }
        }
        Way::Pair => {
            let ways = Rc::new(RefCell::new(Ways::default()));
            let lan = SignedChannel::over(wire(Door::Lan), customer(), Arc::new(WeakKey), limit);
            let lan = watched(lan, Place::Way(Door::Lan), &ways, world, leads_to);
            let wifi = FrameChannel::new(wire(Door::Wifi), LinkKind::Tedapi);
            let wifi = watched(wifi, Place::Way(Door::Wifi), &ways, world, leads_to);
            let pair = Pair::new("home", lan, wifi, defect != Some(Defect::NeverTakesOver));
            let pair = watched(pair, Place::Pair(defect), &ways, world, leads_to);
            tedapi(pair, QuerySet::V2024_06, plan)
        }
        Way::Local(auth_mode) => local(auth_mode),
        Way::Standby { local_first } => {
            let lan = Box::new(Careful::new(local(AuthMode::Cookie), memory.clone()));
            let wifi = FrameChannel::new(wire(Door::Wifi), LinkKind::Tedapi);
            let wifi = tedapi(wifi, QuerySet::V2024_06, plan);
            let wifi = Box::new(Careful::new(wifi, Memory::new("", None)));
            let mut members: Vec<Box<dyn Link>> = vec![
                Member::boxed(lan, Door::Lan, world, leads_to),
                Member::boxed(wifi, Door::Wifi, world, leads_to),
            ];
            if !local_first {
                members.reverse();
            }
            world.site(leads_to).members = Members::new(local_first);
            return Box::new(Standby::new("home", defective(members, defect), limit));
        }
    };
    Box::new(Careful::new(link, memory))
}

fn tedapi(channel: impl Channel + 'static, set: QuerySet, plan: &SitePlan) -> Box<dyn Link> {
    let host = "192.168.91.1";
    let link = TedapiLink::over("home", channel, Queries::of(set), host);
    Box::new(if plan.energies { link.with_energies(true) } else { link })
}

fn watched<C>(
    inner: C,
    place: Place,
    ways: &Rc<RefCell<Ways>>,
    world: &Arc<World>,
    site: usize,
) -> Watched<C> {
    Watched { inner, place, ways: ways.clone(), world: world.clone(), site }
}

/// Knows the customer API behind a wire, too.
struct WithCustomer {
    inner: DefectiveTransport<Wire>,
    login: Option<Login>,
}

impl Transport for WithCustomer {
    fn knock(&self, limit: Duration) -> LocalBoxFuture<'_, Knock> {
        Transport::knock(&self.inner, limit)
    }

    fn exchange(&self, request: Request) -> LocalBoxFuture<'_, Result<Bytes, LinkError>> {
        Transport::exchange(&self.inner, request)
    }

    fn customer(&self) -> Option<Customer<'_>> {
        let login = self.login.as_ref()?;
        Some(Customer { exchange: &self.inner, login, may_log_in: true })
    }
}

fn connect(world: Arc<World>, defect: Option<Defect>) -> LinkFactory {
    let memories = Memories::default();
    Arc::new(move |settings| {
        let site = settings.facts.id.bytes().last().map_or(0, |digit| usize::from(digit - b'0'));
        let limit = settings.timeout;
        let memory = memories.of(&settings.facts.id, &settings.facts.id, None);
        let first = link(&world, site, limit, memory, defect);
        let again = world.clone();
        let anew = move || link(&again, site, limit, Memory::new("", None), defect);
        let inner = Box::new(DefectiveLink::new(first, Box::new(anew), defect));
        Box::new(WatchedLink { inner, world: world.clone(), site, limit })
    })
}

/// Lives through `options` in no time.
pub fn live(options: &Options, defect: Option<Defect>) -> Outcome {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let house = async {
        let world = Arc::new(World::new(options.clone()));
        let witness = inhabit(&world, defect).await;
        let entries = witness.directory.entries();
        let restarts = entries.iter().map(|entry| u64::from(entry.board.read().health.restarts)).sum();
        Outcome {
            options: options.clone(),
            violations: world.violations(),
            tail: world.tail(),
            trace: world.trace_hash(),
            seen: world.seen.lock().unwrap().clone(),
            counts: *witness.counts.lock().unwrap(),
            restarts,
        }
    };
    LocalSet::new().block_on(&runtime, house)
}

/// A house in which somebody lives: the actors, and how they are configured.
struct House {
    world: Arc<World>,
    directory: Arc<Directory>,
    supervisor: Addr<Supervisor>,
    polling: PollingSettings,
    /// A gateway with another one is a gateway whose settings have changed.
    timeouts: [Duration; 3],
}

impl House {
    fn new(world: &Arc<World>, defect: Option<Defect>) -> Self {
        let options = &world.options;
        let directory = Arc::new(Directory::new(Vec::new(), Arc::new(Board::new(Aggregate::default()))));
        let polling = PollingSettings {
            islanding_cooldown: Duration::from_secs(30),
            interval: options.interval,
            cache_ttl: options.cache_ttl,
            graceful_degradation: options.graceful,
            adjustments: Adjustments::default(),
            memory: None,
        };
        let timeouts = [options.timeout; 3];
        let connect = connect(world.clone(), defect);
        let gateways = configured(&timeouts);
        let supervisor = Supervisor::new(gateways, polling.clone(), directory.clone(), connect, options.seed)
            .with_order_log(Arc::new(orders::Journal::new(world.clone(), defect)))
            .with_order_ids(orders::ids(options.seed))
            .start();
        Self { world: world.clone(), directory, supervisor, polling, timeouts }
    }

    async fn configure(&self) {
        let change = Configure(configured(&self.timeouts), self.polling.clone());
        self.supervisor.send(change).await.unwrap();
    }

    /// The settings of a gateway are about to be others.
    fn change(&mut self, site: usize) {
        self.timeouts[site] += SECOND / 10;
        self.world.site(site).conduct.stopped(Instant::now());
    }

    async fn happens(&mut self, event: &Event) {
        let (world, directory) = (self.world.clone(), self.directory.clone());
        world.note(3, Happened::Event(format!("{event:?}")));
        match *event {
            Event::WallClock(by) => set_unix_time(powerwall_server::clock::unix_time() + by),
            Event::GatewayClock(site, by) => world.site(site).answers.skip(by),
            Event::Order(site, percent) => orders::give(&world, &directory, site, percent, None),
            Event::Lease(site, percent, seconds) => {
                orders::give(&world, &directory, site, percent, Some(SECOND * seconds as u32));
            }
            Event::Somebody(site, percent) => {
                let raw = percent * 0.95 + 5.0;
                world.site(site).answers.somebody_sets_reserve(raw);
            }
            Event::Killed => {
                for (site, entry) in directory.entries().iter().enumerate() {
                    entry.forget_orders();
                    world.site(site).orders.killed();
                    self.change(site);
                }
                self.configure().await;
            }
            Event::OrderFault(site, fault) => world.site(site).answers.set_order_fault(fault),
            Event::Reconfigure(site) => {
                self.change(site);
                self.configure().await;
            }
        }
    }
}

fn configured(timeouts: &[Duration; 3]) -> Vec<GatewaySettings> {
    timeouts.iter().enumerate().map(|(site, timeout)| gateway(site, *timeout)).collect()
}

async fn inhabit(world: &Arc<World>, defect: Option<Defect>) -> Arc<Witness> {
    set_unix_time(WALL_CLOCK);
    let mut house = House::new(world, defect);
    let directory = house.directory.clone();
    let witness = Arc::new(Witness::new(world.clone(), directory.clone()));
    // The boards stand once the Supervisor has started, which is before it takes a message.
    house.configure().await;
    for (site, entry) in directory.entries().iter().enumerate() {
        entry.board.subscribe(Listener { witness: witness.clone(), site }.start().recipient());
    }
    if let Some(defect @ (Defect::SumsTheMissing | Defect::HidesTheMissing)) = defect {
        tokio::task::spawn_local(sum_wrongly(directory, defect));
    }
    let mut events = world.options.events.iter().peekable();
    let end = world.started + world.options.length;
    let mut next_look = world.started + LOOK;
    while next_look <= end {
        match events.next_if(|(at, _)| world.started + *at < next_look) {
            Some((at, event)) => {
                sleep_until(world.started + *at).await;
                house.happens(event).await;
            }
            None => {
                sleep_until(next_look).await;
                witness.look(&house.timeouts);
                if world.is_violated() {
                    break;
                }
                next_look += LOOK;
            }
        }
    }
    if !world.is_violated() {
        witness.look_at_energies();
    }
    witness
}
