//! What a healthy owners API answers to each path.

use serde_json::json;

use super::tokens::{Minted, Shared, authorize, token};
use crate::simulator::http::{Answer, Request};
use crate::simulator::tesla::answers;
use crate::simulator::tesla::replies::{error, response};

pub(super) fn answer(shared: &Shared, request: &Request, minted: Minted) -> Answer {
    let path = request.path.split('?').next().unwrap_or_default();
    match path {
        "/oauth2/v3/authorize" => return authorize(shared, &request.path),
        "/oauth2/v3/token" => return token(shared, &request.body, minted),
        _ => {}
    }
    let bearer = request.authorization.as_deref().and_then(|text| text.strip_prefix("Bearer "));
    if bearer.is_some_and(|token| shared.tokens().spoiled.contains(token)) {
        return error(403, "forbidden, see https://developer.tesla.com/docs/fleet-api");
    }
    let is_site = path.starts_with("/api/1/energy_sites/") && request.method == "GET";
    let has_language = !["/tariff_rate", "/calendar_history"].iter().any(|end| path.ends_with(end));
    if is_site && has_language && !request.path.contains("language=en") {
        return error(400, "invalid_request");
    }
    let known = answers::answer(&shared.cloud, request, true);
    let what = path.rsplit('/').next().unwrap_or_default();
    if known.status != 404 || !is_site {
        return known;
    }
    only_here(shared, path, what).unwrap_or(known)
}

/// What FleetAPI does not have.
fn only_here(shared: &Shared, path: &str, what: &str) -> Option<Answer> {
    let state = shared.cloud.state();
    let id = path.strip_prefix("/api/1/energy_sites/")?.split('/').next()?;
    let site = state.sites.iter().find(|site| site.id.to_string() == id)?;
    let (_, mut info) = site.gateway.in_cloud();
    match what {
        "backup_time_remaining" => Some(response(&json!({ "time_remaining_hours": 9.5 }))),
        "tariff_rate" => Some(response(&info["tariff_content_v2"].take())),
        _ => None,
    }
}
