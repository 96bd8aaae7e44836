//! Whether the journal at hand is the one that the stream has, or an older copy of it: a copy gives numbers a
//! second time that were given to other entries already.

use log::warn;

use super::{Reporter, identity};
use crate::link::broker::records::JournalRecord;
use crate::store::history::cursors::Usage;
use crate::store::journal::{EntryId, Filter, Journal, JournalError, Recorded};

/// Entries that are read at once.
const MOST: usize = 256;
/// JSON does not have every digit of a time, in seconds.
const SAME: f64 = 1e-3;

/// What the last entry in the stream is to the journal at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lineage {
    /// It was sent from here.
    Ours,
    /// It was sent from what became of the same journal after this copy was made.
    Copy,
    /// Nothing of this journal was sent yet.
    Other,
}

/// What `sent` is to the journal with the name `file`, of which everything up to `kept` was sent. `is_first`:
/// this run has sent nothing yet.
pub async fn of(
    journal: &Journal,
    (file, kept, is_first): (&str, i64, bool),
    sent: &JournalRecord,
) -> Result<Lineage, JournalError> {
    if sent.file != file {
        // A copy of a copy. Later in a run, it is an answer of a replica that is behind.
        return Ok(if is_first && kept > 0 { Lineage::Copy } else { Lineage::Other });
    }
    let same = journal.after(EntryId(sent.n - 1), 1).await?;
    let is_ours = match same.first().filter(|here| here.id.0 == sent.n) {
        Some(here) => is_same(here, sent),
        // Old entries are removed.
        None => {
            let newest = Filter { limit: Some(1), ..Filter::default() };
            let newest = journal.read(&newest).await?.first().map_or(kept, |newest| newest.id.0);
            sent.n <= newest.max(kept)
        }
    };
    Ok(if is_ours { Lineage::Ours } else { Lineage::Copy })
}

fn is_same(here: &Recorded, sent: &JournalRecord) -> bool {
    let entry = &here.entry;
    (entry.at - sent.at).abs() < SAME && entry.kind.name() == sent.kind && entry.gateway == sent.gateway
}

/// Gives a copy a name of its own, and brings it with the last entry that it shares with the stream: it was
/// made before `sent` happened, and whatever it has from before that, the stream has too.
pub async fn part(
    reporter: &Reporter,
    kept: i64,
    sent: &JournalRecord,
) -> Result<(String, i64), JournalError> {
    let (history, mut shared) = (&reporter.house.history, kept);
    loop {
        let entries = reporter.house.journal.after(EntryId(shared), MOST).await?;
        let older = entries.iter().take_while(|here| here.entry.at <= sent.at + SAME);
        let Some(last) = older.last() else { break };
        shared = last.id.0;
    }
    // First this: interrupted in between, it is found out once more.
    let _ = history.reach((Usage::SendJournal, &reporter.peer()), "", shared as f64).await;
    let file = identity::renew(history).await;
    warn!(
        event = "broker";
        "the journal is an older copy of the one that was sent to the broker, or another program reports as \
         site {}; entries up to {shared} are taken to be there, and newer ones are sent as {file}",
        reporter.site.id
    );
    Ok((file, shared))
}
