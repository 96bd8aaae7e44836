//! What the journal says an earlier run of the program left of a gateway's orders: those without a last word,
//! leases that hold or were being restored, and when the contactor was moved last.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::Value;

use super::leases::LeftLease;
use super::order_book::Left;
use crate::model::order::Lease;
use crate::model::{Order, OrderId, OrderKind, Setpoint};
use crate::store::journal::{EntryId, Kind, Recorded};

/// How far back entries are read, in seconds: as long as the longest lease, and what restoring it takes.
pub(super) const REACH: f64 = (Lease::LONGEST.as_secs() + 7_200) as f64;

/// An order, as far as entries describe it.
struct Known {
    order: Order,
    at: f64,
    /// In seconds, and what was there before.
    lease: Option<(u64, Setpoint)>,
    /// The order whose lease it ends.
    restores: Option<OrderId>,
    /// The word for its last known outcome.
    outcome: Option<String>,
    is_final: bool,
    has_ended: bool,
    entry: EntryId,
}

fn id(detail: &Value, key: &str) -> Option<OrderId> {
    OrderId::parse(detail[key].as_str()?)
}

impl Known {
    fn of(recorded: &Recorded) -> Option<(OrderId, Self)> {
        let detail = &recorded.entry.detail;
        let kind = OrderKind::parse(detail["kind"].as_str()?)?;
        let former = Setpoint::of_value(&detail["former"]);
        let known = Self {
            order: Order::of_value(kind, &detail["value"])?,
            at: recorded.entry.at,
            lease: detail["lease"].as_u64().zip(former),
            restores: id(detail, "restores"),
            outcome: None,
            is_final: false,
            has_ended: false,
            entry: recorded.id,
        };
        Some((id(detail, "order")?, known))
    }

    fn takes_over(&mut self, recorded: &Recorded) {
        let detail = &recorded.entry.detail;
        match recorded.entry.kind {
            Kind::Outcome => {
                self.outcome = detail["outcome"].as_str().map(str::to_owned);
                self.is_final = detail["final"] == true;
            }
            Kind::Lease => match Setpoint::of_value(&detail["former"]) {
                Some(former) if detail["state"] == "holds" => {
                    self.lease = self.lease.map(|(seconds, _)| (seconds, former));
                }
                _ => self.has_ended = true,
            },
            _ => {}
        }
    }

    fn surely_did_nothing(&self) -> bool {
        self.is_final && matches!(self.outcome.as_deref(), Some("not_sent" | "refused"))
    }

    /// Whether, and since when, it may have reached the gateway.
    fn age(&self, now: f64) -> Duration {
        // A wall clock that was set back must not make a lease longer than it was.
        Duration::try_from_secs_f64(now - self.at).unwrap_or_default()
    }
}

/// What is left, and the entries of the orders without a last word. `entries`: the newest first; `now`: Unix
/// seconds.
pub(super) fn left(entries: &[Recorded], now: f64) -> (Left, Vec<(OrderId, EntryId)>) {
    let mut order_of = Vec::new();
    let mut known: HashMap<OrderId, Known> = HashMap::new();
    for recorded in entries.iter().rev() {
        if recorded.entry.kind == Kind::Order {
            if let Some((id, order)) = Known::of(recorded) {
                order_of.push(id);
                known.insert(id, order);
            }
        } else if let Some(order) = id(&recorded.entry.detail, "order").and_then(|id| known.get_mut(&id)) {
            order.takes_over(recorded);
        }
    }
    let unfinished: Vec<OrderId> = order_of.iter().copied().filter(|id| !known[id].is_final).collect();
    let islanded = order_of.iter().rev().map(|id| &known[id]).find(|known| {
        known.order.kind() == OrderKind::Islanding && known.outcome.as_deref() != Some("not_sent")
    });
    let left = Left {
        islanded: islanded.map(|known| known.age(now)),
        leases: order_of.iter().filter_map(|id| lease(*id, &order_of, &known, now)).collect(),
        unfinished: unfinished.iter().map(|id| (*id, known[id].order.clone())).collect(),
    };
    (left, unfinished.iter().map(|id| (*id, known[id].entry)).collect())
}

/// The lease of `id`, if it has not ended.
fn lease(id: OrderId, order_of: &[OrderId], known: &HashMap<OrderId, Known>, now: f64) -> Option<LeftLease> {
    let order = &known[&id];
    let (seconds, former) = order.lease?;
    if order.has_ended || order.surely_did_nothing() {
        return None;
    }
    let mut leased = order.order.setpoint()?;
    // What later orders have set is theirs.
    let place = order_of.iter().position(|other| *other == id)?;
    let later = order_of[place + 1..].iter().map(|id| &known[id]);
    for other in later.filter(|other| other.restores != Some(id) && !other.surely_did_nothing()) {
        leased = other.order.setpoint().map_or(leased, |set| leased.without(&set));
    }
    let restoring: Vec<OrderId> =
        order_of.iter().copied().filter(|other| known[other].restores == Some(id)).collect();
    let by = restoring.last().copied().filter(|by| !known[by].is_final);
    (!leased.is_empty()).then(|| LeftLease {
        order: id,
        leased,
        former: former.within(&leased),
        left: Duration::from_secs(seconds).saturating_sub(order.age(now)),
        attempts: u32::try_from(restoring.len()).unwrap_or(u32::MAX),
        by,
    })
}
