//! The leases of one gateway: what holds until when, what is restored then, and how that ends.
//!
//! Knows no link and gives no order: it says what is to be read, and what is to be ordered. Each setting is
//! in one lease at most, so that there are never more than four.

use std::time::Duration;

use tokio::time::Instant;

use crate::model::order::{Lease, LeaseEnd, LeaseState, Stands};
use crate::model::{OrderId, Outcome, Present, Setpoint};

/// How often a former state is ordered back …
const MOST_ATTEMPTS: u32 = 5;
/// … within this time …
const RESTORING: Duration = Duration::from_secs(3600);
/// … with these pauses after an attempt that came to nothing. Each is read back for four minutes before.
const PAUSES: [u64; 4] = [60, 300, 600, 900];
/// When what cannot be read is read again.
const READ_AGAIN: Duration = Duration::from_secs(60);

/// What a lease was given with.
#[derive(Clone, Debug, PartialEq)]
pub struct Terms {
    pub lasts: Duration,
    /// What is restored at its end.
    pub former: Setpoint,
}

/// What became of a lease.
#[derive(Clone, Debug, PartialEq)]
pub struct LeaseNews {
    /// The order that it belongs to.
    pub order: OrderId,
    pub event: LeaseEvent,
}

/// A step in the life of a lease.
#[derive(Clone, Debug, PartialEq)]
pub enum LeaseEvent {
    /// It holds, and this is restored at its end.
    Holds {
        former: Setpoint,
    },
    Ended(LeaseEnd),
}

/// One lease.
#[derive(Debug)]
struct Held {
    order: OrderId,
    /// What was set, as far as nobody else has set it since.
    leased: Setpoint,
    former: Setpoint,
    ends: Instant,
    /// Whether what was set has been read: from then on, anything else is somebody else's.
    was_seen: bool,
    /// When what looked like somebody else's change was read once more. That may settle nothing, and readings
    /// go on to show it.
    verified: Option<Instant>,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    /// `check`: when readings that show something else are to be verified.
    Holds {
        check: Option<Instant>,
    },
    Restores(Restoring),
}

#[derive(Debug)]
struct Restoring {
    /// When the gateway could be asked for the first time; `None`: not yet.
    since: Option<Instant>,
    attempts: u32,
    /// The order that is to restore it, while nobody knows what became of it.
    by: Option<OrderId>,
    /// When the next step is due.
    next: Instant,
}

/// What is to be done after settings were read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Step {
    /// Nothing, or not yet.
    Wait,
    /// To order this.
    Restore(Setpoint),
}

/// A lease that an earlier run of the program left.
#[derive(Clone, Debug, PartialEq)]
pub struct LeftLease {
    pub order: OrderId,
    pub leased: Setpoint,
    pub former: Setpoint,
    /// What is left of it.
    pub left: Duration,
    /// Orders that were to restore it.
    pub attempts: u32,
    /// The last of them, if nobody knows what became of it.
    pub by: Option<OrderId>,
}

/// The leases of one gateway.
#[derive(Debug, Default)]
pub struct Leases {
    held: Vec<Held>,
    news: Vec<LeaseNews>,
}

impl Leases {
    /// What is to be restored after settings as in `asked`, where `present` is what there is: of a setting
    /// that is leased already, what was there before that lease. `None` if something is unknown.
    pub fn former(&self, asked: &Setpoint, present: &Present) -> Option<Setpoint> {
        let mut former = Setpoint::default();
        for setting in asked.each() {
            let inherited = self.held.iter().map(|held| held.former.within(&setting));
            let inherited = inherited.into_iter().find(|inherited| !inherited.is_empty());
            former = former.overlaid(&inherited.or_else(|| setting.former(present))?);
        }
        Some(former)
    }

    /// An order that sets `asked` may have reached the gateway. What it sets is no other lease's any more.
    /// `terms`: of its own lease, if it has one.
    pub fn order_sent(&mut self, order: OrderId, asked: &Setpoint, terms: Option<Terms>, now: Instant) {
        let mut inherited = Setpoint::default();
        for held in &mut self.held {
            inherited = inherited.overlaid(&held.former.within(asked));
            (held.leased, held.former) = (held.leased.without(asked), held.former.without(asked));
        }
        let why = format!("another order ({order}) has set it since");
        self.end_where(|held| held.leased.is_empty(), &LeaseEnd::Superseded(why));
        if let Some(Terms { lasts, former }) = terms {
            let former = former.overlaid(&inherited);
            self.news.push(LeaseNews { order, event: LeaseEvent::Holds { former } });
            let (ends, phase) = (now + lasts, Phase::Holds { check: None });
            self.held.push(Held {
                order,
                leased: *asked,
                former,
                ends,
                was_seen: false,
                verified: None,
                phase,
            });
        }
    }

    /// Takes up what an earlier run of the program left.
    pub fn adopt(&mut self, left: LeftLease, now: Instant) {
        let LeftLease { order, leased, former, left, attempts, by } = left;
        let restoring = Restoring { since: None, attempts, by, next: now };
        let phase = match attempts {
            0 => Phase::Holds { check: None },
            _ => Phase::Restores(restoring),
        };
        self.held.push(Held {
            order,
            leased,
            former,
            ends: now + left,
            was_seen: false,
            verified: None,
            phase,
        });
    }

    fn end_where(&mut self, which: impl Fn(&Held) -> bool, end: &LeaseEnd) {
        for held in self.held.extract_if(.., |held| which(held)) {
            self.news.push(LeaseNews { order: held.order, event: LeaseEvent::Ended(end.clone()) });
        }
    }

    /// The lease whose settings are to be read now, and these settings.
    pub fn due(&mut self, now: Instant) -> Option<(OrderId, Setpoint)> {
        for held in &mut self.held {
            if held.ends <= now && matches!(held.phase, Phase::Holds { .. }) {
                let restoring = Restoring { since: None, attempts: 0, by: None, next: now };
                held.phase = Phase::Restores(restoring);
            }
        }
        let due = self.held.iter_mut().find(|held| held.wake().is_some_and(|wake| wake <= now))?;
        // The next time is later, whatever comes of this one.
        match &mut due.phase {
            Phase::Holds { check } => {
                *check = None;
                due.verified = Some(now);
            }
            Phase::Restores(restoring) => {
                restoring.next = now + READ_AGAIN;
                restoring.since.get_or_insert(now);
            }
        }
        Some((due.order, due.leased))
    }

    /// When something is due next.
    pub fn wake(&self) -> Option<Instant> {
        self.held.iter().filter_map(Held::wake).min()
    }

    /// The settings of the lease of `order` were read just now; `None`: they could not be.
    pub fn checked(&mut self, order: OrderId, present: Option<&Present>, now: Instant) -> Step {
        let Some(at) = self.held.iter().position(|held| held.order == order) else { return Step::Wait };
        let unknown = Present::default();
        let verdict = self.held[at].judge(present.unwrap_or(&unknown), now);
        match verdict {
            Ok(step) => step,
            Err(end) => {
                let held = self.held.remove(at);
                self.news.push(LeaseNews { order: held.order, event: LeaseEvent::Ended(end) });
                Step::Wait
            }
        }
    }

    /// The order `by` is to restore what was there before the lease of `order`.
    pub fn restoring(&mut self, order: OrderId, by: OrderId) {
        let held = self.held.iter_mut().find(|held| held.order == order);
        if let Some(Held { phase: Phase::Restores(restoring), .. }) = held {
            restoring.by = Some(by);
            restoring.attempts += 1;
        }
    }

    /// The lease that the order `by` restores.
    pub fn restored_by(&self, by: OrderId) -> Option<OrderId> {
        let mut held = self.held.iter();
        held.find(|held| held.is_restored_by(by)).map(|held| held.order)
    }

    /// The last word about the order `by`, if it restores something.
    pub fn settled(&mut self, by: OrderId, outcome: &Outcome, now: Instant) {
        let Some(at) = self.held.iter().position(|held| held.is_restored_by(by)) else { return };
        let held = &mut self.held[at];
        let Phase::Restores(restoring) = &mut held.phase else { return };
        restoring.by = None;
        let end = match outcome {
            Outcome::Stored(evidence) | Outcome::InEffect(evidence) => LeaseEnd::Restored(evidence.clone()),
            _ if restoring.attempts >= MOST_ATTEMPTS => {
                let tried = format!("after {MOST_ATTEMPTS} orders, the last one {outcome}");
                LeaseEnd::RestoreFailed(tried)
            }
            _ => {
                let pause = PAUSES.get(restoring.attempts.saturating_sub(1) as usize).copied();
                restoring.next = now + Duration::from_secs(pause.unwrap_or_default());
                return;
            }
        };
        let order = self.held.remove(at).order;
        self.news.push(LeaseNews { order, event: LeaseEvent::Ended(end) });
    }

    /// Readings, which may be older than they look, show `present`. What looks like somebody else's change
    /// is to be verified.
    pub fn seen(&mut self, present: &Present, now: Instant) {
        for held in &mut self.held {
            let earliest = held.verified.map_or(now, |verified| now.max(verified + READ_AGAIN));
            let Phase::Holds { check } = &mut held.phase else { continue };
            let stands: Vec<Stands> = held
                .leased
                .each()
                .map(|leased| leased.stands(&held.former.within(&leased), present))
                .collect();
            held.was_seen |= stands.iter().all(|stands| *stands == Stands::Leased);
            let is_changed = stands.iter().any(|stands| matches!(stands, Stands::Former | Stands::Other));
            if held.was_seen && is_changed {
                check.get_or_insert(earliest);
            }
        }
    }

    /// What became of leases since this was asked last.
    pub fn news(&mut self) -> Vec<LeaseNews> {
        std::mem::take(&mut self.news)
    }

    /// The leases, as others may see them.
    pub fn shown(&self) -> Vec<Lease> {
        let lease = |held: &Held| Lease {
            order: held.order,
            leased: held.leased,
            former: held.former,
            ends: held.ends,
            state: match &held.phase {
                Phase::Holds { .. } => LeaseState::Holds,
                Phase::Restores(restoring) => {
                    LeaseState::Restores { by: restoring.by, attempts: restoring.attempts }
                }
            },
        };
        self.held.iter().map(lease).collect()
    }
}

impl Held {
    fn is_restored_by(&self, by: OrderId) -> bool {
        matches!(&self.phase, Phase::Restores(restoring) if restoring.by == Some(by))
    }

    fn wake(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Holds { check } => Some(check.map_or(self.ends, |check| check.min(self.ends))),
            // Until there is a last word about the order that restores it.
            Phase::Restores(restoring) => restoring.by.is_none().then_some(restoring.next),
        }
    }

    /// What is to be done now that `present` is known, or how the lease has ended.
    fn judge(&mut self, present: &Present, now: Instant) -> Result<Step, LeaseEnd> {
        let (mut leased, mut former) = (Setpoint::default(), Setpoint::default());
        let (mut is_restored, mut is_unknown) = (false, false);
        for setting in self.leased.each() {
            match setting.stands(&self.former.within(&setting), present) {
                Stands::Leased => leased = leased.overlaid(&setting),
                Stands::Former => {
                    former = former.overlaid(&setting);
                    is_restored = true;
                }
                Stands::Other => {}
                Stands::Unknown => is_unknown = true,
            }
        }
        let Phase::Restores(restoring) = &self.phase else {
            // Somebody has changed what does not stand any more. A gateway may take a while to take it over.
            if !is_unknown && self.was_seen {
                (self.leased, self.former) = (leased, self.former.within(&leased));
                if leased.is_empty() {
                    return Err(LeaseEnd::Superseded("somebody else has changed it before its end".into()));
                }
            }
            return Ok(Step::Wait);
        };
        let is_late = restoring.since.is_some_and(|since| now >= since + RESTORING);
        if is_unknown {
            let why = "the settings could not be read for an hour, so that nothing could be ordered";
            return if is_late { Err(LeaseEnd::RestoreFailed(why.into())) } else { Ok(Step::Wait) };
        }
        if leased.is_empty() {
            return Err(match is_restored {
                true => LeaseEnd::Restored("the former value stands already".into()),
                false => LeaseEnd::Superseded("somebody else has changed it".into()),
            });
        }
        if is_late || restoring.attempts >= MOST_ATTEMPTS {
            let why = format!("{leased} still stands after {} orders", restoring.attempts);
            return Err(LeaseEnd::RestoreFailed(why));
        }
        (self.leased, self.former) = (leased, self.former.within(&leased));
        Ok(Step::Restore(self.former))
    }
}

#[cfg(test)]
#[path = "leases/tests.rs"]
mod tests;
