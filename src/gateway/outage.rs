//! What the log says of an outage: when it begins, each new kind of trouble once, a reminder now and then,
//! and when it is over, with how long it took. A gateway that is down for a night must not fill the log.

use std::time::Duration;

use log::{debug, info, warn};
use tokio::time::Instant;

use crate::link::LinkError;
use crate::model::Health;

/// Between two lines that say nothing new.
const REMINDER: Duration = Duration::from_secs(3600);

/// What has been said of the present outage.
#[derive(Debug, Default)]
pub(super) struct OutageLog {
    /// The kinds of error that have been logged.
    logged: Vec<&'static str>,
    /// When something was logged last.
    spoke: Option<Instant>,
    /// When a cool-down that slow data brought was logged last.
    logged_cool_down: Option<Instant>,
}

impl OutageLog {
    /// Logs a failed poll, if it is news. `health` counts this failure already.
    pub fn failed(&mut self, id: &str, health: &Health, error: &LinkError, now: Instant) {
        let (kind, status) = (error.kind(), error.status());
        let (failures, lasts) = (health.consecutive_failures, lasts(health, now));
        let is_new = !self.logged.contains(&kind);
        if self.logged.is_empty() && failures <= 1 {
            warn!(gateway = id, event = "outage_began", kind = kind, status = status; "gateway {id}: \
                {error}");
        } else if is_new || self.spoke.is_none_or(|spoke| now - spoke >= REMINDER) {
            warn!(
                gateway = id, event = "outage_goes_on", kind = kind, status = status, failures = failures,
                seconds = lasts.as_secs();
                "gateway {id}: {error} (out of reach for {}, {failures} failed polls)", in_words(lasts)
            );
        } else {
            return;
        }
        if is_new {
            self.logged.push(kind);
        }
        self.spoke = Some(now);
    }

    /// Logs that slow data was answered with a cool-down: once an hour, as a gateway may do so for days.
    pub fn cools_down(&mut self, id: &str, error: &LinkError, pause: Duration, now: Instant) {
        if self.logged_cool_down.is_some_and(|reported| now - reported < REMINDER) {
            return;
        }
        self.logged_cool_down = Some(now);
        let (kind, status, seconds) = (error.kind(), error.status(), pause.as_secs());
        warn!(
            gateway = id, event = "cool_down", kind = kind, status = status, seconds = seconds;
            "gateway {id}: {error}; cooling down for {}", in_words(pause)
        );
    }

    /// Logs that a poll succeeded, if that is news. `health` still counts the failures before it.
    pub fn succeeded(&mut self, id: &str, health: &Health, latency: Duration, now: Instant) {
        let latency = latency.as_millis() as u64;
        let (failures, lasted) = (health.consecutive_failures, lasts(health, now));
        *self = Self { logged_cool_down: self.logged_cool_down, ..Self::default() };
        if failures > 0 {
            info!(
                gateway = id, event = "outage_ended", failures = failures, seconds = lasted.as_secs(),
                latency_ms = latency;
                "gateway {id}: reachable again after {} and {failures} failed polls", in_words(lasted)
            );
        } else if health.latency.is_none() {
            info!(gateway = id, event = "first_data", latency_ms = latency; "gateway {id}: first data");
        } else {
            debug!(gateway = id, event = "polled", latency_ms = latency; "gateway {id}: polled in {latency} \
                ms");
        }
    }
}

/// How long the present outage has been going on.
fn lasts(health: &Health, now: Instant) -> Duration {
    health.failing_since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
}

/// In the two largest units.
pub(crate) fn in_words(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, Once};

    use log::kv::Key;
    use log::{LevelFilter, Log, Metadata, Record};

    use super::*;
    use crate::model::ErrorNote;

    /// Keeps what is logged with a gateway, its event and its count of failures.
    struct Kept(Mutex<Vec<(String, String, Option<u64>)>>);

    static KEPT: Kept = Kept(Mutex::new(Vec::new()));
    static INSTALLED: Once = Once::new();

    impl Log for Kept {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }

        fn log(&self, record: &Record<'_>) {
            let value = |key| record.key_values().get(Key::from_str(key));
            let Some((gateway, event)) = value("gateway").zip(value("event")) else { return };
            let failures = value("failures").and_then(|failures| failures.to_u64());
            self.0.lock().unwrap().push((gateway.to_string(), event.to_string(), failures));
        }

        fn flush(&self) {}
    }

    /// The lines about `id`, which no other test may use.
    fn lines(id: &str) -> Vec<(String, Option<u64>)> {
        let kept = KEPT.0.lock().unwrap();
        let of_gateway = kept.iter().filter(|(gateway, ..)| gateway == id);
        of_gateway.map(|(_, event, failures)| (event.clone(), *failures)).collect()
    }

    fn keep_lines() {
        INSTALLED.call_once(|| {
            log::set_logger(&KEPT).unwrap();
            log::set_max_level(LevelFilter::Trace);
        });
    }

    fn slow() -> LinkError {
        LinkError::Timeout(Duration::from_secs(5))
    }

    fn broken() -> LinkError {
        LinkError::Status { status: 500, what: "the status query".into() }
    }

    fn note(error: &LinkError) -> ErrorNote {
        ErrorNote { kind: error.kind(), message: error.to_string() }
    }

    fn line(event: &str, failures: impl Into<Option<u64>>) -> (String, Option<u64>) {
        (event.to_owned(), failures.into())
    }

    #[test]
    fn a_night_out_of_reach_is_a_beginning_a_line_an_hour_and_an_end() {
        keep_lines();
        let (mut log, mut health, start) = (OutageLog::default(), Health::default(), Instant::now());
        let id = "night";
        log.succeeded(id, &health, Duration::from_millis(40), start);
        health.latency = Some(Duration::from_millis(40));
        // Two kinds by turns, every two minutes, for three hours and a half.
        for poll in 0..106_u32 {
            let now = start + poll * Duration::from_secs(120);
            let error = if poll % 2 == 0 { slow() } else { broken() };
            health.count_failure(note(&error), now);
            log.failed(id, &health, &error, now);
        }
        log.succeeded(id, &health, Duration::from_millis(40), start + Duration::from_secs(106 * 120));
        let expected = [
            line("first_data", None),
            line("outage_began", None),
            line("outage_goes_on", 2), // the other kind
            line("outage_goes_on", 32),
            line("outage_goes_on", 62),
            line("outage_goes_on", 92),
            line("outage_ended", 106),
        ];
        assert_eq!(lines(id), expected);
    }

    #[test]
    fn the_next_outage_is_logged_anew() {
        keep_lines();
        let (mut log, now) = (OutageLog::default(), Instant::now());
        let id = "again";
        for _ in 0..2 {
            let mut health = Health::default();
            for _ in 0..3 {
                health.count_failure(note(&slow()), now);
                log.failed(id, &health, &slow(), now);
            }
            log.succeeded(id, &health, Duration::ZERO, now);
        }
        let once = [line("outage_began", None), line("outage_ended", 3)];
        assert_eq!(lines(id), [once.clone(), once].concat());
    }

    #[test]
    fn an_actor_that_takes_over_in_the_middle_does_not_call_it_a_new_outage() {
        keep_lines();
        let (mut health, now) = (Health::default(), Instant::now());
        health.count_failure(ErrorNote { kind: "crashed", message: String::new() }, now);
        health.count_failure(note(&slow()), now);
        OutageLog::default().failed("heir", &health, &slow(), now);
        assert_eq!(lines("heir"), [line("outage_goes_on", 2)]);
    }

    #[test]
    fn durations_are_written_in_their_two_largest_units() {
        let words = [0, 59, 61, 3_599, 3_661, 90_000].map(|seconds| in_words(Duration::from_secs(seconds)));
        assert_eq!(words, ["0 s", "59 s", "1 min 1 s", "59 min 59 s", "1 h 1 min", "1 d 1 h"]);
    }
}
