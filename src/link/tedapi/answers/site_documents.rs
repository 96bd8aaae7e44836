//! The small documents of the customer API: status, site information, operation, grid.

use serde_json::{Value, json};

use super::facts::island_state;
use super::parsed::Parsed;
use crate::link::json::{Look, Object};

/// `/api/system_status/grid_status`; null when the gateway does not say.
pub(super) fn grid_status(parsed: &Parsed<'_>) -> Value {
    match island_state(&parsed.status) {
        Some(state) => json!({ "grid_status": state, "grid_services_active": null }),
        None => Value::Null,
    }
}

/// `/api/status`; null without a configuration.
pub(super) fn status(parsed: &Parsed<'_>) -> Value {
    if !parsed.config.is_object() {
        return Value::Null;
    }
    let system = &parsed.payloads.system;
    let boot = parsed.payloads.boot.as_ref();
    json!({
        "din": parsed.vin(),
        "start_time": boot.map(|boot| boot.start_time()),
        "up_time_seconds": boot.map(|boot| boot.up_time()),
        "is_new": false,
        "version": system.version,
        "git_hash": system.git_hash,
        "commission_count": 0,
        "device_type": null,
        "teg_type": "unknown",
        "sync_type": "unknown",
        "cellular_disabled": false,
        "can_reboot": true,
        "battery_commission_date": parsed.config.at(&["site_info", "battery_commission_date"]),
    })
}

/// `/api/site_info`; null without a configuration.
pub(super) fn site_info(parsed: &Parsed<'_>) -> Value {
    if !parsed.config.is_object() {
        return Value::Null;
    }
    let info = parsed.config.at(&["site_info"]);
    let (energy, power) = (info.at(&["nominal_system_energy_ac"]), info.at(&["nominal_system_power_ac"]));
    let mut grid_code = Object::default();
    grid_code
        .copy(&["grid_code"], info)
        .nulls(&["grid_voltage_setting", "grid_freq_setting", "grid_phase_setting"])
        .copy(&["country", "state", "utility"], info);
    json!({
        "max_system_energy_kWh": energy,
        "max_system_power_kW": power,
        "site_name": info.at(&["site_name"]),
        "timezone": info.at(&["timezone"]),
        "max_site_meter_power_kW": info.at(&["max_site_meter_power_ac"]),
        "min_site_meter_power_kW": info.at(&["min_site_meter_power_ac"]),
        "nominal_system_energy_kWh": energy,
        "nominal_system_power_kW": power,
        "panel_max_current": info.at(&["panel_max_current"]),
        "grid_code": grid_code.build(),
    })
}

/// `/api/operation`, reserve on the raw scale; null without a configuration.
pub(super) fn operation(parsed: &Parsed<'_>) -> Value {
    if !parsed.config.is_object() {
        return Value::Null;
    }
    json!({
        "real_mode": parsed.config.at(&["default_real_mode"]),
        "backup_reserve_percent": parsed.config.at(&["site_info", "backup_reserve_percent"]),
    })
}
