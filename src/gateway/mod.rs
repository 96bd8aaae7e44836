//! The life of one gateway: its connection, poll timer, pauses after failures and last good snapshot.
//!
//! Each [`GatewayActor`] owns everything of one gateway and nothing of another. Nobody reaches into it: it is
//! reached by its [`messages`], and what it knows stands on its [`Board`].

mod absence;
pub mod foresight;
mod guard;
pub mod leases;
pub mod messages;
mod numbers;
pub mod order_book;
pub mod order_log;
pub mod orders;
pub(crate) mod outage;
mod pace;
mod recall;
mod retry;
mod ticks;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use tokio::time::{Instant, timeout};

use crate::board::Board;
use crate::clock::unix_time;
use crate::link::aside::{QUICK, aside};
use crate::link::{Link, LinkError, Refreshed};
use crate::model::{
    Adjustments, Answers, ErrorNote, GatewayFacts, LinkHealth, Numbering, NumberingMemory, Reading, Snapshot,
    Telemetry, Ttl,
};
use crate::pause::{Growth, Pause};
use absence::Absence;
use messages::{GetSnapshot, Stop};
use orders::Desk;
use outage::OutageLog;
use pace::{Pace, longest_stride};
use retry::{Retry, RetrySchedule};
use ticks::Ticks;

/// An actor that dies this soon after the one before it has died of the same: it asks after a pause, and for
/// no slow data. Nor is slow data that killed its reader asked for again before.
const CRASH_REMEMBERED: Duration = Duration::from_secs(600);

/// What an actor needs to know of its gateway.
#[derive(Clone, Debug)]
pub struct GatewayPlan {
    pub facts: Arc<GatewayFacts>,
    /// `PW_CACHE_EXPIRE`, or what the link wants
    pub interval: Duration,
    /// Where in the interval this gateway's ticks lie, so that many gateways are not asked at the same
    /// moment.
    pub phase: Duration,
    /// Limit of one exchange.
    pub timeout: Duration,
    pub ttl: Ttl,
    pub adjustments: Adjustments,
    /// Makes this gateway's pauses its own.
    pub seed: u64,
    /// How long the contactor is left alone after an order moved it; 0: not at all.
    pub islanding_cooldown: Duration,
    /// Where the numbers of its units are kept over restarts; `None`: nowhere.
    pub numbers: Option<PathBuf>,
}

/// Polls one gateway for as long as it lives.
pub struct GatewayActor {
    plan: GatewayPlan,
    /// The way to the gateway; away while an exchange is under way, which makes a second one impossible.
    link: Option<Box<dyn Link>>,
    /// Where the outcome of each exchange is put; outlives this actor.
    board: Arc<Board<Snapshot>>,
    /// What stands on the board, as the base of what will stand there next.
    newest: Snapshot,
    ticks: Ticks,
    retry: RetrySchedule,
    /// How polls went of late: a gateway that fails often is asked less often.
    pace: Pace,
    /// What the log knows of the present outage.
    outage: OutageLog,
    /// Whether it may be away, and when a bare connection is tried.
    absence: Absence,
    /// When the next poll starts; `None`: never again.
    due: Option<Instant>,
    /// Whether slow data may be due; only asked for after a good poll.
    may_refresh: bool,
    /// Slow data is left alone after it killed its reader.
    slow_rest: Pause,
    /// The actor that watched this gateway under other settings; ended before anything is asked.
    predecessor: Option<Addr<Self>>,
    /// The file with the numbers of the units, until it has been read.
    unread: Option<PathBuf>,
    /// The numbers that the file has.
    kept: Arc<Numbering>,
    /// The timer of the next poll.
    timer: Option<SpawnHandle>,
    orders: Desk,
}

impl GatewayActor {
    /// Continues from what stands on `board`: after a crash, that is the last good snapshot.
    pub fn new(plan: GatewayPlan, link: Box<dyn Link>, board: Arc<Board<Snapshot>>) -> Self {
        let newest = Snapshot::clone(&board.read());
        let now = Instant::now();
        let ticks = Ticks::new(now + plan.phase, plan.interval);
        let failed_as = newest.health.last_error.as_ref().map(|error| error.kind);
        Self {
            absence: Absence::continued(plan.seed, failed_as, ticks.next_after(now)),
            ticks,
            retry: RetrySchedule::new(newest.health.consecutive_failures, plan.seed),
            due: newest.health.next_attempt.or(Some(now)),
            outage: OutageLog::default(),
            link: Some(link),
            pace: Pace::default(),
            may_refresh: false,
            slow_rest: Pause::new(Growth::constant(CRASH_REMEMBERED), now),
            predecessor: None,
            unread: plan.numbers.clone(),
            kept: Arc::default(),
            timer: None,
            orders: Desk::default(),
            plan,
            board,
            newest,
        }
    }

    /// Ends `predecessor` first: two actors would ask the gateway at the same time.
    pub fn taking_over_from(self, predecessor: Option<Addr<Self>>) -> Self {
        Self { predecessor, ..self }
    }

    /// The actor that takes over from one that died; `died`: when that was noticed. The first time it asks
    /// again at once, then with growing pauses: an answer that kills the actor must not be asked for every
    /// second. One that died of slow data costs nobody the readings: polls go on, without slow data.
    pub fn after_crash(
        plan: GatewayPlan,
        link: Box<dyn Link>,
        board: Arc<Board<Snapshot>>,
        died: Instant,
    ) -> Self {
        let mut actor = Self::new(plan, link, board);
        let now = Instant::now();
        let health = &mut actor.newest.health;
        let again = health.last_restart.is_some_and(|last| died < last + CRASH_REMEMBERED);
        health.restarts_in_a_row = if again { health.restarts_in_a_row + 1 } else { 0 };
        // It died before the next poll was due, so it was no poll that killed it.
        let next_poll = health.next_attempt.filter(|due| died < *due);
        let due = match (next_poll, health.consecutive_failures.max(health.restarts_in_a_row)) {
            (Some(due), _) => due.max(now),
            (None, 0) => now,
            (None, failures) => RetrySchedule::new(failures, actor.plan.seed).again(died).max(now),
        };
        if again || next_poll.is_some() {
            actor.slow_rest.failed(now);
        }
        health.restarts += 1;
        health.last_restart = Some(now);
        let message = "reading the gateway's answer went wrong in this program; please report it".into();
        health.count_failure(ErrorNote { kind: "crashed", message }, now);
        actor.retry = RetrySchedule::new(health.consecutive_failures, actor.plan.seed);
        let due = due.max(health.cooldown_until.unwrap_or(now));
        health.next_attempt = Some(due);
        actor.due = Some(due);
        actor.publish();
        actor
    }

    /// Does what is due; with nothing due, waits for the next poll.
    fn proceed(&mut self, ctx: &mut Context<Self>) {
        self.keep_numbers(ctx);
        if self.link.is_none() {
            return; // the end of the exchange under way leads back here
        }
        let Some(due) = self.due else { return self.drop_orders() };
        if self.proceed_with_orders(due, ctx) {
            return;
        }
        let now = Instant::now();
        if now >= due {
            self.poll(ctx);
        } else if self.may_refresh && !self.slow_rest.rests(now) {
            self.refresh(ctx);
        } else if let Some(limit) = self.knock_due(due, now) {
            self.knock(limit, ctx);
        } else {
            if let Some(timer) = self.timer.take() {
                ctx.cancel_future(timer);
            }
            let wake = self.orders_wake().map_or(due, |wake| wake.min(due));
            let wake = self.absence.wake(now).map_or(wake, |knock| knock.min(wake));
            let pause = wake.saturating_duration_since(now);
            self.timer = Some(ctx.run_later(pause, |actor, ctx| actor.proceed(ctx)));
        }
    }

    /// Writes the numbers down when somebody has seen a unit for the first time.
    fn keep_numbers(&mut self, ctx: &mut Context<Self>) {
        let known = self.newest.numbering.known();
        if let Some(file) = &self.plan.numbers
            && self.unread.is_none()
            && known != self.kept
        {
            self.kept = known.clone();
            ctx.spawn(numbers::keep(&self.plan.facts.id, file, &known).into_actor(self));
        }
    }

    fn poll(&mut self, ctx: &mut Context<Self>) {
        let Some(mut link) = self.link.take() else { return };
        let limit = link.patience(self.plan.timeout);
        let started = Instant::now();
        // Before anything is shown that has numbers.
        let (adjustments, numbering) = (self.plan.adjustments, self.newest.numbering.clone());
        // A link that has heard nothing new brings what it brought before, of which all may be derived.
        let before = self.newest.reading.as_ref().map(|reading| reading.telemetry.clone());
        let id = || self.plan.facts.id.as_str().into();
        let recall = self.unread.clone().map(|file| numbers::recall(id(), file, numbering.clone()));
        let exchange = async move {
            let kept = match recall {
                Some(recall) => Some(recall.await),
                None => None,
            };
            let outcome = timeout(limit, link.poll()).await.unwrap_or(Err(LinkError::Timeout(limit)));
            let outcome = match outcome {
                Ok(source) => match before.filter(|before| before.is_of(&source, &adjustments)) {
                    Some(before) => Ok(before),
                    None => meaningful(telemetry(source, adjustments, numbering).await),
                },
                Err(error) => Err(error),
            };
            (link, outcome, kept)
        };
        ctx.spawn(exchange.into_actor(self).map(move |(link, outcome, kept), actor, ctx| {
            actor.link = Some(link);
            if let Some(kept) = kept {
                (actor.unread, actor.kept) = (None, kept);
            }
            actor.newest.health.poll_times.record(started.elapsed());
            match outcome {
                Ok(telemetry) => actor.poll_succeeded(telemetry, started),
                Err(error) => actor.poll_failed(&error),
            }
            actor.proceed(ctx);
        }));
    }

    fn refresh(&mut self, ctx: &mut Context<Self>) {
        let Some(mut link) = self.link.take() else { return };
        // A link limits its own exchanges; this one is for a link that forgets to.
        let limit = self.plan.timeout * 2;
        let (adjustments, numbering) = (self.plan.adjustments, self.newest.numbering.clone());
        let exchange = async move {
            let mut refreshed = timeout(limit, link.refresh()).await.unwrap_or_else(|_| Refreshed {
                problem: Some(LinkError::Timeout(limit)),
                ..Refreshed::default()
            });
            let fetched = match refreshed.source.take() {
                Some(source) => Some(telemetry(source, adjustments, numbering).await),
                None => None,
            };
            (link, refreshed, fetched)
        };
        ctx.spawn(exchange.into_actor(self).map(|(link, refreshed, fetched), actor, ctx| {
            actor.link = Some(link);
            actor.refresh_finished(refreshed, fetched);
            actor.proceed(ctx);
        }));
    }

    fn poll_succeeded(&mut self, telemetry: Arc<Telemetry>, started: Instant) {
        let now = Instant::now();
        self.pace.note(false, now);
        let due = self.ticks.after(now, self.stride());
        let health = &mut self.newest.health;
        self.outage.succeeded(&self.plan.facts.id, health, now - started, now);
        self.retry.reset(now);
        self.absence.poll_succeeded(now);
        health.polls += 1;
        health.consecutive_failures = 0;
        health.failing_since = None;
        health.last_error = None;
        health.last_attempt = Some(now);
        health.latency = Some(now - started);
        health.next_attempt = Some(due);
        health.cooldown_until = None;
        self.due = Some(due);
        self.may_refresh = true;
        self.orders.has_answered = true;
        self.orders.book.polled();
        self.show_orders(&telemetry, started);
        let age = telemetry.answers().age();
        let taken = now.checked_sub(age).unwrap_or(now);
        self.newest.reading = Some(Reading { telemetry, taken, taken_at: unix_time() - age.as_secs_f64() });
        self.note_link(None);
        self.publish();
    }

    /// How many ticks there are to the next poll after a good one.
    fn stride(&self) -> u32 {
        let plan = &self.plan;
        self.pace.stride(longest_stride(plan.interval, plan.timeout, plan.ttl.stale))
    }

    fn poll_failed(&mut self, error: &LinkError) {
        let now = Instant::now();
        self.pace.note(true, now);
        let retry = self.retry.after(error, now);
        self.absence.poll_failed(error, &self.ticks, now);
        let due = match retry {
            Retry::At(due) | Retry::CoolDown(due) => Some(due),
            Retry::Never => None,
        };
        let note = ErrorNote { kind: error.kind(), message: error.to_string() };
        let health = &mut self.newest.health;
        health.polls += 1;
        health.count_failure(note.clone(), now);
        self.outage.failed(&self.plan.facts.id, health, error, now);
        health.last_attempt = Some(now);
        health.next_attempt = due;
        health.cooldown_until = due.filter(|_| matches!(retry, Retry::CoolDown(_)));
        self.due = due;
        self.may_refresh = false;
        // A budget that is used up by readings says nothing against the gateway.
        self.orders.has_answered &= error.leaves_room_for_orders();
        self.note_link(Some(note));
        self.publish();
    }

    /// A failed refresh costs nobody the readings, but a gateway that asks for a cool-down gets it.
    fn refresh_finished(&mut self, refreshed: Refreshed, telemetry: Option<Arc<Telemetry>>) {
        self.may_refresh = refreshed.more && refreshed.problem.is_none();
        let fetched = telemetry.is_some();
        if let (Some(telemetry), Some(reading)) = (telemetry, &mut self.newest.reading) {
            reading.telemetry = telemetry;
        }
        match refreshed.problem {
            Some(error @ (LinkError::RateLimited { .. } | LinkError::Busy { .. })) => {
                self.cool_down(&error);
            }
            Some(error) => {
                self.note_link(Some(ErrorNote { kind: error.kind(), message: error.to_string() }));
                self.publish();
            }
            None if fetched => {
                self.note_link(None);
                self.publish();
            }
            None => {}
        }
    }

    /// Slow data was answered with a cool-down. No poll was made, so none is counted; but none is made before
    /// the cool-down is over either, and what was read before ages meanwhile.
    fn cool_down(&mut self, error: &LinkError) {
        let now = Instant::now();
        let until = self.retry.cool_down(error, now);
        let note = ErrorNote { kind: error.kind(), message: error.to_string() };
        let health = &mut self.newest.health;
        health.last_error = Some(note.clone());
        health.next_attempt = Some(until);
        health.cooldown_until = Some(until);
        self.outage.cools_down(&self.plan.facts.id, error, until - now, now);
        self.due = Some(until);
        self.may_refresh = false;
        self.note_link(Some(note));
        self.publish();
    }

    /// Keeps the record of the link: its last success and its last error. One that stands for several keeps
    /// its own.
    fn note_link(&mut self, error: Option<ErrorNote>) {
        self.note_capabilities();
        let Some(link) = &self.link else { return };
        let links = &mut self.newest.health.links;
        if let Some(several) = link.links() {
            *links = several;
            return;
        }
        let last_success = match error {
            None => Some(Instant::now()),
            Some(_) => links.first().and_then(|health| health.last_success),
        };
        let failures = self.newest.health.consecutive_failures;
        self.newest.health.links = vec![LinkHealth {
            kind: link.kind(),
            in_use: true,
            why: link.remark().unwrap_or_else(|| "the only way that is configured".into()),
            last_success,
            last_error: error,
            failures,
            next_try: None,
        }];
    }

    fn publish(&mut self) {
        self.newest.health.leases = self.orders.book.leases(|leases| leases.shown()).into();
        self.newest.health.pending = self.orders.book.pending().into();
        self.newest.sequence += 1;
        self.board.publish(Arc::new(self.newest.clone()));
    }
}

/// The telemetry of what a link brought home. Of a small site it is made at once, and what is shown of it is
/// rendered when somebody asks. Of a large one everything is made elsewhere before anybody sees it, so that
/// no HTTP worker, nor the thread of all gateways, is held up by one of them.
async fn telemetry(
    source: Arc<dyn Answers>,
    adjustments: Adjustments,
    numbering: Arc<NumberingMemory>,
) -> Arc<Telemetry> {
    let size = source.size();
    aside(size, move || {
        let telemetry = Telemetry::remembering(source, adjustments, numbering);
        if size > QUICK {
            telemetry.render_all();
        }
        telemetry
    })
    .await
}

/// An answer without a single power reading does not count.
fn meaningful(telemetry: Arc<Telemetry>) -> Result<Arc<Telemetry>, LinkError> {
    if telemetry.is_meaningful() {
        return Ok(telemetry);
    }
    Err(LinkError::Malformed {
        what: "the status query".into(),
        why: "no meter reports any power; the gateway may be starting".into(),
    })
}

impl Actor for GatewayActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let Some(predecessor) = self.predecessor.take() else {
            self.open_orders(ctx);
            return self.proceed(ctx);
        };
        ctx.spawn(predecessor.send(Stop).into_actor(self).map(|_, actor, ctx| {
            // Its last exchange may have ended in the meantime; what it published is of settings that are
            // gone.
            let last = actor.board.glance().sequence;
            if last != actor.newest.sequence {
                actor.newest.sequence = last;
                actor.publish();
            }
            actor.open_orders(ctx);
            actor.proceed(ctx);
        }));
    }
}

impl Handler<GetSnapshot> for GatewayActor {
    type Result = Arc<Snapshot>;

    fn handle(&mut self, _: GetSnapshot, _: &mut Self::Context) -> Self::Result {
        self.board.read()
    }
}

impl Handler<Stop> for GatewayActor {
    type Result = ();

    fn handle(&mut self, _: Stop, ctx: &mut Self::Context) {
        self.close_orders();
        ctx.stop();
    }
}

#[cfg(test)]
mod tests;
