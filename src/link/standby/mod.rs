//! A link made of several, in order of preference: the best one that works carries the readings.
//!
//! When the active link fails, the next one is polled within the same poll. Links that are not active are
//! checked again and again with pauses that grow, and a better one takes over with the poll after its check;
//! nothing is given up for good. A check also brings what the active link cannot know ([`supplement`]). What
//! is asked, and what an answer means, is left to the links.
//!
//! The wired LAN and the Wi-Fi of a v1r gateway are not two links but one [`super::pair`] of channels: both
//! carry one protocol, and one memory of answers serves both, which two links could not share.

mod orders;
mod supplement;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{LocalBoxFuture, join_all};
use log::{info, warn};
use tokio::time::{Instant, timeout};

use super::knock::Knock;
use super::order::{Carried, ReadBack};
use super::silence;
use super::{Link, LinkError, Refreshed};
use crate::model::{Adjustments, Answers, ErrorNote, LinkHealth, LinkKind, Means, Order, OrderKind, Unable};
use crate::pause::{Growth, Pause};
use supplement::{Source, supplemented};

/// After so many failures in a row, a link is not asked with every poll any more.
const GIVEN_UP_AFTER: u32 = 3;
/// The pauses of a link that does not answer while another one does.
const REST: Growth = Growth::Doubling { first: Duration::from_secs(60), longest: Duration::from_secs(600) };
/// Of one that answers and refuses the credentials.
const REFUSED: Growth =
    Growth::Doubling { first: Duration::from_secs(60), longest: Duration::from_secs(300) };
/// How often a link that works and is not active is checked, and asked for what the active one cannot know.
const CHECK_EVERY: Duration = Duration::from_secs(60);
/// What it knows counts for this long: two checks and a half.
const FRESH_FOR: Duration = Duration::from_secs(150);

/// One of the links.
struct Member {
    link: Box<dyn Link>,
    /// When it is asked next while it is not active.
    pause: Pause,
    /// Whether it must not be asked before, not even in need: it refused the credentials, or asked for a
    /// cool-down.
    is_silenced: bool,
    last_success: Option<Instant>,
    last_error: Option<LinkError>,
    /// What it brought home last, and when it was polled for it.
    newest: Option<(Arc<dyn Answers>, Instant)>,
    /// Whether it may have slow data to fetch, which it has only after a good poll.
    may_refresh: bool,
    /// Whether it has accepted a bare connection since its last poll: it is worth one.
    is_there_again: bool,
}

impl Member {
    fn new(link: Box<dyn Link>) -> Self {
        Self {
            link,
            pause: Pause::new(REST, Instant::now()),
            is_silenced: false,
            last_success: None,
            last_error: None,
            newest: None,
            may_refresh: false,
            is_there_again: false,
        }
    }

    fn may_be_asked(&self, now: Instant) -> bool {
        !self.is_silenced || !self.pause.rests(now)
    }

    /// Whether it is worth asking with a poll.
    fn is_trusted(&self) -> bool {
        (self.pause.failures() < GIVEN_UP_AFTER || self.is_there_again) && !self.is_silenced
    }

    /// Polls it, within `limit`.
    async fn poll(&mut self, limit: Duration) -> Result<Arc<dyn Answers>, LinkError> {
        let outcome = timeout(limit, self.link.poll()).await.unwrap_or(Err(LinkError::Timeout(limit)));
        let now = Instant::now();
        self.is_there_again = false;
        match &outcome {
            Ok(answers) => {
                let taken = now.checked_sub(answers.age()).unwrap_or(now);
                (self.newest, self.may_refresh) = (Some((answers.clone(), taken)), true);
                self.pause.succeeded_for(CHECK_EVERY, now);
                (self.is_silenced, self.last_success, self.last_error) = (false, Some(now), None);
            }
            Err(error) => self.failed(error, now),
        }
        outcome
    }

    /// Fetches slow data of a link that is not active: one exchange.
    async fn refresh(&mut self) -> Option<LinkError> {
        let refreshed = self.link.refresh().await;
        self.may_refresh = refreshed.more && refreshed.problem.is_none();
        if let (Some(answers), Some((newest, _))) = (refreshed.source, &mut self.newest) {
            *newest = answers;
        }
        if let Some(error) = refreshed.problem.as_ref().filter(|error| silence::asked(error).is_some()) {
            self.failed(error, Instant::now());
        }
        refreshed.problem
    }

    fn failed(&mut self, error: &LinkError, now: Instant) {
        self.may_refresh = false;
        let asked = silence::asked(error);
        match error {
            LinkError::Refused { .. } => self.pause.failed_as(REFUSED, now),
            error => match error.rest() {
                Some(left) => self.pause.wait(left, now),
                None => self.pause.failed(now),
            },
        };
        if let Some(asked) = asked {
            self.pause.at_least(asked, now);
        }
        let is_refused = matches!(error, LinkError::Refused { .. });
        self.is_silenced = asked.is_some() || error.rest().is_some() || is_refused;
        self.last_error = Some(error.clone());
    }

    fn health(&self, in_use: bool, why: String) -> LinkHealth {
        let note = |error: &LinkError| ErrorNote { kind: error.kind(), message: error.to_string() };
        LinkHealth {
            kind: self.link.kind(),
            in_use,
            why,
            last_success: self.last_success,
            last_error: self.last_error.as_ref().map(note),
            failures: self.pause.failures(),
            next_try: (!in_use).then(|| self.pause.until()),
        }
    }
}

/// Whether a link leads straight to the machine in the house.
fn asks_machine(kind: LinkKind) -> bool {
    !matches!(kind, LinkKind::Cloud | LinkKind::FleetApi | LinkKind::Relay | LinkKind::Broker)
}

/// See the module.
pub struct Standby {
    /// The id of the gateway, for the log.
    gateway: String,
    /// In order of preference; never empty.
    members: Vec<Member>,
    /// Which one carries the readings.
    active: usize,
    /// A better one whose check succeeded. It takes over with the next poll and not before: what a check
    /// reads is of another moment than the readings that it would replace.
    returning: Option<usize>,
    /// Limit of one exchange.
    exchange: Duration,
    /// Whether orders go over Tesla's cloud before they go over a link to the machine.
    is_cloud_first: bool,
}

impl Standby {
    /// `links` in order of preference, at least one.
    pub fn new(gateway: impl Into<String>, links: Vec<Box<dyn Link>>, exchange: Duration) -> Self {
        let members = links.into_iter().map(Member::new).collect();
        Self { gateway: gateway.into(), members, active: 0, returning: None, exchange, is_cloud_first: false }
    }

    /// Lets orders go over Tesla's cloud where it can take them, whatever the links to the machine can.
    pub fn with_cloud_first(mut self, is_cloud_first: bool) -> Self {
        self.is_cloud_first = is_cloud_first;
        self
    }

    fn use_member(&mut self, place: usize) {
        let before = std::mem::replace(&mut self.active, place);
        if before == place {
            return;
        }
        let (id, from, to) = (&self.gateway, &self.members[before], &self.members[place]);
        let (from, to, why) = (from.link.kind().name(), to.link.kind().name(), from.last_error.as_ref());
        match why {
            _ if place < before => info!(
                gateway = id.as_str(), event = "failback"; "gateway {id}: {to} works again and carries the \
                    readings"
            ),
            Some(why) => warn!(
                gateway = id.as_str(), event = "failover";
                "gateway {id}: {to} carries the readings instead of {from}: {why}"
            ),
            None => warn!(
                gateway = id.as_str(), event = "failover"; "gateway {id}: {to} carries the readings instead \
                    of {from}"
            ),
        }
    }

    /// In which order a poll asks: one that returns, the active one, then those that can be expected to
    /// answer. Should none of them be there, the preferred one that may be asked at all: the pause between
    /// polls is the gateway's then.
    fn order(&mut self, now: Instant) -> Vec<usize> {
        let first: Vec<usize> = self.returning.take().into_iter().chain([self.active]).collect();
        let others = (0..self.members.len()).filter(|place| !first.contains(place));
        let order = first.iter().copied().chain(others);
        let may_be_asked: Vec<usize> = order.filter(|place| self.members[*place].may_be_asked(now)).collect();
        let trusted: Vec<usize> =
            may_be_asked.iter().copied().filter(|place| self.members[*place].is_trusted()).collect();
        if trusted.is_empty() { may_be_asked } else { trusted }
    }

    /// A gateway that asked for a cool-down over one link is not asked over another one that leads to the
    /// same machine.
    fn share_silence(&mut self, place: usize, error: &LinkError) {
        let Some(asked) = silence::asked(error) else { return };
        let now = Instant::now();
        if !asks_machine(self.members[place].link.kind()) {
            return;
        }
        for member in self.members.iter_mut().filter(|member| asks_machine(member.link.kind())) {
            member.pause.at_least(asked, now);
            member.is_silenced = true;
        }
    }

    /// What the active link brought home, with what the others know beyond it.
    fn supplemented(&self, answers: Arc<dyn Answers>) -> Arc<dyn Answers> {
        let now = Instant::now();
        let others = self.members.iter().enumerate().filter(|(place, _)| *place != self.active);
        let sources = others.filter_map(|(_, member)| {
            let (answers, taken) = member.newest.as_ref()?;
            let is_fresh = now.saturating_duration_since(*taken) < FRESH_FOR;
            is_fresh.then(|| Source { link: member.link.kind(), answers: answers.clone(), taken: *taken })
        });
        supplemented(answers, sources.collect())
    }

    /// A link that leads to no address of one machine follows those that do: it must show the same gateway.
    fn bind(&mut self, place: usize) {
        if asks_machine(self.members[place].link.kind()) {
            return;
        }
        let machines = self.members.iter().filter(|member| asks_machine(member.link.kind()));
        let mut known = machines.filter_map(|member| {
            let (answers, _) = member.newest.as_ref()?;
            answers.readings(&Adjustments::default()).din
        });
        if let Some(din) = known.next() {
            self.members[place].link.bind(&din);
        }
    }

    async fn poll_in_order(&mut self) -> Result<Arc<dyn Answers>, LinkError> {
        let mut first: Option<LinkError> = None;
        for place in self.order(Instant::now()) {
            if !self.members[place].may_be_asked(Instant::now()) {
                continue;
            }
            let limit = self.members[place].link.patience(self.exchange);
            self.bind(place);
            match self.members[place].poll(limit).await {
                Ok(answers) => {
                    self.use_member(place);
                    return Ok(self.supplemented(answers));
                }
                Err(error) => {
                    self.share_silence(place, &error);
                    // What is wrong with the preferred link is what a person has to set right.
                    first.get_or_insert(error);
                }
            }
        }
        Err(first.unwrap_or_else(|| self.all_rest()))
    }

    /// Every link has asked to be left alone.
    fn all_rest(&self) -> LinkError {
        let now = Instant::now();
        let soonest = self.members.iter().min_by_key(|member| member.pause.until());
        let left = soonest.and_then(|member| member.pause.left(now)).unwrap_or_default();
        LinkError::Silence { left }
    }

    fn others(&self) -> impl Iterator<Item = usize> {
        let active = self.active;
        (0..self.members.len()).filter(move |place| *place != active)
    }

    /// The link that is not active and has been waiting longest for its check, if that is due.
    fn due(&self, now: Instant) -> Option<usize> {
        let due = self.others().filter(|place| !self.members[*place].pause.rests(now));
        due.min_by_key(|place| self.members[*place].pause.until())
    }

    /// One that was checked, and has slow data to fetch.
    fn unfinished(&self, now: Instant) -> Option<usize> {
        self.others().find(|place| {
            let member = &self.members[*place];
            member.may_refresh && member.may_be_asked(now)
        })
    }

    async fn check(&mut self, place: usize) -> Refreshed {
        self.bind(place);
        let outcome = self.members[place].poll(self.exchange).await;
        if outcome.is_ok() && place < self.active {
            self.returning = Some(place);
        }
        self.asked_aside(place, outcome.err())
    }

    /// After an exchange of a link that is not active: what is shown with what it knows. That something went
    /// wrong there concerns nobody who reads.
    fn asked_aside(&mut self, place: usize, problem: Option<LinkError>) -> Refreshed {
        if let Some(error) = problem {
            self.share_silence(place, &error);
            let (id, link) = (&self.gateway, self.members[place].link.kind().name());
            log::debug!(gateway = id.as_str(); "gateway {id}: the check of {link} failed: {error}");
        }
        let answers = self.members[self.active].newest.as_ref().map(|(answers, _)| answers.clone());
        let source = answers.map(|answers| self.supplemented(answers));
        // What the active link has to fetch, if nothing else.
        Refreshed { source, problem: None, more: true }
    }
}

impl Link for Standby {
    fn kind(&self) -> LinkKind {
        self.members[self.active].link.kind()
    }

    fn patience(&self, exchange: Duration) -> Duration {
        self.members.iter().map(|member| member.link.patience(exchange)).sum()
    }

    fn poll(&mut self) -> LocalBoxFuture<'_, Result<Arc<dyn Answers>, LinkError>> {
        Box::pin(self.poll_in_order())
    }

    /// A check that is due goes first, because a link with slow data for every pause between two polls, or
    /// with a fault there, would never leave room for it. Then comes what the active link has to fetch, and
    /// then what the others have.
    fn refresh(&mut self) -> LocalBoxFuture<'_, Refreshed> {
        Box::pin(async {
            let (active, now) = (self.active, Instant::now());
            // Another link may have been asked for a cool-down, which holds for this one, too.
            if !self.members[active].may_be_asked(now) {
                return Refreshed::default();
            }
            if let Some(due) = self.due(now) {
                return self.check(due).await;
            }
            let refreshed = self.members[active].link.refresh().await;
            if let Some(problem) = &refreshed.problem {
                self.share_silence(active, problem);
                return refreshed;
            }
            let unfinished = self.unfinished(Instant::now());
            let more = refreshed.more || unfinished.is_some();
            match (refreshed.source, unfinished) {
                (Some(answers), _) => {
                    self.members[active].newest = Some((answers.clone(), Instant::now()));
                    Refreshed { source: Some(self.supplemented(answers)), problem: None, more }
                }
                (None, Some(place)) if !refreshed.more => {
                    let problem = self.members[place].refresh().await;
                    self.asked_aside(place, problem)
                }
                (None, _) => Refreshed { source: None, problem: None, more },
            }
        })
    }

    /// At every address that may be asked, at the same time.
    fn knock(&mut self, limit: Duration) -> LocalBoxFuture<'_, Knock> {
        Box::pin(async move {
            let now = Instant::now();
            let asked = self.members.iter_mut().filter(|member| member.may_be_asked(now));
            let knocks = asked.map(|member| async {
                let knock = member.link.knock(limit).await;
                member.is_there_again = knock == Knock::Accepted;
                knock
            });
            join_all(knocks).await.into_iter().fold(Knock::Untried, Knock::or)
        })
    }

    fn order_limit(&self, kind: OrderKind, exchange: Duration) -> Duration {
        let limits = self.members.iter().map(|member| member.link.order_limit(kind, exchange));
        limits.max().unwrap_or(exchange)
    }

    fn carry_out<'a>(&'a mut self, order: &'a Order, limit: Duration) -> LocalBoxFuture<'a, Carried> {
        Box::pin(self.carry_out_once(order, limit))
    }

    fn read_back<'a>(&'a mut self, order: &'a Order) -> LocalBoxFuture<'a, ReadBack> {
        Box::pin(self.read_back_once(order))
    }

    fn readings_prove(&self, order: &Order) -> bool {
        let asks_machine = |place: usize| asks_machine(self.members[place].link.kind());
        asks_machine(self.active) || !asks_machine(self.witness(order))
    }

    fn can_take(&self, kind: OrderKind) -> Result<Means, Unable> {
        self.by(kind).map(|(_, means)| means)
    }

    fn links(&self) -> Option<Vec<LinkHealth>> {
        let active = &self.members[self.active];
        let health = self.members.iter().enumerate().map(|(place, member)| {
            let why = match (place == self.active, &member.last_error, member.is_trusted()) {
                (true, ..) if place == 0 => "preferred; carries the readings".to_owned(),
                (true, ..) => {
                    format!("carries the readings while {} does not", self.members[0].link.kind().name())
                }
                (false, Some(_), _) => "does not work; checked again and again until it does".to_owned(),
                (false, None, _) => format!("standby for {}", active.link.kind().name()),
            };
            member.health(place == self.active, why)
        });
        Some(health.collect())
    }
}

#[cfg(test)]
mod tests;
