//! One program at a time, for a file that several read, change and write.
//!
//! Such a file is replaced and never written in place, so the lock is on the file at its path, and whoever
//! gets it checks that the same file is still there. Before there is a file, the lock is on the folder. No
//! other file is needed, and the system releases the lock of a program that dies.

#[cfg(unix)]
use std::fs;
use std::fs::File;
use std::io;
use std::path::Path;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};

/// Others hold the lock while two small files are read and written. Whoever holds it longer than this was
/// stopped, and must not stop everybody else.
const PATIENCE: Duration = Duration::from_secs(3);
const AGAIN: Duration = Duration::from_millis(10);

/// Held until it is dropped.
#[must_use]
pub struct Lock(Option<File>);

impl Lock {
    /// Whether nobody else has it. It is not held where the file system knows no locks, and where another
    /// program does not let go.
    pub fn is_held(&self) -> bool {
        self.0.is_some()
    }
}

/// Waits until no other program, and nobody else in this one, holds the lock of the file `path`.
pub async fn lock(path: &Path) -> Lock {
    let end = Instant::now() + PATIENCE;
    loop {
        let path = path.to_owned();
        match spawn_blocking(move || attempt(&path)).await {
            Ok(Ok(Some(file))) => return Lock(Some(file)),
            Ok(Ok(None)) if Instant::now() < end => sleep(AGAIN).await,
            // A file that nobody can lock is still to be read and written.
            _ => return Lock(None),
        }
    }
}

/// The locked file; `None` while somebody else has it, or when it was replaced meanwhile.
#[cfg(unix)]
fn attempt(path: &Path) -> io::Result<Option<File>> {
    use std::os::unix::fs::MetadataExt;

    let file = File::open(target(path)?)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(fs::TryLockError::WouldBlock) => return Ok(None),
        Err(fs::TryLockError::Error(error)) => return Err(error),
    }
    let place = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    let stands = place(fs::metadata(target(path)?)?);
    Ok((place(file.metadata()?) == stands).then_some(file))
}

/// Elsewhere nobody could read a locked file, not even who locked it.
#[cfg(not(unix))]
fn attempt(_: &Path) -> io::Result<Option<File>> {
    Err(io::ErrorKind::Unsupported.into())
}

/// The name of the file by which a program shows that a folder is in use.
const IN_USE: &str = "powerwall-server.lock";

/// A folder that nobody else uses until this is dropped, or the program has died.
#[must_use]
pub struct FolderLock(#[allow(dead_code, reason = "it is what holds the lock")] File);

/// Takes `folder`; `None` while another program, or somebody else in this one, has it.
///
/// # Errors
/// If nothing can be written there, or the file system knows no locks.
pub fn take_folder(folder: &Path) -> io::Result<Option<FolderLock>> {
    std::fs::create_dir_all(folder)?;
    let mut options = std::fs::OpenOptions::new();
    let file = options.write(true).create(true).truncate(false).open(folder.join(IN_USE))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(FolderLock(file))),
        Err(std::fs::TryLockError::WouldBlock) => Ok(None),
        Err(std::fs::TryLockError::Error(error)) => Err(error),
    }
}

/// The regular file at `path`, or its folder, which is made if it is missing.
#[cfg(unix)]
fn target(path: &Path) -> io::Result<std::path::PathBuf> {
    match fs::metadata(path) {
        Ok(found) if found.is_file() => Ok(path.to_owned()),
        // A pipe may never be opened.
        Ok(_) => Err(io::Error::other("it is not a regular file")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let folder = super::folder_of(path);
            fs::create_dir_all(folder)?;
            Ok(folder.to_owned())
        }
        Err(error) => Err(error),
    }
}

#[cfg(all(test, unix))]
mod tests {
    use futures_util::future::join_all;

    use super::*;
    use crate::files::{read_text, replace};

    /// Reads, changes and writes as another program would.
    async fn count(path: &Path) {
        let lock = lock(path).await;
        assert!(lock.is_held());
        let path = path.to_owned();
        let step = move || {
            let known = read_text(&path, 64).map_or(0, |text| text.parse::<u32>().unwrap());
            std::thread::yield_now();
            replace(&path, &(known + 1).to_string()).unwrap();
        };
        spawn_blocking(step).await.unwrap();
    }

    #[tokio::test]
    async fn nobody_undoes_what_another_one_wrote_from_the_first_file_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep").join("file");
        join_all((0..12).map(|_| count(&path))).await;
        assert_eq!(read_text(&path, 64).unwrap(), "12");
        assert_eq!(fs::read_dir(folder.path().join("deep")).unwrap().count(), 1, "nothing is left behind");
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_let_go_stops_nobody_for_long() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let first = lock(&path).await;
        let start = Instant::now();
        assert!(!lock(&path).await.is_held());
        assert!(start.elapsed() >= PATIENCE && start.elapsed() < 2 * PATIENCE);
        drop(first);
        assert!(lock(&path).await.is_held());
        assert!(!lock(Path::new("/proc/nowhere/file")).await.is_held());
    }
}
