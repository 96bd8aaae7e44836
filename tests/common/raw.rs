//! WebSocket clients that say whatever a test wants, right or wrong. Stands alone: needs nothing of the other
//! helpers.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// Who asks, and how much its system takes before it reads.
#[derive(Clone, Copy)]
pub struct From {
    pub address: Ipv4Addr,
    pub buffer: Option<u32>,
}

impl From {
    pub const HERE: Self = Self { address: Ipv4Addr::LOCALHOST, buffer: None };
    /// A client that will never read need not take more.
    pub const NARROW: Self = Self { buffer: Some(4096), ..Self::HERE };
}

/// The status of the answer to a request for a WebSocket, and the connection.
pub async fn ask(addr: SocketAddr, path: &str, from: From) -> (u16, TcpStream) {
    let socket = TcpSocket::new_v4().unwrap();
    if let Some(bytes) = from.buffer {
        socket.set_recv_buffer_size(bytes).unwrap();
    }
    socket.bind((from.address, 0).into()).unwrap();
    let mut stream = socket.connect(addr).await.unwrap();
    let request = format!(
        "GET {path} HTTP/1.1\r\nhost: {addr}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let status = String::from_utf8(head).unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    (status, stream)
}

/// An open WebSocket.
pub async fn open(addr: SocketAddr, path: &str, from: From) -> TcpStream {
    let (status, stream) = ask(addr, path, from).await;
    assert_eq!(status, 101, "{path}");
    stream
}

/// A frame of a client; `first` has the opcode and the bits before it.
pub fn client_frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        length @ ..126 => frame.push(0x80 | u8::try_from(length).unwrap()),
        length => {
            frame.push(0x80 | 126);
            frame.extend(u16::try_from(length).unwrap().to_be_bytes());
        }
    }
    // A mask of zeros changes nothing.
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}

/// The next frame of the server: opcode and payload. `None` once the connection has ended.
pub async fn server_frame(stream: &mut (impl AsyncRead + Unpin)) -> Option<(u8, Vec<u8>)> {
    let first = stream.read_u8().await.ok()?;
    let length = match stream.read_u8().await.ok()? {
        126 => u64::from(stream.read_u16().await.ok()?),
        127 => stream.read_u64().await.ok()?,
        short => short.into(),
    };
    let mut payload = vec![0; usize::try_from(length).unwrap()];
    stream.read_exact(&mut payload).await.ok()?;
    Some((first & 0x0f, payload))
}

/// The code that the server closes with, once the connection has ended; `None` if it gives none.
pub async fn close_code(stream: &mut (impl AsyncRead + Unpin)) -> Option<u16> {
    let mut code = None;
    while let Some((opcode, payload)) = server_frame(stream).await {
        if opcode == 8 {
            assert_eq!(code, None, "one goodbye");
            code = payload.first_chunk().map(|code| u16::from_be_bytes(*code));
        } else {
            assert_eq!(code, None, "nothing after a goodbye");
        }
    }
    code
}
