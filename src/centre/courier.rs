//! Carries an order to a site and its answer back, once.

use std::time::Duration;

use async_nats::{Request, client::RequestErrorKind};
use futures_util::future::BoxFuture;

use crate::link::broker::reports::{Courier, Delivery, Place};
use crate::nats::Broker;

/// Over the connection of a centre.
pub(super) struct NatsCourier(pub Broker);

impl Courier for NatsCourier {
    fn send(&self, place: &Place, order: Vec<u8>, limit: Duration) -> BoxFuture<'static, Delivery> {
        let (broker, site) = (self.0.clone(), place.site.clone());
        let subject = broker.subjects.orders(&place.site, &place.gateway);
        Box::pin(async move {
            if !broker.is_there() {
                // The library would keep it until there is a connection, and that may be too late.
                return Delivery::NotSent(format!("there is no connection to the broker {}", broker.name));
            }
            let request = Request::new().payload(order.into()).timeout(Some(limit));
            match broker.client.send_request(subject, request).await {
                Ok(answer) => Delivery::Answered(answer.payload.to_vec()),
                Err(error) => match error.kind() {
                    RequestErrorKind::NoResponders => Delivery::NotSent(format!(
                        "site {site} is not connected to the broker, or takes no orders"
                    )),
                    RequestErrorKind::InvalidSubject | RequestErrorKind::MaxPayloadExceeded => {
                        Delivery::NotSent(error.to_string())
                    }
                    RequestErrorKind::TimedOut => {
                        Delivery::Silent(format!("site {site} did not answer within {} s", limit.as_secs()))
                    }
                    RequestErrorKind::Other => Delivery::Silent(error.to_string()),
                },
            }
        })
    }
}
