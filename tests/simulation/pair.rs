//! How two ways to one gateway are treated, seen from between the link and the ways.
//!
//! The figures are those of `docs/connecting.md`, written down again on purpose.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::LocalBoxFuture;
use powerwall_server::link::LinkError;
use powerwall_server::link::knock::Knock;
use powerwall_server::link::login::Customer;
use powerwall_server::link::tedapi::channel::{Channel, Commands, Question};
use powerwall_server::link::v1r::message::{BUSY, UNIT_TIMEOUT};
use powerwall_server::model::{LinkHealth, LinkKind, Unable};
use tokio::time::Instant;

use crate::defects::Defect;
use crate::options::Door;
use crate::world::World;

/// Checks of a way that does not answer, from the third failure on.
const UNANSWERED: [u64; 5] = [60, 120, 240, 480, 600];
const REFUSED: [u64; 4] = [60, 120, 240, 300];
const SAYS_NO: u64 = 60;
const SILENCE: (u64, u64) = (300, 3600);

/// What one of the ways has been through.
#[derive(Default)]
struct Side {
    failures: usize,
    is_given_up: bool,
    /// Not even asked in need.
    is_silenced: bool,
    /// Whether its last failure was no answer.
    failed_unanswered: bool,
    rests_until: Option<Instant>,
}

/// What both have been through.
#[derive(Default)]
pub struct Ways {
    lan: Side,
    wifi: Side,
    /// Why the LAN failed in the present question, if it did.
    lan_error: Option<LinkError>,
    wifi_was_asked: bool,
    /// The last answer of a LAN that was given up said nothing of whether it works.
    is_stuck: bool,
}

fn is_soft(error: &LinkError) -> bool {
    matches!(error, LinkError::Malformed { .. } | LinkError::Rejected { fault: BUSY | UNIT_TIMEOUT, .. })
}

impl Ways {
    /// It took a connection after it had not answered: it may be asked again.
    fn is_there_again(&mut self, door: Door) {
        let side = match door {
            Door::Lan => &mut self.lan,
            Door::Wifi => &mut self.wifi,
        };
        if side.failed_unanswered {
            side.is_given_up = false;
            side.rests_until = None;
        }
    }

    fn begins(&mut self, door: Door, now: Instant) -> Result<(), String> {
        let is_needed = self.wifi.failures > 0;
        let side = match door {
            Door::Lan => &self.lan,
            Door::Wifi => {
                self.wifi_was_asked = true;
                &self.wifi
            }
        };
        let early = side.rests_until.and_then(|until| until.checked_duration_since(now));
        let Some(early) = early.filter(|early| !early.is_zero()) else { return Ok(()) };
        match door {
            _ if side.is_silenced => {
                Err(format!("{door:?} is asked {early:?} before it may be, even in need"))
            }
            Door::Lan if side.is_given_up && !is_needed => {
                Err(format!("the LAN is checked {early:?} before its pause is over"))
            }
            _ => Ok(()),
        }
    }

    /// What is worth counting of it.
    fn ends(&mut self, door: Door, outcome: Result<(), &LinkError>, now: Instant) -> Option<&'static str> {
        let side = match door {
            Door::Lan => &mut self.lan,
            Door::Wifi => &mut self.wifi,
        };
        let Err(error) = outcome else {
            *side = Side::default();
            return (door == Door::Wifi && self.lan_error.is_some()).then_some("Wi-Fi takes over");
        };
        if door == Door::Lan {
            self.lan_error = Some(error.clone());
            self.is_stuck = side.is_given_up && is_soft(error);
        }
        let was_given_up = side.is_given_up;
        side.failed_unanswered =
            matches!(error, LinkError::Unreachable(_) | LinkError::Timeout(_) | LinkError::Status { .. });
        if is_soft(error) && !side.is_given_up {
            return None;
        }
        side.failures += 1;
        let of = |pauses: &[u64], failures: usize| pauses[failures.min(pauses.len() - 1)];
        let (seconds, is_silenced) = match error {
            LinkError::RateLimited { retry_after } | LinkError::Busy { retry_after } => {
                let asked = retry_after.map_or(SILENCE.0, |asked| asked.as_secs());
                (asked.clamp(SILENCE.0, SILENCE.1), true)
            }
            LinkError::LoginBudget { left } => (left.as_secs().max(SAYS_NO), true),
            LinkError::Refused { .. } => (of(&REFUSED, side.failures - 1), true),
            LinkError::Unreachable(_) | LinkError::Timeout(_) | LinkError::Status { .. } => {
                match side.failures.checked_sub(3) {
                    Some(failures) => (of(&UNANSWERED, failures), false),
                    None if side.is_given_up => (SAYS_NO, false),
                    None => {
                        (side.rests_until, side.is_silenced) = (None, false);
                        return None;
                    }
                }
            }
            _ => (SAYS_NO, false),
        };
        side.is_given_up = true;
        side.is_silenced = is_silenced;
        side.rests_until = Some(now + Duration::from_secs(seconds));
        match door {
            Door::Lan if self.is_stuck => Some("a check says nothing of the LAN"),
            Door::Lan if !was_given_up => Some("the LAN is given up"),
            _ => None,
        }
    }

    /// After a question to the leader.
    fn judge(&self, outcome: &Result<Bytes, LinkError>) -> Result<(), String> {
        let (Err(_), Some(error)) = (outcome, &self.lan_error) else { return Ok(()) };
        // What cannot be read is no better over another way, and a gateway that asks for a cool-down gets it.
        let is_final = matches!(
            error,
            LinkError::Malformed { .. } | LinkError::RateLimited { .. } | LinkError::Busy { .. }
        );
        match is_final || self.wifi_was_asked || self.wifi.failures > 0 {
            true => Ok(()),
            false => Err(format!("Wi-Fi works and does not take over from the LAN: {error}")),
        }
    }
}

/// What is watched.
pub enum Place {
    /// One of the ways.
    Way(Door),
    /// Both as one; with what is wrong with it.
    Pair(Option<Defect>),
}

/// A channel that is watched.
pub struct Watched<C> {
    pub inner: C,
    pub place: Place,
    pub ways: Rc<RefCell<Ways>>,
    pub world: Arc<World>,
    pub site: usize,
}

impl<C> Watched<C> {
    fn begins(&self) {
        let mut ways = self.ways.borrow_mut();
        let kept = match self.place {
            Place::Way(door) => ways.begins(door, Instant::now()),
            Place::Pair(_) => {
                (ways.lan_error, ways.wifi_was_asked) = (None, false);
                Ok(())
            }
        };
        self.world.demand(self.site, kept);
    }

    fn ends(&self, outcome: &Result<Bytes, LinkError>) {
        let mut ways = self.ways.borrow_mut();
        match self.place {
            Place::Way(door) => {
                let what = ways.ends(door, outcome.as_ref().map(|_| ()), Instant::now());
                what.into_iter().for_each(|what| self.world.count(what));
            }
            Place::Pair(_) => self.world.demand(self.site, ways.judge(outcome)),
        }
    }
}

impl<C: Channel> Channel for Watched<C> {
    fn kind(&self) -> LinkKind {
        self.inner.kind()
    }

    fn din(&mut self) -> LocalBoxFuture<'_, Result<Bytes, LinkError>> {
        Box::pin(async {
            self.begins();
            let outcome = self.inner.din().await;
            self.ends(&outcome);
            outcome
        })
    }

    fn ask<'a>(&'a mut self, question: Question<'a>) -> LocalBoxFuture<'a, Result<Bytes, LinkError>> {
        Box::pin(async {
            self.begins();
            let outcome = self.inner.ask(question).await;
            self.ends(&outcome);
            outcome
        })
    }

    fn knock(&mut self, limit: Duration) -> LocalBoxFuture<'_, Knock> {
        Box::pin(async move {
            let knock = self.inner.knock(limit).await;
            if let (Place::Way(door), Knock::Accepted) = (&self.place, knock) {
                self.ways.borrow_mut().is_there_again(*door);
            }
            knock
        })
    }

    fn customer(&self) -> Option<Customer<'_>> {
        self.inner.customer()
    }

    fn commands(&mut self) -> Result<&mut dyn Commands, Unable> {
        self.inner.commands()
    }

    fn takes_orders(&self) -> Result<LinkKind, Unable> {
        self.inner.takes_orders()
    }

    fn reaches_followers(&self) -> bool {
        self.inner.reaches_followers()
    }

    fn doubts_din(&self, error: &LinkError) -> bool {
        self.inner.doubts_din(error)
    }

    fn links(&self) -> Option<Vec<LinkHealth>> {
        self.inner.links()
    }

    fn check_due(&self) -> Option<Instant> {
        match self.place {
            Place::Pair(Some(Defect::LeavesDeadlines)) if self.ways.borrow().is_stuck => {
                Some(self.world.started)
            }
            _ => self.inner.check_due(),
        }
    }

    fn check<'a>(&'a mut self, din: &'a str) -> LocalBoxFuture<'a, Result<(), LinkError>> {
        self.inner.check(din)
    }
}
