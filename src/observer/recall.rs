//! What the journal says of a gateway: where an observer that starts goes on.

use std::collections::BTreeMap;

use log::warn;
use serde_json::Value;

use crate::store::journal::{Filter, Journal, Kind};

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
        recalled
    }
}

fn words(list: &Value) -> Option<Vec<String>> {
    list.as_array()?.iter().map(|word| word.as_str().map(str::to_owned)).collect()
}
