//! The front door: what holds for every request before and after its route.
//!
//! Under which names the service may be asked, who asked too much, which pages may read, what is compressed.
//! Paths of the table are answered right here; the rest goes on to actix-web's router.

use std::future::Future;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::{Service, ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::{Error, HttpMessage, HttpResponse, web};
use futures_util::future::{Either, LocalBoxFuture};
use log::{Level, debug, log_enabled};
use tokio::time::Instant;

use super::access;
use super::compression::takes_gzip;
use super::ingress;
use super::orders::{self, Order};
use super::patience;
use super::plumbing::{Refusal, detail, method_not_allowed, varies};
use super::route::{Answer, Later};
use super::{State, bodies};
use crate::connections::{Connection, Handling};
use crate::settings::AllowedOrigins;

/// Asked by containers and monitoring, which must not be locked out.
const NEVER_LIMITED: [&str; 3] = ["/livez", "/readyz", "/health"];

/// Bytes. No route and no query needs nearly as many.
const LONGEST_URL: usize = 8 << 10;

/// What becomes of a request.
enum Verdict {
    Answer(HttpResponse),
    /// Its body has to be read first.
    Order(&'static Order),
    /// The answer takes its time.
    Later(Later),
    /// The router decides.
    Route,
}

/// Wraps everything that is served.
pub fn front<S>(
    mut request: ServiceRequest,
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
    let is_order = request.method() == Method::POST;
    let started = log_enabled!(Level::Debug).then(Instant::now);
    let mut handling: Option<Handling> = None;
    let answer = match judge(&state, &request, allowed.is_some()) {
        Verdict::Route => {
            handling = request.conn_data().map(Connection::handle);
            Either::Left(service.call(request))
        }
        Verdict::Answer(response) => {
            if let Some(connection) = request.conn_data::<Arc<Connection>>() {
                connection.handled();
            }
            Either::Right(Either::Left(async { Ok(request.into_response(response)) }))
        }
        // Boxed, because they would make the future of every other request larger.
        Verdict::Order(order) => {
            handling = request.conn_data().map(Connection::handle);
            let (state, payload) = (state.clone(), request.take_payload());
            Either::Right(Either::Right(slow(async move {
                let response = orders::carry_out(state, order, request.request(), payload).await;
                Ok(request.into_response(response))
            })))
        }
        Verdict::Later(answer) => {
            handling = request.conn_data().map(Connection::handle);
            let lengthy = request.conn_data().map(Connection::answer_at_length);
            Either::Right(Either::Right(slow(async move {
                let response = answer.await;
                drop(lengthy);
                Ok(request.into_response(response))
            })))
        }
    };
    Either::Right(async move {
        let mut response = answer.await?;
        if let Some(allowed) = allowed {
            allowed.mark(response.headers_mut());
        }
        state.counters.count(is_order, response.status());
        if let Some(started) = started {
            log_request(&state, &response, started.elapsed());
        }
        let response = if takes_gzip { state.compressor.compressed(response).await } else { response };
        drop(handling);
        Ok(patience::bounded(state, response))
    })
}

fn slow(
    answer: impl Future<Output = Result<ServiceResponse, Error>> + 'static,
) -> LocalBoxFuture<'static, Result<ServiceResponse, Error>> {
    Box::pin(answer)
}

/// A line for anyone who looks for what is slow or refused. It names the route of the table and nothing that
/// a client made up: a path or a query may hold what is none of the log's business.
fn log_request(state: &State, response: &ServiceResponse, took: Duration) {
    let request = response.request();
    let path = below_base(request.path(), &state.http.base_path);
    let route = state.table.find(path).map(|route| route.path.to_owned());
    let route = route.or_else(|| request.match_pattern()).unwrap_or_else(|| "no route".to_owned());
    let (status, latency) = (response.status().as_u16(), took.as_millis() as u64);
    debug!(
        event = "request", client:% = state.client(request), method = request.method().as_str(),
        route = route.as_str(), status = status, latency_ms = latency;
        "{} {route}: {status} in {latency} ms", request.method()
    );
}

fn judge(state: &web::Data<State>, request: &ServiceRequest, may_read: bool) -> Verdict {
    if request.uri().path_and_query().is_some_and(|asked| asked.as_str().len() > LONGEST_URL) {
        return Verdict::Answer(detail(StatusCode::URI_TOO_LONG, "The URL is longer than 8 kB"));
    }
    // Who comes through ingress was asked by Home Assistant, under whatever name that has.
    if !is_known_host(state, request) && ingress::path(state, request.request()).is_none() {
        let answer = detail(StatusCode::MISDIRECTED_REQUEST, "This host name is not in PW_ALLOWED_HOSTS");
        return Verdict::Answer(answer);
    }
    let is_preflight = request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    if is_preflight && may_read {
        return Verdict::Answer(preflight(request.headers()));
    }
    let path = below_base(request.path(), &state.http.base_path);
    let route = state.table.find(path);
    if let Some(limiter) = &state.limiter
        && !is_preflight
        && route.is_none_or(|route| !NEVER_LIMITED.contains(&route.path))
        && let Err(wait) = limiter.admit(state.client(request.request()), Instant::now())
    {
        return Verdict::Answer(Refusal::too_many(wait, "Rate limit exceeded").answer());
    }
    let is_read = [Method::GET, Method::HEAD].contains(request.method());
    if is_read && let Some(refusal) = access::objection(state, request.request(), path, route) {
        return Verdict::Answer(refusal.answer());
    }
    let Some(route) = route else {
        return match state.table.methods(path).filter(|_| !is_read) {
            Some(methods) => Verdict::Answer(method_not_allowed(methods)),
            None => Verdict::Route,
        };
    };
    match *request.method() {
        Method::GET | Method::HEAD => {
            state.table.count(route.path);
            match &route.answer {
                Answer::Fleet(answer) => Verdict::Later(answer(state.clone(), request.request().clone())),
                _ => Verdict::Answer(bodies::answer(state, route, request.request())),
            }
        }
        Method::POST => match &route.order {
            Some(order) if order.answer.is_none() => Verdict::Route,
            Some(order) => {
                state.table.count(route.path);
                Verdict::Order(order)
            }
            None => Verdict::Answer(method_not_allowed(route.methods())),
        },
        _ => Verdict::Answer(method_not_allowed(route.methods())),
    }
}

/// The path without the base path, if it has it. The bare base path is left to the router, which adds its
/// slash.
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
    let Some(name) = name_in(host).map(str::to_ascii_lowercase) else { return false };
    name == "localhost" || name.parse::<IpAddr>().is_ok() || hosts.contains(&name)
}

/// The name or address in a `Host` header. `None`: it is none, because something else stands beside name and
/// port.
fn name_in(host: &str) -> Option<&str> {
    let (name, rest) = match host.strip_prefix('[') {
        Some(v6) => v6.split_once(']').filter(|(address, _)| address.parse::<Ipv6Addr>().is_ok())?,
        None => host.split_at(host.find(':').unwrap_or(host.len())),
    };
    let is_port = |port: &str| port.bytes().all(|digit| digit.is_ascii_digit());
    (rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port)).then_some(name)
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
            varies(headers, "Origin");
        }
    }
}

/// What a page may send is what it asks for: whoever may read is decided by the origin, and no header of a
/// request does more than the same one from a program. Data sources of Grafana, for one, send headers of
/// their own.
fn preflight(asked: &HeaderMap) -> HttpResponse {
    let asked = asked.get(header::ACCESS_CONTROL_REQUEST_HEADERS).filter(|asked| is_list_of_names(asked));
    let usual = || HeaderValue::from_static("Accept, Authorization, Content-Type, Idempotency-Key");
    HttpResponse::Ok()
        .insert_header((header::ACCESS_CONTROL_ALLOW_METHODS, "GET, HEAD, POST, OPTIONS"))
        .insert_header((header::ACCESS_CONTROL_ALLOW_HEADERS, asked.cloned().unwrap_or_else(usual)))
        .insert_header((header::ACCESS_CONTROL_MAX_AGE, "600"))
        .insert_header((header::VARY, "Access-Control-Request-Headers"))
        .finish()
}

fn is_list_of_names(names: &HeaderValue) -> bool {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.,! ".contains(byte);
    names.as_bytes().iter().all(is_part)
}
