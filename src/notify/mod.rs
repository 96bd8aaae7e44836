//! Notifies people of what the journal records: chooses who wants to know, words it, and leaves the sending
//! to one [`sending`] for each target, so that a target that does not answer delays no other.

mod delivery;
mod message;
mod sending;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use actix::prelude::*;
use futures_util::future::{LocalBoxFuture, ready};
use log::warn;
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio::sync::mpsc::{self, Sender};
use tokio::task::JoinHandle;

use crate::directory::Directory;
use crate::output::{Output, Surroundings};
use crate::pause::Pause;
use crate::settings::{NotifyTarget, Settings};
use crate::store::journal::{Entry, Journal};
use crate::supervise::{self, Kept, Name};
use message::{About, Message};

/// Messages that wait for a target that is being asked.
const WAITING: usize = 32;

/// One who is notified, and the way to who sends.
struct Open {
    target: NotifyTarget,
    way: Sender<Message>,
    sending: JoinHandle<()>,
}

impl Open {
    fn new(target: NotifyTarget) -> Self {
        let (way, messages) = mpsc::channel(WAITING);
        let sending = actix::spawn(sending::send(target.clone(), messages, delivery::Web::default()));
        Self { target, way, sending }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.sending.abort();
    }
}

/// Those who are notified; changed by a reload.
type Targets = Arc<Mutex<Vec<Open>>>;

fn lock(targets: &Targets) -> MutexGuard<'_, Vec<Open>> {
    targets.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The output.
struct Notifying {
    targets: Targets,
    _kept: Kept,
}

impl Output for Notifying {
    /// A target that stays as it is keeps what waits for it.
    fn apply<'a>(&'a self, settings: &'a Settings) -> LocalBoxFuture<'a, ()> {
        let mut open = lock(&self.targets);
        let mut before = std::mem::take(&mut *open);
        for target in &settings.notify {
            let known = before.iter().position(|known| known.target == *target);
            open.push(known.map_or_else(|| Open::new(target.clone()), |at| before.swap_remove(at)));
        }
        Box::pin(ready(()))
    }

    /// What has not been sent is in the journal.
    fn stop(&self) -> LocalBoxFuture<'_, ()> {
        lock(&self.targets).clear();
        Box::pin(ready(()))
    }
}

/// Starts the output.
pub fn start(settings: &Settings, surroundings: &Surroundings) -> Box<dyn Output> {
    let Surroundings { directory, journal, seed, .. } = surroundings;
    let targets: Targets = Arc::new(Mutex::new(settings.notify.iter().cloned().map(Open::new).collect()));
    let (directory, journal, shared) = (directory.clone(), journal.clone(), targets.clone());
    let start = move |_| {
        let (directory, targets) = (directory.clone(), shared.clone());
        Notifier { journal: journal.clone(), directory, targets }.start()
    };
    let kept = supervise::keep(Name::Part("the notifier"), Pause::back_off(*seed), start);
    Box::new(Notifying { targets, _kept: kept })
}

/// Follows the journal.
struct Notifier {
    journal: Journal,
    directory: Arc<Directory>,
    targets: Targets,
}

impl Notifier {
    fn notify(&self, entry: &Entry) {
        let Some(happening) = message::happening(entry) else { return };
        let id = entry.gateway.as_deref().unwrap_or_default();
        let targets = lock(&self.targets);
        let mut wanting = targets.iter().filter(|open| open.target.wants(happening, id)).peekable();
        if wanting.peek().is_none() {
            return;
        }
        let snapshot = self.directory.get(id).map(|gateway| gateway.board.read());
        let message = message::worded(happening, entry, &About::of(id, snapshot.as_deref()));
        for open in wanting {
            if open.way.try_send(message.clone()).is_err() {
                let name = open.target.name.as_str();
                warn!(
                    gateway = id, event = "notify";
                    "gateway {id}: {name} is not notified of {}: too much waits for it",
                    happening.word()
                );
            }
        }
    }
}

async fn next(mut entries: Receiver<Entry>) -> (Option<Result<Entry, u64>>, Receiver<Entry>) {
    let entry = match entries.recv().await {
        Ok(entry) => Some(Ok(entry)),
        Err(RecvError::Lagged(missed)) => Some(Err(missed)),
        Err(RecvError::Closed) => None,
    };
    (entry, entries)
}

impl Notifier {
    fn follow(&mut self, entries: Receiver<Entry>, ctx: &mut Context<Self>) {
        ctx.spawn(next(entries).into_actor(self).map(|(entry, entries), actor, ctx| {
            match entry {
                Some(Ok(entry)) => actor.notify(&entry),
                Some(Err(missed)) => {
                    warn!(event = "notify"; "{missed} entries of the journal came too fast to be sent");
                }
                None => return,
            }
            actor.follow(entries, ctx);
        }));
    }
}

impl Actor for Notifier {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let entries = self.journal.follow();
        self.follow(entries, ctx);
    }
}
