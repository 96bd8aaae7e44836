//! What is asked twice is done once: which order was given with which key. Kept for a day, over restarts
//! too, because the journal has the key of an order before the order is sent.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ring::digest::{Context, SHA256};
use tokio::sync::{Mutex as AsyncMutex, OnceCell, OwnedMutexGuard};
use tokio::time::Instant;

use super::Rejected;
use crate::clock::unix_time;
use crate::model::OrderId;
use crate::model::order::{Mark, Request, Whole};
use crate::store::journal::{EntryId, Filter, Journal, JournalError, Kind, Recorded};

/// For how long a key stands for one order.
pub(super) const KEPT: Duration = Duration::from_secs(86_400);
/// Keys that are kept; more are not taken. An order to several gateways needs one for each.
const MOST: usize = 80_000;
/// Bytes of a key.
const LONGEST_KEY: usize = 200;

/// What a client calls one order, however often it sends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key(String);

impl Key {
    /// `None` if it is empty, too long, or not visible ASCII.
    pub fn new(text: &str) -> Option<Self> {
        let is_right =
            (1..=LONGEST_KEY).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        is_right.then(|| Self(text.to_owned()))
    }

    /// The key of the token `name`: two clients may choose the same.
    pub(super) fn bind(&self, name: &str) -> Digest {
        digest(&[name.as_bytes(), self.0.as_bytes()])
    }
}

/// Says what two texts have in common and nothing else about them.
pub(super) type Digest = u128;

pub(super) fn digest(parts: &[&[u8]]) -> Digest {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    let hash = context.finish();
    hash.as_ref().iter().take(16).fold(0, |digest, byte| digest << 8 | u128::from(*byte))
}

/// What is asked of which gateway.
pub(super) fn body(gateway: &str, request: &Request) -> Digest {
    let Request { order, lease, confirmed } = request;
    let (kind, value) = (order.kind().word(), order.whole_value().to_string());
    let terms = format!("{:?} {confirmed}", lease.map(|lease| lease.as_secs()));
    digest(&[gateway.as_bytes(), kind.as_bytes(), value.as_bytes(), terms.as_bytes()])
}

/// A key that was used.
#[derive(Clone)]
struct Used {
    body: Digest,
    since: Instant,
    /// The order, once the actor has taken it. Locked by whoever gives it.
    order: Arc<AsyncMutex<Option<OrderId>>>,
}

/// Which keys were used for what.
pub(super) struct Ledger {
    journal: Journal,
    /// By key and token.
    used: Mutex<HashMap<Digest, Used>>,
    /// What former runs of the program ordered of several gateways at once, by key and token.
    recalled: OnceCell<HashMap<Digest, Former>>,
}

/// What a former run of the program ordered of several gateways at once, as far as the journal has it.
#[derive(Clone, Debug)]
pub(super) struct Former {
    /// The first of the orders; what is asked of all of them is the same.
    pub first: Recorded,
    pub orders: Vec<FormerOrder>,
}

/// One of them.
#[derive(Clone, Debug)]
pub(super) struct FormerOrder {
    pub gateway: String,
    pub id: OrderId,
    /// What its outcomes are about.
    pub entry: EntryId,
}

/// Whether a key is new.
pub(super) enum Repeated {
    First(Ticket),
    Before(OrderId),
}

/// A key that nothing was ordered with yet. Others with the same key wait for it.
pub(super) struct Ticket {
    key: Digest,
    body: Digest,
    order: OwnedMutexGuard<Option<OrderId>>,
}

impl Ticket {
    /// For the journal.
    pub fn mark(&self, part_of: Option<Whole>) -> Mark {
        Mark { key: self.key, body: self.body, part_of }
    }

    /// This order was given with it.
    pub fn close(mut self, order: OrderId) {
        *self.order = Some(order);
    }
}

impl Ledger {
    pub fn new(journal: Journal) -> Self {
        Self { journal, used: Mutex::default(), recalled: OnceCell::new() }
    }

    fn used(&self) -> MutexGuard<'_, HashMap<Digest, Used>> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was done with `key`, and the right to do it if nothing was.
    ///
    /// # Errors
    /// If it was used for another body, or nobody knows.
    pub async fn open(&self, key: Digest, body: Digest) -> Result<Repeated, Rejected> {
        self.recalled().await?;
        let used = self.entry(key, body)?;
        if used.body != body {
            return Err(Rejected::KeyReused);
        }
        let order = used.order.lock_owned().await;
        Ok(match *order {
            Some(order) => Repeated::Before(order),
            None => Repeated::First(Ticket { key, body, order }),
        })
    }

    /// What a former run ordered of several gateways with `key`.
    ///
    /// # Errors
    /// If nobody knows.
    pub async fn former(&self, key: Digest) -> Result<Option<&Former>, Rejected> {
        let is_kept = |former: &&Former| unix_time() - former.first.entry.at < KEPT.as_secs_f64();
        Ok(self.recalled().await?.get(&key).filter(is_kept))
    }

    async fn recalled(&self) -> Result<&HashMap<Digest, Former>, Rejected> {
        let unreadable = |error: JournalError| Rejected::NoLedger(error.to_string());
        self.recalled.get_or_try_init(|| self.recall()).await.map_err(unreadable)
    }

    fn entry(&self, key: Digest, body: Digest) -> Result<Used, Rejected> {
        let now = Instant::now();
        let mut all = self.used();
        all.retain(|_, used| now.saturating_duration_since(used.since) < KEPT);
        if all.len() >= MOST && !all.contains_key(&key) {
            return Err(Rejected::NoLedger(format!("{MOST} keys were used within a day")));
        }
        Ok(all.entry(key).or_insert_with(|| Used { body, since: now, order: Arc::default() }).clone())
    }

    /// Reads the keys of the orders of the last day.
    async fn recall(&self) -> Result<HashMap<Digest, Former>, JournalError> {
        let (now, wall) = (Instant::now(), unix_time());
        let since = Some(wall - KEPT.as_secs_f64());
        let mut filter = Filter { kinds: vec![Kind::Order], since, ..Filter::default() };
        let mut wholes = HashMap::new();
        loop {
            let page = self.journal.read(&filter).await?;
            let mut all = self.used();
            for recorded in &page {
                let detail = &recorded.entry.detail;
                let order = detail["order"].as_str().and_then(OrderId::parse);
                let (Some(order), Some(mark)) = (order, Mark::of_value(&detail["mark"])) else { continue };
                let age = Duration::try_from_secs_f64(wall - recorded.entry.at).unwrap_or_default();
                let since = now.checked_sub(age).unwrap_or(now);
                let used = Used { body: mark.body, since, order: Arc::new(AsyncMutex::new(Some(order))) };
                all.entry(mark.key).or_insert(used);
                if let (Some(whole), Some(gateway)) = (mark.part_of, &recorded.entry.gateway) {
                    let former = || Former { first: recorded.clone(), orders: Vec::new() };
                    let former = wholes.entry(whole.key).or_insert_with(former);
                    let batch = Arc::new(AsyncMutex::new(Some(OrderId::new(whole.key))));
                    all.entry(whole.key).or_insert(Used { body: whole.body, since, order: batch });
                    let gateway = gateway.clone();
                    former.orders.push(FormerOrder { gateway, id: order, entry: recorded.id });
                }
            }
            match page.last() {
                Some(last) if all.len() < MOST => filter.before = Some(last.id),
                _ => return Ok(wholes),
            }
        }
    }
}
