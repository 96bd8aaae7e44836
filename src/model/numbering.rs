//! Which unit is PW1, which fan is FAN1, and whose strings have no digit: for as long as anybody remembers.
//!
//! Databases store series under these numbers, so a number must not pass from one unit to another: not when a
//! gateway lists its units in another order one day, and not while one of them does not answer. Numbers are
//! given in the order in which clients of the servers before ours know them, and kept by serial from then on;
//! what is new gets the next one. A number is never given again, unless nothing of what was known is left:
//! then it is another site.

use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

/// More than any site has; what comes beyond is numbered, but not remembered.
const MOST: usize = 64;
const LONGEST_NAME: usize = 128;

/// What has a number, each list in the order of the numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Numbering {
    /// Serials of batteries, expansions included.
    pub units: Vec<String>,
    /// Vitals keys of inverters with solar strings.
    pub solar_inverters: Vec<String>,
    /// Vitals keys of devices with fans.
    pub fans: Vec<String>,
}

/// Adds to `known` what it does not have of `seen`.
fn meet(known: &mut Vec<String>, seen: &[String]) {
    if !seen.is_empty() && !known.is_empty() && known.iter().all(|name| !seen.contains(name)) {
        known.clear();
    }
    for name in seen {
        if known.len() < MOST && name.len() <= LONGEST_NAME && !name.is_empty() && !known.contains(name) {
            known.push(name.clone());
        }
    }
}

/// The memory of one gateway; shared by all its telemetries, and only ever added to.
#[derive(Debug, Default)]
pub struct NumberingMemory {
    known: Mutex<Arc<Numbering>>,
}

impl NumberingMemory {
    /// A memory of what was known before.
    pub fn of(numbering: Numbering) -> Self {
        let memory = Self::default();
        memory.recall(numbering);
        memory
    }

    pub fn known(&self) -> Arc<Numbering> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What was known before the program started comes before what it has seen since.
    pub fn recall(&self, before: Numbering) {
        self.change(|known| {
            let since = std::mem::take(known);
            for (known, lists) in [
                (&mut known.units, [before.units, since.units]),
                (&mut known.solar_inverters, [before.solar_inverters, since.solar_inverters]),
                (&mut known.fans, [before.fans, since.fans]),
            ] {
                lists.iter().for_each(|list| meet(known, list));
            }
        });
    }

    /// Gives a number to everything in `seen` that has none, in its order; all numbers there are.
    pub fn meet(&self, seen: &Numbering) -> Arc<Numbering> {
        self.change(|known| {
            meet(&mut known.units, &seen.units);
            meet(&mut known.solar_inverters, &seen.solar_inverters);
            meet(&mut known.fans, &seen.fans);
        })
    }

    fn change(&self, change: impl FnOnce(&mut Numbering)) -> Arc<Numbering> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changed = Numbering::clone(&known);
        change(&mut changed);
        if changed != **known {
            *known = Arc::new(changed);
        }
        known.clone()
    }
}

#[cfg(test)]
mod tests;
