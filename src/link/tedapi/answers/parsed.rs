//! All answers of one gateway, parsed: the common ground of the documents derived from them.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use super::TedapiAnswers;
use super::signals::{family, serial, table};
use crate::link::json::{self, Look, Object, serial_of, split_din};
use crate::link::vitals::Configured;

/// Parsed answers; `null` for those that are not there yet.
pub(super) struct Parsed<'a> {
    pub payloads: &'a TedapiAnswers,
    pub config: Value,
    pub status: Arc<Value>,
    /// The same as the status where one answer is both.
    pub controller: Arc<Value>,
    /// Components of each Powerwall 3 unit, by DIN, in configured order.
    pub units: Vec<(&'a str, Value)>,
}

/// A document that was accepted once parses again; what was never there is null.
fn parse(bytes: Option<&Bytes>) -> Value {
    bytes.and_then(|bytes| json::parse(bytes).ok()).unwrap_or_default()
}

impl<'a> Parsed<'a> {
    pub fn of(payloads: &'a TedapiAnswers) -> Self {
        let config = parse(payloads.config.as_ref());
        let units = powerwall3_units(&config);
        let components = |din: &str| {
            let (din, bytes) = payloads.components.iter().find(|(unit, _)| **unit == *din)?;
            let components = parse(Some(bytes)).get_mut("components").map(Value::take);
            Some((&**din, components.unwrap_or_default()))
        };
        let units = units.iter().filter_map(|din| components(din)).collect();
        let controller = Arc::new(parse(payloads.controller.as_ref()));
        let status = match (&payloads.status, &payloads.controller) {
            (Some(status), Some(controller_answer)) if status.as_ptr() == controller_answer.as_ptr() => {
                controller.clone()
            }
            (status, _) => Arc::new(parse(status.as_ref())),
        };
        Self { payloads, config, status, controller, units }
    }

    /// DIN of the gateway as its configuration reports it; else as it reports it itself.
    pub fn vin(&self) -> Option<&str> {
        self.config.at(&["vin"]).name().or(self.payloads.din.as_deref().filter(|_| !self.config.is_object()))
    }

    /// The vitals key of the gateway.
    pub fn gateway_key(&self) -> String {
        format!("STSTSM--{}", self.vin().unwrap_or("None"))
    }

    pub fn msa(&self) -> &[Value] {
        self.controller.at(&["components", "msa"]).items()
    }

    /// The synchroniser: on the bus in the older answers, among the components in the newer ones.
    pub fn synchroniser<'s>(&'s self, document: &'s Value) -> (Option<&'s str>, Option<&'s str>) {
        let bus = document.at(&["esCan", "bus", "SYNC"]);
        if bus.is_object() {
            return (bus.at(&["packagePartNumber"]).text(), bus.at(&["packageSerialNumber"]).text());
        }
        match self.sync_components().next() {
            Some(component) => (component.at(&["partNumber"]).text(), serial(component)),
            None => (None, None),
        }
    }

    fn sync_components(&self) -> impl Iterator<Item = &Value> {
        let components = self.controller.at(&["components", "sync"]).items();
        components.iter().filter(|component| serial(component).is_some())
    }

    /// The readings of meter `X` (site) or `Y` (solar) of the synchroniser, keyed as on the bus; null
    /// without.
    pub fn sync_meter(&self, document: &Value, meter: char) -> Value {
        let measurements = document.at(&["esCan", "bus", "SYNC", &format!("METER_{meter}_AcMeasurements")]);
        if measurements.is_object() {
            return measurements.clone();
        }
        let prefix = format!("METER_{meter}_");
        self.meter_of(self.sync_components(), &prefix)
    }

    /// The readings of meter Z, the one in a backup switch; null without.
    pub fn meter_z(&self) -> Value {
        let bus = self.status.at(&["esCan", "bus", "MSA", "METER_Z_AcMeasurements"]);
        if bus.is_object() {
            return bus.clone();
        }
        self.meter_of(self.msa().iter().filter(|component| serial(component).is_some()), "METER_Z_")
    }

    fn meter_of<'v>(&self, components: impl Iterator<Item = &'v Value>, prefix: &str) -> Value {
        for component in components {
            let Value::Object(signals) = table(component) else { continue };
            let readings: Object = Object(
                signals
                    .into_iter()
                    .filter(|(name, value)| name.starts_with(prefix) && !value.is_null())
                    .collect(),
            );
            if !readings.0.is_empty() {
                return Value::Object(readings.0);
            }
        }
        Value::Null
    }

    /// Components of `family` with the serial of `device`.
    pub fn component_of(&self, family_name: &str, serial_number: &str) -> Option<&Value> {
        self.msa().iter().find(|msa| serial(msa) == Some(serial_number) && family(msa) == Some(family_name))
    }

    pub fn alerts_active(&self) -> &Value {
        self.status.at(&["control", "alerts", "active"])
    }
}

/// DINs of the Powerwall 3 units in a configuration, leader and followers, in order.
pub(super) fn powerwall3_units(config: &Value) -> Vec<String> {
    let blocks = config.at(&["battery_blocks"]).items().iter();
    let units = blocks.filter(|block| is_powerwall3(block)).filter_map(|block| block.at(&["vin"]).name());
    units.map(str::to_owned).collect()
}

fn is_powerwall3(block: &Value) -> bool {
    let kind = block.at(&["type"]).text().unwrap_or_default();
    let (part, _) = split_din(block.at(&["vin"]).text().unwrap_or_default());
    kind.contains("Powerwall3") || kind == "LFPV" || part.starts_with("1707000")
}

/// DINs of the expansions in a configuration, in order of the units they are attached to.
pub(super) fn expansions(block: &Value) -> impl Iterator<Item = &str> {
    block
        .at(&["battery_expansions"])
        .items()
        .iter()
        .filter_map(|expansion| expansion.at(&["din"]).name().or_else(|| expansion.at(&["vin"]).name()))
}

/// What a configuration says of its units.
pub(super) fn configured(config: &Value) -> Configured {
    let blocks = config.at(&["battery_blocks"]).items();
    let serial = |block: &Value| serial_of(block.at(&["vin"]).text().unwrap_or_default()).to_owned();
    let kind = |block: &Value| Some((serial(block), block.at(&["type"]).name()?.to_owned()));
    let hosts = |block| expansions(block).map(move |din| (serial_of(din).to_owned(), serial(block)));
    Configured {
        powerwall3: powerwall3_units(config),
        types: blocks.iter().filter_map(kind).collect(),
        hosts: blocks.iter().flat_map(hosts).collect(),
    }
}
