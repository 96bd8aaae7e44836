//! The pages: files of `static/`, embedded in the program.

use actix_web::http::header::{self, HeaderValue};
use actix_web::web::{Data, Path, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use rust_embed::{EmbeddedFile, RustEmbed};
use std::borrow::Cow;
use std::fmt::Write;

use super::State;
use super::plumbing::{get, not_found};

#[derive(RustEmbed)]
#[folder = "static/"]
struct Files;

/// Nothing from elsewhere, nothing inline.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; \
                      connect-src 'self' ws: wss:; frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors *";

pub(super) fn routes(config: &mut ServiceConfig) {
    config.service(get("/static/{file:.*}", file));
}

pub(super) fn index(state: &State, request: &HttpRequest) -> HttpResponse {
    serve(state, request, "index.html")
}

pub(super) fn example(state: &State, request: &HttpRequest) -> HttpResponse {
    serve(state, request, "example.html")
}

pub(super) fn favicon(state: &State, request: &HttpRequest) -> HttpResponse {
    serve(state, request, "favicon.ico")
}

pub(super) fn favicon_16(state: &State, request: &HttpRequest) -> HttpResponse {
    serve(state, request, "favicon-16x16.png")
}

pub(super) fn favicon_32(state: &State, request: &HttpRequest) -> HttpResponse {
    serve(state, request, "favicon-32x32.png")
}

async fn file(state: Data<State>, request: HttpRequest, path: Path<String>) -> HttpResponse {
    state.table.count("/static/{file}");
    serve(&state, &request, &path)
}

fn serve(state: &State, request: &HttpRequest, path: &str) -> HttpResponse {
    let Some(file) = Files::get(path) else { return not_found() };
    let tag = entity_tag(&file);
    let known = request.headers().get(header::IF_NONE_MATCH).is_some_and(|known| known == tag.as_str());
    let mut response = if known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response
        .insert_header((header::ETAG, tag))
        .insert_header((header::CACHE_CONTROL, cache_control(state, path)))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((header::REFERRER_POLICY, "no-referrer"));
    if known {
        return response.finish();
    }
    let body = match file.data {
        Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        Cow::Owned(bytes) => bytes.into(),
    };
    response.insert_header((header::CONTENT_TYPE, mime(path))).body(body)
}

/// Pages are asked for anew, so that an update of the program arrives; what they are made of may be kept.
fn cache_control(state: &State, path: &str) -> String {
    let seconds = state.http.browser_cache.as_secs();
    if seconds == 0 || path.ends_with(".html") { "no-cache".into() } else { format!("max-age={seconds}") }
}

fn entity_tag(file: &EmbeddedFile) -> String {
    let hash = file.metadata.sha256_hash();
    let mut tag = String::from("\"");
    for byte in &hash[..12] {
        let _ = write!(tag, "{byte:02x}");
    }
    tag + "\""
}

fn mime(path: &str) -> HeaderValue {
    HeaderValue::from_static(match path.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("ico") => "image/x-icon",
        Some("webmanifest") => "application/manifest+json",
        _ => "application/octet-stream",
    })
}
