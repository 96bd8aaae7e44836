//! The ways to reach a gateway: bytes in, telemetry out. No actors, no web server.

pub mod budget;
mod careful;
pub mod error;
pub mod https;
pub mod local;
pub mod memory;
pub mod silence;
pub mod tedapi;
mod tls;

use futures_util::future::LocalBoxFuture;

pub use error::LinkError;
pub use tls::any_certificate;

use crate::model::{LinkKind, Source};
use crate::settings::{Access, GatewaySettings};
use careful::Careful;
use local::LocalLink;
use memory::Memories;
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

/// The link of a gateway, which remembers only what is in its file. Touches neither network nor files; call it on the
/// thread that will use the link.
pub fn connect_lazily(gateway: &GatewaySettings) -> Box<dyn Link> {
    connect_with(gateway, &Memories::default())
}

/// As [`connect_lazily`], with what former links to the same gateway left in `memories`.
pub fn connect_with(gateway: &GatewaySettings, memories: &Memories) -> Box<dyn Link> {
    let state_file = gateway.state_file.as_deref();
    match &gateway.access {
        Access::Tedapi(access) => {
            let memory = memories.of(&host_and_port(&access.host, access.port), state_file);
            Box::new(Careful::new(Box::new(TedapiLink::new(access, gateway.timeout)), memory))
        }
        Access::Local(access) => {
            let memory = memories.of(&host_and_port(&access.host, access.port), state_file);
            let link = LocalLink::new(access, gateway.timeout, memory.clone());
            Box::new(Careful::new(Box::new(link), memory))
        }
        Access::Unsupported(kind) => Box::new(UnsupportedLink(*kind)),
    }
}

/// How a gateway is called in documents, files and messages.
fn host_and_port(host: &str, port: u16) -> String {
    match port {
        443 => host.to_owned(),
        port if host.contains(':') => format!("[{host}]:{port}"),
        port => format!("{host}:{port}"),
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
            "this version reaches gateways over TEDAPI (host and gw_pwd) and the customer API (host and password); this \
             one is configured for {}",
            self.0.name()
        ));
        Box::pin(async { Err(error) })
    }

    fn refresh(&mut self) -> LocalBoxFuture<'_, Refreshed> {
        Box::pin(async { Refreshed::default() })
    }
}
