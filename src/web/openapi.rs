//! `/openapi.json`: the table of routes as an OpenAPI document.
//!
//! Paths, methods, statuses and content types come from the table. What bodies look like comes from
//! [`super::schemas`].

use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Map, Value, json};

use super::plumbing::json as answered;
use super::route::{Answer, Content, Guard, Route};
use super::{State, ingress, journal, schemas, tables};
use crate::store::journal::Kind;

/// Of the text format that Prometheus scrapes.
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The first word that fits the beginning of a path says which chapter the route is in.
const CHAPTERS: [(&str, &str); 26] = [
    ("/api/gateways", "All gateways"),
    ("/api/aggregate", "All gateways"),
    ("/ws/", "Feeds"),
    ("/sse/", "Feeds"),
    ("/api/live", "Feeds"),
    ("/api/timeseries", "History"),
    ("/api/history", "History"),
    ("/api/mqtt", "Service"),
    ("/api/broker", "Service"),
    ("/api/orders", "Orders"),
    ("/api/fleet/orders", "Orders"),
    ("/api/journal", "Orders"),
    ("/api/", "Customer API of a gateway"),
    ("/pw/", "One fact each"),
    ("/tedapi", "As the gateway says it"),
    ("/cloud", "As the gateway says it"),
    ("/fleetapi", "As the gateway says it"),
    ("/health", "Service"),
    ("/livez", "Service"),
    ("/readyz", "Service"),
    ("/stats", "Service"),
    ("/metrics", "Service"),
    ("/openapi.json", "Service"),
    ("/control", "Orders"),
    ("/history", "History"),
    ("", "The default gateway"),
];

/// Errors that several routes have: name, status, description, and the text that says it.
const ERRORS: [(&str, u16, &str, &str); 11] = [
    ("NoWebSocket", 400, "The request asks for no WebSocket", "This is a WebSocket"),
    ("NoToken", 401, "No token where one is needed, or the wrong one", "Authorization header required"),
    (
        "Forbidden",
        403,
        "Not from there, orders are not enabled, or the token is not good for this",
        "Control features not enabled",
    ),
    ("NotFound", 404, "There is no such gateway, route or file", "Gateway cabin not found"),
    ("TooSlow", 408, "The body took too long to arrive", "The body took too long"),
    ("TooLarge", 413, "The body is too large", "The body is larger than 16 KiB"),
    (
        "WrongName",
        421,
        "PW_ALLOWED_HOSTS does not list this name",
        "This host name is not in PW_ALLOWED_HOSTS",
    ),
    (
        "TooMany",
        429,
        "Asked too often (PW_RATE_LIMIT_ENABLED); Retry-After says when again",
        "Rate limit exceeded",
    ),
    ("NoGateways", 503, "No gateway is configured", "No gateways configured"),
    ("Offline", 503, "The gateway has nothing to show", "API call failed or gateway offline"),
    ("Full", 503, "Too many listen already", "Too many connections"),
];

/// Made once: nothing in it changes while the program runs, but where the browser sees it.
pub(super) fn document(state: &State, request: &HttpRequest) -> HttpResponse {
    if let Some(path) = ingress::path(state, request) {
        return answered(described(state, path).to_string().into());
    }
    let own = || described(state, &state.http.base_path).to_string().into();
    answered(state.openapi.get_or_init(own).clone())
}

fn described(state: &State, base: &str) -> Value {
    let server = if base.is_empty() { "/" } else { base };
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "powerwall-server",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Every route but the feeds answers HEAD as well, and a slash at the end makes no \
                difference. What is unknown is null or absent, never 0. Percentages say whether they are raw \
                (as the gateway counts) or app (as the phone app shows). Watts: site + import, battery + \
                discharge, load + consumption, solar + production.",
            "license": { "name": "MIT", "identifier": "MIT" },
        },
        "servers": [{ "url": server }],
        "paths": paths(state.table.routes()),
        "components": {
            "schemas": schemas::all(),
            "responses": ERRORS
                .iter()
                .map(|error| (error.0.to_owned(), response_of_error(error)))
                .collect::<Map<_, _>>(),
            "securitySchemes": {
                "control": {
                    "type": "http", "scheme": "bearer",
                    "description": "The control secret (PW_CONTROL_SECRET), or another token",
                },
                "browser": {
                    "type": "http", "scheme": "basic",
                    "description": "A token as the password, for readings where PW_ANONYMOUS is none",
                },
            },
        },
    })
}

fn response_of_error((_, _, description, detail): &(&str, u16, &str, &str)) -> Value {
    let content = json!({ "schema": named("Error"), "example": { "detail": detail } });
    json!({ "description": description, "content": { "application/json": content } })
}

fn paths(routes: &[Route]) -> Value {
    // Brackets do not belong into a path; the same route is there with them escaped.
    let routes = routes.iter().filter(|route| !route.path.contains('['));
    routes.map(|route| (route.path.to_owned(), path_item(route))).collect::<Map<_, _>>().into()
}

fn path_item(route: &Route) -> Value {
    let mut item = Map::new();
    if !matches!(route.answer, Answer::OrdersOnly) {
        item.insert("get".into(), reading(route));
    }
    if route.order.is_some() {
        item.insert("post".into(), ordering(route));
    }
    item.into()
}

/// The schema of a good answer.
fn schema(route: &Route) -> Value {
    match (&route.answer, route.content) {
        (Answer::Fixed { body, .. }, _) => {
            json!({ "const": serde_json::from_str::<Value>(body).unwrap_or_default() })
        }
        (_, Content::File(_)) => json!({}),
        (_, Content::Json) => named(route.shows),
        _ => json!({ "type": "string" }),
    }
}

fn named(schema: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
}

fn chapter(route: &Route) -> &'static str {
    match route.content {
        Content::File(_) | Content::Page => "Pages",
        _ => CHAPTERS
            .iter()
            .find(|(start, _)| route.path.starts_with(start))
            .map_or("", |(_, chapter)| chapter),
    }
}

/// A name for programs that make code of the document: `get_api_gateways_id`.
fn operation_id(method: &str, path: &str) -> String {
    let words = path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.fold(method.to_owned(), |id, word| id + "_" + word)
}

/// The variable parts of a path.
fn in_path(route: &Route) -> impl Iterator<Item = Value> {
    let variables = route.path.split(['{', '}']).skip(1).step_by(2);
    variables.map(|name| {
        let (pattern, example) = match name {
            "id" => ("^[A-Za-z0-9_-]{1,64}$", "home"),
            "path" => ("^[a-z_/]+$", "system_status/soe"),
            "action" => ("^[a-z_]+$", "reserve"),
            _ => ("^[A-Za-z0-9._/-]+$", "docs.js"),
        };
        let schema = json!({ "type": "string", "pattern": pattern });
        json!({ "name": name, "in": "path", "required": true, "schema": schema, "example": example })
    })
}

/// What a parameter behind the question mark may be.
fn in_query_schema(path: &str, name: &str) -> Value {
    let schema = match (path, name) {
        ("/api/orders", "limit") => json!({ "type": "integer", "minimum": 1, "maximum": 100 }),
        ("/api/journal", "limit") => json!({ "type": "integer", "minimum": 1, "maximum": 1000 }),
        ("/api/timeseries/samples", "limit") => {
            return json!({ "type": "integer", "minimum": 1, "maximum": 10_000 });
        }
        (_, "days") => return json!({ "type": "integer", "minimum": 1, "maximum": 366 }),
        ("/api/timeseries/trend", "hours") => {
            return json!({ "type": "integer", "minimum": 1, "maximum": 168 });
        }
        ("/api/timeseries/signal_trend", "hours") => {
            return json!({ "type": "integer", "minimum": 1, "maximum": 87_840 });
        }
        ("/api/timeseries/signals", "resolution") => json!({ "enum": ["raw", "daily"] }),
        (_, "resolution") => return json!({ "enum": ["auto", "raw", "daily"] }),
        ("/api/timeseries/signal_trend", "start" | "end") => {
            return json!({ "type": "number", "minimum": 0, "maximum": 4_102_444_800_u64 });
        }
        ("/api/timeseries/daily", "start" | "end") => return json!({ "type": "string", "format": "date" }),
        ("/api/history", "bucket") => json!({ "enum": ["slot", "hour", "day", "month"] }),
        ("/api/history", "start" | "end") => json!({
            "anyOf": [
                { "type": "number", "minimum": 0, "exclusiveMaximum": 4_102_444_800_u64 },
                { "type": "string", "format": "date" },
            ],
        }),
        (_, "start" | "end") => return json!({ "type": "number" }),
        (_, "fit") => return json!({ "type": "boolean" }),
        (_, "limit") => return json!({ "type": "integer", "minimum": 1, "maximum": u64::MAX }),
        (_, "before") => json!({ "type": "integer", "minimum": i64::MIN, "maximum": i64::MAX }),
        (_, "since" | "until") => json!({ "type": "number" }),
        (_, "kind") => {
            let kinds = Kind::ALL.map(Kind::name).join("|");
            json!({ "type": "string", "pattern": format!("^({kinds})(,({kinds}))*$") })
        }
        ("/api/journal", "format") => json!({ "const": "csv" }),
        (_, "format") => json!({ "enum": ["csv", "jsonl"] }),
        _ => return json!({ "type": "string" }),
    };
    // Without a value they mean nothing.
    json!({ "anyOf": [schema, { "const": "" }] })
}

fn reading(route: &Route) -> Value {
    let in_path = in_path(route);
    let in_query = route.parameters.iter().map(|(name, description)| {
        let schema = in_query_schema(route.path, name);
        json!({ "name": name, "in": "query", "description": description, "schema": schema })
    });
    let parameters: Vec<Value> = in_path.chain(in_query).collect();
    let is_of_gateway = matches!(
        route.answer,
        Answer::View { .. } | Answer::Gateway(_) | Answer::Fixed { of_gateway: true, .. }
    );
    let mut responses = Map::new();
    match route.content {
        Content::WebSocket => {
            responses.insert("101".into(), json!({ "description": "Frames follow, each a JSON text" }));
            refer(&mut responses, &["NoWebSocket", "Forbidden", "Full"]);
        }
        Content::Events => {
            responses.insert("200".into(), good(Content::Events, schema(route)));
            refer(&mut responses, &["Forbidden", "Full"]);
        }
        content => {
            let mut answer = good(content, schema(route));
            if route.parameters.iter().any(|(name, _)| *name == "format") {
                answer["content"][journal::CSV] = json!({ "schema": { "type": "string" } });
                if route.path != "/api/journal" {
                    answer["content"][tables::LINES] = json!({ "schema": { "type": "string" } });
                }
            }
            responses.insert("200".into(), answer);
        }
    }
    if matches!(route.content, Content::File(_)) {
        responses.insert("304".into(), json!({ "description": "The client has it already" }));
    }
    if route.path.contains('{') {
        refer(&mut responses, &["NotFound"]);
    }
    if is_of_gateway {
        refer(&mut responses, &["NoGateways"]);
    }
    for (status, description) in route.also {
        if *status == 304 {
            responses.insert("304".into(), json!({ "description": description }));
            continue;
        }
        let content = match (status, &route.answer) {
            // A service that is not well answers in the same shape.
            (503, Answer::Service(_)) => json!({ "application/json": { "schema": schema(route) } }),
            (422, _) => json!({ "application/json": { "schema": named("WrongParameter") } }),
            _ => json!({ "application/json": { "schema": named("Error") } }),
        };
        responses.insert(status.to_string(), json!({ "description": description, "content": content }));
    }
    refer(&mut responses, &["WrongName", "TooMany"]);
    let mut operation = json!({
        "tags": [chapter(route)],
        "operationId": operation_id("get", route.path),
        "summary": route.summary,
        "parameters": parameters,
    });
    if route.guard == Guard::Readings {
        refer(&mut responses, &["NoToken", "Forbidden"]);
        operation["security"] = json!([{}, { "control": [] }, { "browser": [] }]);
    }
    operation["responses"] = responses.into();
    operation
}

fn ordering(route: &Route) -> Value {
    let mut responses = Map::new();
    responses.insert("200".into(), good(Content::Json, named(route.confirms)));
    refer(&mut responses, &["TooSlow", "TooLarge", "WrongName", "TooMany"]);
    let is_guarded = route.order.as_ref().is_some_and(|order| order.guarded);
    if is_guarded {
        refer(&mut responses, &["NoToken", "Forbidden"]);
    }
    if route.path.contains('{') {
        refer(&mut responses, &["NotFound"]);
    }
    for (status, description) in route.order.iter().flat_map(|order| order.also) {
        let schema = match status {
            202 => named(route.confirms),
            _ => named("OrderRefused"),
        };
        let content = json!({ "application/json": { "schema": schema } });
        responses.insert(status.to_string(), json!({ "description": description, "content": content }));
    }
    let mut operation = json!({
        "tags": ["Orders"],
        "operationId": operation_id("post", route.path),
        "summary": route.summary,
        "parameters": in_path(route).collect::<Vec<_>>(),
        "responses": responses,
    });
    if is_guarded {
        operation["security"] = json!([{ "control": [] }]);
    }
    operation
}

/// Adds errors by their names.
fn refer(responses: &mut Map<String, Value>, names: &[&str]) {
    for (name, status, ..) in ERRORS.iter().filter(|(name, ..)| names.contains(name)) {
        responses.insert(status.to_string(), json!({ "$ref": format!("#/components/responses/{name}") }));
    }
}

/// A good answer.
fn good(content: Content, schema: Value) -> Value {
    let content_type = match content {
        Content::Json | Content::WebSocket => "application/json",
        Content::Csv => "text/plain; charset=utf-8",
        Content::Table => journal::CSV,
        Content::Metrics => METRICS,
        Content::Page => "text/html; charset=utf-8",
        Content::Events => "text/event-stream",
        Content::File(content_type) => content_type,
    };
    json!({ "description": "OK", "content": { content_type: { "schema": schema } } })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::routes::ROUTES;
    use std::collections::HashSet;

    #[test]
    fn operations_have_names_of_their_own() {
        let paths = paths(ROUTES);
        let operations =
            paths.as_object().unwrap().values().flat_map(|item| item.as_object().unwrap().values());
        let names: Vec<&str> =
            operations.map(|operation| operation["operationId"].as_str().unwrap()).collect();
        assert_eq!(names.len(), names.iter().collect::<HashSet<_>>().len(), "{names:?}");
    }
}
