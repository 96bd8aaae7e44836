//! Readings of each gateway: power, charge, reserve, grid.

use super::exposition::Exposition;
use super::{GRID_STATES, Gateway, grid_state};
use crate::model::{Meter, Number, RawPercent, Readings, Telemetry};

const METERS: [&str; 4] = ["site", "battery", "load", "solar"];
const MODES: [&str; 3] = ["self_consumption", "autonomous", "backup"];
const SECONDS_PER_HOUR: f64 = 3600.0;

/// A figure of a gateway as a whole.
type Figure = (&'static str, &'static str, fn(&Readings) -> Option<f64>);

const FIGURES: [Figure; 3] = [
    ("powerwall_battery_energy_watthours", "Energy in the batteries.", |readings| {
        readings.charge.remaining.map(Number::as_f64)
    }),
    ("powerwall_battery_capacity_watthours", "Energy in the batteries when they are full.", |readings| {
        readings.charge.full_pack.map(Number::as_f64)
    }),
    (
        "powerwall_battery_time_remaining_seconds",
        "Time until the batteries are empty at the present load, as the gateway reckons.",
        |readings| readings.time_remaining.map(|hours| hours.as_f64() * SECONDS_PER_HOUR),
    ),
];

/// What a meter measures.
type Measurement = (&'static str, &'static str, fn(&Meter) -> Option<Number>);

const MEASUREMENTS: [Measurement; 3] = [
    ("powerwall_voltage_volts", "Voltage at a meter.", |meter| meter.voltage),
    ("powerwall_current_amperes", "Current at a meter.", |meter| meter.current),
    ("powerwall_frequency_hertz", "Frequency at a meter.", |meter| meter.frequency),
];

const ENERGIES: [Measurement; 2] = [
    ("powerwall_energy_imported_watthours_total", "Energy that a meter has counted inwards.", |meter| {
        meter.imported
    }),
    ("powerwall_energy_exported_watthours_total", "Energy that a meter has counted outwards.", |meter| {
        meter.exported
    }),
];

pub(super) fn put(page: &mut Exposition, gateways: &[Gateway<'_>]) {
    let told = || gateways.iter().filter_map(|gateway| Some((gateway.id, gateway.telemetry?)));
    let mut power = page.gauge(
        "powerwall_power_watts",
        "Power at a meter. Site: + import. Battery: + discharge. Load: + consumption. Solar: + production.",
    );
    for (id, telemetry) in told() {
        let values = &telemetry.readings.power;
        for (meter, value) in METERS.into_iter().zip([values.site, values.battery, values.load, values.solar])
        {
            power.sample(&[("gateway", id), ("meter", meter)], value.map(Number::as_f64));
        }
    }
    for (name, help, measured) in MEASUREMENTS {
        let mut family = page.gauge(name, help);
        for (id, telemetry) in told() {
            for (name, meter) in meters(telemetry) {
                family.sample(&[("gateway", id), ("meter", name)], measured(meter).map(Number::as_f64));
            }
        }
    }
    for (name, help, measured) in ENERGIES {
        let mut family = page.counter(name, help);
        for (id, telemetry) in told() {
            for (name, meter) in meters(telemetry) {
                family.sample(&[("gateway", id), ("meter", name)], measured(meter).map(Number::as_f64));
            }
        }
    }
    for (name, help, figure) in FIGURES {
        let mut family = page.gauge(name, help);
        for (id, telemetry) in told() {
            family.sample(&[("gateway", id)], figure(&telemetry.readings));
        }
    }
    put_percents(page, gateways);
    let mut grid = page.gauge("powerwall_grid_status", "1 for the state that the grid connection is in.");
    for (id, telemetry) in told() {
        grid.states("status", &GRID_STATES, telemetry.readings.grid.map(grid_state), &[("gateway", id)]);
    }
    let mut modes = page.gauge("powerwall_operation_mode", "1 for the mode that the gateway operates in.");
    for (id, telemetry) in told() {
        modes.states("mode", &MODES, telemetry.readings.mode.as_deref(), &[("gateway", id)]);
    }
    let mut alerts = page.gauge("powerwall_alerts", "Alerts that are active.");
    for (id, telemetry) in told() {
        let active = telemetry.site().alerts.as_ref();
        alerts.sample(&[("gateway", id)], active.map(|alerts| alerts.len() as f64));
    }
}

fn put_percents(page: &mut Exposition, gateways: &[Gateway<'_>]) {
    let told = || gateways.iter().filter_map(|gateway| Some((gateway.id, &*gateway.telemetry?.readings)));
    let mut charge = page.gauge(
        "powerwall_battery_charge_percent",
        "State of energy. Scale raw: as the gateway counts; app: without the 5 % that it never gives away.",
    );
    for (id, readings) in told() {
        let raw = readings.charge.state_of_energy();
        charge.sample(&[("gateway", id), ("scale", "raw")], raw.map(|raw| raw.0));
        charge.sample(&[("gateway", id), ("scale", "app")], raw.map(|raw| raw.to_app_clamped().0));
    }
    let mut reserve = page.gauge("powerwall_backup_reserve_percent", "Charge that is kept for outages.");
    for (id, readings) in told() {
        let raw: Option<RawPercent> = readings.reserve;
        reserve.sample(&[("gateway", id), ("scale", "raw")], raw.map(|raw| raw.0));
        reserve.sample(&[("gateway", id), ("scale", "app")], raw.map(|raw| raw.to_app_reserve().0));
    }
}

fn meters(telemetry: &Telemetry) -> impl Iterator<Item = (&'static str, &Meter)> {
    let meters = telemetry.site().meters.as_ref();
    meters.into_iter().flat_map(|meters| {
        METERS.into_iter().zip([&meters.site, &meters.battery, &meters.load, &meters.solar])
    })
}
