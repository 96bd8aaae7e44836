//! Statuses of gateways and of their sum as bytes: rendered at most once per change and second, shared by all readers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::time::Instant;

use crate::audience::Audience;
use crate::clock::unix_time;
use crate::directory::Directory;
use crate::model::{Aggregate, Snapshot};
use crate::views::status::{self, Moment};

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
    /// By gateway id; never more than there are gateways.
    gateways: Mutex<HashMap<String, (Key, Bytes)>>,
    aggregate: Mutex<Option<AggregateFrame>>,
    /// Who they are sent to.
    pub audience: Arc<Audience>,
}

struct AggregateFrame {
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
            aggregate: Mutex::default(),
            audience: Arc::default(),
        }
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
        if !gateways.contains_key(id) {
            gateways.retain(|id, _| self.directory.get(id).is_some());
        }
        gateways.insert(id.clone(), (key, frame.clone()));
        frame
    }

    /// The statuses of all gateways, by id.
    pub fn gateways(&self) -> Bytes {
        let snapshots = self.directory.snapshots();
        status::by_id(self.each(&snapshots))
    }

    fn each<'a>(&'a self, snapshots: &'a [Arc<Snapshot>]) -> impl Iterator<Item = (&'a str, Bytes)> {
        snapshots.iter().map(|snapshot| (snapshot.gateway.id.as_str(), self.gateway(snapshot)))
    }

    /// The sum over all gateways, with their statuses.
    pub fn aggregate(&self) -> Bytes {
        let at = Self::moment();
        // Sequences only grow, so their sum tells any change.
        let snapshots = self.directory.snapshots();
        let sequence = snapshots.iter().map(|snapshot| snapshot.sequence).sum();
        let key = self.key(sequence, at);
        let sum = self.directory.aggregate.read();
        if let Some(known) = &*lock(&self.aggregate)
            && known.key == key
            && Arc::ptr_eq(&known.sum, &sum)
        {
            return known.bytes.clone();
        }
        let bytes = status::aggregate(&sum, self.each(&snapshots), at);
        *lock(&self.aggregate) = Some(AggregateFrame { key, sum, bytes: bytes.clone() });
        bytes
    }
}
