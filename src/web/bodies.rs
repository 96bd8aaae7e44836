//! The routes without an id: they speak of the default gateway, and their bodies are views of its telemetry.

use std::future::ready;

use actix_web::http::StatusCode;
use actix_web::web::{Data, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use tokio::time::Instant;

use super::State;
use super::plumbing::{JSON, TEXT, body, get, no_gateways};
use crate::model::views::View;

const ROUTES: [(&str, View); 16] = [
    ("/aggregates", View::Aggregates),
    ("/api/meters/aggregates", View::Aggregates),
    ("/soe", View::Soe),
    ("/vitals", View::Vitals),
    ("/strings", View::Strings),
    ("/temps", View::Temps),
    ("/temps/pw", View::TempsPw),
    ("/alerts", View::Alerts),
    ("/alerts/pw", View::AlertsPw),
    ("/fans", View::Fans),
    ("/fans/pw", View::FansPw),
    ("/freq", View::Freq),
    ("/pod", View::Pod),
    ("/json", View::Json),
    ("/version", View::Version),
    ("/csv", View::Csv),
];

const CSV_HEADER: &[u8] = b"Grid,Home,Solar,Battery,BatteryLevel\n";
const CSV_V2_HEADER: &[u8] = b"Grid,Home,Solar,Battery,BatteryLevel,GridStatus,Reserve\n";

pub(super) fn routes(config: &mut ServiceConfig) {
    for (path, view) in ROUTES {
        let handler =
            move |state: Data<State>, request: HttpRequest| ready(answer(&state, &request, path, view));
        config.service(get(path, handler));
    }
    let csv =
        |state: Data<State>, request: HttpRequest| ready(answer(&state, &request, "/csv/v2", View::CsvV2));
    config.service(get("/csv/v2", csv));
}

fn answer(state: &State, request: &HttpRequest, path: &'static str, view: View) -> HttpResponse {
    state.counters.count_path(path);
    let Some(gateway) = state.directory.default_gateway() else { return no_gateways() };
    let snapshot = gateway.board.glance();
    let bytes = match snapshot.telemetry(Instant::now()) {
        Some(telemetry) => telemetry.view(view),
        None => view.empty(),
    };
    match view {
        View::Csv => body(StatusCode::OK, TEXT, with_header(request, CSV_HEADER, bytes)),
        View::CsvV2 => body(StatusCode::OK, TEXT, with_header(request, CSV_V2_HEADER, bytes)),
        _ => body(StatusCode::OK, JSON, bytes),
    }
}

/// With the names of the columns first, if a parameter `headers` asks for them.
fn with_header(request: &HttpRequest, header: &[u8], line: Bytes) -> Bytes {
    let asked =
        request.query_string().split('&').any(|parameter| parameter.split('=').next() == Some("headers"));
    if asked { [header, &line].concat().into() } else { line }
}
