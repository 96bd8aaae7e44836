//! How an order is known again that arrives a second time.

use serde_json::{Value, json};

/// Digests of what a client calls an order and of what it asks. Kept with the order in the journal; they
/// reveal neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    pub key: u128,
    pub body: u128,
    /// What it was ordered with, if several gateways got it.
    pub part_of: Option<Whole>,
}

/// The same digests of an order to several gateways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Whole {
    pub key: u128,
    pub body: u128,
}

impl Mark {
    pub fn value(&self) -> Value {
        let mut value = digests(self.key, self.body);
        if let Some(Whole { key, body }) = self.part_of {
            value["part_of"] = digests(key, body);
        }
        value
    }

    /// Reads what [`Mark::value`] writes.
    pub fn of_value(value: &Value) -> Option<Self> {
        let (key, body) = read(value)?;
        let part_of = read(&value["part_of"]).map(|(key, body)| Whole { key, body });
        Some(Self { key, body, part_of })
    }
}

fn digests(key: u128, body: u128) -> Value {
    json!({ "key": format!("{key:032x}"), "body": format!("{body:032x}") })
}

fn read(value: &Value) -> Option<(u128, u128)> {
    let number = |key: &str| u128::from_str_radix(value[key].as_str()?, 16).ok();
    Some((number("key")?, number("body")?))
}
