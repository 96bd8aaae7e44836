//! The owners API without sockets, for simulations that bring a way to it of their own.

use std::ops::Deref;

use super::answers::answer;
use super::tokens::{Minted, Shared};
use crate::link::https::{Answer, Call};
use crate::simulator::InMemoryGateway;
use crate::simulator::tesla::in_memory::{as_answer, as_request};
use crate::simulator::tesla::state::{Cloud, Site};

/// What a healthy owners API answers, asked directly.
pub struct InMemoryOwners(Shared);

impl Default for InMemoryOwners {
    fn default() -> Self {
        Self(Shared::new("https://owner-api.teslamotors.com".into()))
    }
}

impl InMemoryOwners {
    /// Puts `gateway` into the account as site `id`.
    pub fn add(&self, id: u64, gateway: &InMemoryGateway) {
        self.0.cloud.state().sites.push(Site::new(id, gateway.shared()));
    }

    /// What is answered to `call`; tokens as over HTTP/2 and TLS 1.3.
    pub fn answer(&self, call: &Call) -> Answer {
        let minted = Minted { over_http2: true, over_tls_1_3: true };
        as_answer(answer(&self.0, &as_request(call), minted))
    }

    /// A token file of pypowerwall for somebody who has just logged in.
    pub fn sign_in(&self) -> String {
        self.0.file()
    }

    /// Every access token that was given is refused when it is used.
    pub fn spoil(&self) {
        self.0.spoil();
    }

    /// The owner changed the password.
    pub fn revoke(&self) {
        self.0.revoke();
    }

    /// Whether it would give tokens for `refresh`.
    pub fn would_renew(&self, refresh: &str) -> bool {
        self.0.tokens().refresh.as_deref() == Some(refresh)
    }

    /// Whether renewals give a refresh token from now on, or leave the old one as it is.
    pub fn keep_refresh_token(&self, keeps: bool) {
        self.0.tokens().keeps = keeps;
    }
}

impl Deref for InMemoryOwners {
    type Target = Cloud;

    fn deref(&self) -> &Cloud {
        &self.0.cloud
    }
}
