//! Instances of this program meet on NATS servers: a site reports there and takes orders, a centre watches
//! sites. One connection serves both. What is said is that of `link::broker`, how servers are reached that of
//! `nats`.

mod centre;
mod courier;
mod site;

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use futures_util::future::LocalBoxFuture;
use log::error;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::control::Control;
use crate::directory::Directory;
use crate::link::broker::reports::Reports;
use crate::nats::Broker;
use crate::output::{Output, Surroundings};
use crate::pause::Pause;
use crate::settings::{BrokerSettings, Settings};
use crate::store::history::History;
use crate::store::journal::Journal;
use crate::supervise::{self, Kept, Name};

/// How long the last words of a site may take.
const GOODBYE: Duration = Duration::from_millis(1500);

/// What both sides need of the program.
#[derive(Clone)]
struct Shared {
    directory: Arc<Directory>,
    reports: Reports,
    journal: Journal,
    history: History,
    control: Arc<Control>,
    seed: u64,
}

/// What is asked of the actor: how the settings are now, and whether it is time to go.
#[derive(Clone, PartialEq)]
struct Wanted {
    /// `None`: no broker.
    settings: Option<BrokerSettings>,
    leaves: bool,
}

/// The output.
struct Meeting {
    wanted: watch::Sender<Wanted>,
    /// Grows when everything that had to be said was said.
    said: watch::Receiver<u64>,
    _kept: Kept,
}

/// Starts the output.
pub fn start(settings: &Settings, surroundings: &Surroundings) -> Box<dyn Output> {
    let shared = Shared {
        directory: surroundings.directory.clone(),
        reports: surroundings.reports.clone(),
        journal: surroundings.journal.clone(),
        history: surroundings.history.clone(),
        control: surroundings.control.clone(),
        seed: surroundings.seed,
    };
    let (wanted, current) = watch::channel(Wanted { settings: settings.broker.clone(), leaves: false });
    let (says, said) = watch::channel(0);
    let says = Arc::new(says);
    let start =
        move |_| Attendant { shared: shared.clone(), wanted: current.clone(), says: says.clone() }.start();
    let kept = supervise::keep(Name::Part("the broker"), Pause::back_off(surroundings.seed), start);
    Box::new(Meeting { wanted, said, _kept: kept })
}

impl Output for Meeting {
    fn apply<'a>(&'a self, settings: &'a Settings) -> LocalBoxFuture<'a, ()> {
        self.wanted.send_if_modified(|wanted| {
            let is_new = wanted.settings != settings.broker;
            wanted.settings.clone_from(&settings.broker);
            is_new
        });
        Box::pin(std::future::ready(()))
    }

    /// What is not at the broker yet is in the store; a site says that it goes.
    fn stop(&self) -> LocalBoxFuture<'_, ()> {
        let mut said = self.said.clone();
        said.mark_unchanged();
        let has_site = self.wanted.borrow().settings.as_ref().is_some_and(|broker| broker.site.is_some());
        self.wanted.send_modify(|wanted| wanted.leaves = true);
        Box::pin(async move {
            if has_site {
                let _ = timeout(GOODBYE, said.changed()).await;
            }
        })
    }
}

/// Keeps the connection.
struct Attendant {
    shared: Shared,
    wanted: watch::Receiver<Wanted>,
    says: Arc<watch::Sender<u64>>,
}

impl Actor for Attendant {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let (shared, mut wanted, says) = (self.shared.clone(), self.wanted.clone(), self.says.clone());
        let attending = async move {
            loop {
                let current = wanted.borrow_and_update().settings.clone();
                let changed = async {
                    let mut watched = wanted.clone();
                    let before = current.clone();
                    watched.wait_for(|wanted| wanted.settings != before).await.is_ok()
                };
                tokio::select! {
                    () = attend(current.clone(), &shared, &wanted, &says) => return,
                    goes_on = changed => if !goes_on { return },
                }
            }
        };
        ctx.spawn(attending.into_actor(self));
    }
}

/// Serves one set of settings; ends after the last word of a site.
async fn attend(
    settings: Option<BrokerSettings>,
    shared: &Shared,
    wanted: &watch::Receiver<Wanted>,
    says: &watch::Sender<u64>,
) {
    let Some(settings) = settings else { return std::future::pending().await };
    // A site may listen below a subject of its own only.
    let inbox = match &settings.site {
        Some(site) => format!("_INBOX.{}", site.id),
        None => "_INBOX".to_owned(),
    };
    let broker = match Broker::connect(&settings, &inbox).await {
        Ok(broker) => broker,
        Err(why) => {
            error!(event = "broker"; "{why}");
            return std::future::pending().await;
        }
    };
    let centre = async {
        if !settings.watched.is_empty() {
            centre::watch(&broker, &settings, &shared.reports).await;
        }
        std::future::pending::<()>().await;
    };
    let site = async {
        match &settings.site {
            Some(site) => site::report(&broker, site, settings.orders, shared, wanted.clone()).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = centre => {}
        () = site => says.send_modify(|count| *count += 1),
    }
    // The supervisor of outputs ends the actor with the program.
    std::future::pending().await
}
