//! Clients that nobody invited: what they hold, for how long, and what is left for others.

mod common;

use std::net::{Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use actix_web::http::Method;
use common::sockets::{PATIENCE, connect, publish};
use common::{Outputs, SECOND, http, snapshot, telemetry};
use futures_util::StreamExt;
use futures_util::future::join_all;
use powerwall_server::app::listen;
use powerwall_server::cli::healthcheck;
use powerwall_server::client::{Network, TrustedProxies};
use powerwall_server::connections::Limits;
use powerwall_server::model::Freshness::Live;
use powerwall_server::settings::{Access, HttpSettings, RateLimit, Secret};
use powerwall_server::simulator::SiteKind;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};

/// Short enough for a test to wait for what happens when they are over; nothing here depends on how long they
/// are.
fn short() -> Limits {
    Limits { head: SECOND, idle: SECOND, kept: 0, ..Limits::default() }
}

async fn outputs(http: HttpSettings, limits: Limits) -> Outputs {
    let telemetry = telemetry(SiteKind::Powerwall3).await;
    Outputs::limited(vec![snapshot("home", &telemetry, Live)], http, limits)
}

/// Outputs that take orders from who knows `right`.
async fn guarded(http: HttpSettings) -> Outputs {
    let telemetry = telemetry(SiteKind::Powerwall3).await;
    let access = Access::owned_by(Secret::new("right"));
    Outputs::accessed(vec![snapshot("home", &telemetry, Live)], http, access)
}

/// A reverse proxy on this machine.
fn loopback() -> TrustedProxies {
    [Network::from_str("127.0.0.1").unwrap()].into_iter().collect()
}

/// A connection from an address of this machine.
async fn from(host: u8, addr: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((Ipv4Addr::new(127, 0, 0, host), 0).into()).unwrap();
    timeout(PATIENCE, socket.connect(addr)).await.unwrap().unwrap()
}

/// Sends `first` and then `drip` again and again, until the service closes. What it said by then.
async fn until_closed(addr: SocketAddr, first: Vec<u8>, drip: &[u8]) -> String {
    let stream = from(1, addr).await;
    let (mut reader, mut writer) = stream.into_split();
    writer.write_all(&first).await.unwrap();
    let mut said = Vec::new();
    let dripping = async {
        loop {
            sleep(Duration::from_millis(50)).await;
            // The service may have closed.
            let _ = writer.write_all(drip).await;
        }
    };
    // However it closes.
    let reading = timeout(PATIENCE, reader.read_to_end(&mut said));
    let is_closed = tokio::select! { read = reading => read.is_ok(), () = dripping => false };
    let first = String::from_utf8_lossy(&first).into_owned();
    assert!(is_closed, "still open after {PATIENCE:?}: {first:?}");
    String::from_utf8_lossy(&said).into_owned()
}

fn request(line: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    [format!("{line} HTTP/1.1\r\nHost: a\r\n{headers}\r\n").as_bytes(), body].concat()
}

const HEAD: &[u8] = b"HTTP/1.1 200";
const TOO_SLOW: &str = "HTTP/1.1 408";
const CHUNKED: &str = "Transfer-Encoding: chunked\r\n";

#[actix_web::test]
async fn every_head_and_every_body_has_its_deadline() {
    let app = outputs(http(), short()).await;
    let chunk = &b"1\r\nx\r\n"[..];
    let large = [&b"4001\r\n"[..], &[b'x'; 0x4001], b"\r\n"].concat();
    let cases: Vec<(Vec<u8>, &[u8], &str)> = vec![
        (Vec::new(), b"", TOO_SLOW),
        (b"GET /soe HT".to_vec(), b"", TOO_SLOW),
        (b"GET /soe HTTP/1.1\r\n".to_vec(), b"X", TOO_SLOW),
        // A second head.
        (request("GET /soe", "", b"GET /so"), b"", "HTTP/1.1 200"),
        (request("GET /soe", "", b""), b"G", "HTTP/1.1 200"),
        // A body that nobody wants, in all its ways.
        (request("GET /soe", CHUNKED, b""), b"", "HTTP/1.1 200"),
        (request("GET /soe", CHUNKED, b""), chunk, "HTTP/1.1 200"),
        (request("GET /soe", CHUNKED, b""), b"0", "HTTP/1.1 200"),
        (request("GET /soe", CHUNKED, b"1;"), b"x", "HTTP/1.1 200"),
        (request("GET /soe", "Content-Length: 100000\r\n", b""), b"x", "HTTP/1.1 200"),
        (request("GET /nowhere", CHUNKED, b""), chunk, "HTTP/1.1 404"),
        (request("PUT /soe", CHUNKED, b""), chunk, "HTTP/1.1 405"),
        // A body after an early refusal.
        (request("POST /health/reset", CHUNKED, b""), chunk, "HTTP/1.1 403"),
        (request("POST /api/login/Basic", CHUNKED, &large), chunk, "HTTP/1.1 413"),
        (request("POST /api/login/Basic", "Content-Length: 100000\r\n", b""), b"x", "HTTP/1.1 413"),
        // A listener has nothing to say.
        (request("GET /sse/live", CHUNKED, b""), chunk, "HTTP/1.1 200"),
    ];
    let count = cases.len();
    let outcomes = cases.into_iter().map(|(first, drip, expected)| {
        let addr = app.addr;
        async move {
            let shown = String::from_utf8_lossy(&first[..first.len().min(60)]).into_owned();
            let said = until_closed(addr, first, drip).await;
            // Whether there is time to answer depends on the machine.
            let is_cut = expected == TOO_SLOW && said.is_empty();
            assert!(is_cut || said.starts_with(expected), "{shown:?}: {said}");
        }
    });
    assert_eq!(join_all(outcomes).await.len(), count);
}

#[actix_web::test]
async fn who_stays_connected_is_not_cut() {
    let app = outputs(http(), short()).await;
    let mut socket = connect(app.addr, "/ws/live", None).await.unwrap();
    let mut events = from(1, app.addr).await;
    events.write_all(&request("GET /sse/live", "", b"")).await.unwrap();
    // Somebody who came later has been cut for being idle, and then somebody who came after that.
    for _ in 0..2 {
        until_closed(app.addr, request("GET /soe", CHUNKED, b""), b"").await;
    }
    publish(&app, "home", 7777.0);
    let mut said = Vec::new();
    timeout(PATIENCE, async {
        while !socket.next().await.unwrap().unwrap().to_string().contains("7777") {}
        while !said.windows(4).any(|text| text == b"7777") {
            assert!(events.read_buf(&mut said).await.unwrap() > 0, "closed");
        }
    })
    .await
    .unwrap();
}

#[actix_web::test]
async fn all_of_five_thousand_requests_at_once_are_answered() {
    const REQUESTS: usize = 5_000;
    let app = outputs(http(), Limits::default()).await;
    // Of different lengths, so that the buffers between are full at different times.
    for path in ["/aggregates", "/soe"] {
        let (mut reader, mut writer) = from(1, app.addr).await.into_split();
        let requests = request(&format!("GET {path}"), "", b"").repeat(REQUESTS);
        let sending = async { writer.write_all(&requests).await.unwrap() };
        let receiving = async {
            let (mut answered, mut said) = (0, Vec::new());
            while answered < REQUESTS && reader.read_buf(&mut said).await.unwrap() > 0 {
                answered += said.windows(HEAD.len()).filter(|text| *text == HEAD).count();
                // The beginning of a head may be at the end.
                said.drain(..said.len().saturating_sub(HEAD.len() - 1));
            }
            answered
        };
        let exchange = timeout(PATIENCE, futures_util::future::join(sending, receiving));
        assert_eq!(exchange.await.map(|((), answered)| answered), Ok(REQUESTS), "{path}");
    }
}

async fn answer(stream: &mut TcpStream, path: &str) -> String {
    // A client that is refused may find that it cannot write.
    let _ = stream.write_all(&request(&format!("GET {path}"), "", b"")).await;
    let mut buffer = [0; 256];
    let read = timeout(PATIENCE, stream.read(&mut buffer)).await.unwrap().unwrap_or_default();
    String::from_utf8_lossy(&buffer[..read]).lines().next().unwrap_or_default().to_owned()
}

#[actix_web::test]
async fn one_address_has_its_share_of_the_connections() {
    let limits = Limits { per_client: 5, total: 12, kept: 0, ..Limits::default() };
    let app = outputs(http(), limits).await;
    let mut held = Vec::new();
    for host in [1, 2] {
        for _ in 0..limits.per_client {
            let mut stream = from(host, app.addr).await;
            assert_eq!(answer(&mut stream, "/livez").await, "HTTP/1.1 200 OK");
            held.push(stream);
        }
        let refused = answer(&mut from(host, app.addr).await, "/livez").await;
        assert!(["", "HTTP/1.1 503 Service Unavailable"].contains(&refused.as_str()), "{refused}");
    }
    // The share of one that left is free again.
    drop(held.pop());
    timeout(PATIENCE, async {
        while answer(&mut from(2, app.addr).await, "/livez").await != "HTTP/1.1 200 OK" {
            sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .unwrap();
}

/// What `/metrics` says of connections: open, refused, overdue.
async fn counted(app: &Outputs) -> [u64; 3] {
    let page = String::from_utf8(app.get("/metrics").await.body.to_vec()).unwrap();
    ["", "_refused_total", "_overdue_total"].map(|what| {
        let name = format!("powerwall_server_connections{what} ");
        let value = page.lines().find_map(|line| line.strip_prefix(name.as_str()));
        value.unwrap_or_else(|| panic!("no {name}in {page}")).parse().unwrap()
    })
}

#[actix_web::test]
async fn connections_that_are_refused_or_take_too_long_are_counted() {
    let app = outputs(http(), Limits { per_client: 3, kept: 0, ..Limits::default() }).await;
    let mut held = Vec::new();
    for _ in 0..3 {
        let mut stream = from(2, app.addr).await;
        assert_eq!(answer(&mut stream, "/livez").await, "HTTP/1.1 200 OK");
        held.push(stream);
    }
    assert_ne!(answer(&mut from(2, app.addr).await, "/livez").await, "HTTP/1.1 200 OK");
    let [open, refused, overdue] = counted(&app).await;
    assert!(open >= 4, "{open}: three, and the one that asks for the page");
    assert_eq!((refused, overdue), (1, 0));

    let app = outputs(http(), short()).await;
    until_closed(app.addr, request("GET /soe", CHUNKED, b""), b"").await;
    let [_, refused, overdue] = counted(&app).await;
    assert_eq!((refused, overdue), (0, 1), "a body that nobody wants took too long");
}

#[actix_web::test]
async fn a_trusted_proxy_has_more_than_a_share() {
    let limits = Limits { per_client: 2, kept: 0, ..Limits::default() };
    let app = outputs(HttpSettings { trusted_proxies: loopback(), ..http() }, limits).await;
    let mut held = Vec::new();
    for _ in 0..10 {
        let mut stream = from(1, app.addr).await;
        assert_eq!(answer(&mut stream, "/livez").await, "HTTP/1.1 200 OK");
        held.push(stream);
    }
}

#[actix_web::test]
async fn a_container_can_ask_whether_it_is_alive_however_full_it_is() {
    let limits = Limits { per_client: 10, total: 20, kept: 2, ..Limits::default() };
    let app = outputs(http(), limits).await;
    let mut held = Vec::new();
    // More than there is room for, of whom as many as can stay.
    for index in 0..60 {
        let mut stream = from(1 + index % 3, app.addr).await;
        let _ = stream.write_all(&request("GET /sse/live", "", b"")).await;
        held.push(stream);
    }
    for _ in 0..10 {
        assert_eq!(healthcheck::check(&format!("http://{}/livez", app.addr)).await, Ok(()));
    }
}

#[actix_web::test]
async fn behind_a_trusted_proxy_everybody_is_somebody_else() {
    let limit = RateLimit { requests: 3, window: Duration::from_secs(3600), most_clients: 10 };
    let settings = HttpSettings { rate_limit: Some(limit), trusted_proxies: loopback(), ..http() };
    let app = outputs(settings, Limits::default()).await;
    // What a client makes up stands to the left of what the proxy saw.
    for made_up in 0..3 {
        let forwarded = format!("9.9.9.{made_up}, 192.0.2.1");
        let asked = app.send(Method::GET, "/soe", &[("x-forwarded-for", &forwarded)]).await;
        assert_eq!(asked.status, 200);
    }
    for (client, expected) in
        [("192.0.2.1", 429), ("192.0.2.2", 200), ("9.9.9.9, 192.0.2.1", 429), ("2001:db8::1", 200)]
    {
        let asked = app.send(Method::GET, "/soe", &[("x-forwarded-for", client)]).await;
        assert_eq!(asked.status, expected, "{client}");
    }
}

#[actix_web::test]
async fn without_a_trusted_proxy_nobody_is_somebody_else() {
    let app = guarded(http()).await;
    for guess in 0..5 {
        let forwarded = format!("9.9.9.{guess}");
        let headers = [("authorization", "wrong"), ("x-forwarded-for", forwarded.as_str())];
        assert_eq!(app.send(Method::POST, "/health/reset", &headers).await.status, 401);
    }
    let headers = [("authorization", "wrong"), ("x-forwarded-for", "9.9.9.9")];
    assert_eq!(app.send(Method::POST, "/health/reset", &headers).await.status, 429);
}

#[actix_web::test]
async fn guesses_are_counted_by_whom_the_proxy_names() {
    let app = guarded(HttpSettings { trusted_proxies: loopback(), ..http() }).await;
    let order = async |token: &str, client: &str| {
        let headers = [("authorization", token), ("x-forwarded-for", client)];
        app.send(Method::POST, "/health/reset", &headers).await.status
    };
    // A host may use every address of its /64.
    for guess in 1..=5 {
        assert_eq!(order("wrong", &format!("2001:db8::{guess}")).await, 401);
    }
    assert_eq!(order("wrong", "2001:db8::ffff:1").await, 429);
    assert_eq!(order("right", "2001:db8:0:1::1").await, 200);
    assert_eq!(order("right", "192.0.2.1").await, 200);
}

#[actix_web::test]
async fn urls_without_end_are_refused() {
    let app = outputs(http(), Limits::default()).await;
    for (length, expected) in [(8_000, 200), (8_192, 414), (60_000, 414)] {
        let path = format!("/soe?{}", "x".repeat(length));
        assert_eq!(app.get(&path).await.status, expected, "{length}");
    }
}

#[actix_web::test]
async fn many_may_wait_until_they_are_accepted() {
    const WAITING: usize = 300;
    let most = std::fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap_or_default();
    if most.trim().parse::<usize>().is_ok_and(|most| most < WAITING) {
        return; // this machine lets nobody have more
    }
    let listener = listen::bind(([127, 0, 0, 1], 0).into()).unwrap();
    let addr = listener.local_addr().unwrap();
    // Nobody accepts. A client that finds no place is not answered at all.
    let waiting = join_all((0..WAITING).map(|_| from(1, addr))).await;
    assert_eq!(waiting.len(), WAITING);
}
