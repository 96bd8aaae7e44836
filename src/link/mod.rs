//! The ways to reach a gateway: bytes in, telemetry out. No actors, no web server.

pub mod error;
pub mod tedapi;

use futures_util::future::LocalBoxFuture;

pub use error::LinkError;

use crate::model::{LinkKind, Source};

/// One way to reach one gateway. Never more than one exchange in flight: methods take `&mut self`.
pub trait Link {
    fn kind(&self) -> LinkKind;

    /// Fetches what changes by the second (power, charge, grid), connecting first if need be.
    fn poll(&mut self) -> LocalBoxFuture<'_, Result<Source, LinkError>>;

    /// Fetches the most overdue of what changes slowly: one exchange at most, so that a poll that falls due waits
    /// for one exchange and no longer. A failed exchange keeps the last good answer.
    fn refresh(&mut self) -> LocalBoxFuture<'_, Refreshed>;
}

/// What [`Link::refresh`] brought.
#[derive(Debug, Default)]
pub struct Refreshed {
    /// Everything known so far, if something was fetched.
    pub source: Option<Source>,
    /// Why the exchange failed, if it did.
    pub problem: Option<LinkError>,
    /// Whether more is due now.
    pub more: bool,
}
