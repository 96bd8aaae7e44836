//! Sends on the journal: each entry once and in order, whatever was lost on the way.
//!
//! One entry is under way at a time, and the stream takes it only behind the one that is known to be before
//! it. After any doubt the stream is asked what it has last, which says whether a lost acknowledgement was
//! one.

use std::time::Duration;

use tokio::sync::broadcast::Receiver;
use tokio::time::{sleep, timeout};

use super::lineage::{self, Lineage};
use super::{Reporter, identity};
use crate::link::broker::records::JournalRecord;
use crate::link::broker::standing::Goods;
use crate::nats::letters::{Letter, Undelivered};
use crate::nats::trouble::Trouble;
use crate::store::history::cursors::{self, Usage};
use crate::store::journal::{Entry, EntryId, JournalError};

/// Entries that are read at once.
const MOST: usize = 64;
/// How often it is looked whether something waits, if nothing says so.
const ROUND: Duration = Duration::from_secs(60);
/// What is noted soon is in the file by then.
const SOON: Duration = Duration::from_millis(300);

/// Why it does not go on.
#[derive(Debug, thiserror::Error)]
enum Stopped {
    #[error(transparent)]
    Undelivered(#[from] Undelivered),
    #[error(transparent)]
    Unreadable(#[from] JournalError),
}

/// How far it is.
struct Place {
    /// The file that the numbers stand in.
    file: String,
    /// The last entry that the stream has.
    entry: i64,
    /// Where the stream has the last message of this site.
    sequence: u64,
}

/// Sends until it is dropped.
pub async fn forward(reporter: &Reporter) {
    let mut trouble = reporter.trouble("entries of the journal");
    let mut news = reporter.house.journal.follow();
    // Without a file, this is where it is kept how far it is.
    let mut known = None;
    loop {
        reporter.broker.there().await;
        let stopped = match begin(reporter, &mut known).await {
            Ok(mut place) => go_on(reporter, &mut place, &mut news, &mut known, &mut trouble).await,
            Err(stopped) => stopped,
        };
        trouble.is(stopped.to_string()).await;
    }
}

/// Asks the stream what it has.
async fn begin(reporter: &Reporter, known: &mut Option<(String, i64)>) -> Result<Place, Stopped> {
    let (history, subjects) = (&reporter.house.history, &reporter.broker.subjects);
    let is_first = known.is_none();
    let (file, kept) = match known.clone() {
        Some(known) => known,
        None => {
            let peer = reporter.peer();
            let query = move |connection: &rusqlite::Connection| {
                cursors::reached(connection, (Usage::SendJournal, &peer), "")
            };
            let kept = history.ask(query).await.unwrap_or_default();
            (identity::of(history).await, kept.map_or(0, |kept| kept as i64))
        }
    };
    let last = reporter.broker.last(&subjects.journal_stream(), &subjects.journal(&reporter.site.id)).await?;
    let sequence = last.as_ref().map_or(0, |last| last.sequence);
    let (file, entry) = match last.and_then(|last| JournalRecord::read(&last.body)) {
        Some(sent) => match lineage::of(&reporter.house.journal, (&file, kept, is_first), &sent).await? {
            // Also if that is less than what was acknowledged: a stream that lost its end gets it again.
            Lineage::Ours => (file, sent.n),
            Lineage::Copy => lineage::part(reporter, kept, &sent).await?,
            Lineage::Other => (file, kept),
        },
        None => (file, kept),
    };
    *known = Some((file.clone(), entry));
    Ok(Place { file, entry, sequence })
}

/// Sends what waits and what comes, until something is in the way.
async fn go_on(
    reporter: &Reporter,
    place: &mut Place,
    news: &mut Receiver<Entry>,
    known: &mut Option<(String, i64)>,
    trouble: &mut Trouble,
) -> Stopped {
    let (journal, history, peer) = (&reporter.house.journal, &reporter.house.history, reporter.peer());
    let mut kept = place.entry;
    loop {
        let sent = send_waiting(reporter, place).await;
        if place.entry != kept {
            kept = place.entry;
            *known = Some((place.file.clone(), kept));
            // If it cannot be written, the stream says it.
            let _ = history.reach((Usage::SendJournal, &peer), "", kept as f64).await;
        }
        match sent {
            Ok(true) => trouble.is_over(),
            Ok(false) => {
                trouble.is_over();
                // Entries that were missed here are read from the file all the same.
                let _ = timeout(ROUND, news.recv()).await;
                *news = journal.follow();
                sleep(SOON).await;
            }
            Err(stopped) => return stopped,
        }
    }
}

/// Sends some of what waits; whether there was something.
async fn send_waiting(reporter: &Reporter, place: &mut Place) -> Result<bool, Stopped> {
    let entries = reporter.house.journal.after(EntryId(place.entry), MOST).await?;
    for recorded in &entries {
        let body = JournalRecord::of(&place.file, recorded).to_bytes();
        let letter = Letter {
            subject: reporter.broker.subjects.journal(&reporter.site.id),
            body,
            id: Some(format!("{}/{}", place.file, recorded.id.0)),
            after: Some(place.sequence),
            ..Letter::default()
        };
        place.sequence = reporter.broker.publish(letter).await?;
        place.entry = recorded.id.0;
        reporter.house.standing.went(Goods::Entries, 1);
    }
    Ok(!entries.is_empty())
}
