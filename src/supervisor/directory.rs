//! Where the faces find the gateways: id → board and address. Read by everybody, written by the Supervisor.

use std::sync::Arc;

use actix::Addr;
use arc_swap::{ArcSwap, ArcSwapOption};

use crate::board::Board;
use crate::gateway::GatewayActor;
use crate::gateway::order_book::OrderBook;
use crate::model::{Aggregate, Snapshot};

/// One configured gateway.
pub struct Entry {
    pub id: String,
    /// Its newest snapshot; also while its actor is being started again.
    pub board: Arc<Board<Snapshot>>,
    /// Its orders; outlives its actor.
    pub(super) orders: OrderBook,
    /// Its actor; replaced when that died.
    addr: ArcSwapOption<Addr<GatewayActor>>,
}

impl Entry {
    pub fn new(id: impl Into<String>, board: Arc<Board<Snapshot>>) -> Self {
        Self { id: id.into(), board, orders: OrderBook::default(), addr: ArcSwapOption::empty() }
    }

    /// The actor to send messages to; `None` while there is none.
    pub fn addr(&self) -> Option<Addr<GatewayActor>> {
        self.addr.load().as_deref().filter(|addr| addr.connected()).cloned()
    }

    pub(super) fn set_addr(&self, addr: Option<Addr<GatewayActor>>) {
        self.addr.store(addr.map(Arc::new));
    }
}

/// All configured gateways in configured order, and the board of their sum.
pub struct Directory {
    entries: ArcSwap<Vec<Arc<Entry>>>,
    pub aggregate: Arc<Board<Aggregate>>,
}

impl Directory {
    pub fn new(entries: Vec<Arc<Entry>>, aggregate: Arc<Board<Aggregate>>) -> Self {
        Self { entries: ArcSwap::from_pointee(entries), aggregate }
    }

    pub fn entries(&self) -> Arc<Vec<Arc<Entry>>> {
        self.entries.load_full()
    }

    pub fn get(&self, id: &str) -> Option<Arc<Entry>> {
        self.entries.load().iter().find(|entry| entry.id == id).cloned()
    }

    /// The gateway that routes without an id speak of: `default` if there is one, else the first.
    pub fn default_gateway(&self) -> Option<Arc<Entry>> {
        let entries = self.entries.load();
        entries.iter().find(|entry| entry.id == "default").or_else(|| entries.first()).cloned()
    }

    /// The newest snapshot of every gateway, in configured order.
    pub fn snapshots(&self) -> Vec<Arc<Snapshot>> {
        self.entries.load().iter().map(|entry| entry.board.read()).collect()
    }

    pub(super) fn replace(&self, entries: Vec<Arc<Entry>>) {
        self.entries.store(Arc::new(entries));
    }
}
