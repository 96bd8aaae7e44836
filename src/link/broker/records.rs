//! What a site sends on for good, as JSON, version 1 (`docs/fleet.md`): quarters of an hour, and entries of
//! its journal. Both are written the same way whenever they are sent again.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::wire::VERSION;
use crate::link::bounds::Bounds;
use crate::link::json;
use crate::model::energy::{Flow, Flows};
use crate::store::history::queries::waiting::Slot;
use crate::store::journal::Recorded;

/// The detail of an entry has 4 KiB at most.
pub const LARGEST: usize = 16 << 10;
const BOUNDS: Bounds = Bounds { bytes: LARGEST, memory: 1 << 18, text: 8 << 10 };

/// A quarter of an hour of one gateway.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SlotRecord {
    pub v: u32,
    /// When it begins, Unix seconds.
    pub start: i64,
    /// Wh of solar, home, charge, discharge, import and export; `null`: nothing is known.
    pub wh: [Option<f64>; 6],
    /// Seconds of it in which each was measured or counted.
    pub seconds: [f64; 6],
    /// How it was got, as the history has it.
    pub ways: i64,
    /// State of energy at its end, app percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub soe: Option<f64>,
}

impl SlotRecord {
    pub fn of(slot: &Slot) -> Self {
        let rounded = |value: f64| (value * 1e3).round() / 1e3;
        Self {
            v: VERSION,
            start: slot.at,
            wh: slot.sum.energy.0.map(|energy| energy.map(rounded)),
            seconds: slot.sum.seconds.0.map(rounded),
            ways: slot.sum.ways,
            soe: slot.soe.map(rounded),
        }
    }

    /// The slot that it was made of.
    pub fn slot(&self) -> Slot {
        let mut slot = Slot { at: self.start, sum: Default::default(), soe: self.soe };
        slot.sum.energy = Flows(self.wh);
        slot.sum.seconds = Flows(self.seconds);
        slot.sum.ways = self.ways;
        slot
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads what [`SlotRecord::to_bytes`] writes; `None`: it is something else, or of a later version.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let document = json::document(bytes, &BOUNDS).ok()?;
        let slot: Self = serde_json::from_value(document).ok()?;
        (slot.v == VERSION).then_some(slot)
    }

    /// What is known of a flow.
    pub fn energy(&self, flow: Flow) -> Option<f64> {
        self.wh[flow as usize]
    }
}

/// An entry of the journal of a site.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JournalRecord {
    pub v: u32,
    /// The file that the entry stands in: numbers of another one mean something else.
    pub file: String,
    /// Its number in that file. Numbers grow, and some are missing.
    pub n: i64,
    /// Unix seconds.
    pub at: f64,
    pub kind: String,
    /// Absent: the program itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<String>,
    /// The number of the entry that this one belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<i64>,
    pub detail: Value,
}

impl JournalRecord {
    pub fn of(file: &str, recorded: &Recorded) -> Self {
        let entry = &recorded.entry;
        Self {
            v: VERSION,
            file: file.to_owned(),
            n: recorded.id.0,
            at: entry.at,
            kind: entry.kind.name().to_owned(),
            gateway: entry.gateway.clone(),
            about: entry.about.map(|about| about.0),
            detail: entry.detail.clone(),
        }
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads what [`JournalRecord::to_bytes`] writes; `None`: it is something else, or of a later version.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let document = json::document(bytes, &BOUNDS).ok()?;
        let entry: Self = serde_json::from_value(document).ok()?;
        (entry.v == VERSION).then_some(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::history::batch::Sum;
    use crate::store::journal::{Entry, EntryId, Kind};
    use serde_json::json;

    #[test]
    fn what_is_sent_reads_back_and_what_is_unknown_stays_unknown() {
        let energy = Flows([Some(1234.5), None, Some(0.0), None, None, Some(1e-3)]);
        let slot = Slot { at: 1_711_842_300, sum: Sum { energy, ..Sum::default() }, soe: Some(47.5) };
        let record = SlotRecord::of(&slot);
        let read = SlotRecord::read(&record.to_bytes()).unwrap();
        assert_eq!((read.slot(), &read), (slot, &record));
        assert_eq!(SlotRecord::read(br#"{"v":2,"start":0,"wh":[],"seconds":[],"ways":0}"#), None);

        let entry = Entry::new(Kind::Outage, "home", json!({ "ended": true })).about(EntryId(3));
        let record = JournalRecord::of("f", &Recorded { id: EntryId(7), entry });
        assert_eq!(JournalRecord::read(&record.to_bytes()), Some(record));
        assert_eq!(JournalRecord::read(&vec![b'['; LARGEST]), None);
    }
}
