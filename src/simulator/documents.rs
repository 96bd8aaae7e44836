//! What the simulated hardware says of the site: the JSON documents behind the answers.

use serde_json::{Map, Value, json};

use super::day::Grid;
use super::scene::{PACKAGE_PART, Scene, SiteKind, ZONE};

const REMOTE_METER: &str = "1234567-00-E--TRM";

impl Scene<'_> {
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
                "timezone": ZONE,
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
        if self.is_tight_lipped {
            meters.clear();
        } else if self.has_battery() {
            meters.push(json!({ "location": "BATTERY", "realPowerW": flow.battery }));
            energy = json!({
                "nominalFullPackEnergyWh": self.capacity(),
                "nominalEnergyRemainingWh": flow.energy.round() as i64,
            });
        }
        meters.push(json!({ "location": "LOAD", "realPowerW": (load * 10.0).round() / 10.0 }));
        if !self.is_tight_lipped {
            meters.push(json!({ "location": "SOLAR", "realPowerW": solar }));
        }
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

    pub fn remote_meters(&self) -> Value {
        if self.kind != SiteKind::Powerwall3 || self.is_tight_lipped {
            return json!({ "meters": [], "detectedWired": [] });
        }
        // A silent meter's last reading stays as it was; half the sun, because one CT stands for two legs.
        let watts = (self.flow.solar * 5.0).round() / 10.0;
        let reading = json!({
            "voltageV": 121.5, "realPowerW": watts, "reactivePowerVAR": 3.5,
            "currentA": (watts / 1.215).round() / 100.0,
            "energyExportedWs": 1000, "energyImportedWs": 2000,
        });
        json!({
            "meters": [{
                "din": format!("{REMOTE_METER}{:05}", self.number),
                "reading": {
                    "timestamp": self.time(), "firmwareVersion": "deadbeef0001", "rssiDb": -55,
                    "ctReadings": [reading],
                },
                "firmwareUpdate": null,
            }],
            "detectedWired": [],
        })
    }
}
