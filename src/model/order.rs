//! Orders: what may be asked of a gateway, what it can take, and what came of it.
//!
//! An outcome is claimed no further than its evidence goes: a gateway that acknowledges has accepted, a
//! configuration that reads back as asked is stored, and neither shows that the gateway acts on it.

use std::fmt;

use super::{AppPercent, ErrorNote, LinkKind, RawPercent};

/// Identifies one order for ever: 128 random bits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OrderId(u128);

impl OrderId {
    /// `bits`: random ones.
    pub fn new(bits: u128) -> Self {
        Self(bits)
    }

    /// Reads what [`fmt::Display`] writes.
    pub fn parse(text: &str) -> Option<Self> {
        let is_plain = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_plain.then(|| u128::from_str_radix(text, 16).ok().map(Self)).flatten()
    }
}

impl fmt::Display for OrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for OrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A change somebody asks of a gateway.
#[derive(Clone, Debug, PartialEq)]
pub enum Order {
    /// How much of the battery is kept for an outage.
    Reserve(Reserve),
}

impl Order {
    pub fn kind(&self) -> OrderKind {
        match self {
            Self::Reserve(_) => OrderKind::Reserve,
        }
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reserve(reserve) => write!(f, "backup reserve {} %", reserve.app().0),
        }
    }
}

/// What an order is about, without its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OrderKind {
    Reserve,
}

impl OrderKind {
    pub const ALL: [Self; 1] = [Self::Reserve];

    /// A stable word for bodies, topics and the journal.
    pub fn word(self) -> &'static str {
        match self {
            Self::Reserve => "reserve",
        }
    }
}

/// A backup reserve that a gateway takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reserve(AppPercent);

impl Reserve {
    /// Stored values this close to the one asked for are that value: a gateway may keep fewer digits.
    const CLOSE: f64 = 0.01;

    /// `None` unless `percent` is a number from 0 to 100.
    pub fn new(percent: AppPercent) -> Option<Self> {
        (0.0..=100.0).contains(&percent.0).then_some(Self(percent))
    }

    /// As the phone app shows it.
    pub fn app(self) -> AppPercent {
        self.0
    }

    /// As the gateway counts it.
    pub fn raw(self) -> RawPercent {
        self.0.to_raw()
    }

    /// Whether `stored` is what this asks for.
    pub fn is(self, stored: RawPercent) -> bool {
        (self.raw().0 - stored.0).abs() < Self::CLOSE
    }
}

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

/// The most that reading back can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Proof {
    /// That the configuration has it.
    Stored,
    /// That the gateway acts on it.
    InEffect,
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_percents_are_a_reserve() {
        for junk in [f64::NAN, f64::INFINITY, -0.1, 100.1, -f64::INFINITY] {
            assert_eq!(Reserve::new(AppPercent(junk)), None, "{junk}");
        }
        assert!(Reserve::new(AppPercent(0.0)).is_some() && Reserve::new(AppPercent(100.0)).is_some());
    }

    #[test]
    fn a_reserve_on_the_wrong_scale_is_another_one() {
        for percent in 0..100 {
            let reserve = Reserve::new(AppPercent(percent.into())).unwrap();
            assert!(reserve.is(reserve.raw()) && !reserve.is(RawPercent(reserve.app().0)), "{percent}");
        }
    }

    proptest! {
        #[test]
        fn an_id_reads_back(bits: u128) {
            let id = OrderId::new(bits);
            prop_assert_eq!(OrderId::parse(&id.to_string()), Some(id));
        }

        #[test]
        fn other_text_is_no_id(text in "[0-9a-g+]{0,40}") {
            if let Some(id) = OrderId::parse(&text) {
                prop_assert_eq!(id.to_string(), text);
            }
        }
    }
}
