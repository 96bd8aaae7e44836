//! How a gateway's actor works through its orders: one exchange at a time, before slow data and before the
//! next poll.
//!
//! A poll that falls due waits for one order at most. An order is written down before it is sent, and sent
//! once; what becomes of it is read back afterwards. See [`OrderBook`] for what outlives the actor.

use std::sync::Arc;

use actix::prelude::*;
use log::{info, warn};
use tokio::time::{Instant, timeout};

mod intake;
mod restoring;

pub use intake::OrderIds;

use super::order_book::{Change, OrderBook};
use super::order_log::{NoOrderLog, OrderLog};
use super::{GatewayActor, telemetry};
use crate::link::LinkError;
use crate::link::order::{Carried, End, ReadBack};
use crate::model::{Capability, ErrorNote, LinkKind, Obstacle, Order, Outcome, Telemetry, Unable};

/// While this is active, a gateway ignores a change of its mode.
const CALIBRATION: &str = "BatteryCalibration";

/// What an actor needs for its orders.
pub(super) struct Desk {
    pub book: OrderBook,
    pub log: Arc<dyn OrderLog>,
    pub ids: OrderIds,
    /// Whether orders are taken: not before the predecessor has ended.
    pub is_open: bool,
    /// Whether the last poll of this actor was good.
    pub has_answered: bool,
    /// The link that was in use when an order was sent last.
    sent_over: Option<LinkKind>,
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
            sent_over: None,
            last_exchange: None,
        }
    }
}

impl GatewayActor {
    /// Works through the orders in `book`, and writes them down in `log`. Without this, no order is sent.
    /// Orders get the ids of `ids`.
    pub fn with_orders(mut self, book: OrderBook, log: Arc<dyn OrderLog>, ids: OrderIds) -> Self {
        self.orders = Desk { book, log, ids, ..self.orders };
        self
    }

    /// Takes orders from now on. What an actor before this one left is ended first.
    pub(super) fn open_orders(&mut self, ctx: &mut Context<Self>) {
        let why = note("crashed", "the part of this program that carries out orders died meanwhile");
        let changes = self.orders.book.recover(&why, Instant::now());
        self.report(changes);
        self.orders.is_open = true;
        self.recall_orders(ctx);
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
        (!poll_has_waited && self.carry_out(ctx))
            || (now < due && (self.read_back(ctx) || self.check_lease(ctx)))
    }

    /// Why the gateway is asked nothing for orders at present, whatever its next poll brings.
    fn rests(&self, now: Instant) -> Option<Unable> {
        let health = &self.newest.health;
        if health.cooldown_until.is_some_and(|until| now < until) {
            let why = health
                .last_error
                .as_ref()
                .map_or("the gateway asked for a cool-down", |error| &error.message);
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
        let readings = self.newest.reading.as_ref().map(|reading| &reading.telemetry.readings);
        let is_shown = |order: &Order| readings.is_some_and(|readings| order.shown_in(readings).is_some());
        let Some((id, order)) = self.orders.book.begin(is_shown) else {
            self.link = Some(link);
            return false;
        };
        self.orders.sent_over = Some(link.kind());
        info!(gateway = self.plan.facts.id.as_str(), event = "order"; "gateway {}: order {id}: \
            {order}", self.plan.facts.id);
        // A link keeps this itself; the second one is for a link that forgets to.
        let limit = link.order_limit(order.kind(), self.plan.timeout);
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
            End::Outcome(outcome) => self.orders.book.finish(outcome, carried.former.as_ref(), now),
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
        if self.link.is_none() {
            return false;
        }
        let Some((id, order)) = self.orders.book.look(Instant::now()) else { return false };
        let names_mode = order.setpoint().is_some_and(|asked| asked.mode.is_some());
        self.read_settings(order, ctx, move |actor, read, _| {
            let instead = read.instead.map(|instead| match names_mode && actor.is_calibrating() {
                true => format!(
                    "{instead}; the battery is being calibrated ({CALIBRATION}), and meanwhile gateways \
                     ignore a change of the mode"
                ),
                false => instead,
            });
            let changes = actor.orders.book.looked(id, read.shows, instead.as_deref(), Instant::now());
            actor.report(changes);
        })
    }

    fn is_calibrating(&self) -> bool {
        let reading = self.newest.reading.as_ref();
        let alerts = reading.and_then(|reading| reading.telemetry.site().alerts.as_ref());
        alerts.is_some_and(|alerts| alerts.iter().any(|alert| alert == CALIBRATION))
    }

    /// Reads what shows whether the gateway has what `order` asks for. Whether an exchange began.
    fn read_settings(
        &mut self,
        order: Order,
        ctx: &mut Context<Self>,
        then: impl FnOnce(&mut Self, ReadBack, &mut Context<Self>) + 'static,
    ) -> bool {
        let Some(mut link) = self.link.take() else { return false };
        let (limit, begun) = (link.order_limit(order.kind(), self.plan.timeout), Instant::now());
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
        ctx.spawn(exchange.into_actor(self).map(move |(link, mut read, read_again), actor, ctx| {
            actor.link = Some(link);
            actor.orders.last_exchange = Some(Instant::now());
            let problem = read.problem.take();
            // Who hears what became of the order finds it shown.
            if let Some(telemetry) = &read_again {
                actor.show_read_again(telemetry.clone());
            }
            then(actor, read, ctx);
            if let Some(telemetry) = read_again {
                actor.show_orders(&telemetry, begun);
            }
            actor.orders_exchanged(problem);
            actor.proceed(ctx);
        }));
        true
    }

    /// Ends the orders that readings, begun at `begun`, show to have come to something.
    pub(super) fn show_orders(&mut self, telemetry: &Telemetry, begun: Instant) {
        // What comes from a cloud was read a while ago.
        let begun = begun.checked_sub(telemetry.answers().age()).unwrap_or(begun);
        let link = self.link.as_ref().map(|link| link.kind());
        let is_same_link = link.is_some() && link == self.orders.sent_over;
        let proves =
            |order: &Order| is_same_link && self.link.as_ref().is_some_and(|link| link.readings_prove(order));
        let changes = self.orders.book.seen(&telemetry.readings, begun, proves);
        self.report(changes);
    }

    /// Takes over what reading back has brought for the readings.
    fn show_read_again(&mut self, telemetry: Arc<Telemetry>) {
        if let Some(reading) = &mut self.newest.reading {
            reading.telemetry = telemetry;
            self.publish();
        }
    }

    /// A gateway that asks for a cool-down gets it, whatever the question was.
    fn orders_exchanged(&mut self, problem: Option<LinkError>) {
        if let Some(error @ (LinkError::RateLimited { .. } | LinkError::Busy { .. })) = problem {
            self.cool_down(&error);
        } else if self.note_capabilities() | self.leases_changed() {
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
    pub(super) fn report(&self, changes: Vec<Change>) {
        let gateway = self.plan.facts.id.as_str();
        for change in changes {
            self.orders.log.note(gateway, &change);
            let Change { id, order, outcome, is_final } = &change;
            if *is_final {
                self.orders.book.leases(|leases| leases.settled(*id, outcome, Instant::now()));
            }
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
        self.report_leases();
    }
}

fn settings_changed() -> ErrorNote {
    note("reconfigured", "the settings of the gateway changed meanwhile")
}

fn note(kind: &'static str, message: impl Into<String>) -> ErrorNote {
    ErrorNote { kind, message: message.into() }
}

#[cfg(test)]
mod tests;
