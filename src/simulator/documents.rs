//! What the simulated hardware says: the JSON documents behind the answers, from the state of the day.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::day::{Energies, Flow, Grid};

/// The hardware of a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SiteKind {
    /// Two Powerwall 2 and a solar inverter behind a gateway.
    Powerwall2,
    /// A Powerwall 3 with an expansion, a follower, and a wireless solar meter.
    Powerwall3,
    /// A solar inverter without a battery.
    Inverter,
}

/// A site at one moment.
pub(super) struct Scene<'a> {
    pub kind: SiteKind,
    pub name: &'a str,
    /// Distinguishes sites in their serial numbers.
    pub number: u32,
    pub flow: Flow,
    /// Counted since the start of the simulation.
    pub energies: Energies,
    /// Simulated seconds since the first midnight.
    pub clock: f64,
    /// Simulated seconds since the gateway started.
    pub uptime: f64,
    /// Whether the wireless solar meter falls silent now and then.
    pub has_weak_meter: bool,
    pub mode: &'static str,
    /// Backup reserve, raw scale.
    pub reserve: Value,
    /// The configuration as somebody wrote it; `None`: as it was delivered.
    pub written: Option<Bytes>,
}

/// Signals of one component, by name.
pub(super) struct Component {
    /// What a filter calls it, for example `TEPINV`.
    pub kind: &'static str,
    pub part: &'static str,
    pub serial: String,
    pub signals: Map<String, Value>,
    pub alerts: Vec<&'static str>,
}

pub(super) const PVAC_PART: &str = "1538100-00-F";
pub(super) const PACKAGE_PART: &str = "2012170-05-C";
pub(super) const MODULE_PART: &str = "1081100-10-Q";
const POWERWALL3_PART: &str = "1707000-11-M";
const EXPANSION_PART: &str = "1807000-10-B";
pub(super) const SYNC_PART: &str = "1493315-01-F";
const REMOTE_METER: &str = "1234567-00-E--TRM";

impl Scene<'_> {
    pub(super) fn serial(&self, what: &str) -> String {
        format!("TG26{:05}{what}", self.number)
    }

    pub fn din(&self) -> String {
        let part = match self.kind {
            SiteKind::Powerwall2 => "1232100-00-J",
            SiteKind::Powerwall3 => POWERWALL3_PART,
            SiteKind::Inverter => "1538000-45-D",
        };
        format!("{part}--{}", self.serial("A1"))
    }

    /// DINs of the Powerwall 3 units.
    pub fn units(&self) -> Vec<String> {
        match self.kind {
            SiteKind::Powerwall3 => vec![self.din(), format!("{POWERWALL3_PART}--{}", self.serial("B2"))],
            _ => Vec::new(),
        }
    }

    fn expansion(&self) -> String {
        format!("{EXPANSION_PART}--{}", self.serial("C3"))
    }

    pub(super) fn packages(&self) -> Vec<(String, String)> {
        match self.kind {
            SiteKind::Powerwall2 => {
                [1, 2].map(|n| (self.serial(&format!("P{n}")), self.serial(&format!("M{n}")))).into()
            }
            _ => Vec::new(),
        }
    }

    pub(super) fn has_battery(&self) -> bool {
        self.kind != SiteKind::Inverter
    }

    /// ISO time of the simulated clock, with offset.
    pub(super) fn time(&self) -> String {
        let start = jiff::Timestamp::constant(1_780_297_200, 0); // midnight of a first of June, seven hours behind UTC
        let now = start + jiff::SignedDuration::from_secs(self.clock as i64);
        jiff::tz::offset(-7).to_datetime(now).strftime("%Y-%m-%dT%H:%M:%S-07:00").to_string()
    }

    /// Every five minutes the wireless solar meter is silent for some seconds.
    fn meter_is_silent(&self) -> bool {
        self.has_weak_meter && self.clock % 300.0 < 20.0 && self.flow.solar > 10.0
    }

    fn alerts(&self) -> Vec<&'static str> {
        let mut alerts = match self.flow.grid {
            Grid::Connected => vec!["SystemConnectedToGrid"],
            Grid::Islanded => vec!["UnscheduledIslandContactorOpen"],
            Grid::Syncing => vec!["WaitForGridToSync"],
        };
        if self.meter_is_silent() {
            alerts.push("SolarMeterComms");
        }
        alerts
    }

    pub(super) fn contactor(&self) -> &'static str {
        match self.flow.grid {
            Grid::Connected => "ISLAND_GridConnected_Connected",
            Grid::Islanded | Grid::Syncing => "ISLAND_GridConnected_Disconnected",
        }
    }

    pub fn config(&self) -> Value {
        let expansion = json!([{ "din": self.expansion() }]);
        let blocks: Value = match self.kind {
            SiteKind::Powerwall3 => self
                .units()
                .iter()
                .enumerate()
                .map(|(index, din)| match index {
                    0 => json!({ "vin": din, "type": "Powerwall3", "battery_expansions": expansion }),
                    _ => json!({ "vin": din, "type": "Powerwall3Follower", "battery_expansions": [] }),
                })
                .collect(),
            _ => (self.packages().iter())
                .map(|(serial, _)| json!({ "vin": format!("{PACKAGE_PART}--{serial}"), "type": "ACPW" }))
                .collect(),
        };
        let meters = match self.kind {
            SiteKind::Powerwall3 => json!([{
                "location": "solar", "type": "trm_wifi", "cts": [true, false, false, false],
                "connection": { "device_serial": format!("{REMOTE_METER}{:05}", self.number) },
                "real_power_scale_factor": 2,
            }]),
            _ => json!([]),
        };
        let battery = |value: Value| if self.has_battery() { value } else { Value::Null };
        json!({
            "vin": self.din(),
            "default_real_mode": battery(json!(self.mode)),
            "battery_blocks": blocks,
            "meters": meters,
            "solars": [{ "brand": "Tesla", "model": "Solar Inverter 7.6", "power_rating_watts": 7600 }],
            "site_info": {
                "site_name": self.name,
                "timezone": "America/Los_Angeles",
                "backup_reserve_percent": battery(self.reserve.clone()),
                "nominal_system_energy_ac": battery(json!(27)),
                "nominal_system_power_ac": battery(json!(10)),
                "max_site_meter_power_ac": 1_000_000_000,
                "min_site_meter_power_ac": -1_000_000_000,
                "panel_max_current": 200,
                "grid_code": "60Hz_240V_s_UL1741SA:2019_California",
                "country": "United States", "state": "California", "utility": "Simulated Electric",
                "battery_commission_date": battery(json!("2025-12-15T15:48:57-08:00")),
            },
        })
    }

    /// The part of a controller answer that every query has. `newer`: in the layout of the newer queries.
    pub fn controller(&self, newer: bool) -> Map<String, Value> {
        let flow = &self.flow;
        let (solar, load) = match self.meter_is_silent() {
            true => (0.0, flow.load - flow.solar),
            false => (flow.solar, flow.load),
        };
        let mut meters = vec![json!({ "location": "SITE", "realPowerW": flow.site })];
        let mut energy = json!({ "nominalFullPackEnergyWh": null, "nominalEnergyRemainingWh": null });
        if self.has_battery() {
            meters.push(json!({ "location": "BATTERY", "realPowerW": flow.battery }));
            energy = json!({
                "nominalFullPackEnergyWh": self.capacity(), "nominalEnergyRemainingWh": flow.energy.round() as i64,
            });
        }
        meters.push(json!({ "location": "LOAD", "realPowerW": (load * 10.0).round() / 10.0 }));
        meters.push(json!({ "location": "SOLAR", "realPowerW": solar }));
        let inverters = self.units().into_iter().chain(self.packages().into_iter().map(|(serial, _)| serial));
        let blocks: Vec<Value> = inverters.map(|din| json!({ "din": din, "disableReasons": [] })).collect();
        let connected = flow.grid == Grid::Connected;
        let document = json!({
            "control": {
                "systemStatus": energy,
                "islanding": {
                    "customerIslandMode": "Backup", "contactorClosed": connected, "microGridOK": true,
                    "gridOK": connected, "disableReasons": [],
                },
                "meterAggregates": meters,
                "alerts": { "active": self.alerts() },
                "siteShutdown": { "isShutDown": false, "reasons": [] },
                "batteryBlocks": blocks,
                "pvInverters": [],
            },
            "system": { "time": self.time(), "sitemanagerStatus": { "isRunning": true } },
            "neurio": { "isDetectingWiredMeters": false, "readings": [], "pairings": [] },
            "pw3Can": { "firmwareUpdate": { "isUpdating": false } },
            "esCan": { "bus": self.bus(newer) },
        });
        match document {
            Value::Object(document) => document,
            _ => Map::new(),
        }
    }

    /// Wh
    pub(super) fn capacity(&self) -> i64 {
        match self.kind {
            SiteKind::Powerwall2 => 27_000,
            SiteKind::Powerwall3 => 40_500,
            SiteKind::Inverter => 0,
        }
    }

    fn bus(&self, newer: bool) -> Value {
        let missing =
            |kind: &str| json!({ "packageSerialNumber": null, format!("{kind}_Status"): { "isMIA": true } });
        let placeholders =
            |kind: &str, count: usize| -> Vec<Value> { (0..count).map(|_| missing(kind)).collect() };
        let volts = if self.flow.grid == Grid::Connected { 121.4 } else { 0.0 };
        let mut bus = json!({
            "PVAC": placeholders("PVAC", 8), "PVS": placeholders("PVS", 8), "THC": placeholders("THC", 10),
            "POD": placeholders("POD", 10), "PINV": placeholders("PINV", 10),
            "ISLANDER": {
                "ISLAND_GridConnection": { "ISLAND_GridConnected": self.contactor() },
                "ISLAND_AcMeasurements": {
                    "ISLAND_VL1N_Main": volts, "ISLAND_VL2N_Main": volts, "ISLAND_VL3N_Main": 0,
                    "ISLAND_VL1N_Load": 121.5, "ISLAND_VL2N_Load": 121.6, "ISLAND_VL3N_Load": 0,
                    "ISLAND_FreqL1_Main": 60.01, "ISLAND_FreqL1_Load": 60.01,
                    "ISLAND_GridState": "ISLAND_GridState_Grid_Compliant",
                },
            },
        });
        if self.kind != SiteKind::Powerwall3 {
            let half = self.flow.solar / 2.0;
            bus["PVAC"] = json!([{
                "packagePartNumber": PVAC_PART, "packageSerialNumber": self.serial("V1"),
                "PVAC_Status": {
                    "isMIA": false, "PVAC_State": "PVAC_Active", "PVAC_Pout": self.flow.solar, "PVAC_Vout": 244.2,
                    "PVAC_Fout": 60.01,
                },
                "PVAC_Logging": {
                    "isMIA": false, "PVAC_VL1Ground": 122.0, "PVAC_VL2Ground": 122.2,
                    "PVAC_PVMeasuredVoltage_A": 300.0, "PVAC_PVCurrent_A": (half / 3.0).round() / 100.0,
                    "PVAC_PVMeasuredVoltage_B": 310.0, "PVAC_PVCurrent_B": (half / 3.1).round() / 100.0,
                    "PVAC_PVMeasuredVoltage_C": -2.0, "PVAC_PVCurrent_C": 0.0,
                    "PVAC_PVMeasuredVoltage_D": 0.5, "PVAC_PVCurrent_D": 0.0,
                },
                "alerts": { "active": [] },
            }]);
            bus["PVS"] = json!([{
                "PVS_Status": {
                    "isMIA": false, "PVS_State": "PVS_Active", "PVS_vLL": 244.1, "PVS_StringA_Connected": true,
                    "PVS_StringB_Connected": true, "PVS_StringC_Connected": false, "PVS_StringD_Connected": false,
                    "PVS_SelfTestState": "PVS_SelfTestOff",
                },
                "alerts": { "active": [] },
            }]);
        }
        if self.kind == SiteKind::Powerwall2 {
            let packages = self.packages();
            bus["THC"] = (packages.iter())
                .map(|(serial, _)| {
                    json!({
                        "packagePartNumber": PACKAGE_PART, "packageSerialNumber": serial, "alerts": { "active": [] },
                    })
                })
                .collect();
            let each =
                |what: &dyn Fn(f64) -> Value| -> Value { packages.iter().map(|_| what(0.5)).collect() };
            bus["POD"] = each(&|share| {
                json!({ "POD_EnergyStatus": {
                    "isMIA": false, "POD_nom_energy_remaining": (self.flow.energy * share).round() as i64,
                    "POD_nom_full_pack_energy": self.capacity() / 2,
                } })
            });
            bus["PINV"] = each(&|share| {
                json!({
                    "PINV_Status": {
                        "isMIA": false, "PINV_State": "PINV_GridFollowing", "PINV_GridState": "Grid_Compliant",
                        "PINV_Pout": (self.flow.battery * share).round() / 1000.0, "PINV_Vout": 243.0,
                        "PINV_Fout": 60.01,
                    },
                    "PINV_AcMeasurements": { "isMIA": false, "PINV_VSplit1": 121.5, "PINV_VSplit2": 121.5 },
                    "PINV_PowerCapability": { "isMIA": false, "PINV_Pnom": 5000 },
                    "alerts": { "active": [] },
                })
            });
        }
        if !newer && self.has_battery() {
            let mut sync = json!({
                "packagePartNumber": SYNC_PART, "packageSerialNumber": self.serial("SY"), "alerts": { "active": [] },
            });
            for meter in ['X', 'Y'] {
                sync[format!("METER_{meter}_AcMeasurements")] = Value::Object(self.sync_meter(meter));
            }
            bus["SYNC"] = sync;
        }
        bus
    }

    /// Meter X measures the grid, meter Y (with Powerwall 2) the sun; each phase carries half.
    fn sync_meter(&self, meter: char) -> Map<String, Value> {
        let power = match (meter, self.kind) {
            ('X', _) => self.flow.site,
            (_, SiteKind::Powerwall2) => self.flow.solar,
            _ => return Map::from_iter([("isMIA".to_owned(), Value::Bool(true))]),
        };
        let mut readings = Map::from_iter([("isMIA".to_owned(), Value::Bool(false))]);
        for (ct, share) in [("A", 0.5), ("B", 0.5), ("C", 0.0)] {
            let watts = (power * share * 10.0).round() / 10.0;
            readings.insert(format!("METER_{meter}_CT{ct}_InstRealPower"), json!(watts));
            readings.insert(format!("METER_{meter}_CT{ct}_I"), json!((watts.abs() / 1.214).round() / 100.0));
        }
        for (leg, volts) in [(1, 121.4), (2, 121.7), (3, 0.0)] {
            readings.insert(format!("METER_{meter}_VL{leg}N"), json!(volts));
        }
        readings
    }

    /// The components behind `components.msa`: per package its thermal controller, inverter and pod; the gateway's
    /// serial twice, once silent; empty slots, one with a signal that looks alive.
    pub fn msa(&self) -> Vec<Component> {
        let component = |kind, part, serial: String, signals: Value| Component {
            kind,
            part,
            serial,
            signals: signals.as_object().cloned().unwrap_or_default(),
            alerts: Vec::new(),
        };
        let mut components = Vec::new();
        if self.kind != SiteKind::Powerwall3 {
            let fan = if self.flow.solar > 500.0 { 1180 } else { 0 };
            let fans = json!({ "PVAC_Fan_Speed_Actual_RPM": fan, "PVAC_Fan_Speed_Target_RPM": fan });
            components.push(component("PVAC", PVAC_PART, self.serial("V1"), fans));
        }
        for (package, module) in self.packages() {
            let thermal = json!({ "THC_AmbientTemp": 22.5, "THC_State": "THC_STATE_AUTONOMOUSCONTROL" });
            components.push(component("TETHC", PACKAGE_PART, package, thermal));
            let lifetime = 8_000_000 + (self.clock * 1.5) as i64;
            let inverter = json!({
                "PINV_EnergyCharged": lifetime + 900_000, "PINV_EnergyDischarged": lifetime,
                "PINV_LifetimeEnergyCharged": lifetime + 900_000, "PINV_LifetimeEnergyDischarged": lifetime,
                "PINV_HeatsinkTemp": 36.5, "PINV_PllFrequency": 60.01, "PINV_PllLocked": true, "PINV_Qout": -0.01,
                "PINV_ReadyForGridForming": true, "PINV_HardwareEnableLine": true, "PINV_PowerLimiter": null,
            });
            components.push(component("TEPINV", MODULE_PART, module.clone(), inverter));
            let pod = json!({ "POD_available_charge_power": 5000, "POD_available_dischg_power": 5000 });
            components.push(component("TEPOD", MODULE_PART, module, pod));
        }
        if self.has_battery() {
            components.push(component("TESYNC", SYNC_PART, self.serial("SY"), json!({})));
            // The counter advances in steps of 2.2 s.
            let uptime = ((self.uptime / 2.2).floor() * 2200.0) as i64;
            let sync = json!({
                "SYNC_Uptime": uptime, "SYNC_ExternallyPowered": false, "SYNC_SiteSwitchEnabled": false,
            });
            components.push(component("TESYNC", SYNC_PART, self.serial("SY"), sync));
        }
        let phantom = json!({ "ISLAND_GridConnected": self.contactor(), "SYNC_Uptime": 5 });
        components.push(component("TESYNC", "", String::new(), phantom));
        components
    }

    /// The synchroniser as a component, where the newer queries have it.
    pub fn sync(&self) -> Vec<Component> {
        if !self.has_battery() {
            return Vec::new();
        }
        let mut signals = self.sync_meter('X');
        signals.extend(self.sync_meter('Y'));
        signals.shift_remove("isMIA");
        let serial = self.serial("SY");
        vec![Component { kind: "TESYNC", part: SYNC_PART, serial, signals, alerts: Vec::new() }]
    }

    pub fn remote_meters(&self) -> Value {
        if self.kind != SiteKind::Powerwall3 {
            return json!({ "meters": [], "detectedWired": [] });
        }
        // A silent meter's last reading stays as it was; half the sun, because one CT stands for two legs.
        let watts = (self.flow.solar * 5.0).round() / 10.0;
        let reading = json!({
            "voltageV": 121.5, "realPowerW": watts, "reactivePowerVAR": 3.5, "currentA": (watts / 1.215).round() / 100.0,
            "energyExportedWs": 1000, "energyImportedWs": 2000,
        });
        json!({
            "meters": [{
                "din": format!("{REMOTE_METER}{:05}", self.number),
                "reading": {
                    "timestamp": self.time(), "firmwareVersion": "deadbeef0001", "rssiDb": -55, "ctReadings": [reading],
                },
                "firmwareUpdate": null,
            }],
            "detectedWired": [],
        })
    }

    /// The components inside one Powerwall 3, by group.
    pub fn inside(&self, unit: usize) -> Vec<(&'static str, Vec<Component>)> {
        let component = |kind, part, serial: String, signals: Value| Component {
            kind,
            part,
            serial,
            signals: signals.as_object().cloned().unwrap_or_default(),
            alerts: Vec::new(),
        };
        let units = self.units().len().max(1) as f64;
        let battery = (self.flow.battery / units).round();
        // The sun shines on the leader's roof.
        let sun = if unit == 0 { self.flow.solar } else { 0.0 };
        let mut pch = json!({
            "PCH_State": "Pch_Active", "PCH_AcFrequency": 60.01, "PCH_AcVoltageAB": 243.5, "PCH_AcVoltageAN": 121.6,
            "PCH_AcVoltageBN": 121.9, "PCH_AcVoltageLL": 243.5, "PCH_BatteryPower": battery,
            "PCH_AcRealPowerSum": battery + sun, "PCH_AcMode": "PCH_ACMODE_GRID_FOLLOWING",
            "PCH_AmbientTemp": 45.4, "PCH_heatsinkTemp": 45.450_980_392_156_865,
            "PCH_FanSpeed_A": 1395, "PCH_FanSpeed_B": 1397, "PCH_FanDuty_A": 19.1, "PCH_FanDuty_B": 19.1,
        });
        for (index, letter) in ('A'..='F').enumerate() {
            let share = [0.4, 0.35, 0.25].get(index).copied().unwrap_or(0.0) * sun;
            let (state, volts) = if share > 0.0 { ("Pv_Active", 330.0) } else { ("Pv_Standby", -1.5) };
            pch[format!("PCH_PvState_{letter}")] = json!(state);
            pch[format!("PCH_PvVoltage{letter}")] = json!(volts);
            pch[format!("PCH_PvCurrent{letter}")] = json!((share / 3.3).round() / 100.0);
        }
        let packs = if unit == 0 { 2 } else { 1 };
        let level = self.flow.energy / self.capacity().max(1) as f64;
        let pack = |slot: usize| match slot < packs {
            true => json!({
                "BMS_nominalFullPackEnergy": 13.5, "BMS_nominalEnergyRemaining": (level * 13_500.0).round() / 1000.0,
                "BMS_LOG_tempOutOfBounds": 0, "BMS_LOG_tempOutOfBoundsCharge": 0, "BMS_kwhDischargeTotal": 2969.767,
                "BMS_LOG_cacAvg": 171.2,
            }),
            // Empty slots: one with nothing, one with energy that belongs to nobody.
            false if slot == 2 => {
                json!({ "BMS_nominalFullPackEnergy": 0.0, "BMS_nominalEnergyRemaining": 0.0 })
            }
            false => {
                json!({ "BMS_nominalFullPackEnergy": 13.0, "BMS_nominalEnergyRemaining": 5.0, "BMS_LOG_cacAvg": 173.3 })
            }
        };
        let bms = (0..4).map(|slot| component("PW3BMS", "", String::new(), pack(slot))).collect();
        let hvp = (0..4).map(|slot| {
            let (part, serial) = match (slot, unit) {
                (0, 0) => (POWERWALL3_PART, self.serial("A1")),
                (0, _) => (POWERWALL3_PART, self.serial("B2")),
                (1, 0) => (EXPANSION_PART, self.serial("C3")),
                _ => ("", String::new()),
            };
            let temperature = if serial.is_empty() { Value::Null } else { json!(38.5 + slot as f64) };
            let signals = json!({
                "HVP_PackTempMax": temperature, "HVP_PackTempMin": temperature, "HVP_ShuntTemperature": temperature,
                "HVP_State": "HVP_ACTIVE", "HVP_a061_LockoutOnIsoFaultRetry": false,
            });
            component("PW3HVP", part, serial, signals)
        });
        let pws = json!({ "PWS_RSD_State": "RSD_State_Armed", "PWS_reversePolarityStrings": 0 });
        let baggr = json!({ "BAGGR_State": "BAGGR_ACTIVE", "BAGGR_ExpectedEnergyRemaining": 12.5 });
        vec![
            ("pws", vec![component("PW3SAF", "", String::new(), pws)]),
            ("pch", vec![component("PCH", "", String::new(), pch)]),
            ("bms", bms),
            ("hvp", hvp.collect()),
            ("baggr", vec![component("BAGGR", "", String::new(), baggr)]),
        ]
    }
}
