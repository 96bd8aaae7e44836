//! The documents of the customer API, from what Tesla reports of a site.
//!
//! What Tesla does not report is null: lifetime energies, voltages and currents at the meters, and everything
//! about single batteries.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::link::json::{Look, Object, value_of};
use crate::link::vitals::{self, Beside, Configured, meters};
use crate::model::{Documents, GridStatus, Interpretation, Number, NumberingMemory, Readings};

const NEVER: &str = "0001-01-01T00:00:00Z";

/// What a live status, a site information and a site status mean.
pub(super) fn interpret(
    (live, info, status_of_site): (&Value, &Value, &Value),
    readings: &Arc<Readings>,
    numbers: &NumberingMemory,
) -> Interpretation {
    let aggregates = aggregates(live, info, readings);
    let meters = meters(&aggregates);
    let documents = Documents {
        aggregates,
        system_status: system_status((live, info, status_of_site), readings),
        grid_status: grid_status(live, readings),
        status: status(info),
        site_info: site_info(info),
        operation: operation(readings),
        ..Documents::default()
    };
    let (alerts, configured) = (alerts(live, readings), Configured::default());
    let beside = Beside { readings, meters, alerts, configured, power: |_| None };
    let mut interpretation = vitals::interpret(documents, beside, numbers);
    // Tesla counts batteries and lists none.
    interpretation.site.units = None;
    interpretation
}

fn aggregates(live: &Value, info: &Value, readings: &Readings) -> Value {
    let power = &readings.power;
    let inverters = match info.at(&["components", "inverters"]) {
        Value::Array(list) => Value::from(list.len()),
        _ if info.at(&["components", "solar"]).is_true() => 1.into(),
        _ => Value::Null,
    };
    let batteries = info.at(&["battery_count"]).clone();
    let section = |watts: Option<Number>, timeout: i64, count: Option<Value>| {
        let mut section = Object::default();
        section
            .set("last_communication_time", live.at(&["timestamp"]).clone())
            .set("instant_power", value_of(watts))
            .nulls(&[
                "instant_reactive_power",
                "instant_apparent_power",
                "frequency",
                "energy_exported",
                "energy_imported",
                "instant_average_voltage",
                "instant_average_current",
                "i_a_current",
                "i_b_current",
                "i_c_current",
            ])
            .set("last_phase_voltage_communication_time", NEVER)
            .set("last_phase_power_communication_time", NEVER)
            .set("last_phase_energy_communication_time", NEVER)
            .set("timeout", timeout);
        if let Some(count) = count {
            section.set("num_meters_aggregated", count);
        }
        section.nulls(&["instant_total_current"]).build()
    };
    let mut aggregates = Object::default();
    aggregates
        .set("site", section(power.site, 1_500_000_000, Some(1.into())))
        .set("battery", section(power.battery, 1_500_000_000, Some(batteries)))
        .set("load", section(power.load, 1_500_000_000, None))
        .set("solar", section(power.solar, 1_000_000_000, Some(inverters)));
    aggregates.build()
}

fn grid_status(live: &Value, readings: &Readings) -> Value {
    let Some(state) = readings.grid.map(GridStatus::island_state) else { return Value::Null };
    json!({ "grid_status": state, "grid_services_active": live.at(&["grid_services_active"]) })
}

fn status(info: &Value) -> Value {
    if !info.is_object() {
        return Value::Null;
    }
    json!({
        "din": info.at(&["id"]),
        "start_time": info.at(&["installation_date"]),
        "up_time_seconds": null,
        "is_new": false,
        "version": info.at(&["version"]),
        "git_hash": null,
        "commission_count": 0,
        "device_type": info.at(&["components", "gateway"]),
        "teg_type": "unknown",
        "sync_type": "unknown",
        "cellular_disabled": false,
        "can_reboot": true,
    })
}

fn site_info(info: &Value) -> Value {
    if !info.is_object() {
        return Value::Null;
    }
    let kilo = |key: &str| value_of(info.at(&[key]).number().and_then(|value| value.over(Number::Int(1000))));
    let mut grid_code = Object::default();
    grid_code
        .nulls(&["grid_code", "grid_voltage_setting", "grid_freq_setting", "grid_phase_setting"])
        .nulls(&["country", "state"])
        .set("utility", info.at(&["tariff_content", "utility"]).clone());
    json!({
        "max_system_energy_kWh": kilo("nameplate_energy"),
        "max_system_power_kW": kilo("nameplate_power"),
        "site_name": info.at(&["site_name"]),
        "timezone": info.at(&["installation_time_zone"]),
        "max_site_meter_power_kW": info.at(&["max_site_meter_power_ac"]),
        "min_site_meter_power_kW": info.at(&["min_site_meter_power_ac"]),
        "nominal_system_energy_kWh": kilo("nameplate_energy"),
        "nominal_system_power_kW": kilo("nameplate_power"),
        "panel_max_current": null,
        "grid_code": grid_code.build(),
    })
}

fn operation(readings: &Readings) -> Value {
    if readings.mode.is_none() && readings.reserve.is_none() {
        return Value::Null;
    }
    json!({
        "real_mode": readings.mode,
        "backup_reserve_percent": readings.reserve.map(|reserve| reserve.0),
    })
}

fn system_status((live, info, status): (&Value, &Value, &Value), readings: &Readings) -> Value {
    let batteries = info.at(&["battery_count"]);
    // Which of the two has them, if any, is up to Tesla.
    let energy = |key: &str| {
        let mut both = [live, status].into_iter().map(|answer| answer.at(&[key]));
        both.find(|energy| energy.is_number()).cloned().unwrap_or_default()
    };
    json!({
        "nominal_full_pack_energy": energy("total_pack_energy"),
        "nominal_energy_remaining": energy("energy_left"),
        "max_charge_power": info.at(&["nameplate_power"]),
        "max_discharge_power": info.at(&["nameplate_power"]),
        "max_apparent_power": info.at(&["nameplate_power"]),
        "grid_services_power": live.at(&["grid_services_power"]),
        "system_island_state": readings.grid.map(GridStatus::island_state),
        "available_blocks": batteries,
        "battery_blocks": [],
        "grid_faults": [],
        "blocks_controlled": batteries,
    })
}

/// Names of what is active: Tesla reports little.
fn alerts(live: &Value, readings: &Readings) -> Vec<String> {
    let island = match (live.at(&["island_status"]).name(), readings.grid) {
        (Some("off_grid_intentional"), _) => Some("ScheduledIslandContactorOpen"),
        (Some("off_grid" | "off_grid_unintentional"), _) => Some("UnscheduledIslandContactorOpen"),
        (_, Some(GridStatus::Up)) => Some("SystemConnectedToGrid"),
        _ => None,
    };
    let services = live.at(&["grid_services_active"]).is_true().then_some("GridServicesActive");
    let mut alerts: Vec<String> = island.into_iter().chain(services).map(str::to_owned).collect();
    alerts.sort_unstable();
    alerts
}
