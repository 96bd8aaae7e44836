//! What outlives the program: opened when it starts, finished when it ends, and said aloud when it cannot be
//! kept.

use std::io;
use std::path::{Path, PathBuf};

use log::{info, warn};
use tokio::task::spawn_blocking;

use crate::files;
use crate::store::Store;
use crate::store::journal::Journal;

/// The journal in `file`, or in memory. A file that cannot be used is logged, and used as soon as it can be.
pub(super) fn journal(file: Option<&Path>) -> io::Result<Journal> {
    let Some(file) = file else {
        info!(
            event = "not_kept";
            "the journal is in memory and is lost when this program ends; to keep it, set PW_TIMESERIES_PATH \
             or mount a folder at /data in the container",
        );
        return Ok(Journal::in_memory());
    };
    Ok(Journal::kept_in(&Store::open(file.to_owned())?))
}

/// Says so if nothing can be written into the folder of `PW_AUTH_PATH`; holds up nobody.
pub(super) fn check(folder: Option<PathBuf>) {
    let Some(folder) = folder else { return };
    spawn_blocking(move || {
        if let Err(error) = files::check_folder(&folder) {
            let path = folder.display().to_string();
            warn!(
                event = "not_kept", path = path.as_str();
                "PW_AUTH_PATH={path} cannot be written: {error}; sessions, certificates and numbers of units \
                 are forgotten when this program ends",
            );
        }
    });
}

/// Writes what still waits.
pub(super) async fn finish(journal: &Journal) {
    tokio::join!(journal.flush(), files::write_what_waits());
}
