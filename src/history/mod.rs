//! Records what the gateways report: power at every poll, and energy in quarters of an hour. Decides what is
//! worth recording; how it is kept is the business of the store, and nothing that happens there delays a
//! gateway.

mod books;
mod look;
mod recorder;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use arc_swap::ArcSwap;
use futures_util::future::LocalBoxFuture;
use log::info;
use tokio::time::{Instant, timeout};

use crate::directory::Directory;
use crate::output::{Output, Surroundings};
use crate::pause::Pause;
use crate::settings::Settings;
use crate::store::history::History;
use crate::supervise::{self, Kept, Name};
use recorder::{Finish, Recorder};

/// What is recorded last may take this long to be written when the program ends.
const LAST_WRITE: Duration = Duration::from_secs(1);
/// Nudges that wait: a fleet that publishes at the same moment.
const MAILBOX: usize = 4096;

/// What the recorder goes by; replaced when the settings are read again.
#[derive(Clone, Debug, Default)]
struct Plan {
    /// How often gateways are polled, in seconds.
    usual: f64,
    /// The same of those that have an interval of their own, by id.
    own: HashMap<String, f64>,
}

impl Plan {
    fn of(settings: &Settings) -> Self {
        let own = settings.gateways.iter().filter_map(|gateway| {
            let interval = gateway.interval()?;
            Some((gateway.facts.id.clone(), interval.as_secs_f64()))
        });
        Self { usual: settings.polling.interval.as_secs_f64(), own: own.collect() }
    }

    /// Seconds between two polls of the gateway `id`.
    fn interval(&self, id: &str) -> f64 {
        self.own.get(id).copied().unwrap_or(self.usual)
    }
}

/// The output: keeps the recorder running.
struct Recording {
    history: History,
    plan: Arc<ArcSwap<Plan>>,
    /// The recorder that runs at present; `None`: nothing is recorded.
    running: Arc<ArcSwap<Option<Addr<Recorder>>>>,
    _kept: Option<Kept>,
}

/// Starts the output.
pub fn start(settings: &Settings, surroundings: &Surroundings) -> Box<dyn Output> {
    let Surroundings { directory, history, seed, .. } = surroundings;
    let plan = Arc::new(ArcSwap::from_pointee(Plan::of(settings)));
    let running = Arc::new(ArcSwap::from_pointee(None));
    let kept = history.path().map(|path| {
        if history.is_on() {
            info!(event = "history", path:% = path.display(); "the history is kept in {}", path.display());
        }
        // One origin for all recorders, so that their readings can be compared.
        let origin = Instant::now();
        let (history, directory) = (history.clone(), directory.clone());
        let (plan, running) = (plan.clone(), running.clone());
        let start = move |_| {
            let recorder = Recorder::new(history.clone(), directory.clone(), plan.clone(), origin);
            let addr = Recorder::create(|ctx| {
                ctx.set_mailbox_capacity(MAILBOX);
                recorder
            });
            running.store(Arc::new(Some(addr.clone())));
            addr
        };
        supervise::keep(Name::Part("the recorder"), Pause::back_off(*seed), start)
    });
    Box::new(Recording { history: history.clone(), plan, running, _kept: kept })
}

/// Records what stands on the boards of `directory`, polled every `interval`, until the actors of this thread
/// end. For simulations.
pub fn record(history: &History, directory: &Arc<Directory>, interval: Duration) {
    let plan = Plan { usual: interval.as_secs_f64(), own: HashMap::new() };
    let plan = Arc::new(ArcSwap::from_pointee(plan));
    Recorder::new(history.clone(), directory.clone(), plan, Instant::now()).start();
}

impl Output for Recording {
    fn apply<'a>(&'a self, settings: &'a Settings) -> LocalBoxFuture<'a, ()> {
        self.plan.store(Arc::new(Plan::of(settings)));
        self.history.keep(settings.history.clone());
        Box::pin(std::future::ready(()))
    }

    fn stop(&self) -> LocalBoxFuture<'_, ()> {
        let running = self.running.load_full();
        Box::pin(async move {
            if let Some(recorder) = &*running {
                // What does not arrive in time is what the last seconds brought.
                let _ = timeout(LAST_WRITE, recorder.send(Finish)).await;
            }
        })
    }
}

#[cfg(test)]
mod tests;
