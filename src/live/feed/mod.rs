//! The live feed: everything a screen needs, numbered, serialised once per change however many clients
//! listen.
//!
//! The [`Feed`] is what everybody shares: the [`journal`] and a pulse that wakes the listeners. The [`hub`]
//! writes it, one [`Listener`] per client reads it; neither waits for the other. A listener takes what is new
//! when its client can take more, so a slow client costs a cursor and no queue. Nobody listening, nothing is
//! rendered: the hub sleeps, and the numbers go on where they were when somebody comes. `docs/live-feed.md`
//! is for clients.

mod hub;
mod journal;
mod message;
mod routes;
mod sections;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use actix::Recipient;
use arc_swap::ArcSwapOption;
use futures_util::stream::{self, Stream};
use tokio::sync::watch;
use tokio::time::Instant;

pub use hub::keep;
pub use journal::Section;
pub use message::{Kind, Message, Place};
pub(super) use routes::configure;

use crate::clock::unix_time;
use crate::settings::DemoClock;
use hub::Wake;
use journal::{Cursor, Journal};

/// The feed is kept up to date for this long after the last client left, or after it was polled.
const LINGER: Duration = Duration::from_secs(60);

/// What the journal has, for those who wait for more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pulse {
    /// The journal follows the boards. If not, somebody has to wake the hub first.
    awake: bool,
    seq: u64,
    beats: u64,
    /// The service stops.
    closed: bool,
}

/// The feed of the whole service.
pub struct Feed {
    epoch: Arc<str>,
    /// Unix seconds.
    started_at: f64,
    /// How time runs for the gateways, if they are simulated: clients show it.
    demo: Option<DemoClock>,
    /// Held for as long as it takes to find or render one message.
    journal: Mutex<Journal>,
    /// Its receivers are the listeners.
    pulse: watch::Sender<Pulse>,
    /// The hub that is running; replaced when it died.
    hub: ArcSwapOption<Recipient<Wake>>,
    /// When somebody last asked without staying.
    asked: Mutex<Option<Instant>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Feed {
    /// `seed` makes epochs differ between services that start in the same instant.
    pub fn new(seed: u64) -> Self {
        let started_at = unix_time();
        let epoch: Arc<str> = format!("{:016x}", seed.rotate_left(32) ^ started_at.to_bits()).into();
        let pulse = Pulse { awake: false, seq: 0, beats: 0, closed: false };
        Self {
            journal: Mutex::new(Journal::new(epoch.clone())),
            epoch,
            started_at,
            demo: None,
            pulse: watch::Sender::new(pulse),
            hub: ArcSwapOption::empty(),
            asked: Mutex::default(),
        }
    }

    /// The same, of gateways whose time runs by `demo`.
    pub fn with_demo(self, demo: Option<DemoClock>) -> Self {
        Self { demo, ..self }
    }

    /// New at each start of the service.
    pub fn epoch(&self) -> &str {
        &self.epoch
    }

    /// How many messages have been serialised so far, no matter who got them.
    pub fn serialised(&self) -> u64 {
        lock(&self.journal).serialised()
    }

    /// A client that may have been here before.
    pub fn listen(self: &Arc<Self>, resume: Option<Place>) -> Listener {
        Listener { pulse: self.pulse.subscribe(), feed: self.clone(), resume, cursor: None }
    }

    /// The whole state, once it is up to date; `None` when the service stops.
    pub async fn state(&self) -> Option<Arc<Message>> {
        *lock(&self.asked) = Some(Instant::now());
        let mut pulse = self.pulse.subscribe();
        self.up_to_date(&mut pulse).await?;
        Some(lock(&self.journal).state(unix_time()))
    }

    /// Ends all listeners: the service stops.
    pub fn close(&self) {
        self.pulse.send_modify(|pulse| pulse.closed = true);
    }

    /// Waits until the journal follows the boards.
    async fn up_to_date(&self, pulse: &mut watch::Receiver<Pulse>) -> Option<()> {
        let awake = pulse.borrow().awake;
        if !awake && let Some(hub) = &*self.hub.load() {
            // A hub that has no room for it has something else that makes it look whether it is wanted.
            let _ = hub.try_send(Wake);
        }
        let pulse = pulse.wait_for(|pulse| pulse.awake || pulse.closed).await.ok()?;
        (!pulse.closed).then_some(())
    }

    /// Whether anybody listens, or asked lately.
    fn is_wanted(&self) -> bool {
        let is_recent = |asked: Instant| asked.elapsed() < LINGER;
        self.pulse.receiver_count() > 0 || lock(&self.asked).is_some_and(is_recent)
    }

    /// Nobody is there: the journal need not follow the boards any more, unless somebody has just come.
    /// Whether it gave back much memory.
    fn fall_asleep(&self) -> bool {
        let mut sleeps = false;
        self.pulse.send_if_modified(|pulse| {
            pulse.awake &= self.is_wanted();
            sleeps = !pulse.awake;
            false
        });
        sleeps && lock(&self.journal).fall_asleep()
    }

    /// The sections are these from now on, in the order of a state. For the one that writes the feed;
    /// everybody who listens gets what differs. Whether anything does.
    pub fn publish(&self, sections: Vec<Section>) -> bool {
        let mut journal = lock(&self.journal);
        let changed = journal.replace(sections, unix_time());
        self.announce(&journal);
        changed
    }

    /// Says that nothing has changed.
    fn beat(&self) {
        let mut journal = lock(&self.journal);
        journal.beat();
        self.announce(&journal);
    }

    fn announce(&self, journal: &Journal) {
        self.pulse.send_if_modified(|pulse| {
            let newest = Pulse { awake: true, seq: journal.seq(), beats: journal.beats(), ..*pulse };
            let is_new = newest != *pulse;
            *pulse = newest;
            is_new
        });
    }
}

/// One client's place in the feed.
pub struct Listener {
    feed: Arc<Feed>,
    /// Keeps the feed awake, and says when there is more.
    pulse: watch::Receiver<Pulse>,
    /// Where the client says it is.
    resume: Option<Place>,
    /// Where it is; `None` before its first message.
    cursor: Option<Cursor>,
}

impl Listener {
    /// What the client has to get next; `None` when the service stops. A listener that is not asked for a
    /// while has no queue: it gets what leads to the newest in the shortest way.
    pub async fn next(&mut self) -> Option<Arc<Message>> {
        if self.cursor.is_none() {
            self.feed.up_to_date(&mut self.pulse).await?;
            self.cursor = Some(lock(&self.feed.journal).resume(self.resume.take().as_ref()));
        }
        loop {
            if self.pulse.borrow_and_update().closed {
                return None;
            }
            let cursor = self.cursor.get_or_insert_default();
            if let Some(message) = lock(&self.feed.journal).next(cursor, unix_time()) {
                return Some(message);
            }
            self.pulse.changed().await.ok()?;
        }
    }

    /// As a stream, for what is polled.
    pub fn into_stream(self) -> impl Stream<Item = Arc<Message>> {
        stream::unfold(self, |mut listener| async move {
            let message = listener.next().await?;
            Some((message, listener))
        })
    }
}
