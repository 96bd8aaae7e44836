//! Keeps one GatewayActor per configured gateway alive, and the directory where the faces find them.
//!
//! actix neither catches a panic nor restarts the actor that had it: the actor is simply gone. The Supervisor
//! looks after its actors every second and starts a new one where one is missing.

pub mod directory;

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use log::{error, info};
use tokio::time::Instant;

pub use directory::{Directory, Entry};

use crate::aggregator::Aggregator;
use crate::board::Board;
use crate::gateway::messages::Stop;
use crate::gateway::orders::{NoOrderLog, OrderLog};
use crate::gateway::{GatewayActor, GatewayPlan};
use crate::link::Link;
use crate::model::Snapshot;
use crate::settings::{GatewaySettings, PollingSettings};

/// How often the actors are looked after: a dead one is back within this.
const ROUND: Duration = Duration::from_secs(1);

/// Builds the link of a gateway; called on the thread that will poll it. Must not touch the network.
pub type LinkFactory = Arc<dyn Fn(&GatewaySettings) -> Box<dyn Link> + Send + Sync>;

/// Applies a changed configuration: starts and stops only the gateways that changed.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Configure(pub Vec<GatewaySettings>, pub PollingSettings);

/// Owns the actors of all gateways.
pub struct Supervisor {
    /// What each running actor was started with, in configured order.
    gateways: Vec<GatewaySettings>,
    polling: PollingSettings,
    /// What the faces read; written here only.
    directory: Arc<Directory>,
    connect: LinkFactory,
    /// Where orders are written down before they are sent.
    order_log: Arc<dyn OrderLog>,
    /// Makes the pauses after failures differ between gateways and runs.
    seed: u64,
    /// Sums what the gateways publish; looked after like them.
    aggregator: Option<Addr<Aggregator>>,
    /// When the next round is due.
    next_round: Instant,
}

impl Supervisor {
    pub fn new(
        gateways: Vec<GatewaySettings>,
        polling: PollingSettings,
        directory: Arc<Directory>,
        connect: LinkFactory,
        seed: u64,
    ) -> Self {
        let next_round = Instant::now();
        let order_log = Arc::new(NoOrderLog);
        Self { gateways, polling, directory, connect, order_log, seed, aggregator: None, next_round }
    }

    /// Writes orders down in `log`. Without this, no order is sent.
    pub fn with_order_log(self, log: Arc<dyn OrderLog>) -> Self {
        Self { order_log: log, ..self }
    }

    fn plan(&self, index: usize) -> GatewayPlan {
        let settings = &self.gateways[index];
        let share = index as f64 / self.gateways.len() as f64;
        GatewayPlan {
            facts: settings.facts.clone(),
            interval: self.polling.interval,
            phase: self.polling.interval.mul_f64(share),
            timeout: settings.timeout,
            ttl: self.polling.ttl(settings.timeout),
            adjustments: self.polling.adjustments,
            seed: self.seed.wrapping_add(index as u64),
            numbers: self.polling.numbers_of(&settings.facts.id),
        }
    }

    fn start_gateway(&self, index: usize, entry: &Entry) {
        let link = (self.connect)(&self.gateways[index]);
        let actor = GatewayActor::new(self.plan(index), link, entry.board.clone());
        let actor = actor.taking_over_from(entry.addr());
        entry.set_addr(Some(actor.with_orders(entry.orders.clone(), self.order_log.clone()).start()));
    }

    fn revive_gateway(&self, entry: &Entry) {
        let Some(index) = self.gateways.iter().position(|gateway| gateway.facts.id == entry.id) else {
            return;
        };
        let id = &entry.id;
        error!(gateway = id.as_str(), event = "crashed"; "gateway {id}: its actor died; starting it again");
        let link = (self.connect)(&self.gateways[index]);
        let actor = GatewayActor::after_crash(self.plan(index), link, entry.board.clone());
        entry.set_addr(Some(actor.with_orders(entry.orders.clone(), self.order_log.clone()).start()));
    }

    fn start_aggregator(&mut self) {
        let aggregator = Aggregator::new(self.directory.clone()).start();
        for entry in self.directory.entries().iter() {
            entry.board.subscribe(aggregator.clone().recipient());
        }
        self.aggregator = Some(aggregator);
    }

    /// Rounds lie at absolute times; those missed while the thread was held up are skipped.
    fn arm_next_round(&mut self, ctx: &mut Context<Self>) {
        let now = Instant::now();
        self.next_round = (self.next_round + ROUND).max(now);
        ctx.run_later(self.next_round - now, Self::look_after);
    }

    /// Starts again whoever died.
    fn look_after(&mut self, ctx: &mut Context<Self>) {
        if self.aggregator.as_ref().is_none_or(|aggregator| !aggregator.connected()) {
            error!(event = "crashed"; "the aggregator died; starting it again");
            self.start_aggregator();
        }
        for entry in self.directory.entries().iter() {
            if entry.addr().is_none() {
                self.revive_gateway(entry);
            }
        }
        self.arm_next_round(ctx);
    }

    /// Brings the running actors in line with `gateways`.
    fn configure(&mut self, gateways: Vec<GatewaySettings>, polling: PollingSettings) {
        let before = std::mem::replace(&mut self.gateways, gateways);
        let polling_changed = std::mem::replace(&mut self.polling, polling) != self.polling;
        let known = self.directory.entries();
        for entry in known.iter() {
            if !self.gateways.iter().any(|gateway| gateway.facts.id == entry.id) {
                let id = &entry.id;
                info!(gateway = id.as_str(), event = "removed"; "gateway {id}: no longer configured");
                stop(entry);
            }
        }
        let mut entries = Vec::with_capacity(self.gateways.len());
        let mut to_start = Vec::new();
        for (index, gateway) in self.gateways.iter().enumerate() {
            let id = &gateway.facts.id;
            let initial = Snapshot::initial(gateway.facts.clone(), self.polling.ttl(gateway.timeout));
            let entry = match known.iter().find(|entry| entry.id == *id) {
                Some(entry) if !polling_changed && before.contains(gateway) => {
                    entries.push(entry.clone());
                    continue;
                }
                Some(entry) => {
                    entry.board.publish(Arc::new(starting_over(initial, &entry.board.read())));
                    entry.clone()
                }
                None => {
                    let entry = Arc::new(Entry::new(id.clone(), Arc::new(Board::new(initial))));
                    if let Some(aggregator) = &self.aggregator {
                        entry.board.subscribe(aggregator.clone().recipient());
                    }
                    entry
                }
            };
            to_start.push((index, entry.clone()));
            entries.push(entry);
        }
        self.directory.replace(entries);
        for (index, entry) in to_start {
            self.start_gateway(index, &entry);
        }
    }
}

/// The snapshot of a gateway whose settings changed. It forgets what was read under the old ones; but whoever asked
/// for silence gets it, unless it is another gateway that answers now. Its units keep their numbers.
fn starting_over(initial: Snapshot, before: &Snapshot) -> Snapshot {
    let address = |snapshot: &Snapshot| (snapshot.gateway.host.clone(), snapshot.gateway.port);
    let silent = before.health.cooldown_until.is_some() && address(&initial) == address(before);
    let health = if silent { before.health.clone() } else { initial.health };
    let numbering = before.numbering.clone();
    Snapshot { sequence: before.sequence + 1, health, numbering, ..initial }
}

/// Ends the actor of `entry`. Its mailbox is never full for longer than one message takes.
fn stop(entry: &Entry) {
    if let Some(addr) = entry.addr() {
        actix::spawn(async move { addr.send(Stop).await });
    }
    entry.set_addr(None);
}

impl Actor for Supervisor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.start_aggregator();
        let gateways = std::mem::take(&mut self.gateways);
        self.configure(gateways, self.polling.clone());
        self.arm_next_round(ctx);
    }
}

impl Handler<Configure> for Supervisor {
    type Result = ();

    fn handle(&mut self, Configure(gateways, polling): Configure, _: &mut Self::Context) {
        self.configure(gateways, polling);
    }
}

#[cfg(test)]
mod tests;
