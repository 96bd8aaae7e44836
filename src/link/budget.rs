//! How often a gateway may be logged in to, so that it never locks its clients out.
//!
//! Gateways answer too many logins with 429 and, kept up, stop taking logins for hours. Reads are not counted here.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// At most this many logins within that time.
const LIMITS: [(usize, Duration); 2] =
    [(3, Duration::from_secs(10 * 60)), (MOST_A_DAY, Duration::from_secs(24 * 3600))];
const MOST_A_DAY: usize = 10;
/// Two records of one attempt differ by less.
const SAME: Duration = Duration::from_secs(2);

/// An attempt that was `age` old at `noted`. An instant before the start of the machine may not exist.
#[derive(Clone, Copy, Debug)]
struct Attempt {
    noted: Instant,
    age: Duration,
}

impl Attempt {
    fn age(&self, now: Instant) -> Duration {
        self.age + now.saturating_duration_since(self.noted)
    }
}

/// The recent logins of one gateway, successful or not: 3 in 10 minutes, 10 in 24 hours.
#[derive(Clone, Debug, Default)]
pub struct LoginBudget {
    /// Never more than a day allows; the oldest first.
    attempts: VecDeque<Attempt>,
}

impl LoginBudget {
    /// How long no login is allowed; `None`: one is allowed now.
    pub fn wait(&self, now: Instant) -> Option<Duration> {
        let waits = LIMITS.iter().filter_map(|(most, window)| {
            // The one that must have left the window before there is room for another.
            let oldest = self.attempts.len().checked_sub(*most)?;
            window.checked_sub(self.attempts[oldest].age(now)).filter(|wait| !wait.is_zero())
        });
        waits.max()
    }

    /// Counts a login that is about to be sent.
    pub fn spend(&mut self, now: Instant) {
        self.add(Attempt { noted: now, age: Duration::ZERO });
    }

    fn add(&mut self, attempt: Attempt) {
        let now = attempt.noted;
        let place = self.attempts.partition_point(|known| known.age(now) >= attempt.age);
        self.attempts.insert(place, attempt);
        while self.attempts.len() > MOST_A_DAY {
            self.attempts.pop_front();
        }
    }

    /// The attempts that still count, as seconds since the Unix epoch; `unix` is now on that clock.
    pub fn saved(&self, now: Instant, unix: f64) -> Vec<f64> {
        let counting = self.attempts.iter().map(|attempt| attempt.age(now)).filter(|age| *age < LIMITS[1].1);
        counting.map(|age| unix - age.as_secs_f64()).collect()
    }

    /// Takes over what [`LoginBudget::saved`] gave, in another process or before a restart. Attempts that seem to lie
    /// ahead, because a clock was set back, count as made now.
    pub fn recall(&mut self, saved: &[f64], now: Instant, unix: f64) {
        let mut unseen: Vec<Duration> = self.attempts.iter().map(|attempt| attempt.age(now)).collect();
        // Nobody saves more; a file that has more was not written by us.
        for made in saved.iter().rev().take(MOST_A_DAY).rev() {
            let Ok(age) = Duration::try_from_secs_f64((unix - made).max(0.0)) else { continue };
            if let Some(known) = unseen.iter().position(|known| known.abs_diff(age) < SAME) {
                unseen.swap_remove(known);
            } else if age < LIMITS[1].1 {
                self.add(Attempt { noted: now, age });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn spent(minutes: &[u32]) -> (LoginBudget, Instant) {
        let (mut budget, start) = (LoginBudget::default(), Instant::now());
        minutes.iter().for_each(|minute| budget.spend(start + *minute * MINUTE));
        (budget, start)
    }

    #[test]
    fn the_fourth_login_waits_until_the_first_is_ten_minutes_old() {
        let (mut budget, start) = spent(&[0, 2]);
        assert_eq!(budget.wait(start + 3 * MINUTE), None);
        budget.spend(start + 3 * MINUTE);
        assert_eq!(budget.wait(start + 4 * MINUTE), Some(6 * MINUTE));
        assert_eq!(budget.wait(start + 10 * MINUTE), None);
    }

    #[test]
    fn the_eleventh_login_waits_until_the_first_is_a_day_old() {
        let (budget, start) = spent(&[0, 20, 40, 60, 80, 100, 120, 140, 160, 180]);
        assert_eq!(budget.wait(start + 200 * MINUTE), Some((24 * 60 - 200) * MINUTE));
        assert_eq!(budget.wait(start + 24 * 60 * MINUTE), None);
    }

    #[test]
    fn a_restart_forgets_no_login_and_counts_none_twice() {
        let (budget, start) = spent(&[0, 1, 2]);
        let (before, unix) = (start + 3 * MINUTE, 1_795_000_000.0);
        let saved = budget.saved(before, unix);
        let (mut after, restarted) = (LoginBudget::default(), Instant::now());
        after.recall(&saved, restarted, unix + 60.0);
        assert_eq!(after.wait(restarted), Some(6 * MINUTE));
        after.recall(&saved, restarted + MINUTE, unix + 120.0);
        assert_eq!(after.saved(restarted, unix).len(), 3);
    }

    proptest! {
        #[test]
        fn whatever_happens_no_window_holds_more_than_it_may(
            pauses in proptest::collection::vec(0_u32..4000, 1..200),
            restarts in proptest::collection::vec(any::<bool>(), 200),
        ) {
            let (mut budget, start) = (LoginBudget::default(), Instant::now());
            let mut made: Vec<Instant> = Vec::new();
            let mut now = start;
            for (pause, restart) in pauses.iter().zip(restarts) {
                now += Duration::from_secs(u64::from(*pause));
                let unix = 1e9 + (now - start).as_secs_f64();
                if restart {
                    let saved = budget.saved(now, unix);
                    budget = LoginBudget::default();
                    budget.recall(&saved, now, unix);
                }
                if budget.wait(now).is_none() {
                    budget.spend(now);
                    made.push(now);
                }
            }
            for (most, window) in LIMITS {
                for (index, first) in made.iter().enumerate() {
                    let within = made[index..].iter().filter(|at| **at - *first < window).count();
                    prop_assert!(within <= most, "{within} logins within {window:?}");
                }
            }
        }

        #[test]
        fn a_file_of_any_content_delays_a_login_by_a_day_at_most(
            saved in proptest::collection::vec(proptest::num::f64::ANY, 0..40), unix in 0.0..1e10_f64,
        ) {
            let (mut budget, now) = (LoginBudget::default(), Instant::now());
            budget.recall(&saved, now, unix);
            prop_assert!(budget.wait(now).is_none_or(|wait| wait <= LIMITS[1].1));
            prop_assert_eq!(budget.wait(now + LIMITS[1].1), None);
        }
    }
}
