//! The customer API of a gateway: logs in with the customer password and asks what is due, one exchange at a
//! time.
//!
//! The meters are asked at every poll, and they alone decide whether the session is still good: a gateway
//! refuses single endpoints to customers, and logging in again for each of those is how clients get locked
//! out. A Powerwall 3 over its wired LAN answers three endpoints only (Basic LAN); it is recognised by its
//! 404 on the status, and asked for that again now and then, so that no verdict is final. Where the meters
//! are open to everybody, as before firmware 20.49, other refusals decide ([`open_meters`]).

pub mod answers;
mod open_meters;
mod orders;
mod schedule;
pub mod session;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::LocalBoxFuture;
use tokio::time::Instant;

use crate::link::aside::aside;
use crate::link::https::{Exchange, Https};
use crate::link::knock::Knock;
use crate::link::login::DOUBT;
use crate::link::memory::{Memory, Session};
use crate::link::order::{Carried, ReadBack};
use crate::link::{Link, LinkError, Refreshed};
use crate::model::{Answers, LinkKind, Means, Order, OrderKind, Setpoint, Unable};
use crate::settings::LocalConfig;
use answers::{CustomerAnswers, Doubt, Endpoint};
use open_meters::OpenMeters;
use schedule::{CONFIRM_EVERY, Schedule};

/// Firmware from here on has no vitals.
const NO_VITALS_SINCE: (u32, u32) = (23, 44);
const REFUSED: &str = "the login was good, but the gateway refuses to answer; several clients may ask it too \
    much, or its firmware may not allow this to customers";

/// How much of the customer API a gateway has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Surface {
    Unknown,
    Full,
    BasicLan,
}

pub struct LocalLink<X> {
    /// The id of the gateway, for the log.
    gateway: String,
    web: X,
    config: LocalConfig,
    /// Session and login budget.
    memory: Arc<Memory>,
    /// The last good answers.
    answers: CustomerAnswers,
    schedule: Schedule,
    surface: Surface,
    /// When a session was refused that had just been given.
    doubted: Option<Instant>,
    /// Whether a poll failed since the DIN was read: a gateway may have been replaced meanwhile.
    is_unconfirmed: bool,
    /// When an order was refused that the customer may not give.
    forbidden: Option<Instant>,
    /// Whether the meters are open to everybody, so that a login is owed to something else.
    open_meters: OpenMeters,
}

impl LocalLink<Https> {
    pub fn new(gateway: &str, config: &LocalConfig, limit: Duration, memory: Arc<Memory>) -> Self {
        let web = Https::new(&config.host, config.port, &config.certificate, limit);
        Self::over(gateway, web, config, memory)
    }
}

impl<X: Exchange> LocalLink<X> {
    /// `gateway` is the id, for the log.
    pub fn over(gateway: &str, web: X, config: &LocalConfig, memory: Arc<Memory>) -> Self {
        Self {
            gateway: gateway.to_owned(),
            web,
            config: config.clone(),
            memory,
            answers: CustomerAnswers::default(),
            schedule: Schedule::new(Instant::now()),
            surface: Surface::Unknown,
            doubted: None,
            is_unconfirmed: false,
            forbidden: None,
            open_meters: OpenMeters::new(Instant::now()),
        }
    }

    fn source(&self) -> Arc<dyn Answers> {
        Arc::new(self.answers.clone())
    }

    async fn log_in(&mut self) -> Result<Session, LinkError> {
        self.memory.spend_login().await?;
        let answer = self.web.exchange(session::login(&self.config)).await?;
        let session = session::opened(answer, self.config.auth_mode)?;
        self.memory.keep_session(Some(session.clone())).await;
        self.schedule.new_session(Instant::now());
        self.forbidden = None;
        Ok(session)
    }

    async fn ask(&self, endpoint: Endpoint, session: Option<&Session>) -> Result<Bytes, LinkError> {
        let path = endpoint.path();
        let Some(call) = session::get(path, session) else {
            return Err(LinkError::Refused { status: 401, hint: "the session is damaged".into() });
        };
        let body = self.web.exchange(call).await?.ok(path, REFUSED)?;
        // Some answer what they do not have with nothing at all.
        if body.is_empty() { Err(LinkError::NotFound(path.into())) } else { Ok(body) }
    }

    /// The meters, with the session there is or a new one. Without a session they are asked all the same:
    /// only a gateway that is there and says no is worth a login, and the oldest firmware does not say no.
    async fn meters(&mut self) -> Result<Bytes, LinkError> {
        self.memory.recall().await;
        let session = self.memory.session();
        match self.ask(Endpoint::Aggregates, session.as_ref()).await {
            Err(LinkError::Refused { .. }) if session.is_none() => {}
            Err(LinkError::Refused { .. }) if !self.is_in_doubt() => self.memory.keep_session(None).await,
            outcome => {
                if outcome.is_ok() && session.is_none() {
                    self.open_meters.found();
                }
                return outcome;
            }
        }
        self.open_meters.refuted();
        let session = self.log_in().await?;
        let outcome = self.ask(Endpoint::Aggregates, Some(&session)).await;
        if matches!(outcome, Err(LinkError::Refused { .. })) {
            self.doubted = Some(Instant::now());
        }
        outcome
    }

    fn is_in_doubt(&self) -> bool {
        self.doubted.is_some_and(|since| since.elapsed() < DOUBT)
    }

    async fn poll_once(&mut self) -> Result<Arc<dyn Answers>, LinkError> {
        let answer = match self.meters().await {
            Ok(answer) => answer,
            Err(error) => {
                // It may be another gateway that answers next.
                self.is_unconfirmed = true;
                return Err(error);
            }
        };
        self.take(Endpoint::Aggregates, answer).await?;
        self.doubted = None;
        for endpoint in self.schedule.outdated(Instant::now()) {
            self.answers.forget(endpoint);
        }
        Ok(self.source())
    }

    async fn take(&mut self, endpoint: Endpoint, answer: Bytes) -> Result<(), LinkError> {
        let (mut answers, size) = (self.answers.clone(), answer.len());
        let accept = move || answers.accept(endpoint, answer).map(|is_other| (answers, is_other));
        let accepted = aside(size, accept).await;
        let (answers, is_other) = accepted.map_err(|why| LinkError::unusable(endpoint.path(), &why))?;
        self.answers = answers;
        let now = Instant::now();
        if is_other {
            let id = self.gateway.as_str();
            log::warn!(gateway = id; "gateway {id}: another gateway answers at {}", self.config.host);
            self.schedule = Schedule::new(now);
        }
        self.schedule.answered(endpoint, now);
        self.is_unconfirmed &= endpoint != Endpoint::Status;
        match self.answers.doubt() {
            Doubt::Strong => self.schedule.confirm(Duration::ZERO, now),
            Doubt::Slight => self.schedule.confirm(CONFIRM_EVERY, now),
            Doubt::None if self.is_unconfirmed => self.schedule.confirm(CONFIRM_EVERY, now),
            Doubt::None => {}
        }
        Ok(())
    }

    /// Whether `endpoint` makes sense with this gateway.
    fn may_ask(&self, endpoint: Endpoint) -> bool {
        match endpoint {
            Endpoint::Status => true,
            endpoint if endpoint.is_basic() => true,
            _ if self.surface != Surface::Full => false,
            Endpoint::SiteName => !self.answers.has(Endpoint::SiteInfo),
            Endpoint::SolarPowerwall => !self.answers.has(Endpoint::Vitals),
            _ => true,
        }
    }

    fn due(&self, now: Instant) -> Option<Endpoint> {
        self.schedule.due(now, |endpoint| self.may_ask(endpoint))
    }

    async fn refresh_once(&mut self, endpoint: Endpoint) -> Result<(), LinkError> {
        let session = self.memory.session();
        // Should this exchange be given up from outside, it is not repeated at once.
        self.schedule.begin(endpoint, Instant::now());
        let before = self.answers.firmware();
        let outcome = match self.ask(endpoint, session.as_ref()).await {
            Ok(answer) => self.take(endpoint, answer).await,
            Err(error) => Err(error),
        };
        let now = Instant::now();
        match outcome {
            Ok(()) => {
                if endpoint != Endpoint::Status && session.is_some() {
                    self.open_meters.session_is_good(now);
                }
                if endpoint == Endpoint::Status {
                    self.set_surface(Surface::Full);
                    if before.is_some() && self.answers.firmware() != before {
                        self.schedule.new_firmware(now);
                    }
                }
                Ok(())
            }
            Err(LinkError::NotFound(_)) => {
                self.answers.forget(endpoint);
                match endpoint {
                    Endpoint::Status => {
                        self.set_surface(Surface::BasicLan);
                        self.schedule.costly(endpoint, now);
                    }
                    Endpoint::Vitals if self.answers.firmware() >= Some(NO_VITALS_SINCE) => {
                        self.schedule.costly(endpoint, now);
                    }
                    _ => self.schedule.absent(endpoint, now),
                }
                Ok(())
            }
            Err(LinkError::Refused { status, .. }) => {
                let (id, path) = (self.gateway.as_str(), endpoint.path());
                log::debug!(gateway = id, status = status; "gateway {id}: {path} is refused (HTTP {status})");
                self.answers.forget(endpoint);
                self.schedule.refused(endpoint, now);
                self.open_meters.refused(session.is_some());
                Ok(())
            }
            // All of the gateway is left alone then; an endpoint that is always busy must not cause that
            // again soon.
            Err(error @ LinkError::Busy { .. }) => {
                self.schedule.costly(endpoint, now);
                Err(error)
            }
            Err(error) => Err(error),
        }
    }

    fn set_surface(&mut self, surface: Surface) {
        if surface == self.surface {
            return;
        }
        self.surface = surface;
        self.answers.set_basic_lan(surface == Surface::BasicLan);
        if surface == Surface::BasicLan {
            let id = self.gateway.as_str();
            log::info!(
                gateway = id;
                "gateway {id}: serves three endpoints only, as a Powerwall 3 does over its wired LAN (Basic \
                 LAN)"
            );
            let beyond = Endpoint::ALL.into_iter().filter(|endpoint| !endpoint.is_basic());
            beyond.for_each(|endpoint| self.answers.forget(endpoint));
        }
    }
}

impl<X: Exchange> Link for LocalLink<X> {
    fn kind(&self) -> LinkKind {
        LinkKind::Local
    }

    fn poll(&mut self) -> LocalBoxFuture<'_, Result<Arc<dyn Answers>, LinkError>> {
        Box::pin(self.poll_once())
    }

    fn refresh(&mut self) -> LocalBoxFuture<'_, Refreshed> {
        Box::pin(async {
            let now = Instant::now();
            // An exchange of its own: a poll that falls due waits for one at most.
            let problem = match self.open_meters.takes_login(now) {
                true => self.log_in().await.err(),
                false => {
                    let Some(endpoint) = self.due(now) else { return Refreshed::default() };
                    self.refresh_once(endpoint).await.err()
                }
            };
            let now = Instant::now();
            Refreshed {
                source: problem.is_none().then(|| self.source()),
                problem,
                more: self.open_meters.wants_login(now) || self.due(now).is_some(),
            }
        })
    }

    fn knock(&mut self, limit: Duration) -> LocalBoxFuture<'_, Knock> {
        self.web.knock(limit)
    }

    fn carry_out<'a>(&'a mut self, order: &'a Order, limit: Duration) -> LocalBoxFuture<'a, Carried> {
        Box::pin(self.carry_out_once(order, limit))
    }

    fn read_back<'a>(&'a mut self, order: &'a Order) -> LocalBoxFuture<'a, ReadBack> {
        Box::pin(self.read_back_once(order))
    }

    fn shows(&self, order: &Order) -> bool {
        let is_shown = |asked: Setpoint| asked.charging.is_none() && asked.export.is_none();
        order.setpoint().is_some_and(is_shown) && self.answers.has(Endpoint::Operation)
    }

    fn can_take(&self, kind: OrderKind) -> Result<Means, Unable> {
        self.means(kind)
    }
}

#[cfg(test)]
mod tests;
