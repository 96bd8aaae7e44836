//! Entries of the journal that are not in a file: those that wait to be written, or all of them if there is
//! no file.

use std::collections::VecDeque;

use super::{Entry, EntryId, Filter, Kind, Recorded};

/// Entries that are kept here at most.
pub(super) const MOST: usize = 1_000;
/// After so many entries the file is searched for what has become too much.
const PRUNE_AFTER: u64 = 256;

/// In the order of their ids.
pub(super) struct Waiting {
    entries: VecDeque<Recorded>,
    /// The id of the next entry; larger than any in the file, once the file has been seen.
    next: i64,
    /// Entries that had to be dropped since the file was last written.
    dropped: u64,
    /// Whether the store has been asked to write what is here.
    pub announced: bool,
    /// Entries written since the file was last pruned.
    unpruned: u64,
}

impl Default for Waiting {
    fn default() -> Self {
        // What a former run left behind may be too old by now.
        Self { entries: VecDeque::new(), next: 1, dropped: 0, announced: false, unpruned: PRUNE_AFTER }
    }
}

impl Waiting {
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Adds an entry. With too many, the oldest one goes that is neither an order nor an outcome.
    pub fn push(&mut self, entry: Entry) -> EntryId {
        if self.entries.len() >= MOST {
            let spared = |kind| matches!(kind, Kind::Order | Kind::Outcome);
            let oldest = self.entries.iter().position(|recorded| !spared(recorded.entry.kind));
            self.entries.remove(oldest.unwrap_or(0));
            self.dropped += 1;
        }
        let id = self.take_id();
        self.entries.push_back(Recorded { id, entry });
        id
    }

    fn take_id(&mut self) -> EntryId {
        self.next += 1;
        EntryId(self.next - 1)
    }

    /// Makes all ids larger than `last`, the largest one in the file.
    pub fn continue_after(&mut self, last: i64) {
        let first = self.entries.front().map_or(self.next, |recorded| recorded.id.0);
        let ahead = last + 1 - first;
        if ahead > 0 {
            self.next += ahead;
            for recorded in &mut self.entries {
                recorded.id.0 += ahead;
            }
        }
    }

    /// What is to be written into a file whose largest id is `last`, and the id of one more entry.
    pub fn batch(&mut self, last: i64, one_more: bool) -> (Vec<Recorded>, Option<EntryId>) {
        self.continue_after(last);
        let id = one_more.then(|| self.take_id());
        (self.entries.iter().cloned().collect(), id)
    }

    /// Everything up to `last` is in the file, with one more entry that did not wait here, or without.
    pub fn written(&mut self, last: EntryId, one_more: bool) {
        let before = self.entries.len();
        self.entries.retain(|recorded| recorded.id > last);
        self.unpruned += (before - self.entries.len()) as u64 + u64::from(one_more);
        let dropped = std::mem::take(&mut self.dropped);
        if dropped > 0 {
            log::warn!(
                event = "journal", entries = dropped;
                "the journal is written again; {dropped} entries did not fit in memory meanwhile and are \
                 missing",
            );
        }
    }

    pub fn is_prune_due(&self) -> bool {
        self.unpruned >= PRUNE_AFTER
    }

    pub fn pruned(&mut self) {
        self.unpruned = 0;
    }

    /// At most `most` entries behind `last`, the oldest first.
    pub fn after(&self, last: EntryId, most: usize) -> Vec<Recorded> {
        self.entries.iter().filter(|recorded| recorded.id > last).take(most).cloned().collect()
    }

    /// What `filter` takes, newest first.
    pub fn read(&self, filter: &Filter) -> Vec<Recorded> {
        let taken = self.entries.iter().rev().filter(|recorded| filter.takes(recorded));
        taken.take(filter.limit()).cloned().collect()
    }
}
