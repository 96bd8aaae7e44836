//! What several test programs need: data of a simulated gateway, and services made of it.
#![allow(dead_code, reason = "every test program uses its own part")]

pub mod raw;
pub mod recorded;
pub mod sockets;
pub mod tools;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_web::App;
use actix_web::http::Method;
use actix_web::web::Data;
use bytes::Bytes;
use powerwall_server::app::listen;
use powerwall_server::board::Board;
use powerwall_server::client::TrustedProxies;
use powerwall_server::connections::{Connections, Limits};
use powerwall_server::control::Control;
use powerwall_server::directory::{Directory, Entry};
use powerwall_server::frames::Frames;
use powerwall_server::link::{Link, connect_lazily};
use powerwall_server::live::feed::{self, Feed};
use powerwall_server::live::sessions::Sessions;
use powerwall_server::live::{self, Live};
use powerwall_server::model::{
    Adjustments, Aggregate, ErrorNote, Freshness, GatewayFacts, LinkHealth, LinkKind, Reading, Snapshot,
    Telemetry, Ttl,
};
use powerwall_server::settings::{
    Access, AllowedOrigins, HttpSettings, Inputs, PollingSettings, Secret, Settings, Style,
};
use powerwall_server::simulator::{GatewayHandle, SiteKind, SiteOptions};
use powerwall_server::store::history::History;
use powerwall_server::store::journal::Journal;
use powerwall_server::web::{self, State};
use serde_json::Value;
use tokio::time::Instant;

/// What may give orders to [`Outputs::guarded`], and how a request says so.
pub const TOKEN: &str = "a long enough control secret";
pub const OWNER: [(&str, &str); 1] = [("authorization", "Bearer a long enough control secret")];
pub const SECOND: Duration = Duration::from_secs(1);

/// The settings that reach `gateways`, from variables as an operator would set them.
pub fn settings(gateways: &[&GatewayHandle], variables: &[(&str, &str)]) -> Settings {
    let list: serde_json::Value = gateways.iter().map(|gateway| gateway.settings()).collect();
    let mut environment = vec![
        ("PW_GATEWAYS".to_owned(), list.to_string()),
        ("PW_PORT".to_owned(), "0".to_owned()),
        ("PW_BIND_ADDRESS".to_owned(), "127.0.0.1".to_owned()),
    ];
    environment.extend(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    Settings::load(&Inputs { environment, flags: Vec::new() }).unwrap()
}

/// Everything a simulated gateway says, fetched over the wire.
pub async fn telemetry(kind: SiteKind) -> Arc<Telemetry> {
    let gateway = GatewayHandle::start(SiteOptions::new("home", "Home", kind)).await.unwrap();
    let settings = settings(&[&gateway], &[]);
    let mut link = connect_lazily(&settings.gateways[0]);
    everything(&mut *link).await
}

/// Polls once and then fetches everything that is due.
pub async fn everything(link: &mut dyn Link) -> Arc<Telemetry> {
    let mut source = link.poll().await.unwrap();
    loop {
        let refreshed = link.refresh().await;
        assert_eq!(refreshed.problem, None);
        source = refreshed.source.unwrap_or(source);
        if !refreshed.more {
            return Telemetry::new(source, Adjustments::default());
        }
    }
}

pub fn http() -> HttpSettings {
    HttpSettings {
        bind: [127, 0, 0, 1].into(),
        port: 0,
        base_path: String::new(),
        origins: AllowedOrigins::Listed(Vec::new()),
        hosts: None,
        browser_cache: Duration::ZERO,
        style: Style::default(),
        frame_ancestors: "*".into(),
        rate_limit: None,
        trusted_proxies: TrustedProxies::default(),
        ingress: TrustedProxies::default(),
        connections_per_address: 256,
        live_per_address: usize::MAX,
        tls: None,
    }
}

pub fn polling() -> PollingSettings {
    PollingSettings {
        interval: 5 * SECOND,
        cache_ttl: 30 * SECOND,
        graceful_degradation: true,
        adjustments: Adjustments::default(),
        islanding_cooldown: 30 * SECOND,
        memory: None,
    }
}

pub fn ttl() -> Ttl {
    polling().ttl(5 * SECOND, 5 * SECOND)
}

/// A gateway in a state that a test wants to see.
pub fn snapshot(id: &str, telemetry: &Arc<Telemetry>, freshness: Freshness) -> Snapshot {
    let facts = GatewayFacts {
        id: id.into(),
        name: id.to_uppercase(),
        host: Some("192.168.91.1".into()),
        links: vec![LinkKind::Tedapi],
        ..GatewayFacts::default()
    };
    let mut snapshot = Snapshot { sequence: 1, ..Snapshot::initial(Arc::new(facts), ttl()) };
    let age = match freshness {
        Freshness::Live => Some(0),
        Freshness::Stale => Some(20),
        Freshness::Expired => Some(31),
        Freshness::Never => None,
    };
    snapshot.reading = age.map(|age| Reading {
        telemetry: telemetry.clone(),
        taken: Instant::now() - age * SECOND,
        taken_at: 1_795_000_000.0,
    });
    snapshot.health.links = vec![LinkHealth {
        kind: LinkKind::Tedapi,
        in_use: true,
        why: "the only way that is configured".into(),
        last_success: snapshot.reading.as_ref().map(|reading| reading.taken),
        last_error: None,
        failures: 0,
        next_try: None,
    }];
    snapshot.health.polls = 3;
    if freshness != Freshness::Live {
        snapshot.health.consecutive_failures = 2;
        snapshot.health.failures = 2;
        let message = "the gateway did not answer within 5 s".into();
        snapshot.health.last_error = Some(ErrorNote { kind: "timeout", message });
    }
    assert_eq!(snapshot.freshness(Instant::now()), freshness);
    snapshot
}

/// The gateway after everything that is counted has happened to it.
pub fn experienced(mut snapshot: Snapshot) -> Snapshot {
    let now = Instant::now();
    let freshness = snapshot.freshness(now);
    let health = &mut snapshot.health;
    health.poll_times.record(Duration::from_millis(80));
    health.poll_times.record(5 * SECOND);
    health.failures_by_kind.record("timeout");
    health.failures_by_kind.record("timeout");
    health.latency = Some(Duration::from_millis(80));
    health.last_attempt = Some(now);
    health.next_attempt = Some(now + 4 * SECOND);
    if freshness != Freshness::Live {
        health.failing_since = Some(now - 7 * SECOND);
        health.cooldown_until = Some(now + 250 * SECOND);
    }
    let last_success = (freshness != Freshness::Never).then_some(now);
    let last_error = health.last_error.clone();
    health.links = vec![LinkHealth {
        kind: LinkKind::Tedapi,
        in_use: true,
        why: "the only way that is configured".into(),
        last_success,
        last_error,
        failures: 0,
        next_try: None,
    }];
    snapshot
}

/// The directory of gateways that stand still.
pub fn directory(snapshots: Vec<Snapshot>) -> Arc<Directory> {
    let sum = {
        let snapshots: Vec<_> = snapshots.iter().cloned().map(Arc::new).collect();
        Aggregate::of(&snapshots, Instant::now())
    };
    let entry = |snapshot: Snapshot| {
        Arc::new(Entry::new(snapshot.gateway.id.clone(), Arc::new(Board::new(snapshot))))
    };
    Arc::new(Directory::new(snapshots.into_iter().map(entry).collect(), Arc::new(Board::new(sum))))
}

/// The outputs of `directory`, over a real socket. They end with the test.
pub struct Outputs {
    pub addr: SocketAddr,
    pub sessions: Arc<Sessions>,
    pub directory: Arc<Directory>,
    pub feed: Arc<Feed>,
}

impl Outputs {
    pub fn of(snapshots: Vec<Snapshot>) -> Self {
        Self::with(snapshots, http(), 30 * SECOND)
    }

    /// Outputs that take orders from who has the token.
    pub fn guarded(snapshots: Vec<Snapshot>) -> Self {
        Self::accessed(snapshots, http(), Access::owned_by(Secret::new(TOKEN)))
    }

    /// Outputs for who has one of the tokens.
    pub fn accessed(snapshots: Vec<Snapshot>, http: HttpSettings, access: Access) -> Self {
        Self::start(snapshots, http, polling(), access, Limits::default())
    }

    pub fn with(snapshots: Vec<Snapshot>, http: HttpSettings, stall_limit: Duration) -> Self {
        Self::limited(snapshots, http, Limits { stall: stall_limit, ..Limits::default() })
    }

    pub fn limited(snapshots: Vec<Snapshot>, http: HttpSettings, limits: Limits) -> Self {
        Self::start(snapshots, http, polling(), Access::default(), limits)
    }

    pub fn polled_with(snapshots: Vec<Snapshot>, adjustments: Adjustments) -> Self {
        let polling = PollingSettings { adjustments, ..polling() };
        Self::start(snapshots, http(), polling, Access::default(), Limits::default())
    }

    /// Outputs that show what is in `history`.
    pub fn recorded(snapshots: Vec<Snapshot>, history: History) -> Self {
        Self::serve(snapshots, http(), polling(), Access::default(), Limits::default(), history)
    }

    fn start(
        snapshots: Vec<Snapshot>,
        http: HttpSettings,
        polling: PollingSettings,
        access: Access,
        limits: Limits,
    ) -> Self {
        Self::serve(snapshots, http, polling, access, limits, History::off())
    }

    fn serve(
        snapshots: Vec<Snapshot>,
        http: HttpSettings,
        polling: PollingSettings,
        access: Access,
        limits: Limits,
        history: History,
    ) -> Self {
        let directory = directory(snapshots);
        let trusted = http.trusted_proxies.clone();
        let frames = Arc::new(Frames::new(directory.clone()));
        let sessions = Arc::new(Sessions::new(limits.stall));
        let feed = Arc::new(Feed::new(1));
        let mut state = State::new(directory.clone(), frames.clone(), http.clone(), polling);
        let connections = Arc::new(Connections::new(limits, trusted, None));
        state.connections = connections.clone();
        state.history = history;
        state.control = Arc::new(Control::new(access, Journal::in_memory()));
        let state = Data::new(state);
        let live = Data::new(Live {
            directory: directory.clone(),
            frames,
            origins: http.origins.clone(),
            sessions: sessions.clone(),
            feed: feed.clone(),
        });
        drop(feed::keep(feed.clone(), directory.clone(), 1));
        let app = move || {
            App::new()
                .app_data(state.clone())
                .app_data(live.clone())
                .wrap_fn(web::front)
                .configure(|config| live::configure(config, &http.base_path))
                .configure(|config| web::configure(config, &http.base_path))
        };
        actix_web::rt::spawn(connections.clone().watch());
        let listener = listen::bind(([127, 0, 0, 1], 0).into()).unwrap();
        let addr = listener.local_addr().unwrap();
        actix_web::rt::spawn(listen::serve(app, listener, None, connections).unwrap());
        Self { addr, sessions, directory, feed }
    }

    pub async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = client().request(method, format!("http://{}{path}", self.addr));
        for (name, value) in headers {
            request = request.insert_header((*name, *value));
        }
        let mut response = request.send().await.unwrap();
        let headers = response.headers().iter();
        let headers = headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
        Answer {
            status: response.status().as_u16(),
            headers: headers.collect(),
            body: response.body().limit(16 << 20).await.unwrap(),
        }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[]).await
    }

    /// The JSON body of a good answer.
    pub async fn json(&self, path: &str) -> Value {
        let answer = self.get(path).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")), "{path}");
        serde_json::from_slice(&answer.body).unwrap()
    }
}

pub struct Answer {
    pub status: u16,
    headers: HashMap<String, String>,
    pub body: Bytes,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

/// Follows nothing.
fn client() -> awc::Client {
    awc::Client::builder().disable_redirects().finish()
}
