//! What sites are made of: firmware, capacity and batteries. Counted as each site reported it last, because
//! none of it goes away while nobody answers.

use std::cmp::Reverse;
use std::collections::HashMap;

use super::batteries::Batteries;
use super::row::{Row, TroubleKind};
use super::sums::Sum;
use super::version::Version;

/// How many sites have a firmware.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Firmware {
    /// As the gateway prints it; `None`: it does not say.
    pub version: Option<String>,
    pub sites: usize,
    /// Whether it is old beside that of the other sites.
    pub is_old: bool,
}

/// What several sites are made of.
#[derive(Debug, Default)]
pub struct Inventory {
    pub sites: usize,
    /// The newest first; what is no number and what is unknown at the end.
    pub firmware: Vec<Firmware>,
    /// Wh
    pub capacity: Sum,
    pub batteries: Batteries,
}

impl Inventory {
    pub fn of<'a>(rows: impl Iterator<Item = &'a Row>) -> Self {
        let mut inventory = Self::default();
        let mut versions: HashMap<Option<&str>, (usize, bool)> = HashMap::new();
        for row in rows {
            inventory.sites += 1;
            inventory.capacity.add(row.capacity);
            if let Some(batteries) = &row.batteries {
                inventory.batteries.add(batteries);
            }
            let known = versions.entry(row.firmware.as_deref()).or_default();
            *known = (known.0 + 1, row.has(TroubleKind::OldFirmware));
        }
        let firmware = |(version, (sites, is_old)): (Option<&str>, (usize, bool))| Firmware {
            version: version.map(str::to_owned),
            sites,
            is_old,
        };
        inventory.firmware = versions.into_iter().map(firmware).collect();
        inventory.firmware.sort_by_cached_key(|firmware| {
            let text = firmware.version.clone();
            // What has no number is not the oldest.
            (Reverse(text.as_deref().and_then(Version::of)), text.is_none(), text)
        });
        inventory
    }
}
