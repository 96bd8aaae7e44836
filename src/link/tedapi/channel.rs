//! How a question reaches a unit: what is asked stays the same, what is put around it differs by channel.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::LocalBoxFuture;
use tokio::time::Instant;

use super::frames::{self, Target};
use super::transport::{Request, Transport};
use super::wire::{AUTH_MTLS, AUTH_PRESENCE, Envelope};
use crate::link::LinkError;
use crate::link::knock::Knock;
use crate::link::login::Customer;
use crate::model::{LinkHealth, LinkKind, Obstacle, Unable};

/// What is asked of whom.
#[derive(Clone, Debug)]
pub struct Question<'a> {
    /// Of the gateway or leader.
    pub din: &'a str,
    pub target: Target<'a>,
    /// The payload; how it is addressed is the channel's business.
    pub payload: Envelope,
    /// For messages.
    pub what: &'a str,
}

/// A channel that a gateway takes orders over.
pub trait Commands {
    /// Asks what must be known before an order is sent, the same way as it will be sent.
    fn read<'a>(&'a mut self, question: Question<'a>) -> LocalBoxFuture<'a, Result<Bytes, LinkError>>;

    /// Sends an order: once, whatever comes of it.
    fn write<'a>(&'a mut self, question: Question<'a>) -> LocalBoxFuture<'a, Result<Bytes, LinkError>>;
}

/// Carries questions to a gateway, and the encoded envelopes of their answers back.
pub trait Channel {
    /// Of the way in use.
    fn kind(&self) -> LinkKind;

    /// What the gateway says when it is asked for its DIN.
    fn din(&mut self) -> LocalBoxFuture<'_, Result<Bytes, LinkError>>;

    fn ask<'a>(&'a mut self, question: Question<'a>) -> LocalBoxFuture<'a, Result<Bytes, LinkError>>;

    /// Whether units behind the leader answer at all, or the leader would in their place.
    fn reaches_followers(&self) -> bool;

    /// Whether a failure casts doubt on the DIN that is known: another gateway may stand at the address.
    fn doubts_din(&self, error: &LinkError) -> bool;

    /// Tries a bare connection, see [`Link::knock`](crate::link::Link::knock).
    fn knock(&mut self, _limit: Duration) -> LocalBoxFuture<'_, Knock> {
        Box::pin(async { Knock::Untried })
    }

    /// The customer API of the same gateway, if it is known how to use it and nothing speaks against it now.
    fn customer(&self) -> Option<Customer<'_>> {
        None
    }

    /// What it takes orders over, if it does and nothing speaks against it now.
    ///
    /// # Errors
    /// With what stands in the way.
    fn commands(&mut self) -> Result<&mut dyn Commands, Unable> {
        self.takes_orders()?;
        Err(unsigned())
    }

    /// Whether [`Channel::commands`] has something.
    ///
    /// # Errors
    /// With what stands in the way.
    fn takes_orders(&self) -> Result<LinkKind, Unable> {
        Err(unsigned())
    }

    /// Reaches the gateway with this DIN from now on, and no other, if it does not lead to one machine alone.
    /// Whether another one may have been reached before.
    fn bind(&mut self, _din: &str) -> bool {
        false
    }

    /// How each of several ways does, if there are several.
    fn links(&self) -> Option<Vec<LinkHealth>> {
        None
    }

    /// When a way that is not in use wants to be tried again, if there is one.
    fn check_due(&self) -> Option<Instant> {
        None
    }

    /// Tries it.
    fn check<'a>(&'a mut self, _din: &'a str) -> LocalBoxFuture<'a, Result<(), LinkError>> {
        Box::pin(async { Ok(()) })
    }
}

fn unsigned() -> Unable {
    Obstacle::NoLink.because(
        "TEDAPI takes orders signed with a registered key only: configure the wired LAN address (host) and \
         the key (rsa_key_path), with Wi-Fi beside it (wifi_host) if need be",
    )
}

/// Questions in frames: over the gateway's own Wi-Fi, or with an installer login.
pub struct FrameChannel<T> {
    transport: T,
    kind: LinkKind,
}

impl<T> FrameChannel<T> {
    pub fn new(transport: T, kind: LinkKind) -> Self {
        Self { transport, kind }
    }
}

impl<T: Transport> Channel for FrameChannel<T> {
    fn kind(&self) -> LinkKind {
        self.kind
    }

    fn din(&mut self) -> LocalBoxFuture<'_, Result<Bytes, LinkError>> {
        self.transport.exchange(Request { path: "/tedapi/din".into(), body: None })
    }

    fn ask<'a>(&'a mut self, question: Question<'a>) -> LocalBoxFuture<'a, Result<Bytes, LinkError>> {
        let Question { target, payload, what, .. } = question;
        let auth = match (target, self.kind) {
            (Target::Unit { .. }, LinkKind::Tedapi) => AUTH_MTLS,
            _ => AUTH_PRESENCE,
        };
        let body = frames::wrap(frames::address(payload, target), auth);
        let request = Request { path: target.path(), body: Some(body) };
        Box::pin(async move { frames::unwrap(self.transport.exchange(request).await?, what) })
    }

    fn knock(&mut self, limit: Duration) -> LocalBoxFuture<'_, Knock> {
        self.transport.knock(limit)
    }

    fn customer(&self) -> Option<Customer<'_>> {
        self.transport.customer()
    }

    fn reaches_followers(&self) -> bool {
        true
    }

    fn doubts_din(&self, _: &LinkError) -> bool {
        true
    }
}
