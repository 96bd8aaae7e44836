//! Which power module sits in which Powerwall 2: the signals name modules by their own serials, and only the
//! order of the components says where they belong.

use serde_json::Value;

use super::parsed::Parsed;
use super::signals::{family, serial};
use crate::link::json::Look;

/// A package (the serial on the Powerwall) with the components of its power module.
pub(super) struct Pair<'a> {
    pub package: &'a str,
    pub inverter: &'a Value,
    pub pod: Option<&'a Value>,
}

/// Each package followed by its module, strictly. Any irregularity means no pairs at all: better no values
/// than those of a neighbour.
pub(super) fn pairs<'a>(parsed: &'a Parsed<'_>) -> Vec<Pair<'a>> {
    walk(parsed).unwrap_or_default()
}

fn walk<'a>(parsed: &'a Parsed<'_>) -> Option<Vec<Pair<'a>>> {
    let thc = parsed.controller.at(&["esCan", "bus", "THC"]).items();
    let known: Vec<&str> =
        thc.iter().filter_map(|package| package.at(&["packageSerialNumber"]).name()).collect();
    let mut pairs: Vec<Pair<'a>> = Vec::new();
    let mut modules: Vec<&str> = Vec::new();
    let mut open: Option<&str> = None;
    for component in parsed.msa() {
        let Some(serial) = serial(component) else { continue };
        match family(component) {
            Some("THC") => {
                let seen = pairs.iter().any(|pair| pair.package == serial);
                if open.is_some() || seen || !known.contains(&serial) {
                    return None;
                }
                open = Some(serial);
            }
            Some("PINV") => {
                let package = open.take()?;
                if modules.contains(&serial) {
                    return None;
                }
                modules.push(serial);
                let pod = parsed.component_of("POD", serial);
                pairs.push(Pair { package, inverter: component, pod });
            }
            _ if open.is_some() => return None,
            _ => {}
        }
    }
    (open.is_none() && pairs.len() == known.len()).then_some(pairs)
}
