//! Sends what is recorded to another database: decides what and when; how far that is stands in the store, so
//! that what was missed while the other one was away is sent later. Nothing waits for it.

#[cfg(feature = "broker")]
mod arriving;
mod lines;
#[cfg(feature = "broker")]
mod passing;
mod sending;
mod target;

use actix::prelude::*;
use futures_util::future::{LocalBoxFuture, ready};
use log::info;
use tokio::sync::watch;

use crate::output::{Output, Surroundings, renew, with_newest};
use crate::pause::Pause;
use crate::settings::{ExportSettings, Settings};
use crate::store::history::History;
use crate::supervise::{self, Kept, Name};
use target::Web;

/// The output.
struct Exporting {
    /// Where to; `None`: nowhere. Changed by a reload.
    settings: watch::Sender<Option<ExportSettings>>,
    _kept: Option<Kept>,
    #[cfg(feature = "broker")]
    passing: passing::Passed,
}

/// Starts the output.
pub fn start(settings: &Settings, surroundings: &Surroundings) -> Box<dyn Output> {
    let Surroundings { history, seed, .. } = surroundings;
    let (changed, current) = watch::channel(settings.export.clone());
    let kept = history.path().map(|_| {
        let (history, seed) = (history.clone(), *seed);
        let start = move |_| Exporter { history: history.clone(), settings: current.clone(), seed }.start();
        supervise::keep(Name::Part("the exporter"), Pause::back_off(seed), start)
    });
    Box::new(Exporting {
        settings: changed,
        _kept: kept,
        #[cfg(feature = "broker")]
        passing: passing::Passed::start(settings, surroundings),
    })
}

impl Output for Exporting {
    fn apply<'a>(&'a self, settings: &'a Settings) -> LocalBoxFuture<'a, ()> {
        renew(&self.settings, settings.export.clone());
        #[cfg(feature = "broker")]
        self.passing.apply(settings);
        Box::pin(ready(()))
    }

    /// What has not been sent is in the store.
    fn stop(&self) -> LocalBoxFuture<'_, ()> {
        self.settings.send_replace(None);
        Box::pin(ready(()))
    }
}

/// Keeps sending.
struct Exporter {
    history: History,
    settings: watch::Receiver<Option<ExportSettings>>,
    /// Makes pauses differ between runs.
    seed: u64,
}

impl Actor for Exporter {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let (history, seed) = (self.history.clone(), self.seed);
        let sending = with_newest(self.settings.clone(), async move |current| match &current {
            Some(current) => {
                info!(event = "export"; "what is recorded is sent to {}", current.name());
                sending::send(current, &history, Web::of(current), seed).await;
            }
            None => std::future::pending().await,
        });
        ctx.spawn(sending.into_actor(self));
    }
}
