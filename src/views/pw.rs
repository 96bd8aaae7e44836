//! Bodies of `/pw/*`: one fact each, as scripts like to ask for them.

use serde_json::{Map, Value, json};

use crate::model::{Documents, Power};

pub(super) fn power(power: &Power, zeros: bool) -> Value {
    let of = |watts| super::flat::number(watts, zeros);
    json!({
        "site": of(power.site),
        "solar": of(power.solar),
        "battery": of(power.battery),
        "load": of(power.load),
    })
}

/// A section of the aggregates.
pub(super) fn section(documents: &Documents, name: &str) -> Value {
    documents.aggregates.get(name).cloned().unwrap_or_else(|| json!({}))
}

/// Blocks by serial, with what the thermal controller of the unit says.
pub(super) fn battery_blocks(documents: &Documents) -> Value {
    let blocks = documents.system_status.get("battery_blocks").and_then(Value::as_array);
    let by_serial = blocks.into_iter().flatten().filter_map(|block| {
        let mut block = block.as_object()?.clone();
        let serial = block.shift_remove("PackageSerialNumber")?.as_str()?.to_owned();
        let part = block.get("PackagePartNumber").and_then(Value::as_str).unwrap_or_default();
        if let Some(thermal) = documents.vitals.get(format!("TETHC--{part}--{serial}")) {
            block.insert("THC_State".into(), thermal.get("THC_State").cloned().unwrap_or_default());
            block.insert("temperature".into(), thermal.get("THC_AmbientTemp").cloned().unwrap_or_default());
        }
        Some((serial, Value::Object(block)))
    });
    Value::Object(by_serial.collect())
}

const STRING_READINGS: [&str; 5] =
    ["PVAC_Pout", "PVAC_PVCurrent", "PVAC_PVMeasuredPower", "PVAC_PVMeasuredVoltage", "PVAC_PvState"];

/// Strings with every reading of their inverter; the short form where there are no such inverters.
pub(super) fn strings<'a>(documents: &'a Documents) -> Value {
    let inverters =
        documents.vitals.as_object().into_iter().flatten().filter(|(key, _)| key.starts_with("PVAC--"));
    let verbose: Map<_, _> = inverters
        .map(|(key, inverter)| {
            let strings = documents.vitals.get(key.replacen("PVAC--", "PVS--", 1));
            let of = |block: Option<&'a Value>| block.and_then(Value::as_object).into_iter().flatten();
            let measured = STRING_READINGS
                .iter()
                .flat_map(|known| of(Some(inverter)).filter(move |(name, _)| name.starts_with(known)));
            let connected = of(strings).filter(|(name, _)| name.contains("String"));
            let readings = measured.chain(connected).map(|(name, value)| (name.clone(), value.clone()));
            (key.clone(), Value::Object(readings.collect()))
        })
        .collect();
    match verbose.is_empty() {
        true if documents.strings.is_object() => documents.strings.clone(),
        _ => Value::Object(verbose),
    }
}
