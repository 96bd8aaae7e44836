//! Whether a gateway can take an order at present, over which link, and if not, why not.

use super::OrderKind;
use crate::model::{ErrorNote, LinkKind};

/// The most that reading back can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Proof {
    /// Nothing more than that the gateway has acknowledged it.
    Accepted,
    /// That the configuration has it.
    Stored,
    /// That the gateway acts on it.
    InEffect,
}

impl Proof {
    /// A stable word: that of the outcome.
    pub fn word(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Stored => "stored",
            Self::InEffect => "in_effect",
        }
    }
}

/// How an order would be carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Means {
    pub link: LinkKind,
    /// How far its outcome can be proven.
    pub proves: Proof,
}

/// Why an order cannot be carried out at present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// No link that is configured can write.
    NoLink,
    /// The gateway did not answer its last poll, or was not polled yet.
    NotReached,
    /// v1r: the gateway does not accept the key.
    KeyNotAccepted,
    /// The gateway does not allow it to this user.
    NoPermission,
    /// The firmware does not have it.
    Firmware,
    /// There is no battery.
    NoBattery,
    OffGrid,
}

impl Obstacle {
    /// A stable word, as the kind of an [`ErrorNote`].
    pub fn word(self) -> &'static str {
        match self {
            Self::NoLink => "no_link",
            Self::NotReached => "not_reached",
            Self::KeyNotAccepted => "key_not_accepted",
            Self::NoPermission => "no_permission",
            Self::Firmware => "firmware",
            Self::NoBattery => "no_battery",
            Self::OffGrid => "off_grid",
        }
    }

    /// `why` is for the person who must act.
    pub fn because(self, why: impl Into<String>) -> Unable {
        Unable { obstacle: self, message: why.into() }
    }
}

/// An obstacle, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unable {
    pub obstacle: Obstacle,
    pub message: String,
}

impl From<Unable> for ErrorNote {
    fn from(unable: Unable) -> Self {
        Self { kind: unable.obstacle.word(), message: unable.message }
    }
}

/// Whether a gateway can take an order at present: over which link, or why not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capability {
    pub order: OrderKind,
    pub by: Result<Means, Unable>,
}
