//! The batteries of sites, by what they are.

use crate::model::{Unit, UnitKind};

/// What a battery is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Model {
    Powerwall2,
    /// Leader or follower.
    Powerwall3,
    /// Cells without an inverter of their own.
    Expansion,
    Unknown,
}

impl Model {
    pub const ALL: [Self; 4] = [Self::Powerwall2, Self::Powerwall3, Self::Expansion, Self::Unknown];

    /// As people call it; `None`: unknown.
    pub fn name(self) -> Option<&'static str> {
        match self {
            Self::Powerwall2 => Some("Powerwall 2"),
            Self::Powerwall3 => Some("Powerwall 3"),
            Self::Expansion => Some("Powerwall 3 expansion"),
            Self::Unknown => None,
        }
    }
}

impl From<UnitKind> for Model {
    fn from(kind: UnitKind) -> Self {
        match kind {
            UnitKind::Powerwall2 => Self::Powerwall2,
            UnitKind::Powerwall3 | UnitKind::Follower => Self::Powerwall3,
            UnitKind::Expansion => Self::Expansion,
            UnitKind::Unknown => Self::Unknown,
        }
    }
}

/// How many there are of each model, in the order of [`Model::ALL`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Batteries([usize; Model::ALL.len()]);

impl Batteries {
    pub fn of(units: &[Unit]) -> Self {
        let mut batteries = Self::default();
        for unit in units {
            batteries.0[Model::from(unit.kind) as usize] += 1;
        }
        batteries
    }

    /// Those with an inverter: an expansion is part of the one that it is attached to.
    pub fn count(&self) -> usize {
        self.each().filter(|(model, _)| *model != Model::Expansion).map(|(_, count)| count).sum()
    }

    /// Each model of which there is one, and how many.
    pub fn each(&self) -> impl Iterator<Item = (Model, usize)> {
        Model::ALL.into_iter().zip(self.0).filter(|(_, count)| *count > 0)
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(count, more)| *count += more);
    }
}
