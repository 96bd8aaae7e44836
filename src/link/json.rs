//! Reads documents that are within their bounds, and looks into them, where any part may be missing, null or
//! of another type than expected.

use bytes::Bytes;
use serde_json::{Map, Value};

use super::bounds::{Bounds, Excess};
use crate::model::Number;

/// An answer that cannot be used, and why; the one before it stays.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    #[error("it is not JSON: {0}")]
    NotJson(String),
    #[error("it is JSON, but not an object")]
    NotAnObject,
    #[error("it is JSON, but not a list")]
    NotAList,
    #[error("it has no meters")]
    NoMeters,
    #[error("it is not a list of devices: {0}")]
    NotVitals(String),
    /// Larger than any gateway's.
    #[error(transparent)]
    TooLarge(#[from] Excess),
}

/// The document in `bytes`, if it is within `bounds`.
///
/// # Errors
/// If it is larger than that, or no JSON.
pub fn document(bytes: &[u8], bounds: &Bounds) -> Result<Value, Unusable> {
    bounds.check(bytes)?;
    parse(bytes).map_err(|error| Unusable::NotJson(error.to_string()))
}

/// The value in `bytes`, in which zero has no sign: `-0` of a gateway is a direction of nothing, and clients
/// would show and store a minus.
///
/// # Errors
/// If it is no JSON.
pub fn parse(bytes: &[u8]) -> serde_json::Result<Value> {
    let mut value = serde_json::from_slice(bytes)?;
    take_sign_of_zero(&mut value);
    Ok(value)
}

fn is_minus_zero(number: f64) -> bool {
    number == 0.0 && number.is_sign_negative()
}

fn take_sign_of_zero(value: &mut Value) {
    match value {
        Value::Number(number) if number.as_f64().is_some_and(is_minus_zero) => *value = 0.into(),
        Value::Array(list) => list.iter_mut().for_each(take_sign_of_zero),
        Value::Object(object) => object.values_mut().for_each(take_sign_of_zero),
        _ => {}
    }
}

/// An answer as the object it must be, if it is within `bounds`.
pub(super) fn object(bytes: &Bytes, bounds: &Bounds) -> Result<Value, Unusable> {
    match document(bytes, bounds)? {
        value @ Value::Object(_) => Ok(value),
        _ => Err(Unusable::NotAnObject),
    }
}

/// A list, or null, which some firmware has for an empty one.
///
/// # Errors
/// If it is neither, or too large.
pub(super) fn list(bytes: &Bytes, bounds: &Bounds) -> Result<Value, Unusable> {
    match document(bytes, bounds)? {
        value @ (Value::Array(_) | Value::Null) => Ok(value),
        _ => Err(Unusable::NotAList),
    }
}

static NULL: Value = Value::Null;

/// Lookups that never fail: what is not there is `null`, no text, no number, no items.
pub(super) trait Look {
    fn at(&self, path: &[&str]) -> &Value;
    fn items(&self) -> &[Value];
    fn text(&self) -> Option<&str>;
    fn number(&self) -> Option<Number>;

    /// Text that says something.
    fn name(&self) -> Option<&str> {
        self.text().filter(|text| !text.is_empty())
    }

    fn is_true(&self) -> bool;
}

impl Look for Value {
    fn at(&self, path: &[&str]) -> &Value {
        path.iter().fold(self, |value, key| value.get(key).unwrap_or(&NULL))
    }

    fn items(&self) -> &[Value] {
        self.as_array().map(Vec::as_slice).unwrap_or_default()
    }

    fn text(&self) -> Option<&str> {
        self.as_str()
    }

    fn number(&self) -> Option<Number> {
        Number::from_json(self)
    }

    fn is_true(&self) -> bool {
        *self == Value::Bool(true)
    }
}

/// The names in a list, in order; anything else in it is passed over.
pub(super) fn names(list: &Value) -> impl Iterator<Item = &str> {
    list.items().iter().filter_map(Look::name)
}

/// A number or null.
pub(super) fn value_of(number: Option<Number>) -> Value {
    number.map_or(Value::Null, Value::from)
}

/// Builds objects in the order the keys are given.
#[derive(Default)]
pub(super) struct Object(pub Map<String, Value>);

impl Object {
    pub fn set(&mut self, key: impl Into<String>, value: impl Into<Value>) -> &mut Self {
        self.0.insert(key.into(), value.into());
        self
    }

    /// Sets each of `keys` to what `from` has under the same name.
    pub fn copy(&mut self, keys: &[&str], from: &Value) -> &mut Self {
        for key in keys {
            self.set(*key, from.at(&[key]).clone());
        }
        self
    }

    pub fn nulls(&mut self, keys: &[&str]) -> &mut Self {
        for key in keys {
            self.set(*key, Value::Null);
        }
        self
    }

    pub fn build(&mut self) -> Value {
        Value::Object(std::mem::take(&mut self.0))
    }
}

/// Part number and serial number of a DIN such as `1707000-11-J--TG0123456789AB`.
pub(super) fn split_din(din: &str) -> (&str, &str) {
    din.split_once("--").unwrap_or((din, ""))
}

/// The serial number of a DIN or of a key that ends in one.
pub(super) fn serial_of(din: &str) -> &str {
    din.rsplit_once("--").map_or(din, |(_, serial)| serial)
}
