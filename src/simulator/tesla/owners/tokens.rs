//! The tokens of the owners API: who has which, and what is given for a code or a refresh token. Tokens that
//! were asked for over HTTP/1.1 are spoiled, and a refresh token holds once.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::Bytes;
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::clock::unix_time;
use crate::simulator::http::Answer;
use crate::simulator::tesla::authorize::plain;
use crate::simulator::tesla::replies::error;
use crate::simulator::tesla::state::Cloud;

/// What the account is called.
const EMAIL: &str = "owner@example.com";

/// Tokens that were given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Minted {
    /// Whether they were asked for over HTTP/2; over anything else they are spoiled.
    pub over_http2: bool,
    /// Whether the connection had TLS 1.3.
    pub over_tls_1_3: bool,
}

/// The account, and what was given for it.
pub(super) struct Shared {
    /// Sites, access tokens, faults, and what was asked.
    pub cloud: Cloud,
    tokens: Mutex<Tokens>,
}

#[derive(Default)]
pub(super) struct Tokens {
    /// The refresh token that holds.
    pub refresh: Option<String>,
    /// How often each was sent.
    pub sent: HashMap<String, u32>,
    /// Access tokens that are refused when they are used.
    pub spoiled: HashSet<String>,
    /// Codes that may be exchanged, each once, with the challenge of who asked for it.
    pub codes: HashMap<String, String>,
    pub minted: Vec<Minted>,
    /// Whether a renewal gives no refresh token and leaves the old one.
    pub keeps: bool,
}

impl Shared {
    pub fn new(home: String) -> Self {
        Self { cloud: Cloud::new(home), tokens: Mutex::default() }
    }

    pub fn tokens(&self) -> MutexGuard<'_, Tokens> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// New tokens: access and refresh.
    pub fn give(&self, minted: Minted) -> (String, String) {
        let mut state = self.cloud.state();
        let (number, life) = (state.given.len(), state.life);
        let claims = json!({
            "iss": "https://auth.tesla.com/oauth2/v3", "aud": ["https://owner-api.teslamotors.com/"],
            "scp": ["openid", "email", "offline_access"], "x-enc": "simulated",
            "exp": (unix_time() + life.as_secs_f64()) as i64, "jti": number,
        });
        let part = |text: String| BASE64_URL_SAFE_NO_PAD.encode(text);
        let access = format!("{}.{}.own{number}", part(r#"{"alg":"none"}"#.into()), part(claims.to_string()));
        let refresh = format!("simulated-owners-refresh-{number}");
        state.access.insert(access.clone(), Instant::now() + life);
        state.given.extend([access.clone(), refresh.clone()]);
        drop(state);
        let mut tokens = self.tokens();
        tokens.minted.push(minted);
        if !minted.over_http2 {
            tokens.spoiled.insert(access.clone());
        }
        (access, refresh)
    }

    /// Tokens as an app on a phone makes them: access and refresh.
    pub fn pair(&self) -> (String, String) {
        let pair = self.give(Minted { over_http2: true, over_tls_1_3: true });
        let mut tokens = self.tokens();
        tokens.refresh = Some(pair.1.clone());
        tokens.minted.clear();
        pair
    }

    /// A token file of pypowerwall with new tokens.
    pub fn file(&self) -> String {
        let (access, refresh) = self.pair();
        let life = self.cloud.state().life.as_secs_f64();
        let file = json!({ EMAIL: {
            "url": "https://auth.tesla.com/",
            "sso": {
                "token_type": "Bearer", "access_token": access, "refresh_token": refresh,
                "expires_at": (unix_time() + life) as i64, "expires_in": life as i64,
            },
        }});
        serde_json::to_string_pretty(&file).unwrap_or_default()
    }

    /// The owner changed the password.
    pub fn revoke(&self) {
        self.cloud.expire_tokens();
        self.tokens().refresh = None;
    }

    /// Every access token that was given is refused when it is used.
    pub fn spoil(&self) {
        let given = self.cloud.state().given.clone();
        self.tokens().spoiled.extend(given);
    }
}

/// A member of a form, or of a JSON object: Tesla takes both.
fn field(body: &Bytes, name: &str) -> String {
    if let Ok(Value::Object(members)) = serde_json::from_slice(body) {
        return members.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    }
    in_form(&String::from_utf8_lossy(body), name)
}

fn in_form(form: &str, name: &str) -> String {
    let mut fields = form.split('&').filter_map(|field| field.split_once('='));
    fields.find(|(key, _)| *key == name).map(|(_, value)| plain(value)).unwrap_or_default()
}

pub(super) fn count(shared: &Shared, body: &Bytes) {
    let sent = field(body, "refresh_token");
    if !sent.is_empty() {
        *shared.tokens().sent.entry(sent).or_default() += 1;
    }
}

/// Sends the browser back with a code. This owner needs no page.
pub(super) fn authorize(shared: &Shared, path: &str) -> Answer {
    let query = path.split_once('?').map(|(_, query)| query).unwrap_or_default();
    let value = |name: &str| in_form(query, name);
    let expected = [
        ("client_id", "ownerapi"),
        ("response_type", "code"),
        ("redirect_uri", "tesla://auth/callback"),
        ("code_challenge_method", "S256"),
        ("scope", "openid email offline_access"),
    ];
    if let Some((odd, _)) = expected.iter().find(|(name, expected)| value(name) != *expected) {
        return Answer::new(400, json!({ "error": format!("invalid {odd}") }).to_string());
    }
    if value("state").len() < 16 {
        return Answer::new(400, json!({ "error": "invalid_state" }).to_string());
    }
    let mut state = shared.cloud.state();
    let code = format!("simulated-owners-code-{}", state.given.len());
    state.given.push(code.clone());
    let consents = state.consents;
    drop(state);
    shared.tokens().codes.insert(code.clone(), value("code_challenge"));
    let issuer = "https%3A%2F%2Fauth.tesla.com%2Foauth2%2Fv3";
    let query = match consents {
        true => format!("code={code}&state={}&issuer={issuer}", value("state")),
        false => format!("error=login_cancelled&state={}&issuer={issuer}", value("state")),
    };
    Answer { status: 302, headers: format!("Location: tesla://auth/callback?{query}\r\n"), body: "".into() }
}

pub(super) fn token(shared: &Shared, body: &Bytes, minted: Minted) -> Answer {
    if field(body, "client_id") != "ownerapi" {
        return error(401, "invalid_client");
    }
    let keeps = shared.tokens().keeps;
    let given = match field(body, "grant_type").as_str() {
        "refresh_token" => {
            let sent = field(body, "refresh_token");
            let mut tokens = shared.tokens();
            if tokens.refresh.as_deref() != Some(&sent) {
                return error(401, "login_required");
            }
            drop(tokens.refresh.take());
            drop(tokens);
            let (access, new) = shared.give(minted);
            let new = if keeps { None } else { Some(new) };
            shared.tokens().refresh = Some(new.clone().unwrap_or(sent));
            (access, new)
        }
        "authorization_code" => {
            let challenge = shared.tokens().codes.remove(&field(body, "code"));
            let proof = digest(&SHA256, field(body, "code_verifier").as_bytes());
            if challenge != Some(BASE64_URL_SAFE_NO_PAD.encode(proof)) {
                return error(400, "invalid_grant");
            }
            let (access, new) = shared.give(minted);
            shared.tokens().refresh = Some(new.clone());
            (access, Some(new))
        }
        _ => return error(400, "unsupported_grant_type"),
    };
    let identity = BASE64_URL_SAFE_NO_PAD.encode(json!({ "email": EMAIL }).to_string());
    let mut answer = json!({
        "access_token": given.0, "id_token": format!("e30.{identity}.x"), "token_type": "Bearer",
        "expires_in": shared.cloud.state().life.as_secs(),
    });
    if let Some(refresh) = given.1 {
        answer["refresh_token"] = refresh.into();
    }
    Answer::new(200, answer.to_string())
}
