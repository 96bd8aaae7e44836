//! Gateways that another instance of this program reads and reports over a broker: a link that only looks at
//! the newest report. Watching the broker is left to whoever holds the connection.

pub mod answers;
pub mod archive;
mod documents;
pub mod error;
mod offer;
pub mod orders;
pub mod records;
pub mod reported;
pub mod reports;
pub mod standing;
pub mod wire;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use rand::random;
use tokio::time::Instant;

use crate::clock::unix_time;
use crate::link::order::{Carried, ReadBack};
use crate::link::{Link, LinkError, Refreshed};
use crate::model::{
    Answers, ErrorNote, Freshness, LinkKind, Means, Obstacle, Order, OrderKind, Outcome, Proof, Unable,
};
use crate::settings::Role;
use answers::BrokerAnswers;
use error::BrokerError;
use orders::{Errand, Reply};
use reports::{Delivery, Place, Received, Reports};
use wire::Report;

/// A site that has not reported for this long is silent: it reports every minute.
const SILENT: Duration = Duration::from_secs(75);
/// How long a site may take for an order, and what it takes to say so.
const ORDER_LIMIT: Duration = Duration::from_secs(25);

/// See the module.
pub struct BrokerLink {
    place: Place,
    reports: Reports,
    /// With which role orders may leave this program; `None`: none may.
    orders: Option<Role>,
    /// The report that the last poll brought: the same one is not worked out twice.
    last: Option<(Arc<Received>, Arc<dyn Answers>)>,
}

impl BrokerLink {
    pub fn new(place: Place, reports: Reports, orders: Option<Role>) -> Self {
        Self { place, reports, orders, last: None }
    }

    fn newest(&mut self) -> Result<Arc<dyn Answers>, BrokerError> {
        let Place { site, gateway } = &self.place;
        let Some(received) = self.reports.of(&self.place) else {
            return Err(match self.reports.is_connected() {
                false => BrokerError::NoConnection,
                true => BrokerError::NeverReported { site: site.clone(), gateway: gateway.clone() },
            });
        };
        let silent = Instant::now().saturating_duration_since(received.said);
        if received.report.instance.leaves {
            return Err(BrokerError::SiteStopped { site: site.clone(), since: silent });
        }
        if silent > SILENT {
            return Err(match self.reports.is_connected() {
                false => BrokerError::NoConnection,
                true => BrokerError::SiteSilent { site: site.clone(), silent },
            });
        }
        let polls = &received.report.polls;
        if received.report.freshness() != Freshness::Live {
            let message = match &polls.error {
                Some((_, message)) => message.clone(),
                None => "it has not read its gateway yet".to_owned(),
            };
            return Err(BrokerError::AtSite { site: site.clone(), message });
        }
        if let Some((known, answers)) = &self.last
            && Arc::ptr_eq(known, &received)
        {
            return Ok(answers.clone());
        }
        let Some(answers) = BrokerAnswers::of(received.clone()) else {
            let message = "it reports nothing that it has read".to_owned();
            return Err(BrokerError::AtSite { site: site.clone(), message });
        };
        let answers: Arc<dyn Answers> = Arc::new(answers);
        self.last = Some((received, answers.clone()));
        Ok(answers)
    }

    async fn order(&self, order: &Order, limit: Duration) -> Carried {
        let Some(courier) = self.reports.courier() else {
            return Carried::not_sent("broker_away", BrokerError::NoConnection.to_string());
        };
        let id = format!("{:032x}", random::<u128>());
        let errand = Errand {
            v: wire::VERSION,
            id: id.clone(),
            order: order.kind().word().to_owned(),
            value: order.whole_value(),
            deadline: unix_time() + limit.as_secs_f64(),
            ttl_ms: u64::try_from(limit.as_millis()).unwrap_or(u64::MAX),
            by: "the centre".to_owned(),
            // It has passed the guards of this program.
            confirmed: true,
        };
        let unknown =
            |message: String| Carried::outcome(Outcome::Unknown(ErrorNote { kind: "site_silent", message }));
        match courier.send(&self.place, errand.to_bytes(), limit).await {
            Delivery::NotSent(why) => Carried::not_sent("site_silent", why),
            Delivery::Silent(why) => unknown(why),
            Delivery::Answered(bytes) => match Reply::read(&bytes) {
                Some(reply) if reply.id == id => Carried::outcome(reply.outcome()),
                _ => unknown("the site answered something that is not about the order".into()),
            },
        }
    }
}

impl Link for BrokerLink {
    fn kind(&self) -> LinkKind {
        LinkKind::Broker
    }

    fn poll(&mut self) -> LocalBoxFuture<'_, Result<Arc<dyn Answers>, LinkError>> {
        Box::pin(async { Ok(self.newest()?) })
    }

    fn refresh(&mut self) -> LocalBoxFuture<'_, Refreshed> {
        Box::pin(async { Refreshed::default() })
    }

    fn order_limit(&self, _kind: OrderKind, _exchange: Duration) -> Duration {
        ORDER_LIMIT
    }

    fn carry_out<'a>(&'a mut self, order: &'a Order, limit: Duration) -> LocalBoxFuture<'a, Carried> {
        Box::pin(self.order(order, limit))
    }

    fn read_back<'a>(&'a mut self, _order: &'a Order) -> LocalBoxFuture<'a, ReadBack> {
        // The site has read it back, and said so.
        Box::pin(async { ReadBack::default() })
    }

    fn can_take(&self, kind: OrderKind) -> Result<Means, Unable> {
        let Some(role) = self.orders else {
            let why = "orders to other sites are off here; PW_BROKER_ORDERS=yes allows them";
            return Err(Obstacle::NoPermission.because(why));
        };
        if !role.may_order(kind) {
            let why = "this is not ordered of other sites from here; PW_BROKER_ORDERS=owner allows it";
            return Err(Obstacle::NoPermission.because(why));
        }
        let Some(received) = self.reports.of(&self.place) else {
            return Err(Obstacle::NotReached.because("the site has not reported yet"));
        };
        let (report, site) = (&received.report, &self.place.site);
        let (what, needed) = match report.instance.role() {
            None => ("no orders", "yes"),
            Some(role) if !role.may_order(kind) => ("no such order", "owner"),
            Some(_) => return able(report, site, kind),
        };
        let why =
            format!("site {site} takes {what} from the broker; PW_BROKER_ORDERS={needed} there allows it");
        Err(Obstacle::NoPermission.because(why))
    }
}

/// Whether the gateway takes it, as `site` says.
fn able(report: &Report, site: &str, kind: OrderKind) -> Result<Means, Unable> {
    if let Some((proof, _)) = report.can.iter().find(|(_, orders)| offer::names(orders, kind)) {
        let all = [Proof::Accepted, Proof::Stored, Proof::InEffect];
        let proves = all.into_iter().find(|one| one.word() == proof).unwrap_or(Proof::Accepted);
        return Ok(Means { link: LinkKind::Broker, proves });
    }
    Err(match report.cannot.iter().find(|(_, orders)| offer::names(orders, kind)) {
        Some((why, _)) => obstacle_of(why).because(format!("site {site} cannot take it: {why}")),
        None if report.can.is_empty() && report.cannot.is_empty() => {
            Obstacle::NotReached.because(format!("site {site} does not know yet what it can take"))
        }
        None => {
            Obstacle::NoLink.because(format!("site {site} has no link that takes it, or does not know it"))
        }
    })
}

fn obstacle_of(word: &str) -> Obstacle {
    use Obstacle::{Firmware, KeyNotAccepted, NoBattery, NoLink, NoPermission, NotReached, OffGrid};
    let mut all =
        [NoLink, NotReached, KeyNotAccepted, NoPermission, Firmware, NoBattery, OffGrid].into_iter();
    all.find(|obstacle| obstacle.word() == word).unwrap_or(NoLink)
}

#[cfg(test)]
mod tests;
