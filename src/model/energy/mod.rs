//! Energy over time: the six flows of a site, slots of a quarter of an hour, and what two moments make of
//! them. Pure arithmetic; [`ledger`] decides how a value is got, and where it is kept is left to others.

pub mod ledger;

use std::ops::{Index, IndexMut};

use super::Power;

/// Length of a slot in seconds. Slots begin at multiples of it. Every zone in use is ahead of or behind UTC
/// by a multiple of it, so that each local day is a whole number of slots, those of 23 and 25 hours as well.
pub const SLOT: i64 = 900;

/// Where energy goes. Each only grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Flow {
    Solar,
    Home,
    Charge,
    Discharge,
    Import,
    Export,
}

impl Flow {
    pub const ALL: [Self; 6] =
        [Self::Solar, Self::Home, Self::Charge, Self::Discharge, Self::Import, Self::Export];

    /// The word of each in tables and documents of ours, in the order of `ALL`.
    pub const WORDS: [&str; 6] = ["solar", "home", "charge", "discharge", "import", "export"];

    /// Its word in tables and documents of ours.
    pub fn word(self) -> &'static str {
        Self::WORDS[self as usize]
    }
}

/// Something for each flow.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Flows<T>(pub [T; 6]);

impl<T> Flows<T> {
    pub fn map<U>(self, change: impl FnMut(T) -> U) -> Flows<U> {
        Flows(self.0.map(change))
    }
}

impl<T> Index<Flow> for Flows<T> {
    type Output = T;

    fn index(&self, flow: Flow) -> &T {
        &self.0[flow as usize]
    }
}

impl<T> IndexMut<Flow> for Flows<T> {
    fn index_mut(&mut self, flow: Flow) -> &mut T {
        &mut self.0[flow as usize]
    }
}

impl Flows<Option<f64>> {
    /// W of each flow: what a meter shows with a sign is two flows, one of them 0. Unknown stays unknown.
    pub fn of_power(power: Power) -> Self {
        let watts = |number: Option<super::Number>| number.map(super::Number::as_f64);
        let ahead = |watts: f64| watts.max(0.0);
        let back = |watts: f64| (-watts).max(0.0);
        let (battery, site) = (watts(power.battery), watts(power.site));
        Self([
            watts(power.solar).map(ahead),
            watts(power.load).map(ahead),
            battery.map(back),
            battery.map(ahead),
            site.map(ahead),
            site.map(back),
        ])
    }
}

/// A part of a span that lies in one slot.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share {
    /// When the slot begins, Unix seconds.
    pub slot: i64,
    /// Wh
    pub energy: f64,
    /// Seconds of the slot that it covers.
    pub seconds: f64,
}

/// The slot that holds `at`, Unix seconds.
pub fn slot_of(at: f64) -> i64 {
    (at / SLOT as f64).floor() as i64 * SLOT
}

/// What flows between two moments while the power goes from `watts.0` to `watts.1` in a straight line, slot
/// by slot.
pub fn integrate((from, to): (f64, f64), watts: (f64, f64)) -> Vec<Share> {
    let slope = (watts.1 - watts.0) / (to - from);
    let at = |moment: f64| watts.0 + slope * (moment - from);
    split(from, to, |start, end| (at(start) + at(end)) / 2.0 * (end - start) / 3600.0)
}

/// `energy` that was counted between two moments, slot by slot, as if it had flowed evenly.
pub fn spread((from, to): (f64, f64), energy: f64) -> Vec<Share> {
    split(from, to, |start, end| energy * ((end - start) / (to - from)))
}

fn split(from: f64, to: f64, energy: impl Fn(f64, f64) -> f64) -> Vec<Share> {
    let mut shares = Vec::new();
    let mut start = from;
    while start < to {
        let slot = slot_of(start);
        let end = ((slot + SLOT) as f64).min(to);
        shares.push(Share { slot, energy: energy(start, end).max(0.0), seconds: end - start });
        start = end;
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Number;
    use proptest::prelude::*;

    fn sum(shares: &[Share]) -> f64 {
        shares.iter().map(|share| share.energy).sum()
    }

    proptest! {
        #[test]
        fn energy_is_additive_over_any_split_and_never_negative(
            from in 1.7e9..1.8e9_f64, long in 0.1..20_000.0_f64, cut in 0.01..0.99_f64,
            watts in (0.0..20_000.0_f64, 0.0..20_000.0_f64), counted in 0.0..50_000.0_f64,
        ) {
            let (to, middle) = (from + long, from + long * cut);
            let between = watts.0 + (watts.1 - watts.0) * ((middle - from) / (to - from));
            let whole = integrate((from, to), watts);
            let halves = [
                integrate((from, middle), (watts.0, between)), integrate((middle, to), (between, watts.1)),
            ].concat();
            prop_assert!((sum(&whole) - sum(&halves)).abs() < 1e-6 * (1.0 + sum(&whole)));
            let even = spread((from, to), counted);
            prop_assert!((sum(&even) - counted).abs() < 1e-6 * (1.0 + counted));
            for shares in [whole, even] {
                prop_assert!(shares.iter().all(|share| share.energy >= 0.0 && share.slot % SLOT == 0));
                prop_assert!(shares.iter().all(|share| share.seconds <= SLOT as f64 + 1e-6));
                let seconds: f64 = shares.iter().map(|share| share.seconds).sum();
                prop_assert!((seconds - long).abs() < 1e-3);
            }
        }

        /// In 2026, over every day that is longer or shorter.
        #[test]
        fn a_local_day_is_a_whole_number_of_slots(
            day in 0..365_i64,
            zone in prop::sample::select(vec![
                "America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kathmandu",
                "Pacific/Chatham", "UTC",
            ]),
        ) {
            let first = jiff::civil::date(2026, 1, 1);
            let date = first.checked_add(jiff::Span::new().days(day)).unwrap();
            let midnight = |date: jiff::civil::Date| date.in_tz(zone).unwrap().timestamp().as_second();
            let (from, to) = (midnight(date), midnight(date.tomorrow().unwrap()));
            prop_assert_eq!((from % SLOT, to % SLOT), (0, 0));
            let shares = integrate((from as f64, to as f64), (1000.0, 1000.0));
            prop_assert_eq!(shares.len() as i64, (to - from) / SLOT);
            prop_assert!((sum(&shares) - (to - from) as f64 / 3.6).abs() < 1e-6);
        }
    }

    #[test]
    fn a_sign_is_a_direction_and_unknown_stays_unknown() {
        let power = Power {
            site: Some(Number::Int(-300)),
            battery: Some(Number::Int(-500)),
            load: None,
            solar: Some(Number::Int(-20)),
        };
        let flows = Flows::of_power(power);
        assert_eq!(flows.0, [Some(0.0), None, Some(500.0), Some(0.0), Some(0.0), Some(300.0)]);
    }
}
