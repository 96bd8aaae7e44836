//! The HTTP output: every route, what it answers in every state, and nothing that waits for a gateway.

mod about_gateway;
mod access;
mod api;
mod assets;
mod backups;
mod battery_health;
mod bodies;
mod broker;
mod cloud_control;
mod compatibility;
mod compression;
mod control;
mod docs;
mod fleet;
mod fleet_journal;
mod form;
mod front;
mod health;
mod history;
mod holder;
mod ingress;
mod journal;
mod legacy_control;
mod openapi;
mod ordering;
mod orders;
mod owners;
mod patience;
mod pictures;
mod plumbing;
mod route;
mod routes;
mod schemas;
mod scrape;
mod several;
mod shape;
mod sites;
mod stats;
mod table;
mod tables;
mod tesla;
mod timeseries;
mod without_data;

use std::sync::{Arc, OnceLock};

use actix_web::HttpRequest;
use actix_web::web::{self, Data, ServiceConfig};
use arc_swap::ArcSwap;
use bytes::Bytes;
use futures_util::future::{LocalBoxFuture, ready};
use log::warn;
use serde_json::{Map, Value};
use tokio::time::Instant;

use crate::board::Board;
use crate::client::{Client, TrustedProxies};
use crate::clock::unix_time;
use crate::connections::{Connections, Limits};
use crate::control::Control;
use crate::directory::Directory;
use crate::frames::Frames;
use crate::limiter::Limiter;
use crate::link::broker::reports::Reports;
use crate::link::broker::standing::Standings;
use crate::link::tesla::Accounts;
use crate::model::BrokerStatus;
use crate::output::{Output, Routes, Surroundings};
use crate::settings::{Access, DemoClock, HttpSettings, MqttSettings, PollingSettings, Settings};
use crate::store::history::History;
use crate::store::journal::Journal;
use assets::Assets;
use compression::Compressor;
use pictures::Pictures;
use stats::Counters;
use table::Table;

pub use compatibility::page as compatibility;
pub use front::front;

/// What every handler may look at. Shared by all workers; holds no state of any request.
pub struct State {
    pub directory: Arc<Directory>,
    pub frames: Arc<Frames>,
    pub http: HttpSettings,
    /// Replaced when the settings are read again.
    pub polling: ArcSwap<PollingSettings>,
    /// The settings in the form of the servers before. Replaced as well.
    pub configured: ArcSwap<Map<String, Value>>,
    /// The state of the connection to the MQTT broker; written by the output that keeps it.
    pub mqtt: Arc<Board<BrokerStatus>>,
    /// What Tesla's cloud was asked.
    pub accounts: Accounts,
    /// What other instances of this program report.
    pub reports: Reports,
    /// How this program stands with the broker of a fleet.
    pub standings: Standings,
    /// Who may do what.
    pub control: Arc<Control>,
    /// What is counted of the connections that requests come over.
    pub connections: Arc<Connections>,
    /// What the gateways reported.
    pub history: History,
    /// Every site of a fleet, as it was a moment ago.
    sites: Arc<sites::Known>,
    /// What is in its file, counted a minute ago at most.
    counted: timeseries::Counted,
    /// For the uptime.
    started: Instant,
    /// Unix seconds, for people.
    started_at: f64,
    counters: Counters,
    table: Table,
    /// The pages and what they are made of.
    assets: Assets,
    /// Pictures for displays that run no browser.
    #[cfg_attr(not(feature = "pictures"), expect(dead_code))]
    pictures: Pictures,
    /// How time runs at simulated sites.
    #[cfg_attr(not(feature = "pictures"), expect(dead_code))]
    demo: Option<DemoClock>,
    /// `None`: everybody may ask as much as they like.
    limiter: Option<Limiter>,
    compressor: Compressor,
    /// `/openapi.json`, made when it is first wanted.
    openapi: OnceLock<Bytes>,
}

impl State {
    pub fn new(
        directory: Arc<Directory>,
        frames: Arc<Frames>,
        http: HttpSettings,
        polling: PollingSettings,
    ) -> Self {
        let started_at = unix_time();
        frames.put_zeros(polling.adjustments.legacy_zeros);
        Self {
            directory,
            frames,
            limiter: http.rate_limit.map(Limiter::new),
            compressor: Compressor::default(),
            openapi: OnceLock::new(),
            assets: Assets::new(&http),
            pictures: Pictures::default(),
            demo: None,
            http,
            polling: ArcSwap::from_pointee(polling),
            configured: ArcSwap::default(),
            mqtt: Arc::new(Board::new(MqttSettings::default().initial_status())),
            accounts: Accounts::default(),
            reports: Reports::default(),
            standings: Standings::default(),
            control: Arc::new(Control::new(Access::default(), Journal::in_memory())),
            connections: Arc::new(Connections::new(Limits::default(), TrustedProxies::default(), None)),
            history: History::off(),
            sites: Arc::default(),
            counted: timeseries::Counted::default(),
            started: Instant::now(),
            started_at,
            counters: Counters::new(started_at),
            table: Table::default(),
        }
    }

    /// Who asks.
    fn client(&self, request: &HttpRequest) -> Client {
        Client::of(request, &self.http.trusted_proxies)
    }
}

/// The output: the routes and what they look at.
struct Web {
    state: Data<State>,
}

/// Starts the output.
pub fn start(settings: &Settings, surroundings: &Surroundings) -> Box<dyn Output> {
    let (directory, frames) = (surroundings.directory.clone(), surroundings.frames.clone());
    let state = State::new(directory, frames, settings.http.clone(), settings.polling.clone());
    state.configured.store(Arc::new(settings.as_before.clone()));
    let state = State {
        mqtt: surroundings.broker.clone(),
        control: surroundings.control.clone(),
        accounts: surroundings.accounts.clone(),
        reports: surroundings.reports.clone(),
        standings: surroundings.standings.clone(),
        connections: surroundings.connections.clone(),
        history: surroundings.history.clone(),
        demo: settings.demo,
        ..state
    };
    Box::new(Web { state: Data::new(state) })
}

impl Output for Web {
    fn routes(&self) -> Option<Routes> {
        let state = self.state.clone();
        Some(Arc::new(move |config| {
            config.app_data(state.clone());
            configure(config, &state.http.base_path);
        }))
    }

    fn apply<'a>(&'a self, settings: &'a Settings) -> LocalBoxFuture<'a, ()> {
        if settings.http != self.state.http {
            warn!(event = "configuration"; "address, port, base path and origins change with the next start \
                only");
        }
        self.state.configured.store(Arc::new(settings.as_before.clone()));
        self.state.frames.put_zeros(settings.polling.adjustments.legacy_zeros);
        self.state.polling.store(Arc::new(settings.polling.clone()));
        Box::pin(ready(()))
    }
}

/// Registers the routes that [`front`] does not answer itself, below the root and below the base path if
/// there is one. Needs [`State`] as app data.
pub fn configure(config: &mut ServiceConfig, base_path: &str) {
    if !base_path.is_empty() {
        // Links in the page are relative: they need the slash.
        config.service(web::redirect(base_path.to_owned(), format!("{base_path}/")));
        config.service(web::scope(base_path).configure(routes));
    }
    routes(config);
    config.default_service(web::to(|| async { plumbing::not_found() }));
}

fn routes(config: &mut ServiceConfig) {
    health::routes(config);
    api::routes(config);
    assets::routes(config);
    control::routes(config);
    several::routes(config);
    journal::routes(config);
    fleet_journal::routes(config);
    legacy_control::routes(config);
}
