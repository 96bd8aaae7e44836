//! Wires the rooms together, and takes them apart in order when the program is asked to stop.

pub mod commands;
mod found;
pub mod listen;
mod logging;
mod lone;
mod ordering;
mod past;
mod reload;
mod repeats;
mod signals;
mod storage;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use actix_web::App;
use actix_web::dev::ServerHandle;
use futures_util::future::join_all;
use log::{info, warn};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::board::Board;
use crate::connections::{Connections, Limits, default_gateway};
use crate::control::Control;
use crate::directory::Directory;
use crate::frames::Frames;
use crate::gateway::order_log::JournalLog;
use crate::link::broker::standing::Standings;
use crate::link::connect_with;
use crate::link::memory::Memories;
use crate::link::tesla::Accounts;
use crate::model::Aggregate;
use crate::output::{Output, Start, Surroundings, renew};
use crate::settings::{LoggingSettings, Settings};
use crate::store::history::History;
use crate::store::journal::Journal;
use crate::supervisor::{Configure, LinkFactory, Supervisor};
use crate::tls::{TlsError, server_config};
use crate::{export, history, live, mqtt, notify, observer, web};
use found::Finding;
use lone::Lone;

/// Everything that shows or sends on what the boards hold. What answers requests is asked in this order.
const OUTPUTS: &[Start] = &[
    live::start,
    web::start,
    mqtt::start,
    observer::start,
    notify::start,
    history::start,
    export::start,
    #[cfg(feature = "broker")]
    crate::centre::start,
    #[cfg(feature = "broker")]
    crate::broker::start,
];

/// Two serve a house, and a small computer keeps its other cores.
const WORKERS: usize = 2;
/// Files that the program needs for itself beside one for each gateway: its log, its memory, what libraries
/// open.
const OWN_FILES: usize = 128;
/// What is being answered when the program is asked to stop may take this long, in seconds.
const DRAIN_SECONDS: u64 = 2;
/// Then connections are cut; this is for the server to notice.
const CUT_DEADLINE: Duration = Duration::from_secs(1);

/// Why the service cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(
        "cannot listen on {address}: {source}; set PW_PORT and PW_BIND_ADDRESS to something free on this \
         machine"
    )]
    Listen { address: SocketAddr, source: io::Error },
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(
        "another powerwall-server uses {0}; stop it, or give this one folders of its own with PW_AUTH_PATH \
         and PW_TIMESERIES_PATH"
    )]
    InUse(PathBuf),
    #[error("cannot start: {0}")]
    System(#[from] io::Error),
}

/// The running service: every gateway polled, every output running.
pub struct Service {
    /// Where it listens; with port 0 in the settings, this is the one that the system chose.
    pub addr: SocketAddr,
    /// What happened, kept over restarts.
    pub journal: Journal,
    /// What was recorded; the demo adds a past to it.
    pub history: History,
    /// What was asked of Tesla, which is written down at the end.
    accounts: Accounts,
    /// Who may do what; tokens can be given and taken back while the service runs.
    control: Arc<Control>,
    /// What the log was started with, which a reload cannot change.
    logging: LoggingSettings,
    outputs: Vec<Box<dyn Output>>,
    supervisor: Addr<Supervisor>,
    /// The thread of all actors of gateways.
    gateways: Arbiter,
    server: ServerHandle,
    serving: JoinHandle<io::Result<()>>,
    /// Cuts connections that take too long.
    watching: JoinHandle<()>,
    /// What gateways that others report are made of.
    broker: watch::Sender<Finding>,
    /// Has them supervised.
    finding: JoinHandle<()>,
    /// Keeps other services from the folders of this one.
    _lone: Lone,
}

impl Service {
    /// Listens first, so that requests are answered before the first gateway is asked. `seed` makes the
    /// pauses after failures differ between runs. Needs a running actix system.
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
        let certificate = settings.http.tls.as_ref();
        let tls = certificate.map(|files| server_config(&files.certificate, &files.key)).transpose()?;
        let address = SocketAddr::new(settings.http.bind, settings.http.port);
        let listener = listen::bind(address).map_err(|source| StartError::Listen { address, source })?;
        let addr = listener.local_addr()?;
        let lone = Lone::take(settings)?;

        let (journal, history) = storage::open(settings.store.as_deref(), &settings.history)?;
        storage::check(settings.polling.memory.clone());
        let directory = Arc::new(Directory::new(Vec::new(), Arc::new(Board::new(Aggregate::default()))));
        let memories = Memories::default();
        let accounts = memories.accounts.clone();
        let control = Arc::new(Control::new(settings.access.clone(), journal.clone()));
        let trusted = settings.http.trusted_proxies.clone();
        let connections = Arc::new(Connections::new(limits, trusted, default_gateway()));
        let surroundings = Surroundings {
            connections: connections.clone(),
            accounts: memories.accounts.clone(),
            reports: memories.reports.clone(),
            standings: Standings::default(),
            frames: Arc::new(Frames::new(directory.clone())),
            broker: Arc::new(Board::new(settings.mqtt.initial_status())),
            journal: journal.clone(),
            history: history.clone(),
            control: control.clone(),
            directory: directory.clone(),
            seed,
            stall_limit: limits.stall,
        };
        let outputs = OUTPUTS.iter().map(|start| start(settings, &surroundings)).collect::<Vec<_>>();
        let routes: Vec<_> = outputs.iter().filter_map(|output| output.routes()).collect();
        let app = move || {
            let app = App::new().wrap_fn(web::front);
            routes.iter().fold(app, |app, routes| app.configure(|config| routes(config)))
        };
        let server = listen::serve(app, listener, tls, connections.clone())?;

        let gateways = Arbiter::new();
        let (configured, polling) = (settings.gateways.clone(), settings.polling.clone());
        let order_log = Arc::new(JournalLog::new(journal.clone()));
        let reports = memories.reports.clone();
        let connect: LinkFactory = Arc::new(move |gateway| connect_with(gateway, &memories));
        let supervisor = Supervisor::start_in_arbiter(&gateways.handle(), move |_| {
            Supervisor::new(configured, polling, directory, connect, seed).with_order_log(order_log)
        });
        let (broker, broker_changes) = watch::channel(Finding::of(settings));
        let finding = actix::spawn(found::follow(reports, supervisor.clone(), broker_changes));
        Ok(Self {
            addr,
            journal,
            history,
            accounts,
            control,
            logging: settings.logging,
            outputs,
            supervisor,
            gateways,
            server: server.handle(),
            serving: actix::spawn(server),
            watching: actix::spawn(connections.watch()),
            broker,
            finding,
            _lone: lone,
        })
    }

    /// Applies changed settings, as far as they can change while the service runs.
    pub async fn apply(&self, settings: Settings) {
        if settings.logging != self.logging {
            warn!(event = "configuration"; "PW_DEBUG and PW_LOG_FORMAT take effect at the next start");
        }
        self.control.tokens.replace(settings.access.clone());
        let change = Configure(settings.gateways.clone(), settings.polling.clone());
        if self.supervisor.send(change).await.is_err() {
            warn!(event = "configuration"; "the changed settings did not arrive; restart the service");
        }
        renew(&self.broker, Finding::of(&settings));
        for output in &self.outputs {
            output.apply(&settings).await;
        }
    }

    /// Whether the gateways are supervised. If they are not, the program has to be started again.
    pub fn is_supervised(&self) -> bool {
        self.supervisor.connected()
    }

    /// Takes no new connections, stops all outputs (WebSockets are closed with 1001), finishes what is being
    /// answered, and stops asking gateways. Takes four seconds at most.
    pub async fn stop(self) {
        info!(event = "stopping"; "stopping");
        let outputs = join_all(self.outputs.iter().map(|output| output.stop()));
        tokio::join!(outputs, self.stop_serving());
        self.gateways.stop();
        self.watching.abort();
        self.finding.abort();
        self.serving.abort();
        if timeout(CUT_DEADLINE, storage::finish(&self.journal, &self.accounts)).await.is_err() {
            warn!(event = "stopping"; "the disk takes too long; the last changes may be lost");
        }
    }

    async fn stop_serving(&self) {
        let drained = Duration::from_secs(DRAIN_SECONDS);
        if timeout(drained, self.server.stop(true)).await.is_err() {
            self.outputs.iter().for_each(|output| output.cut());
            let _ = timeout(CUT_DEADLINE, self.server.stop(false)).await;
        }
    }
}
