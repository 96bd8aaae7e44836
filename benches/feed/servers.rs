//! The two servers that are compared: the live feed, and sockets that are written to and nothing else. Both
//! send one change for every line they read.

use std::io::BufRead;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_web::App;
use actix_web::web::Data;
use bytes::Bytes;
use powerwall_server::app::listen;
use powerwall_server::board::Board;
use powerwall_server::client::TrustedProxies;
use powerwall_server::connections::{Connections, Limits};
use powerwall_server::directory::Directory;
use powerwall_server::frames::Frames;
use powerwall_server::live::feed::Feed;
use powerwall_server::live::sessions::Sessions;
use powerwall_server::live::{self, Live};
use powerwall_server::model::Aggregate;
use powerwall_server::settings::AllowedOrigins;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::broadcast;

pub const FEED: &str = "feed";
pub const BARE: &str = "bare-sockets";

/// As the service has.
const WORKERS: usize = 2;
const STALL_LIMIT: Duration = Duration::from_secs(30);
const FILES: u64 = 10_000;

/// Serves as `role` until it is killed; prints its address as the service does. Changes have so many bytes.
pub fn serve(role: &str, file: &str) {
    let size: usize =
        std::fs::read_to_string(file).ok().and_then(|size| size.parse().ok()).expect("a number of bytes");
    rlimit::increase_nofile_limit(FILES).expect("the limit of open files can be raised");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback port is free");
    println!("it listens on {} and does nothing else", listener.local_addr().expect("it listens"));
    match role {
        FEED => feed(listener, size),
        _ => bare(listener, size),
    }
}

/// Calls `publish` with a new number for every line of the standard input, on a thread of its own.
fn for_every_line(mut publish: impl FnMut(u64) + Send + 'static) {
    std::thread::spawn(move || {
        for (number, _) in (1..).zip(std::io::stdin().lock().lines()) {
            publish(number);
        }
    });
}

/// A value of so many bytes that differs from the one before.
fn value(number: u64, size: usize) -> String {
    format!("\"{number:0>size$}\"")
}

fn feed(listener: TcpListener, size: usize) {
    let directory = Arc::new(Directory::new(Vec::new(), Arc::new(Board::new(Aggregate::default()))));
    let feed = Arc::new(Feed::new(1));
    let sessions = Arc::new(Sessions::new(STALL_LIMIT));
    let live = Data::new(Live {
        directory: directory.clone(),
        frames: Arc::new(Frames::new(directory)),
        origins: AllowedOrigins::Any,
        sessions: sessions.clone(),
        feed: feed.clone(),
    });
    let publish = move |number| {
        feed.publish(vec![("gateway/home/power".into(), value(number, size).into())]);
    };
    publish(0);
    for_every_line(publish);
    let app = move || App::new().app_data(live.clone()).configure(|config| live::configure(config, ""));
    let connections = Arc::new(Connections::new(Limits::default(), TrustedProxies::default(), None));
    actix_web::rt::System::new().block_on(async {
        actix_web::rt::spawn(sessions.watch());
        actix_web::rt::spawn(connections.clone().watch());
        let server = listen::serve(app, listener, None, connections).expect("threads can be started");
        server.await.expect("it serves");
    });
}

/// A WebSocket frame of text, as the feed sends it.
fn framed(number: u64, size: usize) -> Bytes {
    let value = value(number, size);
    let text = format!(
        concat!(
            r#"{{"type":"change","seq":{},"at":1795000000.123,"#,
            r#""set":{{"gateway/home/power":{}}},"gone":[]}}"#,
        ),
        number, value,
    );
    let mut frame = vec![0x81];
    match u16::try_from(text.len()) {
        Ok(short @ ..126) => frame.push(short as u8),
        Ok(length) => {
            frame.push(126);
            frame.extend(length.to_be_bytes());
        }
        Err(_) => {
            frame.push(127);
            frame.extend((text.len() as u64).to_be_bytes());
        }
    }
    frame.extend(text.as_bytes());
    frame.into()
}

fn bare(listener: TcpListener, size: usize) {
    let (changes, _) = broadcast::channel(16);
    let publisher = changes.clone();
    for_every_line(move |number| {
        let _ = publisher.send(framed(number, size));
    });
    let workers = (0..WORKERS).map(|_| {
        let (listener, changes) = (listener.try_clone().expect("files are left"), changes.clone());
        std::thread::spawn(move || bare_worker(listener, changes))
    });
    for worker in workers.collect::<Vec<_>>() {
        worker.join().expect("it serves until it is killed");
    }
}

fn bare_worker(listener: TcpListener, changes: broadcast::Sender<Bytes>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        listener.set_nonblocking(true).expect("a socket can be set so");
        let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
        loop {
            let (client, _) = listener.accept().await.expect("files are left");
            tokio::spawn(bare_client(client, changes.subscribe()));
        }
    });
}

async fn bare_client(mut client: TcpStream, mut changes: broadcast::Receiver<Bytes>) {
    let mut head = [0; 1024];
    let _ = client.set_nodelay(true);
    if client.read(&mut head).await.is_err() {
        return;
    }
    let switch = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
    if client.write_all(switch.as_bytes()).await.is_err() {
        return;
    }
    while let Ok(change) = changes.recv().await {
        if client.write_all(&change).await.is_err() {
            return;
        }
    }
}
