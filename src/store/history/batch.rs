//! What is given to be written at once: everything that the gateways added since the batch before, as sums
//! that are added to what is there.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::tz::TimeZone;

use crate::model::energy::ledger::{Additions, Booked, Recovered, State, Way};
use crate::model::energy::{Flow, Flows};
use crate::model::tariff::Tariff;

/// Power at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Unix seconds.
    pub at: f64,
    /// W
    pub power: Flows<Option<f64>>,
    /// State of energy, app percent.
    pub soe: Option<f64>,
}

/// A measurement of one device.
#[derive(Clone, Debug, PartialEq)]
pub struct Signal {
    /// The key of its block in the vitals.
    pub device: String,
    /// One of the ids in [`SIGNALS`](crate::model::site::signals::SIGNALS) or
    /// [`PARTS`](crate::model::site::recorded::PARTS).
    pub metric: &'static str,
    /// Unix seconds, as the table of the server before has them.
    pub at: i64,
    pub value: f64,
}

/// How a part of an energy was got, as bits of [`Sum::ways`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The difference of two counters, read one after the other.
    Counted,
    /// Power over time.
    Integrated,
    /// The difference of two counters over an outage or a restart.
    Recovered,
    /// Taken over from the server before.
    TakenOver,
    /// Imported from elsewhere.
    Imported,
}

impl Source {
    pub const ALL: [Self; 5] =
        [Self::Counted, Self::Integrated, Self::Recovered, Self::TakenOver, Self::Imported];

    /// As it is written in documents.
    pub fn word(self) -> &'static str {
        match self {
            Self::Counted => "counted",
            Self::Integrated => "integrated",
            Self::Recovered => "recovered",
            Self::TakenOver => "taken_over",
            Self::Imported => "imported",
        }
    }

    /// Its bits for all flows.
    pub fn of_all(self) -> i64 {
        Flow::ALL.into_iter().fold(0, |ways, flow| ways | self.bit(flow))
    }

    /// Its bit for `flow`: the first four sources have four bits of each flow, and those from 32 on belong
    /// to what is imported.
    pub fn bit(self, flow: Flow) -> i64 {
        match self {
            Self::Imported => 1 << (32 + flow as u32),
            other => 1 << (4 * flow as u32 + other as u32),
        }
    }
}

/// What else is known of the energy of a day that was imported, as bits of [`Sum::ways`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// It came as one value, and is not the sum of what its slots hold.
    Whole = 40,
    /// Nobody knows which part of the day it covers.
    Vague = 48,
}

impl Mark {
    /// Its bit for `flow`.
    pub fn bit(self, flow: Flow) -> i64 {
        1 << (self as u32 + flow as u32)
    }
}

/// Energy in a slot or a day, as far as it was added.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sum {
    /// Wh; `None`: nothing is known of this flow.
    pub energy: Flows<Option<f64>>,
    /// Seconds in which it was measured or counted.
    pub seconds: Flows<f64>,
    /// How it was got: [`Source::bit`] of everything that is in it, and [`Mark::bit`].
    pub ways: i64,
}

impl Sum {
    pub(super) fn add(&mut self, flow: Flow, energy: f64, seconds: f64, source: Source) {
        self.energy[flow] = Some(self.energy[flow].unwrap_or_default() + energy);
        self.seconds[flow] += seconds;
        self.ways |= source.bit(flow);
    }

    /// Adds what is known of `other`.
    pub fn add_all(&mut self, other: &Self) {
        for flow in Flow::ALL {
            if let Some(energy) = other.energy[flow] {
                self.energy[flow] = Some(self.energy[flow].unwrap_or_default() + energy);
            }
            self.seconds[flow] += other.seconds[flow];
        }
        self.ways |= other.ways;
    }
}

/// What one gateway adds.
#[derive(Clone, Debug, Default)]
pub struct Added {
    /// The zone of the site, by which its days begin; `None`: as it was known before, or UTC.
    pub zone: Option<TimeZone>,
    pub samples: Vec<Sample>,
    /// By their beginning.
    pub slots: BTreeMap<i64, Sum>,
    pub intervals: Vec<Recovered>,
    pub signals: Vec<Signal>,
    /// What the next run continues from.
    pub state: Option<State>,
    /// State of energy at the end of each slot, as far as it is known, app percent.
    pub soe: BTreeMap<i64, f64>,
    /// What energy costs as Tesla has it, where the settings do not say.
    pub tariff: Option<Arc<Tariff>>,
}

impl Added {
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
            && self.slots.is_empty()
            && self.intervals.is_empty()
            && self.signals.is_empty()
    }

    /// Adds what a reading brought.
    pub fn book(&mut self, Additions { slots, recovered }: Additions) {
        for Booked { flow, share, way } in slots {
            let source = match way {
                Way::Counted => Source::Counted,
                Way::Integrated => Source::Integrated,
            };
            self.slots.entry(share.slot).or_default().add(flow, share.energy, share.seconds, source);
        }
        self.intervals.extend(recovered);
    }
}

/// Everything that is written at once.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Which run of the program it is of: random.
    pub run: i64,
    /// Grows by one with each batch.
    pub number: i64,
    /// By gateway.
    pub added: BTreeMap<String, Added>,
}

impl Batch {
    /// Samples in it.
    pub fn samples(&self) -> usize {
        self.added.values().map(|added| added.samples.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::energy::Share;

    #[test]
    fn what_is_booked_is_a_sum_of_each_slot_with_the_way_it_was_got() {
        let mut added = Added::default();
        let share = |energy| Share { slot: 900, energy, seconds: 5.0 };
        let booked = |way, energy| Booked { flow: Flow::Solar, share: share(energy), way };
        let slots = vec![booked(Way::Counted, 1.0), booked(Way::Integrated, 2.0)];
        added.book(Additions { slots, recovered: Vec::new() });
        let sum = &added.slots[&900];
        assert_eq!((sum.energy[Flow::Solar], sum.seconds[Flow::Solar]), (Some(3.0), 10.0));
        assert_eq!(sum.ways, Source::Counted.bit(Flow::Solar) | Source::Integrated.bit(Flow::Solar));
        assert_eq!(sum.energy[Flow::Home], None);
    }

    #[test]
    fn every_source_of_every_flow_has_a_bit_of_its_own() {
        let bits = Source::ALL.into_iter().flat_map(|source| Flow::ALL.map(|flow| source.bit(flow)));
        let bits: std::collections::BTreeSet<i64> = bits.collect();
        assert_eq!(bits.len(), 30);
        assert!(bits.iter().all(|bit| bit.count_ones() == 1));
        // As files have them already.
        assert_eq!((Source::Counted.bit(Flow::Solar), Source::TakenOver.bit(Flow::Home)), (1, 128));
    }
}
