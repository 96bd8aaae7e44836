//! The parts of a site that have topics of their own: batteries, solar strings, remote meters.

use serde_json::{Map, Value};

use crate::model::device_signals::is_topic_level;
use crate::model::{Documents, Number};
use crate::views::numbered;

/// More parts of a kind than any site has; the rest of what a gateway may claim is left out.
pub(super) const MOST_PARTS: usize = 48;

/// One battery with its number.
pub(super) struct Battery<'a> {
    /// From 1 on; the number that this unit has in every other body.
    pub number: usize,
    pub serial: Option<&'a str>,
    /// Wh
    pub capacity: Option<f64>,
    /// Wh
    pub charge: Option<f64>,
}

impl Battery<'_> {
    pub fn is_known(&self) -> bool {
        self.capacity.is_some() || self.charge.is_some()
    }
}

pub(super) fn batteries(documents: &Documents) -> Vec<Battery<'_>> {
    let energy = |block: &Value, key: &str| number(block.get(key)?);
    let numbered = numbered::batteries(documents).take(MOST_PARTS);
    let batteries = numbered.map(|(number, serial, block)| Battery {
        number,
        serial: (!serial.is_empty()).then_some(serial),
        capacity: energy(block, "nominal_full_pack_energy"),
        charge: energy(block, "nominal_energy_remaining"),
    });
    batteries.collect()
}

/// One solar string, or a pair of strings that lie in parallel.
pub(super) struct SolarString<'a> {
    /// `A`, or `AB1` for the pair of `A1` and `B1`.
    pub id: String,
    /// As the gateway tells of it; a pair has none.
    pub whole: Option<&'a Value>,
    /// V
    voltage: Option<f64>,
    /// A
    current: Option<f64>,
    /// W
    power: Option<f64>,
}

impl SolarString<'_> {
    /// What is measured, by the level of its topic.
    pub fn measured(&self) -> [(&'static str, Option<f64>); 3] {
        [("voltage", self.voltage), ("current", self.current), ("power", self.power)]
    }
}

/// Strings as told, then the pairs that are complete: at the voltage of the first, with the sum of both.
pub(super) fn strings(documents: &Documents) -> Vec<SolarString<'_>> {
    let told = || documents.strings.as_object().into_iter().flatten().take(MOST_PARTS);
    let measured = |string: &Value, what: &str| string.get(what).and_then(number);
    let mut strings: Vec<SolarString<'_>> = told()
        .filter(|(id, _)| is_topic_level(id))
        .map(|(id, string)| SolarString {
            id: id.clone(),
            whole: Some(string),
            voltage: measured(string, "Voltage"),
            current: measured(string, "Current"),
            power: measured(string, "Power"),
        })
        .collect();
    let mut pairs = Vec::new();
    for (first, second) in [("A", "B"), ("C", "D"), ("E", "F")] {
        for (id, one) in told() {
            let Some(suffix) = id.strip_prefix(first) else { continue };
            if !suffix.bytes().all(|byte| byte.is_ascii_digit()) {
                continue;
            }
            let Some(other) = documents.strings.get(format!("{second}{suffix}")) else { continue };
            let sum = |what| match (measured(one, what), measured(other, what)) {
                (None, None) => None,
                (one, other) => Some(one.unwrap_or(0.0) + other.unwrap_or(0.0)),
            };
            pairs.push(SolarString {
                id: format!("{first}{second}{suffix}"),
                whole: None,
                voltage: measured(one, "Voltage"),
                current: sum("Current"),
                power: sum("Power"),
            });
        }
    }
    strings.append(&mut pairs);
    strings
}

/// One current transformer of a remote meter.
pub(super) struct Meter<'a> {
    pub din: &'a str,
    /// `ct0` …
    pub ct: String,
    /// What is told of it, without the prefix of each name; energies in Ws.
    pub fields: Map<String, Value>,
}

impl Meter<'_> {
    pub fn topic(&self) -> String {
        format!("meters/remote/{}/{}", self.din, self.ct)
    }

    /// What it is clamped around.
    pub fn location(&self) -> Option<&str> {
        self.fields.get("Location").and_then(Value::as_str).filter(|location| !location.is_empty())
    }

    /// What is measured, by the level of its topic, with the digits behind the point.
    pub fn measured(&self) -> [(&'static str, Option<f64>, usize); 5] {
        let told = |field: &str| self.fields.get(field).and_then(number);
        let watt_hours = |field: &str| told(field).map(|watt_seconds| watt_seconds / 3600.0);
        [
            ("voltage", told("InstVoltage"), 2),
            ("current", told("InstCurrent"), 2),
            ("power", told("InstRealPower"), 1),
            ("energy_imported", watt_hours("EnergyImportedWs"), 0),
            ("energy_exported", watt_hours("EnergyExportedWs"), 0),
        ]
    }
}

pub(super) fn meters(documents: &Documents) -> Vec<Meter<'_>> {
    let mut meters: Vec<Meter<'_>> = Vec::new();
    for (key, block) in documents.vitals.as_object().into_iter().flatten() {
        let Some(din) = key.strip_prefix("TRM--").filter(|din| is_topic_level(din)) else { continue };
        for (field, value) in block.as_object().into_iter().flatten() {
            let Some((ct, name)) = field.strip_prefix("TRM_CT").and_then(|rest| rest.split_once('_')) else {
                continue;
            };
            if ct.is_empty() || ct.len() > 2 || !ct.bytes().all(|byte| byte.is_ascii_digit()) {
                continue;
            }
            let ct = format!("ct{ct}");
            let place = meters.iter().position(|meter| meter.din == din && meter.ct == ct);
            let place = match place {
                Some(place) => place,
                None if meters.len() == MOST_PARTS => continue,
                None => {
                    meters.push(Meter { din, ct, fields: Map::new() });
                    meters.len() - 1
                }
            };
            meters[place].fields.insert(name.to_owned(), value.clone());
        }
    }
    meters
}

/// A finite number; nothing else is one.
pub(super) fn number(value: &Value) -> Option<f64> {
    Number::from_json(value).map(Number::as_f64)
}
