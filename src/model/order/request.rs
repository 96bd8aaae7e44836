//! An order as a client words it in JSON, whatever carries it.
//!
//! Types are strict: a number in quotes is no number, and `"off"` is no boolean. Nothing is ordered that was
//! not surely meant.

use std::time::Duration;

use serde_json::{Map, Value};

use super::{
    BackupWindow, Dispatch, ExportRule, Islanding, Lease, MaxBackup, Mode, NewTariff, Order, OrderKind,
    Reserve, Setpoint,
};
use crate::model::AppPercent;

/// What a client asks.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    pub order: Order,
    /// How long it is to hold; `None`: until somebody changes it.
    pub lease: Option<Duration>,
    /// Whether the client knows that it is dangerous.
    pub confirmed: bool,
}

/// Why what a client sent is not an order: for the person, naming the key and what it takes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Misread(String);

type Members = Map<String, Value>;

impl Request {
    /// Reads an order of `kind` from a JSON object.
    ///
    /// | kind | members |
    /// |---|---|
    /// | `reserve` | `value`: whole app percent 0–100; `mode` as well: both in one order |
    /// | `mode` | `value`; `level` as well: a reserve in the same order |
    /// | `operation` | any of `reserve`, `mode`, `grid_charging`, `grid_export` |
    /// | `grid_charging` | `value`: true or false |
    /// | `grid_export` | `value` |
    /// | `max_backup` | `value`: seconds or `"cancel"`; `start`: Unix seconds |
    /// | `storm_watch` | `value`: true or false |
    /// | `vehicle_reserve` | `value`: whole percents |
    /// | `tariff` | `tou_settings`, with `tariff_content_v2` as Tesla describes it |
    /// | `islanding` | `value` or `action`: `"off_grid"` or `"on_grid"` |
    /// | `dispatch` | `power_watts`, `duration_seconds` |
    /// | `reserve_hold`, `resume` | none |
    ///
    /// Each takes `confirm`, and those that settings are changed by take `for_seconds`.
    ///
    /// # Errors
    /// If a member is missing, unknown or of the wrong kind.
    pub fn read(kind: OrderKind, body: &Value) -> Result<Self, Misread> {
        let body = body.as_object().ok_or_else(|| misread("an order is a JSON object"))?;
        let order = match kind {
            OrderKind::Reserve | OrderKind::Mode => companions(kind, body)?,
            OrderKind::ReserveHold => Order::ReserveHold,
            OrderKind::Operation => operation(body)?,
            OrderKind::Charging => Order::Charging(flag(body, "value")?),
            OrderKind::Export => Order::Export(export(body, "value")?),
            OrderKind::MaxBackup => Order::MaxBackup(max_backup(body)?),
            OrderKind::StormWatch => Order::StormWatch(flag(body, "value")?),
            OrderKind::VehicleReserve => Order::VehicleReserve(percent(body, "value")?),
            OrderKind::Tariff => Order::Tariff(tariff(body)?),
            OrderKind::Islanding => Order::Islanding(islanding(body)?),
            OrderKind::Dispatch => Order::Dispatch(dispatch(body)?),
            OrderKind::Resume => Order::Resume,
        };
        let confirmed = if body.contains_key("confirm") { flag(body, "confirm")? } else { false };
        let lease = if body.contains_key("for_seconds") { Some(lease(kind, body)?) } else { None };
        no_others(kind, body)?;
        Ok(Self { order, lease, confirmed })
    }
}

fn misread(message: impl Into<String>) -> Misread {
    Misread(message.into())
}

/// The members that are taken beside `confirm` and `for_seconds`.
fn members(kind: OrderKind) -> &'static [&'static str] {
    match kind {
        OrderKind::Reserve => &["value", "mode"],
        OrderKind::Mode => &["value", "level"],
        OrderKind::Operation => &["reserve", "mode", "grid_charging", "grid_export"],
        OrderKind::Charging | OrderKind::Export | OrderKind::StormWatch | OrderKind::VehicleReserve => {
            &["value"]
        }
        OrderKind::Tariff => &["tou_settings"],
        OrderKind::MaxBackup => &["value", "start"],
        OrderKind::Islanding => &["value", "action"],
        OrderKind::Dispatch => &["power_watts", "duration_seconds"],
        OrderKind::ReserveHold | OrderKind::Resume => &[],
    }
}

/// A misspelt member, such as a lease that would not be one, makes no order.
fn no_others(kind: OrderKind, body: &Members) -> Result<(), Misread> {
    let known = members(kind);
    let is_known = |key: &str| known.contains(&key) || key == "confirm" || key == "for_seconds";
    let unknown: Vec<&str> = body.keys().map(String::as_str).filter(|key| !is_known(key)).collect();
    if unknown.is_empty() {
        return Ok(());
    }
    let quoted = |keys: &[&str]| {
        keys.iter().map(|key| format!("'{}'", key.chars().take(40).collect::<String>())).collect::<Vec<_>>()
    };
    let takes = match known.is_empty() {
        true => String::from("nothing of its own"),
        false => quoted(known).join(", "),
    };
    Err(misread(format!("{kind} does not take {}; it takes {takes}", quoted(&unknown).join(", "))))
}

fn flag(body: &Members, key: &str) -> Result<bool, Misread> {
    let value = body.get(key).and_then(Value::as_bool);
    value.ok_or_else(|| misread(format!("'{key}' must be a boolean (true or false)")))
}

fn word<T>(
    body: &Members,
    key: &str,
    parse: impl Fn(&str) -> Option<T>,
    (what, known): (&str, impl Iterator<Item = &'static str>),
) -> Result<T, Misread> {
    let value = body.get(key).and_then(Value::as_str).and_then(parse);
    let words = || known.collect::<Vec<_>>().join(", ");
    value.ok_or_else(|| misread(format!("'{key}' must be a valid {what}: {}", words())))
}

fn mode(body: &Members, key: &str) -> Result<Mode, Misread> {
    word(body, key, Mode::parse, ("mode", Mode::ALL.iter().map(|mode| mode.word())))
}

fn export(body: &Members, key: &str) -> Result<ExportRule, Misread> {
    let words = ExportRule::ALL.iter().map(|rule| rule.word());
    word(body, key, ExportRule::parse, ("grid export mode", words))
}

/// Whole percents, as the phone app takes them.
fn percent(body: &Members, key: &str) -> Result<Reserve, Misread> {
    let value = body.get(key).and_then(Value::as_i64);
    let percent =
        value.ok_or_else(|| misread(format!("'{key}' must be an integer reserve level (0-100)")))?;
    Reserve::new(AppPercent(percent as f64))
        .ok_or_else(|| misread(format!("'{key}' must be between 0 and 100")))
}

fn companions(kind: OrderKind, body: &Members) -> Result<Order, Misread> {
    let (reserve, mode_key) = match kind {
        OrderKind::Reserve => (Some("value"), body.contains_key("mode").then_some("mode")),
        _ => (body.contains_key("level").then_some("level"), Some("value")),
    };
    Ok(Order::of_setpoint(Setpoint {
        reserve: reserve.map(|key| percent(body, key)).transpose()?,
        mode: mode_key.map(|key| mode(body, key)).transpose()?,
        ..Setpoint::default()
    }))
}

fn operation(body: &Members) -> Result<Order, Misread> {
    let has = |key: &'static str| body.contains_key(key).then_some(key);
    let setpoint = Setpoint {
        reserve: has("reserve").map(|key| percent(body, key)).transpose()?,
        mode: has("mode").map(|key| mode(body, key)).transpose()?,
        charging: has("grid_charging").map(|key| flag(body, key)).transpose()?,
        export: has("grid_export").map(|key| export(body, key)).transpose()?,
    };
    match setpoint.is_empty() {
        true => Err(misread("operation needs one of 'reserve', 'mode', 'grid_charging', 'grid_export'")),
        false => Ok(Order::Operation(setpoint)),
    }
}

fn max_backup(body: &Members) -> Result<MaxBackup, Misread> {
    let value = body.get("value");
    if value.and_then(Value::as_str).is_some_and(|text| text.eq_ignore_ascii_case("cancel")) {
        return Ok(MaxBackup::Cancel);
    }
    let start = match body.get("start") {
        None => None,
        Some(start) => {
            let start = start.as_i64().filter(|start| *start >= 0);
            Some(start.ok_or_else(|| misread("'start' must be Unix seconds, an integer"))?)
        }
    };
    let seconds = value.and_then(Value::as_u64).and_then(|seconds| u32::try_from(seconds).ok());
    seconds
        .and_then(|seconds| BackupWindow::new(start, seconds))
        .map(MaxBackup::Schedule)
        .ok_or_else(|| misread("'value' must be 'cancel' or a duration of 60 to 4294967295 seconds"))
}

fn tariff(body: &Members) -> Result<NewTariff, Misread> {
    let settings =
        body.get("tou_settings").and_then(Value::as_object).filter(|settings| !settings.is_empty());
    let settings = settings.ok_or_else(|| misread("'tou_settings' must be a non-empty object"))?;
    NewTariff::new(settings.clone())
        .ok_or_else(|| misread("'tou_settings.tariff_content_v2' must be an object"))
}

fn islanding(body: &Members) -> Result<Islanding, Misread> {
    let key = if body.contains_key("action") && !body.contains_key("value") { "action" } else { "value" };
    let value = body.get(key).and_then(Value::as_str).and_then(Islanding::parse);
    value.ok_or_else(|| misread(format!("'{key}' must be 'off_grid' or 'on_grid'")))
}

fn dispatch(body: &Members) -> Result<Dispatch, Misread> {
    let watts = body.get("power_watts").and_then(Value::as_f64);
    let seconds = body.get("duration_seconds").and_then(Value::as_u64);
    let seconds = seconds.and_then(|seconds| u32::try_from(seconds).ok());
    watts.zip(seconds).and_then(|(watts, seconds)| Dispatch::new(watts, seconds)).ok_or_else(|| {
        misread("power_watts must be finite and duration_seconds must be an integer from 1 to 86400")
    })
}

fn lease(kind: OrderKind, body: &Members) -> Result<Duration, Misread> {
    if !kind.takes_lease() {
        return Err(misread(format!("{kind} does not take 'for_seconds'")));
    }
    let longest = Lease::LONGEST.as_secs();
    let seconds = body.get("for_seconds").and_then(Value::as_u64);
    let seconds = seconds.filter(|seconds| (Lease::SHORTEST.as_secs()..=longest).contains(seconds));
    seconds.map(Duration::from_secs).ok_or_else(|| {
        let shortest = Lease::SHORTEST.as_secs();
        misread(format!("'for_seconds' must be an integer from {shortest} to {longest}"))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(kind: OrderKind, body: Value) -> Result<Order, String> {
        Request::read(kind, &body).map(|request| request.order).map_err(|error| error.to_string())
    }

    #[test]
    fn orders_are_read_as_clients_word_them() {
        let reserve = Reserve::new(AppPercent(20.0));
        let both = Order::Operation(Setpoint { reserve, mode: Some(Mode::Backup), ..Setpoint::default() });
        for (kind, body, order) in [
            (OrderKind::Reserve, json!({ "value": 20 }), Order::Reserve(reserve.unwrap())),
            (OrderKind::Reserve, json!({ "value": 20, "mode": "backup" }), both.clone()),
            (OrderKind::Mode, json!({ "value": "backup", "level": 20 }), both.clone()),
            (OrderKind::Operation, json!({ "reserve": 20, "mode": "backup" }), both),
            (OrderKind::Mode, json!({ "value": "autonomous" }), Order::Mode(Mode::Autonomous)),
            (OrderKind::Charging, json!({ "value": false }), Order::Charging(false)),
            (OrderKind::Export, json!({ "value": "never" }), Order::Export(ExportRule::Nothing)),
            (OrderKind::ReserveHold, json!({}), Order::ReserveHold),
            (OrderKind::Resume, json!({}), Order::Resume),
            (OrderKind::MaxBackup, json!({ "value": "Cancel" }), Order::MaxBackup(MaxBackup::Cancel)),
            (
                OrderKind::MaxBackup,
                json!({ "value": 7200, "start": 1_750_000_000 }),
                Order::MaxBackup(MaxBackup::Schedule(BackupWindow::new(Some(1_750_000_000), 7200).unwrap())),
            ),
            (OrderKind::StormWatch, json!({ "value": true }), Order::StormWatch(true)),
            (OrderKind::VehicleReserve, json!({ "value": 20 }), Order::VehicleReserve(reserve.unwrap())),
            (OrderKind::Islanding, json!({ "value": "on_grid" }), Order::Islanding(Islanding::OnGrid)),
            (OrderKind::Islanding, json!({ "action": "off_grid" }), Order::Islanding(Islanding::OffGrid)),
            (
                OrderKind::Dispatch,
                json!({ "power_watts": -500, "duration_seconds": 30 }),
                Order::Dispatch(Dispatch::new(-500.0, 30).unwrap()),
            ),
        ] {
            assert_eq!(read(kind, body.clone()), Ok(order), "{kind} {body}");
        }
    }

    #[test]
    fn a_lease_and_a_confirmation_come_with_the_order() {
        let body = json!({ "value": 20, "for_seconds": 7200, "confirm": true });
        let request = Request::read(OrderKind::Reserve, &body).unwrap();
        assert_eq!((request.lease, request.confirmed), (Some(Duration::from_secs(7200)), true));
        for (kind, key, value) in [
            (OrderKind::Reserve, "for_seconds", json!(1)),
            (OrderKind::Reserve, "for_seconds", json!(3_000_000)),
            (OrderKind::Reserve, "for_seconds", json!("60")),
            (OrderKind::Reserve, "for_second", json!(60)),
            (OrderKind::Reserve, "confirm", json!("true")),
            (OrderKind::Islanding, "for_seconds", json!(60)),
        ] {
            let mut body =
                json!({ "value": if kind == OrderKind::Reserve { json!(20) } else { json!("on_grid") } });
            body[key] = value;
            assert!(read(kind, body.clone()).unwrap_err().contains(key), "{body}");
        }
    }

    #[test]
    fn nothing_is_ordered_that_was_not_surely_meant() {
        for (kind, body) in [
            (OrderKind::Reserve, json!([20])),
            (OrderKind::Reserve, json!({})),
            (OrderKind::Reserve, json!({ "value": 20.0 })),
            (OrderKind::Reserve, json!({ "value": "20" })),
            (OrderKind::Reserve, json!({ "value": true })),
            (OrderKind::Reserve, json!({ "value": -1 })),
            (OrderKind::Reserve, json!({ "value": 101 })),
            (OrderKind::Reserve, json!({ "value": 20, "mode": "scheduler" })),
            (OrderKind::Mode, json!({ "value": "backup", "level": 101 })),
            (OrderKind::Mode, json!({ "value": "Backup" })),
            (OrderKind::Charging, json!({ "value": "off" })),
            (OrderKind::Charging, json!({ "value": 0 })),
            (OrderKind::Export, json!({ "value": null })),
            (OrderKind::Operation, json!({})),
            (OrderKind::ReserveHold, json!({ "value": 20 })),
            (OrderKind::MaxBackup, json!({ "value": 59 })),
            (OrderKind::MaxBackup, json!({ "value": 4_294_967_296_u64 })),
            (OrderKind::StormWatch, json!({ "value": "on" })),
            (OrderKind::VehicleReserve, json!({ "value": 101 })),
            (OrderKind::Tariff, json!({ "tou_settings": {} })),
            (OrderKind::Tariff, json!({ "tou_settings": { "tariff_content_v2": 1 } })),
            (OrderKind::Islanding, json!({ "value": "off" })),
            (OrderKind::Dispatch, json!({ "power_watts": "500", "duration_seconds": 30 })),
            (OrderKind::Dispatch, json!({ "power_watts": 500, "duration_seconds": 30.0 })),
            (OrderKind::Dispatch, json!({ "power_watts": 500, "duration_seconds": 0 })),
            (OrderKind::Dispatch, json!({ "power_watts": 500, "duration_seconds": 86_401 })),
        ] {
            assert!(read(kind, body.clone()).is_err(), "{kind} {body}");
        }
    }
}
