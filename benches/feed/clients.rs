//! Many WebSocket clients on one thread, as cheap as they can be: they count messages and time them.

use std::cell::{Cell, RefCell};
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Notify;
use tokio::task::{JoinHandle, spawn_local};
use tokio::time::Instant;

const REQUEST: &str = "GET /ws/live HTTP/1.1\r\nhost: bench\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                       sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
/// Half of what an address may have, as the stuck ones come from the same.
const CLIENTS_PER_ADDRESS: usize = 100;
/// Every change begins like this.
const CHANGE: &[u8] = br#"{"type":"change""#;

/// Clients that read all they get.
pub struct Clients {
    count: usize,
    seen: Rc<Seen>,
    tasks: Vec<JoinHandle<()>>,
}

/// What all of them together have seen.
#[derive(Default)]
struct Seen {
    /// Changes of the present round.
    changes: Cell<usize>,
    /// Other messages.
    others: Cell<usize>,
    /// When the present round began.
    began: Cell<Option<Instant>>,
    /// How long each change of each client took.
    delays: RefCell<Vec<Duration>>,
    heard: Notify,
}

impl Clients {
    pub async fn connect(addr: SocketAddr, count: usize) -> Self {
        let seen = Rc::new(Seen::default());
        let mut tasks = Vec::with_capacity(count);
        for index in 0..count {
            let stream = socket(index).connect(addr).await.expect("it listens");
            tasks.push(spawn_local(listen(upgraded(stream).await, seen.clone())));
        }
        Self { count, seen, tasks }
    }

    /// Until each of them has seen `messages` that are no changes, such as the first state.
    pub async fn have_seen_others(&self, messages: usize) {
        while self.seen.others.get() < messages * self.count {
            self.seen.heard.notified().await;
        }
    }

    /// Has `publish` publish one change, and waits until all have seen it.
    pub async fn round(&self, publish: impl FnOnce()) {
        self.seen.changes.set(0);
        self.seen.began.set(Some(Instant::now()));
        publish();
        while self.seen.changes.get() < self.count {
            self.seen.heard.notified().await;
        }
    }

    /// How long each change took to each client since this was asked last, sorted.
    pub fn delays(&self) -> Vec<Duration> {
        let mut delays = self.seen.delays.take();
        delays.sort_unstable();
        delays
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// The socket of a client. No address has more of them than one may have.
fn socket(index: usize) -> TcpSocket {
    let socket = TcpSocket::new_v4().expect("files are left");
    let host = u8::try_from(1 + index / CLIENTS_PER_ADDRESS).expect("less than 25,000 clients");
    socket.bind((Ipv4Addr::new(127, 0, 1, host), 0).into()).expect("all of 127.0.0.0/8 is this machine");
    socket
}

async fn upgraded(mut stream: TcpStream) -> BufReader<TcpStream> {
    stream.write_all(REQUEST.as_bytes()).await.expect("it listens");
    let mut reader = BufReader::with_capacity(4096, stream);
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(reader.read_u8().await.expect("an answer"));
    }
    assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
    reader
}

/// Clients that ask and never read; they are connected until this is dropped.
pub async fn connect_stuck(addr: SocketAddr, count: usize) -> Vec<TcpStream> {
    let mut clients = Vec::with_capacity(count);
    for index in 0..count {
        let socket = socket(index);
        socket.set_recv_buffer_size(4096).expect("a socket can be set so");
        let mut stream = socket.connect(addr).await.expect("it listens");
        stream.write_all(REQUEST.as_bytes()).await.expect("it listens");
        clients.push(stream);
    }
    clients
}

async fn listen(mut reader: BufReader<TcpStream>, seen: Rc<Seen>) {
    let mut message = Vec::new();
    while next(&mut reader, &mut message).await.is_ok() {
        if message.starts_with(CHANGE) {
            seen.changes.set(seen.changes.get() + 1);
            seen.delays.borrow_mut().extend(seen.began.get().map(|began| began.elapsed()));
        } else {
            seen.others.set(seen.others.get() + 1);
        }
        seen.heard.notify_one();
    }
}

/// The payload of the next frame; servers do not mask.
async fn next(reader: &mut BufReader<TcpStream>, message: &mut Vec<u8>) -> std::io::Result<()> {
    reader.read_u8().await?;
    let length = match reader.read_u8().await? {
        126 => u64::from(reader.read_u16().await?),
        127 => reader.read_u64().await?,
        short => u64::from(short),
    };
    message.resize(usize::try_from(length).expect("it fits into memory"), 0);
    reader.read_exact(message).await.map(|_| ())
}
