//! Gives a demo a past, so that its history is worth looking at from the first minute.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::tz::TimeZone;
use log::warn;
use tokio::task::spawn_blocking;

use crate::clock::unix_time;
use crate::simulator::{PastDay, SiteOptions, ZONE};
use crate::store::history::History;
use crate::store::history::batch::Batch;
use crate::store::history::queries::energy;

/// A year and a month, so that a year has one before it to be compared with.
const DAYS: usize = 396;
/// Days of which power is there as well: today, and what a line of 24 hours needs of yesterday.
const SAMPLED_DAYS: usize = 2;
/// Seconds between two samples of these.
const SAMPLED: usize = 60;

/// Writes the past of `sites` into `history`, the newest day first.
pub(super) async fn write(history: History, sites: Vec<SiteOptions>) {
    let now = unix_time();
    let zone = TimeZone::get(ZONE).unwrap_or(TimeZone::UTC);
    let Some(today) = energy::date(now, &zone) else { return };
    let sites = Arc::new(sites);
    let run = rand::random();
    let dates = std::iter::successors(Some(today), |date| date.yesterday().ok());
    for (number, date) in dates.take(DAYS).enumerate() {
        let sampled = (number < SAMPLED_DAYS).then_some(SAMPLED);
        let past = PastDay { date, zone: zone.clone(), until: now, sampled };
        let sites = sites.clone();
        let added = move || {
            let of_site = |site: &SiteOptions| Some((site.id.clone(), past.record(site)?));
            sites.iter().filter_map(of_site).collect::<BTreeMap<_, _>>()
        };
        let Ok(added) = spawn_blocking(added).await else { return };
        let batch = Batch { run, number: number as i64 + 1, added };
        if let Err(error) = history.write(Arc::new(batch)).await {
            return warn!(event = "history"; "the demo has no past from {date} back: {error}");
        }
    }
}
