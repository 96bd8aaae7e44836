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
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                      connect-src 'self' ws: wss:; base-uri 'none'; form-action 'none'; frame-ancestors *";

pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .service(get("/", index))
        .service(get("/static/{file:.*}", file))
        .service(get("/favicon.ico", |request: HttpRequest| async move { serve(&request, "favicon.svg") }));
}

async fn index(request: HttpRequest, state: Data<State>) -> HttpResponse {
    state.counters.count_path("/");
    serve(&request, "index.html")
}

async fn file(request: HttpRequest, path: Path<String>) -> HttpResponse {
    match Files::get(&path) {
        Some(_) => serve(&request, &path),
        None => not_found().await,
    }
}

fn serve(request: &HttpRequest, path: &str) -> HttpResponse {
    let Some(file) = Files::get(path) else { return HttpResponse::NotFound().finish() };
    let tag = entity_tag(&file);
    let known = request.headers().get(header::IF_NONE_MATCH).is_some_and(|known| known == tag.as_str());
    let mut response = if known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response
        .insert_header((header::ETAG, tag))
        .insert_header((header::CACHE_CONTROL, "no-cache"))
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
        Some("webmanifest") => "application/manifest+json",
        _ => "application/octet-stream",
    })
}
