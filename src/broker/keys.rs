//! Which gateways have a key in the bucket of reports, kept over restarts: whoever is no longer among the
//! gateways must go from there too.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Reporter;
use crate::clock::unix_time;
use crate::directory::Entry;
use crate::store::history::History;
use crate::store::history::cursors::{self, Usage};

/// Those of one site.
pub struct Keys {
    history: History,
    /// Under which they are kept.
    peer: String,
    /// Ids of gateways. Some may have no key after all, and none has one without being here.
    ids: BTreeSet<String>,
}

impl Keys {
    /// Those of former runs. Without a file there are none.
    pub async fn of(reporter: &Reporter) -> Self {
        let (history, peer) = (reporter.house.history.clone(), reporter.peer());
        let asked = peer.clone();
        let query =
            move |connection: &rusqlite::Connection| cursors::gateways(connection, (Usage::Report, &asked));
        let ids = history.ask(query).await.unwrap_or_default();
        Self { history, peer, ids: ids.into_iter().collect() }
    }

    /// Those that are none of `entries`. None while nobody knows the gateways yet.
    pub fn without(&self, entries: &[Arc<Entry>]) -> Vec<String> {
        let is_gone = |id: &&String| entries.iter().all(|entry| entry.id != **id);
        match entries.is_empty() {
            true => Vec::new(),
            false => self.ids.iter().filter(is_gone).cloned().collect(),
        }
    }

    /// Before the first report of a gateway is published.
    pub async fn keep(&mut self, id: &str) {
        if self.ids.insert(id.to_owned()) {
            // If it cannot be written, it is known here until this ends.
            let _ = self.history.reach((Usage::Report, &self.peer), id, unix_time()).await;
        }
    }

    /// The bucket has none of this gateway any more.
    pub async fn forget(&mut self, id: &str) {
        self.ids.remove(id);
        // If it cannot be written, it is taken out of the bucket once more.
        let _ = self.history.reach((Usage::Report, &self.peer), id, None).await;
    }
}
