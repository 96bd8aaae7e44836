//! The only place where sites are summed: hears of every gateway, publishes the sum when it changes.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use tokio::time::Instant;

use crate::board::Published;
use crate::directory::Directory;
use crate::model::{Aggregate, Snapshot};

/// Sums lie at least this far apart, however many gateways publish.
const GATHER: Duration = Duration::from_millis(100);
/// Data expires without anybody publishing anything.
const EXPIRY_CHECK: Duration = Duration::from_secs(1);

pub struct Aggregator {
    directory: Arc<Directory>,
    /// When it was summed last; `None` before the first time.
    summed: Option<Instant>,
    /// When the next sum is due; pulled forward by a publication.
    due: Instant,
    /// The timer of the next sum.
    timer: Option<SpawnHandle>,
}

impl Aggregator {
    pub fn new(directory: Arc<Directory>) -> Self {
        Self { directory, summed: None, due: Instant::now(), timer: None }
    }

    fn sum_at(&mut self, due: Instant, ctx: &mut Context<Self>) {
        if let Some(timer) = self.timer.take() {
            ctx.cancel_future(timer);
        }
        self.due = due;
        let pause = due.saturating_duration_since(Instant::now());
        self.timer = Some(ctx.run_later(pause, Self::sum));
    }

    fn sum(&mut self, ctx: &mut Context<Self>) {
        let now = Instant::now();
        let sum = Aggregate::of(&self.directory.snapshots(), now);
        let board = &self.directory.aggregate;
        if **board.glance() != sum {
            board.publish(Arc::new(sum));
        }
        self.summed = Some(now);
        self.sum_at(now + EXPIRY_CHECK, ctx);
    }
}

impl Actor for Aggregator {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.directory.follow(ctx.address().recipient());
        self.sum(ctx);
    }
}

impl Handler<Published<Snapshot>> for Aggregator {
    type Result = ();

    /// The message only says that something changed; the boards say what.
    fn handle(&mut self, _: Published<Snapshot>, ctx: &mut Self::Context) {
        let soon = self.summed.map_or_else(Instant::now, |summed| summed + GATHER);
        if soon < self.due {
            self.sum_at(soon, ctx);
        }
    }
}
