//! Readings of each gateway: power, charge, reserve, grid.

use super::exposition::Family;
use super::series::{Series, counter, gauge};
use super::{GRID_STATES, Gateway, grid_state};
use crate::model::{Meter, Number, RawPercent, Readings};

const METERS: [&str; 4] = ["site", "battery", "load", "solar"];
/// Where one is metered.
const GENERATOR: &str = "generator";
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
        meter.imported.map(|counter| counter.energy)
    }),
    ("powerwall_energy_exported_watthours_total", "Energy that a meter has counted outwards.", |meter| {
        meter.exported.map(|counter| counter.energy)
    }),
];

pub(super) fn all() -> Vec<Series> {
    let power = gauge(
        "powerwall_power_watts",
        "Power at a meter. Site: + import. Battery: + discharge. Load: + consumption. Solar: + production.",
        |family, gateway| {
            let Some(readings) = gateway.readings() else { return };
            let values = readings.power;
            let values = [values.site, values.battery, values.load, values.solar];
            for (meter, value) in METERS.into_iter().zip(values) {
                family.sample(&[("gateway", gateway.id), ("meter", meter)], value.map(Number::as_f64));
            }
            let meters = gateway.site().and_then(|site| site.meters.as_ref());
            let generator = meters.and_then(|meters| meters.generator.as_ref()?.power);
            let labels = [("gateway", gateway.id), ("meter", GENERATOR)];
            family.sample(&labels, generator.map(Number::as_f64));
        },
    );
    let measurements =
        MEASUREMENTS.into_iter().map(|(name, help, measured)| gauge(name, help, at_meters(measured)));
    let energies =
        ENERGIES.into_iter().map(|(name, help, measured)| counter(name, help, at_meters(measured)));
    let figures = FIGURES.into_iter().map(|(name, help, figure)| {
        gauge(name, help, move |family, gateway| {
            if let Some(readings) = gateway.readings() {
                family.sample(&[("gateway", gateway.id)], figure(readings));
            }
        })
    });
    [power].into_iter().chain(measurements).chain(energies).chain(figures).chain(states()).collect()
}

/// Charge, reserve, grid, mode, alerts.
fn states() -> [Series; 5] {
    let charge = gauge(
        "powerwall_battery_charge_percent",
        "State of energy. Scale raw: as the gateway counts; app: without the 5 % that it never gives away.",
        |family, gateway| {
            let raw = gateway.readings().and_then(|readings| readings.charge.state_of_energy());
            family.sample(&[("gateway", gateway.id), ("scale", "raw")], raw.map(|raw| raw.0));
            family
                .sample(&[("gateway", gateway.id), ("scale", "app")], raw.map(|raw| raw.to_app_clamped().0));
        },
    );
    let reserve =
        gauge("powerwall_backup_reserve_percent", "Charge that is kept for outages.", |family, gateway| {
            let raw: Option<RawPercent> = gateway.readings().and_then(|readings| readings.reserve);
            family.sample(&[("gateway", gateway.id), ("scale", "raw")], raw.map(|raw| raw.0));
            family
                .sample(&[("gateway", gateway.id), ("scale", "app")], raw.map(|raw| raw.to_app_reserve().0));
        });
    let grid = gauge(
        "powerwall_grid_status",
        "1 for the state that the grid connection is in.",
        |family, gateway| {
            let grid = gateway.readings().and_then(|readings| readings.grid);
            family.states("status", &GRID_STATES, grid.map(grid_state), &[("gateway", gateway.id)]);
        },
    );
    let modes = gauge(
        "powerwall_operation_mode",
        "1 for the mode that the gateway operates in.",
        |family, gateway| {
            let mode = gateway.readings().and_then(|readings| readings.mode.as_deref());
            family.states("mode", &MODES, mode, &[("gateway", gateway.id)]);
        },
    );
    let alerts = gauge("powerwall_alerts", "Alerts that are active.", |family, gateway| {
        let alerts = gateway.site().and_then(|site| site.alerts.as_ref());
        family.sample(&[("gateway", gateway.id)], alerts.map(|alerts| alerts.len() as f64));
    });
    [charge, reserve, grid, modes, alerts]
}

/// The samples of one measurement at each meter.
fn at_meters(measured: fn(&Meter) -> Option<Number>) -> impl Fn(&mut Family<'_>, &Gateway<'_>) {
    move |family, gateway| {
        let Some(meters) = gateway.site().and_then(|site| site.meters.as_ref()) else { return };
        let four = [&meters.site, &meters.battery, &meters.load, &meters.solar];
        let generator = meters.generator.as_ref().map(|meter| (GENERATOR, meter));
        for (name, meter) in METERS.into_iter().zip(four).chain(generator) {
            let labels = [("gateway", gateway.id), ("meter", name)];
            family.sample(&labels, measured(meter).map(Number::as_f64));
        }
    }
}
