//! Readings of each gateway: power, charge, reserve, grid.

use serde_json::Value;

use super::series::{Series, counter, gauge};
use super::{GRID_STATES, grid_state};
use crate::model::{Documents, Number, RawPercent, Readings};

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

/// What a meter measures, and its key in the meters document.
const MEASUREMENTS: [(&str, &str, &str); 3] = [
    ("powerwall_voltage_volts", "Voltage at a meter.", "instant_average_voltage"),
    ("powerwall_current_amperes", "Current at a meter.", "instant_average_current"),
    ("powerwall_frequency_hertz", "Frequency at a meter.", "frequency"),
];

const ENERGIES: [(&str, &str, &str); 2] = [
    (
        "powerwall_energy_imported_watthours_total",
        "Energy that a meter has counted inwards.",
        "energy_imported",
    ),
    (
        "powerwall_energy_exported_watthours_total",
        "Energy that a meter has counted outwards.",
        "energy_exported",
    ),
];

/// What the documents of one telemetry say about its meters.
#[derive(Debug, Default)]
pub(super) struct Measured {
    /// For each of [`METERS`], one value for each of [`MEASUREMENTS`].
    measurements: [[Option<f64>; MEASUREMENTS.len()]; METERS.len()],
    /// For each of [`METERS`], one value for each of [`ENERGIES`].
    energies: [[Option<f64>; ENERGIES.len()]; METERS.len()],
    alerts: Option<f64>,
}

impl Measured {
    pub fn of(documents: &Documents) -> Self {
        let is_known = documents.vitals.is_object() || !documents.alerts.is_empty();
        Self {
            measurements: METERS.map(|meter| MEASUREMENTS.map(|(.., key)| at_meter(documents, meter, key))),
            energies: METERS.map(|meter| ENERGIES.map(|(.., key)| at_meter(documents, meter, key))),
            alerts: is_known.then_some(documents.alerts.len() as f64),
        }
    }
}

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
        },
    );
    let measurements = MEASUREMENTS.into_iter().enumerate().map(|(place, (name, help, _))| {
        gauge(name, help, move |family, gateway| {
            let Some(measured) = gateway.derived().map(|derived| &derived.measured) else { return };
            for (meter, values) in METERS.into_iter().zip(measured.measurements) {
                family.sample(&[("gateway", gateway.id), ("meter", meter)], values[place]);
            }
        })
    });
    let energies = ENERGIES.into_iter().enumerate().map(|(place, (name, help, _))| {
        counter(name, help, move |family, gateway| {
            let Some(measured) = gateway.derived().map(|derived| &derived.measured) else { return };
            for (meter, values) in METERS.into_iter().zip(measured.energies) {
                family.sample(&[("gateway", gateway.id), ("meter", meter)], values[place]);
            }
        })
    });
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
            family.sample(&[("gateway", gateway.id), ("scale", "app")], raw.map(|raw| raw.to_app_clamped().0));
        },
    );
    let reserve = gauge(
        "powerwall_backup_reserve_percent",
        "Charge that is kept for outages.",
        |family, gateway| {
            let raw: Option<RawPercent> = gateway.readings().and_then(|readings| readings.reserve);
            family.sample(&[("gateway", gateway.id), ("scale", "raw")], raw.map(|raw| raw.0));
            family.sample(&[("gateway", gateway.id), ("scale", "app")], raw.map(|raw| raw.to_app_reserve().0));
        },
    );
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
        let alerts = gateway.derived().and_then(|derived| derived.measured.alerts);
        family.sample(&[("gateway", gateway.id)], alerts);
    });
    [charge, reserve, grid, modes, alerts]
}

fn at_meter(documents: &Documents, meter: &str, key: &str) -> Option<f64> {
    documents.aggregates.get(meter)?.get(key).and_then(Value::as_f64)
}
