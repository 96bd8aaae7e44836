//! What the journal says of a gateway: where an observer that starts goes on.

use std::collections::BTreeMap;

use log::warn;
use serde_json::Value;

use crate::clock::unix_time;
use crate::store::journal::{Filter, Journal, Kind};

/// What the state of an outage is called that Tesla has listed, and nobody has seen.
pub(super) const LISTED: &str = "listed";
/// What Tesla lists from before, in seconds, is not written any more.
pub(super) const OLDEST_LISTED: f64 = 30.0 * 86_400.0;
/// So many outages of the grid are remembered.
const MOST_CUT_OFF: usize = 200;
/// Outages that lie no further apart, in seconds, are one that was seen twice.
pub(super) const LATE: f64 = 900.0;

/// What observers write.
pub(super) const KINDS: [Kind; 7] =
    [Kind::Outage, Kind::Grid, Kind::Alert, Kind::Firmware, Kind::Link, Kind::GridServices, Kind::LowCharge];

/// The last that was written of each thing; `None`: nothing.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Recalled {
    /// Whether an outage had begun and not ended, and since when, Unix seconds.
    pub outage: Option<State>,
    /// Whether the home was cut off from the grid.
    pub grid: Option<State>,
    /// When the home was cut off, so that an outage that Tesla lists later is not written twice.
    pub cut_off: CutOff,
    pub grid_services: Option<State>,
    /// Whether the battery was low while the home was cut off.
    pub low_charge: Option<State>,
    pub firmware: Option<String>,
    /// The words of the links that were in use.
    pub links: Option<Vec<String>>,
    pub alerts: BTreeMap<String, State>,
}

/// Something that begins and ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct State {
    /// Whether it has begun and not ended.
    pub is_on: bool,
    /// When that began, Unix seconds.
    pub since: Option<f64>,
}

/// Times that the home was cut off from the grid, as far back as they matter.
#[derive(Debug, Default, PartialEq)]
pub(super) struct CutOff(Vec<(f64, f64)>);

impl CutOff {
    /// Unix seconds.
    pub fn add(&mut self, start: f64, end: f64) {
        if self.0.len() >= MOST_CUT_OFF {
            self.0.remove(0);
        }
        self.0.push((start, end));
    }

    /// Whether one of them is this one: what is polled is seen some time later than it was.
    pub fn has(&self, start: f64, end: f64) -> bool {
        self.0.iter().any(|(began, ended)| start <= ended + LATE && *began <= end + LATE)
    }
}

impl Recalled {
    /// Reads it. A journal that cannot be read says nothing.
    pub async fn read(journal: &Journal, id: &str) -> Self {
        let filter = Filter { gateways: vec![id.to_owned()], kinds: KINDS.into(), ..Filter::default() };
        let entries = journal.read(&filter).await.unwrap_or_else(|error| {
            warn!(gateway = id, event = "journal"; "gateway {id}: what was before is unknown: {error}");
            Vec::new()
        });
        let mut recalled = Self::default();
        // The newest of each thing comes first.
        for entry in entries.into_iter().map(|recorded| recorded.entry) {
            let detail = &entry.detail;
            let state = State { is_on: detail["state"] == "began", since: detail["since"].as_f64() };
            match entry.kind {
                // What Tesla listed is no state.
                Kind::Grid if detail["state"] == LISTED => {}
                Kind::Outage => _ = recalled.outage.get_or_insert(state),
                Kind::Grid => _ = recalled.grid.get_or_insert(state),
                Kind::GridServices => _ = recalled.grid_services.get_or_insert(state),
                Kind::LowCharge => _ = recalled.low_charge.get_or_insert(state),
                Kind::Firmware if recalled.firmware.is_none() => {
                    recalled.firmware = detail["to"].as_str().map(str::to_owned);
                }
                Kind::Link if recalled.links.is_none() => recalled.links = words(&detail["to"]),
                Kind::Alert => {
                    if let Some(name) = detail["alert"].as_str() {
                        recalled.alerts.entry(name.to_owned()).or_insert(state);
                    }
                }
                _ => {}
            }
        }
        recalled.cut_off = cut_off(journal, id).await;
        recalled
    }
}

/// Asked for on its own: whatever else is in the journal, what is listed must not be written again.
async fn cut_off(journal: &Journal, id: &str) -> CutOff {
    let since = Some(unix_time() - OLDEST_LISTED - LATE);
    let kinds = vec![Kind::Grid];
    let filter = Filter { gateways: vec![id.to_owned()], kinds, since, ..Filter::default() };
    let mut known = CutOff::default();
    for entry in journal.read(&filter).await.unwrap_or_default().into_iter().rev() {
        let detail = &entry.entry.detail;
        if let (Some(since), Some(seconds)) = (detail["since"].as_f64(), detail["seconds"].as_f64()) {
            known.add(since, since + seconds);
        }
    }
    known
}

fn words(list: &Value) -> Option<Vec<String>> {
    list.as_array()?.iter().map(|word| word.as_str().map(str::to_owned)).collect()
}
