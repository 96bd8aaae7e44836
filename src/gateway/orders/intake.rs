//! How an order comes in: whether it is taken, what of it holds for a time, and that it is written down.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::super::GatewayActor;
use super::super::guard::{self, Objection, Situation};
use super::super::leases::Terms;
use super::super::messages::{CarryOut, Receipt};
use super::super::order_log::OrderRecord;
use super::{note, settings_changed};
use crate::model::order::{Lease, Mark, Reserve};
use crate::model::{ErrorNote, Freshness, Obstacle, Order, OrderId, Outcome, Present, Readings, Standing};

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

    pub(super) fn next(&self) -> OrderId {
        OrderId::new((self.0)())
    }
}

impl GatewayActor {
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
    pub(in super::super) fn resolved(&self, order: Order) -> Result<Order, ErrorNote> {
        if order != Order::ReserveHold {
            return Ok(order);
        }
        let charge = self.live_readings().and_then(|readings| readings.charge.state_of_energy());
        let reserve = charge.and_then(Reserve::holding);
        reserve.map(Order::Reserve).ok_or_else(|| {
            note(
                "charge_unknown",
                "the battery's state of charge is not known at present, so it cannot be held",
            )
        })
    }

    pub(in super::super) fn live_readings(&self) -> Option<&Readings> {
        let is_live = self.newest.freshness(Instant::now()) == Freshness::Live;
        let reading = self.newest.reading.as_ref().filter(|_| is_live)?;
        Some(&reading.telemetry.readings)
    }

    /// How long the contactor is still left alone.
    fn islanding_cools_down(&self) -> Option<Duration> {
        let since = self.orders.book.islanded()?.elapsed();
        let left = self.plan.islanding_cooldown.saturating_sub(since);
        (!left.is_zero()).then_some(left)
    }

    fn guard(&self, order: &Order, confirmed: bool) -> Result<(), Objection> {
        let (readings, cool_down) = (self.live_readings(), self.islanding_cools_down());
        guard::check(order, &Situation { readings, cool_down, confirmed })
    }

    /// What is restored after `lasts`.
    fn terms(&self, order: &Order, lasts: Duration) -> Result<Terms, ErrorNote> {
        let asked = order.setpoint().filter(|_| order.kind().takes_lease());
        let asked = asked
            .ok_or_else(|| note("no_lease", format!("{} does not hold for a time only", order.kind())))?;
        if !(Lease::SHORTEST..=Lease::LONGEST).contains(&lasts) {
            let (shortest, longest) = (Lease::SHORTEST.as_secs(), Lease::LONGEST.as_secs());
            let why = format!("an order holds for {shortest} to {longest} s");
            return Err(note("out_of_range", why));
        }
        let readings = self.newest.telemetry(Instant::now()).map(|telemetry| &telemetry.readings);
        let present = readings.map(|readings| Present::of(readings)).unwrap_or_default();
        let former = self.orders.book.leases(|leases| leases.former(&asked, &present));
        let former = former.ok_or_else(|| {
            note("former_unknown", "the present value is not known, so that it could not be restored")
        })?;
        Ok(Terms { lasts, former })
    }

    /// What is restored after `order`, which is one that [`Self::resolved`] gives.
    ///
    /// # Errors
    /// If the order is not even taken.
    pub(in super::super) fn judged(
        &self,
        order: &Order,
        lease: Option<Duration>,
        confirmed: bool,
    ) -> Result<Option<Terms>, Objection> {
        let able = self.objection(order).map_or(Ok(()), Err);
        let terms = able.and_then(|()| lease.map(|lasts| self.terms(order, lasts)).transpose())?;
        self.guard(order, confirmed)?;
        Ok(terms)
    }

    fn take_order(&mut self, carry_out: CarryOut, ctx: &mut Context<Self>) -> Receipt {
        let CarryOut { order, lease, confirmed, asked_by, mark } = carry_out;
        let order = match self.resolved(order.clone()) {
            Ok(order) => order,
            Err(why) => return turned_away(self.orders.ids.next(), order, why.into()),
        };
        let terms = match self.judged(&order, lease, confirmed) {
            Ok(terms) => terms,
            Err(objection) => return turned_away(self.orders.ids.next(), order, objection),
        };
        let receipt = self.submit(order, terms, None, Author { asked_by, mark }, ctx);
        self.proceed(ctx); // which arms the timer
        receipt
    }

    /// Puts an order among those that wait, and writes it down.
    pub(super) fn submit(
        &mut self,
        order: Order,
        terms: Option<Terms>,
        restores: Option<OrderId>,
        author: Author,
        ctx: &mut Context<Self>,
    ) -> Receipt {
        let id = self.orders.ids.next();
        let Some(standing) = self.orders.book.add(id, order.clone(), terms.clone(), Instant::now()) else {
            return turned_away(id, order, note("too_many", "too many orders wait for this gateway").into());
        };
        if let Some(lease) = restores {
            self.orders.book.leases(|leases| leases.restoring(lease, id));
        }
        let gateway = self.plan.facts.id.clone();
        let Author { asked_by, mark } = author;
        let record = OrderRecord { id, gateway, order: order.clone(), terms, restores, asked_by, mark };
        let recorded = timeout(RECORD_LIMIT, self.orders.log.record(record));
        let (written, recording) = watch::channel(());
        ctx.spawn(recorded.into_actor(self).map(move |recorded, actor, ctx| {
            drop(written);
            let late = |_| Err(format!("it did not answer within {} s", RECORD_LIMIT.as_secs()));
            match recorded.unwrap_or_else(late) {
                Ok(()) => actor.orders.book.recorded(id),
                Err(why) => {
                    let message = format!("the journal cannot take the order, so it was not sent: {why}");
                    let outcome = Outcome::NotSent(note("not_recorded", message));
                    let change = actor.orders.book.drop_waiting(id, outcome);
                    actor.report(change.into_iter().collect());
                }
            }
            actor.proceed(ctx);
        }));
        Receipt { id, order, standing, retry_after: None, is_taken: true, recording }
    }
}

/// Who gives an order.
pub(super) struct Author {
    pub asked_by: String,
    /// How the order is known again.
    pub mark: Option<Mark>,
}

/// What the caller gets for an order that was not even taken.
fn turned_away(id: OrderId, order: Order, Objection { note, retry_after }: Objection) -> Receipt {
    let standing = Standing { outcome: Some(Outcome::NotSent(note)), is_final: true };
    let (standing, recording) = (watch::channel(standing).1, watch::channel(()).1);
    Receipt { id, order, standing, retry_after, is_taken: false, recording }
}

impl Handler<CarryOut> for GatewayActor {
    type Result = MessageResult<CarryOut>;

    fn handle(&mut self, carry_out: CarryOut, ctx: &mut Self::Context) -> Self::Result {
        MessageResult(self.take_order(carry_out, ctx))
    }
}
