//! When which endpoint is due, how long its answer may be shown, and which are left alone.

use std::time::Duration;

use tokio::time::Instant;

use crate::link::local::answers::Endpoint;
use crate::pause::{Growth, Pause};

const SECOND: Duration = Duration::from_secs(1);
/// After an answer that could not be had or read.
const RETRY: Growth = Growth::constant(Duration::from_secs(60));
/// An endpoint that the gateway does not have, or does not let us see, is not asked again for this long …
const PARKED: Duration = Duration::from_secs(600);
/// … and twice as long each time, up to six hours, where asking has a price.
const COSTLY: Growth = Growth::Doubling { first: PARKED, longest: Duration::from_secs(6 * 3600) };
/// From one question for the status because the gateway may be another one to the next.
pub const CONFIRM_EVERY: Duration = Duration::from_secs(60);
/// Polls do not come to the millisecond; what is due this soon is asked now.
const SOON: Duration = SECOND;

/// How often an endpoint is asked, and how long its last answer is shown when new ones fail to come.
fn rhythm(endpoint: Endpoint) -> (Duration, Duration) {
    let (every, shown) = match endpoint {
        // Asked at every poll; a poll without it has failed.
        Endpoint::Aggregates => (0, 3600),
        // How long an outage may go unnoticed.
        Endpoint::GridStatus => (10, 60),
        Endpoint::StateOfEnergy => (30, 120),
        Endpoint::SystemStatus | Endpoint::Vitals | Endpoint::SolarPowerwall => (30, 300),
        Endpoint::Operation => (60, 3600),
        Endpoint::Status => (300, 86_400),
        Endpoint::SiteInfo | Endpoint::SiteName | Endpoint::Networks => (3600, 86_400),
    };
    (every * SECOND, shown * SECOND)
}

/// Why an endpoint is not asked before it is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rest {
    /// It was asked, or asking failed for reasons of its own.
    Asked,
    /// It answered 401 or 403: another session may change that.
    Refused,
    /// It answered 404 or nothing, or asking had a price: other firmware may change that.
    Absent,
}

#[derive(Debug)]
struct Slot {
    /// When it is asked next; only what had a price counts as a failure.
    pause: Pause,
    rest: Rest,
    /// When the answer that is shown came.
    taken: Option<Instant>,
}

impl Slot {
    fn new(now: Instant) -> Self {
        Self { pause: Pause::new(RETRY, now), rest: Rest::Asked, taken: None }
    }
}

/// The endpoints of one gateway.
#[derive(Debug)]
pub struct Schedule {
    /// By [`Endpoint`].
    slots: [Slot; Endpoint::ALL.len()],
    /// When the status was last asked for because the gateway may be another one.
    confirmed: Option<Instant>,
}

impl Schedule {
    /// Everything is due.
    pub fn new(now: Instant) -> Self {
        Self { slots: std::array::from_fn(|_| Slot::new(now)), confirmed: None }
    }

    fn slot(&mut self, endpoint: Endpoint) -> &mut Slot {
        &mut self.slots[endpoint as usize]
    }

    /// The most overdue of those that `may` be asked.
    pub fn due(&self, now: Instant, may: impl Fn(Endpoint) -> bool) -> Option<Endpoint> {
        let slow = Endpoint::ALL.into_iter().filter(|endpoint| *endpoint != Endpoint::Aggregates);
        let until = |endpoint: &Endpoint| self.slots[*endpoint as usize].pause.until();
        slow.filter(|endpoint| may(*endpoint) && until(endpoint) <= now + SOON).min_by_key(until)
    }

    pub fn answered(&mut self, endpoint: Endpoint, now: Instant) {
        let (every, _) = rhythm(endpoint);
        let slot = self.slot(endpoint);
        (slot.rest, slot.taken) = (Rest::Asked, Some(now));
        slot.pause.succeeded_for(every, now);
    }

    /// It is about to be asked. Unless a good answer comes, it is not asked again soon.
    pub fn begin(&mut self, endpoint: Endpoint, now: Instant) {
        let slot = self.slot(endpoint);
        slot.rest = Rest::Asked;
        slot.pause.begin(now);
    }

    /// The session is good, but not for this.
    pub fn refused(&mut self, endpoint: Endpoint, now: Instant) {
        let slot = self.slot(endpoint);
        (slot.rest, slot.taken) = (Rest::Refused, None);
        slot.pause.wait(PARKED, now);
    }

    /// The gateway does not have it.
    pub fn absent(&mut self, endpoint: Endpoint, now: Instant) {
        let slot = self.slot(endpoint);
        (slot.rest, slot.taken) = (Rest::Absent, None);
        slot.pause.wait(PARKED, now);
    }

    /// Asking is not worth it, for longer and longer.
    pub fn costly(&mut self, endpoint: Endpoint, now: Instant) {
        let slot = self.slot(endpoint);
        (slot.rest, slot.taken) = (Rest::Absent, None);
        slot.pause.failed_as(COSTLY, now);
    }

    /// A new session: what was refused may be asked again.
    pub fn new_session(&mut self, now: Instant) {
        self.slots.iter_mut().filter(|slot| slot.rest == Rest::Refused).for_each(|slot| slot.pause.end(now));
        // The gateway may have restarted with other firmware.
        self.slot(Endpoint::Status).pause.end(now);
    }

    /// The gateway may be another one: its status says which it is. Not asked before it is `age` old, and not
    /// again and again if it does not come.
    pub fn confirm(&mut self, age: Duration, now: Instant) {
        let is_past = |instant: Instant, age| now.saturating_duration_since(instant) >= age;
        let may_ask = self.confirmed.is_none_or(|last| is_past(last, CONFIRM_EVERY));
        let slot = self.slot(Endpoint::Status);
        let is_old = slot.taken.is_some_and(|taken| is_past(taken, age));
        if may_ask && slot.rest == Rest::Asked && is_old {
            slot.pause.end(now);
            self.confirmed = Some(now);
        }
    }

    /// Other firmware: everything may have changed.
    pub fn new_firmware(&mut self, now: Instant) {
        for (slot, endpoint) in self.slots.iter_mut().zip(Endpoint::ALL) {
            if endpoint != Endpoint::Status {
                slot.pause.succeeded(now);
            }
        }
    }

    /// Those whose answers are too old to be shown.
    pub fn outdated(&mut self, now: Instant) -> Vec<Endpoint> {
        let is_outdated = |endpoint: &Endpoint| {
            let taken = self.slots[*endpoint as usize].taken;
            taken.is_some_and(|taken| now.saturating_duration_since(taken) > rhythm(*endpoint).1)
        };
        let outdated: Vec<_> = Endpoint::ALL.into_iter().filter(is_outdated).collect();
        outdated.iter().for_each(|endpoint| self.slot(*endpoint).taken = None);
        outdated
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn any(_: Endpoint) -> bool {
        true
    }

    fn only(endpoint: Endpoint) -> impl Fn(Endpoint) -> bool {
        move |other| other == endpoint
    }

    #[test]
    fn what_is_absent_or_refused_rests_for_ten_minutes() {
        let now = Instant::now();
        for park in [Schedule::absent, Schedule::refused] {
            let mut schedule = Schedule::new(now);
            park(&mut schedule, Endpoint::Vitals, now);
            assert_eq!(schedule.due(now + 598 * SECOND, only(Endpoint::Vitals)), None);
            assert_eq!(schedule.due(now + 600 * SECOND, only(Endpoint::Vitals)), Some(Endpoint::Vitals));
        }
    }

    #[test]
    fn a_new_session_frees_what_was_refused_and_other_firmware_frees_everything() {
        let now = Instant::now();
        let mut schedule = Schedule::new(now);
        Endpoint::ALL.into_iter().for_each(|endpoint| schedule.answered(endpoint, now));
        schedule.refused(Endpoint::Operation, now);
        schedule.absent(Endpoint::Vitals, now);
        let soon = now + 2 * SECOND;
        assert_eq!(schedule.due(soon, any), None);
        schedule.new_session(now);
        assert_eq!(schedule.due(soon, only(Endpoint::Operation)), Some(Endpoint::Operation));
        assert_eq!(schedule.due(soon, only(Endpoint::Vitals)), None);
        schedule.new_firmware(now);
        assert_eq!(schedule.due(soon, only(Endpoint::Vitals)), Some(Endpoint::Vitals));
    }

    #[test]
    fn what_has_a_price_is_asked_less_and_less_often() {
        let (mut schedule, mut now) = (Schedule::new(Instant::now()), Instant::now());
        let mut pauses = Vec::new();
        for _ in 0..8 {
            schedule.costly(Endpoint::Operation, now);
            let due = schedule.slots[Endpoint::Operation as usize].pause.until();
            pauses.push((due - now).as_secs() / 60);
            now = due;
        }
        assert_eq!(pauses, [10, 20, 40, 80, 160, 320, 360, 360]);
        schedule.answered(Endpoint::Operation, now);
        schedule.costly(Endpoint::Operation, now);
        assert_eq!(schedule.slots[Endpoint::Operation as usize].pause.left(now), Some(PARKED));
    }

    #[test]
    fn answers_are_shown_for_as_long_as_they_mean_something() {
        let now = Instant::now();
        let mut schedule = Schedule::new(now);
        Endpoint::ALL.into_iter().for_each(|endpoint| schedule.answered(endpoint, now));
        assert_eq!(schedule.outdated(now + 60 * SECOND), []);
        assert_eq!(schedule.outdated(now + 61 * SECOND), [Endpoint::GridStatus]);
        assert_eq!(schedule.outdated(now + 62 * SECOND), [], "once");
        let outdated = schedule.outdated(now + 400 * SECOND);
        assert!(outdated.contains(&Endpoint::StateOfEnergy) && !outdated.contains(&Endpoint::Operation));
    }
}
