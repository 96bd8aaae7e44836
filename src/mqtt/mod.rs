//! The MQTT output: publishes to a broker, and to Home Assistant behind it, what every gateway reports, and
//! passes on orders that come over it. It leaves asking gateways to their actors and reads their boards.
//!
//! [`publisher`] is the actor: it compares what the boards say with what the broker was [`sent`] and puts the
//! difference into the bounded [`outbox`], from which the connection ([`connect`], [`line`]) takes it. While
//! there is no connection nothing waits: a broker that comes back gets everything afresh. [`values`],
//! [`entities`] and [`control_entities`] hold what the contract says about topics, payloads and ids;
//! [`ordering`] takes what was heard on topics for orders ([`controls`]) to the gateways.

mod connect;
mod control_entities;
mod controls;
mod entities;
mod line;
mod ordering;
mod outage;
mod outbox;
mod publication;
mod publisher;
mod sent;
mod sum;
mod text;
mod units;
mod values;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use futures_util::future::LocalBoxFuture;
use log::info;
use tokio::time::timeout;

use crate::board::Board;
use crate::control::Control;
use crate::directory::Directory;
use crate::model::BrokerStatus;
use crate::output::{Output, Surroundings};
use crate::pause::Pause;
use crate::settings::{MqttSettings, Settings};
use crate::supervise::{self, Kept, Name};
use publisher::{Farewell, Publisher};

/// A goodbye takes no longer.
const STOP_LIMIT: Duration = Duration::from_secs(2);

/// The output: owns the publisher, if there is a broker.
struct Mqtt {
    settings: RefCell<MqttSettings>,
    directory: Arc<Directory>,
    status: Arc<Board<BrokerStatus>>,
    /// Takes orders.
    control: Arc<Control>,
    /// Makes pauses differ between runs.
    seed: u64,
    publisher: RefCell<Option<Running>>,
}

/// The publisher of one broker.
struct Running {
    kept: Kept,
    /// The newest one; replaced when it died.
    addr: Rc<RefCell<Option<Addr<Publisher>>>>,
}

/// Starts the output. The state of the connection stands on the board of the broker.
pub fn start(settings: &Settings, surroundings: &Surroundings) -> Box<dyn Output> {
    let Surroundings { directory, broker, control, seed, .. } = surroundings;
    let (directory, control) = (directory.clone(), control.clone());
    Box::new(Mqtt::start(settings.mqtt.clone(), directory, broker.clone(), control, *seed))
}

impl Mqtt {
    fn start(
        settings: MqttSettings,
        directory: Arc<Directory>,
        status: Arc<Board<BrokerStatus>>,
        control: Arc<Control>,
        seed: u64,
    ) -> Self {
        status.publish(Arc::new(settings.initial_status()));
        let (settings, publisher) = (RefCell::new(settings), RefCell::default());
        let mqtt = Self { settings, directory, status, control, seed, publisher };
        mqtt.start_publisher();
        mqtt
    }

    fn start_publisher(&self) {
        let settings = self.settings.borrow().clone();
        let Some(host) = settings.host.clone() else { return };
        let (directory, status, mut seed) = (self.directory.clone(), self.status.clone(), self.seed);
        let control = self.control.clone();
        let addr: Rc<RefCell<Option<Addr<Publisher>>>> = Rc::default();
        let newest = addr.clone();
        let start = move |_| {
            seed = seed.wrapping_add(1);
            let (directory, status, control) = (directory.clone(), status.clone(), control.clone());
            let publisher = Publisher::new(settings.clone(), host.clone(), directory, status, control, seed);
            let publisher = publisher.start();
            newest.replace(Some(publisher.clone()));
            publisher
        };
        let back_off = Pause::back_off(self.seed);
        let kept = supervise::keep(Name::Part("the MQTT publisher"), back_off, start);
        self.publisher.replace(Some(Running { kept, addr }));
    }

    /// Publishes that all gateways are offline, and leaves the broker. Takes two seconds at most.
    async fn say_goodbye(&self) {
        let Some(Running { kept, addr }) = self.publisher.take() else { return };
        // First, so that nobody restarts a publisher that ends on purpose.
        drop(kept);
        let Some(publisher) = addr.take() else { return };
        let _ = timeout(STOP_LIMIT, publisher.send(Farewell)).await;
    }
}

impl Output for Mqtt {
    /// Says goodbye to the broker and greets it, or another one, anew if its settings changed. Gateways that
    /// come and go are noticed without this.
    fn apply<'a>(&'a self, settings: &'a Settings) -> LocalBoxFuture<'a, ()> {
        Box::pin(async {
            let settings = settings.mqtt.clone();
            let before = self.settings.replace(settings.clone());
            if before == settings {
                return;
            }
            info!(event = "mqtt_changed"; "MQTT: reconnecting because its settings changed");
            self.say_goodbye().await;
            let published = self.status.read().published;
            self.status.publish(Arc::new(BrokerStatus { published, ..settings.initial_status() }));
            self.start_publisher();
        })
    }

    fn stop(&self) -> LocalBoxFuture<'_, ()> {
        Box::pin(self.say_goodbye())
    }
}

#[cfg(test)]
mod tests;
