//! Writes into the journal what the boards show has changed: outages, the grid, alerts, firmware, links, grid
//! services. What is asked of a gateway is written by whoever carries it out.

mod observed;
mod recall;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use log::{info, warn};
use tokio::time::Instant;

use crate::directory::{Directory, Entry as Gateway};
use crate::limiter::Limiter;
use crate::link::aside::aside;
use crate::model::Telemetry;
use crate::output::{Output, Surroundings};
use crate::pause::Pause;
use crate::settings::{RateLimit, Settings};
use crate::store::journal::{Entry, Journal, Kind};
use crate::supervise::{self, Kept, Name};
use observed::Observed;
use recall::{LISTED, Recalled};

/// How often the boards are looked at.
const ROUND: Duration = Duration::from_secs(1);
/// Alerts have to be worked out of all that a gateway answered: of so many gateways in a round, in turn.
const LOOKS_IN_A_ROUND: usize = 4;
/// … and of each not more often than this: an alert lasts longer.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// A gateway that reports something else with every poll must not fill the journal.
const MOST_ENTRIES: RateLimit =
    RateLimit { requests: 300, window: Duration::from_secs(3600), most_clients: 10_000 };

/// The output: keeps the observer running.
struct Observing {
    _kept: Kept,
}

impl Output for Observing {}

/// Starts the output.
pub fn start(_: &Settings, surroundings: &Surroundings) -> Box<dyn Output> {
    let Surroundings { directory, journal, seed, .. } = surroundings;
    let (directory, journal) = (directory.clone(), journal.clone());
    let start = move |_| Observer::new(directory.clone(), journal.clone()).start();
    let kept = supervise::keep(Name::Part("the observer"), Pause::back_off(*seed), start);
    Box::new(Observing { _kept: kept })
}

/// One gateway that is observed.
struct Watched {
    gateway: Arc<Gateway>,
    /// What stood on its board when it was looked at last.
    version: Option<u64>,
    /// `None` until the journal has been read.
    observed: Option<Observed>,
    /// Whether its alerts are to be worked out.
    awaits_look: bool,
    /// When its alerts may be worked out again.
    next_look: Instant,
}

/// Looks at every board, once a second.
struct Observer {
    directory: Arc<Directory>,
    journal: Journal,
    /// By id.
    gateways: HashMap<String, Watched>,
    /// The list that these were taken from: of thousands, none is looked for while it is the same.
    noted: Arc<Vec<Arc<Gateway>>>,
    /// The gateways whose alerts are to be worked out, in turn.
    looks: VecDeque<String>,
    /// Whether alerts are being worked out, or the journal is being read.
    is_busy: bool,
    /// What was written of each gateway.
    written: Limiter<String>,
}

/// The alerts of one gateway, worked out.
struct Look {
    id: String,
    /// `None`: nobody knows what is in the list.
    alerts: Option<Vec<String>>,
}

impl Observer {
    fn new(directory: Arc<Directory>, journal: Journal) -> Self {
        Self {
            directory,
            journal,
            gateways: HashMap::new(),
            noted: Arc::default(),
            looks: VecDeque::new(),
            is_busy: false,
            written: Limiter::new(MOST_ENTRIES),
        }
    }

    fn round(&mut self, ctx: &mut Context<Self>) {
        self.note_gateways();
        let now = Instant::now();
        let mut entries = Vec::new();
        for (id, watched) in &mut self.gateways {
            let Some(observed) = &mut watched.observed else { continue };
            let version = watched.gateway.board.version();
            if watched.version == Some(version) {
                continue;
            }
            watched.version = Some(version);
            let snapshot = watched.gateway.board.glance();
            entries.extend(observed.see(&snapshot, now));
            watched.gateway.note_began(observed.began());
            let is_due = !watched.awaits_look && now >= watched.next_look;
            if is_due && snapshot.health.consecutive_failures == 0 {
                watched.awaits_look = true;
                self.looks.push_back(id.clone());
            }
        }
        self.write(entries, now);
        if !self.is_busy {
            self.recall(ctx);
        }
        if !self.is_busy {
            self.look(ctx);
        }
        ctx.run_later(ROUND, Self::round);
    }

    /// Those that come are observed, those that go are forgotten.
    fn note_gateways(&mut self) {
        let entries = self.directory.entries();
        if Arc::ptr_eq(&entries, &self.noted) {
            return;
        }
        let present: HashMap<&str, &Arc<Gateway>> =
            entries.iter().map(|entry| (entry.id.as_str(), entry)).collect();
        let is_present = |id: &String, watched: &mut Watched| {
            present.get(id.as_str()).is_some_and(|entry| Arc::ptr_eq(entry, &watched.gateway))
        };
        self.gateways.retain(is_present);
        for gateway in entries.iter() {
            self.gateways.entry(gateway.id.clone()).or_insert_with(|| Watched {
                gateway: gateway.clone(),
                version: None,
                observed: None,
                awaits_look: false,
                next_look: Instant::now(),
            });
        }
        self.noted = entries;
    }

    /// Reads what the journal says of one of those that are new.
    fn recall(&mut self, ctx: &mut Context<Self>) {
        let Some(id) = self.gateways.iter().find(|(_, new)| new.observed.is_none()).map(|(id, _)| id.clone())
        else {
            return;
        };
        self.is_busy = true;
        let journal = self.journal.clone();
        let reading = async move { (Recalled::read(&journal, &id).await, id) };
        ctx.spawn(reading.into_actor(self).map(|(recalled, id), actor, ctx| {
            actor.is_busy = false;
            if let Some(watched) = actor.gateways.get_mut(&id) {
                watched.observed = Some(Observed::after(recalled, &id));
            }
            actor.recall(ctx);
        }));
    }

    /// Works out the alerts of the next gateways.
    fn look(&mut self, ctx: &mut Context<Self>) {
        let mut telemetries: Vec<(String, Arc<Telemetry>)> = Vec::new();
        while telemetries.len() < LOOKS_IN_A_ROUND
            && let Some(id) = self.looks.pop_front()
        {
            let Some(watched) = self.gateways.get_mut(&id) else { continue };
            (watched.awaits_look, watched.next_look) = (false, Instant::now() + LOOK_EVERY);
            let snapshot = watched.gateway.board.glance();
            telemetries.extend(snapshot.telemetry(Instant::now()).map(|telemetry| (id, telemetry.clone())));
        }
        if telemetries.is_empty() {
            return;
        }
        self.is_busy = true;
        let looking = async move {
            let mut looks = Vec::new();
            for (id, telemetry) in telemetries {
                let size = telemetry.answers().size();
                looks.push(Look { id, alerts: aside(size, move || telemetry.alerts()).await });
            }
            looks
        };
        ctx.spawn(looking.into_actor(self).map(|looks, actor, _| {
            actor.is_busy = false;
            for Look { id, alerts } in looks {
                let (Some(alerts), Some(watched)) = (alerts, actor.gateways.get_mut(&id)) else { continue };
                let Some(observed) = &mut watched.observed else { continue };
                let entries = observed.see_alerts(&alerts);
                watched.gateway.note_began(observed.began());
                actor.write(entries, Instant::now());
            }
        }));
    }

    fn write(&self, entries: Vec<Entry>, now: Instant) {
        for entry in entries {
            log_grid(&entry);
            let gateway = entry.gateway.clone().unwrap_or_default();
            let was_full = self.written.pause(&gateway, now).is_some();
            match self.written.admit(gateway.clone(), now) {
                Ok(()) => self.journal.note(entry),
                Err(_) if was_full => {}
                Err(_) => warn!(
                    gateway = gateway.as_str(), event = "journal";
                    "gateway {gateway}: reports so many changes that the journal leaves out the rest of this \
                     hour"
                ),
            }
        }
    }
}

/// Nobody should have to look into the journal to see why a house went dark.
fn log_grid(entry: &Entry) {
    let gateway = entry.gateway.as_deref().unwrap_or_default();
    match (entry.kind, entry.detail["state"].as_str()) {
        (Kind::Grid, Some("began")) => {
            let what = "the home is cut off from the grid";
            warn!(gateway = gateway, event = "grid_outage"; "gateway {gateway}: {what}");
        }
        (Kind::Grid, Some(LISTED)) => {
            let seconds = entry.detail["seconds"].as_f64().unwrap_or_default();
            info!(
                gateway = gateway, event = "grid_outage_listed", seconds = seconds;
                "gateway {gateway}: Tesla lists an outage of the grid of {seconds} s that was not seen here"
            );
        }
        (Kind::Grid, _) => {
            let what = "the home is connected to the grid again";
            info!(gateway = gateway, event = "grid_back"; "gateway {gateway}: {what}");
        }
        _ => {}
    }
}

impl Actor for Observer {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.round(ctx);
    }
}

#[cfg(test)]
mod tests;
