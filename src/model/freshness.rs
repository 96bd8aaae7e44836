//! How much a reading can be trusted now: worked out when it is asked, from the clock, never stored.

use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

/// How fresh the data of a gateway is at the moment of asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Freshness {
    /// The last poll succeeded, and not too long ago.
    Live,
    /// The last poll failed; the data is within the TTL.
    Stale,
    /// There was data once; it is too old to be shown as current.
    Expired,
    /// No poll ever succeeded.
    Never,
}

impl Freshness {
    /// Whether data of this freshness may be served as a body.
    pub fn has_data(self) -> bool {
        matches!(self, Self::Live | Self::Stale)
    }
}

/// How long data may be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ttl {
    /// `PW_CACHE_TTL`: how old data may be once polls fail. Zero with `PW_GRACEFUL_DEGRADATION=no`.
    pub stale: Duration,
    /// How old data may be while polls succeed; covers a poll that is under way or overdue, so that a stalled
    /// poller cannot keep old data looking live.
    pub live: Duration,
}

impl Ttl {
    pub fn new(poll_interval: Duration, timeout: Duration, cache_ttl: Duration, graceful: bool) -> Self {
        let stale = if graceful { cache_ttl } else { Duration::ZERO };
        Self { stale, live: stale.max(poll_interval * 2 + timeout) }
    }

    /// Freshness of data taken at `taken` (`None`: never), judged at `now`.
    pub fn judge(&self, taken: Option<Instant>, last_poll_failed: bool, now: Instant) -> Freshness {
        let Some(taken) = taken else { return Freshness::Never };
        let age = now.saturating_duration_since(taken);
        match last_poll_failed {
            false if age <= self.live => Freshness::Live,
            true if age <= self.stale => Freshness::Stale,
            _ => Freshness::Expired,
        }
    }
}
