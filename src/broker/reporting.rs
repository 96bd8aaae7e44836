//! Publishes the newest report of each gateway, and nothing older: what could not be published is replaced.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

use super::Reporter;
use super::keys::Keys;
use crate::clock::unix_time;
use crate::directory::Entry;
use crate::link::broker::standing::Goods;
use crate::link::broker::wire::{Instance, Report};
use crate::nats::letters::{Letter, Undelivered};

/// How often the boards are looked at.
const LOOK: Duration = Duration::from_secs(1);
/// A gateway is not reported more often …
const LEAST: Duration = Duration::from_secs(5);
/// … nor less, so that it is noticed at the centre that a site is silent.
const MOST: Duration = Duration::from_secs(60);

/// What was published last.
struct Published {
    report: Report,
    at: Instant,
}

/// Publishes until it is dropped.
pub async fn report(reporter: &Reporter) {
    let instance = reporter.instance(false);
    let mut keys = Keys::of(reporter).await;
    let mut published: HashMap<String, Published> = HashMap::new();
    let mut trouble = reporter.trouble("reports");
    let mut ticks = interval(LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if !reporter.broker.is_there() {
            continue;
        }
        let entries = reporter.house.directory.own();
        for id in keys.without(&entries) {
            let letter = Letter { deletes: true, ..letter(reporter, &id, Vec::new()) };
            if reporter.broker.publish(letter).await.is_ok() {
                published.remove(&id);
                keys.forget(&id).await;
            }
        }
        let due: Vec<(String, Report)> =
            entries.iter().filter_map(|entry| due(entry, published.get(&entry.id), &instance)).collect();
        if due.is_empty() {
            continue;
        }
        for (id, _) in &due {
            keys.keep(id).await;
        }
        let now = Instant::now();
        let results = publish(reporter, &due).await;
        let standing = &reporter.house.standing;
        standing.went(Goods::Reports, results.iter().filter(|result| result.is_ok()).count());
        let why = results.iter().find_map(|result| result.as_ref().err().map(ToString::to_string));
        for ((id, report), _) in due.into_iter().zip(results).filter(|(_, result)| result.is_ok()) {
            published.insert(id, Published { report, at: now });
        }
        match why {
            None => trouble.is_over(),
            Some(why) => trouble.is(why).await,
        }
    }
}

/// Says of every gateway that nothing follows.
pub async fn leave(reporter: &Reporter) {
    if !reporter.broker.is_there() {
        return;
    }
    let instance = reporter.instance(true);
    let entries = reporter.house.directory.own();
    let last: Vec<_> = entries.iter().filter_map(|entry| due(entry, None, &instance)).collect();
    publish(reporter, &last).await;
}

/// The report of a gateway, if it is time for one.
fn due(entry: &Entry, last: Option<&Published>, instance: &Instance) -> Option<(String, Report)> {
    let now = Instant::now();
    let since = last.map(|last| now.saturating_duration_since(last.at));
    if since.is_some_and(|since| since < LEAST) {
        return None;
    }
    let report = Report::of(&entry.board.read(), instance, (now, unix_time()));
    let is_same = last.is_some_and(|last| last.report.is_as(&report));
    let is_due = !is_same || since.is_none_or(|since| since >= MOST);
    is_due.then(|| (entry.id.clone(), report))
}

fn letter(reporter: &Reporter, gateway: &str, body: Vec<u8>) -> Letter {
    let subject = reporter.broker.subjects.report(&reporter.site.id, gateway);
    Letter { subject, body, ..Letter::default() }
}

async fn publish(reporter: &Reporter, reports: &[(String, Report)]) -> Vec<Result<u64, Undelivered>> {
    let letters = reports.iter().map(|(id, report)| letter(reporter, id, report.to_bytes()));
    reporter.broker.publish_all(letters).await
}
