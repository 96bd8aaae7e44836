//! From the documents of the customer API to the site: both protocols list their devices in the vitals and
//! the system status. TEDAPI derives them from what it answers, the customer API has them.
//!
//! What a protocol says in units of its own is converted in its room, before it comes here.

mod join;
pub(super) mod lists;
mod numbers;
mod parts;
mod units;

use std::sync::Arc;

use serde_json::Value;

use super::json::Look;
use crate::model::{Documents, Interpretation, Meters, Number, NumberingMemory, Readings, Site};
pub(super) use join::Devices;
pub(super) use parts::meters;

/// Power of a unit in W, + discharging, out of its devices.
pub(super) type UnitPower = fn(&Devices<'_>) -> Option<Number>;

/// What the configuration of a gateway says of its units; empty where it is unknown.
#[derive(Debug, Default)]
pub(super) struct Configured {
    /// DINs of Powerwall 3 units, leader and followers, in order. They are numbered first.
    pub powerwall3: Vec<String>,
    /// Serials with the type of the unit.
    pub types: Vec<(String, String)>,
    /// Serials of expansions with the serial of the unit they are attached to.
    pub hosts: Vec<(String, String)>,
}

/// What a protocol knows beside the documents.
pub(super) struct Beside<'a> {
    pub readings: &'a Arc<Readings>,
    pub meters: Option<Meters>,
    /// Names of everything that is active.
    pub alerts: Vec<String>,
    pub configured: Configured,
    pub power: UnitPower,
}

/// Site and documents, with the numbers of `numbers`.
pub(super) fn interpret(
    mut documents: Documents,
    beside: Beside<'_>,
    numbers: &NumberingMemory,
) -> Interpretation {
    let Beside { readings, meters, alerts, configured, power } = beside;
    let devices = join::devices(&documents);
    let numbering = numbers.meet(&numbers::expected(&documents, &devices, &configured.powerwall3));
    let devices = numbers::by_number(devices, &numbering.units);
    let vitals = &documents.vitals;
    let knows_devices = vitals.is_object() || documents.system_status.is_object();
    let mut site = Site {
        readings: readings.clone(),
        meters,
        main: parts::side(vitals, "Main"),
        home: parts::side(vitals, "Load"),
        units: knows_devices.then(|| units::units(&devices, vitals, &configured, power, readings)),
        strings: None,
        fans: parts::fans(&documents.fans, &numbering.fans),
        temperatures: parts::temperatures(&documents.temps, &devices),
        devices: parts::signals(&documents),
        blocks: parts::block_signals(&documents),
        remote_meters: parts::remote_meters(vitals),
        alerts: (vitals.is_object() || !alerts.is_empty()).then_some(alerts),
        uptime: documents.status.at(&["up_time_seconds"]).text().map(str::to_owned),
        started: started(documents.status.at(&["start_time"])),
    };
    drop(devices);
    documents.strings = numbers::lettered(&documents, &numbering.solar_inverters);
    site.strings = parts::strings(&documents.strings);
    Interpretation { site, documents }
}

/// `2026-09-24 21:28:16 -0700` in Unix seconds.
fn started(start_time: &Value) -> Option<i64> {
    let start = jiff::ZonedDateTime::strptime("%Y-%m-%d %H:%M:%S %z", start_time.text()?).ok()?;
    Some(start.timestamp().as_second())
}

/// Watts of a power in kilowatts, to the milliwatt: a product of two floats has digits that nobody measured.
pub(super) fn watts(kilowatts: Number) -> Option<Number> {
    if kilowatts.is_zero() {
        return Some(kilowatts);
    }
    Number::from_f64((kilowatts.as_f64() * 1e6).round() / 1e3)
}

/// What these documents mean, if nothing else is known but the readings.
#[cfg(test)]
pub(crate) fn alone(documents: Documents, readings: Readings, numbers: &NumberingMemory) -> Interpretation {
    let beside = Beside {
        readings: &Arc::new(readings),
        meters: meters(&documents.aggregates),
        alerts: Vec::new(),
        configured: Configured::default(),
        power: |_| None,
    };
    interpret(documents, beside, numbers)
}

#[cfg(test)]
mod tests;
