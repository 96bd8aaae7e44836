//! What several sites add up to. A sum says how many sites it is of; of none it is unknown.

use super::row::{Row, TroubleKind};

/// A sum and how many sites are in it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sum {
    pub sum: Option<f64>,
    pub of: usize,
}

impl Sum {
    pub(super) fn add(&mut self, value: Option<f64>) {
        if let Some(value) = value {
            self.sum = Some(self.sum.unwrap_or(0.0) + value);
            self.of += 1;
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sums {
    pub sites: usize,
    /// Those with readings that may be shown.
    pub reporting: usize,
    pub solar: Sum,
    pub home: Sum,
    pub battery: Sum,
    pub grid: Sum,
    pub stored: Sum,
    pub capacity: Sum,
    /// App percent of all batteries together, of the sites that report energy and capacity.
    pub charge: Option<f64>,
    /// How many have each trouble, the worst first.
    pub troubles: [usize; TroubleKind::ALL.len()],
}

impl Sums {
    pub fn of<'a>(rows: impl Iterator<Item = &'a Row>) -> Self {
        let mut sums = Self::default();
        let (mut weighted, mut capacity) = (0.0, 0.0);
        for row in rows {
            sums.sites += 1;
            sums.reporting += usize::from(row.freshness.has_data());
            sums.solar.add(row.solar);
            sums.home.add(row.home);
            sums.battery.add(row.battery);
            sums.grid.add(row.grid_power);
            sums.stored.add(row.stored);
            let counts = row.freshness.has_data().then_some(row.capacity).flatten();
            sums.capacity.add(counts);
            if let (Some(charge), Some(full)) = (row.charge, counts) {
                weighted += charge * full;
                capacity += full;
            }
            for trouble in &row.troubles {
                sums.troubles[trouble.kind as usize] += 1;
            }
        }
        sums.charge = (capacity > 0.0).then(|| weighted / capacity);
        sums
    }
}
