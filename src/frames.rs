//! Statuses of gateways and of their sum: rendered at most once per change and second in a house, and shared
//! by all readers. In a fleet nothing is kept, because that would take more memory than everything else.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::time::Instant;

use crate::audience::Audience;
use crate::clock::unix_time;
use crate::directory::{Directory, Selection};
use crate::model::{Aggregate, Snapshot};
use crate::pieces::{self, Listing, Unfinished};
use crate::views::status::{self, Moment};

/// More gateways than this are a fleet: bodies about all of them are never held in memory as a whole.
pub const HOUSE: usize = 32;

/// What a rendering is good for: this content, within this second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key {
    sequence: u64,
    second: u64,
}

pub struct Frames {
    directory: Arc<Directory>,
    /// Seconds are counted from here.
    origin: Instant,
    /// By gateway id; never more than a house has.
    gateways: Mutex<HashMap<String, (Key, Bytes)>>,
    /// Bodies about all gateways of a house, by their names.
    bodies: Mutex<HashMap<&'static str, Body>>,
    /// Whether a sum has 0 where it is unknown, as the settings say.
    zeros: AtomicBool,
    /// Who they are sent to.
    pub audience: Arc<Audience>,
}

struct Body {
    key: Key,
    /// What it shows; sums follow the snapshots a little later.
    sum: Arc<Aggregate>,
    bytes: Bytes,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Frames {
    pub fn new(directory: Arc<Directory>) -> Self {
        Self {
            directory,
            origin: Instant::now(),
            gateways: Mutex::default(),
            bodies: Mutex::default(),
            zeros: AtomicBool::default(),
            audience: Arc::default(),
        }
    }

    /// Has sums show 0 for what is unknown, for clients that cannot read null; or no longer.
    pub fn put_zeros(&self, zeros: bool) {
        self.zeros.store(zeros, Ordering::Relaxed);
        lock(&self.bodies).clear();
    }

    /// This moment on both clocks.
    pub fn moment() -> Moment {
        Moment { now: Instant::now(), unix: unix_time() }
    }

    fn key(&self, sequence: u64, at: Moment) -> Key {
        Key { sequence, second: at.now.saturating_duration_since(self.origin).as_secs() }
    }

    /// The status of one gateway.
    pub fn gateway(&self, snapshot: &Snapshot) -> Bytes {
        let at = Self::moment();
        let key = self.key(snapshot.sequence, at);
        let id = &snapshot.gateway.id;
        if let Some((known, frame)) = lock(&self.gateways).get(id)
            && *known == key
        {
            return frame.clone();
        }
        let frame = status::gateway(snapshot, at);
        let mut gateways = lock(&self.gateways);
        if !gateways.contains_key(id) && gateways.len() >= HOUSE {
            gateways.retain(|_, (known, _)| known.second == key.second);
        }
        // A fleet asks for more than have a place; those that came first keep it until the second is over.
        if gateways.len() < HOUSE || gateways.contains_key(id) {
            gateways.insert(id.clone(), (key, frame.clone()));
        }
        frame
    }

    /// The statuses of the selected gateways, by id.
    pub fn gateways(self: &Arc<Self>, selection: Selection) -> Listing {
        self.statuses((Bytes::from_static(b"{"), Bytes::from_static(b"}")), selection)
    }

    /// The sum over all gateways, with the statuses of the selected ones.
    pub fn aggregate(self: &Arc<Self>, selection: Selection) -> Listing {
        let sum = self.directory.aggregate.read();
        self.statuses(status::around(&sum, Self::moment(), self.zeros.load(Ordering::Relaxed)), selection)
    }

    fn statuses(self: &Arc<Self>, around: (Bytes, Bytes), selection: Selection) -> Listing {
        let frames = self.clone();
        Listing::new(around, selection, move |_, entry, out| {
            status::put_by_id(out, &entry.id, &frames.gateway(&entry.board.read()));
            true
        })
    }

    /// The body `name` about all gateways of a house, as `listing` makes it: the same bytes for all who ask
    /// within the second, unless something changes.
    ///
    /// # Errors
    /// If it cannot be rendered.
    pub async fn shared(
        self: &Arc<Self>,
        name: &'static str,
        listing: impl FnOnce() -> Listing + Send + 'static,
    ) -> Result<Bytes, Unfinished> {
        if let Some(known) = self.known(name) {
            return Ok(known);
        }
        let frames = self.clone();
        pieces::in_turn(move || frames.known(name).unwrap_or_else(|| frames.render(name, listing))).await
    }

    /// As [`Frames::shared`], at once.
    pub fn shared_now(self: &Arc<Self>, name: &'static str, listing: impl FnOnce() -> Listing) -> Bytes {
        self.known(name).unwrap_or_else(|| self.render(name, listing))
    }

    /// What all gateways and their sum are at the moment. Sequences only grow, so their sum shows any change.
    fn present(&self) -> (Key, Arc<Aggregate>) {
        let sequence = self.directory.entries().iter().map(|entry| entry.board.glance().sequence).sum();
        (self.key(sequence, Self::moment()), self.directory.aggregate.read())
    }

    fn known(&self, name: &str) -> Option<Bytes> {
        let (key, sum) = self.present();
        let bodies = lock(&self.bodies);
        let known = bodies.get(name).filter(|known| known.key == key && Arc::ptr_eq(&known.sum, &sum));
        known.map(|known| known.bytes.clone())
    }

    fn render(&self, name: &'static str, listing: impl FnOnce() -> Listing) -> Bytes {
        let (key, sum) = self.present();
        let bytes = pieces::whole(listing());
        lock(&self.bodies).insert(name, Body { key, sum, bytes: bytes.clone() });
        bytes
    }
}
