//! What Tesla reports of a site beyond live status and site information, each asked for now and then: charge
//! as its products page has it, grid outages, and over the owners API hours of backup and the tariff. Any of
//! them may be gone any day; what a site does not have is asked for once a day.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use tokio::time::Instant;

use super::error::TeslaError;
use super::outages;
use crate::link::json::Look;
use crate::model::{GridOutage, LinkKind, Number};

/// After a failure, one is left alone for this long.
const REST: Duration = Duration::from_secs(3600);
/// What does not exist, or is not for us, is left alone for this long.
const GONE: Duration = Duration::from_secs(86_400);
/// What costs and changes rarely is asked for this often.
const RARELY: Duration = Duration::from_secs(6 * 3600);
/// What may not be asked yet is looked at again after this long.
const LATER: Duration = Duration::from_secs(60);
/// Hours of backup count for this long.
const HOURS_HOLD: Duration = Duration::from_secs(1200);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extra {
    Hours,
    Status,
    Tariff,
    Outages,
}

impl Extra {
    const ALL: [Self; 4] = [Self::Hours, Self::Status, Self::Tariff, Self::Outages];

    /// Those that an API has. FleetAPI has the tariff in its site information, and hours of backup would cost
    /// as much as everything else that can wait.
    fn of(kind: LinkKind) -> &'static [Self] {
        match kind {
            LinkKind::Cloud => &Self::ALL,
            _ => &[Self::Status, Self::Outages],
        }
    }

    /// Below the site, which is in `zone`; the owners API wants a language.
    pub fn endpoint(self, kind: LinkKind, zone: Option<&str>) -> String {
        let language = if kind == LinkKind::Cloud { "?language=en" } else { "" };
        match self {
            Self::Hours => format!("backup_time_remaining{language}"),
            Self::Status => format!("site_status{language}"),
            Self::Tariff => "tariff_rate".into(),
            Self::Outages => format!("calendar_history?{}", outages::query(kind, zone)),
        }
    }

    /// For a person.
    pub fn what(self) -> &'static str {
        match self {
            Self::Hours => "hours of backup",
            Self::Status => "site status",
            Self::Tariff => "tariff",
            Self::Outages => "grid outages",
        }
    }

    fn every(self, kind: LinkKind) -> Duration {
        match (self, kind) {
            (Self::Outages, _) => RARELY,
            // The owners API has no prices.
            (Self::Hours | Self::Status, LinkKind::Cloud) => Duration::from_secs(600),
            (Self::Hours | Self::Status, _) => RARELY,
            (Self::Tariff, _) => Duration::from_secs(3600),
        }
    }
}

/// When each is due.
#[derive(Debug)]
pub(super) struct Due {
    kind: LinkKind,
    at: [Instant; Extra::ALL.len()],
}

impl Due {
    /// All that the API of `kind` has, now.
    pub fn now(kind: LinkKind) -> Self {
        Self { kind, at: [Instant::now(); Extra::ALL.len()] }
    }

    /// One that is due.
    pub fn first(&self, now: Instant) -> Option<Extra> {
        Extra::of(self.kind).iter().copied().find(|extra| self.at[*extra as usize] <= now)
    }

    /// It was asked for, and came.
    pub fn came(&mut self, extra: Extra, now: Instant) {
        self.at[extra as usize] = now + extra.every(self.kind);
    }

    /// It was asked for, and did not come.
    pub fn failed(&mut self, extra: Extra, error: &TeslaError, now: Instant) {
        let is_gone = matches!(
            error,
            TeslaError::NotFound(_)
                | TeslaError::NoPermission(_)
                | TeslaError::Refused(_)
                | TeslaError::Gone { .. }
        );
        self.at[extra as usize] = now + if is_gone { GONE } else { REST };
    }

    /// It could not be asked for.
    pub fn later(&mut self, extra: Extra, now: Instant) {
        self.at[extra as usize] = now + LATER;
    }
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Extras {
    /// `site_status`, as received.
    pub status: Option<Bytes>,
    /// `tariff_rate`, as received.
    pub tariff: Option<Bytes>,
    /// The newest grid outages.
    pub outages: Option<Arc<[GridOutage]>>,
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
            // A list that does not come leaves the one before it: what has happened has happened.
            Extra::Outages => self.outages = outages::listed(response).or(self.outages.take()),
        }
    }

    /// Hours of backup, while they are not old.
    pub fn hours(&self) -> Option<Number> {
        self.hours.filter(|(_, taken)| taken.elapsed() < HOURS_HOLD).map(|(hours, _)| hours)
    }

    /// Bytes, as they were received.
    pub fn size(&self) -> usize {
        let bodies: usize = [&self.status, &self.tariff].into_iter().flatten().map(Bytes::len).sum();
        bodies + self.outages.as_ref().map_or(0, |outages| size_of_val(&**outages))
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
        let (mut due, now) = (Due::now(LinkKind::Cloud), Instant::now());
        assert_eq!(due.first(now), Some(Extra::Hours));
        due.failed(Extra::Hours, &TeslaError::Busy(503), now);
        due.came(Extra::Status, now);
        assert_eq!(due.first(now), Some(Extra::Tariff));
        due.later(Extra::Tariff, now);
        due.failed(Extra::Outages, &TeslaError::NotFound("grid outages".into()), now);
        assert_eq!(due.first(now), None);
        assert_eq!(due.first(now + LATER), Some(Extra::Tariff));
        due.came(Extra::Tariff, now);
        assert_eq!(due.first(now + Duration::from_secs(600)), Some(Extra::Status));
        assert_eq!(due.first(now + REST), Some(Extra::Hours));
        [Extra::Hours, Extra::Status, Extra::Tariff].iter().for_each(|extra| due.came(*extra, now + GONE));
        assert_eq!((due.first(now + GONE - LATER), due.first(now + GONE)), (None, Some(Extra::Outages)));
    }

    #[tokio::test(start_paused = true)]
    async fn fleetapi_is_asked_for_little_and_rarely() {
        let (mut due, now) = (Due::now(LinkKind::FleetApi), Instant::now());
        for extra in [Extra::Status, Extra::Outages] {
            assert_eq!(due.first(now), Some(extra));
            due.came(extra, now);
        }
        assert_eq!((due.first(now + RARELY - LATER), due.first(now + RARELY)), (None, Some(Extra::Status)));
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
        let list = r#"{"response":{"events":[{"timestamp":"2026-09-21T14:13:20-07:00","duration":90000}]}}"#;
        accept(&mut extras, Extra::Outages, list);
        accept(&mut extras, Extra::Outages, r#"{"response":null}"#);
        assert_eq!(extras.outages.map(|list| list.len()), Some(1), "what has happened has happened");
    }
}
