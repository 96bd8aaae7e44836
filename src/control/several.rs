//! One order to several gateways: who may, what would become of it at each, that it is given to each once,
//! and what became of it. What becomes of one of the orders is decided where that of any order is.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::ledger::{self, Digest, Former, KEPT, Repeated};
use super::{Asker, Control, Errand, Placed, Rejected, has_role_for};
use crate::clock::unix_time;
use crate::directory::Entry;
use crate::gateway::foresight::{Foresee, Foreseen, Foresight};
use crate::gateway::messages::Receipt;
use crate::model::order::{Islanding, Request, Whole};
use crate::model::{ErrorNote, Order, OrderId, Standing};
use crate::settings::Token;
use crate::store::journal::{EntryId, JournalError};

/// Gateways that are given their order, until it is written down, or asked what would become of it, at the
/// same time.
const AT_ONCE: usize = 16;
/// An actor that does not say within this what would become of an order is busy.
const FORESEEN_WITHIN: Duration = Duration::from_secs(5);
/// Orders of batches that are kept, for as long as their keys are; more are not taken.
const MOST_KEPT: usize = 50_000;

/// One order to several gateways.
pub struct Batch {
    pub id: OrderId,
    /// The word of its kind.
    pub order: String,
    /// See [`Order::value`].
    pub value: Value,
    pub asked_by: Option<String>,
    /// Unix seconds.
    pub asked_at: f64,
    since: Instant,
    sites: Vec<Site>,
    /// How many of them do not wait for their order any more.
    given: watch::Sender<usize>,
}

/// The order to one of the gateways.
struct Site {
    gateway: String,
    fate: Mutex<Fate>,
}

/// What became of it as far as is known here.
#[derive(Clone)]
enum Fate {
    /// It was not given yet.
    Waits,
    Rejected(String),
    /// By the gateway's actor, for good.
    TurnedAway(watch::Receiver<Standing>),
    Given {
        id: OrderId,
        standing: watch::Receiver<Standing>,
    },
    /// By a former run of the program.
    Former {
        id: OrderId,
        entry: EntryId,
    },
}

/// How the order to one gateway stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The id of the gateway.
    pub gateway: String,
    /// `None`: there is none, because it was not taken, or not yet.
    pub order: Option<OrderId>,
    /// The word of the outcome; `None`: it waits, or is under way.
    pub outcome: Option<String>,
    pub evidence: Option<String>,
    pub is_final: bool,
}

/// The batches of a day.
#[derive(Default)]
pub(super) struct Several {
    /// The newest last.
    kept: Mutex<VecDeque<Arc<Batch>>>,
}

/// Whether a batch is new.
pub enum Begun {
    /// To be given now, see [`Control::give_all`].
    Now(Arc<Batch>, Giving),
    /// Given before, with the same key.
    Before(Arc<Batch>),
}

/// What [`Control::give_all`] does.
pub struct Giving {
    gateways: Vec<Arc<Entry>>,
    request: Request,
    token: Arc<Token>,
    part_of: Whole,
}

impl Control {
    /// Whether the holder of `token` may order this of these gateways.
    ///
    /// # Errors
    /// If it may not, with all the gateways that it may not order it of.
    pub fn may_order(
        &self,
        gateways: &[Arc<Entry>],
        request: &Request,
        token: &Token,
    ) -> Result<(), Rejected> {
        has_role_for(token, request.order.kind())?;
        let out_of_reach: Vec<&str> =
            gateways.iter().map(|gateway| gateway.id.as_str()).filter(|id| !token.reaches(id)).collect();
        if !out_of_reach.is_empty() {
            return Err(Rejected::NotFor(out_of_reach.join(", ")));
        }
        match request.order {
            Order::Islanding(Islanding::OffGrid) => Err(Rejected::OneAtATime),
            _ => Ok(()),
        }
    }

    /// What would become of `request` at each of `gateways`, in their order. Sends nothing.
    pub async fn foresee(&self, gateways: &[Arc<Entry>], request: &Request) -> Vec<Foreseen> {
        let each = gateways.iter().map(|gateway| self.foresee_one(gateway, request));
        stream::iter(each).buffered(AT_ONCE).collect().await
    }

    async fn foresee_one(&self, gateway: &Entry, request: &Request) -> Foreseen {
        let refused = |rejected: Rejected| Foreseen {
            would: Foresight::Refused(ErrorNote { kind: "rejected", message: rejected.to_string() }),
            now: None,
        };
        let Some(addr) = gateway.addr() else { return refused(Rejected::NoActor) };
        let foreseen = timeout(FORESEEN_WITHIN, addr.send(Foresee(request.clone()))).await;
        let Ok(Ok(mut foreseen)) = foreseen else { return refused(Rejected::NoActor) };
        if let Some(wait) = self.by_gateway.pause(&gateway.id, Instant::now()) {
            foreseen.would = refused(Rejected::TooMany { wait, per: "gateway" }).would;
        }
        foreseen
    }

    /// Takes an order to several gateways, once for each key of a token.
    ///
    /// # Errors
    /// If the asker may not, not yet, or has no key.
    pub async fn begin(
        &self,
        gateways: Vec<Arc<Entry>>,
        request: Request,
        asker: Asker,
    ) -> Result<Begun, Rejected> {
        let Asker { token, client, key } = asker;
        self.may_order(&gateways, &request, &token)?;
        let key = key.ok_or(Rejected::NoKey)?.bind(&token.name);
        let part_of = Whole { key, body: body_of(&gateways, &request) };
        let (id, repeated) = (OrderId::new(key), self.ledger.open(key, part_of.body).await?);
        let mut kept = self.several.kept();
        match (&repeated, kept.iter().find(|batch| batch.id == id)) {
            (Repeated::Before(_), Some(batch)) => return Ok(Begun::Before(batch.clone())),
            // By a former run of the program, which may not have come to all of them.
            (Repeated::Before(_), None) => {}
            (Repeated::First(_), _) => kept.retain(|batch| batch.id != id),
        }
        let held: usize = kept.iter().map(|batch| batch.sites.len()).sum();
        if held + gateways.len() > MOST_KEPT {
            return Err(Rejected::NoLedger(format!("{MOST_KEPT} orders to several gateways within a day")));
        }
        client.map_or(Ok(()), |client| self.admit_client(client))?;
        let batch = Arc::new(Batch::new(&gateways, &request, &token, part_of));
        kept.push_back(batch.clone());
        if let Repeated::First(ticket) = repeated {
            ticket.close(id);
        }
        Ok(Begun::Now(batch, Giving { gateways, request, token, part_of }))
    }

    /// Gives the orders of `batch`. Must not be dropped half way: those left would wait for ever.
    pub async fn give_all(&self, batch: &Batch, giving: Giving) {
        let former = self.ledger.former(giving.part_of.key).await.ok().flatten();
        let each = giving.gateways.iter().zip(&batch.sites);
        let all = stream::iter(each).for_each_concurrent(AT_ONCE, |(gateway, site)| async {
            let placed = self.give_one(gateway, &giving).await;
            let receipt = match &placed {
                Ok(Placed::Now(receipt)) => Some(receipt.clone()),
                _ => None,
            };
            *site.fate() = self.fate(&gateway.id, placed, former);
            batch.given.send_modify(|given| *given += 1);
            // The journal has room for so many at a time.
            if let Some(mut receipt) = receipt {
                receipt.is_written_down().await;
            }
        });
        all.await;
    }

    async fn give_one(&self, gateway: &Entry, giving: &Giving) -> Result<Placed, Rejected> {
        let Giving { request, token, part_of, .. } = giving;
        let key = ledger::digest(&[&part_of.key.to_be_bytes(), gateway.id.as_bytes()]);
        let errand = Errand { token, key: Some(key), client: None, part_of: Some(*part_of) };
        self.give(gateway, request.clone(), errand).await
    }

    fn fate(&self, gateway: &str, placed: Result<Placed, Rejected>, former: Option<&Former>) -> Fate {
        let id = match placed {
            Ok(Placed::Now(Receipt { id, standing, is_taken: true, .. })) => {
                return Fate::Given { id, standing };
            }
            Ok(Placed::Now(Receipt { standing, .. })) => return Fate::TurnedAway(standing),
            Ok(Placed::Before(id)) => id,
            Err(rejected) => return Fate::Rejected(rejected.to_string()),
        };
        if let Some(receipt) = self.ordered.receipt(id) {
            return Fate::Given { id, standing: receipt.standing };
        }
        let is_it = |order: &&ledger::FormerOrder| order.gateway == gateway && order.id == id;
        match former.and_then(|former| former.orders.iter().find(is_it)) {
            Some(order) => Fate::Former { id, entry: order.entry },
            None => Fate::Rejected("It was ordered before, and the journal has it no more".into()),
        }
    }

    /// The batch `id`, of this run or a former one.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub async fn batch(&self, id: OrderId) -> Result<Option<Arc<Batch>>, Rejected> {
        if let Some(batch) = self.several.kept().iter().find(|batch| batch.id == id) {
            return Ok(Some(batch.clone()));
        }
        let former = self.ledger.former(id.bits()).await?;
        Ok(former.map(|former| Arc::new(Batch::of_former(id, former))))
    }

    /// How the orders of `batch` stand that `token` may see.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub async fn rows(&self, batch: &Batch, token: &Token) -> Result<Vec<Row>, JournalError> {
        let seen: Vec<(&str, Fate)> = batch
            .sites
            .iter()
            .filter(|site| token.reaches(&site.gateway))
            .map(|site| (site.gateway.as_str(), site.fate().clone()))
            .collect();
        let entries: Vec<EntryId> = seen.iter().filter_map(|(_, fate)| fate.entry()).collect();
        let outcomes = self.ordered.outcomes(&entries).await?;
        Ok(seen.into_iter().map(|(gateway, fate)| fate.row(gateway, &outcomes)).collect())
    }
}

impl Batch {
    fn new(gateways: &[Arc<Entry>], request: &Request, token: &Token, part_of: Whole) -> Self {
        let site = |gateway: &Arc<Entry>| Site { gateway: gateway.id.clone(), fate: Mutex::new(Fate::Waits) };
        Self {
            id: OrderId::new(part_of.key),
            order: request.order.kind().word().to_owned(),
            value: request.order.value(),
            asked_by: Some(token.name.clone()),
            asked_at: unix_time(),
            since: Instant::now(),
            sites: gateways.iter().map(site).collect(),
            given: watch::channel(0).0,
        }
    }

    fn of_former(id: OrderId, former: &Former) -> Self {
        let detail = &former.first.entry.detail;
        let text = |key: &str| detail[key].as_str().map(str::to_owned);
        let sites = former.orders.iter().map(|order| Site {
            gateway: order.gateway.clone(),
            fate: Mutex::new(Fate::Former { id: order.id, entry: order.entry }),
        });
        Self {
            id,
            order: text("kind").unwrap_or_default(),
            value: detail["value"].clone(),
            asked_by: text("asked_by"),
            asked_at: former.first.entry.at,
            since: Instant::now(),
            given: watch::channel(former.orders.len()).0,
            sites: sites.collect(),
        }
    }

    /// Waits until none of the gateways waits for its order, or for `patience`.
    pub async fn is_given(&self, patience: Duration) {
        let mut given = self.given.subscribe();
        // However the waiting ended, what stands there now is the answer.
        let _ = timeout(patience, given.wait_for(|given| *given >= self.sites.len())).await.is_ok();
    }
}

impl Site {
    fn fate(&self) -> MutexGuard<'_, Fate> {
        self.fate.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Fate {
    fn entry(&self) -> Option<EntryId> {
        match self {
            Self::Former { entry, .. } => Some(*entry),
            _ => None,
        }
    }

    fn row(self, gateway: &str, outcomes: &HashMap<EntryId, Value>) -> Row {
        let row = |order| Row {
            gateway: gateway.to_owned(),
            order,
            outcome: None,
            evidence: None,
            is_final: false,
        };
        let standing = |standing: watch::Receiver<Standing>, order| {
            let Standing { outcome, is_final } = standing.borrow().clone();
            let evidence = outcome.as_ref().map(|outcome| outcome.evidence().to_owned());
            let outcome = outcome.map(|outcome| outcome.word().to_owned());
            Row { outcome, evidence, is_final, ..row(order) }
        };
        match self {
            Self::Waits => row(None),
            Self::Rejected(why) => {
                Row { outcome: Some("not_sent".into()), evidence: Some(why), is_final: true, ..row(None) }
            }
            Self::TurnedAway(turned_away) => standing(turned_away, None),
            Self::Given { id, standing: given } => standing(given, Some(id)),
            Self::Former { id, entry } => {
                let outcome = outcomes.get(&entry).unwrap_or(&Value::Null);
                let text = |key: &str| outcome[key].as_str().map(str::to_owned);
                Row {
                    outcome: text("outcome"),
                    evidence: text("evidence"),
                    is_final: outcome["final"] == true,
                    ..row(Some(id))
                }
            }
        }
    }
}

impl Several {
    /// Those whose keys still stand for them.
    fn kept(&self) -> MutexGuard<'_, VecDeque<Arc<Batch>>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        while kept.front().is_some_and(|batch| batch.since.elapsed() >= KEPT) {
            kept.pop_front();
        }
        kept
    }
}

/// What is asked, of which gateways, whatever their order.
fn body_of(gateways: &[Arc<Entry>], request: &Request) -> Digest {
    let mut each: Vec<[u8; 16]> =
        gateways.iter().map(|gateway| ledger::body(&gateway.id, request).to_be_bytes()).collect();
    each.sort_unstable();
    let parts: Vec<&[u8]> = each.iter().map(<[u8; 16]>::as_slice).collect();
    ledger::digest(&parts)
}
