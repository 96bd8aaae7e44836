//! What all routes share: both slash forms, HEAD, JSON errors, cross-origin headers.

use actix_web::dev::{Service, ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::{Error, Handler, HttpRequest, HttpResponse, Resource, Responder, web};
use bytes::Bytes;
use futures_util::future::Either;
use std::future::{Future, ready};

use super::State;
use crate::settings::AllowedOrigins;

pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json");
pub(super) const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

const NO_SNIFF: (HeaderName, HeaderValue) =
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
const NO_CACHE: (HeaderName, HeaderValue) = (header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));

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
        .default_service(web::to(method_not_allowed))
}

/// A body with the headers that all of ours have.
pub(super) fn body(status: StatusCode, content_type: HeaderValue, body: Bytes) -> HttpResponse {
    HttpResponse::build(status)
        .insert_header((header::CONTENT_TYPE, content_type))
        .insert_header(NO_SNIFF)
        .insert_header(NO_CACHE)
        .body(body)
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

pub(super) async fn not_found() -> HttpResponse {
    detail(StatusCode::NOT_FOUND, "Not Found")
}

async fn method_not_allowed(request: HttpRequest) -> HttpResponse {
    let mut response = detail(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed");
    // A preflight that no cross-origin rule let through is no mistake of its path.
    let allow = if request.method() == Method::OPTIONS { "GET, HEAD, OPTIONS" } else { "GET, HEAD" };
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allow));
    response
}

/// Counts every answer and lets pages of other origins read it, as far as the settings allow.
pub fn cors<S>(
    request: ServiceRequest,
    service: &S,
) -> impl Future<Output = Result<ServiceResponse, Error>> + use<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse, Error = Error>,
{
    let state = request.app_data::<web::Data<State>>().cloned();
    let origin = request.headers().get(header::ORIGIN).cloned();
    let allowed = origin.and_then(|origin| allowed(state.as_deref()?, origin));
    let is_preflight = request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let answer = match &allowed {
        Some(_) if is_preflight => Either::Left(ready(Ok(request.into_response(preflight())))),
        _ => Either::Right(service.call(request)),
    };
    async move {
        let mut response = answer.await?;
        if let Some(allowed) = allowed {
            allowed.mark(response.headers_mut());
        }
        if let Some(state) = state {
            state.counters.count(response.status());
        }
        Ok(response)
    }
}

/// A page that may read.
struct Allowed {
    origin: HeaderValue,
    /// A listed origin may send credentials, everybody may not.
    listed: bool,
}

fn allowed(state: &State, origin: HeaderValue) -> Option<Allowed> {
    match &state.http.origins {
        AllowedOrigins::Any => Some(Allowed { origin: HeaderValue::from_static("*"), listed: false }),
        AllowedOrigins::Listed(list) => {
            let known = list.iter().any(|known| known.as_bytes() == origin.as_bytes());
            known.then_some(Allowed { origin, listed: true })
        }
    }
}

impl Allowed {
    fn mark(self, headers: &mut HeaderMap) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, self.origin);
        if self.listed {
            headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
            headers.insert(header::VARY, HeaderValue::from_static("Origin"));
        }
    }
}

fn preflight() -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::ACCESS_CONTROL_ALLOW_METHODS, "GET, HEAD, OPTIONS"))
        .insert_header((header::ACCESS_CONTROL_ALLOW_HEADERS, "Accept, Authorization, Content-Type"))
        .insert_header((header::ACCESS_CONTROL_MAX_AGE, "600"))
        .finish()
}
