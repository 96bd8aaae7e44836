//! A number as a gateway sent it or as it was computed; integers stay integers because clients store the
//! difference.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

/// An integer or a finite float. `NaN` and infinities cannot be represented: they are "unknown" and become
/// `None`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    Int(i64),
    Float(f64),
}

impl Number {
    /// A finite float, else `None`. Zero has no sign: clients would show and store a minus.
    pub fn from_f64(value: f64) -> Option<Self> {
        value.is_finite().then_some(Self::Float(value + 0.0))
    }

    /// The number in a JSON value; booleans, strings and nulls are not numbers.
    pub fn from_json(value: &Value) -> Option<Self> {
        let number = value.as_number()?;
        match number.as_i64() {
            Some(int) => Some(Self::Int(int)),
            None => number.as_f64().and_then(Self::from_f64),
        }
    }

    pub fn as_f64(self) -> f64 {
        match self {
            Self::Int(int) => int as f64,
            Self::Float(float) => float,
        }
    }

    pub fn is_zero(self) -> bool {
        self.as_f64() == 0.0
    }

    fn combine(
        self,
        other: Self,
        ints: fn(i64, i64) -> Option<i64>,
        floats: fn(f64, f64) -> f64,
    ) -> Option<Self> {
        if let (Self::Int(a), Self::Int(b)) = (self, other)
            && let Some(result) = ints(a, b)
        {
            return Some(Self::Int(result));
        }
        Self::from_f64(floats(self.as_f64(), other.as_f64()))
    }

    /// Sum; an integer when both are, `None` when the result is not finite.
    pub fn plus(self, other: Self) -> Option<Self> {
        self.combine(other, i64::checked_add, |a, b| a + b)
    }

    /// Difference; an integer when both are, `None` when the result is not finite.
    pub fn minus(self, other: Self) -> Option<Self> {
        self.combine(other, i64::checked_sub, |a, b| a - b)
    }

    /// Product; an integer when both are, `None` when the result is not finite.
    pub fn times(self, other: Self) -> Option<Self> {
        self.combine(other, i64::checked_mul, |a, b| a * b)
    }

    /// Quotient, always a float; `None` for a zero divisor.
    pub fn over(self, divisor: Self) -> Option<Self> {
        if divisor.is_zero() {
            return None;
        }
        Self::from_f64(self.as_f64() / divisor.as_f64())
    }
}

/// Text with so many digits behind the point, halves to even, and no minus before a zero.
pub fn fixed(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    match text.strip_prefix('-') {
        Some(zero) if zero.bytes().all(|byte| matches!(byte, b'0' | b'.')) => zero.to_owned(),
        _ => text,
    }
}

impl From<i64> for Number {
    fn from(int: i64) -> Self {
        Self::Int(int)
    }
}

impl From<Number> for Value {
    fn from(number: Number) -> Self {
        match number {
            Number::Int(int) => Value::from(int),
            Number::Float(float) => Value::from(float),
        }
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        Self::from_json(&value).ok_or_else(|| serde::de::Error::custom("expected a number"))
    }
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Int(int) => serializer.serialize_i64(*int),
            Self::Float(float) => serializer.serialize_f64(*float),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_number() -> impl Strategy<Value = Number> {
        prop_oneof![
            any::<i64>().prop_map(Number::Int),
            proptest::num::f64::NORMAL.prop_map(Number::Float),
            (-1e4..1e4_f64).prop_map(Number::Float),
            Just(Number::Int(0)),
        ]
    }

    proptest! {
        #[test]
        fn arithmetic_gives_a_finite_number_or_nothing(one in any_number(), other in any_number()) {
            for result in [one.plus(other), one.minus(other), one.times(other), one.over(other)] {
                prop_assert!(result.is_none_or(|number| number.as_f64().is_finite()));
            }
        }

        #[test]
        fn integers_stay_integers_until_they_no_longer_fit(one: i32, other: i32) {
            let (a, b) = (Number::Int(one.into()), Number::Int(other.into()));
            prop_assert_eq!(a.plus(b), Some(Number::Int(i64::from(one) + i64::from(other))));
            prop_assert_eq!(a.minus(b), Some(Number::Int(i64::from(one) - i64::from(other))));
            prop_assert_eq!(a.times(b), Some(Number::Int(i64::from(one) * i64::from(other))));
        }

        #[test]
        fn json_gives_back_what_it_got(number in any_number()) {
            prop_assert_eq!(Number::from_json(&Value::from(number)), Some(number));
            let text = serde_json::to_string(&number).unwrap();
            prop_assert_eq!(Number::from_json(&serde_json::from_str(&text).unwrap()), Some(number));
        }
    }

    #[test]
    fn zero_has_no_sign() {
        let zero = Number::from_f64(-0.0).unwrap();
        assert_eq!(serde_json::to_string(&zero).unwrap(), "0.0");
        let product = Number::Int(0).times(Number::Float(-2.5)).unwrap();
        assert_eq!(serde_json::to_string(&product).unwrap(), "0.0");
        assert_eq!((fixed(-0.004, 2), fixed(-0.006, 2)), ("0.00".into(), "-0.01".into()));
    }

    #[test]
    fn what_is_no_number_is_unknown() {
        assert_eq!(Number::Int(1).over(Number::Float(0.0)), None);
        assert_eq!(Number::from_f64(f64::NAN), None);
        for value in [Value::Null, true.into(), "1".into()] {
            assert_eq!(Number::from_json(&value), None, "{value}");
        }
    }
}
