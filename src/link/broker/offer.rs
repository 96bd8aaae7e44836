//! Which orders a report offers, in few words.

use std::collections::BTreeMap;

use crate::model::{Capability, Obstacle, OrderKind};
use crate::settings::Role;

/// Stands for every order.
const ALL: &str = "*";
/// Stands for all of these, which most links take together.
const SETTINGS: (&str, [OrderKind; 6]) = (
    "settings",
    [
        OrderKind::Reserve,
        OrderKind::ReserveHold,
        OrderKind::Mode,
        OrderKind::Operation,
        OrderKind::Charging,
        OrderKind::Export,
    ],
);

/// What of `all` may be ordered with `role`: by proof what can be, by obstacle what cannot.
pub(super) fn offered(all: &[Capability], role: Option<Role>) -> [BTreeMap<String, Vec<String>>; 2] {
    let (mut can, mut cannot) = (BTreeMap::<_, Vec<_>>::new(), BTreeMap::<_, Vec<_>>::new());
    let taken = |capability: &&Capability| role.is_some_and(|role| role.may_order(capability.order));
    let mut count = 0;
    for Capability { order, by } in all.iter().filter(taken) {
        count += 1;
        let (group, word) = match by {
            Ok(means) => (&mut can, means.proves.word()),
            Err(unable) => (&mut cannot, unable.obstacle.word()),
        };
        group.entry(word.to_owned()).or_default().push(order.word().to_owned());
    }
    cannot.remove(Obstacle::NoLink.word());
    let (word, settings) = SETTINGS;
    for orders in can.values_mut().chain(cannot.values_mut()) {
        if orders.len() == count {
            *orders = vec![ALL.to_owned()];
        } else if settings.iter().all(|kind| orders.iter().any(|order| order == kind.word())) {
            orders.retain(|order| settings.iter().all(|kind| order != kind.word()));
            orders.insert(0, word.to_owned());
        }
    }
    [can, cannot]
}

/// Whether `kind` is among these orders of a report.
pub fn names(orders: &[String], kind: OrderKind) -> bool {
    let (word, settings) = SETTINGS;
    let is_it =
        |order: &str| order == kind.word() || order == ALL || (order == word && settings.contains(&kind));
    orders.iter().any(|order| is_it(order))
}
