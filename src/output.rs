//! An output shows or sends on what the boards hold. `app` starts each one, applies changed settings to it
//! and stops it; what it does in between is its own.

use std::sync::Arc;
use std::time::Duration;

use actix_web::web::ServiceConfig;
use futures_util::future::{LocalBoxFuture, ready};
use tokio::sync::watch;

use crate::board::Board;
use crate::connections::Connections;
use crate::control::Control;
use crate::directory::Directory;
use crate::frames::Frames;
use crate::link::broker::reports::Reports;
use crate::link::broker::standing::Standings;
use crate::link::tesla::Accounts;
use crate::model::BrokerStatus;
use crate::settings::Settings;
use crate::store::history::History;
use crate::store::journal::Journal;

/// What outputs share.
pub struct Surroundings {
    pub directory: Arc<Directory>,
    pub frames: Arc<Frames>,
    /// The state of the connection to the MQTT broker; written by the output that keeps the connection.
    pub broker: Arc<Board<BrokerStatus>>,
    /// What happened, kept over restarts.
    pub journal: Journal,
    /// What the gateways reported, kept over restarts.
    pub history: History,
    /// What Tesla's cloud was asked.
    pub accounts: Accounts,
    /// What other instances of this program report.
    pub reports: Reports,
    /// How this program stands with the broker of a fleet.
    pub standings: Standings,
    /// Who may do what.
    pub control: Arc<Control>,
    /// What clients are connected by.
    pub connections: Arc<Connections>,
    /// Makes pauses and names differ between runs.
    pub seed: u64,
    /// A client that takes nothing for this long is disconnected.
    pub stall_limit: Duration,
}

/// Registers routes; called once on each HTTP worker.
pub type Routes = Arc<dyn Fn(&mut ServiceConfig) + Send + Sync>;

/// Starts an output on the thread of the caller, a running actix system.
pub type Start = fn(&Settings, &Surroundings) -> Box<dyn Output>;

/// Puts `new` in the place of what `current` holds, and wakes those who wait for it, unless it is the same.
pub fn renew<T: PartialEq>(current: &watch::Sender<T>, new: T) {
    current.send_if_modified(|current| {
        let is_new = *current != new;
        *current = new;
        is_new
    });
}

/// Does `work` with the newest of `settings`, and begins anew whenever they change. Ends when nobody can
/// change them any more.
pub async fn with_newest<T: Clone>(mut settings: watch::Receiver<T>, work: impl AsyncFn(T)) {
    loop {
        let current = settings.borrow_and_update().clone();
        tokio::select! {
            () = work(current) => {}
            changed = settings.changed() => if changed.is_err() { return },
        }
    }
}

/// One way out of the program.
pub trait Output {
    /// The routes it answers, below the root and below the base path if there is one.
    fn routes(&self) -> Option<Routes> {
        None
    }

    /// Applies changed settings, as far as they can change while the service runs.
    fn apply<'a>(&'a self, settings: &'a Settings) -> LocalBoxFuture<'a, ()> {
        let _ = settings;
        Box::pin(ready(()))
    }

    /// Says goodbye. Takes two seconds at most.
    fn stop(&self) -> LocalBoxFuture<'_, ()> {
        Box::pin(ready(()))
    }

    /// Cuts clients that did not leave after [`Output::stop`].
    fn cut(&self) {}
}
