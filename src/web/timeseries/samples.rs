//! Power as it was recorded, poll by poll: the newest as a document, or all of it as a list of any length.

use std::collections::VecDeque;

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Map, Value, json};

use super::super::State;
use super::super::plumbing::json as json_body;
use super::super::route::Later;
use super::super::tables::{Format, Pages, listed};
use super::asked::{Asked, Wrong};
use super::{Unanswered, answered, configured, put_flows};
use crate::store::StoreError;
use crate::store::history::History;
use crate::store::history::batch::Sample;
use crate::store::history::queries::samples::Samples;

pub(in crate::web) fn samples(state: Data<State>, request: HttpRequest) -> Later {
    Box::pin(async move { shown(&state, &request).await.unwrap_or_else(Unanswered::answer) })
}

async fn shown(state: &State, request: &HttpRequest) -> Result<HttpResponse, Unanswered> {
    let asked = Asked::of(request);
    let (start, end) = (asked.number("start")?, asked.number("end")?);
    let most = asked.integer("limit", (1, 10_000), 500)?;
    if !state.history.is_on() {
        return Ok(answered(Ok(json!({ "enabled": false, "samples": [], "count": 0 }))));
    }
    let gateway = asked.text("gateway").map(str::to_owned);
    let format = asked.text("format");
    if let Some(format) = Format::read(format)
        .map_err(|()| Wrong::literal("format", format.unwrap_or_default(), "'csv' or 'jsonl'"))?
    {
        let gateways = gateway.map_or_else(|| configured(state), |one| vec![one]).into();
        let head = format.head(&COLUMNS);
        let rest = Rest { history: state.history.clone(), gateways, format, start, end, after: None };
        return Ok(listed(format, head, rest).await?);
    }
    // No sample is before or after what is no number.
    let is_window = [start, end].into_iter().flatten().all(f64::is_finite);
    let samples = Samples { gateway, start, end };
    let most = if is_window { u32::try_from(most).unwrap_or(0) } else { 0 };
    // Written row by row: a tree of all of them would be ten times as large.
    let body = state.history.ask(move |connection| {
        let rows = samples.newest(connection, most)?;
        let documents: Vec<String> =
            rows.iter().map(|(id, sample)| document(id, sample).to_string()).collect();
        let (list, count) = (documents.join(","), documents.len());
        Ok(format!("{{\"enabled\":true,\"samples\":[{list}],\"count\":{count}}}"))
    });
    let body = body.await?;
    let nothing = || r#"{"enabled":true,"samples":[],"count":0}"#.to_owned();
    Ok(json_body(if body.is_empty() { nothing().into() } else { body.into() }))
}

/// Rows of a page.
const PAGE: u32 = 4_000;
/// Of a table.
const COLUMNS: [&str; 9] = [
    "gateway_id",
    "ts",
    "solar_w",
    "home_w",
    "battery_charge_w",
    "battery_discharge_w",
    "grid_import_w",
    "grid_export_w",
    "soe",
];

/// The samples that are still to be written, gateway by gateway, in order.
struct Rest {
    history: History,
    gateways: VecDeque<String>,
    format: Format,
    start: Option<f64>,
    end: Option<f64>,
    /// When the last one of the gateway was taken.
    after: Option<f64>,
}

impl Pages for Rest {
    async fn next(&mut self) -> Result<Option<String>, StoreError> {
        while let Some(gateway) = self.gateways.front().cloned() {
            let start = self.after.map(f64::next_up).or(self.start);
            let (samples, format) = (Samples { gateway: Some(gateway), start, end: self.end }, self.format);
            let page = self.history.ask(move |connection| {
                let rows = samples.oldest(connection, PAGE)?;
                let mut text = String::new();
                for (id, sample) in &rows {
                    let power = sample.power.0.map(|watts| json!(watts));
                    let values = [json!(id), json!(sample.at)].into_iter().chain(power);
                    format.put(&mut text, &COLUMNS, values.chain([json!(sample.soe)]).collect());
                }
                Ok((text, rows.last().map(|(_, sample)| sample.at)))
            });
            let (text, last) = page.await?;
            self.after = last;
            if last.is_some() {
                return Ok(Some(text));
            }
            self.gateways.pop_front();
        }
        Ok(None)
    }
}

fn document(id: &str, sample: &Sample) -> Value {
    let mut document = Map::new();
    document.insert("gateway_id".into(), json!(id));
    document.insert("ts".into(), json!(sample.at));
    put_flows(&mut document, &sample.power, "w");
    document.insert("soe".into(), json!(sample.soe));
    document.into()
}
