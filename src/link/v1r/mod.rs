//! TEDAPI with signed requests over the wired LAN (v1r): the channel that signs, and what it makes of
//! refusals.
//!
//! The questions are those of TEDAPI. The gateway accepts them from any holder of a key that was registered
//! over the cloud and confirmed at the house. It speaks for the leader only: asked for a follower, it answers
//! with its own data.

pub mod message;

use std::sync::Arc;
use std::time::Duration;

use awc::http::{Method, header};
use bytes::Bytes;
use futures_util::future::LocalBoxFuture;
use prost::Message;
use tokio::time::{Instant, timeout};

use super::error::KeyState;
use super::https::{Answer, Call, Exchange, Https};
use super::knock::Knock;
use super::login::Customer;
use super::login::{Login, is_refusal};
use super::memory::Memory;
use super::tedapi::channel::{Channel, Commands, Question};
use super::tedapi::frames::{Target, address, malformed};
use super::tedapi::wire::{Envelope, HERMES_COMMAND, Participant};
use crate::clock::unix_time;
use crate::link::LinkError;
use crate::model::{LinkKind, Unable};
use crate::settings::V1rConfig;
use message::{Refusal, SigningKey};

/// A registration that nobody confirms is void after about this long.
const CONFIRMATION_WINDOW: Duration = Duration::from_secs(600);
/// The least difference of the clocks, in seconds, that can explain a refusal.
const SKEW: f64 = 3.0;
const REFUSED: &str =
    "this address does not take signed requests from here; is it the wired LAN address of the leader?";

/// Signs questions and asks the leader.
pub struct SignedChannel<E> {
    exchange: E,
    login: Login,
    key: Arc<dyn SigningKey>,
    /// Since when the gateway says that the registration is not confirmed.
    pending_since: Option<Instant>,
    /// Of one exchange.
    limit: Duration,
}

impl SignedChannel<Https> {
    /// Touches neither network nor files.
    pub fn new(config: &V1rConfig, timezone: Option<&str>, limit: Duration, memory: Arc<Memory>) -> Self {
        let https = Https::new(&config.host, config.port, &config.certificate, limit);
        let login = Login::customer(&config.password, timezone, memory);
        Self::over(https, login, Arc::new(config.key.clone()), limit)
    }
}

impl<E: Exchange> SignedChannel<E> {
    /// As [`SignedChannel::new`], over an exchange and with a signature of choice.
    pub fn over(exchange: E, login: Login, key: Arc<dyn SigningKey>, limit: Duration) -> Self {
        Self { exchange, login, key, pending_since: None, limit }
    }

    async fn post(&self, din: &str, envelope: Bytes, only_reads: bool) -> Result<Answer, LinkError> {
        let (key, din, uuid) = (self.key.clone(), din.to_owned(), rand::random());
        let now = unix_time();
        let sign = move || message::sign(&*key, &din, envelope, now, uuid);
        let signed = tokio::task::spawn_blocking(sign).await;
        let body = signed.map_err(|error| LinkError::Unreachable(format!("cannot sign: {error}")))?;
        let call = Call {
            method: Method::POST,
            path: "/tedapi/v1r".into(),
            headers: vec![(
                header::CONTENT_TYPE,
                header::HeaderValue::from_static("application/octet-stream"),
            )],
            body,
            only_reads,
        };
        self.exchange.exchange(call).await
    }

    async fn send(&mut self, question: Question<'_>) -> Result<Bytes, LinkError> {
        let Question { din, target, payload, what } = question;
        let envelope = question_of(payload, din, target);
        let mut answer = self.post(din, envelope.clone(), true).await?;
        // Some gateways want to have seen a login, and forget it.
        if is_refusal(&answer) && self.login.forget().await {
            self.login.token(&self.exchange).await?;
            answer = self.post(din, envelope, true).await?;
            self.login.judge(&answer);
        }
        self.opened(answer, what)
    }

    /// Once: not even a login follows.
    async fn send_order(&mut self, question: Question<'_>) -> Result<Bytes, LinkError> {
        let Question { din, payload, what, .. } = question;
        let answer = self.post(din, command(payload, din), false).await?;
        self.opened(answer, what)
    }

    /// The encoded envelope of an answer.
    fn opened(&mut self, answer: Answer, what: &str) -> Result<Bytes, LinkError> {
        let gateway_time = answer.date;
        match message::open(answer.ok("/tedapi/v1r", REFUSED)?) {
            Ok(envelope) => {
                self.pending_since = None;
                Ok(envelope)
            }
            Err(refusal) => Err(self.refused(refusal, gateway_time, what)),
        }
    }

    /// What a refusal means for the person who must act.
    fn refused(&mut self, refusal: Refusal, gateway_time: Option<i64>, what: &str) -> LinkError {
        let since = self.pending_since.take();
        match refusal {
            Refusal::NotVerified => {
                let since = since.unwrap_or_else(Instant::now);
                self.pending_since = Some(since);
                match since.elapsed() < CONFIRMATION_WINDOW {
                    true => self.key(KeyState::Pending),
                    false => self.key(KeyState::TimedOut),
                }
            }
            Refusal::Empty | Refusal::Fault(message::UNKNOWN_KEY) => self.key(KeyState::Unknown),
            Refusal::Fault(message::INACTIVE_KEY) => self.key(KeyState::Inactive),
            Refusal::Fault(fault @ (message::TIME_EXPIRED | message::TIME_TO_LIVE_TOO_LONG)) => {
                LinkError::ClockSkew(skew(fault, gateway_time.map(|time| unix_time() - time as f64)))
            }
            Refusal::Fault(fault) => LinkError::Rejected { fault, name: message::fault_name(fault) },
            Refusal::Malformed(why) => malformed(what, why),
        }
    }

    fn key(&self, state: KeyState) -> LinkError {
        LinkError::Key { state, fingerprint: self.key.fingerprint().to_owned() }
    }
}

/// How the clocks differ. `ahead`: by how many seconds this machine's is before the gateway's, if that is
/// known.
fn skew(fault: i32, ahead: Option<f64>) -> String {
    match ahead.filter(|ahead| ahead.abs() >= SKEW) {
        Some(ahead) => {
            let way = if ahead > 0.0 { "ahead of" } else { "behind" };
            format!("this machine's clock is {:.0} s {way} the gateway's", ahead.abs())
        }
        None if fault == message::TIME_EXPIRED => {
            "this machine's clock is behind the gateway's, or the network is very slow".into()
        }
        None => "this machine's clock is ahead of the gateway's".into(),
    }
}

/// The payload as it is asked over v1r, encoded.
pub fn question_of(payload: Envelope, din: &str, target: Target<'_>) -> Bytes {
    match payload.files.is_some() || payload.site.is_some() {
        true => command(payload, din),
        false => address(payload, target),
    }
}

/// The payload as an authorized client sends commands and file requests, encoded.
pub fn command(payload: Envelope, din: &str) -> Bytes {
    let envelope = Envelope {
        delivery_channel: HERMES_COMMAND,
        sender: Some(Participant::authorized_client()),
        recipient: Some(Participant::din(din)),
        ..payload
    };
    envelope.encode_to_vec().into()
}

impl<E: Exchange> Channel for SignedChannel<E> {
    fn kind(&self) -> LinkKind {
        LinkKind::V1r
    }

    /// Needs a login, unlike everything else here.
    fn din(&mut self) -> LocalBoxFuture<'_, Result<Bytes, LinkError>> {
        Box::pin(async {
            let limit = self.limit;
            let call = Call::get("/tedapi/din");
            let din = self.login.send(&self.exchange, &call);
            timeout(limit, din).await.unwrap_or(Err(LinkError::Timeout(limit)))
        })
    }

    fn ask<'a>(&'a mut self, question: Question<'a>) -> LocalBoxFuture<'a, Result<Bytes, LinkError>> {
        Box::pin(self.send(question))
    }

    fn knock(&mut self, limit: Duration) -> LocalBoxFuture<'_, Knock> {
        self.exchange.knock(limit)
    }

    fn customer(&self) -> Option<Customer<'_>> {
        Some(Customer { exchange: &self.exchange, login: &self.login, may_log_in: true })
    }

    fn reaches_followers(&self) -> bool {
        false
    }

    fn commands(&mut self) -> Result<&mut dyn Commands, Unable> {
        Ok(self)
    }

    fn takes_orders(&self) -> Result<LinkKind, Unable> {
        Ok(LinkKind::V1r)
    }

    /// To learn the DIN takes a login, so it is not learnt anew after any failure, but when the signature,
    /// which covers the DIN, or the key did not fit.
    fn doubts_din(&self, error: &LinkError) -> bool {
        match error {
            LinkError::Rejected { fault, .. } => {
                matches!(*fault, message::INVALID_SIGNATURE | message::WRONG_PERSONALIZATION)
            }
            LinkError::Key { state, .. } => *state == KeyState::Unknown,
            _ => false,
        }
    }
}

impl<E: Exchange> Commands for SignedChannel<E> {
    fn read<'a>(&'a mut self, question: Question<'a>) -> LocalBoxFuture<'a, Result<Bytes, LinkError>> {
        Box::pin(self.send(question))
    }

    fn write<'a>(&'a mut self, question: Question<'a>) -> LocalBoxFuture<'a, Result<Bytes, LinkError>> {
        Box::pin(self.send_order(question))
    }
}

#[cfg(test)]
mod tests;
