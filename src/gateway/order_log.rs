//! Where orders and what became of them are written down: in the journal, before they are sent and after each
//! change.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use serde_json::json;

use super::order_book::Change;
use crate::model::{Order, OrderId};
use crate::store::journal::{Entry, EntryId, Journal, Kind};

/// Characters of a text in an entry: what a gateway says may be long.
const LONGEST_TEXT: usize = 1000;

/// An order as it is written down before it is sent.
#[derive(Clone, Debug)]
pub struct OrderRecord {
    pub id: OrderId,
    /// Id of the gateway.
    pub gateway: String,
    pub order: Order,
    /// How long it is to hold, if not for good.
    pub lease: Option<Duration>,
    /// For people; never a secret.
    pub asked_by: String,
}

/// Where orders and what became of them are written down.
pub trait OrderLog: Send + Sync {
    /// Resolves once the record would survive this program.
    fn record(&self, record: OrderRecord) -> LocalBoxFuture<'static, Result<(), String>>;

    /// Notes what became of an order. Must not block.
    fn note(&self, gateway: &str, change: &Change);
}

/// Nothing is written down, so that nothing is sent.
pub struct NoOrderLog;

impl OrderLog for NoOrderLog {
    fn record(&self, _: OrderRecord) -> LocalBoxFuture<'static, Result<(), String>> {
        Box::pin(async { Err("there is no journal".into()) })
    }

    fn note(&self, _: &str, _: &Change) {}
}

/// Writes orders into the journal.
pub struct JournalLog {
    journal: Journal,
    /// The entries of orders that have not had their last word. As many as all books hold, which is bounded.
    open: Arc<Mutex<HashMap<OrderId, EntryId>>>,
}

impl JournalLog {
    pub fn new(journal: Journal) -> Self {
        Self { journal, open: Arc::default() }
    }

    fn open(&self) -> MutexGuard<'_, HashMap<OrderId, EntryId>> {
        lock(&self.open)
    }
}

fn lock(open: &Mutex<HashMap<OrderId, EntryId>>) -> MutexGuard<'_, HashMap<OrderId, EntryId>> {
    open.lock().unwrap_or_else(PoisonError::into_inner)
}

impl OrderLog for JournalLog {
    fn record(&self, record: OrderRecord) -> LocalBoxFuture<'static, Result<(), String>> {
        let (journal, open) = (self.journal.clone(), self.open.clone());
        Box::pin(async move {
            let OrderRecord { id, order, lease, asked_by, .. } = &record;
            let detail = json!({
                "order": id.to_string(), "kind": order.kind().word(), "value": order.value(),
                "unit": order.unit(), "lease": lease.map(|lease| lease.as_secs()),
                "asked_by": short(asked_by),
            });
            let entry = journal.record(Entry::new(Kind::Order, &record.gateway, detail)).await;
            lock(&open).insert(record.id, entry.map_err(|error| error.to_string())?);
            Ok(())
        })
    }

    fn note(&self, gateway: &str, change: &Change) {
        let Change { id, outcome, is_final, .. } = change;
        let detail = json!({
            "order": id.to_string(), "outcome": outcome.word(), "evidence": short(outcome.evidence()),
            "final": is_final,
        });
        let entry = Entry::new(Kind::Outcome, gateway, detail);
        let order = match is_final {
            true => self.open().remove(id),
            false => self.open().get(id).copied(),
        };
        self.journal.note(match order {
            Some(order) => entry.about(order),
            None => entry,
        });
    }
}

fn short(text: &str) -> String {
    text.chars().take(LONGEST_TEXT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{AppPercent, ErrorNote, Outcome, Reserve};
    use crate::store::journal::Filter;

    #[actix_web::test]
    async fn an_order_and_what_became_of_it_stand_in_the_journal_together() {
        let journal = Journal::in_memory();
        let log = JournalLog::new(journal.clone());
        let (id, order) = (OrderId::new(7), Order::Reserve(Reserve::new(AppPercent(33.0)).unwrap()));
        let (gateway, asked_by) = ("home".to_owned(), "a person".to_owned());
        let record = OrderRecord { id, gateway, order: order.clone(), lease: None, asked_by };
        log.record(record).await.unwrap();
        let message = "x".repeat(100_000);
        for (outcome, is_final) in [
            (Outcome::Accepted("it says so".into()), false),
            (Outcome::Unknown(ErrorNote { kind: "timeout", message }), true),
        ] {
            log.note("home", &Change { id, order: order.clone(), outcome, is_final });
        }

        let entries = journal.read(&Filter::default()).await.unwrap();
        let [unknown, accepted, ordered] = entries.as_slice() else { panic!("{entries:?}") };
        assert_eq!(ordered.entry.kind, Kind::Order);
        assert_eq!(
            (&ordered.entry.detail["value"], ordered.entry.gateway.as_deref()),
            (&json!(33.0), Some("home"))
        );
        for (outcome, word) in [(accepted, "accepted"), (unknown, "unknown")] {
            assert_eq!((outcome.entry.kind, outcome.entry.about), (Kind::Outcome, Some(ordered.id)));
            assert_eq!(outcome.entry.detail["outcome"], word);
            assert_eq!(outcome.entry.detail["order"], id.to_string());
        }
        assert!(log.open().is_empty());
    }
}
