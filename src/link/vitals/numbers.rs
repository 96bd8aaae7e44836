//! What of a site has a number, and in which order numbers are given.

use serde_json::{Map, Value};

use super::join::Devices;
use crate::link::json::serial_of;
use crate::model::{Documents, Numbering};

fn keys(document: &Value, prefix: &str) -> Vec<String> {
    let fields = document.as_object().into_iter().flatten();
    fields.map(|(key, _)| key).filter(|key| key.starts_with(prefix)).cloned().collect()
}

/// What there is, in the order in which numbers are given. `configured`: DINs of the Powerwall 3 units in the
/// configuration; one that has not answered yet has its place.
pub(super) fn expected(documents: &Documents, reported: &[Devices<'_>], configured: &[String]) -> Numbering {
    let is_configured = |key: &str| configured.iter().any(|din| key.ends_with(din.as_str()));
    let serials: Vec<String> = configured.iter().map(|din| serial_of(din).to_owned()).collect();
    let reported = reported.iter().map(|unit| unit.serial.to_owned()).filter(|serial| !serial.is_empty());
    let others = reported.filter(|serial| !serials.contains(serial));
    let units = serials.iter().cloned().chain(others).collect();

    let own = keys(&documents.vitals, "PVAC--").into_iter().filter(|key| !is_configured(key));
    let inside = configured.iter().map(|din| format!("PVAC--{din}"));
    let is_known = documents.vitals.is_object();
    let solar_inverters = own.chain(inside.clone()).filter(|_| is_known).collect();

    let mut fans: Vec<String> = keys(&documents.fans, "");
    fans.retain(|key| !key.starts_with("TEPINV--"));
    fans.sort();
    // One that has answered without a fan has none.
    let fan = |key: &String| documents.fans.get(key).is_some() || documents.vitals.get(key).is_none();
    fans.extend(configured.iter().map(|din| format!("TEPINV--{din}")).filter(fan));
    fans.extend(keys(&documents.fans, "TEPINV--"));
    fans.retain(|_| is_known);
    Numbering { units, solar_inverters, fans }
}

/// What is remembered first, also where nothing is reported of it today; then what is not.
pub(super) fn by_number<'a>(mut reported: Vec<Devices<'a>>, remembered: &'a [String]) -> Vec<Devices<'a>> {
    let mut units: Vec<Devices<'_>> = remembered
        .iter()
        .map(|serial| match reported.iter().position(|unit| unit.serial == serial) {
            Some(index) => reported.remove(index),
            None => Devices::absent(serial),
        })
        .collect();
    units.append(&mut reported);
    units
}

/// The strings with the digits behind their letters given by number instead of by place.
pub(super) fn lettered(documents: &Documents, numbers: &[String]) -> Value {
    let Some(fields) = documents.strings.as_object() else { return documents.strings.clone() };
    // Whose strings they are, by place.
    let inverters = keys(&documents.vitals, "PVAC--");
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
