//! The recorder: follows every gateway, collects what they add, and has it written every ten seconds.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use actix::prelude::*;
use arc_swap::ArcSwap;
use log::warn;
use tokio::time::Instant;

use super::Plan;
use super::books::Books;
use super::look::Look;
use crate::board::Published;
use crate::directory::Directory;
use crate::model::{Snapshot, Telemetry};
use crate::pieces;
use crate::store::StoreError;
use crate::store::history::History;
use crate::store::history::batch::Batch;

/// How often what was collected is written: what a program that is killed loses.
const FLUSH: Duration = Duration::from_secs(10);

/// Follows every gateway.
pub(super) struct Recorder {
    history: History,
    directory: Arc<Directory>,
    plan: Arc<ArcSwap<Plan>>,
    /// What readings are dated from on the monotonic clock.
    origin: Instant,
    /// By id.
    books: HashMap<String, Books>,
    /// Which run this is: random, so that no two have the same.
    run: i64,
    /// Of the last batch.
    number: i64,
    /// The batch that is being written, or could not be; written again until it is known to be in the file.
    batch: Option<Arc<Batch>>,
    /// Whether the file is being asked or written.
    is_writing: bool,
    /// Whether a site is being looked at.
    is_looking: bool,
}

/// Writes everything that was collected.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Finish;

impl Recorder {
    pub fn new(
        history: History,
        directory: Arc<Directory>,
        plan: Arc<ArcSwap<Plan>>,
        origin: Instant,
    ) -> Self {
        Self {
            history,
            directory,
            plan,
            origin,
            books: HashMap::new(),
            run: rand::random(),
            number: 0,
            batch: None,
            is_writing: false,
            is_looking: false,
        }
    }

    /// Takes what is new; says whether the gateway is.
    fn see(&mut self, snapshot: &Snapshot) -> bool {
        if !self.history.is_on() {
            return false;
        }
        let id = &snapshot.gateway.id;
        let interval = self.plan.load().interval(id);
        let is_new = !self.books.contains_key(id);
        let books = self.books.entry(id.clone()).or_default();
        let before = books.collected.samples.len();
        if let Some(rejected) = books.see(snapshot, self.origin, interval) {
            let more = books.collected.samples.len() - before;
            self.history.tally().waiting.fetch_add(more as u64, Ordering::Relaxed);
            self.history.tally().rejections.fetch_add(rejected, Ordering::Relaxed);
        }
        is_new
    }

    /// Looks at one site after the other, those whose turn it is.
    fn look(&mut self, ctx: &mut Context<Self>) {
        if self.is_looking {
            return;
        }
        let keeping = self.history.keeping();
        let (every, is_kept) = (keeping.signal_interval, keeping.signals.is_recorded());
        let now = Instant::now();
        let mut due = self.books.iter_mut().filter(|(_, books)| books.awaits_look());
        let next: Option<(String, (f64, Arc<Telemetry>))> =
            due.find_map(|(id, books)| Some((id.clone(), books.take_unlooked(every, now)?)));
        let Some((id, (at, telemetry))) = next else { return };
        self.is_looking = true;
        let looking = pieces::in_turn(move || telemetry.look(Look::at));
        ctx.spawn(looking.into_actor(self).map(move |look, actor, ctx| {
            actor.is_looking = false;
            // One that cannot be read has no counters.
            if let Some(books) = actor.books.get_mut(&id) {
                books.see_look(at, look.unwrap_or_default(), is_kept);
            }
            actor.look(ctx);
        }));
    }

    /// Asks where a former run ended, for one gateway after the other. What went wrong has been logged, and
    /// is tried again before the next batch.
    fn recall(&mut self, ctx: &mut Context<Self>) {
        if self.is_writing {
            return;
        }
        let Some(id) = self.books.iter().find(|(_, books)| !books.is_open()).map(|(id, _)| id.clone()) else {
            return;
        };
        self.is_writing = true;
        let history = self.history.clone();
        let recalling = async move { (history.recall(&id).await, id) };
        ctx.spawn(recalling.into_actor(self).map(|(recalled, id), actor, ctx| {
            actor.is_writing = false;
            let Ok(recalled) = recalled else { return };
            if let Some(books) = actor.books.get_mut(&id) {
                books.open(recalled);
            }
            actor.recall(ctx);
        }));
    }

    fn round(&mut self, ctx: &mut Context<Self>) {
        self.flush(ctx);
        ctx.run_later(FLUSH, Self::round);
    }

    /// Writes what was collected.
    fn flush(&mut self, ctx: &mut Context<Self>) {
        if self.is_writing {
            return;
        }
        self.forget();
        let Some(batch) = self.next_batch() else { return self.recall(ctx) };
        self.is_writing = true;
        let writing = write(self.history.clone(), batch);
        ctx.spawn(writing.into_actor(self).map(|written, actor, ctx| {
            actor.written(written);
            actor.recall(ctx);
        }));
    }

    /// Those that are no longer configured are forgotten once all of theirs is written.
    fn forget(&mut self) {
        let directory = &self.directory;
        self.books.retain(|id, books| !books.collected.is_empty() || directory.get(id).is_some());
    }

    /// The batch to be written: the last one once more, or what was collected since.
    fn next_batch(&mut self) -> Option<Arc<Batch>> {
        if self.batch.is_none() {
            let now = Instant::now();
            let collected = self.books.iter_mut().filter_map(|(id, books)| {
                books.settle();
                Some((id.clone(), books.take_collected(now)?))
            });
            let added: std::collections::BTreeMap<_, _> = collected.collect();
            if !added.is_empty() {
                self.number += 1;
                self.batch = Some(Arc::new(Batch { run: self.run, number: self.number, added }));
            }
        }
        self.count_waiting();
        self.batch.clone()
    }

    fn written(&mut self, written: Result<(), StoreError>) {
        self.is_writing = false;
        // Any other error has been logged by the store, and the batch is given again.
        if written.is_ok() {
            self.batch = None;
        }
        self.count_waiting();
    }

    /// Counts what waits.
    fn count_waiting(&self) {
        let collected: usize = self.books.values().map(|books| books.collected.samples.len()).sum();
        let waiting = collected + self.batch.as_ref().map_or(0, |batch| batch.samples());
        self.history.tally().waiting.store(waiting as u64, Ordering::Relaxed);
    }
}

async fn write(history: History, batch: Arc<Batch>) -> Result<(), StoreError> {
    let written = history.write(batch).await;
    if let Err(error @ (StoreError::Late | StoreError::Busy | StoreError::Gone)) = &written {
        warn!(event = "history"; "the history waits in memory: {error}");
    }
    written
}

impl Actor for Recorder {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.directory.follow(ctx.address().recipient());
        ctx.run_later(FLUSH, Self::round);
    }
}

impl Handler<Published<Snapshot>> for Recorder {
    type Result = ();

    fn handle(&mut self, Published(snapshot): Published<Snapshot>, ctx: &mut Self::Context) {
        if self.see(&snapshot) {
            self.recall(ctx);
        }
        self.look(ctx);
    }
}

impl Handler<Finish> for Recorder {
    type Result = ResponseActFuture<Self, ()>;

    /// What is being written at this moment is written once more, which does no harm.
    fn handle(&mut self, _: Finish, _: &mut Self::Context) -> Self::Result {
        let unwritten = self.next_batch();
        let history = self.history.clone();
        let writing = async move {
            match unwritten {
                Some(batch) => write(history, batch).await,
                None => Ok(()),
            }
        };
        // What was collected behind a batch that could not be written before.
        Box::pin(writing.into_actor(self).then(|written, actor, _| {
            actor.written(written);
            let rest = actor.batch.is_none().then(|| actor.next_batch()).flatten();
            let history = actor.history.clone();
            let writing = async move {
                if let Some(batch) = rest {
                    let _ = write(history, batch).await;
                }
            };
            writing.into_actor(actor)
        }))
    }
}
