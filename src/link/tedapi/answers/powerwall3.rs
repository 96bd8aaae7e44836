//! The inside of a Powerwall 3: its inverter, strings, battery and the expansions attached to it.

use serde_json::Value;

use super::parsed::{Parsed, expansions};
use super::signals::{alerts, first, serial, signal};
use crate::link::json::{Look, Object, serial_of, split_din, value_of};
use crate::model::Number;

const STRINGS: [char; 6] = ['A', 'B', 'C', 'D', 'E', 'F'];

/// Battery health, per pack.
const BMS_SIGNALS: [&str; 8] = [
    "BMS_LOG_tempOutOfBounds",
    "BMS_LOG_tempOutOfBoundsCharge",
    "BMS_kwhDischargeTotal",
    "BMS_LOG_ahDischargeTotal",
    "BMS_LOG_cacAvg",
    "BMS_LOG_numFullBattCycles",
    "BMS_LOG_overDischargeCounter",
    "BMS_LOG_selfDischargeRate",
];

/// High-voltage processor, per pack.
const HVP_SIGNALS: [&str; 5] = [
    "HVP_PackTempMax",
    "HVP_PackTempMin",
    "HVP_ShuntTemperature",
    "HVP_SafetyBiDisconnectState",
    "HVP_a061_LockoutOnIsoFaultRetry",
];

/// Inverter, per unit.
const PCH_SIGNALS: [&str; 11] = [
    "PCH_AmbientTemp",
    "PCH_heatsinkTemp",
    "PCH_FanSpeed_A",
    "PCH_FanSpeed_B",
    "PCH_FanDuty_A",
    "PCH_FanDuty_B",
    "PCH_AcRealPowerSum",
    "PCH_AcVoltageCN",
    "PCH_AcVoltageLL",
    "PCH_pcbaId",
    "PCH_usageId",
];

const PWS_SIGNALS: [&str; 7] = [
    "PWS_ExtSwitch_State",
    "PWS_RSDSelfTest_Result",
    "PWS_RSDSelfTest_State",
    "PWS_RSD_State",
    "PWS_assemblyId",
    "PWS_pcbaId",
    "PWS_reversePolarityStrings",
];

const BAGGR_SIGNALS: [&str; 3] =
    ["BAGGR_ExpectedEnergyRemaining", "BAGGR_ExpectedFullPackEnergy", "BAGGR_OperationType"];

/// What the fans of an inverter are called; there is no target speed.
pub(super) const FAN_SIGNALS: [&str; 4] =
    ["PCH_FanSpeed_A", "PCH_FanSpeed_B", "PCH_FanDuty_A", "PCH_FanDuty_B"];

/// The blocks of every unit that has answered, in configured order: packs, strings and inverter of each.
pub(super) fn blocks(parsed: &Parsed<'_>) -> Vec<(String, Value)> {
    parsed.units.iter().flat_map(|(din, components)| unit_blocks(parsed, din, components)).collect()
}

fn unit_blocks(parsed: &Parsed<'_>, din: &str, components: &Value) -> Vec<(String, Value)> {
    let mut blocks = packs(parsed, din, components);
    let (part, serial_number) = split_din(din);
    let pch = components.at(&["pch"]).items();
    let (mut pvac, mut pvs, mut inverter) = (Object::default(), Object::default(), Object::default());
    let unit_level = ["pws", "pch", "baggr"].iter().flat_map(|group| components.at(&[group]).items());
    inverter.set("alerts", alert_list(unit_level));
    for (group, names) in [("pch", &PCH_SIGNALS[..]), ("pws", &PWS_SIGNALS), ("baggr", &BAGGR_SIGNALS)] {
        for name in names {
            inverter.set(*name, first(components.at(&[group]).items(), name).clone());
        }
    }
    let measured = [
        ("PCH_AcFrequency", "PVAC_Fout", "PINV_Fout"),
        ("PCH_AcVoltageAB", "PVAC_Vout", "PINV_Vout"),
        ("PCH_AcVoltageAN", "PVAC_VL1Ground", "PINV_VSplit1"),
        ("PCH_AcVoltageBN", "PVAC_VL2Ground", "PINV_VSplit2"),
        ("PCH_BatteryPower", "PVAC_Pout", "PINV_Pout"),
        ("PCH_AcMode", "PVAC_State", "PINV_State"),
    ];
    for (name, pvac_key, inverter_key) in measured {
        let value = first(pch, name);
        pvac.set(pvac_key, value.clone());
        let value = match name {
            // Battery power: watts on the PVAC, kilowatts on the inverter, as on a Powerwall 2.
            "PCH_BatteryPower" => value_of(value.number().and_then(|watts| watts.over(Number::Int(1000)))),
            _ => value.clone(),
        };
        inverter.set(inverter_key, value);
    }
    for letter in STRINGS {
        let state = first(pch, &format!("PCH_PvState_{letter}")).text().unwrap_or("Unknown");
        let voltage = not_below_zero(first(pch, &format!("PCH_PvVoltage{letter}")));
        let current = not_below_zero(first(pch, &format!("PCH_PvCurrent{letter}")));
        let power = voltage.zip(current).and_then(|(voltage, current)| voltage.times(current));
        pvac.set(format!("PVAC_PvState_{letter}"), state)
            .set(format!("PVAC_PVMeasuredVoltage_{letter}"), value_of(voltage))
            .set(format!("PVAC_PVCurrent_{letter}"), value_of(current))
            .set(format!("PVAC_PVMeasuredPower_{letter}"), value_of(power));
        if letter == 'A' {
            pvac.set("manufacturer", "TESLA").set("partNumber", part).set("serialNumber", serial_number);
        }
        pvs.set(format!("PVS_String{letter}_Connected"), state.contains("Pv_Active"));
    }
    blocks.push((format!("PVAC--{din}"), pvac.build()));
    blocks.push((format!("PVS--{din}"), pvs.build()));
    blocks.push((format!("TEPINV--{din}"), inverter.build()));
    blocks
}

/// An idle string measures noise around 0, also below.
fn not_below_zero(value: &Value) -> Option<Number> {
    value.number().map(|number| if number.as_f64() <= 0.0 { Number::Int(0) } else { number })
}

/// The packs of one unit. The first is the unit's own; the others are expansions, which count only if they
/// hold energy and the configuration knows their serial: empty slots carry values too.
fn packs(parsed: &Parsed<'_>, din: &str, components: &Value) -> Vec<(String, Value)> {
    let configured = parsed.config.at(&["battery_blocks"]).items().iter();
    let mut configured = configured.filter(|block| block.at(&["vin"]).text() == Some(din));
    let expansions: Vec<&str> =
        configured.next().map(|block| expansions(block).collect()).unwrap_or_default();
    let hvp = components.at(&["hvp"]).items();
    let mut packs = Vec::new();
    for (index, bms) in components.at(&["bms"]).items().iter().enumerate() {
        let hvp = hvp.get(index).unwrap_or(&Value::Null);
        let full = watt_hours(signal(bms, "BMS_nominalFullPackEnergy"));
        let remaining = watt_hours(signal(bms, "BMS_nominalEnergyRemaining"));
        let pack_din = match index {
            0 => Some(din),
            _ => {
                serial(hvp).and_then(|serial| expansions.iter().copied().find(|din| serial_of(din) == serial))
            }
        };
        let Some(pack_din) = pack_din else { continue };
        if full == Some(0) || (index > 0 && full.is_none()) {
            continue;
        }
        let mut pack = Object::default();
        pack.set("alerts", alert_list([bms, hvp]))
            .set("POD_nom_energy_remaining", remaining)
            .set(
                "POD_nom_energy_to_be_charged",
                full.zip(remaining).map(|(full, remaining)| full - remaining),
            )
            .set("POD_nom_full_pack_energy", full);
        for name in BMS_SIGNALS {
            pack.set(name, signal(bms, name).clone());
        }
        for name in HVP_SIGNALS {
            pack.set(name, signal(hvp, name).clone());
        }
        packs.push((format!("TEPOD--{pack_din}"), pack.build()));
    }
    packs
}

/// kWh as sent → whole Wh.
fn watt_hours(kilowatt_hours: &Value) -> Option<i64> {
    kilowatt_hours.number().map(|energy| (energy.as_f64() * 1000.0).round() as i64)
}

/// Names of all active alerts, each once, in order.
fn alert_list<'a>(components: impl IntoIterator<Item = &'a Value>) -> Value {
    let mut list: Vec<&str> = Vec::new();
    for name in components.into_iter().flat_map(alerts) {
        if !list.contains(&name) {
            list.push(name);
        }
    }
    list.into_iter().collect()
}
