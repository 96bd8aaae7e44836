//! Runs one GatewayActor per configured gateway and writes the directory: starts, replaces and ends actors as
//! the configuration says. Restarting those that died is left to [`supervise`].

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use actix::prelude::*;
use log::info;
use tokio::time::Instant;

use crate::aggregator::Aggregator;
use crate::board::Board;
use crate::directory::{Directory, Entry};
use crate::gateway::messages::Stop;
use crate::gateway::order_log::{NoOrderLog, OrderLog};
use crate::gateway::orders::OrderIds;
use crate::gateway::{GatewayActor, GatewayPlan};
use crate::link::Link;
use crate::model::Snapshot;
use crate::pause::Pause;
use crate::settings::{GatewaySettings, PollingSettings};
use crate::supervise::{self, Kept, Name, Run};

/// Builds the link of a gateway; called on the thread that will poll it. Must not touch the network.
pub type LinkFactory = Arc<dyn Fn(&GatewaySettings) -> Box<dyn Link> + Send + Sync>;

/// Applies a changed configuration: starts and stops only the gateways that changed.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Configure(pub Vec<GatewaySettings>, pub PollingSettings);

/// Takes over the gateways that others report and nobody configured here, all of them.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Found(pub Vec<GatewaySettings>);

/// Owns the actors of all gateways.
pub struct Supervisor {
    /// What each running actor was started with: those of the configuration in its order, then those that
    /// were found.
    gateways: Vec<GatewaySettings>,
    /// As the configuration has them; what was found may change without it.
    configured: Vec<GatewaySettings>,
    /// Reported by others; the configuration may change without them.
    found: Vec<GatewaySettings>,
    polling: PollingSettings,
    /// What everybody else reads; written here only.
    directory: Arc<Directory>,
    connect: LinkFactory,
    /// Where orders are written down before they are sent.
    order_log: Arc<dyn OrderLog>,
    order_ids: OrderIds,
    /// Makes the pauses after failures differ between gateways and runs.
    seed: u64,
    /// Keeps the actor of each gateway running, by id.
    actors: HashMap<String, Kept>,
    /// Keeps the sum up to date; `None` before this actor runs.
    aggregator: Option<Kept>,
}

impl Supervisor {
    pub fn new(
        gateways: Vec<GatewaySettings>,
        polling: PollingSettings,
        directory: Arc<Directory>,
        connect: LinkFactory,
        seed: u64,
    ) -> Self {
        let order_log = Arc::new(NoOrderLog);
        let (order_ids, actors) = (OrderIds::random(), HashMap::new());
        let (configured, gateways, found) = (gateways, Vec::new(), Vec::new());
        Self {
            gateways,
            configured,
            found,
            polling,
            directory,
            connect,
            order_log,
            order_ids,
            seed,
            actors,
            aggregator: None,
        }
    }

    /// Gives orders the ids of `ids`; without this, random ones.
    pub fn with_order_ids(self, ids: OrderIds) -> Self {
        Self { order_ids: ids, ..self }
    }

    /// Writes orders down in `log`. Without this, no order is sent.
    pub fn with_order_log(self, log: Arc<dyn OrderLog>) -> Self {
        Self { order_log: log, ..self }
    }

    fn plan(&self, index: usize) -> GatewayPlan {
        let settings = &self.gateways[index];
        let share = index as f64 / self.gateways.len() as f64;
        let interval = settings.interval().unwrap_or(self.polling.interval);
        GatewayPlan {
            facts: settings.facts.clone(),
            interval,
            phase: interval.mul_f64(share),
            timeout: settings.timeout,
            ttl: self.polling.ttl(interval, settings.timeout),
            adjustments: self.polling.adjustments,
            seed: self.seed.wrapping_add(index as u64),
            islanding_cooldown: self.polling.islanding_cooldown,
            numbers: self.polling.numbers_of(&settings.facts.id),
        }
    }

    fn start_gateway(&mut self, index: usize, entry: Arc<Entry>) {
        let (plan, settings, connect) =
            (self.plan(index), self.gateways[index].clone(), self.connect.clone());
        let id = entry.id.clone();
        // First, so that nobody restarts the actor that is about to be replaced.
        self.actors.remove(&id);
        let back_off = Pause::back_off(plan.seed);
        let (order_log, order_ids) = (self.order_log.clone(), self.order_ids.clone());
        let start = move |run| {
            let (link, board) = (connect(&settings), entry.board.clone());
            let actor = match run {
                Run::First => GatewayActor::new(plan.clone(), link, board).taking_over_from(entry.addr()),
                Run::AfterCrash { died } => GatewayActor::after_crash(plan.clone(), link, board, died),
            };
            let actor = actor.with_orders(entry.orders.clone(), order_log.clone(), order_ids.clone());
            let addr = actor.start();
            entry.set_addr(Some(addr.clone()));
            addr
        };
        self.actors.insert(id.clone(), supervise::keep(Name::Gateway(id), back_off, start));
    }

    fn start_aggregator(&mut self) {
        let directory = self.directory.clone();
        let start = move |_| Aggregator::new(directory.clone()).start();
        let back_off = Pause::back_off(self.seed);
        self.aggregator = Some(supervise::keep(Name::Part("the aggregator"), back_off, start));
    }

    /// Ends the actor of `entry`. Its mailbox is never full for longer than one message takes.
    fn stop_gateway(&mut self, entry: &Entry) {
        self.actors.remove(&entry.id);
        if let Some(addr) = entry.addr() {
            actix::spawn(async move { addr.send(Stop).await });
        }
        entry.set_addr(None);
    }

    /// Brings the running actors in line with `gateways`.
    fn configure(&mut self, polling: PollingSettings) {
        let ids: HashSet<&str> = self.configured.iter().map(|gateway| gateway.facts.id.as_str()).collect();
        let found = self.found.iter().filter(|gateway| !ids.contains(gateway.facts.id.as_str()));
        let gateways: Vec<GatewaySettings> = self.configured.iter().chain(found).cloned().collect();
        let before = std::mem::replace(&mut self.gateways, gateways);
        let before = by_id(&before);
        let wanted = by_id(&self.gateways);
        let polling_changed = std::mem::replace(&mut self.polling, polling) != self.polling;
        let known = self.directory.entries();
        let mut gone = Vec::new();
        for entry in known.iter() {
            if !wanted.contains_key(entry.id.as_str()) {
                let id = &entry.id;
                info!(gateway = id.as_str(), event = "removed"; "gateway {id}: no longer configured");
                gone.push(entry.clone());
            }
        }

        let known_by_id: HashMap<&str, &Arc<Entry>> =
            known.iter().map(|entry| (entry.id.as_str(), entry)).collect();
        let mut entries = Vec::with_capacity(self.gateways.len());
        let mut to_start = Vec::new();
        for (index, gateway) in self.gateways.iter().enumerate() {
            let id = &gateway.facts.id;
            let interval = gateway.interval().unwrap_or(self.polling.interval);
            let ttl = self.polling.ttl(interval, gateway.timeout);
            let initial = Snapshot::initial(gateway.facts.clone(), ttl);
            let entry = match known_by_id.get(id.as_str()) {
                Some(entry) if !polling_changed && before.get(id.as_str()) == Some(&gateway) => {
                    entries.push(Arc::clone(entry));
                    continue;
                }
                Some(entry) => {
                    entry.board.publish(Arc::new(starting_over(initial, &entry.board.read())));
                    Arc::clone(entry)
                }
                None => Arc::new(Entry::new(id.clone(), Arc::new(Board::new(initial)))),
            };
            to_start.push((index, entry.clone()));
            entries.push(entry);
        }

        gone.iter().for_each(|entry| self.stop_gateway(entry));
        self.directory.replace(entries);
        for (index, entry) in to_start {
            self.start_gateway(index, entry);
        }
    }
}

/// The snapshot of a gateway whose settings changed. It forgets what was read under the old ones; but a
/// gateway that asked for a cool-down gets its rest, unless another one answers now. Its units keep their
/// numbers.
fn starting_over(initial: Snapshot, before: &Snapshot) -> Snapshot {
    let address = |snapshot: &Snapshot| (snapshot.gateway.host.clone(), snapshot.gateway.port);
    let is_quiet = before.health.cooldown_until.is_some_and(|until| Instant::now() < until);
    let silent = is_quiet && address(&initial) == address(before);
    let health = if silent { before.health.clone() } else { initial.health };
    let numbering = before.numbering.clone();
    Snapshot { sequence: before.sequence + 1, health, numbering, ..initial }
}

impl Actor for Supervisor {
    type Context = Context<Self>;

    fn started(&mut self, _: &mut Self::Context) {
        self.start_aggregator();
        self.configure(self.polling.clone());
    }
}

impl Handler<Configure> for Supervisor {
    type Result = ();

    fn handle(&mut self, Configure(gateways, polling): Configure, _: &mut Self::Context) {
        self.configured = gateways;
        self.configure(polling);
    }
}

impl Handler<Found> for Supervisor {
    type Result = ();

    fn handle(&mut self, Found(gateways): Found, _: &mut Self::Context) {
        self.found = gateways;
        self.configure(self.polling.clone());
    }
}

fn by_id(gateways: &[GatewaySettings]) -> HashMap<&str, &GatewaySettings> {
    gateways.iter().map(|gateway| (gateway.facts.id.as_str(), gateway)).collect()
}

#[cfg(test)]
mod tests;
