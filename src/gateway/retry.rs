//! When to ask again after a failure: each kind of error has its own answer.

use std::time::Duration;

use backoff::backoff::Backoff;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::link::{LinkError, silence};

/// Pauses after the first, second … failure in a row; the last one repeats.
const PAUSES: [u64; 5] = [5, 10, 30, 60, 120];
/// Pauses after refused credentials: asking again soon is how gateways come to lock a client out.
const REFUSED_PAUSES: [u64; 3] = [60, 120, 300];
/// Pauses grow by up to this share, so that gateways that failed together do not return together.
const JITTER: f64 = 0.2;
/// Added to waits of which the end is known, once or twice.
const SLACK: Duration = Duration::from_secs(1);

/// What to do after a failure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Retry {
    After(Duration),
    /// As `After`, and nothing else may be asked before then, even over a new connection.
    CoolDown(Duration),
    /// Asking again cannot help.
    Never,
}

/// The pauses of one gateway: 5, 10, 30, 60, 120, 120 … s, each with jitter on top.
#[derive(Debug)]
pub struct RetrySchedule {
    /// Failures in a row before the next one.
    failures: usize,
    /// Seeded by the owner, so that a test sees the same pauses each time.
    rng: StdRng,
}

impl RetrySchedule {
    /// Continues after `failures` failures in a row.
    pub fn new(failures: u32, seed: u64) -> Self {
        Self { failures: failures as usize, rng: StdRng::seed_from_u64(seed) }
    }

    /// Counts a failure and says when to ask again.
    pub fn after(&mut self, error: &LinkError) -> Retry {
        match error {
            LinkError::RateLimited { .. } | LinkError::Busy { .. } => {
                self.failures += 1;
                Retry::CoolDown(self.with_jitter(silence::asked(error).unwrap_or(silence::SHORTEST)))
            }
            LinkError::Silence { left } => Retry::CoolDown(self.a_little_more_than(*left)),
            LinkError::LoginBudget { left } => Retry::After(self.a_little_more_than(*left)),
            LinkError::Refused { .. } => Retry::After(self.pause(&REFUSED_PAUSES)),
            LinkError::Unsupported(_) => Retry::Never,
            _ => Retry::After(self.pause(&PAUSES)),
        }
    }

    fn pause(&mut self, pauses: &[u64]) -> Duration {
        let seconds = pauses[self.failures.min(pauses.len() - 1)];
        self.failures += 1;
        self.with_jitter(Duration::from_secs(seconds))
    }

    /// For a wait that needs no stretching, and must not end a moment too early.
    fn a_little_more_than(&mut self, wait: Duration) -> Duration {
        wait + SLACK.mul_f64(1.0 + self.rng.random_range(0.0..1.0))
    }

    fn with_jitter(&mut self, pause: Duration) -> Duration {
        pause.mul_f64(1.0 + self.rng.random_range(0.0..JITTER))
    }
}

impl Backoff for RetrySchedule {
    fn next_backoff(&mut self) -> Option<Duration> {
        Some(self.pause(&PAUSES))
    }

    fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_pause(pause: Duration, seconds: u64) {
        let least = Duration::from_secs(seconds);
        assert!(
            pause >= least && pause < least.mul_f64(1.0 + JITTER),
            "{pause:?} is not {seconds} s and a bit"
        );
    }

    #[test]
    fn pauses_grow_and_stay_at_two_minutes() {
        let mut schedule = RetrySchedule::new(0, 1);
        for seconds in [5, 10, 30, 60, 120, 120, 120] {
            assert_pause(schedule.next_backoff().unwrap(), seconds);
        }
        schedule.reset();
        assert_pause(schedule.next_backoff().unwrap(), 5);
    }

    #[test]
    fn gateways_that_fail_together_do_not_return_together() {
        let pauses: Vec<_> = (0..4).map(|seed| RetrySchedule::new(0, seed).next_backoff()).collect();
        assert!(pauses.windows(2).all(|pair| pair[0] != pair[1]), "{pauses:?}");
    }

    #[test]
    fn each_kind_of_error_has_its_own_answer() {
        let mut schedule = RetrySchedule::new(3, 1);
        let refused = LinkError::Refused { status: 403, hint: String::new() };
        assert!(matches!(schedule.after(&refused), Retry::After(pause) if pause >= Duration::from_secs(300)));
        assert_eq!(schedule.after(&LinkError::Unsupported("cloud".into())), Retry::Never);

        let cooldown = |schedule: &mut RetrySchedule, asked: Option<u64>| {
            let retry_after = asked.map(Duration::from_secs);
            match schedule.after(&LinkError::Busy { retry_after }) {
                Retry::CoolDown(pause) => pause,
                other => panic!("{other:?}"),
            }
        };
        assert_pause(cooldown(&mut schedule, None), 300);
        assert_pause(cooldown(&mut schedule, Some(1)), 300);
        assert_pause(cooldown(&mut schedule, Some(900)), 900);
        assert_pause(cooldown(&mut schedule, Some(u64::MAX)), 3600);

        let left = Duration::from_secs(40);
        for (error, cools_down) in
            [(LinkError::Silence { left }, true), (LinkError::LoginBudget { left }, false)]
        {
            let pause = match schedule.after(&error) {
                Retry::CoolDown(pause) if cools_down => pause,
                Retry::After(pause) if !cools_down => pause,
                other => panic!("{other:?}"),
            };
            assert!(pause > left && pause <= left + Duration::from_secs(2), "{pause:?}");
        }
    }
}
