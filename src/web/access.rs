//! Who may read what, and who asks: headers → tokens.
//!
//! A token comes as `Authorization: Bearer <secret>` or bare. Where readings need a token, a browser may ask its
//! user for it and send it as `Basic`, with any name. What a browser sends by itself is good for reading only,
//! and only for pages of this service or of an origin that is listed.

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use std::sync::Arc;
use tokio::time::Instant;

use super::State;
use super::plumbing::Refusal;
use super::route::{Answer, Route};
use crate::control::Denied;
use crate::settings::{AllowedOrigins, Role, Token};

/// Offered to a browser whose user may know a token.
const CHALLENGE: HeaderValue = HeaderValue::from_static(r#"Basic realm="powerwall-server", charset="UTF-8""#);
const BEARER: &str = "Bearer ";
const BASIC: &str = "Basic ";

/// What a route says and to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Guard {
    /// Nothing about a gateway: everybody may know.
    None,
    /// Readings: everybody, unless the settings ask for a token.
    Readings,
    /// The route asks for a token itself.
    Own,
}

/// What a token must be good for.
#[derive(Debug, PartialEq, Eq)]
enum Reach<'a> {
    Gateway(&'a str),
    /// The one that routes without an id speak of.
    DefaultGateway,
    AllGateways,
}

impl From<Denied> for Refusal {
    fn from(denied: Denied) -> Self {
        let why = denied.to_string();
        match denied {
            Denied::Off | Denied::Role { .. } | Denied::OtherGateway => Self::new(StatusCode::FORBIDDEN, why),
            Denied::NoToken | Denied::WrongToken => Self::new(StatusCode::UNAUTHORIZED, why),
            Denied::TooManyGuesses { wait } => Self::too_many(wait, why),
        }
    }
}

/// The secret that a program sends: nothing that a browser adds by itself.
pub(super) fn secret(headers: &HeaderMap) -> Option<&[u8]> {
    let given = headers.get(header::AUTHORIZATION)?.as_bytes();
    Some(given.strip_prefix(BEARER.as_bytes()).unwrap_or(given))
}

/// The token of a request that changes something or shows what everybody is not shown.
///
/// # Errors
/// If it has none with the role `needed`.
pub(super) fn holder(state: &State, request: &HttpRequest, needed: Role) -> Result<Arc<Token>, Denied> {
    let client = state.client(request);
    state.control.holder(secret(request.headers()), needed, client, Instant::now())
}

/// Why a request for what is at `path` is not answered, if it is not; `route`: what the table has there.
pub(super) fn objection(
    state: &State,
    request: &HttpRequest,
    path: &str,
    route: Option<&Route>,
) -> Option<Refusal> {
    if state.control.tokens.is_open() || guard(path, route) != Guard::Readings {
        return None;
    }
    let is_good = reader(state, request).and_then(|token| match reach(path, route) {
        Reach::Gateway(id) if token.reaches(id) => Ok(()),
        Reach::DefaultGateway if reaches_default(state, &token) => Ok(()),
        _ if token.gateways.is_none() => Ok(()),
        _ => Err(Denied::OtherGateway),
    });
    is_good.err().map(|denied| {
        let asks = denied == Denied::NoToken || denied == Denied::WrongToken;
        let refusal = Refusal::from(denied);
        if asks { refusal.with(header::WWW_AUTHENTICATE, CHALLENGE) } else { refusal }
    })
}

/// Whether a request may read about all gateways, on a route that says something to everybody.
pub(super) fn reads_everything(state: &State, request: &HttpRequest) -> bool {
    state.control.tokens.is_open() || reader(state, request).is_ok_and(|token| token.gateways.is_none())
}

/// The token of a request that reads.
fn reader(state: &State, request: &HttpRequest) -> Result<Arc<Token>, Denied> {
    let headers = request.headers();
    let password = basic_password(headers);
    let given = match &password {
        Some(password) => is_own_page(state, request).then_some(password.as_slice()),
        None => secret(headers),
    };
    state.control.holder(given, Role::Viewer, state.client(request), Instant::now())
}

fn reaches_default(state: &State, token: &Token) -> bool {
    state.directory.default_gateway().is_none_or(|gateway| token.reaches(&gateway.id))
}

/// What a browser sends after it has asked its user; the name does not matter.
fn basic_password(headers: &HeaderMap) -> Option<Vec<u8>> {
    let given = headers.get(header::AUTHORIZATION)?.as_bytes().strip_prefix(BASIC.as_bytes())?;
    let plain = BASE64_STANDARD.decode(given.trim_ascii()).unwrap_or_default();
    let colon = plain.iter().position(|byte| *byte == b':').map_or(plain.len(), |colon| colon + 1);
    Some(plain[colon..].to_vec())
}

/// Whether what a browser sends by itself was meant: no page of another origin made it ask.
fn is_own_page(state: &State, request: &HttpRequest) -> bool {
    let Some(origin) = request.headers().get(header::ORIGIN) else { return true };
    let Ok(origin) = origin.to_str() else { return false };
    let own = origin.split_once("://").map(|(_, host)| host) == Some(request.connection_info().host());
    let listed = match &state.http.origins {
        AllowedOrigins::Any => false,
        AllowedOrigins::Listed(list) => list.iter().any(|known| known == origin),
    };
    own || listed
}

fn guard(path: &str, route: Option<&Route>) -> Guard {
    match route {
        Some(route) => route.guard,
        // Files of the pages, which everybody can have from where this program comes from.
        None if path.starts_with("/static/") => Guard::None,
        None if ["/api/journal", "/api/orders"].iter().any(|own| path.starts_with(own)) => Guard::Own,
        None => Guard::Readings,
    }
}

fn reach<'a>(path: &'a str, route: Option<&Route>) -> Reach<'a> {
    let id = ["/api/gateways/", "/ws/gateway/"].iter().find_map(|start| path.strip_prefix(start));
    if let Some(id) = id.and_then(|rest| rest.split('/').next()).filter(|id| !id.is_empty()) {
        return Reach::Gateway(id);
    }
    match route.map(|route| &route.answer) {
        Some(Answer::View { .. } | Answer::Gateway(_) | Answer::Fixed { .. }) => Reach::DefaultGateway,
        _ => Reach::AllGateways,
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;
    use crate::web::routes::ROUTES;

    #[test]
    fn a_browser_sends_the_token_as_a_password_and_a_program_as_it_is() {
        let secret_of = |text: &str| {
            let request = TestRequest::default().insert_header(("authorization", text)).to_http_request();
            let password = basic_password(request.headers());
            let plain = secret(request.headers()).unwrap().to_vec();
            (password.map(|text| String::from_utf8(text).unwrap()), String::from_utf8(plain).unwrap())
        };
        let basic = |text: &str| format!("Basic {}", BASE64_STANDARD.encode(text));
        assert_eq!(secret_of("Bearer a b").1, "a b");
        assert_eq!(secret_of("a b"), (None, "a b".into()));
        assert_eq!(secret_of("bearer a").1, "bearer a");
        assert_eq!(secret_of(&basic("me:a:b")).0, Some("a:b".into()));
        assert_eq!(secret_of(&basic("a")).0, Some(String::new()));
        assert_eq!(secret_of("Basic !").0, Some(String::new()));
        assert!(secret_of(&basic("me:a")).1.starts_with("Basic "), "no password of a browser gives orders");
    }

    #[test]
    fn what_is_not_said_to_be_open_is_a_reading() {
        let found = |path: &str| ROUTES.iter().find(|route| route.path == path);
        for path in ["/aggregates", "/metrics", "/stats", "/", "/api/live", "/ws/aggregate", "/nothing"] {
            assert_eq!(guard(path, found(path)), Guard::Readings, "{path}");
        }
        for path in ["/livez", "/health", "/openapi.json", "/static/live.js", "/favicon.ico"] {
            assert_eq!(
                guard(path, found(path).filter(|route| !route.path.contains('{'))),
                Guard::None,
                "{path}"
            );
        }
        assert_eq!(reach("/soe", found("/soe")), Reach::DefaultGateway);
        assert_eq!(reach("/api/gateways/home/vitals", None), Reach::Gateway("home"));
        assert_eq!(reach("/ws/gateway/home", None), Reach::Gateway("home"));
        for path in ["/api/gateways", "/api/gateways/", "/ws/aggregate", "/metrics", "/stats", "/"] {
            assert_eq!(reach(path, found(path)), Reach::AllGateways, "{path}");
        }
    }
}
