//! All clients that stay connected, seen from the sending side: how many, which of them are stuck or have
//! said too much, and saying goodbye.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use actix::prelude::*;
use actix_web::HttpRequest;
use log::info;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use super::GoAway;
use super::share::Share;
use crate::audience::{Audience, Cut, NoPlace};
use crate::client::Client;
use crate::connections::Connection;
use crate::slices::Progress;

/// More clients than any house has.
const MOST_SESSIONS: usize = 2_000;
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A look that comes later than this after the one before means that the process itself did not run.
const LATE: Duration = Duration::from_secs(2);
/// A client that was said goodbye has this long to take it and to end the connection in good order.
const LEAVE_WITHIN: Duration = Duration::from_secs(3);
/// Clients that are cut are a line in the log at most this often for each reason.
const LOG_EVERY: Duration = Duration::from_secs(60);
/// What the system may hold of a feed for a client, bytes. More would be a backlog of old news.
const SEND_BUFFER: u32 = 64 << 10;

/// Every session there is.
pub struct Sessions {
    /// A session that has made no progress for this long is cut.
    stall_limit: Duration,
    /// Progress is counted from here.
    origin: Instant,
    /// What one address may have of the places.
    share: Share,
    places: Mutex<Vec<Place>>,
    /// What has been logged of each reason for which clients are cut.
    logged: Mutex<[Logged; Cut::ALL.len()]>,
}

/// A session and whose it is.
struct Place {
    life: Weak<Life>,
    client: Client,
}

#[derive(Clone, Copy, Default)]
struct Logged {
    last: Option<Instant>,
    /// Clients cut since then.
    unsaid: u64,
}

/// One session.
pub(super) struct Life {
    sessions: Arc<Sessions>,
    /// Milliseconds since the origin at which the session last ran: it runs only while its peer takes what it
    /// gets.
    progress: AtomicU64,
    /// What it goes over.
    connection: Option<Arc<Connection>>,
    /// Why it was cut, which is done and logged once.
    cut: OnceLock<Cut>,
    /// It was said goodbye and gets nothing any more, or has said so itself.
    is_leaving: AtomicBool,
    goodbye: OnceLock<Recipient<GoAway>>,
    /// Where it is counted.
    audience: Arc<Audience>,
}

/// However a session ends, it ends here.
impl Drop for Life {
    fn drop(&mut self) {
        if let Some(connection) = &self.connection {
            if !self.is_leaving() && connection.is_broken() {
                self.cut_for(Cut::Lost);
            }
            connection.is_for_requests();
        }
        self.audience.left();
    }
}

impl Life {
    pub fn progressed(&self) {
        self.progress.store(self.sessions.clock(), Ordering::Relaxed);
    }

    /// Seconds since the origin.
    pub fn second(&self) -> u32 {
        u32::try_from(self.sessions.clock() / 1000).unwrap_or(u32::MAX)
    }

    pub fn joined(&self, goodbye: Recipient<GoAway>) {
        let _ = self.goodbye.set(goodbye);
    }

    /// Something was sent, instead of so many changes that were not.
    pub fn sent(&self, skipped: u64) {
        self.audience.sent(skipped);
    }

    /// Has the system send what there is at once, however small, and hold back little for this client, so
    /// that a slow one gets the newest.
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

    /// Counts that the client is being disconnected, the first time.
    pub fn cut_for(&self, why: Cut) {
        if self.cut.set(why).is_ok() {
            self.audience.cut(why);
            self.sessions.log(why);
        }
    }

    pub fn why_cut(&self) -> Option<Cut> {
        self.cut.get().copied()
    }

    /// A goodbye is on its way to the client; the connection ends soon, whether the client reads it or not.
    /// The framework would wait for one that takes nothing.
    pub fn leave(&self) {
        if self.is_leaving.swap(true, Ordering::Relaxed) {
            return;
        }
        let Some(connection) = self.connection.as_ref().map(Arc::downgrade) else { return };
        actix_web::rt::spawn(async move {
            sleep(LEAVE_WITHIN).await;
            if let Some(connection) = connection.upgrade() {
                connection.reset();
            }
        });
    }

    pub fn is_leaving(&self) -> bool {
        self.is_leaving.load(Ordering::Relaxed)
    }

    pub fn disconnect(&self) {
        if let Some(connection) = &self.connection {
            connection.reset();
        }
    }
}

/// Being asked for more is progress.
impl Progress for Arc<Life> {
    fn asked(&self) {
        self.progressed();
    }

    fn given(&self) {}
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Sessions {
    pub fn new(stall_limit: Duration) -> Self {
        Self {
            stall_limit,
            origin: Instant::now(),
            share: Share::default(),
            places: Mutex::default(),
            logged: Mutex::default(),
        }
    }

    /// As they are, with a limit to what one address may have.
    #[must_use]
    pub fn shared(self, share: Share) -> Self {
        Self { share, ..self }
    }

    /// Milliseconds since the origin.
    fn clock(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn places(&self) -> MutexGuard<'_, Vec<Place>> {
        let mut places = lock(&self.places);
        places.retain(|place| place.life.strong_count() > 0);
        places
    }

    fn lives(&self) -> Vec<Arc<Life>> {
        self.places().iter().filter_map(|place| place.life.upgrade()).collect()
    }

    pub fn count(&self) -> usize {
        self.places().len()
    }

    /// A place for one more session.
    ///
    /// # Errors
    /// If there is none.
    pub(super) fn admit(
        self: &Arc<Self>,
        request: &HttpRequest,
        audience: &Arc<Audience>,
    ) -> Result<Arc<Life>, NoPlace> {
        let client = Client::of(request, &self.share.trusted);
        let mut places = self.places();
        let has_share = || places.iter().filter(|place| place.client == client).count() >= self.share.most;
        let refusal = if places.len() >= MOST_SESSIONS {
            Some(NoPlace::Full)
        } else {
            (has_share() && !self.share.is_exempt(client, request)).then_some(NoPlace::Share)
        };
        if let Some(refusal) = refusal {
            audience.refused(refusal);
            return Err(refusal);
        }

        let connection = request.conn_data::<Arc<Connection>>().cloned();
        if let Some(connection) = &connection {
            connection.is_a_socket();
        }
        let life = Arc::new(Life {
            sessions: self.clone(),
            progress: AtomicU64::new(self.clock()),
            connection,
            cut: OnceLock::new(),
            is_leaving: AtomicBool::new(false),
            goodbye: OnceLock::new(),
            audience: audience.clone(),
        });
        audience.joined();
        places.push(Place { life: Arc::downgrade(&life), client });
        Ok(life)
    }

    /// Cuts sessions that are stuck, for as long as the service runs. If the process was stopped meanwhile,
    /// nobody could have made progress, and everybody gets a new period.
    pub async fn watch(self: Arc<Self>) {
        let mut look = interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut before = Instant::now();
        loop {
            look.tick().await;
            if before.elapsed() > LATE {
                self.lives().iter().for_each(|life| life.progressed());
            }
            before = Instant::now();
            self.cut_stalled();
        }
    }

    fn cut_stalled(&self) {
        let now = self.clock();
        let limit = u64::try_from(self.stall_limit.as_millis()).unwrap_or(u64::MAX);
        for life in self.lives() {
            let is_stuck = now.saturating_sub(life.progress.load(Ordering::Relaxed)) > limit;
            if is_stuck && life.why_cut().is_none() {
                life.cut_for(Cut::Stalled);
                life.disconnect();
            }
        }
    }

    /// Logs that a client was cut. Strangers cannot fill the log: what is not said at once is counted in the
    /// next line.
    fn log(&self, why: Cut) {
        let now = Instant::now();
        let clients = {
            let logged = &mut lock(&self.logged)[why as usize];
            logged.unsaid += 1;
            if logged.last.is_some_and(|last| now.saturating_duration_since(last) < LOG_EVERY) {
                return;
            }
            logged.last = Some(now);
            std::mem::take(&mut logged.unsaid)
        };
        let reason = match why {
            Cut::Stalled => "take nothing any more",
            Cut::Lost => "are lost",
            Cut::Protocol => "send something other than a client's WebSocket frames",
            Cut::TooLarge => "send larger frames than a client may",
            Cut::TooMuch => "send more than a client may",
        };
        info!(
            event = "client_cut", reason = why.name(), clients = clients;
            "live clients that {reason} are disconnected: {clients} since the last such line"
        );
    }

    /// Lets every session know that the service stops. One that is stuck is cut by [`Sessions::cut_all`].
    pub fn close_all(&self) {
        for life in self.lives() {
            if let Some(goodbye) = life.goodbye.get() {
                let _ = goodbye.try_send(GoAway);
            }
        }
    }

    /// Ends what did not end by itself.
    pub fn cut_all(&self) {
        self.lives().iter().for_each(|life| life.disconnect());
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;
    use tokio::time::advance;

    use super::*;
    use crate::client::Network;

    const LIMIT: Duration = Duration::from_secs(30);

    fn admit(sessions: &Arc<Sessions>, peer: &str, audience: &Arc<Audience>) -> Result<Arc<Life>, NoPlace> {
        let request = TestRequest::default().peer_addr(format!("{peer}:4711").parse().unwrap());
        sessions.admit(&request.to_http_request(), audience)
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_of_the_process_cuts_nobody() {
        let (sessions, audience) = (Arc::new(Sessions::new(LIMIT)), Arc::<Audience>::default());
        let watching = tokio::spawn(sessions.clone().watch());
        let life = admit(&sessions, "10.0.0.1", &audience).unwrap();
        sleep(Duration::from_secs(20)).await;
        for _ in 0..3 {
            // The clock went on, and nothing ran.
            advance(Duration::from_secs(120)).await;
            sleep(Duration::from_secs(29)).await;
            assert_eq!(life.why_cut(), None);
        }
        sleep(Duration::from_secs(4)).await;
        assert_eq!(life.why_cut(), Some(Cut::Stalled), "once it has had its time");
        assert_eq!(audience.counts().cut, [1, 0, 0, 0, 0]);
        watching.abort();
    }

    #[test]
    fn an_address_has_its_share_and_a_trusted_proxy_has_none() {
        let proxy: Network = "10.0.0.9".parse().unwrap();
        let share = Share { most: 2, trusted: [proxy].into_iter().collect() };
        let (sessions, audience) = (Arc::new(Sessions::new(LIMIT).shared(share)), Arc::<Audience>::default());
        let mut lives = Vec::new();
        for peer in ["10.0.0.1", "[2001:db8::1]"] {
            lives.extend([
                admit(&sessions, peer, &audience).unwrap(),
                admit(&sessions, peer, &audience).unwrap(),
            ]);
        }
        for peer in ["10.0.0.1", "[::ffff:10.0.0.1]", "[2001:db8::2]"] {
            assert_eq!(admit(&sessions, peer, &audience).err(), Some(NoPlace::Share), "{peer}");
        }
        assert_eq!(audience.counts().refused, [0, 3]);
        for _ in 0..5 {
            lives.push(admit(&sessions, "10.0.0.9", &audience).unwrap());
        }
        lives.extend(
            [admit(&sessions, "10.0.0.2", &audience), admit(&sessions, "[2001:db8:0:1::1]", &audience)]
                .map(Result::unwrap),
        );
        // The client that the proxy names has a share.
        let through_proxy = |client: &str| {
            let request = TestRequest::default().peer_addr("10.0.0.9:4711".parse().unwrap());
            let request = request.insert_header(("x-forwarded-for", client)).to_http_request();
            sessions.admit(&request, &audience)
        };
        assert_eq!(through_proxy("10.0.0.1").err(), Some(NoPlace::Share));
        lives.push(through_proxy("10.0.0.3").unwrap());
        drop(lives);
        assert_eq!(audience.counts().clients, 0);
        assert!(admit(&sessions, "10.0.0.1", &audience).is_ok(), "a place that is free again");
    }
}
