//! What large answers cost the real program, as the system counts it.

use futures_util::future::join_all;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};

use super::program::Program;
use super::until;

/// What a client that asks and does not read may cost, kB: its connection, and a piece of the answer.
const MOST_EACH: u64 = 30;
const CLIENTS: u64 = 300;

async fn silent(program: &Program, path: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(program.addr).await.unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()).await.unwrap();
    stream
}

#[actix_web::test]
async fn clients_that_ask_and_do_not_read_cost_little() {
    let program = Program::start(&["demo"], &[("PW_PORT", "0"), ("PW_BIND_ADDRESS", "127.0.0.1")]).await;
    program.get("/openapi.json").await;
    let asked = async |path: &str| program.json("/stats").await["uri"][path].as_u64().unwrap_or_default();
    let before = (program.resident_kilobytes(), asked("/openapi.json").await);
    let silent = join_all((0..CLIENTS).map(|_| silent(&program, "/openapi.json"))).await;
    while asked("/openapi.json").await < before.1 + CLIENTS {
        tokio::task::yield_now().await;
    }
    let grown = program.resident_kilobytes().saturating_sub(before.0);
    assert!(grown <= CLIENTS * MOST_EACH, "{grown} kB for {CLIENTS} clients");
    drop(silent);
    until(|| program.open_files() < 100).await;
}
