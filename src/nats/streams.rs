//! The streams and the bucket that instances meet on. A centre makes what is missing, if it may; a site never
//! does.

use std::time::Duration;

use async_nats::jetstream::context::{CreateStreamErrorKind, GetStreamErrorKind};
use async_nats::jetstream::kv;
use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType};

use super::Broker;

/// A month without anybody who takes slots away.
const SLOTS_FOR: Duration = Duration::from_secs(31 * 86_400);
/// What `docs/fleet.md` promises unless the stream was made otherwise.
const JOURNAL_FOR: Duration = Duration::from_secs(400 * 86_400);
/// Of slots and of entries, together with their headers.
const LARGEST_MESSAGE: i32 = 16 << 10;
/// Within it, the server drops what was sent twice.
const TWICE_WITHIN: Duration = Duration::from_secs(600);

/// Why something is not there.
#[derive(Debug, thiserror::Error)]
#[error("{what} is not there and cannot be made: {why}; see docs/fleet.md for the permissions of a centre")]
pub struct Missing {
    what: String,
    why: String,
}

impl Broker {
    /// Makes what is missing; what is there stays as somebody made it.
    ///
    /// # Errors
    /// If something is missing and cannot be made.
    pub async fn prepare(&self, replicas: u8) -> Result<kv::Store, Missing> {
        let subjects = &self.subjects;
        let common = |name: String, subject: String| Config {
            name,
            subjects: vec![subject],
            storage: StorageType::File,
            num_replicas: replicas.into(),
            max_message_size: LARGEST_MESSAGE,
            // What is full refuses, and the site keeps what it has.
            discard: DiscardPolicy::New,
            duplicate_window: TWICE_WITHIN,
            ..Config::default()
        };
        let slots = Config {
            retention: RetentionPolicy::WorkQueue,
            max_age: SLOTS_FOR,
            ..common(subjects.slots_stream(), subjects.all_slots())
        };
        let journal = Config {
            retention: RetentionPolicy::Limits,
            max_age: JOURNAL_FOR,
            allow_direct: true,
            ..common(subjects.journal_stream(), subjects.all_journals())
        };
        self.stream(slots).await?;
        self.stream(journal).await?;
        self.bucket(replicas).await
    }

    async fn stream(&self, config: Config) -> Result<(), Missing> {
        let what = format!("the stream {}", config.name);
        match self.jetstream.get_stream(&config.name).await {
            Ok(_) => return Ok(()),
            Err(error) if matches!(error.kind(), GetStreamErrorKind::JetStream(_)) => {}
            Err(error) => return Err(Missing { what, why: error.to_string() }),
        }
        match self.jetstream.create_stream(config).await {
            Ok(_) => Ok(()),
            // Another centre was quicker.
            Err(error)
                if matches!(error.kind(), CreateStreamErrorKind::JetStream(_))
                    && error.to_string().contains("already in use") =>
            {
                Ok(())
            }
            Err(error) => Err(Missing { what, why: error.to_string() }),
        }
    }

    async fn bucket(&self, replicas: u8) -> Result<kv::Store, Missing> {
        let name = self.subjects.bucket();
        if let Ok(store) = self.jetstream.get_key_value(&name).await {
            return Ok(store);
        }
        // The library's way of making a bucket first asks for the account, and cannot read what a server of
        // version 2.9 answers.
        self.stream(Config {
            name: format!("KV_{name}"),
            description: Some("The newest report of each gateway".into()),
            subjects: vec![format!("$KV.{name}.>")],
            max_messages_per_subject: 1,
            discard: DiscardPolicy::New,
            storage: StorageType::File,
            num_replicas: replicas.into(),
            allow_rollup: true,
            deny_delete: true,
            allow_direct: true,
            ..Config::default()
        })
        .await?;
        let missing = |why: String| Missing { what: format!("the bucket {name}"), why };
        self.jetstream.get_key_value(&name).await.map_err(|error| missing(error.to_string()))
    }
}
