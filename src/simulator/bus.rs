//! What the devices on the bus of the gateway report, as part of a controller answer.

use serde_json::{Map, Value, json};

use super::day::{Grid, rounded};
use super::scene::{PACKAGE_PART, PVAC_PART, SYNC_PART, Scene, SiteKind};

/// Slots for `count` devices, with none in them.
fn empty_slots(kind: &str, count: usize) -> Vec<Value> {
    let missing = || json!({ "packageSerialNumber": null, format!("{kind}_Status"): { "isMIA": true } });
    (0..count).map(|_| missing()).collect()
}

impl Scene<'_> {
    /// `newer`: in the layout of the newer queries, without the synchroniser.
    pub(super) fn bus(&self, newer: bool) -> Value {
        let mut bus = json!({
            "PVAC": empty_slots("PVAC", 8), "PVS": empty_slots("PVS", 8), "THC": empty_slots("THC", 10),
            "POD": empty_slots("POD", 10), "PINV": empty_slots("PINV", 10), "ISLANDER": self.islander(),
        });
        if self.kind != SiteKind::Powerwall3 {
            bus["PVAC"] = json!([self.solar_inverter()]);
            bus["PVS"] = json!([self.solar_strings()]);
        }
        if self.kind == SiteKind::Powerwall2 {
            let packages = self.packages();
            let each = |device: &dyn Fn(&str) -> Value| -> Value {
                packages.iter().map(|(serial, _)| device(serial)).collect()
            };
            bus["THC"] = each(&|serial| thermal_controller(serial));
            bus["POD"] = each(&|_| self.pod());
            bus["PINV"] = each(&|_| self.battery_inverter());
        }
        if !newer && self.has_battery() {
            bus["SYNC"] = self.synchroniser();
        }
        bus
    }

    /// The switch between the house and the grid.
    fn islander(&self) -> Value {
        let volts = if self.flow.grid == Grid::Connected { 121.4 } else { 0.0 };
        json!({
            "ISLAND_GridConnection": { "ISLAND_GridConnected": self.contactor() },
            "ISLAND_AcMeasurements": {
                "ISLAND_VL1N_Main": volts, "ISLAND_VL2N_Main": volts, "ISLAND_VL3N_Main": 0,
                "ISLAND_VL1N_Load": 121.5, "ISLAND_VL2N_Load": 121.6, "ISLAND_VL3N_Load": 0,
                "ISLAND_FreqL1_Main": 60.01, "ISLAND_FreqL1_Load": 60.01,
                "ISLAND_GridState": "ISLAND_GridState_Grid_Compliant",
            },
        })
    }

    fn solar_inverter(&self) -> Value {
        let half = self.flow.solar / 2.0;
        json!({
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
        })
    }

    fn solar_strings(&self) -> Value {
        json!({
            "PVS_Status": {
                "isMIA": false, "PVS_State": "PVS_Active", "PVS_vLL": 244.1, "PVS_StringA_Connected": true,
                "PVS_StringB_Connected": true, "PVS_StringC_Connected": false, "PVS_StringD_Connected": false,
                "PVS_SelfTestState": "PVS_SelfTestOff",
            },
            "alerts": { "active": [] },
        })
    }

    /// One of two, with half of the energy.
    fn pod(&self) -> Value {
        json!({ "POD_EnergyStatus": {
            "isMIA": false, "POD_nom_energy_remaining": (self.flow.energy * 0.5).round() as i64,
            "POD_nom_full_pack_energy": self.capacity() / 2,
        } })
    }

    /// One of two, with half of the power.
    fn battery_inverter(&self) -> Value {
        json!({
            "PINV_Status": {
                "isMIA": false, "PINV_State": "PINV_GridFollowing", "PINV_GridState": "Grid_Compliant",
                "PINV_Pout": rounded(self.flow.battery * 0.5 / 1000.0, 1000.0), "PINV_Vout": 243.0,
                "PINV_Fout": 60.01,
            },
            "PINV_AcMeasurements": { "isMIA": false, "PINV_VSplit1": 121.5, "PINV_VSplit2": 121.5 },
            "PINV_PowerCapability": { "isMIA": false, "PINV_Pnom": 5000 },
            "alerts": { "active": [] },
        })
    }

    fn synchroniser(&self) -> Value {
        let mut sync = json!({
            "packagePartNumber": SYNC_PART, "packageSerialNumber": self.serial("SY"),
            "alerts": { "active": [] },
        });
        for meter in ['X', 'Y'] {
            sync[format!("METER_{meter}_AcMeasurements")] = Value::Object(self.sync_meter(meter));
        }
        sync
    }

    /// Meter X measures the grid, meter Y (with Powerwall 2) the sun; each phase carries half.
    pub(super) fn sync_meter(&self, meter: char) -> Map<String, Value> {
        let power = match (meter, self.kind) {
            ('X', _) => self.flow.site,
            (_, SiteKind::Powerwall2) => self.flow.solar,
            _ => return Map::from_iter([("isMIA".to_owned(), Value::Bool(true))]),
        };
        let mut readings = Map::from_iter([("isMIA".to_owned(), Value::Bool(false))]);
        for (ct, share) in [("A", 0.5), ("B", 0.5), ("C", 0.0)] {
            let watts = rounded(power * share, 10.0);
            readings.insert(format!("METER_{meter}_CT{ct}_InstRealPower"), json!(watts));
            readings.insert(format!("METER_{meter}_CT{ct}_I"), json!((watts.abs() / 1.214).round() / 100.0));
        }
        for (leg, volts) in [(1, 121.4), (2, 121.7), (3, 0.0)] {
            readings.insert(format!("METER_{meter}_VL{leg}N"), json!(volts));
        }
        readings
    }
}

fn thermal_controller(serial: &str) -> Value {
    json!({ "packagePartNumber": PACKAGE_PART, "packageSerialNumber": serial, "alerts": { "active": [] } })
}
