//! The front door: what holds for every request before and after its route.
//!
//! Under which names the service may be asked, who asked too much, which pages may read, what is compressed. Paths of
//! the table are answered right here; the rest goes on to actix-web's router.

use std::future::{Future, ready};
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use actix_web::body::MessageBody;
use actix_web::dev::{Service, ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::{Error, HttpResponse, web};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::future::Either;
use tokio::time::Instant;

use super::plumbing::{detail, method_not_allowed};
use super::{State, bodies};
use crate::settings::AllowedOrigins;

/// Smaller bodies fit into a few packets anyway.
const WORTH_COMPRESSING: usize = 8 << 10;
/// Asked by containers and monitoring, which must not be locked out.
const NEVER_LIMITED: [&str; 3] = ["/livez", "/readyz", "/health"];

/// Wraps everything that is served.
pub fn front<S>(
    request: ServiceRequest,
    service: &S,
) -> impl Future<Output = Result<ServiceResponse, Error>> + use<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse, Error = Error>,
{
    let Some(state) = request.app_data::<web::Data<State>>().cloned() else {
        return Either::Left(service.call(request));
    };
    let origin = request.headers().get(header::ORIGIN).cloned();
    let allowed = origin.and_then(|origin| allowed(&state, origin));
    let takes_gzip = takes_gzip(request.headers());
    let answer = match at_once(&state, &request, allowed.is_some()) {
        Some(response) => Either::Left(ready(Ok(request.into_response(response)))),
        None => Either::Right(service.call(request)),
    };
    Either::Right(async move {
        let mut response = answer.await?;
        if let Some(allowed) = allowed {
            allowed.mark(response.headers_mut());
        }
        state.counters.count(response.status());
        Ok(if takes_gzip { compressed(response) } else { response })
    })
}

/// What can be answered without the router; `None`: the router decides.
fn at_once(state: &State, request: &ServiceRequest, may_read: bool) -> Option<HttpResponse> {
    if !is_known_host(state, request) {
        return Some(detail(StatusCode::MISDIRECTED_REQUEST, "This host name is not in PW_ALLOWED_HOSTS"));
    }
    let is_preflight = request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    if is_preflight && may_read {
        return Some(preflight());
    }
    let path = below_base(request.path(), &state.http.base_path);
    let route = state.table.find(path);
    if let Some(limiter) = &state.limiter
        && !is_preflight
        && route.is_none_or(|route| !NEVER_LIMITED.contains(&route.path))
    {
        let client = request.peer_addr().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |addr| addr.ip());
        if let Err(wait) = limiter.admit(client, Instant::now()) {
            return Some(too_many(wait));
        }
    }
    let route = route?;
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return Some(method_not_allowed(request.method()));
    }
    state.table.count(route.path);
    Some(bodies::answer(state, route, request.request()))
}

/// The path without the base path, if it has it. The bare base path is left to the router, which adds its slash.
fn below_base<'a>(path: &'a str, base: &str) -> &'a str {
    match path.strip_prefix(base) {
        Some(rest) if rest.starts_with('/') => rest,
        _ => path,
    }
}

/// Addresses cannot be rebound to another machine; names can.
fn is_known_host(state: &State, request: &ServiceRequest) -> bool {
    let Some(hosts) = &state.http.hosts else { return true };
    let Some(host) = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()) else {
        return false;
    };
    let name = match host.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    let name = name.to_ascii_lowercase();
    name == "localhost" || name.parse::<IpAddr>().is_ok() || hosts.contains(&name)
}

fn too_many(wait: Duration) -> HttpResponse {
    let mut response = detail(StatusCode::TOO_MANY_REQUESTS, "Rate limit exceeded");
    let seconds = wait.as_secs() + 1;
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    response
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

pub(super) fn takes_gzip(headers: &HeaderMap) -> bool {
    let Some(accepted) = headers.get(header::ACCEPT_ENCODING).and_then(|text| text.to_str().ok()) else {
        return false;
    };
    accepted.split(',').any(|coding| {
        let (name, quality) = coding.trim().split_once(';').unwrap_or((coding.trim(), ""));
        let refused = matches!(quality.trim().trim_start_matches("q="), "0" | "0.0" | "0.00" | "0.000");
        name.trim() == "gzip" && !refused
    })
}

fn is_text(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.starts_with("text/") || kind.starts_with("application/json") || kind.starts_with("image/svg")
}

/// With a large body of text compressed; anything else as it is.
fn compressed(response: ServiceResponse) -> ServiceResponse {
    let worth = response.status() == StatusCode::OK
        && is_text(response.headers())
        && !response.headers().contains_key(header::CONTENT_ENCODING)
        && matches!(response.response().body().size(), actix_web::body::BodySize::Sized(size) if size >= WORTH_COMPRESSING as u64);
    if !worth {
        return response;
    }
    response.map_body(|head, body| match body.try_into_bytes() {
        Ok(bytes) => match gzip(&bytes, Compression::fast()) {
            Some(small) => {
                head.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
                head.headers_mut().append(header::VARY, HeaderValue::from_static("Accept-Encoding"));
                actix_web::body::BoxBody::new(small)
            }
            None => actix_web::body::BoxBody::new(bytes),
        },
        Err(body) => body,
    })
}

pub(super) fn gzip(bytes: &[u8], effort: Compression) -> Option<Bytes> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 4), effort);
    encoder.write_all(bytes).ok()?;
    encoder.finish().ok().map(Bytes::from)
}
