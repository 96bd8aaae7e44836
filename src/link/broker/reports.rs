//! The newest report of each gateway that other instances published. Written by whoever watches the broker,
//! read by the links; nothing waits in it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::archive::Archive;
use super::wire::Report;
pub use crate::model::Place;

/// Gateways that are kept in mind; a broker that shows more is not believed.
pub const MOST: usize = 20_000;

/// A report, and when it came.
#[derive(Debug)]
pub struct Received {
    pub report: Report,
    /// When what it says was so, by the clock of this program: when it came, less what it had waited for.
    pub said: Instant,
}

/// Orders leave this program over it.
pub trait Courier: Send + Sync {
    /// Sends an order, once. `None`: nobody at the site takes it.
    fn send(
        &self,
        place: &Place,
        order: Vec<u8>,
        limit: Duration,
    ) -> futures_util::future::BoxFuture<'static, Delivery>;
}

/// What came of an order that was sent.
#[derive(Debug)]
pub enum Delivery {
    /// Nothing left this program, or nobody is there to take it.
    NotSent(String),
    /// What the site answered last.
    Answered(Vec<u8>),
    /// It may have arrived.
    Silent(String),
}

#[derive(Default)]
struct Held {
    /// By the gateway that it is about.
    reports: HashMap<Place, Arc<Received>>,
    /// `None`: there is no connection over which orders could go.
    courier: Option<Arc<dyn Courier>>,
    /// Whether there is a connection to the broker.
    is_connected: bool,
    /// Where the journals of sites are read; `None`: no site is watched.
    archive: Option<Arc<dyn Archive>>,
}

/// A handle; all clones share what is known.
#[derive(Clone)]
pub struct Reports {
    held: Arc<Mutex<Held>>,
    /// Grows when a place appears, goes, or is called otherwise.
    places: watch::Sender<u64>,
}

impl Default for Reports {
    fn default() -> Self {
        Self { held: Arc::default(), places: watch::Sender::new(0) }
    }
}

impl Reports {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over a report. Whether there was room for it.
    pub fn take(&self, place: Place, received: Received) -> bool {
        let mut held = self.held();
        if !held.reports.contains_key(&place) && held.reports.len() >= MOST {
            return false;
        }
        let named = |report: &Report| {
            let (instance, name) = (report.instance.clone(), report.gateway.name.clone());
            (name, instance.tags, instance.group)
        };
        let is_news =
            held.reports.get(&place).is_none_or(|before| named(&before.report) != named(&received.report));
        held.reports.insert(place, Arc::new(received));
        drop(held);
        if is_news {
            self.places.send_modify(|count| *count += 1);
        }
        true
    }

    /// Forgets a place that the broker no longer has.
    pub fn forget(&self, place: &Place) {
        if self.held().reports.remove(place).is_some() {
            self.places.send_modify(|count| *count += 1);
        }
    }

    pub fn of(&self, place: &Place) -> Option<Arc<Received>> {
        self.held().reports.get(place).cloned()
    }

    /// Every place, sorted, with its newest report.
    pub fn all(&self) -> Vec<(Place, Arc<Received>)> {
        let mut all: Vec<_> =
            self.held().reports.iter().map(|(place, received)| (place.clone(), received.clone())).collect();
        all.sort_by(|(one, _), (other, _)| one.cmp(other));
        all
    }

    /// Changes when a place appears, goes, or is called otherwise.
    pub fn follow(&self) -> watch::Receiver<u64> {
        self.places.subscribe()
    }

    /// Notes whether there is a connection to the broker, and over what orders go.
    pub fn connected(&self, courier: Option<Arc<dyn Courier>>, is_there: bool) {
        let mut held = self.held();
        (held.courier, held.is_connected) = (courier, is_there);
    }

    /// Notes where the journals of sites are read.
    pub fn archived(&self, archive: Option<Arc<dyn Archive>>) {
        self.held().archive = archive;
    }

    pub fn archive(&self) -> Option<Arc<dyn Archive>> {
        self.held().archive.clone()
    }

    pub fn courier(&self) -> Option<Arc<dyn Courier>> {
        self.held().courier.clone()
    }

    /// Whether there is a connection to the broker.
    pub fn is_connected(&self) -> bool {
        self.held().is_connected
    }
}
