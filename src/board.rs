//! A notice board: the newest value for everybody to read, and a nudge to those who asked for one.
//!
//! One actor writes; anybody reads without a lock and without waiting. A board outlives the actor that writes
//! it, so what was known stays readable while the actor is started again.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use actix::prelude::*;
use arc_swap::{ArcSwap, Guard};

/// A new value stands on a board. A receiver whose mailbox is full misses nothing: the nudge that is queued
/// makes it look at the board, where the newest value is.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Published<T: Send + Sync + 'static>(pub Arc<T>);

/// The newest `T` and who wants to hear of the next.
pub struct Board<T: Send + Sync + 'static> {
    newest: ArcSwap<T>,
    /// How often something was published.
    version: AtomicU64,
    /// Touched by a new subscriber and by the writer at each publication; held for pointer work only.
    subscribers: Mutex<Vec<Recipient<Published<T>>>>,
}

impl<T: Send + Sync + 'static> Board<T> {
    pub fn new(first: T) -> Self {
        Self {
            newest: ArcSwap::from_pointee(first),
            version: AtomicU64::new(0),
            subscribers: Mutex::default(),
        }
    }

    /// The newest value, kept alive for as long as the caller needs it.
    pub fn read(&self) -> Arc<T> {
        self.newest.load_full()
    }

    /// The newest value for a short look, cheaper than [`Board::read`].
    pub fn glance(&self) -> Guard<Arc<T>> {
        self.newest.load()
    }

    /// Grows by one with each publication. Asked before reading, it is never newer than what is read.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Replaces the value and nudges the subscribers; forgets those that are gone.
    pub fn publish(&self, value: Arc<T>) {
        self.newest.store(value.clone());
        self.version.fetch_add(1, Ordering::Release);
        self.subscribers.lock().unwrap_or_else(PoisonError::into_inner).retain(|subscriber| {
            !matches!(subscriber.try_send(Published(value.clone())), Err(SendError::Closed(_)))
        });
    }

    /// From now on `subscriber` is nudged at each publication, until its actor ends.
    pub fn subscribe(&self, subscriber: Recipient<Published<T>>) {
        let mut subscribers = self.subscribers.lock().unwrap_or_else(PoisonError::into_inner);
        subscribers.retain(Recipient::connected);
        subscribers.push(subscriber);
    }
}
