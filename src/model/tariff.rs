//! What energy costs, by the clock of the site, and what that makes of a quarter of an hour. Pure arithmetic.

use jiff::civil::{Date, DateTime};

use super::energy::{Flow, Flows};

/// What energy costs at a site.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tariff {
    /// ISO 4217, such as `EUR`.
    pub currency: Option<String>,
    /// What energy from the grid costs; the first period that a moment is in counts.
    pub buy: Vec<Period>,
    /// What energy to the grid earns.
    pub sell: Vec<Period>,
}

/// When a price holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Period {
    /// Per kWh; can be negative.
    pub price: f64,
    /// Minutes after midnight: from, and up to. One that passes midnight belongs to the day it begins on.
    /// `None`: the whole day.
    pub minutes: Option<(u16, u16)>,
    /// A bit for each day of the week, Monday lowest.
    pub days: u8,
    /// A bit for each month, January lowest.
    pub months: u16,
    /// The first and the last day of the season that it is of, month and day; one that passes the new year
    /// is right. `None`: all year.
    pub season: Option<((i8, i8), (i8, i8))>,
}

impl Period {
    /// For nothing, which is a price.
    pub const ALWAYS: Self =
        Self { price: 0.0, minutes: None, days: Self::EVERY_DAY, months: Self::EVERY_MONTH, season: None };
    /// Every day of the week.
    pub const EVERY_DAY: u8 = 0b111_1111;
    /// Every month.
    pub const EVERY_MONTH: u16 = 0b1111_1111_1111;

    fn contains(&self, at: DateTime) -> bool {
        let minute = at.hour() as u16 * 60 + at.minute() as u16;
        let date = match self.minutes {
            None => Some(at.date()),
            Some((from, to)) if from < to => (from..to).contains(&minute).then(|| at.date()),
            Some((from, _)) if minute >= from => Some(at.date()),
            Some((_, to)) if minute < to => at.date().yesterday().ok(),
            Some(_) => None,
        };
        date.is_some_and(|date| self.is_on(date))
    }

    fn is_on(&self, date: Date) -> bool {
        let day = 1 << date.weekday().to_monday_zero_offset();
        let month = 1 << (date.month() - 1);
        // A season that ends in February ends on the 28th, in whatever year.
        let date = (date.month(), if date.month() == 2 { date.day().min(28) } else { date.day() });
        let is_in_season = self.season.is_none_or(|(first, last)| match first <= last {
            true => (first..=last).contains(&date),
            false => date >= first || date <= last,
        });
        self.days & day != 0 && self.months & month != 0 && is_in_season
    }
}

/// What a kWh costs and earns; `None`: nobody has said.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Price {
    pub buy: Option<f64>,
    pub sell: Option<f64>,
}

impl Tariff {
    /// The price at a moment by the clock of the site.
    pub fn price(&self, at: DateTime) -> Price {
        let of = |periods: &[Period]| periods.iter().find(|period| period.contains(at)).map(|one| one.price);
        Price { buy: of(&self.buy), sell: of(&self.sell) }
    }
}

/// Which tariff a gateway has: the first that names it, or names nobody.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tariffs(pub Vec<(Option<Vec<String>>, Tariff)>);

impl Tariffs {
    pub fn of(&self, gateway: &str) -> Option<&Tariff> {
        let is_for =
            |ids: &Option<Vec<String>>| ids.as_ref().is_none_or(|ids| ids.iter().any(|id| id == gateway));
        self.0.iter().find(|(ids, _)| is_for(ids)).map(|(_, tariff)| tariff)
    }
}

/// What the energy of a stretch of time cost. `None`: neither a price nor the energy was known at any time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    /// For energy from the grid.
    pub paid: Option<f64>,
    /// With energy to the grid.
    pub earned: Option<f64>,
    /// What the same home would have paid beyond that, with the same sun and no battery.
    pub saved_by_battery: Option<f64>,
    /// What it would have paid beyond that with neither.
    pub saved_by_solar: Option<f64>,
    /// Wh from the grid of which the price is known.
    pub priced: f64,
}

impl Cost {
    /// Of the energies of a quarter of an hour, Wh, at one price.
    pub fn of(energy: &Flows<Option<f64>>, price: Price) -> Self {
        let kilowatt_hours = |flow: Flow| energy[flow].map(|energy| energy / 1000.0);
        let times = |energy: Option<f64>, price: Option<f64>| Some(energy? * price?);
        let [solar, home] = [Flow::Solar, Flow::Home].map(kilowatt_hours);
        let paid = times(kilowatt_hours(Flow::Import), price.buy);
        let earned = times(kilowatt_hours(Flow::Export), price.sell);
        let net = paid.zip(earned).map(|(paid, earned)| paid - earned);
        let without_battery = home.zip(solar).and_then(|(home, solar)| {
            let need = home - solar;
            Some(need * if need > 0.0 { price.buy? } else { price.sell? })
        });
        let beyond = |cost: Option<f64>| Some(cost? - net?);
        Self {
            paid,
            earned,
            saved_by_battery: beyond(without_battery),
            saved_by_solar: beyond(times(home, price.buy)),
            priced: price.buy.and(energy[Flow::Import]).unwrap_or_default(),
        }
    }

    /// Adds what is known of `other`.
    pub fn add(&mut self, other: &Self) {
        self.combine(other, 1.0);
    }

    /// How much it grew since `before`.
    pub fn since(mut self, before: &Self) -> Self {
        self.combine(before, -1.0);
        self
    }

    fn combine(&mut self, other: &Self, sign: f64) {
        let sum = |one: Option<f64>, other: Option<f64>| match (one, other) {
            (one, None) => one,
            (one, Some(other)) => Some(one.unwrap_or_default() + sign * other),
        };
        self.paid = sum(self.paid, other.paid);
        self.earned = sum(self.earned, other.earned);
        self.saved_by_battery = sum(self.saved_by_battery, other.saved_by_battery);
        self.saved_by_solar = sum(self.saved_by_solar, other.saved_by_solar);
        self.priced += sign * other.priced;
    }

    /// Whether any of it is known.
    pub fn is_known(&self) -> bool {
        self.paid.is_some() || self.earned.is_some()
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn period(price: f64) -> Period {
        Period { price, ..Period::ALWAYS }
    }

    #[test]
    fn the_first_period_counts_and_a_night_belongs_to_the_day_it_begins_on() {
        let night = Period { minutes: Some((22 * 60, 6 * 60)), days: 0b000_0001, ..period(0.1) };
        let summer = Period { minutes: Some((960, 1260)), months: 0b0000_1110_0000, ..period(0.5) };
        let tariff = Tariff { buy: vec![night, summer, period(0.3)], ..Tariff::default() };
        // 2026-11-23 is a Monday.
        let buy = |month, day, hour| tariff.price(date(2026, month, day).at(hour, 0, 0, 0)).buy;
        assert_eq!(buy(11, 23, 23), Some(0.1), "Monday night");
        assert_eq!(buy(11, 24, 5), Some(0.1), "its end on Tuesday");
        assert_eq!(buy(11, 23, 5), Some(0.3), "Sunday night");
        assert_eq!(buy(11, 24, 6), Some(0.3));
        assert_eq!((buy(7, 15, 16), buy(7, 15, 21), buy(5, 15, 16)), (Some(0.5), Some(0.3), Some(0.3)));
        assert_eq!(tariff.price(date(2026, 1, 1).at(0, 0, 0, 0)).sell, None, "not said is not free");
    }

    #[test]
    fn savings_are_what_the_home_would_have_paid_without() {
        // The battery covers 1 of 2 kWh; the sun gives nothing.
        let evening = Flows([Some(0.0), Some(2000.0), Some(0.0), Some(1000.0), Some(1000.0), Some(0.0)]);
        let price = Price { buy: Some(0.4), sell: Some(0.1) };
        let cost = Cost::of(&evening, price);
        assert_eq!((cost.paid, cost.earned), (Some(0.4), Some(0.0)));
        assert_eq!((cost.saved_by_battery, cost.saved_by_solar), (Some(0.4), Some(0.4)));
        // 3 kWh of sun, 1 of them stored and 1 given away: without a battery, 2 would have been.
        let noon = Flows([Some(3000.0), Some(1000.0), Some(1000.0), Some(0.0), Some(0.0), Some(1000.0)]);
        let cost = Cost::of(&noon, price);
        assert!(
            (cost.saved_by_battery.unwrap() + 0.1).abs() < 1e-9,
            "storing cost what it would have earned"
        );
        assert!((cost.saved_by_solar.unwrap() - 0.5).abs() < 1e-9);
        let unknown = Cost::of(&noon, Price { buy: Some(0.4), sell: None });
        assert_eq!((unknown.earned, unknown.saved_by_solar, unknown.paid), (None, None, Some(0.0)));
        assert!(!Cost::of(&Flows::default(), price).is_known());
    }

    #[test]
    fn what_a_slot_grew_by_is_added_to_its_day() {
        let price = Price { buy: Some(0.4), sell: None };
        let before = Cost::of(&Flows([None, None, None, None, Some(500.0), None]), price);
        let after = Cost::of(&Flows([None, None, None, None, Some(750.0), None]), price);
        let mut day = before;
        day.add(&after.since(&before));
        assert!((day.paid.unwrap() - 0.3).abs() < 1e-12 && (day.priced - 750.0).abs() < 1e-9, "{day:?}");
        assert_eq!(day.earned, None);
    }
}
