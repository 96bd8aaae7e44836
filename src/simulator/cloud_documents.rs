//! A simulated site as Tesla's cloud reports it, on the scale of the app.

use serde_json::{Value, json};

use super::day::Grid;
use super::scene::{Scene, SiteKind, ZONE};

fn app(raw: f64) -> f64 {
    ((raw - 5.0) / 0.95).clamp(0.0, 100.0)
}

/// `live_status`, without the time at which it was taken.
pub(super) fn live_status(scene: &Scene<'_>) -> Value {
    let meters = scene.meters();
    let watts = |meter: &str| meters[meter]["instant_power"].clone();
    let is_connected = scene.flow.grid == Grid::Connected;
    let mut live = json!({
        "solar_power": watts("solar"),
        "load_power": watts("load"),
        "grid_status": if is_connected { "Active" } else { "Inactive" },
        "grid_services_active": false,
        "grid_power": watts("site"),
        "grid_services_power": 0,
        "generator_power": 0,
        "island_status": if is_connected { "on_grid" } else { "off_grid" },
        "storm_mode_active": false,
        "wall_connectors": [],
    });
    if scene.has_battery() {
        let percent = scene.flow.energy / scene.capacity() as f64 * 100.0;
        live["battery_power"] = watts("battery");
        live["percentage_charged"] = app(percent).into();
        live["backup_capable"] = true.into();
    } else {
        live["grid_status"] = "Unknown".into();
    }
    live
}

/// `site_info`; `config`: of the gateway.
pub(super) fn site_info(scene: &Scene<'_>, config: &Value, firmware: &str) -> Value {
    let rule = config["site_info"]["customer_preferred_export_rule"].as_str().unwrap_or("pv_only");
    let forbids = config["site_info"]["disallow_charge_from_grid_with_solar_installed"] == true;
    let batteries = match scene.kind {
        SiteKind::Powerwall2 => 2,
        SiteKind::Powerwall3 => 3,
        SiteKind::Inverter => 0,
    };
    json!({
        "id": scene.din(),
        "site_name": scene.name,
        "backup_reserve_percent": scene.reserve.as_f64().map(|raw| app(raw).round()),
        "default_real_mode": scene.mode,
        "installation_date": "2024-05-01T12:00:00-07:00",
        "version": firmware,
        "battery_count": batteries,
        "nameplate_power": 11_500,
        "nameplate_energy": scene.capacity(),
        "installation_time_zone": ZONE,
        "max_site_meter_power_ac": 1_000_000_000,
        "min_site_meter_power_ac": -1_000_000_000,
        "user_settings": { "storm_mode_enabled": false },
        "off_grid_vehicle_charging_reserve_percent": 15,
        "components": {
            "solar": true, "battery": scene.has_battery(), "grid": true, "gateway": "teg",
            "storm_mode_capable": true, "off_grid_vehicle_charging_reserve_supported": true,
            "customer_preferred_export_rule": rule,
            "disallow_charge_from_grid_with_solar_installed": forbids,
        },
        "tariff_content_v2": tariff(),
    })
}

/// A day rate and a night rate.
fn tariff() -> Value {
    json!({
        "version": 1, "name": "Night", "utility": "Simulated Power", "currency": "USD",
        "seasons": { "Summer": {
            "fromMonth": 1, "fromDay": 1, "toMonth": 12, "toDay": 31,
            "tou_periods": {
                "ON_PEAK": { "periods": [{ "toDayOfWeek": 6, "fromHour": 7, "toHour": 22 }] },
                "OFF_PEAK": { "periods": [{ "toDayOfWeek": 6, "fromHour": 22, "toHour": 7 }] },
            },
        }},
        "energy_charges": { "Summer": { "rates": { "ON_PEAK": 0.31, "OFF_PEAK": 0.0 } } },
        "demand_charges": { "ALL": { "rates": { "ALL": 0 } } },
    })
}
