//! When the lifetime energies are asked for, which the gateway's customer API reports and TEDAPI does not.
//!
//! A way of its own, however it fares: what goes wrong here only rests the energies, and the readings go on.
//! Logging in is the only thing that could do harm, so it is done rarely.

use std::time::Duration;

use awc::http::header;
use bytes::Bytes;
use log::{Level, info, log};
use tokio::time::Instant;

use crate::link::https::Call;
use crate::link::login::Customer;
use crate::link::login::is_refusal;
use crate::link::{LinkError, silence};
use crate::pause::{Growth, Pause};

const PATH: &str = "/api/meters/aggregates";
const EVERY: Duration = Duration::from_secs(120);
const LONGEST_PAUSE: Duration = Duration::from_secs(6 * 3600);
const FAILED: Growth = Growth::Doubling { first: Duration::from_secs(300), longest: LONGEST_PAUSE };
/// Of a gateway that has no such thing.
const ABSENT: Growth = Growth::Doubling { first: Duration::from_secs(600), longest: LONGEST_PAUSE };
/// Trying refused credentials again would use up logins for nothing.
const REFUSED: Growth = Growth::constant(LONGEST_PAUSE);
/// From one login to the next. A token that ends early must not use up the ten logins of a day: connecting
/// needs them.
const LOGIN_EVERY: Duration = Duration::from_secs(4 * 3600);
/// How long the first login waits where logins are not written down: a program that is started again and
/// again stays within 3 logins in 10 minutes all the same.
const FORGETFUL_PAUSE: Duration = Duration::from_secs(240);

/// What is due of the lifetime energies of one gateway, and what went wrong.
pub struct Energies {
    /// The id of the gateway, for the log.
    gateway: String,
    /// When they are asked for next.
    pause: Pause,
    /// Whether the next exchange is a login.
    wants_login: bool,
    /// When a login is worth trying next.
    login: Pause,
    /// Whether there was an answer since the last login.
    is_proven: bool,
    /// Why the energies rest.
    problem: Option<LinkError>,
}

impl Energies {
    /// `remembers`: whether logins are written down, so that a restart does not forget them.
    pub fn new(gateway: &str, remembers: bool) -> Self {
        let now = Instant::now();
        let mut login = Pause::new(Growth::constant(LOGIN_EVERY), now);
        if !remembers {
            login.wait(FORGETFUL_PAUSE, now);
        }
        Self {
            gateway: gateway.to_owned(),
            pause: Pause::new(FAILED, now),
            wants_login: false,
            login,
            is_proven: true,
            problem: None,
        }
    }

    /// Another gateway: what is known of the former one does not count.
    pub fn start_over(&mut self, now: Instant) {
        self.pause.succeeded(now);
        self.problem = None;
    }

    pub fn is_due(&self, now: Instant) -> bool {
        !self.pause.rests(now)
    }

    /// Why they rest, if they do.
    pub fn problem(&self) -> Option<&LinkError> {
        self.problem.as_ref()
    }

    /// The next exchange: a question, or the login that it needs. What was answered, if it was the question.
    /// Whether it was of use is for [`Energies::note`].
    pub async fn proceed(&mut self, customer: Customer<'_>) -> Result<Option<Bytes>, LinkError> {
        let Customer { exchange, login, may_log_in } = customer;
        // Should this exchange be given up from outside, it is not repeated at once.
        self.pause.begin(Instant::now());
        if std::mem::take(&mut self.wants_login) {
            login.token(exchange).await?;
            let now = Instant::now();
            self.login.succeeded_for(LOGIN_EVERY, now);
            self.is_proven = false;
            self.pause.end(now);
            return Ok(None);
        }
        let held = login.recalled().await;
        let is_held = held.is_some();
        let question = Call::get(PATH);
        // Without a token it is asked all the same: only a gateway that is there and says no is worth a
        // login.
        let question = match held {
            Some(token) => question.with(header::AUTHORIZATION, token),
            None => question,
        };
        let answer = exchange.exchange(question).await?;
        if !is_refusal(&answer) {
            let answer = answer.ok(PATH, login.hint())?;
            self.is_proven = true;
            return Ok(Some(answer));
        }
        if !may_log_in {
            return Err(LinkError::NotFound("lifetime energies for the login that TEDAPI uses".into()));
        }
        let now = Instant::now();
        if let Some(left) = self.login.left(now).filter(|_| self.is_proven) {
            self.pause.wait(left, now);
            return Ok(None);
        }
        let is_fresh = !self.is_proven;
        if is_fresh || (is_held && !login.forget().await) {
            return answer.ok(PATH, login.hint()).map(Some);
        }
        self.wants_login = true;
        self.pause.end(Instant::now());
        Ok(None)
    }

    /// Decides when to go on.
    pub fn note(&mut self, outcome: Result<(), &LinkError>) {
        let now = Instant::now();
        let Err(error) = outcome else {
            if self.problem.take().is_some() {
                let id = self.gateway.as_str();
                info!(gateway = id; "gateway {id}: reports its lifetime energies again");
            }
            self.pause.succeeded_for(EVERY, now);
            return;
        };
        let growth = match error {
            LinkError::Refused { .. } => REFUSED,
            LinkError::LoginBudget { left } => Growth::constant(*left),
            LinkError::NotFound(_) => ABSENT,
            _ => FAILED,
        };
        self.pause.failed_as(growth, now);
        if let Some(asked) = silence::asked(error) {
            self.pause.at_least(asked, now);
        }
        if self.problem.as_ref().map(LinkError::kind) != Some(error.kind()) {
            let (id, seconds) = (self.gateway.as_str(), self.pause.left(now).unwrap_or_default().as_secs());
            let level = match error {
                LinkError::NotFound(_) => Level::Info,
                _ => Level::Warn,
            };
            log!(
                level, gateway = id, kind = error.kind();
                "gateway {id}: no lifetime energies for {seconds} s; the readings go on: {error}"
            );
        }
        self.problem = Some(error.clone());
    }
}
