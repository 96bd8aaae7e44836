//! How a gateway is treated: one exchange at a time, pauses kept, a cool-down when it asks for one, never too
//! much, and no login that is not needed.
//!
//! The figures are those of the table in `docs/architecture.md`, written down again on purpose.

use std::collections::VecDeque;
use std::time::Duration;

use powerwall_server::link::LinkError;
use powerwall_server::link::knock::Knock;
use powerwall_server::simulator::Role;
use tokio::time::Instant;

use crate::options::{Door, SECOND, Way};

const PAUSES: [u32; 5] = [5, 10, 30, 60, 120];
const REFUSED_PAUSES: [u32; 3] = [60, 120, 300];
const SILENCE: Duration = Duration::from_secs(300);
const LONGEST_SILENCE: Duration = Duration::from_secs(3600);
const JITTER: f64 = 1.2;
/// A dead actor is missed after at most this long.
const ROUND: Duration = SECOND;
/// A poll with a login and all that it may need takes less.
const FIRST_POLL: Duration = Duration::from_secs(6);
/// A first poll may take so many exchanges.
const EXCHANGES: u32 = 3;
/// Timers have a grain of a millisecond; some are armed one after the other.
pub const GRAIN: Duration = Duration::from_millis(20);
/// Beside polls, in any minute: the slow questions and the repetitions after failures …
const EXTRA_REQUESTS: usize = 14;
/// … which are smaller and more with the customer API, where a poll that needs a login takes three …
const EXTRA_CUSTOMER_REQUESTS: usize = 36;
/// … and more where one logs in, and where there are two ways or energies to ask for.
const EXTRA_REQUESTS_OF_MANY: usize = 30;
/// The lifetime energies are asked for this often at most …
const ENERGIES: Duration = Duration::from_secs(120);
/// … and after failures at first after so long.
const ENERGIES_FAILED: Duration = Duration::from_secs(300);
const ENERGIES_ABSENT: Duration = Duration::from_secs(600);
/// A unit or endpoint that is not there is left alone for this long, or a second less when a poll goes by.
const PARKED: Duration = Duration::from_secs(599);

/// A death within this after the last one is one too many.
const CRASH_REMEMBERED: Duration = Duration::from_secs(600);

/// Logins: at most so many within that time …
const LOGINS: [(usize, Duration); 2] =
    [(3, Duration::from_secs(10 * 60)), (10, Duration::from_secs(24 * 3600))];
/// … and of those within the day only the ones count that do not renew a session that served this long.
const SERVED: Duration = Duration::from_secs(45 * 60);
/// Waits of which the end is known are stretched by this at most.
const STRETCH: Duration = Duration::from_secs(2);

/// Of five polls or more within this time; from that share of failures on, every so manyth tick is used.
const PACE: Duration = Duration::from_secs(300);
const SLOWER: [(f64, u32); 2] = [(0.5, 4), (0.2, 2)];

/// How a poll or a refresh ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Ended {
    Good,
    Failed(LinkError),
    /// It killed its actor.
    Crashed,
    /// Its actor was stopped.
    Stopped,
}

/// When the next poll must start.
#[derive(Clone, Copy, Debug)]
struct Window {
    earliest: Instant,
    latest: Instant,
}

/// What one gateway has been through.
#[derive(Debug)]
pub struct Conduct {
    interval: Duration,
    way: Way,
    /// Beside polls, in any minute.
    extra_requests: usize,
    in_flight: u32,
    /// Nobody may ask before, whatever happens in this program.
    quiet_until: Option<Instant>,
    /// The same of each [`Door`] alone: what it answers to a follower's question, or to a check, concerns no
    /// other.
    quiet_doors: [Option<Instant>; 2],
    /// The lifetime energies are not asked for before, and why.
    energies_from: Option<(Instant, &'static str)>,
    /// Requests of the present poll.
    requests_of_poll: u32,
    /// After refused credentials.
    refused_until: Option<Instant>,
    /// Starts of the requests of the last minute.
    recent: VecDeque<Instant>,
    /// When recent polls ended, and whether they failed.
    paced: VecDeque<(Instant, bool)>,
    /// Failures in a row that made pauses grow.
    failures: u32,
    /// Failures in a row, with polls that were not even sent.
    consecutive: u32,
    /// Logins, and whether they renewed a session that had served its time.
    logins: VecDeque<(Instant, bool)>,
    /// When the present session was given.
    session: Option<Instant>,
    /// Whether the gateway has said no since the last login: nothing else is worth one.
    said_no: bool,
    polling_since: Option<Instant>,
    next_poll: Window,
    /// Whether an order has held it up.
    is_held_up: bool,
    pub last_poll: Option<Ended>,
    /// Since when the last poll, or bare connection, says that the gateway may be away.
    may_be_away: Option<Instant>,
    /// Whether the next poll was brought forward by a connection.
    is_early: bool,
    /// Polls in a row that were brought forward and failed.
    early_failures: u32,
    /// Bare connections of the last minute, by [`Door`].
    connections: [VecDeque<Instant>; 2],
    last_crash: Option<Instant>,
    /// Polls that began since anything was last wrong.
    healthy_polls: u32,
}

/// A poll may take so many exchanges, each as long as one may take: with two links, those of both.
pub fn exchanges(way: Way) -> u32 {
    match way {
        Way::Standby { .. } => 2 * EXCHANGES,
        _ => EXCHANGES,
    }
}

fn pause(pauses: &[u32], failures: u32) -> Duration {
    SECOND * pauses[(failures as usize).min(pauses.len() - 1)]
}

fn silence(retry_after: Option<Duration>) -> Duration {
    retry_after.unwrap_or(SILENCE).clamp(SILENCE, LONGEST_SILENCE)
}

impl Conduct {
    pub fn new(interval: Duration, way: Way, now: Instant) -> Self {
        Self {
            interval,
            way,
            extra_requests: match way {
                Way::Tedapi(_) => EXTRA_REQUESTS,
                Way::Local(_) => EXTRA_CUSTOMER_REQUESTS,
                Way::Bearer | Way::V1r | Way::Pair => EXTRA_REQUESTS_OF_MANY,
                Way::Standby { .. } => EXTRA_CUSTOMER_REQUESTS + EXTRA_REQUESTS_OF_MANY,
            },
            in_flight: 0,
            quiet_until: None,
            quiet_doors: [None; 2],
            energies_from: None,
            requests_of_poll: 0,
            refused_until: None,
            recent: VecDeque::new(),
            paced: VecDeque::new(),
            failures: 0,
            consecutive: 0,
            logins: VecDeque::new(),
            session: None,
            said_no: false,
            polling_since: None,
            next_poll: Window { earliest: now, latest: now + GRAIN },
            is_held_up: false,
            last_poll: None,
            may_be_away: None,
            is_early: false,
            early_failures: 0,
            connections: Default::default(),
            last_crash: None,
            healthy_polls: 0,
        }
    }

    pub fn request_begins(&mut self, door: Door, role: Role, now: Instant) -> Result<(), String> {
        self.in_flight += 1;
        self.requests_of_poll += 1;
        if self.in_flight > 1 {
            return Err(format!("{} exchanges are in flight at the same time", self.in_flight));
        }
        let of_door = self.quiet_doors[door as usize].filter(|_| !self.is_of_customer(role));
        if let Some(quiet_until) = self.quiet_until.max(of_door).filter(|until| now < *until) {
            let early = quiet_until - now;
            return Err(format!(
                "{role:?} is asked {early:?} before the cool-down is over that the gateway asked for"
            ));
        }
        if let Some(refused_until) = self.refused_until.filter(|until| now < *until) {
            let early = refused_until - now;
            return Err(format!(
                "{role:?} is asked {early:?} before the pause after refused credentials is over"
            ));
        }
        if role == Role::Login {
            self.login_begins(now)?;
        }
        if role == Role::Meters && !self.way.polls_customer() {
            self.energies_begin(now)?;
        }
        while self.recent.front().is_some_and(|at| now - *at > 60 * SECOND) {
            self.recent.pop_front();
        }
        self.recent.push_back(now);
        let polls = (60.0 / self.interval.as_secs_f64().min(60.0)).ceil() as usize;
        match self.recent.len() > polls + self.extra_requests {
            true => Err(format!("{} requests within a minute", self.recent.len())),
            false => Ok(()),
        }
    }

    /// A bare connection: never beside an exchange, nor while the gateway wants to be left alone, and one for
    /// each tick.
    pub fn connection_begins(&mut self, door: Door, now: Instant) -> Result<(), String> {
        if self.in_flight > 0 {
            return Err("a bare connection beside an exchange".into());
        }
        if self.quiet_until.is_some_and(|until| now < until) {
            return Err("a bare connection before the cool-down is over".into());
        }
        if self.refused_until.is_some_and(|until| now < until) {
            return Err("a bare connection in the pause after refused credentials".into());
        }
        let recent = &mut self.connections[door as usize];
        while recent.front().is_some_and(|at| now - *at >= 60 * SECOND) {
            recent.pop_front();
        }
        recent.push_back(now);
        let ticks = (60.0 / self.interval.as_secs_f64()).ceil() as usize + 1;
        match recent.len() > ticks {
            true => Err(format!("{} bare connections within a minute", recent.len())),
            false => Ok(()),
        }
    }

    pub fn connection_ends(&self) {
        assert_eq!(self.in_flight, 0, "an exchange beside a bare connection");
    }

    /// What came of it, over all ways: the first that is accepted leads to a poll at once.
    pub fn tried_connection(&mut self, knock: Knock, now: Instant) {
        match knock {
            Knock::Untried => {}
            Knock::Nobody => {
                self.may_be_away = Some(now);
            }
            Knock::Accepted => {
                self.next_poll.earliest = self.next_poll.earliest.min(now);
                if self.early_failures == 0 {
                    self.next_poll.latest = self.next_poll.latest.min(now + GRAIN);
                }
                (self.is_early, self.may_be_away) = (true, None);
            }
        }
    }

    fn energies_begin(&self, now: Instant) -> Result<(), String> {
        match self.energies_from.filter(|(from, _)| now < *from) {
            Some((from, why)) => {
                Err(format!("the energies are asked for {:?} too early after {why}", from - now))
            }
            None => Ok(()),
        }
    }

    /// Whether a request goes to an interface that is beside the one that polls use.
    fn is_of_customer(&self, role: Role) -> bool {
        !self.way.polls_customer() && matches!(role, Role::Meters | Role::Login)
    }

    fn login_begins(&mut self, now: Instant) -> Result<(), String> {
        if !std::mem::take(&mut self.said_no) {
            return Err("a login that no refusal asked for".into());
        }
        let renews = self.session.take().is_some_and(|given| now - given >= SERVED);
        self.logins.push_back((now, renews));
        for (most, window) in LOGINS {
            let counts = |renews: bool| !renews || window < SERVED;
            let within =
                self.logins.iter().filter(|(at, renews)| now - *at < window && counts(*renews)).count();
            if within > most {
                return Err(format!("{within} logins within {window:?}"));
            }
        }
        Ok(())
    }

    /// `outcome` is `None` if the client went away.
    pub fn request_ends(&mut self, door: Door, role: Role, outcome: Option<&LinkError>, now: Instant) {
        self.in_flight -= 1;
        if role == Role::Meters && !self.way.polls_customer() {
            self.energies_end(outcome, now);
        }
        match outcome {
            Some(LinkError::RateLimited { retry_after } | LinkError::Busy { retry_after }) => {
                let until = now + silence(*retry_after);
                match self.is_of_customer(role) {
                    true => self.energies_from = Some((until, "a cool-down")),
                    // Links that stand in for each other lead to one machine.
                    false if matches!(self.way, Way::Standby { .. }) => self.quiet_doors = [Some(until); 2],
                    false => self.quiet_doors[door as usize] = Some(until),
                }
            }
            // Slow data that is refused costs nobody the readings; a poll that is refused speaks for the
            // gateway.
            Some(LinkError::Refused { .. }) if self.speaks_for_gateway(role) => {
                self.refused_until = Some(now + pause(&REFUSED_PAUSES, self.failures));
            }
            // With passwords, the meters alone decide whether a session is still good.
            Some(LinkError::Refused { .. }) if role != Role::Login => {
                self.said_no |=
                    role == Role::Meters || matches!(self.way, Way::Bearer | Way::V1r | Way::Pair);
            }
            None if role == Role::Login => self.session = Some(now),
            _ => {}
        }
    }

    /// What a login may set right is no refusal of the gateway; nor is that of one way of two.
    fn speaks_for_gateway(&self, role: Role) -> bool {
        match self.way {
            Way::Tedapi(_) => matches!(role, Role::Din | Role::Status | Role::Controller),
            Way::Local(_) => role == Role::Login,
            Way::Bearer | Way::V1r | Way::Pair | Way::Standby { .. } => false,
        }
    }

    fn energies_end(&mut self, outcome: Option<&LinkError>, now: Instant) {
        self.energies_from = match outcome {
            None => Some((now + ENERGIES, "an answer")),
            // A login may follow, and the question again.
            Some(LinkError::Refused { .. }) => None,
            Some(LinkError::NotFound(_)) => Some((now + ENERGIES_ABSENT, "a 404")),
            Some(_) => Some((now + ENERGIES_FAILED, "a failure")),
        };
    }

    /// For how long a gateway has been asked more than polls since something killed its reader; `None`:
    /// nothing did.
    pub fn asked_more_for(&self, now: Instant) -> Option<Duration> {
        let crash = self.last_crash?;
        Some(now.saturating_duration_since(crash + CRASH_REMEMBERED + 2 * ROUND))
    }

    pub fn poll_begins(&mut self, now: Instant) -> Result<(), String> {
        self.polling_since = Some(now);
        self.is_held_up = false;
        self.requests_of_poll = 0;
        self.healthy_polls += 1;
        let earliest = self.next_poll.earliest;
        if now + GRAIN < earliest {
            return Err(format!("a poll starts {:?} before its time", earliest - now));
        }
        self.is_overdue(now).map_or(Ok(()), |late| Err(format!("a poll starts {late:?} late")))
    }

    /// An exchange for an order begins: it may make the next poll later by one exchange, once.
    pub fn order_begins(&mut self, timeout: Duration, now: Instant) -> Result<(), String> {
        if let Some(late) = self.is_overdue(now) {
            return Err(format!("an order goes before a poll that is {late:?} late"));
        }
        if !std::mem::replace(&mut self.is_held_up, true) {
            self.next_poll.latest += timeout;
        }
        Ok(())
    }

    /// How much later than allowed the next poll is, should it start now. `latest` is meaningless during a
    /// poll.
    fn is_overdue(&self, now: Instant) -> Option<Duration> {
        now.checked_duration_since(self.next_poll.latest + GRAIN).filter(|late| !late.is_zero())
    }

    /// Somebody has been waiting for too long.
    pub fn check(&self, timeout: Duration, now: Instant) -> Result<(), String> {
        match self.polling_since {
            Some(since) if now > since + timeout * exchanges(self.way) + GRAIN => {
                Err(format!("a poll has been under way for {:?}", now - since))
            }
            None => {
                self.is_looked_for(now)?;
                self.is_overdue(now).map_or(Ok(()), |late| Err(format!("a poll is {late:?} late")))
            }
            Some(_) => Ok(()),
        }
    }

    /// While a gateway may be away, a bare connection is tried at every tick. Of two, both may want to be
    /// left alone.
    fn is_looked_for(&self, now: Instant) -> Result<(), String> {
        let Some(since) = self.may_be_away.filter(|_| !self.way.has_two_doors()) else { return Ok(()) };
        match now > since + self.interval * 2 + GRAIN {
            true => Err(format!("nobody has tried a connection for {:?}", now - since)),
            false => Ok(()),
        }
    }

    pub fn poll_ends(&mut self, ended: Ended, timeout: Duration, now: Instant) -> Result<(), String> {
        self.polling_since = None;
        let excuse = self.is_excused(&ended, now);
        self.note_absence(&ended, now);
        match &ended {
            Ended::Good => {
                self.last_poll = Some(Ended::Good);
                (self.failures, self.consecutive) = (0, 0);
                // The slow questions come after a poll, one exchange at a time.
                let latest = now + self.interval * self.stride(false, now) + timeout * 2;
                self.next_poll = Window { earliest: now, latest };
            }
            Ended::Failed(error) => {
                if self.way.has_two_doors() && self.requests_of_poll == 0 {
                    // Both ways want to be left alone: what is promised counts from when one is asked.
                    self.healthy_polls = 0;
                }
                self.failed(error, now);
            }
            Ended::Crashed => self.crashed(true, now),
            Ended::Stopped => self.stopped(now),
        }
        excuse
    }

    fn note_absence(&mut self, ended: &Ended, now: Instant) {
        let no_answer = matches!(ended, Ended::Failed(LinkError::Unreachable(_) | LinkError::Timeout(_)));
        let was_early = std::mem::take(&mut self.is_early);
        match ended {
            Ended::Good => self.early_failures = 0,
            Ended::Failed(_) if was_early => self.early_failures += 1,
            _ => {}
        }
        self.may_be_away = no_answer.then_some(now);
    }

    /// Whether a poll that was not even sent had a reason.
    fn is_excused(&mut self, ended: &Ended, now: Instant) -> Result<(), String> {
        match ended {
            // Why links of which one stands in for the other rest is known between them.
            Ended::Failed(LinkError::Silence { .. }) if matches!(self.way, Way::Standby { .. }) => Ok(()),
            Ended::Failed(LinkError::Silence { .. })
                if [self.quiet_until, self.quiet_doors[0], self.quiet_doors[1]]
                    .into_iter()
                    .max()
                    .flatten()
                    <= Some(now) =>
            {
                Err("it keeps a cool-down that nobody asked for".into())
            }
            Ended::Failed(LinkError::LoginBudget { .. }) => {
                let exhausted = LOGINS.iter().any(|(most, window)| {
                    self.logins.iter().filter(|(at, _)| now - *at <= *window).count() >= *most
                });
                if exhausted { Ok(()) } else { Err("it does not log in, although it may".into()) }
            }
            _ => Ok(()),
        }
    }

    pub fn refresh_ends(&mut self, ended: &Ended, now: Instant) {
        match ended {
            // No poll, so nothing is counted as one; but the next one waits.
            Ended::Failed(
                error @ (LinkError::RateLimited { retry_after } | LinkError::Busy { retry_after }),
            ) => {
                let pause = silence(*retry_after);
                self.quiet_until = Some(now + pause);
                self.next_poll = Window { earliest: now + pause, latest: now + pause.mul_f64(JITTER) };
                self.last_poll = Some(Ended::Failed(error.clone()));
            }
            Ended::Crashed => self.crashed(false, now),
            Ended::Stopped => self.stopped(now),
            Ended::Good | Ended::Failed(_) => {}
        }
    }

    /// Counts a poll, and says how many ticks there may be to the next one.
    fn stride(&mut self, failed: bool, now: Instant) -> u32 {
        self.paced.push_back((now, failed));
        while self.paced.front().is_some_and(|(at, _)| now - *at > PACE) {
            self.paced.pop_front();
        }
        let failures = self.paced.iter().filter(|(_, failed)| *failed).count();
        let share = failures as f64 / self.paced.len().max(5) as f64;
        SLOWER.iter().find(|(least, _)| share >= *least).map_or(1, |(_, stride)| *stride)
    }

    fn failed(&mut self, error: &LinkError, now: Instant) {
        self.stride(true, now);
        self.consecutive += 1;
        self.last_poll = Some(Ended::Failed(error.clone()));
        if let LinkError::Silence { left } | LinkError::LoginBudget { left } = error {
            // Nothing was sent: what is promised counts from when it may be.
            self.healthy_polls = 0;
            self.next_poll = Window { earliest: now + *left, latest: now + *left + STRETCH };
            return;
        }
        let pause = match error {
            LinkError::RateLimited { retry_after } | LinkError::Busy { retry_after } => {
                let silence = silence(*retry_after);
                self.quiet_until = Some(now + silence);
                silence
            }
            LinkError::Refused { .. } => {
                let pause = pause(&REFUSED_PAUSES, self.failures);
                self.refused_until = Some(now + pause);
                pause
            }
            _ => pause(&PAUSES, self.failures),
        };
        self.next_poll = Window { earliest: now + pause, latest: now + pause.mul_f64(JITTER) };
        self.failures += 1;
    }

    /// A new actor asks at once the first time, then after growing pauses. Slow data that kills leaves polls
    /// alone.
    fn crashed(&mut self, was_poll: bool, now: Instant) {
        // The crash is noticed later than it happens, so this is a little less than what is promised.
        let again = self.last_crash.is_some_and(|last| now < last + CRASH_REMEMBERED - 2 * ROUND);
        // What counts is how long the actor ran, which began after a pause.
        let pause_of_restart = pause(&PAUSES, u32::MAX).mul_f64(JITTER) + 2 * ROUND;
        let perhaps = self.last_crash.is_some_and(|last| now < last + CRASH_REMEMBERED + pause_of_restart);
        let (shortest, longest) = match (was_poll, self.consecutive, again) {
            (false, _, _) => (Duration::ZERO, self.interval),
            (true, 0, false) if perhaps => (Duration::ZERO, pause(&PAUSES, u32::MAX)),
            (true, 0, false) => (Duration::ZERO, pause(&PAUSES, 1)),
            (true, failures, _) => (pause(&PAUSES, failures), pause(&PAUSES, u32::MAX)),
        };
        let mut latest = (now + longest.mul_f64(JITTER) + ROUND).max(self.quiet_until.unwrap_or(now));
        if !was_poll {
            // Polls go on as they were due.
            latest = latest.max(self.next_poll.latest);
        }
        self.next_poll = Window { earliest: now + shortest, latest };
        self.consecutive += 1;
        self.paced.clear();
        self.failures = self.consecutive;
        self.healthy_polls = 0;
        // A new link does not know when the energies were asked for last, or when one of two ways wanted a
        // cool-down.
        self.energies_from = None;
        self.quiet_doors = [None; 2];
        self.last_crash = Some(now);
        self.last_poll = Some(Ended::Crashed);
    }

    /// The configuration changed; another actor asks at once, unless the gateway asked for a cool-down.
    pub fn stopped(&mut self, now: Instant) {
        self.healthy_polls = 0;
        self.polling_since = None;
        self.energies_from = None;
        // Nor when one of two ways wanted a cool-down; that of the whole gateway is kept.
        self.quiet_doors = [None; 2];
        self.paced.clear();
        let wants_silence = matches!(
            &self.last_poll,
            Some(Ended::Failed(
                LinkError::RateLimited { .. } | LinkError::Busy { .. } | LinkError::Silence { .. }
            ))
        );
        if wants_silence || self.quiet_until.is_some_and(|until| now < until) {
            self.failures = self.consecutive;
            return;
        }
        (self.failures, self.consecutive) = (0, 0);
        (self.may_be_away, self.is_early, self.early_failures) = (None, false, 0);
        self.refused_until = None;
        self.last_crash = None;
        // A new beginning costs some requests; it is for people to do, and they have better things to do.
        self.recent.clear();
        self.next_poll = Window { earliest: now, latest: now };
        self.last_poll = Some(Ended::Stopped);
    }

    /// Something is wrong now.
    pub fn troubled(&mut self) {
        self.healthy_polls = 0;
    }

    /// Whether the last that is known of the gateway is that it was not there, and nothing speaks against
    /// asking it as soon as it is.
    fn waits_for_return(&self) -> bool {
        let was_away =
            matches!(self.last_poll, Some(Ended::Failed(LinkError::Unreachable(_) | LinkError::Timeout(_))));
        was_away && self.early_failures == 0 && self.polling_since.is_none()
    }

    /// Two ticks after a gateway has returned it is live, but for the time that its poll takes.
    pub fn must_be_back(&self, since: Duration) -> bool {
        since > self.interval * 2 + FIRST_POLL && self.waits_for_return()
    }

    /// Whether two polls have come and gone since something was wrong: everything must be as ever.
    pub fn must_be_fresh(&self) -> bool {
        self.healthy_polls >= 2 + u32::from(self.polling_since.is_some())
    }
}

/// What a link must remember by itself: which units and endpoints are not there.
#[derive(Debug, Default)]
pub struct Parked(Vec<(String, Instant)>);

impl Parked {
    pub fn request(&self, path: &str, now: Instant) -> Result<(), String> {
        match self.0.iter().find(|(parked, until)| parked == path && now < *until) {
            Some((_, until)) => {
                Err(format!("{path} is asked {:?} too early after a 404 or 502", *until - now))
            }
            None => Ok(()),
        }
    }

    /// `asked`: when.
    pub fn answer(&mut self, path: &str, role: Role, error: Option<&LinkError>, asked: Instant) {
        self.0.retain(|(_, until)| asked < *until);
        let not_served =
            matches!(error, Some(LinkError::NotFound(_) | LinkError::Status { status: 502, .. }));
        // The leader of a site with one unit is asked under the gateway's own path.
        let of_customer = role == Role::Customer && matches!(error, Some(LinkError::NotFound(_)));
        if of_customer || role == Role::Components && not_served && path.contains("/device/") {
            self.0.push((path.to_owned(), asked + PARKED));
        }
    }
}
