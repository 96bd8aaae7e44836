//! An order on its way from a request to a gateway's actor, and how it stands when the client is answered.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderMap, HeaderName};
use actix_web::web::Data;
use actix_web::{HttpRequest, rt};
use tokio::time::timeout;

use super::State;
use super::plumbing::Refusal;
use crate::control::ordered::OrderView;
use crate::control::{Asker, Key, Placed, Rejected};
use crate::directory::Entry;
use crate::model::order::Request;
use crate::model::{OrderId, Outcome, Standing};
use crate::settings::Token;

const KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// An actor that does not take an order within this is busy; it may take it later.
const TAKEN_WITHIN: Duration = Duration::from_secs(5);

/// How an order stands when its client is answered.
pub(super) struct Seen {
    pub view: OrderView,
    /// The kind of what stands in its way.
    pub obstacle: Option<&'static str>,
    /// When it may be asked again.
    pub retry_after: Option<Duration>,
}

impl From<Rejected> for Refusal {
    fn from(rejected: Rejected) -> Self {
        let why = rejected.to_string();
        match rejected {
            Rejected::Denied(denied) => denied.into(),
            Rejected::TooMany { wait, .. } => Self::too_many(wait, why),
            Rejected::NotFor(_) => Self::new(StatusCode::FORBIDDEN, why),
            Rejected::OneAtATime | Rejected::NoKey => Self::new(StatusCode::BAD_REQUEST, why),
            Rejected::KeyReused => Self::new(StatusCode::UNPROCESSABLE_ENTITY, why),
            Rejected::NoLedger(_) | Rejected::NoActor => Self::new(StatusCode::SERVICE_UNAVAILABLE, why),
        }
    }
}

/// Who asks, with the key that the request carries.
///
/// # Errors
/// If the key is none.
pub(super) fn asker(state: &State, request: &HttpRequest, token: Arc<Token>) -> Result<Asker, Refusal> {
    Ok(Asker { token, client: Some(state.client(request)), key: key(request.headers())? })
}

fn key(headers: &HeaderMap) -> Result<Option<Key>, Refusal> {
    let Some(given) = headers.get(KEY) else { return Ok(None) };
    let key = given.to_str().ok().and_then(Key::new);
    let why = "An Idempotency-Key is 1 to 200 visible characters of ASCII";
    key.map(Some).ok_or_else(|| Refusal::new(StatusCode::BAD_REQUEST, why))
}

/// Gives an order, and waits for what becomes of it: until `enough`, or for `patience`.
///
/// # Errors
/// If it does not even reach the gateway's actor.
pub(super) async fn order(
    state: &Data<State>,
    gateway: Arc<Entry>,
    request: Request,
    asker: Asker,
    patience: Duration,
    enough: impl FnMut(&Standing) -> bool,
) -> Result<Seen, Refusal> {
    let (control, token) = (state.control.clone(), asker.token.clone());
    // On its own, because a client that leaves must not stop it half way.
    let placing = rt::spawn(async move { control.place(&gateway, request, asker).await });
    let placed = timeout(TAKEN_WITHIN, placing).await.map_err(|_| {
        let why = "The gateway's actor is busy; the order may still be carried out, see /api/orders";
        Refusal::new(StatusCode::SERVICE_UNAVAILABLE, why)
    })?;
    match placed.unwrap_or(Err(Rejected::NoActor))? {
        Placed::Now(receipt) => wait(state, receipt.id, &token, patience, enough).await,
        Placed::Before(id) => wait(state, id, &token, patience, enough).await,
    }
}

async fn wait(
    state: &State,
    id: OrderId,
    token: &Token,
    patience: Duration,
    enough: impl FnMut(&Standing) -> bool,
) -> Result<Seen, Refusal> {
    let (mut obstacle, mut retry_after) = (None, None);
    if let Some(mut receipt) = state.control.ordered.receipt(id) {
        let standing = receipt.wait(patience, enough).await;
        if let Some(Outcome::NotSent(note) | Outcome::Refused(note)) = &standing.outcome {
            obstacle = Some(note.kind);
        }
        retry_after = receipt.retry_after;
    }
    let view = state
        .control
        .ordered
        .find(id, token)
        .await
        .map_err(|error| Refusal::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string()))?;
    let view = view.ok_or_else(|| {
        Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "The order was given; the journal has it no more")
    })?;
    Ok(Seen { view, obstacle, retry_after })
}
