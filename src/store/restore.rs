//! A copy takes the place of the file, which is kept under another name.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use super::backup::{self, BackupError};
use super::database::{is_busy, reason, set_aside};
use super::schema;
use crate::files::{FolderLock, take_folder};

/// Why the file stays as it is.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    #[error("{} is in use; stop the service first", .0.display())]
    InUse(PathBuf),
    #[error("{} and {} are the same file", .0.display(), .1.display())]
    Same(PathBuf, PathBuf),
    #[error(
        "{} holds neither journal nor history; it is neither a copy made by this program nor a file of \
         pypowerwall-server 0.13",
        .0.display()
    )]
    Foreign(PathBuf),
    #[error("{} was written by a newer version of this program", .0.display())]
    Newer(PathBuf),
    #[error(transparent)]
    Copy(#[from] BackupError),
    #[error("{} cannot be renamed: {why}", path.display())]
    Kept { path: PathBuf, why: io::Error },
}

/// What became of it.
#[derive(Debug, PartialEq)]
pub struct Restored {
    /// Bytes of the file.
    pub bytes: u64,
    /// Where the file is that was there before.
    pub kept: Option<PathBuf>,
}

/// Puts a copy of the file at `from` in the place of the one at `to`, which is kept beside it.
///
/// # Errors
/// If somebody uses the file, the copy is none or damaged, or something cannot be written. The file at `to`
/// is there all the same.
pub fn restore(from: &Path, to: &Path) -> Result<Restored, RestoreError> {
    let is_same = |path: &Path| path.canonicalize().ok();
    if is_same(from).is_some() && is_same(from) == is_same(to) {
        return Err(RestoreError::Same(from.to_owned(), to.to_owned()));
    }
    let _alone = alone_with(to)?;
    check(from)?;
    let mut unfinished = to.as_os_str().to_owned();
    unfinished.push(".restoring");
    let unfinished = PathBuf::from(unfinished);
    // One that was left by a restore that was interrupted.
    let _ = fs::remove_file(&unfinished);
    let bytes = backup::backup(from, &unfinished)?;
    let renamed = |why| RestoreError::Kept { path: to.to_owned(), why };
    let kept = match to.exists() {
        true => Some(set_aside(to, "before-restore").map_err(renamed)?),
        false => None,
    };
    if let Err(why) = fs::rename(&unfinished, to) {
        if let Some(kept) = &kept {
            let _ = fs::rename(kept, to);
        }
        return Err(renamed(why));
    }
    Ok(Restored { bytes, kept })
}

/// Makes sure that nobody else uses the file, and that all of it is in one file.
fn alone_with(file: &Path) -> Result<Option<FolderLock>, RestoreError> {
    let in_use = || RestoreError::InUse(file.to_owned());
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Not every file system knows locks.
    let lock = take_folder(folder).ok().map(|lock| lock.ok_or_else(in_use)).transpose()?;
    if file.exists() {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        // To leave its log, a file must have no other connection. One that is damaged has none.
        let left = Connection::open_with_flags(file, flags)
            .and_then(|file| file.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(())));
        if left.is_err_and(|error| is_busy(&error)) {
            return Err(in_use());
        }
    }
    Ok(lock)
}

/// Whether the file at `path` is one that can be used. Whether it is damaged is seen when it is copied.
fn check(path: &Path) -> Result<(), RestoreError> {
    let unread = |error: rusqlite::Error| BackupError::Source { path: path.to_owned(), why: reason(&error) };
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let file = Connection::open_with_flags(path, flags).map_err(unread)?;
    if schema::version(&file).map_err(unread)? > schema::VERSION {
        return Err(RestoreError::Newer(path.to_owned()));
    }
    let query = "SELECT count(*) FROM sqlite_master WHERE name IN ('journal', 'samples', 'daily_energy')";
    match file.query_row(query, [], |row| row.get::<_, i64>(0)).map_err(unread)? {
        0 => Err(RestoreError::Foreign(path.to_owned())),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::backup::tests::{GOLDEN, samples};

    #[test]
    fn a_copy_takes_the_place_of_the_file_which_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("copy.db"), folder.path().join("history.db"));
        fs::copy(GOLDEN, &from).unwrap();
        assert_eq!(restore(&from, &to).unwrap().kept, None);
        // What stands in the log of the file only is kept with it.
        let open = Connection::open(&to).unwrap();
        open.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(())).unwrap();
        open.execute("DELETE FROM samples WHERE rowid <= 100", []).unwrap();
        assert!(matches!(restore(&from, &to), Err(RestoreError::InUse(_))));
        assert_eq!(samples(&to), 118);
        drop(open);
        let kept = restore(&from, &to).unwrap().kept.unwrap();
        assert_eq!((samples(&to), samples(&kept)), (218, 118));
        assert!(kept.display().to_string().contains("history.db.before-restore-"), "{}", kept.display());
        let lock = take_folder(folder.path()).unwrap().unwrap();
        assert!(matches!(restore(&from, &to), Err(RestoreError::InUse(_))), "the service runs");
        drop(lock);
        assert!(matches!(restore(&to, &to), Err(RestoreError::Same(..))));
    }

    #[test]
    fn what_is_no_copy_leaves_the_file_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("copy.db"), folder.path().join("history.db"));
        fs::copy(GOLDEN, &to).unwrap();
        assert!(matches!(restore(&from, &to), Err(RestoreError::Copy(BackupError::Source { .. }))));
        let mut torn = fs::read(GOLDEN).unwrap();
        torn[8192..40_000].fill(0x55);
        fs::write(&from, torn).unwrap();
        assert!(matches!(restore(&from, &to), Err(RestoreError::Copy(BackupError::Source { .. }))));
        fs::remove_file(&from).unwrap();
        Connection::open(&from).unwrap().execute_batch("CREATE TABLE letters (text)").unwrap();
        assert!(matches!(restore(&from, &to), Err(RestoreError::Foreign(_))));
        let newer = "CREATE TABLE journal (of_the_future); PRAGMA user_version = 1000";
        Connection::open(&from).unwrap().execute_batch(newer).unwrap();
        assert!(matches!(restore(&from, &to), Err(RestoreError::Newer(_))));
        assert_eq!(samples(&to), 218);
        let names = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
        let names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
        assert!(names.iter().all(|name| !name.contains("restor")), "{names:?}");
    }
}
