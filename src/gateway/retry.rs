//! When to ask again after a failure: each kind of error has its own answer.

use std::time::Duration;

use tokio::time::Instant;

use crate::link::tesla::error::TeslaError;
use crate::link::{LinkError, silence};
use crate::pause::{Growth, Pause};

/// Asking again soon after refused credentials is how gateways come to lock a client out.
const REFUSED: Growth =
    Growth::Steps(&[Duration::from_secs(60), Duration::from_secs(120), Duration::from_secs(300)]);

/// What to do after a failure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Retry {
    At(Instant),
    /// As `At`, and nothing else may be asked before then, even over a new connection.
    CoolDown(Instant),
    /// Asking again cannot help.
    Never,
}

/// The pauses of one gateway, each with jitter on top.
#[derive(Debug)]
pub struct RetrySchedule(Pause);

impl RetrySchedule {
    /// Continues after `failures` failures in a row.
    pub fn new(failures: u32, seed: u64) -> Self {
        Self(Pause::back_off(seed).after(failures))
    }

    /// When to ask again after a failure that is counted elsewhere.
    pub fn again(&mut self, now: Instant) -> Instant {
        self.0.failed(now)
    }

    /// Counts a failed poll and says when to ask again.
    pub fn after(&mut self, error: &LinkError, now: Instant) -> Retry {
        match error {
            LinkError::RateLimited { .. } | LinkError::Busy { .. } => {
                self.0.failed(now);
                Retry::CoolDown(self.cool_down(error, now))
            }
            LinkError::Silence { left } => Retry::CoolDown(self.0.wait(*left, now)),
            LinkError::LoginBudget { left } => Retry::At(self.0.wait(*left, now)),
            LinkError::Tesla(TeslaError::Pause { left }) => Retry::CoolDown(self.0.wait(*left, now)),
            LinkError::Tesla(error) => Retry::At(match error.rest() {
                Some(left) => self.0.wait(left, now),
                None => self.0.failed(now),
            }),
            LinkError::Refused { .. } => Retry::At(self.0.failed_as(REFUSED, now)),
            LinkError::Unsupported(_) => Retry::Never,
            _ => Retry::At(self.0.failed(now)),
        }
    }

    /// The end of the cool-down that a gateway asks for with `error`. No poll need have failed, so none is
    /// counted.
    pub fn cool_down(&mut self, error: &LinkError, now: Instant) -> Instant {
        self.0.at_least(silence::asked(error).unwrap_or(silence::SHORTEST), now)
    }

    /// A poll succeeded.
    pub fn reset(&mut self, now: Instant) {
        self.0.succeeded(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_pause(pause: Duration, seconds: u64) {
        let (pause, least) = (pause.as_secs_f64(), seconds as f64);
        assert!(pause >= least && pause < least * 1.2, "{pause} s is not {seconds} s and a bit");
    }

    fn at(retry: Retry, now: Instant) -> Duration {
        match retry {
            Retry::At(at) => at - now,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn pauses_grow_and_stay_at_two_minutes_until_a_poll_succeeds() {
        let now = Instant::now();
        let mut schedule = RetrySchedule::new(0, 1);
        let slow = LinkError::Timeout(Duration::from_secs(5));
        for seconds in [5, 10, 30, 60, 120, 120, 120] {
            assert_pause(at(schedule.after(&slow, now), now), seconds);
        }
        schedule.reset(now);
        assert_pause(at(schedule.after(&slow, now), now), 5);
    }

    #[test]
    fn each_kind_of_error_has_its_own_answer() {
        let now = Instant::now();
        let mut schedule = RetrySchedule::new(3, 1);
        let refused = LinkError::Refused { status: 403, hint: String::new() };
        assert_pause(at(schedule.after(&refused, now), now), 300);
        assert_eq!(schedule.after(&LinkError::Unsupported("cloud".into()), now), Retry::Never);

        for (asked, seconds) in [(None, 300), (Some(1), 300), (Some(900), 900), (Some(u64::MAX), 3600)] {
            let mut schedule = RetrySchedule::new(3, 1);
            let retry_after = asked.map(Duration::from_secs);
            match schedule.after(&LinkError::Busy { retry_after }, now) {
                Retry::CoolDown(until) => assert_pause(until - now, seconds),
                other => panic!("{other:?}"),
            }
        }

        let left = Duration::from_secs(40);
        for (error, cools_down) in
            [(LinkError::Silence { left }, true), (LinkError::LoginBudget { left }, false)]
        {
            let until = match schedule.after(&error, now) {
                Retry::CoolDown(until) if cools_down => until,
                Retry::At(until) if !cools_down => until,
                other => panic!("{other:?}"),
            };
            let pause = until - now;
            assert!(pause > left && pause <= left + Duration::from_secs(2), "{pause:?}");
        }
    }

    #[test]
    fn a_cool_down_counts_no_failed_poll() {
        let now = Instant::now();
        let mut schedule = RetrySchedule::new(0, 1);
        assert_pause(schedule.cool_down(&LinkError::Busy { retry_after: None }, now) - now, 300);
        let later = now + Duration::from_secs(400);
        assert_pause(at(schedule.after(&LinkError::Timeout(Duration::ZERO), later), later), 5);
    }
}
