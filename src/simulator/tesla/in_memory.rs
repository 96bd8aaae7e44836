//! Tesla's cloud without sockets, for simulations that bring a way to it of their own.

use std::ops::Deref;

use awc::http::header;
use serde_json::json;

use super::state::{Cloud, Site};
use super::{CLIENT_ID, CLIENT_SECRET, answers};
use crate::link::https::{Answer, Call};
use crate::simulator::InMemoryGateway;
use crate::simulator::http::{self, Request};

/// The server of the region that the account belongs to at first.
const HOME: &str = "fleet-api.prd.na.vn.cloud.tesla.com";

/// What a healthy cloud answers, asked directly.
pub struct InMemoryTesla {
    cloud: Cloud,
}

impl Default for InMemoryTesla {
    fn default() -> Self {
        Self { cloud: Cloud::new(format!("https://{HOME}")) }
    }
}

impl InMemoryTesla {
    /// The account moves: `users/region` names this host from now on.
    pub fn moves_to(&mut self, host: &str) {
        self.cloud.home = format!("https://{host}");
    }

    /// The host that the account belongs to.
    pub fn home(&self) -> &str {
        self.cloud.home.trim_start_matches("https://")
    }

    /// Puts `gateway` into the account as site `id`.
    pub fn add(&self, id: u64, gateway: &InMemoryGateway) {
        self.cloud.state().sites.push(Site::new(id, gateway.shared()));
    }

    /// What is answered to `call`, at the server `host`.
    pub fn answer(&self, host: &str, call: &Call) -> Answer {
        as_answer(answers::answer(&self.cloud, &as_request(call), host == self.home()))
    }

    /// A token file of pypowerwall for somebody who has just logged in.
    pub fn sign_in(&self) -> String {
        let (access, refresh) = self.cloud.state().log_in();
        let file = json!({
            "CLIENT_ID": CLIENT_ID, "CLIENT_SECRET": CLIENT_SECRET, "access_token": access,
            "refresh_token": refresh,
        });
        file.to_string()
    }

    /// The owner withdrew the consent, or changed the password.
    pub fn revoke(&self) {
        self.cloud.state().revoke();
    }

    /// Whether settings that are changed here reach the gateways from now on.
    pub fn set_delivers(&self, delivers: bool) {
        self.cloud.state().delivers = delivers;
    }

    /// How often a refresh token was used after its successor had been used.
    pub fn reused(&self) -> u64 {
        self.cloud.state().reused
    }
}

impl Deref for InMemoryTesla {
    type Target = Cloud;

    fn deref(&self) -> &Cloud {
        &self.cloud
    }
}

/// As it arrives at a server.
pub(super) fn as_request(call: &Call) -> Request {
    let authorization = call.headers.iter().find(|(name, _)| *name == header::AUTHORIZATION);
    Request {
        method: call.method.to_string(),
        path: call.path.to_string(),
        authorization: authorization.and_then(|(_, value)| value.to_str().ok()).map(str::to_owned),
        cookie: None,
        body: call.body.clone(),
    }
}

/// As it arrives at a client.
pub(super) fn as_answer(answer: http::Answer) -> Answer {
    Answer { status: answer.status, body: answer.body, ..Answer::default() }
}
