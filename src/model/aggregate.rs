//! The sum over all gateways: who contributed, who is missing, and nothing invented in between.

use std::sync::Arc;

use tokio::time::Instant;

use super::{AppPercent, Charge, Freshness, GridStatus, Number, RawPercent, Snapshot};

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
    /// Weighted by capacity. A gateway that does not know its own counts as an average one.
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
        let mut mean = MeanCharge::default();
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
            add(&mut sum.capacity, charge.full_pack.filter(|full| full.as_f64() > 0.0));
            add(&mut sum.energy_remaining, charge.remaining);
            mean.add(charge);
            sum.grid = sum.grid.max(readings.grid);
        }
        sum.state_of_energy = mean.percent();
        sum
    }

    /// State of energy as the phone app shows it.
    pub fn app_percent(&self) -> Option<AppPercent> {
        self.state_of_energy.map(RawPercent::to_app_clamped)
    }
}

/// The state of energy of several gateways as one. What a gateway reports of itself counts as it does for
/// that gateway alone.
#[derive(Default)]
struct MeanCharge {
    /// Wh in the gateways that know their capacity.
    energy: f64,
    /// Wh that these can hold.
    capacity: f64,
    /// How many these are.
    weighted: f64,
    /// Percentages of gateways that do not know their capacity, added up.
    percents: f64,
    /// How many these are.
    unweighted: f64,
    /// The percentage that was added last.
    last: Option<RawPercent>,
}

impl MeanCharge {
    fn add(&mut self, charge: &Charge) {
        let full = charge.full_pack.map(Number::as_f64);
        let Some(percent) = charge.state_of_energy() else { return };
        match full {
            // Without a battery there is nothing to be charged.
            Some(full) if full <= 0.0 => return,
            Some(full) => {
                let remaining = charge.remaining.filter(|_| charge.reported.is_none());
                self.energy += remaining.map_or(percent.0 / 100.0 * full, Number::as_f64);
                self.capacity += full;
                self.weighted += 1.0;
            }
            None => {
                self.percents += percent.0;
                self.unweighted += 1.0;
            }
        }
        self.last = Some(percent);
    }

    fn percent(&self) -> Option<RawPercent> {
        let percent = match (self.weighted, self.unweighted) {
            // Exactly what this gateway shows, whatever floats make of a division and a multiplication.
            _ if self.weighted + self.unweighted == 1.0 => return self.last,
            (0.0, 0.0) => return None,
            (0.0, unweighted) => self.percents / unweighted,
            (weighted, unweighted) => {
                let average = self.capacity / weighted;
                let energy = self.energy + self.percents / 100.0 * average;
                energy / (self.capacity + unweighted * average) * 100.0
            }
        };
        percent.is_finite().then_some(RawPercent(percent))
    }
}

fn add(sum: &mut Option<f64>, reading: Option<Number>) {
    if let Some(reading) = reading {
        *sum = Some(sum.unwrap_or(0.0) + reading.as_f64());
    }
}

#[cfg(test)]
mod tests;
