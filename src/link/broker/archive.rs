//! The journals of other sites, read where the broker keeps them: what may be asked, and what comes back.

use futures_util::future::BoxFuture;

use super::records::JournalRecord;
use crate::model::Place;

/// Which entries. The newest ones come first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Asked {
    /// Of this site; `None`: of every site that is watched.
    pub site: Option<String>,
    /// Of these gateways only; empty: of all, and of the programs at the sites themselves.
    pub places: Vec<Place>,
    /// Names of kinds. Empty: all.
    pub kinds: Vec<String>,
    /// From here on, Unix seconds.
    pub since: Option<f64>,
    /// Up to here, exclusive.
    pub until: Option<f64>,
    /// Older than this one: where a former page ended.
    pub before: Option<u64>,
    /// How many at most.
    pub limit: usize,
}

impl Asked {
    pub fn takes(&self, Entry { site, record, .. }: &Entry) -> bool {
        let is_of = |place: &Place| place.site == *site && record.gateway.as_ref() == Some(&place.gateway);
        (self.places.is_empty() || self.places.iter().any(is_of))
            && (self.kinds.is_empty() || self.kinds.contains(&record.kind))
            && self.since.is_none_or(|since| record.at >= since)
            && self.until.is_none_or(|until| record.at < until)
    }
}

/// One entry of one site.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Its place among the entries of all sites, in the order in which they arrived.
    pub sequence: u64,
    /// For which the broker vouches.
    pub site: String,
    pub record: JournalRecord,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// The newest first.
    pub entries: Vec<Entry>,
    /// [`Asked::before`] of the next page, which may be there even if this one is short; `None`: that is all.
    pub next: Option<u64>,
}

/// Why nothing can be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArchiveError {
    #[error("there is no connection to the broker, which keeps the journals of sites")]
    NoConnection,
    #[error("the broker does not give the journals of sites: {0}")]
    Refused(String),
    #[error("the journals of sites are being read by others; ask again")]
    Busy,
}

/// Where journals are kept.
pub trait Archive: Send + Sync {
    /// Reads a page. Takes seconds at most, whatever is asked.
    fn read(&self, asked: Asked) -> BoxFuture<'static, Result<Page, ArchiveError>>;
}
