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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn without_graceful_degradation_a_failure_ends_the_data_at_once() {
        let now = Instant::now() + 100 * SECOND;
        let ttl = Ttl::new(5 * SECOND, 5 * SECOND, 30 * SECOND, false);
        assert_eq!(ttl.judge(Some(now - SECOND), false, now), Freshness::Live);
        assert_eq!(ttl.judge(Some(now - SECOND), true, now), Freshness::Expired);
    }

    #[test]
    fn a_long_interval_does_not_expire_data_between_two_good_polls() {
        let now = Instant::now() + 1000 * SECOND;
        let ttl = Ttl::new(60 * SECOND, 5 * SECOND, 30 * SECOND, true);
        assert_eq!(ttl.judge(Some(now - 61 * SECOND), false, now), Freshness::Live);
        assert_eq!(ttl.judge(Some(now - 126 * SECOND), false, now), Freshness::Expired);
    }

    proptest! {
        #[test]
        fn data_never_gets_fresher_by_ageing(
            interval in 1..600_u32, timeout in 1..60_u32, cache in 0..600_u32, graceful: bool,
            failed: bool, young in 0..3000_u32, older_by in 0..3000_u32,
        ) {
            let ttl = Ttl::new(interval * SECOND, timeout * SECOND, cache * SECOND, graceful);
            let taken = Instant::now();
            let at = |age: u32| ttl.judge(Some(taken), failed, taken + age * SECOND).has_data();
            prop_assert!(at(young) || !at(young + older_by));
            // A failure never makes data look better than it did before.
            let before = ttl.judge(Some(taken), false, taken + young * SECOND);
            let after = ttl.judge(Some(taken), true, taken + young * SECOND);
            prop_assert!(before.has_data() || !after.has_data());
            prop_assert_eq!(ttl.judge(None, failed, taken), Freshness::Never);
        }
    }
}
