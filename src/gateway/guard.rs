//! What an order may do to a house: which ones are refused, and which need to be confirmed.
//!
//! Judged by the readings of this moment, before anything is written down or sent. What is not known is not
//! taken for harmless.

use std::time::Duration;

use crate::model::order::{Dispatch, Islanding};
use crate::model::{AppPercent, ErrorNote, GridStatus, Order, Readings};

/// A house is not disconnected from the grid with less in its battery.
const LEAST_CHARGE: AppPercent = AppPercent(10.0);
/// W that may flow into the grid before that counts as exporting: meters and loads are never still.
const STILL: f64 = 100.0;

/// What there is to know when an order comes in.
pub(super) struct Situation<'a> {
    /// `None`: nothing is known that is not stale.
    pub readings: Option<&'a Readings>,
    /// What is left of the pause after the last islanding.
    pub cool_down: Option<Duration>,
    /// Whether who asks knows that it is dangerous.
    pub confirmed: bool,
}

/// Why an order is not carried out.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Objection {
    pub note: ErrorNote,
    /// When it might be.
    pub retry_after: Option<Duration>,
}

impl From<ErrorNote> for Objection {
    fn from(note: ErrorNote) -> Self {
        Self { note, retry_after: None }
    }
}

fn objection(kind: &'static str, message: impl Into<String>) -> Objection {
    ErrorNote { kind, message: message.into() }.into()
}

fn unconfirmed(why: &str) -> Objection {
    objection("needs_confirmation", format!("{why}; confirm it ('confirm': true) if that is meant"))
}

/// Whether `order` may be carried out.
pub(super) fn check(order: &Order, situation: &Situation<'_>) -> Result<(), Objection> {
    match order {
        Order::Islanding(way) => islanding(*way, situation),
        Order::Dispatch(dispatch) => dispatched(*dispatch, situation),
        _ => Ok(()),
    }
}

/// What cannot be done is said first, so that it spends no pause.
fn islanding(way: Islanding, situation: &Situation<'_>) -> Result<(), Objection> {
    if way == Islanding::OffGrid {
        let readings = situation.readings.ok_or_else(|| {
            objection(
                "charge_unknown",
                "the state of the house is not known at present, so it stays as it is",
            )
        })?;
        if readings.contactor_closed == Some(false) || readings.grid == Some(GridStatus::Down) {
            return Err(objection("off_grid", "the house is disconnected from the grid already"));
        }
        let charge = readings.charge.state_of_energy().ok_or_else(|| {
            objection(
                "charge_unknown",
                "the battery's state of charge is not known, so the grid stays connected",
            )
        })?;
        if charge.to_app_clamped() <= LEAST_CHARGE {
            let floor = LEAST_CHARGE.0;
            return Err(objection(
                "charge_low",
                format!(
                    "the battery has {:.0} %, and a house needs more than {floor} % to leave the grid",
                    charge.to_app_clamped().0
                ),
            ));
        }
        if !situation.confirmed {
            return Err(unconfirmed("this disconnects the house from the grid"));
        }
    }
    match situation.cool_down {
        Some(left) => {
            let seconds = left.as_secs_f64().ceil();
            let message = format!("the contactor was moved a moment ago; it may be again in {seconds} s");
            Err(Objection { retry_after: Some(left), ..objection("cool_down", message) })
        }
        None => Ok(()),
    }
}

fn dispatched(dispatch: Dispatch, situation: &Situation<'_>) -> Result<(), Objection> {
    let watts = dispatch.watts();
    let nameplate = situation.readings.and_then(|readings| readings.nameplate).ok_or_else(|| {
        objection("out_of_range", "what the batteries can do (their nameplate power) is not known at present")
    })?;
    if watts.abs() > nameplate {
        let message = format!("the batteries can do {nameplate} W (nameplate power), and {watts} W is more");
        return Err(objection("out_of_range", message));
    }
    if situation.confirmed {
        return Ok(());
    }
    let danger = situation.readings.and_then(|readings| danger(dispatch, readings));
    danger.map_or(Ok(()), |why| Err(unconfirmed(why)))
}

/// What is dangerous about a dispatch; what is not known is.
fn danger(dispatch: Dispatch, readings: &Readings) -> Option<&'static str> {
    let watts = dispatch.watts();
    if readings.grid != Some(GridStatus::Up) {
        return Some(
            "the house is not connected to the grid, or that is not known, and lives on its battery",
        );
    }
    // What is charged comes from the sun or the grid; the rest of the sun would flow into the grid anyway.
    if watts <= 0.0 {
        return None;
    }
    let power = readings.power;
    match (power.load, power.solar) {
        (Some(load), Some(solar)) if load.as_f64() - solar.as_f64() - watts >= -STILL => {}
        (Some(_), Some(_)) => return Some("more would be discharged than the house takes: it exports"),
        _ => return Some("it is not known what the house takes, so it may export"),
    }
    let charge = readings.charge;
    let at_the_end = || {
        let (now, full) = (charge.state_of_energy()?.0, charge.full_pack?.as_f64());
        let used = watts * f64::from(dispatch.seconds()) / 3600.0;
        (full > 0.0).then(|| now - used / full * 100.0)
    };
    match (at_the_end(), readings.reserve) {
        (Some(end), Some(reserve)) if end >= reserve.0 => None,
        (Some(_), Some(_)) => Some("it would discharge below the backup reserve"),
        _ => Some("charge or backup reserve are not known, so it may discharge below the reserve"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Charge, Number, Power, RawPercent};

    /// On the grid, half full, 20 % kept, 3 kW of load and 1 kW of sun.
    fn house() -> Readings {
        let number = |value: f64| Some(Number::Float(value));
        Readings {
            grid: Some(GridStatus::Up),
            contactor_closed: Some(true),
            nameplate: Some(10_000.0),
            reserve: Some(RawPercent(24.0)),
            charge: Charge { remaining: number(6750.0), full_pack: number(13_500.0), reported: None },
            power: Power { load: number(3000.0), solar: number(1000.0), ..Power::default() },
            ..Readings::default()
        }
    }

    fn said(order: &Order, readings: Option<&Readings>, confirmed: bool) -> &'static str {
        let situation = Situation { readings, cool_down: None, confirmed };
        check(order, &situation).map_or_else(|objection| objection.note.kind, |()| "fine")
    }

    #[test]
    fn a_house_leaves_the_grid_when_it_can_and_somebody_confirms() {
        let off = Order::Islanding(Islanding::OffGrid);
        let low =
            Readings { charge: Charge { reported: Some(RawPercent(14.5)), ..Charge::default() }, ..house() };
        let unknown = Readings { charge: Charge::default(), ..house() };
        let islanded = Readings { contactor_closed: Some(false), ..house() };
        let outage = Readings { grid: Some(GridStatus::Down), contactor_closed: None, ..house() };
        for (readings, kind) in [
            (Some(&house()), "fine"),
            (Some(&low), "charge_low"),
            (Some(&unknown), "charge_unknown"),
            (Some(&islanded), "off_grid"),
            (Some(&outage), "off_grid"),
            (None, "charge_unknown"),
        ] {
            assert_eq!(said(&off, readings, true), kind);
            let unconfirmed = if kind == "fine" { "needs_confirmation" } else { kind };
            assert_eq!(said(&off, readings, false), unconfirmed);
        }
        // Back to the grid needs nobody's word, whatever is known.
        assert_eq!(said(&Order::Islanding(Islanding::OnGrid), None, false), "fine");
    }

    #[test]
    fn the_pause_after_islanding_is_spent_only_by_what_can_be_done() {
        let left = Some(Duration::from_millis(1500));
        let readings = house();
        for (way, confirmed, kind) in [
            (Islanding::OffGrid, true, "cool_down"),
            (Islanding::OnGrid, false, "cool_down"),
            (Islanding::OffGrid, false, "needs_confirmation"),
        ] {
            let situation = Situation { readings: Some(&readings), cool_down: left, confirmed };
            let objection = check(&Order::Islanding(way), &situation).unwrap_err();
            assert_eq!(objection.note.kind, kind);
            assert_eq!(objection.retry_after, left.filter(|_| kind == "cool_down"));
        }
    }

    #[test]
    fn a_dispatch_stays_within_the_nameplate_power() {
        let dispatch = |watts| Order::Dispatch(Dispatch::new(watts, 60).unwrap());
        assert_eq!(said(&dispatch(10_000.0), Some(&house()), true), "fine");
        assert_eq!(said(&dispatch(-10_000.0), Some(&house()), true), "fine");
        assert_eq!(said(&dispatch(10_000.5), Some(&house()), true), "out_of_range");
        assert_eq!(said(&dispatch(-10_000.5), Some(&house()), true), "out_of_range");
        let unknown = Readings { nameplate: None, ..house() };
        assert_eq!(said(&dispatch(100.0), Some(&unknown), true), "out_of_range");
    }

    #[test]
    fn a_dispatch_that_may_do_harm_needs_a_confirmation() {
        let dispatch = |watts, seconds| Order::Dispatch(Dispatch::new(watts, seconds).unwrap());
        let (short, long) = (60, 5 * 3600);
        let down = Readings { grid: Some(GridStatus::Down), ..house() };
        let unknown_grid = Readings { grid: None, ..house() };
        let unknown_load = Readings { power: Power::default(), ..house() };
        let unknown_reserve = Readings { reserve: None, ..house() };
        for (order, readings, kind) in [
            (dispatch(1900.0, short), house(), "fine"),
            (dispatch(2500.0, short), house(), "needs_confirmation"), // exports
            (dispatch(1900.0, long), house(), "needs_confirmation"),  // below the reserve
            (dispatch(-5000.0, long), house(), "fine"),
            (dispatch(0.0, long), house(), "fine"),
            (dispatch(500.0, short), unknown_load, "needs_confirmation"),
            (dispatch(500.0, short), unknown_reserve, "needs_confirmation"),
            (dispatch(500.0, short), down.clone(), "needs_confirmation"),
            (dispatch(-500.0, short), down, "needs_confirmation"),
            (dispatch(500.0, short), unknown_grid, "needs_confirmation"),
        ] {
            assert_eq!(said(&order, Some(&readings), false), kind, "{order}");
            assert_eq!(said(&order, Some(&readings), true), "fine", "{order}");
        }
    }
}
