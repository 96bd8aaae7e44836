//! What a site says: a report of each gateway when something changed, and a last one when it goes.

use std::collections::HashMap;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::{Shared, Wanted};
use crate::clock::unix_time;
use crate::link::broker::answers::EVERY;
use crate::link::broker::wire::{Instance, Report};
use crate::nats::Broker;
use crate::settings::SiteSettings;

/// How often it is looked whether something changed.
const ROUND: Duration = Duration::from_secs(1);
/// From one report of a gateway to the next.
const AT_MOST_EVERY: Duration = Duration::from_secs(5);

/// Reports until the program goes, and then says so.
pub(super) async fn report(
    broker: &Broker,
    site: &SiteSettings,
    orders: bool,
    shared: &Shared,
    mut wanted: watch::Receiver<Wanted>,
) {
    let instance = Instance {
        version: env!("CARGO_PKG_VERSION").into(),
        since: unix_time().floor(),
        tags: site.tags.clone(),
        group: site.group.clone(),
        leaves: false,
        orders,
    };
    let mut said: HashMap<String, (Report, Instant)> = HashMap::new();
    let mut rounds = interval(ROUND);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let goes = wanted.wait_for(|wanted| wanted.leaves);
    tokio::pin!(goes);
    loop {
        tokio::select! {
            _ = rounds.tick() => say(broker, site, &instance, shared, &mut said, false).await,
            _ = &mut goes => break,
        }
    }
    let instance = Instance { leaves: true, ..instance };
    say(broker, site, &instance, shared, &mut said, true).await;
    let _ = broker.client.flush().await;
}

/// Publishes what is due. Nothing waits: without a connection nothing is said, and the newest counts.
async fn say(
    broker: &Broker,
    site: &SiteSettings,
    instance: &Instance,
    shared: &Shared,
    said: &mut HashMap<String, (Report, Instant)>,
    all: bool,
) {
    if !broker.is_there() {
        return said.clear();
    }
    for entry in shared.directory.entries().iter() {
        let now = Instant::now();
        let last = said.get(&entry.id);
        let rests = last.is_some_and(|(_, at)| now.duration_since(*at) < AT_MOST_EVERY);
        if rests && !all {
            continue;
        }
        let report = Report::of(&entry.board.read(), instance, (now, unix_time()));
        let is_due =
            last.is_none_or(|(before, at)| now.duration_since(*at) >= EVERY || !before.is_as(&report));
        if !is_due && !all {
            continue;
        }
        let subject = broker.subjects.report(&site.id, &entry.id);
        if broker.client.publish(subject, report.to_bytes().into()).await.is_ok() {
            said.insert(entry.id.clone(), (report, now));
        }
    }
}
