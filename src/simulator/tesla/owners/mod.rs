//! The owners API, over real TLS on loopback: where tokens are given, over HTTP/2 and HTTP/1.1, and where
//! sites are asked about. Tokens that were asked for over HTTP/1.1 are spoiled, and a refresh token holds
//! once.

mod answers;
mod in_memory;
mod server;
mod tokens;

use std::io;
use std::net::SocketAddr;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::TcpListener;
use tokio::task::AbortHandle;

use super::state::Cloud;
use crate::simulator::certificate;
pub use in_memory::InMemoryOwners;
use server::{Offer, serve};
pub use tokens::Minted;
use tokens::Shared;

/// A running owners API. It stops when this is dropped.
pub struct OwnersHandle {
    shared: Arc<Shared>,
    /// What the server of tokens offers.
    offer: Offer,
    /// Where tokens are given.
    pub auth: SocketAddr,
    /// Where sites are asked about.
    pub api: SocketAddr,
    /// PEM of the authority that vouches for both.
    authority: String,
    servers: [AbortHandle; 2],
}

impl OwnersHandle {
    /// Listens on loopback. Runs on the current tokio runtime.
    ///
    /// # Errors
    /// If no port is free, or no key can be made.
    pub async fn start() -> io::Result<Self> {
        let (tls, authority) = certificate::cloud_config().map_err(io::Error::other)?;
        let (auth, api) =
            (TcpListener::bind(("127.0.0.1", 0)).await?, TcpListener::bind(("127.0.0.1", 0)).await?);
        let (auth_addr, api_addr) = (auth.local_addr()?, api.local_addr()?);
        let mut data = (*tls).clone();
        data.alpn_protocols = vec![b"http/1.1".to_vec()];
        let shared = Arc::new(Shared::new(format!("https://{api_addr}")));
        let (offer, data) = (Arc::new(Mutex::new(tls)), Arc::new(Mutex::new(Arc::new(data))));
        let servers = [
            tokio::spawn(serve(shared.clone(), offer.clone(), auth)).abort_handle(),
            tokio::spawn(serve(shared.clone(), data, api)).abort_handle(),
        ];
        Ok(Self { shared, offer, auth: auth_addr, api: api_addr, authority, servers })
    }

    /// Writes the authority and a token file of pypowerwall into `folder`.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn sign_in(&self, folder: &Path) -> io::Result<()> {
        std::fs::write(self.authority_in(folder), &self.authority)?;
        std::fs::write(folder.join(".pypowerwall.auth"), self.shared.file())
    }

    /// Tokens as an app on a phone makes them: access and refresh.
    pub fn pair(&self) -> (String, String) {
        self.shared.pair()
    }

    fn authority_in(&self, folder: &Path) -> PathBuf {
        folder.join("owners-authority.pem")
    }

    /// Writes the authority into `folder`, and nothing else.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn introduce(&self, folder: &Path) -> io::Result<()> {
        std::fs::write(self.authority_in(folder), &self.authority)
    }

    /// The variables that reach it with what is in `folder`.
    pub fn environment(&self, folder: &Path) -> Vec<(String, String)> {
        [
            ("PW_AUTH_PATH", folder.display().to_string()),
            ("PW_OWNERS_AUTH", format!("https://{}", self.auth)),
            ("PW_OWNERS_BASE", format!("https://{}", self.api)),
            ("PW_FLEET_CA", self.authority_in(folder).display().to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// What the server of tokens offers from now on, of `h2` and `http/1.1`.
    pub fn offer(&self, protocols: &[&str]) {
        let mut tls = self.offer.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changed = (**tls).clone();
        changed.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        *tls = Arc::new(changed);
    }

    /// Every access token that was given is refused when it is used.
    pub fn spoil(&self) {
        self.shared.spoil();
    }

    /// The owner changed the password.
    pub fn revoke(&self) {
        self.shared.revoke();
    }

    /// Renewals give no refresh token from now on, and leave the old one as it is.
    pub fn keep_refresh_token(&self) {
        self.shared.tokens().keeps = true;
    }

    /// How often the refresh token was sent that was sent most often.
    pub fn most_sent(&self) -> u32 {
        self.shared.tokens().sent.values().copied().max().unwrap_or(0)
    }

    /// The connections that tokens were given over.
    pub fn minted(&self) -> Vec<Minted> {
        self.shared.tokens().minted.clone()
    }
}

impl Deref for OwnersHandle {
    type Target = Cloud;

    fn deref(&self) -> &Cloud {
        &self.shared.cloud
    }
}

impl Drop for OwnersHandle {
    fn drop(&mut self) {
        self.servers.iter().for_each(AbortHandle::abort);
    }
}
