//! What a Powerwall is: types and arithmetic.
//!
//! No I/O, no protocol, and no clock of its own: callers bring the time.

pub mod aggregate;
pub mod answers;
pub mod backup;
pub mod began;
pub mod broker;
pub mod energy;
pub mod freshness;
pub mod number;
pub mod numbering;
pub mod order;
mod place;
mod shelf;
pub mod site;
pub mod snapshot;
pub mod tally;
pub mod tariff;
pub mod telemetry;
pub mod units;

pub use aggregate::Aggregate;
pub use answers::{Answers, Part};
pub use backup::{BackupEvent, BackupEvents, GridOutage, NamedBackup};
pub use began::Began;
pub use broker::BrokerStatus;
pub use freshness::{Freshness, Ttl};
pub use number::Number;
pub use numbering::{Numbering, NumberingMemory};
pub use order::{
    Capability, Means, Obstacle, Order, OrderId, OrderKind, Outcome, Present, Proof, Reserve, Setpoint,
    Standing, Unable,
};
pub use place::Place;
pub use site::{
    BlockSignals, Counter, CounterSource, DeviceSignals, Fan, Interpretation, Meter, Meters, Places,
    RemoteMeter, Side, Site, SolarString, Temperature, Transformer, Unit, UnitFan, UnitKind,
    UnitTemperatures,
};
pub use snapshot::{
    ErrorNote, GatewayFacts, GatewayKind, Health, Labels, LinkHealth, LinkKind, Reading, Snapshot, mode_name,
};
pub use tally::{FailureTally, PollTimes};
pub use telemetry::{Adjustments, Charge, Documents, GridStatus, Power, Readings, Supplement, Telemetry};
pub use units::{AppPercent, RawPercent};
