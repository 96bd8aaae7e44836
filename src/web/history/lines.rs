//! `/api/history` as CSV or JSON lines, of any length: stretch by stretch.

use std::collections::VecDeque;

use actix_web::HttpResponse;
use serde_json::json;

use super::super::tables::{Format, Pages, listed};
use super::{Plan, head, lines, row};
use crate::store::StoreError;
use crate::store::history::History;
use crate::store::history::queries::energy::{Bucket, Energy, Question, first_slot};
use crate::store::history::queries::zone;

/// Seconds that are read at once where a row is a quarter of an hour or an hour, whole numbers of both.
const STRETCH: f64 = 31.0 * 86_400.0;

/// What is still to be written.
struct Rest {
    history: History,
    plan: Plan,
    format: Format,
    /// The gateways that have not been begun, with the zone that they report.
    gateways: VecDeque<(String, Option<String>)>,
    /// The rest of the one that is being written.
    current: Option<Question>,
}

/// Why nothing is written.
pub(super) enum Unwritten {
    /// A parameter is not valid.
    Bad(&'static str),
    Store(StoreError),
}

impl From<StoreError> for Unwritten {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// All rows that `plan` asks for.
pub(super) async fn written(
    history: &History,
    plan: Plan,
    format: Format,
    gateways: Vec<(String, Option<String>)>,
) -> Result<HttpResponse, Unwritten> {
    // What is wrong is wrong in any zone.
    plan.question("", None, None).map_err(Unwritten::Bad)?;
    let head = if format == Format::Csv { head() } else { String::new() };
    let rest = Rest { history: history.clone(), plan, format, gateways: gateways.into(), current: None };
    Ok(listed(format, head, rest).await?)
}

impl Rest {
    /// Begins with the next gateway; `false`: there is none.
    async fn begin(&mut self) -> Result<bool, StoreError> {
        let Some((id, reported)) = self.gateways.pop_front() else { return Ok(false) };
        let plan = self.plan;
        let question = self.history.ask(move |connection| {
            let name = match reported {
                Some(name) => Some(name),
                None => zone(connection, &id)?,
            };
            let Ok(mut question) = plan.question(&id, name.as_deref(), None) else { return Ok(None) };
            if matches!(question.bucket, Bucket::Slot | Bucket::Hour) {
                let Some(first) = first_slot(connection, &id)? else { return Ok(None) };
                // Nothing was recorded before.
                question.start = question.start.max((first / 3600.0).floor() * 3600.0);
            }
            Ok(Some(question).filter(|question| question.start < question.end))
        });
        self.current = question.await?;
        Ok(true)
    }
}

impl Pages for Rest {
    async fn next(&mut self) -> Result<Option<String>, StoreError> {
        loop {
            let Some(question) = self.current.take() else {
                if !self.begin().await? {
                    return Ok(None);
                }
                continue;
            };
            let is_long = matches!(question.bucket, Bucket::Slot | Bucket::Hour);
            let beginning = (question.start / 3600.0).floor() * 3600.0;
            let end = if is_long { question.end.min(beginning + STRETCH) } else { question.end };
            let stretch = Question { end, ..question.clone() };
            if end < question.end {
                self.current = Some(Question { start: end, ..question });
            }
            let format = self.format;
            let text = self.history.ask(move |connection| {
                let energy = stretch.answer(connection)?;
                Ok(rendered(format, &stretch.gateway, &energy))
            });
            let text = text.await?;
            if !text.is_empty() {
                return Ok(Some(text));
            }
        }
    }
}

fn rendered(format: Format, gateway: &str, energy: &Energy) -> String {
    let mut text = String::new();
    match format {
        Format::Csv => lines(&mut text, gateway, energy),
        Format::Lines => {
            for one in &energy.rows {
                let mut document = row(one);
                document["gateway"] = json!(gateway);
                text.push_str(&document.to_string());
                text.push('\n');
            }
        }
    }
    text
}
