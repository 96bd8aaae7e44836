//! `/api/fleet` and what is below it: sites by the worst first, found, sorted, paged, summed and counted.
//! What is the matter with a site is decided by [`crate::views::sites`].

mod inventory;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::web::{Data, Query};
use actix_web::{HttpRequest, HttpResponse};
use ring::digest::{SHA256, digest};
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::State;
use super::fleet;
use super::journal::CSV;
use super::plumbing::{JSON, Refusal, body, detail, knows};
use super::route::Later;
use crate::clock::unix_time;
use crate::directory::Directory;
use crate::frames::HOUSE;
use crate::model::LinkKind;
use crate::pieces;
use crate::views::sites::asked::{Asked, MOST, MOST_TAGS, MOST_WORDS, Sort};
use crate::views::sites::row::{LOW, Row, Seen, Silent, Trouble, TroubleKind};
use crate::views::sites::sums::{Sum, Sums};
use crate::views::sites::{Roll, Selected};
use crate::views::status::Moment;

/// Whoever asks within this gets what was worked out for the one before.
const SAME: Duration = Duration::from_millis(500);
const TABLE: HeaderValue = HeaderValue::from_static(CSV);

/// Filters, of everything that lists sites.
const FILTERS: [(&str, &str); 4] = [
    ("search", "words that all occur in id, name, site, group, tags, firmware or DIN"),
    ("tag", "a tag; may be repeated, and all must be there"),
    ("group", "a group; empty: sites without one"),
    ("trouble", "offline, outage, alert, low_charge or old_firmware"),
];
pub(super) const OF_GROUPS: &[(&str, &str)] = &FILTERS;
pub(super) const OF_SITES: &[(&str, &str)] = &[
    FILTERS[0],
    FILTERS[1],
    FILTERS[2],
    FILTERS[3],
    ("sort", "worst, name, charge, firmware or since; worst if absent"),
    ("limit", "how many at most, 1 to 500; 100 if absent"),
    ("offset", "how many to pass over"),
];
/// What a browser calls the inventory when it keeps it.
const FILE: HeaderValue = HeaderValue::from_static("attachment; filename=\"fleet.csv\"");
pub(super) const ERRORS: &[(u16, &str)] = &[NOT_VALID];
pub(super) const PAGE_ERRORS: &[(u16, &str)] = &[(304, "Nothing but ages has changed"), NOT_VALID];
const NOT_VALID: (u16, &str) = (400, "A parameter is not valid; detail names what is");

/// What was worked out last.
#[derive(Default)]
pub(super) struct Known(Mutex<Option<(Instant, f64, Arc<Roll>)>>);

impl Known {
    /// Every site, as it was within the last moment, and when that was in Unix seconds.
    pub fn roll(&self, directory: &Directory) -> (f64, Arc<Roll>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = Moment { now: Instant::now(), unix: unix_time() };
        if let Some((when, unix, roll)) = known.as_ref()
            && at.now.saturating_duration_since(*when) < SAME
        {
            return (*unix, roll.clone());
        }
        let entries = directory.entries();
        let sites: Vec<_> = entries.iter().map(|entry| (entry.board.read(), entry.began())).collect();
        let seen = sites.iter().map(|(snapshot, began)| Seen { snapshot, began: *began });
        let before = known.as_ref().map(|(.., roll)| &**roll);
        let roll = Arc::new(Roll::of(seen, at, before));
        *known = Some((at.now, at.unix, roll.clone()));
        (at.unix, roll)
    }
}

pub(super) fn sites(state: Data<State>, request: HttpRequest) -> Later {
    answered(state, request, OF_SITES, |at, roll, asked| {
        let selected = roll.select(asked);
        let about = about(roll, &selected);
        let rows: Vec<(Value, Option<f64>)> =
            selected.rows.iter().map(|row| (shown(row), row.taken_at)).collect();
        let change = change(&about, &rows);
        let sites: Vec<Value> = rows.into_iter().map(|(row, taken)| with_age(row, taken, at)).collect();
        let mut document = json!({
            "at": at, "change": change, "all": roll.len(), "matching": selected.matching,
            "offset": asked.offset, "low_charge": LOW, "newest_firmware": roll.newest_firmware(),
            "sites": sites,
        });
        if let (Value::Object(document), Value::Object(about)) = (&mut document, about) {
            document.extend(about);
        }
        (document, Some(change))
    })
}

pub(super) fn groups(state: Data<State>, request: HttpRequest) -> Later {
    answered(state, request, OF_GROUPS, |_, roll, asked| {
        let groups = roll.groups(asked);
        let all = groups.len();
        let groups = groups.into_iter().take(MOST);
        let groups: Vec<Value> =
            groups.map(|(group, sums)| json!({ "group": group, "sums": summed(&sums) })).collect();
        (json!({ "all": all, "groups": groups }), None)
    })
}

pub(super) fn inventory(state: Data<State>, request: HttpRequest) -> Later {
    answered(state, request, OF_GROUPS, |_, roll, asked| (inventory::document(roll, asked), None))
}

pub(super) fn table(state: Data<State>, request: HttpRequest) -> Later {
    Box::pin(async move {
        let asked = match asked(&request, OF_GROUPS) {
            Ok(asked) => asked,
            Err(refusal) => return refusal.answer(),
        };
        let (known, directory) = (state.sites.clone(), state.directory.clone());
        let found = pieces::in_turn(move || {
            let (at, roll) = known.roll(&directory);
            inventory::Table::of(roll.matching(&asked).cloned().collect(), at)
        });
        let mut response = match found.await {
            Ok(table) if table.len() <= HOUSE => fleet::whole(StatusCode::OK, TABLE, table),
            Ok(table) => fleet::sent(&request, StatusCode::OK, TABLE, table),
            Err(unfinished) => return detail(StatusCode::INTERNAL_SERVER_ERROR, &unfinished.to_string()),
        };
        response.headers_mut().insert(header::CONTENT_DISPOSITION, FILE);
        response
    })
}

/// Answers beside the threads that take requests.
fn answered(
    state: Data<State>,
    request: HttpRequest,
    parameters: &'static [(&'static str, &'static str)],
    document: impl FnOnce(f64, &Roll, &Asked) -> (Value, Option<String>) + Send + 'static,
) -> Later {
    Box::pin(async move {
        let asked = match asked(&request, parameters) {
            Ok(asked) => asked,
            Err(refusal) => return refusal.answer(),
        };
        let (known, directory) = (state.sites.clone(), state.directory.clone());
        let rendered = pieces::in_turn(move || {
            let (at, roll) = known.roll(&directory);
            let (document, change) = document(at, &roll, &asked);
            (serde_json::to_vec(&document).unwrap_or_default(), change)
        });
        match rendered.await {
            Ok((bytes, change)) => sent(&request, bytes, change),
            Err(unfinished) => detail(StatusCode::INTERNAL_SERVER_ERROR, &unfinished.to_string()),
        }
    })
}

/// 304 for a client that has it, but for ages.
fn sent(request: &HttpRequest, bytes: Vec<u8>, change: Option<String>) -> HttpResponse {
    let Some(change) = change else { return body(StatusCode::OK, JSON, bytes.into()) };
    let tag = format!("W/\"{change}\"");
    let mut response = match knows(request, &tag) {
        true => HttpResponse::NotModified().finish(),
        false => body(StatusCode::OK, JSON, bytes.into()),
    };
    if let Ok(tag) = HeaderValue::try_from(tag) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

/// What the parameters of a request ask for.
fn asked(request: &HttpRequest, known: &[(&str, &str)]) -> Result<Asked, Refusal> {
    let bad = |why: String| Refusal::new(StatusCode::BAD_REQUEST, why);
    let given = Query::<Vec<(String, String)>>::from_query(request.query_string());
    let given = given.map_err(|_| bad("the parameters cannot be read".into()))?.into_inner();
    let mut asked = Asked::default();
    for (key, value) in given {
        // Others are passed over, as everywhere.
        if known.iter().all(|(name, _)| *name != key) {
            continue;
        }
        let wrong = |accepted: String| bad(format!("{key} is {accepted}"));
        match key.as_str() {
            "search" if value.split_whitespace().count() > MOST_WORDS => {
                return Err(wrong(format!("up to {MOST_WORDS} words")));
            }
            "search" => asked = asked.searching(&value),
            "tag" if asked.tags.len() == MOST_TAGS => {
                return Err(wrong(format!("there up to {MOST_TAGS} times")));
            }
            "tag" => asked.tags.push(value),
            "group" => asked.group = Some(value),
            "trouble" if value.is_empty() => {}
            "trouble" => {
                let kind = TroubleKind::ALL.into_iter().find(|kind| kind.word() == value);
                let all = TroubleKind::ALL.map(TroubleKind::word).join(", ");
                asked.trouble = Some(kind.ok_or_else(|| wrong(format!("one of {all}")))?);
            }
            "sort" => {
                let sort = Sort::ALL.into_iter().find(|sort| sort.word() == value);
                let all = Sort::ALL.map(Sort::word).join(", ");
                asked.sort = sort.ok_or_else(|| wrong(format!("one of {all}")))?;
            }
            "limit" => {
                let limit = value.parse().ok().filter(|limit| (1..=MOST).contains(limit));
                asked.limit = limit.ok_or_else(|| wrong(format!("a number from 1 to {MOST}")))?;
            }
            _ => asked.offset = value.parse().map_err(|_| wrong("a whole number".into()))?,
        }
    }
    Ok(asked)
}

/// What a page says beside its sites.
fn about(roll: &Roll, selected: &Selected) -> Value {
    let tag = |(tag, sites): &(String, usize)| json!({ "tag": tag, "sites": sites });
    let tags: Vec<Value> = roll.tags().iter().map(tag).collect();
    json!({
        "sums": summed(&selected.sums), "troubles": counted(&selected.troubles), "tags": tags,
    })
}

/// Stays the same as long as nothing shown changes but ages.
fn change(about: &Value, rows: &[(Value, Option<f64>)]) -> String {
    let mut text = about.to_string();
    rows.iter().for_each(|(row, _)| text += &row.to_string());
    let hash = digest(&SHA256, text.as_bytes());
    hash.as_ref().iter().take(12).map(|byte| format!("{byte:02x}")).collect()
}

fn counted(troubles: &[usize; TroubleKind::ALL.len()]) -> Map<String, Value> {
    let all = TroubleKind::ALL.into_iter().zip(troubles);
    all.map(|(kind, count)| (kind.word().to_owned(), json!(count))).collect()
}

fn summed(sums: &Sums) -> Value {
    json!({
        "sites": sums.sites, "reporting": sums.reporting,
        "solar_w": sum(sums.solar), "home_w": sum(sums.home), "battery_w": sum(sums.battery),
        "grid_w": sum(sums.grid), "stored_wh": sum(sums.stored), "capacity_wh": sum(sums.capacity),
        "charge": sums.charge.map(tenths), "troubles": counted(&sums.troubles),
    })
}

fn sum(Sum { sum, of }: Sum) -> Value {
    json!({ "sum": sum.map(whole), "of": of })
}

fn shown(row: &Row) -> Value {
    let (facts, labels) = (&row.facts, &row.facts.labels);
    let batteries = row.batteries.map(|all| all.count());
    let trouble = |trouble: &Trouble| {
        let since = trouble.since.map(whole);
        json!({ "kind": trouble.kind.word(), "since": since, "words": trouble.words })
    };
    json!({
        "id": facts.id, "name": facts.name, "site_name": row.site_name, "group": labels.group,
        "tags": labels.tags, "troubles": row.troubles.iter().map(trouble).collect::<Vec<_>>(),
        "freshness": row.freshness, "link": row.link.map(LinkKind::word),
        "silent": row.silent.map(Silent::word), "charge": row.charge.map(tenths),
        "reserve": row.reserve.map(tenths), "mode": row.mode, "grid": row.grid,
        "solar_w": row.solar.map(whole), "home_w": row.home.map(whole), "battery_w": row.battery.map(whole),
        "grid_w": row.grid_power.map(whole), "stored_wh": row.stored.map(whole),
        "capacity_wh": row.capacity.map(whole), "batteries": batteries, "firmware": row.firmware,
        "alerts": row.alerts,
    })
}

fn with_age(mut row: Value, taken_at: Option<f64>, at: f64) -> Value {
    row["age_s"] = json!(taken_at.map(|taken| whole((at - taken).max(0.0))));
    row
}

fn whole(value: f64) -> f64 {
    value.round()
}

fn tenths(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}
