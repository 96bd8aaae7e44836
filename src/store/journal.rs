//! The journal: what happened, in order, kept over restarts. Knows what an entry looks like and how long it
//! is kept; what is worth an entry is decided by what writes one.

mod waiting;

use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use log::warn;
use rusqlite::types::Value as Sql;
use rusqlite::{Connection, Row, Transaction, params, params_from_iter};
use serde_json::Value;
use tokio::sync::broadcast;

use super::{Database, Durability, Part, Store, StoreError};
use crate::clock::unix_time;
use waiting::Waiting;

/// Entries of one kind that are kept. Each kind has its own, so that a link that flaps cannot push out
/// orders.
const MOST_OF_A_KIND: u32 = 10_000;
/// Orders, and outcomes, that are kept: an order to several gateways is one for each, and what was ordered
/// within a day must be known.
const MOST_ORDERS: u32 = 100_000;
/// Older ones are removed, in seconds: 400 days, so that a year can be compared with the one before.
const LONGEST: f64 = 400.0 * 86_400.0;
/// Entries that are removed for their age at once: a wall clock that jumps ahead must not empty the journal.
const REMOVED_AT_ONCE: u32 = 500;
/// Bytes of the detail of one entry.
const LARGEST_DETAIL: usize = 4 << 10;
/// Entries that wait for who follows the journal.
const MOST_NEWS: usize = 256;
/// Entries that one reading brings.
const MOST_READ: usize = 1_000;

/// What kind of thing happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A change was asked of a gateway; written before it is sent.
    Order,
    /// What became of an order.
    Outcome,
    /// A lease holds, or how it ended.
    Lease,
    /// A gateway became unreachable, or reachable again.
    Outage,
    /// The home was cut off from the grid, or connected to it again.
    Grid,
    /// A gateway reports an alert, or no longer.
    Alert,
    /// A gateway reports other firmware than before.
    Firmware,
    /// Another link took over.
    Link,
    /// The grid's operator began to use the battery, or ended it.
    GridServices,
    /// The battery became low while the home was cut off from the grid, or is not any more.
    LowCharge,
}

impl Kind {
    pub const ALL: [Self; 10] = [
        Self::Order,
        Self::Outcome,
        Self::Lease,
        Self::Outage,
        Self::Grid,
        Self::Alert,
        Self::Firmware,
        Self::Link,
        Self::GridServices,
        Self::LowCharge,
    ];

    /// As it is written in the file and in documents.
    pub fn name(self) -> &'static str {
        match self {
            Self::Order => "order",
            Self::Outcome => "outcome",
            Self::Lease => "lease",
            Self::Outage => "outage",
            Self::Grid => "grid",
            Self::Alert => "alert",
            Self::Firmware => "firmware",
            Self::Link => "link",
            Self::GridServices => "grid_services",
            Self::LowCharge => "low_charge",
        }
    }
}

impl FromStr for Kind {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|kind| kind.name() == text).ok_or(())
    }
}

/// One entry of a journal. Later entries have larger ones; none is given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId(pub i64);

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub kind: Kind,
    /// The id of the gateway; `None`: the program itself.
    pub gateway: Option<String>,
    /// Unix seconds on the wall clock. The order of entries is that of their ids, whatever the clock did.
    pub at: f64,
    /// The entry that this one belongs to, such as the order of an outcome.
    pub about: Option<EntryId>,
    /// The facts. Never a secret; at most 4 KiB of JSON.
    pub detail: Value,
}

impl Entry {
    /// Something that happened to `gateway` just now.
    pub fn new(kind: Kind, gateway: &str, detail: Value) -> Self {
        Self { kind, gateway: Some(gateway.to_owned()), at: unix_time(), about: None, detail }
    }

    /// The same, as a part of what `entry` began.
    pub fn about(self, entry: EntryId) -> Self {
        Self { about: Some(entry), ..self }
    }
}

/// An entry as it is in the journal.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    /// While the file cannot be written, the id of an entry that waits for it may change once more.
    pub id: EntryId,
    pub entry: Entry,
}

/// Which entries to read. The default is the newest ones of everything.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    /// Ids. Empty: all gateways, and the program itself.
    pub gateways: Vec<String>,
    /// Empty: all kinds.
    pub kinds: Vec<Kind>,
    /// From here on, Unix seconds.
    pub since: Option<f64>,
    /// Up to here, exclusive.
    pub until: Option<f64>,
    /// Older than this one: where a former reading ended.
    pub before: Option<EntryId>,
    /// What belongs to one of these. Empty: whatever it belongs to.
    pub about: Vec<EntryId>,
    /// What names this order in its detail.
    pub order: Option<String>,
    /// How many; `None`, and at most: 1,000.
    pub limit: Option<usize>,
}

impl Filter {
    fn limit(&self) -> usize {
        self.limit.unwrap_or(MOST_READ).min(MOST_READ)
    }

    fn takes(&self, Recorded { id, entry }: &Recorded) -> bool {
        let is_of = |gateway: &String| self.gateways.contains(gateway);
        (self.gateways.is_empty() || entry.gateway.as_ref().is_some_and(is_of))
            && (self.kinds.is_empty() || self.kinds.contains(&entry.kind))
            && self.since.is_none_or(|since| entry.at >= since)
            && self.until.is_none_or(|until| entry.at < until)
            && self.before.is_none_or(|before| *id < before)
            && (self.about.is_empty() || entry.about.is_some_and(|about| self.about.contains(&about)))
            && self.order.as_ref().is_none_or(|order| entry.detail["order"].as_str() == Some(order))
    }
}

/// Why an entry is not in the journal, or the journal cannot be read.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum JournalError {
    /// With [`StoreError::Late`] the entry may still be written; after any other error it is not.
    #[error("the journal: {0}")]
    Store(#[from] StoreError),
    #[error("the journal: an entry of {0} bytes is too large")]
    TooLarge(usize),
}

/// Writes and reads the journal. A handle: clones share one journal.
#[derive(Clone)]
pub struct Journal {
    /// `None`: entries live in memory, the newest thousand of them.
    store: Option<Store>,
    /// What is not in the file yet; without a file, everything.
    waiting: Arc<Mutex<Waiting>>,
    /// For those who want to know of entries as they come.
    news: broadcast::Sender<Entry>,
}

impl Journal {
    fn new(store: Option<Store>, waiting: Arc<Mutex<Waiting>>) -> Self {
        Self { store, waiting, news: broadcast::channel(MOST_NEWS).0 }
    }

    /// Entries from now on. Whoever takes too long misses the oldest ones and gets to know it.
    pub fn follow(&self) -> broadcast::Receiver<Entry> {
        self.news.subscribe()
    }

    /// A journal that ends with the program, for when no file is configured and for tests.
    pub fn in_memory() -> Self {
        Self::new(None, Arc::default())
    }

    /// The journal in the file of `store`.
    pub fn kept_in(store: &Store) -> Self {
        let waiting = Arc::<Mutex<Waiting>>::default();
        store.attach(Keeper { waiting: waiting.clone() });
        Self::new(Some(store.clone()), waiting)
    }

    /// Whether entries outlive the program.
    pub fn is_kept(&self) -> bool {
        self.store.is_some()
    }

    /// Writes `entry` and waits until it is on the disk, so that it survives even a power failure.
    ///
    /// # Errors
    /// If it cannot be written: whatever had to be recorded first must not be done.
    pub async fn record(&self, entry: Entry) -> Result<EntryId, JournalError> {
        check_size(&entry)?;
        let (waiting, news) = (self.waiting.clone(), entry.clone());
        let written = match &self.store {
            Some(store) => store.ask(move |database| write(database, &waiting, Some(&entry))).await,
            None => Ok(Some(self.waiting().push(entry))),
        };
        // Who had no place may come again with the same.
        if written != Err(StoreError::Busy) {
            // Nobody may be listening.
            let _ = self.news.send(news);
        }
        Ok(written?.unwrap_or(EntryId(0)))
    }

    /// Writes `entry` soon. Never waits: while the file cannot be written, the newest thousand entries wait
    /// in memory.
    pub fn note(&self, entry: Entry) {
        if let Err(error) = check_size(&entry) {
            let gateway = entry.gateway.as_deref().unwrap_or_default();
            warn!(gateway = gateway, event = "journal"; "gateway {gateway}: {error}");
            return;
        }
        let _ = self.news.send(entry.clone());
        let is_first = {
            let mut waiting = self.waiting();
            waiting.push(entry);
            !std::mem::replace(&mut waiting.announced, true)
        };
        if let Some(store) = self.store.as_ref().filter(|_| is_first) {
            let waiting = self.waiting.clone();
            let announced = store.post(move |database| {
                lock(&waiting).announced = false;
                // Has been logged; what could not be written goes on waiting.
                let _ = write(database, &waiting, None);
            });
            // A store that is this busy writes what waits when it has caught up.
            self.waiting().announced &= announced.is_ok();
        }
    }

    /// The entries that `filter` takes, newest first.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub async fn read(&self, filter: &Filter) -> Result<Vec<Recorded>, JournalError> {
        let Some(store) = &self.store else { return Ok(self.waiting().read(filter)) };
        let (waiting, filter) = (self.waiting.clone(), filter.clone());
        Ok(store.ask(move |database| read(database, &waiting, &filter)).await?)
    }

    /// At most `most` entries behind `last`, the oldest first. With a file, only what is in it: their ids do
    /// not change any more.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub async fn after(&self, last: EntryId, most: usize) -> Result<Vec<Recorded>, JournalError> {
        let Some(store) = &self.store else { return Ok(self.waiting().after(last, most)) };
        let waiting = self.waiting.clone();
        let read = move |database: &mut Database| {
            // Has been logged; what could not be written comes later.
            let _ = write(database, &waiting, None);
            database.read(|connection| read_after(connection, last, most))
        };
        Ok(store.ask(read).await?)
    }

    /// Writes what waits, as far as it can be written, before the program ends.
    pub async fn flush(&self) {
        if let Some(store) = &self.store {
            let waiting = self.waiting.clone();
            // Has been logged.
            let _ = store.ask(move |database| write(database, &waiting, None)).await;
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        lock(&self.waiting)
    }
}

/// What the store does for the journal by itself.
struct Keeper {
    waiting: Arc<Mutex<Waiting>>,
}

impl Part for Keeper {
    fn tidy(&mut self, database: &mut Database) {
        // Both have been logged, and are tried again with the next round.
        let _ = write(database, &self.waiting, None);
        let _ = prune(database, &self.waiting);
    }
}

fn lock(waiting: &Mutex<Waiting>) -> MutexGuard<'_, Waiting> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

fn check_size(entry: &Entry) -> Result<(), JournalError> {
    let bytes = entry.detail.to_string().len();
    if bytes > LARGEST_DETAIL { Err(JournalError::TooLarge(bytes)) } else { Ok(()) }
}

/// Writes everything that waits, and then `entry`, for whose id somebody waits.
fn write(
    database: &mut Database,
    waiting: &Mutex<Waiting>,
    entry: Option<&Entry>,
) -> Result<Option<EntryId>, StoreError> {
    if entry.is_none() && lock(waiting).is_empty() {
        return Ok(None);
    }
    let durability = if entry.is_some() { Durability::PowerFailure } else { Durability::Crash };
    let (last, id) = database.write(durability, |change| {
        let (batch, id) = lock(waiting).batch(last_id(change)?, entry.is_some());
        for recorded in &batch {
            insert(change, recorded.id, &recorded.entry)?;
        }
        if let (Some(id), Some(entry)) = (id, entry) {
            insert(change, id, entry)?;
        }
        Ok((id.or(batch.last().map(|recorded| recorded.id)), id))
    })?;
    if let Some(last) = last {
        lock(waiting).written(last, entry.is_some());
    }
    Ok(id)
}

/// The largest id that was ever given in this file.
fn last_id(connection: &Connection) -> rusqlite::Result<i64> {
    let query = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'journal'";
    connection.query_row(query, [], |row| row.get(0))
}

fn insert(change: &Transaction<'_>, EntryId(id): EntryId, entry: &Entry) -> rusqlite::Result<()> {
    let query = "INSERT INTO journal (id, at, gateway, kind, about, detail) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    let about = entry.about.map(|EntryId(id)| id);
    let detail = entry.detail.to_string();
    let values = params![id, entry.at, entry.gateway, entry.kind.name(), about, detail];
    change.prepare_cached(query)?.execute(values).map(|_| ())
}

fn read(
    database: &mut Database,
    waiting: &Mutex<Waiting>,
    filter: &Filter,
) -> Result<Vec<Recorded>, StoreError> {
    let (query, values) = query(filter);
    let written = database.read(|connection| {
        lock(waiting).continue_after(last_id(connection)?);
        let mut statement = connection.prepare_cached(&query)?;
        let rows = statement.query_map(params_from_iter(&values), recorded)?;
        rows.filter_map(Result::transpose).collect::<rusqlite::Result<Vec<_>>>()
    })?;
    let mut entries = lock(waiting).read(filter);
    entries.extend(written);
    entries.truncate(filter.limit());
    Ok(entries)
}

/// What this version does not know is passed over.
fn read_after(connection: &Connection, last: EntryId, most: usize) -> rusqlite::Result<Vec<Recorded>> {
    let known: Vec<String> = Kind::ALL.iter().map(|kind| format!("'{}'", kind.name())).collect();
    let query = format!(
        "SELECT id, at, gateway, kind, about, detail FROM journal
         WHERE id > ?1 AND kind IN ({}) ORDER BY id LIMIT ?2",
        known.join(", ")
    );
    let mut statement = connection.prepare_cached(&query)?;
    let rows = statement.query_map(params![last.0, most as i64], recorded)?;
    rows.filter_map(Result::transpose).collect()
}

/// SQL for what `filter` takes, and its parameters.
fn query(filter: &Filter) -> (String, Vec<Sql>) {
    let mut conditions = Vec::new();
    let mut values: Vec<Sql> = Vec::new();
    let mut condition = |text: &str, value: Option<Sql>| {
        if let Some(value) = value {
            conditions.push(text.to_owned());
            values.push(value);
        }
    };
    condition("at >= ?", filter.since.map(Sql::from));
    condition("at < ?", filter.until.map(Sql::from));
    condition("id < ?", filter.before.map(|EntryId(id)| id.into()));
    condition("json_extract(detail, '$.order') = ?", filter.order.clone().map(Sql::from));
    let mut one_of = |column: &str, list: Vec<Sql>| {
        if !list.is_empty() {
            conditions.push(format!("{column} IN ({})", vec!["?"; list.len()].join(", ")));
            values.extend(list);
        }
    };
    one_of("kind", filter.kinds.iter().map(|kind| kind.name().to_owned().into()).collect());
    one_of("gateway", filter.gateways.iter().cloned().map(Sql::from).collect());
    one_of("about", filter.about.iter().map(|EntryId(id)| (*id).into()).collect());
    let conditions = if conditions.is_empty() { "true".to_owned() } else { conditions.join(" AND ") };
    let limit = filter.limit();
    let columns = "id, at, gateway, kind, about, detail";
    let query = format!("SELECT {columns} FROM journal WHERE {conditions} ORDER BY id DESC LIMIT {limit}");
    (query, values)
}

/// A row; `None` if it is of a kind that this version does not know.
fn recorded(row: &Row<'_>) -> rusqlite::Result<Option<Recorded>> {
    let Ok(kind) = row.get_ref(3)?.as_str().unwrap_or_default().parse() else { return Ok(None) };
    let detail = serde_json::from_str(row.get_ref(5)?.as_str().unwrap_or_default()).unwrap_or_default();
    let about: Option<i64> = row.get(4)?;
    let entry = Entry { kind, gateway: row.get(2)?, at: row.get(1)?, about: about.map(EntryId), detail };
    Ok(Some(Recorded { id: EntryId(row.get(0)?), entry }))
}

/// Removes what is too old or too much, after every so many entries.
fn prune(database: &mut Database, waiting: &Mutex<Waiting>) -> Result<(), StoreError> {
    if !lock(waiting).is_prune_due() {
        return Ok(());
    }
    let most = |kind| match kind {
        Kind::Order | Kind::Outcome => MOST_ORDERS,
        _ => MOST_OF_A_KIND,
    };
    prune_to(database, most, unix_time() - LONGEST)?;
    lock(waiting).pruned();
    Ok(())
}

fn prune_to(database: &mut Database, most: fn(Kind) -> u32, oldest: f64) -> Result<(), StoreError> {
    database.write(Durability::Crash, |change| {
        let too_many = "DELETE FROM journal WHERE kind = ?1 AND id <= \
             (SELECT id FROM journal WHERE kind = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)";
        for kind in Kind::ALL {
            change.execute(too_many, params![kind.name(), most(kind)])?;
        }
        let too_old =
            "DELETE FROM journal WHERE id IN (SELECT id FROM journal WHERE at < ?1 ORDER BY id LIMIT ?2)";
        change.execute(too_old, params![oldest, REMOVED_AT_ONCE]).map(|_| ())
    })
}

#[cfg(test)]
mod tests;
