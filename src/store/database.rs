//! The file: opened when it is needed, closed when it fails, opened again when that may help.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use log::{error, info, warn};
use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior};

use super::{StoreError, schema};
use crate::clock::unix_time;

/// A file up to this size is checked as a whole when it is opened, which takes a fraction of a second. Damage
/// in a larger one is found when something reads it.
const CHECKED_AS_A_WHOLE: u64 = 32 << 20;
/// Damaged files that are kept beside the good one. Who has this many has a disk that is dying.
const MOST_SET_ASIDE: usize = 3;
/// Why a file is set aside, in its name.
const DAMAGED: &str = "damaged";
/// Another program that writes into the same file gets this long to finish.
pub(super) const PATIENCE_WITH_OTHERS: Duration = Duration::from_secs(5);
/// The write-ahead log is cut to this size when it has been larger.
const LARGEST_LOG: i64 = 4 << 20;
/// Memory for pages of the file, in KiB.
pub(super) const CACHE: i64 = 1024;

/// What a change must survive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// The end of this program, whatever it is. A power failure may take the last seconds.
    Crash,
    /// A power failure as well: the disk has confirmed that it holds the change.
    PowerFailure,
}

/// The one connection to the file.
pub struct Database {
    path: PathBuf,
    /// `None`: not opened yet, or closed after a failure.
    open: Option<Open>,
    /// What the log knows of the present trouble.
    trouble: Option<StoreError>,
}

struct Open {
    connection: Connection,
    /// What the connection is set to.
    durability: Durability,
    /// Which file it was, so that one that is removed or replaced is noticed.
    identity: Identity,
}

/// Device and number of a file.
pub(super) type Identity = Option<(u64, u64)>;

/// What a failure means.
enum Failure {
    /// The file is not a database, or not a sound one.
    Damaged(String),
    /// Whatever else it is, it may pass.
    Other { why: String, connection_is_sound: bool },
}

impl Database {
    pub(super) fn at(path: PathBuf) -> Self {
        Self { path, open: None, trouble: None }
    }

    pub(super) fn close(&mut self) {
        self.open = None;
    }

    /// Runs `query`, which changes nothing.
    ///
    /// # Errors
    /// If the file cannot be opened or read. A damaged file is set aside, and `query` runs once more on a new
    /// one.
    pub fn read<T>(
        &mut self,
        mut query: impl FnMut(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        self.attempt(Durability::Crash, |connection| query(connection), unreadable)
    }

    /// Makes `change` as a whole or not at all.
    ///
    /// # Errors
    /// If the file cannot be opened or written; then nothing is changed. A damaged file is set aside, and
    /// `change` is made once more in a new one.
    pub fn write<T>(
        &mut self,
        durability: Durability,
        mut change: impl FnMut(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let in_whole = |connection: &mut Connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let outcome = change(&transaction)?;
            transaction.commit()?;
            Ok(outcome)
        };
        self.attempt(durability, in_whole, |path, why| StoreError::Unwritten { path, why })
    }

    fn attempt<T>(
        &mut self,
        durability: Durability,
        mut act: impl FnMut(&mut Connection) -> rusqlite::Result<T>,
        failed: fn(PathBuf, String) -> StoreError,
    ) -> Result<T, StoreError> {
        let mut outcome = self.attempt_once(durability, &mut act, failed);
        if let Err(Attempt::Damaged(why)) = outcome {
            outcome = match self.set_aside(&why) {
                Ok(()) => self.attempt_once(durability, &mut act, failed),
                Err(error) => Err(Attempt::Failed(error)),
            };
        }
        let outcome = outcome.map_err(|attempt| match attempt {
            Attempt::Failed(error) => error,
            Attempt::Damaged(why) => failed(self.path.clone(), why),
        });
        self.log(outcome.as_ref().err());
        outcome
    }

    fn attempt_once<T>(
        &mut self,
        durability: Durability,
        act: &mut impl FnMut(&mut Connection) -> rusqlite::Result<T>,
        failed: fn(PathBuf, String) -> StoreError,
    ) -> Result<T, Attempt> {
        if self.open.as_ref().is_some_and(|open| open.identity != identity(&self.path)) {
            self.open = None;
        }
        let open = match &mut self.open {
            Some(open) => open,
            None => self.open.insert(open(&self.path)?),
        };
        let outcome = open.set(durability).and_then(|()| act(&mut open.connection));
        outcome.map_err(|error| match judge(&error) {
            Failure::Damaged(why) => Attempt::Damaged(why),
            Failure::Other { why, connection_is_sound } => {
                if !connection_is_sound {
                    self.open = None;
                }
                Attempt::Failed(failed(self.path.clone(), why))
            }
        })
    }

    /// Keeps the damaged file under another name, so that a new one can be begun.
    fn set_aside(&mut self, why: &str) -> Result<(), StoreError> {
        self.open = None;
        let unusable = |why| StoreError::Unusable { path: self.path.clone(), why };
        let kept = damaged_files(&self.path);
        if kept.len() >= MOST_SET_ASIDE {
            let advice = "damaged files are kept beside it already; check the disk and remove them";
            return Err(unusable(format!("it is damaged ({why}), and {} {advice}", kept.len())));
        }
        let moved = set_aside(&self.path, DAMAGED);
        let aside = moved
            .map_err(|error| unusable(format!("it is damaged ({why}), and cannot be renamed: {error}")))?;
        let (path, aside) = (self.path.display().to_string(), aside.display().to_string());
        error!(
            event = "store_damaged", path = path.as_str(), kept_as = aside.as_str();
            "{path} is damaged ({why}); it is kept as {aside}, and a new file is started",
        );
        Ok(())
    }

    /// A line when trouble begins or changes, and one when it ends.
    fn log(&mut self, error: Option<&StoreError>) {
        if self.trouble.as_ref() == error {
            return;
        }
        match error {
            Some(error) => {
                warn!(
                    event = "store";
                    "{error}; unsaved data waits in memory and is lost if the program ends",
                );
            }
            None => {
                let path = self.path.display().to_string();
                info!(event = "store", path = path.as_str(); "{path} can be used again");
            }
        }
        self.trouble = error.cloned();
    }
}

/// A connection of its own to the file at `path`, for who writes beside the service. A damaged file stays
/// where it is.
pub(super) fn connect(path: &Path) -> Result<Connection, StoreError> {
    open(path).map(|open| open.connection).map_err(|attempt| match attempt {
        Attempt::Failed(error) => error,
        Attempt::Damaged(why) => {
            StoreError::Unusable { path: path.to_owned(), why: format!("it is damaged ({why})") }
        }
    })
}

/// Why an attempt came to nothing.
enum Attempt {
    Damaged(String),
    Failed(StoreError),
}

fn unreadable(path: PathBuf, why: String) -> StoreError {
    StoreError::Unusable { path, why }
}

impl Open {
    fn set(&mut self, durability: Durability) -> rusqlite::Result<()> {
        if durability != self.durability {
            let mode = if durability == Durability::PowerFailure { "FULL" } else { "NORMAL" };
            self.connection.pragma_update(None, "synchronous", mode)?;
            self.durability = durability;
        }
        Ok(())
    }
}

fn open(path: &Path) -> Result<Open, Attempt> {
    let unusable = |why: String| Attempt::Failed(StoreError::Unusable { path: path.to_owned(), why });
    create(path).map_err(|error| unusable(error.to_string()))?;
    let identity = identity(path);
    let connection = prepare(path).map_err(|error| match judge(&error) {
        Failure::Damaged(why) => Attempt::Damaged(why),
        Failure::Other { why, .. } => unusable(why),
    })?;
    match connection {
        Ok(connection) => Ok(Open { connection, durability: Durability::Crash, identity }),
        Err(Unsound::Damaged(why)) => Err(Attempt::Damaged(why)),
        Err(Unsound::Newer(version)) => {
            Err(Attempt::Failed(StoreError::Newer { path: path.to_owned(), version }))
        }
    }
}

/// An empty file for its owner only, if there is none. SQLite gives the files beside it the same rights.
fn create(path: &Path) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(found) if found.is_file() => return Ok(()),
        Ok(_) => return Err(io::Error::other("it is not a regular file")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder)?;
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(|_| ())
}

/// What was found in a file that can be opened.
enum Unsound {
    Damaged(String),
    Newer(i64),
}

fn prepare(path: &Path) -> rusqlite::Result<Result<Connection, Unsound>> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(PATIENCE_WITH_OTHERS)?;
    connection.pragma_update(None, "cache_size", -CACHE)?;
    // The container has no folder for temporary files, and views in a file of others are not to be trusted.
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "trusted_schema", false)?;
    let version = schema::version(&connection)?;
    if version > schema::VERSION {
        return Ok(Err(Unsound::Newer(version)));
    }
    if fs::metadata(path).is_ok_and(|found| found.len() <= CHECKED_AS_A_WHOLE) {
        let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        if verdict != "ok" {
            return Ok(Err(Unsound::Damaged(verdict)));
        }
    }
    if connection.is_readonly("main")? {
        return Ok(Ok(connection));
    }
    // Counts for a file without tables only: pages that become free can then be given back.
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    // A file system that cannot do this has a slower log; SQLite says which one it is.
    let _: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    let _: i64 =
        connection.query_row(&format!("PRAGMA journal_size_limit = {LARGEST_LOG}"), [], |row| row.get(0))?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    if version < schema::VERSION {
        schema::migrate(&mut connection, version)?;
    }
    Ok(Ok(connection))
}

fn judge(error: &rusqlite::Error) -> Failure {
    let other = |why: &str, connection_is_sound| Failure::Other { why: why.into(), connection_is_sound };
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Failure::Damaged(error.to_string()),
        Some(ErrorCode::DiskFull) => other("the disk is full", true),
        Some(ErrorCode::ReadOnly) => other("it is read-only", false),
        Some(ErrorCode::CannotOpen) => other("it cannot be opened; it or its folder may be read-only", false),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => other("another program holds it", true),
        _ => other(&error.to_string(), false),
    }
}

/// Whether another program holds the file, which passes.
pub(super) fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

/// Why something failed, for the person who must act.
pub(super) fn reason(error: &rusqlite::Error) -> String {
    match judge(error) {
        Failure::Damaged(why) | Failure::Other { why, .. } => why,
    }
}

#[cfg(unix)]
pub(super) fn identity(path: &Path) -> Identity {
    use std::os::unix::fs::MetadataExt;

    fs::metadata(path).ok().map(|found| (found.dev(), found.ino()))
}

#[cfg(not(unix))]
pub(super) fn identity(_: &Path) -> Identity {
    None
}

fn rename(path: &Path, aside: &Path, suffix: &str) -> io::Result<()> {
    let with_suffix = |path: &Path| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    fs::rename(with_suffix(path), with_suffix(aside))
}

/// Gives the file at `path`, with what stands beside it, a name with `why` and the time in it, and brings the
/// name.
pub(super) fn set_aside(path: &Path, why: &str) -> io::Result<PathBuf> {
    let aside = free_name(path, why);
    rename(path, &aside, "")?;
    // The log of a file belongs to it, and would damage another one.
    for suffix in ["-wal", "-shm"] {
        match rename(path, &aside, suffix) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(aside)
}

/// What the name of a file begins with that was set aside.
fn prefix(path: &Path, why: &str) -> String {
    format!("{}.{why}-", path.file_name().unwrap_or_default().to_string_lossy())
}

fn damaged_files(path: &Path) -> Vec<String> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let prefix = prefix(path, DAMAGED);
    let names = fs::read_dir(folder).into_iter().flatten().flatten();
    let names = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let log_of_another = |name: &String| name.ends_with("-wal") || name.ends_with("-shm");
    names.filter(|name| name.starts_with(&prefix) && !log_of_another(name)).collect()
}

/// A name with the time in it that is not taken.
fn free_name(path: &Path, why: &str) -> PathBuf {
    let now = jiff::Timestamp::from_second(unix_time() as i64).unwrap_or_default();
    let name = format!("{}{}", prefix(path, why), now.strftime("%Y%m%dT%H%M%SZ"));
    let mut names = (1..).map(|count| match count {
        1 => path.with_file_name(&name),
        count => path.with_file_name(format!("{name}-{count}")),
    });
    names.find(|name| !name.exists()).unwrap_or_else(|| path.with_file_name(&name))
}
