//! The simulated house: three gateways with their troubles, and the transports and links that lead to them.

use std::collections::VecDeque;
use std::future::pending;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::LocalBoxFuture;
use powerwall_server::link::tedapi::transport::{Request, Transport};
use powerwall_server::link::{Link, LinkError, Refreshed};
use powerwall_server::model::{Adjustments, LinkKind, Source, Telemetry};
use powerwall_server::simulator::Role;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::time::{Instant, sleep, timeout};

use crate::answers::{Answers, Stamp, role_of};
use crate::conduct::{Conduct, Ended, Parked};
use crate::options::{Options, Spell, Trouble};

/// How many of the last events a report shows.
const TAIL: usize = 60;
/// How many answers to polls are the simulator's whole document.
const WHOLE: f64 = 0.01;

/// What happened, for the trace.
#[derive(Clone, Debug)]
pub enum Happened {
    Exchange {
        role: Role,
        took: Duration,
        outcome: &'static str,
    },
    Poll {
        outcome: String,
    },
    Published {
        sequence: u64,
        shown: Option<u64>,
        failures: u32,
        error: Option<&'static str>,
    },
    Summed {
        site: Option<f64>,
        contributors: usize,
        missing: usize,
    },
    #[allow(dead_code, reason = "read by people, in a report")]
    Event(String),
}

#[derive(Default)]
struct Trace {
    hash: DefaultHasher,
    tail: VecDeque<(Duration, usize, Happened)>,
}

/// One gateway and everything about it.
pub struct Site {
    pub answers: Answers,
    rng: StdRng,
    pub conduct: Conduct,
    /// How many of its restarts have happened.
    restarts: usize,
}

pub struct World {
    pub options: Options,
    pub started: Instant,
    sites: Vec<Mutex<Site>>,
    trace: Mutex<Trace>,
    violations: Mutex<Vec<String>>,
    /// How often each outcome of an exchange was seen.
    pub seen: Mutex<Vec<(&'static str, u64)>>,
}

impl World {
    /// Starts now.
    pub fn new(options: Options) -> Self {
        let started = Instant::now();
        let sites = options.sites.iter().enumerate().map(|(index, plan)| {
            Mutex::new(Site {
                answers: Answers::new(plan.kind, index),
                rng: StdRng::seed_from_u64(options.seed.wrapping_mul(31) + index as u64),
                conduct: Conduct::new(options.interval, started),
                restarts: 0,
            })
        });
        let sites = sites.collect();
        Self {
            options,
            started,
            sites,
            trace: Mutex::default(),
            violations: Mutex::default(),
            seen: Mutex::default(),
        }
    }

    pub fn site(&self, index: usize) -> MutexGuard<'_, Site> {
        self.sites[index].lock().unwrap()
    }

    pub fn since(&self) -> Duration {
        self.started.elapsed()
    }

    pub fn violated(&self, site: usize, what: impl Into<String>) {
        let at = self.since().as_secs_f64();
        self.violations.lock().unwrap().push(format!("{at:.3} s, gateway {site}: {}", what.into()));
    }

    pub fn demand(&self, site: usize, kept: Result<(), String>) {
        if let Err(violation) = kept {
            self.violated(site, violation);
        }
    }

    pub fn violations(&self) -> Vec<String> {
        self.violations.lock().unwrap().clone()
    }

    pub fn is_violated(&self) -> bool {
        !self.violations.lock().unwrap().is_empty()
    }

    /// Notes what happened. `site` is 3 for what concerns all.
    pub fn note(&self, site: usize, happened: Happened) {
        let at = self.since();
        let mut trace = self.trace.lock().unwrap();
        let hash = &mut trace.hash;
        // What happens to the wall clock must change nothing else.
        if !matches!(happened, Happened::Event(_)) {
            (at, site).hash(hash);
        }
        match &happened {
            Happened::Exchange { role, took, outcome } => (role, took, outcome).hash(hash),
            Happened::Poll { outcome } => outcome.hash(hash),
            Happened::Published { sequence, shown, failures, error } => {
                (sequence, shown, failures, error).hash(hash);
            }
            Happened::Summed { site, contributors, missing } => {
                (site.map(f64::to_bits), contributors, missing).hash(hash);
            }
            Happened::Event(_) => {}
        }
        trace.tail.push_back((at, site, happened));
        if trace.tail.len() > TAIL {
            trace.tail.pop_front();
        }
    }

    pub fn trace_hash(&self) -> u64 {
        self.trace.lock().unwrap().hash.finish()
    }

    pub fn tail(&self) -> Vec<String> {
        let trace = self.trace.lock().unwrap();
        let line = |(at, site, what): &(Duration, usize, Happened)| {
            format!(
                "  {:>10.3} s  {}  {what:?}",
                at.as_secs_f64(),
                if *site < 3 { site.to_string() } else { "*".into() }
            )
        };
        trace.tail.iter().map(line).collect()
    }

    /// What is wrong with requests of `role` now.
    fn trouble(&self, site: usize, role: Role) -> Option<Spell> {
        let now = self.since();
        let spells = self.options.sites[site].spells.iter();
        let mut active = spells.filter(|spell| spell.from <= now && now < spell.until);
        active.find(|spell| spell.role.is_none_or(|target| target == role)).copied()
    }

    /// Whether anything is wrong now that a poll may notice.
    pub fn is_troubled(&self, site: usize) -> bool {
        let now = self.since();
        let spells = &self.options.sites[site].spells;
        spells.iter().any(|spell| spell.touches_polls() && spell.from <= now && now < spell.until)
    }

    /// Lets the restarts happen that are due.
    fn restart(&self, site: usize) {
        let now = self.since();
        let reboots = self.options.sites[site].spells.iter().filter_map(|spell| match spell.trouble {
            Trouble::Reboot { firmware } if spell.from <= now => Some(firmware),
            _ => None,
        });
        let mut state = self.site(site);
        for firmware in reboots.skip(state.restarts).collect::<Vec<_>>() {
            state.answers.restart(firmware);
            state.restarts += 1;
        }
    }

    fn count(&self, outcome: &'static str) {
        let mut seen = self.seen.lock().unwrap();
        match seen.iter_mut().find(|(known, _)| *known == outcome) {
            Some((_, count)) => *count += 1,
            None => seen.push((outcome, 1)),
        }
    }
}

/// Carries requests to a simulated gateway, with the duties of a real transport: the limit of one exchange, and a
/// kind of error for each status.
pub struct SimulatedTransport {
    pub world: Arc<World>,
    pub site: usize,
    pub limit: Duration,
    /// What the link on top of this must not ask yet.
    parked: Mutex<Parked>,
}

impl SimulatedTransport {
    pub fn new(world: Arc<World>, site: usize, limit: Duration) -> Self {
        Self { world, site, limit, parked: Mutex::default() }
    }

    /// The answer, with what is wrong at the moment of the request.
    async fn serve(&self, request: &Request, role: Role) -> Result<Bytes, LinkError> {
        let world = &self.world;
        world.restart(self.site);
        let spell = world.trouble(self.site, role);
        let measured_first;
        let latency = {
            let range = &world.options.sites[self.site].latency;
            let mut site = world.site(self.site);
            measured_first = site.rng.random_bool(0.5);
            let usual = Duration::from_millis(site.rng.random_range(range.clone()));
            match spell.map(|spell| spell.trouble) {
                Some(Trouble::Slow) => self.limit.mul_f64(site.rng.random_range(0.2..1.3)),
                _ => usual,
            }
        };
        // A gateway may measure when it is asked, and take its time to say so; or just before it answers.
        let asked = world.since();
        sleep(latency).await;
        let measured = if measured_first { asked } else { world.since() };
        let healthy = || {
            let mut site = world.site(self.site);
            let whole = site.rng.random_bool(WHOLE);
            let answer = site.answers.answer(request, role, Stamp::new(measured, self.site), whole);
            answer.map_err(|status| error_of(status, None, &request.path))
        };
        let Some(spell) = spell else { return healthy() };
        match spell.trouble {
            Trouble::Status { code, retry_after } => Err(error_of(code, retry_after, &request.path)),
            Trouble::Hang | Trouble::HangForEver => pending().await,
            Trouble::HalfBody => healthy().map(|body| body.slice(..body.len() / 2)),
            Trouble::CutOff => {
                Err(LinkError::Unreachable("connection lost in the middle of an answer".into()))
            }
            Trouble::Garbage => Ok(Bytes::from_static("\u{7f}no protobuf, no JSON".as_bytes())),
            Trouble::EmptyBody => Ok(Bytes::new()),
            Trouble::Unreachable => Err(LinkError::Unreachable("no address for that name".into())),
            Trouble::Slow => healthy(),
            Trouble::Killer => std::panic::resume_unwind(Box::new("an answer that kills its reader")),
            Trouble::Reboot { .. }
                if world.since() < spell.from + (spell.until - spell.from).mul_f64(0.7) =>
            {
                Err(LinkError::Unreachable("connection refused".into()))
            }
            Trouble::NoMeters | Trouble::Reboot { .. } => match role {
                Role::Status | Role::Controller => Ok(Answers::without_meters()),
                _ => healthy(),
            },
        }
    }
}

/// What a status other than 200 means to a transport.
fn error_of(status: u16, retry_after: Option<u64>, path: &str) -> LinkError {
    let retry_after = retry_after.map(Duration::from_secs);
    match status {
        401 | 403 => LinkError::Refused { status, hint: "check the password".into() },
        404 => LinkError::NotFound(path.into()),
        429 => LinkError::RateLimited { retry_after },
        503 => LinkError::Busy { retry_after },
        _ => LinkError::Status { status, what: path.into() },
    }
}

/// One exchange under way; a client that goes away ends it as well.
struct Flight<'a> {
    transport: &'a SimulatedTransport,
    role: Role,
    began: Instant,
    ended: bool,
}

impl Flight<'_> {
    fn end(&mut self, outcome: Option<&LinkError>, word: &'static str) {
        self.ended = true;
        let SimulatedTransport { world, site, .. } = self.transport;
        let now = Instant::now();
        world.site(*site).conduct.request_ends(self.role, outcome, now);
        world.count(word);
        world.note(*site, Happened::Exchange { role: self.role, took: now - self.began, outcome: word });
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.end(None, if std::thread::panicking() { "crashed" } else { "abandoned" });
        }
    }
}

impl Transport for SimulatedTransport {
    fn exchange(&self, request: Request) -> LocalBoxFuture<'_, Result<Bytes, LinkError>> {
        Box::pin(async move {
            let role = role_of(&request);
            let now = Instant::now();
            let kept = self.world.site(self.site).conduct.request_begins(role, now);
            self.world.demand(self.site, kept);
            let kept = self.parked.lock().unwrap().request(&request.path, now);
            self.world.demand(self.site, kept);
            let mut flight = Flight { transport: self, role, began: now, ended: false };
            let forgetful = self
                .world
                .trouble(self.site, role)
                .is_some_and(|spell| spell.trouble == Trouble::HangForEver);
            let outcome = match forgetful {
                true => self.serve(&request, role).await,
                false => timeout(self.limit, self.serve(&request, role))
                    .await
                    .unwrap_or(Err(LinkError::Timeout(self.limit))),
            };
            let error = outcome.as_ref().err();
            self.parked.lock().unwrap().answer(&request.path, role, error, now);
            flight.end(error, error.map_or("ok", LinkError::kind));
            outcome
        })
    }
}

/// A link that is watched: what its actor sees, the simulation sees.
pub struct WatchedLink {
    pub inner: Box<dyn Link>,
    pub world: Arc<World>,
    pub site: usize,
    pub limit: Duration,
}

/// A poll or refresh under way.
struct Watch<'a> {
    link: (&'a Arc<World>, usize, Duration),
    is_poll: bool,
    began: Instant,
    ended: bool,
}

impl Watch<'_> {
    fn end(&mut self, ended: Ended) {
        self.ended = true;
        let (world, site, limit) = self.link;
        let now = Instant::now();
        if self.is_poll || !matches!(ended, Ended::Good) {
            world.note(site, Happened::Poll { outcome: format!("{ended:?}, poll: {}", self.is_poll) });
        }
        let conduct = &mut world.site(site).conduct;
        match self.is_poll {
            true => conduct.poll_ends(ended, limit, now),
            false => conduct.refresh_ends(&ended, now),
        }
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        let limit = self.link.2 * if self.is_poll { crate::conduct::EXCHANGES } else { 2 };
        self.end(match std::thread::panicking() {
            true => Ended::Crashed,
            false if self.began.elapsed() >= limit => Ended::Failed(LinkError::Timeout(limit)),
            false => Ended::Stopped,
        });
    }
}

impl Link for WatchedLink {
    fn kind(&self) -> LinkKind {
        self.inner.kind()
    }

    fn poll(&mut self) -> LocalBoxFuture<'_, Result<Source, LinkError>> {
        Box::pin(async {
            let now = Instant::now();
            let troubled = self.world.is_troubled(self.site);
            let kept = {
                let conduct = &mut self.world.site(self.site).conduct;
                let kept = conduct.poll_begins(now);
                if troubled {
                    conduct.troubled();
                }
                kept
            };
            self.world.demand(self.site, kept);
            let link = (&self.world, self.site, self.limit);
            let mut watch = Watch { link, is_poll: true, began: now, ended: false };
            let outcome = self.inner.poll().await;
            watch.end(match &outcome {
                Ok(source) if Telemetry::new(source.clone(), Adjustments::default()).is_meaningful() => {
                    Ended::Good
                }
                Ok(_) => Ended::Failed(LinkError::Malformed { what: String::new(), why: "no meters".into() }),
                Err(error) => Ended::Failed(error.clone()),
            });
            outcome
        })
    }

    fn refresh(&mut self) -> LocalBoxFuture<'_, Refreshed> {
        Box::pin(async {
            let link = (&self.world, self.site, self.limit);
            let mut watch = Watch { link, is_poll: false, began: Instant::now(), ended: false };
            let refreshed = self.inner.refresh().await;
            watch.end(refreshed.problem.clone().map_or(Ended::Good, Ended::Failed));
            refreshed
        })
    }
}
