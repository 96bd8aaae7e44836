//! The components of the devices, each with its signals, as the answers list them.

use serde_json::{Map, Value, json};

use super::day::rounded;
use super::scene::{
    EXPANSION_PART, MODULE_PART, PACKAGE_PART, POWERWALL3_PART, PVAC_PART, SYNC_PART, Scene, SiteKind,
};

/// Signals of one component, by name.
pub(super) struct Component {
    /// What a filter calls it, for example `TEPINV`.
    pub kind: &'static str,
    pub part: &'static str,
    pub serial: String,
    pub signals: Map<String, Value>,
    pub alerts: Vec<&'static str>,
}

impl Component {
    fn new(kind: &'static str, part: &'static str, serial: String, signals: Value) -> Self {
        let signals = signals.as_object().cloned().unwrap_or_default();
        Self { kind, part, serial, signals, alerts: Vec::new() }
    }

    /// One that does not say which device it is.
    fn unnamed(kind: &'static str, signals: Value) -> Self {
        Self::new(kind, "", String::new(), signals)
    }
}

/// Places for the packs of a Powerwall 3, most of them empty.
const SLOTS: usize = 4;

impl Scene<'_> {
    /// The components behind `components.msa`: per package its thermal controller, inverter and pod; the
    /// gateway's serial twice, once silent; empty slots, one with a signal that looks alive.
    pub fn msa(&self) -> Vec<Component> {
        let mut components = Vec::new();
        if self.kind != SiteKind::Powerwall3 {
            let fan = if self.flow.solar > 500.0 { 1180 } else { 0 };
            let fans = json!({ "PVAC_Fan_Speed_Actual_RPM": fan, "PVAC_Fan_Speed_Target_RPM": fan });
            components.push(Component::new("PVAC", PVAC_PART, self.serial("V1"), fans));
        }
        for (package, module) in self.packages() {
            let thermal = json!({ "THC_AmbientTemp": 22.5, "THC_State": "THC_STATE_AUTONOMOUSCONTROL" });
            components.push(Component::new("TETHC", PACKAGE_PART, package, thermal));
            let lifetime = 8_000_000 + (self.clock * 1.5) as i64;
            let inverter = json!({
                "PINV_EnergyCharged": lifetime + 900_000, "PINV_EnergyDischarged": lifetime,
                "PINV_LifetimeEnergyCharged": lifetime + 900_000, "PINV_LifetimeEnergyDischarged": lifetime,
                "PINV_HeatsinkTemp": 36.5, "PINV_PllFrequency": 60.01, "PINV_PllLocked": true,
                "PINV_Qout": -0.01,
                "PINV_ReadyForGridForming": true, "PINV_HardwareEnableLine": true, "PINV_PowerLimiter": null,
            });
            components.push(Component::new("TEPINV", MODULE_PART, module.clone(), inverter));
            let pod = json!({ "POD_available_charge_power": 5000, "POD_available_dischg_power": 5000 });
            components.push(Component::new("TEPOD", MODULE_PART, module, pod));
        }
        if self.has_battery() {
            components.push(Component::new("TESYNC", SYNC_PART, self.serial("SY"), json!({})));
            // The counter advances in steps of 2.2 s.
            let uptime = ((self.uptime / 2.2).floor() * 2200.0) as i64;
            let sync = json!({
                "SYNC_Uptime": uptime, "SYNC_ExternallyPowered": false, "SYNC_SiteSwitchEnabled": false,
            });
            components.push(Component::new("TESYNC", SYNC_PART, self.serial("SY"), sync));
        }
        let phantom = json!({ "ISLAND_GridConnected": self.contactor(), "SYNC_Uptime": 5 });
        components.push(Component::unnamed("TESYNC", phantom));
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

    /// The components inside one Powerwall 3, by group.
    pub fn inside(&self, unit: usize) -> Vec<(&'static str, Vec<Component>)> {
        let pws = json!({ "PWS_RSD_State": "RSD_State_Armed", "PWS_reversePolarityStrings": 0 });
        let baggr = json!({ "BAGGR_State": "BAGGR_ACTIVE", "BAGGR_ExpectedEnergyRemaining": 12.5 });
        let bms = (0..SLOTS).map(|slot| Component::unnamed("PW3BMS", self.battery_management(unit, slot)));
        vec![
            ("pws", vec![Component::unnamed("PW3SAF", pws)]),
            ("pch", vec![Component::unnamed("PCH", self.power_conversion(unit))]),
            ("bms", bms.collect()),
            ("hvp", (0..SLOTS).map(|slot| self.pack(unit, slot)).collect()),
            ("baggr", vec![Component::unnamed("BAGGR", baggr)]),
        ]
    }

    fn power_conversion(&self, unit: usize) -> Value {
        let units = self.units().len().max(1) as f64;
        let battery = rounded(self.flow.battery / units, 1.0);
        // The sun shines on the leader's roof.
        let sun = if unit == 0 { self.flow.solar } else { 0.0 };
        let mut pch = json!({
            "PCH_State": "Pch_Active", "PCH_AcFrequency": 60.01, "PCH_AcVoltageAB": 243.5,
            "PCH_AcVoltageAN": 121.6,
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
        pch
    }

    /// What is known of the energy of the pack in `slot`.
    fn battery_management(&self, unit: usize, slot: usize) -> Value {
        let packs = if unit == 0 { 2 } else { 1 };
        let level = self.flow.energy / self.capacity().max(1) as f64;
        match slot < packs {
            true => json!({
                "BMS_nominalFullPackEnergy": 13.5,
                "BMS_nominalEnergyRemaining": (level * 13_500.0).round() / 1000.0,
                "BMS_LOG_tempOutOfBounds": 0, "BMS_LOG_tempOutOfBoundsCharge": 0,
                "BMS_kwhDischargeTotal": 2969.767,
                "BMS_LOG_cacAvg": 171.2,
            }),
            // Empty slots: one with nothing, one with energy that belongs to nobody.
            false if slot == 2 => {
                json!({ "BMS_nominalFullPackEnergy": 0.0, "BMS_nominalEnergyRemaining": 0.0 })
            }
            false => {
                json!({ "BMS_nominalFullPackEnergy": 13.0, "BMS_nominalEnergyRemaining": 5.0,
                "BMS_LOG_cacAvg": 173.3 })
            }
        }
    }

    /// The pack in `slot`.
    fn pack(&self, unit: usize, slot: usize) -> Component {
        let (part, serial) = match (slot, unit) {
            (0, 0) => (POWERWALL3_PART, self.serial("A1")),
            (0, _) => (POWERWALL3_PART, self.serial("B2")),
            (1, 0) => (EXPANSION_PART, self.serial("C3")),
            _ => ("", String::new()),
        };
        let temperature = if serial.is_empty() { Value::Null } else { json!(38.5 + slot as f64) };
        let signals = json!({
            "HVP_PackTempMax": temperature, "HVP_PackTempMin": temperature,
            "HVP_ShuntTemperature": temperature,
            "HVP_State": "HVP_ACTIVE", "HVP_a061_LockoutOnIsoFaultRetry": false,
        });
        Component::new("PW3HVP", part, serial, signals)
    }
}
