//! What Tesla's cloud knows: sites, tokens, what was asked, and what is wrong.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::clock::unix_time;
use crate::simulator::gateway::Gateway;

/// Measured by others: about nine minutes.
const WINDOW: Duration = Duration::from_secs(540);

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq)]
pub enum CloudFault {
    /// Answers with this status, these headers (each with its end of line) and this body, and does nothing.
    Answer { status: u16, headers: String, body: String },
    /// Does what was asked, and cuts the connection instead of answering.
    Cut,
    /// Takes the request and never answers.
    Hang,
}

impl CloudFault {
    /// With an empty body.
    pub fn status(status: u16) -> Self {
        Self::Answer { status, headers: String::new(), body: String::new() }
    }

    pub fn body(status: u16, body: &str) -> Self {
        Self::Answer { status, headers: String::new(), body: body.to_owned() }
    }
}

/// A request that arrived.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    pub method: String,
    /// With its query.
    pub path: String,
    pub body: String,
}

pub(super) struct Site {
    pub id: u64,
    pub gateway: Arc<Gateway>,
    /// What was ordered and never reached the gateway, as members of `site_info`.
    pub undelivered: Value,
    /// What was ordered of what Tesla keeps and no gateway, as members of `site_info`.
    pub kept: Value,
    /// The tariff that was ordered.
    pub tariff: Option<Value>,
    /// Its gateway at the address on the wired LAN, which takes signed requests; `None`: it has no connection
    /// to Tesla over which they could come.
    pub lan: Option<Arc<Gateway>>,
    /// Keys that somebody registered.
    pub clients: Vec<Registered>,
    /// Grid outages, each with its start in Unix seconds and its length in milliseconds.
    pub outages: Vec<(i64, u64)>,
}

impl Site {
    /// Nobody has ordered anything of it.
    pub fn new(id: u64, gateway: Arc<Gateway>) -> Self {
        let (undelivered, kept) = (json!({}), json!({}));
        Self {
            id,
            gateway,
            undelivered,
            kept,
            tariff: None,
            lan: None,
            clients: Vec::new(),
            outages: Vec::new(),
        }
    }
}

/// A key that somebody registered, as the cloud knows it.
pub(super) struct Registered {
    /// PKCS#1 DER.
    pub key: Vec<u8>,
    pub description: String,
    pub is_verified: bool,
    /// When it was registered, for the last time.
    pub since: Instant,
}

/// How members of an answer about keys are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Spelling {
    #[default]
    Snake,
    Camel,
}

/// What was asked for with a code.
pub(super) struct Asking {
    pub challenge: String,
    pub scopes: Vec<String>,
}

/// Shared by all servers of one of the two clouds.
pub struct Cloud {
    /// The region that the account belongs to.
    pub(super) home: String,
    state: Mutex<State>,
}

pub(super) struct State {
    pub sites: Vec<Site>,
    /// Access tokens that hold, and until when.
    pub access: HashMap<String, Instant>,
    /// The refresh token that holds.
    pub refresh: Option<String>,
    /// The one before it, which is still accepted until its successor has been used.
    pub former: Option<String>,
    /// Refresh tokens that were used after that.
    pub reused: u64,
    /// Codes that may be exchanged, each once.
    pub codes: HashMap<String, Asking>,
    /// Tokens of the application itself.
    pub partners: Vec<String>,
    /// The key that the application's domain shows, as hex of its point; `None`: nothing answers there.
    pub shown_key: Option<String>,
    /// Whether the application need be registered in a region, and in which it is (home or not).
    pub needs_registration: bool,
    pub registered: Vec<bool>,
    /// The key that was fetched then.
    pub registered_key: Option<String>,
    /// Whether the owner says yes.
    pub consents: bool,
    pub life: Duration,
    pub scopes: Vec<String>,
    pub lag: Duration,
    /// Whether every third instant of a calendar is listed twice, the second time with other values.
    pub repeats_instants: bool,
    /// Whether settings reach the gateways.
    pub delivers: bool,
    /// Whether what no gateway keeps is kept here.
    pub keeps: bool,
    /// How answers about keys are written.
    pub spelling: Spelling,
    /// How long a key that was registered can be confirmed.
    pub window: Duration,
    /// Whether the cloud takes every key for confirmed as soon as it is registered.
    pub is_hasty: bool,
    /// Where gateways are on their home network, as they report.
    pub address: String,
    /// Members of `live_status` and `site_info` that are reported otherwise.
    pub instead: HashMap<String, Value>,
    /// By a part of the path; how often still, `None`: always.
    pub faults: Vec<(String, CloudFault, Option<u32>)>,
    pub asked: Vec<Asked>,
    /// Every token that was ever given.
    pub given: Vec<String>,
}

impl Cloud {
    pub(super) fn new(home: String) -> Self {
        let state = State {
            sites: Vec::new(),
            access: HashMap::new(),
            refresh: None,
            former: None,
            reused: 0,
            codes: HashMap::new(),
            partners: Vec::new(),
            shown_key: None,
            needs_registration: false,
            registered: Vec::new(),
            registered_key: None,
            consents: true,
            life: Duration::from_secs(8 * 3600),
            scopes: ["openid", "offline_access", "energy_device_data", "energy_cmds"]
                .map(String::from)
                .into(),
            lag: Duration::ZERO,
            repeats_instants: false,
            delivers: true,
            keeps: true,
            spelling: Spelling::default(),
            window: WINDOW,
            is_hasty: false,
            address: "127.0.0.1".into(),
            instead: HashMap::new(),
            faults: Vec::new(),
            asked: Vec::new(),
            given: Vec::new(),
        };
        Self { home, state: Mutex::new(state) }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The owner withdrew the consent, or changed the password.
    pub fn revoke(&mut self) {
        self.access.clear();
        self.refresh = None;
    }

    /// New tokens: access and refresh.
    pub fn log_in(&mut self) -> (String, String) {
        let number = self.given.len();
        let expires = unix_time() + self.life.as_secs_f64();
        let claims = json!({
            "iss": "https://fleet-auth.tesla.com", "sub": "simulated-account", "exp": expires as i64,
            "scp": self.scopes, "ou_code": "NA", "jti": number,
        });
        let part = |text: String| BASE64_URL_SAFE_NO_PAD.encode(text);
        let access = format!("{}.{}.sig{number}", part(r#"{"alg":"none"}"#.into()), part(claims.to_string()));
        let refresh = format!("NA_simulated-refresh-{number}");
        self.access.insert(access.clone(), Instant::now() + self.life);
        self.former = self.refresh.replace(refresh.clone());
        self.given.extend([access.clone(), refresh.clone()]);
        (access, refresh)
    }

    /// New tokens for a refresh token, if it may still be used.
    pub fn renew(&mut self, token: &str) -> Option<(String, String)> {
        if self.refresh.as_deref() == Some(token) {
            self.former = None;
        } else if self.former.as_deref() == Some(token) {
            // The client lost the answer; what it was is void.
            self.refresh = self.former.take();
        } else {
            self.reused += u64::from(self.given.iter().any(|given| given == token));
            return None;
        }
        Some(self.log_in())
    }

    /// The fault of a request to `path`.
    pub fn fault(&mut self, path: &str) -> Option<CloudFault> {
        let at = self.faults.iter().position(|(part, _, times)| path.contains(part) && *times != Some(0))?;
        let (_, fault, times) = &mut self.faults[at];
        if let Some(times) = times {
            *times -= 1;
        }
        Some(fault.clone())
    }
}
