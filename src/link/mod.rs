//! The ways to reach a gateway: bytes in, telemetry out. No actors, no web server.

pub(crate) mod aside;
pub mod bounds;
pub mod broker;
pub mod budget;
pub mod careful;
mod dial;
pub mod error;
mod genuine;
pub mod https;
pub mod json;
pub mod knock;
pub mod local;
pub mod login;
pub mod look;
mod measured;
pub mod memory;
pub mod order;
pub mod pair;
pub mod silence;
pub mod standby;
pub mod tedapi;
pub mod tesla;
pub mod v1r;
pub(crate) mod vitals;

use std::sync::Arc;

use std::time::Duration;

use futures_util::future::LocalBoxFuture;

pub use error::LinkError;

use crate::model::{Answers, Capability, LinkHealth, LinkKind, Means, Obstacle, Order, OrderKind, Unable};
use crate::settings::{GatewaySettings, LinkConfig, QuerySet, TedapiConfig};
use broker::BrokerLink;
use careful::Careful;
use knock::Knock;
use local::LocalLink;
use memory::Memories;
use order::{Carried, ReadBack};
use pair::Pair;
use standby::Standby;
use tedapi::TedapiLink;
use tedapi::bearer::BearerTransport;
use tedapi::channel::{Channel, FrameChannel};
use tedapi::queries::Queries;
use tedapi::transport::HttpTransport;
use tesla::FleetLink;
use tesla::relay::RelayLink;
use v1r::SignedChannel;

/// A first poll may need this many.
const EXCHANGES_TO_FIRST_READING: u32 = 3;

/// One way to reach one gateway. Never more than one exchange in flight: methods take `&mut self`.
pub trait Link {
    /// Of the way in use.
    fn kind(&self) -> LinkKind;

    /// How long a poll may take, from the limit of one exchange: a first poll may need the DIN, the large
    /// status question, and the small one if the large one fails.
    fn patience(&self, exchange: Duration) -> Duration {
        exchange * EXCHANGES_TO_FIRST_READING
    }

    /// Fetches what changes by the second (power, charge, grid), connecting first if need be.
    fn poll(&mut self) -> LocalBoxFuture<'_, Result<Arc<dyn Answers>, LinkError>>;

    /// Fetches the most overdue of what changes slowly: one exchange at most, so that a poll that falls due
    /// waits for one exchange and no longer. A failed exchange keeps the last good answer.
    fn refresh(&mut self) -> LocalBoxFuture<'_, Refreshed>;

    /// Tries a bare connection to the machine, within `limit`: no TLS, no login, nothing is sent. For a
    /// gateway that does not answer; of a link with nothing to connect to, and while the gateway wants to be
    /// left alone, [`Knock::Untried`].
    fn knock(&mut self, _limit: Duration) -> LocalBoxFuture<'_, Knock> {
        Box::pin(async { Knock::Untried })
    }

    /// How long carrying out an order of `kind`, or reading it back, may take, from the limit of one exchange
    /// with a gateway.
    fn order_limit(&self, _kind: OrderKind, exchange: Duration) -> Duration {
        exchange
    }

    /// Carries out an order, once, within `limit`: reads what must be known just before, and sends. What it
    /// cannot prove it does not claim; reading back, which comes later, is [`Link::read_back`].
    fn carry_out<'a>(&'a mut self, _order: &'a Order, _limit: Duration) -> LocalBoxFuture<'a, Carried> {
        Box::pin(async { Carried::unable(cannot_write()) })
    }

    /// Reads, in one exchange, whether the gateway has what `order` asked for.
    fn read_back<'a>(&'a mut self, _order: &'a Order) -> LocalBoxFuture<'a, ReadBack> {
        Box::pin(async { ReadBack::default() })
    }

    /// Whether [`Link::read_back`] can show what became of `order`, whoever carried it out.
    fn shows(&self, _order: &Order) -> bool {
        false
    }

    /// Whether settings in the readings prove what became of `order`. Those that a cloud has stored do not
    /// where the gateway itself can be asked.
    fn readings_prove(&self, _order: &Order) -> bool {
        true
    }

    /// Whether it takes orders of `kind` at present.
    ///
    /// # Errors
    /// With what stands in the way.
    fn can_take(&self, _kind: OrderKind) -> Result<Means, Unable> {
        Err(cannot_write())
    }

    /// What orders it takes at present, and what stands in the way of the others.
    fn capabilities(&self) -> Vec<Capability> {
        let all = OrderKind::ALL.iter();
        all.map(|order| Capability { order: *order, by: self.can_take(*order) }).collect()
    }

    /// How each of several links does, if this is made of several; of a single one, its user knows.
    fn links(&self) -> Option<Vec<LinkHealth>> {
        None
    }

    /// Reaches the gateway with this DIN from now on, and no other: for links that do not lead to the address
    /// of one machine.
    fn bind(&mut self, _din: &str) {}

    /// What it cannot reach, for a person; of a link that stands for itself.
    fn remark(&self) -> Option<String> {
        None
    }
}

/// What stands in the way of every order, over a link that only reads.
fn cannot_write() -> Unable {
    Obstacle::NoLink.because(
        "no link that is configured can write: orders go over TEDAPI v1r (host and rsa_key_path), over the \
         customer API of a Powerwall 2 (host and password), or over FleetAPI (fleetapi)",
    )
}

/// What [`Link::refresh`] brought.
#[derive(Debug, Default)]
pub struct Refreshed {
    /// Everything known so far, if something was fetched.
    pub source: Option<Arc<dyn Answers>>,
    /// Why the exchange failed, if it did.
    pub problem: Option<LinkError>,
    /// Whether more is due now.
    pub more: bool,
}

/// The link of a gateway, which remembers only what is in its file. Touches neither network nor files; call
/// it on the thread that will use the link.
pub fn connect_lazily(gateway: &GatewaySettings) -> Box<dyn Link> {
    connect_with(gateway, &Memories::default())
}

/// As [`connect_lazily`], with what former links to the same gateway left in `memories`.
pub fn connect_with(gateway: &GatewaySettings, memories: &Memories) -> Box<dyn Link> {
    if gateway.standby.is_empty() {
        return single(gateway, memories);
    }
    let links = std::iter::once(gateway).chain(&gateway.standby).map(|link| single(link, memories));
    let is_cloud_first = gateway
        .standby
        .iter()
        .any(|link| matches!(&link.link, LinkConfig::Fleet(config) if config.takes_orders_first));
    let standby = Standby::new(&gateway.facts.id, links.collect(), gateway.timeout);
    Box::new(standby.with_cloud_first(is_cloud_first))
}

/// The one link that `gateway` prefers.
fn single(gateway: &GatewaySettings, memories: &Memories) -> Box<dyn Link> {
    let limit = gateway.timeout;
    let timezone = gateway.facts.timezone.as_deref();
    let id = gateway.facts.id.as_str();
    let memory = |host: &str, port| memories.at(id, host, port, gateway.state_file.as_deref());
    let (link, memory) = match &gateway.link {
        LinkConfig::Tedapi(access) => {
            let memory = memory(&access.host, access.port);
            let mut transport = HttpTransport::new(access, limit);
            if let Some(password) = &gateway.energies {
                transport = transport.with_customer(password, timezone, memory.clone());
            }
            let channel = FrameChannel::new(transport, LinkKind::Tedapi);
            (tedapi(channel, access.query_set, &host_and_port(&access.host, access.port), gateway), memory)
        }
        LinkConfig::Bearer(access) => {
            let memory = memory(&access.host, access.port);
            let transport = BearerTransport::new(access, timezone, limit, memory.clone());
            let channel = FrameChannel::new(transport, LinkKind::Bearer);
            (tedapi(channel, access.query_set, &host_and_port(&access.host, access.port), gateway), memory)
        }
        LinkConfig::V1r(access) => {
            let memory = memory(&access.host, access.port);
            let lan = SignedChannel::new(access, timezone, limit, memory.clone());
            let link = match &access.wifi {
                None => tedapi(lan, access.query_set, &host_and_port(&access.host, access.port), gateway),
                Some(other) => {
                    let pair = Pair::new(id, lan, wifi(other, limit), access.failover);
                    tedapi(pair, access.query_set, &host_and_port(&access.host, access.port), gateway)
                }
            };
            (link, memory)
        }
        LinkConfig::Local(access) => {
            let memory = memory(&access.host, access.port);
            let link: Box<dyn Link> = Box::new(LocalLink::new(id, access, limit, memory.clone()));
            (link, memory)
        }
        LinkConfig::Fleet(access) => {
            // Cool-downs are those of the account, which keeps them itself.
            let account = memories.accounts.of(&access.account);
            return Box::new(FleetLink::new(id, access, account, limit));
        }
        LinkConfig::Relay(access) => {
            let account = memories.accounts.of(&access.fleet.account);
            return Box::new(RelayLink::new(id, access, account, limit));
        }
        LinkConfig::Broker(access) => {
            let (place, reports) = (access.place.clone(), memories.reports.clone());
            return Box::new(BrokerLink::new(place, reports, access.orders));
        }
        LinkConfig::Unsupported(kind) => return Box::new(UnsupportedLink(*kind)),
    };
    Box::new(Careful::new(link, memory))
}

fn wifi(access: &TedapiConfig, limit: Duration) -> FrameChannel<HttpTransport> {
    FrameChannel::new(HttpTransport::new(access, limit), LinkKind::Tedapi)
}

fn tedapi(
    channel: impl Channel + 'static,
    queries: QuerySet,
    address: &str,
    gateway: &GatewaySettings,
) -> Box<dyn Link> {
    let link = TedapiLink::over(&gateway.facts.id, channel, Queries::of(queries), address);
    Box::new(match gateway.energies {
        Some(_) => link.with_energies(gateway.state_file.is_some()),
        None => link,
    })
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

    fn poll(&mut self) -> LocalBoxFuture<'_, Result<Arc<dyn Answers>, LinkError>> {
        let error = LinkError::Unsupported(format!(
            "this version reaches gateways over TEDAPI (host and gw_pwd) and the customer API (host and \
             password); this one is configured for {}",
            self.0.name()
        ));
        Box::pin(async { Err(error) })
    }

    fn refresh(&mut self) -> LocalBoxFuture<'_, Refreshed> {
        Box::pin(async { Refreshed::default() })
    }
}
