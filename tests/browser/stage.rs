//! Our pages with a live feed that sends what a test wants them to get.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use actix::prelude::*;
use actix_web::web::{self, Data, Payload};
use actix_web::{App, Error, HttpRequest, HttpResponse, HttpServer};
use actix_web_actors::ws;
use bytes::Bytes;
use futures_util::stream;
use powerwall_server::clock::unix_time;
use powerwall_server::frames::Frames;
use powerwall_server::settings::HttpSettings;
use powerwall_server::web::State;
use serde_json::{Value, json};
use tokio::sync::broadcast;
use tokio::time::timeout;

use crate::common;

const EPOCH: &str = "0123456789abcdef";
/// So that a page that only listens hears something.
const BEAT: Duration = Duration::from_secs(2);

/// What the feed sends.
pub struct Script {
    state: Mutex<Value>,
    sequence: Mutex<u64>,
    version: Mutex<&'static str>,
    /// Ways that are blocked: parts of paths.
    blocked: Mutex<Vec<&'static str>>,
    news: broadcast::Sender<String>,
}

impl Script {
    fn state(&self) -> String {
        let (state, sequence) = (self.state.lock().unwrap(), self.sequence.lock().unwrap());
        let version = self.version.lock().unwrap();
        let (sequence, version, state) = (*sequence, &*version, &*state);
        let at = unix_time();
        json!({
            "type": "state", "epoch": EPOCH, "seq": sequence, "at": at, "version": version, "state": state,
        })
        .to_string()
    }

    fn beat(&self) -> String {
        json!({ "type": "beat", "seq": *self.sequence.lock().unwrap(), "at": unix_time() }).to_string()
    }

    fn is_blocked(&self, request: &HttpRequest) -> bool {
        self.blocked.lock().unwrap().iter().any(|way| request.path().contains(way))
    }
}

pub struct Stage {
    pub addr: SocketAddr,
    script: Arc<Script>,
}

impl Stage {
    pub async fn with(http: HttpSettings) -> Self {
        let script = Arc::new(Script {
            state: Mutex::new(json!({})),
            sequence: Mutex::new(1),
            version: Mutex::new("1.0.0"),
            blocked: Mutex::default(),
            news: broadcast::channel(64).0,
        });
        let directory = common::directory(Vec::new());
        let frames = Arc::new(Frames::new(directory.clone()));
        let state = Data::new(State::new(directory, frames, http, common::polling()));
        let scripted = Data::from(script.clone());
        let server = HttpServer::new(move || {
            App::new()
                .app_data(state.clone())
                .app_data(scripted.clone())
                .wrap_fn(powerwall_server::web::front)
                .route("/ws/live", web::get().to(socket))
                .route("/sse/live", web::get().to(events))
                .route("/api/live", web::get().to(once))
                .configure(|config| powerwall_server::web::configure(config, ""))
        })
        .workers(1)
        .disable_signals()
        .shutdown_timeout(0)
        .bind(("127.0.0.1", 0))
        .unwrap();
        let addr = server.addrs()[0];
        actix_web::rt::spawn(server.run());
        Self { addr, script }
    }

    pub async fn start() -> Self {
        Self::with(common::http()).await
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    pub fn host(&self) -> String {
        self.addr.to_string()
    }

    /// Everybody who listens gets this state, and everybody who comes.
    pub fn show(&self, state: Value) {
        *self.script.state.lock().unwrap() = state;
        *self.script.sequence.lock().unwrap() += 1;
        let _ = self.script.news.send(self.script.state());
    }

    pub fn change(&self, set: Value) {
        let mut state = self.script.state.lock().unwrap();
        for (key, value) in set.as_object().unwrap() {
            state[key] = value.clone();
        }
        drop(state);
        let mut sequence = self.script.sequence.lock().unwrap();
        *sequence += 1;
        let change = json!({ "type": "change", "seq": *sequence, "at": unix_time(), "set": set, "gone": [] });
        let _ = self.script.news.send(change.to_string());
    }

    pub fn update(&self, version: &'static str) {
        *self.script.version.lock().unwrap() = version;
    }

    /// From now on these ways do not get through.
    pub fn block(&self, ways: &[&'static str]) {
        *self.script.blocked.lock().unwrap() = ways.to_vec();
    }
}

/// The next message, or a beat if there is none for a while.
async fn next(script: &Script, news: &mut broadcast::Receiver<String>) -> Option<String> {
    match timeout(BEAT, news.recv()).await {
        Ok(Ok(message)) => Some(message),
        Ok(Err(broadcast::error::RecvError::Closed)) => None,
        Ok(Err(broadcast::error::RecvError::Lagged(_))) => Some(script.state()),
        Err(_) => Some(script.beat()),
    }
}

/// The state, then everything that follows.
fn messages(script: Arc<Script>) -> impl futures_util::Stream<Item = String> {
    let news = script.news.subscribe();
    stream::unfold((script, news, false), |(script, mut news, is_begun)| async move {
        let message = if is_begun { next(&script, &mut news).await? } else { script.state() };
        Some((message, (script, news, true)))
    })
}

struct Message(String);

struct Listener(Arc<Script>);

impl Actor for Listener {
    type Context = ws::WebsocketContext<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        use futures_util::StreamExt;
        context.add_stream(messages(self.0.clone()).map(Message));
    }
}

impl StreamHandler<Message> for Listener {
    fn handle(&mut self, Message(message): Message, context: &mut Self::Context) {
        context.text(message);
    }
}

impl StreamHandler<Result<ws::Message, ws::ProtocolError>> for Listener {
    fn handle(&mut self, message: Result<ws::Message, ws::ProtocolError>, context: &mut Self::Context) {
        if !matches!(message, Ok(ws::Message::Ping(_) | ws::Message::Pong(_) | ws::Message::Text(_))) {
            context.stop();
        }
    }
}

async fn socket(script: Data<Script>, request: HttpRequest, payload: Payload) -> Result<HttpResponse, Error> {
    if script.is_blocked(&request) {
        return Ok(HttpResponse::ServiceUnavailable().finish());
    }
    ws::WsResponseBuilder::new(Listener(script.into_inner()), &request, payload).start()
}

async fn events(script: Data<Script>, request: HttpRequest) -> HttpResponse {
    use futures_util::StreamExt;
    if script.is_blocked(&request) {
        return HttpResponse::ServiceUnavailable().finish();
    }
    let events = messages(script.into_inner()).map(|message| {
        let parsed: Value = serde_json::from_str(&message).unwrap();
        let name = parsed["type"].as_str().unwrap();
        Ok::<_, Error>(Bytes::from(format!("event: {name}\ndata: {message}\n\n")))
    });
    HttpResponse::Ok().content_type("text/event-stream").streaming(events)
}

async fn once(script: Data<Script>, request: HttpRequest) -> HttpResponse {
    if script.is_blocked(&request) {
        return HttpResponse::ServiceUnavailable().finish();
    }
    HttpResponse::Ok().content_type("application/json").body(script.state())
}
