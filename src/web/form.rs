//! Orders as forms, as clients of the proxy send them.

use std::borrow::Cow;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use serde_json::{Map, Value, json};

use super::plumbing::{Refusal, json_value};
use crate::model::OrderKind;

/// The fields of a form; the first one of a name counts.
pub(super) struct Form(Vec<(String, String)>);

/// A refusal in the words of the proxy.
pub(super) fn error(why: &str) -> HttpResponse {
    json_value(StatusCode::BAD_REQUEST, &json!({ "error": why }))
}

/// A refusal of ours; forms know two statuses.
pub(super) fn refusal(refusal: &Refusal) -> HttpResponse {
    let mut response = error(refusal.why());
    refusal.mark(response.headers_mut());
    response
}

/// Whether orders of this kind come as forms.
pub(super) fn takes(kind: OrderKind) -> bool {
    !matches!(kind, OrderKind::ReserveHold | OrderKind::Islanding | OrderKind::Operation | OrderKind::Tariff)
}

/// What the proxy says of a value that it does not take.
pub(super) fn complaint(kind: OrderKind) -> &'static str {
    match kind {
        OrderKind::MaxBackup => "Control Command Value Invalid - use seconds or cancel",
        OrderKind::Dispatch => "Invalid battery dispatch parameters",
        _ => "Control Command Value Invalid",
    }
}

impl Form {
    pub fn read(body: &[u8]) -> Self {
        let fields = body.split(|byte| *byte == b'&').filter(|field| !field.is_empty());
        let pairs = fields.map(|field| {
            let equals = field.iter().position(|byte| *byte == b'=').unwrap_or(field.len());
            (text(&field[..equals]), text(field.get(equals + 1..).unwrap_or_default()))
        });
        Self(pairs.collect())
    }

    /// A field with something in it.
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// The same order as JSON. A form knows no types, so each value gets the one that its order takes.
    ///
    /// # Errors
    /// If a value cannot be of that type.
    pub fn body(&self, kind: OrderKind) -> Result<Value, &'static str> {
        let mut body = Map::new();
        let mut put = |name: &str, value: Value| _ = body.insert(name.to_owned(), value);
        let invalid = complaint(kind);
        match kind {
            OrderKind::Reserve
            | OrderKind::Mode
            | OrderKind::Export
            | OrderKind::Charging
            | OrderKind::StormWatch
            | OrderKind::VehicleReserve
            | OrderKind::MaxBackup => {
                put("value", typed(kind, self.get("value").ok_or(invalid)?).ok_or(invalid)?);
            }
            OrderKind::Dispatch => {
                put("power_watts", self.number("power_watts").ok_or(invalid)?);
                let seconds = self.get("duration_seconds").and_then(digits).ok_or(invalid)?;
                put("duration_seconds", seconds);
            }
            _ => {}
        }
        match (kind, self.get("mode"), self.get("level")) {
            (OrderKind::Reserve, Some(mode), _) => put("mode", mode.into()),
            (OrderKind::Mode, _, Some(level)) => {
                put("level", digits(level).ok_or("Control Command Level Invalid")?);
            }
            _ => {}
        }
        if let Some(confirm) = self.get("confirm") {
            put("confirm", flag(confirm).ok_or(invalid)?);
        }
        if let Some(seconds) = self.get("for_seconds") {
            put("for_seconds", digits(seconds).ok_or(invalid)?);
        }
        Ok(body.into())
    }

    fn number(&self, name: &str) -> Option<Value> {
        let number: f64 = self.get(name)?.parse().ok()?;
        number.is_finite().then(|| number.into())
    }
}

fn typed(kind: OrderKind, value: &str) -> Option<Value> {
    match kind {
        OrderKind::Reserve | OrderKind::VehicleReserve => digits(value),
        OrderKind::Charging | OrderKind::StormWatch => flag(value),
        OrderKind::Export => Some(value.to_ascii_lowercase().into()),
        OrderKind::MaxBackup if value.eq_ignore_ascii_case("cancel") => Some("cancel".into()),
        OrderKind::MaxBackup => digits(value),
        _ => Some(value.into()),
    }
}

fn digits(text: &str) -> Option<Value> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse::<u64>().ok()).flatten().map(Value::from)
}

fn flag(text: &str) -> Option<Value> {
    match text.to_ascii_lowercase().as_str() {
        "true" => Some(true.into()),
        "false" => Some(false.into()),
        _ => None,
    }
}

/// A name or a value without its escapes.
fn text(escaped: &[u8]) -> String {
    let spaced: Vec<u8> = escaped.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    let plain: Vec<u8> = unescaped(&spaced).into_owned();
    String::from_utf8_lossy(&plain).into_owned()
}

fn unescaped(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.contains(&b'%') {
        return text.into();
    }
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, after @ ..] = rest {
        let hex = after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        let byte = hex.filter(|_| *first == b'%').and_then(|hex| u8::from_str_radix(hex, 16).ok());
        plain.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    plain.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(kind: OrderKind, form: &str) -> Result<String, &'static str> {
        Form::read(form.as_bytes()).body(kind).map(|body| body.to_string())
    }

    #[test]
    fn fields_are_read_with_their_escapes() {
        let form = Form::read(b"token=a%20b%2B+c%zz%4&value=&value=2&x&=y&%74=%FF");
        assert_eq!(form.get("token"), Some("a b+ c%zz%4"));
        assert_eq!((form.get("value"), form.get("x"), form.get("t")), (None, None, Some("\u{fffd}")));
    }

    #[test]
    fn values_get_the_type_that_their_order_takes() {
        use OrderKind::{Charging, Dispatch, Export, MaxBackup, Mode, Reserve, Resume};
        for (kind, form, expected) in [
            (Reserve, "value=20", r#"{"value":20}"#),
            (Reserve, "value=20&mode=backup&level=3", r#"{"value":20,"mode":"backup"}"#),
            (Mode, "value=backup&level=30", r#"{"value":"backup","level":30}"#),
            (Charging, "value=TRUE", r#"{"value":true}"#),
            (Export, "value=PV_only", r#"{"value":"pv_only"}"#),
            (MaxBackup, "value=Cancel", r#"{"value":"cancel"}"#),
            (MaxBackup, "value=3600", r#"{"value":3600}"#),
            (
                Dispatch,
                "power_watts=-500.5&duration_seconds=60",
                r#"{"power_watts":-500.5,"duration_seconds":60}"#,
            ),
            (Resume, "token=x", "{}"),
        ] {
            assert_eq!(body(kind, form).as_deref(), Ok(expected), "{form}");
        }
        for (kind, form, expected) in [
            (Reserve, "value=-1", "Control Command Value Invalid"),
            (Reserve, "value=20.5", "Control Command Value Invalid"),
            (Mode, "value=backup&level=x", "Control Command Level Invalid"),
            (Charging, "value=on", "Control Command Value Invalid"),
            (MaxBackup, "value=soon", "Control Command Value Invalid - use seconds or cancel"),
            (Dispatch, "power_watts=inf&duration_seconds=60", "Invalid battery dispatch parameters"),
            (Dispatch, "power_watts=1", "Invalid battery dispatch parameters"),
        ] {
            assert_eq!(body(kind, form), Err(expected), "{form}");
        }
    }
}
