//! All clients that stay connected, seen from the sending side: how many, which of them are stuck, and saying goodbye.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use actix::prelude::*;
use actix_web::HttpRequest;
use tokio::time::{Instant, interval};

use super::GoAway;
use crate::audience::Audience;
use crate::connections::Connection;

/// More clients than any house has.
const MOST_SESSIONS: usize = 2_000;
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// What the system may hold of a feed for a client, bytes. More would be a backlog of old news.
const SEND_BUFFER: u32 = 64 << 10;

/// Every session there is.
pub struct Sessions {
    /// A session that has made no progress for this long is cut.
    stall_limit: Duration,
    /// Progress is counted from here.
    origin: Instant,
    lives: Mutex<Vec<Weak<Life>>>,
}

/// One session.
pub(super) struct Life {
    origin: Instant,
    /// Milliseconds since the origin at which the session last ran: it runs only while its peer takes what it gets.
    progress: AtomicU64,
    /// What it goes over.
    connection: Option<Arc<Connection>>,
    /// Whether it has been cut, which is done and told once.
    is_cut: AtomicBool,
    goodbye: OnceLock<Recipient<GoAway>>,
    /// Where it is counted.
    audience: Arc<Audience>,
}

/// However a session ends, it ends here.
impl Drop for Life {
    fn drop(&mut self) {
        if let Some(connection) = &self.connection {
            connection.is_for_requests();
        }
        self.audience.left(self.is_cut());
    }
}

impl Life {
    pub fn progressed(&self) {
        self.progress.store(milliseconds(self.origin.elapsed()), Ordering::Relaxed);
    }

    pub fn joined(&self, goodbye: Recipient<GoAway>) {
        let _ = self.goodbye.set(goodbye);
    }

    /// Something was sent, instead of so many changes that were not.
    pub fn sent(&self, skipped: u64) {
        self.audience.sent(skipped);
    }

    /// Has the system send what there is at once, however small, and hold back little for this client, so that a slow
    /// one gets the newest.
    pub fn hurry(&self) {
        if let Some(connection) = &self.connection {
            connection.hurry(SEND_BUFFER);
        }
    }

    /// The client has nothing to say from now on.
    pub fn only_listens(&self) {
        if let Some(connection) = &self.connection {
            connection.is_for_events();
        }
    }

    fn is_cut(&self) -> bool {
        self.is_cut.load(Ordering::Relaxed)
    }

    fn cut(&self) {
        self.is_cut.store(true, Ordering::Relaxed);
        if let Some(connection) = &self.connection {
            connection.cut();
        }
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Sessions {
    pub fn new(stall_limit: Duration) -> Self {
        Self { stall_limit, origin: Instant::now(), lives: Mutex::default() }
    }

    fn lives(&self) -> MutexGuard<'_, Vec<Weak<Life>>> {
        let mut lives = self.lives.lock().unwrap_or_else(PoisonError::into_inner);
        lives.retain(|life| life.strong_count() > 0);
        lives
    }

    pub fn count(&self) -> usize {
        self.lives().len()
    }

    /// A place for one more session, if there is one.
    pub(super) fn admit(&self, request: &HttpRequest, audience: &Arc<Audience>) -> Option<Arc<Life>> {
        let mut lives = self.lives();
        if lives.len() >= MOST_SESSIONS {
            return None;
        }
        let connection = request.conn_data::<Arc<Connection>>().cloned();
        if let Some(connection) = &connection {
            connection.is_a_socket();
        }
        let life = Arc::new(Life {
            origin: self.origin,
            progress: AtomicU64::new(milliseconds(self.origin.elapsed())),
            connection,
            is_cut: AtomicBool::new(false),
            goodbye: OnceLock::new(),
            audience: audience.clone(),
        });
        audience.joined();
        lives.push(Arc::downgrade(&life));
        Some(life)
    }

    /// Cuts sessions that are stuck, for as long as the service runs.
    pub async fn watch(self: Arc<Self>) {
        let mut look = interval(LOOK_EVERY);
        loop {
            look.tick().await;
            self.cut_stalled();
        }
    }

    fn cut_stalled(&self) {
        let now = milliseconds(self.origin.elapsed());
        let limit = milliseconds(self.stall_limit);
        for life in self.lives().iter().filter_map(Weak::upgrade) {
            let is_stuck = now.saturating_sub(life.progress.load(Ordering::Relaxed)) > limit;
            if is_stuck && !life.is_cut() {
                log::info!(event = "client_cut"; "a live client takes nothing any more; disconnecting it");
                life.cut();
            }
        }
    }

    /// Tells every session that the service stops. One that is stuck is cut by [`Sessions::cut_all`].
    pub fn close_all(&self) {
        for life in self.lives().iter().filter_map(Weak::upgrade) {
            if let Some(goodbye) = life.goodbye.get() {
                let _ = goodbye.try_send(GoAway);
            }
        }
    }

    /// Ends what did not end by itself.
    pub fn cut_all(&self) {
        self.lives().iter().filter_map(Weak::upgrade).for_each(|life| life.cut());
    }
}
