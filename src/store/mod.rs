//! One SQLite file, on a thread of its own: nothing that serves anybody waits for a disk.
//!
//! The store opens the file, brings its tables up to date, survives a full or read-only disk and sets a
//! damaged file aside. What the tables hold is the business of its parts: the [`journal`] and the
//! [`history`].

mod backup;
mod beside;
mod database;
pub mod history;
pub mod journal;
mod reader;
mod restore;
mod schema;

use std::panic::{self, AssertUnwindSafe};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

pub use backup::{BackupError, backup};
pub use beside::Beside;
pub use database::{Database, Durability};
use log::error;
pub use reader::Reader;
pub use restore::{RestoreError, Restored, restore};

/// Jobs that wait for the store at most.
const MOST_JOBS: usize = 256;
/// Nobody waits longer for an answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// With nothing to do, parts tidy up this often, and what could not be written is tried again.
const ROUND: Duration = Duration::from_secs(10);
/// A store that is never idle tidies up after so many jobs.
const JOBS_IN_A_ROUND: u32 = 1_000;

/// Why something is not in the store, or cannot be read.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum StoreError {
    #[error("{path} cannot be used: {why}", path = .path.display())]
    Unusable { path: PathBuf, why: String },
    #[error("{path} cannot be written: {why}", path = .path.display())]
    Unwritten { path: PathBuf, why: String },
    #[error(
        "{path} was written by a newer version of this program (schema {version}); it is left alone",
        path = .path.display()
    )]
    Newer { path: PathBuf, version: i64 },
    #[error("too much waits to be written")]
    Busy,
    #[error("the disk takes longer than {} s", PATIENCE.as_secs())]
    Late,
    #[error("its thread is gone")]
    Gone,
}

impl StoreError {
    /// What it is, without the path: for bodies that others read.
    pub fn why(&self) -> String {
        match self {
            Self::Unusable { why, .. } | Self::Unwritten { why, .. } => why.clone(),
            Self::Newer { .. } => "the file was written by a newer version of this program".into(),
            Self::Busy | Self::Late | Self::Gone => self.to_string(),
        }
    }
}

/// Something that keeps tables in the store.
pub trait Part: Send + 'static {
    /// Does what is due: called when the part is attached, every now and then, and at the end.
    fn tidy(&mut self, database: &mut Database);
}

/// Something to be done by the thread that has the `W`.
type Job<W> = Box<dyn FnOnce(&mut W) + Send>;

enum Task {
    Run(Job<Database>),
    Attach(Box<dyn Part>),
}

/// A handle of the store. The store ends with the last one.
#[derive(Clone)]
pub struct Store {
    /// Bounded: what finds no place in it is refused.
    jobs: SyncSender<Task>,
}

impl Store {
    /// The store in the file `path`, which is opened on the store's thread when it is needed first.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn open(path: PathBuf) -> std::io::Result<Self> {
        Self::open_with(path, ROUND)
    }

    /// As [`Store::open`], with rounds of another length.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_with(path: PathBuf, round: Duration) -> std::io::Result<Self> {
        let (sender, jobs) = sync_channel(MOST_JOBS);
        thread::Builder::new().name("store".into()).spawn(move || work(Database::at(path), &jobs, round))?;
        Ok(Self { jobs: sender })
    }

    /// Gives `part` its rounds, the first one now.
    pub fn attach(&self, part: impl Part) {
        // Parts are attached before there is anything else to do.
        if self.jobs.try_send(Task::Attach(Box::new(part))).is_err() {
            error!(event = "store"; "the store cannot be started");
        }
    }

    /// Has `job` done and waits for what it brings.
    ///
    /// # Errors
    /// What `job` says, or that it was not done: too much to do, or the disk takes too long. A job that has
    /// begun when patience ends is finished all the same.
    pub async fn ask<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Database) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let jobs = self.jobs.clone();
        answered(move |job| posted(&jobs, Task::Run(job)), job, || {}).await
    }

    /// Has `job` done some time.
    ///
    /// # Errors
    /// If there is too much to do already.
    pub fn post(&self, job: impl FnOnce(&mut Database) + Send + 'static) -> Result<(), StoreError> {
        posted(&self.jobs, Task::Run(Box::new(job)))
    }
}

/// Puts `job` into the queue.
fn posted<J>(jobs: &SyncSender<J>, job: J) -> Result<(), StoreError> {
    jobs.try_send(job).map_err(|error| match error {
        std::sync::mpsc::TrySendError::Full(_) => StoreError::Busy,
        std::sync::mpsc::TrySendError::Disconnected(_) => StoreError::Gone,
    })
}

/// Has `job` done by the thread that `post` reaches, and waits for what it brings. `give_up` is called when
/// patience ends.
async fn answered<W: 'static, T: Send + 'static>(
    post: impl FnOnce(Job<W>) -> Result<(), StoreError> + Send + 'static,
    job: impl FnOnce(&mut W) -> Result<T, StoreError> + Send + 'static,
    give_up: impl FnOnce() + Send + 'static,
) -> Result<T, StoreError> {
    // On the blocking pool, because the disk is measured with the clock of the machine, not with tokio's.
    let waiting = tokio::task::spawn_blocking(move || {
        let (reply, answer) = sync_channel(1);
        let given_up = Arc::new(AtomicBool::new(false));
        let is_unwanted = given_up.clone();
        post(Box::new(move |worker| {
            if !is_unwanted.load(Ordering::Acquire) {
                // Nobody may be waiting any more.
                let _ = reply.try_send(job(worker));
            }
        }))?;
        answer.recv_timeout(PATIENCE).unwrap_or_else(|error| {
            given_up.store(true, Ordering::Release);
            give_up();
            Err(if error == RecvTimeoutError::Timeout { StoreError::Late } else { StoreError::Gone })
        })
    });
    waiting.await.unwrap_or(Err(StoreError::Gone))
}

/// The store's thread.
fn work(mut database: Database, jobs: &Receiver<Task>, round: Duration) {
    let mut parts: Vec<Box<dyn Part>> = Vec::new();
    let mut done = 0;
    loop {
        let job = jobs.recv_timeout(round);
        let is_last = matches!(job, Err(RecvTimeoutError::Disconnected));
        let is_round = job.is_err() || done >= JOBS_IN_A_ROUND;
        let sound = panic::catch_unwind(AssertUnwindSafe(|| {
            match job {
                Ok(Task::Run(job)) => job(&mut database),
                Ok(Task::Attach(mut part)) => {
                    part.tidy(&mut database);
                    parts.push(part);
                }
                Err(_) => {}
            }
            if is_round {
                parts.iter_mut().for_each(|part| part.tidy(&mut database));
            }
        }));
        if sound.is_err() {
            // The panic has been logged. Whatever it left half done is rolled back.
            database.close();
        }
        if is_last {
            return;
        }
        done = if is_round { 0 } else { done + 1 };
    }
}

#[cfg(test)]
mod tests;
