//! What routes share: both slash forms, HEAD, JSON errors, the headers of a body.

use std::borrow::Cow;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::{Handler, HttpRequest, HttpResponse, HttpResponseBuilder, Resource, Responder, web};
use bytes::Bytes;
use futures_util::Stream;

pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json");
pub(super) const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
pub(super) const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// The methods of a route that is only read.
pub(super) const READ: &str = "GET, HEAD";

const NO_SNIFF: (HeaderName, HeaderValue) =
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
const NO_STORE: (HeaderName, HeaderValue) = (header::CACHE_CONTROL, HeaderValue::from_static("no-store"));

/// A route that answers GET and HEAD, with and without a slash at the end, and 405 to everything else.
pub(super) fn get<F, Args>(path: &str, handler: F) -> Resource
where
    F: Handler<Args> + Clone,
    Args: actix_web::FromRequest + 'static,
    F::Output: Responder + 'static,
{
    let other = match path.strip_suffix('/') {
        Some(short) => short.to_owned(),
        None => format!("{path}/"),
    };
    let paths = if path == "/" { vec![path.to_owned()] } else { vec![path.to_owned(), other] };
    web::resource(paths)
        .route(web::get().to(handler.clone()))
        .route(web::head().to(handler))
        .default_service(web::to(|| async { method_not_allowed(READ) }))
}

/// A route that takes orders only, with and without a slash at the end, and answers 405 to everything else.
pub(super) fn post<F, Args>(path: &str, handler: F) -> Resource
where
    F: Handler<Args>,
    Args: actix_web::FromRequest + 'static,
    F::Output: Responder + 'static,
{
    web::resource(vec![path.to_owned(), format!("{path}/")])
        .route(web::post().to(handler))
        .default_service(web::to(|| async { method_not_allowed("POST") }))
}

/// A body with the headers that all of ours have.
pub(super) fn body(status: StatusCode, content_type: HeaderValue, body: Bytes) -> HttpResponse {
    with_headers(status, content_type).body(body)
}

/// A body of unknown length, with the same headers.
pub(super) fn streamed<E>(
    status: StatusCode,
    content_type: HeaderValue,
    pieces: impl Stream<Item = Result<Bytes, E>> + 'static,
) -> HttpResponse
where
    E: Into<Box<dyn std::error::Error>> + 'static,
{
    let mut response = with_headers(status, content_type).streaming(pieces);
    response.extensions_mut().insert(Streamed);
    response
}

/// Says that the answer depends on the header `on` of the request, beside what it depends on already.
pub(super) fn varies(headers: &mut HeaderMap, on: &str) {
    let known = headers.get(header::VARY).and_then(|known| known.to_str().ok());
    let all = known.map_or_else(|| on.to_owned(), |known| format!("{known}, {on}"));
    if let Ok(all) = HeaderValue::try_from(all) {
        headers.insert(header::VARY, all);
    }
}

/// Whether the client has what this tag stands for, to the byte or in effect.
pub(super) fn knows(request: &HttpRequest, tag: &str) -> bool {
    let bare = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let known = request.headers().get(header::IF_NONE_MATCH).and_then(|known| known.to_str().ok());
    known.is_some_and(|known| known.split(',').any(|one| bare(one) == bare(tag)))
}

/// Marks an answer of unknown length that is not a feed.
pub(super) struct Streamed;

fn with_headers(status: StatusCode, content_type: HeaderValue) -> HttpResponseBuilder {
    let mut response = HttpResponse::build(status);
    response
        .insert_header((header::CONTENT_TYPE, content_type))
        .insert_header(NO_SNIFF)
        .insert_header(NO_STORE);
    response
}

/// A page of text and links: nothing in it may run or be fetched.
pub(super) fn page(mut response: HttpResponse) -> HttpResponse {
    let policy = HeaderValue::from_static(
        "default-src 'none'; base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; \
         trusted-types 'none'",
    );
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    response
}

pub(super) fn json(bytes: Bytes) -> HttpResponse {
    body(StatusCode::OK, JSON, bytes)
}

pub(super) fn json_value(status: StatusCode, value: &serde_json::Value) -> HttpResponse {
    body(status, JSON, value.to_string().into())
}

/// `{"detail": …}`, as clients of the servers before ours expect errors.
pub(super) fn detail(status: StatusCode, detail: &str) -> HttpResponse {
    json_value(status, &serde_json::json!({ "detail": detail }))
}

pub(super) fn no_gateways() -> HttpResponse {
    detail(StatusCode::SERVICE_UNAVAILABLE, "No gateways configured")
}

/// Echoes an id only if it could be one.
pub(super) fn no_such_gateway(id: &str) -> HttpResponse {
    let plain =
        id.len() <= 64 && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    match plain {
        true => detail(StatusCode::NOT_FOUND, &format!("Gateway {id} not found")),
        false => detail(StatusCode::NOT_FOUND, "Gateway not found"),
    }
}

pub(super) fn not_found() -> HttpResponse {
    detail(StatusCode::NOT_FOUND, "Not Found")
}

/// `allowed`: the methods that the route has.
pub(super) fn method_not_allowed(allowed: &'static str) -> HttpResponse {
    let mut response = detail(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed");
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
    response
}

/// Why a request is not answered.
#[derive(Debug)]
pub(super) struct Refusal {
    pub status: StatusCode,
    why: Cow<'static, str>,
    /// For how long it should not be made again.
    wait: Option<Duration>,
    /// What else the client must know.
    header: Option<(HeaderName, HeaderValue)>,
}

impl Refusal {
    pub fn new(status: StatusCode, why: impl Into<Cow<'static, str>>) -> Self {
        Self { status, why: why.into(), wait: None, header: None }
    }

    pub fn too_many(wait: Duration, why: impl Into<Cow<'static, str>>) -> Self {
        Self { wait: Some(wait), ..Self::new(StatusCode::TOO_MANY_REQUESTS, why) }
    }

    pub fn with(self, name: HeaderName, value: HeaderValue) -> Self {
        Self { header: Some((name, value)), ..self }
    }

    /// Why, for the person who asked.
    pub fn why(&self) -> &str {
        &self.why
    }

    /// The headers that the answer needs, whatever its body.
    pub fn mark(&self, headers: &mut HeaderMap) {
        if let Some(wait) = self.wait {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs() + 1));
        }
        if let Some((name, value)) = &self.header {
            headers.insert(name.clone(), value.clone());
        }
    }

    pub fn answer(&self) -> HttpResponse {
        let mut response = detail(self.status, &self.why);
        self.mark(response.headers_mut());
        response
    }
}
