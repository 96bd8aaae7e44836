//! The documents that clients ask for, from the answers of the customer API: mostly the answers themselves.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::{CustomerAnswers, Endpoint, vitals};
use crate::link::json::{Look, Object, names, value_of};
use crate::link::measured::measured;
use crate::link::vitals::{Beside, Configured, Devices, lists, meters, watts};
use crate::model::{Documents, Interpretation, Number, NumberingMemory, Power, Readings};

/// What the answers mean.
pub(super) fn interpret(
    answers: &CustomerAnswers,
    readings: &Arc<Readings>,
    numbers: &NumberingMemory,
) -> Interpretation {
    let vitals = answers.answers[Endpoint::Vitals as usize].as_ref().and_then(|answer| {
        let devices = vitals::decode(answer).ok()?;
        Some(vitals::document(devices))
    });
    let solar = answers.parsed(Endpoint::SolarPowerwall);
    let grid_status = answers.parsed(Endpoint::GridStatus);
    let strings = match &vitals {
        Some(vitals) => lists::strings(vitals),
        None => strings(&solar),
    };
    let alerts = alerts(vitals.as_ref(), &solar, &grid_status);
    let vitals = vitals.unwrap_or_default();
    let aggregates = aggregates(answers, &readings.power);
    let meters = meters(&measured(aggregates.clone()));
    let documents = Documents {
        aggregates,
        strings,
        temps: lists::temps(&vitals),
        fans: Value::Null,
        system_status: system_status(answers),
        grid_status,
        status: status(answers),
        site_info: answers.parsed(Endpoint::SiteInfo),
        operation: answers.parsed(Endpoint::Operation),
        networks: answers.parsed(Endpoint::Networks),
        vitals,
    };
    let configured = Configured::default();
    let beside = Beside { readings, meters, alerts, configured, power: unit_power };
    crate::link::vitals::interpret(documents, beside, numbers)
}

/// The system status reports watts, the vitals kilowatts.
fn unit_power(unit: &Devices<'_>) -> Option<Number> {
    let block = unit.block.and_then(|(_, block)| block.at(&["p_out"]).number());
    block.or_else(|| watts(unit.inverter?.1.at(&["PINV_Pout"]).number()?))
}

/// The meters as received, but for what the operator wants changed.
fn aggregates(answers: &CustomerAnswers, shown: &Power) -> Value {
    let mut aggregates = answers.parsed(Endpoint::Aggregates);
    let reported = answers.facts.power;
    for (meter, reported, shown) in [
        ("site", reported.site, shown.site),
        ("load", reported.load, shown.load),
        ("solar", reported.solar, shown.solar),
    ] {
        if reported != shown
            && let Some(section) = aggregates.get_mut(meter).and_then(Value::as_object_mut)
        {
            section.insert("instant_power".into(), value_of(shown));
        }
    }
    aggregates
}

/// As received; clients count on two keys that older firmware does not have.
fn status(answers: &CustomerAnswers) -> Value {
    let mut status = answers.parsed(Endpoint::Status);
    if let Some(status) = status.as_object_mut() {
        status.entry("teg_type").or_insert_with(|| "unknown".into());
        status.entry("can_reboot").or_insert(true.into());
    }
    status
}

/// As received; clients count on a list of battery blocks.
fn system_status(answers: &CustomerAnswers) -> Value {
    let mut status = answers.parsed(Endpoint::SystemStatus);
    if let Some(status) = status.as_object_mut()
        && !status.get("battery_blocks").is_some_and(Value::is_array)
    {
        status.insert("battery_blocks".into(), Value::Array(Vec::new()));
    }
    status
}

/// Solar strings from the inverter's own record: `A`…`D`, then `A1`…`D1`, up to `D8`.
fn strings(solar: &Value) -> Value {
    let reported = solar.at(&["pvac_status", "string_vitals"]);
    if !reported.is_array() {
        return Value::Null;
    }
    let mut strings = Object::default();
    for (index, string) in reported.items().iter().enumerate().take(36) {
        let letter = char::from(b"ABCD"[index % 4]);
        let name = match index / 4 {
            0 => letter.to_string(),
            inverter => format!("{letter}{inverter}"),
        };
        let mut readings = Object::default();
        readings
            .set("Connected", string.at(&["connected"]).clone())
            .set("Voltage", string.at(&["measured_voltage"]).clone())
            .set("Current", string.at(&["current"]).clone())
            .set("Power", string.at(&["measured_power"]).clone());
        strings.set(name, readings.build());
    }
    strings.build()
}

/// Names of everything that is active, sorted, each once. The island state counts among them.
fn alerts(vitals: Option<&Value>, solar: &Value, grid_status: &Value) -> Vec<String> {
    let mut alerts: Vec<&str> = match vitals {
        Some(vitals) => {
            let devices = vitals.as_object().into_iter().flatten();
            devices.flat_map(|(_, device)| names(device.at(&["alerts"]))).collect()
        }
        None => ["pvac_alerts", "pvs_alerts"]
            .into_iter()
            .filter_map(|list| solar.at(&[list]).as_object())
            .flat_map(Map::iter)
            .filter_map(|(name, active)| active.is_true().then_some(name.as_str()))
            .collect(),
    };
    match grid_status.at(&["grid_services_active"]).is_true() {
        true => alerts.push("GridServicesActive"),
        false => alerts.extend(grid_status.at(&["grid_status"]).name()),
    }
    let known = |name| if name == "SystemGridConnected" { "SystemConnectedToGrid" } else { name };
    let mut alerts: Vec<String> = alerts.into_iter().map(|name| known(name).to_owned()).collect();
    alerts.sort_unstable();
    alerts.dedup();
    alerts
}
