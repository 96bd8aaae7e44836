//! Wires the rooms together, and takes them apart in order when the program is told to stop.

pub mod commands;
pub mod listen;
mod logging;
mod repeats;
mod signals;
pub mod tls;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use actix_web::App;
use actix_web::dev::ServerHandle;
use actix_web::web::Data;
use log::{info, warn};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::board::Board;
use crate::connections::{Connections, Limits, default_gateway};
use crate::frames::Frames;
use crate::link::connect_with;
use crate::link::memory::Memories;
use crate::live::feed::{self, Feed};
use crate::live::sessions::Sessions;
use crate::live::{self, Live};
use crate::model::Aggregate;
use crate::mqtt::Mqtt;
use crate::settings::{HttpSettings, Settings};
use crate::supervisor::{Configure, Directory, LinkFactory, Supervisor};
use crate::web::{self, State};

/// Two serve a house, and a small computer keeps its other cores.
const WORKERS: usize = 2;
/// Files that the program needs for itself beside one for each gateway: its log, its memory, what libraries open.
const OWN_FILES: usize = 128;
/// What is being answered when the program is told to stop may take this long, in seconds.
const DRAIN_SECONDS: u64 = 2;
/// Then connections are cut; this is for the server to notice.
const CUT_DEADLINE: Duration = Duration::from_secs(1);

/// Why the service cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(
        "cannot listen on {address}: {source}; set PW_PORT and PW_BIND_ADDRESS to something free on this machine"
    )]
    Listen { address: SocketAddr, source: io::Error },
    #[error(transparent)]
    Tls(#[from] tls::TlsError),
    #[error("cannot start: {0}")]
    System(#[from] io::Error),
}

/// The running service: every gateway watched, every face answering.
pub struct Service {
    /// Where it listens; with port 0 in the settings, this is the one that the system chose.
    pub addr: SocketAddr,
    http: HttpSettings,
    state: Data<State>,
    live: Data<Live>,
    supervisor: Addr<Supervisor>,
    mqtt: Mqtt,
    /// The thread of all actors of gateways.
    gateways: Arbiter,
    server: ServerHandle,
    serving: JoinHandle<io::Result<()>>,
    /// Cut what is stuck: sessions, and connections whatever they carry.
    watching: [JoinHandle<()>; 2],
    feeding: JoinHandle<()>,
}

impl Service {
    /// Listens first, so that the faces answer before the first gateway is asked. `seed` makes the pauses after
    /// failures differ between runs. Needs a running actix system.
    ///
    /// # Errors
    /// If the address cannot be listened on, or the system gives no threads.
    pub fn start(settings: &Settings, seed: u64) -> Result<Self, StartError> {
        // To raise it to nothing is to ask; not every system answers.
        let files = rlimit::increase_nofile_limit(0).ok().filter(|files| *files > 0);
        let files = files.map_or(usize::MAX, |files| usize::try_from(files).unwrap_or(usize::MAX));
        let own = OWN_FILES + 2 * settings.gateways.len();
        let per_client = settings.http.connections_per_address;
        Self::start_with(settings, seed, Limits { per_client, ..Limits::default() }.within(files, own))
    }

    /// As [`Service::start`], with other limits for clients.
    ///
    /// # Errors
    /// As [`Service::start`].
    pub fn start_with(settings: &Settings, seed: u64, limits: Limits) -> Result<Self, StartError> {
        let http = settings.http.clone();
        let tls = http.tls.as_ref().map(tls::server_config).transpose()?;
        let address = SocketAddr::new(http.bind, http.port);
        let listener = listen::bind(address).map_err(|source| StartError::Listen { address, source })?;
        let addr = listener.local_addr()?;

        let directory = Arc::new(Directory::new(Vec::new(), Arc::new(Board::new(Aggregate::default()))));
        let frames = Arc::new(Frames::new(directory.clone()));
        let sessions = Arc::new(Sessions::new(limits.stall));
        let state =
            Data::new(State::new(directory.clone(), frames.clone(), http.clone(), settings.polling.clone()));
        let live = Data::new(Live {
            directory: directory.clone(),
            frames,
            origins: http.origins.clone(),
            sessions: sessions.clone(),
            feed: Arc::new(Feed::new(seed)),
        });

        let (shared, connected, base_path) = (state.clone(), live.clone(), http.base_path.clone());
        let app = move || {
            App::new()
                .app_data(shared.clone())
                .app_data(connected.clone())
                .wrap_fn(web::front)
                .configure(|config| live::configure(config, &base_path))
                .configure(|config| web::configure(config, &base_path))
        };
        let trusted = http.trusted_proxies.clone();
        let connections = Arc::new(Connections::new(limits, trusted, default_gateway()));
        let server = listen::serve(app, listener, tls, connections.clone())?;

        let gateways = Arbiter::new();
        let mqtt = Mqtt::start(settings.mqtt.clone(), directory.clone(), state.mqtt.clone(), seed);
        let (configured, polling) = (settings.gateways.clone(), settings.polling.clone());
        let feeding = actix::spawn(feed::keep(live.feed.clone(), directory.clone()));
        let memories = Memories::default();
        let connect: LinkFactory = Arc::new(move |gateway| connect_with(gateway, &memories));
        let supervisor = Supervisor::start_in_arbiter(&gateways.handle(), move |_| {
            Supervisor::new(configured, polling, directory, connect, seed)
        });
        Ok(Self {
            addr,
            http,
            state,
            supervisor,
            mqtt,
            gateways,
            server: server.handle(),
            serving: actix::spawn(server),
            watching: [actix::spawn(sessions.watch()), actix::spawn(connections.watch())],
            feeding,
            live,
        })
    }

    /// Applies changed settings, as far as they can change while the service runs.
    pub async fn apply(&self, settings: Settings) {
        if settings.http != self.http {
            warn!(event = "configuration"; "address, port, base path and origins change with the next start only");
        }
        self.state.polling.store(Arc::new(settings.polling.clone()));
        let change = Configure(settings.gateways, settings.polling);
        if self.supervisor.send(change).await.is_err() {
            warn!(event = "configuration"; "the changed settings did not arrive; restart the service");
        }
        self.mqtt.apply(settings.mqtt).await;
    }

    /// Whether somebody looks after the gateways. Without, the program had better be started again.
    pub fn is_supervised(&self) -> bool {
        self.supervisor.connected()
    }

    /// Starts again what can be without harm to anything else. To be called every second or so.
    pub fn look_after(&self) {
        self.mqtt.look_after();
    }

    /// Takes no new connections, says goodbye to the MQTT broker and to live clients (WebSockets with 1001), finishes
    /// what is being answered, and stops asking gateways. Takes three seconds at most.
    pub async fn stop(self) {
        info!(event = "stopping"; "stopping");
        self.live.close();
        tokio::join!(self.stop_serving(), self.mqtt.stop());
        self.gateways.stop();
        self.watching.iter().for_each(JoinHandle::abort);
        self.feeding.abort();
        self.serving.abort();
    }

    async fn stop_serving(&self) {
        let drained = Duration::from_secs(DRAIN_SECONDS);
        if timeout(drained, self.server.stop(true)).await.is_err() {
            self.live.sessions.cut_all();
            let _ = timeout(CUT_DEADLINE, self.server.stop(false)).await;
        }
    }
}
