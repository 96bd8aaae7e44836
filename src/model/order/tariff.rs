//! A tariff that is ordered: passed on as it was given, and kept in the journal as a note of a few words.

use std::sync::Arc;

use serde_json::{Map, Value, json};

/// Letters of a name that the journal keeps.
const LONGEST_NAME: usize = 60;

/// What Tesla is to reckon with from now on.
#[derive(Clone, Debug, PartialEq)]
pub struct NewTariff {
    note: Note,
    /// Everything, as Tesla takes it; `None`: of an order in the journal, which keeps the note alone.
    settings: Option<Arc<Map<String, Value>>>,
}

/// What the journal keeps of it.
#[derive(Clone, Debug, Default, PartialEq)]
struct Note {
    name: Option<String>,
    utility: Option<String>,
    currency: Option<String>,
    /// Size as compact JSON.
    bytes: u64,
}

impl NewTariff {
    /// `settings`: with `tariff_content_v2`, an object. `None` if there is none.
    pub fn new(settings: Map<String, Value>) -> Option<Self> {
        let content = settings.get("tariff_content_v2")?.as_object()?;
        let text = |key: &str| content.get(key).and_then(Value::as_str).map(short);
        let bytes = serde_json::to_string(&settings).map_or(0, |text| text.len() as u64);
        let note = Note { name: text("name"), utility: text("utility"), currency: text("currency"), bytes };
        Some(Self { note, settings: Some(Arc::new(settings)) })
    }

    /// As Tesla takes it; `None` for an order that was read from the journal.
    pub fn settings(&self) -> Option<&Map<String, Value>> {
        self.settings.as_deref()
    }

    /// What it is called.
    pub fn name(&self) -> Option<&str> {
        self.note.name.as_deref()
    }

    pub(super) fn value(&self) -> Value {
        let Note { name, utility, currency, bytes } = &self.note;
        json!({ "name": name, "utility": utility, "currency": currency, "bytes": bytes })
    }

    /// Reads what [`NewTariff::value`] writes.
    pub(super) fn of_value(value: &Value) -> Option<Self> {
        let text = |key: &str| value[key].as_str().map(str::to_owned);
        let note = Note {
            name: text("name"),
            utility: text("utility"),
            currency: text("currency"),
            bytes: value["bytes"].as_u64()?,
        };
        Some(Self { note, settings: None })
    }
}

fn short(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).take(LONGEST_NAME).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_journal_keeps_a_note_however_large_the_tariff_is() {
        let name = "N\n".repeat(5000);
        let settings =
            json!({ "tariff_content_v2": { "name": name, "currency": "EUR", "x": "y".repeat(50_000) } });
        let tariff = NewTariff::new(settings.as_object().unwrap().clone()).unwrap();
        assert!(tariff.value().to_string().len() < 300, "{}", tariff.value());
        let read = NewTariff::of_value(&tariff.value()).unwrap();
        assert_eq!((read.name(), read.settings()), (tariff.name(), None));
        assert_eq!(tariff.name(), Some("N".repeat(LONGEST_NAME).as_str()));
        for none in [json!({}), json!({ "tariff_content_v2": [] }), json!({ "tariff_content": {} })] {
            assert_eq!(NewTariff::new(none.as_object().unwrap().clone()), None, "{none}");
        }
    }
}
