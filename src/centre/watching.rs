//! Watches the bucket of reports: what a new centre finds there, and what changes from then on.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::kv::{Entry, Operation, Store};
use futures_util::StreamExt;
use futures_util::future::join_all;
use log::{info, warn};
use tokio::time::{Instant, sleep};

use super::courier::NatsCourier;
use crate::clock::unix_time;
use crate::link::broker::reports::{Place, Received, Reports};
use crate::link::broker::standing::{Goods, Standing};
use crate::link::broker::wire::Report;
use crate::nats::Broker;
use crate::nats::subjects::Subjects;
use crate::nats::trouble::Trouble;
use crate::settings::BrokerSettings;

/// Clocks that differ by more are wrong, and no reason to believe that a report is older.
const MOST_SKEW: f64 = 3600.0;
/// What was not ended by then goes on.
const SETTLED: Duration = Duration::from_secs(5);

/// Fills `reports` until it is dropped.
pub(super) async fn watch(
    broker: &Broker,
    settings: &BrokerSettings,
    reports: &Reports,
    standing: &Standing,
) {
    let courier = settings.orders.map(|_| {
        let (broker, standing) = (broker.clone(), standing.clone());
        Arc::new(NatsCourier { broker, standing }) as Arc<_>
    });
    let connection = broker.each_change(|is_there| {
        reports.connected(courier.clone(), is_there);
        standing.connected(is_there);
    });
    let heard = Heard { reports, standing, seed: rand::random() };
    let patterns = settings.watched.iter().map(|pattern| follow(broker, settings.replicas, pattern, &heard));
    tokio::join!(connection, join_all(patterns));
}

/// Where it goes what is heard.
struct Heard<'a> {
    reports: &'a Reports,
    standing: &'a Standing,
    /// Makes pauses differ between runs.
    seed: u64,
}

/// Follows the sites of one pattern.
async fn follow(broker: &Broker, replicas: u8, pattern: &str, heard: &Heard<'_>) {
    let show = heard.standing.shows_obstacles();
    let mut trouble = Trouble::new(format!("watching the sites {pattern}"), heard.seed, show);
    let mut clock = ServerClock::default();
    loop {
        broker.there().await;
        let why = match broker.prepare(replicas).await {
            Ok(store) => entries(&store, &Subjects::keys_of(pattern), &mut clock, heard, &mut trouble).await,
            Err(why) => why.to_string(),
        };
        trouble.is(why).await;
    }
}

/// Takes what comes; why nothing more comes.
async fn entries(
    store: &Store,
    keys: &str,
    clock: &mut ServerClock,
    heard: &Heard<'_>,
    trouble: &mut Trouble,
) -> String {
    let mut entries = match store.watch_with_history(keys).await {
        Ok(entries) => entries,
        Err(why) => return why.to_string(),
    };
    info!(event = "broker"; "the sites {keys} are watched");
    let mut settled = pin!(sleep(SETTLED));
    let mut is_settled = false;
    loop {
        let entry = tokio::select! {
            entry = entries.next() => entry,
            // There may be no site yet.
            () = &mut settled, if !is_settled => {
                is_settled = true;
                trouble.is_over();
                continue;
            }
        };
        match entry {
            Some(Ok(entry)) => {
                trouble.is_over();
                heard.standing.went(Goods::Reports, 1);
                take(&entry, clock, heard.reports);
            }
            Some(Err(why)) => return why.to_string(),
            None => return "the broker ended it".into(),
        }
    }
}

fn take(entry: &Entry, clock: &mut ServerClock, reports: &Reports) {
    let Some((site, gateway)) = Subjects::of_key(&entry.key) else { return };
    let place = Place { site: site.to_owned(), gateway: gateway.to_owned() };
    if entry.operation != Operation::Put {
        return reports.forget(&place);
    }
    match Report::read(&entry.value) {
        Ok(report) => {
            let created = entry.created.unix_timestamp_nanos() as f64 / 1e9;
            let waited = clock.waited(unix_time() - created, entry.seen_current);
            let now = Instant::now();
            let said = now.checked_sub(waited).unwrap_or(now);
            if !reports.take(place, Received { report, said }) {
                warn!(event = "broker"; "the broker has too many sites; {site} is left out");
            }
        }
        Err(why) => {
            log::debug!(gateway = entry.key.as_str(), event = "broker"; "a report of {}: {why}", entry.key);
        }
    }
}

/// The clock of the servers beside our own: what was stored just now shows how they differ.
#[derive(Default)]
struct ServerClock {
    /// How far ours is ahead, seconds, with what a message takes; `None`: not known yet.
    ahead: Option<f64>,
}

impl ServerClock {
    /// How long a message has waited that is `apart` seconds old by the two clocks. `is_new`: it came when it
    /// was stored.
    fn waited(&mut self, apart: f64, is_new: bool) -> Duration {
        let apart = if apart.is_finite() { apart } else { 0.0 };
        if is_new {
            let bounded = apart.clamp(-MOST_SKEW, MOST_SKEW);
            self.ahead = Some(self.ahead.map_or(bounded, |ahead| ahead.min(bounded)));
        }
        let waited = (apart - self.ahead.unwrap_or_default()).max(0.0);
        Duration::try_from_secs_f64(waited).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_wrong_makes_no_report_older() {
        let mut clock = ServerClock::default();
        assert_eq!(clock.waited(40.0, false).as_secs(), 40, "nothing is known of the clocks yet");
        assert_eq!(clock.waited(30.0, true).as_secs(), 0, "it came just now: ours is 30 s ahead");
        assert_eq!(clock.waited(50.0, false).as_secs(), 20);
        assert_eq!(clock.waited(30.5, true).as_millis(), 500);
        assert_eq!(clock.waited(-5.0, true).as_secs(), 0);
        assert_eq!(clock.waited(f64::NAN, false).as_secs(), 5);
    }
}
