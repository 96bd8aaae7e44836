//! Numbers and JSON as the server before ours wrote them into payloads.

use std::io;

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

/// With blanks behind commas and colons, and nothing beyond ASCII.
pub(super) fn json(value: &impl Serialize) -> String {
    let mut bytes = Vec::with_capacity(256);
    // Serialising a tree of values into memory cannot fail.
    let _ = value.serialize(&mut Serializer::with_formatter(&mut bytes, Spaced));
    String::from_utf8(bytes).unwrap_or_default()
}

struct Spaced;

impl Formatter for Spaced {
    fn begin_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }

    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, writer: &mut W, text: &str) -> io::Result<()> {
        let mut units = [0; 2];
        for character in text.chars() {
            if character.is_ascii() {
                write!(writer, "{character}")?;
                continue;
            }
            for unit in character.encode_utf16(&mut units) {
                write!(writer, "\\u{unit:04x}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::number::fixed;
    use serde_json::json;

    #[test]
    fn numbers_are_rounded_to_even_and_zero_has_no_sign() {
        assert_eq!(fixed(987.65, 1), "987.6");
        assert_eq!(fixed(42.5, 0), "42");
        assert_eq!(fixed(-0.04, 1), "0.0");
        assert_eq!(fixed(-0.5, 0), "0");
        assert_eq!(fixed(-2000.0, 1), "-2000.0");
    }

    #[test]
    fn json_has_blanks_and_is_ascii() {
        let value = json!({ "a": [1, 2.5, null], "°": "Höhe \"😀\"" });
        assert_eq!(json(&value), r#"{"a": [1, 2.5, null], "\u00b0": "H\u00f6he \"\ud83d\ude00\""}"#);
    }
}
