//! Watches sites that other instances of this program report to a broker: their newest reports, and the way
//! that orders take to them. Reporting is left to `broker`; what becomes of a report, to `link::broker`.

mod archive;
mod courier;
mod watching;

use std::future::{pending, ready};
use std::sync::Arc;

use actix::prelude::*;
use futures_util::future::LocalBoxFuture;
use log::error;
use tokio::sync::watch;

use crate::link::broker::reports::Reports;
use crate::link::broker::standing::Standing;
use crate::nats::{Broker, CENTRE_INBOX};
use crate::output::{Output, Surroundings, renew, with_newest};
use crate::pause::Pause;
use crate::settings::{BrokerSettings, Settings};
use crate::supervise::{self, Kept, Name};
use archive::NatsArchive;

/// The output.
struct Watching {
    /// `None`: no site is watched. Changed by a reload.
    settings: watch::Sender<Option<BrokerSettings>>,
    _kept: Kept,
}

fn wanted(settings: &Settings) -> Option<BrokerSettings> {
    settings.broker.as_ref().filter(|broker| !broker.watched.is_empty()).cloned()
}

/// Starts the output.
pub fn start(settings: &Settings, surroundings: &Surroundings) -> Box<dyn Output> {
    let (changed, current) = watch::channel(wanted(settings));
    let reports = surroundings.reports.clone();
    let standing = surroundings.standings.centre.clone();
    let start = move |_| {
        let (reports, settings) = (reports.clone(), current.clone());
        Watcher { reports, standing: standing.clone(), settings }.start()
    };
    let name = Name::Part("what watches other sites");
    let kept = supervise::keep(name, Pause::back_off(surroundings.seed), start);
    Box::new(Watching { settings: changed, _kept: kept })
}

impl Output for Watching {
    fn apply<'a>(&'a self, settings: &'a Settings) -> LocalBoxFuture<'a, ()> {
        renew(&self.settings, wanted(settings));
        Box::pin(ready(()))
    }

    fn stop(&self) -> LocalBoxFuture<'_, ()> {
        self.settings.send_replace(None);
        Box::pin(ready(()))
    }
}

/// Keeps watching.
struct Watcher {
    reports: Reports,
    /// What others are shown of this.
    standing: Standing,
    settings: watch::Receiver<Option<BrokerSettings>>,
}

impl Actor for Watcher {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let (reports, standing) = (self.reports.clone(), self.standing.clone());
        let watching = with_newest(self.settings.clone(), async move |settings| {
            watch(settings, &reports, &standing).await;
        });
        ctx.spawn(watching.into_actor(self));
    }
}

/// Watches with one set of settings until it is dropped.
async fn watch(settings: Option<BrokerSettings>, reports: &Reports, standing: &Standing) {
    // What was there belonged to other settings.
    reports.connected(None, false);
    reports.archived(None);
    standing.end();
    let Some(settings) = settings else { return pending().await };
    standing.begin(settings.watched.clone(), &settings.name());
    match Broker::connect(&settings, CENTRE_INBOX).await {
        Ok(broker) => {
            let archive = NatsArchive::new(broker.clone(), settings.watched.clone());
            reports.archived(Some(Arc::new(archive)));
            watching::watch(&broker, &settings, reports, standing).await;
        }
        Err(why) => {
            error!(event = "broker"; "no site is watched until the settings change: {why}");
            standing.obstacle("connection", Some(&why.to_string()));
            pending().await
        }
    }
}
