//! Small files: read up to a limit, and written whole or not at all, for their owner only.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;

/// What is in `path`, which may be a pipe as well. Blocks; not for a thread that serves somebody.
///
/// # Errors
/// If it cannot be read, or holds more than `most` bytes.
pub fn read(path: &Path, most: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(most as u64 + 1).read_to_end(&mut bytes)?;
    match bytes.len() > most {
        true => Err(io::Error::other(format!("larger than {} KiB", most >> 10))),
        false => Ok(bytes),
    }
}

/// As [`read`], for text.
///
/// # Errors
/// As [`read`], and if it is no UTF-8.
pub fn read_text(path: &Path, most: usize) -> io::Result<String> {
    String::from_utf8(read(path, most)?).map_err(|_| io::Error::other("not UTF-8 text"))
}

/// Puts `text` where `path` was; a folder that is missing is made. Blocks; not for a thread that serves somebody.
///
/// # Errors
/// If the folder cannot be written; then the old file is as it was.
pub fn replace(path: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder)?;
    }
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let unfinished = path.with_file_name(name);
    // One that was left behind may be readable for others.
    let _ = fs::remove_file(&unfinished);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut new = options.open(&unfinished)?;
    new.write_all(text.as_bytes())?;
    new.sync_all()?;
    fs::rename(unfinished, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_up_to_its_limit_and_one_without_an_end_ends_there() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("deep").join("file");
        replace(&file, "12345").unwrap();
        assert_eq!(read_text(&file, 5).unwrap(), "12345");
        assert!(read(&file, 4).is_err());
        #[cfg(unix)]
        assert!(read(Path::new("/dev/zero"), 1 << 16).is_err());
    }
}
