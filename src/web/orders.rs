//! What POST does: who may, how large a body may be, and how long it may take to arrive.

use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use serde_json::json;
use tokio::time::timeout;

use super::State;
use super::holder::holder;
use super::plumbing::{Refusal, json_value, not_found};
use crate::settings::Role;

/// No order needs more, except for one.
pub(super) const LARGEST_BODY: usize = 16 << 10;
/// A tariff with a price for each half hour of each season.
pub(super) const LARGEST_TARIFF: usize = 64 << 10;
const BODY_DEADLINE: Duration = Duration::from_secs(10);

/// An order that a route takes.
pub(super) struct Order {
    /// Whether the client must have a token that may change something.
    pub guarded: bool,
    /// `None`: the router finds who answers.
    pub answer: Option<fn(&State, &HttpRequest, Bytes) -> HttpResponse>,
    /// Other statuses that POST may have, and when.
    pub also: &'static [(u16, &'static str)],
}

pub(super) const LOGIN: Order = Order { guarded: false, answer: Some(login), also: &[] };
pub(super) const HEALTH_RESET: Order = Order { guarded: true, answer: Some(health_reset), also: &[] };
pub(super) const CLEAR_STATISTICS: Order = Order {
    guarded: true,
    answer: Some(|state, request, _| super::stats::cleared(state, request)),
    also: &[],
};
/// To the default gateway, as the servers before take it.
pub(super) const CONTROL: Order = Order {
    guarded: true,
    answer: None,
    also: &[
        (400, "The order is not valid, or needs to be confirmed; as a form, whatever went wrong"),
        (401, "No token, or the wrong one"),
        (409, "The gateway cannot take it at present"),
        (
            422,
            "The body is neither a JSON object nor a form, or the Idempotency-Key was used for another order",
        ),
        (502, "The gateway refused it"),
        (503, "It was not sent, or it is not known yet whether it was carried out; order says which"),
    ],
};
/// To the default gateway, as the servers before take it.
pub(super) const TARIFF: Order = Order {
    guarded: true,
    answer: None,
    also: &[
        (400, "It has no tou_settings with a tariff_content_v2"),
        (401, "No token, or the wrong one"),
        (422, "The body is not a JSON object, or the Idempotency-Key was used for another order"),
        (502, "Tesla refused it"),
        (503, "No link to Tesla's cloud, or it is not known yet whether Tesla has it; order says which"),
    ],
};
pub(super) const GATEWAY_CONTROL: Order = Order {
    guarded: true,
    answer: None,
    also: &[
        (202, "It waits, is under way, or was accepted; Location says where to learn more"),
        (400, "The order is not valid, or needs to be confirmed"),
        (409, "The gateway cannot take it at present: no link that can, no permission, off-grid …"),
        (415, "The body is not JSON"),
        (422, "The Idempotency-Key was used for another order"),
        (502, "The gateway refused it"),
        (503, "It was not sent; nothing has changed"),
    ],
};
pub(super) const SEVERAL: Order = Order {
    guarded: true,
    answer: None,
    also: &[
        (202, "Each gateway was given its order, or is being given it; Location says where to learn more"),
        (400, "The order is not valid, has no Idempotency-Key, or is none for several gateways"),
        (404, "Some of the gateways are not there; none was ordered anything"),
        (415, "The body is not JSON"),
        (422, "The Idempotency-Key was used for another order"),
        (503, "What was ordered before cannot be read; none was ordered anything"),
    ],
};

/// Does what `order` says: first the token, because nobody else's body is worth reading.
pub(super) async fn carry_out(
    state: web::Data<State>,
    order: &Order,
    request: &HttpRequest,
    payload: Payload,
) -> HttpResponse {
    if order.guarded
        && let Err(denied) = holder(&state, request, Role::Operator)
    {
        return Refusal::from(denied).answer();
    }
    match body(request.headers(), payload).await {
        Ok(body) => match order.answer {
            Some(answer) => answer(&state, request, body),
            None => not_found(),
        },
        Err(refusal) => refusal.answer(),
    }
}

/// The body of a request.
///
/// # Errors
/// If it is too large, too slow or broken.
pub(super) async fn body(headers: &HeaderMap, payload: Payload) -> Result<Bytes, Refusal> {
    body_within(LARGEST_BODY, headers, payload).await
}

/// As [`body`], of at most `largest` bytes.
///
/// # Errors
/// As [`body`].
pub(super) async fn body_within(
    largest: usize,
    headers: &HeaderMap,
    payload: Payload,
) -> Result<Bytes, Refusal> {
    let declared = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    if declared.and_then(|length| length.parse::<u64>().ok()).is_some_and(|length| length > largest as u64) {
        return Err(too_large(largest));
    }
    timeout(BODY_DEADLINE, collect(largest, payload))
        .await
        .unwrap_or_else(|_| Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, "The body took too long")))
}

async fn collect(largest: usize, mut payload: Payload) -> Result<Bytes, Refusal> {
    let mut body = BytesMut::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_| Refusal::new(StatusCode::BAD_REQUEST, "The body is broken"))?;
        if body.len() + chunk.len() > largest {
            return Err(too_large(largest));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

fn too_large(largest: usize) -> Refusal {
    let why = format!("The body is larger than {} KiB", largest >> 10);
    Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, why)
}

/// Pages and apps made for a gateway log in before they read. There is nothing to log in to: the answer is
/// the same for everybody, and nothing here asks for what it contains.
fn login(_: &State, _: &HttpRequest, _: Bytes) -> HttpResponse {
    let account = json!({
        "email": "", "firstname": "Tesla", "lastname": "Energy", "roles": ["Home_Owner"],
        "token": "1234567890", "provider": "Basic", "loginType": "Basic",
    });
    let mut answer = json_value(StatusCode::OK, &account);
    for cookie in
        ["AuthCookie=1234567890; Path=/; SameSite=Lax", "UserRecord=1234567890; Path=/; SameSite=Lax"]
    {
        answer.headers_mut().append(header::SET_COOKIE, HeaderValue::from_static(cookie));
    }
    answer
}

/// Nothing is latched: a gateway that was lost is asked again for ever.
fn health_reset(_: &State, _: &HttpRequest, _: Bytes) -> HttpResponse {
    let done = json!({ "status": "ok", "message": "SolarOnly fallback state reset for all gateways" });
    json_value(StatusCode::OK, &done)
}

#[cfg(test)]
mod tests {
    use actix_web::error::PayloadError;
    use futures_util::stream;
    use tokio::time::Instant;

    use super::*;

    fn arriving(chunks: impl futures_util::Stream<Item = &'static [u8]> + 'static) -> Payload {
        let chunks = chunks.map(|chunk| Ok::<_, PayloadError>(Bytes::from_static(chunk)));
        Payload::Stream { payload: Box::pin(chunks) }
    }

    async fn outcome(declared: Option<u64>, payload: Payload) -> Result<usize, u16> {
        let mut headers = HeaderMap::new();
        if let Some(declared) = declared {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(declared));
        }
        body(&headers, payload).await.map(|body| body.len()).map_err(|refusal| refusal.status.as_u16())
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_is_small_and_comes_in_time_or_is_refused() {
        let kilobyte: &'static [u8] = &[b'x'; 1024];
        let of = |kilobytes: usize| arriving(stream::iter(vec![kilobyte; kilobytes]));
        assert_eq!(outcome(Some(16 << 10), of(16)).await, Ok(LARGEST_BODY));
        assert_eq!(outcome(None, of(17)).await, Err(413), "without a declared length");
        assert_eq!(
            outcome(Some(17 << 10), arriving(stream::pending())).await,
            Err(413),
            "without waiting for it"
        );
        let start = Instant::now();
        assert_eq!(outcome(Some(10), arriving(stream::pending())).await, Err(408));
        assert_eq!(start.elapsed(), BODY_DEADLINE);
    }
}
