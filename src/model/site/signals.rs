//! Measurements of single devices – temperatures and fans – under ids that stored series and entities hang
//! on.
//!
//! Contract 0.13, section 4.1. The ids are permanent.

/// What belongs in one picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignalGroup {
    Temperature,
    FanSpeed,
    FanDuty,
}

impl SignalGroup {
    pub fn unit(self) -> &'static str {
        match self {
            Self::Temperature => "°C",
            Self::FanSpeed => "rpm",
            Self::FanDuty => "%",
        }
    }

    pub const ALL: [Self; 3] = [Self::Temperature, Self::FanSpeed, Self::FanDuty];

    /// A stable word.
    pub fn id(self) -> &'static str {
        match self {
            Self::Temperature => "temperature",
            Self::FanSpeed => "fan_speed",
            Self::FanDuty => "fan_duty",
        }
    }

    pub fn label(self) -> &'static str {
        match self {
            Self::Temperature => "Powerwall temperatures",
            Self::FanSpeed => "Fan speed",
            Self::FanDuty => "Fan duty cycle",
        }
    }

    /// Whether a picture of it begins at 0.
    pub fn is_zero_based(self) -> bool {
        self != Self::Temperature
    }

    /// Digits worth showing behind the point.
    pub fn decimals(self) -> usize {
        match self {
            Self::FanSpeed => 0,
            Self::Temperature | Self::FanDuty => 1,
        }
    }
}

/// One kind of measurement.
#[derive(Debug)]
pub struct Signal {
    pub id: &'static str,
    /// Its name in the vitals.
    pub field: &'static str,
    pub label: &'static str,
    pub group: SignalGroup,
    /// Levels of a topic.
    pub topic: &'static str,
    /// Of the Material Design set.
    pub icon: &'static str,
}

const fn signal([id, field, label, topic, icon]: [&'static str; 5], group: SignalGroup) -> Signal {
    Signal { id, field, label, group, topic, icon }
}

use SignalGroup::{FanDuty, FanSpeed, Temperature};

/// In the order in which they are shown.
#[rustfmt::skip]
pub static SIGNALS: [Signal; 11] = [
    signal(["pack_temp_max", "HVP_PackTempMax", "Pack temp \
        (max)", "temperature/pack_max", "mdi:thermometer-high"], Temperature),
    signal(["pack_temp_min", "HVP_PackTempMin", "Pack temp \
        (min)", "temperature/pack_min", "mdi:thermometer-low"], Temperature),
    signal(["shunt_temp", "HVP_ShuntTemperature", "Shunt \
        temp", "temperature/shunt", "mdi:thermometer"], Temperature),
    signal(["inverter_ambient", "PCH_AmbientTemp", "Inverter \
        ambient", "temperature/ambient", "mdi:thermometer"], Temperature),
    signal(["controller_ambient", "THC_AmbientTemp", "Thermal controller \
        ambient", "temperature/controller", "mdi:thermometer"], Temperature),
    signal(["fan_a_rpm", "PCH_FanSpeed_A", "Fan A speed", "fan/a/rpm", "mdi:fan"], FanSpeed),
    signal(["fan_b_rpm", "PCH_FanSpeed_B", "Fan B speed", "fan/b/rpm", "mdi:fan"], FanSpeed),
    signal(["fan_rpm", "PVAC_Fan_Speed_Actual_RPM", "Fan speed", "fan/rpm", "mdi:fan"], FanSpeed),
    signal(["fan_target_rpm", "PVAC_Fan_Speed_Target_RPM", "Fan target \
        speed", "fan/target_rpm", "mdi:speedometer"], FanSpeed),
    signal(["fan_a_duty", "PCH_FanDuty_A", "Fan A duty", "fan/a/duty", "mdi:percent"], FanDuty),
    signal(["fan_b_duty", "PCH_FanDuty_B", "Fan B duty", "fan/b/duty", "mdi:percent"], FanDuty),
];

/// What one block of the vitals, or of the fans, reports: stored series hang on its key.
#[derive(Clone, Debug, PartialEq)]
pub struct BlockSignals {
    /// `TYPE--part--serial`
    pub key: String,
    /// At the place of each of [`SIGNALS`] its value, if there is one.
    pub values: [Option<f64>; SIGNALS.len()],
}

/// What one device measured.
#[derive(Clone, Debug, PartialEq)]
pub struct DeviceSignals {
    pub serial: String,
    /// At the place of each of [`SIGNALS`] its value, if there is one.
    pub values: [Option<f64>; SIGNALS.len()],
}

impl DeviceSignals {
    pub fn known(&self) -> impl Iterator<Item = (&'static Signal, f64)> {
        known(self.values)
    }
}

impl BlockSignals {
    pub fn known(&self) -> impl Iterator<Item = (&'static Signal, f64)> {
        known(self.values)
    }
}

fn known(values: [Option<f64>; SIGNALS.len()]) -> impl Iterator<Item = (&'static Signal, f64)> {
    SIGNALS.iter().zip(values).filter_map(|(signal, value)| Some((signal, value?)))
}
