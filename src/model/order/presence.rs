//! What there is at present of what an order would change.

use serde_json::{Map, Value, json};

use super::{Islanding, Order, Present, Setpoint};
use crate::model::Readings;

impl Order {
    /// What `readings` show in the place of [`Order::value`]; `None`: nothing, or it is no state.
    pub fn value_in(&self, readings: &Readings) -> Option<Value> {
        match self {
            Self::Operation(asked) => {
                let settings = asked.each().map(Self::of_setpoint);
                let settings = settings.map(|one| (one.kind().word().to_owned(), one.value_in(readings)));
                let known = settings.map(|(word, value)| (word, value.unwrap_or_default()));
                Some(Value::Object(known.collect::<Map<_, _>>()))
            }
            Self::ReserveHold => reserve(readings),
            Self::StormWatch(_) => readings.storm_watch.map(Value::from),
            Self::VehicleReserve(_) => readings.vehicle_reserve.map(|reserve| json!(reserve.0)),
            Self::Islanding(_) => readings.contactor_closed.map(|is_closed| {
                let way = if is_closed { Islanding::OnGrid } else { Islanding::OffGrid };
                json!(way.word())
            }),
            _ => setting(&self.setpoint()?, readings),
        }
    }
}

fn reserve(readings: &Readings) -> Option<Value> {
    let percent = readings.reserve?.to_app_reserve().0;
    Some(json!((percent * 100.0).round() / 100.0))
}

fn setting(asked: &Setpoint, readings: &Readings) -> Option<Value> {
    let present = Present::of(readings);
    match asked {
        Setpoint { reserve: Some(_), .. } => reserve(readings),
        Setpoint { mode: Some(_), .. } => present.mode.map(Value::from),
        Setpoint { charging: Some(_), .. } => present.charging.map(Value::from),
        _ => present.export.map(Value::from),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::order::{ExportRule, Mode, Reserve};
    use crate::model::{AppPercent, RawPercent};

    #[test]
    fn what_there_is_has_the_form_of_what_is_asked() {
        let readings = Readings {
            reserve: Some(RawPercent(24.0)),
            mode: Some("backup".into()),
            contactor_closed: Some(false),
            ..Readings::default()
        };
        let percent = Reserve::new(AppPercent(50.0));
        let both = Setpoint { reserve: percent, export: Some(ExportRule::Nothing), ..Setpoint::default() };
        for (order, now) in [
            (Order::Reserve(percent.unwrap()), Some(json!(20.0))),
            (Order::ReserveHold, Some(json!(20.0))),
            (Order::Mode(Mode::Autonomous), Some(json!("backup"))),
            (Order::Charging(true), None),
            (Order::Operation(both), Some(json!({ "reserve": 20.0, "grid_export": null }))),
            (Order::Islanding(Islanding::OnGrid), Some(json!("off_grid"))),
            (Order::StormWatch(true), None),
            (Order::Resume, None),
        ] {
            assert_eq!(order.value_in(&readings), now, "{order}");
        }
    }
}
