//! Two ways to one gateway that act as one: signed over the wired LAN, and plain over the gateway's own
//! Wi-Fi.
//!
//! The leader is asked over the LAN and followers over Wi-Fi, because only Wi-Fi reaches them. When the LAN
//! does not answer, Wi-Fi takes over within the same poll; after three failures in a row it is asked first,
//! and the LAN is checked again and again, with growing pauses, until it works. Nothing is ever given up for
//! good. Without failover, each way does its own work and none takes over.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{LocalBoxFuture, join};
use log::{info, warn};
use tokio::time::Instant;

use super::LinkError;
use super::knock::Knock;
use super::login::Customer;
use super::silence;
use super::tedapi::channel::{Channel, Commands, Question};
use super::tedapi::frames::{self, Target};
use super::v1r::message::{BUSY, UNIT_TIMEOUT};
use crate::model::{ErrorNote, LinkHealth, LinkKind, Obstacle, Unable};
use crate::pause::{Growth, Pause};

/// Failures in a row without an answer after which the other way is asked first.
const GIVEN_UP_AFTER: u32 = 3;
/// A way that was given up is checked this often at most.
const PAUSE: Duration = Duration::from_secs(60);
/// Of a way that does not answer. At first it is only not asked again within the same poll.
const NO_ANSWER: Growth = Growth::Steps(&[
    Duration::from_secs(2),
    Duration::from_secs(2),
    PAUSE,
    Duration::from_secs(120),
    Duration::from_secs(240),
    Duration::from_secs(480),
    Duration::from_secs(600),
]);
/// Of a way that answers and says no, or nothing of use: somebody may be about to set that right.
const NO_USE: Growth = Growth::constant(PAUSE);
/// Credentials that were refused are tried least often.
const REFUSED: Growth = Growth::Doubling { first: PAUSE, longest: Duration::from_secs(300) };
/// How often Wi-Fi is checked while nothing needs it.
const STANDBY_CHECK: Growth = Growth::constant(Duration::from_secs(600));

/// How one way does.
struct Side {
    /// Moved by every failure, so that no answer makes a loop of its checks.
    rest: Pause,
    /// Whether the other way is asked first until this one has given a good answer.
    is_given_up: bool,
    /// Whether it must not be asked while it rests, not even in need: it refused the credentials, or asked
    /// for a cool-down.
    is_silenced: bool,
    last_success: Option<Instant>,
    last_error: Option<LinkError>,
}

impl Side {
    fn new(now: Instant) -> Self {
        Self {
            rest: Pause::new(NO_ANSWER, now),
            is_given_up: false,
            is_silenced: false,
            last_success: None,
            last_error: None,
        }
    }

    fn succeeded(&mut self, now: Instant) {
        *self = Self { last_success: Some(now), ..Self::new(now) };
    }

    fn failed(&mut self, error: &LinkError, now: Instant) {
        let asked = silence::asked(error);
        let growth = match (asked, error) {
            (Some(asked), _) => Growth::constant(asked),
            (None, LinkError::LoginBudget { left }) => Growth::constant(*left),
            (None, LinkError::Refused { .. }) => REFUSED,
            (None, error) if is_no_answer(error) => NO_ANSWER,
            _ => NO_USE,
        };
        self.rest.failed_as(growth, now);
        self.is_given_up |= !is_no_answer(error) || self.rest.failures() >= GIVEN_UP_AFTER;
        if self.is_given_up {
            self.rest.at_least(PAUSE, now);
        }
        let is_about_credentials = matches!(error, LinkError::Refused { .. } | LinkError::LoginBudget { .. });
        self.is_silenced = asked.is_some() || is_about_credentials;
        self.last_error = Some(error.clone());
    }

    /// It accepted a connection after it had not answered: it is asked as if it had been given up by nobody.
    /// Its failures stay, so that one more gives it up again.
    fn is_there_again(&mut self, now: Instant) {
        if self.last_error.as_ref().is_some_and(is_no_answer) {
            self.is_given_up = false;
            self.rest.end(now);
        }
    }

    /// Whether it is the one to ask, if it is the better one.
    fn is_trusted(&self) -> bool {
        !self.is_given_up && !self.rest.rests(Instant::now())
    }

    fn may_be_asked(&self) -> bool {
        !self.is_silenced || !self.rest.rests(Instant::now())
    }

    /// Why it must not be asked now. A cool-down that is under way is not asked for anew by that.
    fn refuses(&self) -> Option<LinkError> {
        let left = self.rest.left(Instant::now()).filter(|_| self.is_silenced)?;
        let error = self.last_error.clone()?;
        Some(if is_silence(&error) { LinkError::Silence { left } } else { error })
    }

    /// When it is checked next, if it has to prove that it works.
    fn next_try(&self) -> Option<Instant> {
        self.is_given_up.then(|| self.rest.until())
    }

    fn health(&self, kind: LinkKind, in_use: bool, why: &str) -> LinkHealth {
        LinkHealth {
            kind,
            in_use,
            why: why.to_owned(),
            last_success: self.last_success,
            last_error: self
                .last_error
                .as_ref()
                .map(|error| ErrorNote { kind: error.kind(), message: error.to_string() }),
            failures: self.rest.failures(),
            next_try: self.next_try(),
        }
    }
}

/// Whether nothing came back, or nothing from the part of the gateway that knows us.
fn is_no_answer(error: &LinkError) -> bool {
    use LinkError::{Certificate, Status, Timeout, Unreachable};
    matches!(error, Unreachable(_) | Timeout(_) | Status { .. } | Certificate { .. })
}

/// What [`TedapiLink`](super::tedapi::TedapiLink) remembers of a unit for a while.
fn is_not_served(error: &LinkError) -> bool {
    matches!(error, LinkError::NotFound(_) | LinkError::Status { status: 502, .. })
}

fn is_silence(error: &LinkError) -> bool {
    silence::asked(error).is_some()
}

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Lan,
    Wifi,
}

/// What the leader is asked.
#[derive(Clone)]
enum Asked<'a> {
    Din,
    Question(Box<Question<'a>>),
}

/// See the module.
pub struct Pair<L, W> {
    /// The id of the gateway, for the log.
    gateway: String,
    lan: L,
    wifi: W,
    lan_side: Side,
    wifi_side: Side,
    /// Whether Wi-Fi may take over from the LAN.
    failover: bool,
    /// Which way the leader's last answer came.
    in_use: Way,
    has_followers: bool,
    /// When Wi-Fi is checked next, if nothing needs it until then.
    standby_check: Pause,
}

impl<L: Channel, W: Channel> Pair<L, W> {
    /// `gateway` is the id, for the log.
    pub fn new(gateway: &str, lan: L, wifi: W, failover: bool) -> Self {
        let now = Instant::now();
        Self {
            gateway: gateway.to_owned(),
            lan,
            wifi,
            lan_side: Side::new(now),
            wifi_side: Side::new(now),
            failover,
            in_use: Way::Lan,
            has_followers: false,
            standby_check: Pause::new(STANDBY_CHECK, now),
        }
    }

    fn side(&self, way: Way) -> &Side {
        match way {
            Way::Lan => &self.lan_side,
            Way::Wifi => &self.wifi_side,
        }
    }

    fn side_mut(&mut self, way: Way) -> &mut Side {
        match way {
            Way::Lan => &mut self.lan_side,
            Way::Wifi => &mut self.wifi_side,
        }
    }

    async fn over(&mut self, way: Way, asked: Asked<'_>) -> Result<Bytes, LinkError> {
        self.begin(way, Instant::now());
        let outcome = match (way, asked) {
            (Way::Lan, Asked::Din) => self.lan.din().await,
            (Way::Lan, Asked::Question(question)) => self.lan.ask(*question).await,
            (Way::Wifi, Asked::Din) => self.wifi.din().await,
            (Way::Wifi, Asked::Question(question)) => self.wifi.ask(*question).await,
        };
        self.note(way, outcome.as_ref().err());
        outcome
    }

    /// Before it is asked: should no answer ever come back here, the next check waits all the same.
    fn begin(&mut self, way: Way, now: Instant) {
        if way == Way::Wifi {
            self.standby_check.begin(now);
        }
        let side = self.side_mut(way);
        if side.is_given_up {
            side.rest.begin(now);
        }
    }

    fn note(&mut self, way: Way, error: Option<&LinkError>) {
        let now = Instant::now();
        let side = self.side_mut(way);
        match error {
            None => side.succeeded(now),
            // It did answer; that the answer cannot be read, or that a unit is slow, does not concern the
            // way. But a way that was given up is not proven to work by that.
            Some(LinkError::Malformed { .. } | LinkError::Rejected { fault: BUSY | UNIT_TIMEOUT, .. })
                if !side.is_given_up => {}
            Some(error) => side.failed(error, now),
        }
    }

    fn use_way(&mut self, way: Way) {
        if self.in_use == way {
            return;
        }
        self.in_use = way;
        let id = self.gateway.as_str();
        match (way, &self.lan_side.last_error) {
            (Way::Wifi, Some(error)) => warn!(
                gateway = id, event = "failover"; "gateway {id}: Wi-Fi takes over from the wired LAN: {error}"
            ),
            (Way::Wifi, None) => {
                warn!(gateway = id, event = "failover"; "gateway {id}: Wi-Fi takes over from the wired LAN");
            }
            (Way::Lan, _) => {
                info!(gateway = id, event = "failback"; "gateway {id}: the wired LAN works again and takes \
                    over");
            }
        }
    }

    /// Over the better way, and over the other one if need be.
    async fn leader(&mut self, asked: Asked<'_>) -> Result<Bytes, LinkError> {
        if !self.failover {
            return self.over(Way::Lan, asked).await;
        }
        let is_about_unit = matches!(
            &asked,
            Asked::Question(question) if matches!(question.target, Target::Unit { .. })
        );
        let (first, second) = match self.lan_side.is_trusted() {
            true => (Way::Lan, Way::Wifi),
            false => (Way::Wifi, Way::Lan),
        };
        if !self.side(first).may_be_asked() {
            if let Some(error) = self.side(second).refuses() {
                return Err(error);
            }
            return self.over(second, asked).await.inspect(|_| self.use_way(second));
        }
        let error = match self.over(first, asked.clone()).await {
            Ok(answer) => {
                self.use_way(first);
                return Ok(answer);
            }
            // An answer that cannot be read is not better over another way, and a gateway that asks for a
            // cool-down gets it.
            Err(error) if matches!(error, LinkError::Malformed { .. }) || is_silence(&error) => {
                return Err(error);
            }
            Err(error) => error,
        };
        if !self.side(second).may_be_asked() {
            return Err(error);
        }
        match self.over(second, asked).await {
            Ok(answer) => {
                self.use_way(second);
                Ok(answer)
            }
            Err(other) if is_silence(&other) => Err(other),
            Err(other) => {
                let (lan, wifi) = if first == Way::Lan { (error, other) } else { (other, error) };
                // What is wrong with the LAN is what somebody has to set right; but a unit that is not served
                // is to be remembered.
                Err(if is_about_unit && is_not_served(&wifi) { wifi } else { lan })
            }
        }
    }

    async fn follower(&mut self, question: Question<'_>) -> Result<Bytes, LinkError> {
        self.has_followers = true;
        if self.wifi_side.is_given_up && self.wifi_side.rest.rests(Instant::now()) {
            let why = self.wifi_side.last_error.as_ref().map(ToString::to_string);
            return Err(LinkError::Resting(format!("Wi-Fi: {}", why.unwrap_or_default())));
        }
        match self.over(Way::Wifi, Asked::Question(question.into())).await {
            // Wi-Fi gets its cool-down; the LAN goes on.
            Err(error) if is_silence(&error) => Err(LinkError::Resting(format!("Wi-Fi: {error}"))),
            outcome => outcome,
        }
    }

    /// Checks a way that is not in use. What comes of it is kept with the health of that way.
    async fn check_one(&mut self, din: &str) {
        let now = Instant::now();
        if self.lan_side.next_try().is_some_and(|next| next <= now) {
            let what = "the check of the wired LAN";
            let target = Target::Gateway { din };
            let question = Question { din, target, payload: frames::system_info(), what };
            // Signed, unlike the DIN: it shows that the key is accepted and the clocks agree.
            match self.over(Way::Lan, Asked::Question(question.into())).await {
                Ok(_) => self.use_way(Way::Lan),
                Err(error) => {
                    let id = self.gateway.as_str();
                    log::debug!(gateway = id; "gateway {id}: the wired LAN does not work yet: {error}");
                }
            }
        } else if let Err(error) = self.over(Way::Wifi, Asked::Din).await {
            let id = self.gateway.as_str();
            log::debug!(gateway = id; "gateway {id}: Wi-Fi could not take over now: {error}");
        }
    }
}

impl<L: Channel, W: Channel> Channel for Pair<L, W> {
    fn kind(&self) -> LinkKind {
        match self.in_use {
            Way::Lan => self.lan.kind(),
            Way::Wifi => self.wifi.kind(),
        }
    }

    fn din(&mut self) -> LocalBoxFuture<'_, Result<Bytes, LinkError>> {
        Box::pin(self.leader(Asked::Din))
    }

    fn ask<'a>(&'a mut self, question: Question<'a>) -> LocalBoxFuture<'a, Result<Bytes, LinkError>> {
        let asks_follower = matches!(question.target, Target::Unit { gateway, unit } if gateway != unit);
        Box::pin(async move {
            match asks_follower {
                true => self.follower(question).await,
                false => self.leader(Asked::Question(question.into())).await,
            }
        })
    }

    /// Over the LAN, where there is a login anyway; nothing replaces a way that does not work.
    /// Over the LAN, and over Wi-Fi at once if that may take over. A way that is there again is worth
    /// asking; one that refused the credentials or wants to be left alone is left alone.
    fn knock(&mut self, limit: Duration) -> LocalBoxFuture<'_, Knock> {
        Box::pin(async move {
            let asks_wifi = self.failover && self.wifi_side.may_be_asked();
            let over_lan = async {
                if self.lan_side.may_be_asked() { self.lan.knock(limit).await } else { Knock::Untried }
            };
            let over_wifi = async { if asks_wifi { self.wifi.knock(limit).await } else { Knock::Untried } };
            let (lan, wifi) = join(over_lan, over_wifi).await;
            for (side, knock) in [(&mut self.lan_side, lan), (&mut self.wifi_side, wifi)] {
                if knock == Knock::Accepted {
                    side.is_there_again(Instant::now());
                }
            }
            lan.or(wifi)
        })
    }

    fn customer(&self) -> Option<Customer<'_>> {
        self.lan_side.is_trusted().then(|| self.lan.customer()).flatten()
    }

    /// Over the LAN alone, and only while it works: Wi-Fi takes no orders.
    fn commands(&mut self) -> Result<&mut dyn Commands, Unable> {
        self.takes_orders()?;
        self.lan.commands()
    }

    fn takes_orders(&self) -> Result<LinkKind, Unable> {
        if self.lan_side.is_trusted() {
            return self.lan.takes_orders();
        }
        let (obstacle, why) = match &self.lan_side.last_error {
            Some(error @ LinkError::Key { .. }) => (Obstacle::KeyNotAccepted, error.to_string()),
            Some(error) => (Obstacle::NotReached, error.to_string()),
            None => (Obstacle::NotReached, "it failed a moment ago".into()),
        };
        Err(obstacle
            .because(format!("orders go over the wired LAN only, which does not work at present: {why}")))
    }

    fn reaches_followers(&self) -> bool {
        true
    }

    fn doubts_din(&self, error: &LinkError) -> bool {
        self.lan.doubts_din(error)
    }

    fn links(&self) -> Option<Vec<LinkHealth>> {
        let is_pinned = !self.failover;
        let lan = match (self.in_use, self.lan_side.is_given_up, &self.lan_side.last_error) {
            _ if is_pinned => "carries the leader's data; PW_FAILOVER=no lets nothing stand in",
            (_, true, _) => "does not work; checked again and again until it does",
            (_, false, Some(_)) => "failed; asked again with the next poll",
            (_, false, None) => "carries the leader's data",
        };
        let wifi = match (self.in_use, self.has_followers) {
            (Way::Wifi, false) => "replaces the wired LAN",
            (Way::Wifi, true) => "replaces the wired LAN; carries the followers' data",
            (Way::Lan, true) => "carries the followers' data",
            (Way::Lan, false) if is_pinned => "for followers only, and there are none",
            (Way::Lan, false) => "stands by",
        };
        let wifi_in_use = self.in_use == Way::Wifi || self.has_followers;
        Some(vec![
            self.lan_side.health(self.lan.kind(), self.in_use == Way::Lan, lan),
            self.wifi_side.health(self.wifi.kind(), wifi_in_use, wifi),
        ])
    }

    fn check_due(&self) -> Option<Instant> {
        if !self.failover {
            return None;
        }
        let standby = self.standby_check.until();
        let wifi = self.wifi_side.next_try().map_or(standby, |next| next.max(standby));
        Some(self.lan_side.next_try().map_or(wifi, |lan| lan.min(wifi)))
    }

    fn check<'a>(&'a mut self, din: &'a str) -> LocalBoxFuture<'a, Result<(), LinkError>> {
        Box::pin(async move {
            self.check_one(din).await;
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests;
