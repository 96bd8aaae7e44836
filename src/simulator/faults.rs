//! What can be wrong with a gateway, on demand, and what it counted.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// `GET /`, by which some clients distinguish hardware generations.
    Probe,
    Din,
    Status,
    Controller,
    Components,
    Config,
    SystemInfo,
    /// A password for a session.
    Login,
    /// The meters of the customer API.
    Meters,
    /// Anything else of the customer API.
    Customer,
    /// Whatever changes something.
    Order,
    Other,
}

impl Role {
    pub const ALL: [Self; 12] = [
        Self::Probe,
        Self::Din,
        Self::Status,
        Self::Controller,
        Self::Components,
        Self::Config,
        Self::SystemInfo,
        Self::Login,
        Self::Meters,
        Self::Customer,
        Self::Order,
        Self::Other,
    ];
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// Answers with this status.
    Status { code: u16, retry_after: Option<u64> },
    /// Takes the request and never answers.
    Hang,
    /// Takes the connection and never says hello.
    HangInHandshake,
    /// Resets every connection as soon as it stands.
    Refuse,
    /// Answers late.
    Latency(Duration),
    /// Sends this many bytes of the answer at a time, with a pause between.
    SlowBytes { bytes: usize, every: Duration },
    /// Sends this many bytes of the answer, head included, then resets.
    ResetAt(usize),
    /// Sends half the body, then closes.
    HalfBody,
    /// Sends the answer twice.
    Twice,
    /// Sends something that is not an answer, with status 200.
    Garbage,
    /// Sends status 200 and nothing else.
    EmptyBody,
    /// Compresses answers, and says so or not.
    Gzip { declared: bool },
    /// After this many requests within a window, 429 until the window is over.
    RateLimit { requests: u64, window: Duration },
    /// Refuses even the right password.
    LockOut,
    /// Answers as the oldest peers do: HTTP/1.0, no length, and the connection ends without a goodbye.
    Http10,
}

/// What a gateway has seen.
#[derive(Debug, Default)]
pub struct Counters {
    /// By [`Role::ALL`].
    requests: [AtomicU64; Role::ALL.len()],
    /// Below `/api/`, by path.
    paths: Mutex<HashMap<String, u64>>,
    pub(super) connections: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) in_flight: AtomicU64,
    pub(super) most_in_flight: AtomicU64,
}

impl Counters {
    pub(super) fn count(&self, role: Role) {
        self.requests[role as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_path(&self, path: &str) {
        *self.paths().entry(path.to_owned()).or_default() += 1;
    }

    fn paths(&self) -> MutexGuard<'_, HashMap<String, u64>> {
        self.paths.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Requests to one path of the customer API.
    pub fn requests_to(&self, path: &str) -> u64 {
        self.paths().get(path).copied().unwrap_or_default()
    }

    pub fn requests(&self, role: Role) -> u64 {
        self.requests[role as usize].load(Ordering::Relaxed)
    }

    pub fn all_requests(&self) -> u64 {
        Role::ALL.iter().map(|role| self.requests(*role)).sum()
    }

    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    /// Requests that were refused for their credentials.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// The most requests that were ever under way at the same time.
    pub fn most_in_flight(&self) -> u64 {
        self.most_in_flight.load(Ordering::Relaxed)
    }
}
