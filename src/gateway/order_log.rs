//! Where orders and what became of them are written down: in the journal, before they are sent and after each
//! change.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use serde_json::json;
use tokio::time::sleep;

use super::leases::{LeaseEvent, LeaseNews, Terms};
use super::order_book::{Change, Left};
use super::recall;
use crate::clock::unix_time;
use crate::model::order::Mark;
use crate::model::{Order, OrderId};
use crate::store::StoreError;
use crate::store::journal::{Entry, EntryId, Filter, Journal, JournalError, Kind, Recorded};

/// Characters of a text in an entry: what a gateway says may be long.
const LONGEST_TEXT: usize = 1000;
/// When a journal that had no place for an order is asked again.
const NO_PLACE: Duration = Duration::from_millis(50);
/// Entries that are read at the start; a gateway that has more of them within a month is not looked through
/// any further.
const MOST_RECALLED: usize = 30_000;

/// An order as it is written down before it is sent.
#[derive(Clone, Debug)]
pub struct OrderRecord {
    pub id: OrderId,
    /// Id of the gateway.
    pub gateway: String,
    pub order: Order,
    /// How long it is to hold, if not for good, and what is restored then.
    pub terms: Option<Terms>,
    /// The order whose lease has ended and whose former state this restores.
    pub restores: Option<OrderId>,
    /// For people; never a secret.
    pub asked_by: String,
    /// How it is known again if it is asked a second time.
    pub mark: Option<Mark>,
}

/// Where orders and what became of them are written down.
pub trait OrderLog: Send + Sync {
    /// Resolves once the record would survive this program.
    fn record(&self, record: OrderRecord) -> LocalBoxFuture<'static, Result<(), String>>;

    /// Notes what became of an order. Must not block.
    fn note(&self, gateway: &str, change: &Change);

    /// Notes that a lease holds, or how it ended. Must not block.
    fn note_lease(&self, _gateway: &str, _news: &LeaseNews) {}

    /// What earlier runs of the program left of a gateway's orders.
    fn recall(&self, _gateway: &str) -> LocalBoxFuture<'static, Result<Left, String>> {
        Box::pin(async { Ok(Left::default()) })
    }
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
            let OrderRecord { id, order, terms, restores, asked_by, mark, .. } = &record;
            let detail = json!({
                "order": id.to_string(), "kind": order.kind().word(), "value": order.value(),
                "unit": order.unit(), "lease": terms.as_ref().map(|terms| terms.lasts.as_secs()),
                "former": terms.as_ref().map(|terms| terms.former.value()),
                "restores": restores.map(|order| order.to_string()), "asked_by": short(asked_by),
                "mark": mark.as_ref().map(Mark::value),
            });
            let entry = Entry::new(Kind::Order, &record.gateway, detail);
            // The start of a fleet fills the journal. For how long an order waits is for the actor to say.
            let entry = loop {
                match journal.record(entry.clone()).await {
                    Err(JournalError::Store(StoreError::Busy)) => sleep(NO_PLACE).await,
                    recorded => break recorded,
                }
            };
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

    fn note_lease(&self, gateway: &str, LeaseNews { order, event }: &LeaseNews) {
        let detail = match event {
            LeaseEvent::Holds { former } => {
                json!({ "order": order.to_string(), "state": "holds", "former": former.value() })
            }
            LeaseEvent::Ended(end) => json!({
                "order": order.to_string(), "state": end.word(), "evidence": short(end.evidence()),
            }),
        };
        self.journal.note(Entry::new(Kind::Lease, gateway, detail));
    }

    fn recall(&self, gateway: &str) -> LocalBoxFuture<'static, Result<Left, String>> {
        let (journal, open, gateway) = (self.journal.clone(), self.open.clone(), gateway.to_owned());
        Box::pin(async move {
            let entries = entries(&journal, gateway).await.map_err(|error| error.to_string())?;
            let (left, unfinished) = recall::left(&entries, unix_time());
            lock(&open).extend(unfinished);
            Ok(left)
        })
    }
}

/// The entries about the orders of `gateway` that may still matter, the newest first.
async fn entries(journal: &Journal, gateway: String) -> Result<Vec<Recorded>, JournalError> {
    let kinds = vec![Kind::Order, Kind::Outcome, Kind::Lease];
    let since = Some(unix_time() - recall::REACH);
    let mut filter = Filter { gateways: vec![gateway], kinds, since, ..Filter::default() };
    let mut entries = Vec::new();
    loop {
        let page = journal.read(&filter).await?;
        filter.before = page.last().map(|last| last.id);
        let is_last = page.is_empty() || entries.len() >= MOST_RECALLED;
        entries.extend(page);
        if is_last {
            return Ok(entries);
        }
    }
}

fn short(text: &str) -> String {
    text.chars().take(LONGEST_TEXT).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::set_unix_time;
    use crate::model::order::{Islanding, LeaseEnd, Mode};
    use crate::model::{AppPercent, ErrorNote, Outcome, Reserve};

    #[actix_web::test]
    async fn an_order_and_what_became_of_it_stand_in_the_journal_together() {
        let journal = Journal::in_memory();
        let log = JournalLog::new(journal.clone());
        let (id, order) = (OrderId::new(7), Order::Reserve(Reserve::new(AppPercent(33.0)).unwrap()));
        let (gateway, asked_by) = ("home".to_owned(), "a person".to_owned());
        let (terms, restores, mark) = (None, None, None);
        let record = OrderRecord { id, gateway, order: order.clone(), terms, restores, asked_by, mark };
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

    fn reserve(app: f64) -> Order {
        Order::Reserve(Reserve::new(AppPercent(app)).unwrap())
    }

    fn record(id: u128, order: Order, lease: Option<u64>, restores: Option<u128>) -> OrderRecord {
        OrderRecord {
            id: OrderId::new(id),
            gateway: "home".into(),
            terms: lease.map(|seconds| Terms {
                lasts: Duration::from_secs(seconds),
                former: reserve(20.0).setpoint().unwrap(),
            }),
            restores: restores.map(OrderId::new),
            order,
            mark: None,
            asked_by: "a person".into(),
        }
    }

    fn outcome(id: u128, outcome: Outcome, is_final: bool) -> Change {
        Change { id: OrderId::new(id), order: reserve(0.0), outcome, is_final }
    }

    #[tokio::test(start_paused = true)]
    async fn what_an_earlier_run_left_is_recalled_from_the_journal() {
        set_unix_time(1_000_000.0);
        let journal = Journal::in_memory();
        let log = JournalLog::new(journal.clone());
        let not_sent = Outcome::NotSent(ErrorNote { kind: "busy", message: String::new() });
        for (record, change) in [
            (record(1, reserve(30.0), None, None), Some(outcome(1, Outcome::Stored("".into()), true))),
            (record(2, reserve(80.0), Some(3600), None), Some(outcome(2, Outcome::Stored("".into()), true))),
            (record(3, Order::Islanding(Islanding::OnGrid), None, None), None),
            (
                record(4, Order::Islanding(Islanding::OffGrid), None, None),
                Some(outcome(4, not_sent.clone(), true)),
            ),
            (record(5, Order::Mode(Mode::Backup), None, None), Some(outcome(5, not_sent, false))),
        ] {
            log.record(record).await.unwrap();
            change.into_iter().for_each(|change| log.note("home", &change));
        }
        log.record(OrderRecord { gateway: "barn".into(), ..record(6, reserve(50.0), None, None) })
            .await
            .unwrap();
        set_unix_time(1_000_600.0);

        let again = JournalLog::new(journal.clone());
        let left = again.recall("home").await.unwrap();
        let unfinished: Vec<OrderId> = left.unfinished.iter().map(|(id, _)| *id).collect();
        assert_eq!(unfinished, [OrderId::new(3), OrderId::new(5)]);
        assert_eq!(left.islanded, Some(Duration::from_secs(600)), "of the one that may have left");
        let [lease] = left.leases.as_slice() else { panic!("{left:?}") };
        assert_eq!(
            (lease.order, lease.left, lease.attempts),
            (OrderId::new(2), Duration::from_secs(3000), 0)
        );
        // What becomes of them now is about the same entry.
        again.note("home", &outcome(3, Outcome::InEffect("".into()), true));
        let newest = journal.read(&Filter::default()).await.unwrap().remove(0);
        assert!(newest.entry.about.is_some());

        // While it is restored.
        log.record(record(7, reserve(20.0), None, Some(2))).await.unwrap();
        let lease = again.recall("home").await.unwrap().leases.remove(0);
        assert_eq!((lease.attempts, lease.by), (1, Some(OrderId::new(7))));
        // A clock that was set back makes it no longer than it was.
        set_unix_time(900_000.0);
        assert_eq!(again.recall("home").await.unwrap().leases[0].left, Duration::from_secs(3600));
        set_unix_time(1_000_600.0);
        let end = LeaseEvent::Ended(LeaseEnd::Restored("".into()));
        log.note_lease("home", &LeaseNews { order: OrderId::new(2), event: end });
        assert!(again.recall("home").await.unwrap().leases.is_empty());
    }

    #[actix_web::test]
    async fn a_later_order_ends_a_lease_for_the_next_run_as_well() {
        let log = JournalLog::new(Journal::in_memory());
        log.record(record(1, reserve(80.0), Some(3600), None)).await.unwrap();
        assert_eq!(log.recall("home").await.unwrap().leases.len(), 1, "it may have left");
        log.record(record(2, reserve(30.0), None, None)).await.unwrap();
        assert!(log.recall("home").await.unwrap().leases.is_empty());
    }
}
