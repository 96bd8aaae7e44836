//! What happens to keys at the house: somebody uses a switch, or another app registers one of its own.

use std::time::Duration;

use tokio::time::Instant;

use super::TeslaHandle;
use super::state::{Registered, Spelling};
use crate::simulator::handle::GatewayHandle;
use crate::simulator::lan::Registration;

impl TeslaHandle {
    /// Site `id` has a connection to Tesla, over which signed requests reach `lan`, its gateway on the wired
    /// LAN.
    pub fn connect(&self, id: u64, lan: &GatewayHandle) {
        let mut state = self.cloud.state();
        for site in state.sites.iter_mut().filter(|site| site.id == id) {
            site.lan = Some(lan.gateway());
        }
    }

    /// Somebody at site `id` switches one Powerwall off and on again: every key that waits, and for which
    /// there is still time, is confirmed.
    pub fn toggle_switch(&self, id: u64) {
        let mut state = self.cloud.state();
        let window = state.window;
        for site in state.sites.iter_mut().filter(|site| site.id == id) {
            for client in site.clients.iter_mut().filter(|client| client.since.elapsed() <= window) {
                client.is_verified = true;
                if let Some(lan) = site.lan.as_ref().and_then(|gateway| gateway.lan.as_ref()) {
                    lan.register(&client.key, Registration::Verified);
                }
            }
        }
    }

    /// An app of somebody else has registered `key` for site `id` and may sign.
    pub fn add_client(&self, id: u64, key: &[u8], description: &str) {
        let mut state = self.cloud.state();
        for site in state.sites.iter_mut().filter(|site| site.id == id) {
            if let Some(lan) = site.lan.as_ref().and_then(|gateway| gateway.lan.as_ref()) {
                lan.register(key, Registration::Verified);
            }
            let (key, description) = (key.to_vec(), description.to_owned());
            site.clients.push(Registered { key, description, is_verified: true, since: Instant::now() });
        }
    }

    /// How answers about keys are written from now on.
    pub fn spell(&self, spelling: Spelling) {
        self.cloud.state().spelling = spelling;
    }

    /// How long a key can be confirmed from now on.
    pub fn set_window(&self, window: Duration) {
        self.cloud.state().window = window;
    }

    /// From now on the cloud takes a key for confirmed as soon as it is registered, whatever the
    /// gateway says.
    pub fn be_hasty(&self) {
        self.cloud.state().is_hasty = true;
    }

    /// Where gateways report to be on their home network.
    pub fn report_address(&self, address: &str) {
        self.cloud.state().address = address.to_owned();
    }
}
