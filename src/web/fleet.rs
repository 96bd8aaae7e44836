//! Answers about many gateways: which of them, and how they are sent.
//!
//! Of a house, all gateways come as a whole, the same bytes for everybody within a second. A fleet, and any
//! page of one, is sent as it is rendered, gateway by gateway, and exists nowhere as a whole.

use actix_web::http::header::{self, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use futures_util::stream;
use serde_json::Value;

use super::State;
use super::plumbing::{JSON, Refusal, body, detail, json, no_such_gateway, streamed};
use crate::directory::Selection;
use crate::frames::HOUSE;
use crate::pieces::{self, Listing, Render};

/// Parameters of every route that lists gateways.
pub(super) const PAGED: &[(&str, &str)] = &[LIMIT, AFTER];
pub(super) const LIMIT: (&str, &str) =
    ("limit", "how many gateways at most; the header Link leads to the next page");
pub(super) const AFTER: (&str, &str) = ("after", "id of a gateway; the page begins behind it");
/// Statuses of every route that lists gateways.
pub(super) const PAGE_ERRORS: &[(u16, &str)] =
    &[(400, "The limit is not a number above 0"), (404, "There is no gateway with the id in after")];

/// The gateways that a request asks for.
///
/// # Errors
/// With the answer that says what is wrong with its parameters.
pub(super) fn selection(state: &State, request: &HttpRequest) -> Result<Selection, Box<HttpResponse>> {
    let given = |name: &str| {
        let mut parameters = request.query_string().split('&').filter_map(|one| one.split_once('='));
        parameters.find(|(key, _)| *key == name).map(|(_, value)| value)
    };
    let limit = match given("limit").map(str::parse) {
        None => usize::MAX,
        Some(Ok(limit)) if limit > 0 => limit,
        Some(_) => {
            let why = "limit must be a whole number above 0";
            return Err(Box::new(Refusal::new(StatusCode::BAD_REQUEST, why).answer()));
        }
    };
    let after = given("after");
    let page = state.directory.page(limit, after);
    page.ok_or_else(|| Box::new(no_such_gateway(after.unwrap_or_default())))
}

/// Whether all of it may be held in memory.
pub(super) fn is_house(selection: &Selection) -> bool {
    selection.is_all() && selection.len() <= HOUSE
}

/// A page, or all of a fleet.
pub(super) fn paged(
    request: &HttpRequest,
    selection: &Selection,
    status: StatusCode,
    listing: impl Render,
) -> HttpResponse {
    let mut response = sent(request, status, JSON, listing);
    if let Some(last) = selection.last_before_others() {
        let limit = selection.len();
        let next = HeaderValue::try_from(format!("<?limit={limit}&after={last}>; rel=\"next\""));
        // An id is letters, digits, hyphens and underscores.
        if let Ok(next) = next {
            response.headers_mut().insert(header::LINK, next);
        }
    }
    response
}

/// A body of any length. HEAD is not worth rendering it.
pub(super) fn sent(
    request: &HttpRequest,
    status: StatusCode,
    content_type: HeaderValue,
    render: impl Render,
) -> HttpResponse {
    match *request.method() == Method::HEAD {
        true => streamed(status, content_type, stream::empty::<Result<_, pieces::Unfinished>>()),
        false => streamed(status, content_type, pieces::pieces(render)),
    }
}

/// The answer with the body `name` about the gateways that are asked for; `listing` makes it of them.
pub(super) async fn shared(
    state: &State,
    request: &HttpRequest,
    name: &'static str,
    listing: impl FnOnce(Selection) -> Listing + Send + 'static,
) -> HttpResponse {
    let selection = match selection(state, request) {
        Ok(selection) => selection,
        Err(refused) => return *refused,
    };
    if !is_house(&selection) {
        return paged(request, &selection, StatusCode::OK, listing(selection.clone()));
    }
    match state.frames.shared(name, move || listing(selection)).await {
        Ok(bytes) => json(bytes),
        Err(unfinished) => detail(StatusCode::INTERNAL_SERVER_ERROR, &unfinished.to_string()),
    }
}

/// The answer with a list of gateways in it, which costs little to render.
pub(super) fn listed(
    request: &HttpRequest,
    selection: &Selection,
    status: StatusCode,
    listing: Listing,
) -> HttpResponse {
    match is_house(selection) {
        true => whole(status, JSON, listing),
        false => paged(request, selection, status, listing),
    }
}

/// What is known to be short.
pub(super) fn whole(status: StatusCode, content_type: HeaderValue, render: impl Render) -> HttpResponse {
    body(status, content_type, pieces::whole(render))
}

/// What stands before and behind the items of the list `name`, which is empty in `document`.
pub(super) fn around(document: &Value, name: &str) -> (Bytes, Bytes) {
    split(document.to_string(), &format!("\"{name}\":["))
}

/// `text` before and behind the end of the first `mark`.
pub(super) fn split(text: String, mark: &str) -> (Bytes, Bytes) {
    let middle = text.find(mark).map_or(text.len(), |place| place + mark.len());
    let mut text = Bytes::from(text);
    (text.split_to(middle), text)
}
