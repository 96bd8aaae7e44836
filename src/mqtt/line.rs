//! One connection to the broker, from the welcome to its end: sends what waits, a bounded number of messages
//! ahead of the broker's acknowledgements, and hears Home Assistant being born and what an earlier run has
//! announced.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use log::warn;
use rumqttc::{
    Disconnect, Packet, PingReq, PubAck, PubComp, PubRec, PubRel, Publish, QoS, Subscribe, SubscribeFilter,
    SubscribeReasonCode, Unsubscribe,
};
use tokio::io::AsyncWriteExt;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout};

use super::connect::{Connection, LineError};
use super::outbox::{Message, Outbox};
use super::{control_entities, controls};
use crate::settings::MqttSettings;

/// Messages under way at the same time; what mosquitto takes by default.
const MOST_IN_FLIGHT: usize = 20;
/// A broker that takes longer for one acknowledgement, or to take in what was sent, is as good as gone.
const ACKNOWLEDGE_LIMIT: Duration = Duration::from_secs(30);
/// How long it may take to answer a ping.
const PING_LIMIT: Duration = Duration::from_secs(10);
/// How long is listened for announcements of an earlier run; a broker sends what it holds at once.
const SURVEY: Duration = Duration::from_secs(10);
/// More announcements than there can be of ours.
const MOST_RECALLED: usize = 10_000;
/// A longer topic is none of ours.
const LONGEST_TOPIC: usize = 512;
/// What is sent at once.
const MOST_BYTES_AT_ONCE: usize = 64 << 10;
/// Packet identifiers of subscriptions; those of messages come after them.
const BIRTH: u16 = 1;
const ANNOUNCEMENTS: u16 = 2;
const ORDERS: u16 = 3;
/// The last of them.
const LAST_SUBSCRIPTION: u16 = ORDERS;
/// Topics with an order that nobody has taken yet.
const MOST_ORDERS: usize = 100;
/// Of a longer order, only that it is too long is of interest.
const LONGEST_ORDER: usize = 4096;

/// What the connection hears for the publisher.
#[derive(Default)]
pub(super) struct Heard {
    /// Home Assistant said that it is online.
    pub birth: Cell<bool>,
    /// Whether the broker has been asked once for the announcements it holds.
    pub surveyed: Cell<bool>,
    /// Topics of announcements of an earlier run.
    pub announcements: RefCell<BTreeSet<String>>,
    /// The newest order of each topic, in the order in which they came.
    pub orders: RefCell<Vec<HeardOrder>>,
    /// Wakes who takes orders.
    pub ordered: Notify,
}

/// A message on a topic for orders.
pub(super) struct HeardOrder {
    pub topic: String,
    pub payload: Bytes,
    /// Whether the broker had kept it: nobody knows of when it is.
    pub is_retained: bool,
}

impl Heard {
    fn hear_order(&self, order: HeardOrder) {
        let mut orders = self.orders.borrow_mut();
        orders.retain(|earlier| earlier.topic != order.topic);
        if orders.len() < MOST_ORDERS {
            orders.push(order);
        }
        drop(orders);
        self.ordered.notify_one();
    }
}

/// A message that the broker has not confirmed.
struct Unconfirmed {
    since: Instant,
    /// With QoS 2: it has arrived, and is about to be released.
    is_received: bool,
}

/// The state of one connection.
struct Line<'a> {
    outbox: &'a Outbox,
    /// By packet identifier.
    in_flight: BTreeMap<u16, Unconfirmed>,
    /// The identifier given out last.
    last_id: u16,
    /// To be written.
    out: BytesMut,
    /// Home Assistant's own topic.
    birth_topic: String,
    /// What Home Assistant's topics begin with.
    discovery_prefix: &'a str,
    heard: &'a Heard,
    /// Until when announcements are listened for.
    survey_until: Option<Instant>,
    /// What topics for orders begin with; `None`: no orders are taken.
    orders_below: Option<&'a str>,
}

/// Serves the broker until the connection ends, or, after [`Outbox::close`], until everything is confirmed
/// and a goodbye is said.
pub(super) async fn serve(
    mut connection: Connection,
    settings: &MqttSettings,
    outbox: &Outbox,
    heard: &Heard,
) -> Result<(), LineError> {
    let mut line = Line {
        outbox,
        in_flight: BTreeMap::new(),
        last_id: LAST_SUBSCRIPTION,
        out: BytesMut::new(),
        birth_topic: format!("{}/status", settings.discovery_prefix),
        discovery_prefix: &settings.discovery_prefix,
        heard,
        survey_until: None,
        orders_below: settings.controls.any().then_some(settings.prefix.as_str()),
    };
    let ended = line.serve(&mut connection, settings).await;
    outbox.in_flight.set(0);
    ended
}

impl Line<'_> {
    async fn serve(&mut self, connection: &mut Connection, settings: &MqttSettings) -> Result<(), LineError> {
        if settings.discovery {
            let mut subscribe = Subscribe::new(self.birth_topic.as_str(), QoS::AtMostOnce);
            subscribe.pkid = BIRTH;
            subscribe.write(&mut self.out)?;
            // Once: what is announced from now on is known. And never again should it cost the connection.
            if !self.heard.surveyed.replace(true) {
                self.begin_survey()?;
            }
        }
        if let Some(prefix) = self.orders_below {
            let mut subscribe = Subscribe::new(controls::subscription(prefix), QoS::AtLeastOnce);
            subscribe.pkid = ORDERS;
            subscribe.write(&mut self.out)?;
        }
        let (mut heard, mut sent) = (Instant::now(), Instant::now());
        let mut pinged: Option<Instant> = None;
        loop {
            self.fill()?;
            while !self.out.is_empty() {
                self.flush(connection).await?;
                sent = Instant::now();
                self.fill()?;
            }
            if self.outbox.is_closing() && self.outbox.len() == 0 {
                Disconnect.write(&mut self.out)?;
                self.flush(connection).await?;
                return connection.stream.shutdown().await.map_err(LineError::Broken);
            }
            // A broker that takes everything and says nothing is asked whether it lives.
            let overdue = self.in_flight.values().map(|message| message.since + ACKNOWLEDGE_LIMIT).min();
            let ping_due = pinged.map_or(heard.min(sent) + settings.keep_alive, |pinged| pinged + PING_LIMIT);
            let next = [overdue, self.survey_until].into_iter().flatten().fold(ping_due, Instant::min);
            tokio::select! {
                received = connection.receive() => {
                    received?;
                    (heard, pinged) = (Instant::now(), None);
                    while let Some(packet) = connection.packet()? {
                        self.handle(packet)?;
                    }
                }
                () = self.outbox.filled(), if self.in_flight.len() < MOST_IN_FLIGHT => {}
                () = sleep_until(next) => {
                    if self.survey_until.is_some_and(|until| until <= Instant::now()) {
                        self.end_survey()?;
                        continue;
                    }
                    if overdue.is_some_and(|overdue| overdue <= Instant::now()) {
                        return Err(LineError::NotAcknowledged(ACKNOWLEDGE_LIMIT));
                    }
                    if pinged.is_some() {
                        return Err(LineError::Dead);
                    }
                    pinged = Some(Instant::now());
                    PingReq.write(&mut self.out)?;
                }
            }
        }
    }

    /// Where entities of ours are announced.
    fn announcement_topics(&self) -> Vec<String> {
        let controls = control_entities::COMPONENTS.iter().filter(|_| self.orders_below.is_some());
        let components = ["sensor", "binary_sensor"].iter().chain(controls);
        components.map(|component| format!("{}/{component}/+/config", self.discovery_prefix)).collect()
    }

    fn begin_survey(&mut self) -> Result<(), LineError> {
        let topics = self.announcement_topics().into_iter();
        let filters = topics.map(|topic| SubscribeFilter::new(topic, QoS::AtMostOnce));
        let mut subscribe = Subscribe::new_many(filters);
        subscribe.pkid = ANNOUNCEMENTS;
        subscribe.write(&mut self.out)?;
        self.survey_until = Some(Instant::now() + SURVEY);
        Ok(())
    }

    fn end_survey(&mut self) -> Result<(), LineError> {
        let unsubscribe = Unsubscribe { pkid: ANNOUNCEMENTS, topics: self.announcement_topics() };
        unsubscribe.write(&mut self.out)?;
        self.survey_until = None;
        Ok(())
    }

    /// Takes what may be sent now.
    fn fill(&mut self) -> Result<(), LineError> {
        while self.in_flight.len() < MOST_IN_FLIGHT && self.out.len() < MOST_BYTES_AT_ONCE {
            let Some(message) = self.outbox.take() else { break };
            self.put(message)?;
        }
        self.outbox.in_flight.set(self.in_flight.len());
        Ok(())
    }

    fn put(&mut self, message: Message) -> Result<(), LineError> {
        let qos = match message.qos {
            0 => QoS::AtMostOnce,
            1 => QoS::AtLeastOnce,
            _ => QoS::ExactlyOnce,
        };
        let mut publish = Publish::from_bytes(message.topic, qos, message.payload.into());
        publish.retain = message.retain;
        if qos == QoS::AtMostOnce {
            self.count();
        } else {
            publish.pkid = self.free_id();
            let sent = Unconfirmed { since: Instant::now(), is_received: false };
            self.in_flight.insert(publish.pkid, sent);
        }
        publish.write(&mut self.out)?;
        Ok(())
    }

    /// There are far more identifiers than messages in flight.
    fn free_id(&mut self) -> u16 {
        loop {
            self.last_id = self.last_id.checked_add(1).unwrap_or(LAST_SUBSCRIPTION + 1);
            if !self.in_flight.contains_key(&self.last_id) {
                return self.last_id;
            }
        }
    }

    fn count(&self) {
        self.outbox.published.set(self.outbox.published.get() + 1);
    }

    async fn flush(&mut self, connection: &mut Connection) -> Result<(), LineError> {
        let stream = &mut connection.stream;
        let out = self.out.split();
        let write = async {
            stream.write_all(&out).await?;
            stream.flush().await
        };
        match timeout(ACKNOWLEDGE_LIMIT, write).await {
            Ok(written) => written.map_err(LineError::Broken),
            Err(_) => Err(LineError::NotAcknowledged(ACKNOWLEDGE_LIMIT)),
        }
    }

    fn handle(&mut self, packet: Packet) -> Result<(), LineError> {
        match packet {
            Packet::PubAck(PubAck { pkid }) => self.confirm(pkid),
            Packet::PubRec(PubRec { pkid }) => {
                if let Some(sent) = self.in_flight.get_mut(&pkid) {
                    *sent = Unconfirmed { since: Instant::now(), is_received: true };
                }
                PubRel::new(pkid).write(&mut self.out)?;
            }
            Packet::PubComp(PubComp { pkid }) => {
                if self.in_flight.get(&pkid).is_some_and(|sent| sent.is_received) {
                    self.confirm(pkid);
                }
            }
            Packet::Publish(publish) => self.hear(&publish)?,
            Packet::PubRel(PubRel { pkid }) => {
                PubComp::new(pkid).write(&mut self.out)?;
            }
            Packet::SubAck(answer) => {
                if answer.pkid == BIRTH && answer.return_codes.contains(&SubscribeReasonCode::Failure) {
                    let topic = &self.birth_topic;
                    warn!(
                        "MQTT: the broker refuses the subscription to {topic}; restarts of Home Assistant go \
                         unnoticed"
                    );
                }
                if answer.pkid == ORDERS && answer.return_codes.contains(&SubscribeReasonCode::Failure) {
                    warn!("MQTT: the broker refuses the subscription to topics for orders; none is taken");
                }
            }
            Packet::PingResp | Packet::UnsubAck(_) => {}
            other => return Err(LineError::Protocol(format!("unexpected {}", kind(&other)))),
        }
        Ok(())
    }

    fn confirm(&mut self, pkid: u16) {
        if self.in_flight.remove(&pkid).is_some() {
            self.count();
        }
    }

    fn hear(&mut self, publish: &Publish) -> Result<(), LineError> {
        match publish.qos {
            QoS::AtMostOnce => {}
            QoS::AtLeastOnce => drop(PubAck::new(publish.pkid).write(&mut self.out)?),
            QoS::ExactlyOnce => drop(PubRec::new(publish.pkid).write(&mut self.out)?),
        }
        // A retained one reports a birth long ago.
        if publish.topic == self.birth_topic && !publish.retain && publish.payload.as_ref() == b"online" {
            self.heard.birth.set(true);
        }
        let is_order = |prefix: &str| controls::addressed(&publish.topic, prefix).is_some();
        // What is empty is our own, or somebody else's, clearing of the topic.
        if self.orders_below.is_some_and(is_order) && !publish.payload.is_empty() {
            let payload = publish.payload.slice(..publish.payload.len().min(LONGEST_ORDER));
            let (topic, is_retained) = (publish.topic.clone(), publish.retain);
            self.heard.hear_order(HeardOrder { topic, payload, is_retained });
            return Ok(());
        }
        let is_ours = publish.topic.contains("/pypowerwall_") && publish.topic.len() <= LONGEST_TOPIC;
        if publish.retain && !publish.payload.is_empty() && is_ours {
            let mut announcements = self.heard.announcements.borrow_mut();
            if announcements.len() < MOST_RECALLED {
                announcements.insert(publish.topic.clone());
            }
        }
        Ok(())
    }
}

/// Without its content.
fn kind(packet: &Packet) -> &'static str {
    match packet {
        Packet::Connect(_) => "CONNECT",
        Packet::ConnAck(_) => "CONNACK",
        Packet::Subscribe(_) => "SUBSCRIBE",
        Packet::Unsubscribe(_) => "UNSUBSCRIBE",
        Packet::PingReq => "PINGREQ",
        Packet::Disconnect => "DISCONNECT",
        _ => "packet",
    }
}

#[cfg(test)]
mod tests;
