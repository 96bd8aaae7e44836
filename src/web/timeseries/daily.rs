//! Energy by day.

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use futures_util::stream::{self, Stream};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use super::super::State;
use super::super::plumbing::{JSON, json as answer, streamed};
use super::super::route::Later;
use super::asked::{Asked, Wrong};
use super::{Unanswered, answered, configured, put_flows, zone_of};
use crate::clock::unix_time;
use crate::store::StoreError;
use crate::store::history::History;
use crate::store::history::queries::daily::{DayRow, Days};
use crate::store::history::queries::zone;

/// Rows of a page: what is in memory at once, and what is answered in one piece.
const PAGE: usize = 4_000;
const DAY: f64 = 86_400.0;

pub(in crate::web) fn daily(state: Data<State>, request: HttpRequest) -> Later {
    Box::pin(async move { shown(&state, &request).await.unwrap_or_else(Unanswered::answer) })
}

async fn shown(state: &State, request: &HttpRequest) -> Result<HttpResponse, Unanswered> {
    let asked = Asked::of(request);
    let most = asked.integer("days", (1, 366), 7)?;
    let (first, last) = (asked.date("start")?, asked.date("end")?);
    if first.as_ref().zip(last.as_ref()).is_some_and(|(first, last)| first > last) {
        return Err(Wrong::value("start", "must not be after end").into());
    }
    if !state.history.is_on() {
        return Ok(answered(Ok(json!({ "enabled": false, "days": [], "last_updated": null }))));
    }
    let is_range = first.is_some() || last.is_some();
    let first = first.or_else(|| day_of(unix_time() - most as f64 * DAY, &TimeZone::UTC)).filter(|_| {
        // A range without a beginning has none.
        !is_range || asked.text("start").is_some()
    });
    let gateway = asked.text("gateway").map(str::to_owned);
    let gateways = if gateway.is_some() { 1 } else { state.directory.all().len() };
    let mut list = List {
        history: state.history.clone(),
        days: Days { gateway, first, last, before: None },
        left: if is_range { usize::MAX } else { most as usize },
        page: (PAGE / gateways.max(1)).clamp(10, 400),
        written: Some(Written::default()),
    };
    let first = list.next().await?;
    Ok(match list.written {
        None => answer(first),
        Some(_) => streamed(StatusCode::OK, JSON, pages(first, list)),
    })
}

/// Different days in `rows`, which are sorted by day.
fn count(rows: &[DayRow]) -> usize {
    rows.chunk_by(|one, other| one.day == other.day).count()
}

/// What has been written of a list of days.
#[derive(Default)]
struct Written {
    any: bool,
    /// When anything in it was measured last.
    last: Option<f64>,
}

impl Written {
    /// Writes whole days; brings the last of them.
    fn put(&mut self, body: &mut Vec<u8>, rows: &[DayRow]) -> Option<String> {
        for day in rows.chunk_by(|one, other| one.day == other.day) {
            if std::mem::replace(&mut self.any, true) {
                body.push(b',');
            }
            let gateways: Map<String, Value> =
                day.iter().map(|row| (row.gateway.clone(), document(row))).collect();
            let name = day.first().map(|row| row.day.as_str());
            body.extend(json!({ "day": name, "gateways": gateways }).to_string().into_bytes());
            for last in day.iter().filter_map(|row| row.last) {
                self.last = Some(self.last.map_or(last, |known| known.max(last)));
            }
        }
        rows.last().map(|row| row.day.clone())
    }

    fn end(self, body: &mut Vec<u8>) {
        body.extend(format!("],\"last_updated\":{}}}", json!(self.last)).into_bytes());
    }
}

/// A list of days, page by page.
struct List {
    history: History,
    days: Days,
    /// Days that may still come.
    left: usize,
    /// Days of a page.
    page: usize,
    /// `None`: the end has been written.
    written: Option<Written>,
}

impl List {
    /// The next page; rendered where it is read, beside the threads that answer.
    async fn next(&mut self) -> Result<Bytes, StoreError> {
        let Some(mut written) = self.written.take() else { return Ok(Bytes::new()) };
        let mut body = Vec::new();
        if !written.any {
            body.extend(br#"{"enabled":true,"days":["#);
        }
        let (days, most) = (self.days.clone(), self.page.min(self.left));
        let (rows, written, before, count) = self
            .history
            .ask(move |connection| {
                let rows = days.newest(connection, most)?;
                let mut body = Vec::new();
                let before = written.put(&mut body, &rows);
                Ok((body, written, before, count(&rows)))
            })
            .await?;
        body.extend(rows);
        self.days.before = before;
        self.left -= count;
        match count < most || self.left == 0 {
            true => written.end(&mut body),
            false => self.written = Some(written),
        }
        Ok(body.into())
    }
}

/// `first`, and then page after page, each read when the one before was taken.
fn pages(first: Bytes, list: List) -> impl Stream<Item = Result<Bytes, StoreError>> {
    stream::try_unfold((Some(first), list), |(ready, mut list)| async move {
        let piece = match ready {
            Some(ready) => Some(ready),
            None if list.written.is_some() => Some(list.next().await?),
            None => None,
        };
        Ok(piece.map(|piece| (piece, (None, list))))
    })
}

fn document(row: &DayRow) -> Value {
    let mut document = Map::new();
    document.insert("gateway_id".into(), json!(row.gateway));
    document.insert("day".into(), json!(row.day));
    put_flows(&mut document, &row.energy, "kwh");
    document.insert("last_sample_ts".into(), json!(row.last));
    document.insert("updated_at".into(), json!(row.updated));
    document.into()
}

/// The date at `at` in `zone`.
fn day_of(at: f64, zone: &TimeZone) -> Option<String> {
    let at = Timestamp::from_second(at.floor() as i64).ok()?;
    Some(at.to_zoned_datetime(zone.clone()).date().to_string())
}

/// The day that it is at each gateway, as far as it is recorded.
///
/// # Errors
/// If the file cannot be read.
pub(in crate::web) async fn of_today(state: &State, now: f64) -> Result<Vec<DayRow>, StoreError> {
    let zones = configured(state).into_iter().map(|id| {
        let entry = state.directory.get(&id);
        (id, entry.and_then(|entry| zone_of(&entry.board.glance())))
    });
    let zones: Vec<(String, Option<String>)> = zones.collect();
    let found = state.history.ask(move |connection| {
        let mut found = Vec::new();
        for (id, reported) in zones {
            let name = match reported {
                Some(name) => Some(name),
                None => zone(connection, &id)?,
            };
            let zone = name.and_then(|name| TimeZone::get(&name).ok()).unwrap_or(TimeZone::UTC);
            let today = day_of(now, &zone);
            let days = Days { gateway: Some(id), first: today.clone(), last: today, before: None };
            found.extend(days.newest(connection, 1)?);
        }
        Ok(found)
    });
    found.await
}

pub(in crate::web) fn today(state: Data<State>, _: HttpRequest) -> Later {
    Box::pin(async move {
        if !state.history.is_on() {
            return answered(Ok(json!({ "enabled": false, "gateways": {} })));
        }
        let now = unix_time();
        let found = of_today(&state, now).await;
        let body = found.map_err(Unanswered::from).map(|rows| {
            let gateways: Map<String, Value> =
                rows.iter().map(|row| (row.gateway.clone(), document(row))).collect();
            json!({ "enabled": true, "gateways": gateways, "server_time": now })
        });
        answered(body)
    })
}
