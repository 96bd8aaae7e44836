//! Absolute poll deadlines: `origin + k · period`. A late poll does not shift the ones after it.

use std::time::Duration;

use tokio::time::Instant;

#[derive(Clone, Copy, Debug)]
pub struct Ticks {
    origin: Instant,
    period: Duration,
}

impl Ticks {
    /// Ticks at `origin` and every `period` (not zero) from then on.
    pub fn new(origin: Instant, period: Duration) -> Self {
        Self { origin, period }
    }

    /// The `stride`th tick after `now`; 1 is the next.
    pub fn after(&self, now: Instant, stride: u32) -> Instant {
        self.next_after(now) + self.period * stride.saturating_sub(1)
    }

    /// The first tick after `now`; those that passed in the meantime are skipped.
    pub fn next_after(&self, now: Instant) -> Instant {
        let Some(since) = now.checked_duration_since(self.origin) else { return self.origin };
        let into_period = since.as_nanos() % self.period.as_nanos();
        now + self.period - Duration::from_nanos(u64::try_from(into_period).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_late_poll_does_not_shift_the_next_one() {
        let origin = Instant::now();
        let ticks = Ticks::new(origin, 5 * SECOND);
        assert_eq!(ticks.next_after(origin), origin + 5 * SECOND);
        assert_eq!(ticks.next_after(origin + SECOND), origin + 5 * SECOND);
        assert_eq!(ticks.next_after(origin + 17 * SECOND), origin + 20 * SECOND);
        assert_eq!(ticks.next_after(origin + 20 * SECOND), origin + 25 * SECOND);
    }

    #[test]
    fn the_origin_may_lie_ahead() {
        let now = Instant::now();
        assert_eq!(Ticks::new(now + 3 * SECOND, 5 * SECOND).next_after(now), now + 3 * SECOND);
    }
}
