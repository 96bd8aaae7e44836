//! The live feed over real sockets: what clients get, in which order, and what it costs.

mod common;

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::Method;
use awc::Client as HttpClient;
use bytes::Bytes;
use common::sockets::{
    Client, PATIENCE, connect, connect_with_buffer, connect_with_small_buffer, frame, publish, refusal,
};
use common::{Outputs, SECOND, http, settings, snapshot, telemetry};
use futures_util::StreamExt;
use powerwall_server::app::Service;
use powerwall_server::model::Freshness::{Expired, Live, Never, Stale};
use powerwall_server::model::Snapshot;
use powerwall_server::settings::{AllowedOrigins, HttpSettings};
use powerwall_server::simulator::{GatewayHandle, SiteKind, SiteOptions};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

async fn one_gateway() -> Outputs {
    Outputs::of(vec![snapshot("home", &telemetry(SiteKind::Powerwall3).await, Live)])
}

async fn listen(outputs: &Outputs, path: &str) -> Client {
    connect(outputs.addr, path, None).await.unwrap()
}

/// The next message that is no beat.
async fn news(client: &mut Client) -> Value {
    let no_beat = async {
        loop {
            let message = frame(client).await;
            if message["type"] != "beat" {
                return message;
            }
        }
    };
    timeout(PATIENCE, no_beat).await.expect("news in time")
}

/// `state` and `gateway/home/status` of the next change that has one, which `publish` changes.
async fn status(client: &mut Client) -> (u64, Value) {
    let message = news(client).await;
    let values = message.get("set").unwrap_or(&message["state"]);
    (message["seq"].as_u64().unwrap(), values["gateway/home/status"].clone())
}

fn place(message: &Value, epoch: &Value) -> String {
    format!("/ws/live?resume={}-{}", epoch.as_str().unwrap(), message["seq"])
}

#[actix_web::test]
async fn the_state_comes_first_and_then_only_what_changed() {
    let telemetry = telemetry(SiteKind::Powerwall3).await;
    let outputs = Outputs::of(vec![snapshot("home", &telemetry, Live), snapshot("barn", &telemetry, Never)]);
    let mut client = listen(&outputs, "/ws/live").await;
    let state = frame(&mut client).await;
    assert_eq!((&state["type"], &state["epoch"]), (&json!("state"), &json!(outputs.feed.epoch())));
    let values = state["state"].as_object().unwrap();
    assert_eq!(values["order"], json!(["home", "barn"]));
    assert_eq!(values["service"]["epoch"], state["epoch"]);
    assert_eq!(values["total"]["contributors"], json!(["home"]));
    for name in
        ["status", "links", "power", "energy", "meters", "units", "strings", "alerts", "fans", "temps"]
    {
        assert!(values.contains_key(&format!("gateway/home/{name}")), "{name}");
    }
    let of_barn: Vec<_> = values.keys().filter(|key| key.starts_with("gateway/barn/")).collect();
    assert_eq!(of_barn, ["gateway/barn/status", "gateway/barn/links"], "no data, no sections of data");
    assert_eq!(values["gateway/barn/status"]["taken_at"], Value::Null);
    publish(&outputs, "home", 7.0);
    let change = news(&mut client).await;
    assert_eq!(change["seq"].as_u64(), state["seq"].as_u64().map(|seq| seq + 1));
    let set: Vec<_> = change["set"].as_object().unwrap().keys().collect();
    assert_eq!(set, ["gateway/home/status"]);
    assert_eq!(change["gone"], json!([]));
    assert_eq!(change["set"]["gateway/home/status"]["taken_at"], 7.0);
}

#[actix_web::test]
async fn a_request_gets_what_a_listener_gets_first() {
    let outputs = one_gateway().await;
    let body = outputs.json("/api/live").await;
    let mut client = listen(&outputs, "/ws/live").await;
    let state = frame(&mut client).await;
    assert_eq!(
        (&body["type"], &body["state"], &body["seq"]),
        (&json!("state"), &state["state"], &state["seq"])
    );
    for path in ["/api/live", "/api/live/"] {
        let head = outputs.send(Method::HEAD, path, &[]).await;
        assert_eq!((head.status, head.body.len()), (200, 0), "{path}");
    }
    assert_eq!(outputs.get("/ws/live").await.status, 400, "not a WebSocket");
}

#[actix_web::test]
async fn numbers_have_no_gap_and_every_client_sees_the_same_from_one_rendering() {
    const CLIENTS: usize = 40;
    const CHANGES: i32 = 12;
    let outputs = one_gateway().await;
    let mut clients = Vec::new();
    let mut first = 0;
    for _ in 0..CLIENTS {
        let mut client = listen(&outputs, "/ws/live").await;
        first = status(&mut client).await.0;
        clients.push(client);
    }
    let before = outputs.feed.serialised();
    for change in 1..=CHANGES {
        publish(&outputs, "home", f64::from(change));
        for client in &mut clients {
            let (seq, status) = status(client).await;
            assert_eq!(seq, first + u64::try_from(change).unwrap());
            assert_eq!(status["taken_at"], f64::from(change));
        }
    }
    let serialised = outputs.feed.serialised() - before;
    // Twelve changes, and beats should this take long.
    assert!(serialised < CLIENTS as u64, "{serialised} for {CHANGES} changes and {CLIENTS} clients");
}

#[actix_web::test]
async fn nothing_is_rendered_while_nobody_listens() {
    let outputs = one_gateway().await;
    for change in 1..=5 {
        publish(&outputs, "home", f64::from(change));
        sleep(Duration::from_millis(150)).await;
    }
    assert_eq!(outputs.feed.serialised(), 0);
    let mut client = listen(&outputs, "/ws/live").await;
    assert_eq!(status(&mut client).await.1["taken_at"], 5.0);
}

#[actix_web::test]
async fn who_comes_back_gets_what_it_missed() {
    let outputs = one_gateway().await;
    let mut steady = listen(&outputs, "/ws/live").await;
    let state = frame(&mut steady).await;
    let mut changes = Vec::new();
    for change in 1..=4 {
        publish(&outputs, "home", f64::from(change));
        changes.push(news(&mut steady).await);
    }
    let mut back = listen(&outputs, &place(&changes[1], &state["epoch"])).await;
    assert_eq!(frame(&mut back).await, changes[2]);
    assert_eq!(frame(&mut back).await, changes[3]);
    let mut up_to_date = listen(&outputs, &place(&changes[3], &state["epoch"])).await;
    let beat = frame(&mut up_to_date).await;
    assert_eq!((&beat["type"], &beat["seq"]), (&json!("beat"), &changes[3]["seq"]));
    publish(&outputs, "home", 5.0);
    assert_eq!(news(&mut up_to_date).await["type"], "change");
    let another = json!("0123456789abcdef");
    for path in [&place(&changes[1], &another), "/ws/live?resume=x", "/ws/live?resume=", "/ws/live?resume=-1"]
    {
        assert_eq!(frame(&mut listen(&outputs, path).await).await["type"], "state", "{path}");
    }
    let ahead = json!({ "seq": 1_000_000 });
    assert_eq!(frame(&mut listen(&outputs, &place(&ahead, &state["epoch"])).await).await["type"], "state");
}

#[actix_web::test]
async fn silence_is_ended_by_a_beat() {
    let outputs = one_gateway().await;
    let mut client = listen(&outputs, "/ws/live").await;
    let state = frame(&mut client).await;
    let beat = frame(&mut client).await;
    assert_eq!((&beat["type"], &beat["seq"]), (&json!("beat"), &state["seq"]));
    let pause = beat["at"].as_f64().unwrap() - state["at"].as_f64().unwrap();
    assert!(pause > 1.0, "no more often than needed: {pause} s");
}

#[actix_web::test]
async fn data_that_expires_keeps_its_values_and_says_how_old_they_are() {
    let telemetry = telemetry(SiteKind::Powerwall3).await;
    let mut fading = snapshot("home", &telemetry, Stale);
    // A second and a half are left of the 30 in which it may be shown as current; a slow machine sees it
    // expired.
    fading.reading.as_mut().unwrap().taken = Instant::now() - Duration::from_millis(28_500);
    let gone = snapshot("barn", &telemetry, Expired);
    let outputs = Outputs::of(vec![fading, gone]);
    let mut client = listen(&outputs, "/ws/live").await;
    let state = frame(&mut client).await["state"].clone();
    assert_eq!(state["gateway/barn/status"]["freshness"], "expired");
    assert_eq!(state["gateway/barn/status"]["taken_at"], 1_795_000_000.0);
    assert_eq!(state["gateway/barn/power"], state["gateway/home/power"]);
    let missing = &state["total"]["missing"][0];
    assert_eq!((&missing["id"], &missing["last_seen_at"]), (&json!("barn"), &json!(1_795_000_000.0)));
    assert_eq!(missing["reason"], "the gateway did not answer within 5 s");
    let (mut freshness, mut changes) = (state["gateway/home/status"]["freshness"].clone(), Vec::new());
    while freshness != "expired" {
        let change = news(&mut client).await;
        freshness = change["set"]["gateway/home/status"]["freshness"].clone();
        changes.extend(change["set"].as_object().unwrap().keys().cloned());
    }
    assert!(
        changes.iter().all(|key| key == "gateway/home/status"),
        "the values are not touched: {changes:?}"
    );
}

#[actix_web::test]
async fn a_gateway_that_is_no_longer_configured_is_gone() {
    let gateway = |id: &str| GatewayHandle::start(SiteOptions::new(id, id, SiteKind::Powerwall2));
    let (home, barn) = (gateway("home").await.unwrap(), gateway("barn").await.unwrap());
    let service = Service::start(&settings(&[&home, &barn], &[]), 1).unwrap();
    let mut client = connect(service.addr, "/ws/live", None).await.unwrap();
    assert_eq!(frame(&mut client).await["state"]["order"], json!(["home", "barn"]));
    service.apply(settings(&[&home], &[])).await;
    let mut gone = Vec::new();
    while !gone.contains(&json!("gateway/barn/links")) {
        let change = news(&mut client).await;
        gone.extend(change["gone"].as_array().unwrap().clone());
        if !gone.is_empty() {
            assert_eq!(change["set"]["order"], json!(["home"]));
        }
    }
    assert!(gone.iter().all(|key| key.as_str().unwrap().starts_with("gateway/barn/")), "{gone:?}");
    service.stop().await;
    let goodbye = async {
        loop {
            if let Message::Close(reason) = client.next().await.unwrap().unwrap() {
                return reason.unwrap().code;
            }
        }
    };
    assert_eq!(timeout(PATIENCE, goodbye).await.unwrap(), CloseCode::Away);
}

/// The events of a stream, and its head.
struct Events {
    body: std::pin::Pin<Box<dyn futures_util::Stream<Item = Bytes>>>,
    text: String,
}

impl Events {
    async fn of(outputs: &Outputs, path: &str, last: Option<&str>) -> Self {
        let mut request = HttpClient::default().get(format!("http://{}{path}", outputs.addr));
        if let Some(last) = last {
            request = request.insert_header(("last-event-id", last));
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.headers().get("content-type").unwrap(), "text/event-stream");
        assert_eq!(response.headers().get("cache-control").unwrap(), "no-store");
        let body = Box::pin(response.filter_map(|chunk| std::future::ready(chunk.ok())));
        Self { body, text: String::new() }
    }

    /// Name, id and data of the next one.
    async fn next(&mut self) -> Option<(String, String, Value)> {
        let event = loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let event = event.to_owned();
                self.text = rest.to_owned();
                if event.starts_with("event") {
                    break event;
                }
                continue;
            }
            let chunk = timeout(PATIENCE, self.body.next()).await.expect("an event in time")?;
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        };
        let field = |name: &str| {
            let mut lines = event.lines();
            lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).unwrap().to_owned()
        };
        let data = serde_json::from_str(&field("data")).unwrap();
        Some((field("event"), field("id"), data))
    }
}

#[actix_web::test]
async fn server_sent_events_say_the_same_and_go_on_after_the_last_one_seen() {
    let outputs = one_gateway().await;
    let mut events = Events::of(&outputs, "/sse/live", None).await;
    let (name, id, state) = events.next().await.unwrap();
    assert_eq!(name, "state");
    assert_eq!(id, format!("{}-{}", outputs.feed.epoch(), state["seq"]));
    let mut socket = listen(&outputs, "/ws/live").await;
    assert_eq!(frame(&mut socket).await["state"], state["state"]);
    for change in 1..=3 {
        publish(&outputs, "home", f64::from(change));
        let (name, _, data) = events.next().await.unwrap();
        assert_eq!((name.as_str(), data), ("change", news(&mut socket).await));
    }
    let path = format!("/sse/live?resume={id}");
    for mut back in
        [Events::of(&outputs, "/sse/live", Some(&id)).await, Events::of(&outputs, &path, None).await]
    {
        for change in 1..=3 {
            let (name, _, data) = back.next().await.unwrap();
            assert_eq!(name, "change");
            assert_eq!(data["set"]["gateway/home/status"]["taken_at"], f64::from(change));
        }
    }
    outputs.feed.close();
    assert!(events.next().await.is_none(), "it ends when the service stops");
}

#[actix_web::test]
async fn pages_of_other_origins_are_refused_and_the_base_path_is_known() {
    let telemetry = telemetry(SiteKind::Powerwall3).await;
    let listed = AllowedOrigins::Listed(vec!["http://wall.local".into()]);
    let http = HttpSettings { origins: listed, base_path: "/pw".into(), ..http() };
    let outputs = Outputs::with(vec![snapshot("home", &telemetry, Live)], http, PATIENCE);
    for (base, slash) in [("", ""), ("/pw", ""), ("", "/"), ("/pw", "/")] {
        for path in ["/ws/aggregate", "/ws/gateway/home"] {
            let path = format!("{base}{path}{slash}");
            assert_eq!(refusal(outputs.addr, &path, Some("http://wall.local")).await, None, "{path}");
        }
        let (socket, events) = (format!("{base}/ws/live{slash}"), format!("{base}/sse/live{slash}"));
        assert_eq!(refusal(outputs.addr, &socket, Some("http://wall.local")).await, None);
        assert_eq!(refusal(outputs.addr, &socket, Some("http://evil.example")).await, Some(403));
        let origin = [("origin", "http://evil.example")];
        assert_eq!(outputs.send(Method::GET, &events, &origin).await.status, 403);
        Events::of(&outputs, &events, None).await.next().await.unwrap();
        assert_eq!(outputs.json(&format!("{base}/api/live")).await["type"], "state");
    }
    let request = HttpClient::default().get(format!("http://{}/sse/live", outputs.addr));
    let response = request.insert_header(("origin", "http://wall.local")).send().await.unwrap();
    assert_eq!(response.headers().get("access-control-allow-origin").unwrap(), "http://wall.local");
}

/// Publishes a reading that is known by its time and makes a large change.
fn publish_large(outputs: &Outputs, taken_at: f64) {
    let board = outputs.directory.get("home").unwrap().board.clone();
    let mut next = Snapshot::clone(&board.read());
    next.sequence += 1;
    next.reading.as_mut().unwrap().taken_at = taken_at;
    // An error text is shown as it is.
    next.health.last_error.as_mut().unwrap().message = format!("{taken_at} {}", "x".repeat(200_000));
    board.publish(Arc::new(next));
}

#[actix_web::test]
async fn a_slow_client_gets_the_newest_state_and_one_that_takes_nothing_is_let_go() {
    const CHANGES: i32 = 40;
    let telemetry = telemetry(SiteKind::Powerwall3).await;
    let outputs = Outputs::with(vec![snapshot("home", &telemetry, Stale)], http(), 6 * SECOND);
    actix_web::rt::spawn(outputs.sessions.clone().watch());
    let mut good = listen(&outputs, "/ws/live").await;
    let mut slow = connect_with_buffer(outputs.addr, "/ws/live", 64 << 10).await;
    let stuck = connect_with_small_buffer(outputs.addr, "/ws/live").await;
    frame(&mut good).await;
    let first = frame(&mut slow).await["seq"].as_u64().unwrap();
    let good = async {
        for change in 1..=CHANGES {
            publish_large(&outputs, f64::from(change));
            loop {
                let heard = news(&mut good).await;
                assert_eq!(heard["type"], "change", "nothing is skipped for it");
                if heard["set"]["gateway/home/status"]["taken_at"] == json!(f64::from(change)) {
                    break;
                }
            }
        }
    };
    // It reads a little all the time, so that it is slow and not stuck.
    let slow = async {
        let (mut messages, mut seq) = (Vec::new(), first);
        loop {
            let message = frame(&mut slow).await;
            let number = message["seq"].as_u64().unwrap();
            match message["type"].as_str().unwrap() {
                "change" => assert_eq!(number, seq + 1),
                kind => messages.push(kind.to_owned()),
            }
            seq = number;
            let values = message.get("set").unwrap_or(&message["state"]);
            if values["gateway/home/status"]["taken_at"] == json!(f64::from(CHANGES)) {
                return messages;
            }
            sleep(Duration::from_millis(900)).await;
        }
    };
    let ((), messages) = tokio::join!(good, slow);
    assert!(messages.iter().any(|kind| kind == "state"), "it skipped to a state");
    let left = async {
        while outputs.sessions.count() > 2 {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, left).await.expect("the stuck client is let go");
    drop(stuck);
}
