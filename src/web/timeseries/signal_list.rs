//! Every value of the signals, or every day, as a list of any length.

use std::collections::VecDeque;

use actix_web::HttpResponse;
use serde_json::json;

use super::super::State;
use super::super::tables::{Format, Pages, listed};
use super::Unanswered;
use super::asked::{Asked, Wrong};
use crate::store::StoreError;
use crate::store::history::History;
use crate::store::history::queries::signal_values::{Known, series};

/// Rows of a page, roughly.
const PAGE: usize = 4_000;
const VALUES: [&str; 5] = ["gateway_id", "device", "metric", "ts", "value"];
const DAYS: [&str; 8] = ["gateway_id", "device", "metric", "day", "min", "max", "mean", "count"];

/// What is still to be written.
struct Rest {
    history: History,
    format: Format,
    are_days: bool,
    /// `None`: it has not been read which there are.
    series: Option<VecDeque<Known>>,
    /// Of one gateway only.
    gateway: Option<String>,
    /// The values of each, Unix seconds.
    window: (f64, f64),
    /// From where the first series goes on, Unix seconds.
    from: f64,
}

/// The list that is asked for.
pub(super) async fn written(
    state: &State,
    asked: &Asked,
    format: Format,
) -> Result<HttpResponse, Unanswered> {
    let are_days = match asked.text("resolution") {
        None | Some("raw") => false,
        Some("daily") => true,
        Some(other) => return Err(Wrong::literal("resolution", other, "'raw' or 'daily'").into()),
    };
    let window = (asked.finite("start")?.unwrap_or(0.0), asked.finite("end")?.unwrap_or(f64::MAX));
    let head = if are_days { format.head(&DAYS) } else { format.head(&VALUES) };
    let gateway = asked.text("gateway").map(str::to_owned);
    let history = state.history.clone();
    let rest = Rest { history, format, are_days, series: None, gateway, window, from: window.0 };
    Ok(listed(format, head, rest).await?)
}

impl Pages for Rest {
    async fn next(&mut self) -> Result<Option<String>, StoreError> {
        let mut left = match self.series.take() {
            Some(left) => left,
            None => {
                let mut all = self.history.ask(series).await?;
                all.retain(|one| self.gateway.as_ref().is_none_or(|wanted| one.gateway == *wanted));
                all.into()
            }
        };
        let (format, are_days, (start, end), mut from) = (self.format, self.are_days, self.window, self.from);
        let page = self.history.ask(move |connection| {
            let (mut text, mut rows) = (String::new(), 0);
            while let Some(one) = left.front().filter(|_| rows < PAGE) {
                let key = || vec![json!(one.gateway), json!(one.series.device), json!(one.series.metric)];
                if are_days {
                    for day in one.days(connection)? {
                        let values = [json!(day.name), json!(day.least), json!(day.largest)];
                        let rest = [json!(day.mean), json!(day.count)];
                        format.put(&mut text, &DAYS, [key(), values.to_vec(), rest.to_vec()].concat());
                        rows += 1;
                    }
                    left.pop_front();
                    continue;
                }
                let values = one.values(connection, (from, end), PAGE)?;
                for (at, value) in &values {
                    format.put(&mut text, &VALUES, [key(), vec![json!(at), json!(value)]].concat());
                }
                rows += values.len();
                match values.last().filter(|_| values.len() == PAGE) {
                    Some((last, _)) => from = *last as f64 + 1.0,
                    None => {
                        left.pop_front();
                        from = start;
                    }
                }
            }
            Ok((text, left, from))
        });
        let (text, left, from) = page.await?;
        (self.series, self.from) = (Some(left), from);
        Ok(Some(text).filter(|text| !text.is_empty()))
    }
}
