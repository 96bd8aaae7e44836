//! A TCP shim between the service and a gateway that does to connections what bad networks do.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

/// What is done to every byte that passes from now on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Toxic {
    None,
    /// What the gateway sends comes late, by `mean` ± `jitter`.
    Latency {
        mean: Duration,
        jitter: Duration,
    },
    /// Bytes per second, both ways.
    Bandwidth(u64),
    /// One byte at a time, both ways.
    Slices,
    /// Takes connections and lets nothing through.
    Silence,
    /// Ends each connection in order after this many bytes from the gateway: in the middle of the handshake,
    /// if few.
    CutAfter(u64),
    /// Resets each connection after this many bytes from the gateway.
    ResetAfter(u64),
    /// Ends the connection after this many bytes from the gateway, by a reset or (after an odd number) in
    /// order; resets each one after it as soon as it stands.
    BreakAfter(u64),
    /// The same for bytes from the service.
    BreakAfterSent(u64),
}

/// What has passed.
#[derive(Debug, Default)]
pub struct Stats {
    pub connections: AtomicU64,
    /// Bytes that the service got.
    pub received: AtomicU64,
    /// Bytes that the gateway got.
    pub sent: AtomicU64,
}

impl Stats {
    pub fn get(&self) -> (u64, u64, u64) {
        let get = |value: &AtomicU64| value.load(Ordering::SeqCst);
        (get(&self.connections), get(&self.received), get(&self.sent))
    }
}

/// Stands between the service and one gateway; ends with all its connections when it is dropped.
pub struct Proxy {
    pub addr: SocketAddr,
    pub stats: Arc<Stats>,
    toxic: watch::Sender<Toxic>,
    _tasks: JoinSet<()>,
}

#[derive(Clone, Copy, PartialEq)]
enum Way {
    /// From the gateway.
    Down,
    /// From the service.
    Up,
}

impl Proxy {
    pub async fn before(gateway: SocketAddr, toxic: Toxic, seed: u64) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (toxic, current) = watch::channel(toxic);
        let stats = Arc::new(Stats::default());
        let mut tasks = JoinSet::new();
        let counted = stats.clone();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            let mut rng = StdRng::seed_from_u64(seed);
            while let Ok((client, _)) = listener.accept().await {
                counted.connections.fetch_add(1, Ordering::SeqCst);
                let (stats, toxic, seed) = (counted.clone(), current.clone(), rng.random());
                connections.spawn(async move { connection(client, gateway, &stats, toxic, seed).await });
                while connections.try_join_next().is_some() {}
            }
        });
        Self { addr, stats, toxic, _tasks: tasks }
    }

    /// From now on, also for connections that stand.
    pub fn set(&self, toxic: Toxic) {
        self.toxic.send_replace(toxic);
    }
}

async fn connection(
    client: TcpStream,
    gateway: SocketAddr,
    stats: &Stats,
    toxic: watch::Receiver<Toxic>,
    seed: u64,
) {
    let breaks = matches!(*toxic.borrow(), Toxic::BreakAfter(_) | Toxic::BreakAfterSent(_));
    if breaks && stats.connections.load(Ordering::SeqCst) > 1 {
        let _ = socket2::SockRef::from(&client).set_linger(Some(Duration::ZERO));
        return;
    }
    let Ok(server) = TcpStream::connect(gateway).await else { return };
    let (Ok(()), Ok(())) = (client.set_nodelay(true), server.set_nodelay(true)) else { return };
    let raw = socket2::SockRef::from(&client).try_clone().unwrap();
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let end = tokio::select! {
        end = pump(Way::Down, from_server, to_client, &stats.received, toxic.clone(), seed) => end,
        end = pump(Way::Up, from_client, to_server, &stats.sent, toxic, seed + 1) => end,
    };
    if end == End::Reset {
        let _ = raw.set_linger(Some(Duration::ZERO));
    }
}

#[derive(PartialEq)]
enum End {
    InOrder,
    Reset,
}

/// Passes bytes on until either side ends or the toxic does.
async fn pump(
    way: Way,
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    passed: &AtomicU64,
    mut toxic: watch::Receiver<Toxic>,
    seed: u64,
) -> End {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut here = 0_u64;
    let mut buffer = vec![0; 16 << 10];
    loop {
        let limit = match (*toxic.borrow(), way) {
            (Toxic::CutAfter(limit) | Toxic::ResetAfter(limit) | Toxic::BreakAfter(limit), Way::Down) => {
                limit
            }
            (Toxic::BreakAfterSent(limit), Way::Up) => limit,
            _ => u64::MAX,
        };
        let cut = || match *toxic.borrow() {
            Toxic::CutAfter(_) => End::InOrder,
            Toxic::BreakAfter(limit) if limit % 2 == 1 => End::InOrder,
            _ => End::Reset,
        };
        if here >= limit {
            return cut();
        }
        let most = buffer.len().min(usize::try_from(limit - here).unwrap_or(usize::MAX));
        let Ok(length @ 1..) = from.read(&mut buffer[..most]).await else { return End::InOrder };
        let now = *toxic.borrow();
        let step = match now {
            Toxic::Latency { mean, jitter } if way == Way::Down => {
                let late = mean.as_secs_f64() + jitter.as_secs_f64() * rng.random_range(-1.0..1.0);
                sleep(Duration::from_secs_f64(late)).await;
                length
            }
            Toxic::Bandwidth(_) => 50,
            Toxic::Slices => 1,
            Toxic::Silence => {
                if toxic.wait_for(|toxic| *toxic != Toxic::Silence).await.is_err() {
                    return End::InOrder;
                }
                length
            }
            _ => length,
        };
        for slice in buffer[..length].chunks(step) {
            if to.write_all(slice).await.is_err() {
                return End::InOrder;
            }
            passed.fetch_add(slice.len() as u64, Ordering::SeqCst);
            here += slice.len() as u64;
            match now {
                Toxic::Bandwidth(rate) => {
                    sleep(Duration::from_secs_f64(slice.len() as f64 / rate as f64)).await
                }
                Toxic::Slices => tokio::task::yield_now().await,
                _ => {}
            }
        }
    }
}
