//! Tesla's cloud, over real TLS on loopback: where tokens are renewed, two regions of FleetAPI, sites that
//! are simulated gateways. What can go wrong with it does on demand.

mod answers;
mod authorize;
mod backups;
mod calendar;
mod clients;
mod controls;
mod in_memory;
mod keys;
mod owners;
mod partner;
mod relay;
mod replies;
mod server;
mod state;

use std::io;
use std::net::SocketAddr;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

use super::certificate;
pub use in_memory::InMemoryTesla;
pub use owners::{InMemoryOwners, Minted, OwnersHandle};
pub use state::{Asked, Cloud, CloudFault, Spelling};

/// What the application is called at Tesla.
pub const CLIENT_ID: &str = "simulated-client";
pub const CLIENT_SECRET: &str = "simulated-client-secret";
/// The one address that logins may return to.
pub const REDIRECT: &str = "https://example.com/access";

/// A running cloud. It stops when this is dropped.
pub struct TeslaHandle {
    cloud: Arc<Cloud>,
    /// Where tokens are renewed, and the region that the account belongs to.
    pub addr: SocketAddr,
    /// The region that it does not belong to.
    pub elsewhere: SocketAddr,
    /// PEM of the authority that vouches for it.
    authority: String,
    servers: [AbortHandle; 2],
}

impl TeslaHandle {
    /// Listens on loopback. Runs on the current tokio runtime.
    ///
    /// # Errors
    /// If no port is free, or no key can be made.
    pub async fn start() -> io::Result<Self> {
        let (tls, authority) = certificate::cloud_config().map_err(io::Error::other)?;
        let home = TcpListener::bind(("127.0.0.1", 0)).await?;
        let other = TcpListener::bind(("127.0.0.1", 0)).await?;
        let (addr, elsewhere) = (home.local_addr()?, other.local_addr()?);
        let cloud = Arc::new(Cloud::new(format!("https://{addr}")));
        let serve = |listener, is_home| {
            tokio::spawn(server::serve(cloud.clone(), tls.clone(), listener, is_home)).abort_handle()
        };
        let servers = [serve(home, true), serve(other, false)];
        Ok(Self { cloud, addr, elsewhere, authority, servers })
    }

    /// From now on, site `id` lists an outage of the grid that began at `start`, Unix seconds.
    pub fn list_outage(&self, id: u64, start: i64, lasted: Duration) {
        let milliseconds = lasted.as_millis() as u64;
        for site in self.cloud.state().sites.iter_mut().filter(|site| site.id == id) {
            site.outages.push((start, milliseconds));
        }
    }

    /// Writes the authority and a token file of pypowerwall into `folder`; the path of the authority.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn sign_in(&self, folder: &Path) -> io::Result<PathBuf> {
        self.sign_in_at(folder, self.addr)
    }

    /// As [`TeslaHandle::sign_in`], for somebody who believes that the account belongs to the region at
    /// `base`.
    ///
    /// # Errors
    /// As [`TeslaHandle::sign_in`].
    pub fn sign_in_at(&self, folder: &Path, base: SocketAddr) -> io::Result<PathBuf> {
        let authority = folder.join("authority.pem");
        std::fs::write(&authority, &self.authority)?;
        let (access, refresh) = self.cloud.state().log_in();
        let file = json!({
            "CLIENT_ID": CLIENT_ID, "CLIENT_SECRET": CLIENT_SECRET, "DOMAIN": "example.com",
            "REDIRECT_URI": REDIRECT, "AUDIENCE": format!("https://{base}"),
            "access_token": access, "refresh_token": refresh, "site_id": null,
        });
        std::fs::write(folder.join(".pypowerwall.fleetapi"), serde_json::to_string_pretty(&file)?)?;
        Ok(authority)
    }

    /// A token as providers hand out, which lasts.
    pub fn provider_token(&self) -> String {
        let mut state = self.cloud.state();
        let (access, _) = state.log_in();
        access
    }

    /// The authority in PEM.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The variables that reach it with what [`TeslaHandle::sign_in`] wrote into `folder`.
    pub fn environment(&self, folder: &Path) -> Vec<(String, String)> {
        let file = folder.join("authority.pem");
        [
            ("PW_AUTH_PATH", folder.display().to_string()),
            ("PW_FLEET_AUTH", format!("https://{}", self.addr)),
            ("PW_FLEET_CA", file.display().to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// The owner withdrew the consent, or changed the password.
    pub fn revoke(&self) {
        self.cloud.state().revoke();
    }

    /// From now on, Tesla says yes to what no gateway keeps, and keeps nothing of it.
    pub fn keep_nothing(&self) {
        self.cloud.state().keeps = false;
    }

    /// What the owner consents to from now on.
    pub fn set_scopes(&self, scopes: &[&str]) {
        self.cloud.state().scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
    }

    /// Whether settings that are changed here reach the gateways from now on.
    pub fn set_delivers(&self, delivers: bool) {
        self.cloud.state().delivers = delivers;
    }

    /// Whether the owner allows what is asked for from now on, or says no.
    pub fn set_consents(&self, consents: bool) {
        self.cloud.state().consents = consents;
    }

    /// What the application's domain, example.com, shows as its key in PEM from now on.
    pub fn show_key(&self, pem: Option<&str>) {
        self.cloud.state().shown_key = pem.map(partner::point);
    }

    /// Sites are reported only in regions in which the application is registered.
    pub fn need_registration(&self) {
        self.cloud.state().needs_registration = true;
    }

    /// Every code that was given is too old.
    pub fn expire_codes(&self) {
        self.cloud.state().codes.clear();
    }

    /// From now on, a calendar lists every third instant twice, the second time with other values.
    pub fn repeat_instants(&self) {
        self.cloud.state().repeats_instants = true;
    }

    /// How old values are when they are sent, from now on.
    pub fn set_lag(&self, lag: Duration) {
        self.cloud.state().lag = lag;
    }

    /// Whether a refresh token was used a second time after its successor had been used.
    pub fn reused(&self) -> u64 {
        self.cloud.state().reused
    }
}

impl Deref for TeslaHandle {
    type Target = Cloud;

    fn deref(&self) -> &Cloud {
        &self.cloud
    }
}

impl Drop for TeslaHandle {
    fn drop(&mut self) {
        self.servers.iter().for_each(AbortHandle::abort);
    }
}
