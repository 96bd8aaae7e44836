//! Firmware before 20.49 answers the meters to everybody and the rest to customers only: when a refusal of
//! something else is worth a login there.

use std::time::Duration;

use tokio::time::Instant;

use crate::pause::{Growth, Pause};

/// A login that did not help is not repeated for this long, then twice as long.
const GROWTH: Growth =
    Growth::Doubling { first: Duration::from_secs(600), longest: Duration::from_secs(6 * 3600) };
/// So many refusals one after the other, of different endpoints, show that a session has ended: single ones
/// are refused to customers for ever.
const SESSION_ENDED: u32 = 3;

#[derive(Debug)]
pub(super) struct OpenMeters {
    /// Whether the meters were answered without a session.
    are_open: bool,
    /// Refusals since something that needs the session was answered.
    refusals: u32,
    /// Whether they are enough for a login.
    is_owed: bool,
    /// When a login may be tried.
    pause: Pause,
}

impl OpenMeters {
    pub fn new(now: Instant) -> Self {
        Self { are_open: false, refusals: 0, is_owed: false, pause: Pause::new(GROWTH, now) }
    }

    /// The meters were answered without a session.
    pub fn found(&mut self) {
        self.are_open = true;
    }

    /// The meters were refused: they say from now on when a login is due.
    pub fn refuted(&mut self) {
        (self.are_open, self.is_owed, self.refusals) = (false, false, 0);
    }

    /// Something other than the meters was refused.
    pub fn refused(&mut self, has_session: bool) {
        self.refusals += 1;
        self.is_owed = self.are_open && (!has_session || self.refusals >= SESSION_ENDED);
    }

    /// Something that needs a session was answered.
    pub fn session_is_good(&mut self, now: Instant) {
        (self.refusals, self.is_owed) = (0, false);
        self.pause.succeeded(now);
    }

    pub fn wants_login(&self, now: Instant) -> bool {
        self.is_owed && !self.pause.rests(now)
    }

    /// Whether to log in now; then not again soon, whatever comes of it.
    pub fn takes_login(&mut self, now: Instant) -> bool {
        let wants = self.wants_login(now);
        if wants {
            (self.is_owed, self.refusals) = (false, 0);
            self.pause.failed(now);
        }
        wants
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_that_does_not_help_is_repeated_less_and_less_often() {
        let mut now = Instant::now();
        let mut meters = OpenMeters::new(now);
        meters.refused(false);
        assert!(!meters.wants_login(now), "the meters are not known to be open");
        meters.found();
        let mut pauses = Vec::new();
        for _ in 0..7 {
            meters.refused(false);
            let before = now;
            while !meters.takes_login(now) {
                now += Duration::from_secs(60);
            }
            pauses.push((now - before).as_secs() / 60);
        }
        assert_eq!(pauses, [0, 10, 20, 40, 80, 160, 320]);
    }

    #[test]
    fn a_session_has_ended_if_everything_is_refused_and_not_if_one_thing_is() {
        let now = Instant::now();
        let mut meters = OpenMeters::new(now);
        meters.found();
        for _ in 0..10 {
            meters.refused(true);
            meters.session_is_good(now);
        }
        assert!(!meters.wants_login(now));
        (0..3).for_each(|_| meters.refused(true));
        assert!(meters.takes_login(now) && !meters.wants_login(now));
        meters.refused(false);
        meters.refuted();
        assert!(!meters.wants_login(now + Duration::from_secs(86_400)));
    }
}
