//! What Tesla's cloud was asked and what it said: counts and costs, the tariff, live status and site
//! information of the default gateway. Nobody who reads here makes a request.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::State;
use super::plumbing::{detail, json as body, json_value};
use super::without_data::NO_FLEET;
use crate::link::tesla::account::Usage;
use crate::link::tesla::ledger::{Count, FREE_PER_DAY};
use crate::model::{LinkKind, Part, Snapshot};
use crate::views::redact::redacted;

pub(super) const NO_LINK: &str =
    "Tesla cloud connection not available (requires hybrid, cloud or FleetAPI mode)";
const NO_TARIFF: &str = "Unable to retrieve Tesla tariff rate";

pub(super) fn usage(state: &State, _: &HttpRequest) -> HttpResponse {
    let accounts: Vec<Value> = state.accounts.usage().iter().map(account).collect();
    json_value(StatusCode::OK, &json!({ "accounts": accounts }))
}

fn account(usage: &Usage) -> Value {
    let asked = usage.today.data + usage.today.commands;
    // The owners API has no prices.
    let warning = (asked > FREE_PER_DAY && usage.standing.is_none()).then(|| {
        format!(
            "more than the {FREE_PER_DAY} requests a day that Tesla's free credit covers, if they are billed"
        )
    });
    let days = usage.days.iter().rev().map(|(day, count)| {
        let mut count = counted(*count, usage);
        count["day"] = day.as_str().into();
        count
    });
    let mut body = json!({
        "account": usage.account,
        "today": counted(usage.today, usage),
        "budget": usage.budget,
        "warning": warning,
        "pause_seconds": usage.pause_left.map(|left| left.as_secs()),
        "login_needed": usage.login_needed,
        "days": days.collect::<Vec<_>>(),
    });
    if let Some(standing) = usage.standing {
        body["state"] = standing.word().into();
        body["advice"] = standing.advice().into();
    }
    body
}

fn counted(count: Count, usage: &Usage) -> Value {
    let dollars = if usage.standing.is_some() { 0.0 } else { count.dollars() };
    json!({
        "data": count.data, "commands": count.commands, "tokens": count.tokens, "dollars": dollars,
    })
}

/// What the default gateway's cloud said, without the envelope; `None`: it has no such link.
fn said(state: &State, part: Part, kinds: &[LinkKind]) -> Option<Value> {
    let snapshot: Arc<Snapshot> = state.directory.default_gateway()?.board.read();
    if !snapshot.gateway.links.iter().any(|link| kinds.contains(link)) {
        return None;
    }
    let raw = snapshot.telemetry(Instant::now()).and_then(|telemetry| telemetry.answers().raw(part));
    let parsed = raw.and_then(|raw| serde_json::from_slice::<Value>(&raw).ok());
    Some(parsed.map(|mut answer| answer["response"].take()).unwrap_or_default())
}

pub(super) fn tariff(state: &State, _: &HttpRequest) -> HttpResponse {
    let either = [LinkKind::FleetApi, LinkKind::Cloud];
    let Some(mut info) = said(state, Part::CloudInfo, &either) else {
        return detail(StatusCode::SERVICE_UNAVAILABLE, NO_LINK);
    };
    // The owners API has it at a place of its own.
    if let Some(own) = said(state, Part::CloudTariff, &either).filter(Value::is_object) {
        return json_value(StatusCode::OK, &own);
    }
    let found = ["tariff_content_v2", "tariff_content"].into_iter().find_map(|key| {
        let tariff = info.get_mut(key)?.take();
        tariff.is_object().then_some(tariff)
    });
    match found {
        Some(tariff) => json_value(StatusCode::OK, &tariff),
        None => detail(StatusCode::SERVICE_UNAVAILABLE, NO_TARIFF),
    }
}

pub(super) fn info(state: &State, _: &HttpRequest) -> HttpResponse {
    shown(said(state, Part::CloudInfo, &[LinkKind::FleetApi]))
}

pub(super) fn status(state: &State, _: &HttpRequest) -> HttpResponse {
    shown(said(state, Part::CloudStatus, &[LinkKind::FleetApi]))
}

fn shown(said: Option<Value>) -> HttpResponse {
    match said {
        Some(said) => json_value(StatusCode::OK, &redacted(&said)),
        None => body(Bytes::from_static(NO_FLEET.as_bytes())),
    }
}
