//! The bodies clients ask for, rendered from telemetry at most once and then shared as bytes.
//!
//! What depends on the clock (freshness, ages) is in [`status`]; it changes without new telemetry.

mod customer;
mod flat;
pub mod live;
mod numbered;
mod pw;
pub mod redact;
pub mod sites;
pub mod status;

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Value, json};

use crate::link::json;
use crate::model::telemetry::BODIES;
use crate::model::{Part, RawPercent, Telemetry};
use redact::{redact, redacted};

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
    Networks,
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
    pub const ALL: [Self; Self::COUNT] = [
        Self::Aggregates,
        Self::Soe,
        Self::Battery,
        Self::Vitals,
        Self::Strings,
        Self::Temps,
        Self::TempsPw,
        Self::Alerts,
        Self::AlertsPw,
        Self::Fans,
        Self::FansPw,
        Self::Freq,
        Self::Pod,
        Self::Json,
        Self::Csv,
        Self::CsvV2,
        Self::Version,
        Self::SystemStatus,
        Self::SystemSoe,
        Self::GridStatus,
        Self::Status,
        Self::SiteInfo,
        Self::MetersSite,
        Self::MetersSolar,
        Self::Powerwalls,
        Self::Networks,
        Self::TedapiConfig,
        Self::TedapiStatus,
        Self::TedapiController,
        Self::TedapiComponents,
        Self::TedapiBattery,
        Self::PwLevel,
        Self::PwPower,
        Self::PwSite,
        Self::PwSolar,
        Self::PwBattery,
        Self::PwLoad,
        Self::PwBatteryBlocks,
        Self::PwStrings,
        Self::PwDin,
        Self::PwUptime,
        Self::PwSiteName,
        Self::PwAlerts,
        Self::PwReserve,
        Self::PwMode,
        Self::PwTimeRemaining,
        Self::Data,
    ];
}

const _: () = assert!(View::COUNT <= BODIES);

impl Telemetry {
    /// Derives and renders all there is to show, so that nobody has to who must not be held up.
    pub fn render_all(&self) {
        for view in View::ALL {
            self.view(view);
        }
    }

    /// The bytes of `view`, rendered on first use.
    pub fn view(&self, view: View) -> Bytes {
        self.body(view as usize, || render(view, self))
    }
}

fn render(view: View, telemetry: &Telemetry) -> Bytes {
    let readings = &telemetry.readings;
    let zeros = telemetry.adjustments().legacy_zeros;
    // Only views of these derive them: the others must not cost a derivation.
    let (site, documents) = (|| telemetry.site(), || telemetry.documents());
    let alerts = || site().alerts.as_deref().unwrap_or_default();
    match view {
        View::Aggregates => bytes(&documents().aggregates),
        View::Soe => {
            let raw = readings.charge.state_of_energy();
            bytes(&json!({ "percentage": raw, "raw_percentage": raw }))
        }
        View::Vitals => bytes(&documents().vitals),
        View::Strings => bytes(&documents().strings),
        View::Temps => object(&documents().temps),
        View::TempsPw => bytes(&numbered::temps(site())),
        View::Alerts => bytes(&alerts()),
        View::AlertsPw => bytes(&flat::alerts(alerts())),
        View::Fans => object(&documents().fans),
        View::FansPw => bytes(&numbered::fans(site())),
        View::Freq => bytes(&numbered::freq(site(), &documents())),
        View::Pod => bytes(&numbered::pod(site(), &documents(), zeros)),
        View::Json => bytes(&flat::json(readings, &documents().strings, zeros)),
        View::Csv => flat::csv(readings, false, zeros).into(),
        View::CsvV2 => flat::csv(readings, true, zeros).into(),
        View::Version => bytes(&flat::version(readings.firmware.as_deref())),
        View::Battery => bytes(&json!({ "power": flat::number(readings.power.battery, zeros) })),
        View::SystemStatus => object(&customer::system_status(&documents(), zeros)),
        View::SystemSoe => bytes(&customer::state_of_energy(readings)),
        View::GridStatus => bytes(&customer::grid_status(&documents())),
        View::Status => bytes(&documents().status),
        View::SiteInfo => object(&documents().site_info),
        View::MetersSite => bytes(&customer::meters(&documents(), "site")),
        View::MetersSolar => bytes(&customer::meters(&documents(), "solar")),
        View::Powerwalls => bytes(&customer::powerwalls(readings, &documents())),
        View::Networks => bytes(&customer::networks(&documents().networks)),
        View::TedapiConfig => answer(telemetry, Part::Config),
        View::TedapiStatus => answer(telemetry, Part::Status),
        View::TedapiController => answer(telemetry, Part::Controller),
        View::TedapiComponents => answer(telemetry, Part::Components),
        View::TedapiBattery => {
            known(redacted(parsed(telemetry, Part::Config).get("battery_blocks").unwrap_or(&Value::Null)))
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
        View::PwAlerts => bytes(&json!({ "alerts": alerts() })),
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

/// What the gateway sent; null where there is none.
fn parsed(telemetry: &Telemetry, part: Part) -> Value {
    let answer = telemetry.answers().raw(part);
    answer.and_then(|answer| json::parse(&answer).ok()).unwrap_or_default()
}

/// What the gateway sent, private values masked.
fn answer(telemetry: &Telemetry, part: Part) -> Bytes {
    let mut answer = parsed(telemetry, part);
    redact(&mut answer);
    known(answer)
}

fn known(document: Value) -> Bytes {
    if document.is_null() { Bytes::from_static(NOT_RECEIVED) } else { bytes(&document) }
}

#[cfg(test)]
pub(crate) mod tests;
