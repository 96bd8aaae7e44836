//! How long an order holds, and how that ended.

use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

use super::{OrderId, Setpoint};

/// Settings that hold for a time, as shown to others.
#[derive(Clone, Debug, PartialEq)]
pub struct Lease {
    /// The order that it belongs to.
    pub order: OrderId,
    /// What was set, as far as it is still this lease's.
    pub leased: Setpoint,
    /// What is restored at its end.
    pub former: Setpoint,
    pub ends: Instant,
    pub state: LeaseState,
}

impl Lease {
    /// The shortest: gateways act 30 to 90 s late.
    pub const SHORTEST: Duration = Duration::from_secs(60);
    /// The longest: 31 days. What should hold for longer is no exception.
    pub const LONGEST: Duration = Duration::from_secs(31 * 86_400);
}

/// How a lease stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeaseState {
    Holds,
    /// It has ended, and the former state is being restored: by which order, if one was given yet, and how
    /// many were given.
    Restores {
        by: Option<OrderId>,
        attempts: u32,
    },
    Ended(LeaseEnd),
}

/// How a lease ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeaseEnd {
    /// The former state is back.
    Restored(String),
    /// Somebody else has changed it meanwhile, or the order never left.
    Superseded(String),
    /// It could not be restored; somebody must.
    RestoreFailed(String),
}

impl LeaseEnd {
    /// A stable word for bodies, topics and the journal.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Restored(_) => "restored",
            Self::Superseded(_) => "superseded",
            Self::RestoreFailed(_) => "restore_failed",
        }
    }

    /// What is known of it, for a person.
    pub fn evidence(&self) -> &str {
        match self {
            Self::Restored(why) | Self::Superseded(why) | Self::RestoreFailed(why) => why,
        }
    }
}

impl fmt::Display for LeaseEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.word().replace('_', " "), self.evidence())
    }
}
