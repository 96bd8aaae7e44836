//! Lifetime energies, each with what it was read from.
//!
//! Two counters of the same energy need not agree: an inverter counts what passes it, a meter what passes the
//! meter. A difference between two readings is an energy only while their source is the same.

use crate::model::Number;

/// A lifetime energy that only grows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Counter {
    /// Wh, as reported.
    pub energy: Number,
    /// What it was read from.
    pub source: CounterSource,
}

/// What a counter is read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CounterSource {
    /// A meter in `/api/meters/aggregates` of the customer API.
    SiteMeter,
    /// A battery block in `/api/system_status` of the customer API.
    BatteryBlock,
    /// The signals of the battery's own inverter.
    Inverter,
    /// A meter of Tesla's outside the gateway, in Ws.
    RemoteMeter,
}

impl CounterSource {
    /// For people, as the object of "counted by".
    pub fn words(self) -> &'static str {
        match self {
            Self::SiteMeter => "the meters of the customer API",
            Self::BatteryBlock => "the battery, as the customer API reports it",
            Self::Inverter => "the inverter",
            Self::RemoteMeter => "a remote meter",
        }
    }

    /// A counter with this source, where there is an energy.
    pub fn counted(self, energy: Option<Number>) -> Option<Counter> {
        energy.map(|energy| Counter { energy, source: self })
    }
}
