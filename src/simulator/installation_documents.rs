//! What the customer API of a simulated gateway says of its installation: units, meters, inverters, owner.

use serde_json::{Value, json};

use super::scene::{PACKAGE_PART, POWERWALL3_PART, Scene, SiteKind};

/// None of the four sensors of a meter is the wrong way round.
const NONE: [bool; 4] = [false; 4];

/// The document at `path`; `None` where there is nothing.
pub(super) fn at(path: &str, scene: &Scene<'_>) -> Option<Value> {
    Some(match path {
        "/api/powerwalls" => scene.powerwalls(),
        "/api/meters" => json!([scene.meter("site"), scene.meter("solar")]),
        "/api/meters/site" => json!([scene.meter_readings("site")]),
        "/api/meters/solar" => json!([scene.meter_readings("solar")]),
        "/api/solars" => {
            json!([{ "brand": "Tesla", "model": "Solar Inverter 7.6", "power_rating_watts": 7600 }])
        }
        "/api/solars/brands" => json!(["Enphase", "Fronius", "SolarEdge", "Tesla"]),
        "/api/customer" => json!({ "registered": true }),
        "/api/customer/registration" => json!({
            "privacy_notice": true, "limited_warranty": true, "grid_services": false, "marketing": false,
            "registered": true, "timed_out_registration": false,
        }),
        "/api/synchrometer/ct_voltage_references" => {
            json!({ "ct1": "Phase1", "ct2": "Phase2", "ct3": "Phase1" })
        }
        "/api/logout" => json!({}),
        _ => return None,
    })
}

impl Scene<'_> {
    fn powerwalls(&self) -> Value {
        let unit = |part: &str, serial: &str, kind: &str| {
            json!({
                "Type": "", "PackagePartNumber": part, "PackageSerialNumber": serial, "type": kind,
                "grid_state": "Grid_Compliant", "grid_reconnection_time_seconds": 0,
                "under_phase_detection": false, "updating": false, "bc_type": null, "in_config": true,
            })
        };
        let units: Value = match self.kind {
            SiteKind::Powerwall3 => (self.units().iter())
                .filter_map(|din| din.split_once("--"))
                .map(|(_, serial)| unit(POWERWALL3_PART, serial, "SolarPowerwall"))
                .collect(),
            _ => (self.packages().iter()).map(|(serial, _)| unit(PACKAGE_PART, serial, "acpw")).collect(),
        };
        json!({
            "enumerating": false, "updating": false, "checking_if_offgrid": false,
            "running_phase_detection": false, "phase_detection_last_error": "no phase information",
            "bubble_shedding": false, "on_grid_check_error": "on grid check not run",
            "grid_qualifying": false,
            "grid_code_validating": false, "phase_detection_not_available": true, "powerwalls": units,
            "gateway_din": self.din(), "msa": null, "states": null,
        })
    }

    fn meter(&self, place: &str) -> Value {
        json!({
            "serial": self.serial(place), "short_id": "1234", "type": "neurio_w2_tcp", "connected": true,
            "cts": [{
                "type": place, "valid": [true, true, false, false], "inverted": NONE,
                "real_power_scale_factor": 1,
            }],
            "ip_address": "127.0.0.1", "mac": "02-00-00-00-00-02",
        })
    }

    fn meter_readings(&self, place: &str) -> Value {
        let mut readings = self.meters()[place].take();
        readings["v_l1n"] = json!(121.5);
        readings["v_l2n"] = json!(121.6);
        readings["serial_number"] = self.serial(place).into();
        readings["version"] = json!("1.7.1-Tesla");
        json!({
            "id": 0, "location": place, "type": "neurio_w2_tcp", "cts": [true, true, false, false],
            "inverted": NONE, "connection": { "short_id": "1234", "device_serial": self.serial(place) },
            "Cached_readings": readings,
        })
    }
}
