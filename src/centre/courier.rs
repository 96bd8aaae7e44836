//! Carries an order to a site, once, and brings what the site says of it.

use std::time::Duration;

use async_nats::StatusCode;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt};
use tokio::time::{Instant, timeout_at};

use crate::link::broker::orders::Reply;
use crate::link::broker::reports::{Courier, Delivery, Place};
use crate::link::broker::standing::{Goods, Standing};
use crate::nats::Broker;

/// While a site says this, it says more.
const WAITING: &str = "waiting";

/// Over the connection of a centre.
pub(super) struct NatsCourier {
    pub broker: Broker,
    /// What others are shown of this.
    pub standing: Standing,
}

impl Courier for NatsCourier {
    fn send(&self, place: &Place, order: Vec<u8>, limit: Duration) -> BoxFuture<'static, Delivery> {
        let (broker, standing) = (self.broker.clone(), self.standing.clone());
        let subject = broker.subjects.orders(&place.site, &place.gateway);
        let carried = carry(broker, place.site.clone(), subject, order, Instant::now() + limit);
        Box::pin(carried.inspect(move |delivery| {
            if !matches!(delivery, Delivery::NotSent(_)) {
                standing.went(Goods::Orders, 1);
            }
        }))
    }
}

async fn carry(broker: Broker, site: String, subject: String, order: Vec<u8>, until: Instant) -> Delivery {
    if !broker.is_there() {
        // The library would keep it until there is a connection, and that may be too late.
        return Delivery::NotSent(format!("there is no connection to the broker {}", broker.name));
    }
    let inbox = broker.client.new_inbox();
    let mut replies = match broker.client.subscribe(inbox.clone()).await {
        Ok(replies) => replies,
        Err(why) => return Delivery::NotSent(why.to_string()),
    };
    if let Err(why) = broker.client.publish_with_reply(subject, inbox, order.into()).await {
        return Delivery::NotSent(why.to_string());
    }
    let mut last = None;
    while let Ok(Some(message)) = timeout_at(until, replies.next()).await {
        if message.status == Some(StatusCode::NO_RESPONDERS) {
            let why = format!("site {site} is not connected to the broker, or takes no orders from it");
            return Delivery::NotSent(why);
        }
        let says_more = Reply::read(&message.payload).is_some_and(|reply| reply.outcome == WAITING);
        last = Some(message.payload.to_vec());
        if !says_more {
            break;
        }
    }
    match last {
        Some(answer) => Delivery::Answered(answer),
        None => Delivery::Silent(format!("site {site} did not answer; the order may have arrived")),
    }
}
