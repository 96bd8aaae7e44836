//! The cool-down that a gateway asked for with 429 or 503.

use std::time::Duration;

use tokio::time::Instant;

use super::LinkError;
use crate::pause::{Growth, Pause};

/// A gateway that answers 429 or 503 is left alone for at least this long …
pub const SHORTEST: Duration = Duration::from_secs(300);
/// … and at most this long, whatever it asks for and whatever a clock says.
pub const LONGEST: Duration = Duration::from_secs(3600);

/// Until when a gateway is asked nothing at all, not even over a new connection.
#[derive(Debug)]
pub struct Silence(Pause);

impl Default for Silence {
    fn default() -> Self {
        Self(Pause::new(Growth::constant(SHORTEST), Instant::now()))
    }
}

/// How long a gateway that answered with `error` is to be left alone; `None`: it asked for no cool-down.
pub fn asked(error: &LinkError) -> Option<Duration> {
    match error {
        LinkError::RateLimited { retry_after } | LinkError::Busy { retry_after } => {
            Some(retry_after.unwrap_or(SHORTEST).clamp(SHORTEST, LONGEST))
        }
        _ => None,
    }
}

impl Silence {
    /// What is left of it.
    pub fn left(&self, now: Instant) -> Option<Duration> {
        self.0.left(now)
    }

    /// Keeps still for `pause` from `now`, or for what is left if that is longer.
    pub fn keep(&mut self, pause: Duration, now: Instant) {
        self.0.at_least(pause, now);
    }

    /// Its end in seconds since the Unix epoch; `unix` is now on that clock.
    pub fn saved(&self, now: Instant, unix: f64) -> Option<f64> {
        Some(unix + self.left(now)?.as_secs_f64())
    }

    /// Takes over what [`Silence::saved`] gave. A clock that was set back in between makes it [`LONGEST`] at
    /// most.
    pub fn recall(&mut self, saved: f64, now: Instant, unix: f64) {
        if let Ok(left) = Duration::try_from_secs_f64(saved - unix) {
            self.keep(left.min(LONGEST), now);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn only_429_and_503_ask_for_silence() {
        let busy = |seconds: Option<u64>| {
            asked(&LinkError::Busy { retry_after: seconds.map(Duration::from_secs) }).unwrap()
        };
        assert_eq!([busy(None), busy(Some(1)), busy(Some(900))], [300 * SECOND, 300 * SECOND, 900 * SECOND]);
        assert_eq!(busy(Some(u64::MAX)), LONGEST);
        assert_eq!(asked(&LinkError::RateLimited { retry_after: None }), Some(SHORTEST));
        assert_eq!(asked(&LinkError::Timeout(SECOND)), None);
        assert_eq!(asked(&LinkError::Refused { status: 403, hint: String::new() }), None);
    }

    #[test]
    fn a_restart_does_not_end_a_silence_and_a_shorter_one_does_not_shorten_it() {
        let (mut silence, now) = (Silence::default(), Instant::now());
        silence.keep(400 * SECOND, now);
        silence.keep(300 * SECOND, now);
        assert_eq!(silence.left(now + 100 * SECOND), Some(300 * SECOND));
        let saved = silence.saved(now + 100 * SECOND, 5000.0).unwrap();
        let (mut after, restarted) = (Silence::default(), Instant::now());
        after.recall(saved, restarted, 5060.0);
        assert_eq!(after.left(restarted), Some(240 * SECOND));
        assert_eq!(after.left(restarted + 240 * SECOND), None);
    }

    proptest! {
        #[test]
        fn no_clock_silences_a_gateway_for_more_than_an_hour(
            saved in proptest::num::f64::ANY, unix in 0.0..1e10_f64,
        ) {
            let (mut silence, now) = (Silence::default(), Instant::now());
            silence.recall(saved, now, unix);
            prop_assert!(silence.left(now).is_none_or(|left| left <= LONGEST));
        }
    }
}
