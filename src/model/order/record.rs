//! The value of an order as JSON: what the journal keeps, and what reads back from it.

use serde_json::{Map, Value, json};

use super::{
    BackupWindow, Dispatch, ExportRule, Islanding, MaxBackup, Mode, NewTariff, Order, OrderKind, Reserve,
    Setpoint,
};
use crate::model::AppPercent;

impl Order {
    /// Its value without its kind. Percents are on the app's scale.
    pub fn value(&self) -> Value {
        match self {
            Self::Reserve(reserve) => json!(reserve.app()),
            Self::Mode(mode) => json!(mode.word()),
            Self::Charging(allowed) => json!(allowed),
            Self::Export(rule) => json!(rule.word()),
            Self::Operation(setpoint) => setpoint.value(),
            Self::MaxBackup(MaxBackup::Cancel) => json!("cancel"),
            Self::MaxBackup(MaxBackup::Schedule(window)) => {
                json!({ "start": window.start(), "duration_seconds": window.seconds() })
            }
            Self::StormWatch(is_on) => json!(is_on),
            Self::VehicleReserve(reserve) => json!(reserve.app()),
            Self::Tariff(tariff) => tariff.value(),
            Self::Islanding(way) => json!(way.word()),
            Self::Dispatch(dispatch) => {
                json!({ "power_watts": dispatch.watts(), "duration_seconds": dispatch.seconds() })
            }
            Self::ReserveHold | Self::Resume => Value::Null,
        }
    }

    /// As [`Order::value`], with all of a tariff: what is carried out elsewhere, and what tells two apart.
    pub fn whole_value(&self) -> Value {
        match self {
            Self::Tariff(tariff) => tariff.settings().cloned().map_or_else(|| self.value(), Value::Object),
            _ => self.value(),
        }
    }

    /// Reads what [`Order::whole_value`] writes.
    pub fn of_whole_value(kind: OrderKind, value: &Value) -> Option<Self> {
        match kind {
            OrderKind::Tariff => NewTariff::new(value.as_object()?.clone()).map(Self::Tariff),
            _ => Self::of_value(kind, value),
        }
    }

    /// The unit of [`Order::value`], where that is a number.
    pub fn unit(&self) -> Option<&'static str> {
        matches!(self, Self::Reserve(_) | Self::VehicleReserve(_)).then_some("app_percent")
    }

    /// Reads what [`Order::value`] writes.
    pub fn of_value(kind: OrderKind, value: &Value) -> Option<Self> {
        Some(match kind {
            OrderKind::Reserve => Self::Reserve(reserve(value)?),
            OrderKind::ReserveHold => Self::ReserveHold,
            OrderKind::Mode => Self::Mode(Mode::parse(value.as_str()?)?),
            OrderKind::Operation => Self::Operation(Setpoint::of_value(value)?),
            OrderKind::Charging => Self::Charging(value.as_bool()?),
            OrderKind::Export => Self::Export(ExportRule::parse(value.as_str()?)?),
            OrderKind::MaxBackup if value == "cancel" => Self::MaxBackup(MaxBackup::Cancel),
            OrderKind::MaxBackup => {
                let window = BackupWindow::new(value["start"].as_i64(), seconds(value)?)?;
                Self::MaxBackup(MaxBackup::Schedule(window))
            }
            OrderKind::StormWatch => Self::StormWatch(value.as_bool()?),
            OrderKind::VehicleReserve => Self::VehicleReserve(reserve(value)?),
            OrderKind::Tariff => Self::Tariff(NewTariff::of_value(value)?),
            OrderKind::Islanding => Self::Islanding(Islanding::parse(value.as_str()?)?),
            OrderKind::Dispatch => {
                Self::Dispatch(Dispatch::new(value["power_watts"].as_f64()?, seconds(value)?)?)
            }
            OrderKind::Resume => Self::Resume,
        })
    }
}

impl Setpoint {
    /// An object with the settings that are named, each under the word of its order.
    pub fn value(&self) -> Value {
        let orders = self.each().map(Order::of_setpoint);
        let members = orders.map(|order| (order.kind().word().to_owned(), order.value()));
        Value::Object(members.collect::<Map<_, _>>())
    }

    /// Reads what [`Setpoint::value`] writes. `None` if a setting is not right, or there is none.
    pub fn of_value(value: &Value) -> Option<Self> {
        let mut setpoint = Self::default();
        for (word, value) in value.as_object()? {
            let order = Order::of_value(OrderKind::parse(word)?, value)?;
            let single = order.setpoint().filter(|_| order.kind() != OrderKind::Operation)?;
            setpoint = setpoint.overlaid(&single);
        }
        (!setpoint.is_empty()).then_some(setpoint)
    }
}

fn reserve(value: &Value) -> Option<Reserve> {
    Reserve::new(AppPercent(value.as_f64()?))
}

fn seconds(value: &Value) -> Option<u32> {
    value["duration_seconds"].as_u64()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_order() -> impl Strategy<Value = Order> {
        let percent = (0.0..=100.0_f64).prop_map(|app| Reserve::new(AppPercent(app)).unwrap());
        let mode = proptest::sample::select(Mode::ALL);
        let rule = proptest::sample::select(ExportRule::ALL);
        let several =
            (percent.clone(), proptest::option::of(mode.clone()), proptest::option::of(rule.clone()));
        prop_oneof![
            percent.clone().prop_map(Order::Reserve),
            percent.prop_map(Order::VehicleReserve),
            any::<bool>().prop_map(Order::StormWatch),
            mode.prop_map(Order::Mode),
            any::<bool>().prop_map(Order::Charging),
            rule.prop_map(Order::Export),
            several.prop_map(|(reserve, mode, export)| {
                Order::Operation(Setpoint { reserve: Some(reserve), mode, export, ..Setpoint::default() })
            }),
            (proptest::option::of(0..1_i64 << 40), 60..u32::MAX).prop_map(|(start, seconds)| {
                Order::MaxBackup(MaxBackup::Schedule(BackupWindow::new(start, seconds).unwrap()))
            }),
            (-2e4..2e4_f64, 1..86_400_u32)
                .prop_map(|(watts, seconds)| Order::Dispatch(Dispatch::new(watts, seconds).unwrap())),
            proptest::sample::select(Islanding::ALL).prop_map(Order::Islanding),
            Just(Order::MaxBackup(MaxBackup::Cancel)),
            Just(Order::ReserveHold),
            Just(Order::Resume),
        ]
    }

    proptest! {
        #[test]
        fn an_order_reads_back_from_its_kind_and_value(order in any_order()) {
            let text = order.value().to_string();
            let read = Order::of_value(order.kind(), &serde_json::from_str(&text).unwrap());
            prop_assert_eq!(read, Some(order));
        }
    }

    #[test]
    fn what_is_no_value_of_the_kind_reads_as_none() {
        for (kind, value) in [
            (OrderKind::Reserve, json!(101)),
            (OrderKind::Reserve, json!("20")),
            (OrderKind::Charging, json!("off")),
            (OrderKind::Mode, json!("scheduler")),
            (OrderKind::Operation, json!({})),
            (OrderKind::Operation, json!({ "islanding": "off_grid" })),
            (OrderKind::Operation, json!({ "reserve": 20, "mode": 1 })),
            (OrderKind::MaxBackup, json!({ "duration_seconds": 59 })),
            (OrderKind::Dispatch, json!({ "power_watts": true, "duration_seconds": 60 })),
        ] {
            assert_eq!(Order::of_value(kind, &value), None, "{kind} {value}");
        }
    }
}
