//! One connection as seen from outside: what it is doing, since when, and whether that takes too long.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicUsize};
use std::task::Waker;
use std::time::Duration;

use futures_util::task::AtomicWaker;

use super::{Limits, TICK};
use crate::client::Client;

/// Counts [`TICK`]s from 1 on. Marking a time costs a load and a store, and a process that was stopped finds
/// that no time has passed.
#[derive(Debug)]
pub(super) struct Ticks(AtomicU32);

impl Default for Ticks {
    fn default() -> Self {
        Self(AtomicU32::new(1))
    }
}

impl Ticks {
    pub fn now(&self) -> u32 {
        self.0.load(Relaxed)
    }

    pub fn advance(&self) -> u32 {
        self.0.fetch_add(1, Relaxed) + 1
    }
}

/// Not a tick.
const NEVER: u32 = 0;

/// What a connection is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Use {
    /// Requests and answers.
    Requests,
    /// An answer without end, during which the client has nothing to say.
    Events,
    /// Both sides speak when they like.
    Socket,
}

/// What a connection took too long for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overdue {
    Request,
    Idle,
    Stalled,
    KeptPlace,
}

/// Written by the task of the connection, read by what looks at all of them.
#[derive(Debug)]
pub struct Connection {
    pub(super) client: Client,
    ticks: Arc<Ticks>,
    /// Where it stands among all, so that it can leave without a search.
    pub(super) slot: AtomicUsize,
    /// From here on a place that is kept for this machine is wanted back.
    kept_until: Option<u32>,
    /// When anything was last read or written.
    active: AtomicU32,
    /// When something was last written.
    written: AtomicU32,
    /// Since when there is something read that nobody has answered; [`NEVER`] if there is not.
    asking: AtomicU32,
    /// Whether the client does not take what is to be written.
    is_blocked: AtomicBool,
    /// Whether a request is being answered: then the service is slow, or limits the client itself.
    is_handled: AtomicBool,
    /// A [`Use`].
    used: AtomicU8,
    /// Requests since something was last read, up to 2.
    requests: AtomicU8,
    /// Long answers that are being made or sent.
    lengthy: AtomicU8,
    is_cut: AtomicBool,
    /// Whether the system shall throw away what the peer has not taken when the connection is cut; it would
    /// keep that for minutes.
    is_reset: AtomicBool,
    /// Whether the peer, or the network between, ended the connection in disorder.
    is_broken: AtomicBool,
    /// Whether the system shall send at once and hold back little: the size of its buffer, or 0.
    send_buffer: AtomicU32,
    /// The task that reads and writes, to be woken when the connection is cut.
    task: AtomicWaker,
}

impl Connection {
    pub(super) fn new(client: Client, ticks: Arc<Ticks>, kept_for: Option<Duration>) -> Self {
        let now = ticks.now();
        Self {
            client,
            slot: AtomicUsize::new(usize::MAX),
            kept_until: kept_for.map(|limit| now + in_ticks(limit)),
            active: AtomicU32::new(now),
            written: AtomicU32::new(now),
            asking: AtomicU32::new(NEVER),
            is_blocked: AtomicBool::new(false),
            is_handled: AtomicBool::new(false),
            used: AtomicU8::new(Use::Requests as u8),
            requests: AtomicU8::new(0),
            lengthy: AtomicU8::new(0),
            is_cut: AtomicBool::new(false),
            is_reset: AtomicBool::new(false),
            is_broken: AtomicBool::new(false),
            send_buffer: AtomicU32::new(0),
            task: AtomicWaker::new(),
            ticks,
        }
    }

    /// Ends the connection, from whichever thread: its next read or write fails, and it is made to try.
    pub fn cut(&self) {
        self.is_cut.store(true, Relaxed);
        self.task.wake();
    }

    /// As [`Connection::cut`]; what the peer has not taken is thrown away.
    pub fn reset(&self) {
        self.is_reset.store(true, Relaxed);
        self.cut();
    }

    /// Whether the peer, or the network between, ended the connection in disorder.
    pub fn is_broken(&self) -> bool {
        self.is_broken.load(Relaxed)
    }

    pub fn is_cut(&self) -> bool {
        self.is_cut.load(Relaxed)
    }

    /// The connection now carries a WebSocket: both sides are silent for as long as they like.
    pub fn is_a_socket(&self) {
        self.used.store(Use::Socket as u8, Relaxed);
    }

    /// The connection now carries events: only the service speaks, when it likes.
    pub fn is_for_events(&self) {
        self.used.store(Use::Events as u8, Relaxed);
    }

    /// The connection carries requests and answers again, or has to end.
    pub fn is_for_requests(&self) {
        self.answered();
        self.active.store(self.ticks.now(), Relaxed);
        self.used.store(Use::Requests as u8, Relaxed);
    }

    /// Has the system send what there is at once, however small, and hold back at most so many bytes.
    pub fn hurry(&self, send_buffer: u32) {
        self.send_buffer.store(send_buffer, Relaxed);
    }

    /// A request is answered until the guard is dropped.
    pub fn handle(self: &Arc<Self>) -> Handling {
        self.asked();
        self.is_handled.store(true, Relaxed);
        Handling(self.clone())
    }

    /// A long answer is made and sent until the guard is dropped: nothing more is read before.
    pub fn answer_at_length(self: &Arc<Self>) -> Lengthy {
        self.lengthy.fetch_add(1, Relaxed);
        Lengthy(self.clone())
    }

    /// A request was answered at once.
    pub fn handled(&self) {
        self.asked();
        self.answered();
    }

    fn asked(&self) {
        self.requests.store(self.requests.load(Relaxed).saturating_add(1).min(2), Relaxed);
    }

    fn answered(&self) {
        self.asking.store(NEVER, Relaxed);
    }

    // ---- for the stream

    pub(super) fn is_answered_at_length(&self) -> bool {
        self.lengthy.load(Relaxed) > 0
    }

    /// Whether what is read are requests.
    pub(super) fn is_for_heads(&self) -> bool {
        self.used.load(Relaxed) == Use::Requests as u8
    }

    pub(super) fn has_read(&self) {
        let now = self.ticks.now();
        self.active.store(now, Relaxed);
        if self.asking.load(Relaxed) == NEVER {
            self.asking.store(now, Relaxed);
        }
        // Once several came together, that is how this client asks.
        if self.requests.load(Relaxed) < 2 {
            self.requests.store(0, Relaxed);
        }
    }

    pub(super) fn has_written(&self) {
        let now = self.ticks.now();
        self.active.store(now, Relaxed);
        self.written.store(now, Relaxed);
        self.is_blocked.store(false, Relaxed);
        if self.used.load(Relaxed) != Use::Events as u8 {
            self.answered();
        }
    }

    /// What was held back before it reached the system is gone.
    pub(super) fn has_flushed(&self) {
        if self.is_blocked.load(Relaxed) {
            self.has_written();
        }
    }

    pub(super) fn takes_nothing(&self) {
        self.is_blocked.store(true, Relaxed);
    }

    /// Whether several requests came at once, so that some may wait in a buffer for somebody to look at it
    /// again.
    pub(super) fn is_pipelined(&self) -> bool {
        self.requests.load(Relaxed) >= 2 && self.used.load(Relaxed) == Use::Requests as u8
    }

    /// What [`Connection::hurry`] asked for, once.
    pub(super) fn wanted_buffer(&self) -> Option<u32> {
        if self.send_buffer.load(Relaxed) == 0 {
            return None;
        }
        Some(self.send_buffer.swap(0, Relaxed))
    }

    pub(super) fn is_reset(&self) -> bool {
        self.is_reset.load(Relaxed)
    }

    pub(super) fn broke(&self) {
        self.is_broken.store(true, Relaxed);
    }

    pub(super) fn wake_when_cut(&self, task: &Waker) {
        self.task.register(task);
    }

    // ---- for the one who looks

    /// What the connection takes too long for at tick `now`.
    pub(super) fn overdue(&self, now: u32, limits: &Limits) -> Option<Overdue> {
        let since = |mark: &AtomicU32, limit: Duration| {
            // A tick more, as the first one may have been nearly over.
            now.saturating_sub(mark.load(Relaxed)) > in_ticks(limit)
        };
        if self.kept_until.is_some_and(|until| now > until) {
            return Some(Overdue::KeptPlace);
        }
        let used = self.used.load(Relaxed);
        let is_quiet = used == Use::Socket as u8 || self.is_handled.load(Relaxed);
        if self.is_blocked.load(Relaxed) {
            let is_stalled = !is_quiet && used == Use::Requests as u8 && since(&self.written, limits.stall);
            return is_stalled.then_some(Overdue::Stalled);
        }
        if is_quiet {
            return None;
        }
        if self.asking.load(Relaxed) != NEVER && since(&self.asking, limits.head) {
            return Some(Overdue::Request);
        }
        (used == Use::Requests as u8 && since(&self.active, limits.idle)).then_some(Overdue::Idle)
    }
}

fn in_ticks(duration: Duration) -> u32 {
    let ticks = duration.as_millis().div_ceil(TICK.as_millis());
    u32::try_from(ticks).unwrap_or(u32::MAX)
}

/// While this lives, a request of the connection is being answered.
#[derive(Debug)]
pub struct Handling(Arc<Connection>);

impl Drop for Handling {
    fn drop(&mut self) {
        self.0.is_handled.store(false, Relaxed);
        self.0.answered();
    }
}

/// While this lives, a long answer is made and sent.
#[derive(Debug)]
pub struct Lengthy(Arc<Connection>);

impl Drop for Lengthy {
    fn drop(&mut self) {
        self.0.lengthy.fetch_sub(1, Relaxed);
        self.0.task.wake();
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    const LIMITS: Limits = Limits {
        total: 1,
        per_client: 1,
        kept: 1,
        kept_for: Duration::from_secs(3),
        head: Duration::from_secs(5),
        idle: Duration::from_secs(10),
        stall: Duration::from_secs(30),
    };

    /// A connection and a clock that is turned by hand.
    struct Watch {
        ticks: Arc<Ticks>,
        connection: Arc<Connection>,
    }

    impl Watch {
        fn new(kept_for: Option<Duration>) -> Self {
            let ticks = Arc::new(Ticks::default());
            let client = Client::from(IpAddr::V4(Ipv4Addr::LOCALHOST));
            let connection = Arc::new(Connection::new(client, ticks.clone(), kept_for));
            Self { ticks, connection }
        }

        /// What is overdue first within so many seconds in which `each` happens every second, and when.
        fn pass(&self, seconds: u32, each: impl Fn(&Connection)) -> Option<(Overdue, u32)> {
            let start = self.ticks.now();
            for _ in 0..seconds {
                each(&self.connection);
                for _ in 0..4 {
                    let now = self.ticks.advance();
                    if let Some(overdue) = self.connection.overdue(now, &LIMITS) {
                        return Some((overdue, (now - start) / 4));
                    }
                }
            }
            None
        }
    }

    const NOTHING: fn(&Connection) = |_| {};
    const DRIPS: fn(&Connection) = |connection| connection.has_read();

    #[test]
    fn a_head_that_drips_is_cut_on_every_request() {
        let watch = Watch::new(None);
        for _ in 0..3 {
            watch.connection.has_read();
            watch.connection.handled();
            watch.connection.has_written();
            assert_eq!(watch.pass(4, NOTHING), None, "kept alive");
        }
        assert_eq!(watch.pass(60, DRIPS), Some((Overdue::Request, 5)));
    }

    #[test]
    fn a_body_that_nobody_wants_is_cut_and_so_is_one_that_never_comes() {
        let watch = Watch::new(None);
        watch.connection.has_read();
        watch.connection.handled();
        watch.connection.has_written();
        assert_eq!(watch.pass(60, DRIPS), Some((Overdue::Request, 5)));
        let watch = Watch::new(None);
        watch.connection.has_read();
        watch.connection.handled();
        watch.connection.has_written();
        assert_eq!(watch.pass(60, NOTHING), Some((Overdue::Idle, 10)));
    }

    #[test]
    fn while_a_request_is_answered_the_answerer_decides() {
        let watch = Watch::new(None);
        watch.connection.has_read();
        let handling = watch.connection.handle();
        assert_eq!(watch.pass(100, DRIPS), None);
        drop(handling);
        watch.connection.has_written();
        assert_eq!(watch.pass(60, DRIPS), Some((Overdue::Request, 5)));
    }

    #[test]
    fn a_client_that_takes_nothing_is_cut_whatever_it_sends() {
        let watch = Watch::new(None);
        watch.connection.has_read();
        watch.connection.handled();
        watch.connection.has_written();
        watch.connection.takes_nothing();
        assert_eq!(watch.pass(60, DRIPS), Some((Overdue::Stalled, 30)));
        let slow = |connection: &Connection| {
            connection.has_written();
            connection.takes_nothing();
        };
        assert_eq!(Watch::new(None).pass(600, slow), None, "a slow one is not");
    }

    #[test]
    fn what_stays_open_is_left_alone_until_it_ends() {
        for drips in [NOTHING, DRIPS] {
            let watch = Watch::new(None);
            watch.connection.is_a_socket();
            assert_eq!(watch.pass(1000, drips), None);
            watch.connection.is_for_requests();
            assert!(watch.pass(60, drips).is_some());
        }
        let watch = Watch::new(None);
        watch.connection.is_for_events();
        watch.connection.has_written();
        assert_eq!(watch.pass(1000, NOTHING), None);
        let chatters = |connection: &Connection| {
            connection.has_read();
            connection.has_written();
        };
        assert_eq!(watch.pass(60, chatters), Some((Overdue::Request, 5)), "a listener has nothing to say");
    }

    #[test]
    fn a_kept_place_is_given_for_a_moment_whatever_it_is_used_for() {
        let watch = Watch::new(Some(LIMITS.kept_for));
        watch.connection.is_a_socket();
        assert_eq!(watch.pass(60, DRIPS), Some((Overdue::KeptPlace, 3)));
    }

    #[test]
    fn requests_that_come_together_are_noticed() {
        let watch = Watch::new(None);
        let connection = &watch.connection;
        for _ in 0..5 {
            connection.has_read();
            connection.handled();
            connection.has_written();
            assert!(!connection.is_pipelined());
        }
        connection.handled();
        assert!(connection.is_pipelined());
        connection.has_read();
        assert!(connection.is_pipelined(), "from then on");
    }
}
