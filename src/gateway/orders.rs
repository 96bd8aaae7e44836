//! How a gateway's actor works through its orders: one exchange at a time, before slow data and before the
//! next poll.
//!
//! A poll that falls due waits for one order at most. An order is written down before it is sent, and sent
//! once; what becomes of it is read back afterwards. See [`OrderBook`] for what outlives the actor.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use log::{info, warn};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::messages::{CarryOut, Receipt};
use super::order_book::{Change, OrderBook};
use super::order_log::{NoOrderLog, OrderLog, OrderRecord};
use super::{GatewayActor, telemetry};
use crate::link::LinkError;
use crate::link::order::{Carried, End, ReadBack};
use crate::model::order::Reserve;
use crate::model::{Capability, ErrorNote, Freshness, Obstacle, Order, OrderId, Outcome, Standing, Unable};

/// The journal must have an order within this, or it is not sent.
const RECORD_LIMIT: Duration = Duration::from_secs(5);

/// Gives orders their ids.
#[derive(Clone)]
pub struct OrderIds(Arc<dyn Fn() -> u128 + Send + Sync>);

impl OrderIds {
    /// From the operating system's randomness.
    pub fn random() -> Self {
        Self::from(rand::random)
    }

    /// `bits`: 128 random ones, each time others.
    pub fn from(bits: impl Fn() -> u128 + Send + Sync + 'static) -> Self {
        Self(Arc::new(bits))
    }

    fn next(&self) -> OrderId {
        OrderId::new((self.0)())
    }
}

/// What an actor needs for its orders.
pub(super) struct Desk {
    pub book: OrderBook,
    pub log: Arc<dyn OrderLog>,
    pub ids: OrderIds,
    /// Whether orders are taken: not before the predecessor has ended.
    pub is_open: bool,
    /// Whether the last poll of this actor was good.
    pub has_answered: bool,
    /// When the last exchange for an order ended.
    last_exchange: Option<Instant>,
}

impl Default for Desk {
    fn default() -> Self {
        Self {
            book: OrderBook::default(),
            log: Arc::new(NoOrderLog),
            ids: OrderIds::random(),
            is_open: false,
            has_answered: false,
            last_exchange: None,
        }
    }
}

impl GatewayActor {
    /// Works through the orders in `book`, and writes them down in `log`. Without this, no order is sent.
    pub fn with_orders(mut self, book: OrderBook, log: Arc<dyn OrderLog>) -> Self {
        self.orders.book = book;
        self.orders.log = log;
        self
    }

    /// Takes orders from now on. What an actor before this one left is ended first.
    pub(super) fn open_orders(&mut self) {
        let why = note("crashed", "the part of this program that carries out orders died meanwhile");
        let changes = self.orders.book.recover(&why, Instant::now());
        self.report(changes);
        self.orders.is_open = true;
    }

    pub(super) fn close_orders(&mut self) {
        self.orders.is_open = false;
        let changes = self.orders.book.close(&settings_changed());
        self.report(changes);
    }

    /// Nothing will ever be asked.
    pub(super) fn drop_orders(&mut self) {
        let why = self.newest.health.last_error.clone().unwrap_or_else(settings_changed);
        let changes = self.orders.book.close(&why);
        self.report(changes);
    }

    /// Does what is due of the orders, if anything; `due`: when the next poll starts. Whether an exchange
    /// began.
    pub(super) fn proceed_with_orders(&mut self, due: Instant, ctx: &mut Context<Self>) -> bool {
        let now = Instant::now();
        let why = match &self.newest.health.last_error {
            Some(error) => note(error.kind, format!("the gateway did not answer in time: {}", error.message)),
            None => note("busy", "the gateway was busy with something else for too long"),
        };
        let changes = self.orders.book.expire(now, &why);
        self.report(changes);
        if !self.orders.has_answered || self.rests(now).is_some() {
            return false;
        }
        // A poll that is due has waited for an order if one ended since.
        let poll_has_waited = now >= due && self.orders.last_exchange.is_some_and(|ended| ended >= due);
        (!poll_has_waited && self.carry_out(ctx)) || (now < due && self.read_back(ctx))
    }

    /// Why the gateway is asked nothing for orders at present, whatever its next poll brings.
    fn rests(&self, now: Instant) -> Option<Unable> {
        let health = &self.newest.health;
        if health.cooldown_until.is_some_and(|until| now < until) {
            let why =
                health.last_error.as_ref().map_or("the gateway asked for silence", |error| &error.message);
            return Some(Obstacle::NotReached.because(why));
        }
        // As slow data: an answer that kills its reader must not cost the readings.
        self.slow_rest.rests(now).then(|| {
            Obstacle::NotReached.because(
                "reading an answer of this gateway went wrong in this program a few minutes ago; please \
                 report it. For ten minutes it is only polled",
            )
        })
    }

    /// When the orders need the actor next.
    pub(super) fn orders_wake(&self) -> Option<Instant> {
        self.orders.book.wake(self.orders.has_answered && self.rests(Instant::now()).is_none())
    }

    fn carry_out(&mut self, ctx: &mut Context<Self>) -> bool {
        let Some(mut link) = self.link.take() else { return false };
        let Some((id, order)) = self.orders.book.begin() else {
            self.link = Some(link);
            return false;
        };
        info!(gateway = self.plan.facts.id.as_str(), event = "order"; "gateway {}: order {id}: \
            {order}", self.plan.facts.id);
        // A link keeps this itself; the second one is for a link that forgets to.
        let limit = self.plan.timeout;
        let exchange = async move {
            let carried = timeout(limit, link.carry_out(&order, limit)).await;
            let carried = carried.unwrap_or_else(|_| Carried::failed(LinkError::Timeout(limit)));
            (link, carried)
        };
        ctx.spawn(exchange.into_actor(self).map(|(link, carried), actor, ctx| {
            actor.link = Some(link);
            actor.orders.last_exchange = Some(Instant::now());
            actor.carried(carried);
            actor.proceed(ctx);
        }));
        true
    }

    fn carried(&mut self, carried: Carried) {
        let now = Instant::now();
        let changes = match carried.end {
            End::Outcome(outcome) => self.orders.book.finish(outcome, now),
            End::NotExecuted(note) => self.try_again(note, true),
            End::NotYet(note) => self.try_again(note, false),
        };
        self.report(changes);
        self.orders_exchanged(carried.problem);
    }

    fn try_again(&mut self, note: ErrorNote, was_sent: bool) -> Vec<Change> {
        let now = Instant::now();
        // The next poll renews what may have been the reason.
        self.due = self.due.map(|due| due.min(now));
        self.orders.book.not_executed(note, was_sent, now)
    }

    fn read_back(&mut self, ctx: &mut Context<Self>) -> bool {
        let Some(mut link) = self.link.take() else { return false };
        let Some((id, order)) = self.orders.book.look(Instant::now()) else {
            self.link = Some(link);
            return false;
        };
        let limit = self.plan.timeout;
        let (adjustments, numbering) = (self.plan.adjustments, self.newest.numbering.clone());
        let exchange = async move {
            let read = timeout(limit, link.read_back(&order)).await;
            let mut read = read.unwrap_or_else(|_| ReadBack::failed(LinkError::Timeout(limit)));
            let read_again = match read.source.take() {
                Some(source) => Some(telemetry(source, adjustments, numbering).await),
                None => None,
            };
            (link, read, read_again)
        };
        ctx.spawn(exchange.into_actor(self).map(move |(link, read, read_again), actor, ctx| {
            actor.link = Some(link);
            let now = Instant::now();
            actor.orders.last_exchange = Some(now);
            let changes = actor.orders.book.looked(id, read.shows, read.instead.as_deref(), now);
            actor.report(changes);
            if let (Some(telemetry), Some(reading)) = (read_again, &mut actor.newest.reading) {
                reading.telemetry = telemetry;
                actor.publish();
            }
            actor.orders_exchanged(read.problem);
            actor.proceed(ctx);
        }));
        true
    }

    /// A gateway that asks for a cool-down gets it, whatever the question was.
    fn orders_exchanged(&mut self, problem: Option<LinkError>) {
        if let Some(error @ (LinkError::RateLimited { .. } | LinkError::Busy { .. })) = problem {
            self.cool_down(&error);
        } else if self.note_capabilities() {
            self.publish();
        }
    }

    /// Keeps what the gateway can take at present with its health; whether that is news.
    pub(super) fn note_capabilities(&mut self) -> bool {
        let Some(link) = &self.link else { return false };
        let mut capabilities = link.capabilities();
        let unreached = || {
            let error = self.newest.health.last_error.as_ref().filter(|_| !self.orders.has_answered)?;
            let obstacle = match error.kind.starts_with("key_") {
                true => Obstacle::KeyNotAccepted,
                false => Obstacle::NotReached,
            };
            Some(obstacle.because(error.message.clone()))
        };
        if let Some(unable) = self.rests(Instant::now()).or_else(unreached) {
            for Capability { by, .. } in capabilities.iter_mut().filter(|capability| capability.by.is_ok()) {
                *by = Err(unable.clone());
            }
        }
        let is_news = *self.newest.health.capabilities != *capabilities;
        if is_news {
            self.newest.health.capabilities = capabilities.into();
        }
        is_news
    }

    /// Writes down and logs what became of orders.
    fn report(&self, changes: Vec<Change>) {
        let gateway = self.plan.facts.id.as_str();
        for change in changes {
            self.orders.log.note(gateway, &change);
            let Change { id, order, outcome, .. } = &change;
            match outcome {
                Outcome::Refused(_) | Outcome::Unknown(_) => {
                    warn!(gateway = gateway, event = "order"; "gateway {gateway}: order {id} ({order}) is \
                        {outcome}");
                }
                _ => {
                    info!(gateway = gateway, event = "order"; "gateway {gateway}: order {id} ({order}) is \
                        {outcome}")
                }
            }
        }
    }

    /// Why an order is not even taken, if it is not.
    fn objection(&self, order: &Order) -> Option<ErrorNote> {
        let health = &self.newest.health;
        if !self.orders.is_open {
            return Some(settings_changed());
        }
        if let Some(unable) = self.rests(Instant::now()) {
            return Some(unable.into());
        }
        let capability = health.capabilities.iter().find(|capability| capability.order == order.kind());
        match capability.map(|capability| &capability.by) {
            // One that does not answer may do so in a moment.
            Some(Err(unable)) if unable.obstacle != Obstacle::NotReached => {
                return Some(unable.clone().into());
            }
            _ => {}
        }
        let never = note("unsupported", "this gateway is never asked anything");
        self.due.is_none().then(|| health.last_error.clone().unwrap_or(never))
    }

    /// The order as it is carried out: a hold is a reserve at the charge there is.
    fn resolved(&self, order: Order) -> Result<Order, ErrorNote> {
        if order != Order::ReserveHold {
            return Ok(order);
        }
        let is_live = self.newest.freshness(Instant::now()) == Freshness::Live;
        let readings = self.newest.reading.as_ref().filter(|_| is_live);
        let charge = readings.and_then(|reading| reading.telemetry.readings.charge.state_of_energy());
        let reserve = charge.and_then(Reserve::holding);
        reserve.map(Order::Reserve).ok_or_else(|| {
            note(
                "charge_unknown",
                "the battery's state of charge is not known at present, so it cannot be held",
            )
        })
    }

    fn take_order(&mut self, carry_out: CarryOut, ctx: &mut Context<Self>) -> Receipt {
        let CarryOut { order, lease, asked_by, .. } = carry_out;
        let id = self.orders.ids.next();
        if lease.is_some() {
            return turned_away(
                id,
                order,
                note("no_lease", "this version takes no orders that hold for a time"),
            );
        }
        let order = match self.resolved(order.clone()) {
            Ok(resolved) => resolved,
            Err(why) => return turned_away(id, order, why),
        };
        if let Some(why) = self.objection(&order) {
            return turned_away(id, order, why);
        }
        let Some(standing) = self.orders.book.add(id, order.clone(), Instant::now()) else {
            return turned_away(id, order, note("too_many", "too many orders wait for this gateway"));
        };
        let gateway = self.plan.facts.id.clone();
        let record = OrderRecord { id, gateway, order: order.clone(), lease, asked_by };
        let recorded = timeout(RECORD_LIMIT, self.orders.log.record(record));
        ctx.spawn(recorded.into_actor(self).map(move |recorded, actor, ctx| {
            match recorded
                .unwrap_or_else(|_| Err(format!("it did not answer within {} s", RECORD_LIMIT.as_secs())))
            {
                Ok(()) => actor.orders.book.recorded(id),
                Err(why) => {
                    let why = note(
                        "not_recorded",
                        format!("the journal cannot take the order, so it was not sent: {why}"),
                    );
                    let change = actor.orders.book.drop_waiting(id, Outcome::NotSent(why));
                    actor.report(change.into_iter().collect());
                }
            }
            actor.proceed(ctx);
        }));
        self.proceed(ctx); // which arms the timer
        Receipt { id, order, standing }
    }
}

/// What the caller gets for an order that was not even taken.
fn turned_away(id: OrderId, order: Order, why: ErrorNote) -> Receipt {
    let standing = Standing { outcome: Some(Outcome::NotSent(why)), is_final: true };
    Receipt { id, order, standing: watch::channel(standing).1 }
}

fn settings_changed() -> ErrorNote {
    note("reconfigured", "the settings of the gateway changed meanwhile")
}

fn note(kind: &'static str, message: impl Into<String>) -> ErrorNote {
    ErrorNote { kind, message: message.into() }
}

impl Handler<CarryOut> for GatewayActor {
    type Result = MessageResult<CarryOut>;

    fn handle(&mut self, carry_out: CarryOut, ctx: &mut Self::Context) -> Self::Result {
        MessageResult(self.take_order(carry_out, ctx))
    }
}

#[cfg(test)]
mod tests;
