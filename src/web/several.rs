//! `/api/fleet/orders`: one order to several gateways, a look at what would become of it, and what became of
//! it at each.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::web::{Data, Path, Payload, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, rt};
use serde_json::{Map, Value, json};

use super::State;
use super::control::takes_json;
use super::holder::{holder, reader};
use super::ingress;
use super::ordering;
use super::orders::{LARGEST_BODY, LARGEST_TARIFF, body_within};
use super::plumbing::{Refusal, get, json_value, post};
use crate::control::several::{Batch, Begun, Row};
use crate::directory::Entry;
use crate::gateway::foresight::{Foreseen, Foresight};
use crate::model::order::Request;
use crate::model::{OrderId, OrderKind};
use crate::settings::{Role, Token};

pub(super) const ORDERS: &str = "/api/fleet/orders";
pub(super) const ORDER: &str = "/api/fleet/orders/{id}";

/// Gateways that one order goes to.
const MOST: usize = 500;
/// The largest order, and the ids of as many gateways.
const LARGEST: usize = LARGEST_TARIFF + 4 * LARGEST_BODY;
/// How long a client waits until each gateway has been given its order.
const GIVEN_WITHIN: Duration = Duration::from_secs(5);

/// What a client asks.
struct Asked {
    gateways: Vec<String>,
    is_preview: bool,
    request: Request,
}

pub(super) fn routes(config: &mut ServiceConfig) {
    config.service(post(ORDERS, order)).service(get(ORDER, outcome));
}

async fn order(state: Data<State>, request: HttpRequest, payload: Payload) -> HttpResponse {
    state.table.count(ORDERS);
    taken(&state, &request, payload).await.unwrap_or_else(|refusal| refusal.answer())
}

async fn taken(
    state: &Data<State>,
    request: &HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Refusal> {
    // First, because nobody else's body is worth reading.
    let token = holder(state, request, Role::Operator)?;
    if !takes_json(request) {
        let why = "An order is a JSON object: send Content-Type: application/json";
        return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, why));
    }
    let asker = ordering::asker(state, request, token)?;
    let body = body_within(LARGEST, request.headers(), payload.into_inner()).await?;
    let body = serde_json::from_slice(&body).map_err(|_| bad("The body is not JSON"))?;
    let asked = Asked::read(body)?;
    let gateways = found(state, &asked.gateways)?;
    if asked.is_preview {
        state.control.may_order(&gateways, &asked.request, &asker.token)?;
        let foreseen = state.control.foresee(&gateways, &asked.request).await;
        return Ok(json_value(StatusCode::OK, &preview(&asked.request, &gateways, foreseen)));
    }
    let token = asker.token.clone();
    let batch = match state.control.begin(gateways, asked.request, asker).await? {
        Begun::Before(batch) => batch,
        Begun::Now(batch, giving) => {
            let (control, given) = (state.control.clone(), batch.clone());
            // On its own, because a client that leaves must not stop it half way.
            rt::spawn(async move { control.give_all(&given, giving).await });
            batch
        }
    };
    batch.is_given(GIVEN_WITHIN).await;
    let mut response = json_value(StatusCode::ACCEPTED, &shown(state, &batch, &token).await?);
    let place = format!("{}{ORDERS}/{}", ingress::base(state, request), batch.id);
    if let Ok(place) = HeaderValue::try_from(place) {
        response.headers_mut().insert(header::LOCATION, place);
    }
    Ok(response)
}

async fn outcome(state: Data<State>, request: HttpRequest, id: Path<String>) -> HttpResponse {
    state.table.count(ORDER);
    let found = async {
        let token = reader(&state, &request)?;
        let unknown = || Refusal::new(StatusCode::NOT_FOUND, "There is no such order to several gateways");
        let id = OrderId::parse(&id).ok_or_else(unknown)?;
        let batch = state.control.batch(id).await?.ok_or_else(unknown)?;
        let shown = shown(&state, &batch, &token).await?;
        let sees_some = shown["sites"].as_array().is_some_and(|sites| !sites.is_empty());
        sees_some.then(|| json_value(StatusCode::OK, &shown)).ok_or_else(unknown)
    };
    found.await.unwrap_or_else(|refusal: Refusal| refusal.answer())
}

fn bad(why: impl Into<String>) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, why.into())
}

impl Asked {
    fn read(body: Value) -> Result<Self, Refusal> {
        let Value::Object(mut body) = body else { return Err(bad("an order is a JSON object")) };
        let order = body.remove("order");
        let kind = order.as_ref().and_then(Value::as_str).and_then(OrderKind::parse).ok_or_else(|| {
            let known: Vec<_> = OrderKind::ALL.iter().map(|kind| kind.word()).collect();
            bad(format!("'order' must be one of {}", known.join(", ")))
        })?;
        let gateways = gateways(&mut body)?;
        let is_preview = match body.remove("preview") {
            None => false,
            Some(Value::Bool(is_preview)) => is_preview,
            Some(_) => return Err(bad("'preview' must be a boolean (true or false)")),
        };
        let request =
            Request::read(kind, &Value::Object(body)).map_err(|misread| bad(misread.to_string()))?;
        Ok(Self { gateways, is_preview, request })
    }
}

fn gateways(body: &mut Map<String, Value>) -> Result<Vec<String>, Refusal> {
    let list = match body.remove("gateways") {
        Some(Value::Array(list)) if (1..=MOST).contains(&list.len()) => list,
        _ => return Err(bad(format!("'gateways' must be a list of 1 to {MOST} ids"))),
    };
    let ids = list.into_iter().map(|id| match id {
        Value::String(id) => Ok(id),
        _ => Err(bad("'gateways' must be a list of ids, each in quotes")),
    });
    let ids: Vec<String> = ids.collect::<Result<_, _>>()?;
    let mut seen = HashSet::new();
    let twice: Vec<&str> = ids.iter().map(String::as_str).filter(|id| !seen.insert(*id)).collect();
    match twice.is_empty() {
        true => Ok(ids),
        false => Err(bad(format!("'gateways' has these more than once: {}", named(&twice)))),
    }
}

/// Echoes ids only as far as they could be some.
fn named(ids: &[&str]) -> String {
    let is_plain =
        |id: &str| id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    let shown = ids.iter().map(|id| match is_plain(id) && id.len() <= 64 {
        true => *id,
        false => "(no id)",
    });
    shown.collect::<Vec<_>>().join(", ")
}

/// The gateways with these ids.
fn found(state: &State, ids: &[String]) -> Result<Vec<Arc<Entry>>, Refusal> {
    let known = by_id(state, ids.iter().map(String::as_str));
    let unknown: Vec<&str> = ids.iter().map(String::as_str).filter(|id| !known.contains_key(*id)).collect();
    match unknown.is_empty() {
        true => Ok(ids.iter().filter_map(|id| known.get(id).cloned()).collect()),
        false => Err(Refusal::new(StatusCode::NOT_FOUND, format!("Gateways not found: {}", named(&unknown)))),
    }
}

fn by_id<'a>(state: &State, ids: impl Iterator<Item = &'a str>) -> HashMap<String, Arc<Entry>> {
    let wanted: HashSet<&str> = ids.collect();
    let entries = state.directory.entries();
    let found = entries.iter().filter(|entry| wanted.contains(entry.id.as_str()));
    found.map(|entry| (entry.id.clone(), entry.clone())).collect()
}

fn preview(request: &Request, gateways: &[Arc<Entry>], foreseen: Vec<Foreseen>) -> Value {
    let sites = gateways.iter().zip(foreseen).map(|(gateway, Foreseen { would, now })| {
        let (word, why, over) = match would {
            Foresight::Order { over, doubt } => ("order", doubt, over.map(|link| link.word())),
            Foresight::Nothing(why) => ("nothing", Some(why), None),
            Foresight::Refused(note) => ("refused", Some(note.message), None),
        };
        let name = gateway.board.read().gateway.name.clone();
        json!({ "id": gateway.id, "name": name, "now": now, "would": word, "why": why, "over": over })
    });
    json!({
        "preview": true, "order": request.order.kind().word(), "value": request.order.value(),
        "sites": sites.collect::<Vec<_>>(),
    })
}

async fn shown(state: &State, batch: &Batch, token: &Token) -> Result<Value, Refusal> {
    let rows = state.control.rows(batch, token).await?;
    let known = by_id(state, rows.iter().map(|row| row.gateway.as_str()));
    let sites = rows.into_iter().map(|row| {
        let name = known.get(&row.gateway).map(|entry| entry.board.read().gateway.name.clone());
        site(row, name)
    });
    Ok(json!({
        "id": batch.id.to_string(), "order": batch.order, "value": batch.value,
        "asked_by": batch.asked_by, "asked_at": batch.asked_at, "sites": sites.collect::<Vec<_>>(),
    }))
}

/// `name`: `None` if the gateway is not configured any more.
fn site(Row { gateway, order, outcome, evidence, is_final }: Row, name: Option<String>) -> Value {
    let name = name.unwrap_or_else(|| gateway.clone());
    let (evidence, why) = match outcome.as_deref() {
        Some("not_sent") => (None, evidence),
        _ => (evidence, None),
    };
    json!({
        "id": gateway, "name": name, "order_id": order.map(|order| order.to_string()),
        "outcome": outcome.as_deref().unwrap_or("pending"), "evidence": evidence, "why": why,
        "final": is_final,
    })
}
