//! What the log says while the broker is away: when it begins, each new kind of trouble once, a reminder now
//! and then, and when it is over.

use std::mem::{Discriminant, discriminant};
use std::time::Duration;

use log::{info, warn};
use tokio::time::Instant;

use super::connect::LineError;
use crate::gateway::outage::in_words;

/// Between two lines that say nothing new.
const REMINDER: Duration = Duration::from_secs(3600);

/// One time without a broker.
pub(super) struct Outage {
    began: Instant,
    /// Attempts to connect that failed.
    failures: u32,
    /// The kinds of error that have been logged.
    logged: Vec<Discriminant<LineError>>,
    /// When something was logged last.
    spoke: Instant,
}

impl Outage {
    /// Logs that it begins.
    pub fn begin(error: &LineError, now: Instant) -> Self {
        warn!(event = "mqtt_outage_began"; "MQTT: {error}; retrying");
        Self { began: now, failures: 1, logged: vec![discriminant(error)], spoke: now }
    }

    /// Logs another failure, if it is news.
    pub fn goes_on(&mut self, error: &LineError, now: Instant) {
        self.failures += 1;
        let kind = discriminant(error);
        let is_new = !self.logged.contains(&kind);
        if is_new {
            self.logged.push(kind);
        } else if now - self.spoke < REMINDER {
            return;
        }
        self.spoke = now;
        let (failures, lasts) = (self.failures, now - self.began);
        warn!(
            event = "mqtt_outage_goes_on", failures = failures, seconds = lasts.as_secs();
            "MQTT: {error} (no broker for {}, {failures} attempts)", in_words(lasts)
        );
    }

    /// Logs that it is over.
    pub fn end(self, broker: &str, now: Instant) {
        let (failures, lasted) = (self.failures, now - self.began);
        info!(
            event = "mqtt_outage_ended", failures = failures, seconds = lasted.as_secs();
            "MQTT: connected to {broker} after {} and {failures} attempts", in_words(lasted)
        );
    }
}
