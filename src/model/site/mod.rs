//! What one installation is and reports, as types: meters, units, strings, energies, alerts.
//!
//! Every reading is optional. Unknown is `None`, never 0, and a list is `None` while nobody knows what is in
//! it. All powers are watts and all energies watt-hours, whatever the protocol uses: each link converts once,
//! in its own room.

mod counter;
mod parts;
pub mod recorded;
pub mod signals;
mod unit;

use std::sync::Arc;

use super::{Documents, Readings};

pub use counter::{Counter, CounterSource};
pub use parts::{Fan, Meter, Meters, RemoteMeter, Side, SolarString, Temperature, Transformer};
pub use signals::{BlockSignals, DeviceSignals};
pub use unit::{Places, Unit, UnitFan, UnitKind, UnitTemperatures};

/// One installation at one moment.
#[derive(Clone, Debug, Default)]
pub struct Site {
    /// What every poll renews: power, charge, grid, settings and identity.
    pub readings: Arc<Readings>,
    /// `None` before the meters have been read.
    pub meters: Option<Meters>,
    /// The side of the island contactor that the grid is on.
    pub main: Side,
    /// The side that the home is on.
    pub home: Side,
    /// Batteries in the order of their numbers. `None` before a gateway has listed any device.
    pub units: Option<Vec<Unit>>,
    /// Solar strings, by the numbers of their inverters.
    pub strings: Option<Vec<SolarString>>,
    /// Fans in the order of their numbers; one that reports nothing today is absent and keeps its number.
    pub fans: Option<Vec<Fan>>,
    /// Temperatures in the order of the numbers of their units.
    pub temperatures: Option<Vec<Temperature>>,
    /// Temperatures and fans by the serial of the device that measured them.
    pub devices: Vec<DeviceSignals>,
    /// The same, block by block under the keys of the vitals.
    pub blocks: Vec<BlockSignals>,
    /// Tesla's meters outside the gateway.
    pub remote_meters: Vec<RemoteMeter>,
    /// Names of everything that is active, sorted, each once.
    pub alerts: Option<Vec<String>>,
    /// How long the gateway has been running, as it prints it: `398h29m44.192s`.
    pub uptime: Option<String>,
    /// When the gateway started, Unix seconds.
    pub started: Option<i64>,
}

/// What answers mean: the site and the documents, which come out of the same parsed answers.
#[derive(Clone, Debug, Default)]
pub struct Interpretation {
    pub site: Site,
    /// What clients of the customer API expect, as that API words it.
    pub documents: Documents,
}
