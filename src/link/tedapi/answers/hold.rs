//! Bridging the seconds in which a gateway loses its wireless solar meter.
//!
//! While the alert `SolarMeterComms` is active the gateway reports (almost) no solar and a load that is too
//! small by the same amount. The remote meter's own last reading, if recent, is the better answer.

use jiff::Timestamp;
use serde_json::Value;

use super::meters::remote_meters;
use super::parsed::Parsed;
use crate::link::json::{Look, names};
use crate::model::{Number, Power};

/// A gateway that sees more solar than this has its meter back.
const SILENT_BELOW: f64 = 10.0;
/// A reading may be this much older, or newer, than the status that it completes.
const OLDEST: f64 = 60.0;

/// Solar as the remote meter last saw it.
pub(super) struct Hold {
    pub solar: Number,
    /// Seconds between the oldest reading used and the status; never negative.
    pub age: i64,
    /// What the gateway reported instead.
    reported: Number,
}

/// The instant of an ISO time with offset.
pub(super) fn instant(time: &Value) -> Option<Timestamp> {
    time.text()?.parse().ok()
}

/// A hold, if everything it takes is there.
pub(super) fn of(parsed: &Parsed<'_>) -> Option<Hold> {
    if !names(parsed.alerts_active()).any(|name| name == "SolarMeterComms") {
        return None;
    }
    let meters = parsed.status.at(&["control", "meterAggregates"]).items().iter();
    let mut solar = meters.filter(|meter| {
        meter.at(&["location"]).text().is_some_and(|location| location.eq_ignore_ascii_case("SOLAR"))
    });
    let reported = match solar.next().map(|meter| meter.at(&["realPowerW"])) {
        Some(power) if !power.is_null() => power.number()?,
        _ => Number::Int(0),
    };
    if !(0.0..=SILENT_BELOW).contains(&reported.as_f64()) {
        return None;
    }
    let now = instant(parsed.status.at(&["system", "time"]))?;
    let mut held: Option<Number> = None;
    let (mut oldest, mut newest) = (f64::MIN, f64::MAX);
    for meter in remote_meters(parsed) {
        for ct in meter.cts.iter().filter(|ct| ct.is_at("solar")) {
            let age = now.duration_since(instant(&meter.timestamp)?).as_secs_f64();
            (oldest, newest) = (oldest.max(age), newest.min(age));
            let power = ct.power.number()?;
            held = Some(held.map_or(Some(power), |sum| sum.plus(power))?);
        }
    }
    let solar = held.filter(|power| power.as_f64() > 0.0)?;
    let recent = oldest <= OLDEST && newest >= -OLDEST;
    recent.then_some(Hold { solar, age: oldest.max(0.0) as i64, reported })
}

impl Hold {
    /// Puts the held solar in, and what it was short of into the load.
    pub fn apply(&self, power: &mut Power) {
        power.solar = Some(self.solar);
        power.load = power.load.and_then(|load| load.plus(self.solar.minus(self.reported)?));
    }
}
