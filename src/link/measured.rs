//! Which zeros in the meters were measured. A gateway reports a zero for what it never read, and the year 1
//! as the time of reading it. The documents repeat both; readings and site have neither.

use serde_json::Value;

use crate::link::json::Look;

/// How a gateway writes that something never happened, but for the zone.
const NEVER: &str = "0001-01-01T00:00:00";
const PHASE_CURRENTS: [&str; 3] = ["i_a_current", "i_b_current", "i_c_current"];
/// What a meter that works cannot have all at zero.
const SIGNS_OF_LIFE: [&str; 5] =
    ["instant_power", "instant_average_voltage", "frequency", "energy_imported", "energy_exported"];

/// The meters without zeros that nobody measured: null instead.
pub(super) fn measured(mut aggregates: Value) -> Value {
    for (_, section) in aggregates.as_object_mut().into_iter().flatten() {
        if is_silent(section) {
            *section = Value::Null;
            continue;
        }
        clear(section);
    }
    aggregates
}

/// Whether a meter has never been heard of.
pub(super) fn is_silent(section: &Value) -> bool {
    is_never(section, "last_communication_time") && SIGNS_OF_LIFE.iter().all(|key| !is_alive(section, key))
}

fn is_alive(section: &Value, key: &str) -> bool {
    section.at(&[key]).number().is_some_and(|number| !number.is_zero())
}

fn is_never(section: &Value, time: &str) -> bool {
    section.at(&[time]).text().is_some_and(|time| time.starts_with(NEVER))
}

fn clear(section: &mut Value) {
    let no_voltages = is_never(section, "last_phase_voltage_communication_time");
    let no_powers = is_never(section, "last_phase_power_communication_time");
    // A power without a current was not worked out of one.
    let no_current = no_powers && is_alive(section, "instant_power");
    let unmeasured = [(no_voltages, &["frequency"][..]), (no_powers, &PHASE_CURRENTS)];
    let averages = [(no_current, &["instant_average_current", "instant_total_current"][..])];
    for key in unmeasured.into_iter().chain(averages).filter(|(is_so, _)| *is_so).flat_map(|(_, keys)| keys) {
        if let Some(value) = section.get_mut(*key)
            && value.number().is_some_and(|number| number.is_zero())
        {
            *value = Value::Null;
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn zeros_from_the_year_one_are_unknown() {
        let never = "0001-01-01T00:00:00Z";
        let section = |power: i64, current: f64, time: &str| {
            json!({
                "last_communication_time": "2026-01-05T13:09:22-07:00",
                "instant_power": power,
                "instant_average_voltage": 213.6,
                "frequency": 0,
                "instant_average_current": current,
                "i_a_current": 0,
                "i_b_current": 4.5,
                "last_phase_voltage_communication_time": time,
                "last_phase_power_communication_time": time,
            })
        };
        let seen = measured(json!({ "site": section(72, 0.0, never) }))["site"].take();
        for key in ["frequency", "i_a_current", "instant_average_current"] {
            assert_eq!(seen[key], Value::Null, "{key}");
        }
        assert_eq!((&seen["i_b_current"], &seen["instant_power"]), (&json!(4.5), &json!(72)));
        let now = section(72, 0.0, "2026-01-05T13:09:22-07:00");
        assert_eq!(measured(json!({ "site": now.clone() }))["site"], now, "a zero of today is one");
        let idle = measured(json!({ "solar": section(0, 0.0, never) }));
        assert_eq!(idle["solar"]["instant_average_current"], 0.0, "no power, no current");
    }

    #[test]
    fn a_meter_that_was_never_heard_of_is_none() {
        let silent = json!({
            "last_communication_time": "0001-01-01T00:00:00Z", "instant_power": 0, "energy_imported": 0,
            "frequency": 0,
        });
        assert!(is_silent(&silent));
        let mut spoken = silent.clone();
        spoken["energy_imported"] = 7.into();
        assert!(!is_silent(&spoken));
        assert!(!is_silent(&json!({ "instant_power": 0 })), "without a time, a zero is taken as one");
        assert_eq!(measured(json!({ "generator": silent }))["generator"], Value::Null);
    }
}
