//! TEDAPI, whatever channel carries it: asks what is due, one exchange at a time.
//!
//! A gateway gets few requests. What changes by the second is asked at every poll; every half minute that
//! question is replaced by the larger one that contains it. Units behind the gateway take turns, so that a
//! site of three is asked no more often than a site of one. Last come the lifetime energies, which another
//! interface reports.

pub mod answers;
pub mod bearer;
pub mod channel;
mod commands;
mod configuration;
mod energies;
pub mod frames;
mod leaf;
mod orders;
pub mod queries;
pub mod transport;
pub mod wire;

use std::sync::Arc;

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::LocalBoxFuture;
use tokio::time::Instant;

use crate::link::aside::aside;
use crate::link::knock::Knock;
use crate::link::order::{Carried, ReadBack};
use crate::link::{Link, LinkError, Refreshed};
use crate::model::{Answers, LinkHealth, LinkKind, Means, Order, OrderKind, Unable};
use crate::pause::{Growth, Pause};
use answers::{TedapiAnswers, Unusable};
use channel::{Channel, Question};
use energies::Energies;
use frames::Target;
use queries::{Queries, Query};

/// How often what changes slowly is asked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    /// The full controller query, in the place of the basic one.
    pub controller: Duration,
    /// The components of one of the units.
    pub unit: Duration,
    pub config: Duration,
    pub system_info: Duration,
    /// Backup events are scheduled by people, hours ahead.
    pub backups: Duration,
    /// After a failure of one of these.
    pub retry: Duration,
}

/// Of a gateway on the local network.
const LOCALLY: Pace = Pace {
    controller: Duration::from_secs(30),
    unit: Duration::from_secs(30),
    config: Duration::from_secs(300),
    system_info: Duration::from_secs(3600),
    backups: Duration::from_secs(300),
    retry: Duration::from_secs(60),
};
/// Firmware that does not list them is not asked often.
const BACKUPS_RETRY: Growth =
    Growth::Doubling { first: Duration::from_secs(300), longest: Duration::from_secs(3600) };
/// A unit whose path the gateway does not know, or does not serve, is not asked again for this long.
const UNIT_PARKED: Growth = Growth::constant(Duration::from_secs(600));

/// A Powerwall 3 unit and when its components are due.
struct Unit {
    din: String,
    pause: Pause,
}

/// The most overdue of the slow questions.
enum Slow {
    Config,
    SystemInfo,
    /// Index into the units.
    Unit(usize),
    /// Whether the way that is not in use works.
    Check,
    /// One step towards the lifetime energies.
    Energies,
    /// The backup events, where orders can be given.
    Backups,
}

pub struct TedapiLink<C> {
    channel: C,
    pace: Pace,
    queries: Queries,
    /// The id of the gateway, for the log.
    gateway: String,
    /// The last good answer to each question.
    payloads: TedapiAnswers,
    /// Whether the DIN has been confirmed since the last failure: a gateway may have been replaced meanwhile.
    confirmed: bool,
    /// When each of these is asked next.
    controller: Pause,
    config: Pause,
    system_info: Pause,
    backups: Pause,
    units: Vec<Unit>,
    /// Powerwall 3 units that the channel does not reach.
    unseen: Vec<String>,
    /// Lifetime energies, over the customer API; `None`: nobody wants them.
    energies: Option<Energies>,
    /// Orders that the firmware does not have, and when it said so.
    lacks: Vec<(OrderKind, Instant)>,
}

impl<C: Channel> TedapiLink<C> {
    /// `gateway` is the id, for the log; `host` is how the gateway is called in documents.
    pub fn over(gateway: &str, channel: C, queries: Queries, host: &str) -> Self {
        let now = Instant::now();
        let retry = Growth::constant(LOCALLY.retry);
        Self {
            channel,
            pace: LOCALLY,
            queries,
            gateway: gateway.to_owned(),
            payloads: TedapiAnswers::new(host),
            confirmed: false,
            controller: Pause::new(retry, now),
            config: Pause::new(retry, now),
            system_info: Pause::new(retry, now),
            backups: Pause::new(BACKUPS_RETRY, now),
            units: Vec::new(),
            unseen: Vec::new(),
            energies: None,
            lacks: Vec::new(),
        }
    }

    /// At another pace than that of a gateway on the local network.
    pub fn at_pace(mut self, pace: Pace) -> Self {
        let (retry, now) = (Growth::constant(pace.retry), Instant::now());
        for pause in [&mut self.controller, &mut self.config, &mut self.system_info] {
            *pause = Pause::new(retry, now);
        }
        Self { pace, ..self }
    }

    /// With the lifetime energies, where the channel leads to the customer API. `remembers`: whether logins
    /// are written down.
    pub fn with_energies(self, remembers: bool) -> Self {
        Self { energies: Some(Energies::new(&self.gateway, remembers)), ..self }
    }

    fn source(&self) -> Arc<dyn Answers> {
        Arc::new(self.payloads.clone())
    }

    /// DIN of the gateway, read anew after a failure. A known one is never forgotten.
    async fn din(&mut self) -> Result<String, LinkError> {
        if let Some(din) = self.payloads.din().filter(|_| self.confirmed) {
            return Ok(din.to_string());
        }
        let body = self.channel.din().await?;
        let din = std::str::from_utf8(&body).map(str::trim).unwrap_or_default();
        let plausible =
            din.contains("--") && din.len() <= 64 && din.bytes().all(|byte| byte.is_ascii_graphic());
        if !plausible {
            return Err(LinkError::Malformed {
                what: "the DIN request".into(),
                why: "it is not a DIN; is this the address of a Powerwall gateway?".into(),
            });
        }
        if self.payloads.set_din(din) {
            let id = self.gateway.as_str();
            log::warn!(gateway = id; "gateway {id}: another gateway answers at its address: {din}");
            self.start_over();
        }
        self.confirmed = true;
        Ok(din.to_owned())
    }

    /// Forgets what was due for the gateway before this one: everything is due now.
    fn start_over(&mut self) {
        let now = Instant::now();
        for pause in [&mut self.controller, &mut self.config, &mut self.system_info, &mut self.backups] {
            pause.succeeded(now);
        }
        self.lacks.clear();
        self.units.clear();
        self.unseen.clear();
        if let Some(energies) = &mut self.energies {
            energies.start_over(now);
        }
    }

    /// Reads the DIN again with the next poll if an answer names another gateway.
    fn doubt_din(&mut self) {
        self.confirmed &= !self.payloads.contradict_din();
    }

    async fn ask(
        &mut self,
        query: Query,
        din: &str,
        target: Target<'_>,
        what: &str,
    ) -> Result<Bytes, LinkError> {
        let question = Question { din, target, payload: frames::query(&query), what };
        let (data, complaint) = frames::query_answer(self.channel.ask(question).await?, what)?;
        if let Some(complaint) = complaint {
            let id = self.gateway.as_str();
            log::debug!(gateway = id; "gateway {id}: answered {what} in part: {complaint}");
        }
        Ok(data)
    }

    /// Takes an answer over with `accept`; one that cannot be used leaves everything as it was.
    async fn take<A>(&mut self, answer: Bytes, what: &str, accept: A) -> Result<(), LinkError>
    where
        A: FnOnce(&mut TedapiAnswers, Bytes) -> Result<(), Unusable> + Send + 'static,
    {
        let mut answers = self.payloads.clone();
        let accepted = aside(answer.len(), move || accept(&mut answers, answer).map(|()| answers)).await;
        self.payloads = accepted.map_err(|why| LinkError::unusable(what, &why))?;
        Ok(())
    }

    async fn poll_once(&mut self) -> Result<Arc<dyn Answers>, LinkError> {
        let din = self.din().await?;
        let target = Target::Gateway { din: &din };
        let same_query = self.queries.status == self.queries.controller;
        if same_query || !self.controller.rests(Instant::now()) {
            let what = "the controller query";
            let outcome = match self.ask(self.queries.controller, &din, target, what).await {
                Ok(answer) => self.take(answer, what, TedapiAnswers::accept_controller).await,
                Err(error) => Err(error),
            };
            match outcome {
                Ok(()) => {
                    self.controller.succeeded_for(self.pace.controller, Instant::now());
                    return Ok(self.source());
                }
                // A gateway that stumbles over the large question may well answer the small one.
                Err(LinkError::Malformed { what, why } | LinkError::TooLarge { what, why })
                    if !same_query =>
                {
                    let id = self.gateway.as_str();
                    log::debug!(gateway = id; "gateway {id}: cannot read the answer to {what}: {why}");
                    self.controller.failed(Instant::now());
                }
                Err(error) => return Err(error),
            }
        }
        let what = "the status query";
        let answer = self.ask(self.queries.status, &din, target, what).await?;
        self.take(answer, what, TedapiAnswers::accept_status).await?;
        Ok(self.source())
    }

    /// What is due and has waited longest. Nothing is due before the gateway has reported its DIN.
    fn due(&self, now: Instant) -> Option<Slow> {
        self.payloads.din()?;
        let units =
            self.units.iter().enumerate().map(|(index, unit)| (unit.pause.until(), Slow::Unit(index)));
        let all = [(self.config.until(), Slow::Config), (self.system_info.until(), Slow::SystemInfo)];
        let check = self.channel.check_due().map(|due| (due, Slow::Check));
        let due = all.into_iter().chain(units).chain(check).filter(|(due, _)| *due <= now);
        let most_overdue = due.min_by_key(|(due, _)| *due).map(|(_, slow)| slow);
        // Nothing waits for what comes now.
        let lists = !self.backups.rests(now) && self.channel.takes_orders().is_ok();
        most_overdue.or_else(|| lists.then_some(Slow::Backups)).or_else(|| {
            let is_due = self.energies.as_ref()?.is_due(now) && self.channel.customer().is_some();
            is_due.then_some(Slow::Energies)
        })
    }

    /// Whether there is something new.
    async fn proceed_with_energies(&mut self) -> bool {
        let (Some(energies), Some(customer)) = (&mut self.energies, self.channel.customer()) else {
            return false;
        };
        let outcome = energies.proceed(customer).await.and_then(|answer| {
            let Some(answer) = answer else { return Ok(false) };
            let accepted = self.payloads.accept_energies(&answer);
            let what = "the question for lifetime energies";
            accepted.map(|()| true).map_err(|why| LinkError::unusable(what, &why))
        });
        match &outcome {
            // There is another step to take.
            Ok(false) => {}
            outcome => energies.note(outcome.as_ref().map(|_| ())),
        }
        outcome.unwrap_or(false)
    }

    async fn fetch_config(&mut self, din: &str) -> Result<(), LinkError> {
        let what = "the configuration read";
        let target = Target::Gateway { din };
        let question = Question { din, target, payload: frames::config(), what };
        let answer = frames::config_answer(self.channel.ask(question).await?)?;
        self.take(answer, what, TedapiAnswers::accept_config).await
    }

    /// Whether there is something new.
    async fn refresh_once(&mut self, slow: Slow) -> Result<bool, LinkError> {
        let Some(din) = self.payloads.din().cloned() else { return Ok(false) };
        let now = Instant::now();
        match slow {
            Slow::Config => {
                self.config.begin(now);
                let read = self.fetch_config(&din).await;
                if matches!(read, Err(LinkError::Malformed { .. })) {
                    self.payloads.do_without_config();
                }
                read?;
                self.doubt_din();
                self.config.succeeded_for(self.pace.config, now);
                self.know_units(now);
            }
            Slow::SystemInfo => {
                self.system_info.begin(now);
                let what = "the system information request";
                let target = Target::Gateway { din: &din };
                let question = Question { din: &din, target, payload: frames::system_info(), what };
                let answer = self.channel.ask(question).await?;
                self.payloads.accept_system_info(frames::system_info_answer(answer)?);
                self.doubt_din();
                self.system_info.succeeded_for(self.pace.system_info, now);
            }
            Slow::Check => self.channel.check(&din).await?,
            Slow::Energies => return Ok(self.proceed_with_energies().await),
            Slow::Backups => return self.list_backups(&din).await,
            Slow::Unit(index) => {
                let turn = self.pace.unit * u32::try_from(self.units.len()).unwrap_or(1);
                let unit = &mut self.units[index];
                // Its turn is over, however it ends.
                unit.pause.succeeded_for(turn, now);
                let unit = unit.din.clone();
                // A single unit answers for itself; its own path is served only on sites with several.
                let target = match self.payloads.has_single_unit() {
                    true => Target::Gateway { din: &unit },
                    false => Target::Unit { gateway: &din, unit: &unit },
                };
                let what = format!("the components query to {unit}");
                match self.ask(self.queries.components, &din, target, &what).await {
                    Err(error @ (LinkError::NotFound(_) | LinkError::Status { status: 502, .. })) => {
                        self.units[index].pause.failed(now);
                        return Err(error);
                    }
                    answer => {
                        let accept = move |answers: &mut TedapiAnswers, answer| {
                            answers.accept_components(&unit, answer)
                        };
                        self.take(answer?, &what, accept).await?;
                    }
                }
            }
        }
        Ok(true)
    }

    /// Takes over those units of the configuration that can be asked; new ones are due at once.
    fn know_units(&mut self, now: Instant) {
        let mut before = std::mem::take(&mut self.units);
        let leader = self.payloads.din().cloned();
        let is_reached = |unit: &String| {
            let answers_itself = self.payloads.has_single_unit() || leader.as_deref() == Some(unit.as_str());
            answers_itself || self.channel.reaches_followers()
        };
        let units = self.payloads.powerwall3_units().iter().cloned();
        let (reached, unseen): (Vec<_>, Vec<_>) = units.partition(is_reached);
        let units = reached.into_iter().map(|din| {
            let known = before.iter().position(|unit| unit.din == din).map(|at| before.swap_remove(at));
            known.unwrap_or_else(|| Unit { din, pause: Pause::new(UNIT_PARKED, now) })
        });
        self.units = units.collect();
        self.unseen = unseen;
    }
}

impl<C: Channel> Link for TedapiLink<C> {
    fn kind(&self) -> LinkKind {
        self.channel.kind()
    }

    fn links(&self) -> Option<Vec<LinkHealth>> {
        self.channel.links()
    }

    fn remark(&self) -> Option<String> {
        let unseen = (!self.unseen.is_empty()).then(|| {
            let units = self.unseen.join(", ");
            format!("{units} can be asked over Wi-Fi only (wifi_host and gw_pwd)")
        });
        let problem = self.energies.as_ref().and_then(Energies::problem);
        let energies = problem.map(|error| format!("no lifetime energies at present: {error}"));
        let remarks: Vec<String> = unseen.into_iter().chain(energies).collect();
        (!remarks.is_empty()).then(|| format!("the only way that is configured; {}", remarks.join("; ")))
    }

    fn poll(&mut self) -> LocalBoxFuture<'_, Result<Arc<dyn Answers>, LinkError>> {
        Box::pin(async {
            let outcome = self.poll_once().await;
            if let Err(error) = &outcome {
                self.confirmed &= !self.channel.doubts_din(error);
            }
            outcome
        })
    }

    fn refresh(&mut self) -> LocalBoxFuture<'_, Refreshed> {
        Box::pin(async {
            let Some(slow) = self.due(Instant::now()) else { return Refreshed::default() };
            let outcome = self.refresh_once(slow).await;
            Refreshed {
                source: matches!(outcome, Ok(true)).then(|| self.source()),
                problem: outcome.err(),
                more: self.due(Instant::now()).is_some(),
            }
        })
    }

    fn knock(&mut self, limit: Duration) -> LocalBoxFuture<'_, Knock> {
        self.channel.knock(limit)
    }

    fn carry_out<'a>(&'a mut self, order: &'a Order, limit: Duration) -> LocalBoxFuture<'a, Carried> {
        Box::pin(self.carry_out_once(order, limit))
    }

    fn read_back<'a>(&'a mut self, order: &'a Order) -> LocalBoxFuture<'a, ReadBack> {
        Box::pin(self.read_back_once(order))
    }

    fn shows(&self, order: &Order) -> bool {
        (order.setpoint().is_some() || order.is_state_of_contactor()) && self.known_din().is_some()
    }

    fn bind(&mut self, din: &str) {
        if self.channel.bind(din) {
            self.confirmed = false;
        }
    }

    fn can_take(&self, kind: OrderKind) -> Result<Means, Unable> {
        self.means(kind)
    }
}

#[cfg(test)]
mod tests;
