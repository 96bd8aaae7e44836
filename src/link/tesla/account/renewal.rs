//! Renews the access token of an account: one at a time, stored before it is used, and never again with a
//! refresh token that Tesla has refused.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use awc::http::{Method, header};
use serde_json::Value;
use tokio::time::Instant;

use super::{Account, SOON, fingerprint};
use crate::clock::unix_time;
use crate::files;
use crate::link::bounds::LOGIN;
use crate::link::https::{Answer, Call};
use crate::link::json::{Look, document};
use crate::link::tesla::error::{LOG_IN, TeslaError};
use crate::link::tesla::ledger::Purpose;
use crate::link::tesla::tokens::Claims;
use crate::link::tesla::web::Wires;
use crate::settings::{Secret, TokenSource};

pub(super) const PATH: &str = "/oauth2/v3/token";

/// The way to Tesla that a renewal takes along onto its own task.
#[derive(Clone)]
pub struct Renewer(Rc<dyn Wires>);

impl Renewer {
    pub fn new(wires: Rc<dyn Wires>) -> Self {
        Self(wires)
    }

    pub fn wires(&self) -> &dyn Wires {
        &*self.0
    }
}

impl Account {
    /// A token to ask with: the one there is, or a new one.
    pub(super) async fn access(self: &Arc<Self>, web: &Renewer) -> Result<Secret, TeslaError> {
        if let TokenSource::Pasted(token) = &self.config.source {
            return Ok(token.clone());
        }
        if let Some(token) = self.good_token(self.room()) {
            return Ok(token);
        }
        let (account, web) = (self.clone(), web.clone());
        // A caller that gives up must not cut an exchange that uses up the refresh token.
        let renewal = actix::spawn(async move { account.renew(&web).await });
        let outcome = renewal.await.unwrap_or_else(|error| Err(TeslaError::Malformed(error.to_string())));
        match outcome {
            // What cannot be renewed is good until it is over.
            Err(error) => self.good_token(Duration::ZERO).ok_or(error),
            outcome => outcome,
        }
    }

    /// How long before its end an access token is renewed. One of the owners API is used until it is over:
    /// each renewal there is a risk.
    fn room(&self) -> Duration {
        if self.config.source.is_owners() { Duration::ZERO } else { SOON }
    }

    /// The access token, if it holds for longer than `room`.
    pub(super) fn good_token(&self, room: Duration) -> Option<Secret> {
        let state = self.state();
        let holds = state.expires.is_none_or(|end| end > Instant::now() + room);
        state.file.access_token().filter(|_| holds)
    }

    async fn renew(self: &Arc<Self>, web: &Renewer) -> Result<Secret, TeslaError> {
        let _only = self.renewing.lock().await;
        // Somebody else may have renewed it: another link, or another program that shares the file.
        self.read_tokens().await;
        if let Some(token) = self.good_token(self.room()) {
            return Ok(token);
        }
        if self.config.source.is_owners() {
            return self.renew_owners(web).await;
        }
        let (refresh, client) = {
            let state = self.state();
            if let Some(trouble) = state.trouble.as_ref().filter(|_| state.renewal.rests(Instant::now())) {
                return Err(trouble.clone());
            }
            (state.file.refresh_token(), state.file.client_id().map(str::to_owned))
        };
        let needed = |what: &str| {
            let why = format!("the token file has no {what}; run powerwall-server login");
            TeslaError::LoginNeeded(why)
        };
        let refresh = refresh.ok_or_else(|| needed("refresh_token"))?;
        let client = client.ok_or_else(|| needed("CLIENT_ID"))?;
        if self.state().refused.as_ref() == Some(&fingerprint(&refresh)) {
            return Err(TeslaError::LoginNeeded(LOG_IN.into()));
        }
        let outcome = self.exchange(web, &refresh, &client).await;
        if let Err(error) = &outcome {
            self.failed(error, &refresh).await;
        }
        outcome
    }

    /// Sends the refresh token, twice with the same one if the answer was lost, which Tesla bears with for a
    /// day.
    async fn exchange(&self, web: &Renewer, refresh: &Secret, client: &str) -> Result<Secret, TeslaError> {
        let mut is_repeated = false;
        let answer = loop {
            self.admit(Purpose::Token).await?;
            match web.wires().send(&self.config.auth, refresh_call(refresh, client)).await {
                Err(TeslaError::Unreachable(_) | TeslaError::Timeout(_)) if !is_repeated => {
                    is_repeated = true;
                }
                outcome => break outcome?,
            }
        };
        self.store(renewed(&answer)?, refresh).await
    }

    /// Writes the new tokens down, then makes them count.
    async fn store(&self, new: Renewed, refresh: &Secret) -> Result<Secret, TeslaError> {
        let TokenSource::File(path) = &self.config.source else { return Ok(new.access) };
        let (file, text) = {
            let mut file = self.state().file.clone();
            file.renew(&new.access, new.refresh.as_ref().unwrap_or(refresh));
            let text = file.text();
            (file, text)
        };
        // What cannot be written is logged and tried again; the old refresh token is gone either way.
        let written = files::keep(path, "the tokens for FleetAPI", text.clone()).await;
        let mut state = self.state();
        let now = Instant::now();
        let claimed = || Duration::try_from_secs_f64(Claims::of(&new.access).expires? - unix_time()).ok();
        state.expires = new.lives.or_else(claimed).map(|life| now + life);
        state.file = file;
        if written.is_ok() {
            state.text = text;
        }
        (state.trouble, state.refused) = (None, None);
        state.minted = Some(fingerprint(&new.access));
        state.renewal.succeeded(now);
        Ok(new.access)
    }

    pub(super) async fn failed(&self, error: &TeslaError, refresh: &Secret) {
        let is_final = matches!(error, TeslaError::LoginNeeded(_));
        {
            let (mut state, now) = (self.state(), Instant::now());
            state.renewal.failed(now);
            state.trouble = Some(error.clone());
            if is_final {
                state.refused = Some(fingerprint(refresh));
            }
        }
        if is_final {
            log::warn!(event = "tesla_login_needed"; "the Tesla account: {error}");
            self.write_ledger().await;
        }
    }
}

fn refresh_call(refresh: &Secret, client: &str) -> Call {
    let fields =
        [("grant_type", "refresh_token"), ("client_id", client), ("refresh_token", refresh.expose())];
    form_call(&fields)
}

/// A form for the place where tokens are given.
pub(in crate::link::tesla) fn form_call(fields: &[(&str, &str)]) -> Call {
    let body = encoded_form(fields);
    let form = header::HeaderValue::from_static("application/x-www-form-urlencoded");
    // Not a reading: what may have arrived is repeated by this module alone.
    let (headers, body) = (vec![(header::CONTENT_TYPE, form)], body.into());
    Call { method: Method::POST, path: PATH.into(), headers, body, only_reads: false }
}

/// The body of a form.
pub(in crate::link::tesla) fn encoded_form(fields: &[(&str, &str)]) -> String {
    let fields: Vec<String> = fields.iter().map(|(key, value)| format!("{key}={}", encoded(value))).collect();
    fields.join("&")
}

/// As a value of a form or a query.
pub(in crate::link::tesla) fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match plain(byte) {
            true => encoded.push(char::from(byte)),
            false => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

/// What Tesla gave for a refresh token or a code.
pub struct Renewed {
    pub access: Secret,
    /// `None`: the old one goes on.
    pub refresh: Option<Secret>,
    pub(in crate::link::tesla) lives: Option<Duration>,
}

/// # Errors
/// With what the answer says instead of tokens.
pub(in crate::link::tesla) fn renewed(answer: &Answer) -> Result<Renewed, TeslaError> {
    let body: Value = document(&answer.body, &LOGIN).unwrap_or_default();
    if answer.status != 200 {
        let word = body.at(&["error"]).name().unwrap_or_default();
        let is_final = ["login_required", "invalid_grant"].iter().any(|known| word.contains(known));
        return Err(match TeslaError::of(answer, "token", "") {
            _ if is_final => TeslaError::LoginNeeded(LOG_IN.into()),
            // It says nothing of the refresh token.
            TeslaError::Expired => TeslaError::SetUp("it does not accept this client id".into()),
            error => error,
        });
    }
    let secret = |key: &str| body.at(&[key]).name().map(Secret::new);
    let access = secret("access_token");
    let access = access.ok_or_else(|| TeslaError::Malformed("it holds no access token".into()))?;
    let lives = body.at(&["expires_in"]).as_u64().map(Duration::from_secs);
    Ok(Renewed { access, refresh: secret("refresh_token"), lives })
}
