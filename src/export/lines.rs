//! What was recorded, in Influx line protocol, with times in seconds.
//!
//! `powerwall_energy` has a line for each quarter of an hour, at its beginning, with the energy of the flows
//! in kWh; `powerwall_power` the power at a moment in W. Both have the charge in app percent and the gateway
//! as a tag. What is unknown is absent.

use std::fmt::Write;

use crate::model::energy::{Flow, Flows};
use crate::store::history::queries::waiting::{Load, Rows};

/// Wh in a unit of what is sent.
const KILO: f64 = 1000.0;

/// The lines of a load; empty if nothing is known in it.
pub fn of(load: &Load) -> String {
    let gateway = escaped(&load.gateway);
    let mut lines = String::new();
    match &load.rows {
        Rows::Slots(slots) => {
            for slot in slots {
                let energy = slot.sum.energy.map(|energy| energy.map(|energy| energy / KILO));
                line(&mut lines, ("powerwall_energy", &gateway, "kwh"), &energy, slot.soe, slot.at);
            }
        }
        Rows::Power(samples) => {
            for sample in samples {
                let at = sample.at as i64;
                line(&mut lines, ("powerwall_power", &gateway, "w"), &sample.power, sample.soe, at);
            }
        }
    }
    lines
}

fn line(
    lines: &mut String,
    (measurement, gateway, unit): (&str, &str, &str),
    flows: &Flows<Option<f64>>,
    soe: Option<f64>,
    at: i64,
) {
    let flows =
        Flow::WORDS.iter().zip(flows.0).filter_map(|(name, value)| Some((format!("{name}_{unit}"), value?)));
    let known = flows.chain(soe.map(|soe| ("soe".to_owned(), soe)));
    let fields: Vec<String> = known
        .filter(|(_, value)| value.is_finite())
        // Plus nothing, because that makes a zero of a negative zero.
        .map(|(name, value)| format!("{name}={}", (value * 1e6).round() / 1e6 + 0.0))
        .collect();
    if !fields.is_empty() {
        let _ = writeln!(lines, "{measurement},gateway={gateway} {} {at}", fields.join(","));
    }
}

/// A value of a tag.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for character in text.chars() {
        if matches!(character, ',' | '=' | ' ' | '\\') {
            escaped.push('\\');
        }
        escaped.push(if character.is_control() { '_' } else { character });
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::history::batch::{Sample, Sum};
    use crate::store::history::queries::waiting::Slot;

    #[test]
    fn what_is_known_is_a_field_and_what_is_not_is_absent() {
        let energy = Flows([Some(1234.5), None, Some(0.0), None, None, Some(1e-7)]);
        let sum = Sum { energy, ..Sum::default() };
        let slots = vec![
            Slot { at: 1_711_842_300, sum, soe: Some(47.5) },
            Slot { at: 1_711_843_200, sum: Sum::default(), soe: None },
        ];
        let load = Load { gateway: "my home,1".into(), rows: Rows::Slots(slots), reached: 0.0 };
        assert_eq!(
            of(&load),
            "powerwall_energy,gateway=my\\ home\\,1 solar_kwh=1.2345,charge_kwh=0,export_kwh=0,soe=47.5 \
             1711842300\n"
        );
        let sample = Sample { at: 1_711_842_300.9, power: Flows([Some(-0.0); 6]), soe: None };
        let load = Load { gateway: "home".into(), rows: Rows::Power(vec![sample]), reached: 0.0 };
        assert!(of(&load).starts_with("powerwall_power,gateway=home solar_w=0,home_w=0"), "{}", of(&load));
        assert!(of(&load).ends_with(" 1711842300\n"));
    }
}
