//! The sum over all gateways.

use super::exposition::Exposition;
use super::{GRID_STATES, grid_state};
use crate::model::Aggregate;

pub(super) fn put(page: &mut Exposition, sum: &Aggregate) {
    let mut power = page.gauge("powerwall_sum_power_watts", "Power at the meters of all gateways together.");
    for (meter, value) in
        [("site", sum.site), ("battery", sum.battery), ("load", sum.load), ("solar", sum.solar)]
    {
        power.sample(&[("meter", meter)], value);
    }
    page.gauge("powerwall_sum_battery_energy_watthours", "Energy in the batteries of all gateways.")
        .sample(&[], sum.energy_remaining);
    page.gauge("powerwall_sum_battery_capacity_watthours", "Capacity of the batteries of all gateways.")
        .sample(&[], sum.capacity);
    let mut charge = page.gauge(
        "powerwall_sum_battery_charge_percent",
        "State of energy over all batteries, weighted by capacity.",
    );
    charge.sample(&[("scale", "raw")], sum.state_of_energy.map(|raw| raw.0));
    charge.sample(&[("scale", "app")], sum.app_percent().map(|app| app.0));
    page.gauge("powerwall_sum_grid_status", "1 for the worst state that any gateway reports.").states(
        "status",
        &GRID_STATES,
        sum.grid.map(grid_state),
        &[],
    );
    let mut gateways = page.gauge("powerwall_sum_gateways", "Gateways by what they give to the sum.");
    let counts = [
        ("configured", sum.gateways),
        ("online", sum.online),
        ("contributing", sum.contributors.len()),
        ("stale", sum.stale.len()),
        ("missing", sum.missing.len()),
    ];
    for (state, count) in counts {
        gateways.sample(&[("state", state)], count as f64);
    }
}
