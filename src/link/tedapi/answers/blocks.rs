//! Battery blocks and `/api/system_status`. What the gateway does not report is null; the servers before ours
//! sent 0.

use serde_json::{Value, json};

use super::facts::island_state;
use super::parsed::{Parsed, expansions};
use super::signals::{serial, signals};
use crate::link::json::{Look, Object, serial_of, split_din, value_of};
use crate::model::Number;

/// One entry per inverter in the order of the vitals, then the expansions in configured order.
fn battery_blocks(parsed: &Parsed<'_>, vitals: &Value) -> Value {
    let devices = vitals.as_object().into_iter().flatten();
    let inverters = devices.filter_map(|(key, block)| {
        let din = key.strip_prefix("TEPINV--")?;
        let pod = vitals.at(&[&format!("TEPOD--{din}")]);
        Some(battery_block("", din, block, pod))
    });
    let configured = parsed.config.at(&["battery_blocks"]).items().iter().flat_map(expansions);
    let expansions = configured.map(|din| {
        let pod = vitals.at(&[&format!("TEPOD--{din}")]);
        battery_block("BatteryExpansion", din, &Value::Null, pod)
    });
    inverters.chain(expansions).collect()
}

fn battery_block(kind: &str, din: &str, inverter: &Value, pod: &Value) -> Value {
    let (part, _) = split_din(din);
    let mut block = Object::default();
    block
        .set("Type", kind)
        .set("PackagePartNumber", part)
        .set("PackageSerialNumber", serial_of(din))
        .set("disabled_reasons", json!([]))
        .set("pinv_state", inverter.at(&["PINV_State"]).clone())
        .set("pinv_grid_state", inverter.at(&["PINV_GridState"]).clone())
        .set("nominal_energy_remaining", pod.at(&["POD_nom_energy_remaining"]).clone())
        .set("nominal_full_pack_energy", pod.at(&["POD_nom_full_pack_energy"]).clone())
        .set("p_out", inverter.at(&["PINV_Pout"]).clone())
        .nulls(&["q_out"])
        .set("v_out", inverter.at(&["PINV_Vout"]).clone())
        .set("f_out", inverter.at(&["PINV_Fout"]).clone())
        .nulls(&["i_out", "energy_charged", "energy_discharged", "off_grid", "vf_mode", "wobble_detected"])
        .nulls(&["charge_power_clamped", "backup_ready", "OpSeqState", "version"]);
    block.build()
}

/// The document; null without a status.
pub(super) fn system_status(parsed: &Parsed<'_>, vitals: &Value) -> Value {
    if !parsed.status.is_object() {
        return Value::Null;
    }
    let energy = parsed.status.at(&["control", "systemStatus"]);
    let blocks = parsed.status.at(&["control", "batteryBlocks"]).as_array().map(Vec::len);
    let inverters = inverter_power(parsed);
    let nameplate = parsed.config.at(&["site_info", "nominal_system_power_ac"]).number();
    let nameplate =
        nameplate.map(|kilowatts| (kilowatts.as_f64() * 1000.0).round() as i64).filter(|watts| *watts > 0);
    let most = match (nameplate.map(Number::Int), inverters) {
        (Some(nameplate), Some(inverters)) if inverters.as_f64() < nameplate.as_f64() => Some(inverters),
        (Some(nameplate), _) => Some(nameplate),
        (None, inverters) => inverters,
    };
    let mut status = Object::default();
    status
        .set("command_source", "Configuration")
        .nulls(&["battery_target_power", "battery_target_reactive_power"])
        .set("nominal_full_pack_energy", energy.at(&["nominalFullPackEnergyWh"]).clone())
        .set("nominal_energy_remaining", energy.at(&["nominalEnergyRemainingWh"]).clone())
        .nulls(&["max_power_energy_remaining", "max_power_energy_to_be_charged"])
        .set("max_charge_power", value_of(most))
        .set("max_discharge_power", value_of(most))
        .set("max_apparent_power", value_of(most))
        .set(
            "instantaneous_max_discharge_power",
            value_of(available_power(parsed, "POD_available_dischg_power")),
        )
        .set(
            "instantaneous_max_charge_power",
            value_of(available_power(parsed, "POD_available_charge_power")),
        )
        .nulls(&["instantaneous_max_apparent_power", "hardware_capability_charge_power"])
        .nulls(&["hardware_capability_discharge_power", "grid_services_power"])
        .set("system_island_state", island_state(&parsed.status))
        .set("available_blocks", blocks)
        .nulls(&["available_charger_blocks"])
        .set("battery_blocks", battery_blocks(parsed, vitals))
        .nulls(&["ffr_power_availability_high", "ffr_power_availability_low", "load_charge_constraint"])
        .nulls(&["max_sustained_ramp_rate"])
        .set("grid_faults", json!([]))
        .set("can_reboot", "Yes")
        .nulls(&[
            "smart_inv_delta_p",
            "smart_inv_delta_q",
            "last_toggle_timestamp",
            "solar_real_power_limit",
            "score",
        ])
        .set("blocks_controlled", blocks)
        .set("primary", true)
        .nulls(&["auxiliary_load"])
        .set("all_enable_lines_high", Value::Null)
        .set("inverter_nominal_usable_power", value_of(inverters))
        .nulls(&["expected_energy_remaining"]);
    status.build()
}

/// Nominal power of the inverters that are there, W.
fn inverter_power(parsed: &Parsed<'_>) -> Option<Number> {
    let inverters = parsed.status.at(&["esCan", "bus", "PINV"]).items().iter();
    let nominal = inverters.filter_map(|inverter| {
        let capability = inverter.at(&["PINV_PowerCapability"]);
        let power = capability.at(&["PINV_Pnom"]).number().filter(|power| power.as_f64() > 0.0)?;
        (!capability.at(&["isMIA"]).is_true()).then_some(power)
    });
    nominal.reduce(|sum, power| sum.plus(power).unwrap_or(sum))
}

/// Power available now over all packs, W; unknown unless every pack that reports either direction reports
/// this one.
fn available_power(parsed: &Parsed<'_>, name: &str) -> Option<Number> {
    const DIRECTIONS: [&str; 2] = ["POD_available_charge_power", "POD_available_dischg_power"];
    let mut packs: Vec<(&str, Option<Number>)> = Vec::new();
    for component in parsed.msa() {
        let Some(serial) = serial(component) else { continue };
        for (signal, value) in signals(component).filter(|(signal, _)| DIRECTIONS.contains(signal)) {
            let index = packs.iter().position(|(pack, _)| *pack == serial).unwrap_or_else(|| {
                packs.push((serial, None));
                packs.len() - 1
            });
            let power = value.and_then(Look::number).filter(|power| power.as_f64() >= 0.0);
            if signal == name && power.is_some() {
                packs[index].1 = power;
            }
        }
    }
    let powers: Option<Vec<Number>> = packs.into_iter().map(|(_, power)| power).collect();
    powers?.into_iter().reduce(|sum, power| sum.plus(power).unwrap_or(sum))
}
