//! The parts of a site beside its batteries: meters, solar strings, fans, temperatures.

use super::{Counter, CounterSource};
use crate::model::Number;

/// The meters of a site. Site: + import. Battery: + discharge. Load: + consumption. Solar: + production.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Meters {
    pub site: Meter,
    pub battery: Meter,
    pub load: Meter,
    pub solar: Meter,
    /// `None` where no generator is metered.
    pub generator: Option<Meter>,
}

/// One meter.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Meter {
    /// W
    pub power: Option<Number>,
    /// VAr
    pub reactive_power: Option<Number>,
    /// VA
    pub apparent_power: Option<Number>,
    /// V
    pub voltage: Option<Number>,
    /// A
    pub current: Option<Number>,
    /// A, by phase.
    pub currents: [Option<Number>; 3],
    /// Hz
    pub frequency: Option<Number>,
    /// Over the life of the meter.
    pub imported: Option<Counter>,
    /// Over the life of the meter.
    pub exported: Option<Counter>,
}

/// One side of the contactor between grid and home.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Side {
    /// Hz, of the first phase that has one.
    pub frequency: Option<Number>,
    /// V between phase and neutral.
    pub voltages: [Option<Number>; 3],
}

/// One solar string.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SolarString {
    /// Letter and number of the inverter: `A`, `B1`.
    pub name: String,
    /// V
    pub voltage: Option<Number>,
    /// A
    pub current: Option<Number>,
    /// W
    pub power: Option<Number>,
    /// In the words of the inverter.
    pub state: Option<String>,
    pub is_connected: Option<bool>,
}

/// One fan of an inverter.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fan {
    /// From 1 on; kept.
    pub number: usize,
    /// Vitals key of the inverter.
    pub device: String,
    /// `A` or `B` in an inverter with two fans.
    pub side: Option<&'static str>,
    /// rpm
    pub speed: Option<Number>,
    /// rpm
    pub target_speed: Option<Number>,
    /// %
    pub duty: Option<Number>,
}

/// The temperature of one device.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Temperature {
    /// The number of the unit it belongs to, or the next one after all units.
    pub number: usize,
    /// Vitals key of the device.
    pub device: String,
    /// °C
    pub celsius: Option<Number>,
}

/// A meter outside the gateway.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RemoteMeter {
    pub din: String,
    pub transformers: Vec<Transformer>,
}

/// One current transformer of a meter.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Transformer {
    /// Position on the meter.
    pub index: usize,
    /// What it is clamped around: `site`, `solar` …
    pub location: Option<String>,
    /// W
    pub power: Option<Number>,
    /// VAr
    pub reactive_power: Option<Number>,
    /// V
    pub voltage: Option<Number>,
    /// A
    pub current: Option<Number>,
    /// Ws over the life of the meter, in the unit it counts in: no digit is lost.
    pub exported_ws: Option<Number>,
    /// Ws over the life of the meter.
    pub imported_ws: Option<Number>,
}

impl Transformer {
    /// Over the life of the meter.
    pub fn exported(&self) -> Option<Counter> {
        counted(self.exported_ws)
    }

    /// Over the life of the meter.
    pub fn imported(&self) -> Option<Counter> {
        counted(self.imported_ws)
    }
}

fn counted(watt_seconds: Option<Number>) -> Option<Counter> {
    CounterSource::RemoteMeter.counted(watt_seconds.and_then(|energy| energy.over(Number::Int(3600))))
}
