//! The orders of one gateway: which wait, which one is under way, which are read back.
//!
//! The book outlives the actor that works through it, so that an order cannot be forgotten, nor sent by the
//! next actor after the one before may have sent it. It decides nothing about time or links;
//! [`super::orders`] does.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::leases::{Leases, LeftLease, Terms};
use crate::model::{ErrorNote, Order, OrderId, OrderKind, Outcome, Present, Readings, Standing};

/// Orders that may wait at the same time.
const MOST_WAITING: usize = 8;
/// Orders that may be read back at the same time; older ones are left as they stand.
const MOST_WATCHED: usize = 8;
/// An order that could not be sent for this long is given up: the caller has gone on.
const PATIENCE: Duration = Duration::from_secs(30);
/// When an order is read back, in seconds after it was sent. Gateways act 30 to 90 s later, and some take
/// longer.
const LOOKS: [u64; 8] = [3, 10, 20, 35, 60, 95, 150, 240];

/// An order that was not sent yet, or may be under way.
struct Waiting {
    id: OrderId,
    order: Order,
    /// Of its lease, if it is to hold for a time only.
    terms: Option<Terms>,
    /// Whether readings showed it before it was sent, so that they prove nothing afterwards.
    shown_before: bool,
    /// Where the caller sees what becomes of it.
    standing: watch::Sender<Standing>,
    /// Whether the journal has it; it is not sent before.
    is_recorded: bool,
    gives_up: Instant,
    /// What became of the first attempt, if there was one.
    first_attempt: Option<Attempt>,
    /// Whether a good poll must come first.
    waits_for_poll: bool,
}

/// An attempt that changed nothing.
struct Attempt {
    note: ErrorNote,
    /// Whether the gateway was asked, and said that it did nothing.
    was_sent: bool,
}

/// An order that may have left, and is read back.
struct Watched {
    id: OrderId,
    order: Order,
    standing: watch::Sender<Standing>,
    sent: Instant,
    /// As for [`Waiting`].
    shown_before: bool,
    /// When it is read back next; `None`: the last time has begun.
    due: Option<Instant>,
}

#[derive(Default)]
struct Book {
    /// In the order they came.
    waiting: VecDeque<Waiting>,
    underway: Option<Waiting>,
    /// The oldest first.
    watched: Vec<Watched>,
    leases: Leases,
    /// When an order to move the contactor was sent last.
    islanded: Option<Instant>,
    /// Whether what earlier runs of the program left has been taken up.
    is_recalled: bool,
}

/// What earlier runs of the program left of a gateway's orders.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Left {
    /// Orders without a last word, the oldest first.
    pub unfinished: Vec<(OrderId, Order)>,
    pub leases: Vec<LeftLease>,
    /// How long ago an order to move the contactor was sent, if one was.
    pub islanded: Option<Duration>,
}

/// What became of an order.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    pub id: OrderId,
    pub order: Order,
    pub outcome: Outcome,
    pub is_final: bool,
}

/// Shared by the actors that succeed each other.
#[derive(Clone, Default)]
pub struct OrderBook(Arc<Mutex<Book>>);

impl Waiting {
    /// It is not sent, or not again.
    fn give_up(mut self, why: &ErrorNote) -> Change {
        let outcome = self.with_first_attempt(Outcome::NotSent(why.clone()));
        self.end(outcome)
    }

    /// An order of which the first attempt was sent is not called unsent because the second one was not.
    fn with_first_attempt(&mut self, outcome: Outcome) -> Outcome {
        match (outcome, self.first_attempt.take()) {
            (Outcome::NotSent(why), Some(Attempt { note, was_sent: true })) => {
                let message = format!("{}; it was not sent again: {}", note.message, why.message);
                Outcome::Refused(ErrorNote { kind: note.kind, message })
            }
            (outcome, _) => outcome,
        }
    }

    fn end(self, outcome: Outcome) -> Change {
        settle(&self.standing, outcome.clone());
        Change { id: self.id, order: self.order, outcome, is_final: true }
    }
}

fn settle(standing: &watch::Sender<Standing>, outcome: Outcome) {
    standing.send_replace(Standing { outcome: Some(outcome), is_final: true });
}

impl OrderBook {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes an order, unless too many wait.
    pub fn add(
        &self,
        id: OrderId,
        order: Order,
        terms: Option<Terms>,
        now: Instant,
    ) -> Option<watch::Receiver<Standing>> {
        let mut book = self.book();
        if book.waiting.len() >= MOST_WAITING {
            return None;
        }
        let (standing, receiver) = watch::channel(Standing::default());
        book.waiting.push_back(Waiting {
            id,
            order,
            terms,
            shown_before: false,
            standing,
            is_recorded: false,
            gives_up: now + PATIENCE,
            first_attempt: None,
            waits_for_poll: false,
        });
        Some(receiver)
    }

    /// The journal has it.
    pub fn recorded(&self, id: OrderId) {
        if let Some(waiting) = self.book().waiting.iter_mut().find(|waiting| waiting.id == id) {
            waiting.is_recorded = true;
        }
    }

    /// Ends an order that still waits.
    pub fn drop_waiting(&self, id: OrderId, outcome: Outcome) -> Option<Change> {
        let mut book = self.book();
        let at = book.waiting.iter().position(|waiting| waiting.id == id)?;
        Some(book.waiting.remove(at)?.end(outcome))
    }

    /// Ends those that have waited for too long.
    pub fn expire(&self, now: Instant, why: &ErrorNote) -> Vec<Change> {
        let mut book = self.book();
        let all = std::mem::take(&mut book.waiting);
        let (expired, left): (Vec<_>, Vec<_>) = all.into_iter().partition(|waiting| waiting.gives_up <= now);
        book.waiting = left.into();
        expired.into_iter().map(|waiting| waiting.give_up(why)).collect()
    }

    /// Takes out the order whose turn it is, to be sent at once. `is_shown`: whether readings show it
    /// already.
    pub fn begin(&self, is_shown: impl Fn(&Order) -> bool) -> Option<(OrderId, Order)> {
        let mut book = self.book();
        let may_go = |waiting: &Waiting| waiting.is_recorded && !waiting.waits_for_poll;
        // Before, nobody knows what else may be under way.
        if !book.is_recalled || book.underway.is_some() || !book.waiting.front().is_some_and(may_go) {
            return None;
        }
        book.underway = book.waiting.pop_front();
        let order = book.underway.as_mut()?;
        order.shown_before = is_shown(&order.order);
        Some((order.id, order.order.clone()))
    }

    /// The order under way has come to this. It is read back if that can show more. `before`: the settings as
    /// they were read just before.
    pub fn finish(&self, outcome: Outcome, before: Option<&Present>, now: Instant) -> Vec<Change> {
        let mut book = self.book();
        let Some(mut order) = book.underway.take() else { return Vec::new() };
        let outcome = order.with_first_attempt(outcome);
        let mut changes = Vec::new();
        if order.order.kind() == OrderKind::Islanding && !matches!(outcome, Outcome::NotSent(_)) {
            book.islanded = Some(now);
        }
        if !matches!(outcome, Outcome::NotSent(_) | Outcome::Refused(_)) {
            // What is read back from now on says nothing about former orders of its kind.
            changes = book.leave(|watched| order.order.replaces(&watched.order));
            book.hold(&mut order, before, now);
        }
        if !outcome.is_open() {
            changes.push(order.end(outcome));
            return changes;
        }
        order.standing.send_replace(Standing { outcome: Some(outcome.clone()), is_final: false });
        let Waiting { id, order, standing, shown_before, .. } = order;
        changes.push(Change { id, order: order.clone(), outcome, is_final: false });
        let due = Some(now + Duration::from_secs(LOOKS[0]));
        book.watched.push(Watched { id, order, standing, sent: now, shown_before, due });
        if book.watched.len() > MOST_WATCHED {
            let oldest = book.watched[0].id;
            changes.extend(book.leave(|watched| watched.id == oldest));
        }
        changes
    }

    /// The order under way has surely changed nothing: it may be sent once more, after the next good poll.
    /// `was_sent`: whether the gateway was asked, and said so.
    pub fn not_executed(&self, note: ErrorNote, was_sent: bool, now: Instant) -> Vec<Change> {
        let mut book = self.book();
        let Some(mut order) = book.underway.take() else { return Vec::new() };
        if let Some(first) = order.first_attempt.take() {
            let outcome = match was_sent || first.was_sent {
                true => Outcome::Refused(note),
                false => Outcome::NotSent(note),
            };
            return vec![order.end(outcome)];
        }
        (order.first_attempt, order.waits_for_poll) = (Some(Attempt { note, was_sent }), true);
        order.gives_up = now + PATIENCE;
        book.waiting.push_front(order);
        Vec::new()
    }

    /// Readings that were begun at `begun` show `readings`. `prove`: whether their settings are those of the
    /// gateway then, as far as the link that they came over can know; another link than the one that was in
    /// use when an order was sent last may know older ones.
    pub fn seen(&self, readings: &Readings, begun: Instant, prove: impl Fn(&Order) -> bool) -> Vec<Change> {
        let mut book = self.book();
        book.leases.seen(&Present::of(readings), begun);
        let mut changes = Vec::new();
        book.watched.retain(|watched| {
            let are_settings = watched.order.setpoint().is_some();
            let are_new =
                prove(&watched.order) && readings.supplements.iter().all(|from| from.taken > watched.sent);
            let proves = match are_settings {
                true => !watched.shown_before && are_new,
                false => !watched.shown_before || watched.order.is_state_of_contactor(),
            };
            let is_later = watched.sent < begun;
            let shown = watched.order.shown_in(readings).filter(|_| proves && is_later);
            let Some(outcome) = shown else { return true };
            settle(&watched.standing, outcome.clone());
            let (id, order) = (watched.id, watched.order.clone());
            changes.push(Change { id, order, outcome, is_final: true });
            false
        });
        changes
    }

    /// Forgets everything, as a program that is killed does. For simulations.
    pub fn forget(&self) {
        *self.book() = Book::default();
    }

    /// Works on the leases.
    pub fn leases<T>(&self, work: impl FnOnce(&mut Leases) -> T) -> T {
        work(&mut self.book().leases)
    }

    /// What was ordered and has not come about as far as anybody has seen, the oldest first.
    pub fn pending(&self) -> Vec<Order> {
        let book = self.book();
        let is_open = |one: &&Watched| {
            !matches!(one.standing.borrow().outcome, Some(Outcome::Stored(_) | Outcome::InEffect(_)))
        };
        let watched = book.watched.iter().filter(is_open).map(|one| &one.order);
        let waiting = book.underway.iter().chain(&book.waiting).map(|one| &one.order);
        watched.chain(waiting).cloned().collect()
    }

    /// When an order to move the contactor was sent last.
    pub fn islanded(&self) -> Option<Instant> {
        self.book().islanded
    }

    /// Whether what earlier runs left has been taken up.
    pub fn is_recalled(&self) -> bool {
        self.book().is_recalled
    }

    /// Takes up what earlier runs of the program left: what may have left is unknown, and read back.
    pub fn adopt(&self, mut left: Left, now: Instant) -> Vec<Change> {
        let mut book = self.book();
        book.is_recalled = true;
        // Those that were written down since are of this run.
        let of_this_run: Vec<OrderId> = book.waiting.iter().map(|waiting| waiting.id).collect();
        left.unfinished.retain(|(id, _)| !of_this_run.contains(id));
        left.leases.retain(|lease| !of_this_run.contains(&lease.order));
        book.islanded = left.islanded.and_then(|ago| now.checked_sub(ago)).or(book.islanded);
        left.leases.into_iter().for_each(|lease| book.leases.adopt(lease, now));
        let message = "the program ended before it was known what became of the order; it is not sent again, \
                       and its effect is read back";
        let unknown = Outcome::Unknown(ErrorNote { kind: "restarted", message: message.into() });
        let mut changes = Vec::new();
        let newest = left.unfinished.len().saturating_sub(MOST_WATCHED);
        for (place, (id, order)) in left.unfinished.into_iter().enumerate() {
            let is_final = place < newest;
            let outcome = unknown.clone();
            changes.push(Change { id, order: order.clone(), outcome: outcome.clone(), is_final });
            if !is_final {
                let standing = watch::channel(Standing { outcome: Some(outcome), is_final }).0;
                let due = Some(now + Duration::from_secs(LOOKS[0]));
                book.watched.push(Watched { id, order, standing, sent: now, shown_before: true, due });
            }
        }
        changes
    }

    /// A poll was good.
    pub fn polled(&self) {
        self.book().waiting.iter_mut().for_each(|waiting| waiting.waits_for_poll = false);
    }

    /// The order that is to be read back now. The next time is later, whatever comes of this one.
    pub fn look(&self, now: Instant) -> Option<(OrderId, Order)> {
        let mut book = self.book();
        let due = book.watched.iter_mut().filter(|watched| watched.due.is_some_and(|due| due <= now));
        let watched = due.min_by_key(|watched| watched.due)?;
        let mut looks = LOOKS.into_iter().map(|seconds| watched.sent + Duration::from_secs(seconds));
        // Those that were missed while the gateway was away are not made up for.
        watched.due = looks.find(|look| *look > now);
        Some((watched.id, watched.order.clone()))
    }

    /// What a look has shown: the order has come this far (`shows`), or has not yet (`instead`).
    pub fn looked(
        &self,
        id: OrderId,
        shows: Option<Outcome>,
        instead: Option<&str>,
        now: Instant,
    ) -> Vec<Change> {
        let mut book = self.book();
        let Some(at) = book.watched.iter().position(|watched| watched.id == id) else { return Vec::new() };
        if let Some(outcome) = shows {
            let watched = book.watched.remove(at);
            settle(&watched.standing, outcome.clone());
            return vec![Change { id, order: watched.order, outcome, is_final: true }];
        }
        let watched = &book.watched[at];
        if let Some(instead) = instead {
            let after = (now - watched.sent).as_secs();
            watched.standing.send_modify(|standing| {
                standing.outcome = standing.outcome.take().map(|outcome| qualified(outcome, instead, after));
            });
        }
        book.leave(|watched| watched.id == id && watched.due.is_none())
    }

    /// When something here is next to be done. `reads_back`: whether orders can be read back at present.
    pub fn wake(&self, reads_back: bool) -> Option<Instant> {
        let book = self.book();
        let gives_up = book.waiting.iter().map(|waiting| waiting.gives_up);
        let looks = book.watched.iter().filter(|_| reads_back).filter_map(|watched| watched.due);
        let leases = book.leases.wake().filter(|_| reads_back);
        gives_up.chain(looks).chain(leases).min()
    }

    /// Ends everything that no actor works on any more: what waited was not sent, what was under way may have
    /// left.
    pub fn close(&self, why: &ErrorNote) -> Vec<Change> {
        let mut changes = self.interrupted(why);
        changes.extend(self.book().leave(|_| true));
        changes
    }

    /// After the actor died: as [`OrderBook::close`], but what may have left is read back.
    pub fn recover(&self, why: &ErrorNote, now: Instant) -> Vec<Change> {
        let mut changes = self.finish(Outcome::Unknown(why.clone()), None, now);
        changes.extend(self.interrupted(why));
        changes.extend(self.book().leave(|watched| watched.due.is_none()));
        changes
    }

    fn interrupted(&self, why: &ErrorNote) -> Vec<Change> {
        let mut book = self.book();
        let underway = book.underway.take().map(|order| order.end(Outcome::Unknown(why.clone())));
        let waiting = std::mem::take(&mut book.waiting).into_iter();
        let waiting = waiting.map(|waiting| waiting.give_up(why));
        underway.into_iter().chain(waiting).collect()
    }
}

impl Book {
    /// What `order`, which may have reached the gateway, sets is no other lease's any more, and its own if it
    /// has one.
    fn hold(&mut self, order: &mut Waiting, before: Option<&Present>, now: Instant) {
        if self.leases.restored_by(order.id).is_some() {
            return;
        }
        let Some(asked) = order.order.setpoint() else { return };
        let terms = order.terms.take().map(|terms| {
            // What was read just before is newer than the readings.
            let former = before.and_then(|before| asked.former(before)).unwrap_or(terms.former);
            Terms { former, ..terms }
        });
        self.leases.order_sent(order.id, &asked, terms, now);
    }

    /// Reads those back no more; they stay as they stand.
    fn leave(&mut self, which: impl Fn(&Watched) -> bool) -> Vec<Change> {
        let (left, kept): (Vec<_>, Vec<_>) = std::mem::take(&mut self.watched).into_iter().partition(which);
        self.watched = kept;
        let changes = left.into_iter().filter_map(|watched| {
            watched.standing.send_modify(|standing| standing.is_final = true);
            let outcome = watched.standing.borrow().outcome.clone()?;
            Some(Change { id: watched.id, order: watched.order, outcome, is_final: true })
        });
        changes.collect()
    }
}

/// An outcome, with what was read instead of what was asked for.
fn qualified(outcome: Outcome, instead: &str, after: u64) -> Outcome {
    let with = |evidence: String| {
        let first = evidence.split("; read back after").next().unwrap_or_default();
        format!("{first}; read back after {after} s, {instead}")
    };
    match outcome {
        Outcome::Accepted(evidence) => Outcome::Accepted(with(evidence)),
        Outcome::Unknown(note) => {
            Outcome::Unknown(ErrorNote { kind: note.kind, message: with(note.message) })
        }
        other => other,
    }
}

#[cfg(test)]
#[path = "order_book/tests.rs"]
mod tests;
