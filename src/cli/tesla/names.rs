//! What the person calls the keys of a gateway, by fingerprint; beside the tokens. Tesla keeps no such names.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{LARGEST, SetUpError, keep};
use crate::files;
use crate::settings::House;

const FILE: &str = ".powerwall-server.keys.json";

pub(super) struct Names {
    path: PathBuf,
    by_fingerprint: BTreeMap<String, String>,
}

impl Names {
    /// # Errors
    /// If the file is there and cannot be used.
    pub(super) fn read(house: &House) -> Result<Self, SetUpError> {
        let beside = house.account.source.file().map(|tokens| tokens.with_file_name(FILE));
        let path = beside.unwrap_or_else(|| FILE.into());
        let by_fingerprint = match files::read_text(&path, LARGEST) {
            Ok(text) => serde_json::from_str(&text).map_err(|_| {
                SetUpError::Given(format!("{} holds no names of keys; move it away", path.display()))
            })?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(SetUpError::Unreadable { path, why: error.to_string() }),
        };
        Ok(Self { path, by_fingerprint })
    }

    pub(super) fn of(&self, fingerprint: &str) -> Option<&str> {
        self.by_fingerprint.get(fingerprint).map(String::as_str)
    }

    /// # Errors
    /// If it cannot be written down.
    pub(super) async fn give(&mut self, fingerprint: &str, name: &str) -> Result<(), SetUpError> {
        self.by_fingerprint.insert(fingerprint.to_owned(), name.to_owned());
        let text = serde_json::to_string_pretty(&self.by_fingerprint).unwrap_or_default();
        keep(&self.path, "the names of keys", text + "\n").await
    }
}
