//! A login by password for a token, and requests that need one.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use awc::http::{Method, header};
use bytes::Bytes;
use tokio::time::Instant;

use crate::link::https::{Answer, Call, Exchange, secret_header};
use crate::link::memory::{Memory, Session};
use crate::link::{LinkError, bounds, json};
use crate::settings::Secret;

pub(super) const PATH: &str = "/api/login/Basic";
/// After a session that was just given was refused, no other one is asked for during this time.
pub(super) const DOUBT: Duration = Duration::from_secs(600);
/// No gateway gives more.
pub(super) const LONGEST_CREDENTIAL: usize = 4096;
const ANY_TIMEZONE: &str = "America/Los_Angeles";

/// Who logs in. A token lives for about an hour; that it no longer holds, the gateway says.
pub struct Login {
    user: &'static str,
    email: &'static str,
    password: Secret,
    timezone: String,
    /// What to do when the password is refused.
    hint: &'static str,
    /// Where the token outlives this program, and logins are counted.
    memory: Arc<Memory>,
    /// When a token was refused although the login was the last thing before.
    doubted: Cell<Option<Instant>>,
}

impl Login {
    pub fn customer(password: &Secret, timezone: Option<&str>, memory: Arc<Memory>) -> Self {
        Self {
            user: "customer",
            email: "customer@customer.domain",
            password: password.clone(),
            timezone: timezone.unwrap_or(ANY_TIMEZONE).to_owned(),
            hint: "the customer password is wrong: it is the last five characters of the password on the \
                gateway's sticker (PW_GW_PWD), unless the owner chose another one (PW_PASSWORD)",
            memory,
            doubted: Cell::new(None),
        }
    }

    pub fn installer(password: &Secret, timezone: Option<&str>, memory: Arc<Memory>) -> Self {
        Self {
            user: "installer",
            email: "installer@tesla.com",
            hint: "check the gateway password (PW_GW_PWD, on the sticker); the installer login works on \
                solar inverters only, not on a Powerwall 2 or 3",
            ..Self::customer(password, timezone, memory)
        }
    }

    /// The body of the answer to `call`. A token that no longer holds is renewed, once.
    ///
    /// # Errors
    /// The exchange fails, the gateway refuses the credentials, or no login is allowed now.
    pub async fn send(&self, exchange: &impl Exchange, call: &Call) -> Result<Bytes, LinkError> {
        self.memory.recall().await;
        let held = self.held();
        let was_held = held.is_some();
        // Without a token it is asked all the same: only a gateway that is there and says no is worth a
        // login.
        let first = match held {
            Some(token) => call.clone().with(header::AUTHORIZATION, token),
            None => call.clone(),
        };
        let mut answer = exchange.exchange(first).await?;
        if is_refusal(&answer) && (!was_held || self.forget().await) {
            answer = self.authorized(exchange, call).await?;
            self.judge(&answer);
        }
        answer.ok(&call.path, self.hint)
    }

    /// Judges the answer to the first request with a new token. If that is refused, logging in has nothing to
    /// do with it, and another login would not help. An old token that is refused meanwhile proves nothing,
    /// and makes the doubt no longer.
    pub fn judge(&self, answer: &Answer) {
        if is_refusal(answer) {
            self.doubted.set(Some(Instant::now()));
        }
    }

    async fn authorized(&self, exchange: &impl Exchange, call: &Call) -> Result<Answer, LinkError> {
        let token = self.token(exchange).await?;
        exchange.exchange(call.clone().with(header::AUTHORIZATION, token)).await
    }

    /// The token of the last login, or of a new one if the gateway bears one.
    ///
    /// # Errors
    /// The login fails, its answer holds no token, or no login is allowed now.
    pub async fn token(&self, exchange: &(impl Exchange + ?Sized)) -> Result<header::HeaderValue, LinkError> {
        self.memory.recall().await;
        if let Some(token) = self.held() {
            return Ok(token);
        }
        self.memory.spend_login().await?;
        let call = login(self.user, &self.password, self.email, &self.timezone);
        let body = exchange.exchange(call).await?.ok(PATH, self.hint)?;
        readable(&body)?;
        let token = bearer(&body);
        let header = token.as_ref().and_then(|token| secret_header(token.expose()));
        let (Some(token), Some(header)) = (token, header) else {
            return Err(LinkError::Malformed { what: "the login".into(), why: "it holds no token".into() });
        };
        self.memory.keep_session(Some(Session::Token(token))).await;
        Ok(header)
    }

    /// The token of the last login, of this program or of the one before it.
    pub async fn recalled(&self) -> Option<header::HeaderValue> {
        self.memory.recall().await;
        self.held()
    }

    /// What to do when the password is refused.
    pub fn hint(&self) -> &'static str {
        self.hint
    }

    fn held(&self) -> Option<header::HeaderValue> {
        match self.memory.session()? {
            Session::Token(token) => secret_header(token.expose()),
            Session::Cookies { .. } => None,
        }
    }

    /// Forgets the token, if there is one and another login may help. Whether it did.
    pub async fn forget(&self) -> bool {
        let is_doubted = self.doubted.get().is_some_and(|since| since.elapsed() < DOUBT);
        let forgets = self.held().is_some() && !is_doubted;
        if forgets {
            self.memory.keep_session(None).await;
        }
        forgets
    }
}

/// A login. It must not be sent without having been counted.
pub(super) fn login(user: &str, password: &Secret, email: &str, timezone: &str) -> Call {
    let login = serde_json::json!({
        "username": user, "password": password.expose(), "email": email,
        "clientInfo": { "timezone": timezone },
    });
    Call {
        method: Method::POST,
        path: PATH.into(),
        headers: vec![(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"))],
        body: login.to_string().into(),
        only_reads: false,
    }
}

/// Whether the answer to a login is small enough to be read.
pub(super) fn readable(answer: &[u8]) -> Result<(), LinkError> {
    bounds::LOGIN.check(answer).map_err(|why| LinkError::unusable("the login", &why.into()))
}

/// `Authorization` by the token in the answer to a login.
pub(super) fn bearer(answer: &[u8]) -> Option<Secret> {
    let answer = json::document(answer, &bounds::LOGIN).ok()?;
    let token = answer.get("token")?.as_str()?;
    let is_plain = (1..=LONGEST_CREDENTIAL).contains(&token.len());
    is_plain.then(|| Secret::new(format!("Bearer {token}")))
}

pub(super) fn is_refusal(answer: &Answer) -> bool {
    matches!(answer.status, 401 | 403)
}

/// The customer API of a gateway.
#[derive(Clone, Copy)]
pub struct Customer<'a> {
    pub exchange: &'a dyn Exchange,
    /// Whose token is good there.
    pub login: &'a Login,
    /// Whether it may be logged in to for this alone. Otherwise only a token that is there is used.
    pub may_log_in: bool,
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use futures_util::future::LocalBoxFuture;
    use tokio::time::advance;

    use super::*;
    use crate::link::knock::Knock;

    /// Gives tokens, and accepts none of them for a while.
    #[derive(Default)]
    struct Gateway {
        accepts_tokens: Cell<bool>,
        logins: RefCell<Vec<Instant>>,
    }

    impl Exchange for Gateway {
        fn knock(&self, _: Duration) -> LocalBoxFuture<'_, Knock> {
            Box::pin(async { Knock::Untried })
        }

        fn exchange(&self, call: Call) -> LocalBoxFuture<'_, Result<Answer, LinkError>> {
            let answer = |status, body: String| Answer { status, body: body.into(), ..Answer::default() };
            let mut logins = self.logins.borrow_mut();
            let newest = format!("Bearer {}", logins.len());
            let answer = if call.path == PATH {
                logins.push(Instant::now());
                answer(200, format!("{{\"token\":\"{}\"}}", logins.len()))
            } else if self.accepts_tokens.get() && call.headers.iter().any(|(_, value)| *value == *newest) {
                answer(200, String::new())
            } else {
                answer(401, String::new())
            };
            Box::pin(async { Ok(answer) })
        }
    }

    /// A gateway that has started again knows no token of before, and the pauses after refusals are shorter
    /// than the doubt.
    #[tokio::test(start_paused = true)]
    async fn a_doubt_ends_while_the_old_token_goes_on_being_refused() {
        let (gateway, login) =
            (Gateway::default(), Login::installer(&Secret::new("x"), None, Memory::new("", None)));
        let ask = async || login.send(&gateway, &Call::get("/tedapi/din")).await;
        assert!(ask().await.is_err());
        let began = Instant::now();
        gateway.accepts_tokens.set(true);
        gateway.logins.borrow_mut().push(began); // somebody else's, so that the token is not the newest
        while began.elapsed() < DOUBT {
            assert!(ask().await.is_err());
            assert_eq!(gateway.logins.borrow().len(), 2, "another login would not help");
            advance(Duration::from_secs(300)).await;
        }
        ask().await.unwrap();
        assert_eq!(gateway.logins.borrow().len(), 3);
    }
}
