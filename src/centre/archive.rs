//! Reads the journals of sites out of their stream, the newest entries first.
//!
//! A stream is read forwards only. So windows of it are read from its end backwards, each wider than the one
//! after it, until enough was found; the server passes over the sites that are not asked for.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::Message;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull};
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::link::broker::archive::{Archive, ArchiveError, Asked, Entry, Page};
use crate::link::broker::records::JournalRecord;
use crate::nats::Broker;

/// Pages that are read at once.
const MOST_READERS: usize = 4;
/// For one page.
const LIMIT: Duration = Duration::from_secs(10);
/// Sequences of the first window …
const FIRST_WINDOW: u64 = 1_000;
/// … and how much wider each further one is.
const WIDER: u64 = 8;
/// A window that has so many entries to look at is wide enough.
const MANY: usize = 2_500;
/// Entries that are looked at for one page.
const MOST_READ: usize = 20_000;
/// Messages that come at once.
const AT_ONCE: usize = 500;
/// The server forgets a reader that is gone after this long.
const FORGOTTEN: Duration = Duration::from_secs(30);
/// An entry is at the broker after it happened, but for clocks that differ by no more than this, in seconds.
const CLOCKS: f64 = 3600.0;

/// Over the connection of a centre.
pub(super) struct NatsArchive {
    broker: Broker,
    /// Of the sites that are watched.
    patterns: Vec<String>,
    readers: Arc<Semaphore>,
}

impl NatsArchive {
    pub fn new(broker: Broker, patterns: Vec<String>) -> Self {
        Self { broker, patterns, readers: Arc::new(Semaphore::new(MOST_READERS)) }
    }
}

impl Archive for NatsArchive {
    fn read(&self, asked: Asked) -> BoxFuture<'static, Result<Page, ArchiveError>> {
        let subjects = &self.broker.subjects;
        let filters = match &asked.site {
            Some(site) => vec![subjects.journal(site)],
            None => self.patterns.iter().map(|pattern| subjects.journal(pattern)).collect(),
        };
        let (broker, readers) = (self.broker.clone(), self.readers.clone());
        Box::pin(async move {
            let Ok(_reader) = readers.try_acquire() else { return Err(ArchiveError::Busy) };
            if !broker.is_there() {
                return Err(ArchiveError::NoConnection);
            }
            let reading = Reading { broker: &broker, filters, asked, read: 0 };
            let page = timeout(LIMIT, reading.page()).await;
            page.unwrap_or_else(|_| Err(ArchiveError::Refused("it takes too long".into())))
        })
    }
}

/// What was found in a part of the stream.
#[derive(Default)]
struct Window {
    /// The newest ones that are asked for, in the order of the stream.
    entries: VecDeque<Entry>,
    /// Whether more was asked for than there is room.
    has_more: bool,
    /// When the first message arrived that was read, Unix seconds.
    oldest: Option<f64>,
}

/// One page on its way.
struct Reading<'a> {
    broker: &'a Broker,
    /// Subjects; no message has two of them.
    filters: Vec<String>,
    asked: Asked,
    /// Entries that were looked at.
    read: usize,
}

impl Reading<'_> {
    async fn page(mut self) -> Result<Page, ArchiveError> {
        let stream = self.broker.jetstream.get_stream(self.broker.subjects.journal_stream()).await;
        let state = stream.map_err(|why| ArchiveError::Refused(why.to_string()))?.cached_info().state.clone();
        let (first, beyond) = (state.first_sequence.max(1), state.last_sequence.saturating_add(1));
        let mut end = self.asked.before.map_or(beyond, |before| before.min(beyond));
        let (mut width, mut page) = (FIRST_WINDOW, Page::default());
        while end > first && page.entries.len() < self.asked.limit && self.read < MOST_READ {
            let (begin, read) = (end.saturating_sub(width).max(first), self.read);
            let window = self.window(begin..end, self.asked.limit - page.entries.len()).await?;
            page.entries.extend(window.entries.into_iter().rev());
            let is_older = |(since, oldest): (f64, f64)| oldest < since - CLOCKS;
            if !window.has_more && self.asked.since.zip(window.oldest).is_some_and(is_older) {
                return Ok(page);
            }
            // Otherwise the next one could hold more than can be read in time.
            if self.read - read < MANY {
                width = width.saturating_mul(WIDER);
            }
            end = begin;
            if window.has_more {
                end = page.entries.last().map_or(end, |last| last.sequence);
            }
        }
        page.next = (end > first).then_some(end);
        Ok(page)
    }

    /// The newest `most` that are asked for, of a part of the stream.
    async fn window(&mut self, part: std::ops::Range<u64>, most: usize) -> Result<Window, ArchiveError> {
        let mut window = Window::default();
        for filter in self.filters.clone() {
            self.gather(filter, &part, most, &mut window).await?;
        }
        if self.filters.len() > 1 {
            window.entries.make_contiguous().sort_by_key(|entry| entry.sequence);
            let surplus = window.entries.len().saturating_sub(most);
            window.has_more |= surplus > 0;
            window.entries.drain(..surplus);
        }
        Ok(window)
    }

    async fn gather(
        &mut self,
        filter: String,
        part: &std::ops::Range<u64>,
        most: usize,
        window: &mut Window,
    ) -> Result<(), ArchiveError> {
        let consumer = self.consumer(filter, part.start).await?;
        let before = window.entries.len();
        let mut left = consumer.cached_info().num_pending;
        while left > 0 {
            let batch = consumer.fetch().max_messages(AT_ONCE).messages().await;
            let mut batch = batch.map_err(|why| ArchiveError::Refused(why.to_string()))?;
            let mut is_empty = true;
            while let Some(message) = batch.next().await {
                let message = message.map_err(|why| ArchiveError::Refused(why.to_string()))?;
                let info = message.info().map_err(|why| ArchiveError::Refused(why.to_string()))?;
                (left, is_empty) = (info.pending, false);
                if info.stream_sequence >= part.end {
                    left = 0;
                    break;
                }
                self.read += 1;
                let arrived = info.published.unix_timestamp_nanos() as f64 / 1e9;
                window.oldest = Some(window.oldest.map_or(arrived, |oldest| oldest.min(arrived)));
                let entry = self.entry(&message, info.stream_sequence);
                window.entries.extend(entry.filter(|entry| self.asked.takes(entry)));
                if window.entries.len() - before > most {
                    window.entries.remove(before);
                    window.has_more = true;
                }
            }
            if is_empty {
                break;
            }
        }
        // It would be forgotten all the same.
        let name = consumer.cached_info().name.clone();
        let stream = self.broker.subjects.journal_stream();
        let _ = self.broker.jetstream.delete_consumer_from_stream(name, stream).await;
        Ok(())
    }

    async fn consumer(&self, filter: String, start: u64) -> Result<PullConsumer, ArchiveError> {
        let config = pull::Config {
            deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: start },
            ack_policy: AckPolicy::None,
            filter_subject: filter,
            inactive_threshold: FORGOTTEN,
            memory_storage: true,
            num_replicas: 1,
            ..pull::Config::default()
        };
        let stream = self.broker.subjects.journal_stream();
        let made = self.broker.jetstream.create_consumer_on_stream(config, stream).await;
        made.map_err(|why| ArchiveError::Refused(why.to_string()))
    }

    /// `None`: it is something else, or of a later version.
    fn entry(&self, message: &Message, sequence: u64) -> Option<Entry> {
        let site = self.broker.subjects.of_journal(&message.subject)?;
        let record = JournalRecord::read(&message.payload)?;
        Some(Entry { sequence, site: site.to_owned(), record })
    }
}
