//! What a Powerwall is: units, telemetry, snapshots, derived documents and the views clients ask for.
//!
//! No I/O and no clock of its own: whoever asks brings the time.

pub mod aggregate;
pub mod broker;
pub mod customer;
pub mod device_signals;
pub mod freshness;
mod json;
pub mod number;
pub mod numbering;
pub mod order;
pub mod snapshot;
pub mod tally;
pub mod tedapi;
pub mod telemetry;
pub mod units;
pub mod views;

pub use aggregate::Aggregate;
pub use broker::BrokerStatus;
pub use freshness::{Freshness, Ttl};
pub use number::Number;
pub use numbering::{Numbering, NumberingMemory};
pub use order::{
    Capability, Means, Obstacle, Order, OrderId, OrderKind, Outcome, Proof, Reserve, Standing, Unable,
};
pub use snapshot::{
    ErrorNote, GatewayFacts, GatewayKind, Health, LinkHealth, LinkKind, Reading, Snapshot, mode_name,
};
pub use tally::{FailureTally, PollTimes};
pub use telemetry::{Adjustments, Charge, Documents, GridStatus, Power, Readings, Source, Telemetry};
pub use units::{AppPercent, RawPercent};
