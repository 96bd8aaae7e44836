//! What of a site has a number, and in which order numbers are given.

use serde_json::{Map, Value};

use super::join::reported_serials;
use crate::link::json::serial_of;
use crate::model::{Documents, Numbering, NumberingMemory};

/// Numbers what is in `documents`. `configured`: DINs of the Powerwall 3 units in the configuration.
pub(in crate::link) fn number(documents: &mut Documents, configured: &[String], numbers: &NumberingMemory) {
    documents.numbering = numbers.meet(&expected(documents, configured));
    let inverters = keys(&documents.vitals, "PVAC--");
    documents.strings = lettered(&documents.strings, &inverters, &documents.numbering.solar_inverters);
}

fn keys(document: &Value, prefix: &str) -> Vec<String> {
    let fields = document.as_object().into_iter().flatten();
    fields.map(|(key, _)| key).filter(|key| key.starts_with(prefix)).cloned().collect()
}

/// What there is, in the order in which numbers are given. A Powerwall 3 that has not answered yet has its place.
fn expected(documents: &Documents, configured: &[String]) -> Numbering {
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
