//! One battery: everything that the devices of a site report about it, under one number.

use super::Counter;
use crate::model::{Charge, Number};

/// What kind of battery a unit is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnitKind {
    Powerwall2,
    Powerwall3,
    /// A Powerwall 3 that another one leads.
    Follower,
    /// Cells without an inverter of their own.
    Expansion,
    #[default]
    Unknown,
}

impl UnitKind {
    /// Wh that one holds when it is new, as its data sheet states.
    pub fn new_capacity(self) -> Option<f64> {
        match self {
            Self::Powerwall2 | Self::Powerwall3 | Self::Follower | Self::Expansion => Some(13_500.0),
            Self::Unknown => None,
        }
    }
}

/// One battery (Powerwall, follower, expansion).
#[derive(Clone, Debug, Default)]
pub struct Unit {
    /// From 1 on; the number that this unit has in every body, and keeps.
    pub number: usize,
    /// Empty where a gateway reports none.
    pub serial: String,
    /// Part number, such as `1707000-11-M`.
    pub part: Option<String>,
    pub kind: UnitKind,
    /// Its type in the words of the gateway's configuration.
    pub configured_type: Option<String>,
    /// Whether it is the one that the others follow; `None` while unknown.
    pub is_leader: Option<bool>,
    /// The number of the unit that an expansion is attached to.
    pub attached_to: Option<usize>,
    /// Energy in it.
    pub charge: Charge,
    /// W, + discharging.
    pub power: Option<Number>,
    /// V, of the inverter.
    pub voltage: Option<Number>,
    /// V, of the two legs of a split-phase inverter.
    pub legs: [Option<Number>; 2],
    /// Hz
    pub frequency: Option<Number>,
    pub temperatures: UnitTemperatures,
    /// Fans of the inverter; only those that report.
    pub fans: Vec<UnitFan>,
    /// What the inverter does, in its own words.
    pub state: Option<String>,
    /// What the inverter sees of the grid, in its own words.
    pub grid_state: Option<String>,
    /// W that it could take now.
    pub charge_limit: Option<Number>,
    /// W that it could give now.
    pub discharge_limit: Option<Number>,
    /// Over its life.
    pub charged: Option<Counter>,
    /// Over its life.
    pub discharged: Option<Counter>,
    /// Names of what is active in its devices, sorted, each once.
    pub alerts: Vec<String>,
    /// Where the documents have it.
    pub places: Places,
}

/// Temperatures of a unit, °C.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct UnitTemperatures {
    pub pack_max: Option<Number>,
    pub pack_min: Option<Number>,
    pub ambient: Option<Number>,
    pub heatsink: Option<Number>,
}

/// One of the two fans of an inverter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct UnitFan {
    /// `A` or `B`.
    pub name: &'static str,
    /// rpm
    pub speed: Option<Number>,
    /// %
    pub duty: Option<Number>,
}

/// Where [`Documents`](crate::model::Documents) have what belongs to a unit, for the bodies that repeat it.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// Index among the battery blocks of the system status.
    pub block: Option<usize>,
    /// Vitals key of its inverter.
    pub inverter: Option<String>,
    /// Vitals key of its cells.
    pub pod: Option<String>,
}
