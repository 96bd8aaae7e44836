//! A login by password for a token, and reads that need one.

use std::time::Duration;

use awc::http::{Method, header};
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::link::LinkError;
use crate::link::https::{Answer, Call, Exchange, secret_header};
use crate::settings::Secret;

/// Tokens live for about an hour; this one is renewed before.
const TOKEN_LIFETIME: Duration = Duration::from_secs(3000);
const PATH: &str = "/api/login/Basic";
const ANY_TIMEZONE: &str = "America/Los_Angeles";

/// Who logs in, and the token of the last login.
pub(super) struct Login {
    user: &'static str,
    email: &'static str,
    password: Secret,
    timezone: String,
    /// What to do when the password is refused.
    hint: &'static str,
    /// `Authorization`, and since when it holds.
    token: Option<(header::HeaderValue, Instant)>,
}

impl Login {
    pub fn customer(password: &Secret, timezone: Option<&str>) -> Self {
        Self {
            user: "customer",
            email: "customer@customer.domain",
            password: password.clone(),
            timezone: timezone.unwrap_or(ANY_TIMEZONE).to_owned(),
            hint: "the customer password is wrong: it is the last five characters of the password on the gateway's sticker \
                   (PW_GW_PWD), unless the owner chose another one (PW_PASSWORD)",
            token: None,
        }
    }

    pub fn installer(password: &Secret, timezone: Option<&str>) -> Self {
        Self {
            user: "installer",
            email: "installer@tesla.com",
            hint: "check the gateway password (PW_GW_PWD, on the sticker); the login as installer works on solar inverters \
                   only, not on a Powerwall 2 or 3",
            ..Self::customer(password, timezone)
        }
    }

    /// A token that holds, from the last login or a new one.
    pub async fn token(&mut self, exchange: &impl Exchange) -> Result<header::HeaderValue, LinkError> {
        if let Some((token, since)) = &self.token
            && since.elapsed() < TOKEN_LIFETIME
        {
            return Ok(token.clone());
        }
        self.token = None;
        let login = json!({
            "username": self.user, "password": self.password.expose(), "email": self.email,
            "clientInfo": { "timezone": self.timezone },
        });
        let call = Call {
            method: Method::POST,
            path: PATH.into(),
            headers: vec![(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"))],
            body: login.to_string().into(),
            only_reads: false,
        };
        let body = exchange.exchange(call).await?.ok(PATH, self.hint)?;
        let answer: Option<Value> = serde_json::from_slice(&body).ok();
        let token =
            answer.as_ref().and_then(|answer| answer["token"].as_str()).filter(|token| !token.is_empty());
        let token = token.and_then(|token| secret_header(&format!("Bearer {token}")));
        let token = token.ok_or_else(|| LinkError::Malformed {
            what: "the login".into(),
            why: "it holds no token".into(),
        })?;
        self.token = Some((token.clone(), Instant::now()));
        Ok(token)
    }

    /// Whether there was a token to forget.
    pub fn forget(&mut self) -> bool {
        self.token.take().is_some()
    }

    /// The body at `path`. A token that no longer holds is renewed, once.
    pub async fn get(&mut self, exchange: &impl Exchange, path: &'static str) -> Result<Bytes, LinkError> {
        self.send(exchange, &Call::get(path)).await
    }

    /// The body of the answer to `call`. A token that no longer holds is renewed, once.
    pub async fn send(&mut self, exchange: &impl Exchange, call: &Call) -> Result<Bytes, LinkError> {
        let may_renew = self.token.is_some();
        let mut answer = self.authorized(exchange, call).await?;
        if may_renew && matches!(answer.status, 401 | 403) {
            self.forget();
            answer = self.authorized(exchange, call).await?;
        }
        answer.ok(&call.path, self.hint)
    }

    async fn authorized(&mut self, exchange: &impl Exchange, call: &Call) -> Result<Answer, LinkError> {
        let token = self.token(exchange).await?;
        exchange.exchange(call.clone().with(header::AUTHORIZATION, token)).await
    }
}
