//! Who asks: headers → tokens.
//!
//! A token comes as `Authorization: Bearer <secret>` or bare. Where readings need a token, a browser may ask
//! its user for it and send it as `Basic`, with any name. What a browser sends by itself is good for reading
//! only, and only for pages of this service or of an origin that is listed.

use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use tokio::time::Instant;

use super::State;
use super::ingress;
use super::plumbing::Refusal;
use crate::control::Denied;
use crate::settings::{AllowedOrigins, Role, Token};

const BEARER: &str = "Bearer ";
const BASIC: &str = "Basic ";

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

/// The token of a request that reads.
pub(super) fn reader(state: &State, request: &HttpRequest) -> Result<Arc<Token>, Denied> {
    let headers = request.headers();
    if !headers.contains_key(header::AUTHORIZATION) && ingress::path(state, request).is_some() {
        return Ok(ingress::viewer());
    }
    let password = basic_password(headers);
    let given = match &password {
        Some(password) => is_own_page(state, request).then_some(password.as_slice()),
        None => secret(headers),
    };
    state.control.holder(given, Role::Viewer, state.client(request), Instant::now())
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

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

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
}
