//! How a gateway is treated: one exchange at a time, pauses kept, silence when it asks for silence, never too much.
//!
//! The figures are those of the table in `docs/architecture.md`, written down again on purpose.

use std::collections::VecDeque;
use std::time::Duration;

use powerwall_server::link::LinkError;
use powerwall_server::simulator::Role;
use tokio::time::Instant;

use crate::options::SECOND;

const PAUSES: [u32; 5] = [5, 10, 30, 60, 120];
const REFUSED_PAUSES: [u32; 3] = [60, 120, 300];
const SILENCE: Duration = Duration::from_secs(300);
const LONGEST_SILENCE: Duration = Duration::from_secs(3600);
const JITTER: f64 = 1.2;
/// A dead actor is missed after at most this long.
const ROUND: Duration = SECOND;
/// A first poll may take so many exchanges.
pub const EXCHANGES: u32 = 3;
/// Timers have a grain of a millisecond; some are armed one after the other.
pub const GRAIN: Duration = Duration::from_millis(20);
/// Beside polls, in any minute: the slow questions and the repetitions after failures.
const EXTRA_REQUESTS: usize = 14;
/// A unit that is not served is left alone for this long.
const PARKED: Duration = Duration::from_secs(600);

/// A death within this after the last one is one too many.
const CRASH_REMEMBERED: Duration = Duration::from_secs(600);

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
    in_flight: u32,
    /// Nobody may ask before, whatever happens in this program.
    quiet_until: Option<Instant>,
    /// After refused credentials.
    refused_until: Option<Instant>,
    /// Starts of the requests of the last minute.
    recent: VecDeque<Instant>,
    /// Failures in a row.
    pub failures: u32,
    polling_since: Option<Instant>,
    next_poll: Window,
    pub last_poll: Option<Ended>,
    last_crash: Option<Instant>,
    /// A gateway that fails often is asked less often for a while.
    last_failure: Option<Instant>,
    /// Polls that began since anything was last wrong.
    healthy_polls: u32,
}

/// How long after a failure polls may be fewer …
const SLOW_AFTER_FAILURE: Duration = Duration::from_secs(301);
/// … and how many ticks there are between two of them at most.
const SLOWEST: u32 = 4;

fn pause(pauses: &[u32], failures: u32) -> Duration {
    SECOND * pauses[(failures as usize).min(pauses.len() - 1)]
}

fn silence(retry_after: Option<Duration>) -> Duration {
    retry_after.unwrap_or(SILENCE).clamp(SILENCE, LONGEST_SILENCE)
}

impl Conduct {
    pub fn new(interval: Duration, now: Instant) -> Self {
        Self {
            interval,
            in_flight: 0,
            quiet_until: None,
            refused_until: None,
            recent: VecDeque::new(),
            failures: 0,
            polling_since: None,
            next_poll: Window { earliest: now, latest: now + GRAIN },
            last_poll: None,
            last_crash: None,
            last_failure: None,
            healthy_polls: 0,
        }
    }

    pub fn request_begins(&mut self, role: Role, now: Instant) -> Result<(), String> {
        self.in_flight += 1;
        if self.in_flight > 1 {
            return Err(format!("{} exchanges are in flight at the same time", self.in_flight));
        }
        if let Some(quiet_until) = self.quiet_until.filter(|until| now < *until) {
            let early = quiet_until - now;
            return Err(format!(
                "{role:?} is asked {early:?} before the silence is over that the gateway asked for"
            ));
        }
        if let Some(refused_until) = self.refused_until.filter(|until| now < *until) {
            let early = refused_until - now;
            return Err(format!(
                "{role:?} is asked {early:?} before the pause after refused credentials is over"
            ));
        }
        while self.recent.front().is_some_and(|at| now - *at > 60 * SECOND) {
            self.recent.pop_front();
        }
        self.recent.push_back(now);
        let polls = (60.0 / self.interval.as_secs_f64().min(60.0)).ceil() as usize;
        match self.recent.len() > polls + EXTRA_REQUESTS {
            true => Err(format!("{} requests within a minute", self.recent.len())),
            false => Ok(()),
        }
    }

    /// `outcome` is `None` if the client went away.
    pub fn request_ends(&mut self, role: Role, outcome: Option<&LinkError>, now: Instant) {
        self.in_flight -= 1;
        match outcome {
            Some(LinkError::RateLimited { retry_after } | LinkError::Busy { retry_after }) => {
                self.quiet_until = Some(now + silence(*retry_after));
            }
            // Slow data that is refused costs nobody the readings; a poll that is refused speaks for the gateway.
            Some(LinkError::Refused { .. }) if is_of_poll(role) => {
                self.refused_until = Some(now + pause(&REFUSED_PAUSES, self.failures));
            }
            _ => {}
        }
    }

    pub fn poll_begins(&mut self, now: Instant) -> Result<(), String> {
        self.polling_since = Some(now);
        self.healthy_polls += 1;
        let earliest = self.next_poll.earliest;
        if now + GRAIN < earliest {
            return Err(format!("a poll starts {:?} before its time", earliest - now));
        }
        self.is_overdue(now).map_or(Ok(()), |late| Err(format!("a poll starts {late:?} late")))
    }

    /// How much later than allowed the next poll is, should it start now. `latest` is meaningless during a poll.
    fn is_overdue(&self, now: Instant) -> Option<Duration> {
        now.checked_duration_since(self.next_poll.latest + GRAIN).filter(|late| !late.is_zero())
    }

    /// Somebody has been waiting for too long.
    pub fn check(&self, timeout: Duration, now: Instant) -> Result<(), String> {
        match self.polling_since {
            Some(since) if now > since + timeout * EXCHANGES + GRAIN => {
                Err(format!("a poll has been under way for {:?}", now - since))
            }
            None => self.is_overdue(now).map_or(Ok(()), |late| Err(format!("a poll is {late:?} late"))),
            Some(_) => Ok(()),
        }
    }

    pub fn poll_ends(&mut self, ended: Ended, timeout: Duration, now: Instant) {
        self.polling_since = None;
        match &ended {
            Ended::Good => {
                self.last_poll = Some(Ended::Good);
                self.failures = 0;
                // The slow questions come after a poll, one exchange at a time.
                let is_recent = |at: Instant| now - at <= SLOW_AFTER_FAILURE;
                let ticks = if self.last_failure.is_some_and(is_recent) { SLOWEST } else { 1 };
                let latest = now + self.interval * ticks + timeout * 2;
                self.next_poll = Window { earliest: now, latest };
            }
            Ended::Failed(error) => self.failed(error, now),
            Ended::Crashed => self.crashed(true, now),
            Ended::Stopped => self.stopped(now),
        }
    }

    pub fn refresh_ends(&mut self, ended: &Ended, now: Instant) {
        match ended {
            Ended::Failed(error @ (LinkError::RateLimited { .. } | LinkError::Busy { .. })) => {
                self.failed(error, now);
            }
            Ended::Crashed => self.crashed(false, now),
            Ended::Stopped => self.stopped(now),
            Ended::Good | Ended::Failed(_) => {}
        }
    }

    fn failed(&mut self, error: &LinkError, now: Instant) {
        let pause = match error {
            LinkError::RateLimited { retry_after } | LinkError::Busy { retry_after } => silence(*retry_after),
            LinkError::Refused { .. } => pause(&REFUSED_PAUSES, self.failures),
            _ => pause(&PAUSES, self.failures),
        };
        self.next_poll = Window { earliest: now + pause, latest: now + pause.mul_f64(JITTER) };
        self.failures += 1;
        self.last_failure = Some(now);
        self.last_poll = Some(Ended::Failed(error.clone()));
    }

    /// A new actor asks at once the first time, then after growing pauses. Slow data that kills leaves polls alone.
    fn crashed(&mut self, was_poll: bool, now: Instant) {
        // The crash is noticed later than it happens, so this is a little less than what is promised.
        let again = self.last_crash.is_some_and(|last| now < last + CRASH_REMEMBERED - 2 * ROUND);
        let (shortest, longest) = match (was_poll, self.failures, again) {
            (false, _, _) => (Duration::ZERO, self.interval),
            (true, 0, false) => (Duration::ZERO, pause(&PAUSES, 1)),
            (true, failures, _) => (pause(&PAUSES, failures), pause(&PAUSES, u32::MAX)),
        };
        let latest = (now + longest.mul_f64(JITTER) + ROUND).max(self.quiet_until.unwrap_or(now));
        self.next_poll = Window { earliest: now + shortest, latest };
        self.failures += 1;
        self.healthy_polls = 0;
        self.last_crash = Some(now);
        self.last_poll = Some(Ended::Crashed);
    }

    /// The configuration changed; another actor asks at once, unless the gateway asked for silence.
    pub fn stopped(&mut self, now: Instant) {
        self.healthy_polls = 0;
        self.polling_since = None;
        if let Some(Ended::Failed(LinkError::RateLimited { .. } | LinkError::Busy { .. })) = self.last_poll {
            return;
        }
        self.failures = 0;
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

    /// Whether two polls have come and gone since something was wrong: everything must be as ever.
    pub fn must_be_fresh(&self) -> bool {
        self.healthy_polls >= 2 + u32::from(self.polling_since.is_some())
    }
}

fn is_of_poll(role: Role) -> bool {
    matches!(role, Role::Din | Role::Status | Role::Controller)
}

/// What a link must remember by itself: which units are not served.
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
        if role == Role::Components && not_served && path.contains("/device/") {
            self.0.push((path.to_owned(), asked + PARKED));
        }
    }
}
