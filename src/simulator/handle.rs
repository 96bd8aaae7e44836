//! A gateway that is running, as tests and the command line hold it.
//!
//! What it is and what goes on in it is the state in [`super::gateway`].

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

use super::customer::{CustomerSurface, LoginLimit};
use super::faults::{Counters, Fault, Role};
use super::gateway::{Gateway, SiteOptions};
use super::lan::Lan;
use super::orders::{OrderFault, Orders};
use super::server;

/// A running gateway. It stops when this is dropped.
pub struct GatewayHandle {
    gateway: Arc<Gateway>,
    pub addr: SocketAddr,
    server: AbortHandle,
}

impl GatewayHandle {
    /// Listens on loopback. Runs on the current tokio runtime.
    ///
    /// # Errors
    /// If the port is taken, or no key can be made.
    pub async fn start(options: SiteOptions) -> std::io::Result<Self> {
        let port = options.port;
        Self::listen(Gateway::new(options)?, port).await
    }

    /// The same gateway at its address on the wired LAN, where it takes logins and signed requests.
    ///
    /// # Errors
    /// As [`GatewayHandle::start`].
    pub async fn on_lan(&self) -> std::io::Result<Self> {
        self.on_lan_at(0).await
    }

    /// As [`GatewayHandle::on_lan`], at a port of choice.
    ///
    /// # Errors
    /// As [`GatewayHandle::start`].
    pub async fn on_lan_at(&self, port: u16) -> std::io::Result<Self> {
        Self::listen(self.gateway.on_lan()?, port).await
    }

    async fn listen(gateway: Gateway, port: u16) -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        let addr = listener.local_addr()?;
        let gateway = Arc::new(gateway);
        let server = tokio::spawn(server::serve(gateway.clone(), listener)).abort_handle();
        Ok(Self { gateway, addr, server })
    }

    /// The house, for whoever shows it elsewhere.
    pub(super) fn gateway(&self) -> Arc<Gateway> {
        self.gateway.clone()
    }

    pub fn options(&self) -> &SiteOptions {
        self.gateway.options()
    }

    /// Who may sign and log in; on the wired LAN only.
    pub fn lan(&self) -> Option<&Lan> {
        self.gateway.lan.as_ref()
    }

    /// From now on it refuses the password and wants the token of an installer.
    pub fn want_installer(&self) {
        self.gateway.wants_installer.store(true, Ordering::Relaxed);
    }

    /// The token that an installer was given no longer holds.
    pub fn forget_installer(&self) {
        self.gateway.installer_token.fetch_add(1, Ordering::Relaxed);
    }

    pub fn counters(&self) -> &Counters {
        &self.gateway.counters
    }

    /// What is wrong with how it takes orders from now on, at whatever address.
    pub fn set_order_fault(&self, fault: Option<OrderFault>) {
        self.gateway.set_order_fault(fault);
    }

    /// Somebody else sets the backup reserve, raw scale.
    pub fn somebody_sets_reserve(&self, raw: f64) {
        self.gateway.somebody_sets_reserve(raw);
    }

    /// The orders that arrived, at whatever address.
    pub fn orders(&self) -> Orders {
        self.gateway.orders()
    }

    /// Whether somebody has opened the contactor.
    pub fn is_off_grid(&self) -> bool {
        self.gateway.is_off_grid()
    }

    /// The backup reserve, raw scale: as the configuration has it, and as the gateway acts on it.
    pub fn reserve(&self) -> (f64, f64) {
        self.gateway.reserve()
    }

    pub fn mode(&self) -> &'static str {
        self.gateway.mode()
    }

    /// `config.json`, byte for byte.
    pub fn config(&self) -> Bytes {
        self.gateway.config()
    }

    /// From now on `fault` is in every request.
    pub fn set(&self, fault: Fault) {
        self.gateway.set_fault(None, fault);
    }

    /// From now on `fault` is in requests of that role.
    pub fn set_for(&self, role: Role, fault: Fault) {
        self.gateway.set_fault(Some(role), fault);
    }

    /// Nothing is wrong any more.
    pub fn heal(&self) {
        self.gateway.heal();
    }

    /// How much of the customer API it has from now on.
    pub fn set_surface(&self, surface: CustomerSurface) {
        self.gateway.change_customer(|customer| customer.surface = surface);
    }

    /// How often somebody may log in from now on.
    pub fn limit_logins(&self, limit: LoginLimit) {
        self.gateway.change_customer(|customer| customer.limit = limit);
    }

    /// What a path of the customer API answers from now on; `None`: what it should.
    pub fn answer_instead(&self, path: &str, status: Option<u16>) {
        self.gateway.change_customer(|customer| match status {
            Some(status) => drop(customer.instead.insert(path.to_owned(), status)),
            None => drop(customer.instead.remove(path)),
        });
    }

    /// Ends every session; from now on a session that ended is answered with `status`.
    pub fn end_sessions(&self, status: u16) {
        self.gateway.change_customer(|customer| {
            customer.ended = status;
            customer.end_sessions();
        });
    }

    /// Restarts with other firmware; unreachable meanwhile, and every session ends.
    pub fn reboot(&self, version: &str, down_for: Duration) {
        self.gateway.restart(version);
        self.gateway.go_down_for(down_for);
    }

    /// Presents another certificate from the next connection on.
    ///
    /// # Errors
    /// If no key can be made.
    pub fn renew_certificate(&self) -> Result<(), rustls::Error> {
        self.gateway.renew_certificate()
    }

    /// Moves the clock of the day forward.
    pub fn skip(&self, simulated: Duration) {
        self.gateway.skip(simulated);
    }
}

impl Drop for GatewayHandle {
    fn drop(&mut self) {
        self.server.abort();
    }
}
