//! The simulated house: three gateways with their troubles, and what is seen of them and of the links that
//! lead there.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use powerwall_server::link::knock::Knock;
use powerwall_server::link::order::{Carried, ReadBack};
use powerwall_server::link::{Link, LinkError, Refreshed};
use powerwall_server::model::{self, Adjustments, LinkKind, Means, Order, OrderKind, Telemetry, Unable};
use powerwall_server::simulator::Role;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::time::Instant;

use crate::answers::Answers;
use crate::conduct::{Conduct, Ended};
use crate::options::{Door, Options, Spell, Trouble, Way};
use crate::orders::Ledger;
use crate::standby::Members;

/// How many of the last events a report shows.
const TAIL: usize = 60;

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
    /// Of each gateway, and of what concerns all: what two of them do at the same moment has no order,
    /// because signatures are made on threads of their own.
    hashes: [DefaultHasher; 4],
    tail: VecDeque<(Duration, usize, Happened)>,
}

/// One gateway and everything about it.
pub struct Site {
    pub answers: Answers,
    pub rng: StdRng,
    pub conduct: Conduct,
    pub orders: Ledger,
    /// Of a gateway with links that stand in for each other.
    pub members: Members,
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
                conduct: Conduct::new(options.interval, plan.way, started),
                orders: Ledger::default(),
                members: Members::default(),
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
        let hash = &mut trace.hashes[site];
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
        let trace = self.trace.lock().unwrap();
        let mut all = DefaultHasher::new();
        trace.hashes.iter().for_each(|hash| hash.finish().hash(&mut all));
        all.finish()
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
    pub fn trouble(&self, site: usize, door: Door, role: Role) -> Option<Spell> {
        let concerns = |spell: &Spell| {
            spell.role.is_none_or(|target| target == role) && spell.door.is_none_or(|target| target == door)
        };
        self.active(site).filter(concerns)
    }

    /// The spells of a gateway that have begun; each ends before the next one begins.
    fn begun(&self, site: usize) -> &[Spell] {
        let (now, spells) = (self.since(), &self.options.sites[site].spells);
        &spells[..spells.partition_point(|spell| spell.from <= now)]
    }

    fn active(&self, site: usize) -> Option<Spell> {
        let now = self.since();
        self.begun(site).last().filter(|spell| now < spell.until).copied()
    }

    /// Whether anything is wrong now that a poll may notice.
    pub fn is_troubled(&self, site: usize) -> bool {
        self.active(site).is_some_and(|spell| spell.touches_polls(self.options.sites[site].way))
    }

    /// For how long nothing at all has been wrong.
    pub fn well_for(&self, site: usize) -> Duration {
        let now = self.since();
        self.begun(site).last().map_or(now, |last| now.saturating_sub(last.until))
    }

    /// Since when a gateway with one way is back that was not there at all, if nothing has been wrong since.
    pub fn back_since(&self, site: usize) -> Option<Duration> {
        let (now, plan) = (self.since(), &self.options.sites[site]);
        let last = self.begun(site).last()?;
        let was_away = last.trouble == Trouble::Unreachable && !plan.way.has_two_doors();
        (was_away && last.until <= now).then_some(last.until)
    }

    /// Lets the restarts happen that are due.
    pub fn restart(&self, site: usize) {
        let reboots = self.begun(site).iter().filter_map(|spell| match spell.trouble {
            Trouble::Reboot { firmware } => Some(firmware),
            _ => None,
        });
        let mut state = self.site(site);
        for firmware in reboots.skip(state.restarts).collect::<Vec<_>>() {
            state.answers.restart(firmware);
            state.restarts += 1;
        }
    }

    pub fn count(&self, outcome: &'static str) {
        let mut seen = self.seen.lock().unwrap();
        match seen.iter_mut().find(|(known, _)| *known == outcome) {
            Some((_, count)) => *count += 1,
            None => seen.push((outcome, 1)),
        }
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
    /// How many exchanges it may take.
    exchanges: u32,
    began: Instant,
    ended: bool,
}

impl Watch<'_> {
    fn end(&mut self, ended: Ended) {
        self.ended = true;
        let (world, site, limit) = self.link;
        let now = Instant::now();
        if self.exchanges == 1 && now > self.began + limit + crate::conduct::GRAIN {
            world.violated(site, "an exchange for an order takes longer than any may");
        }
        if self.is_poll || !matches!(ended, Ended::Good) {
            world.note(site, Happened::Poll { outcome: format!("{ended:?}, poll: {}", self.is_poll) });
        }
        let kept = {
            let conduct = &mut world.site(site).conduct;
            match self.is_poll {
                true => conduct.poll_ends(ended, limit, now),
                false => {
                    conduct.refresh_ends(&ended, now);
                    Ok(())
                }
            }
        };
        world.demand(site, kept);
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        let limit = self.link.2 * self.exchanges;
        self.end(match std::thread::panicking() {
            true => Ended::Crashed,
            false if self.began.elapsed() >= limit => Ended::Failed(LinkError::Timeout(limit)),
            false => Ended::Stopped,
        });
    }
}

/// An exchange for an order begins, which may take as long as any.
fn watch_order(world: &Arc<World>, site: usize, limit: Duration) -> Watch<'_> {
    let now = Instant::now();
    let kept = world.site(site).conduct.order_begins(limit, now);
    world.demand(site, kept);
    Watch { link: (world, site, limit), is_poll: false, exchanges: 1, began: now, ended: false }
}

impl Link for WatchedLink {
    fn kind(&self) -> LinkKind {
        self.inner.kind()
    }

    fn patience(&self, exchange: Duration) -> Duration {
        self.inner.patience(exchange)
    }

    fn poll(&mut self) -> LocalBoxFuture<'_, Result<Arc<dyn model::Answers>, LinkError>> {
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
            self.world.site(self.site).members.poll_begins();
            let link = (&self.world, self.site, self.limit);
            let exchanges = crate::conduct::exchanges(self.world.options.sites[self.site].way);
            let mut watch = Watch { link, is_poll: true, exchanges, began: now, ended: false };
            let outcome = self.inner.poll().await;
            if let (Way::Standby { .. }, Err(error)) = (self.world.options.sites[self.site].way, &outcome) {
                let kept = self.world.site(self.site).members.judge(error, Instant::now());
                self.world.demand(self.site, kept);
            }
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
            let mut watch = Watch { link, is_poll: false, exchanges: 2, began: Instant::now(), ended: false };
            let refreshed = self.inner.refresh().await;
            watch.end(refreshed.problem.clone().map_or(Ended::Good, Ended::Failed));
            refreshed
        })
    }

    fn knock(&mut self, limit: Duration) -> LocalBoxFuture<'_, Knock> {
        Box::pin(async move {
            let knock = self.inner.knock(limit).await;
            self.world.site(self.site).conduct.tried_connection(knock, Instant::now());
            knock
        })
    }

    fn carry_out<'a>(&'a mut self, order: &'a Order, limit: Duration) -> LocalBoxFuture<'a, Carried> {
        Box::pin(async move {
            let mut watch = watch_order(&self.world, self.site, self.limit);
            let carried = self.inner.carry_out(order, limit).await;
            watch.end(carried.problem.clone().map_or(Ended::Good, Ended::Failed));
            carried
        })
    }

    fn read_back<'a>(&'a mut self, order: &'a Order) -> LocalBoxFuture<'a, ReadBack> {
        Box::pin(async move {
            let mut watch = watch_order(&self.world, self.site, self.limit);
            let read = self.inner.read_back(order).await;
            watch.end(read.problem.clone().map_or(Ended::Good, Ended::Failed));
            read
        })
    }

    fn can_take(&self, kind: OrderKind) -> Result<Means, Unable> {
        self.inner.can_take(kind)
    }
}
