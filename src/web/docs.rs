//! The list of routes, for programs and for people.

use std::fmt::Write;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Map, Value, json};

use super::State;
use super::plumbing::{self, json_value};
use super::routes::{Answer, ROUTES};

/// `/openapi.json`
pub(super) fn openapi(state: &State, _: &HttpRequest) -> HttpResponse {
    let paths: Map<String, Value> =
        ROUTES.iter().map(|route| (route.path.to_owned(), operation(route))).collect();
    let server = if state.http.base_path.is_empty() { "/" } else { &state.http.base_path };
    json_value(
        StatusCode::OK,
        &json!({
            "openapi": "3.1.0",
            "info": { "title": "powerwall-server", "version": env!("CARGO_PKG_VERSION") },
            "servers": [{ "url": server }],
            "paths": paths,
        }),
    )
}

fn operation(route: &super::routes::Route) -> Value {
    let parameters: Value = (route.path.split(['{', '}']).skip(1).step_by(2))
        .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }))
        .collect();
    let mut responses = json!({ "200": { "description": "OK" } });
    let of_gateway = matches!(
        route.answer,
        Answer::View { .. } | Answer::Gateway(_) | Answer::Fixed { of_gateway: true, .. }
    );
    if of_gateway {
        responses["503"] = json!({ "description": "No gateway is configured" });
    }
    if parameters.as_array().is_some_and(|list| !list.is_empty()) {
        responses["404"] = json!({ "description": "There is no such gateway or file" });
    }
    // Orders are described by hand where they matter; a route that only takes orders is never asked by GET.
    json!({ "get": { "summary": route.summary, "parameters": parameters, "responses": responses } })
}

/// `/docs`
pub(super) fn page(_: &State, _: &HttpRequest) -> HttpResponse {
    let mut page = String::from(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>powerwall-server: routes</title>\
         <h1>Routes</h1><p>Each answers GET and HEAD. <a href=\"openapi.json\">For programs</a></p><dl>",
    );
    for route in ROUTES {
        let (path, summary) = (escaped(route.path), escaped(route.summary));
        let is_no_page = ["/ws/", "/sse/"].iter().any(|prefix| route.path.starts_with(prefix));
        let _ = match route.path.contains(['{']) || is_no_page {
            true => write!(page, "<dt><code>{path}</code><dd>{summary}"),
            false => {
                write!(
                    page,
                    "<dt><a href=\"{}\"><code>{path}</code></a><dd>{summary}",
                    path.trim_start_matches('/')
                )
            }
        };
    }
    plumbing::page(page + "</dl></html>")
}

pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
