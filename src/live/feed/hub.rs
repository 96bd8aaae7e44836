//! The writer of the feed: hears of every publication, renders on the blocking pool what changed, and writes
//! the journal.
//!
//! It looks again each second, because data expires without anybody saying so.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use bytes::Bytes;
use log::error;
use serde_json::json;
use tokio::time::Instant;

use super::Feed;
use super::journal::Section;
use super::sections::{Boards, Sections, bytes};
use crate::board::Published;
use crate::directory::Directory;
use crate::model::{Aggregate, Snapshot};
use crate::pause::Pause;
use crate::supervise::{self, Kept, Name};

/// After a publication, others that belong to it (the sum) have this long to join the same change.
const GATHER: Duration = Duration::from_millis(20);
/// Changes lie at least this far apart, however many gateways publish.
const PACE: Duration = Duration::from_millis(100);
/// How often it looks without being asked.
const ROUND: Duration = Duration::from_secs(1);
/// Silence is ended by a beat after this long; with a round that is not over, 5 s are never exceeded.
const QUIET: Duration = Duration::from_millis(3500);

/// Somebody listens.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) struct Wake;

/// Keeps a hub running. `seed` makes the pauses between restarts differ between runs.
pub fn keep(feed: Arc<Feed>, directory: Arc<Directory>, seed: u64) -> Kept {
    let start = move |_| {
        let hub = Hub::new(feed.clone(), directory.clone()).start();
        feed.hub.store(Some(Arc::new(hub.clone().recipient())));
        hub
    };
    supervise::keep(Name::Part("the live feed"), Pause::back_off(seed), start)
}

struct Hub {
    feed: Arc<Feed>,
    directory: Arc<Directory>,
    /// `None` while a rendering is under way, which has them.
    sections: Option<Sections>,
    /// Something changed while a rendering was under way.
    is_behind: bool,
    /// When the last rendering began.
    looked: Instant,
    /// When the last message went out.
    spoke: Instant,
    /// When the next rendering is due; pulled forward by a publication.
    due: Instant,
    /// The timer of the next rendering.
    timer: Option<SpawnHandle>,
    /// The `service` section.
    service: Bytes,
}

impl Hub {
    fn new(feed: Arc<Feed>, directory: Arc<Directory>) -> Self {
        let now = Instant::now();
        let mut service = json!({
            "version": env!("CARGO_PKG_VERSION"), "started_at": feed.started_at, "epoch": feed.epoch(),
        });
        if let Some(clock) = feed.demo {
            service["demo"] = json!({ "hour": clock.hour, "speed": clock.speed });
        }
        Self {
            feed,
            directory,
            sections: Some(Sections::new()),
            is_behind: false,
            looked: now,
            spoke: now,
            due: now,
            timer: None,
            service: bytes(&service),
        }
    }

    fn look_at(&mut self, due: Instant, ctx: &mut Context<Self>) {
        if let Some(timer) = self.timer.take() {
            ctx.cancel_future(timer);
        }
        self.due = due;
        let pause = due.saturating_duration_since(Instant::now());
        self.timer = Some(ctx.run_later(pause, Self::look));
    }

    /// Something changed.
    fn look_soon(&mut self, ctx: &mut Context<Self>) {
        let soon = (Instant::now() + GATHER).max(self.looked + PACE);
        if soon < self.due {
            self.look_at(soon, ctx);
        }
    }

    fn look(&mut self, ctx: &mut Context<Self>) {
        let now = Instant::now();
        self.look_at(now + ROUND, ctx);
        if !self.feed.is_wanted() {
            if self.feed.fall_asleep() && self.sections.is_some() {
                self.sections = Some(Sections::new());
            }
            return;
        }
        // One rendering at a time; the one under way is followed by another.
        let Some(mut sections) = self.sections.take() else {
            self.is_behind = true;
            return;
        };
        self.looked = now;
        let boards = Boards {
            snapshots: self.directory.snapshots(),
            sum: self.directory.aggregate.read(),
            service: self.service.clone(),
        };
        let rendering = tokio::task::spawn_blocking(move || {
            let rendered = sections.render(&boards);
            (sections, rendered)
        });
        ctx.spawn(rendering.into_actor(self).map(|outcome, hub, ctx| {
            match outcome {
                Ok((sections, rendered)) => {
                    hub.sections = Some(sections);
                    hub.write(rendered);
                }
                Err(problem) => {
                    error!("the live feed could not be rendered: {problem}");
                    hub.sections = Some(Sections::new());
                }
            }
            if std::mem::take(&mut hub.is_behind) {
                hub.look_soon(ctx);
            }
        }));
    }

    fn write(&mut self, rendered: Vec<Section>) {
        let now = Instant::now();
        if self.feed.publish(rendered) {
            self.spoke = now;
        } else if now.saturating_duration_since(self.spoke) >= QUIET {
            self.feed.beat();
            self.spoke = now;
        }
    }
}

impl Actor for Hub {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.directory.follow(ctx.address().recipient());
        self.directory.aggregate.subscribe(ctx.address().recipient());
        self.look(ctx);
    }
}

impl Handler<Published<Snapshot>> for Hub {
    type Result = ();

    /// The message only says that something changed; the boards say what.
    fn handle(&mut self, _: Published<Snapshot>, ctx: &mut Self::Context) {
        self.look_soon(ctx);
    }
}

impl Handler<Published<Aggregate>> for Hub {
    type Result = ();

    fn handle(&mut self, _: Published<Aggregate>, ctx: &mut Self::Context) {
        self.look_soon(ctx);
    }
}

impl Handler<Wake> for Hub {
    type Result = ();

    fn handle(&mut self, _: Wake, ctx: &mut Self::Context) {
        self.look(ctx);
    }
}
