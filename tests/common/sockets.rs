//! WebSocket clients, good ones and slow ones, and something for them to see.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use powerwall_server::model::Snapshot;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, client_async, connect_async};

use super::Outputs;

/// Longer than anything here takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub type Client = WebSocketStream<MaybeTlsStream<TcpStream>>;

pub async fn connect(addr: SocketAddr, path: &str, origin: Option<&str>) -> Result<Client, Error> {
    let mut request = format!("ws://{addr}{path}").into_client_request().unwrap();
    if let Some(origin) = origin {
        request.headers_mut().insert("origin", origin.parse().unwrap());
    }
    connect_async(request).await.map(|(client, _)| client)
}

/// The status of the answer that refuses the upgrade.
pub async fn refusal(addr: SocketAddr, path: &str, origin: Option<&str>) -> Option<u16> {
    match connect(addr, path, origin).await {
        Err(Error::Http(response)) => Some(response.status().as_u16()),
        Err(other) => panic!("{other}"),
        Ok(_) => None,
    }
}

pub async fn frame<S>(client: &mut WebSocketStream<S>) -> Value
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let message = timeout(PATIENCE, client.next()).await.expect("a frame in time").unwrap().unwrap();
    serde_json::from_str(message.to_text().unwrap()).unwrap()
}

/// Publishes a reading that is known by its time.
pub fn publish(outputs: &Outputs, id: &str, taken_at: f64) {
    let board = outputs.directory.get(id).unwrap().board.clone();
    let mut next = Snapshot::clone(&board.read());
    next.sequence += 1;
    next.reading.as_mut().unwrap().taken_at = taken_at;
    board.publish(Arc::new(next));
}

/// A client whose system takes little before it reads.
pub async fn connect_with_small_buffer(addr: SocketAddr, path: &str) -> WebSocketStream<TcpStream> {
    connect_with_buffer(addr, path, 4096).await
}

/// A client whose system takes so many bytes before it reads.
pub async fn connect_with_buffer(addr: SocketAddr, path: &str, bytes: u32) -> WebSocketStream<TcpStream> {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(bytes).unwrap();
    let stream = socket.connect(addr).await.unwrap();
    client_async(format!("ws://{addr}{path}"), stream).await.unwrap().0
}

/// Publishes more than sockets can hold.
pub async fn flood(outputs: &Outputs, changes: i32) {
    for change in 1..=changes {
        publish(outputs, "home", f64::from(change));
        if change % 10 == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}
