//! What tests do with either cloud of Tesla, and ask of it: sites, faults, the life of tokens.

use std::time::Duration;

use serde_json::Value;

use super::state::{Asked, Cloud, CloudFault, Site};
use crate::simulator::handle::GatewayHandle;

impl Cloud {
    /// Puts `gateway` into the account as site `id`.
    pub fn add(&self, id: u64, gateway: &GatewayHandle) {
        self.state().sites.push(Site::new(id, gateway.gateway()));
    }

    /// Gives a site another number, as Tesla does now and then.
    pub fn renumber(&self, from: u64, to: u64) {
        for site in self.state().sites.iter_mut().filter(|site| site.id == from) {
            site.id = to;
        }
    }

    /// From now on `fault` is in every request whose path contains `part`.
    pub fn set(&self, part: &str, fault: CloudFault) {
        self.state().faults.push((part.to_owned(), fault, None));
    }

    /// `fault` is in the next `times` requests whose path contains `part`.
    pub fn set_times(&self, part: &str, fault: CloudFault, times: u32) {
        self.state().faults.push((part.to_owned(), fault, Some(times)));
    }

    /// Nothing is wrong any more.
    pub fn heal(&self) {
        self.state().faults.clear();
    }

    /// Every access token is over.
    pub fn expire_tokens(&self) {
        self.state().access.clear();
    }

    /// How long access tokens live from now on.
    pub fn set_life(&self, life: Duration) {
        self.state().life = life;
    }

    /// What a site reports instead of `key` from now on.
    pub fn report_instead(&self, key: &str, value: Value) {
        self.state().instead.insert(key.to_owned(), value);
    }

    /// Everything that was asked, in order.
    pub fn asked(&self) -> Vec<Asked> {
        self.state().asked.clone()
    }

    /// How many requests there were whose path contains `part`.
    pub fn requests(&self, part: &str) -> usize {
        self.state().asked.iter().filter(|asked| asked.path.contains(part)).count()
    }

    /// All tokens and codes that it ever gave out.
    pub fn secrets(&self) -> Vec<String> {
        self.state().given.clone()
    }
}
