//! Takes orders that were heard to the gateways, and says at the broker what becomes of them.

use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::sync::Arc;

use log::warn;

use super::controls;
use super::line::HeardOrder;
use super::outbox::{Message, Outbox};
use crate::client::Client;
use crate::control::{Asker, Control, Placed};
use crate::directory::Directory;
use crate::gateway::messages::Receipt;
use crate::model::OrderKind;
use crate::settings::{MqttSettings, Secret, Token};

/// Whoever is behind the broker is one client.
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// Where orders over MQTT are taken.
pub(super) struct Desk {
    settings: Arc<MqttSettings>,
    directory: Arc<Directory>,
    control: Arc<Control>,
    /// Leads to the broker.
    outbox: Rc<Outbox>,
    /// What whoever is behind the broker may do. Nobody can present it: its secret is known to nobody.
    token: Arc<Token>,
}

impl Desk {
    pub fn new(
        settings: Arc<MqttSettings>,
        directory: Arc<Directory>,
        control: Arc<Control>,
        outbox: Rc<Outbox>,
    ) -> Self {
        let secret = Secret::new(format!("{:032x}", rand::random::<u128>()));
        let (name, role) = (controls::ASKED_BY.to_owned(), controls::role(settings.controls));
        let token = Arc::new(Token { name, role, gateways: None, secret });
        Self { settings, directory, control, outbox, token }
    }

    /// Passes an order on, and follows it to its end.
    pub async fn take(&self, heard: HeardOrder) {
        let HeardOrder { topic, payload, is_retained } = heard;
        // Whatever becomes of it: it must not be there when somebody connects the next time.
        self.say(topic.clone(), String::new(), true, 1);
        let Some((id, name)) = controls::addressed(&topic, &self.settings.prefix) else { return };
        let (Some(gateway), Some(kind)) = (self.directory.get(id), controls::kind(name)) else {
            // A topic may say anything; neither of its words goes into the log.
            warn!(event = "mqtt_order"; "MQTT: an order names an unknown gateway or setting");
            return;
        };
        if is_retained {
            return self.refuse(id, kind, "it is a retained message, whose age is unknown");
        }
        let request = match controls::order(self.settings.controls, kind, &payload) {
            Ok(request) => request,
            Err(why) => return self.refuse(id, kind, &why),
        };
        let asker = Asker { token: self.token.clone(), client: Some(Client::from(CLIENT)), key: None };
        match self.control.place(&gateway, request, asker).await {
            Ok(Placed::Now(receipt)) => self.follow(id, kind, receipt).await,
            Ok(Placed::Before(_)) => {}
            Err(rejected) => self.refuse(id, kind, &rejected.to_string()),
        }
    }

    fn refuse(&self, gateway: &str, kind: OrderKind, why: &str) {
        let word = kind.word();
        warn!(
            gateway = gateway, event = "mqtt_order"; "gateway {gateway}: MQTT: {word} refused: {why}"
        );
        self.result(gateway, kind, controls::refused(kind, why));
    }

    /// Says each outcome until the last; that of an order is known within minutes.
    async fn follow(&self, gateway: &str, kind: OrderKind, mut receipt: Receipt) {
        loop {
            let standing = receipt.standing.borrow_and_update().clone();
            self.result(gateway, kind, controls::result(receipt.id, &receipt.order, &standing));
            if standing.is_final || receipt.standing.changed().await.is_err() {
                return;
            }
        }
    }

    fn result(&self, gateway: &str, kind: OrderKind, payload: String) {
        let topic = controls::topic(&self.settings.prefix, gateway, kind, "result");
        self.say(topic, payload, false, self.settings.qos);
    }

    /// Who finds no room for a result finds it in the journal.
    fn say(&self, topic: String, payload: String, retain: bool, qos: u8) {
        self.outbox.offer(Message { topic, payload, retain, qos });
    }
}
