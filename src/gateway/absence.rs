//! While a gateway does not answer: a bare connection at every tick, and a poll at once when one is accepted.
//!
//! Pauses protect a gateway that answers. A machine that is not there needs none, and is wanted back soon.
//! What it means that a poll failed, and every other pause, is the business of [`super::retry`].

use std::time::Duration;

use actix::prelude::*;
use tokio::time::{Instant, timeout};

use super::GatewayActor;
use super::ticks::Ticks;
use crate::link::LinkError;
use crate::link::knock::Knock;
use crate::pause::Pause;

/// A poll that is due sooner than this finds out as much.
const SHORTEST: Duration = Duration::from_millis(200);
/// Of an interval: a connection has failed before the next tick.
const SHARE: f64 = 0.8;

/// Whether a gateway may be away, and since when it may be back.
#[derive(Debug)]
pub(super) struct Absence {
    /// When the next bare connection is tried; `None`: there is no reason to.
    due: Option<Instant>,
    /// Whether an accepted one is news. It is none after a poll that failed although one had been accepted:
    /// the machine is there, and the pauses hold until a connection fails again.
    is_news: bool,
    /// Whether the poll under way was brought forward.
    is_early: bool,
    /// Polls that were brought forward and failed are not repeated without a pause: an address that takes
    /// connections by turns is no gateway that returns.
    early: Pause,
}

impl Absence {
    pub fn new(seed: u64) -> Self {
        Self { due: None, is_news: true, is_early: false, early: Pause::back_off(seed) }
    }

    /// As `new`, for a gateway whose last poll failed with an error of this kind.
    pub fn continued(seed: u64, kind: Option<&str>, tick: Instant) -> Self {
        let may_be_away = matches!(kind, Some("unreachable" | "timeout"));
        Self { due: may_be_away.then_some(tick), ..Self::new(seed) }
    }

    pub fn poll_succeeded(&mut self, now: Instant) {
        (self.due, self.is_news, self.is_early) = (None, true, false);
        self.early.succeeded(now);
    }

    pub fn poll_failed(&mut self, error: &LinkError, ticks: &Ticks, now: Instant) {
        if std::mem::take(&mut self.is_early) {
            self.is_news = false;
            self.early.failed(now);
        }
        let may_be_away = matches!(error, LinkError::Unreachable(_) | LinkError::Timeout(_));
        self.due = may_be_away.then(|| ticks.next_after(now));
    }

    /// When the next one is tried, if that lies ahead.
    pub fn wake(&self, now: Instant) -> Option<Instant> {
        self.due.filter(|due| *due > now)
    }

    /// How long a bare connection may take, if one is due: it ends before the next tick, and before the poll
    /// that is due at `poll`.
    fn limit(&self, poll: Instant, most: Duration, interval: Duration, now: Instant) -> Option<Duration> {
        self.due.filter(|due| *due <= now)?;
        let left = poll.saturating_duration_since(now);
        (left > SHORTEST).then(|| left.min(most).min(interval.mul_f64(SHARE)))
    }

    /// Whether to poll at once.
    fn tried(&mut self, knock: Knock, ticks: &Ticks, now: Instant) -> bool {
        let next = Some(ticks.next_after(now));
        match knock {
            Knock::Untried => self.due = None,
            Knock::Nobody => (self.due, self.is_news) = (next, true),
            Knock::Accepted if !self.is_news => self.due = None,
            Knock::Accepted if self.early.rests(now) => self.due = next,
            Knock::Accepted => (self.due, self.is_early) = (None, true),
        }
        self.is_early
    }
}

impl GatewayActor {
    /// How long a bare connection may take, if one is due before the poll at `poll`.
    pub(super) fn knock_due(&self, poll: Instant, now: Instant) -> Option<Duration> {
        self.absence.limit(poll, self.plan.timeout, self.plan.interval, now)
    }

    /// Tries a bare connection.
    pub(super) fn knock(&mut self, limit: Duration, ctx: &mut Context<Self>) {
        let Some(mut link) = self.link.take() else { return };
        let exchange = async move {
            let knock = timeout(limit, link.knock(limit)).await.unwrap_or(Knock::Nobody);
            (link, knock)
        };
        ctx.spawn(exchange.into_actor(self).map(|(link, knock), actor, ctx| {
            actor.link = Some(link);
            actor.knocked(knock);
            actor.proceed(ctx);
        }));
    }

    fn knocked(&mut self, knock: Knock) {
        let now = Instant::now();
        if self.absence.tried(knock, &self.ticks, now) {
            let id = self.plan.facts.id.as_str();
            log::debug!(
                gateway = id, event = "connection_accepted"; "gateway {id}: takes connections again"
            );
            self.due = Some(now);
            self.newest.health.next_attempt = Some(now);
        }
        if knock != Knock::Untried {
            self.newest.health.bare_connections += 1;
            self.publish();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn away() -> LinkError {
        LinkError::Unreachable("no route".into())
    }

    fn bench() -> (Absence, Ticks, Instant) {
        let now = Instant::now();
        (Absence::new(1), Ticks::new(now, 5 * SECOND), now)
    }

    #[test]
    fn a_connection_is_tried_at_every_tick_until_one_is_accepted() {
        let (mut absence, ticks, start) = bench();
        let limit = |absence: &Absence, now| absence.limit(start + 90 * SECOND, 5 * SECOND, 5 * SECOND, now);
        assert_eq!(limit(&absence, start), None, "it has answered");
        absence.poll_failed(&away(), &ticks, start + SECOND);
        assert_eq!(absence.wake(start + SECOND), Some(start + 5 * SECOND));
        for tick in 1..10 {
            let now = start + tick * 5 * SECOND;
            assert_eq!(limit(&absence, now), Some(4 * SECOND));
            assert!(!absence.tried(Knock::Nobody, &ticks, now + 4 * SECOND));
        }
        assert!(absence.tried(Knock::Accepted, &ticks, start + 50 * SECOND));
        assert_eq!(absence.wake(start + 50 * SECOND), None);
    }

    #[test]
    fn a_machine_that_is_there_keeps_its_pauses() {
        let (mut absence, ticks, start) = bench();
        for error in [
            LinkError::Refused { status: 401, hint: String::new() },
            LinkError::Busy { retry_after: None },
            LinkError::Status { status: 500, what: String::new() },
            LinkError::Malformed { what: String::new(), why: String::new() },
        ] {
            absence.poll_failed(&error, &ticks, start);
            assert_eq!(absence.wake(start), None, "{error}");
        }
        // It takes connections and answers nothing: one poll is brought forward, and no other.
        absence.poll_failed(&away(), &ticks, start);
        assert!(absence.tried(Knock::Accepted, &ticks, start + 5 * SECOND));
        absence.poll_failed(&away(), &ticks, start + 6 * SECOND);
        assert!(!absence.tried(Knock::Accepted, &ticks, start + 10 * SECOND));
        assert_eq!(absence.wake(start + 10 * SECOND), None);
        absence.poll_failed(&away(), &ticks, start + 20 * SECOND);
        assert!(!absence.tried(Knock::Nobody, &ticks, start + 25 * SECOND));
        assert!(absence.tried(Knock::Accepted, &ticks, start + 30 * SECOND), "it went, and came back");
    }

    #[test]
    fn an_address_that_takes_connections_by_turns_is_polled_less_and_less() {
        let (mut absence, ticks, start) = bench();
        let mut early = 0;
        for tick in 1..=360 {
            let now = start + tick * 5 * SECOND;
            let knock = if tick % 2 == 0 { Knock::Nobody } else { Knock::Accepted };
            if absence.tried(knock, &ticks, now) {
                early += 1;
                absence.poll_failed(&away(), &ticks, now);
            }
        }
        assert!((14..=24).contains(&early), "{early} polls in half an hour");
    }

    #[test]
    fn there_is_no_connection_just_before_a_poll_and_none_outlasts_it() {
        let (mut absence, ticks, start) = bench();
        absence.poll_failed(&away(), &ticks, start);
        let now = start + 5 * SECOND;
        let limit = |left| absence.limit(now + left, 5 * SECOND, 5 * SECOND, now);
        assert_eq!(limit(SHORTEST), None);
        assert_eq!(limit(SECOND), Some(SECOND));
    }
}
