//! `/metrics`: gathers what the service counts of itself and serves the page.

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use actix_web::http::header::HeaderValue;
use actix_web::web::Data;

use super::plumbing::{body, detail};
use super::route::Later;
use super::stats::resident_kilobytes;
use super::{State, fleet};
use crate::metrics::{self, Page, ServiceFigures};
use crate::pieces;

/// The page of so many gateways is held in memory; each has five kilobytes of it or more.
const MOST_WHOLE: usize = 4;

pub(super) fn metrics(state: Data<State>, request: HttpRequest) -> Later {
    let service = ServiceFigures {
        started_at: state.started_at,
        requests: state.table.counts().into_iter().collect(),
        errors: state.counters.errors(),
        resident_bytes: resident_kilobytes().map(|kilobytes| kilobytes << 10),
        audience: state.frames.audience.counts(),
        connections: state.connections.counts(),
        cuts: state.counters.cuts(),
        tesla: state.accounts.usage(),
        broker: [("site", state.standings.site.read()), ("centre", state.standings.centre.read())],
    };
    let (selection, sum) = (state.directory.all(), state.directory.aggregate.read());
    let is_short = selection.len() <= MOST_WHOLE;
    let page = Page::new(selection, &sum, &service);
    let content_type = HeaderValue::from_static(metrics::CONTENT_TYPE);
    Box::pin(async move {
        if !is_short {
            return fleet::sent(&request, StatusCode::OK, content_type, page);
        }
        match pieces::in_turn(|| pieces::whole(page)).await {
            Ok(page) => body(StatusCode::OK, content_type, page),
            Err(unfinished) => detail(StatusCode::INTERNAL_SERVER_ERROR, &unfinished.to_string()),
        }
    })
}
