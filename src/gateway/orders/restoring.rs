//! What a gateway's actor does about leases and about what earlier runs of the program left: reads what
//! stands, orders the former state back, and writes down how it ended.

use std::time::Duration;

use actix::prelude::*;
use log::{info, warn};
use tokio::time::{Instant, timeout};

use super::super::GatewayActor;
use super::super::leases::{LeaseEvent, LeaseNews, Step};
use super::intake::Author;
use crate::model::order::LeaseEnd;
use crate::model::{Order, OrderId, Setpoint};

/// The journal must say within this what earlier runs left, …
const RECALL_LIMIT: Duration = Duration::from_secs(10);
/// … or is asked again after this. No order is sent before.
const RECALL_AGAIN: Duration = Duration::from_secs(15);

impl GatewayActor {
    /// Takes up what earlier runs of the program left, once.
    pub(super) fn recall_orders(&mut self, ctx: &mut Context<Self>) {
        if self.orders.book.is_recalled() {
            return;
        }
        let recalled = timeout(RECALL_LIMIT, self.orders.log.recall(&self.plan.facts.id));
        ctx.spawn(recalled.into_actor(self).map(|recalled, actor, ctx| {
            match recalled.unwrap_or_else(|_| Err("it did not answer in time".into())) {
                Ok(left) => {
                    let changes = actor.orders.book.adopt(left, Instant::now());
                    actor.report(changes);
                    actor.proceed(ctx);
                }
                Err(why) => {
                    let id = actor.plan.facts.id.as_str();
                    warn!(gateway = id, event = "order"; "gateway {id}: no order is sent before the journal \
                        says what was ordered before this start: {why}");
                    ctx.run_later(RECALL_AGAIN, |actor, ctx| actor.recall_orders(ctx));
                }
            }
        }));
    }

    /// Reads what stands of a lease, if one is to be judged. Whether an exchange began.
    pub(super) fn check_lease(&mut self, ctx: &mut Context<Self>) -> bool {
        if self.link.is_none() {
            return false;
        }
        let due = self.orders.book.leases(|leases| leases.due(Instant::now()));
        let Some((lease, leased)) = due else { return false };
        self.read_settings(Order::of_setpoint(leased), ctx, move |actor, read, ctx| {
            let step = actor
                .orders
                .book
                .leases(|leases| leases.checked(lease, read.present.as_ref(), Instant::now()));
            if let Step::Restore(former) = step {
                actor.restore(lease, former, ctx);
            }
            actor.report_leases();
        })
    }

    /// The end of a lease is an order of its own. If it cannot be taken now, the lease is judged again later.
    fn restore(&mut self, lease: OrderId, former: Setpoint, ctx: &mut Context<Self>) {
        let asked_by = format!("the end of the lease of order {lease}");
        let author = Author { asked_by, mark: None };
        self.submit(Order::of_setpoint(former), None, Some(lease), author, ctx);
    }

    /// Writes down and logs what became of leases.
    pub(super) fn report_leases(&self) {
        let gateway = self.plan.facts.id.as_str();
        for news in self.orders.book.leases(|leases| leases.news()) {
            self.orders.log.note_lease(gateway, &news);
            let LeaseNews { order, event } = &news;
            match event {
                LeaseEvent::Ended(end @ LeaseEnd::RestoreFailed(_)) => {
                    warn!(gateway = gateway, event = "lease"; "gateway {gateway}: the lease of order {order} \
                        has ended, and what was before could not be restored ({end})");
                }
                LeaseEvent::Ended(end) => {
                    info!(gateway = gateway, event = "lease"; "gateway {gateway}: the lease of order {order} \
                        has ended ({end})");
                }
                LeaseEvent::Holds { former } => {
                    info!(gateway = gateway, event = "lease"; "gateway {gateway}: order {order} holds for a \
                        time; then: {former}");
                }
            }
        }
    }

    /// Whether the snapshot shows other leases than there are.
    pub(super) fn leases_changed(&self) -> bool {
        self.orders.book.leases(|leases| leases.shown()) != *self.newest.health.leases
    }
}

#[cfg(test)]
mod tests;
