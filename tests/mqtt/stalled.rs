//! A broker that takes messages and never acknowledges one.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::BytesMut;
use powerwall_server::simulator::SiteKind;
use rumqttc::{ConnAck, ConnectReturnCode, Packet};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::sleep;

use super::{gateway, serve, status_becomes};

#[derive(Default)]
struct Seen {
    connections: AtomicUsize,
    /// Over the first connection.
    messages: AtomicUsize,
}

/// Welcomes everybody and answers pings, and nothing else.
async fn stalled_broker() -> (u16, Arc<Seen>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let seen = Arc::new(Seen::default());
    let counted = seen.clone();
    actix_web::rt::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let connection = counted.connections.fetch_add(1, Ordering::SeqCst);
            let seen = counted.clone();
            actix_web::rt::spawn(async move {
                let (mut received, mut answer) = (BytesMut::new(), BytesMut::new());
                while stream.read_buf(&mut received).await.is_ok_and(|length| length > 0) {
                    while let Ok(packet) = Packet::read(&mut received, 1 << 20) {
                        match packet {
                            Packet::Connect(_) => {
                                ConnAck::new(ConnectReturnCode::Success, false).write(&mut answer).unwrap();
                            }
                            Packet::Publish(_) if connection == 0 => {
                                seen.messages.fetch_add(1, Ordering::SeqCst);
                            }
                            Packet::PingReq => {
                                Packet::PingResp.write(&mut answer, 64).unwrap();
                            }
                            _ => {}
                        }
                    }
                    let _ = stream.write_all(&answer.split()).await;
                }
            });
        }
    });
    (port, seen)
}

#[actix_web::test]
async fn a_broker_that_stops_acknowledging_costs_a_bounded_queue_and_is_left() {
    let (port, seen) = stalled_broker().await;
    let mut gateways = Vec::new();
    for id in ["a", "b", "c", "d", "e"] {
        gateways.push(gateway(id, SiteKind::Powerwall3).await);
    }
    let gateways: Vec<_> = gateways.iter().collect();
    let program = serve(&gateways, port, &[]).await;
    // More than the queue holds is to be sent, and the gateways go on talking.
    status_becomes(&program, |status| status["queued"] == 1000).await;
    for _ in 0..40 {
        let status = program.json("/api/mqtt/status").await;
        assert!(status["queued"].as_u64().unwrap() <= 1000, "{status}");
        sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(seen.messages.load(Ordering::SeqCst), 20, "no more than these are in flight");
    let status = status_becomes(&program, |status| status["last_error"].is_string()).await;
    assert!(status["last_error"].as_str().unwrap().contains("acknowledged"), "{status}");
    assert_eq!(status["published"], 0);
    status_becomes(&program, |_| seen.connections.load(Ordering::SeqCst) > 1).await;
    assert_eq!(program.get("/health").await.0, 200, "nobody else has to wait");
}

#[actix_web::test]
async fn a_broker_that_does_not_acknowledge_the_goodbye_does_not_hold_up_the_stop() {
    let (port, _) = stalled_broker().await;
    let gateway = gateway("home", SiteKind::Powerwall2).await;
    let mut program = serve(&[&gateway], port, &[]).await;
    status_becomes(&program, |status| status["connected"] == true).await;
    let before = tokio::time::Instant::now();
    program.signal("TERM").await;
    assert!(program.ended().await.success());
    assert!(before.elapsed() < Duration::from_secs(10), "{:?}", before.elapsed());
}
