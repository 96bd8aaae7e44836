//! What is published: nothing newer than it is, nothing of another gateway, sums of those who are listed.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix::prelude::*;
use powerwall_server::board::Published;
use powerwall_server::clock::unix_time;
use powerwall_server::directory::Directory;
use powerwall_server::model::{Aggregate, Freshness, Snapshot};
use tokio::time::Instant;

use crate::answers::Stamp;
use crate::conduct::Ended;
use crate::options::SECOND;
use crate::world::{Happened, World};

/// A sum follows a change within this: it is summed again each second at the latest.
const SUM_LAG: Duration = Duration::from_millis(1100);
/// Instants are compared after conversions to whole milliseconds.
const ROUNDING: Duration = Duration::from_millis(2);

/// What was published of one gateway.
#[derive(Default)]
struct Record {
    /// The last ones and when they came, newest last; as many as the newest sum may be made of.
    recent: VecDeque<(Instant, Arc<Snapshot>)>,
    /// When the shown value arrived, and what it is.
    shown: Option<(Instant, Stamp)>,
}

/// Sees every snapshot, and looks at everything once a second.
pub struct Witness {
    world: Arc<World>,
    pub directory: Arc<Directory>,
    records: Mutex<Vec<Record>>,
    summed: Mutex<Option<Arc<Aggregate>>>,
    /// Of all publications: how often data was shown as live, stale, not at all.
    pub counts: Mutex<[u64; 3]>,
}

/// What the meters of this snapshot say, if they say anything.
fn stamp(snapshot: &Snapshot) -> Option<Stamp> {
    let site = snapshot.reading.as_ref()?.telemetry.readings.power.site?;
    Some(Stamp(site.as_f64() as u64))
}

impl Witness {
    pub fn new(world: Arc<World>, directory: Arc<Directory>) -> Self {
        let records = Mutex::new((0..3).map(|_| Record::default()).collect());
        Self { world, directory, records, summed: Mutex::default(), counts: Mutex::default() }
    }

    fn published(&self, site: usize, snapshot: &Arc<Snapshot>) {
        let now = Instant::now();
        let mut records = self.records.lock().unwrap();
        let record = &mut records[site];
        let before = record.recent.back().map(|(_, before)| before.clone());
        while record.recent.get(1).is_some_and(|(at, _)| *at + SUM_LAG < now) {
            record.recent.pop_front();
        }
        record.recent.push_back((now, snapshot.clone()));
        self.world.note(
            site,
            Happened::Published {
                sequence: snapshot.sequence,
                shown: stamp(snapshot).map(|stamp| stamp.0),
                failures: snapshot.health.consecutive_failures,
                error: snapshot.health.last_error.as_ref().map(|note| note.kind),
            },
        );
        let grew = before.as_ref().is_none_or(|before| before.sequence < snapshot.sequence);
        if !grew {
            self.world.violated(site, "the sequence number did not grow");
        }
        let health = &snapshot.health;
        if health.polls != health.poll_times.count() {
            self.world.violated(site, "what is counted as a poll is none");
        }
        self.world.demand(site, self.is_honest(site, snapshot, record.shown));
        record.shown =
            snapshot.reading.as_ref().zip(stamp(snapshot)).map(|(reading, stamp)| (reading.taken, stamp));
    }

    /// Compares what a snapshot says about its data with what the data says about itself.
    fn is_honest(
        &self,
        site: usize,
        snapshot: &Snapshot,
        before: Option<(Instant, Stamp)>,
    ) -> Result<(), String> {
        let Some(reading) = &snapshot.reading else { return Ok(()) };
        let stamp = stamp(snapshot).ok_or("it is published without a value")?;
        if stamp.site() != site {
            return Err(format!("it shows a value of gateway {}", stamp.site()));
        }
        let measured = self.world.started + stamp.since();
        let latency = snapshot.health.latency.unwrap_or_default();
        if measured > reading.taken + ROUNDING {
            return Err("the value comes from the future".into());
        }
        if reading.taken > Instant::now() {
            return Err("it was taken in the future".into());
        }
        match before {
            Some((taken, known)) if taken == reading.taken && known != stamp => {
                return Err("the value changed, and its time did not".into());
            }
            Some((taken, _)) if taken == reading.taken => return Ok(()),
            Some((taken, known)) if taken > reading.taken || known >= stamp => {
                return Err(format!("it goes back in time, from {:?} to {:?}", known.since(), stamp.since()));
            }
            _ => {}
        }
        let older = (reading.taken - measured.min(reading.taken)).saturating_sub(latency);
        if older > ROUNDING {
            return Err(format!("the value is {older:?} older than it is said to be"));
        }
        // The label of a new value is what the wall clock shows, wherever that has jumped to.
        let label = unix_time() - reading.taken.elapsed().as_secs_f64();
        match (label - reading.taken_at).abs() > 0.01 {
            true => Err(format!("it is labelled {} instead of {label}", reading.taken_at)),
            false => Ok(()),
        }
    }

    /// Once a second: what a client would see now.
    pub fn look(&self, timeouts: &[Duration]) {
        let now = Instant::now();
        for (site, entry) in self.directory.entries().iter().enumerate() {
            let snapshot = entry.board.read();
            let (troubled, well) = (self.world.is_troubled(site), self.world.well_for(site));
            let period = self.world.options.interval * 4 + timeouts[site] * 8;
            let (kept, has_failed, must_be_fresh) = {
                let state = &mut *self.world.site(site);
                let conduct = &mut state.conduct;
                if troubled {
                    conduct.troubled();
                }
                let must_be_fresh = conduct.must_be_fresh();
                let well = conduct.asked_more_for(now).map_or(well, |asked| well.min(asked));
                let kept = [
                    conduct.check(timeouts[site], now),
                    state.orders.check(must_be_fresh, now),
                    state.members.is_where_it_should_be(well, period, now),
                ];
                // A dead actor is noticed within a second.
                (kept, matches!(conduct.last_poll, Some(Ended::Failed(_))), must_be_fresh)
            };
            kept.into_iter().for_each(|kept| self.world.demand(site, kept));
            let freshness = snapshot.freshness(now);
            let class = match freshness {
                Freshness::Live => 0,
                Freshness::Stale => 1,
                Freshness::Expired | Freshness::Never => 2,
            };
            self.counts.lock().unwrap()[class] += 1;
            self.world.demand(site, shows_no_more_than(&snapshot, self.world.started, now));
            if freshness == Freshness::Live && has_failed {
                self.world.violated(site, "it looks live after a poll that failed");
            }
            let back = self.world.back_since(site).map(|since| self.world.since() - since);
            if let Some(back) = back.filter(|back| self.world.site(site).conduct.must_be_back(*back))
                && freshness != Freshness::Live
            {
                self.world.violated(site, format!("{back:?} after it returned it is still {freshness:?}"));
            }
            if must_be_fresh && freshness != Freshness::Live {
                self.world.violated(site, format!("two polls after the trouble it is still {freshness:?}"));
            }
        }
        self.world.demand(3, self.sum_is_right(now));
    }

    /// The lifetime energies beside TEDAPI are those of the gateway itself. At the end, as deriving them
    /// takes a while.
    pub fn look_at_energies(&self) {
        for (site, entry) in self.directory.entries().iter().enumerate() {
            let Some(reading) = &entry.board.read().reading else { continue };
            let energy = reading.telemetry.documents().aggregates["site"]["energy_exported"].as_u64();
            let Some(stamp) = energy.map(Stamp).filter(|_| self.world.options.sites[site].energies) else {
                continue;
            };
            self.world.count("energies at the end");
            if stamp.site() != site || stamp.since() > self.world.since() {
                self.world.violated(site, format!("it shows an energy of gateway {}", stamp.site()));
            }
        }
    }

    /// The sum is one of what its contributors showed a moment ago, and says who is missing.
    fn sum_is_right(&self, now: Instant) -> Result<(), String> {
        let sum = self.directory.aggregate.read();
        let records = self.records.lock().unwrap();
        let mut summed = self.summed.lock().unwrap();
        if summed.as_ref().is_none_or(|known| !Arc::ptr_eq(known, &sum)) {
            self.world.note(
                3,
                Happened::Summed {
                    site: sum.site,
                    contributors: sum.contributors.len(),
                    missing: sum.missing.len(),
                },
            );
            *summed = Some(sum.clone());
        }
        if now < self.world.started + SUM_LAG {
            return Ok(()); // nobody has published yet
        }
        let mut possible = vec![0.0];
        let entries = self.directory.entries();
        for (site, entry) in entries.iter().enumerate() {
            let window = now - SUM_LAG;
            let recent = &records[site].recent;
            // Each with when the next one came.
            let seen = || {
                let ends = recent.iter().skip(1).map(|(at, _)| *at).chain([now]);
                recent.iter().zip(ends).filter(move |(_, end)| *end >= window)
            };
            let (listed, missing) = (sum.contributors.contains(&entry.id), sum.missing.contains(&entry.id));
            if listed == missing {
                return Err(format!(
                    "the sum lists gateway {site} {}",
                    if listed { "twice" } else { "nowhere" }
                ));
            }
            if missing {
                // Before the first publication there was nothing.
                let is_new = recent.front().is_none_or(|(at, _)| *at > window);
                let absent = is_new || seen().any(|((_, snapshot), end)| snapshot.telemetry(end).is_none());
                if !absent {
                    return Err(format!("gateway {site} is called missing, but it was there all the time"));
                }
                continue;
            }
            let shown = seen().filter(|((at, snapshot), _)| snapshot.telemetry((*at).max(window)).is_some());
            let mut values: Vec<f64> =
                shown.filter_map(|((_, snapshot), _)| stamp(snapshot)).map(|stamp| stamp.0 as f64).collect();
            values.dedup();
            match &values[..] {
                [] => return Err(format!("gateway {site} is in the sum and has nothing to show")),
                [value] => possible.iter_mut().for_each(|sum| *sum += value),
                _ => {
                    let sums = possible.iter().flat_map(|sum| values.iter().map(move |value| sum + value));
                    possible = sums.collect();
                }
            }
        }
        // Each gateway is in one list; nothing else is in any.
        if sum.contributors.len() + sum.missing.len() != entries.len() || sum.gateways != entries.len() {
            return Err(format!("the sum lists {:?} and misses {:?}", sum.contributors, sum.missing));
        }
        let shown = sum.site.unwrap_or(0.0);
        match possible.contains(&shown) && sum.site.is_some() != sum.contributors.is_empty() {
            true => Ok(()),
            false => Err(format!("the sum is {shown}; its contributors give one of {possible:?}")),
        }
    }
}

/// What may be shown now is within the limits of the settings, by the value's own clock.
fn shows_no_more_than(snapshot: &Snapshot, started: Instant, now: Instant) -> Result<(), String> {
    let Some(stamp) = snapshot.telemetry(now).and(stamp(snapshot)) else { return Ok(()) };
    let limit = match snapshot.freshness(now) {
        Freshness::Stale => snapshot.ttl.stale,
        _ => snapshot.ttl.live,
    };
    let age = now - (started + stamp.since());
    let allowed = limit + snapshot.health.latency.unwrap_or_default() + ROUNDING;
    match age > allowed {
        true => Err(format!("a value of {age:?} is shown, {allowed:?} are allowed")),
        false => Ok(()),
    }
}

/// Hears of every publication of one gateway.
pub struct Listener {
    pub witness: Arc<Witness>,
    pub site: usize,
}

impl Actor for Listener {
    type Context = Context<Self>;
}

impl Handler<Published<Snapshot>> for Listener {
    type Result = ();

    fn handle(&mut self, Published(snapshot): Published<Snapshot>, _: &mut Self::Context) {
        self.witness.published(self.site, &snapshot);
    }
}

/// Between two looks.
pub const LOOK: Duration = SECOND;
