//! The three addresses of the feed: a WebSocket, server-sent events, and the state once.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use actix_web::http::{StatusCode, header};
use actix_web::web::{self, Data, Payload, ServiceConfig};
use actix_web::{Error, HttpRequest, HttpResponse};
use actix_web_actors::ws::{Message as Frame, ProtocolError, WebsocketContext, WsResponseBuilder};
use bytes::Bytes;
use futures_util::future::{Either, ready};
use futures_util::stream::{self, Stream, StreamExt};
use tokio::time::timeout;

use super::{Kind, Listener, Message, Place};
use crate::live::fragments::{self, FRAGMENT};
use crate::live::guard::Guarded;
use crate::live::sessions::Life;
use crate::live::{GoAway, Live, STOPPING, answer, at, goodbye, refuse, upgraded, welcome};
use crate::slices::sliced;

/// Rendering the first state takes a moment; more than this means that something is wrong.
const STATE_DEADLINE: Duration = Duration::from_secs(5);
/// How long a browser waits before it connects again, milliseconds.
const RETRY: &str = "retry: 2000\n\n";

/// Registers the routes below `prefix`.
pub(in crate::live) fn configure(config: &mut ServiceConfig, prefix: &str) {
    config
        .service(at(prefix, "/ws/live").route(web::get().to(socket)))
        .service(at(prefix, "/sse/live").route(web::get().to(events)))
        .service(at(prefix, "/api/live").route(web::get().to(state)).route(web::head().to(state)));
}

/// What a client that comes back says it has.
fn place(request: &HttpRequest) -> Option<Place> {
    let last = request.headers().get("last-event-id").and_then(|id| id.to_str().ok());
    let asked = || request.query_string().split('&').find_map(|parameter| parameter.strip_prefix("resume="));
    Place::parse(last.filter(|id| !id.is_empty()).or_else(asked)?)
}

async fn state(live: Data<Live>) -> HttpResponse {
    match timeout(STATE_DEADLINE, live.feed.state()).await {
        Ok(Some(state)) => HttpResponse::Ok()
            .content_type("application/json")
            .insert_header((header::CACHE_CONTROL, "no-store"))
            .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
            .body(state.json.clone()),
        _ => refuse(StatusCode::SERVICE_UNAVAILABLE, "The live feed is not ready"),
    }
}

async fn events(live: Data<Live>, request: HttpRequest) -> Result<HttpResponse, Error> {
    let life = welcome(&live, &request)?;
    life.hurry();
    life.only_listens();
    let feed = live.feed.clone();
    let messages = feed.listen(place(&request)).into_stream();
    let mut sent = Sent { life: life.clone(), last: None };
    let events = messages.map(move |message| {
        sent.count(&message);
        message.event(feed.epoch())
    });
    let events = events.flatten();
    let first = stream::iter([Ok(Bytes::from_static(RETRY.as_bytes()))]);
    let response = HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        // nginx would hold events back to fill its buffer.
        .insert_header(("x-accel-buffering", "no"))
        .streaming(first.chain(events));
    Ok(sliced(response, life))
}

async fn socket(live: Data<Live>, request: HttpRequest, payload: Payload) -> Result<HttpResponse, Error> {
    let life = welcome(&live, &request)?;
    let sent = Sent { life: life.clone(), last: None };
    let session = FeedSession { listener: Some(live.feed.listen(place(&request))), sent };
    let payload = Guarded::new(payload, life.clone());
    let response = upgraded(WsResponseBuilder::new(session, &request, payload))?;
    life.hurry();
    Ok(sliced(response, life))
}

/// One WebSocket client of the feed. It has no queue: its listener is asked when the connection takes more.
struct FeedSession {
    /// Until it is listened to.
    listener: Option<Listener>,
    sent: Sent,
}

/// Counts what one client is sent.
#[derive(Clone)]
struct Sent {
    /// What the sending side knows of this client.
    life: Arc<Life>,
    /// Number of the last message, to know how many changes a state stands for.
    last: Option<u64>,
}

impl Sent {
    fn count(&mut self, message: &Message) {
        let changes = self.last.map_or(0, |last| message.seq.saturating_sub(last));
        self.life.sent(if message.kind == Kind::State { changes } else { 0 });
        self.last = Some(message.seq);
    }
}

impl Actor for FeedSession {
    type Context = WebsocketContext<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.sent.life.joined(ctx.address().recipient());
        if let Some(listener) = self.listener.take() {
            ctx.add_stream(frames(listener, self.sent.clone()));
        }
    }
}

/// What the connection is given, when it takes more.
fn frames(listener: Listener, mut sent: Sent) -> impl Stream<Item = Frame> {
    let life = sent.life.clone();
    // Passed over and not ended: the end of the stream is the end of the session, and of its payload, which
    // has to be held back until the connection is cut.
    let messages = listener.into_stream().filter(move |_| ready(!life.is_leaving()));
    let frames = messages.map(move |message| {
        sent.count(&message);
        let json = message.json.clone();
        if json.len() <= FRAGMENT {
            return Either::Left(stream::once(ready(Frame::Text(json))));
        }
        let fragments = fragments::of_pieces(fragments::pieces_of(json.into_bytes()));
        Either::Right(fragments.filter_map(|fragment| ready(fragment.ok().map(Frame::Continuation))))
    });
    frames.flatten()
}

impl StreamHandler<Frame> for FeedSession {
    fn handle(&mut self, frame: Frame, ctx: &mut Self::Context) {
        if !self.sent.life.is_leaving() {
            ctx.write_raw(frame);
        }
    }

    /// The service stops.
    fn finished(&mut self, ctx: &mut Self::Context) {
        goodbye(&self.sent.life, STOPPING, ctx);
    }
}

impl Handler<GoAway> for FeedSession {
    type Result = ();

    fn handle(&mut self, _: GoAway, ctx: &mut Self::Context) {
        goodbye(&self.sent.life, STOPPING, ctx);
    }
}

impl StreamHandler<Result<Frame, ProtocolError>> for FeedSession {
    fn handle(&mut self, frame: Result<Frame, ProtocolError>, ctx: &mut Self::Context) {
        answer(frame, &self.sent.life, ctx);
    }
}
