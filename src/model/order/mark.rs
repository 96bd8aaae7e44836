//! How an order is known again that arrives a second time.

use serde_json::{Value, json};

/// Digests of what a client calls an order and of what it asks. Kept with the order in the journal; they
/// reveal neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    pub key: u128,
    pub body: u128,
}

impl Mark {
    pub fn value(&self) -> Value {
        json!({ "key": format!("{:032x}", self.key), "body": format!("{:032x}", self.body) })
    }

    /// Reads what [`Mark::value`] writes.
    pub fn of_value(value: &Value) -> Option<Self> {
        let number = |key: &str| u128::from_str_radix(value[key].as_str()?, 16).ok();
        Some(Self { key: number("key")?, body: number("body")? })
    }
}
