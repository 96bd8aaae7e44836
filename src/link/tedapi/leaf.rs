//! One leaf of a JSON document, replaced where it stands or added where it is missing: every other byte
//! stays as it is.
//!
//! A document is refused rather than guessed at: a key that is there twice, a leaf of another type, a parent
//! that is missing.

use std::fmt;
use std::ops::Range;

use serde::Deserializer;
use serde::de::{self, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

/// Why a document is left alone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LeafError {
    #[error("it is not a JSON document: {0}")]
    NoJson(String),
    #[error("it has no {0}")]
    Missing(String),
    #[error("its {0} is not a number")]
    NoNumber(String),
    #[error("its {0} is not text")]
    NoWord(String),
    #[error("its {0} is neither true nor false")]
    NoFlag(String),
    /// Replacing went wrong; nothing may be done with the result.
    #[error("its {0} does not read back after it was replaced")]
    DoesNotReadBack(String),
}

/// What a leaf holds. What stands there already must be of the same type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Leaf {
    Number(f64),
    Word(&'static str),
    Flag(bool),
}

/// What to do where the leaf is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IfMissing {
    Refuse,
    /// Gateways leave settings out that have their default value. `null` counts as left out.
    Add,
}

impl Leaf {
    fn json(self) -> Value {
        match self {
            Self::Number(number) => number.into(),
            Self::Word(word) => word.into(),
            Self::Flag(flag) => flag.into(),
        }
    }

    fn wrong_type(self, path: &[&str]) -> LeafError {
        match self {
            Self::Number(_) => LeafError::NoNumber(path.join(".")),
            Self::Word(_) => LeafError::NoWord(path.join(".")),
            Self::Flag(_) => LeafError::NoFlag(path.join(".")),
        }
    }

    fn is_type_of(self, value: &Value) -> bool {
        match self {
            Self::Number(_) => value.is_number(),
            Self::Word(_) => value.is_string(),
            Self::Flag(_) => value.is_boolean(),
        }
    }
}

/// The text at `path` in `document`, an object; `None`: everything but the last key is there.
///
/// # Errors
/// If the document is not JSON, names a key of the path twice, or has no parent for the leaf.
pub fn find<'a>(document: &'a str, path: &[&str]) -> Result<Option<&'a str>, LeafError> {
    let Some((last, parents)) = path.split_last() else { return Ok(Some(document)) };
    let mut text = document;
    for key in parents {
        let found = member(text, key).map_err(|error| LeafError::NoJson(error.to_string()))?;
        text = found.ok_or_else(|| LeafError::Missing(path.join(".")))?.get();
    }
    let found = member(text, last).map_err(|error| LeafError::NoJson(error.to_string()))?;
    Ok(found.map(RawValue::get))
}

/// The text at `path`.
///
/// # Errors
/// As [`find`], and if nothing is there.
pub fn text<'a>(document: &'a str, path: &[&str]) -> Result<&'a str, LeafError> {
    find(document, path)?.ok_or_else(|| LeafError::Missing(path.join(".")))
}

/// The number at `path`.
///
/// # Errors
/// As [`text`], and if no number is there.
pub fn number(document: &str, path: &[&str]) -> Result<f64, LeafError> {
    serde_json::from_str(text(document, path)?).map_err(|_| LeafError::NoNumber(path.join(".")))
}

/// `document` with another value at `path`.
///
/// # Errors
/// If a value of another type is there; if none is and none may be added; if `leaf` does not read back from
/// the result; and as [`find`].
pub fn set(document: &str, path: &[&str], leaf: Leaf, missing: IfMissing) -> Result<String, LeafError> {
    let json = leaf.json().to_string();
    let (place, written) = match find(document, path)? {
        Some(found) => {
            let value: Value = serde_json::from_str(found).map_err(|_| leaf.wrong_type(path))?;
            let may_replace = leaf.is_type_of(&value) || (value.is_null() && missing == IfMissing::Add);
            if !may_replace {
                return Err(leaf.wrong_type(path));
            }
            (place(document, found), json)
        }
        None if missing == IfMissing::Refuse => return Err(LeafError::Missing(path.join("."))),
        None => addition(document, path, &json)?,
    };
    let mut changed = String::with_capacity(document.len() + written.len());
    changed.push_str(&document[..place.start]);
    changed.push_str(&written);
    changed.push_str(&document[place.end..]);

    let read: Option<Value> = serde_json::from_str(text(&changed, path)?).ok();
    match read.is_some_and(|read| read == leaf.json() && leaf.is_type_of(&read)) {
        true => Ok(changed),
        false => Err(LeafError::DoesNotReadBack(path.join("."))),
    }
}

/// Where a member goes that its object does not have, and what is written there: after the last one.
fn addition(document: &str, path: &[&str], json: &str) -> Result<(Range<usize>, String), LeafError> {
    let missing = || LeafError::Missing(path.join("."));
    let (key, parents) = path.split_last().ok_or_else(missing)?;
    let object = if parents.is_empty() { document } else { text(document, parents)? };
    let inside = object.trim_end().strip_suffix('}').ok_or_else(missing)?.trim_end();
    let comma = if inside.ends_with('{') { "" } else { "," };
    let end = place(document, object).start + inside.len();
    Ok((end..end, format!("{comma}{}:{json}", Value::from(*key))))
}

/// Where `part`, which was cut from `whole`, begins in it.
fn place(whole: &str, part: &str) -> Range<usize> {
    let start = part.as_ptr() as usize - whole.as_ptr() as usize;
    start..start + part.len()
}

/// The member of an object that has this key, as it is written.
fn member<'a>(object: &'a str, key: &str) -> serde_json::Result<Option<&'a RawValue>> {
    let mut reader = serde_json::Deserializer::from_str(object);
    let found = reader.deserialize_map(Member(key))?;
    reader.end()?;
    Ok(found)
}

struct Member<'k>(&'k str);

impl<'de> Visitor<'de> for Member<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(key) = members.next_key::<String>()? {
            if key != self.0 {
                members.next_value::<IgnoredAny>()?;
            } else if found.replace(members.next_value()?).is_some() {
                return Err(de::Error::custom(format_args!("it has {key} twice")));
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Value, json};

    use super::*;
    use crate::model::{AppPercent, RawPercent, Reserve};

    const PATH: [&str; 2] = ["site_info", "backup_reserve_percent"];
    const RULE: [&str; 2] = ["site_info", "rule"];

    #[test]
    fn only_the_leaf_changes() {
        let before = "{ \"a\":1e9,\t\"site_info\" : {\"x\": 1.10, \"backup_reserve_percent\"  :24 \
            ,\"y\":\"\\u00e9\"},\n\"z\": null }\n";
        let after = "{ \"a\":1e9,\t\"site_info\" : {\"x\": 1.10, \"backup_reserve_percent\"  :43.0 \
            ,\"y\":\"\\u00e9\"},\n\"z\": null }\n";
        assert_eq!(set(before, &PATH, Leaf::Number(43.0), IfMissing::Refuse).unwrap(), after);
    }

    #[test]
    fn a_leaf_that_is_missing_is_added_after_the_others() {
        for (before, after) in [
            (r#"{"site_info":{}}"#, r#"{"site_info":{"rule":"never"}}"#),
            (r#"{"site_info":{ } }"#, r#"{"site_info":{"rule":"never" } }"#),
            (
                "{\"site_info\": {\"a\": \"}\" \n } ,\"z\":1e9}\n",
                "{\"site_info\": {\"a\": \"}\",\"rule\":\"never\" \n } ,\"z\":1e9}\n",
            ),
            (r#"{"site_info":{"rule":null}}"#, r#"{"site_info":{"rule":"never"}}"#),
            (r#"{"site_info":{"rule":"pv_only","b":1}}"#, r#"{"site_info":{"rule":"never","b":1}}"#),
        ] {
            assert_eq!(set(before, &RULE, Leaf::Word("never"), IfMissing::Add).unwrap(), after);
        }
        let refused = set(r#"{"site_info":{}}"#, &RULE, Leaf::Word("never"), IfMissing::Refuse);
        assert_eq!(refused, Err(LeafError::Missing("site_info.rule".into())));
        for document in ["{}", r#"{"site_info":[]}"#, r#"{"site_info":null}"#, r#"{"site_info":{"rule":1}}"#]
        {
            assert!(set(document, &RULE, Leaf::Word("never"), IfMissing::Add).is_err(), "{document}");
        }
        assert!(set(r#"{"site_info":{"rule":"true"}}"#, &RULE, Leaf::Flag(true), IfMissing::Add).is_err());
        assert_eq!(set(" { } ", &["a"], Leaf::Flag(true), IfMissing::Add).unwrap(), " {\"a\":true } ");
    }

    #[test]
    fn what_is_doubtful_is_left_alone() {
        for (document, part) in [
            ("", "not a JSON"),
            ("{}", "has no site_info"),
            ("[]", "not a JSON"),
            ("{\"site_info\":null}", "not a JSON"),
            ("{\"site_info\":{}}", "has no site_info.backup"),
            ("{\"site_info\":{\"backup_reserve_percent\":null}}", "not a number"),
            ("{\"site_info\":{\"backup_reserve_percent\":\"24\"}}", "not a number"),
            ("{\"site_info\":{\"backup_reserve_percent\":false}}", "not a number"),
            ("{\"site_info\":{\"backup_reserve_percent\":24}} x", "trailing"),
            ("{\"site_info\":{\"backup_reserve_percent\":24},\"a\":}", "not a JSON"),
            ("{\"site_info\":{\"backup_reserve_percent\":24},\"s\\u0069te_info\":{}}", "twice"),
            ("{\"site_info\":{\"backup_reserve_percent\":24,\"backup_reserve_percent\":24}}", "twice"),
            ("{\"site_info\":{\"backup_reserve_percent\":24}", "not a JSON"),
        ] {
            let error = set(document, &PATH, Leaf::Number(30.0), IfMissing::Refuse).unwrap_err().to_string();
            assert!(error.contains(part), "{document}: {error}");
        }
        let document = "{\"site_info\":{\"backup_reserve_percent\":24}}";
        assert!(set(document, &PATH, Leaf::Number(f64::NAN), IfMissing::Refuse).is_err());
    }

    /// Any JSON value.
    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            proptest::num::f64::NORMAL.prop_map(Value::from),
            ".{0,12}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 6, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                proptest::collection::hash_map(key(), inner, 0..6).prop_map(|map| map.into_iter().collect()),
            ]
        })
    }

    /// Keys that look like those of the path now and then.
    fn key() -> impl Strategy<Value = String> {
        prop_oneof![Just("backup_reserve_percent".to_owned()), Just("vin".to_owned()), ".{0,8}"]
    }

    fn members() -> impl Strategy<Value = Vec<(String, Value)>> {
        let other = key().prop_filter("the path's own", |key| !PATH.contains(&key.as_str()));
        proptest::collection::vec((other, value()), 0..8)
    }

    /// A configuration, with the reserve somewhere among other members. `pretty`: over several lines.
    fn config(
        outer: Vec<(String, Value)>,
        inner: Vec<(String, Value)>,
        at: (usize, usize),
        pretty: bool,
    ) -> String {
        let insert = |members: Vec<(String, Value)>, at: usize, key: &str, value: Value| {
            let at = at.min(members.len());
            let mut map: Map<String, Value> = members[..at].iter().cloned().collect();
            map.insert(key.into(), value);
            map.extend(members[at..].iter().cloned());
            Value::Object(map)
        };
        let inner = insert(inner, at.1, PATH[1], json!(24));
        let whole = insert(outer, at.0, PATH[0], inner);
        match pretty {
            true => serde_json::to_string_pretty(&whole).unwrap(),
            false => whole.to_string(),
        }
    }

    proptest! {
        #[test]
        fn every_other_byte_of_any_configuration_stays(
            outer in members(), inner in members(), at: (u8, u8), pretty: bool, percent in 0..=100_u8,
        ) {
            let before = config(outer, inner, (at.0.into(), at.1.into()), pretty);
            let reserve = Reserve::new(AppPercent(percent.into())).unwrap();
            let after = set(&before, &PATH, Leaf::Number(reserve.raw().0), IfMissing::Refuse).unwrap();

            // The leaf is found by means of its own: the marks around it, which occur in no other member.
            let start = place(&before, text(&before, &PATH).unwrap()).start;
            let mark = before[..start].trim_end_matches([' ', ':']);
            prop_assert!(mark.ends_with("\"backup_reserve_percent\""));
            let tail = &before[start + "24".len()..];
            prop_assert_eq!(&before[..start], &after[..start]);
            prop_assert!(after.ends_with(tail));
            let written = &after[start..after.len() - tail.len()];
            prop_assert_eq!(written.parse::<f64>().unwrap(), reserve.raw().0);

            // And as a document, only that member differs.
            let (mut was, mut is): (Value, Value) =
                (serde_json::from_str(&before).unwrap(), serde_json::from_str(&after).unwrap());
            prop_assert!(reserve.is(RawPercent(is[PATH[0]][PATH[1]].as_f64().unwrap())));
            was[PATH[0]][PATH[1]] = Value::Null;
            is[PATH[0]][PATH[1]] = Value::Null;
            prop_assert_eq!(was, is);
        }

        #[test]
        fn every_byte_of_any_configuration_stays_when_a_leaf_is_added(
            outer in members(), inner in members(), at: (u8, u8), pretty: bool,
        ) {
            let before = config(outer, inner, (at.0.into(), at.1.into()), pretty);
            let object = text(&before, &PATH[..1]).unwrap();
            prop_assume!(find(&before, &RULE).unwrap().is_none());
            let after = set(&before, &RULE, Leaf::Word("never"), IfMissing::Add).unwrap();
            let added = ",\"rule\":\"never\"";
            let Range { start, end } = place(&before, object);
            let is_there = |at: &usize| {
                after.as_bytes()[*at..].starts_with(added.as_bytes()) && before[*at..end].trim() == "}"
            };
            let at = (start..end).filter(|at| before.is_char_boundary(*at)).find(is_there).unwrap();
            prop_assert_eq!(format!("{}{}{}", &before[..at], added, &before[at..]), after.clone());
            let (mut was, is): (Value, Value) =
                (serde_json::from_str(&before).unwrap(), serde_json::from_str(&after).unwrap());
            was["site_info"]["rule"] = "never".into();
            prop_assert_eq!(was, is);
        }

        #[test]
        fn a_reserve_reads_back_as_it_was_written(percent in 0..=1000_u16) {
            let app = f64::from(percent) / 10.0;
            let reserve = Reserve::new(AppPercent(app)).unwrap();
            let before = "{\"site_info\":{\"backup_reserve_percent\":24}}";
            let after = set(before, &PATH, Leaf::Number(reserve.raw().0), IfMissing::Refuse).unwrap();
            let read = RawPercent(number(&after, &PATH).unwrap());
            prop_assert!(reserve.is(read) && (read.to_app_reserve().0 - app).abs() < 1e-9);
        }

        #[test]
        fn junk_is_no_panic(junk in ".{0,60}") {
            let _ = set(&junk, &PATH, Leaf::Number(30.0), IfMissing::Refuse);
            let _ = set(&junk, &RULE, Leaf::Word("never"), IfMissing::Add);
        }
    }
}
