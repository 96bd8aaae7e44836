//! What is recorded of units and strings over time, beside temperatures and fans, under ids that stored
//! series hang on.

use super::{Site, SolarString, Unit};
use crate::model::Number;

/// What belongs in one picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartGroup {
    StringPower,
    StringVoltage,
    UnitPower,
    UnitCharge,
    UnitCapacity,
    UnitEnergy,
}

impl PartGroup {
    pub const ALL: [Self; 6] = [
        Self::StringPower,
        Self::StringVoltage,
        Self::UnitPower,
        Self::UnitCharge,
        Self::UnitCapacity,
        Self::UnitEnergy,
    ];

    /// A stable word.
    pub fn id(self) -> &'static str {
        match self {
            Self::StringPower => "string_power",
            Self::StringVoltage => "string_voltage",
            Self::UnitPower => "unit_power",
            Self::UnitCharge => "unit_charge",
            Self::UnitCapacity => "unit_capacity",
            Self::UnitEnergy => "unit_energy",
        }
    }

    pub fn label(self) -> &'static str {
        match self {
            Self::StringPower => "String power",
            Self::StringVoltage => "String voltage",
            Self::UnitPower => "Powerwall power",
            Self::UnitCharge => "Powerwall charge",
            Self::UnitCapacity => "Powerwall capacity",
            Self::UnitEnergy => "Powerwall lifetime energy",
        }
    }

    pub fn unit(self) -> &'static str {
        match self {
            Self::StringPower | Self::UnitPower => "W",
            Self::StringVoltage => "V",
            Self::UnitCharge => "%",
            Self::UnitCapacity | Self::UnitEnergy => "Wh",
        }
    }

    /// Whether a picture of it begins at 0.
    pub fn is_zero_based(self) -> bool {
        !matches!(self, Self::UnitCapacity | Self::UnitEnergy)
    }
}

/// One kind of measurement of a unit or a string.
#[derive(Debug)]
pub struct PartSignal {
    pub id: &'static str,
    pub label: &'static str,
    pub group: PartGroup,
    /// Whether it changes so slowly that a value in a quarter of an hour is enough.
    pub is_slow: bool,
}

const fn quick(id: &'static str, label: &'static str, group: PartGroup) -> PartSignal {
    PartSignal { id, label, group, is_slow: false }
}

const fn slow(id: &'static str, label: &'static str, group: PartGroup) -> PartSignal {
    PartSignal { id, label, group, is_slow: true }
}

/// Wh that a unit can hold.
pub const CAPACITY: &str = "unit_capacity_wh";
/// Wh that a unit has given over its life.
pub const DISCHARGED: &str = "unit_discharged_wh";

/// In the order in which they are shown. The ids are permanent.
pub static PARTS: [PartSignal; 7] = [
    quick("string_power_w", "Power", PartGroup::StringPower),
    quick("string_voltage_v", "Voltage", PartGroup::StringVoltage),
    quick("unit_power_w", "Power", PartGroup::UnitPower),
    quick("unit_charge_percent", "Charge", PartGroup::UnitCharge),
    slow(CAPACITY, "Capacity", PartGroup::UnitCapacity),
    slow("unit_charged_wh", "Charged", PartGroup::UnitEnergy),
    slow(DISCHARGED, "Discharged", PartGroup::UnitEnergy),
];

/// How the keys of strings begin.
pub const STRING_KEY: &str = "STRING--";
/// How the keys of units begin; the part number and the serial follow.
const UNIT_KEY: &str = "UNIT--";

impl Site {
    /// What `PARTS` are at present: the key of the device, the signal, and its value.
    pub fn parts(&self) -> Vec<(String, &'static PartSignal, f64)> {
        let strings = self.strings.iter().flatten().map(|string| (key_of_string(string), of_string(string)));
        let units = self.units.iter().flatten().map(|unit| (key_of_unit(unit), of_unit(unit)));
        let known = |(key, values): (String, [Option<f64>; PARTS.len()])| {
            let values = PARTS.iter().zip(values).filter_map(|(signal, value)| Some((signal, value?)));
            values.map(|(signal, value)| (key.clone(), signal, value)).collect::<Vec<_>>()
        };
        strings.chain(units).flat_map(known).collect()
    }
}

fn key_of_string(string: &SolarString) -> String {
    format!("{STRING_KEY}{}", string.name)
}

/// A unit without a serial is known by its number, which it keeps.
fn key_of_unit(unit: &Unit) -> String {
    let part = unit.part.as_deref().unwrap_or_default();
    match unit.serial.as_str() {
        "" => format!("{UNIT_KEY}{part}--{}", unit.number),
        serial => format!("{UNIT_KEY}{part}--{serial}"),
    }
}

fn of_string(string: &SolarString) -> [Option<f64>; PARTS.len()] {
    let [power, voltage] = [string.power, string.voltage].map(|value| value.map(Number::as_f64));
    [power, voltage, None, None, None, None, None]
}

/// A battery of which nothing is stored or nothing is known to fit into it reports no capacity.
fn of_unit(unit: &Unit) -> [Option<f64>; PARTS.len()] {
    let capacity = unit.charge.full_pack.map(Number::as_f64).filter(|capacity| *capacity > 0.0);
    let charge = unit.charge.state_of_energy().map(|raw| raw.0);
    let [charged, discharged] =
        [unit.charged, unit.discharged].map(|counter| counter.map(|counter| counter.energy.as_f64()));
    [None, None, unit.power.map(Number::as_f64), charge, capacity, charged, discharged]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Charge, UnitKind};

    #[test]
    fn what_is_known_has_a_key_and_what_is_not_is_absent() {
        let string =
            SolarString { name: "B1".into(), power: Some(Number::Int(900)), ..SolarString::default() };
        let charge = Charge {
            remaining: Some(Number::Int(6_500)),
            full_pack: Some(Number::Int(13_000)),
            reported: None,
        };
        let unit = Unit {
            number: 1,
            serial: "TG1".into(),
            part: Some("1707000-11-M".into()),
            kind: UnitKind::Powerwall3,
            charge,
            ..Unit::default()
        };
        let nameless = Unit { number: 2, ..Unit::default() };
        let site = Site { strings: Some(vec![string]), units: Some(vec![unit, nameless]), ..Site::default() };
        let parts: Vec<_> =
            site.parts().into_iter().map(|(key, signal, value)| (key, signal.id, value)).collect();
        let of_unit = |id, value| ("UNIT--1707000-11-M--TG1".to_owned(), id, value);
        let expected = [
            ("STRING--B1".to_owned(), "string_power_w", 900.0),
            of_unit("unit_charge_percent", 50.0),
            of_unit(CAPACITY, 13_000.0),
        ];
        assert_eq!(parts, expected);
    }
}
