//! The ways to reach a gateway: bytes in, telemetry out. No actors, no web server.

pub mod error;
pub mod https;
mod login;
mod pair;
pub mod tedapi;
mod tls;
pub mod v1r;

use std::time::Duration;

use futures_util::future::LocalBoxFuture;

pub use error::LinkError;

use crate::model::{LinkHealth, LinkKind, Source};
use crate::settings::{Access, GatewaySettings, QuerySet, TedapiAccess};
use pair::Pair;
use tedapi::TedapiLink;
use tedapi::bearer::BearerTransport;
use tedapi::channel::{Channel, FrameChannel};
use tedapi::queries::Queries;
use tedapi::transport::HttpTransport;
use v1r::SignedChannel;

/// One way to reach one gateway. Never more than one exchange in flight: methods take `&mut self`.
pub trait Link {
    /// Of the way in use.
    fn kind(&self) -> LinkKind;

    /// Fetches what changes by the second (power, charge, grid), connecting first if need be.
    fn poll(&mut self) -> LocalBoxFuture<'_, Result<Source, LinkError>>;

    /// Fetches the most overdue of what changes slowly: one exchange at most, so that a poll that falls due waits
    /// for one exchange and no longer. A failed exchange keeps the last good answer.
    fn refresh(&mut self) -> LocalBoxFuture<'_, Refreshed>;

    /// How each of several ways does, if this stands for several; of a single one, whoever uses it knows.
    fn links(&self) -> Option<Vec<LinkHealth>> {
        None
    }

    /// What it cannot reach, for a person; of a link that stands for itself.
    fn remark(&self) -> Option<String> {
        None
    }
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
    let limit = gateway.timeout;
    let timezone = gateway.facts.timezone.as_deref();
    match &gateway.access {
        Access::Tedapi(access) => tedapi(wifi(access, limit), access.query_set, &access.host, access.port),
        Access::Bearer(access) => {
            let transport = BearerTransport::new(access, timezone, limit);
            let channel = FrameChannel::new(transport, LinkKind::Bearer);
            tedapi(channel, access.query_set, &access.host, access.port)
        }
        Access::V1r(access) => {
            let lan = SignedChannel::new(access, timezone, limit);
            match &access.wifi {
                None => tedapi(lan, access.query_set, &access.host, access.port),
                Some(other) => {
                    let pair = Pair::new(lan, wifi(other, limit), access.failover);
                    tedapi(pair, access.query_set, &access.host, access.port)
                }
            }
        }
        Access::Unsupported(kind) => Box::new(UnsupportedLink(*kind)),
    }
}

fn wifi(access: &TedapiAccess, limit: Duration) -> FrameChannel<HttpTransport> {
    FrameChannel::new(HttpTransport::new(access, limit), LinkKind::Tedapi)
}

/// A port that is not the usual one belongs to how a gateway is called in documents.
fn tedapi(channel: impl Channel + 'static, queries: QuerySet, host: &str, port: u16) -> Box<dyn Link> {
    let called = if port == 443 { host.to_owned() } else { format!("{host}:{port}") };
    Box::new(TedapiLink::over(channel, Queries::of(queries), &called))
}

/// Stands where a link will be one day, and says so.
struct UnsupportedLink(LinkKind);

impl Link for UnsupportedLink {
    fn kind(&self) -> LinkKind {
        self.0
    }

    fn poll(&mut self) -> LocalBoxFuture<'_, Result<Source, LinkError>> {
        let error = LinkError::Unsupported(format!(
            "this version reaches gateways over their own protocol only (TEDAPI: gw_pwd, or rsa_key_path); this one is configured for {}",
            self.0.name()
        ));
        Box::pin(async { Err(error) })
    }

    fn refresh(&mut self) -> LocalBoxFuture<'_, Refreshed> {
        Box::pin(async { Refreshed::default() })
    }
}
