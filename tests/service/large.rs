//! What large answers cost the real program, as the system counts it.

use futures_util::future::join_all;
use powerwall_server::simulator::Fleet;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};

use super::program::{PATIENCE, Program};
use super::until;

/// What a client that asks and does not read may cost, kB: its connection, and a piece of the answer.
const MOST_EACH: u64 = 30;
const CLIENTS: u64 = 300;
/// Their statuses together are more than the system takes for a client.
const GATEWAYS: u32 = 300;

/// From one of several addresses, each with fewer clients than an address may have.
async fn silent(program: &Program, path: &str, number: u64) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    let address = [127, 0, 0, 2 + u8::try_from(number % 4).unwrap()];
    socket.bind((address, 0).into()).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(program.addr).await.unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()).await.unwrap();
    stream
}

#[actix_web::test]
async fn clients_that_ask_and_do_not_read_cost_little() {
    let fleet = Fleet::of(GATEWAYS).unwrap();
    let gateways = fleet.settings().to_string();
    let environment = [
        ("PW_GATEWAYS", &*gateways),
        ("PW_PORT", "0"),
        ("PW_BIND_ADDRESS", "127.0.0.1"),
        ("PW_CONNECTIONS_PER_ADDRESS", "1000"),
    ];
    let program = Program::start(&[], &environment).await;
    let online = async {
        while program.json("/api/aggregate/battery").await["num_online"] != GATEWAYS {
            sleep(std::time::Duration::from_millis(100)).await;
        }
    };
    timeout(PATIENCE, online).await.unwrap();

    let whole = program.get("/api/gateways").await.1;
    assert!(whole.len() > 3 << 20, "{} bytes", whole.len());
    let files = program.open_files();
    let asked = async || program.json("/stats").await["uri"]["/api/gateways"].as_u64().unwrap();
    let before = (program.resident_kilobytes(), asked().await);
    let silent = join_all((0..CLIENTS).map(|number| silent(&program, "/api/gateways", number))).await;
    while asked().await < before.1 + CLIENTS {
        tokio::task::yield_now().await;
    }
    // Behind them all: pieces are rendered first come first served.
    assert!(program.get("/api/gateways?limit=3").await.1.len() < whole.len());
    let grown = program.resident_kilobytes().saturating_sub(before.0);
    assert!(grown <= CLIENTS * MOST_EACH, "{grown} kB for {CLIENTS} clients");
    drop(silent);
    until(|| program.open_files() < files + 100).await;
}
