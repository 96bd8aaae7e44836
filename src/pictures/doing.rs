//! What each of the four does, in words.

use super::known::{Known, Station, is_flowing};
use super::words::Language;
use crate::model::GridStatus;

/// Within this many percent a battery is where it is to stay. App percent
const AT: f64 = 1.0;

/// The words below the power of `station`.
pub(super) fn doing(station: Station, known: &Known, language: Language) -> String {
    let watts = &known.watts;
    match station {
        Station::Grid => grid(known, language),
        Station::Battery => battery(known, language).to_owned(),
        Station::Solar if watts.solar.is_none() => language.say("Unknown").to_owned(),
        Station::Solar if is_flowing(watts.solar) => language.say("Producing").to_owned(),
        Station::Solar => language.say("No sun").to_owned(),
        Station::Home if watts.home.is_none() => language.say("Unknown").to_owned(),
        Station::Home => match known.self_powered {
            Some(part) => {
                language.fill("Self-powered {percent}", &[("percent", &super::words::percent(part))])
            }
            None => language.say("Using").to_owned(),
        },
    }
}

fn grid(known: &Known, language: Language) -> String {
    match known.grid {
        Some(GridStatus::Down) => return language.say("Outage").to_owned(),
        Some(GridStatus::Syncing) => return language.say("Reconnecting").to_owned(),
        _ => {}
    }
    let Some(watts) = known.watts.grid else { return language.say("Unknown").to_owned() };
    let both = known.exchange.filter(|(into, out)| is_flowing(Some(*into)) && is_flowing(Some(*out)));
    if let Some((into, out)) = both {
        let values = [("imported", &*language.power(Some(into))), ("exported", &*language.power(Some(out)))];
        return language.fill("Importing {imported}, exporting {exported}", &values);
    }
    match watts {
        watts if !is_flowing(Some(watts)) => language.say("Idle").to_owned(),
        watts if watts > 0.0 => language.say("Importing").to_owned(),
        _ => language.say("Exporting").to_owned(),
    }
}

/// What the battery does, and why where that is plain.
fn battery(known: &Known, language: Language) -> &'static str {
    let Some(watts) = known.watts.battery else { return language.say("Unknown") };
    if is_flowing(Some(watts)) {
        let half = watts.abs() / 2.0;
        return match watts > 0.0 {
            true if known.stream(Station::Battery, Station::Grid) > half => language.say("Feeding the grid"),
            true => language.say("Discharging"),
            false if known.stream(Station::Grid, Station::Battery) > half => {
                language.say("Charging from the grid")
            }
            false => language.say("Charging"),
        };
    }
    // Of several batteries together, none of that holds for each.
    let Some(charge) = known.charge.filter(|_| known.id.is_some()) else { return language.say("Idle") };
    let is_held = known.reserve.is_some_and(|reserve| (charge - reserve).abs() <= AT);
    match charge {
        charge if charge >= 100.0 - AT => language.say("Full"),
        _ if is_held && !known.is_outage() => language.say("Held at reserve"),
        _ => language.say("Idle"),
    }
}

/// How the site is operated; `None` for modes that have no name.
pub(super) fn mode(known: &Known, language: Language) -> Option<&'static str> {
    match known.mode.as_deref()? {
        "self_consumption" => Some(language.say("Self-consumption")),
        "autonomous" => Some(language.say("Time-based")),
        "backup" => Some(language.say("Backup only")),
        _ => None,
    }
}
