//! How often a gateway may be logged in to, so that it never locks its clients out.
//!
//! Gateways answer too many logins with 429 and, kept up, stop taking logins for hours. Reads are not counted
//! here. Some sessions last for an hour only (Basic LAN and wired TEDAPI of a Powerwall 3). A login that
//! renews one that has served its time is not a sign of trouble: it counts within ten minutes, but not within
//! the day, or such a gateway would go dark every day after ten hours.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// At most this many logins within that time, renewals included.
const SHORT: (usize, Duration) = (3, Duration::from_secs(10 * 60));
/// At most this many within that time that renew nothing.
const LONG: (usize, Duration) = (10, Duration::from_secs(24 * 3600));
/// A session that served this long has done so; the login after it is a renewal.
pub const SERVED: Duration = Duration::from_secs(45 * 60);
/// What is remembered: a day's logins, and the renewals that still count.
const MOST: usize = LONG.0 + SHORT.0;
/// Two records of one attempt differ by less.
const SAME: Duration = Duration::from_secs(2);

/// An attempt that was `age` old at `noted`. An instant before the start of the machine may not exist.
#[derive(Clone, Copy, Debug)]
struct Attempt {
    noted: Instant,
    age: Duration,
    renews: bool,
}

impl Attempt {
    fn age(&self, now: Instant) -> Duration {
        self.age + now.saturating_duration_since(self.noted)
    }

    fn counts(&self, now: Instant) -> bool {
        self.age(now) < if self.renews { SHORT.1 } else { LONG.1 }
    }
}

/// The recent logins of one gateway, successful or not: 3 in 10 minutes, and 10 in 24 hours that renew
/// nothing.
#[derive(Clone, Debug, Default)]
pub struct LoginBudget {
    /// Only what still counts; the oldest first.
    attempts: VecDeque<Attempt>,
}

impl LoginBudget {
    /// How long no login is allowed; `None`: one is allowed now. `renews`: a session that served its time
    /// ([`SERVED`]).
    pub fn wait(&self, renews: bool, now: Instant) -> Option<Duration> {
        let all: Vec<Duration> = self.attempts.iter().map(|attempt| attempt.age(now)).collect();
        let others = self.attempts.iter().filter(|attempt| !attempt.renews);
        let others = others.map(|attempt| attempt.age(now)).filter(|_| !renews).collect();
        let waits = [(SHORT, all), (LONG, others)].into_iter().filter_map(|((most, window), ages)| {
            // The one that must have left the window before there is room for another.
            let oldest = ages.len().checked_sub(most)?;
            window.checked_sub(ages[oldest]).filter(|wait| !wait.is_zero())
        });
        waits.max()
    }

    /// Counts a login that is about to be sent.
    pub fn spend(&mut self, renews: bool, now: Instant) {
        self.add(Attempt { noted: now, age: Duration::ZERO, renews });
    }

    fn add(&mut self, attempt: Attempt) {
        let now = attempt.noted;
        self.attempts.retain(|known| known.counts(now));
        let place = self.attempts.partition_point(|known| known.age(now) >= attempt.age);
        self.attempts.insert(place, attempt);
        while self.attempts.len() > MOST {
            self.attempts.pop_front();
        }
    }

    /// The attempts that still count, as seconds since the Unix epoch; `unix` is now on that clock.
    pub fn saved(&self, now: Instant, unix: f64) -> Vec<f64> {
        let counting = self.attempts.iter().filter(|attempt| attempt.counts(now));
        counting.map(|attempt| unix - attempt.age(now).as_secs_f64()).collect()
    }

    /// Takes over what [`LoginBudget::saved`] gave, in another process or before a restart. Attempts that
    /// seem to lie ahead, because a clock was set back, count as made now; and none counts as a renewal.
    pub fn recall(&mut self, saved: &[f64], now: Instant, unix: f64) {
        let mut unseen: Vec<Duration> = self.attempts.iter().map(|attempt| attempt.age(now)).collect();
        // Nobody saves more; a file that has more was not written by us.
        for made in saved.iter().rev().take(MOST).rev() {
            let Ok(age) = Duration::try_from_secs_f64((unix - made).max(0.0)) else { continue };
            if let Some(known) = unseen.iter().position(|known| known.abs_diff(age) < SAME) {
                unseen.swap_remove(known);
            } else if age < LONG.1 {
                self.add(Attempt { noted: now, age, renews: false });
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
        minutes.iter().for_each(|minute| budget.spend(false, start + *minute * MINUTE));
        (budget, start)
    }

    #[test]
    fn the_fourth_login_waits_until_the_first_is_ten_minutes_old() {
        let (mut budget, start) = spent(&[0, 2]);
        assert_eq!(budget.wait(false, start + 3 * MINUTE), None);
        budget.spend(false, start + 3 * MINUTE);
        assert_eq!(budget.wait(false, start + 4 * MINUTE), Some(6 * MINUTE));
        assert_eq!(budget.wait(false, start + 10 * MINUTE), None);
    }

    #[test]
    fn the_eleventh_login_waits_until_the_first_is_a_day_old() {
        let (budget, start) = spent(&[0, 20, 40, 60, 80, 100, 120, 140, 160, 180]);
        assert_eq!(budget.wait(false, start + 200 * MINUTE), Some((24 * 60 - 200) * MINUTE));
        assert_eq!(budget.wait(false, start + 24 * 60 * MINUTE), None);
    }

    #[test]
    fn sessions_of_an_hour_are_renewed_for_ever_and_still_not_in_a_loop() {
        let (mut budget, start) = spent(&[0]);
        for hour in 1..100 {
            let now = start + hour * 60 * MINUTE;
            assert_eq!(budget.wait(true, now), None, "hour {hour}");
            budget.spend(true, now);
        }
        let now = start + 99 * 60 * MINUTE;
        assert_eq!(budget.wait(false, now), None, "they leave a day's logins to those who need them");
        budget.spend(true, now);
        budget.spend(true, now);
        assert_eq!(budget.wait(true, now), Some(10 * MINUTE));
    }

    #[test]
    fn a_restart_forgets_no_login_and_counts_none_twice() {
        let (budget, start) = spent(&[0, 1, 2]);
        let (before, unix) = (start + 3 * MINUTE, 1_795_000_000.0);
        let saved = budget.saved(before, unix);
        let (mut after, restarted) = (LoginBudget::default(), Instant::now());
        after.recall(&saved, restarted, unix + 60.0);
        assert_eq!(after.wait(false, restarted), Some(6 * MINUTE));
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
                if budget.wait(false, now).is_none() {
                    budget.spend(false, now);
                    made.push(now);
                }
            }
            for (most, window) in [SHORT, LONG] {
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
            prop_assert!(budget.wait(false, now).is_none_or(|wait| wait <= LONG.1));
            prop_assert_eq!(budget.wait(false, now + LONG.1), None);
        }
    }
}
