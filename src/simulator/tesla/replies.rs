//! The envelope around whatever Tesla's cloud answers.

use serde_json::{Value, json};

use crate::simulator::http::Answer;

pub(super) fn error(status: u16, word: &str) -> Answer {
    Answer::new(status, json!({ "response": null, "error": word, "error_description": "" }).to_string())
}

pub(super) fn response(value: &Value) -> Answer {
    Answer::new(200, json!({ "response": value }).to_string())
}
