//! What waits for the broker: bounded, and of each topic only the newest value.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

use tokio::sync::Notify;

/// Messages that may wait or be in flight. A caller that finds no room offers again later, with what is true
/// by then.
pub(super) const MOST_MESSAGES: usize = 1_000;

/// One message to the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub topic: String,
    /// Empty and retained: the broker forgets the topic.
    pub payload: String,
    pub retain: bool,
    /// 0, 1 or 2.
    pub qos: u8,
}

#[derive(Default)]
struct Waiting {
    /// In the order in which they are sent; each has its message below.
    topics: VecDeque<Rc<str>>,
    messages: HashMap<Rc<str>, Message>,
}

/// Filled by the publisher, emptied by the connection; both live on one thread.
#[derive(Default)]
pub(super) struct Outbox {
    waiting: RefCell<Waiting>,
    /// Wakes the connection.
    filled: Notify,
    /// The connection says goodbye once everything is delivered.
    is_closing: Cell<bool>,
    /// Sent and not acknowledged; kept by the connection.
    pub in_flight: Cell<usize>,
    /// What the broker has taken since the program started.
    pub published: Cell<u64>,
}

impl Outbox {
    /// Whether there was room. A message that waits already is replaced and keeps its place.
    pub fn offer(&self, message: Message) -> bool {
        let mut waiting = self.waiting.borrow_mut();
        if let Some(older) = waiting.messages.get_mut(message.topic.as_str()) {
            *older = message;
            return true;
        }
        if waiting.topics.len() + self.in_flight.get() >= MOST_MESSAGES {
            return false;
        }
        let topic: Rc<str> = message.topic.as_str().into();
        waiting.topics.push_back(topic.clone());
        waiting.messages.insert(topic, message);
        drop(waiting);
        self.filled.notify_one();
        true
    }

    /// The next message to send.
    pub fn take(&self) -> Option<Message> {
        let mut waiting = self.waiting.borrow_mut();
        let topic = waiting.topics.pop_front()?;
        waiting.messages.remove(&topic)
    }

    pub fn clear(&self) {
        *self.waiting.borrow_mut() = Waiting::default();
    }

    /// Waiting and in flight.
    pub fn len(&self) -> usize {
        self.waiting.borrow().topics.len() + self.in_flight.get()
    }

    pub fn close(&self) {
        self.is_closing.set(true);
        self.filled.notify_one();
    }

    pub fn is_closing(&self) -> bool {
        self.is_closing.get()
    }

    /// Returns when something may have been offered since the last time.
    pub async fn filled(&self) {
        self.filled.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn message(topic: usize, payload: u32) -> Message {
        Message { topic: topic.to_string(), payload: payload.to_string(), retain: true, qos: 1 }
    }

    proptest! {
        #[test]
        fn each_topic_waits_once_with_its_newest_value(
            offers in proptest::collection::vec((0..20_usize, any::<u32>()), 0..200),
        ) {
            let outbox = Outbox::default();
            let mut first_offered = Vec::new();
            let mut newest = HashMap::new();
            for (topic, payload) in offers {
                prop_assert!(outbox.offer(message(topic, payload)));
                if newest.insert(topic, payload).is_none() {
                    first_offered.push(topic);
                }
            }
            prop_assert_eq!(outbox.len(), first_offered.len());
            for topic in first_offered {
                prop_assert_eq!(outbox.take(), Some(message(topic, newest[&topic])));
            }
            prop_assert_eq!(outbox.take(), None);
        }
    }

    #[test]
    fn when_it_is_full_only_newer_values_of_what_waits_are_taken() {
        let outbox = Outbox::default();
        for topic in 0..MOST_MESSAGES {
            assert!(outbox.offer(message(topic, 1)));
        }
        assert!(!outbox.offer(message(MOST_MESSAGES, 1)));
        assert!(outbox.offer(message(7, 2)));
        assert_eq!(outbox.len(), MOST_MESSAGES);
        outbox.take().unwrap();
        assert!(outbox.offer(message(MOST_MESSAGES, 1)));
    }
}
