//! What was ordered, and how that stands: from the receipts of this run and from the journal.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use crate::clock::unix_time;
use crate::gateway::messages::Receipt;
use crate::model::{OrderId, Standing};
use crate::settings::Token;
use crate::store::journal::{EntryId, Filter, Journal, JournalError, Kind, Recorded};

/// Receipts that are kept; of older orders, the journal knows.
const MOST_KEPT: usize = 256;
/// Orders whose outcomes are read at once: each has a few.
const MOST_AT_ONCE: usize = 100;

/// One order as others see it.
#[derive(Clone, Debug, PartialEq)]
pub struct OrderView {
    pub id: OrderId,
    /// The id of its gateway.
    pub gateway: String,
    /// The word of its kind.
    pub order: String,
    /// See `Order::value`; percents are on the app's scale.
    pub value: Value,
    pub unit: Option<String>,
    /// The name of a token, or what else in the program gave it.
    pub asked_by: Option<String>,
    /// Unix seconds.
    pub asked_at: f64,
    /// Seconds that it holds for; `None`: until somebody changes it.
    pub holds_for: Option<u64>,
    /// The order whose lease it ends.
    pub restores: Option<String>,
    /// The word of the outcome; `None`: it waits, or is under way.
    pub outcome: Option<String>,
    pub evidence: Option<String>,
    pub is_final: bool,
}

impl OrderView {
    pub fn body(&self) -> Value {
        json!({
            "id": self.id.to_string(), "gateway": self.gateway, "order": self.order, "value": self.value,
            "unit": self.unit, "asked_by": self.asked_by, "asked_at": self.asked_at,
            "for_seconds": self.holds_for, "restores": self.restores,
            "outcome": self.outcome.as_deref().unwrap_or("pending"), "evidence": self.evidence,
            "final": self.is_final,
        })
    }

    fn of_entry(recorded: &Recorded) -> Option<Self> {
        let detail = &recorded.entry.detail;
        let text = |key: &str| detail[key].as_str().map(str::to_owned);
        Some(Self {
            id: OrderId::parse(detail["order"].as_str()?)?,
            gateway: recorded.entry.gateway.clone()?,
            order: text("kind")?,
            value: detail["value"].clone(),
            unit: text("unit"),
            asked_by: text("asked_by"),
            asked_at: recorded.entry.at,
            holds_for: detail["lease"].as_u64(),
            restores: text("restores"),
            outcome: None,
            evidence: None,
            is_final: false,
        })
    }

    fn becomes(&mut self, detail: &Value) {
        self.outcome = detail["outcome"].as_str().map(str::to_owned);
        self.evidence = detail["evidence"].as_str().map(str::to_owned);
        self.is_final = detail["final"] == true;
    }

    /// As it stands now.
    pub fn standing(mut self, standing: &Standing) -> Self {
        if let Some(outcome) = &standing.outcome {
            self.outcome = Some(outcome.word().to_owned());
            self.evidence = Some(outcome.evidence().to_owned());
        }
        self.is_final = standing.is_final;
        self
    }
}

/// An order of this run.
struct Kept {
    view: OrderView,
    receipt: Receipt,
}

/// Which orders to read: the newest ones of everything by default.
#[derive(Clone, Debug, Default)]
pub struct Page {
    pub gateways: Vec<String>,
    pub before: Option<EntryId>,
    pub limit: usize,
}

/// Everything that was ordered.
pub struct Ordered {
    journal: Journal,
    /// The newest last.
    kept: Mutex<VecDeque<Kept>>,
}

impl Ordered {
    pub fn new(journal: Journal) -> Self {
        Self { journal, kept: Mutex::default() }
    }

    /// Where it is written down.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    fn kept(&self) -> MutexGuard<'_, VecDeque<Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, gateway: &str, asked_by: &str, lease: Option<Duration>, receipt: &Receipt) {
        let view = OrderView {
            id: receipt.id,
            gateway: gateway.to_owned(),
            order: receipt.order.kind().word().to_owned(),
            value: receipt.order.value(),
            unit: receipt.order.unit().map(str::to_owned),
            asked_by: Some(asked_by.to_owned()),
            asked_at: unix_time(),
            holds_for: lease.map(|lease| lease.as_secs()),
            restores: None,
            outcome: None,
            evidence: None,
            is_final: false,
        };
        let mut kept = self.kept();
        if kept.len() >= MOST_KEPT {
            kept.pop_front();
        }
        kept.push_back(Kept { view, receipt: receipt.clone() });
    }

    /// The receipt of an order of this run.
    pub fn receipt(&self, id: OrderId) -> Option<Receipt> {
        self.kept().iter().find(|kept| kept.view.id == id).map(|kept| kept.receipt.clone())
    }

    /// An order of this run as it stands now.
    fn known(&self, id: OrderId) -> Option<OrderView> {
        let kept = self.kept();
        let Kept { view, receipt } = kept.iter().find(|kept| kept.view.id == id)?;
        Some(view.clone().standing(&receipt.standing.borrow()))
    }

    /// The order `id`, if `token` may see it.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub async fn find(&self, id: OrderId, token: &Token) -> Result<Option<OrderView>, JournalError> {
        let view = match self.known(id) {
            Some(view) => Some(view),
            None => self.recall(id).await?,
        };
        Ok(view.filter(|view| token.reaches(&view.gateway)))
    }

    async fn recall(&self, id: OrderId) -> Result<Option<OrderView>, JournalError> {
        let kinds = vec![Kind::Order, Kind::Outcome];
        let filter = Filter { kinds, order: Some(id.to_string()), ..Filter::default() };
        let entries = self.journal.read(&filter).await?;
        let mut view = entries.iter().rev().find_map(OrderView::of_entry);
        for outcome in entries.iter().rev().filter(|recorded| recorded.entry.kind == Kind::Outcome) {
            view.iter_mut().for_each(|view| view.becomes(&outcome.entry.detail));
        }
        Ok(view)
    }

    /// What the journal says of the orders with these entries, as far as anything became of them.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub(super) async fn outcomes(
        &self,
        entries: &[EntryId],
    ) -> Result<HashMap<EntryId, Value>, JournalError> {
        let mut newest = HashMap::new();
        for about in entries.chunks(MOST_AT_ONCE) {
            let filter = Filter { about: about.to_vec(), kinds: vec![Kind::Outcome], ..Filter::default() };
            for Recorded { entry, .. } in self.journal.read(&filter).await? {
                // The newest comes first.
                entry.about.map(|about| newest.entry(about).or_insert(entry.detail));
            }
        }
        Ok(newest)
    }

    /// The orders of a page, the newest first, and where the next page begins.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub async fn list(&self, page: Page) -> Result<(Vec<OrderView>, Option<EntryId>), JournalError> {
        let Page { gateways, before, limit } = page;
        let kinds = vec![Kind::Order];
        let filter = Filter { gateways, kinds, before, limit: Some(limit), ..Filter::default() };
        let orders = self.journal.read(&filter).await?;
        let about: Vec<EntryId> = orders.iter().map(|recorded| recorded.id).collect();
        let next = about.last().copied().filter(|_| about.len() == limit);
        let outcomes = match about.is_empty() {
            true => Vec::new(),
            false => {
                self.journal.read(&Filter { about, kinds: vec![Kind::Outcome], ..Filter::default() }).await?
            }
        };
        let views = orders.iter().filter_map(|recorded| {
            let mut view = OrderView::of_entry(recorded)?;
            if let Some(now) = self.known(view.id) {
                return Some(now);
            }
            let mut outcomes = outcomes.iter().filter(|outcome| outcome.entry.about == Some(recorded.id));
            // The newest comes first.
            if let Some(outcome) = outcomes.next() {
                view.becomes(&outcome.entry.detail);
            }
            Some(view)
        });
        Ok((views.collect(), next))
    }
}
