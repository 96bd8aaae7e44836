//! `/api/orders` and `/api/journal`: what was asked and what happened, the newest first. For tokens only: it
//! holds names, addresses and habits.

use std::fmt::Write;
use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::web::{Data, Path, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::State;
use super::holder::reader;
use super::plumbing::{Refusal, body, get, json_value};
use crate::control::Denied;
use crate::control::ordered::Page;
use crate::model::OrderId;
use crate::settings::Token;
use crate::store::journal::{EntryId, Filter, JournalError, Kind, Recorded};

pub(super) const CSV: &str = "text/csv; charset=utf-8; header=present";
/// Of a page, unless the client says so itself.
const USUAL: usize = 100;
const MOST_ORDERS: usize = 100;
pub(super) const MOST_ENTRIES: usize = 1_000;

/// Parameters of the journal.
pub(super) const OF_JOURNAL: &[(&str, &str)] = &[
    ("gateway", "id of a gateway"),
    (
        "kind",
        "kinds with commas: order, outcome, lease, outage, grid, alert, firmware, link, grid_services, \
         low_charge",
    ),
    ("since", "Unix seconds, from here on"),
    ("until", "Unix seconds, up to here"),
    ("before", "id of an entry: older ones only, where a page ended"),
    ("limit", "how many at most, 1 to 1000; 100 if absent"),
    ("format", "csv: as text with commas"),
];
/// Parameters of the list of orders.
pub(super) const OF_ORDERS: &[(&str, &str)] = &[
    ("gateway", "id of a gateway"),
    ("before", "where a page ended: the value of next"),
    ("limit", "how many at most, 1 to 100"),
];
/// Statuses of both.
pub(super) const ERRORS: &[(u16, &str)] = &[
    (400, "A parameter is not valid"),
    (401, "No token, or the wrong one"),
    (403, "No token is configured, or this one is for other gateways"),
    (429, "Too many wrong tokens; Retry-After says when again"),
    (503, "The journal cannot be read"),
];

pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .service(get("/api/journal", journal))
        .service(get("/api/orders", orders))
        .service(get("/api/orders/{id}", order));
}

impl From<JournalError> for Refusal {
    fn from(error: JournalError) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
    }
}

/// What stands behind the question mark.
pub(super) struct Asked<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Asked<'a> {
    pub(super) fn of(request: &'a HttpRequest) -> Self {
        let parameters = request.query_string().split('&').filter_map(|one| one.split_once('='));
        // A form sends its empty fields as well.
        Self(parameters.filter(|(_, value)| !value.is_empty()).collect())
    }

    pub(super) fn get(&self, key: &str) -> Option<&'a str> {
        self.0.iter().find(|(known, _)| *known == key).map(|(_, value)| *value)
    }

    pub(super) fn parsed<T>(
        &self,
        key: &str,
        what: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, Refusal> {
        let Some(text) = self.get(key) else { return Ok(None) };
        parse(text).map(Some).ok_or_else(|| bad(format!("{key} is {what}")))
    }

    pub(super) fn limit(&self, most: usize) -> Result<usize, Refusal> {
        let what = format!("a number from 1 to {most}");
        let parse = |text: &str| text.parse().ok().filter(|limit| (1..=most).contains(limit));
        Ok(self.parsed("limit", &what, parse)?.unwrap_or(USUAL.min(most)))
    }

    pub(super) fn kinds(&self) -> Result<Vec<Kind>, Refusal> {
        let known = Kind::ALL.map(Kind::name).join(", ");
        let kinds = |text: &str| text.split(',').map(|word| word.parse().ok()).collect();
        Ok(self.parsed("kind", &format!("one or more of {known}"), kinds)?.unwrap_or_default())
    }

    pub(super) fn since(&self) -> Result<Option<f64>, Refusal> {
        self.parsed("since", "a time in Unix seconds", seconds)
    }

    pub(super) fn until(&self) -> Result<Option<f64>, Refusal> {
        self.parsed("until", "a time in Unix seconds", seconds)
    }

    fn before(&self) -> Result<Option<EntryId>, Refusal> {
        self.parsed("before", "the id of an entry", |text| text.parse().ok().map(EntryId))
    }

    /// The gateways that the request asks for and `token` may see; empty: everything.
    fn gateways(&self, token: &Token) -> Result<Vec<String>, Refusal> {
        match self.get("gateway") {
            Some(id) if token.reaches(id) => Ok(vec![id.to_owned()]),
            Some(_) => Err(Denied::OtherGateway.into()),
            None => Ok(token.gateways.clone().unwrap_or_default()),
        }
    }
}

fn bad(why: String) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, why)
}

fn seconds(text: &str) -> Option<f64> {
    text.parse().ok().filter(|seconds: &f64| seconds.is_finite())
}

/// The token of a request. What a browser sends by itself will do, because nothing is changed.
fn reads(state: &State, request: &HttpRequest) -> Result<Arc<Token>, Refusal> {
    Ok(reader(state, request)?)
}

async fn journal(state: Data<State>, request: HttpRequest) -> HttpResponse {
    state.table.count("/api/journal");
    shown(&state, &request).await.unwrap_or_else(|refusal| refusal.answer())
}

async fn shown(state: &State, request: &HttpRequest) -> Result<HttpResponse, Refusal> {
    let token = reads(state, request)?;
    let asked = Asked::of(request);
    let limit = asked.limit(MOST_ENTRIES)?;
    let filter = Filter {
        gateways: asked.gateways(&token)?,
        kinds: asked.kinds()?,
        since: asked.since()?,
        until: asked.until()?,
        before: asked.before()?,
        limit: Some(limit),
        ..Filter::default()
    };
    let csv = asked.parsed("format", "csv, or absent", |text| (text == "csv").then_some(()))?;
    let entries = state.control.ordered.journal().read(&filter).await?;
    let next = entries.last().map(|last| last.id.0).filter(|_| entries.len() == limit);
    if csv.is_some() {
        return Ok(with_next(
            body(StatusCode::OK, HeaderValue::from_static(CSV), table(&entries).into()),
            next,
            request,
        ));
    }
    let list: Vec<Value> = entries.iter().map(entry).collect();
    Ok(with_next(json_value(StatusCode::OK, &json!({ "entries": list, "next": next })), next, request))
}

/// With the way to the next page in its head.
pub(super) fn with_next(
    mut response: HttpResponse,
    next: Option<i64>,
    request: &HttpRequest,
) -> HttpResponse {
    let Some(next) = next else { return response };
    let others =
        request.query_string().split('&').filter(|one| !one.is_empty() && !one.starts_with("before="));
    let query = others.chain([format!("before={next}").as_str()]).collect::<Vec<_>>().join("&");
    if let Ok(link) = HeaderValue::try_from(format!("<?{query}>; rel=\"next\"")) {
        response.headers_mut().insert(header::LINK, link);
    }
    response
}

fn entry(Recorded { id, entry }: &Recorded) -> Value {
    json!({
        "id": id.0, "at": entry.at, "time": time(entry.at), "gateway": entry.gateway,
        "kind": entry.kind.name(), "about": entry.about.map(|about| about.0), "detail": entry.detail,
    })
}

/// UTC, for people.
pub(super) fn time(at: f64) -> Option<String> {
    Timestamp::from_millisecond((at * 1000.0) as i64).ok().map(|time| format!("{time:.3}"))
}

/// One line for each entry. Nothing in it is a formula to a spreadsheet: what others have said is inside the
/// JSON of the last column.
fn table(entries: &[Recorded]) -> String {
    let mut table = String::from("id,at,time,gateway,kind,about,detail\r\n");
    for Recorded { id, entry } in entries {
        let (gateway, kind) = (entry.gateway.as_deref().unwrap_or_default(), entry.kind.name());
        let about = entry.about.map(|about| about.0.to_string()).unwrap_or_default();
        let time = time(entry.at).unwrap_or_default();
        let detail = entry.detail.to_string().replace('"', "\"\"");
        let (id, at) = (id.0, entry.at);
        let _ = write!(table, "{id},{at:.3},{time},{gateway},{kind},{about},\"{detail}\"\r\n");
    }
    table
}

async fn orders(state: Data<State>, request: HttpRequest) -> HttpResponse {
    state.table.count("/api/orders");
    let listed = async {
        let token = reads(&state, &request)?;
        let asked = Asked::of(&request);
        let page = Page {
            gateways: asked.gateways(&token)?,
            before: asked.before()?,
            limit: asked.limit(MOST_ORDERS)?,
        };
        let (orders, next) = state.control.ordered.list(page).await?;
        let next = next.map(|id| id.0);
        let list: Vec<Value> = orders.iter().map(|order| order.body()).collect();
        Ok(with_next(json_value(StatusCode::OK, &json!({ "orders": list, "next": next })), next, &request))
    };
    listed.await.unwrap_or_else(|refusal: Refusal| refusal.answer())
}

async fn order(state: Data<State>, request: HttpRequest, id: Path<String>) -> HttpResponse {
    state.table.count("/api/orders/{id}");
    let found = async {
        let token = reads(&state, &request)?;
        let unknown = || Refusal::new(StatusCode::NOT_FOUND, "There is no such order");
        let id = OrderId::parse(&id).ok_or_else(unknown)?;
        let order = state.control.ordered.find(id, &token).await?.ok_or_else(unknown)?;
        Ok(json_value(StatusCode::OK, &order.body()))
    };
    found.await.unwrap_or_else(|refusal: Refusal| refusal.answer())
}
