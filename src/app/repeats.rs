//! Lines of the libraries below us that come again and again: one a minute of each kind.
//!
//! What a library logs may follow from what a stranger sends, such as a line for every malformed request.
//! What this program logs itself is limited where it is logged.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use log::{Level, Log, Metadata, Record};
use tokio::time::Instant;

const LINE_EVERY: Duration = Duration::from_secs(60);
/// Kinds remembered at the same time. More are one kind.
const MOST_KINDS: usize = 64;

/// Passes on to another logger what has not just been said.
pub(super) struct Repeats<L> {
    logger: L,
    kinds: Mutex<HashMap<String, Kind>>,
}

/// Lines that differ in nothing but the time.
struct Kind {
    logged: Instant,
    /// Lines left out since then.
    left_out: u64,
}

impl<L: Log> Repeats<L> {
    pub fn new(logger: L) -> Self {
        Self { logger, kinds: Mutex::default() }
    }

    /// Whether a line of `kind` is due, and how many have been left out before it.
    fn due(&self, kind: &str, now: Instant) -> Option<u64> {
        let mut kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        let kind = if kinds.contains_key(kind) || kinds.len() < MOST_KINDS { kind } else { "" };
        let Some(known) = kinds.get_mut(kind) else {
            kinds.insert(kind.to_owned(), Kind { logged: now, left_out: 0 });
            return Some(0);
        };
        if now.saturating_duration_since(known.logged) < LINE_EVERY {
            known.left_out += 1;
            return None;
        }
        known.logged = now;
        Some(std::mem::take(&mut known.left_out))
    }
}

/// Whether a record is of the kind that strangers can cause.
fn is_of_a_library(record: &Record<'_>) -> bool {
    record.level() <= Level::Warn && !record.target().starts_with(env!("CARGO_CRATE_NAME"))
}

impl<L: Log> Log for Repeats<L> {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.logger.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if !is_of_a_library(record) || !self.enabled(record.metadata()) {
            return self.logger.log(record);
        }
        let message = record.args().as_str().map_or_else(|| record.args().to_string().into(), Cow::Borrowed);
        let kind = format!("{} {message}", record.target());
        match self.due(&kind, Instant::now()) {
            Some(0) => self.logger.log(record),
            Some(left_out) => {
                let args = format_args!("{message} (and {left_out} more such lines before)");
                self.logger.log(&record.to_builder().args(args).build());
            }
            None => {}
        }
    }

    fn flush(&self) {
        self.logger.flush();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::time::advance;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<String>>>);

    impl Log for Lines {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }

        fn log(&self, record: &Record<'_>) {
            self.0.lock().unwrap().push(record.args().to_string());
        }

        fn flush(&self) {}
    }

    fn say(repeats: &Repeats<Lines>, level: Level, target: &str, message: &str) {
        repeats.log(&Record::builder().level(level).target(target).args(format_args!("{message}")).build());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_said_again_is_one_line_a_minute_of_each_kind() {
        let lines = Lines::default();
        let repeats = Repeats::new(lines.clone());
        for _ in 0..100 {
            say(&repeats, Level::Error, "actix_http::h1", "bad version");
            say(&repeats, Level::Error, "actix_http::h1", "bad header");
        }
        assert_eq!(*lines.0.lock().unwrap(), ["bad version", "bad header"]);
        advance(LINE_EVERY).await;
        say(&repeats, Level::Error, "actix_http::h1", "bad version");
        assert_eq!(lines.0.lock().unwrap()[2], "bad version (and 99 more such lines before)");
        advance(LINE_EVERY).await;
        say(&repeats, Level::Error, "actix_http::h1", "bad version");
        assert_eq!(lines.0.lock().unwrap()[3], "bad version");
    }

    #[tokio::test(start_paused = true)]
    async fn our_own_lines_and_those_somebody_asked_for_are_all_there() {
        let lines = Lines::default();
        let repeats = Repeats::new(lines.clone());
        for _ in 0..3 {
            say(&repeats, Level::Warn, "powerwall_server::gateway", "gone");
            say(&repeats, Level::Debug, "actix_http::h1", "details");
        }
        assert_eq!(lines.0.lock().unwrap().len(), 6);
    }

    #[tokio::test(start_paused = true)]
    async fn kinds_that_somebody_makes_up_are_bounded() {
        let lines = Lines::default();
        let repeats = Repeats::new(lines.clone());
        for number in 0..10_000 {
            say(&repeats, Level::Error, "library", &number.to_string());
        }
        assert_eq!(lines.0.lock().unwrap().len(), MOST_KINDS + 1);
        assert_eq!(repeats.kinds.lock().unwrap().len(), MOST_KINDS + 1);
    }
}
