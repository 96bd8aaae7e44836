//! How this program stands with the broker, as a site and as a centre: for whoever shows it. Written by those
//! who hold a connection.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::clock::unix_time;

/// What goes over the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goods {
    /// Of gateways: published by a site, received by a centre.
    Reports,
    /// Quarters of an hour: taken by the stream, or by the database of a centre.
    Slots,
    /// Of the journal: taken by the stream.
    Entries,
    /// Taken from the broker by a site, sent by a centre.
    Orders,
}

impl Goods {
    pub const ALL: [Self; 4] = [Self::Reports, Self::Slots, Self::Entries, Self::Orders];

    pub fn word(self) -> &'static str {
        match self {
            Self::Reports => "reports",
            Self::Slots => "slots",
            Self::Entries => "entries",
            Self::Orders => "orders",
        }
    }
}

/// One side of this program at the broker, as it is at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Side {
    /// The id of the site, or the patterns of the sites that are watched.
    pub names: Vec<String>,
    /// The first server that is configured, without what may be secret.
    pub server: String,
    pub is_connected: bool,
    /// Since when it is, or is not; Unix seconds.
    pub since: f64,
    /// How many of [`Goods::ALL`] there were since the program started.
    pub counts: [u64; 4],
    /// What does not go at present, and why.
    pub obstacles: BTreeMap<String, String>,
}

/// A handle to one side; all clones share it.
#[derive(Clone, Debug, Default)]
pub struct Standing(Arc<Mutex<Held>>);

#[derive(Debug, Default)]
struct Held {
    /// `None`: this program is not this side.
    side: Option<Side>,
    /// Counted over changes of the settings.
    counts: [u64; 4],
}

impl Standing {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection is being made.
    pub fn begin(&self, names: Vec<String>, server: &str) {
        let side = Side { names, server: server.to_owned(), since: unix_time(), ..Side::default() };
        self.held().side = Some(side);
    }

    /// The settings want none any more.
    pub fn end(&self) {
        self.held().side = None;
    }

    pub fn connected(&self, is_connected: bool) {
        if let Some(side) = &mut self.held().side
            && side.is_connected != is_connected
        {
            (side.is_connected, side.since) = (is_connected, unix_time());
        }
    }

    pub fn went(&self, goods: Goods, count: usize) {
        self.held().counts[goods as usize] += count as u64;
    }

    /// `why`: what keeps `what` back; `None`: nothing.
    pub fn obstacle(&self, what: &str, why: Option<&str>) {
        if let Some(side) = &mut self.held().side {
            match why {
                Some(why) => side.obstacles.insert(what.to_owned(), why.to_owned()),
                None => side.obstacles.remove(what),
            };
        }
    }

    /// [`Standing::obstacle`] for those who know only that something is shown.
    pub fn shows_obstacles(&self) -> impl Fn(&str, Option<&str>) + 'static {
        let standing = self.clone();
        move |what, why| standing.obstacle(what, why)
    }

    /// `None`: this program is not this side.
    pub fn read(&self) -> Option<Side> {
        let held = self.held();
        held.side.clone().map(|side| Side { counts: held.counts, ..side })
    }
}

/// Both sides.
#[derive(Clone, Debug, Default)]
pub struct Standings {
    /// What this program reports.
    pub site: Standing,
    /// What it watches.
    pub centre: Standing,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_outlive_a_connection_and_obstacles_do_not() {
        let standing = Standing::default();
        standing.obstacle("reports", Some("nobody there"));
        assert_eq!(standing.read(), None);
        standing.begin(vec!["north.17".into()], "nats://a:4222");
        standing.went(Goods::Slots, 3);
        standing.obstacle("slots", Some("full"));
        standing.connected(true);
        let side = standing.read().unwrap();
        assert_eq!((side.counts, side.is_connected), ([0, 3, 0, 0], true));
        assert_eq!(side.obstacles.get("slots").map(String::as_str), Some("full"));
        standing.begin(vec!["north.17".into()], "nats://b:4222");
        let side = standing.read().unwrap();
        assert_eq!((side.counts[1], side.obstacles.len(), side.is_connected), (3, 0, false));
        standing.end();
        assert_eq!(standing.read(), None);
    }
}
