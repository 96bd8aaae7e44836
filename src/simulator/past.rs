//! What a simulated site would have recorded before it was started: days that never were, for a demo and for
//! benchmarks.

use std::collections::BTreeMap;
use std::f64::consts::PI;

use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::SiteOptions;
use super::day::{Day, Flow as Moment, rounded};
use crate::model::energy::{Flow, Flows, slot_of};
use crate::model::{AppPercent, RawPercent};
use crate::store::history::batch::{Added, Sample, Source, Sum};
use crate::store::history::queries::energy::midnight;

/// Between two moments of a past day, in seconds.
const STEP: usize = 60;
/// What the sun gives in the depth of winter, as a part of what it gives in summer.
const WINTER: f64 = 0.35;

/// A past day of one site.
#[derive(Clone, Debug)]
pub struct PastDay {
    pub date: Date,
    pub zone: TimeZone,
    /// Nothing is recorded from here on, Unix seconds.
    pub until: f64,
    /// Seconds between two samples of power; `None`: energy only.
    pub sampled: Option<usize>,
}

impl PastDay {
    /// What was recorded of the site with these `options`; `None`: the date is out of range.
    pub fn record(&self, options: &SiteOptions) -> Option<Added> {
        let start = midnight(self.date, &self.zone)?;
        let end = midnight(self.date.tomorrow().ok()?, &self.zone)?.min(self.until);
        let has_battery = options.equipment().capacity > 0.0;
        let mut day = self.begin(options);
        let mut added = Added { zone: Some(self.zone.clone()), ..Added::default() };
        let mut slots: BTreeMap<i64, Sum> = BTreeMap::new();
        for second in (0..).step_by(STEP).take_while(|second| start + *second as f64 + STEP as f64 <= end) {
            let moment = day.flow();
            let (at, power) = (start + second as f64, flows(&moment, has_battery));
            let sum = slots.entry(slot_of(at)).or_default();
            for flow in Flow::ALL {
                let Some(watts) = power[flow] else { continue };
                sum.energy[flow] = Some(sum.energy[flow].unwrap_or_default() + watts * STEP as f64 / 3600.0);
                sum.seconds[flow] += STEP as f64;
                sum.ways |= Source::Counted.bit(flow);
            }
            let soe = has_battery.then(|| charge(&moment, options.equipment().capacity).0);
            if let Some(every) = self.sampled {
                let moments = (0..STEP).step_by(every.clamp(1, STEP)).map(|more| at + more as f64);
                added.samples.extend(moments.map(|at| Sample { at, power, soe }));
            }
            added.soe.extend(soe.map(|soe| (slot_of(at), soe)));
            day.advance(STEP as f64);
        }
        added.slots = slots;
        Some(added)
    }

    /// The day at midnight, with what the afternoon before has left in the battery.
    fn begin(&self, options: &SiteOptions) -> Day {
        let of = |date: Date, hour: f64| {
            let seed = u64::from(options.number) << 32 | u64::from(date.to_string().bytes().fold(0, mix));
            let mut equipment = options.equipment();
            equipment.solar_peak *= sunshine(date, seed);
            Day::new(equipment, seed, hour)
        };
        let mut before = of(self.date.yesterday().unwrap_or(self.date), 12.0);
        before.advance(12.0 * 3600.0);
        of(self.date, 0.0).charged(before.flow().energy)
    }
}

fn mix(sum: u32, byte: u8) -> u32 {
    sum.wrapping_mul(31).wrapping_add(u32::from(byte))
}

/// The charge of a battery as Tesla's app shows it.
fn charge(moment: &Moment, capacity: f64) -> AppPercent {
    RawPercent(rounded(moment.energy / capacity * 100.0, 10.0)).to_app_clamped()
}

fn flows(moment: &Moment, has_battery: bool) -> Flows<Option<f64>> {
    let (out, into) = (|watts: f64| Some(watts.max(0.0)), |watts: f64| Some((-watts).max(0.0)));
    let battery = has_battery.then_some(moment.battery);
    Flows([
        out(moment.solar),
        out(moment.load),
        battery.and_then(into),
        battery.and_then(out),
        out(moment.site),
        into(moment.site),
    ])
}

/// The part of its peak that the sun reaches on a day: by the season of the north, and the weather.
fn sunshine(date: Date, seed: u64) -> f64 {
    let season = (1.0 - ((f64::from(date.day_of_year()) + 10.0) / 365.25 * 2.0 * PI).cos()) / 2.0;
    let weather = (seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 11) as f64 / (1_u64 << 53) as f64;
    (WINTER + (1.0 - WINTER) * season) * (0.35 + 0.65 * weather.sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::energy::SLOT;
    use crate::simulator::SiteKind;

    #[test]
    fn a_past_day_has_whole_slots_of_energy_that_adds_up() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let site = SiteOptions::new("home", "Home", SiteKind::Powerwall3);
        // Clocks were set back.
        let date = Date::constant(2026, 10, 25);
        let past = PastDay { date, zone, until: f64::MAX, sampled: Some(5) };
        let added = past.record(&site).unwrap();
        assert_eq!((added.slots.len(), added.samples.len()), (25 * 4, 25 * 720));
        let total = |flow: Flow| added.slots.values().filter_map(|sum| sum.energy[flow]).sum::<f64>();
        let in_and_out = [Flow::Solar, Flow::Discharge, Flow::Import].map(total).iter().sum::<f64>()
            - [Flow::Home, Flow::Charge, Flow::Export].map(total).iter().sum::<f64>();
        assert!(in_and_out.abs() < 10.0, "{in_and_out} Wh");
        assert!(added.slots.values().all(|sum| sum.seconds[Flow::Home] == SLOT as f64));
        assert_eq!(past.record(&site).unwrap().slots, added.slots, "it is the same whenever it is asked");

        let barn = SiteOptions::new("barn", "Barn", SiteKind::Inverter);
        let added = past.record(&barn).unwrap();
        assert!(added.slots.values().all(|sum| sum.energy[Flow::Charge].is_none()), "unknown is not 0");
        let morning =
            PastDay { until: added.slots.keys().next().unwrap().to_owned() as f64 + 1_000.0, ..past };
        assert_eq!(morning.record(&barn).unwrap().slots.len(), 2);
    }
}
