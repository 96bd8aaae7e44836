//! What readings show of an order.

use super::{Islanding, Order, Outcome, Present};
use crate::model::Readings;

/// W, and part of the power, by which a battery may miss what it was dispatched to.
const NEAR_WATTS: f64 = 100.0;
const NEAR_PART: f64 = 0.05;

impl Order {
    /// How far the order has come by `readings`; `None`: it does not show. That it shows proves nothing if it
    /// did so before it was sent.
    pub fn shown_in(&self, readings: &Readings) -> Option<Outcome> {
        match self {
            // The contactor counts, not what the gateway calls its state.
            Self::Islanding(way) => {
                let is_closed = readings.contactor_closed?;
                let state = if is_closed { "closed" } else { "open" };
                let is_so = is_closed == (*way == Islanding::OnGrid);
                is_so.then(|| Outcome::InEffect(format!("the contactor to the grid is {state}")))
            }
            Self::Dispatch(dispatch) => {
                let watts = readings.power.battery?.as_f64();
                let near = NEAR_WATTS.max(dispatch.watts().abs() * NEAR_PART);
                let is_so = (watts - dispatch.watts()).abs() <= near;
                is_so.then(|| Outcome::InEffect(format!("the battery runs at {watts:.0} W")))
            }
            Self::StormWatch(is_on) => {
                let is_so = readings.storm_watch? == *is_on;
                is_so.then(|| Outcome::Stored("the readings show it as asked".into()))
            }
            Self::VehicleReserve(asked) => {
                let is_so = asked.app() == readings.vehicle_reserve?;
                is_so.then(|| Outcome::Stored("the readings show it as asked".into()))
            }
            _ => {
                let comparison = self.setpoint()?.compare(&Present::of(readings));
                let is_so = comparison.instead.is_empty();
                is_so.then(|| Outcome::Stored("the readings show it as asked".into()))
            }
        }
    }

    /// Whether readings decide alone, whatever they have shown before.
    pub fn is_state_of_contactor(&self) -> bool {
        matches!(self, Self::Islanding(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::order::Dispatch;
    use crate::model::{GridStatus, Number};

    #[test]
    fn the_contactor_decides_about_islanding_and_no_other_word() {
        let readings = |contactor_closed| Readings {
            contactor_closed,
            grid: Some(GridStatus::Down),
            ..Readings::default()
        };
        let (off, on) = (Order::Islanding(Islanding::OffGrid), Order::Islanding(Islanding::OnGrid));
        assert!(off.shown_in(&readings(None)).is_none() && on.shown_in(&readings(None)).is_none());
        assert!(
            off.shown_in(&readings(Some(true))).is_none() && on.shown_in(&readings(Some(false))).is_none()
        );
        assert_eq!(off.shown_in(&readings(Some(false))).unwrap().word(), "in_effect");
        assert_eq!(on.shown_in(&readings(Some(true))).unwrap().word(), "in_effect");
    }

    #[test]
    fn a_battery_that_runs_near_what_was_asked_is_dispatched() {
        let order = Order::Dispatch(Dispatch::new(-4000.0, 60).unwrap());
        let shown = |watts: Option<f64>| {
            let mut readings = Readings::default();
            readings.power.battery = watts.map(Number::Float);
            order.shown_in(&readings).is_some()
        };
        assert!(shown(Some(-4000.0)) && shown(Some(-3810.0)));
        assert!(!shown(Some(-3700.0)) && !shown(Some(4000.0)) && !shown(None));
        assert_eq!(Order::Resume.shown_in(&Readings::default()), None);
    }
}
