//! The MQTT face: tells a broker, and Home Assistant behind it, what every gateway says. It leaves asking gateways to
//! their actors and reads their boards; it only speaks, orders by MQTT are not taken.
//!
//! [`publisher`] is the actor: it compares what the boards say with what the broker was [`told`] and puts the
//! difference into the bounded [`outbox`], from which the connection ([`connect`], [`line`]) takes it. While there is no
//! connection nothing waits: a broker that comes back is told everything afresh. [`values`] and [`entities`] hold what
//! the contract says about topics, payloads and ids.
//!
//! Orders by MQTT would come in three places: a subscription and its messages in [`line`], their entities in
//! [`entities`], and a message of the publisher that passes an order on to the gateway's actor.

mod connect;
mod entities;
mod face;
mod line;
mod outage;
mod outbox;
mod publisher;
mod sum;
mod text;
mod told;
mod units;
mod values;

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use log::{error, info};
use tokio::time::timeout;

use crate::board::Board;
use crate::model::BrokerStatus;
use crate::settings::MqttSettings;
use crate::supervisor::Directory;
use publisher::{Farewell, Publisher};

/// A goodbye takes no longer.
const STOP_LIMIT: Duration = Duration::from_secs(2);

/// Owns the publisher, if there is a broker to tell.
pub struct Mqtt {
    settings: RefCell<MqttSettings>,
    directory: Arc<Directory>,
    status: Arc<Board<BrokerStatus>>,
    /// Makes pauses differ between runs.
    seed: Cell<u64>,
    publisher: RefCell<Option<Addr<Publisher>>>,
}

impl Mqtt {
    /// Starts the publisher on the thread of the caller, a running actix system. How it does stands on `status`.
    pub fn start(
        settings: MqttSettings,
        directory: Arc<Directory>,
        status: Arc<Board<BrokerStatus>>,
        seed: u64,
    ) -> Self {
        status.publish(Arc::new(settings.initial_status()));
        let mqtt = Self {
            settings: RefCell::new(settings),
            directory,
            status,
            seed: Cell::new(seed),
            publisher: RefCell::default(),
        };
        mqtt.start_publisher();
        mqtt
    }

    fn start_publisher(&self) {
        let settings = self.settings.borrow().clone();
        let Some(host) = settings.host.clone() else { return };
        self.seed.set(self.seed.get().wrapping_add(1));
        let publisher =
            Publisher::new(settings, host, self.directory.clone(), self.status.clone(), self.seed.get());
        self.publisher.replace(Some(publisher.start()));
    }

    /// Starts the publisher again should it have died. To be called now and then.
    pub fn look_after(&self) {
        let is_dead = self.publisher.borrow().as_ref().is_some_and(|publisher| !publisher.connected());
        if is_dead {
            error!(event = "crashed"; "the MQTT publisher died; starting it again");
            self.start_publisher();
        }
    }

    /// Applies changed settings: says goodbye to the broker and greets it, or another, anew. Gateways that come and go
    /// are noticed without this.
    pub async fn apply(&self, settings: MqttSettings) {
        let before = self.settings.replace(settings.clone());
        if before == settings {
            return;
        }
        info!(event = "mqtt_changed"; "MQTT: connecting anew, because its settings changed");
        self.say_goodbye().await;
        let status = self.status.read();
        let published = status.published;
        self.status.publish(Arc::new(BrokerStatus { published, ..settings.initial_status() }));
        self.start_publisher();
    }

    /// Tells the broker that all gateways are offline, and leaves it. Takes two seconds at most.
    pub async fn stop(&self) {
        self.say_goodbye().await;
    }

    async fn say_goodbye(&self) {
        let Some(publisher) = self.publisher.take() else { return };
        let _ = timeout(STOP_LIMIT, publisher.send(Farewell)).await;
    }
}

#[cfg(test)]
mod tests;
