//! Which refresh tokens of the owners API have been sent. Each may be sent once, and nobody knows what comes
//! of one whose answer was lost: so each is noted on the disk before it is sent, by its fingerprint.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use tokio::task::spawn_blocking;

use crate::files;

/// A file larger than this is not one of ours.
const LARGEST: usize = 64 << 10;
/// More than an account uses up in a month.
const MOST: usize = 200;
/// Another program that noted a token has its answer by then, seconds.
const UNDER_WAY: f64 = 120.0;

/// What is known of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// It may be sent.
    Unspent,
    /// Somebody has sent it a moment ago and may still be waiting for the answer.
    UnderWay,
    Spent,
}

/// What a note of `at` says at `now`.
fn since(at: f64, now: f64) -> Use {
    if (now - at).abs() < UNDER_WAY { Use::UnderWay } else { Use::Spent }
}

/// The file with the notes.
#[derive(Clone, Debug)]
pub struct Notes(PathBuf);

impl Notes {
    /// Beside the token file.
    pub fn beside(tokens: &Path) -> Self {
        Self(tokens.with_file_name(".powerwall-server.owners-spent.json"))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// What is known of `token`, a fingerprint, at `now`, Unix seconds.
    pub async fn of(&self, token: &str, now: f64) -> Use {
        // What cannot be read shows when a token is to be noted.
        let notes = self.read().await.unwrap_or_default();
        notes.get(token).map_or(Use::Unspent, |at| since(*at, now))
    }

    /// Notes that `token` is sent at `now`, unless it is noted already. Whoever notes it alone may send it.
    ///
    /// # Errors
    /// If it cannot be written down; then nothing may be sent.
    pub async fn spend(&self, token: &str, now: f64) -> io::Result<Use> {
        let _lock = files::lock(&self.0).await;
        let mut notes = self.read().await?;
        if let Some(at) = notes.get(token) {
            return Ok(since(*at, now));
        }
        notes.insert(token.to_owned(), now);
        while notes.len() > MOST {
            let oldest = notes.iter().min_by(|one, other| one.1.total_cmp(other.1));
            let Some(oldest) = oldest.map(|(token, _)| token.clone()) else { break };
            notes.remove(&oldest);
        }
        self.write(&notes).await.map(|()| Use::Unspent)
    }

    /// It was not sent, or Tesla said that it goes on.
    ///
    /// # Errors
    /// If that cannot be written down: it stays spent.
    pub async fn unspend(&self, token: &str) -> io::Result<()> {
        let _lock = files::lock(&self.0).await;
        let mut notes = self.read().await?;
        match notes.remove(token) {
            Some(_) => self.write(&notes).await,
            None => Ok(()),
        }
    }

    async fn read(&self) -> io::Result<BTreeMap<String, f64>> {
        let path = self.0.clone();
        let text =
            spawn_blocking(move || files::read_text(&path, LARGEST)).await.map_err(io::Error::other)?;
        match text {
            Ok(text) => serde_json::from_str(&text).map_err(|_| io::Error::other("its content is damaged")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeMap::new()),
            Err(error) => Err(error),
        }
    }

    async fn write(&self, notes: &BTreeMap<String, f64>) -> io::Result<()> {
        let (path, text) = (self.0.clone(), serde_json::to_string(notes)?);
        spawn_blocking(move || files::replace(&path, &text)).await.map_err(io::Error::other)?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_token_is_spent_by_one_and_stays_so_over_restarts() {
        let folder = tempfile::tempdir().unwrap();
        let notes = || Notes::beside(&folder.path().join(".pypowerwall.auth"));
        let (one, other) = (notes(), notes());
        let both = futures_util::future::join(one.spend("a", 1000.0), other.spend("a", 1000.0)).await;
        let mut both = [both.0.unwrap(), both.1.unwrap()];
        both.sort_by_key(|known| *known != Use::Unspent);
        assert_eq!(both, [Use::Unspent, Use::UnderWay]);
        assert_eq!(notes().of("a", 1100.0).await, Use::UnderWay);
        assert_eq!(notes().of("a", 1200.0).await, Use::Spent);
        assert_eq!(notes().of("a", 0.0).await, Use::Spent, "whatever the clock says");
        assert_eq!(notes().of("b", 1200.0).await, Use::Unspent);
        notes().unspend("a").await.unwrap();
        assert_eq!(notes().of("a", 1200.0).await, Use::Unspent);
        for number in 0..MOST + 5 {
            notes().spend(&number.to_string(), 2000.0 + number as f64).await.unwrap();
        }
        let newest = (MOST + 4).to_string();
        assert_eq!(notes().of("0", 9000.0).await, Use::Unspent);
        assert_eq!(notes().of(&newest, 9000.0).await, Use::Spent);
    }

    #[tokio::test]
    async fn what_cannot_be_noted_cannot_be_sent() {
        let notes = Notes::beside(Path::new("/proc/nowhere/.pypowerwall.auth"));
        assert!(notes.spend("a", 1000.0).await.is_err());
        let folder = tempfile::tempdir().unwrap();
        let notes = Notes::beside(&folder.path().join(".pypowerwall.auth"));
        std::fs::write(notes.path(), "{").unwrap();
        assert!(notes.spend("a", 1000.0).await.is_err(), "what was noted there is unknown");
    }
}
