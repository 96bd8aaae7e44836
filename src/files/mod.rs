//! Small files: read up to a limit, and written whole or not at all, for their owner only.
//!
//! What is kept in a file over restarts goes through [`keep`], under [`lock`] if other programs write it too;
//! what the text means is left to them.

mod keeping;
mod lock;

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

pub use keeping::{RETRY, What, keep, write_what_waits};
pub use lock::{FolderLock, Lock, lock, take_folder};

use crate::clock::unix_time;

/// Ends the name of a file that is not finished.
const UNFINISHED: &str = ".new";
/// An unfinished file of this age, in seconds, is not being written any more: its program was killed.
const ABANDONED: f64 = 600.0;

/// What is in the regular file `path`, or in the one that a link there leads to. Blocks; not for a thread
/// that serves anybody.
///
/// # Errors
/// If it cannot be read, is not a regular file (a pipe or a device may have no end, and may never begin), or
/// holds more than `most` bytes.
pub fn read(path: &Path, most: usize) -> io::Result<Vec<u8>> {
    let regular = |found: fs::Metadata| match found.is_file() {
        true => Ok(()),
        false => Err(io::Error::other("it is not a regular file")),
    };
    // Before it is opened, because opening a pipe waits for a writer.
    regular(fs::metadata(path)?)?;
    let file = File::open(path)?;
    regular(file.metadata()?)?;
    let mut bytes = Vec::new();
    file.take(most as u64 + 1).read_to_end(&mut bytes)?;
    match bytes.len() > most {
        true => Err(io::Error::other(format!("larger than {} KiB", most >> 10))),
        false => Ok(bytes),
    }
}

/// As [`read`], for text.
///
/// # Errors
/// As [`read`], and if it is not UTF-8.
pub fn read_text(path: &Path, most: usize) -> io::Result<String> {
    String::from_utf8(read(path, most)?).map_err(|_| io::Error::other("not UTF-8 text"))
}

/// Puts `text` where `path` was, so that it survives a power failure; a folder that is missing is made.
/// Blocks; not for a thread that serves anybody.
///
/// # Errors
/// If the folder cannot be written; then the old file is as it was.
pub fn replace(path: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder)?;
    }
    let unfinished = Unfinished(unfinished_name(path));
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut new = options.open(&unfinished.0)?;
    new.write_all(text.as_bytes())?;
    new.sync_all()?;
    fs::rename(&unfinished.0, path)?;
    sync_folder(folder_of(path))
}

/// Makes sure that files can be written into `folder`, which is made if it is missing. Blocks.
///
/// # Errors
/// With why not.
pub fn check_folder(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let probe = Unfinished(unfinished_name(&folder.join(".powerwall-server")));
    let mut file = OpenOptions::new().write(true).create_new(true).open(&probe.0)?;
    // A full disk gives a name, but no room.
    file.write_all(b"may be removed\n")
}

/// A file that goes unless it is renamed in time; on a full disk it would take the room of what comes next.
struct Unfinished(PathBuf);

impl Drop for Unfinished {
    fn drop(&mut self) {
        // Has been renamed, if all went well.
        let _ = fs::remove_file(&self.0);
    }
}

/// Beside `path`, and nobody else's: several programs may write the same file.
fn unfinished_name(path: &Path) -> PathBuf {
    let mut name = file_name(path);
    name.push(format!(".{:08x}{UNFINISHED}", rand::random::<u32>()));
    path.with_file_name(name)
}

fn file_name(path: &Path) -> OsString {
    path.file_name().unwrap_or_default().to_owned()
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A name in a folder is kept when the folder is.
fn sync_folder(folder: &Path) -> io::Result<()> {
    match File::open(folder).and_then(|folder| folder.sync_all()) {
        // Some file systems know no such thing.
        Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => {
            Ok(())
        }
        outcome => outcome,
    }
}

/// Removes unfinished files beside `path` that programs left behind when they were killed.
fn remove_abandoned(path: &Path) {
    let name = file_name(path);
    let (Some(name), Ok(entries)) = (name.to_str(), fs::read_dir(folder_of(path))) else { return };
    for entry in entries.flatten() {
        let is_ours = entry.file_name().to_str().is_some_and(|found| is_unfinished(found, name));
        if is_ours && age(&entry).is_some_and(|age| age > ABANDONED) {
            // One that cannot be removed does no harm.
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Whether `found` is a name that [`replace`] gives to what is to become `name`, or gave in earlier versions.
fn is_unfinished(found: &str, name: &str) -> bool {
    let middle = found.strip_prefix(name).and_then(|rest| rest.strip_suffix(UNFINISHED));
    middle.is_some_and(|middle| {
        let digits = middle.strip_prefix('.').unwrap_or_default();
        middle.is_empty() || (digits.len() == 8 && digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
    })
}

/// In seconds.
fn age(entry: &fs::DirEntry) -> Option<f64> {
    let modified = entry.metadata().ok()?.modified().ok()?;
    let since_epoch = modified.duration_since(std::time::UNIX_EPOCH).ok()?;
    Some(unix_time() - since_epoch.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let names = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> =
            names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_read_up_to_its_limit() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("deep").join("file");
        replace(&file, "12345").unwrap();
        assert_eq!(read_text(&file, 5).unwrap(), "12345");
        assert!(read(&file, 4).is_err());
    }

    #[test]
    #[cfg(unix)]
    fn what_is_no_regular_file_is_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&pipe, &link).unwrap();
        for path in [&pipe, &link, Path::new("/dev/zero"), folder.path()] {
            let refusal = read(path, 1 << 16).unwrap_err().to_string();
            assert_eq!(refusal, "it is not a regular file", "{}", path.display());
        }
        // A secret in a container is a link to a file.
        fs::remove_file(&link).unwrap();
        fs::write(folder.path().join("file"), "text").unwrap();
        std::os::unix::fs::symlink("file", &link).unwrap();
        assert_eq!(read_text(&link, 100).unwrap(), "text");
    }

    #[test]
    #[cfg(unix)]
    fn a_file_is_replaced_as_a_whole_is_private_and_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        let (victim, nobody) = (folder.path().join("victim"), folder.path().join("file.new"));
        fs::write(&victim, "precious").unwrap();
        fs::create_dir_all(nobody.join("in the way")).unwrap();
        std::os::unix::fs::symlink(&victim, &file).unwrap();
        replace(&file, "text").unwrap();
        let metadata = fs::symlink_metadata(&file).unwrap();
        assert!(metadata.is_file());
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o777, 0o600);
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");

        // A folder cannot be replaced, and what was to replace it goes.
        assert!(replace(&nobody, "text").is_err());
        assert_eq!(names(folder.path()), ["file", "file.new", "victim"]);
    }

    #[test]
    fn programs_that_write_the_same_file_do_not_share_an_unfinished_one() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        let (one, other) = (unfinished_name(&file), unfinished_name(&file));
        assert_ne!(one, other);
        for name in [&one, &other] {
            let name = name.file_name().unwrap().to_str().unwrap();
            assert!(is_unfinished(name, "file") && !is_unfinished(name, "fil"), "{name}");
        }
        fs::write(&one, "being written by another program").unwrap();
        let old = File::create(&other).unwrap();
        let long_ago = fs::metadata(&one).unwrap().modified().unwrap() - Duration::from_secs(3600);
        old.set_modified(long_ago).unwrap();
        let foreign = File::create(folder.path().join("file.mine.new")).unwrap();
        foreign.set_modified(long_ago).unwrap();

        replace(&file, "text").unwrap();
        remove_abandoned(&file);
        let one = one.file_name().unwrap().to_str().unwrap().to_owned();
        let mut expected = vec!["file".to_owned(), "file.mine.new".into(), one];
        expected.sort();
        assert_eq!(names(folder.path()), expected);
    }

    #[test]
    fn a_folder_is_checked_without_a_trace() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("deep");
        check_folder(&deep).unwrap();
        assert_eq!(names(&deep), [""; 0]);
        fs::write(deep.join("file"), "").unwrap();
        assert!(check_folder(&deep.join("file")).is_err());
    }
}
