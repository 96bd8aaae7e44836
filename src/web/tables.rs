//! Lists of any length as CSV or JSON lines: page after page, each read when the one before was taken.

use std::future::Future;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::HeaderValue;
use bytes::Bytes;
use futures_util::stream;
use serde_json::{Map, Value};

use super::journal::CSV;
use super::plumbing::streamed;
use crate::store::StoreError;

/// As registered for newline-delimited JSON by those who use it; there is no official one.
pub(super) const LINES: &str = "application/x-ndjson";
/// What `format` may be.
pub(super) const FORMATS: &str = "csv or jsonl (a JSON object for each row): all of it, of any length";

/// How a list is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Csv,
    Lines,
}

impl Format {
    /// `Err`: it is none.
    pub fn read(text: Option<&str>) -> Result<Option<Self>, ()> {
        match text {
            None | Some("") => Ok(None),
            Some("csv") => Ok(Some(Self::Csv)),
            Some("jsonl") => Ok(Some(Self::Lines)),
            Some(_) => Err(()),
        }
    }

    /// What stands before the first row.
    pub fn head(self, names: &[&str]) -> String {
        match self {
            Self::Csv => names.join(",") + "\r\n",
            Self::Lines => String::new(),
        }
    }

    /// Writes a row: a value for each name.
    pub fn put(self, text: &mut String, names: &[&str], values: Vec<Value>) {
        match self {
            Self::Csv => {
                let fields: Vec<String> = values.iter().map(field).collect();
                text.push_str(&fields.join(","));
                text.push_str("\r\n");
            }
            Self::Lines => {
                let names = names.iter().map(|name| (*name).to_owned());
                let row: Map<String, Value> = names.zip(values).collect();
                text.push_str(&Value::from(row).to_string());
                text.push('\n');
            }
        }
    }

    fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Csv => CSV,
            Self::Lines => LINES,
        })
    }
}

/// A field of a table. What is unknown is empty.
fn field(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) if text.contains([',', '"', '\r', '\n']) => {
            format!("\"{}\"", text.replace('"', "\"\""))
        }
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A list, page by page.
pub(super) trait Pages {
    /// The next page, with at least one row; `None`: there are no more.
    fn next(&mut self) -> impl Future<Output = Result<Option<String>, StoreError>>;
}

/// The answer with `head` and all of `pages`. The first one is read before anything is answered, so that a
/// file that cannot be read is said with a status.
pub(super) async fn listed(
    format: Format,
    head: String,
    mut pages: impl Pages + 'static,
) -> Result<HttpResponse, StoreError> {
    let first = head + &pages.next().await?.unwrap_or_default();
    let rest = stream::try_unfold((Some(first), pages), |(ready, mut pages)| async move {
        let page = match ready {
            Some(ready) => Some(ready),
            None => pages.next().await?,
        };
        Ok::<_, StoreError>(page.map(|page| (Bytes::from(page), (None, pages))))
    });
    Ok(streamed(StatusCode::OK, format.content_type(), rest))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_row_is_a_line_in_either_form_and_what_is_unknown_is_empty_or_null() {
        let names = ["gateway", "ts", "home_w"];
        let row = || vec![json!("my \"home\", 1"), json!(5.25), Value::Null];
        let mut text = Format::Csv.head(&names);
        Format::Csv.put(&mut text, &names, row());
        assert_eq!(text, "gateway,ts,home_w\r\n\"my \"\"home\"\", 1\",5.25,\r\n");
        let mut text = Format::Lines.head(&names);
        Format::Lines.put(&mut text, &names, row());
        assert_eq!(text, "{\"gateway\":\"my \\\"home\\\", 1\",\"ts\":5.25,\"home_w\":null}\n");
        assert_eq!((Format::read(Some("")), Format::read(Some("xml"))), (Ok(None), Err(())));
    }
}
