//! The documents behind the customer API, from the state of the day.

use bytes::Bytes;
use prost::Message;
use serde_json::{Map, Value, json};

use super::day::{Counted, Grid, rounded};
use super::installation_documents;
use super::scene::{MODULE_PART, PACKAGE_PART, PVAC_PART, SYNC_PART, Scene, SiteKind, ZONE};
use crate::link::local::answers::wire::{
    Attributes, Connected, Device, DeviceWithVitals, Devices, Ecu, Generator, Kind, Measured, Meter,
    PvInverter, Text, Time, Vital,
};

const NEVER: &str = "0001-01-01T00:00:00Z";

/// The document at `path`; `None` where there is nothing.
pub(super) fn at(path: &str, scene: &Scene<'_>, firmware: &str) -> Option<Value> {
    Some(match path {
        "/api/meters/aggregates" => scene.meters(),
        "/api/system_status/soe" => json!({ "percentage": scene.percentage() }),
        "/api/system_status/grid_status" => {
            json!({ "grid_status": scene.island_state(), "grid_services_active": false })
        }
        "/api/system_status" => scene.system_status(),
        "/api/system_status/grid_faults" => json!([]),
        "/api/status" => scene.status(firmware),
        "/api/operation" => json!({
            "real_mode": scene.mode, "backup_reserve_percent": scene.reserve, "freq_shift_load_shed_soe": 65,
            "freq_shift_load_shed_delta_f": -0.32,
        }),
        "/api/site_info" => scene.site_info(),
        "/api/site_info/site_name" => {
            json!({ "site_name": scene.name, "timezone": ZONE })
        }
        "/api/solar_powerwall" => scene.solar_powerwall(),
        "/api/networks" => json!([
            network("ethernet_tesla_internal_default", "EthType", "192.168.90.2", 0),
            network("The Nest", "WifiType", "192.168.1.20", 71),
        ]),
        "/api/sitemaster" => json!({
            "status": "StatusUp", "running": true, "connected_to_tesla": true, "power_supply_mode": false,
            "can_reboot": "Yes",
        }),
        "/api/troubleshooting/problems" => json!({ "problems": [] }),
        "/api/auth/toggle/supported" => json!({ "toggle_auth_supported": true }),
        _ => return installation_documents::at(path, scene),
    })
}

/// How the gateway is connected one way.
fn network(name: &str, interface: &str, ip: &str, signal: u32) -> Value {
    json!({
        "network_name": name, "interface": interface, "enabled": true, "dhcp": true,
        "extra_ips": [{ "ip": ip, "netmask": 24 }], "active": true, "primary": signal == 0,
        "lastTeslaConnected": true, "lastInternetConnected": true,
        "iface_network_info": {
            "network_name": name, "ip_networks": [{ "IP": ip, "Mask": "////AA==" }], "gateway": "192.168.1.1",
            "interface": interface, "state": "DeviceStateReady", "state_reason": "DeviceStateReasonNone",
            "signal_strength": signal, "hw_address": "02:00:00:00:00:01",
        },
    })
}

/// The section of a meter that there is none of, as gateways report it.
fn never_heard_of() -> Value {
    json!({
        "last_communication_time": NEVER, "instant_power": 0, "instant_reactive_power": 0,
        "instant_apparent_power": 0, "frequency": 0, "energy_exported": 0, "energy_imported": 0,
        "instant_average_voltage": 0, "instant_average_current": 0, "i_a_current": 0, "i_b_current": 0,
        "i_c_current": 0, "last_phase_voltage_communication_time": NEVER,
        "last_phase_power_communication_time": NEVER, "last_phase_energy_communication_time": NEVER,
        "timeout": 1_500_000_000, "instant_total_current": 0,
    })
}

impl Scene<'_> {
    fn island_state(&self) -> &'static str {
        match self.flow.grid {
            Grid::Connected => "SystemGridConnected",
            Grid::Islanded => "SystemIslandedActive",
            Grid::Syncing => "SystemTransitionToGrid",
        }
    }

    /// Raw scale.
    fn percentage(&self) -> f64 {
        match self.capacity() {
            0 => 0.0,
            capacity => self.flow.energy / capacity as f64 * 100.0,
        }
    }

    pub fn meters(&self) -> Value {
        let section = |power: f64, volts: f64, counted: Counted, imported: i64, exported: i64| {
            let (imported, exported) =
                (imported + counted.imported as i64, exported + counted.exported as i64);
            json!({
                "last_communication_time": self.time(), "instant_power": power,
                "instant_reactive_power": -439,
                "instant_apparent_power": power.hypot(439.0), "frequency": 60.01, "energy_exported": exported,
                "energy_imported": imported, "instant_average_voltage": volts,
                "instant_average_current": rounded(power / volts, 100.0), "i_a_current": 0,
                "i_b_current": 0, "i_c_current": 0, "last_phase_voltage_communication_time": NEVER,
                "last_phase_power_communication_time": NEVER, "last_phase_energy_communication_time": NEVER,
                "timeout": 1_500_000_000, "num_meters_aggregated": 1,
                "instant_total_current": power / volts + 0.0,
            })
        };
        // What was counted before the simulated day.
        let (flow, energies) = (&self.flow, &self.energies);
        let mut aggregates = json!({
            "site": section(flow.site, 210.2, energies.site, 900_000, 688),
            "load": section(flow.load, 210.2, energies.load, 1_120_000, 0),
            "solar": section(flow.solar, 242.4, energies.solar, 0, 257_720),
        });
        aggregates["battery"] = match self.has_battery() {
            true => section(flow.battery, 242.9, energies.battery, 161_080, 136_540),
            false => never_heard_of(),
        };
        aggregates
    }

    fn system_status(&self) -> Value {
        let packages = self.packages();
        let share = 1.0 / packages.len().max(1) as f64;
        let blocks = packages.iter().map(|(serial, _)| {
            json!({
                "Type": "", "PackagePartNumber": PACKAGE_PART, "PackageSerialNumber": serial,
                "disabled_reasons": [],
                "pinv_state": "PINV_GridFollowing", "pinv_grid_state": "Grid_Compliant",
                "nominal_energy_remaining": (self.flow.energy * share).round() as i64,
                "nominal_full_pack_energy": (self.capacity() as f64 * share) as i64,
                "p_out": rounded(self.flow.battery * share, 1.0), "q_out": 30, "v_out": 243.1, "f_out": 60.01,
                "i_out": -7.4, "energy_charged": 3_100_000, "energy_discharged": 2_900_000, "off_grid": false,
                "vf_mode": false, "wobble_detected": false, "charge_power_clamped": false,
                "backup_ready": true,
                "OpSeqState": "Active", "version": "cb5bd2bd5e0b4c",
            })
        });
        json!({
            "command_source": "Configuration", "battery_target_power": self.flow.battery,
            "nominal_full_pack_energy": self.capacity(),
            "nominal_energy_remaining": self.flow.energy.round() as i64,
            "system_island_state": self.island_state(), "available_blocks": packages.len(),
            "battery_blocks": blocks.collect::<Value>(), "grid_faults": [], "can_reboot": "Yes",
            "blocks_controlled": packages.len(), "primary": true, "solar_real_power_limit": -1,
        })
    }

    fn status(&self, firmware: &str) -> Value {
        let kind = if self.kind == SiteKind::Inverter { "pvinverter" } else { "unknown" };
        let seconds = self.uptime.max(0.0) as u64;
        let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        json!({
            "din": self.din(), "start_time": "2026-05-15 21:30:15 +0800",
            "up_time_seconds": format!("{hours}h{minutes}m{seconds}.275122187s"), "is_new": false,
            "version": firmware, "git_hash": "c4db63ce5b32425509f91f19556f2431cb7f6872",
            "commission_count": 0,
            "device_type": "teg", "teg_type": kind, "sync_type": "v2.1", "cellular_disabled": false,
            "can_reboot": true,
        })
    }

    fn site_info(&self) -> Value {
        json!({
            "max_system_energy_kWh": 27, "max_system_power_kW": 10, "site_name": self.name,
            "timezone": ZONE, "max_site_meter_power_kW": 1_000_000_000,
            "min_site_meter_power_kW": -1_000_000_000, "nominal_system_energy_kWh": 27,
            "nominal_system_power_kW": 10, "panel_max_current": 100,
            "grid_code": {
                "grid_code": "60Hz_240V_s_UL1741SA:2019_California", "grid_voltage_setting": 240,
                "grid_freq_setting": 60, "grid_phase_setting": "Split", "country": "United States",
                "state": "California", "utility": "Simulated Electric",
            },
        })
    }

    fn solar_powerwall(&self) -> Value {
        let half = self.flow.solar / 2.0;
        let string = |number: u8, connected: bool, volts: f64, watts: f64| {
            json!({
                "string_id": number, "connected": connected, "measured_voltage": volts,
                "current": rounded(watts / volts, 100.0), "measured_power": watts,
            })
        };
        json!({
            "pvac_status": {
                "state": "PVAC_Active", "disabled": false, "disabled_reasons": [],
                "grid_state": "Grid_Compliant",
                "inv_state": "INV_Grid_Connected", "v_out": 241.6, "f_out": 60.01, "p_out": self.flow.solar,
                "string_vitals": [
                    string(1, true, 300.0, half), string(2, true, 310.0, half), string(3, false, -2.0, 0.0),
                    string(4, false, 0.5, 0.0),
                ],
            },
            "pvs_status": { "state": "PVS_Active", "disabled": false, "enable_output": true, "v_ll": 241.6 },
            "pv_power_limit": 0, "power_status_setpoint": "on",
            "pvac_alerts": { "LastRxTime": self.time(), "ReceivedMuxBitmask": 0,
            "PVAC_a014_PvOvervoltage": false },
            "pvs_alerts": { "LastRxTime": self.time(), "ReceivedMuxBitmask": 0, "PVS_a018_MciStringB": true },
        })
    }

    /// The document behind the vitals of older firmware.
    pub fn vitals(&self) -> Value {
        let gateway = format!("STSTSM--{}", self.din());
        let mut devices = Map::new();
        let mut add = |kind: &str, part: &str, serial: &str, parent: &str, ecu: u16, vitals: Value| {
            let mut device = json!({
                "componentParentDin": parent, "partNumber": part, "serialNumber": serial,
                "manufacturer": "TESLA",
                "firmwareVersion": "4064fc6a5b3242",
                "lastCommunicationTime": 1_780_297_200 + self.clock as i64,
                "teslaEnergyEcuAttributes": { "ecuType": ecu },
            });
            if let (Value::Object(device), Value::Object(vitals)) = (&mut device, vitals) {
                device.extend(vitals);
            }
            devices.insert(format!("{kind}--{part}--{serial}"), device);
        };
        let share = 1.0 / self.packages().len().max(1) as f64;
        for (package, module) in self.packages() {
            let parent = format!("TETHC--{PACKAGE_PART}--{package}");
            let thermal = json!({ "THC_State": "THC_STATE_AUTONOMOUSCONTROL", "THC_AmbientTemp": 22.5 });
            add("TETHC", PACKAGE_PART, &package, &gateway, 224, thermal);
            let pod = json!({
                "POD_nom_energy_remaining": (self.flow.energy * share).round(),
                "POD_nom_full_pack_energy": self.capacity() as f64 * share,
                "POD_available_charge_power": 5000.0, "POD_available_dischg_power": 5000.0,
                "POD_state": "POD_ACTIVE", "POD_enable_line": true, "POD_ActiveHeating": false,
            });
            add("TEPOD", MODULE_PART, &module, &parent, 226, pod);
            let inverter = json!({
                "PINV_Pout": rounded(self.flow.battery * share / 1000.0, 1000.0), "PINV_Vout": 243.1,
                "PINV_Fout": 60.01,
                "PINV_VSplit1": 121.5, "PINV_VSplit2": 121.6, "PINV_State": "PINV_GridFollowing",
                "PINV_GridState": "Grid_Compliant", "alerts": ["PINV_a067_overvoltageNeutralChassis"],
            });
            add("TEPINV", MODULE_PART, &module, &parent, 253, inverter);
        }
        let (inverter, half) = (self.serial("V1"), self.flow.solar / 2.0);
        let mut pvac =
            json!({ "PVAC_State": "PVAC_Active", "PVAC_Pout": self.flow.solar, "PVAC_Vout": 244.2 });
        for (letter, volts, watts) in
            [('A', 300.0, half), ('B', 310.0, half), ('C', -2.0, 0.0), ('D', 0.5, 0.0)]
        {
            pvac[format!("PVAC_PVCurrent_{letter}")] = json!(rounded(watts / volts, 100.0));
            pvac[format!("PVAC_PVMeasuredVoltage_{letter}")] = json!(volts);
            pvac[format!("PVAC_PVMeasuredPower_{letter}")] = json!(watts);
            pvac[format!("PVAC_PvState_{letter}")] = json!("PV_Active");
        }
        add("PVAC", PVAC_PART, &inverter, &gateway, 296, pvac);
        let pvs = json!({
            "PVS_State": "PVS_Active", "PVS_vLL": 244.1, "PVS_StringA_Connected": true,
            "PVS_StringB_Connected": true, "PVS_StringC_Connected": false, "PVS_StringD_Connected": false,
        });
        add("PVS", PVAC_PART, &inverter, &format!("PVAC--{PVAC_PART}--{inverter}"), 297, pvs);
        let sync = json!({
            "ISLAND_VL1N_Main": 121.4, "ISLAND_FreqL1_Main": 60.01, "ISLAND_GridState": self.contactor(),
            "METER_X_CTA_InstRealPower": self.flow.site / 2.0,
            "METER_X_CTB_InstRealPower": self.flow.site / 2.0,
        });
        add("TESYNC", SYNC_PART, &self.serial("SY"), &gateway, 259, sync);
        Value::Object(devices)
    }
}

/// A vitals document as a gateway sends it.
pub fn vitals_bytes(document: &Value) -> Bytes {
    let devices = document.as_object().into_iter().flatten().map(|(din, block)| device(din, block));
    Devices { devices: devices.collect() }.encode_to_vec().into()
}

fn device(din: &str, block: &Value) -> DeviceWithVitals {
    let text = |key: &str| Some(Text { value: block.get(key)?.as_str()?.to_owned() });
    let time = |key: &str| Some(Time { seconds: block.get(key)?.as_i64()? });
    let natural = |attributes: &Value, key: &str| attributes[key].as_u64().unwrap_or_default();
    let kind = if let Some(ecu) = block.get("teslaEnergyEcuAttributes") {
        Some(Kind::Ecu(Ecu { kind: natural(ecu, "ecuType") as i32 }))
    } else if let Some(generator) = block.get("generatorAttributes") {
        Some(Kind::Generator(Generator {
            nameplate_watts: natural(generator, "nameplateRealPowerW"),
            nameplate_va: natural(generator, "nameplateApparentPowerVa"),
        }))
    } else if let Some(inverter) = block.get("pvInverterAttributes") {
        Some(Kind::PvInverter(PvInverter { nameplate_watts: natural(inverter, "nameplateRealPowerW") }))
    } else {
        block.get("meterAttributes").map(|meter| {
            let locations = meter["meterLocation"].as_array().into_iter().flatten();
            let location = locations.filter_map(|at| u32::try_from(at.as_u64()?).ok()).collect();
            Kind::Meter(Meter { location })
        })
    };
    let vitals = block.as_object().into_iter().flatten().filter_map(|(name, value)| {
        let is_identity = name.ends_with("Attributes") || name.ends_with("CommunicationTime");
        let names = ["componentParentDin", "partNumber", "serialNumber", "manufacturer", "firmwareVersion"];
        if is_identity || names.contains(&name.as_str()) || name == "alerts" {
            return None;
        }
        let value = match value {
            Value::Bool(flag) => Some(Measured::Flag(*flag)),
            Value::String(text) => Some(Measured::Text(text.clone())),
            Value::Number(number) if number.is_i64() => number.as_i64().map(Measured::Int),
            Value::Number(number) => number.as_f64().map(Measured::Float),
            _ => None,
        };
        Some(Vital { name: name.clone(), value })
    });
    let alerts = block.get("alerts").and_then(Value::as_array).into_iter().flatten();
    DeviceWithVitals {
        connected: Some(Connected {
            device: Some(Device {
                din: Some(Text { value: din.to_owned() }),
                part_number: text("partNumber"),
                serial_number: text("serialNumber"),
                manufacturer: text("manufacturer"),
                parent: text("componentParentDin"),
                firmware: text("firmwareVersion"),
                first_communication: time("firstCommunicationTime"),
                last_communication: time("lastCommunicationTime"),
                attributes: kind.map(|kind| Attributes { kind: Some(kind) }),
            }),
        }),
        vitals: vitals.collect(),
        alerts: alerts.filter_map(|alert| alert.as_str().map(str::to_owned)).collect(),
    }
}
