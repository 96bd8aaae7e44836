//! `/api/fleet/journal`: what happened at other sites, the newest first, read where the broker keeps it. For
//! tokens only, as [`super::journal`].

use std::collections::HashMap;

use actix_web::http::StatusCode;
use actix_web::web::{Data, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Value, json};

use super::State;
use super::holder::reader;
use super::journal::{Asked, MOST_ENTRIES, time, with_next};
use super::plumbing::{Refusal, get, json_value};
use crate::control::Denied;
use crate::link::broker::archive::{self, ArchiveError, Entry};
use crate::model::Place;
use crate::settings::Token;

const PATH: &str = "/api/fleet/journal";

pub(super) const PARAMETERS: &[(&str, &str)] = &[
    ("gateway", "id of a gateway, as it is called here"),
    ("site", "id of a site at the broker, such as north.17; also what its program says of itself"),
    ("kind", "kinds with commas, as those of /api/journal"),
    ("since", "Unix seconds, from here on"),
    ("until", "Unix seconds, up to here"),
    ("before", "id of an entry: those that arrived earlier, where a page ended"),
    ("limit", "how many at most, 1 to 1000; 100 if absent"),
];
pub(super) const ERRORS: &[(u16, &str)] = &[
    (400, "A parameter is not valid"),
    (401, "No token, or the wrong one"),
    (403, "No token is configured, or this one is for other gateways"),
    (404, "There is no such gateway, or no other instance reports it"),
    (429, "Too many wrong tokens; Retry-After says when again"),
    (503, "No site is watched, or the broker does not answer"),
];

pub(super) fn routes(config: &mut ServiceConfig) {
    config.service(get(PATH, journal));
}

impl From<ArchiveError> for Refusal {
    fn from(error: ArchiveError) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
    }
}

async fn journal(state: Data<State>, request: HttpRequest) -> HttpResponse {
    state.table.count(PATH);
    shown(&state, &request).await.unwrap_or_else(|refusal| refusal.answer())
}

async fn shown(state: &State, request: &HttpRequest) -> Result<HttpResponse, Refusal> {
    let token = reader(state, request)?;
    let names = names(state);
    let asked = asked(&Asked::of(request), &token, &names)?;
    let archive = state.reports.archive().ok_or_else(|| {
        let why = "no site is watched: PW_BROKER_SITES names none";
        Refusal::new(StatusCode::SERVICE_UNAVAILABLE, why)
    })?;
    let page = archive.read(asked).await?;
    let list: Vec<Value> =
        page.entries.iter().map(|entry| shown_entry(entry, &page.entries, &names)).collect();
    let next = page.next.and_then(|next| i64::try_from(next).ok());
    Ok(with_next(json_value(StatusCode::OK, &json!({ "entries": list, "next": next })), next, request))
}

/// What gateways that others report are called here.
fn names(state: &State) -> HashMap<Place, String> {
    let entries = state.directory.entries();
    let placed = entries.iter().filter_map(|entry| {
        let place = entry.board.glance().gateway.place.clone()?;
        Some((place, entry.id.clone()))
    });
    placed.collect()
}

fn asked(
    asked: &Asked<'_>,
    token: &Token,
    names: &HashMap<Place, String>,
) -> Result<archive::Asked, Refusal> {
    let wanted = match asked.get("gateway") {
        Some(id) if !token.reaches(id) => return Err(Denied::OtherGateway.into()),
        Some(id) => Some(vec![id.to_owned()]),
        None => token.gateways.clone(),
    };
    let places: Vec<Place> = match &wanted {
        None => Vec::new(),
        Some(ids) => {
            let is_wanted = |(_, id): &(&Place, &String)| ids.contains(id);
            names.iter().filter(is_wanted).map(|(place, _)| place.clone()).collect()
        }
    };
    if wanted.is_some() && places.is_empty() {
        let why = "no other instance reports such a gateway; /api/journal has what happened here";
        return Err(Refusal::new(StatusCode::NOT_FOUND, why));
    }
    let of_one = match places.as_slice() {
        [first, rest @ ..] if rest.iter().all(|place| place.site == first.site) => Some(first.site.clone()),
        _ => None,
    };
    let before = asked.parsed("before", "the id of an entry", |text| text.parse().ok())?;
    Ok(archive::Asked {
        site: asked.parsed("site", "the id of a site, such as north.17", site)?.or(of_one),
        places,
        kinds: asked.kinds()?.into_iter().map(|kind| kind.name().to_owned()).collect(),
        since: asked.since()?,
        until: asked.until()?,
        before,
        limit: asked.limit(MOST_ENTRIES)?,
    })
}

/// An id, and no pattern of ids.
fn site(text: &str) -> Option<String> {
    let is_plain = |character: char| character.is_ascii_alphanumeric() || "_-.".contains(character);
    (text.len() <= 256 && text.chars().all(is_plain)).then(|| text.to_owned())
}

fn shown_entry(entry: &Entry, page: &[Entry], names: &HashMap<Place, String>) -> Value {
    let Entry { sequence, site, record } = entry;
    let belongs_to = |other: &&Entry| {
        let here = (&other.site, &other.record.file, Some(other.record.n));
        here == (site, &record.file, record.about)
    };
    let gateway = record.gateway.as_ref().map(|gateway| {
        let place = Place { site: site.clone(), gateway: gateway.clone() };
        names.get(&place).cloned().unwrap_or_else(|| place.id())
    });
    json!({
        "id": sequence, "at": record.at, "time": time(record.at), "site": site, "gateway": gateway,
        "kind": record.kind, "n": record.n, "about": page.iter().find(belongs_to).map(|other| other.sequence),
        "detail": record.detail,
    })
}
