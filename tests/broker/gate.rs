//! The way between a site and its server, which can be cut.

use std::net::SocketAddr;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// Takes connections and, while it is open, passes them on. Ends with the test.
pub struct Gate {
    pub addr: SocketAddr,
    is_open: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Gate {
    /// An open one before the server on `port`.
    pub async fn before(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let is_open = watch::Sender::new(true);
        let opened = is_open.subscribe();
        let task = tokio::spawn(async move {
            let mut passing = JoinSet::new();
            while let Ok((near, _)) = listener.accept().await {
                let mut opened = opened.clone();
                passing.spawn(async move { pass(near, port, &mut opened).await });
            }
        });
        Self { addr, is_open, task }
    }

    pub fn url(&self) -> String {
        format!("nats://{}", self.addr)
    }

    /// Ends every connection, and each that comes.
    pub fn cut(&self) {
        self.is_open.send_replace(false);
    }

    pub fn open(&self) {
        self.is_open.send_replace(true);
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn pass(mut near: TcpStream, port: u16, opened: &mut watch::Receiver<bool>) {
    if !*opened.borrow_and_update() {
        return;
    }
    let Ok(mut far) = TcpStream::connect(("127.0.0.1", port)).await else { return };
    tokio::select! {
        _ = copy_bidirectional(&mut near, &mut far) => {}
        _ = opened.changed() => {}
    }
}
