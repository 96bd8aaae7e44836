//! What the broker has been sent of each topic, so that only changes are sent.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use super::outbox::{Message, Outbox};

/// There is no room for more messages now; to be tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoRoom;

/// Topics of which the broker may hold something.
#[derive(Debug, Default)]
pub(super) struct Sent {
    /// The digest of the newest payload; `None`: whatever the broker holds has to be replaced.
    payloads: BTreeMap<String, Option<u64>>,
}

impl Sent {
    /// Sends `message` unless the broker was sent just that.
    pub fn say(&mut self, message: Message, outbox: &Outbox) -> Result<(), NoRoom> {
        let digest = Some(digest(&message.payload));
        if self.payloads.get(&message.topic) == Some(&digest) {
            return Ok(());
        }
        let topic = message.topic.clone();
        if !outbox.offer(message) {
            return Err(NoRoom);
        }
        self.payloads.insert(topic, digest);
        Ok(())
    }

    /// Everything has to be said again.
    pub fn doubt(&mut self) {
        self.payloads.values_mut().for_each(|digest| *digest = None);
    }

    /// The broker may hold something of `topic`, from an earlier client.
    pub fn suspect(&mut self, topic: String) {
        self.payloads.entry(topic).or_insert(None);
    }

    /// Topics of which nothing is said any more.
    pub fn beyond(&self, said: &BTreeSet<&str>) -> Vec<String> {
        self.payloads.keys().filter(|topic| !said.contains(topic.as_str())).cloned().collect()
    }

    /// Says the last word on a topic.
    pub fn end(&mut self, message: Message, outbox: &Outbox) -> Result<(), NoRoom> {
        let topic = message.topic.clone();
        self.say(message, outbox)?;
        self.payloads.remove(&topic);
        Ok(())
    }

    pub fn holds(&self, topic: &str) -> bool {
        self.payloads.contains_key(topic)
    }

    pub fn topics(&self) -> Vec<String> {
        self.payloads.keys().cloned().collect()
    }
}

fn digest(payload: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    payload.hash(&mut hasher);
    hasher.finish()
}
