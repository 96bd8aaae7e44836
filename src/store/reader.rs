//! Questions about what the file holds, on a second connection with a thread of its own, which can only read:
//! they hold up nothing that is written.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::{panic, thread};

use rusqlite::{Connection, InterruptHandle, OpenFlags};

use super::database::{CACHE, Identity, PATIENCE_WITH_OTHERS, identity, reason};
use super::{Job, StoreError, answered, posted, schema};

/// Questions that wait at most.
const MOST_QUESTIONS: usize = 64;

/// A handle of the second connection. It ends with the last one.
#[derive(Clone)]
pub struct Reader {
    /// Bounded: what finds no place in it is refused.
    questions: SyncSender<Job<Opened>>,
    /// What interrupts the question that is being answered.
    running: Running,
}

/// The number of a question, and what interrupts it.
type Running = Arc<Mutex<Option<(u64, InterruptHandle)>>>;

/// The connection, opened when it is needed first.
struct Opened {
    path: PathBuf,
    open: Option<(Connection, Identity, i64)>,
    running: Running,
    /// The number of the next question.
    next: u64,
}

impl Reader {
    /// # Errors
    /// If the system gives no thread.
    pub fn of(path: PathBuf) -> std::io::Result<Self> {
        let (questions, waiting) = sync_channel(MOST_QUESTIONS);
        let running = Running::default();
        let opened = Opened { path, open: None, running: running.clone(), next: 0 };
        thread::Builder::new().name("history".into()).spawn(move || work(opened, &waiting))?;
        Ok(Self { questions, running })
    }

    /// What `query` finds; its default while there is no file.
    ///
    /// # Errors
    /// If the file cannot be read, too many ask, or it takes too long; then it is interrupted.
    pub async fn ask<T: Default + Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (questions, running) = (self.questions.clone(), self.running.clone());
        let number = Arc::new(Mutex::new(None));
        let asked = number.clone();
        let job = move |opened: &mut Opened| opened.answer(query, &asked);
        let post = move |job| posted(&questions, job);
        answered(post, job, move || interrupt(&running, *lock(&number))).await
    }
}

/// Ends the question `number`, if it is the one that is being answered.
fn interrupt(running: &Running, number: Option<u64>) {
    if let Some((at, handle)) = &*lock(running)
        && number == Some(*at)
    {
        handle.interrupt();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn work(mut opened: Opened, questions: &Receiver<Job<Opened>>) {
    while let Ok(question) = questions.recv() {
        if panic::catch_unwind(panic::AssertUnwindSafe(|| question(&mut opened))).is_err() {
            // The panic has been logged.
            *lock(&opened.running) = None;
            opened.open = None;
        }
    }
}

impl Opened {
    fn answer<T: Default>(
        &mut self,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T>,
        asked: &Mutex<Option<u64>>,
    ) -> Result<T, StoreError> {
        let (number, running) = (self.next, self.running.clone());
        self.next += 1;
        let Some(connection) = self.connection()? else { return Ok(T::default()) };
        *lock(&running) = Some((number, connection.get_interrupt_handle()));
        *lock(asked) = Some(number);
        let outcome = query(connection);
        *lock(&running) = None;
        outcome.map_err(|error| {
            self.open = None;
            StoreError::Unusable { path: self.path.clone(), why: reason(&error) }
        })
    }

    /// `None`: there is no file.
    fn connection(&mut self) -> Result<Option<&Connection>, StoreError> {
        let found = identity(&self.path);
        if found.is_none() && !self.path.exists() {
            self.open = None;
            return Ok(None);
        }
        let is_current = |(connection, identity, version): &(Connection, Identity, i64)| {
            *identity == found && schema::version(connection).is_ok_and(|now| now == *version)
        };
        if !self.open.as_ref().is_some_and(is_current) {
            self.open = None;
            let unusable = |why| StoreError::Unusable { path: self.path.clone(), why };
            let (connection, version) = open(&self.path).map_err(|error| unusable(reason(&error)))?;
            if version > schema::VERSION {
                return Err(StoreError::Newer { path: self.path.clone(), version });
            }
            self.open = Some((connection, found, version));
        }
        Ok(self.open.as_ref().map(|(connection, ..)| connection))
    }
}

fn open(path: &Path) -> rusqlite::Result<(Connection, i64)> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(PATIENCE_WITH_OTHERS)?;
    connection.pragma_update(None, "cache_size", -CACHE)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "trusted_schema", false)?;
    let version = schema::version(&connection)?;
    // Of a file that nobody could write yet, whatever is there can be read.
    schema::stand_in(&connection)?;
    Ok((connection, version))
}
