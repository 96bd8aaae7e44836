//! `/docs`: the list of routes for people. A page that reads `/openapi.json` and needs nothing from
//! elsewhere.

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpRequest, HttpResponse};

use super::State;
use super::plumbing::{HTML, body};

const PAGE: &str = include_str!("docs.html");
/// Nothing inline, nothing from elsewhere; requests to this service, to try its routes.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self'; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; \
     trusted-types 'none'; frame-ancestors 'self'",
);

/// Addresses in the page are relative, so that they hold behind any proxy; how far up they lead depends on
/// the form of the path that was asked for.
pub(super) fn page(state: &State, request: &HttpRequest) -> HttpResponse {
    let path = request.path();
    let below =
        path.strip_prefix(&state.http.base_path).filter(|below| below.starts_with('/')).unwrap_or(path);
    let root = "../".repeat(below.matches('/').count().saturating_sub(1));
    let mut answer = body(StatusCode::OK, HTML, PAGE.replace("{root}", &root).into());
    answer.headers_mut().insert(header::CONTENT_SECURITY_POLICY, POLICY);
    answer
}

pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
