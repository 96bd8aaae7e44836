//! Which routes say something about gateways, and who may read those.

use actix_web::HttpRequest;
use actix_web::http::header::{self, HeaderValue};

use super::State;
use super::holder::reader;
use super::plumbing::Refusal;
use super::route::{Answer, Guard, Route};
use crate::control::Denied;
use crate::settings::Token;

/// Offered to a browser whose user may know a token.
const CHALLENGE: HeaderValue = HeaderValue::from_static(r#"Basic realm="powerwall-server", charset="UTF-8""#);

/// What a token must be good for.
#[derive(Debug, PartialEq, Eq)]
enum Reach<'a> {
    Gateway(&'a str),
    /// The one that routes without an id speak of.
    DefaultGateway,
    AllGateways,
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

fn reaches_default(state: &State, token: &Token) -> bool {
    state.directory.default_gateway().is_none_or(|gateway| token.reaches(&gateway.id))
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
    if path.starts_with("/control/") {
        return Reach::DefaultGateway;
    }
    match route.map(|route| &route.answer) {
        Some(Answer::View { .. } | Answer::Gateway(_) | Answer::Fixed { .. }) => Reach::DefaultGateway,
        _ => Reach::AllGateways,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::routes::ROUTES;

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
