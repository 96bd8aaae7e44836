//! The numbered history of the feed: the newest value of every key, and the last changes for those who missed
//! some.
//!
//! Knows nothing of gateways or clients, and has no clock: writers bring the time.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;

use super::message::{Kind, Message, ObjectWriter, Place};

/// Changes kept for clients that come back: at most this many …
const MOST_CHANGES: usize = 1024;
/// … and at most this many bytes.
const MOST_BYTES: usize = 1 << 20;
/// Who has missed more bytes than this, and more than a state has, gets the state.
const SMALL_BACKLOG: usize = 32 << 10;
/// A message that was rendered before carries the time, which may be wrong by this many seconds.
const SHARED_FOR: f64 = 1.0;
/// A state larger than this, which only a fleet has …
const LARGE_STATE: usize = 1 << 20;
/// … is shared for so many seconds, and what has changed meanwhile comes behind it: slow clients hold few of
/// them.
const LARGE_SHARED_FOR: f64 = 5.0;

/// A key with its rendered value.
pub type Section = (Arc<str>, Bytes);

/// Where a reader stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Cursor {
    /// The last change it knows; `None`: it knows nothing.
    pub seq: Option<u64>,
    /// The last beat it has seen.
    pub beat: u64,
}

pub(super) struct Journal {
    epoch: Arc<str>,
    /// Number of the last change.
    seq: u64,
    /// Beats so far; they have no number of their own in what clients see.
    beats: u64,
    /// All sections in the order in which a state has them.
    sections: Vec<Section>,
    /// Bytes of all of them.
    size: usize,
    /// The last changes, without a gap up to `seq`.
    changes: VecDeque<Arc<Message>>,
    /// Bytes of all of them.
    changes_size: usize,
    /// The last beat as a message, with the time in it, once somebody has had to hear it.
    beat: Option<(Arc<Message>, f64)>,
    /// The last state as a message, with the time in it, once somebody has asked.
    state: Option<(Arc<Message>, f64)>,
    /// How many messages have been serialised.
    serialised: u64,
}

impl Journal {
    pub fn new(epoch: Arc<str>) -> Self {
        Self {
            epoch,
            seq: 0,
            beats: 0,
            sections: Vec::new(),
            size: 0,
            changes: VecDeque::new(),
            changes_size: 0,
            beat: None,
            state: None,
            serialised: 0,
        }
    }

    pub fn seq(&self) -> u64 {
        self.seq
    }

    pub fn beats(&self) -> u64 {
        self.beats
    }

    pub fn serialised(&self) -> u64 {
        self.serialised
    }

    /// A cursor for a client that comes back.
    pub fn resume(&self, place: Option<&Place>) -> Cursor {
        let seq = place.filter(|place| *place.epoch == *self.epoch).map(|place| place.seq);
        // A beat at once shows that it has missed nothing.
        Cursor { seq: seq.filter(|seq| *seq <= self.seq), beat: self.beats.wrapping_sub(1) }
    }

    /// The sections are these from now on. Whether anything changed.
    pub fn replace(&mut self, sections: Vec<Section>, at: f64) -> bool {
        let (set, gone) = {
            let before: HashMap<&str, &Bytes> =
                self.sections.iter().map(|(key, value)| (&**key, value)).collect();
            let is_new = |(key, value): &&Section| before.get(&**key).is_none_or(|known| *known != value);
            let set: Vec<Section> = sections.iter().filter(is_new).cloned().collect();
            let now: HashSet<&str> = sections.iter().map(|(key, _)| &**key).collect();
            let gone = self.sections.iter().filter(|(key, _)| !now.contains(&**key));
            (set, gone.map(|(key, _)| key.clone()).collect::<Vec<_>>())
        };
        self.size = sections.iter().map(|(key, value)| key.len() + value.len()).sum();
        self.sections = sections;
        if set.is_empty() && gone.is_empty() {
            return false;
        }
        self.seq += 1;
        let size: usize = set.iter().map(|(key, value)| key.len() + value.len() + 4).sum();
        let mut object = ObjectWriter::with_capacity(size + 128);
        object
            .field("type", &Kind::Change)
            .field("seq", &self.seq)
            .field("at", &milliseconds(at))
            .object("set", set.iter().map(|(key, value)| (&**key, value)))
            .field("gone", &gone);
        let change = self.message(Kind::Change, object);
        self.keep(change);
        true
    }

    fn message(&mut self, kind: Kind, object: ObjectWriter) -> Arc<Message> {
        self.serialised += 1;
        Arc::new(Message::new(kind, self.seq, object.end()))
    }

    fn keep(&mut self, change: Arc<Message>) {
        self.changes_size += change.json.len();
        self.changes.push_back(change);
        while self.changes.len() > MOST_CHANGES || self.changes_size > MOST_BYTES {
            let Some(oldest) = self.changes.pop_front() else { break };
            self.changes_size -= oldest.json.len();
        }
    }

    /// Nothing has changed, and everybody is to hear that.
    pub fn beat(&mut self) {
        self.beats += 1;
    }

    fn beat_message(&mut self, at: f64) -> Arc<Message> {
        if let Some(beat) = self.still_true(&self.beat, at) {
            return beat;
        }
        let mut object = ObjectWriter::with_capacity(64);
        object.field("type", &Kind::Beat).field("seq", &self.seq).field("at", &milliseconds(at));
        let beat = self.message(Kind::Beat, object);
        self.beat = Some((beat.clone(), at));
        beat
    }

    /// All there is, as of `at`.
    pub fn state(&mut self, at: f64) -> Arc<Message> {
        if let Some(state) = self.still_true(&self.state, at).or_else(|| self.large_state(at)) {
            return state;
        }
        let mut object = ObjectWriter::with_capacity(self.size + self.sections.len() * 4 + 256);
        object
            .field("type", &Kind::State)
            .field("epoch", &&*self.epoch)
            .field("seq", &self.seq)
            .field("at", &milliseconds(at))
            .field("version", &env!("CARGO_PKG_VERSION"))
            .object("state", self.sections.iter().map(|(key, value)| (&**key, value)));
        let state = self.message(Kind::State, object);
        self.state = Some((state.clone(), at));
        state
    }

    /// A message that was rendered before, if nothing has changed since and its time is right.
    fn still_true(&self, rendered: &Option<(Arc<Message>, f64)>, at: f64) -> Option<Arc<Message>> {
        let (message, rendered_at) = rendered.as_ref()?;
        (message.seq == self.seq && (at - rendered_at).abs() < SHARED_FOR).then(|| message.clone())
    }

    /// A large state that was rendered a while ago, if all changes since are kept.
    fn large_state(&self, at: f64) -> Option<Arc<Message>> {
        let (state, rendered_at) = self.state.as_ref()?;
        let is_shared = state.json.len() > LARGE_STATE && (at - rendered_at).abs() < LARGE_SHARED_FOR;
        (is_shared && self.missed(state.seq).is_some()).then(|| state.clone())
    }

    /// Nobody listens: what takes much memory is not kept, and a client that comes back gets a state. Whether
    /// it was much.
    pub fn fall_asleep(&mut self) -> bool {
        let is_large = self.size > LARGE_STATE;
        if is_large {
            (self.sections, self.size) = (Vec::new(), 0);
            (self.changes, self.changes_size) = (VecDeque::new(), 0);
            self.seq += 1;
        }
        self.state = self.state.take().filter(|(state, _)| state.json.len() <= LARGE_STATE);
        is_large
    }

    /// What a reader at `cursor` has to get next, which moves it; `None` when it knows everything.
    pub fn next(&mut self, cursor: &mut Cursor, at: f64) -> Option<Arc<Message>> {
        let missed = cursor.seq.and_then(|seq| self.missed(seq));
        let message = match missed {
            None => self.state(at),
            Some(None) if cursor.beat == self.beats => return None,
            Some(None) => self.beat_message(at),
            Some(Some(change)) => change,
        };
        *cursor = Cursor { seq: Some(message.seq), beat: self.beats };
        Some(message)
    }

    /// The change after `seq`, if there is one; `None` if it is not kept, or if the state is the shorter way.
    fn missed(&self, seq: u64) -> Option<Option<Arc<Message>>> {
        let count = usize::try_from(self.seq.checked_sub(seq)?).ok()?;
        let first = self.changes.len().checked_sub(count)?;
        let bytes: usize = self.changes.range(first..).map(|change| change.json.len()).sum();
        let is_short = count <= 1 || bytes <= SMALL_BACKLOG.max(self.size);
        is_short.then(|| self.changes.get(first).cloned())
    }
}

/// More digits than that mean nothing.
fn milliseconds(at: f64) -> f64 {
    (at * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests;
