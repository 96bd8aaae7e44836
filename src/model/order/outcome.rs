//! What came of an order, claimed no further than the evidence goes.

use std::fmt;

use crate::model::ErrorNote;

/// What came of an order, with the evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing that could change anything left this program.
    NotSent(ErrorNote),
    /// The gateway said no, and that it did nothing.
    Refused(ErrorNote),
    /// The gateway said yes. Whether it did anything is not known.
    Accepted(String),
    /// The configuration reads back as asked. Whether the gateway acts on it is not known.
    Stored(String),
    /// The gateway was seen to act on it.
    InEffect(String),
    /// It may have left, and no answer says what became of it.
    Unknown(ErrorNote),
}

impl Outcome {
    /// A stable word for bodies, topics and the journal.
    pub fn word(&self) -> &'static str {
        match self {
            Self::NotSent(_) => "not_sent",
            Self::Refused(_) => "refused",
            Self::Accepted(_) => "accepted",
            Self::Stored(_) => "stored",
            Self::InEffect(_) => "in_effect",
            Self::Unknown(_) => "unknown",
        }
    }

    /// What the outcome is known by, for a person.
    pub fn evidence(&self) -> &str {
        match self {
            Self::NotSent(note) | Self::Refused(note) | Self::Unknown(note) => &note.message,
            Self::Accepted(evidence) | Self::Stored(evidence) | Self::InEffect(evidence) => evidence,
        }
    }

    /// Whether reading back can still show more.
    pub fn is_open(&self) -> bool {
        matches!(self, Self::Accepted(_) | Self::Unknown(_))
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = match self {
            Self::NotSent(_) => "not sent",
            Self::InEffect(_) => "in effect",
            other => other.word(),
        };
        write!(f, "{words}: {}", self.evidence())
    }
}

/// How an order stands at present.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Standing {
    /// `None`: it waits for its turn, or its exchange is under way.
    pub outcome: Option<Outcome>,
    /// Whether this is the last word. Until then, reading back may show more.
    pub is_final: bool,
}
