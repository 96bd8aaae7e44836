//! WebSocket clients: good ones, slow ones, unwelcome ones.

mod common;

use std::time::Duration;

use common::raw::{self, client_frame, close_code, open};
use common::sockets::{Client, PATIENCE, connect, connect_with_small_buffer, flood, frame, publish, refusal};
use common::{Outputs, SECOND, http, settings, snapshot, telemetry};
use futures_util::{SinkExt, StreamExt};
use powerwall_server::app::Service;
use powerwall_server::model::Freshness::{Live, Never};
use powerwall_server::settings::{AllowedOrigins, HttpSettings};
use powerwall_server::simulator::{GatewayHandle, SiteKind, SiteOptions};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

#[actix_web::test]
async fn the_first_frame_is_what_a_request_would_get() {
    let telemetry = telemetry(SiteKind::Powerwall3).await;
    let outputs = Outputs::of(vec![snapshot("home", &telemetry, Live), snapshot("barn", &telemetry, Never)]);
    for (socket, route) in [
        ("/ws/gateway/home", "/api/gateways/home"),
        ("/ws/gateway/barn", "/api/gateways/barn"),
        ("/ws/aggregate", "/api/aggregate"),
    ] {
        let mut client = connect(outputs.addr, socket, None).await.unwrap();
        let (mut frame, mut body) = (frame(&mut client).await, outputs.json(route).await);
        for moving in ["age", "timestamp"] {
            frame[moving] = json!(0);
            body[moving] = json!(0);
        }
        for id in ["home", "barn"].iter().filter(|_| socket == "/ws/aggregate") {
            frame["gateways"][id]["age"] = json!(0);
            body["gateways"][id]["age"] = json!(0);
        }
        assert_eq!(frame, body, "{socket}");
    }
}

#[actix_web::test]
async fn every_change_is_sent_at_once() {
    let telemetry = telemetry(SiteKind::Powerwall3).await;
    let outputs = Outputs::of(vec![snapshot("home", &telemetry, Live)]);
    let mut client = connect(outputs.addr, "/ws/gateway/home", None).await.unwrap();
    frame(&mut client).await;
    // If only the beat of each second came, this would take a minute and a half.
    let changes = async {
        for change in 1..=90 {
            publish(&outputs, "home", f64::from(change));
            while frame(&mut client).await["last_updated"] != json!(f64::from(change)) {}
        }
    };
    timeout(PATIENCE, changes).await.expect("sent for the change, not by the clock");
}

#[actix_web::test]
async fn without_any_change_a_frame_still_comes_and_is_older() {
    let telemetry = telemetry(SiteKind::Powerwall3).await;
    let outputs = Outputs::of(vec![snapshot("home", &telemetry, Live)]);
    for path in ["/ws/gateway/home", "/ws/aggregate"] {
        let mut client = connect(outputs.addr, path, None).await.unwrap();
        let (first, second) = (frame(&mut client).await, frame(&mut client).await);
        let age = |frame: &Value| match path {
            "/ws/aggregate" => frame["gateways"]["home"]["age"].as_f64().unwrap(),
            _ => frame["age"].as_f64().unwrap(),
        };
        assert!(age(&second) > age(&first), "{path}");
    }
}

#[actix_web::test]
async fn an_unknown_gateway_is_refused() {
    let telemetry = telemetry(SiteKind::Powerwall3).await;
    let outputs = Outputs::of(vec![snapshot("home", &telemetry, Live)]);
    assert_eq!(refusal(outputs.addr, "/ws/gateway/cabin", None).await, Some(404));
    assert_eq!(refusal(outputs.addr, "/ws/nothing", None).await, Some(404));
    assert_eq!(outputs.get("/ws/aggregate").await.status, 400, "not a WebSocket");
}

#[actix_web::test]
async fn pages_of_other_origins_are_refused_unless_they_are_listed() {
    let telemetry = telemetry(SiteKind::Powerwall3).await;
    let start = |origins| {
        let http = HttpSettings { origins, base_path: "/pw".into(), ..http() };
        Outputs::with(vec![snapshot("home", &telemetry, Live)], http, PATIENCE)
    };
    let listed = start(AllowedOrigins::Listed(vec!["http://wall.local".into()]));
    let own = format!("http://{}", listed.addr);
    for path in ["/ws/aggregate", "/ws/gateway/home", "/pw/ws/aggregate", "/pw/ws/gateway/home"] {
        for welcome in [None, Some("http://wall.local"), Some(own.as_str())] {
            assert_eq!(refusal(listed.addr, path, welcome).await, None, "{path} {welcome:?}");
        }
        for unwelcome in ["http://evil.example", "http://wall.local.evil.example", "null"] {
            assert_eq!(refusal(listed.addr, path, Some(unwelcome)).await, Some(403), "{path} {unwelcome}");
        }
    }
    let any = start(AllowedOrigins::Any);
    assert_eq!(refusal(any.addr, "/ws/aggregate", Some("http://evil.example")).await, None);
}

#[actix_web::test]
async fn pings_are_answered_and_chatter_is_not() {
    let telemetry = telemetry(SiteKind::Powerwall3).await;
    let outputs = Outputs::of(vec![snapshot("home", &telemetry, Live)]);
    let mut client = connect(outputs.addr, "/ws/gateway/home", None).await.unwrap();
    client.send(Message::text("hello?")).await.unwrap();
    client.send(Message::Ping("are you there".into())).await.unwrap();
    let pong = async {
        loop {
            if let Message::Pong(payload) = client.next().await.unwrap().unwrap() {
                return payload;
            }
        }
    };
    assert_eq!(timeout(PATIENCE, pong).await.unwrap(), "are you there");
    let too_long = Message::text("x".repeat(100_000));
    let _ = client.send(too_long).await;
    let end = async {
        loop {
            if let Message::Close(reason) = client.next().await.unwrap().unwrap() {
                return reason.unwrap().code;
            }
        }
    };
    assert_eq!(timeout(PATIENCE, end).await.unwrap(), CloseCode::Size);
}

#[actix_web::test]
async fn bad_frames_are_closed_with_1002_and_large_ones_with_1009() {
    let telemetry = telemetry(SiteKind::Powerwall3).await;
    let outputs = Outputs::of(vec![snapshot("home", &telemetry, Live)]);
    let cases: [(&str, Vec<u8>, u16); 12] = [
        ("a reserved bit", client_frame(0xc1, b"x"), 1002),
        ("an unknown opcode", client_frame(0x83, b"x"), 1002),
        ("a frame without a mask", vec![0x81, 1, b'x'], 1002),
        ("a ping in pieces", client_frame(0x09, b"x"), 1002),
        ("a ping of 126 bytes", client_frame(0x89, &[0; 126]), 1002),
        ("a continuation of nothing", client_frame(0x80, b"x"), 1002),
        ("a message within a message", [client_frame(0x01, b"x"), client_frame(0x81, b"y")].concat(), 1002),
        ("a length with its topmost bit", [&[0x82][..], &[0xff; 9]].concat(), 1002),
        ("a goodbye with half a code", client_frame(0x88, b"x"), 1002),
        ("a goodbye with a code that is none", client_frame(0x88, &999_u16.to_be_bytes()), 1002),
        ("4097 bytes", client_frame(0x82, &[0; 4097]), 1009),
        ("the header of 2^63 - 1 bytes", [&[0x82, 0xff, 0x7f][..], &[0xff; 7]].concat(), 1009),
    ];
    let tries = cases.iter().flat_map(|case| ["/ws/live", "/ws/gateway/home"].map(|path| (path, case)));
    let outcomes = tries.map(async |(path, (what, bytes, expected))| {
        let mut client = open(outputs.addr, path, raw::From::HERE).await;
        client.write_all(bytes).await.unwrap();
        let code = timeout(PATIENCE, close_code(&mut client)).await.expect("the connection ends");
        assert_eq!(code, Some(*expected), "{what} at {path}");
    });
    futures_util::future::join_all(outcomes).await;
    no_session_is_left(&outputs).await;
    let page = outputs.get("/metrics").await.body;
    let page = std::str::from_utf8(&page).unwrap();
    for (reason, count) in [("protocol", 20), ("too_large", 4), ("too_much", 0)] {
        let sample = format!("websocket_clients_cut_total{{reason=\"{reason}\"}} {count}\n");
        assert!(page.contains(&sample), "{sample}: {page}");
    }
}

#[actix_web::test]
async fn a_goodbye_is_answered_with_its_own_code() {
    let telemetry = telemetry(SiteKind::Powerwall3).await;
    let outputs = Outputs::of(vec![snapshot("home", &telemetry, Live)]);
    for path in ["/ws/live", "/ws/gateway/home"] {
        let mut client = open(outputs.addr, path, raw::From::HERE).await;
        let goodbye = client_frame(0x88, &1000_u16.to_be_bytes());
        client.write_all(&[&goodbye[..], b"what follows means nothing"].concat()).await.unwrap();
        assert_eq!(timeout(PATIENCE, close_code(&mut client)).await.unwrap(), Some(1000), "{path}");
    }
}

/// The status of the answer to a page of another origin that wants events.
async fn events_for(addr: std::net::SocketAddr, from: std::net::Ipv4Addr) -> (String, TcpStream) {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind((from, 0).into()).unwrap();
    let mut stream = socket.connect(addr).await.unwrap();
    let request = "GET /sse/live HTTP/1.1\r\nhost: a\r\norigin: http://evil.example\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut status = [0; 12];
    stream.read_exact(&mut status).await.unwrap();
    (String::from_utf8_lossy(&status[9..]).into_owned(), stream)
}

#[actix_web::test]
async fn an_address_has_its_share_of_the_live_clients_and_others_have_theirs() {
    let gateway = [("PW_HOST", "192.0.2.1"), ("PW_GW_PWD", "x"), ("PW_LIVE_CLIENTS_PER_ADDRESS", "3")];
    let service = Service::start(&settings(&[], &gateway), 1).unwrap();
    let other = raw::From { address: [127, 0, 0, 2].into(), buffer: None };
    for from in [raw::From::HERE, other] {
        let first = open(service.addr, "/ws/live", from).await;
        let _others =
            [open(service.addr, "/ws/aggregate", from).await, events_for(service.addr, from.address).await.1];
        for path in ["/ws/live", "/ws/aggregate"] {
            assert_eq!(raw::ask(service.addr, path, from).await.0, 503, "{path}");
        }
        assert_eq!(events_for(service.addr, from.address).await.0, "503");
        drop(first);
        let again = async { while raw::ask(service.addr, "/ws/live", from).await.0 != 101 {} };
        timeout(PATIENCE, again).await.expect("a place that is free again");
    }
    service.stop().await;
}

#[actix_web::test]
async fn by_default_a_page_of_any_origin_may_listen() {
    let telemetry = telemetry(SiteKind::Powerwall3).await;
    let by_default = settings(&[], &[("PW_HOST", "192.0.2.1"), ("PW_GW_PWD", "x")]).http;
    assert_eq!(by_default.origins, AllowedOrigins::Any);
    let outputs = Outputs::with(vec![snapshot("home", &telemetry, Live)], by_default, PATIENCE);
    for path in ["/ws/live", "/ws/aggregate", "/ws/gateway/home"] {
        for origin in ["http://evil.example", "null"] {
            assert_eq!(refusal(outputs.addr, path, Some(origin)).await, None, "{path} {origin}");
        }
    }
    assert_eq!(events_for(outputs.addr, std::net::Ipv4Addr::LOCALHOST).await.0, "200");
}

#[actix_web::test]
async fn the_service_says_goodbye_with_1001() {
    let telemetry = telemetry(SiteKind::Powerwall3).await;
    let outputs = Outputs::of(vec![snapshot("home", &telemetry, Live)]);
    let mut clients = Vec::new();
    for path in ["/ws/gateway/home", "/ws/aggregate"] {
        let mut client = connect(outputs.addr, path, None).await.unwrap();
        frame(&mut client).await;
        clients.push(client);
    }
    assert_eq!(outputs.sessions.count(), 2);
    outputs.sessions.close_all();
    for mut client in clients {
        let reason = timeout(PATIENCE, goodbye(&mut client)).await.unwrap().unwrap();
        assert_eq!(reason.code, CloseCode::Away);
    }
    no_session_is_left(&outputs).await;
}

#[actix_web::test]
async fn the_socket_of_a_gateway_that_was_removed_is_closed_also_if_it_is_configured_again() {
    let gateways = ["home", "barn"].map(|id| SiteOptions::new(id, id, SiteKind::Powerwall3));
    let home = GatewayHandle::start(gateways[0].clone()).await.unwrap();
    let barn = GatewayHandle::start(gateways[1].clone()).await.unwrap();
    let service = Service::start(&settings(&[&home, &barn], &[]), 1).unwrap();
    let opened = async {
        loop {
            // The directory is filled a moment after the start.
            if let Ok(client) = connect(service.addr, "/ws/gateway/barn", None).await {
                return client;
            }
        }
    };
    let mut client = timeout(PATIENCE, opened).await.unwrap();
    frame(&mut client).await;
    service.apply(settings(&[&home], &[])).await;
    service.apply(settings(&[&home, &barn], &[])).await;
    let reason = timeout(PATIENCE, goodbye(&mut client)).await.unwrap().unwrap();
    assert_eq!(reason.code, CloseCode::Away);
    service.stop().await;
}

async fn goodbye(client: &mut Client) -> Option<CloseFrame> {
    loop {
        if let Message::Close(reason) = client.next().await.unwrap().unwrap() {
            return reason;
        }
    }
}

async fn no_session_is_left(outputs: &Outputs) {
    let left = async {
        while outputs.sessions.count() > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, left).await.expect("no session left");
}

#[actix_web::test]
async fn a_slow_client_gets_the_newest_frame_and_no_backlog() {
    let telemetry = telemetry(SiteKind::Powerwall3).await;
    let outputs = Outputs::of(vec![snapshot("home", &telemetry, Live)]);
    let mut client = connect_with_small_buffer(outputs.addr, "/ws/gateway/home").await;
    frame(&mut client).await;
    let changes = 3000;
    flood(&outputs, changes).await;
    let mut frames = 1;
    while frame(&mut client).await["last_updated"] != json!(f64::from(changes)) {
        frames += 1;
    }
    assert!(frames < changes / 2, "{frames} frames of {changes} changes");
}

#[actix_web::test]
async fn a_client_that_takes_nothing_is_let_go_and_a_quiet_one_is_not() {
    let telemetry = telemetry(SiteKind::Powerwall3).await;
    let outputs = Outputs::with(vec![snapshot("home", &telemetry, Live)], http(), 3 * SECOND);
    actix_web::rt::spawn(outputs.sessions.clone().watch());
    let mut good = connect(outputs.addr, "/ws/gateway/home", None).await.unwrap();
    let stuck = connect_with_small_buffer(outputs.addr, "/ws/gateway/home").await;
    frame(&mut good).await;
    let reading = actix_web::rt::spawn(async move { while let Some(Ok(_)) = good.next().await {} });
    flood(&outputs, 1500).await;
    let left = async {
        while outputs.sessions.count() > 1 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, left).await.expect("the stuck client is let go");
    assert!(!reading.is_finished(), "the good client stays");
    let page = outputs.get("/metrics").await.body;
    let page = std::str::from_utf8(&page).unwrap();
    // Whether the service or the system is first depends on the buffers of the system.
    let counted =
        ["stalled", "lost"].map(|why| format!("websocket_clients_cut_total{{reason=\"{why}\"}} 1\n"));
    assert_eq!(counted.iter().filter(|sample| page.contains(*sample)).count(), 1, "{page}");
    drop(stuck);
}
