//! What is published into a stream, with the stream's word that it is kept; and what a stream has last.

use async_nats::StatusCode;
use async_nats::client::RequestErrorKind;
use async_nats::jetstream::context::{PublishAckFuture, PublishError, PublishErrorKind};
use async_nats::jetstream::message::PublishMessage;
use futures_util::future::join_all;

use super::Broker;

/// One message for a stream.
#[derive(Clone, Debug, Default)]
pub struct Letter {
    pub subject: String,
    pub body: Vec<u8>,
    /// The stream takes it once, within its window.
    pub id: Option<String>,
    /// The stream takes it only if this is the sequence of the last message of the subject; 0: there is none.
    pub after: Option<u64>,
    /// Whether it takes a key out of a bucket.
    pub deletes: bool,
}

/// What a stream keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its place in the stream.
    pub sequence: u64,
    pub body: Vec<u8>,
}

/// Why a message is not known to be in its stream.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Undelivered {
    #[error("the broker has no stream for it yet; a centre makes it")]
    NoStream,
    /// Something else is the last of its subject.
    #[error("something else came before it")]
    NotNext,
    /// It may be there.
    #[error("the broker does not answer, or does not permit it")]
    Silent,
    #[error("the broker refuses it: {0}")]
    Refused(String),
}

impl Broker {
    /// Publishes into a stream, and waits for its word: the sequence that the message got.
    ///
    /// # Errors
    /// If the stream did not say that it keeps the message. It may keep it all the same.
    pub async fn publish(&self, letter: Letter) -> Result<u64, Undelivered> {
        acknowledged(self.send(letter).await).await
    }

    /// Publishes in this order, and then waits for what the stream says of each, as [`Broker::publish`].
    pub async fn publish_all(&self, letters: impl Iterator<Item = Letter>) -> Vec<Result<u64, Undelivered>> {
        let mut sent = Vec::new();
        for letter in letters {
            sent.push(self.send(letter).await);
        }
        join_all(sent.into_iter().map(acknowledged)).await
    }

    async fn send(&self, letter: Letter) -> Result<PublishAckFuture, PublishError> {
        let mut message = PublishMessage::build().payload(letter.body.into());
        if let Some(id) = &letter.id {
            message = message.message_id(id);
        }
        if let Some(after) = letter.after {
            message = message.expected_last_subject_sequence(after);
        }
        if letter.deletes {
            message = message.header("KV-Operation", "DEL");
        }
        self.jetstream.send_publish(letter.subject, message).await
    }

    /// The last message of `subject` that `stream` keeps. A replica that is behind may answer.
    ///
    /// # Errors
    /// If nobody says.
    pub async fn last(&self, stream: &str, subject: &str) -> Result<Option<Kept>, Undelivered> {
        let asked = format!("$JS.API.DIRECT.GET.{stream}.{subject}");
        let answer =
            self.client.request(asked, Vec::new().into()).await.map_err(|error| match error.kind() {
                RequestErrorKind::NoResponders => Undelivered::NoStream,
                _ => Undelivered::Silent,
            })?;
        match answer.status {
            None => {}
            Some(StatusCode::NOT_FOUND) => return Ok(None),
            Some(status) => return Err(Undelivered::Refused(format!("status {status}"))),
        }
        let header = answer.headers.as_ref().and_then(|headers| headers.get("Nats-Sequence"));
        let sequence = header.and_then(|text| text.as_str().parse().ok());
        let sequence = sequence.ok_or_else(|| Undelivered::Refused("a message without a sequence".into()))?;
        Ok(Some(Kept { sequence, body: answer.payload.to_vec() }))
    }
}

async fn acknowledged(sent: Result<PublishAckFuture, PublishError>) -> Result<u64, Undelivered> {
    let acknowledged = async { sent?.await };
    acknowledged.await.map(|ack| ack.sequence).map_err(|error| match error.kind() {
        PublishErrorKind::StreamNotFound => Undelivered::NoStream,
        PublishErrorKind::WrongLastSequence => Undelivered::NotNext,
        PublishErrorKind::TimedOut | PublishErrorKind::BrokenPipe => Undelivered::Silent,
        _ => Undelivered::Refused(match std::error::Error::source(&error) {
            Some(source) => source.to_string(),
            None => error.to_string(),
        }),
    })
}
