//! Which unit is PW1, which fan is FAN1, and whose strings have no digit: for as long as anybody remembers.
//!
//! Databases store series under these numbers, so a number must not pass from one unit to another: not when a gateway
//! lists its units in another order one day, and not while one of them does not answer. Numbers are given in the
//! order in which clients of the servers before ours know them, and kept by serial from then on; what is new gets the
//! next one. A number is never given again, unless nothing of what was known is left: then it is another site.

use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Documents;
use super::tedapi::powerwall3_units;
use super::views::numbered::{reported_serials, serial_of};

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

    /// Numbers what is in `documents`.
    pub(super) fn number(&self, documents: &mut Documents) {
        let expected = expected(documents);
        documents.numbering = self.change(|known| {
            meet(&mut known.units, &expected.units);
            meet(&mut known.solar_inverters, &expected.solar_inverters);
            meet(&mut known.fans, &expected.fans);
        });
        let inverters = keys(&documents.vitals, "PVAC--");
        documents.strings = lettered(&documents.strings, &inverters, &documents.numbering.solar_inverters);
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

fn keys(document: &Value, prefix: &str) -> Vec<String> {
    let fields = document.as_object().into_iter().flatten();
    fields.map(|(key, _)| key).filter(|key| key.starts_with(prefix)).cloned().collect()
}

/// What there is, in the order in which numbers are given. A Powerwall 3 that has not answered yet has its place.
fn expected(documents: &Documents) -> Numbering {
    let configured = powerwall3_units(&documents.config);
    let is_configured = |key: &str| configured.iter().any(|din| key.ends_with(din.as_str()));
    let serials: Vec<String> = configured.iter().map(|din| serial_of(din).to_owned()).collect();
    let reported = reported_serials(documents);
    let others = reported.into_iter().filter(|serial| !serials.contains(serial));
    let units = serials.iter().cloned().chain(others).collect();

    let own = keys(&documents.vitals, "PVAC--").into_iter().filter(|key| !is_configured(key));
    let inside = configured.iter().map(|din| format!("PVAC--{din}"));
    let is_known = documents.vitals.is_object();
    let solar_inverters = own.chain(inside.clone()).filter(|_| is_known).collect();

    let mut fans: Vec<String> = keys(&documents.fans, "");
    fans.retain(|key| !key.starts_with("TEPINV--"));
    fans.sort();
    // One that has answered without telling of a fan has none.
    let fan = |key: &String| documents.fans.get(key).is_some() || documents.vitals.get(key).is_none();
    fans.extend(configured.iter().map(|din| format!("TEPINV--{din}")).filter(fan));
    fans.extend(keys(&documents.fans, "TEPINV--"));
    fans.retain(|_| is_known);
    Numbering { units, solar_inverters, fans }
}

/// `strings` with the digits behind their letters given by number instead of by place. `inverters`: whose strings
/// they are, by place.
fn lettered(strings: &Value, inverters: &[String], numbers: &[String]) -> Value {
    let Some(fields) = strings.as_object() else { return strings.clone() };
    let number = |place: usize| {
        let name = inverters.get(place)?;
        numbers.iter().position(|known| known == name)
    };
    let mut lettered: Vec<(usize, String, &Value)> = Vec::with_capacity(fields.len());
    for (name, string) in fields {
        let (letter, digits) = name.split_at_checked(1).unwrap_or((name, ""));
        let place = if digits.is_empty() { Some(0) } else { digits.parse().ok() };
        // More than nine inverters share digits; their strings stay as they are.
        let place = place.filter(|_| inverters.len() <= 9);
        match place.and_then(|place| Some((place, number(place)?))) {
            Some((_, 0)) => lettered.push((0, letter.to_owned(), string)),
            Some((_, number)) => lettered.push((number, format!("{letter}{number}"), string)),
            None => lettered.push((usize::MAX, name.clone(), string)),
        }
    }
    lettered.sort_by_key(|(number, ..)| *number);
    lettered.into_iter().map(|(_, name, string)| (name, string.clone())).collect::<Map<_, _>>().into()
}

#[cfg(test)]
mod tests;
