//! Requests to Tesla's servers and to providers that speak the same paths. [`Wires`] is the seam where tests
//! put a cloud that is not there.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use rustls::{ClientConfig, RootCertStore};
use tokio::sync::OnceCell;

use super::error::TeslaError;
use super::http2;
use super::token_wire::TokenWire;
use crate::link::LinkError;
use crate::link::https::{Answer, Call, Exchange, Https};
use crate::settings::Origin;
use crate::tls;

/// Carries a call to a server and its answer back.
pub trait Wires {
    fn send<'a>(&'a self, to: &'a Origin, call: Call) -> LocalBoxFuture<'a, Result<Answer, TeslaError>>;

    /// Connects to where tokens of the owners API are given, over HTTP/2 and TLS 1.3 or not at all. Nothing
    /// is sent yet.
    fn open<'a>(&'a self, to: &'a Origin) -> LocalBoxFuture<'a, Result<Box<dyn TokenWire>, TeslaError>> {
        Box::pin(async { Err(TeslaError::NoHttp2(to.host.clone())) })
    }
}

/// TLS that all links of an account share: reading the authorities of a system takes time.
pub struct Authorities {
    /// `PW_FLEET_CA`
    file: Option<PathBuf>,
    roots: OnceCell<RootCertStore>,
    /// For HTTP/1.1 …
    config: OnceCell<Arc<ClientConfig>>,
    /// … and for HTTP/2, where tokens of the owners API are given.
    http2: OnceCell<Arc<ClientConfig>>,
}

impl Authorities {
    pub fn new(file: Option<PathBuf>) -> Self {
        Self { file, roots: OnceCell::new(), config: OnceCell::new(), http2: OnceCell::new() }
    }

    async fn config(&self) -> Result<Arc<ClientConfig>, TeslaError> {
        let made = self.config.get_or_try_init(|| async { Ok(tls::checked_http(self.roots().await?)) });
        made.await.cloned()
    }

    async fn http2(&self) -> Result<Arc<ClientConfig>, TeslaError> {
        let made = self.http2.get_or_try_init(|| async { Ok(tls::checked_http2(self.roots().await?)) });
        made.await.cloned()
    }

    async fn roots(&self) -> Result<RootCertStore, TeslaError> {
        let read = self.roots.get_or_try_init(|| async {
            let mut roots = tls::roots().await;
            if let Some(file) = self.file.clone() {
                let unusable = |why: String| TeslaError::Authorities(format!("PW_FLEET_CA: {why}"));
                let read = tokio::task::spawn_blocking(move || tls::certificates(&file)).await;
                let read = read.map_err(|error| unusable(error.to_string()))?;
                let own = read.map_err(|error| unusable(error.to_string()))?;
                let own = tls::authorities(&own).map_err(|error| unusable(error.to_string()))?;
                roots.extend(own.roots);
            }
            Ok(roots)
        });
        read.await.cloned()
    }
}

/// HTTPS, with one connection for each server.
pub struct Web {
    authorities: Arc<Authorities>,
    limit: Duration,
    /// One for each region at most, the place of tokens, and a provider.
    clients: RefCell<HashMap<Origin, Rc<Https>>>,
}

impl Web {
    pub fn new(authorities: Arc<Authorities>, limit: Duration) -> Self {
        Self { authorities, limit, clients: RefCell::default() }
    }

    async fn client(&self, to: &Origin) -> Result<Rc<Https>, TeslaError> {
        let tls = self.authorities.config().await?;
        let mut clients = self.clients.borrow_mut();
        let new = || Rc::new(Https::checked(&to.host, to.port, tls, self.limit));
        Ok(clients.entry(to.clone()).or_insert_with(new).clone())
    }
}

impl Wires for Web {
    fn send<'a>(&'a self, to: &'a Origin, call: Call) -> LocalBoxFuture<'a, Result<Answer, TeslaError>> {
        Box::pin(async move {
            let client = self.client(to).await?;
            client.exchange(call).await.map_err(|error| match error {
                LinkError::Timeout(limit) => TeslaError::Timeout(limit),
                LinkError::Unreachable(why) => TeslaError::Unreachable(why),
                other => TeslaError::Malformed(other.to_string()),
            })
        })
    }

    fn open<'a>(&'a self, to: &'a Origin) -> LocalBoxFuture<'a, Result<Box<dyn TokenWire>, TeslaError>> {
        Box::pin(async move {
            let tls = self.authorities.http2().await?;
            Ok(Box::new(http2::open(tls, to, self.limit).await?) as Box<dyn TokenWire>)
        })
    }
}
