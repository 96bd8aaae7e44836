//! Files that follow what the program knows: the newest text wins, and one that could not be written is
//! written as soon as it can be.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use log::{info, warn};
use tokio::task::spawn_blocking;
use tokio::time::sleep;

/// What could not be written is tried again this often.
pub const RETRY: Duration = Duration::from_secs(10);

/// Of the whole program, because a file has one order of writes, no matter who writes it. Grows with the
/// paths that settings have named, and no further.
static FILES: LazyLock<Mutex<HashMap<PathBuf, Arc<Kept>>>> = LazyLock::new(Mutex::default);

/// One file.
struct Kept {
    path: PathBuf,
    /// What is to be written. A newer text takes the place of one that has not been written yet.
    newest: Mutex<Option<Text>>,
    /// Held while the file is written: how the last attempt ended.
    last: Mutex<Last>,
    /// Whether a task tries again and again.
    retries: AtomicBool,
}

struct Text {
    text: String,
    what: What,
}

/// What a file holds, for the log.
#[derive(Clone, Debug)]
pub struct What {
    /// The id of the gateway that it is about, if it is about one.
    gateway: Option<String>,
    name: String,
}

impl What {
    /// `name` of the gateway `id`: "the session".
    pub fn of(id: &str, name: &str) -> Self {
        Self { gateway: Some(id.to_owned()), name: format!("gateway {id}: {name}") }
    }
}

impl From<&str> for What {
    fn from(name: &str) -> Self {
        Self { gateway: None, name: name.to_owned() }
    }
}

#[derive(Default)]
struct Last {
    /// The error that was logged, until it is over.
    trouble: Option<String>,
    /// Whether what others left behind has been removed.
    tidied: bool,
}

/// Makes `text` the content of the file `path`, and is done when that, or a text that was given later, is on
/// the disk. Texts are taken in the order of the calls, not of the polls. `what` names it in the
/// log.
///
/// # Errors
/// If it cannot be written. That has been logged; it is tried again until it can, or until a newer text
/// comes.
pub fn keep<W: Into<What>>(
    path: &Path,
    what: W,
    text: String,
) -> impl Future<Output = io::Result<()>> + use<W> {
    let kept = Kept::at(path);
    *lock(&kept.newest) = Some(Text { text, what: what.into() });
    async move {
        let outcome = kept.clone().write_aside().await;
        if outcome.is_err() {
            kept.try_again();
        }
        outcome
    }
}

/// Tries once more to write what could not be written, before the program ends.
pub async fn write_what_waits() {
    let files: Vec<_> = lock(&FILES).values().filter(|kept| kept.waits()).cloned().collect();
    for kept in files {
        // Has been logged.
        let _ = kept.write_aside().await;
    }
}

impl Kept {
    fn at(path: &Path) -> Arc<Self> {
        let new = || {
            let (newest, last, retries) = (Mutex::default(), Mutex::default(), AtomicBool::new(false));
            Arc::new(Self { path: path.to_owned(), newest, last, retries })
        };
        lock(&FILES).entry(path.to_owned()).or_insert_with(new).clone()
    }

    fn waits(&self) -> bool {
        lock(&self.newest).is_some()
    }

    /// On the blocking pool.
    async fn write_aside(self: Arc<Self>) -> io::Result<()> {
        spawn_blocking(move || self.write()).await.unwrap_or_else(|error| Err(io::Error::other(error)))
    }

    fn write(&self) -> io::Result<()> {
        let mut last = lock(&self.last);
        // `None`: an earlier call wrote it along.
        let Some(newest) = lock(&self.newest).take() else { return Ok(()) };
        let outcome = super::replace(&self.path, &newest.text);
        self.log(&mut last, &newest.what, outcome.as_ref().err());
        match outcome {
            Ok(()) if !std::mem::replace(&mut last.tidied, true) => super::remove_abandoned(&self.path),
            Ok(()) => {}
            Err(_) => {
                lock(&self.newest).get_or_insert(newest);
            }
        }
        outcome
    }

    /// A line when trouble begins or changes, and one when it ends.
    fn log(&self, last: &mut Last, what: &What, error: Option<&io::Error>) {
        let error = error.map(ToString::to_string);
        let path = self.path.display().to_string();
        let (gateway, what) = (what.gateway.as_deref(), what.name.as_str());
        match (&error, &last.trouble) {
            (Some(error), known) if known.as_ref() != Some(error) => warn!(
                gateway = gateway, event = "not_kept", path = path.as_str();
                "{what} cannot be saved in {path}: {error}; retrying every {} s", RETRY.as_secs(),
            ),
            (None, Some(_)) => info!(
                gateway = gateway, event = "kept", path = path.as_str(); "{what} is saved in {path} again"
            ),
            _ => {}
        }
        last.trouble = error;
    }

    fn try_again(self: Arc<Self>) {
        if self.retries.swap(true, Ordering::AcqRel) {
            return;
        }
        let retrying = Retrying(self);
        tokio::spawn(async move {
            while retrying.0.waits() {
                sleep(RETRY).await;
                // Has been logged.
                let _ = retrying.0.clone().write_aside().await;
            }
        });
    }
}

/// While it lives, what could not be written is tried again; it ends with its runtime, too.
struct Retrying(Arc<Kept>);

impl Drop for Retrying {
    fn drop(&mut self) {
        self.0.retries.store(false, Ordering::Release);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use futures_util::future::join_all;

    use super::*;

    #[tokio::test]
    async fn the_text_that_was_given_last_stays_however_many_write() {
        let folder = tempfile::tempdir().unwrap();
        for round in 0..20 {
            let file = folder.path().join(format!("file {round}"));
            let writes = (0..50).map(|number| keep(&file, "a number", number.to_string()));
            // Polled in another order than they were made in.
            let mut writes: Vec<_> = writes.collect();
            writes.reverse();
            assert!(join_all(writes).await.iter().all(Result::is_ok));
            assert_eq!(fs::read_to_string(&file).unwrap(), "49");
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 20, "nothing is left behind");
    }

    #[tokio::test(start_paused = true)]
    async fn what_could_not_be_written_is_written_as_soon_as_it_can_be() {
        let folder = tempfile::tempdir().unwrap();
        let in_the_way = folder.path().join("folder");
        let file = in_the_way.join("file");
        fs::write(&in_the_way, "").unwrap();
        keep(&file, "a test", "old".into()).await.unwrap_err();
        keep(&file, "a test", "new".into()).await.unwrap_err();
        sleep(3 * RETRY).await;
        assert!(Kept::at(&file).waits());

        fs::remove_file(&in_the_way).unwrap();
        sleep(2 * RETRY).await;
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
        assert!(!Kept::at(&file).waits());
        sleep(2 * RETRY).await;
        assert!(!Kept::at(&file).retries.load(Ordering::Acquire), "nobody tries any more");
    }

    #[test]
    fn what_waits_outlives_the_runtime_in_which_it_failed() {
        let folder = tempfile::tempdir().unwrap();
        let in_the_way = folder.path().join("folder");
        let file = in_the_way.join("file");
        fs::write(&in_the_way, "").unwrap();
        let runtime = || tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime().block_on(keep(&file, "a test", "text".into())).unwrap_err();
        fs::remove_file(&in_the_way).unwrap();
        runtime().block_on(write_what_waits());
        assert_eq!(fs::read_to_string(&file).unwrap(), "text");
    }
}
