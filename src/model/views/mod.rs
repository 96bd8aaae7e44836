//! The bodies clients ask for, rendered from telemetry at most once and then shared as bytes.
//!
//! What depends on the clock (freshness, ages) is in [`status`]; it changes without new telemetry.

mod flat;
mod numbered;
pub mod status;

use std::sync::OnceLock;

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Value, json};

use super::Telemetry;

/// A body that depends on telemetry alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    Aggregates,
    Soe,
    Vitals,
    Strings,
    Temps,
    TempsPw,
    Alerts,
    AlertsPw,
    Fans,
    FansPw,
    Freq,
    Pod,
    Json,
    Csv,
    CsvV2,
    Version,
    /// `data` of a gateway's status, without its closing brace: the time of the reading follows.
    Data,
}

impl View {
    pub const COUNT: usize = Self::Data as usize + 1;

    /// The body when there is nothing to show: null where a document is missing, an empty object where clients
    /// look for keys, an empty column in a table. Never a number that nobody measured.
    pub fn empty(self) -> Bytes {
        Bytes::from_static(match self {
            Self::Aggregates | Self::Vitals | Self::Strings | Self::Soe | Self::Data => b"null",
            Self::Alerts => b"[]",
            Self::Json => flat::EMPTY_JSON,
            Self::Csv => b",,,,\n",
            Self::CsvV2 => b",,,,,,\n",
            Self::Version => br#"{"version":"Unknown","vint":0}"#,
            Self::Temps
            | Self::TempsPw
            | Self::AlertsPw
            | Self::Fans
            | Self::FansPw
            | Self::Freq
            | Self::Pod => b"{}",
        })
    }
}

/// One slot per view.
#[derive(Debug)]
pub struct ViewCache {
    slots: [OnceLock<Bytes>; View::COUNT],
}

impl Default for ViewCache {
    fn default() -> Self {
        Self { slots: [const { OnceLock::new() }; View::COUNT] }
    }
}

impl Telemetry {
    /// The bytes of `view`, rendered on first use.
    pub fn view(&self, view: View) -> Bytes {
        self.views.slots[view as usize].get_or_init(|| render(view, self)).clone()
    }
}

fn render(view: View, telemetry: &Telemetry) -> Bytes {
    let readings = &telemetry.readings;
    // Only views of documents derive them: the others must not cost a derivation.
    let documents = || telemetry.documents();
    match view {
        View::Aggregates => bytes(&documents().aggregates),
        View::Soe => {
            let raw = readings.charge.state_of_energy();
            bytes(&json!({ "percentage": raw, "raw_percentage": raw }))
        }
        View::Vitals => bytes(&documents().vitals),
        View::Strings => bytes(&documents().strings),
        View::Temps => object(&documents().temps),
        View::TempsPw => bytes(&numbered::temps(documents())),
        View::Alerts => bytes(&documents().alerts),
        View::AlertsPw => {
            bytes(&documents().alerts.iter().map(|name| (name.clone(), Value::from(1))).collect::<Value>())
        }
        View::Fans => object(&documents().fans),
        View::FansPw => bytes(&numbered::fans(&documents().fans)),
        View::Freq => bytes(&numbered::freq(readings, documents())),
        View::Pod => bytes(&numbered::pod(readings, documents())),
        View::Json => bytes(&flat::json(readings, &documents().strings)),
        View::Csv => flat::csv(readings, false).into(),
        View::CsvV2 => flat::csv(readings, true).into(),
        View::Version => bytes(&flat::version(readings.firmware.as_deref())),
        View::Data => status::data(telemetry),
    }
}

fn bytes(value: &impl Serialize) -> Bytes {
    // Serialising a tree of values into memory cannot fail.
    serde_json::to_vec(value).unwrap_or_default().into()
}

/// An object; `{}` where there is none.
fn object(value: &Value) -> Bytes {
    if value.is_object() { bytes(value) } else { Bytes::from_static(b"{}") }
}

#[cfg(test)]
mod tests;
