//! Finds the gateways: id → board and address. Read by everybody, written by the Supervisor.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use actix::{Addr, Recipient};
use arc_swap::{ArcSwap, ArcSwapOption};

use crate::board::{Board, Published};
use crate::gateway::GatewayActor;
use crate::gateway::order_book::OrderBook;
use crate::model::{Aggregate, Began, Snapshot};

/// One configured gateway.
pub struct Entry {
    pub id: String,
    /// Its newest snapshot; also while its actor is being started again.
    pub board: Arc<Board<Snapshot>>,
    /// Its orders; outlives its actor.
    pub(super) orders: OrderBook,
    /// What the observer has seen begin; no snapshot knows that.
    began: Mutex<Began>,
    /// Its actor; replaced when that died.
    addr: ArcSwapOption<Addr<GatewayActor>>,
}

impl Entry {
    /// Forgets the orders, as a program that is killed does. For simulations.
    pub fn forget_orders(&self) {
        self.orders.forget();
    }

    pub fn new(id: impl Into<String>, board: Arc<Board<Snapshot>>) -> Self {
        let (orders, began) = (OrderBook::default(), Mutex::default());
        Self { id: id.into(), board, orders, began, addr: ArcSwapOption::empty() }
    }

    /// Since when what is the matter with it has been so.
    pub fn began(&self) -> Began {
        *self.began.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn note_began(&self, began: Began) {
        *self.began.lock().unwrap_or_else(PoisonError::into_inner) = began;
    }

    /// The actor to send messages to; `None` while there is none.
    pub fn addr(&self) -> Option<Addr<GatewayActor>> {
        self.addr.load().as_deref().filter(|addr| addr.connected()).cloned()
    }

    pub(crate) fn set_addr(&self, addr: Option<Addr<GatewayActor>>) {
        self.addr.store(addr.map(Arc::new));
    }
}

/// All configured gateways in configured order, and the board of their sum.
pub struct Directory {
    entries: ArcSwap<Vec<Arc<Entry>>>,
    /// Who follows every gateway, present and future. Held while entries are replaced, so that no board is
    /// missed.
    followers: Mutex<Vec<Recipient<Published<Snapshot>>>>,
    pub aggregate: Arc<Board<Aggregate>>,
}

impl Directory {
    pub fn new(entries: Vec<Arc<Entry>>, aggregate: Arc<Board<Aggregate>>) -> Self {
        Self { entries: ArcSwap::from_pointee(entries), followers: Mutex::default(), aggregate }
    }

    pub fn entries(&self) -> Arc<Vec<Arc<Entry>>> {
        self.entries.load_full()
    }

    pub fn all(&self) -> Selection {
        let entries = self.entries();
        Selection { range: 0..entries.len(), entries }
    }

    /// At most `limit` gateways, those behind `after` if it says one; `None` if there is no such gateway.
    pub fn page(&self, limit: usize, after: Option<&str>) -> Option<Selection> {
        let entries = self.entries();
        let start = match after {
            Some(id) => entries.iter().position(|entry| entry.id == id)? + 1,
            None => 0,
        };
        Some(Selection { range: start..start.saturating_add(limit).min(entries.len()), entries })
    }

    pub fn get(&self, id: &str) -> Option<Arc<Entry>> {
        self.entries.load().iter().find(|entry| entry.id == id).cloned()
    }

    /// The gateway that routes without an id speak of: `default` if there is one, else the first.
    pub fn default_gateway(&self) -> Option<Arc<Entry>> {
        let entries = self.entries.load();
        entries.iter().find(|entry| entry.id == "default").or_else(|| entries.first()).cloned()
    }

    /// The gateways that no other instance of this program reports.
    pub fn own(&self) -> Vec<Arc<Entry>> {
        let is_own = |entry: &&Arc<Entry>| entry.board.glance().gateway.place.is_none();
        self.entries.load().iter().filter(is_own).cloned().collect()
    }

    /// The newest snapshot of every gateway, in configured order.
    pub fn snapshots(&self) -> Vec<Arc<Snapshot>> {
        self.entries.load().iter().map(|entry| entry.board.read()).collect()
    }

    /// Nudges `follower` at each publication of every gateway, also of those that are configured later, until
    /// its actor ends.
    pub fn follow(&self, follower: Recipient<Published<Snapshot>>) {
        let mut followers = self.followers.lock().unwrap_or_else(PoisonError::into_inner);
        followers.retain(Recipient::connected);
        for entry in self.entries.load().iter() {
            entry.board.subscribe(follower.clone());
        }
        followers.push(follower);
    }

    /// Whether `entry` is still configured, as it is here and not only under the same id.
    pub fn contains(&self, entry: &Arc<Entry>) -> bool {
        self.entries.load().iter().any(|known| Arc::ptr_eq(known, entry))
    }

    pub(crate) fn replace(&self, entries: Vec<Arc<Entry>>) {
        let mut followers = self.followers.lock().unwrap_or_else(PoisonError::into_inner);
        followers.retain(Recipient::connected);
        let before = self.entries.load();
        let known: HashSet<*const Entry> = before.iter().map(Arc::as_ptr).collect();
        for entry in entries.iter().filter(|entry| !known.contains(&Arc::as_ptr(entry))) {
            for follower in followers.iter() {
                entry.board.subscribe(follower.clone());
            }
        }
        self.entries.store(Arc::new(entries));
    }
}

/// Some of the gateways, one behind the other in configured order.
#[derive(Clone)]
pub struct Selection {
    entries: Arc<Vec<Arc<Entry>>>,
    range: Range<usize>,
}

impl Selection {
    pub fn len(&self) -> usize {
        self.range.len()
    }

    pub fn is_empty(&self) -> bool {
        self.range.is_empty()
    }

    /// The gateway at `place`, counted from the beginning of the selection.
    pub fn get(&self, place: usize) -> Option<&Arc<Entry>> {
        self.entries.get(self.range.clone())?.get(place)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.entries.get(self.range.clone()).into_iter().flatten()
    }

    /// Whether these are all that are configured.
    pub fn is_all(&self) -> bool {
        self.range.len() == self.entries.len()
    }

    /// The last of them, if others come behind it.
    pub fn last_before_others(&self) -> Option<&str> {
        let has_others = self.range.end < self.entries.len();
        self.iter().last().filter(|_| has_others).map(|entry| entry.id.as_str())
    }
}
