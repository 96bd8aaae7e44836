//! The documents of the customer API, from a site that another instance reports. What a report does not have
//! is null.

use serde_json::{Map, Value, json};

use crate::link::json::{Object, value_of};
use crate::model::{Documents, GridStatus, Meter, Number, Site, Unit};

const NEVER: &str = "0001-01-01T00:00:00Z";

/// As far as `site` has them.
pub(super) fn of(site: &Site) -> Documents {
    let readings = &site.readings;
    let state = readings.grid.map(GridStatus::island_state);
    Documents {
        aggregates: aggregates(site),
        strings: strings(site),
        system_status: system_status(site, state),
        grid_status: state.map_or(Value::Null, |state| json!({ "grid_status": state })),
        status: json!({
            "din": readings.din,
            "start_time": null,
            "up_time_seconds": site.uptime,
            "is_new": false,
            "version": readings.firmware,
            "git_hash": null,
        }),
        site_info: json!({ "site_name": readings.site_name, "timezone": readings.timezone }),
        operation: json!({
            "real_mode": readings.mode,
            "backup_reserve_percent": readings.reserve.map(|reserve| reserve.0),
        }),
        ..Documents::default()
    }
}

fn aggregates(site: &Site) -> Value {
    let Some(meters) = &site.meters else { return Value::Null };
    let power = &site.readings.power;
    let mut aggregates = Object::default();
    aggregates
        .set("site", section(&meters.site, power.site))
        .set("battery", section(&meters.battery, power.battery))
        .set("load", section(&meters.load, power.load))
        .set("solar", section(&meters.solar, power.solar));
    aggregates.build()
}

fn section(meter: &Meter, watts: Option<Number>) -> Value {
    let energy = |counter: Option<crate::model::Counter>| value_of(counter.map(|counter| counter.energy));
    let mut section = Object::default();
    section
        .set("last_communication_time", NEVER)
        .set("instant_power", value_of(watts))
        .set("instant_reactive_power", value_of(meter.reactive_power))
        .set("instant_apparent_power", value_of(meter.apparent_power))
        .set("frequency", value_of(meter.frequency))
        .set("energy_exported", energy(meter.exported))
        .set("energy_imported", energy(meter.imported))
        .set("instant_average_voltage", value_of(meter.voltage))
        .set("instant_average_current", value_of(meter.current))
        .nulls(&["i_a_current", "i_b_current", "i_c_current"])
        .set("instant_total_current", value_of(meter.current));
    section.build()
}

fn strings(site: &Site) -> Value {
    let Some(strings) = &site.strings else { return Value::Null };
    let members = strings.iter().map(|string| {
        let string_of = json!({
            "Connected": string.is_connected,
            "Voltage": value_of(string.voltage),
            "Current": value_of(string.current),
            "Power": value_of(string.power),
            "State": string.state,
        });
        (string.name.clone(), string_of)
    });
    Value::Object(members.collect::<Map<_, _>>())
}

fn system_status(site: &Site, state: Option<&str>) -> Value {
    let charge = &site.readings.charge;
    let blocks = site.units.as_ref().map(|units| units.iter().map(block).collect::<Vec<_>>());
    json!({
        "nominal_full_pack_energy": value_of(charge.full_pack),
        "nominal_energy_remaining": value_of(charge.remaining),
        "system_island_state": state,
        "available_blocks": blocks.as_ref().map(Vec::len),
        "battery_blocks": blocks,
    })
}

fn block(unit: &Unit) -> Value {
    json!({
        "PackagePartNumber": unit.part,
        "PackageSerialNumber": unit.serial,
        "nominal_energy_remaining": value_of(unit.charge.remaining),
        "nominal_full_pack_energy": value_of(unit.charge.full_pack),
        "p_out": value_of(unit.power),
        "v_out": value_of(unit.voltage),
        "f_out": value_of(unit.frequency),
        "pinv_state": unit.state,
        "pinv_grid_state": unit.grid_state,
    })
}
