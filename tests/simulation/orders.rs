//! Orders in a simulated house: who asks for what, what arrives at the gateways, and whether each outcome is
//! true.
//!
//! Every order of a gateway asks for another value, so that what arrives can be distinguished.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::LocalBoxFuture;
use powerwall_server::directory::Directory;
use powerwall_server::gateway::leases::{LeaseEvent, LeaseNews};
use powerwall_server::gateway::messages::CarryOut;
use powerwall_server::gateway::order_book::{Change, Left};
use powerwall_server::gateway::order_log::{JournalLog, OrderLog, OrderRecord};
use powerwall_server::gateway::orders::OrderIds;
use powerwall_server::link::https::{Answer, Call};
use powerwall_server::link::tedapi::wire::{Envelope, Files, Frame};
use powerwall_server::link::v1r::message::{BUSY, Routable, UNIT_TIMEOUT, UNKNOWN_KEY};
use powerwall_server::model::{AppPercent, Order, OrderId, Outcome, Reserve, Standing};
use powerwall_server::simulator::OrderFault;
use powerwall_server::store;
use prost::Message;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::defects::Defect;
use crate::options::{Event, SECOND};
use crate::signed::SIGNED;
use crate::world::World;

/// Values differ by this much at least, on the raw scale.
const CLOSE: f64 = 0.01;
/// A journal that does not answer by then is given up.
const SLOW_JOURNAL: Duration = Duration::from_secs(60);
/// After this long without trouble, every order has had its last word.
const LAST_WORD: Duration = Duration::from_secs(900);
/// After its end and this long without trouble, every lease has ended in one of three ways.
const LEASE_ENDS: Duration = Duration::from_secs(3600 + 900);
/// Raw percent that are no change: half a point of the app's.
const NO_CHANGE: f64 = 0.5 * 0.95 + 0.001;

/// What a gateway says of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    Yes,
    No,
    /// That it did nothing, and why it might next time.
    NotExecuted,
    /// Nothing, or nothing that can be read.
    Nothing,
}

/// What becomes of one order.
#[derive(Debug)]
struct Ordered {
    /// Raw scale, worked out here once more.
    raw: f64,
    id: Option<OrderId>,
    /// Of the lease that it ends, raw scale: what was set, as far as that is known.
    restores: Option<f64>,
    /// Whether the program was killed since, so that nobody follows it but the journal.
    is_orphan: bool,
    asked: Instant,
    recorded: bool,
    /// What each answer to it said.
    answers: Vec<Said>,
    is_final: bool,
}

/// A lease as the journal has it.
#[derive(Debug)]
struct Leased {
    order: OrderId,
    /// Raw scale.
    raw: f64,
    former: f64,
    due: Instant,
    restores: u32,
    has_ended: bool,
}

/// Everything about the orders of one gateway.
#[derive(Debug, Default)]
pub struct Ledger {
    ordered: Vec<Ordered>,
    leases: Vec<Leased>,
    /// What readings have shown, and when: raw scale.
    shown: Vec<(Instant, f64)>,
    /// The configuration that was read last, and when.
    config: Option<(Instant, String)>,
    /// Since when nothing is wrong with the gateway.
    well_since: Option<Instant>,
}

/// What orders there are, beside everything else that a seed brings.
pub fn plan(seed: u64, length: u64, may_be_killed: bool) -> Vec<(Duration, Event)> {
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
                let order = match rng.random_bool(0.4) {
                    true => Event::Lease(site, percent, rng.random_range(60..1200)),
                    false => Event::Order(site, percent),
                };
                events.push((when + SECOND / 10 * (number % 10), order));
            }
            if rng.random_bool(0.15) {
                let later = when + SECOND * rng.random_range(10..400);
                events
                    .push((later, Event::Somebody(site, f64::from(rng.random_range(0..1000)) / 10.0 + 0.05)));
            }
            if may_be_killed && site == 0 && rng.random_bool(0.15) {
                events.push((when + Duration::from_millis(rng.random_range(0..5000)), Event::Killed));
            }
            at += rng.random_range(60..900);
        }
    }
    events
}

fn fault(rng: &mut StdRng) -> Option<OrderFault> {
    match rng.random_range(0..10) {
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

/// Whether `shown` is what a gateway makes of `set`, raw scale: an app percent of 81 to 99 is stored as 80.
fn is_no_change(set: f64, shown: f64) -> bool {
    const EIGHTY: f64 = 80.0 * 0.95 + 5.0;
    let is_cut = set > EIGHTY + NO_CHANGE && set < 100.0 - NO_CHANGE;
    (shown - set).abs() < NO_CHANGE || is_cut && (shown - EIGHTY).abs() < NO_CHANGE
}

impl Ledger {
    fn of(&mut self, raw: f64) -> Option<&mut Ordered> {
        // A restored value is one that was ordered before.
        self.ordered.iter_mut().rev().find(|ordered| (ordered.raw - raw).abs() < CLOSE)
    }

    /// An order arrives at the gateway; `mode`: the one that the gateway has.
    pub fn arrives(&mut self, body: &[u8], mode: &str) -> Result<(), String> {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let raw = body["backup_reserve_percent"].as_f64().unwrap_or(f64::NAN);
        if body["real_mode"] != mode || body.as_object().is_none_or(|members| members.len() != 2) {
            return Err(format!("an order changes more than it should: {body}"));
        }
        self.arrives_with(raw)
    }

    /// A signed order arrives; `limit`: of one exchange.
    pub fn arrives_signed(&mut self, body: &Bytes, now: Instant, limit: Duration) -> Result<(), String> {
        let blob = signed_config(body).ok_or("an order without a configuration")?;
        let blob = String::from_utf8(blob.to_vec()).map_err(|_| "an order with what is not text")?;
        let Some((read, before)) = &self.config else {
            return Err("an order is sent without reading the configuration".into());
        };
        if now - *read > limit {
            return Err(format!("an order builds on a configuration that was read {:?} ago", now - *read));
        }
        let (head, tail) = around_reserve(before).ok_or("the configuration has no reserve")?;
        let raw = blob.strip_prefix(head).and_then(|rest| rest.strip_suffix(tail));
        let Some(raw) = raw.and_then(|raw| raw.parse().ok()) else {
            return Err(format!("another byte of the configuration is changed: {blob}"));
        };
        self.arrives_with(raw)
    }

    fn arrives_with(&mut self, raw: f64) -> Result<(), String> {
        let lately = Instant::now() - SECOND * 20;
        let shown: Vec<f64> =
            self.shown.iter().filter(|(at, _)| *at >= lately).map(|(_, raw)| *raw).collect();
        let Some(ordered) = self.of(raw) else {
            return Err(format!("nobody ordered a reserve of {raw} on the gateway's scale"));
        };
        if !ordered.recorded {
            return Err("an order is sent that is not in the journal".into());
        }
        let may_arrive = match ordered.answers.as_slice() {
            [] => true,
            // It said that it did nothing.
            [Said::NotExecuted] => true,
            _ => false,
        };
        if !may_arrive {
            return Err(format!("an order reaches the gateway again after {:?}", ordered.answers));
        }
        let is_own = |leased: f64| shown.iter().any(|raw| is_no_change(leased, *raw));
        if ordered.restores.is_some_and(|leased| !is_own(leased)) {
            return Err(format!("a lease ends over what somebody else has set: {shown:?}"));
        }
        ordered.answers.push(Said::Nothing);
        Ok(())
    }

    /// A lease begins, or ends.
    fn lease(&mut self, news: &LeaseNews, now: Instant) -> Result<(), String> {
        let LeaseNews { order, event } = news;
        let lease = self.leases.iter_mut().find(|lease| lease.order == *order);
        match (event, lease) {
            (LeaseEvent::Holds { former }, Some(lease)) => {
                lease.former = former.reserve.map_or(f64::NAN, |reserve| reserve.raw().0);
                Ok(())
            }
            (LeaseEvent::Ended(_), Some(lease)) if lease.has_ended => {
                Err(format!("the lease of order {order} ends a second time: {event:?}"))
            }
            (LeaseEvent::Ended(end), Some(lease)) => {
                lease.has_ended = true;
                // The journal took a moment.
                let since = lease.due - SECOND;
                let (former, is_restored) = (lease.former, end.word() == "restored");
                let mut shown = self.shown.iter().filter(|(at, _)| *at >= since && *at <= now);
                match is_restored && !shown.any(|(_, raw)| (raw - former).abs() < NO_CHANGE) {
                    true => Err(format!("a lease is called {end:?}, and nobody has seen {former}")),
                    false => Ok(()),
                }
            }
            (_, None) => Err(format!("nobody gave the lease of order {order}")),
        }
    }

    /// The program was killed: nobody follows the orders that it knew of. What the journal does not have was
    /// not sent, and nobody says more about it.
    pub fn killed(&mut self) {
        for ordered in self.ordered.iter_mut().filter(|ordered| !ordered.is_final) {
            ordered.is_orphan = true;
            ordered.is_final = !ordered.recorded;
        }
    }

    /// The gateway answers an order.
    pub fn answered(&mut self, call: &Call, answer: &Answer) {
        let is_signed = call.path == SIGNED;
        let raw = match is_signed {
            true => signed_config(&call.body).and_then(|blob| reserve_in(&blob)),
            false => {
                let body: Value = serde_json::from_slice(&call.body).unwrap_or_default();
                body["backup_reserve_percent"].as_f64()
            }
        };
        let said = match answer.status {
            401 => Said::NotExecuted,
            400..500 => Said::No,
            200..300 if is_signed => said(&answer.body),
            200..300 => Said::Yes,
            _ => Said::Nothing,
        };
        if let Some(last) = raw.and_then(|raw| self.of(raw)?.answers.last_mut()) {
            *last = said;
        }
    }

    /// A reading shows the configuration.
    pub fn shows_config(&mut self, body: &Bytes, is_signed: bool, now: Instant) {
        let envelope = match is_signed {
            true => Routable::decode(body.clone()).map(|answer| answer.envelope),
            false => Frame::decode(body.clone()).map(|answer| answer.envelope),
        };
        let files = envelope.ok().and_then(|envelope| Envelope::decode(envelope).ok()?.files);
        let Some(file) = files.and_then(|files| files.read_response?.file) else { return };
        if let Some(raw) = reserve_in(&file.blob) {
            self.shown.push((now, raw));
        }
        self.config = String::from_utf8(file.blob.to_vec()).ok().map(|config| (now, config));
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
                !answers.is_empty() && answers.iter().all(|said| matches!(said, Said::No | Said::NotExecuted))
            }
            Outcome::Accepted(_) => answers.last() == Some(&Said::Yes),
            Outcome::Stored(_) => was_seen(),
            // No reading shows it.
            Outcome::InEffect(_) => false,
            Outcome::Unknown(_) => !matches!(answers.last(), Some(Said::Yes | Said::No)),
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
        let overdue = |lease: &&Leased| !lease.has_ended && now > lease.due + LEASE_ENDS;
        if let Some(lease) = self.leases.iter().find(overdue).filter(|_| now - since > LEASE_ENDS) {
            return Err(format!("a lease never ended: {lease:?}"));
        }
        match self.ordered.iter().find(late) {
            Some(ordered) if now - since > LAST_WORD => {
                Err(format!("an order never had its last word: {ordered:?}"))
            }
            _ => Ok(()),
        }
    }
}

/// The configuration in a signed order.
fn signed_config(body: &Bytes) -> Option<Bytes> {
    let envelope = Envelope::decode(Routable::decode(body.clone()).ok()?.envelope).ok()?;
    Some(envelope.files?.update_request?.file?.blob)
}

fn reserve_in(config: &[u8]) -> Option<f64> {
    let config: Value = serde_json::from_slice(config).ok()?;
    config["site_info"]["backup_reserve_percent"].as_f64()
}

/// What stands before and after the reserve. The simulator's configuration has that name once.
fn around_reserve(config: &str) -> Option<(&str, &str)> {
    const LEAF: &str = "\"backup_reserve_percent\":";
    let start = config.find(LEAF)? + LEAF.len();
    let length = config[start..].find([',', '}'])?;
    Some((&config[..start], &config[start + length..]))
}

/// What the answer to a signed order says.
fn said(body: &Bytes) -> Said {
    let Ok(answer) = Routable::decode(body.clone()) else { return Said::Nothing };
    if body.windows(12).any(|window| window == b"not verified") {
        return Said::No;
    }
    match answer.status.map_or(0, |status| status.fault) {
        0 => {}
        BUSY | UNIT_TIMEOUT | UNKNOWN_KEY => return Said::Nothing,
        _ => return Said::No,
    }
    let Ok(envelope) = Envelope::decode(answer.envelope) else { return Said::Nothing };
    let error = envelope.common.and_then(|common| common.error?.status);
    match (error.map(|error| error.code), envelope.files) {
        (Some(10), _) => Said::NotExecuted,
        (Some(_), _) => Said::No,
        (None, Some(Files { update_response: Some(_), .. })) => Said::Yes,
        _ => Said::Nothing,
    }
}

/// Ids of orders that follow from the seed.
pub fn ids(seed: u64) -> OrderIds {
    let rng = Mutex::new(StdRng::seed_from_u64(seed));
    OrderIds::from(move || rng.lock().unwrap().random())
}

/// Asks for a reserve, and follows what becomes of it.
pub fn give(world: &Arc<World>, directory: &Directory, site: usize, percent: f64, lease: Option<Duration>) {
    let Some(addr) = directory.entries()[site].addr() else { return };
    let order = Order::Reserve(Reserve::new(AppPercent(percent)).unwrap());
    let at = {
        let ordered = &mut world.site(site).orders.ordered;
        let raw = percent / 100.0 * 95.0 + 5.0;
        ordered.push(Ordered {
            raw,
            id: None,
            restores: None,
            is_orphan: false,
            asked: Instant::now(),
            recorded: false,
            answers: Vec::new(),
            is_final: false,
        });
        ordered.len() - 1
    };
    let world = world.clone();
    tokio::task::spawn_local(async move {
        let receipt = addr
            .send(CarryOut { order, lease, confirmed: false, asked_by: percent.to_string(), mark: None })
            .await;
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
            // The program may have been killed.
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
    world: Arc<World>,
    /// What is really written down.
    inner: JournalLog,
    defect: Option<Defect>,
}

impl Journal {
    pub fn new(world: Arc<World>, defect: Option<Defect>) -> Self {
        Self { world, inner: JournalLog::new(store::journal::Journal::in_memory()), defect }
    }
}

fn site_of(gateway: &str) -> usize {
    usize::from(gateway.bytes().last().unwrap() - b'0')
}

fn raw_of(order: &Order) -> f64 {
    order.setpoint().unwrap().reserve.unwrap().raw().0
}

impl Ledger {
    /// The journal has an order.
    fn recorded(&mut self, record: &OrderRecord, now: Instant) {
        let raw = raw_of(&record.order);
        if let Some(lease) = record.restores {
            let lease = self.leases.iter_mut().find(|leased| leased.order == lease);
            let leased = lease.map(|lease| {
                lease.restores += 1;
                lease.raw
            });
            self.ordered.push(Ordered {
                raw,
                id: Some(record.id),
                restores: leased,
                is_orphan: true,
                asked: now,
                recorded: true,
                answers: Vec::new(),
                is_final: false,
            });
        } else if let Some(ordered) = self.of(raw) {
            ordered.recorded = true;
            // Its receipt may still be on the way.
            ordered.id = Some(record.id);
        }
        if let Some(terms) = &record.terms {
            let former = terms.former.reserve.map_or(f64::NAN, |reserve| reserve.raw().0);
            let (order, due) = (record.id, now + terms.lasts);
            self.leases.push(Leased { order, raw, former, due, restores: 0, has_ended: false });
        }
    }

    /// The journal has what became of an order.
    fn became(&mut self, change: &Change) -> Result<(), String> {
        if change.is_final && matches!(change.outcome, Outcome::NotSent(_) | Outcome::Refused(_)) {
            // There is no lease of what was not done.
            self.leases.retain(|lease| lease.order != change.id);
        }
        let Some(at) = self.ordered.iter().position(|ordered| ordered.id == Some(change.id)) else {
            return Ok(());
        };
        if !self.ordered[at].is_orphan {
            return Ok(());
        }
        let standing = Standing { outcome: Some(change.outcome.clone()), is_final: change.is_final };
        // Of what it had answered before the program was killed, nobody knows.
        let is_forgotten = matches!(&change.outcome, Outcome::Unknown(note) if note.kind == "restarted");
        let kept = if is_forgotten { Ok(()) } else { self.is_true(&self.ordered[at], &standing) };
        self.ordered[at].is_final |= change.is_final;
        let restores = self.leases.iter().find(|lease| lease.restores > 5);
        restores.map_or(kept, |lease| Err(format!("a lease is restored too often: {lease:?}")))
    }
}

impl OrderLog for Journal {
    fn record(&self, record: OrderRecord) -> LocalBoxFuture<'static, Result<(), String>> {
        let (world, defect) = (self.world.clone(), self.defect);
        let site = site_of(&record.gateway);
        let written = self.inner.record(record.clone());
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
                (false, _) if defect == Some(Defect::OrdersUnrecorded) => Ok(()),
                (false, _) => {
                    let _ = written.await;
                    world.site(site).orders.recorded(&record, Instant::now());
                    Ok(())
                }
            }
        })
    }

    fn note(&self, gateway: &str, change: &Change) {
        self.inner.note(gateway, change);
        let site = site_of(gateway);
        let kept = self.world.site(site).orders.became(change);
        self.world.demand(site, kept);
    }

    fn note_lease(&self, gateway: &str, news: &LeaseNews) {
        self.inner.note_lease(gateway, news);
        let site = site_of(gateway);
        self.world.count(match &news.event {
            LeaseEvent::Holds { .. } => "lease holds",
            LeaseEvent::Ended(end) => end.word(),
        });
        let kept = self.world.site(site).orders.lease(news, Instant::now());
        self.world.demand(site, kept);
    }

    fn recall(&self, gateway: &str) -> LocalBoxFuture<'static, Result<Left, String>> {
        let (left, defect) = (self.inner.recall(gateway), self.defect);
        Box::pin(async move {
            sleep(SECOND / 10).await;
            match defect {
                Some(Defect::ForgetsOrders) => Ok(Left::default()),
                _ => left.await,
            }
        })
    }
}
