//! A copy of the file, made while a service writes into it.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::backup::Backup;
use rusqlite::{Connection, OpenFlags};

use super::database::{PATIENCE_WITH_OTHERS, reason};

/// Pages that are copied at once; in between, others may write.
const PAGES: i32 = 1_000;
/// From one part to the next.
const PAUSE: Duration = Duration::from_millis(5);

/// Why there is no copy.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error("{} cannot be read: {why}", path.display())]
    Source { path: PathBuf, why: String },
    #[error("{} is there already; nothing is overwritten", .0.display())]
    Exists(PathBuf),
    #[error("{} cannot be written: {why}", path.display())]
    Target { path: PathBuf, why: String },
}

/// Copies the file at `from` to a new one at `to`, for its owner only, and brings how many bytes it has. The
/// copy has its name only when it is complete.
///
/// # Errors
/// If one cannot be read, or the other exists or cannot be written.
pub fn backup(from: &Path, to: &Path) -> Result<u64, BackupError> {
    if to.exists() {
        return Err(BackupError::Exists(to.to_owned()));
    }
    let mut unfinished = to.as_os_str().to_owned();
    unfinished.push(".unfinished");
    let unfinished = PathBuf::from(unfinished);
    let copied = copy(from, &unfinished).and_then(|()| {
        let failed = |error: io::Error| BackupError::Target { path: to.to_owned(), why: error.to_string() };
        fs::File::open(&unfinished).and_then(|file| file.sync_all()).map_err(failed)?;
        match fs::hard_link(&unfinished, to) {
            Ok(()) => {}
            // Another one of this name was made meanwhile.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(BackupError::Exists(to.to_owned()));
            }
            // Not every file system has links.
            Err(_) => fs::rename(&unfinished, to).map_err(failed)?,
        }
        Ok(fs::metadata(to).map_or(0, |found| found.len()))
    });
    let _ = fs::remove_file(&unfinished);
    copied
}

fn copy(from: &Path, to: &Path) -> Result<(), BackupError> {
    let unread = |error: rusqlite::Error| BackupError::Source { path: from.to_owned(), why: reason(&error) };
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let source = Connection::open_with_flags(from, flags).map_err(unread)?;
    source.busy_timeout(PATIENCE_WITH_OTHERS).map_err(unread)?;
    // Says now what is wrong with it, before anything is made.
    source.query_row("SELECT count(*) FROM sqlite_master", [], |_| Ok(())).map_err(unread)?;
    let failed = |why: String| BackupError::Target { path: to.to_owned(), why };
    create(to).map_err(|error| failed(error.to_string()))?;
    let unwritten = |error: rusqlite::Error| failed(reason(&error));
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut target = Connection::open_with_flags(to, flags).map_err(unwritten)?;
    // One state of the source: what is written meanwhile would begin the copy anew, time and again.
    source.execute_batch("BEGIN").map_err(unread)?;
    source.query_row("SELECT count(*) FROM sqlite_master", [], |_| Ok(())).map_err(unread)?;
    {
        let backup = Backup::new(&source, &mut target).map_err(unwritten)?;
        backup.run_to_completion(PAGES, PAUSE, None).map_err(unwritten)?;
    }
    // A file by itself, which needs no log beside it.
    let _: String =
        target.query_row("PRAGMA journal_mode = DELETE", [], |row| row.get(0)).map_err(unwritten)?;
    let verdict: String =
        target.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(unwritten)?;
    match verdict == "ok" {
        true => Ok(()),
        false => Err(BackupError::Source { path: from.to_owned(), why: format!("it is damaged: {verdict}") }),
    }
}

fn create(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(|_| ())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub const GOLDEN: &str = "tests/fixtures/timeseries-0.13.0.db";

    pub fn samples(path: &Path) -> i64 {
        let count = "SELECT count(*) FROM samples";
        Connection::open(path).unwrap().query_row(count, [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn a_copy_is_of_one_moment_while_somebody_writes() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("history.db"), folder.path().join("copy.db"));
        fs::copy(GOLDEN, &from).unwrap();
        let writer = Connection::open(&from).unwrap();
        writer.execute_batch("BEGIN; DELETE FROM samples").unwrap();
        assert!(backup(&from, &to).unwrap() > 50_000);
        writer.execute_batch("COMMIT").unwrap();
        assert_eq!((samples(&to), samples(&from)), (218, 0));
        assert!(matches!(backup(&from, &to), Err(BackupError::Exists(_))));
        assert_eq!(samples(&to), 218, "nothing is overwritten");
        #[cfg(unix)]
        {
            let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&to).unwrap().permissions());
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn what_cannot_be_copied_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("history.db"), folder.path().join("copy.db"));
        assert!(matches!(backup(&from, &to), Err(BackupError::Source { .. })));
        fs::write(&from, "no database".repeat(1000)).unwrap();
        assert!(matches!(backup(&from, &to), Err(BackupError::Source { .. })));
        assert!(!to.exists());
        let nowhere = folder.path().join("nowhere").join("copy.db");
        fs::copy(GOLDEN, &from).unwrap();
        assert!(matches!(backup(&from, &nowhere), Err(BackupError::Target { .. })));
        assert_eq!(
            fs::read_dir(folder.path())
                .unwrap()
                .filter(|entry| {
                    let name = entry.as_ref().unwrap().file_name();
                    !name.to_string_lossy().starts_with("history.db")
                })
                .count(),
            0
        );
    }
}
