//! `/api/timeseries/…`: the history as pypowerwall-server 0.13 shows it, from what that server and this one
//! have recorded.

mod asked;
mod daily;
mod samples;
mod signal_list;
mod signals;
mod status;
mod trend;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::State;
use super::plumbing::{Refusal, json_value};
use super::tables::FORMATS;
use crate::model::energy::Flows;
use crate::model::{GatewayKind, Snapshot};
use crate::store::StoreError;
pub(super) use asked::Asked;
use asked::Wrong;

#[cfg(feature = "pictures")]
pub(super) use daily::of_today;
pub(super) use daily::{daily, today};
pub(super) use samples::samples;
pub(super) use signals::{of_units, serial_in, signal_trend, signals};
pub(super) use status::{Counted, status};
pub(super) use trend::trend;

/// Statuses of all of them.
pub(super) const ERRORS: &[(u16, &str)] =
    &[(422, "A parameter is not valid"), (503, "The file cannot be read, or takes too long")];
const GATEWAY: (&str, &str) = ("gateway", "id of a gateway; all if absent");
pub(super) const OF_DAILY: &[(&str, &str)] = &[
    ("days", "how many days, 1 to 366; 7 if absent"),
    GATEWAY,
    ("start", "the first day, as 2026-11-25; days does not count then"),
    ("end", "the last day"),
];
pub(super) const OF_TREND: &[(&str, &str)] = &[
    ("hours", "how many hours up to end, 1 to 168; 24 if absent"),
    GATEWAY,
    ("start", "Unix seconds"),
    ("end", "Unix seconds"),
    ("fit", "true: from the first to the last sample that is kept"),
];
pub(super) const OF_SAMPLES: &[(&str, &str)] = &[
    GATEWAY,
    ("start", "Unix seconds"),
    ("end", "Unix seconds"),
    ("limit", "how many at most, the newest ones; 1 to 10000; 500 if absent; with format, all of them"),
    ("format", FORMATS),
];

pub(super) const OF_SIGNALS: &[(&str, &str)] = &[
    GATEWAY,
    ("format", "csv or jsonl (a JSON object for each row): every value, of any length"),
    ("start", "Unix seconds; with format"),
    ("end", "Unix seconds; with format"),
    ("resolution", "raw or daily; with format; raw if absent"),
];
pub(super) const OF_SIGNAL_TREND: &[(&str, &str)] = &[
    ("metrics", "ids of signals with commas; all if absent"),
    ("devices", "keys of devices with commas; all if absent"),
    GATEWAY,
    ("start", "Unix seconds"),
    ("end", "Unix seconds"),
    ("hours", "how many hours up to end, 1 to 87840; 24 if absent"),
    ("resolution", "auto, raw or daily; auto if absent"),
];

/// Why a question is not answered.
pub(super) enum Unanswered {
    Wrong(Wrong),
    Store(StoreError),
}

impl From<Wrong> for Unanswered {
    fn from(wrong: Wrong) -> Self {
        Self::Wrong(wrong)
    }
}

impl From<StoreError> for Unanswered {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Unanswered {
    fn answer(self) -> HttpResponse {
        match self {
            Self::Wrong(wrong) => wrong.answer(),
            Self::Store(error) => {
                Refusal::new(StatusCode::SERVICE_UNAVAILABLE, format!("the history: {error}")).answer()
            }
        }
    }
}

/// The answer with `body`, or why there is none.
pub(super) fn answered(body: Result<Value, Unanswered>) -> HttpResponse {
    match body {
        Ok(body) => json_value(StatusCode::OK, &body),
        Err(unanswered) => unanswered.answer(),
    }
}

/// The name of each flow in the documents of the server before.
const NAMES: [&str; 6] =
    ["solar", "home", "battery_charge", "battery_discharge", "grid_import", "grid_export"];

/// The flows as members of a document, each with `unit` behind its name. Unknown is null.
fn put_flows(document: &mut Map<String, Value>, flows: &Flows<Option<f64>>, unit: &str) {
    for (name, value) in NAMES.iter().zip(flows.0) {
        document.insert(format!("{name}_{unit}"), json!(value));
    }
}

/// The zone of a gateway's site, as far as the gateway or the settings say.
pub(super) fn zone_of(snapshot: &Snapshot) -> Option<String> {
    let telemetry = snapshot.telemetry(Instant::now());
    let reported = telemetry.and_then(|telemetry| telemetry.readings.timezone.clone());
    reported.or_else(|| snapshot.gateway.timezone.clone())
}

/// Whether the site of the gateway `id` has a battery, as far as the settings say.
pub(super) fn has_battery(state: &State, id: &str) -> bool {
    let entry = state.directory.get(id);
    entry.is_none_or(|entry| entry.board.glance().gateway.kind != GatewayKind::Inverter)
}

/// The ids of all configured gateways, in configured order.
fn configured(state: &State) -> Vec<String> {
    state.directory.all().iter().map(|entry| entry.id.clone()).collect()
}
