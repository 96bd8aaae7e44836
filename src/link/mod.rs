//! The ways to reach a gateway: bytes in, telemetry out. No actors, no web server.

pub mod error;
pub mod https;
pub mod tedapi;
mod tls;

use futures_util::future::LocalBoxFuture;

pub use error::LinkError;

use crate::model::{LinkKind, Source};
use crate::settings::{Access, GatewaySettings};
use tedapi::TedapiLink;

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

/// The link of a gateway. Touches neither network nor files; call it on the thread that will use the link.
pub fn connect_lazily(gateway: &GatewaySettings) -> Box<dyn Link> {
    match &gateway.access {
        Access::Tedapi(access) => Box::new(TedapiLink::new(access, gateway.timeout)),
        Access::Unsupported(kind) => Box::new(UnsupportedLink(*kind)),
    }
}

/// Stands where a link will be one day, and says so.
struct UnsupportedLink(LinkKind);

impl Link for UnsupportedLink {
    fn kind(&self) -> LinkKind {
        self.0
    }

    fn poll(&mut self) -> LocalBoxFuture<'_, Result<Source, LinkError>> {
        let error = LinkError::Unsupported(format!(
            "this version reaches gateways over TEDAPI only (host and gw_pwd); this one is configured for {}",
            self.0.name()
        ));
        Box::pin(async { Err(error) })
    }

    fn refresh(&mut self) -> LocalBoxFuture<'_, Refreshed> {
        Box::pin(async { Refreshed::default() })
    }
}
