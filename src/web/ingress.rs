//! Home Assistant's ingress: requests that its Supervisor passes on from people who are logged in there.
//!
//! The Supervisor sends `X-Ingress-Path`, below which the browser sees this service (Home Assistant's
//! developer documentation, "Presenting your app"). That header counts from the addresses in `PW_INGRESS`
//! only, as the connection has them: everybody else can write any header.

use std::sync::Arc;

use actix_web::HttpRequest;

use super::State;
use crate::settings::{Role, Secret, Token};

const PATH: &str = "x-ingress-path";
/// What the journal would call whoever comes this way.
const NAME: &str = "ingress";
/// Longer than any path that Home Assistant makes.
const LONGEST: usize = 200;

/// Below which path the browser sees this service; `None`: the request did not come through ingress.
pub(super) fn path<'a>(state: &State, request: &'a HttpRequest) -> Option<&'a str> {
    let peer = request.peer_addr()?;
    let path = request.headers().get(PATH)?.to_str().ok()?;
    let is_plain = |one: char| one.is_ascii_alphanumeric() || "/-_.~".contains(one);
    let is_path = path.starts_with('/') && path.len() <= LONGEST && path.chars().all(is_plain);
    (is_path && state.http.ingress.contains(peer.ip())).then(|| path.trim_end_matches('/'))
}

/// Below which path the browser sees this service, whichever way the request came.
pub(super) fn base<'a>(state: &'a State, request: &'a HttpRequest) -> &'a str {
    path(state, request).unwrap_or(&state.http.base_path)
}

/// The role of everybody who comes through ingress: reads everything and changes nothing. Orders need a token
/// there as well, so that no page that Home Assistant shows can give one.
pub(super) fn viewer() -> Arc<Token> {
    // Presented by nobody: it is not among the tokens that a secret is compared with.
    Arc::new(Token { name: NAME.to_owned(), role: Role::Viewer, gateways: None, secret: Secret::new("") })
}
