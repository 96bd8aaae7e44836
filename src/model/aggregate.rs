//! The sum over all gateways: who contributed, who is missing, and nothing invented in between.

use std::sync::Arc;

use tokio::time::Instant;

use super::{AppPercent, Freshness, GridStatus, Number, RawPercent, Snapshot};

/// Sums at one moment. Immutable. A sum is `None` when nobody could contribute to it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Aggregate {
    /// Watts, + import.
    pub site: Option<f64>,
    /// Watts, + discharge.
    pub battery: Option<f64>,
    /// Watts, + consumption.
    pub load: Option<f64>,
    /// Watts, + production.
    pub solar: Option<f64>,
    /// Wh over the gateways that know their capacity.
    pub capacity: Option<f64>,
    /// Wh over the gateways that know their charge.
    pub energy_remaining: Option<f64>,
    /// Weighted by capacity; the plain mean where no gateway knows its capacity.
    pub state_of_energy: Option<RawPercent>,
    /// The worst that any gateway reports.
    pub grid: Option<GridStatus>,
    /// Ids, in configured order, of gateways whose data is in the sums.
    pub contributors: Vec<String>,
    /// Those of them whose last poll failed.
    pub stale: Vec<String>,
    /// Ids of gateways that have nothing to show.
    pub missing: Vec<String>,
    /// Configured gateways.
    pub gateways: usize,
    /// Gateways whose last poll succeeded.
    pub online: usize,
}

impl Aggregate {
    /// Sums what is fresh enough at `now`, in the given order.
    pub fn of(snapshots: &[Arc<Snapshot>], now: Instant) -> Self {
        let mut sum = Self { gateways: snapshots.len(), ..Self::default() };
        // Charge and capacity of gateways that know both: the only fair base for a percentage.
        let (mut remaining_known, mut capacity_known) = (0.0, 0.0);
        // Percentages, for when nobody knows a capacity.
        let (mut told, mut tellers) = (0.0, 0.0);
        for snapshot in snapshots {
            let id = &snapshot.gateway.id;
            let freshness = snapshot.freshness(now);
            if freshness == Freshness::Live {
                sum.online += 1;
            }
            let Some(telemetry) = snapshot.telemetry(now) else {
                sum.missing.push(id.clone());
                continue;
            };
            sum.contributors.push(id.clone());
            if freshness == Freshness::Stale {
                sum.stale.push(id.clone());
            }
            let readings = &telemetry.readings;
            add(&mut sum.site, readings.power.site);
            add(&mut sum.battery, readings.power.battery);
            add(&mut sum.load, readings.power.load);
            add(&mut sum.solar, readings.power.solar);
            let charge = &readings.charge;
            let full_pack = charge.full_pack.filter(|full| full.as_f64() > 0.0);
            add(&mut sum.capacity, full_pack);
            add(&mut sum.energy_remaining, charge.remaining);
            if let (Some(remaining), Some(full)) = (charge.remaining, full_pack) {
                remaining_known += remaining.as_f64();
                capacity_known += full.as_f64();
            }
            if let Some(percent) = charge.state_of_energy() {
                told += percent.0;
                tellers += 1.0;
            }
            sum.grid = sum.grid.max(readings.grid);
        }
        sum.state_of_energy = (capacity_known > 0.0)
            .then(|| remaining_known / capacity_known * 100.0)
            .or((tellers > 0.0).then(|| told / tellers))
            .filter(|percent| percent.is_finite())
            .map(RawPercent);
        sum
    }

    /// State of energy as the phone app shows it.
    pub fn app_percent(&self) -> Option<AppPercent> {
        self.state_of_energy.map(RawPercent::to_app_clamped)
    }
}

fn add(sum: &mut Option<f64>, reading: Option<Number>) {
    if let Some(reading) = reading {
        *sum = Some(sum.unwrap_or(0.0) + reading.as_f64());
    }
}

#[cfg(test)]
mod tests;
