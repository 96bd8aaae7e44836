//! Sends what is recorded to another database: decides what and when; how far that is stands in the store, so
//! that what was missed while the other one was away is sent later. Nothing waits for it.

#[cfg(feature = "broker")]
mod arriving;
mod lines;
#[cfg(feature = "broker")]
mod passing;
mod sending;
mod target;

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use futures_util::future::{LocalBoxFuture, ready};
use log::info;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::directory::Directory;
use crate::output::{Output, Surroundings, renew, with_newest};
use crate::pause::Pause;
use crate::settings::{ExportSettings, Settings};
use crate::store::history::History;
use crate::supervise::{self, Kept, Name};
use target::Web;

/// How often it is looked whether the gateways are known.
const SOON: Duration = Duration::from_secs(1);

/// The output.
struct Exporting {
    /// `None`: nothing is sent. Changed by a reload.
    wish: watch::Sender<Option<Wish>>,
    _kept: Option<Kept>,
    #[cfg(feature = "broker")]
    passing: passing::Passed,
}

/// What is sent.
#[derive(Clone, Debug, PartialEq)]
struct Wish {
    /// Where to.
    to: ExportSettings,
    /// Whether sites are watched: the history has them too, but their slots come from the sites themselves.
    watches: bool,
}

impl Wish {
    fn of(settings: &Settings) -> Option<Self> {
        let watches = settings.broker.as_ref().is_some_and(|broker| !broker.watched.is_empty());
        settings.export.clone().map(|to| Self { to, watches })
    }
}

/// Starts the output.
pub fn start(settings: &Settings, surroundings: &Surroundings) -> Box<dyn Output> {
    let Surroundings { history, seed, directory, .. } = surroundings;
    let (wish, current) = watch::channel(Wish::of(settings));
    let kept = history.path().map(|_| {
        let (history, directory, seed) = (history.clone(), directory.clone(), *seed);
        let start = move |_| {
            let (history, directory) = (history.clone(), directory.clone());
            Exporter { history, directory, wish: current.clone(), seed }.start()
        };
        supervise::keep(Name::Part("the exporter"), Pause::back_off(seed), start)
    });
    Box::new(Exporting {
        wish,
        _kept: kept,
        #[cfg(feature = "broker")]
        passing: passing::Passed::start(settings, surroundings),
    })
}

impl Output for Exporting {
    fn apply<'a>(&'a self, settings: &'a Settings) -> LocalBoxFuture<'a, ()> {
        renew(&self.wish, Wish::of(settings));
        #[cfg(feature = "broker")]
        self.passing.apply(settings);
        Box::pin(ready(()))
    }

    /// What has not been sent is in the store.
    fn stop(&self) -> LocalBoxFuture<'_, ()> {
        self.wish.send_replace(None);
        Box::pin(ready(()))
    }
}

/// Keeps sending.
struct Exporter {
    history: History,
    /// Knows which gateways are reported by others.
    directory: Arc<Directory>,
    wish: watch::Receiver<Option<Wish>>,
    /// Makes pauses differ between runs.
    seed: u64,
}

impl Actor for Exporter {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let (history, directory, seed) = (self.history.clone(), self.directory.clone(), self.seed);
        let sending = with_newest(self.wish.clone(), async move |wish| match &wish {
            Some(Wish { to, watches }) => {
                info!(event = "export"; "what is recorded is sent to {}", to.name());
                // Before, nobody knows which gateways are reported by others.
                while *watches && directory.entries().is_empty() {
                    sleep(SOON).await;
                }
                let own = || directory.own().iter().map(|entry| entry.id.clone()).collect();
                sending::send(to, &history, || watches.then(own), Web::of(to), seed).await;
            }
            None => std::future::pending().await,
        });
        ctx.spawn(sending.into_actor(self));
    }
}
