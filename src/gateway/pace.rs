//! How fast a gateway is polled: slower while it fails often, as usual again when it no longer does.
//!
//! LinkConfig points of gateways vanish under clients that keep asking at full rate while answers fail.
//! Single failures are normal (one in twenty on a good Wi-Fi) and change nothing.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// How far back polls count.
const WINDOW: Duration = Duration::from_secs(300);
/// Fewer polls say nothing.
const FEWEST: usize = 5;
/// From this share of failures on, every so manyth tick is used; the first that fits.
const STEPS: [(f64, u32); 2] = [(0.5, 4), (0.2, 2)];
/// Ticks are a second apart at least, so that this is more than a window.
const MOST: usize = 400;

/// The recent polls of one gateway.
#[derive(Debug, Default)]
pub struct Pace {
    /// When each ended and whether it failed, the oldest first.
    polls: VecDeque<(Instant, bool)>,
}

impl Pace {
    pub fn note(&mut self, failed: bool, now: Instant) {
        self.polls.push_back((now, failed));
        let is_old = |(at, _): &(Instant, bool)| now.saturating_duration_since(*at) > WINDOW;
        while self.polls.len() > MOST || self.polls.front().is_some_and(is_old) {
            self.polls.pop_front();
        }
    }

    /// How many ticks there are to the next poll, 1 to `most`.
    pub fn stride(&self, most: u32) -> u32 {
        if self.polls.len() < FEWEST {
            return 1;
        }
        let failures = self.polls.iter().filter(|(_, failed)| *failed).count();
        let share = failures as f64 / self.polls.len() as f64;
        let step = STEPS.iter().find(|(least, _)| share >= *least);
        step.map_or(1, |(_, stride)| *stride).clamp(1, most.max(1))
    }
}

/// The longest stride with which a poll that fails, the pause after it, and one that succeeds still end
/// before the data from before expires.
pub fn longest_stride(interval: Duration, timeout: Duration, ttl: Duration) -> u32 {
    const FIRST_PAUSE: Duration = Duration::from_secs(6);
    let room = ttl.saturating_sub(timeout * 2 + FIRST_PAUSE).as_secs_f64();
    // A quotient that does not fit is cut off, and there is always a next tick.
    ((room / interval.as_secs_f64()) as u32).max(1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn frequent_failures_slow_polling_down_and_their_end_speeds_it_up() {
        let (mut pace, mut now) = (Pace::default(), Instant::now());
        let mut note = |pace: &mut Pace, failed: bool, times: usize| {
            for _ in 0..times {
                now += 5 * SECOND;
                pace.note(failed, now);
            }
            pace.stride(9)
        };
        assert_eq!(note(&mut pace, true, 4), 1, "too few to judge");
        assert_eq!(note(&mut pace, true, 2), 4);
        assert_eq!(note(&mut pace, false, 7), 2);
        assert_eq!(note(&mut pace, false, 40), 1);
    }

    #[test]
    fn one_failure_in_twenty_is_normal() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        for poll in 0..1000 {
            pace.note(poll % 20 == 19, start + poll * 5 * SECOND);
            assert_eq!(pace.stride(9), 1);
        }
    }

    #[test]
    fn data_outlives_a_failure_at_any_stride() {
        assert_eq!(longest_stride(5 * SECOND, 5 * SECOND, 30 * SECOND), 2);
        assert_eq!(longest_stride(5 * SECOND, 5 * SECOND, 60 * SECOND), 8);
        assert_eq!(longest_stride(60 * SECOND, 5 * SECOND, 30 * SECOND), 1);
        assert_eq!(longest_stride(SECOND, 120 * SECOND, Duration::ZERO), 1);
    }

    proptest! {
        #[test]
        fn five_minutes_without_failures_are_enough(
            polls in proptest::collection::vec((1_u32..60, any::<bool>()), 0..600),
        ) {
            let (mut pace, mut now) = (Pace::default(), Instant::now());
            for (pause, failed) in polls {
                now += pause * SECOND;
                pace.note(failed, now);
                prop_assert!((1..=4).contains(&pace.stride(9)) && pace.polls.len() <= MOST);
            }
            for _ in 0..31 {
                now += 10 * SECOND;
                pace.note(false, now);
            }
            prop_assert_eq!(pace.stride(9), 1);
        }
    }
}
