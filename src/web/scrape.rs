//! `/metrics`: gathers what the service counts of itself and serves the page.

use actix_web::http::StatusCode;
use actix_web::http::header::HeaderValue;
use actix_web::{HttpRequest, HttpResponse};
use tokio::time::Instant;

use super::State;
use super::plumbing::body;
use super::stats::resident_kilobytes;
use crate::metrics::{self, ServiceFigures};

pub(super) fn metrics(state: &State, _: &HttpRequest) -> HttpResponse {
    let service = ServiceFigures {
        started_at: state.started_at,
        requests: state.table.counts().into_iter().collect(),
        errors: state.counters.errors(),
        resident_bytes: resident_kilobytes().map(|kilobytes| kilobytes << 10),
        audience: state.frames.audience.counts(),
    };
    let (snapshots, sum) = (state.directory.snapshots(), state.directory.aggregate.read());
    let page = metrics::page(&snapshots, &sum, &service, Instant::now());
    body(StatusCode::OK, HeaderValue::from_static(metrics::CONTENT_TYPE), page.into())
}
