//! What the owners API reports of a site beyond live status and site information, each asked for now and
//! then: charge as its products page has it, hours of backup, the tariff. Any of them may be gone any day.

use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use tokio::time::Instant;

use crate::link::json::Look;
use crate::model::Number;

/// After a failure, one is left alone for this long.
const REST: Duration = Duration::from_secs(3600);
/// What may not be asked yet is looked at again after this long.
const LATER: Duration = Duration::from_secs(60);
/// Hours of backup count for this long.
const HOURS_HOLD: Duration = Duration::from_secs(1200);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::link::tesla) enum Extra {
    Hours,
    Status,
    Tariff,
}

impl Extra {
    const ALL: [Self; 3] = [Self::Hours, Self::Status, Self::Tariff];

    /// Below the site.
    pub fn endpoint(self) -> &'static str {
        match self {
            Self::Hours => "backup_time_remaining?language=en",
            Self::Status => "site_status?language=en",
            Self::Tariff => "tariff_rate",
        }
    }

    /// For a person.
    pub fn what(self) -> &'static str {
        match self {
            Self::Hours => "hours of backup",
            Self::Status => "site status",
            Self::Tariff => "tariff",
        }
    }

    fn every(self) -> Duration {
        Duration::from_secs(match self {
            Self::Hours | Self::Status => 600,
            Self::Tariff => 3600,
        })
    }
}

/// When each is due.
#[derive(Debug)]
pub(in crate::link::tesla) struct Due([Instant; Extra::ALL.len()]);

impl Due {
    pub fn now() -> Self {
        Self([Instant::now(); Extra::ALL.len()])
    }

    /// One that is due.
    pub fn first(&self, now: Instant) -> Option<Extra> {
        Extra::ALL.into_iter().find(|extra| self.0[*extra as usize] <= now)
    }

    /// It was asked for, and came.
    pub fn came(&mut self, extra: Extra, now: Instant) {
        self.0[extra as usize] = now + extra.every();
    }

    /// It was asked for, and did not come.
    pub fn failed(&mut self, extra: Extra, now: Instant) {
        self.0[extra as usize] = now + REST;
    }

    /// It could not be asked for.
    pub fn later(&mut self, extra: Extra, now: Instant) {
        self.0[extra as usize] = now + LATER;
    }
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub(in crate::link::tesla) struct Extras {
    /// `site_status`, as received.
    pub status: Option<Bytes>,
    /// `tariff_rate`, as received.
    pub tariff: Option<Bytes>,
    hours: Option<(Number, Instant)>,
}

impl Extras {
    /// Takes over an answer. One that reports nothing leaves nothing.
    pub fn accept(&mut self, extra: Extra, body: Bytes) {
        let parsed: Value = serde_json::from_slice(&body).unwrap_or_default();
        let response = parsed.at(&["response"]);
        let reported = response.is_object().then_some(body);
        match extra {
            Extra::Status => self.status = reported,
            // An answer in words that hold JSON is one, too.
            Extra::Tariff => self.tariff = reported.or_else(|| in_words(response)),
            Extra::Hours => {
                let hours = response.at(&["time_remaining_hours"]).number();
                self.hours = hours.map(|hours| (hours, Instant::now()));
            }
        }
    }

    /// Hours of backup, while they are not old.
    pub fn hours(&self) -> Option<Number> {
        self.hours.filter(|(_, taken)| taken.elapsed() < HOURS_HOLD).map(|(hours, _)| hours)
    }

    /// Bytes, as they were received.
    pub fn size(&self) -> usize {
        [&self.status, &self.tariff].into_iter().flatten().map(Bytes::len).sum()
    }
}

fn in_words(response: &Value) -> Option<Bytes> {
    let parsed: Value = serde_json::from_str(response.as_str()?.trim()).ok()?;
    parsed.is_object().then(|| serde_json::json!({ "response": parsed }).to_string().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_is_due_on_its_own_and_what_fails_waits() {
        let (mut due, now) = (Due::now(), Instant::now());
        assert_eq!(due.first(now), Some(Extra::Hours));
        due.failed(Extra::Hours, now);
        due.came(Extra::Status, now);
        assert_eq!(due.first(now), Some(Extra::Tariff));
        due.later(Extra::Tariff, now);
        assert_eq!(due.first(now), None);
        assert_eq!(due.first(now + LATER), Some(Extra::Tariff));
        due.came(Extra::Tariff, now);
        assert_eq!(due.first(now + Duration::from_secs(600)), Some(Extra::Status));
        assert_eq!(due.first(now + REST), Some(Extra::Hours));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_reported_is_unknown_and_what_is_old_too() {
        let mut extras = Extras::default();
        let accept = |extras: &mut Extras, extra, body: &'static str| extras.accept(extra, body.into());
        accept(&mut extras, Extra::Hours, r#"{"response":{"time_remaining_hours":9.5}}"#);
        assert_eq!(extras.hours().map(Number::as_f64), Some(9.5));
        tokio::time::sleep(HOURS_HOLD).await;
        assert_eq!(extras.hours(), None);
        accept(&mut extras, Extra::Hours, r#"{"response":{}}"#);
        accept(&mut extras, Extra::Status, r#"{"response":null}"#);
        accept(&mut extras, Extra::Tariff, r#"{"response":""}"#);
        assert_eq!((extras.hours(), &extras.status, &extras.tariff), (None, &None, &None));
        accept(&mut extras, Extra::Tariff, "{\"response\":\"{\\\"name\\\":\\\"Night\\\"}\\n\"}");
        assert_eq!(extras.tariff.as_deref(), Some(&br#"{"response":{"name":"Night"}}"#[..]));
    }
}
