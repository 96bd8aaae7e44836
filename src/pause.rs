//! When something that failed is asked again: every pause of this program is a [`Pause`].
//!
//! Knows no link and no error: the owner of a pause decides which failure grows it in which way. What it
//! promises is that no failure can make a loop: after [`Pause::failed`] the deadline lies in the future,
//! whatever it was before.

use std::time::Duration;

use backoff::backoff::Backoff;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::time::Instant;

const SECOND: Duration = Duration::from_secs(1);
/// No pause is shorter, whatever a schedule or another side says …
const SHORTEST: Duration = SECOND;
/// … and none is longer: a figure that somebody sends must not silence a gateway for ever.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);
/// Pauses with jitter grow by up to this share, so that gateways that failed together do not return together.
const JITTER: f64 = 0.2;

/// The back-off of gateways and brokers that fail: 5, 10, 30, 60, 120, 120 … s.
pub const BACK_OFF: Growth = Growth::Steps(&[
    Duration::from_secs(5),
    Duration::from_secs(10),
    Duration::from_secs(30),
    Duration::from_secs(60),
    Duration::from_secs(120),
]);

/// How long a pause is, by how many failures in a row went before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Growth {
    /// After the first, second … failure; the last one repeats.
    Steps(&'static [Duration]),
    Doubling {
        first: Duration,
        longest: Duration,
    },
}

impl Growth {
    pub const fn constant(pause: Duration) -> Self {
        Self::Doubling { first: pause, longest: pause }
    }

    /// The pause after a failure that had `failures` before it.
    pub fn after(self, failures: u32) -> Duration {
        match self {
            Self::Steps(steps) => {
                let step = usize::try_from(failures).ok().and_then(|index| steps.get(index));
                step.or(steps.last()).copied().unwrap_or(SHORTEST)
            }
            Self::Doubling { first, longest } => {
                first.saturating_mul(2_u32.saturating_pow(failures)).min(longest)
            }
        }
    }
}

/// A deadline before which something is not asked, and the failures that move it.
#[derive(Debug)]
pub struct Pause {
    growth: Growth,
    /// Failures in a row.
    failures: u32,
    /// It rests until then; in the past, it is due.
    until: Instant,
    /// Seeded by the owner, so that a test sees the same pauses each time. Boxed, because most pauses have
    /// none.
    jitter: Option<Box<StdRng>>,
}

impl Pause {
    /// One that is over at `now`.
    pub fn new(growth: Growth, now: Instant) -> Self {
        Self { growth, failures: 0, until: now, jitter: None }
    }

    /// The [`BACK_OFF`], with jitter of its own for each `seed`; due at once.
    pub fn back_off(seed: u64) -> Self {
        Self::new(BACK_OFF, Instant::now()).with_jitter(StdRng::seed_from_u64(seed))
    }

    /// Stretches pauses by up to a fifth.
    pub fn with_jitter(self, rng: StdRng) -> Self {
        Self { jitter: Some(Box::new(rng)), ..self }
    }

    /// Continues after `failures` failures in a row.
    pub fn after(self, failures: u32) -> Self {
        Self { failures, ..self }
    }

    /// Moves the deadline before something is asked, so that what never comes back is not asked again at
    /// once. Counts no failure.
    pub fn begin(&mut self, now: Instant) -> Instant {
        self.rest(self.growth.after(self.failures), now)
    }

    /// Counts a failure. The new deadline lies in the future.
    pub fn failed(&mut self, now: Instant) -> Instant {
        self.failed_as(self.growth, now)
    }

    /// As [`Pause::failed`], for a kind of failure with pauses of its own.
    pub fn failed_as(&mut self, growth: Growth, now: Instant) -> Instant {
        let pause = self.next(growth);
        self.rest(pause, now)
    }

    /// The other side asked for this much (`Retry-After`): moves the deadline out, never closer.
    pub fn at_least(&mut self, floor: Duration, now: Instant) -> Instant {
        let before = self.until;
        let floor = self.stretched(floor);
        self.until = self.rest(floor, now).max(before);
        self.until
    }

    /// The end is known. Counts no failure; with jitter a second or two are added, so that it does not end a
    /// moment too early.
    pub fn wait(&mut self, left: Duration, now: Instant) -> Instant {
        let slack =
            self.jitter.as_mut().map_or(Duration::ZERO, |rng| SECOND.mul_f64(rng.random_range(1.0..2.0)));
        self.rest(left.saturating_add(slack), now)
    }

    /// Forgets the failures; it is due.
    pub fn succeeded(&mut self, now: Instant) {
        (self.failures, self.until) = (0, now);
    }

    /// Forgets the failures; it is due again after `every`.
    pub fn succeeded_for(&mut self, every: Duration, now: Instant) -> Instant {
        self.failures = 0;
        self.rest(every, now)
    }

    /// It is due, whatever failed before: something changed. Forgets no failure.
    pub fn end(&mut self, now: Instant) {
        self.until = self.until.min(now);
    }

    /// The deadline, or since when it is due.
    pub fn until(&self) -> Instant {
        self.until
    }

    pub fn rests(&self, now: Instant) -> bool {
        now < self.until
    }

    /// What is left of it; `None`: it is due.
    pub fn left(&self, now: Instant) -> Option<Duration> {
        self.until.checked_duration_since(now).filter(|left| !left.is_zero())
    }

    /// Failures in a row.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    fn rest(&mut self, pause: Duration, now: Instant) -> Instant {
        self.until = now + pause.clamp(SHORTEST, LONGEST);
        self.until
    }

    fn next(&mut self, growth: Growth) -> Duration {
        let pause = growth.after(self.failures);
        self.failures = self.failures.saturating_add(1);
        self.stretched(pause)
    }

    fn stretched(&mut self, pause: Duration) -> Duration {
        let pause = pause.min(LONGEST);
        self.jitter.as_mut().map_or(pause, |rng| pause.mul_f64(1.0 + rng.random_range(0.0..JITTER)))
    }
}

/// The contract of schedules that others know.
impl Backoff for Pause {
    /// Counts a failure.
    fn next_backoff(&mut self) -> Option<Duration> {
        Some(self.next(self.growth))
    }

    fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DOUBLING: Growth = Growth::Doubling { first: SECOND, longest: Duration::from_secs(60) };

    fn seconds(growth: Growth, failures: usize) -> Vec<u64> {
        let mut now = Instant::now();
        let mut pause = Pause::new(growth, now);
        let failed = |_| {
            let until = pause.failed(now);
            let seconds = (until - now).as_secs();
            now = until;
            seconds
        };
        (0..failures).map(failed).collect()
    }

    #[test]
    fn pauses_grow_by_steps_or_by_doubling_up_to_the_longest() {
        assert_eq!(seconds(BACK_OFF, 7), [5, 10, 30, 60, 120, 120, 120]);
        assert_eq!(seconds(DOUBLING, 8), [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(seconds(Growth::constant(9 * SECOND), 3), [9, 9, 9]);
        assert_eq!(seconds(Growth::Steps(&[]), 2), [1, 1]);
        assert_eq!(seconds(Growth::constant(Duration::ZERO), 2), [1, 1]);
        assert_eq!(DOUBLING.after(u32::MAX), 60 * SECOND);
    }

    #[test]
    fn a_success_starts_anew_and_an_end_forgets_nothing() {
        let now = Instant::now();
        let mut pause = Pause::new(BACK_OFF, now);
        assert!(!pause.rests(now), "it is due at first");
        assert_eq!(pause.begin(now), now + 5 * SECOND);
        assert_eq!((pause.failures(), pause.failed(now)), (0, now + 5 * SECOND));
        pause.end(now);
        assert_eq!((pause.left(now), pause.failed(now)), (None, now + 10 * SECOND));
        pause.succeeded(now);
        assert_eq!((pause.rests(now), pause.failed(now)), (false, now + 5 * SECOND));
        assert_eq!(pause.succeeded_for(300 * SECOND, now), now + 300 * SECOND);
        assert_eq!(pause.wait(40 * SECOND, now), now + 40 * SECOND);
        assert_eq!(pause.failures(), 0);
    }

    #[test]
    fn what_is_asked_for_moves_the_deadline_out_and_never_closer() {
        let now = Instant::now();
        let mut pause = Pause::new(BACK_OFF, now);
        pause.failed(now);
        assert_eq!(pause.at_least(SECOND, now), now + 5 * SECOND);
        assert_eq!(pause.at_least(300 * SECOND, now), now + 300 * SECOND);
        assert_eq!(pause.at_least(Duration::MAX, now), now + LONGEST);
    }

    #[test]
    fn those_that_fail_together_do_not_return_together() {
        let now = Instant::now();
        let seeded = |seed| Pause::new(BACK_OFF, now).with_jitter(StdRng::seed_from_u64(seed));
        let pauses: Vec<_> = (0..4).map(|seed| seeded(seed).failed(now)).collect();
        assert!(pauses.windows(2).all(|pair| pair[0] != pair[1]), "{pauses:?}");
        assert!(pauses.iter().all(|until| (5.0..6.0).contains(&(*until - now).as_secs_f64())), "{pauses:?}");
        let wait = seeded(1).wait(40 * SECOND, now) - now;
        assert!(wait > 41 * SECOND && wait < 42 * SECOND, "{wait:?}");
    }

    #[test]
    fn it_is_a_backoff_of_the_crate() {
        let mut pause = Pause::new(BACK_OFF, Instant::now());
        let contract: &mut dyn Backoff = &mut pause;
        assert_eq!([contract.next_backoff(), contract.next_backoff()], [Some(5 * SECOND), Some(10 * SECOND)]);
        contract.reset();
        assert_eq!(contract.next_backoff(), Some(5 * SECOND));
    }

    fn any_growth() -> impl Strategy<Value = Growth> {
        let duration = || prop_oneof![Just(Duration::ZERO), Just(Duration::MAX), any::<Duration>()];
        prop_oneof![
            Just(BACK_OFF),
            Just(Growth::Steps(&[])),
            Just(Growth::Steps(&[Duration::ZERO, Duration::MAX])),
            (duration(), duration()).prop_map(|(first, longest)| Growth::Doubling { first, longest }),
        ]
    }

    proptest! {
        #[test]
        fn after_any_failure_the_deadline_lies_in_the_future(
            growth in any_growth(), other in any_growth(),
            before in any::<u32>(), jitter in any::<Option<u64>>(),
            steps in proptest::collection::vec((0..8_u8, any::<Duration>(), 0..100_000_u32), 1..50),
        ) {
            let mut now = Instant::now();
            let mut pause = Pause::new(growth, now).after(before);
            if let Some(seed) = jitter {
                pause = pause.with_jitter(StdRng::seed_from_u64(seed));
            }
            for (what, figure, later) in steps {
                let known = pause.until();
                let (until, must_rest) = match what {
                    0 => (pause.failed(now), true),
                    1 => (pause.failed_as(other, now), true),
                    2 => (pause.begin(now), true),
                    3 => (pause.wait(figure, now), true),
                    4 => (pause.succeeded_for(figure, now), true),
                    5 => {
                        let until = pause.at_least(figure, now);
                        prop_assert!(until >= known);
                        (until, true)
                    }
                    6 => { pause.end(now); (pause.until(), false) }
                    _ => { pause.succeeded(now); (pause.until(), false) }
                };
                prop_assert_eq!(until, pause.until());
                prop_assert_eq!(pause.rests(now), must_rest);
                prop_assert!(until <= now + LONGEST || until == known);
                now += Duration::from_millis(later.into());
            }
        }
    }
}
