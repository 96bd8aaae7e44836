//! What the table of routes says, as answers.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use tokio::time::Instant;

use super::State;
use super::plumbing::{JSON, TEXT, body, json, json_value, method_not_allowed, no_gateways, not_found};
use super::route::{Answer, Route};
use crate::frames::Frames;
use crate::model::Snapshot;
use crate::views::View;

/// What a view renders where there is nothing to say.
const NOTHING: &[u8] = b"null";
const CSV_HEADER: &[u8] = b"Grid,Home,Solar,Battery,BatteryLevel\n";
const CSV_V2_HEADER: &[u8] = b"Grid,Home,Solar,Battery,BatteryLevel,GridStatus,Reserve\n";

/// The answer of `route` to `request`.
pub(super) fn answer(state: &State, route: &Route, request: &HttpRequest) -> HttpResponse {
    match &route.answer {
        Answer::Service(answer) => answer(state, request),
        Answer::Fixed { body, of_gateway: false } => json(Bytes::from_static(body.as_bytes())),
        Answer::OrdersOnly => method_not_allowed(route.methods()),
        Answer::Fleet(_) | Answer::Routed => not_found(),
        _ => match state.directory.default_gateway() {
            Some(gateway) => of_gateway(state, route, request, &gateway.board.glance()),
            None => no_gateways(),
        },
    }
}

/// The answer of a route that speaks of a gateway.
pub(super) fn of_gateway(
    state: &State,
    route: &Route,
    request: &HttpRequest,
    snapshot: &Snapshot,
) -> HttpResponse {
    match &route.answer {
        Answer::View { view, empty, zeros } => {
            let bytes = match snapshot.telemetry(Instant::now()) {
                // What the gateway does not say is answered as if nothing were known.
                Some(telemetry) => match telemetry.view(*view) {
                    nothing if *nothing == *NOTHING => Bytes::from_static(empty.as_bytes()),
                    bytes => bytes,
                },
                None => Bytes::from_static(match zeros {
                    Some(zeros) if state.polling.load().adjustments.legacy_zeros => zeros.as_bytes(),
                    _ => empty.as_bytes(),
                }),
            };
            match view {
                View::Csv => body(StatusCode::OK, TEXT, with_header(request, CSV_HEADER, bytes)),
                View::CsvV2 => body(StatusCode::OK, TEXT, with_header(request, CSV_V2_HEADER, bytes)),
                _ => body(StatusCode::OK, JSON, bytes),
            }
        }
        Answer::Gateway(render) => json_value(StatusCode::OK, &render(snapshot, Frames::moment())),
        Answer::Fixed { body, .. } => json(Bytes::from_static(body.as_bytes())),
        Answer::Service(_) | Answer::Fleet(_) | Answer::OrdersOnly | Answer::Routed => not_found(),
    }
}

/// With the names of the columns first, if a parameter `headers` asks for them.
fn with_header(request: &HttpRequest, header: &[u8], line: Bytes) -> Bytes {
    let asked =
        request.query_string().split('&').any(|parameter| parameter.split('=').next() == Some("headers"));
    if asked { [header, &line].concat().into() } else { line }
}
