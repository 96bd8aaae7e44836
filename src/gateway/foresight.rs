//! What would become of an order if it were given now. Decided by what decides it when it is given; nothing
//! is sent, and nothing is written down.

use actix::prelude::*;
use serde_json::Value;
use tokio::time::Instant;

use super::GatewayActor;
use super::guard::Objection;
use crate::model::order::Request;
use crate::model::{ErrorNote, LinkKind, Order, OrderKind};

/// Asks what would become of an order.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Foreseen")]
pub struct Foresee(pub Request);

/// What would become of an order, and what there is now.
#[derive(Clone, Debug, PartialEq)]
pub struct Foreseen {
    pub would: Foresight,
    /// As [`Order::value`]; `None`: unknown, or there is no such thing.
    pub now: Option<Value>,
}

/// What would become of an order.
#[derive(Clone, Debug, PartialEq)]
pub enum Foresight {
    /// It would be given, over this link. `doubt`: why it may come to nothing.
    Order {
        over: Option<LinkKind>,
        doubt: Option<String>,
    },
    /// The gateway has it already, by live readings.
    Nothing(String),
    Refused(ErrorNote),
}

impl GatewayActor {
    fn foresee(&self, Request { order, lease, confirmed }: Request) -> Foreseen {
        let readings = self.newest.telemetry(Instant::now()).map(|telemetry| &telemetry.readings);
        let now = readings.and_then(|readings| order.value_in(readings));
        let judged = self.resolved(order).map_err(Objection::from).and_then(|order| {
            let terms = self.judged(&order, lease, confirmed)?;
            let already = self.had_already(&order).filter(|_| terms.is_none());
            Ok(already.map_or_else(|| self.over(order.kind()), Foresight::Nothing))
        });
        let would = judged.unwrap_or_else(|objection| Foresight::Refused(objection.note));
        Foreseen { would, now }
    }

    /// By what an order of this kind is known to be there already. Links look once more before they send.
    fn had_already(&self, order: &Order) -> Option<String> {
        let leaves_alone = order.setpoint().is_some()
            || matches!(order.kind(), OrderKind::StormWatch | OrderKind::VehicleReserve);
        let is_leased = || {
            let leases = self.orders.book.leases(|leases| leases.shown());
            leases.iter().any(|lease| Order::of_setpoint(lease.leased).replaces(order))
        };
        let is_moving = || self.orders.book.pending().iter().any(|other| order.replaces(other));
        if !leaves_alone || is_leased() || is_moving() {
            return None;
        }
        Some(order.shown_in(self.live_readings()?)?.evidence().to_owned())
    }

    fn over(&self, kind: OrderKind) -> Foresight {
        let mut capabilities = self.newest.health.capabilities.iter();
        match capabilities.find(|capability| capability.order == kind).map(|capability| &capability.by) {
            Some(Ok(means)) => Foresight::Order { over: Some(means.link), doubt: None },
            Some(Err(unable)) => Foresight::Order { over: None, doubt: Some(unable.message.clone()) },
            None => Foresight::Order { over: None, doubt: None },
        }
    }
}

impl Handler<Foresee> for GatewayActor {
    type Result = MessageResult<Foresee>;

    fn handle(&mut self, Foresee(request): Foresee, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.foresee(request))
    }
}
