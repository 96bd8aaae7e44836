//! Vitals: every device of a site with its measurements, keyed by type, part and serial.
//!
//! Keys and their order are those that dashboards have stored for years, oddities included: `TESLA--None` and
//! `TESYNC--None--None` stand for devices whose serial the gateway does not report.

use serde_json::{Map, Value, json};

use super::hold::instant;
use super::lists;
use super::meters::{neurios, remote_meters};
use super::parsed::Parsed;
use super::powerwall2::pairs;
use super::powerwall3;
use super::signals::{bus_alerts, first, serial, signal, signals, table};
use crate::link::json::{Look, Object, names, split_din, value_of};

const STRINGS: [char; 4] = ['A', 'B', 'C', 'D'];

/// Measurements of the island controller; the gateway is not asked for some of them.
const ISLAND_KEYS: [&str; 24] = [
    "ISLAND_FreqL1_Load",
    "ISLAND_FreqL1_Main",
    "ISLAND_FreqL2_Load",
    "ISLAND_FreqL2_Main",
    "ISLAND_FreqL3_Load",
    "ISLAND_FreqL3_Main",
    "ISLAND_GridConnected",
    "ISLAND_GridState",
    "ISLAND_L1L2PhaseDelta",
    "ISLAND_L1L3PhaseDelta",
    "ISLAND_L1MicrogridOk",
    "ISLAND_L2L3PhaseDelta",
    "ISLAND_L2MicrogridOk",
    "ISLAND_L3MicrogridOk",
    "ISLAND_PhaseL1_Main_Load",
    "ISLAND_PhaseL2_Main_Load",
    "ISLAND_PhaseL3_Main_Load",
    "ISLAND_ReadyForSynchronization",
    "ISLAND_VL1N_Load",
    "ISLAND_VL1N_Main",
    "ISLAND_VL2N_Load",
    "ISLAND_VL2N_Main",
    "ISLAND_VL3N_Load",
    "ISLAND_VL3N_Main",
];

/// The document, or null while the controller's answer is missing. The configuration is waited for, because
/// it orders the units, unless it cannot be read.
pub(super) fn vitals(parsed: &Parsed<'_>) -> Value {
    let has_config = parsed.config.is_object() || parsed.payloads.config_is_unreadable;
    if !has_config || !parsed.controller.is_object() {
        return Value::Null;
    }
    let bus = parsed.controller.at(&["esCan", "bus"]);
    let mut blocks = Map::new();
    let mut add = |(key, block): (String, Value)| {
        blocks.insert(key, block);
    };
    add(("VITALS".into(), about(parsed)));
    neurios(parsed, &parsed.controller).iter().for_each(|meter| add(meter.neurio_block(parsed.vin())));
    remote_meters(parsed).iter().for_each(|meter| add(meter.remote_block(parsed.vin())));
    let solar = solar_inverters(parsed, bus);
    solar.iter().for_each(|inverter| add(inverter.pvac.clone()));
    solar.iter().for_each(|inverter| add(inverter.pvs.clone()));
    add(gateway(parsed));
    let packages = packages(parsed, bus);
    packages.iter().for_each(|package| add(package.inverter.clone()));
    packages.iter().for_each(|package| add(package.pod.clone()));
    solar.into_iter().for_each(|inverter| add(inverter.label));
    let backup_switch = backup_switch(parsed, bus);
    add(backup_switch.label);
    add(synchroniser(parsed, bus));
    packages.into_iter().for_each(|package| add(package.thermal));
    backup_switch.meter.into_iter().for_each(&mut add);
    powerwall3::blocks(parsed).into_iter().for_each(&mut add);
    Value::Object(blocks)
}

fn about(parsed: &Parsed<'_>) -> Value {
    let time = instant(parsed.controller.at(&["system", "time"]));
    json!({
        "text": "Device vitals generated from Tesla Powerwall Gateway TEDAPI",
        "timestamp": time.map(|time| time.as_millisecond() as f64 / 1000.0),
        "gateway": &*parsed.payloads.host,
        "pyPowerwall": env!("CARGO_PKG_VERSION"),
    })
}

fn gateway(parsed: &Parsed<'_>) -> (String, Value) {
    let (part, serial) = parsed.vin().map(split_din).unzip();
    let mut block = Object::default();
    block
        .set("STSTSM-Location", "Gateway")
        .set("alerts", names(parsed.controller.at(&["control", "alerts", "active"])).collect::<Value>())
        .nulls(&["firmwareVersion", "lastCommunicationTime"])
        .set("manufacturer", "TESLA")
        .set("partNumber", part)
        .set("serialNumber", serial)
        .set("teslaEnergyEcuAttributes", ecu(207));
    (parsed.gateway_key(), block.build())
}

fn ecu(kind: u16) -> Value {
    json!({ "ecuType": kind })
}

/// The keys that end the block of a device with part and serial.
fn identity(block: &mut Object, parent: impl Into<Value>, (part, serial): (&str, &str), kind: u16) -> Value {
    block
        .set("componentParentDin", parent)
        .nulls(&["firmwareVersion", "lastCommunicationTime"])
        .set("manufacturer", "TESLA")
        .set("partNumber", part)
        .set("serialNumber", serial)
        .set("teslaEnergyEcuAttributes", ecu(kind))
        .build()
}

/// Part and serial of a device on the bus; `None` for a slot without a serial.
fn package(device: &Value) -> Option<(&str, &str)> {
    let serial = device.at(&["packageSerialNumber"]).name()?;
    Some((device.at(&["packagePartNumber"]).text().unwrap_or_default(), serial))
}

/// The three blocks of a solar inverter of the Powerwall 2 generation.
struct SolarInverter {
    pvac: (String, Value),
    pvs: (String, Value),
    label: (String, Value),
}

fn solar_inverters(parsed: &Parsed<'_>, bus: &Value) -> Vec<SolarInverter> {
    let fans = lists::solar_fans(parsed);
    let devices = bus.at(&["PVAC"]).items().iter().enumerate();
    let inverter = |(index, pvac): (usize, &Value)| {
        let name = package(pvac)?;
        let din = format!("{}--{}", name.0, name.1);
        let key = format!("PVAC--{din}");
        let pvs = bus.at(&["PVS"]).items().get(index).unwrap_or(&Value::Null);
        let fan = fans.iter().find(|(fan, _)| *fan == key).map(|(_, speeds)| speeds);
        let solar = parsed.config.at(&["solars"]).items().get(index).unwrap_or(&Value::Null);
        let brand = solar.at(&["brand"]).name().map_or_else(|| "TESLA".into(), str::to_uppercase);
        let mut label = Object::default();
        label
            .set("componentParentDin", parsed.gateway_key())
            .nulls(&["firmwareVersion", "lastCommunicationTime"])
            .set("manufacturer", brand)
            .set("pvInverterAttributes", json!({ "nameplateRealPowerW": solar.at(&["power_rating_watts"]) }))
            .set("serialNumber", din.as_str());
        Some(SolarInverter {
            pvac: (key.clone(), pvac_block(pvac, pvs, name, fan)),
            pvs: (format!("PVS--{din}"), pvs_block(pvs, &key, name)),
            label: (format!("TESLA--{din}"), label.build()),
        })
    };
    devices.filter_map(inverter).collect()
}

fn pvac_block(pvac: &Value, pvs: &Value, name: (&str, &str), fan: Option<&Value>) -> Value {
    let (status, logging) = (pvac.at(&["PVAC_Status"]), pvac.at(&["PVAC_Logging"]));
    let mut block = Object::default();
    block.copy(&["PVAC_Fout"], status).nulls(&[
        "PVAC_GridState",
        "PVAC_InvState",
        "PVAC_Iout",
        "PVAC_LifetimeEnergyPV_Total",
    ]);
    for string in STRINGS {
        block.copy(&[&format!("PVAC_PVCurrent_{string}")], logging);
    }
    for string in STRINGS {
        let measured = |what: &str| logging.at(&[&format!("PVAC_PV{what}_{string}")]).number();
        let power = measured("MeasuredVoltage").zip(measured("Current"));
        let power = power.and_then(|(voltage, current)| voltage.times(current));
        block.set(format!("PVAC_PVMeasuredPower_{string}"), value_of(power));
    }
    for string in STRINGS {
        block.copy(&[&format!("PVAC_PVMeasuredVoltage_{string}")], logging);
    }
    block.copy(&["PVAC_Pout"], status);
    for string in STRINGS {
        let connected = pvs.at(&["PVS_Status", &format!("PVS_String{string}_Connected")]);
        let state = connected.as_bool().map(|on| if on { "PV_Active" } else { "PV_Disabled" });
        block.set(format!("PVAC_PvState_{string}"), state);
    }
    block
        .nulls(&["PVAC_Qout"])
        .copy(&["PVAC_State"], status)
        .nulls(&["PVAC_VHvMinusChassisDC"])
        .copy(&["PVAC_VL1Ground", "PVAC_VL2Ground"], logging)
        .copy(&["PVAC_Vout"], status)
        .set("alerts", bus_alerts(pvac))
        .nulls(&["PVI-PowerStatusSetpoint"]);
    let mut built = identity(&mut block, Value::Null, name, 296);
    if let (Value::Object(block), Some(Value::Object(speeds))) = (&mut built, fan) {
        block.extend(speeds.clone());
    }
    built
}

fn pvs_block(pvs: &Value, parent: &str, name: (&str, &str)) -> Value {
    let status = pvs.at(&["PVS_Status"]);
    let mut block = Object::default();
    block.nulls(&["PVS_EnableOutput"]).copy(&["PVS_SelfTestState", "PVS_State"], status);
    for string in STRINGS {
        block.copy(&[&format!("PVS_String{string}_Connected")], status);
    }
    block.copy(&["PVS_vLL"], status).set("alerts", bus_alerts(pvs));
    identity(&mut block, parent, name, 297)
}

/// The three blocks of a Powerwall 2.
struct Package {
    thermal: (String, Value),
    pod: (String, Value),
    inverter: (String, Value),
}

fn packages(parsed: &Parsed<'_>, bus: &Value) -> Vec<Package> {
    let pairs = pairs(parsed);
    let devices = bus.at(&["THC"]).items().iter().enumerate();
    let package_of = |(index, thc): (usize, &Value)| {
        let name = package(thc)?;
        let din = format!("{}--{}", name.0, name.1);
        let key = format!("TETHC--{din}");
        let pair = pairs.iter().find(|pair| pair.package == name.1);
        let slot = |kind: &str| bus.at(&[kind]).items().get(index).unwrap_or(&Value::Null);
        let module = pair.map(|pair| table(pair.inverter)).unwrap_or_default();
        let pod = pair.and_then(|pair| pair.pod).map(table).unwrap_or_default();
        Some(Package {
            thermal: (key.clone(), thermal_block(parsed, thc, name)),
            pod: (format!("TEPOD--{din}"), pod_block(slot("POD"), &pod, thc, &key, name)),
            inverter: (format!("TEPINV--{din}"), inverter_block(slot("PINV"), &module, &key, name)),
        })
    };
    devices.filter_map(package_of).collect()
}

fn thermal_block(parsed: &Parsed<'_>, thc: &Value, name: (&str, &str)) -> Value {
    let own = || parsed.msa().iter().filter(|component| serial(component) == Some(name.1));
    let state = parsed.component_of("THC", name.1).map(|component| signal(component, "THC_State").clone());
    let mut block = Object::default();
    block
        .set("THC_AmbientTemp", first(own(), "THC_AmbientTemp").clone())
        .set("THC_State", state)
        .set("alerts", bus_alerts(thc));
    identity(&mut block, parsed.gateway_key(), name, 224)
}

fn pod_block(pod: &Value, module: &Value, thc: &Value, parent: &str, name: (&str, &str)) -> Value {
    let energy = pod.at(&["POD_EnergyStatus"]);
    let (remaining, full) = ("POD_nom_energy_remaining", "POD_nom_full_pack_energy");
    let to_charge = energy.at(&[full]).number().zip(energy.at(&[remaining]).number());
    let to_charge = to_charge.and_then(|(full, remaining)| full.minus(remaining));
    let mut block = Object::default();
    block
        .nulls(&["POD_ActiveHeating", "POD_CCVhold", "POD_ChargeComplete", "POD_ChargeRequest"])
        .nulls(&["POD_DischargeComplete", "POD_PermanentlyFaulted", "POD_PersistentlyFaulted"])
        .copy(&["POD_available_charge_power", "POD_available_dischg_power"], module)
        .nulls(&["POD_enable_line"])
        .copy(&[remaining], energy)
        .set("POD_nom_energy_to_be_charged", value_of(to_charge))
        .copy(&[full], energy)
        .nulls(&["POD_state"])
        .set("alerts", bus_alerts(thc));
    identity(&mut block, parent, name, 226)
}

fn inverter_block(pinv: &Value, module: &Value, parent: &str, name: (&str, &str)) -> Value {
    let status = pinv.at(&["PINV_Status"]);
    let mut block = Object::default();
    block
        .copy(&["PINV_EnergyCharged", "PINV_EnergyDischarged"], module)
        .copy(&["PINV_Fout", "PINV_GridState"], status)
        .copy(&["PINV_HardwareEnableLine", "PINV_HeatsinkTemp"], module)
        .copy(&["PINV_LifetimeEnergyCharged", "PINV_LifetimeEnergyDischarged"], module)
        .copy(&["PINV_PllFrequency", "PINV_PllLocked"], module)
        .copy(&["PINV_Pnom"], pinv.at(&["PINV_PowerCapability"]))
        .copy(&["PINV_Pout"], status)
        .copy(&["PINV_PowerLimiter", "PINV_Qout", "PINV_ReadyForGridForming"], module)
        .copy(&["PINV_State"], status)
        .copy(&["PINV_VSplit1", "PINV_VSplit2"], pinv.at(&["PINV_AcMeasurements"]))
        .copy(&["PINV_Vout"], status)
        .set("alerts", bus_alerts(pinv));
    identity(&mut block, parent, name, 253)
}

fn synchroniser(parsed: &Parsed<'_>, bus: &Value) -> (String, Value) {
    let (part, serial_number) = parsed.synchroniser(&parsed.controller);
    let islander = bus.at(&["ISLANDER"]);
    let measured = islander.at(&["ISLAND_AcMeasurements"]);
    let mut block = Object::default();
    for key in ISLAND_KEYS {
        let from = match key {
            "ISLAND_GridConnected" => islander.at(&["ISLAND_GridConnection"]),
            _ => measured,
        };
        block.copy(&[key], from);
    }
    for meter in ['X', 'Y'] {
        let readings = parsed.sync_meter(&parsed.controller, meter);
        let prefix = format!("METER_{meter}_");
        meter_keys(&mut block, &prefix, &readings, &["VL1N", "VL2N", "VL3N"]);
    }
    let own = || {
        parsed
            .msa()
            .iter()
            .filter(|component| serial(component).is_some() && serial(component) == serial_number)
    };
    for name in ["SYNC_ExternallyPowered", "SYNC_SiteSwitchEnabled", "SYNC_Uptime"] {
        block.set(name, first(own(), name).clone());
    }
    block
        .set("alerts", bus_alerts(bus.at(&["SYNC"])))
        .set("componentParentDin", parsed.gateway_key())
        .nulls(&["firmwareVersion"])
        .set("manufacturer", "TESLA")
        .set("partNumber", part)
        .set("serialNumber", serial_number)
        .set("teslaEnergyEcuAttributes", ecu(259));
    let key = format!("TESYNC--{}--{}", part.unwrap_or("None"), serial_number.unwrap_or("None"));
    (key, block.build())
}

/// The readings of one of the gateway's own meters. `voltages` are the names the source uses for the three
/// phases.
fn meter_keys(block: &mut Object, prefix: &str, readings: &Value, voltages: &[&str; 3]) {
    for ct in ["CTA", "CTB", "CTC"] {
        for what in ["I", "InstReactivePower", "InstRealPower"] {
            block.copy(&[&format!("{prefix}{ct}_{what}")], readings);
        }
    }
    block.copy(
        &[&format!("{prefix}LifetimeEnergyExport"), &format!("{prefix}LifetimeEnergyImport")],
        readings,
    );
    for (phase, source) in ["VL1N", "VL2N", "VL3N"].iter().zip(voltages) {
        block.set(format!("{prefix}{phase}"), readings.at(&[&format!("{prefix}{source}")]).clone());
    }
}

/// The backup switch: its label, which is there even without one, and its meter.
struct BackupSwitch {
    label: (String, Value),
    meter: Option<(String, Value)>,
}

fn backup_switch(parsed: &Parsed<'_>, bus: &Value) -> BackupSwitch {
    let on_bus = package(parsed.status.at(&["esCan", "bus", "MSA"])).or_else(|| package(bus.at(&["MSA"])));
    let has_meter = |component: &&Value| signals(component).any(|(name, _)| name.starts_with("METER_Z"));
    let among_components = || {
        let component =
            parsed.msa().iter().filter(|component| serial(component).is_some()).find(has_meter)?;
        Some((component.at(&["partNumber"]).text().unwrap_or_default(), serial(component)?))
    };
    let name = on_bus.or_else(among_components);
    let mut label = Object::default();
    label
        .set("componentParentDin", parsed.gateway_key())
        .nulls(&["lastCommunicationTime"])
        .set("manufacturer", "TESLA")
        .set("meterAttributes", json!({ "meterLocation": [1] }))
        .set("serialNumber", name.map(|(_, serial)| serial));
    let meter = name.map(|(part, serial)| {
        let mut block = Object::default();
        meter_keys(&mut block, "METER_Z_", &parsed.meter_z(), &["VL1G", "VL2G", "VL3G"]);
        block.set("alerts", bus_alerts(bus.at(&["MSA"])));
        (format!("TEMSA--{part}--{serial}"), identity(&mut block, parsed.gateway_key(), (part, serial), 300))
    });
    BackupSwitch {
        label: (format!("TESLA--{}", name.map_or("None", |(_, serial)| serial)), label.build()),
        meter,
    }
}
