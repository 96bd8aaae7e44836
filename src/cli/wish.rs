//! What is typed behind `set`, as the order that it stands for.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::model::OrderKind;
use crate::model::order::Request;

/// What `set` was given.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Typed {
    pub value: Option<String>,
    /// `--mode`, in the same order as a reserve.
    pub mode: Option<String>,
    /// `--for`
    pub lasts: Option<Duration>,
    /// `--confirm`
    pub is_confirmed: bool,
}

/// An order that can be sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Wish {
    pub kind: OrderKind,
    /// As the route for orders takes it.
    pub body: Value,
}

impl Wish {
    /// # Errors
    /// If it is no order: what is wrong, for the person who typed it.
    pub fn read(kind: OrderKind, typed: &Typed) -> Result<Self, String> {
        let mut body = Map::new();
        if let Some(value) = &typed.value {
            for (key, value) in members(kind, value)? {
                body.insert(key.to_owned(), value);
            }
        }
        if let Some(mode) = &typed.mode {
            body.insert("mode".into(), mode.as_str().into());
        }
        if let Some(lasts) = typed.lasts {
            let key = if kind == OrderKind::Dispatch { "duration_seconds" } else { "for_seconds" };
            body.insert(key.into(), lasts.as_secs().into());
        }
        if typed.is_confirmed {
            body.insert("confirm".into(), true.into());
        }
        let body = Value::Object(body);
        if typed.value.is_none() && !matches!(kind, OrderKind::ReserveHold | OrderKind::Resume) {
            return Err(format!("{} needs a value; see powerwall-server set --help", kind.word()));
        }
        Request::read(kind, &body).map_err(|misread| format!("{}: {misread}", kind.word()))?;
        Ok(Self { kind, body })
    }

    /// Whether something has to be ordered back at its end, by whoever is there then.
    pub fn is_lease(&self) -> bool {
        self.body.get("for_seconds").is_some()
    }
}

/// The members that one typed word stands for.
fn members(kind: OrderKind, value: &str) -> Result<Vec<(&'static str, Value)>, String> {
    let number = |text: &str| serde_json::from_str::<serde_json::Number>(text).ok().map(Value::Number);
    let unreadable = |takes: &str| format!("{} takes {takes}, not {value:?}", kind.word());
    Ok(match kind {
        OrderKind::Reserve | OrderKind::VehicleReserve => {
            let percent = value.trim_end_matches('%').trim_end();
            vec![("value", number(percent).ok_or_else(|| unreadable("percent from 0 to 100"))?)]
        }
        OrderKind::Charging | OrderKind::StormWatch => match value.to_ascii_lowercase().as_str() {
            "on" | "true" | "yes" => vec![("value", json!(true))],
            "off" | "false" | "no" => vec![("value", json!(false))],
            _ => return Err(unreadable("on or off")),
        },
        OrderKind::MaxBackup if value == "cancel" => vec![("value", json!("cancel"))],
        OrderKind::MaxBackup => {
            let lasts = duration(value).map_err(|_| unreadable("a duration such as 2h, or cancel"))?;
            vec![("value", lasts.as_secs().into())]
        }
        OrderKind::Islanding => match value.to_ascii_lowercase().replace('-', "_").as_str() {
            word @ ("off_grid" | "on_grid") => vec![("value", word.into())],
            _ => return Err(unreadable("off_grid or on_grid")),
        },
        OrderKind::Dispatch => {
            let watts = value.trim_end_matches(['W', 'w']).trim_end();
            vec![(
                "power_watts",
                number(watts).ok_or_else(|| unreadable("watts, for example 3000 or -2000"))?,
            )]
        }
        OrderKind::ReserveHold | OrderKind::Resume => {
            return Err(format!("{} takes no value", kind.word()));
        }
        OrderKind::Tariff => {
            let file = std::fs::read_to_string(value).map_err(|error| format!("{value}: {error}"))?;
            let file: Value = serde_json::from_str(&file).map_err(|error| format!("{value}: {error}"))?;
            vec![("tou_settings", file.get("tou_settings").cloned().unwrap_or(file))]
        }
        OrderKind::Operation => {
            return Err("operation is ordered over HTTP; here: reserve, with --mode".into());
        }
        OrderKind::Mode | OrderKind::Export => vec![("value", value.into())],
    })
}

/// `90s`, `30m`, `2h`, `1d`, or seconds.
///
/// # Errors
/// If it is something else.
pub fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let seconds = match unit {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err("a duration is a number with s, m, h or d behind it".into()),
    };
    let number: u32 = number.parse().map_err(|_| "a duration is a number with s, m, h or d behind it")?;
    Ok(Duration::from_secs(u64::from(number) * seconds))
}

/// The order with this name, hyphens allowed.
///
/// # Errors
/// If there is none: which ones there are.
pub fn order(text: &str) -> Result<OrderKind, String> {
    OrderKind::parse(&text.to_ascii_lowercase().replace('-', "_")).ok_or_else(|| {
        let words: Vec<&str> = OrderKind::ALL.iter().map(|kind| kind.word()).collect();
        format!("one of {}", words.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(kind: &str, value: Option<&str>, lasts: Option<&str>) -> Result<Value, String> {
        let typed = Typed {
            value: value.map(str::to_owned),
            lasts: lasts.map(|text| duration(text).unwrap()),
            ..Typed::default()
        };
        Wish::read(order(kind).unwrap(), &typed).map(|wish| wish.body)
    }

    #[test]
    fn what_is_typed_is_the_order_that_a_person_means() {
        assert_eq!(body("reserve", Some("20"), Some("2h")), Ok(json!({ "value": 20, "for_seconds": 7200 })));
        assert_eq!(body("reserve", Some("20%"), None), Ok(json!({ "value": 20 })));
        assert_eq!(body("mode", Some("backup"), None), Ok(json!({ "value": "backup" })));
        assert_eq!(body("grid-charging", Some("off"), None), Ok(json!({ "value": false })));
        assert_eq!(body("grid_export", Some("pv_only"), None), Ok(json!({ "value": "pv_only" })));
        assert_eq!(body("max_backup", Some("90m"), None), Ok(json!({ "value": 5400 })));
        assert_eq!(body("max_backup", Some("cancel"), None), Ok(json!({ "value": "cancel" })));
        assert_eq!(body("islanding", Some("off-grid"), None), Ok(json!({ "value": "off_grid" })));
        let dispatch = json!({ "power_watts": -2000, "duration_seconds": 1800 });
        assert_eq!(body("dispatch", Some("-2000"), Some("30m")), Ok(dispatch));
        assert_eq!(body("reserve_hold", None, Some("1d")), Ok(json!({ "for_seconds": 86_400 })));
        assert_eq!(body("resume", None, None), Ok(json!({})));
    }

    #[test]
    fn what_is_no_order_is_refused_before_it_is_sent() {
        for (kind, value, lasts) in [
            ("reserve", None, None),
            ("reserve", Some("101"), None),
            ("reserve", Some("much"), None),
            ("mode", Some("fast"), None),
            ("grid_charging", Some("2"), None),
            ("max_backup", Some("5x"), None),
            ("islanding", Some("maybe"), None),
            ("dispatch", Some("3000"), None),
            ("resume", Some("1"), None),
            ("operation", Some("1"), None),
            ("reserve", Some("20"), Some("5s")),
        ] {
            let refused = body(kind, value, lasts).unwrap_err();
            assert!(refused.contains(kind), "{kind} {value:?} {lasts:?}: {refused}");
        }
        assert!(order("fly").unwrap_err().contains("grid_charging"));
        assert!(duration("h").is_err() && duration("").is_err() && duration("-1s").is_err());
    }
}
