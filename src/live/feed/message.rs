//! What a client gets: JSON once, in the framing of either transport, shared by all who get it.

use std::convert::Infallible;

use bytes::{BufMut, Bytes, BytesMut};
use bytestring::ByteString;
use futures_util::stream::{self, Stream};
use serde::Serialize;

/// A point in the feed: `<epoch>-<number>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub epoch: String,
    pub seq: u64,
}

impl Place {
    /// `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let (epoch, seq) = text.trim().rsplit_once('-')?;
        Some(Self { epoch: epoch.to_owned(), seq: seq.parse().ok()? })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    State,
    Change,
    Beat,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::State => "state",
            Self::Change => "change",
            Self::Beat => "beat",
        }
    }
}

/// One message. Immutable, shared as `Arc`.
#[derive(Debug)]
pub struct Message {
    pub kind: Kind,
    /// Number of the last change in it.
    pub seq: u64,
    /// The JSON object.
    pub json: ByteString,
}

impl Message {
    pub(super) fn new(kind: Kind, seq: u64, json: BytesMut) -> Self {
        // Written by serde_json, which writes UTF-8.
        let json = ByteString::try_from(json.freeze()).unwrap_or_default();
        Self { kind, seq, json }
    }

    /// As a server-sent event. The JSON in it is this one, however many clients get it.
    pub fn event(&self, epoch: &str) -> impl Stream<Item = Result<Bytes, Infallible>> + use<> {
        let (kind, seq) = (self.kind.name(), self.seq);
        let head = Bytes::from(format!("event: {kind}\nid: {epoch}-{seq}\ndata: "));
        let event = [head, self.json.as_bytes().clone(), Bytes::from_static(b"\n\n")];
        stream::iter(event.map(Ok))
    }
}

/// Writes one JSON object field by field, some of them rendered before.
pub(super) struct ObjectWriter {
    bytes: BytesMut,
    is_empty: bool,
}

impl ObjectWriter {
    pub fn with_capacity(capacity: usize) -> Self {
        let mut bytes = BytesMut::with_capacity(capacity);
        bytes.put_u8(b'{');
        Self { bytes, is_empty: true }
    }

    fn key(&mut self, key: &str) {
        if !self.is_empty {
            self.bytes.put_u8(b',');
        }
        self.is_empty = false;
        put(&mut self.bytes, &key);
        self.bytes.put_u8(b':');
    }

    pub fn field(&mut self, key: &str, value: &impl Serialize) -> &mut Self {
        self.key(key);
        put(&mut self.bytes, value);
        self
    }

    /// An object of rendered values.
    pub fn object<'a>(
        &mut self,
        key: &str,
        rendered: impl IntoIterator<Item = (&'a str, &'a Bytes)>,
    ) -> &mut Self {
        self.key(key);
        self.bytes.put_u8(b'{');
        for (index, (key, value)) in rendered.into_iter().enumerate() {
            if index > 0 {
                self.bytes.put_u8(b',');
            }
            put(&mut self.bytes, &key);
            self.bytes.put_u8(b':');
            self.bytes.put_slice(value);
        }
        self.bytes.put_u8(b'}');
        self
    }

    pub fn end(mut self) -> BytesMut {
        self.bytes.put_u8(b'}');
        self.bytes
    }
}

fn put(bytes: &mut BytesMut, value: &impl Serialize) {
    // Serialising into memory cannot fail.
    let _ = serde_json::to_writer(bytes.writer(), value);
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;

    use super::*;

    #[test]
    fn a_place_is_an_epoch_and_a_number() {
        let place = Place { epoch: "9f86".into(), seq: 41 };
        assert_eq!(Place::parse("9f86-41"), Some(place));
        for nonsense in ["", "-", "41", "9f86-", "9f86-x", "9f86--1", "9f86-99999999999999999999"] {
            let parsed = Place::parse(nonsense);
            assert!(parsed.is_none_or(|place| place.epoch != "9f86"), "{nonsense}");
        }
    }

    #[tokio::test]
    async fn an_event_has_one_line_of_data_whatever_the_text_contains() {
        let mut object = ObjectWriter::with_capacity(16);
        object
            .field("name", &"two\nlines\r\n\ndata: \"x\"")
            .object("state", [("a/b", &Bytes::from_static(b"1"))]);
        let message = Message::new(Kind::Change, 7, object.end());
        let event: Vec<Bytes> = message.event("e").map(Result::unwrap).collect().await;
        let event = event.concat();
        let event = std::str::from_utf8(&event).unwrap();
        let data =
            event.strip_prefix("event: change\nid: e-7\ndata: ").unwrap().strip_suffix("\n\n").unwrap();
        assert!(!data.contains(['\n', '\r']));
        let value: serde_json::Value = serde_json::from_str(data).unwrap();
        assert_eq!(
            value,
            serde_json::json!({ "name": "two\nlines\r\n\ndata: \"x\"", "state": { "a/b": 1 } })
        );
    }
}
