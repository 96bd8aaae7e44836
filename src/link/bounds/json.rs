//! Weighs a JSON document: what the tree built of it would take in memory, in one pass over its bytes and
//! without any allocation.
//!
//! Says nothing about whether the document is valid. Up to the byte at which a parser gives up, both see the
//! same, so the parser never builds more than was weighed.

use super::{Bounds, DEPTH, ENTRIES, Excess};

/// Bytes of a [`serde_json::Value`].
const VALUE: usize = 72;
/// Bytes of an entry of an object: hash, key and value, and its place in the index.
const ENTRY: usize = 8 + 24 + VALUE + 16;
/// What the allocator adds to a text.
const ALLOCATION: usize = 16;

/// An object or list that is not closed yet.
#[derive(Clone, Copy, Default)]
struct Open {
    is_object: bool,
    entries: usize,
    /// For how many entries there is room.
    room: usize,
    /// Whether the next value is the first of a new entry.
    is_at_start: bool,
}

/// Adds up what the document takes.
struct Scale<'a> {
    bounds: &'a Bounds,
    memory: usize,
    open: [Open; DEPTH],
    depth: usize,
}

impl Scale<'_> {
    fn add(&mut self, bytes: usize) -> Result<(), Excess> {
        self.memory += bytes;
        match self.memory > self.bounds.memory {
            true => Err(Excess::Memory { most: self.bounds.memory }),
            false => Ok(()),
        }
    }

    /// A key or a value begins, and with it an entry, if it is the first of one.
    fn begin(&mut self) -> Result<(), Excess> {
        let Some(open) = self.depth.checked_sub(1).map(|innermost| &mut self.open[innermost]) else {
            return Ok(());
        };
        if !std::mem::take(&mut open.is_at_start) {
            return Ok(());
        }
        open.entries += 1;
        if open.entries > ENTRIES {
            return Err(Excess::Entries);
        }
        if open.entries <= open.room {
            return Ok(());
        }
        let before = open.room;
        open.room = match (before, open.is_object) {
            (0, false) => 4,
            (0, true) => 3,
            (3, true) => 7,
            (room, _) => room * 2,
        };
        let more = open.room - before;
        let entry = if open.is_object { ENTRY } else { VALUE };
        self.add(more * entry)
    }

    fn open(&mut self, is_object: bool) -> Result<(), Excess> {
        self.begin()?;
        if self.depth == DEPTH {
            return Err(Excess::Depth);
        }
        self.open[self.depth] = Open { is_object, is_at_start: true, ..Open::default() };
        self.depth += 1;
        Ok(())
    }

    fn text(&mut self, length: usize) -> Result<(), Excess> {
        if length > self.bounds.text {
            return Err(Excess::Text { most: self.bounds.text });
        }
        self.begin()?;
        self.add(length + ALLOCATION)
    }
}

/// What the tree of `json` takes in memory, at most.
pub(super) fn weigh(json: &[u8], bounds: &Bounds) -> Result<usize, Excess> {
    let mut scale = Scale { bounds, memory: VALUE, open: [Open::default(); DEPTH], depth: 0 };
    let mut at = 0;
    while let Some(byte) = json.get(at) {
        at += 1;
        match byte {
            b'{' => scale.open(true)?,
            b'[' => scale.open(false)?,
            b'}' | b']' => scale.depth = scale.depth.saturating_sub(1),
            b',' => {
                if let Some(innermost) = scale.depth.checked_sub(1) {
                    scale.open[innermost].is_at_start = true;
                }
            }
            b'"' => {
                let length = text_length(&json[at..]);
                scale.text(length)?;
                at += length + 1;
            }
            b':' | b' ' | b'\n' | b'\r' | b'\t' => {}
            _ => {
                scale.begin()?;
                let word = |byte: &u8| !matches!(byte, b'{' | b'}' | b'[' | b']' | b',' | b':' | b'"');
                at += json[at..].iter().take_while(|byte| word(byte)).count();
            }
        }
    }
    Ok(scale.memory)
}

/// Bytes up to the quote that ends a text, escapes as they are written; all there are, if none ends it.
fn text_length(rest: &[u8]) -> usize {
    let mut at = 0;
    while let Some(next) = rest[at..].iter().position(|byte| matches!(byte, b'"' | b'\\')) {
        at += next;
        if rest[at] == b'"' {
            return at;
        }
        at = (at + 2).min(rest.len());
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    const ANY: Bounds = Bounds { bytes: 1 << 30, memory: 1 << 30, text: 1 << 30 };

    /// What a tree takes, by the capacity of its parts where that can be seen.
    fn taken(value: &Value) -> usize {
        match value {
            Value::String(text) => text.capacity(),
            Value::Array(list) => list.capacity() * VALUE + list.iter().map(taken).sum::<usize>(),
            Value::Object(object) => {
                let entries = object.iter().map(|(key, value)| key.capacity() + taken(value)).sum::<usize>();
                object.len() * ENTRY + entries
            }
            _ => 0,
        }
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".{0,9}".prop_map(Value::from),
        ];
        leaf.prop_recursive(5, 60, 9, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..9).prop_map(Value::from),
                prop::collection::vec((".{0,5}", inner), 0..9)
                    .prop_map(|entries| Value::Object(entries.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_tree_takes_more_than_was_weighed(value in any_json()) {
            for text in [value.to_string(), serde_json::to_string_pretty(&value).unwrap()] {
                let built: Value = serde_json::from_str(&text).unwrap();
                let weighed = weigh(text.as_bytes(), &ANY).unwrap();
                prop_assert!(taken(&built) <= weighed, "{} > {weighed}: {text}", taken(&built));
            }
        }

        #[test]
        fn any_bytes_can_be_weighed(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = weigh(&bytes, &ANY);
        }
    }

    #[test]
    fn a_value_is_as_large_as_counted() {
        assert!(size_of::<Value>() <= VALUE, "{}", size_of::<Value>());
    }

    #[test]
    fn what_is_small_to_send_and_large_to_hold_is_refused() {
        let bounds = Bounds { bytes: 1 << 20, memory: 1 << 20, text: 100 };
        let padded = |fill: &str, times: usize| {
            // Many lists of a length that is allowed.
            let list = format!("[{}0],", fill.repeat(400));
            format!(r#"{{"site":1,"x":[{}0]}}"#, list.repeat(times))
        };
        for fill in [r#"{"a":{}},"#, "[0],", r#"{"":0},"#, "1,", r#""","#] {
            let error = bounds.check(padded(fill, 60).as_bytes()).unwrap_err();
            assert_eq!(error, Excess::Memory { most: 1 << 20 }, "{fill}");
        }
        let refused = |json: &str| bounds.check(json.as_bytes()).unwrap_err();
        assert_eq!(refused(&"[".repeat(33)), Excess::Depth);
        assert_eq!(refused(&format!("[{}0]", "0,".repeat(512))), Excess::Entries);
        let many: String = (0..513).map(|number| format!("\"{number}\":0,")).collect();
        assert_eq!(refused(&format!("{{{many}")), Excess::Entries);
        assert_eq!(refused(&format!("[\"{}\"]", "a".repeat(101))), Excess::Text { most: 100 });
        assert_eq!(refused(&format!("{{\"{}", "a".repeat(101))), Excess::Text { most: 100 });
        assert_eq!(refused(&" ".repeat((1 << 20) + 1)), Excess::Bytes { most: 1 << 20 });
        let fits =
            format!("{}[{}\"{}\"]{}", "[".repeat(31), "0,".repeat(511), "a".repeat(100), "]".repeat(31));
        assert_eq!(bounds.check(fits.as_bytes()), Ok(()));
    }

    #[test]
    fn quotes_and_brackets_in_texts_are_text() {
        let text = r#"{"a\"[[[[":"]}\\","b":["\\\"","{"]}"#;
        assert!(serde_json::from_str::<Value>(text).is_ok());
        let plain = r#"{"aaaaaaa":"aaaa","b":["aaaa","a"]}"#;
        assert_eq!(text.len(), plain.len());
        assert_eq!(weigh(text.as_bytes(), &ANY), weigh(plain.as_bytes(), &ANY));
    }
}
