//! The HTTP face: every route, what it answers in every state, and nothing that waits for a gateway.

mod about_gateway;
mod api;
mod assets;
mod bodies;
mod compatibility;
mod compression;
mod docs;
mod front;
mod health;
mod limiter;
mod openapi;
mod orders;
mod plumbing;
mod routes;
mod scrape;
mod stats;
mod table;
mod token;

use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::web::{self, ServiceConfig};
use arc_swap::ArcSwap;
use tokio::time::Instant;

use crate::board::Board;
use crate::client::Client;
use crate::clock::unix_time;
use crate::frames::Frames;
use crate::model::BrokerStatus;
use crate::settings::{HttpSettings, MqttSettings, PollingSettings};
use crate::supervisor::Directory;
use assets::Assets;
use compression::Compressor;
use limiter::Limiter;
use stats::Counters;
use table::Table;
use token::Token;

pub use compatibility::page as compatibility;
pub use front::front;

/// What every handler may look at. Shared by all workers; holds no state of any request.
pub struct State {
    pub directory: Arc<Directory>,
    pub frames: Arc<Frames>,
    pub http: HttpSettings,
    /// Replaced when the settings are read again.
    pub polling: ArcSwap<PollingSettings>,
    /// How the connection to the MQTT broker does; written by whoever keeps it.
    pub mqtt: Arc<Board<BrokerStatus>>,
    /// For the uptime.
    started: Instant,
    /// Unix seconds, for people.
    started_at: f64,
    counters: Counters,
    table: Table,
    /// The pages and what they are made of.
    assets: Assets,
    /// `None`: everybody may ask as much as they like.
    limiter: Option<Limiter>,
    token: Token,
    compressor: Compressor,
}

impl State {
    pub fn new(
        directory: Arc<Directory>,
        frames: Arc<Frames>,
        http: HttpSettings,
        polling: PollingSettings,
    ) -> Self {
        let started_at = unix_time();
        Self {
            directory,
            frames,
            limiter: http.rate_limit.map(Limiter::new),
            token: Token::new(http.control_secret.clone()),
            compressor: Compressor::default(),
            assets: Assets::new(&http),
            http,
            polling: ArcSwap::from_pointee(polling),
            mqtt: Arc::new(Board::new(MqttSettings::default().initial_status())),
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

/// Registers the routes that [`front`] does not answer itself, below the root and below the base path if there is one. Needs [`State`] as app data.
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
}
