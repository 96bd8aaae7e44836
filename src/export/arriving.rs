//! Takes the quarters of an hour that sites send to the broker, and gives them to the same database. The
//! stream forgets one when the database has it; what comes twice replaces itself there.

use std::collections::HashMap;
use std::time::Duration;

use async_nats::jetstream::Message;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull};
use futures_util::StreamExt;
use futures_util::future::join_all;
use log::{error, warn};

use super::lines;
use super::target::{Sent, Target};
use crate::link::broker::records::SlotRecord;
use crate::link::broker::reports::Place;
use crate::link::broker::standing::{Goods, Standing};
use crate::nats::trouble::Trouble;
use crate::nats::{Broker, CENTRE_INBOX};
use crate::settings::BrokerSettings;
use crate::store::history::queries::waiting::{Load, Rows};

/// Slots that are taken at once.
const MOST: usize = 500;
/// For so many.
const GATHERED: Duration = Duration::from_secs(2);
/// Whatever the database did not take by then, or was lost with a server on its way here, is offered again,
/// to any centre.
const ACKNOWLEDGED: Duration = Duration::from_secs(40);

/// Where from and where to.
pub struct Arrivals<'a, T> {
    pub settings: &'a BrokerSettings,
    /// What gateways are called here that the configuration names itself.
    pub names: &'a HashMap<Place, String>,
    pub target: &'a T,
    /// What others are shown of this.
    pub standing: &'a Standing,
}

impl<T: Target> Arrivals<'_, T> {
    /// Passes on what arrives, until it is dropped.
    pub async fn pass_on(&self, seed: u64) {
        let broker = match Broker::connect(self.settings, CENTRE_INBOX).await {
            Ok(broker) => broker,
            Err(why) => {
                error!(event = "export"; "no quarters of an hour are taken from the broker: {why}");
                return std::future::pending().await;
            }
        };
        let patterns = self.settings.watched.iter();
        let all = patterns.map(|pattern| Passing { arrivals: self, broker: &broker, pattern }.go_on(seed));
        join_all(all).await;
    }
}

/// The sites of one pattern. Centres that have the same pattern share what arrives.
struct Passing<'a, T> {
    arrivals: &'a Arrivals<'a, T>,
    broker: &'a Broker,
    pattern: &'a str,
}

impl<T: Target> Passing<'_, T> {
    async fn go_on(self, seed: u64) {
        let what = format!("passing on slots of {}", self.pattern);
        let mut trouble = Trouble::new(what, seed, self.arrivals.standing.shows_obstacles());
        loop {
            self.broker.there().await;
            let why = match self.consumer().await {
                Ok(consumer) => self.take(&consumer, &mut trouble).await,
                Err(why) => why,
            };
            trouble.is(why).await;
        }
    }

    async fn consumer(&self) -> Result<PullConsumer, String> {
        self.broker.prepare(self.arrivals.settings.replicas).await.map_err(|why| why.to_string())?;
        let subjects = &self.broker.subjects;
        let config = pull::Config {
            durable_name: Some(durable(self.pattern)),
            deliver_policy: DeliverPolicy::All,
            ack_policy: AckPolicy::Explicit,
            ack_wait: ACKNOWLEDGED,
            max_ack_pending: i64::try_from(4 * MOST).unwrap_or(i64::MAX),
            filter_subject: subjects.slots_of(self.pattern),
            ..pull::Config::default()
        };
        let made = self.broker.jetstream.create_consumer_on_stream(config, subjects.slots_stream()).await;
        made.map_err(|why| why.to_string())
    }

    /// Passes on load after load; why it does not go on.
    async fn take(&self, consumer: &PullConsumer, trouble: &mut Trouble) -> String {
        let mut most = MOST;
        loop {
            let batch = consumer.batch().max_messages(most).expires(GATHERED).messages().await;
            let mut batch = match batch {
                Ok(batch) => batch,
                Err(why) => return why.to_string(),
            };
            let mut messages = Vec::new();
            while let Some(message) = batch.next().await {
                match message {
                    Ok(message) => messages.push(message),
                    Err(why) => return why.to_string(),
                }
            }
            let text: String = messages.iter().filter_map(|message| self.lines(message)).collect();
            let sent = if text.is_empty() { Sent::Taken } else { self.arrivals.target.take(text).await };
            match sent {
                Sent::Taken => {
                    // One that is lost brings the slot again, which replaces itself.
                    join_all(messages.iter().map(|message| message.ack())).await;
                    self.arrivals.standing.went(Goods::Slots, messages.len());
                    // Nothing is kept back, be it that nothing waits.
                    trouble.is_over();
                }
                Sent::TooMuch if most > 1 => {
                    most /= 2;
                    self.give_back(&messages).await;
                }
                Sent::TooMuch => return "the database takes no line at all".to_owned(),
                Sent::NotNow(why) => {
                    self.give_back(&messages).await;
                    return format!("the database: {why}");
                }
            }
        }
    }

    async fn give_back(&self, messages: &[Message]) {
        let back = async_nats::jetstream::AckKind::Nak(None);
        join_all(messages.iter().map(|message| message.ack_with(back))).await;
    }

    /// The line of a slot; what nobody can read is dropped, and the log says so.
    fn lines(&self, message: &Message) -> Option<String> {
        let subject = message.subject.as_str();
        let place = self.broker.subjects.of_slots(subject);
        let (Some((site, gateway)), Some(record)) = (place, SlotRecord::read(&message.payload)) else {
            warn!(event = "export"; "what came under {subject} is no quarter of an hour; it is dropped");
            return None;
        };
        let place = Place { site: site.to_owned(), gateway: gateway.to_owned() };
        let gateway = self.arrivals.names.get(&place).cloned().unwrap_or_else(|| place.id());
        Some(lines::of(&Load { gateway, rows: Rows::Slots(vec![record.slot()]), reached: 0.0 }))
    }
}

/// What the stream calls the pattern: names have no dots there.
fn durable(pattern: &str) -> String {
    let plain = |character: char| match character {
        '>' => "all".to_owned(),
        '*' => "any".to_owned(),
        '.' => "_".to_owned(),
        other => other.to_string(),
    };
    format!("metrics_{}", pattern.chars().map(plain).collect::<String>())
}
