//! One service for each folder of state: two would overwrite each other's sessions, and each would end the
//! leases of the other.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::StartError;
use crate::files::{FolderLock, take_folder};
use crate::settings::Settings;

/// The folders of a service, held until this is dropped.
pub(super) struct Lone(Vec<FolderLock>);

impl Lone {
    /// Takes the folders of `PW_AUTH_PATH` and `PW_TIMESERIES_PATH`. What cannot be written is not used, and
    /// that is logged elsewhere.
    ///
    /// # Errors
    /// If another service has one of them.
    pub fn take(settings: &Settings) -> Result<Self, StartError> {
        let mut held = Vec::new();
        for folder in folders(settings) {
            match take_folder(&folder) {
                Ok(Some(lock)) => held.push(lock),
                Ok(None) => return Err(StartError::InUse(folder)),
                Err(_) => {}
            }
        }
        Ok(Self(held))
    }

    /// Whether there is a folder that keeps others away.
    pub fn keeps_others_away(&self) -> bool {
        !self.0.is_empty()
    }
}

fn folders(settings: &Settings) -> BTreeSet<PathBuf> {
    let of_store = settings.store.as_deref().and_then(Path::parent).map(Path::to_owned);
    let all = of_store.into_iter().chain(settings.polling.memory.clone());
    let all = all.map(|folder| if folder.as_os_str().is_empty() { ".".into() } else { folder });
    // One folder under two names is taken once.
    all.map(|folder: PathBuf| folder.canonicalize().unwrap_or(folder)).collect()
}
