//! The connection to NATS servers: who we are there, TLS, pauses, streams and bucket. Knows nothing of
//! gateways.

pub mod letters;
pub mod streams;
pub mod subjects;
pub mod trouble;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::connection::State;
use async_nats::jetstream::{self, Context};
use async_nats::{Client, ConnectOptions, Event};
use backoff::backoff::Backoff;
use log::{info, warn};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::pause::{Growth, Pause};
use crate::settings::BrokerSettings;
use crate::tls::{AuthorityError, PemError, authorities, certificates, checked_by, roots};
use subjects::Subjects;

/// From the first byte to the server's welcome.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// For one question to the server.
pub const REQUEST_LIMIT: Duration = Duration::from_secs(5);
/// A server that does not answer two of these is left.
const PING: Duration = Duration::from_secs(20);
/// Messages that wait to leave. Nothing is sent without a connection, so few do.
const MOST_SENT: usize = 256;
/// Messages of one subscription that wait to be read; more are dropped by the library, which says so.
const MOST_READ: usize = 16 << 10;
/// Until the next attempt to connect. Sites that lost the same server do not return together.
const RECONNECT: Growth = Growth::Steps(&[
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(10),
    Duration::from_secs(30),
]);
/// Below it, answers come to a centre; those to a site come below one of its own.
pub const CENTRE_INBOX: &str = "_INBOX";
/// What the seed of an NKey begins with.
const SEED: &str = "SU";

/// Why there can be no connection, whatever the servers say.
#[derive(Debug, thiserror::Error)]
pub enum NatsError {
    #[error("PW_BROKER_CREDENTIALS: {path:?} cannot be read: {source}")]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("PW_BROKER_CREDENTIALS: {0:?} has neither the credentials of a user nor the seed of an NKey")]
    Credentials(PathBuf),
    #[error("PW_BROKER_CA: {0}")]
    Pem(#[from] PemError),
    #[error("PW_BROKER_CA: {0}")]
    Authority(#[from] AuthorityError),
    #[error("PW_BROKER_URL: {0}")]
    Address(String),
}

/// A connection that is there, or is being made; it is renewed by itself.
#[derive(Clone)]
pub struct Broker {
    pub client: Client,
    /// For streams and the bucket.
    pub jetstream: Context,
    pub subjects: Subjects,
    /// For the log: without what may be secret.
    pub name: String,
    /// Whether it is there.
    state: watch::Receiver<bool>,
    /// What kept it from being made last.
    trouble: Arc<Mutex<Option<String>>>,
}

impl Broker {
    /// Begins to connect, and goes on until it is dropped. `inbox`: what answers come below.
    ///
    /// # Errors
    /// If the settings name a file that is not what it should be.
    pub async fn connect(settings: &BrokerSettings, inbox: &str) -> Result<Self, NatsError> {
        let name = settings.name();
        let (is_there, state) = watch::channel(false);
        let trouble = Arc::new(Mutex::new(None));
        let noting = Noting {
            name: name.clone(),
            is_there,
            has_said: AtomicBool::new(false),
            trouble: trouble.clone(),
            is_tls: is_tls(settings),
        };
        let noting = Arc::new(noting);
        let pause = Pause::new(RECONNECT, Instant::now()).with_jitter(StdRng::from_rng(&mut rand::rng()));
        let pause = Mutex::new(pause);
        let options = ConnectOptions::new()
            .name("powerwall-server")
            .custom_inbox_prefix(inbox)
            .connection_timeout(CONNECT_LIMIT)
            .request_timeout(Some(REQUEST_LIMIT))
            .ping_interval(PING)
            .client_capacity(MOST_SENT)
            .subscription_capacity(MOST_READ)
            .retry_on_initial_connect()
            .reconnect_delay_callback(move |failures| {
                let mut pause = pause.lock().unwrap_or_else(PoisonError::into_inner);
                if failures <= 1 {
                    pause.reset();
                }
                pause.next_backoff().unwrap_or_default()
            })
            .event_callback(move |event| {
                let noting = noting.clone();
                async move { noting.note(&event) }
            });
        let options = trusted(options, settings).await?;
        let options = identified(options, settings).await?;
        let servers = settings.servers.iter().map(|server| apart(server.expose()).0.parse());
        let servers: Result<Vec<async_nats::ServerAddr>, _> = servers.collect();
        let servers = servers.map_err(|_| NatsError::Address("it is not an address".into()))?;
        let client = options.connect(servers).await.map_err(|why| NatsError::Address(why.to_string()))?;
        let mut jetstream = jetstream::new(client.clone());
        jetstream.set_timeout(REQUEST_LIMIT);
        Ok(Self { client, jetstream, subjects: Subjects::new(&settings.prefix), name, state, trouble })
    }

    /// What answers to a site come below: a level of its own, which its permissions name.
    pub fn inbox_of_site(site: &str) -> String {
        format!("{CENTRE_INBOX}_{site}")
    }

    /// What kept the connection from being made last.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether something that is sent now would leave.
    pub fn is_there(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    /// Says whether there is a connection, now and whenever that changes.
    pub async fn each_change(&self, mut heard: impl FnMut(bool)) {
        let mut state = self.state.clone();
        loop {
            let is_there = *state.borrow_and_update();
            heard(is_there);
            if state.changed().await.is_err() {
                return;
            }
        }
    }

    /// Returns when there is a connection.
    pub async fn there(&self) {
        let mut state = self.state.clone();
        while !self.is_there() {
            // The library says so before it is so.
            let _ = tokio::time::timeout(Duration::from_secs(1), state.changed()).await;
            if state.has_changed().is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}

/// What becomes of the library's events. Changes are logged, and not that they repeat.
struct Noting {
    /// For the log.
    name: String,
    is_there: watch::Sender<bool>,
    /// Whether the log has why there is no connection.
    has_said: AtomicBool,
    /// The same, for whoever asks.
    trouble: Arc<Mutex<Option<String>>>,
    /// Whether servers are only spoken to over TLS.
    is_tls: bool,
}

/// The library says what kind of error it was, and no more.
fn explained(error: &str, is_tls: bool) -> String {
    let error = error.trim_start_matches("nats: ");
    let has = |word: &str| error.to_ascii_lowercase().contains(word);
    let advice = match () {
        () if has("authoriz") || has("authentic") => {
            "the server does not accept who we are; PW_BROKER_CREDENTIALS names a file that says it, or \
             PW_BROKER_URL has a name and a password"
        }
        () if is_tls && (has("tls") || has("io error")) => {
            "nobody listens there, or the certificate is not trusted; PW_BROKER_CA names the authority that \
             signed it"
        }
        () if has("dns") => "the name of the server is not known here",
        () if has("tls") => "the server wants TLS; PW_BROKER_URL begins with tls:// then",
        () if has("io error") => "nobody listens there",
        () => return error.to_owned(),
    };
    format!("{error}: {advice}")
}

impl Noting {
    fn note(&self, event: &Event) {
        let name = &self.name;
        match event {
            Event::Connected => {
                self.has_said.store(false, Ordering::Relaxed);
                if !self.is_there.send_replace(true) {
                    info!(event = "broker"; "connected to the broker {name}");
                }
            }
            Event::Disconnected | Event::Closed => {
                if self.is_there.send_replace(false) {
                    warn!(event = "broker"; "the connection to the broker {name} is lost; it is made again");
                }
            }
            Event::ServerError(error) => {
                self.keep(error.to_string());
                warn!(event = "broker"; "the broker {name}: {error}");
            }
            Event::ClientError(error) => {
                let why = explained(&error.to_string(), self.is_tls);
                if !self.has_said.swap(true, Ordering::Relaxed) {
                    warn!(event = "broker"; "no connection to the broker {name}: {why}; tried again");
                }
                self.keep(why);
            }
            Event::SlowConsumer(_) => {
                warn!(event = "broker"; "the broker {name} sends faster than can be read; the newest counts");
            }
            Event::LameDuckMode | Event::Draining => {}
        }
    }

    fn keep(&self, why: String) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
    }
}

async fn trusted(options: ConnectOptions, settings: &BrokerSettings) -> Result<ConnectOptions, NatsError> {
    let roots = match &settings.authority {
        Some(path) => authorities(&certificates(path)?)?,
        None => roots().await,
    };
    let options = options.tls_client_config(checked_by(roots));
    Ok(options.require_tls(is_tls(settings)))
}

fn is_tls(settings: &BrokerSettings) -> bool {
    settings.servers.iter().all(|server| server.expose().starts_with("tls://"))
}

async fn identified(options: ConnectOptions, settings: &BrokerSettings) -> Result<ConnectOptions, NatsError> {
    let Some(path) = &settings.credentials else {
        // The library does not read them out of an address.
        let mut users = settings.servers.iter().filter_map(|server| apart(server.expose()).1);
        return Ok(match users.next() {
            Some((user, password)) => options.user_and_password(user.to_owned(), password.to_owned()),
            None => options,
        });
    };
    let unreadable = |source| NatsError::Unreadable { path: path.clone(), source };
    let text = tokio::fs::read_to_string(path).await.map_err(unreadable)?;
    if text.contains("BEGIN NATS USER JWT") {
        return options.credentials(&text).map_err(|_| NatsError::Credentials(path.clone()));
    }
    let seed = text.lines().map(str::trim).find(|line| line.starts_with(SEED));
    match seed {
        Some(seed) => Ok(options.nkey(seed.to_owned())),
        None => Err(NatsError::Credentials(path.clone())),
    }
}

/// An address without name and password, and these, as they are written.
fn apart(server: &str) -> (String, Option<(&str, &str)>) {
    let (scheme, rest) = server.split_once("://").unwrap_or(("nats", server));
    match rest.rsplit_once('@') {
        Some((user, host)) => {
            (format!("{scheme}://{host}"), Some(user.split_once(':').unwrap_or((user, ""))))
        }
        None => (server.to_owned(), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_may_hold_whatever_an_address_may_not() {
        let (address, user) = apart("tls://north.17:p@:ss/?@host:4222");
        assert_eq!((address.as_str(), user), ("tls://host:4222", Some(("north.17", "p@:ss/?"))));
        assert_eq!(apart("nats://host:4222"), ("nats://host:4222".to_owned(), None));
    }
}
