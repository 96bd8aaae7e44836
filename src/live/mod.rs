//! The outputs that stay connected: WebSockets and server-sent events. The only place that knows
//! `actix-web-actors`.
//!
//! The live feed is in [`feed`]; the two older sockets, which send the whole of what they show each second,
//! are here. A session sends what stands on a board when it gets to run: on connecting, when it is nudged,
//! and every second. Nudges carry no frame, so a slow client gets the newest one and never a backlog. The
//! actor of a session is polled by the body of its response, and not at all while the peer takes nothing;
//! what to do about such a peer is therefore decided in [`sessions`], from the sending side. What a client
//! sends is checked and counted by [`intake`] before it is buffered.

pub mod feed;
mod fragments;
mod guard;
pub mod intake;
pub mod sessions;
mod share;

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use actix_http::ws::Item;
use actix_web::error::InternalError;
use actix_web::http::{StatusCode, header};
use actix_web::web::{self, Data, Payload, ServiceConfig};
use actix_web::{Error, HttpRequest, HttpResponse, Resource};
use actix_web_actors::ws::{
    CloseCode, CloseReason, Message as Frame, ProtocolError, WebsocketContext, WsResponseBuilder,
};
use bytestring::ByteString;
use futures_util::future::{LocalBoxFuture, ready};
use serde_json::json;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::audience::{Cut, NoPlace};
use crate::board::Published;
use crate::directory::{Directory, Entry};
use crate::frames::{Frames, HOUSE};
use crate::model::{Aggregate, Snapshot};
use crate::output::{self, Routes, Surroundings};
use crate::pieces::{self, Unfinished};
use crate::settings::{AllowedOrigins, Settings};
use crate::slices::sliced;
use crate::supervise::Kept;
use feed::Feed;
use guard::Guarded;
use sessions::{Life, Sessions};

pub use share::Share;

/// A frame is sent at least this often.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// A client that is turned away has this long to read why.
const FAREWELL: Duration = Duration::from_secs(1);
/// The largest control frame: others do not come as far as the codec.
const LARGEST_CONTROL_FRAME: usize = 125;

/// What sessions need; one for the whole service.
pub struct Live {
    pub directory: Arc<Directory>,
    pub frames: Arc<Frames>,
    pub origins: AllowedOrigins,
    pub sessions: Arc<Sessions>,
    pub feed: Arc<Feed>,
}

/// The output: the clients and what keeps them served.
struct Output {
    live: Data<Live>,
    base_path: String,
    /// Keeps the writer of the feed running.
    _hub: Kept,
    /// Disconnects clients that take nothing.
    watching: JoinHandle<()>,
}

/// Starts the output.
pub fn start(settings: &Settings, surroundings: &Surroundings) -> Box<dyn output::Output> {
    let Surroundings { directory, frames, seed, stall_limit, .. } = surroundings;
    let share =
        Share { most: settings.http.live_per_address, trusted: settings.http.trusted_proxies.clone() };
    let live = Data::new(Live {
        directory: directory.clone(),
        frames: frames.clone(),
        origins: settings.http.origins.clone(),
        sessions: Arc::new(Sessions::new(*stall_limit).shared(share)),
        feed: Arc::new(Feed::new(*seed).with_demo(settings.demo)),
    });
    Box::new(Output {
        base_path: settings.http.base_path.clone(),
        _hub: feed::keep(live.feed.clone(), directory.clone(), *seed),
        watching: actix::spawn(live.sessions.clone().watch()),
        live,
    })
}

impl output::Output for Output {
    fn routes(&self) -> Option<Routes> {
        let (live, base_path) = (self.live.clone(), self.base_path.clone());
        Some(Arc::new(move |config| {
            config.app_data(live.clone());
            configure(config, &base_path);
        }))
    }

    fn stop(&self) -> LocalBoxFuture<'_, ()> {
        self.live.sessions.close_all();
        self.live.feed.close();
        Box::pin(ready(()))
    }

    fn cut(&self) {
        self.live.sessions.cut_all();
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        self.watching.abort();
    }
}

/// Registers the routes, below the root and below the base path if there is one. Needs [`Live`] as app data.
pub fn configure(config: &mut ServiceConfig, base_path: &str) {
    for prefix in ["", base_path] {
        config
            .service(at(prefix, "/ws/aggregate").route(web::get().to(aggregate)))
            .service(at(prefix, "/ws/gateway/{id}").route(web::get().to(gateway)));
        feed::configure(config, prefix);
        if base_path.is_empty() {
            break;
        }
    }
}

/// A path, with and without a slash at its end.
fn at(prefix: &str, path: &str) -> Resource {
    web::resource([format!("{prefix}{path}"), format!("{prefix}{path}/")])
}

async fn aggregate(live: Data<Live>, request: HttpRequest, payload: Payload) -> Result<HttpResponse, Error> {
    open(live, &request, payload, Shown::Aggregate)
}

async fn gateway(
    live: Data<Live>,
    request: HttpRequest,
    payload: Payload,
    id: web::Path<String>,
) -> Result<HttpResponse, Error> {
    match live.directory.get(&id) {
        Some(entry) => open(live, &request, payload, Shown::Gateway(entry)),
        None => Ok(refuse(StatusCode::NOT_FOUND, "Gateway not found")),
    }
}

fn refuse(status: StatusCode, why: &str) -> HttpResponse {
    HttpResponse::build(status).json(json!({ "detail": why }))
}

fn open(
    live: Data<Live>,
    request: &HttpRequest,
    payload: Payload,
    shown: Shown,
) -> Result<HttpResponse, Error> {
    let life = welcome(&live, request)?;
    let payload = Guarded::new(payload, life.clone());
    let session = LiveSession {
        live,
        shown,
        life: life.clone(),
        last: None,
        version: None,
        next_beat: Instant::now(),
        is_sending: false,
    };
    Ok(sliced(upgraded(WsResponseBuilder::new(session, request, payload))?, life))
}

/// The answer that opens the socket, or the one to a request that asks for none.
fn upgraded<A>(socket: WsResponseBuilder<'_, A, Guarded<Payload>>) -> Result<HttpResponse, Error>
where
    A: Actor<Context = WebsocketContext<A>> + StreamHandler<Result<Frame, ProtocolError>>,
{
    let response = socket.frame_size(LARGEST_CONTROL_FRAME).start();
    response.or_else(|_| Ok(refuse(StatusCode::BAD_REQUEST, "This is a WebSocket")))
}

/// A place for the client that asks, or the answer that there is none.
fn welcome(live: &Live, request: &HttpRequest) -> Result<Arc<Life>, Error> {
    let refused = |status, why| InternalError::from_response(why, refuse(status, why));
    if !is_welcome(&live.origins, request) {
        return Err(refused(StatusCode::FORBIDDEN, "Origin not allowed").into());
    }
    live.sessions.admit(request, &live.frames.audience).map_err(|no_place| {
        let why = match no_place {
            NoPlace::Full => "Too many connections",
            NoPlace::Share => "Too many connections from this address",
        };
        refused(StatusCode::SERVICE_UNAVAILABLE, why).into()
    })
}

/// Whether a page of the request's origin may listen. Programs send no origin.
fn is_welcome(origins: &AllowedOrigins, request: &HttpRequest) -> bool {
    let Some(origin) = request.headers().get(header::ORIGIN) else { return true };
    let Ok(origin) = origin.to_str() else { return false };
    let own = origin.split_once("://").map(|(_, host)| host) == Some(request.connection_info().host());
    match origins {
        AllowedOrigins::Any => true,
        AllowedOrigins::Listed(list) => own || list.iter().any(|known| known == origin),
    }
}

/// What a session shows.
enum Shown {
    Gateway(Arc<Entry>),
    Aggregate,
}

/// One WebSocket client.
struct LiveSession {
    live: Data<Live>,
    shown: Shown,
    /// What the sending side knows of this client.
    life: Arc<Life>,
    /// The last frame sent, to send none twice within a second.
    last: Option<ByteString>,
    /// The version of the board at the last frame, to know how many changes it stands for.
    version: Option<u64>,
    /// When the next frame is due even if nothing changes.
    next_beat: Instant,
    /// A frame that is too long for memory is under way; the next one starts after it.
    is_sending: bool,
}

impl LiveSession {
    fn frame(&self) -> Option<ByteString> {
        let bytes = match &self.shown {
            Shown::Gateway(entry) => self.live.frames.gateway(&entry.board.read()),
            Shown::Aggregate => {
                let (frames, all) = (&self.live.frames, self.live.directory.all());
                frames.shared_now("aggregate", || frames.aggregate(all))
            }
        };
        // Rendered from JSON, which is UTF-8.
        ByteString::try_from(bytes).ok()
    }

    fn version(&self) -> u64 {
        match &self.shown {
            Shown::Gateway(entry) => entry.board.version(),
            Shown::Aggregate => self.live.directory.aggregate.version(),
        }
    }

    /// Sends the newest frame, unless it has been sent.
    fn send(&mut self, ctx: &mut WebsocketContext<Self>) {
        if self.life.is_leaving() {
            return;
        }
        self.life.progressed();
        let version = self.version();
        if let Shown::Aggregate = self.shown
            && self.live.directory.entries().len() > HOUSE
        {
            return self.send_fleet(version, ctx);
        }
        let frame = self.frame();
        let is_same = |last: &ByteString, frame: &ByteString| last.as_ptr() == frame.as_ptr();
        if let (Some(last), Some(frame)) = (&self.last, &frame)
            && is_same(last, frame)
        {
            return;
        }
        if let Some(frame) = &frame {
            ctx.text(frame.clone());
            self.count(version);
        }
        self.last = frame;
    }

    /// Sends the sum over a fleet as it is rendered, as fast as the client takes it.
    fn send_fleet(&mut self, version: u64, ctx: &mut WebsocketContext<Self>) {
        if std::mem::replace(&mut self.is_sending, true) {
            return;
        }
        let frame = self.live.frames.aggregate(self.live.directory.all());
        ctx.add_stream(fragments::of_pieces(pieces::pieces(frame)));
        self.count(version);
    }

    /// A frame is sent that shows this version of the board.
    fn count(&mut self, version: u64) {
        let changes = self.version.map_or(0, |shown| version.saturating_sub(shown));
        self.live.frames.audience.sent(changes.saturating_sub(1));
        self.version = Some(version);
    }

    /// Whether what it shows is still configured: a gateway that was removed never publishes again, not even
    /// when one with the same id is configured later.
    fn is_configured(&self) -> bool {
        match &self.shown {
            Shown::Gateway(entry) => self.live.directory.contains(entry),
            Shown::Aggregate => true,
        }
    }

    fn beat(&mut self, ctx: &mut WebsocketContext<Self>) {
        if !self.is_configured() {
            return goodbye(&self.life, "the gateway is no longer configured", ctx);
        }
        self.last = None;
        self.send(ctx);
        let now = Instant::now();
        self.next_beat = (self.next_beat + HEARTBEAT).max(now);
        ctx.run_later(self.next_beat - now, Self::beat);
    }
}

impl Actor for LiveSession {
    type Context = WebsocketContext<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.life.joined(ctx.address().recipient());
        match &self.shown {
            Shown::Gateway(entry) => entry.board.subscribe(ctx.address().recipient()),
            Shown::Aggregate => self.live.directory.aggregate.subscribe(ctx.address().recipient()),
        }
        self.beat(ctx);
    }
}

impl StreamHandler<Result<Item, Unfinished>> for LiveSession {
    fn handle(&mut self, fragment: Result<Item, Unfinished>, ctx: &mut Self::Context) {
        if self.life.is_leaving() {
            return;
        }
        self.life.progressed();
        match fragment {
            Ok(fragment) => ctx.write_raw(Frame::Continuation(fragment)),
            Err(_) => ctx.stop(),
        }
    }

    /// The frame has been sent; the next beat starts another.
    fn finished(&mut self, _: &mut Self::Context) {
        self.is_sending = false;
    }
}

impl Handler<Published<Snapshot>> for LiveSession {
    type Result = ();

    fn handle(&mut self, _: Published<Snapshot>, ctx: &mut Self::Context) {
        self.send(ctx);
    }
}

impl Handler<Published<Aggregate>> for LiveSession {
    type Result = ();

    fn handle(&mut self, _: Published<Aggregate>, ctx: &mut Self::Context) {
        self.send(ctx);
    }
}

/// Says goodbye: the service is about to stop.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct GoAway;

impl Handler<GoAway> for LiveSession {
    type Result = ();

    fn handle(&mut self, _: GoAway, ctx: &mut Self::Context) {
        goodbye(&self.life, STOPPING, ctx);
    }
}

impl StreamHandler<Result<Frame, ProtocolError>> for LiveSession {
    fn handle(&mut self, frame: Result<Frame, ProtocolError>, ctx: &mut Self::Context) {
        answer(frame, &self.life, ctx);
    }
}

const STOPPING: &str = "the service is stopping";

fn goodbye<A>(life: &Life, why: &str, ctx: &mut WebsocketContext<A>)
where
    A: Actor<Context = WebsocketContext<A>>,
{
    let description = Some(why.to_owned());
    leave(life, Some(CloseReason { code: CloseCode::Away, description }), ctx);
    ctx.stop();
}

/// Sends the last frame, unless that has been done.
fn leave<A>(life: &Life, reason: Option<CloseReason>, ctx: &mut WebsocketContext<A>)
where
    A: Actor<Context = WebsocketContext<A>>,
{
    if !life.is_leaving() {
        ctx.close(reason);
        life.leave();
    }
}

/// What clients say: pings and goodbyes. The rest is chatter, and has been dropped.
fn answer<A>(frame: Result<Frame, ProtocolError>, life: &Arc<Life>, ctx: &mut WebsocketContext<A>)
where
    A: Actor<Context = WebsocketContext<A>>,
{
    match frame {
        Ok(Frame::Ping(payload)) if !life.is_leaving() => ctx.pong(&payload),
        Ok(Frame::Close(reason)) => {
            leave(life, reason, ctx);
            ctx.stop();
        }
        Ok(_) => {}
        Err(error) => {
            if is_malformed(&error) {
                life.cut_for(Cut::Protocol);
            }
            match life.why_cut().and_then(reason) {
                Some(reason) => turn_away(reason, life, ctx),
                None => ctx.stop(),
            }
        }
    }
}

/// Whether it is the client's fault. If not, the connection broke.
fn is_malformed(error: &ProtocolError) -> bool {
    match error {
        ProtocolError::Io(error) => error.kind() == ErrorKind::InvalidData,
        _ => true,
    }
}

/// What a client gets that is cut for what it sent.
fn reason(why: Cut) -> Option<CloseReason> {
    let (code, description) = match why {
        Cut::Stalled | Cut::Lost => return None,
        Cut::Protocol => (CloseCode::Protocol, "not a frame that a client may send"),
        Cut::TooLarge => (CloseCode::Size, "a frame has 4096 bytes at most"),
        Cut::TooMuch => (CloseCode::Policy, "too many frames or bytes"),
    };
    Some(CloseReason { code, description: Some(description.to_owned()) })
}

/// The last thing that a client gets. It stays for a moment and is not read, so that whatever else it sends
/// waits with its own system, and so that the reason arrives: a connection that is closed with bytes unread
/// is reset.
fn turn_away<A>(reason: CloseReason, life: &Arc<Life>, ctx: &mut WebsocketContext<A>)
where
    A: Actor<Context = WebsocketContext<A>>,
{
    leave(life, Some(reason), ctx);
    let life = life.clone();
    ctx.run_later(FAREWELL, move |_, ctx| {
        life.disconnect();
        ctx.stop();
    });
}
