//! Bodies about one gateway that are not a view: they change with the clock, or show what is configured.

use serde_json::{Value, json};

use crate::model::{Freshness, Snapshot};
use crate::views::status::Moment;

fn is_online(snapshot: &Snapshot, at: Moment) -> bool {
    snapshot.freshness(at.now) == Freshness::Live
}

/// Down means that nothing is known any more; a gateway that missed a poll still runs, as far as anybody
/// knows.
pub(super) fn sitemaster(snapshot: &Snapshot, at: Moment) -> Value {
    let has_data = snapshot.telemetry(at.now).is_some();
    json!({
        "status": if has_data { "StatusUp" } else { "StatusDown" },
        "running": has_data,
        "connected_to_tesla": is_online(snapshot, at),
        "power_supply_mode": false,
        "can_reboot": "Yes",
    })
}

pub(super) fn is_connected(snapshot: &Snapshot, at: Moment) -> Value {
    json!({ "is_connected": is_online(snapshot, at) })
}

/// The reserve is on the raw scale, as in the API of a gateway; `/pw/get_reserve` has that of the app.
pub(super) fn operation(snapshot: &Snapshot, at: Moment) -> Value {
    let telemetry = snapshot.telemetry(at.now);
    let readings = telemetry.map(|telemetry| &telemetry.readings);
    let documents = telemetry.map(|telemetry| telemetry.documents());
    let operation = documents.as_ref().map(|documents| &documents.operation);
    json!({
        "real_mode": readings.and_then(|readings| readings.mode.as_ref()),
        "backup_reserve_percent": operation.and_then(|operation| operation.get("backup_reserve_percent")),
        "grid_charging": readings.and_then(|readings| readings.grid_charging),
        "grid_export": readings.and_then(|readings| readings.grid_export.as_ref()),
        "stale": snapshot.freshness(at.now) == Freshness::Stale,
        "last_updated": telemetry.and(snapshot.reading.as_ref()).map(|reading| reading.taken_at),
    })
}

pub(super) fn site_info(snapshot: &Snapshot, at: Moment) -> Value {
    let documents = snapshot.telemetry(at.now).map(|telemetry| telemetry.documents());
    if let Some(documents) = documents.filter(|documents| documents.site_info.is_object()) {
        return documents.site_info.clone();
    }
    json!({
        "max_system_energy_kWh": null,
        "max_system_power_kW": null,
        "site_name": null,
        "timezone": snapshot.gateway.timezone,
        "max_site_meter_power_kW": null,
        "min_site_meter_power_kW": null,
        "nominal_system_energy_kWh": null,
        "nominal_system_power_kW": null,
        "panel_max_current": null,
        "grid_code": {
            "grid_code": null, "grid_voltage_setting": null, "grid_freq_setting": null,
            "grid_phase_setting": null, "country": null, "state": null, "utility": null,
        },
    })
}

pub(super) fn site_name(snapshot: &Snapshot, at: Moment) -> Value {
    let readings = snapshot.telemetry(at.now).map(|telemetry| &telemetry.readings);
    let reported = readings.and_then(|readings| readings.timezone.as_ref());
    json!({
        "site_name": readings.and_then(|readings| readings.site_name.as_ref()),
        "timezone": reported.or(snapshot.gateway.timezone.as_ref()),
    })
}

/// No link reports updates; this says what clients take for "nothing to do".
pub(super) fn update_status(snapshot: &Snapshot, at: Moment) -> Value {
    let readings = snapshot.telemetry(at.now).map(|telemetry| &telemetry.readings);
    let milliseconds = (at.unix * 1000.0) as u64;
    json!({
        "state": "/update_succeeded",
        "info": { "status": ["nonactionable"] },
        "current_time": milliseconds,
        "last_status_time": milliseconds,
        "version": readings.and_then(|readings| readings.firmware.as_deref()).unwrap_or("Unknown"),
        "offline_updating": false,
        "offline_update_error": "",
        "estimated_bytes_per_second": null,
    })
}
