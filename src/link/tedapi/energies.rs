//! When the lifetime energies are asked for, which TEDAPI does not tell and the gateway's customer API does.
//!
//! A way of its own, however it fares: what goes wrong here only rests the energies, and the readings go on.
//! Logging in is the only thing that could do harm, so it is done rarely.

use std::time::Duration;

use awc::http::header;
use bytes::Bytes;
use log::{info, warn};
use tokio::time::Instant;

use crate::link::https::Call;
use crate::link::login::Customer;
use crate::link::login::is_refusal;
use crate::link::{LinkError, silence};

const PATH: &str = "/api/meters/aggregates";
const EVERY: Duration = Duration::from_secs(120);
/// The first pause after a failure; doubled with each further one.
const PAUSE: Duration = Duration::from_secs(300);
/// The first pause of a gateway that has no such thing, likewise.
const ABSENT_PAUSE: Duration = Duration::from_secs(600);
/// The longest pause, and the one after refused credentials: trying those again would use up logins for nothing.
const LONGEST_PAUSE: Duration = Duration::from_secs(6 * 3600);
/// From one login to the next. A token that ends early must not use up the ten logins of a day: connecting needs them.
const LOGIN_EVERY: Duration = Duration::from_secs(4 * 3600);
/// How long the first login waits where logins are not written down: a program that is started again and again stays
/// within 3 logins in 10 minutes all the same.
const FORGETFUL_PAUSE: Duration = Duration::from_secs(240);

/// What is due of the lifetime energies of one gateway, and what went wrong.
pub struct Energies {
    /// How the gateway is called in the log.
    host: String,
    /// Nothing is asked before.
    due: Instant,
    /// Whether the next exchange is a login.
    wants_login: bool,
    /// No login before.
    login_from: Instant,
    /// Whether there was an answer since the last login.
    is_proven: bool,
    /// In a row.
    failures: u32,
    /// Why the energies rest.
    problem: Option<LinkError>,
}

impl Energies {
    /// `remembers`: whether logins are written down, so that a restart does not forget them.
    pub fn new(host: &str, remembers: bool) -> Self {
        let now = Instant::now();
        Self {
            host: host.to_owned(),
            due: now,
            wants_login: false,
            login_from: if remembers { now } else { now + FORGETFUL_PAUSE },
            is_proven: true,
            failures: 0,
            problem: None,
        }
    }

    pub fn is_due(&self, now: Instant) -> bool {
        self.due <= now
    }

    /// Why they rest, if they do.
    pub fn problem(&self) -> Option<&LinkError> {
        self.problem.as_ref()
    }

    /// The next exchange: a question, or the login that it needs. What was answered, if it was the question. Whether
    /// it was of use is for [`Energies::note`].
    pub async fn proceed(&mut self, customer: Customer<'_>) -> Result<Option<Bytes>, LinkError> {
        let Customer { exchange, login, may_log_in } = customer;
        if std::mem::take(&mut self.wants_login) {
            login.token(exchange).await?;
            self.login_from = Instant::now() + LOGIN_EVERY;
            self.is_proven = false;
            return Ok(None);
        }
        let held = login.recalled().await;
        let is_held = held.is_some();
        let question = Call::get(PATH);
        // Without a token it is asked all the same: only a gateway that is there and says no is worth a login.
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
        if Instant::now() < self.login_from && self.is_proven {
            self.due = self.login_from;
            return Ok(None);
        }
        let is_fresh = !self.is_proven;
        if is_fresh || (is_held && !login.forget().await) {
            return answer.ok(PATH, login.hint()).map(Some);
        }
        self.wants_login = true;
        Ok(None)
    }

    /// Decides when to go on.
    pub fn note(&mut self, outcome: Result<(), &LinkError>) {
        let now = Instant::now();
        let Err(error) = outcome else {
            if self.problem.take().is_some() {
                info!("{} tells its lifetime energies again", self.host);
            }
            self.failures = 0;
            self.due = now + EVERY;
            return;
        };
        let doubled = |pause: Duration| (pause * 2_u32.pow(self.failures.min(7))).min(LONGEST_PAUSE);
        let pause = match error {
            LinkError::Refused { .. } => LONGEST_PAUSE,
            LinkError::LoginBudget { left } => *left,
            LinkError::NotFound(_) => doubled(ABSENT_PAUSE),
            error => doubled(PAUSE).max(silence::asked(error).unwrap_or_default()),
        };
        self.failures += 1;
        self.due = now + pause;
        if self.problem.as_ref().map(LinkError::kind) != Some(error.kind()) {
            let (host, seconds) = (&self.host, pause.as_secs());
            let told = format!("{host}: no lifetime energies for {seconds} s, the readings go on: {error}");
            match error {
                LinkError::NotFound(_) => info!("{told}"),
                _ => warn!("{told}"),
            }
        }
        self.problem = Some(error.clone());
    }
}
