//! A day that moves: sun and clouds, a household, a battery that follows them, an outage in the afternoon.
//!
//! Pure arithmetic on simulated seconds; the same seed gives the same day.

use std::f64::consts::PI;

const HOUR: f64 = 3600.0;
const DAY: f64 = 24.0 * HOUR;
/// The battery is integrated in steps of at most this.
const STEP: f64 = 60.0;
/// Every afternoon the grid fails for a while …
const OUTAGE: std::ops::Range<f64> = 15.25 * HOUR..15.6 * HOUR;
/// … and the site takes a moment to follow it back.
const SYNCING: f64 = 60.0;
/// Time-of-use: cheap hours, in which the battery may be filled from the grid up to a part.
const CHEAP: std::ops::Range<f64> = 1.0 * HOUR..5.0 * HOUR;
const CHEAP_CHARGE_TO: f64 = 0.4;
const CHEAP_CHARGE_POWER: f64 = 1500.0;
/// The part of the energy that is kept for outages.
const RESERVE: f64 = 0.24;

/// What a site has.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Equipment {
    /// Solar at noon under a clear sky, W.
    pub solar_peak: f64,
    /// Mean household, W.
    pub load: f64,
    /// Wh; 0: no battery.
    pub capacity: f64,
    /// Most the battery takes or gives, W.
    pub battery_power: f64,
}

/// Whether the site is connected to the grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grid {
    Connected,
    Islanded,
    Syncing,
}

/// Powers at one moment, W, with the signs of a gateway: site + import, battery + discharge. They add up:
/// `site + solar + battery = load`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Flow {
    pub site: f64,
    pub solar: f64,
    pub battery: f64,
    pub load: f64,
    /// Wh
    pub energy: f64,
    pub grid: Grid,
}

/// Wh that went in and out at the four meters since the site was built.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Energies {
    pub site: Counted,
    pub solar: Counted,
    pub battery: Counted,
    pub load: Counted,
}

/// Wh at one meter, in both directions.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counted {
    pub imported: f64,
    pub exported: f64,
}

impl Counted {
    /// What flows for `hours`; `inwards` in W, or outwards if it is negative.
    fn count(&mut self, inwards: f64, hours: f64) {
        let energy = inwards * hours;
        self.imported += energy.max(0.0);
        self.exported += (-energy).max(0.0);
    }
}

impl Energies {
    fn count(&mut self, flow: &Flow, hours: f64) {
        self.site.count(flow.site, hours);
        self.load.count(flow.load, hours);
        // What these give is exported, as seen from them.
        self.solar.count(-flow.solar, hours);
        self.battery.count(-flow.battery, hours);
    }
}

/// A site in the course of its days.
#[derive(Clone, Debug)]
pub struct Day {
    equipment: Equipment,
    seed: u64,
    /// Seconds since the first midnight.
    clock: f64,
    /// Wh in the battery.
    energy: f64,
    energies: Energies,
    /// Whether somebody has disconnected the house from the grid.
    pub is_off_grid: bool,
    /// What the battery was ordered to give, W; negative: to take.
    pub dispatched: Option<f64>,
}

impl Day {
    /// `hour`: when it starts, 0…24.
    pub fn new(equipment: Equipment, seed: u64, hour: f64) -> Self {
        let energies = Energies::default();
        let energy = equipment.capacity * 0.55;
        Self { equipment, seed, clock: hour * HOUR, energy, energies, is_off_grid: false, dispatched: None }
    }

    /// The same with so many Wh in the battery.
    pub fn charged(self, energy: f64) -> Self {
        Self { energy: energy.clamp(0.0, self.equipment.capacity), ..self }
    }

    /// Seconds since the first midnight.
    pub fn clock(&self) -> f64 {
        self.clock
    }

    pub fn energies(&self) -> Energies {
        self.energies
    }

    /// Lives through `seconds`.
    pub fn advance(&mut self, seconds: f64) {
        let mut left = seconds.max(0.0);
        while left > 0.0 {
            let step = left.min(STEP);
            let flow = self.flow();
            self.energy = (self.energy - flow.battery * step / HOUR).clamp(0.0, self.equipment.capacity);
            self.energies.count(&flow, step / HOUR);
            self.clock += step;
            left -= step;
        }
    }

    pub fn flow(&self) -> Flow {
        let time = self.clock % DAY;
        let grid = match time {
            _ if self.is_off_grid => Grid::Islanded,
            time if OUTAGE.contains(&time) => Grid::Islanded,
            time if (OUTAGE.end..OUTAGE.end + SYNCING).contains(&time) => Grid::Syncing,
            _ => Grid::Connected,
        };
        let load = round(self.load(time));
        let sun = round(self.sun(time));
        let has_battery = self.equipment.capacity > 0.0;
        if grid != Grid::Connected {
            // Without the grid the battery balances; what it cannot take is not produced.
            let solar = if has_battery { sun.min(load + self.room()) } else { 0.0 };
            let battery = if has_battery { round(load - solar) } else { 0.0 };
            let load = if has_battery { solar + battery } else { 0.0 };
            return Flow { site: 0.0, solar, battery, load: round(load), energy: self.energy, grid };
        }
        let battery = if has_battery { round(self.battery(time, load - sun)) } else { 0.0 };
        Flow { site: round(load - sun - battery), solar: sun, battery, load, energy: self.energy, grid }
    }

    /// What the battery does about `deficit` W, on the grid.
    fn battery(&self, time: f64, deficit: f64) -> f64 {
        let level = self.energy / self.equipment.capacity;
        if let Some(ordered) = self.dispatched {
            let most = if level > 0.0 { self.equipment.battery_power } else { 0.0 };
            return ordered.clamp(-self.room(), most);
        }
        if CHEAP.contains(&time) && level < CHEAP_CHARGE_TO {
            return -CHEAP_CHARGE_POWER.min(self.room());
        }
        let most = if level > RESERVE { self.equipment.battery_power } else { 0.0 };
        deficit.clamp(-self.room(), most)
    }

    /// What the battery can take now, W.
    fn room(&self) -> f64 {
        let free = (self.equipment.capacity - self.energy) * HOUR / STEP;
        free.clamp(0.0, self.equipment.battery_power)
    }

    fn sun(&self, time: f64) -> f64 {
        let height = ((time / HOUR - 6.0) / 14.0 * PI).sin();
        if !(6.0 * HOUR..20.0 * HOUR).contains(&time) || height <= 0.0 {
            return 0.0;
        }
        let clouds = 0.72 + 0.28 * (self.wave(time, 2900.0, 1) * self.wave(time, 700.0, 2));
        self.equipment.solar_peak * height.powf(1.3) * clouds.clamp(0.1, 1.0)
    }

    fn load(&self, time: f64) -> f64 {
        let hour = time / HOUR;
        let bump = |at: f64, width: f64| (-((hour - at) / width).powi(2)).exp();
        let rhythm = 0.45 + 0.7 * bump(7.5, 1.2) + 0.35 * bump(12.5, 1.5) + 1.3 * bump(19.0, 2.2);
        let kettle = if self.wave(time, 1300.0, 3) > 0.93 { 1800.0 } else { 0.0 };
        let fridge = if self.wave(time, 2400.0, 4) > 0.2 { 110.0 } else { 0.0 };
        self.equipment.load * rhythm * (1.0 + 0.05 * self.wave(time, 90.0, 5)) + kettle + fridge
    }

    /// −1…1, its phase decided by the seed.
    fn wave(&self, time: f64, period: f64, which: u64) -> f64 {
        let mixed = (self.seed ^ (which << 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let phase = (mixed >> 11) as f64 / (1_u64 << 53) as f64;
        ((time / period + phase) * 2.0 * PI).sin()
    }
}

/// Gateways report tenths of watts.
fn round(watts: f64) -> f64 {
    rounded(watts, 10.0)
}

/// `value` in whole parts of a unit, of which it has `parts`. A zero has no sign.
pub(super) fn rounded(value: f64, parts: f64) -> f64 {
    (value * parts).round() / parts + 0.0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_powers_add_up_all_day_long(seed: u64, solar_peak in 0.0..15_000.0, capacity in 0.0..40_000.0) {
            let equipment = Equipment { solar_peak, load: 1200.0, capacity, battery_power: 5000.0 };
            let mut day = Day::new(equipment, seed, 0.0);
            for _ in 0..1440 {
                let flow = day.flow();
                prop_assert!((flow.site + flow.solar + flow.battery - flow.load).abs() < 0.2, "{flow:?}");
                prop_assert!((0.0..=capacity).contains(&flow.energy));
                prop_assert!(flow.solar >= 0.0 && flow.load >= 0.0);
                prop_assert!(flow.grid == Grid::Connected || flow.site == 0.0);
                day.advance(60.0);
            }
        }
    }

    #[test]
    fn a_day_has_sun_an_outage_and_a_battery_that_moves() {
        let equipment =
            Equipment { solar_peak: 7000.0, load: 1200.0, capacity: 13_500.0, battery_power: 5000.0 };
        let mut day = Day::new(equipment, 7, 0.0);
        let mut flows = Vec::new();
        for _ in 0..1440 {
            flows.push(day.flow());
            day.advance(60.0);
        }
        assert!(flows.iter().any(|flow| flow.solar > 4000.0) && flows[0].solar == 0.0);
        assert!(
            flows.iter().any(|flow| flow.battery > 500.0) && flows.iter().any(|flow| flow.battery < -500.0)
        );
        assert!(flows.iter().any(|flow| flow.site < -100.0) && flows.iter().any(|flow| flow.site > 100.0));
        for grid in [Grid::Islanded, Grid::Syncing] {
            assert!(flows.iter().any(|flow| flow.grid == grid), "{grid:?}");
        }
    }
}
