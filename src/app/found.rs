//! Has gateways that other instances report supervised like those of the configuration, as they come and go.

use std::collections::HashSet;
use std::time::Duration;

use actix::prelude::*;
use log::warn;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::link::broker::reports::{Place, Reports};
use crate::model::Labels;
use crate::settings::{BrokerConfig, GatewaySettings, Role, Settings};
use crate::supervisor::{Found, Supervisor};

/// A new centre finds thousands at once: they are taken over together.
const TOGETHER: Duration = Duration::from_millis(500);
/// For an exchange with the broker.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Of ids of gateways.
const LONGEST_ID: usize = 64;

/// What the settings say of gateways that are found.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Finding {
    /// Whether any are wanted.
    is_wanted: bool,
    /// `PW_BROKER_ORDERS`
    orders: Option<Role>,
    /// Those that the configuration names itself.
    named: HashSet<Place>,
}

impl Finding {
    pub fn of(settings: &Settings) -> Self {
        let broker = settings.broker.as_ref();
        Self {
            is_wanted: broker.is_some_and(|broker| !broker.watched.is_empty()),
            orders: broker.and_then(|broker| broker.orders),
            named: settings.gateways.iter().filter_map(|gateway| gateway.facts.place.clone()).collect(),
        }
    }

    /// Everything that is reported and not named.
    fn gateways(&self, reports: &Reports) -> Vec<GatewaySettings> {
        if !self.is_wanted {
            return Vec::new();
        }
        let mut ids = HashSet::new();
        let all = reports.all().into_iter().filter(|(place, _)| !self.named.contains(place));
        all.filter_map(|(place, received)| {
            let id = place.id();
            if id.len() > LONGEST_ID || !ids.insert(id.clone()) {
                warn!(
                    gateway = id.as_str(), event = "broker";
                    "gateway {id}: site {} and gateway {} make an id that is taken or too long; name it \
                     among the gateways", place.site, place.gateway
                );
                return None;
            }
            let report = &received.report;
            let name = match report.gateway.name.as_str() {
                "" => id.clone(),
                name => name.to_owned(),
            };
            let instance = &report.instance;
            let labels = Labels { tags: instance.tags.clone(), group: instance.group.clone() };
            let config = BrokerConfig { place, orders: self.orders };
            Some(GatewaySettings::reported(id, name, labels, config, TIMEOUT))
        })
        .collect()
    }
}

/// Keeps `supervisor` in line with `reports`.
pub(super) async fn follow(
    reports: Reports,
    supervisor: Addr<Supervisor>,
    mut finding: watch::Receiver<Finding>,
) {
    let mut places = reports.follow();
    let mut before = Vec::new();
    loop {
        places.borrow_and_update();
        let current = finding.borrow_and_update().gateways(&reports);
        if current != before {
            if supervisor.send(Found(current.clone())).await.is_err() {
                return;
            }
            before = current;
        }
        let goes_on = tokio::select! {
            changed = places.changed() => changed.is_ok(),
            changed = finding.changed() => changed.is_ok(),
        };
        if !goes_on {
            return;
        }
        sleep(TOGETHER).await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::link::broker::reports::Received;
    use crate::link::broker::wire::Report;

    #[test]
    fn what_is_reported_is_found_once_and_what_is_named_is_not() {
        let reports = Reports::default();
        let place = |site: &str, gateway: &str| Place { site: site.into(), gateway: gateway.into() };
        for place in [place("a.b", "c"), place("a", "b-c"), place("named", "x")] {
            let received = Received { report: Report::default(), said: Instant::now() };
            assert!(reports.take(place, received));
        }
        let named = HashSet::from([place("named", "x")]);
        let finding = Finding { is_wanted: true, orders: None, named };
        let ids: Vec<String> =
            finding.gateways(&reports).iter().map(|gateway| gateway.facts.id.clone()).collect();
        assert_eq!(ids, ["a-b-c"], "the same id twice is one gateway, and the log names the other");
        assert!(Finding::default().gateways(&reports).is_empty());
    }
}
