//! What a site keeps until the broker has it, as JSON, version 1 (`docs/fleet.md`): quarters of an hour, and
//! entries of the journal.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::wire::VERSION;
use crate::link::bounds::Bounds;
use crate::link::json;
use crate::model::energy::{Flow, Flows};
use crate::store::history::batch::Sum;
use crate::store::history::queries::waiting::Slot;

const BOUNDS: Bounds = Bounds { bytes: 16 << 10, memory: 256 << 10, text: 8 << 10 };

/// A quarter of an hour of one gateway.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SlotRecord {
    pub v: u32,
    /// When it begins, Unix seconds.
    pub at: i64,
    /// Wh by flow; one that is not known is absent.
    #[serde(default)]
    pub wh: BTreeMap<String, f64>,
    /// State of energy at its end, app percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub soe: Option<f64>,
}

impl SlotRecord {
    pub fn of(slot: &Slot) -> Self {
        let known = Flow::WORDS.iter().zip(slot.sum.energy.0);
        let wh =
            known.filter_map(|(word, energy)| Some(((*word).to_owned(), thousandths(energy?)))).collect();
        Self { v: VERSION, at: slot.at, wh, soe: slot.soe.map(thousandths) }
    }

    /// As the history has it.
    pub fn slot(&self) -> Slot {
        let energy = Flows(Flow::WORDS.map(|word| self.wh.get(word).copied()));
        Slot { at: self.at, sum: Sum { energy, ..Sum::default() }, soe: self.soe }
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads what [`SlotRecord::to_bytes`] writes; `None`: it is something else.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let slot: Self = serde_json::from_value(json::document(bytes, &BOUNDS).ok()?).ok()?;
        (slot.v == VERSION).then_some(slot)
    }
}

fn thousandths(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

/// An entry of the journal of a site.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EntryRecord {
    pub v: u32,
    /// Grows from entry to entry of a site.
    pub n: i64,
    /// Unix seconds.
    pub at: f64,
    pub kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<String>,
    /// The number of the entry that this one belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<i64>,
    pub detail: Value,
}

impl EntryRecord {
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads what [`EntryRecord::to_bytes`] writes; `None`: it is something else.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let entry: Self = serde_json::from_value(json::document(bytes, &BOUNDS).ok()?).ok()?;
        (entry.v == VERSION).then_some(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_comes_back_as_it_went_and_what_is_unknown_stays_unknown() {
        let energy = Flows([Some(1234.5678), None, Some(0.0), None, Some(3.0), None]);
        let slot = Slot { at: 1_711_842_300, sum: Sum { energy, ..Sum::default() }, soe: Some(47.5) };
        let record = SlotRecord::of(&slot);
        let back = SlotRecord::read(&record.to_bytes()).unwrap();
        assert_eq!(back, record);
        assert_eq!(back.slot().sum.energy.0, [Some(1234.568), None, Some(0.0), None, Some(3.0), None]);
        assert_eq!(SlotRecord::read(br#"{"v":2,"at":1}"#), None);
        assert_eq!(SlotRecord::read(b"[]"), None);
    }
}
