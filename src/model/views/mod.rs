//! The bodies clients ask for, rendered from telemetry at most once and then shared as bytes.
//!
//! What depends on the clock (freshness, ages) is in [`status`]; it changes without new telemetry.

mod customer;
mod flat;
pub mod live;
pub mod numbered;
mod pw;
pub mod status;

use std::sync::OnceLock;

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Value, json};

use super::tedapi::{Payloads, redacted};
use super::{RawPercent, Telemetry};

/// The gateway was read, but this part of it not yet, or it has none.
const NOT_RECEIVED: &[u8] = br#"{"error":"TEDAPI not enabled or unavailable"}"#;

/// A body that depends on telemetry alone. What a route sends without telemetry is the route's business.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    Aggregates,
    Soe,
    Battery,
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
    SystemStatus,
    SystemSoe,
    GridStatus,
    Status,
    SiteInfo,
    MetersSite,
    MetersSolar,
    Powerwalls,
    TedapiConfig,
    TedapiStatus,
    TedapiController,
    TedapiComponents,
    TedapiBattery,
    PwLevel,
    PwPower,
    PwSite,
    PwSolar,
    PwBattery,
    PwLoad,
    PwBatteryBlocks,
    PwStrings,
    PwDin,
    PwUptime,
    PwSiteName,
    PwAlerts,
    PwReserve,
    PwMode,
    PwTimeRemaining,
    /// `data` of a gateway's status, without its closing brace: the time of the reading follows.
    Data,
}

impl View {
    pub const COUNT: usize = Self::Data as usize + 1;
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
        self.views.content().slots[view as usize].get_or_init(|| render(view, self)).clone()
    }
}

fn render(view: View, telemetry: &Telemetry) -> Bytes {
    let readings = &telemetry.readings;
    let zeros = telemetry.adjustments().legacy_zeros;
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
        View::TempsPw => bytes(&numbered::temps(&documents())),
        View::Alerts => bytes(&documents().alerts),
        View::AlertsPw => {
            bytes(&documents().alerts.iter().map(|name| (name.clone(), Value::from(1))).collect::<Value>())
        }
        View::Fans => object(&documents().fans),
        View::FansPw => bytes(&numbered::fans(&documents())),
        View::Freq => bytes(&numbered::freq(readings, &documents())),
        View::Pod => bytes(&numbered::pod(readings, &documents())),
        View::Json => bytes(&flat::json(readings, &documents().strings, zeros)),
        View::Csv => flat::csv(readings, false, zeros).into(),
        View::CsvV2 => flat::csv(readings, true, zeros).into(),
        View::Version => bytes(&flat::version(readings.firmware.as_deref())),
        View::Battery => bytes(&json!({ "power": flat::number(readings.power.battery, zeros) })),
        View::SystemStatus => object(&documents().system_status),
        View::SystemSoe => bytes(&customer::state_of_energy(readings)),
        View::GridStatus => bytes(&customer::grid_status(&documents())),
        View::Status => object(&documents().status),
        View::SiteInfo => object(&documents().site_info),
        View::MetersSite => bytes(&customer::meters(&documents(), "site")),
        View::MetersSolar => bytes(&customer::meters(&documents(), "solar")),
        View::Powerwalls => bytes(&customer::powerwalls(readings, &documents())),
        View::TedapiConfig => known(redacted(&documents().config)),
        View::TedapiStatus => answer(telemetry.payloads().and_then(Payloads::raw_status)),
        View::TedapiController => answer(telemetry.payloads().and_then(Payloads::raw_controller)),
        View::TedapiComponents => telemetry.payloads().map_or_else(|| answer(None), components),
        View::TedapiBattery => {
            known(redacted(documents().config.get("battery_blocks").unwrap_or(&Value::Null)))
        }
        View::PwLevel => bytes(&json!({ "level": readings.charge.state_of_energy() })),
        View::PwPower => bytes(&pw::power(&readings.power, zeros)),
        View::PwSite => bytes(&pw::section(&documents(), "site")),
        View::PwSolar => bytes(&pw::section(&documents(), "solar")),
        View::PwBattery => bytes(&pw::section(&documents(), "battery")),
        View::PwLoad => bytes(&pw::section(&documents(), "load")),
        View::PwBatteryBlocks => bytes(&pw::battery_blocks(&documents())),
        View::PwStrings => bytes(&pw::strings(&documents())),
        View::PwDin => bytes(&json!({ "din": readings.din })),
        View::PwUptime => bytes(&json!({ "uptime": documents().status.get("up_time_seconds") })),
        View::PwSiteName => bytes(&json!({ "site_name": readings.site_name })),
        View::PwAlerts => bytes(&json!({ "alerts": documents().alerts })),
        View::PwReserve => bytes(&json!({ "reserve": readings.reserve.map(RawPercent::to_app_reserve) })),
        View::PwMode => bytes(&json!({ "mode": readings.mode })),
        View::PwTimeRemaining => bytes(&json!({ "time_remaining": readings.time_remaining })),
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

/// What the gateway sent, private values masked.
fn answer(answer: Option<&Bytes>) -> Bytes {
    let parsed = answer.and_then(|answer| serde_json::from_slice(answer).ok());
    known(redacted(&parsed.unwrap_or_default()))
}

fn known(document: Value) -> Bytes {
    if document.is_null() { Bytes::from_static(NOT_RECEIVED) } else { bytes(&document) }
}

/// The leader's components, with those of the other units beside them; a Powerwall 2 has them in its controller.
fn components(payloads: &Payloads) -> Bytes {
    let mut units = payloads.raw_components();
    let Some((_, leader)) = units.next() else { return answer(payloads.raw_controller()) };
    let followers: serde_json::Map<_, _> = units
        .filter_map(|(din, answer)| Some((din.to_owned(), serde_json::from_slice(answer).ok()?)))
        .collect();
    let mut all: Value = serde_json::from_slice(leader).unwrap_or_default();
    if let Value::Object(all) = &mut all
        && !followers.is_empty()
    {
        all.insert("followers".into(), Value::Object(followers));
    }
    known(redacted(&all))
}

#[cfg(test)]
pub(crate) mod tests;
