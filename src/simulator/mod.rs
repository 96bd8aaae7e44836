//! Gateways that are not there, speaking the real protocol over real TLS on loopback.
//!
//! For `demo`, the tests and the benchmarks; nothing in the service uses it. A [`GatewayHandle`] is one gateway, a
//! [`Fleet`] is many of them on a thread of their own. An [`InMemoryGateway`] answers without any network.

mod answers;
mod certificate;
mod customer;
mod customer_documents;
mod day;
mod documents;
mod faults;
mod gateway;
mod in_memory;
mod server;

use std::io;
use std::sync::mpsc;
use std::thread::JoinHandle;

use serde_json::{Value, json};
use tokio::sync::oneshot;

pub use customer::{CustomerSurface, LoginLimit};
pub use customer_documents::vitals_bytes;
pub use documents::SiteKind;
pub use faults::{Counters, Fault, Role};
pub use gateway::{GatewayHandle, SiteOptions};
pub use in_memory::InMemoryGateway;

/// Gateways on a thread of their own, so that what they cost is not mixed up with what the service costs.
pub struct Fleet {
    gateways: Vec<GatewayHandle>,
    /// Ends the thread when dropped.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Fleet {
    /// Starts all of `sites`.
    ///
    /// # Errors
    /// If one of them cannot start.
    pub fn start(sites: Vec<SiteOptions>) -> io::Result<Self> {
        let (stop, stopped) = oneshot::channel::<()>();
        let (report, started) = mpsc::sync_channel(1);
        let thread = std::thread::Builder::new().name("simulator".into()).spawn(move || {
            let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => return drop(report.send(Err(error))),
            };
            runtime.block_on(async {
                let mut gateways = Vec::with_capacity(sites.len());
                for site in sites {
                    match GatewayHandle::start(site).await {
                        Ok(gateway) => gateways.push(gateway),
                        Err(error) => return drop(report.send(Err(error))),
                    }
                }
                if report.send(Ok(gateways)).is_ok() {
                    let _ = stopped.await;
                }
            });
        })?;
        let gateways = started.recv().map_err(io::Error::other)??;
        Ok(Self { gateways, stop: Some(stop), thread: Some(thread) })
    }

    /// `number` gateways of mixed hardware, each with its own serials and weather.
    ///
    /// # Errors
    /// As [`Fleet::start`].
    pub fn of(number: u32) -> io::Result<Self> {
        const KINDS: [SiteKind; 3] = [SiteKind::Powerwall3, SiteKind::Powerwall2, SiteKind::Inverter];
        let sites = (1..=number).map(|number| {
            let kind = KINDS[number as usize % KINDS.len()];
            let site = SiteOptions::new(&format!("site-{number}"), &format!("Site {number}"), kind);
            SiteOptions { number, ..site }
        });
        Self::start(sites.collect())
    }

    pub fn gateways(&self) -> &[GatewayHandle] {
        &self.gateways
    }

    /// What to put into `PW_GATEWAYS` to reach them.
    pub fn settings(&self) -> Value {
        self.gateways.iter().map(GatewayHandle::settings).collect()
    }
}

impl GatewayHandle {
    /// The entry in `PW_GATEWAYS` to reach this gateway.
    pub fn settings(&self) -> Value {
        let site = self.options();
        let kind = if site.kind == SiteKind::Inverter { "inverter" } else { "powerwall" };
        json!({
            "id": site.id, "name": site.name, "host": self.addr.ip().to_string(), "port": self.addr.port(),
            "gw_pwd": site.password, "type": kind,
        })
    }
}

impl GatewayHandle {
    /// The entry in `PW_GATEWAYS` to reach this gateway over its customer API.
    pub fn customer_settings(&self) -> Value {
        let site = self.options();
        json!({
            "id": site.id, "name": site.name, "host": self.addr.ip().to_string(), "port": self.addr.port(),
            "password": site.customer_password,
        })
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.gateways.clear();
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The three sites of `demo`, `speed` times as fast as life.
pub fn demo_sites(speed: f64) -> Vec<SiteOptions> {
    let site =
        |id, name, kind, number| SiteOptions { number, speed, hour: 9.0, ..SiteOptions::new(id, name, kind) };
    vec![
        site("home", "Home", SiteKind::Powerwall3, 1),
        site("cabin", "Cabin", SiteKind::Powerwall2, 2),
        site("barn", "Barn", SiteKind::Inverter, 3),
    ]
}
