//! Has gateways that other instances report supervised like those of the configuration, as they come and go.

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use actix::prelude::*;
use log::warn;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::link::broker::reports::{Place, Reports};
use crate::model::Labels;
use crate::settings::sites::is_id;
use crate::settings::{BrokerConfig, GatewaySettings, Role, Settings};
use crate::supervisor::{Found, Supervisor};

/// A new centre finds thousands at once: they are taken over together.
const TOGETHER: Duration = Duration::from_millis(500);
/// For an exchange with the broker.
const TIMEOUT: Duration = Duration::from_secs(5);

/// What the settings say of gateways that are found.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Finding {
    /// Whether any are wanted.
    is_wanted: bool,
    /// `PW_BROKER_ORDERS`
    orders: Option<Role>,
    /// What this program reports itself.
    site: Option<String>,
    /// Those that the configuration names itself.
    named: HashSet<Place>,
    /// Those of the gateways of the configuration.
    ids: HashSet<String>,
}

impl Finding {
    pub fn of(settings: &Settings) -> Self {
        let broker = settings.broker.as_ref();
        Self {
            is_wanted: broker.is_some_and(|broker| !broker.watched.is_empty()),
            orders: broker.and_then(|broker| broker.orders),
            site: broker.and_then(|broker| broker.site.as_ref()).map(|site| site.id.clone()),
            ids: settings.gateways.iter().map(|gateway| gateway.facts.id.clone()).collect(),
            named: settings.gateways.iter().filter_map(|gateway| gateway.facts.place.clone()).collect(),
        }
    }

    /// Everything that is reported and not named, and what of it can have no id here.
    fn gateways(&self, reports: &Reports) -> (Vec<GatewaySettings>, BTreeSet<Place>) {
        let (mut found, mut refused) = (Vec::new(), BTreeSet::new());
        if !self.is_wanted {
            return (found, refused);
        }
        let mut ids = self.ids.clone();
        let is_other = |place: &Place| !self.named.contains(place) && self.site.as_ref() != Some(&place.site);
        for (place, received) in reports.all().into_iter().filter(|(place, _)| is_other(place)) {
            let id = place.id();
            if !is_id(&id) || !ids.insert(id.clone()) {
                refused.insert(place);
                continue;
            }
            let report = &received.report;
            let name = match report.gateway.name.as_str() {
                "" => id.clone(),
                name => name.to_owned(),
            };
            let instance = &report.instance;
            let labels = Labels { tags: instance.tags.clone(), group: instance.group.clone() };
            let config = BrokerConfig { place, orders: self.orders };
            found.push(GatewaySettings::reported(id, name, labels, config, TIMEOUT));
        }
        (found, refused)
    }
}

fn refuse(Place { site, gateway }: &Place) {
    warn!(
        event = "broker";
        "site {site:.80} and gateway {gateway:.80} of the broker make an id that is taken, too long, or \
         not of A-Z a-z 0-9 _ -; name that gateway among the gateways"
    );
}

/// Keeps `supervisor` in line with `reports`.
pub(super) async fn follow(
    reports: Reports,
    supervisor: Addr<Supervisor>,
    mut finding: watch::Receiver<Finding>,
) {
    let mut places = reports.follow();
    let (mut before, mut refused) = (Vec::new(), BTreeSet::new());
    loop {
        places.borrow_and_update();
        let (current, now_refused) = finding.borrow_and_update().gateways(&reports);
        now_refused.difference(&refused).for_each(refuse);
        refused = now_refused;
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
        let long = "x".repeat(63);
        let odd = [place("a", ".."), place("a", "b/c"), place("a", &long), place("own", "one")];
        let right = [place("a.b", "c"), place("a", "b-c"), place("named", "x")];
        for place in right.into_iter().chain(odd.clone()) {
            let received = Received { report: Report::default(), said: Instant::now() };
            assert!(reports.take(place, received));
        }
        let named = HashSet::from([place("named", "x")]);
        let ids = HashSet::from(["own-one".to_owned()]);
        let finding = Finding { is_wanted: true, orders: None, site: None, named, ids };
        let (found, refused) = finding.gateways(&reports);
        let found: Vec<&str> = found.iter().map(|gateway| gateway.facts.id.as_str()).collect();
        assert_eq!(found, ["a-b-c"], "the same id twice is one gateway, and the log names the other");
        let expected = odd.into_iter().chain([place("a.b", "c")]);
        assert_eq!(refused, expected.collect());
        assert!(Finding::default().gateways(&reports).0.is_empty());
    }
}
