//! What outlives the program: opened when it starts, finished when it ends, and said aloud when it cannot be
//! kept.

use std::io;
use std::path::{Path, PathBuf};

use log::{info, warn};
use tokio::task::spawn_blocking;

use crate::files;
use crate::link::tesla::Accounts;
use crate::store::Store;
use crate::store::history::{History, Keeping};
use crate::store::journal::Journal;

/// Journal and history in `file`; without one, the journal in memory and no history. A file that cannot be
/// used is logged, and used as soon as it can be.
pub(super) fn open(file: Option<&Path>, keeping: &Keeping) -> io::Result<(Journal, History)> {
    let Some(file) = file else {
        info!(
            event = "not_kept";
            "the journal is in memory and is lost when this program ends, and no history is recorded; \
             to keep them, set PW_TIMESERIES_PATH or mount a folder at /data in the container",
        );
        return Ok((Journal::in_memory(), History::off()));
    };
    let store = Store::open(file.to_owned())?;
    let journal = Journal::kept_in(&store);
    Ok((journal, History::kept_in(file, &store, keeping)?))
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
pub(super) async fn finish(journal: &Journal, accounts: &Accounts) {
    accounts.settle().await;
    tokio::join!(journal.flush(), files::write_what_waits());
}
