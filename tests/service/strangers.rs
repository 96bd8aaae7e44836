//! Strangers, seen by the real program: what they leave of its files and of its log.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::program::{PATIENCE, Program, run};
use super::{gateway, is_live, list, serve};
use powerwall_server::simulator::SiteKind;

const FILES: u64 = 1_024;
const STRANGERS: usize = 520;

#[actix_web::test]
async fn a_thousand_files_outlive_idle_strangers() {
    // Those of this test come on top of those of others beside it.
    rlimit::increase_nofile_limit(4 * FILES).unwrap();
    let home = gateway("home", SiteKind::Powerwall3).await;
    let gateways = list(&[&home]);
    let environment = [
        ("PW_PORT", "0"),
        ("PW_CACHE_EXPIRE", "1"),
        ("PW_GATEWAYS", &gateways),
        // So that strangers stay whom the share of connections lets in.
        ("PW_LIVE_CLIENTS_PER_ADDRESS", "2000"),
    ];
    let mut program = Program::start_limited(&format!("-n {FILES}"), &environment).await;
    program.health_becomes("home", is_live).await;
    let mut strangers = Vec::new();
    for _ in 0..STRANGERS {
        let mut stranger = TcpStream::connect(program.addr).await.unwrap();
        let _ = stranger.write_all(b"GET /sse/live HTTP/1.1\r\nHost: a\r\n\r\n").await;
        strangers.push(stranger);
    }
    program.has_said("127.0.0.1 has 256 connections, its share").await;
    // Who comes late takes the place that is kept for this machine from whoever has it.
    for stranger in &mut strangers {
        let answered = timeout(PATIENCE, stranger.read(&mut [0])).await;
        assert!(answered.is_ok(), "a stranger is neither answered nor sent away");
    }

    let url = format!("http://{}/livez", program.addr);
    for _ in 0..3 {
        let alive = run(&["healthcheck", "--url", &url], &[]).await;
        assert_eq!((alive.code, alive.stderr.as_str()), (Some(0), ""), "{}", program.log());
    }
    let polls = home.counters().all_requests();
    timeout(PATIENCE, async {
        while home.counters().all_requests() < polls + 3 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .expect("the gateway is polled on");
    drop(strangers);
    program.health_becomes("home", is_live).await;
    program.signal("TERM").await;
    assert_eq!(program.ended().await.code(), Some(0));
    assert!(!program.log().contains("Too many open files"), "{}", program.log());
}

/// Sends `request` and waits until the service closes.
async fn malformed(addr: SocketAddr, request: &[u8]) {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut said = Vec::new();
    let _ = timeout(PATIENCE, stream.read_to_end(&mut said)).await.expect("an answer");
    assert!(said.starts_with(b"HTTP/1.1 400"), "{}", String::from_utf8_lossy(&said));
}

#[actix_web::test]
async fn malformed_requests_are_a_line_a_minute_of_each_kind() {
    let home = gateway("home", SiteKind::Powerwall3).await;
    let mut program = serve(&[&home], &[]).await;
    let kinds: [&[u8]; 3] =
        [b"x y\r\n\r\n", b"GET / HTTP/1.1\r\nbad header\r\n\r\n", b"GET / HTTP/3.7\r\n\r\n"];
    for _ in 0..40 {
        for kind in kinds {
            malformed(program.addr, kind).await;
        }
    }
    program.signal("TERM").await;
    program.ended().await;
    program.has_said("stopping").await;
    let log = program.log();
    let lines = log.lines().filter(|line| line.contains("stream error")).count();
    // On a machine on which this takes minutes there may be more.
    assert!((1..=10).contains(&lines), "{lines} lines:\n{log}");
}
