//! Reads YAML and JSON so that a scalar keeps its spelling, keys are given once, and merge keys count. What
//! the keys mean is left to [`super::load`] and [`super::gateways`].
//!
//! A number stays a number only if it is written the way it would be written back. `12E45`, `0x1F` or `1.50`
//! in a field for a text are what somebody typed, and the usual readers would change them.

use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Number, Value};

/// Values in one document, aliases counted as often as they are used: far more than anybody has gateways.
const MOST_VALUES: usize = 50_000;
/// Lists and mappings within each other.
const DEEPEST: usize = 32;
const MERGE: &str = "<<";

/// Reads one YAML document, which a JSON document is as well.
///
/// # Errors
/// With what is wrong and where, without the text around it, which may be a secret.
pub(super) fn yaml(text: &str) -> Result<Value, String> {
    let mut reading = Reading::default();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| {
            let (line, column) = (error.marker().line(), error.marker().col() + 1);
            let tab = if has_tab(text, line) { TABS } else { "" };
            format!("not valid YAML or JSON at line {line} column {column}{tab}")
        })?;
        reading.take(event, span).map_err(|what| format!("{what} (line {})", span.start.line()))?;
    }
    Ok(reading.document.unwrap_or_default())
}

const TABS: &str = ": YAML takes no tab for an indentation; use spaces";

/// Whether one of the lines that an error at `line` is about is indented with a tab.
fn has_tab(text: &str, line: usize) -> bool {
    let around = text.lines().skip(line.saturating_sub(2)).take(3);
    around.into_iter().any(|line| line[..line.len() - line.trim_start().len()].contains('\t'))
}

/// A document in the making.
#[derive(Default)]
struct Reading {
    /// Lists and mappings that are not complete, outermost first.
    open: Vec<Open>,
    /// What aliases stand for, by the number of the anchor.
    anchors: Vec<(usize, Value)>,
    /// Values so far.
    values: usize,
    document: Option<Value>,
}

/// A list or mapping that is not complete.
struct Open {
    anchor: usize,
    kind: Kind,
}

enum Kind {
    List(Vec<Value>),
    Mapping {
        own: Map<String, Value>,
        /// What merge keys bring; own keys win over it.
        merged: Map<String, Value>,
        /// The key whose value comes next.
        key: Option<Key>,
    },
}

enum Key {
    Name(String),
    Merge,
}

impl Reading {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), String> {
        match event {
            Event::DocumentStart(_) if self.document.is_some() => Err("a second document begins here".into()),
            Event::Scalar(text, style, anchor, tag) => {
                let is_plain = style == ScalarStyle::Plain;
                if let Some(Open { kind: Kind::Mapping { key: key @ None, .. }, .. }) = self.open.last_mut() {
                    let is_merge = is_plain && text == MERGE;
                    *key = Some(if is_merge { Key::Merge } else { Key::Name(text.into_owned()) });
                    return Ok(());
                }
                let value = scalar(&text, is_plain, tag.as_deref())?;
                self.complete(value, anchor)
            }
            Event::SequenceStart(anchor, _) => self.begin(anchor, Kind::List(Vec::new())),
            Event::MappingStart(anchor, _) => {
                let (own, merged) = (Map::new(), Map::new());
                self.begin(anchor, Kind::Mapping { own, merged, key: None })
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(Open { anchor, kind: Kind::List(list) }) => self.complete(Value::Array(list), anchor),
                Some(Open { anchor, kind: Kind::Mapping { own, mut merged, .. } }) => {
                    merged.retain(|key, _| !own.contains_key(key));
                    self.complete(Value::Object(own.into_iter().chain(merged).collect()), anchor)
                }
                None => Ok(()),
            },
            Event::Alias(anchor) => {
                let known = self.anchors.iter().rev().find(|(known, _)| *known == anchor);
                let value = known.map(|(_, value)| value.clone());
                let value = value.ok_or("an alias stands for something that is not complete")?;
                self.check(&value, span)?;
                self.complete(value, 0)
            }
            _ => Ok(()),
        }
    }

    fn begin(&mut self, anchor: usize, kind: Kind) -> Result<(), String> {
        if let Some(Open { kind: Kind::Mapping { key: None, .. }, .. }) = self.open.last() {
            return Err("a key must be a text".into());
        }
        if self.open.len() >= DEEPEST {
            return Err(format!("more than {DEEPEST} lists and mappings within each other"));
        }
        self.open.push(Open { anchor, kind });
        Ok(())
    }

    /// Counts what an alias stands for.
    fn check(&mut self, value: &Value, _: Span) -> Result<(), String> {
        let (values, depth) = extent(value);
        self.values += values;
        match self.open.len() + depth > DEEPEST {
            true => Err(format!("more than {DEEPEST} lists and mappings within each other")),
            false => Ok(()),
        }
    }

    /// Puts a value where it belongs.
    fn complete(&mut self, value: Value, anchor: usize) -> Result<(), String> {
        self.values += 1;
        if self.values > MOST_VALUES {
            return Err(format!("more than {MOST_VALUES} values"));
        }
        if anchor > 0 {
            self.anchors.push((anchor, value.clone()));
        }
        match self.open.last_mut().map(|open| &mut open.kind) {
            None => self.document = Some(value),
            Some(Kind::List(list)) => list.push(value),
            Some(Kind::Mapping { own, merged, key }) => match key.take() {
                None => return Err("a key must be a text".into()),
                Some(Key::Merge) => merge(merged, value)?,
                Some(Key::Name(name)) => {
                    if own.insert(name.clone(), value).is_some() {
                        return Err(twice(&name));
                    }
                }
            },
        }
        Ok(())
    }
}

fn twice(key: &str) -> String {
    format!("the key {key:?} is given twice")
}

/// Adds a mapping, or each of a list of mappings, to what is merged already and wins.
fn merge(merged: &mut Map<String, Value>, value: Value) -> Result<(), String> {
    let sources = match value {
        Value::Array(list) => list,
        one => vec![one],
    };
    for source in sources {
        let Value::Object(source) = source else {
            return Err("<< takes a mapping or a list of mappings".into());
        };
        for (key, value) in source {
            merged.entry(key).or_insert(value);
        }
    }
    Ok(())
}

/// Values in `value`, and how many of them are within each other.
fn extent(value: &Value) -> (usize, usize) {
    let of_all = |parts: &mut dyn Iterator<Item = &Value>| {
        let whole = parts
            .map(extent)
            .fold((0, 0), |(sum, deepest), (values, depth)| (sum + values, deepest.max(depth)));
        (whole.0 + 1, whole.1 + 1)
    };
    match value {
        Value::Array(list) => of_all(&mut list.iter()),
        Value::Object(object) => of_all(&mut object.values()),
        _ => (1, 0),
    }
}

/// A scalar by the core schema, but for numbers that are not written the usual way.
fn scalar(text: &str, is_plain: bool, tag: Option<&Tag>) -> Result<Value, String> {
    let is_text = tag.is_some_and(|tag| tag.is_yaml_core_schema() && tag.suffix == "str");
    if let Some(tag) = tag.filter(|_| !is_text) {
        return Err(format!("the tag !{} is not known", tag.suffix));
    }
    Ok(match text {
        text if is_text || !is_plain => text.into(),
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => true.into(),
        "false" | "False" | "FALSE" => false.into(),
        text => number(text).unwrap_or_else(|| text.into()),
    })
}

/// The number in `text`, if it is written the way it would be written back.
fn number(text: &str) -> Option<Value> {
    let number: Number = text.parse().ok()?;
    (number.to_string() == text).then_some(Value::Number(number))
}

/// What is wrong with a JSON text.
pub(super) enum NotJson {
    Syntax(serde_json::Error),
    /// Said without a value.
    Content(String),
}

/// Reads one JSON document.
///
/// # Errors
/// If it is none, or a key is given twice in it.
pub(super) fn json(text: &str) -> Result<Value, NotJson> {
    // Bounds the depth as well, and knows line and column.
    serde_json::from_str::<Value>(text).map_err(NotJson::Syntax)?;
    keep_spelling(text)
}

fn keep_spelling(text: &str) -> Result<Value, NotJson> {
    let text = text.trim();
    match text.as_bytes().first() {
        Some(b'[') => {
            let list: Vec<&RawValue> = serde_json::from_str(text).map_err(NotJson::Syntax)?;
            list.into_iter().map(|raw| keep_spelling(raw.get())).collect()
        }
        Some(b'{') => {
            let Entries(entries) = serde_json::from_str(text).map_err(NotJson::Syntax)?;
            let mut object = Map::new();
            for (key, raw) in entries {
                if object.contains_key(&key) {
                    return Err(NotJson::Content(twice(&key)));
                }
                object.insert(key, keep_spelling(raw.get())?);
            }
            Ok(Value::Object(object))
        }
        Some(b'-' | b'0'..=b'9') => Ok(number(text).unwrap_or_else(|| text.into())),
        _ => serde_json::from_str(text).map_err(NotJson::Syntax),
    }
}

/// The entries of a JSON object, each key as often as it is given.
struct Entries<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Entries<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct All;

        impl<'de> Visitor<'de> for All {
            type Value = Entries<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }

        deserializer.deserialize_map(All)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn scalars_keep_their_spelling() {
        for text in ["12E45", "1e5", "0x1F3", "0o17", "1.50", "+1234", "007", "-0", "1_000", "12:30:45", ".5"]
        {
            assert_eq!(yaml(&format!("password: {text}")).unwrap(), json!({ "password": text }));
        }
        for text in ["12E45", "1e5", "1.50", "-0", "100000000000000000000000"] {
            let read = json(&format!(r#"{{"password": {text}}}"#)).ok().unwrap();
            assert_eq!(read["password"], text);
        }
        for text in ["1234", "-7", "2.5"] {
            assert!(yaml(text).unwrap().is_number(), "{text}");
        }
        let texts = "[!!str 12, '~', \"null\", ~, null, true, yes, No]";
        assert_eq!(yaml(texts).unwrap(), json!(["12", "~", "null", null, null, true, "yes", "No"]));
        assert_eq!(yaml("[1, !!int \"3\"]").unwrap_err(), "the tag !int is not known (line 1)");
    }

    #[test]
    fn merge_keys_fill_what_is_not_given() {
        let text =
            "a: &a {x: 1, y: 2}\nb: &b {y: 3, z: 4}\nc:\n  <<: *a\n  y: 5\nd: {<<: [*b, *a]}\n'<<': 1\n";
        let read = yaml(text).unwrap();
        assert_eq!(read["c"], json!({ "y": 5, "x": 1 }));
        assert_eq!(read["d"], json!({ "y": 3, "z": 4, "x": 1 }));
        assert!(yaml("<<: 1").unwrap_err().starts_with("<< takes a mapping"));
    }

    #[test]
    fn a_key_that_is_given_twice_is_refused() {
        assert_eq!(yaml("a: 1\nb: 2\na: 3\n").unwrap_err(), "the key \"a\" is given twice (line 3)");
        let Err(NotJson::Content(what)) = json(r#"[{"a":1,"\u0061":2}]"#) else { panic!() };
        assert_eq!(what, "the key \"a\" is given twice");
    }

    #[test]
    fn tabs_are_explained() {
        for text in ["a:\n\t- b\n", "a:\n  b: 1\n\tc: 2\n", "a:\n  - b: 1\n\t c: 2\n"] {
            let why = yaml(text).unwrap_err();
            assert!(why.ends_with(TABS), "{text:?}: {why}");
        }
        let why = yaml("a: [").unwrap_err();
        assert!(why.starts_with("not valid YAML or JSON at line") && !why.contains("tab"), "{why}");
    }

    #[test]
    fn a_small_file_cannot_become_a_large_document() {
        let mut bomb = "a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n".to_owned();
        for level in 1..9 {
            let below = format!("*a{}, ", level - 1).repeat(10);
            bomb += &format!("a{level}: &a{level} [{below}]\n");
        }
        assert!(yaml(&bomb).unwrap_err().starts_with("more than 50000 values"));
        assert!(yaml(&"[".repeat(1000)).is_err());
        assert!(yaml(&format!("{}{}", "[".repeat(40), "]".repeat(40))).is_err());
        assert!(yaml("a: &a [*a]").is_err());
        assert!(yaml("a: 1\n---\nb: 2\n").unwrap_err().starts_with("a second document"));
        assert!(yaml("[a]: 1").unwrap_err().starts_with("a key must be a text"));
    }
}
