//! Gateways that are not there, speaking the real protocol over real TLS on loopback.
//!
//! For `demo`, the tests and the benchmarks; nothing in the service uses it. A [`GatewayHandle`] is one
//! gateway, a [`Fleet`] is many of them on a thread of their own. An [`InMemoryGateway`] answers without any
//! network.

mod answers;
mod bus;
mod certificate;
mod cloud_documents;
mod commands;
mod components;
mod customer;
mod customer_documents;
mod day;
mod delivery;
mod demo;
mod documents;
mod faults;
mod gateway;
mod handle;
mod http;
mod in_memory;
mod installation_documents;
mod lan;
mod lan_answers;
mod orders;
mod past;
mod scene;
mod server;
pub mod tesla;

use std::io;
use std::sync::mpsc;
use std::thread::JoinHandle;

use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::settings::RsaKey;
use tesla::TeslaHandle;

pub use customer::{CustomerSurface, LoginLimit};
pub use customer_documents::vitals_bytes;
pub use demo::{Demo, DemoScene, REMOTE};
pub use faults::{Counters, Fault, Role};
pub use gateway::SiteOptions;
pub use handle::GatewayHandle;
pub use in_memory::InMemoryGateway;
pub use lan::{Lan, Registration};
pub use orders::{OrderFault, Orders};
pub use past::PastDay;
pub use scene::{SiteKind, ZONE};

/// Number of a site that is reached through Tesla's cloud.
const REMOTE_SITE: u64 = 1_234_567;

/// Gateways on a thread of their own, so that what they cost is not mixed up with what the service costs.
pub struct Fleet {
    gateways: Vec<GatewayHandle>,
    /// Their addresses on the wired LAN, in the same order, if they have any.
    lans: Vec<GatewayHandle>,
    /// The file of the key that is registered there.
    key_file: String,
    /// Tesla's cloud, if one of the sites is reached through it.
    cloud: Option<TeslaHandle>,
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
        Self::launch(sites, None, None)
    }

    /// As [`Fleet::start`]; the site with the id `remote` is reached through Tesla's cloud alone.
    ///
    /// # Errors
    /// As [`Fleet::start`].
    pub fn with_cloud(sites: Vec<SiteOptions>, remote: &'static str) -> io::Result<Self> {
        Self::launch(sites, None, Some(remote))
    }

    /// With `key`, everybody is on the wired LAN as well, where that key is registered and confirmed.
    fn launch(
        sites: Vec<SiteOptions>,
        key: Option<RsaKey>,
        remote: Option<&'static str>,
    ) -> io::Result<Self> {
        let (stop, stopped) = oneshot::channel::<()>();
        let (report, started) = mpsc::sync_channel(1);
        let thread = std::thread::Builder::new().name("simulator".into()).spawn(move || {
            let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => return drop(report.send(Err(error))),
            };
            runtime.block_on(async {
                let started = start_all(sites, key, remote).await;
                let is_well = started.is_ok();
                if report.send(started).is_ok() && is_well {
                    let _ = stopped.await;
                }
            });
        })?;
        let Started { gateways, lans, cloud } = started.recv().map_err(io::Error::other)??;
        let (stop, thread) = (Some(stop), Some(thread));
        Ok(Self { gateways, lans, key_file: String::new(), cloud, stop, thread })
    }

    /// `number` gateways of mixed hardware, each with its own serials and weather.
    ///
    /// # Errors
    /// As [`Fleet::start`].
    pub fn of(number: u32) -> io::Result<Self> {
        Self::launch(Self::sites(number), None, None)
    }

    /// As [`Fleet::of`], and on the wired LAN as well, with `key` from `file` registered and confirmed.
    ///
    /// # Errors
    /// As [`Fleet::start`].
    pub fn with_lan(number: u32, key: RsaKey, file: &str) -> io::Result<Self> {
        let mut fleet = Self::launch(Self::sites(number), Some(key), None)?;
        file.clone_into(&mut fleet.key_file);
        Ok(fleet)
    }

    fn sites(number: u32) -> Vec<SiteOptions> {
        const KINDS: [SiteKind; 3] = [SiteKind::Powerwall3, SiteKind::Powerwall2, SiteKind::Inverter];
        let sites = (1..=number).map(|number| {
            let kind = KINDS[number as usize % KINDS.len()];
            let site = SiteOptions::new(&format!("site-{number}"), &format!("Site {number}"), kind);
            SiteOptions { number, ..site }
        });
        sites.collect()
    }

    pub fn gateways(&self) -> &[GatewayHandle] {
        &self.gateways
    }

    /// Tesla's cloud, if one of the sites is reached through it.
    pub fn cloud(&self) -> Option<&TeslaHandle> {
        self.cloud.as_ref()
    }

    /// At every address.
    pub fn counters(&self) -> impl Iterator<Item = &Counters> {
        self.gateways.iter().chain(&self.lans).map(GatewayHandle::counters)
    }

    /// What to put into `PW_GATEWAYS` to reach them, but for one that is reached through Tesla's cloud.
    pub fn settings(&self) -> Value {
        let with_lan = self.gateways.iter().zip(&self.lans);
        match self.lans.is_empty() {
            true => self.gateways.iter().map(GatewayHandle::settings).collect(),
            false => with_lan.map(|(gateway, lan)| gateway.settings_with_lan(lan, &self.key_file)).collect(),
        }
    }
}

/// What runs on the thread.
struct Started {
    gateways: Vec<GatewayHandle>,
    /// The same at their addresses on the wired LAN.
    lans: Vec<GatewayHandle>,
    cloud: Option<TeslaHandle>,
}

async fn start_all(
    sites: Vec<SiteOptions>,
    key: Option<RsaKey>,
    remote: Option<&str>,
) -> io::Result<Started> {
    let (mut gateways, mut lans, mut cloud) = (Vec::with_capacity(sites.len()), Vec::new(), None);
    for site in sites {
        let gateway = GatewayHandle::start(site).await?;
        if remote == Some(gateway.options().id.as_str()) {
            let tesla = TeslaHandle::start().await?;
            tesla.add(REMOTE_SITE, &gateway);
            cloud = Some(tesla);
        }
        if let Some(key) = &key {
            let lan = gateway.on_lan().await?;
            if let Some(lan) = lan.lan() {
                lan.register(key.public_der(), Registration::Verified);
            }
            lans.push(lan);
        }
        gateways.push(gateway);
    }
    Ok(Started { gateways, lans, cloud })
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

    /// The entry in `PW_GATEWAYS` to reach this gateway over the wired LAN at `lan`, and over Wi-Fi.
    pub fn settings_with_lan(&self, lan: &Self, rsa_key_path: &str) -> Value {
        let mut entry = self.settings();
        entry["host"] = lan.addr.ip().to_string().into();
        entry["port"] = lan.addr.port().into();
        entry["wifi_host"] = self.addr.to_string().into();
        entry["rsa_key_path"] = rsa_key_path.into();
        entry
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
        self.lans.clear();
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
