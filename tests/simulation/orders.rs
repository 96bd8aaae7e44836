//! Orders in a simulated house: who asks for what, what arrives at the gateways, and whether each outcome is true.
//!
//! Every order of a gateway asks for another value, so that what arrives can be told apart.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use powerwall_server::directory::Directory;
use powerwall_server::gateway::messages::CarryOut;
use powerwall_server::gateway::order_book::Change;
use powerwall_server::gateway::order_log::{OrderLog, OrderRecord};
use powerwall_server::model::{AppPercent, Order, OrderId, Outcome, RawPercent, Reserve, Standing};
use powerwall_server::simulator::OrderFault;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::options::{Event, SECOND};
use crate::world::World;

/// Values differ by this much at least, on the raw scale.
const CLOSE: f64 = 0.01;
/// A journal that does not answer by then is given up.
const SLOW_JOURNAL: Duration = Duration::from_secs(60);
/// After this long without trouble, every order has had its last word.
const LAST_WORD: Duration = Duration::from_secs(600);

/// What becomes of one order.
#[derive(Debug)]
struct Ordered {
    /// Raw scale, worked out here once more.
    raw: f64,
    id: Option<OrderId>,
    asked: Instant,
    recorded: bool,
    /// The status of each answer to it; `None`: the answer never came, or said nothing.
    answers: Vec<Option<u16>>,
    is_final: bool,
}

/// Everything about the orders of one gateway.
#[derive(Debug, Default)]
pub struct Ledger {
    ordered: Vec<Ordered>,
    /// What readings have shown, and when: raw scale.
    shown: Vec<(Instant, f64)>,
    /// Since when nothing is wrong with the gateway.
    well_since: Option<Instant>,
}

/// What orders there are, beside everything else that a seed brings.
pub fn plan(seed: u64, length: u64) -> Vec<(Duration, Event)> {
    let mut rng = StdRng::seed_from_u64(seed ^ 0x0_0de4);
    let mut events = Vec::new();
    for site in 0..3 {
        let (mut at, mut number) = (rng.random_range(5..300), 0_u32);
        while at < length {
            let when = Duration::from_millis(at * 1000 + rng.random_range(0..1000));
            if rng.random_bool(0.5) {
                events.push((when, Event::OrderFault(site, fault(&mut rng))));
            }
            // Now and then several at once.
            for _ in 0..if rng.random_bool(0.1) { 3 } else { 1 } {
                number += 1;
                let percent = f64::from((number * 73) % 1001) / 10.0;
                events.push((when + SECOND / 10 * (number % 10), Event::Order(site, percent)));
            }
            at += rng.random_range(60..900);
        }
    }
    events
}

fn fault(rng: &mut StdRng) -> Option<OrderFault> {
    match rng.random_range(0..9) {
        0 => Some(OrderFault::Ignored),
        1 => Some(OrderFault::Late(SECOND * rng.random_range(1..200))),
        2 => Some(OrderFault::WithoutEffect),
        3 => Some(OrderFault::Refused),
        4 => Some(OrderFault::Unauthorized(rng.random_range(1..3))),
        5 => Some(OrderFault::Conflict(rng.random_range(1..3))),
        6 => Some(OrderFault::Unacknowledged),
        _ => None,
    }
}

impl Ledger {
    fn of(&mut self, raw: f64) -> Option<&mut Ordered> {
        self.ordered.iter_mut().find(|ordered| (ordered.raw - raw).abs() < CLOSE)
    }

    /// An order arrives at the gateway; `mode`: the one that the gateway has.
    pub fn arrives(&mut self, body: &[u8], mode: &str) -> Result<(), String> {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let raw = body["backup_reserve_percent"].as_f64().unwrap_or(f64::NAN);
        if body["real_mode"] != mode || body.as_object().is_none_or(|members| members.len() != 2) {
            return Err(format!("an order changes more than it should: {body}"));
        }
        let Some(ordered) = self.of(raw) else {
            return Err(format!("nobody ordered a reserve of {raw} on the gateway's scale"));
        };
        if !ordered.recorded {
            return Err("an order is sent that is not in the journal".into());
        }
        let may_arrive = match ordered.answers.as_slice() {
            [] => true,
            // It said that it did nothing.
            [Some(401)] => true,
            _ => false,
        };
        if !may_arrive {
            return Err(format!("an order reaches the gateway again after {:?}", ordered.answers));
        }
        ordered.answers.push(None);
        Ok(())
    }

    /// The gateway answers the order that arrived last.
    pub fn answered(&mut self, body: &[u8], status: u16) {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        if let Some(ordered) = body["backup_reserve_percent"].as_f64().and_then(|raw| self.of(raw))
            && let Some(last) = ordered.answers.last_mut()
        {
            *last = Some(status);
        }
    }

    /// A reading shows the reserve that is stored.
    pub fn shows(&mut self, body: &[u8], now: Instant) {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        if let Some(raw) = body["backup_reserve_percent"].as_f64() {
            self.shown.push((now, raw));
        }
    }

    /// Whether what is said about an order is true.
    fn is_true(&self, ordered: &Ordered, standing: &Standing) -> Result<(), String> {
        let Some(outcome) = &standing.outcome else { return Ok(()) };
        let answers = &ordered.answers;
        let was_seen = || {
            let since = self.shown.iter().filter(|(at, _)| *at >= ordered.asked);
            since.into_iter().any(|(_, raw)| (raw - ordered.raw).abs() < CLOSE)
        };
        let holds = match outcome {
            Outcome::NotSent(_) => answers.is_empty(),
            Outcome::Refused(_) => {
                !answers.is_empty()
                    && answers.iter().all(|status| status.is_some_and(|status| (400..500).contains(&status)))
            }
            Outcome::Accepted(_) => matches!(answers.last(), Some(Some(200))),
            Outcome::Stored(_) => was_seen(),
            // No reading of the customer API shows it.
            Outcome::InEffect(_) => false,
            Outcome::Unknown(_) => !matches!(answers.last(), Some(Some(200 | 403 | 404))),
        };
        match holds {
            true => Ok(()),
            false => Err(format!("an order is called {outcome:?}; its answers were {answers:?}")),
        }
    }

    /// Whether an order is still without its last word for no reason.
    pub fn check(&mut self, is_well: bool, now: Instant) -> Result<(), String> {
        let since = *self.well_since.get_or_insert(now);
        if !is_well {
            self.well_since = None;
            return Ok(());
        }
        let late = |ordered: &&Ordered| !ordered.is_final && now - ordered.asked > LAST_WORD;
        match self.ordered.iter().find(late) {
            Some(ordered) if now - since > LAST_WORD => {
                Err(format!("an order never had its last word: {ordered:?}"))
            }
            _ => Ok(()),
        }
    }
}

/// Asks for a reserve, and follows what becomes of it.
pub fn give(world: &Arc<World>, directory: &Directory, site: usize, percent: f64) {
    let Some(addr) = directory.entries()[site].addr() else { return };
    let order = Order::Reserve(Reserve::new(AppPercent(percent)).unwrap());
    let at = {
        let ordered = &mut world.site(site).orders.ordered;
        let raw = percent / 100.0 * 95.0 + 5.0;
        ordered.push(Ordered {
            raw,
            id: None,
            asked: Instant::now(),
            recorded: false,
            answers: Vec::new(),
            is_final: false,
        });
        ordered.len() - 1
    };
    let world = world.clone();
    tokio::task::spawn_local(async move {
        let receipt = addr.send(CarryOut { order, asked_by: percent.to_string() }).await;
        // An actor that dies with the message in its mailbox has done nothing about it.
        let Ok(receipt) = receipt else {
            world.site(site).orders.ordered[at].is_final = true;
            return;
        };
        world.site(site).orders.ordered[at].id = Some(receipt.id);
        let mut standing = receipt.standing;
        loop {
            let now = standing.borrow_and_update().clone();
            let kept = {
                let ledger = &mut world.site(site).orders;
                let kept = ledger.is_true(&ledger.ordered[at], &now);
                let is_over = std::mem::replace(&mut ledger.ordered[at].is_final, now.is_final);
                if is_over { Err(format!("an order had its last word before {now:?}")) } else { kept }
            };
            if let Some(outcome) = &now.outcome {
                world.count(word(outcome));
            }
            world.demand(site, kept);
            if standing.changed().await.is_err() {
                break;
            }
        }
    });
}

/// As in the list of what must be seen.
fn word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::NotSent(_) => "order not sent",
        Outcome::Refused(_) => "order refused",
        Outcome::Accepted(_) => "order accepted",
        Outcome::Stored(_) => "order stored",
        Outcome::InEffect(_) => "order in effect",
        Outcome::Unknown(_) => "order unknown",
    }
}

/// A journal that takes its time, and now and then takes nothing.
pub struct Journal {
    pub world: Arc<World>,
    /// Whether it says yes and writes nothing down.
    pub lies: bool,
}

impl OrderLog for Journal {
    fn record(&self, record: OrderRecord) -> LocalBoxFuture<'static, Result<(), String>> {
        let (world, lies) = (self.world.clone(), self.lies);
        let site = usize::from(record.gateway.bytes().last().unwrap() - b'0');
        let percent: f64 = record.asked_by.parse().unwrap();
        Box::pin(async move {
            let (takes, refuses) = {
                let rng = &mut world.site(site).rng;
                (rng.random_range(0..100), rng.random_bool(0.05))
            };
            sleep(Duration::from_millis(takes)).await;
            match (refuses, takes) {
                (true, 0..50) => Err("the disk is full".into()),
                (true, _) => {
                    sleep(SLOW_JOURNAL).await;
                    Ok(())
                }
                (false, _) if lies => Ok(()),
                (false, _) => {
                    let RawPercent(raw) = AppPercent(percent).to_raw();
                    if let Some(ordered) = world.site(site).orders.of(raw) {
                        ordered.recorded = true;
                    }
                    Ok(())
                }
            }
        })
    }

    fn note(&self, _: &str, _: &Change) {}
}
