//! The history in the file: its tables, what is written into them, for how long it stays, and what can be
//! asked of it. What is worth recording, and what readings mean, is decided by who gives a [`batch`].

pub mod batch;
pub mod checking;
pub(in crate::store) mod costs;
pub mod cursors;
mod days;
pub mod filling;
mod keeping;
mod months;
#[cfg(test)]
mod properties;
pub mod queries;
mod recall;
mod retention;
pub mod signals;
pub(in crate::store) mod tables;
mod writing;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use rusqlite::{Connection, Transaction};

use super::{Database, Durability, Reader, Store, StoreError};
use crate::clock::unix_time;
use batch::Batch;
use cursors::Usage;
pub use keeping::{Keep, Keeping};
pub use recall::Recalled;
use retention::Retention;

/// The history, for who records it and for who asks. A handle: clones share one history.
#[derive(Clone)]
pub struct History {
    /// `None`: there is no file, and nothing is recorded.
    file: Option<File>,
    keeping: Arc<ArcSwap<Keeping>>,
    tally: Arc<Tally>,
}

#[derive(Clone)]
struct File {
    path: PathBuf,
    store: Store,
    reader: Reader,
}

/// How recording goes.
#[derive(Debug, Default)]
pub struct Tally {
    /// How often the file could not be read or written; what could not be written is tried again.
    pub failures: AtomicU64,
    /// Samples that found no room in memory while the file could not be written.
    pub rejections: AtomicU64,
    /// Samples that wait to be written.
    pub waiting: AtomicU64,
    /// Bytes of the file and its log, when it was written last.
    pub bytes: AtomicU64,
    /// Why nothing can be written at present.
    problem: Mutex<Option<String>>,
}

impl Tally {
    /// Why nothing can be written at present, if that is so.
    pub fn problem(&self) -> Option<String> {
        self.problem.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note<T>(&self, outcome: &Result<T, StoreError>) {
        if outcome.is_err() {
            self.failures.fetch_add(1, Ordering::Relaxed);
        }
        let problem = outcome.as_ref().err().map(StoreError::why);
        *self.problem.lock().unwrap_or_else(PoisonError::into_inner) = problem;
    }
}

/// Bytes of the file at `path` and of its log.
fn size(path: &Path) -> u64 {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    let bytes = |path: &Path| std::fs::metadata(path).map_or(0, |found| found.len());
    bytes(path) + bytes(Path::new(&log))
}

impl History {
    /// Nothing is kept.
    pub fn off() -> Self {
        Self { file: None, keeping: Arc::default(), tally: Arc::default() }
    }

    /// The history in the file at `path`, which is written by `store`.
    ///
    /// # Errors
    /// If the system gives no thread for those who ask.
    pub fn kept_in(path: &Path, store: &Store, keeping: &Keeping) -> std::io::Result<Self> {
        let keeping = Arc::new(ArcSwap::from_pointee(keeping.clone()));
        let reader = Reader::of(path.to_owned())?;
        store.attach(Retention::new(keeping.clone()));
        let file = File { path: path.to_owned(), store: store.clone(), reader };
        Ok(Self { file: Some(file), keeping, tally: Arc::default() })
    }

    /// What is kept at present.
    pub fn keeping(&self) -> Arc<Keeping> {
        self.keeping.load_full()
    }

    /// Keeps something else from now on.
    pub fn keep(&self, keeping: Keeping) {
        self.keeping.store(Arc::new(keeping));
    }

    /// Whether anything is recorded.
    pub fn is_on(&self) -> bool {
        self.file.is_some() && self.keeping.load().is_on()
    }

    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// The file, if there is one.
    pub fn path(&self) -> Option<&Path> {
        self.file.as_ref().map(|file| file.path.as_path())
    }

    /// Where a former run ended with the gateway `id`.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub async fn recall(&self, id: &str) -> Result<Recalled, StoreError> {
        let Some(file) = &self.file else { return Ok(Recalled::default()) };
        let id = id.to_owned();
        // By the connection that writes: it makes the tables, and has seen whatever was written last.
        let (path, tally) = (file.path.clone(), self.tally.clone());
        let asking = file.store.ask(move |database| {
            let recalled = database.read(|connection| Recalled::read(connection, &id));
            tally.bytes.store(size(&path), Ordering::Relaxed);
            recalled
        });
        let recalled = asking.await;
        self.tally.note(&recalled);
        recalled
    }

    /// Adds `batch` to the file, unless it is there already.
    ///
    /// # Errors
    /// If it cannot be written. With [`StoreError::Late`] it may be written all the same; giving the same
    /// batch once more is safe after any error.
    pub async fn write(&self, batch: Arc<Batch>) -> Result<(), StoreError> {
        let Some(file) = &self.file else { return Ok(()) };
        let (path, tally) = (file.path.clone(), self.tally.clone());
        let keeping = self.keeping();
        let writing = file.store.ask(move |database| {
            let write = |change: &Transaction<'_>| batch.write(change, unix_time(), &keeping.tariffs);
            let written = database.write(Durability::Crash, write);
            tally.bytes.store(size(&path), Ordering::Relaxed);
            written
        });
        let written = writing.await;
        self.tally.note(&written);
        written
    }

    /// Keeps how far the gateway `id` has come with `peer`, in Unix seconds; `None`: it is finished.
    ///
    /// # Errors
    /// If it cannot be written.
    pub async fn reach(
        &self,
        peer: (Usage, &str),
        id: &str,
        at: impl Into<Option<f64>>,
    ) -> Result<(), StoreError> {
        let Some(file) = &self.file else { return Ok(()) };
        let (usage, peer, id, at) = (peer.0, peer.1.to_owned(), id.to_owned(), at.into());
        let keep = move |database: &mut Database| {
            database.write(Durability::Crash, |change| cursors::reach(change, (usage, &peer), &id, at))
        };
        file.store.ask(keep).await
    }

    /// What `query` finds in the file; its default without a file.
    ///
    /// # Errors
    /// If the file cannot be read, or it takes too long.
    pub async fn ask<T: Default + Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        match &self.file {
            Some(file) => file.reader.ask(query).await,
            None => Ok(T::default()),
        }
    }
}
