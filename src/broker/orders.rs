//! Orders that come over the broker: given like any other, once, and never after their deadline. What may be
//! ordered, and how often, is decided by [`crate::control`] and the gateway's actor.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use async_nats::{Message, Subject};
use futures_util::StreamExt;
use log::{info, warn};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::Reporter;
use crate::clock::unix_time;
use crate::control::{Asker, Key, Placed};
use crate::gateway::messages::Receipt;
use crate::link::broker::orders::{Errand, Reply};
use crate::link::broker::standing::Goods;
use crate::link::broker::wire::VERSION;
use crate::model::order::Request;
use crate::model::{OrderId, Standing};
use crate::settings::{Role, Secret, Token};

/// Orders that are followed at once.
const MOST: usize = 32;
/// Bytes of the name of who ordered.
const LONGEST_NAME: usize = 64;

/// Takes orders until it is dropped; none unless the settings allow it.
pub async fn take(reporter: &Rc<Reporter>) {
    let Some(role) = reporter.orders else { return std::future::pending().await };
    let subject = reporter.broker.subjects.orders_of(&reporter.site.id);
    let places = Arc::new(Semaphore::new(MOST));
    loop {
        let Ok(mut orders) = reporter.broker.client.subscribe(subject.clone()).await else {
            return std::future::pending().await;
        };
        info!(event = "broker"; "site {} takes orders from the broker", reporter.site.id);
        while let Some(message) = orders.next().await {
            let arrived = Instant::now();
            let Ok(place) = places.clone().try_acquire_owned() else {
                say(reporter, message.reply, Reply::not_sent("", "too many orders at once")).await;
                continue;
            };
            let reporter = reporter.clone();
            // On its own: an order must not be dropped half way.
            actix::spawn(async move {
                carry_out(&reporter, message, (role, arrived)).await;
                drop(place);
            });
        }
    }
}

async fn carry_out(reporter: &Reporter, message: Message, (role, arrived): (Role, Instant)) {
    let Message { subject, reply, payload, .. } = message;
    let gateway = subject.rsplit('.').next().unwrap_or_default();
    let errand = match Errand::read(&payload) {
        Ok(errand) => errand,
        Err(why) => return refuse(reporter, reply, (gateway, ""), &why).await,
    };
    let id = errand.id.as_str();
    let refused = |why: &'static str| refuse(reporter, reply.clone(), (gateway, id), why);
    // Without either, an order that was lost on the way could be repeated.
    let (Some(key), Some(_)) = (Key::new(id), &reply) else {
        return refused("it has no id, or nobody waits for the answer").await;
    };
    let Some(order) = errand.order() else {
        return refused("no such order is known here; update the site").await;
    };
    if !role.may_order(order.kind()) {
        return refused(
            "the site takes no such order from the broker; PW_BROKER_ORDERS=owner there allows it",
        )
        .await;
    }
    let Some(entry) = reporter.house.directory.get(gateway) else {
        return refused("the site has no such gateway").await;
    };
    if is_late(&errand, arrived) {
        return refused("it arrived after its deadline").await;
    }
    let token = Arc::new(token(&errand.by, role));
    let asker = Asker { token: token.clone(), client: None, key: Some(key) };
    let request = Request { order, lease: None, confirmed: errand.confirmed };
    let control = &reporter.house.control;
    match control.place(&entry, request, asker).await {
        Ok(Placed::Now(receipt)) => {
            reporter.house.standing.went(Goods::Orders, 1);
            follow(reporter, reply, id, receipt).await;
        }
        Ok(Placed::Before(order)) => match control.ordered.receipt(order) {
            Some(receipt) => follow(reporter, reply, id, receipt).await,
            None => recall(reporter, reply, (id, order), &token).await,
        },
        Err(rejected) => refuse(reporter, reply, (gateway, id), &rejected.to_string()).await,
    }
}

/// The shorter of what the clock says and of what has passed here.
fn is_late(errand: &Errand, arrived: Instant) -> bool {
    let limit = Duration::from_millis(errand.ttl_ms);
    let is_before = unix_time() < errand.deadline;
    !is_before || arrived.elapsed() >= limit
}

/// Nobody can present it: its secret is known to nobody. The journal has the name.
fn token(by: &str, role: Role) -> Token {
    let by: String = by.chars().filter(|character| !character.is_control()).take(LONGEST_NAME).collect();
    let secret = Secret::new(format!("{:032x}", rand::random::<u128>()));
    Token { name: format!("broker: {by}"), role, gateways: None, secret }
}

/// Says each outcome until the last.
async fn follow(reporter: &Reporter, reply: Option<Subject>, id: &str, mut receipt: Receipt) {
    loop {
        let standing = receipt.standing.borrow_and_update().clone();
        let is_final = standing.is_final;
        say(reporter, reply.clone(), replied(id, &standing)).await;
        if is_final || receipt.standing.changed().await.is_err() {
            return;
        }
    }
}

fn replied(id: &str, standing: &Standing) -> Reply {
    match &standing.outcome {
        Some(outcome) => Reply::of(id, outcome, standing.is_final),
        None => waiting(id),
    }
}

fn waiting(id: &str) -> Reply {
    let (id, outcome) = (id.to_owned(), "waiting".to_owned());
    Reply { v: VERSION, id, outcome, evidence: String::new(), is_final: false }
}

/// An order of a former run: what the journal says of it.
async fn recall(reporter: &Reporter, reply: Option<Subject>, (id, order): (&str, OrderId), token: &Token) {
    let view = reporter.house.control.ordered.find(order, token).await.ok().flatten();
    let (outcome, evidence) = match view {
        Some(view) => (view.outcome, view.evidence),
        None => (None, None),
    };
    let evidence = evidence.unwrap_or_else(|| "it arrived before the site was started again".to_owned());
    let outcome = outcome.unwrap_or_else(|| "unknown".to_owned());
    say(reporter, reply, Reply { v: VERSION, id: id.to_owned(), outcome, evidence, is_final: true }).await;
}

async fn refuse(reporter: &Reporter, reply: Option<Subject>, (gateway, id): (&str, &str), why: &str) {
    warn!(
        gateway = gateway, event = "broker_order";
        "gateway {gateway}: an order over the broker is refused: {why}"
    );
    say(reporter, reply, Reply::not_sent(id, why)).await;
}

/// Who does not get it finds it in the journal.
async fn say(reporter: &Reporter, to: Option<Subject>, reply: Reply) {
    if let Some(to) = to {
        let _ = reporter.broker.client.publish(to, reply.to_bytes().into()).await;
    }
}
