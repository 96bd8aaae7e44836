//! What is counted of polling over the life of a gateway, in bounded room: how long polls took, and why they
//! failed.

use std::time::Duration;

/// Upper bounds of the classes in which durations are counted, seconds. A last class holds what took longer.
pub const BOUNDS: [f64; 10] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// How long polls took, however they ended.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PollTimes {
    /// How many fell into each class; none is counted twice.
    classes: [u64; BOUNDS.len() + 1],
    /// Of all of them together.
    total: Duration,
}

impl PollTimes {
    pub fn record(&mut self, took: Duration) {
        let seconds = took.as_secs_f64();
        let class = BOUNDS.iter().position(|bound| seconds <= *bound).unwrap_or(BOUNDS.len());
        self.classes[class] += 1;
        self.total = self.total.saturating_add(took);
    }

    /// For each bound, how many took at most that long.
    pub fn at_most(&self) -> impl Iterator<Item = (f64, u64)> + '_ {
        BOUNDS.into_iter().zip(self.classes.iter().scan(0, |sum, count| {
            *sum += count;
            Some(*sum)
        }))
    }

    pub fn count(&self) -> u64 {
        self.classes.iter().sum()
    }

    pub fn total(&self) -> Duration {
        self.total
    }
}

/// How often polls failed, by kind of error. The kinds are words of this program, so there are few.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FailureTally(Vec<(&'static str, u64)>);

impl FailureTally {
    pub fn record(&mut self, kind: &'static str) {
        match self.0.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, count)) => *count += 1,
            None => self.0.push((kind, 1)),
        }
    }

    /// Every kind that occurred.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        self.0.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_duration_is_in_its_class_and_in_all_above() {
        let mut times = PollTimes::default();
        for milliseconds in [50, 51, 700, 90_000] {
            times.record(Duration::from_millis(milliseconds));
        }
        let at_most: Vec<_> = times.at_most().collect();
        assert_eq!(at_most[..2], [(0.05, 1), (0.1, 2)]);
        assert_eq!(at_most[4], (1.0, 3));
        assert_eq!(at_most[9], (60.0, 3), "what took longer is in the count alone");
        assert_eq!((times.count(), times.total()), (4, Duration::from_millis(90_801)));
    }

    #[test]
    fn failures_are_counted_by_kind() {
        let mut tally = FailureTally::default();
        ["timeout", "refused", "timeout"].into_iter().for_each(|kind| tally.record(kind));
        assert_eq!(tally.iter().collect::<Vec<_>>(), [("timeout", 2), ("refused", 1)]);
    }
}
