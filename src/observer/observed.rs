//! What has been seen of one gateway, and which entries something new makes.
//!
//! What is seen first is no change, unless the journal says that it was otherwise.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::recall::{LATE, LISTED, OLDEST_LISTED, Recalled, State};
use crate::clock::unix_time;
use crate::model::{Began, GridStatus, Snapshot};
use crate::store::journal::{Entry, Kind};
use crate::views::sites::row::is_harmless;

/// A gateway that does not answer for this long has an outage; less is a poll that failed.
const OUTAGE: Duration = Duration::from_secs(60);
/// Alerts of one gateway that are followed; no gateway has as many.
const MOST_ALERTS: usize = 200;
/// Characters of a text in an entry.
const LONGEST_TEXT: usize = 300;
/// App percent below which a battery is low.
const LOW: f64 = 20.0;
/// App percent from which it is not low any more, so that one event does not become many.
const LOW_NO_MORE: f64 = 25.0;
/// Gateways report this as an alert while the grid's operator uses the battery.
const GRID_SERVICES: &str = "GridServicesActive";

/// What is known of one gateway, from the journal or seen.
pub(super) struct Observed {
    /// The id of the gateway.
    id: String,
    known: Recalled,
    /// Whether alerts were seen since the observer started.
    has_seen_alerts: bool,
}

impl Observed {
    pub fn after(recalled: Recalled, id: &str) -> Self {
        Self { id: id.to_owned(), known: recalled, has_seen_alerts: false }
    }

    /// Since when what is the matter has been so.
    pub fn began(&self) -> Began {
        let known = &self.known;
        let alerts = known.alerts.iter().filter(|(name, state)| state.is_on && !is_harmless(name));
        // Of an alert that was there when it was seen first, nobody knows how old it is.
        let oldest = alerts.map(|(_, alert)| alert.since).reduce(|one, other| Some(one?.min(other?)));
        let cut_off = known.grid.filter(|grid| grid.is_on).and_then(|grid| grid.since);
        Began { cut_off, alert: oldest.flatten() }
    }

    /// What is new in a snapshot, apart from alerts.
    pub fn see(&mut self, snapshot: &Snapshot, now: Instant) -> Vec<Entry> {
        let mut entries = Vec::new();
        entries.extend(self.see_outage(snapshot, now));
        let is_good = snapshot.health.consecutive_failures == 0 && snapshot.reading.is_some();
        if is_good {
            entries.extend(self.see_grid(snapshot));
            entries.extend(self.see_listed(snapshot));
            entries.extend(self.see_charge(snapshot));
            entries.extend(self.see_firmware(snapshot));
            entries.extend(self.see_links(snapshot));
        }
        entries
    }

    fn see_outage(&mut self, snapshot: &Snapshot, now: Instant) -> Option<Entry> {
        let health = &snapshot.health;
        let was_out = self.known.outage.filter(|outage| outage.is_on);
        if let Some(since) = health.failing_since {
            let lasts = now.saturating_duration_since(since);
            if was_out.is_some() || lasts < OUTAGE {
                return None;
            }
            let since = (unix_time() - lasts.as_secs_f64()).round();
            self.known.outage = Some(State { is_on: true, since: Some(since) });
            let error = health.last_error.as_ref();
            return Some(self.entry(
                Kind::Outage,
                json!({
                    "state": "began", "since": since, "error": error.map(|error| error.kind),
                    "message": error.map(|error| short(&error.message)),
                }),
            ));
        }
        let outage = was_out.filter(|_| health.consecutive_failures == 0 && snapshot.reading.is_some())?;
        Some(self.ended(Kind::Outage, outage, |known| &mut known.outage))
    }

    fn see_grid(&mut self, snapshot: &Snapshot) -> Option<Entry> {
        let grid = snapshot.reading.as_ref()?.telemetry.readings.grid?;
        let is_cut_off = match grid {
            GridStatus::Up => false,
            GridStatus::Down => true,
            // On its way to one or the other.
            GridStatus::Syncing => return None,
        };
        let began = self.known.grid.filter(|grid| grid.is_on && !is_cut_off).and_then(|grid| grid.since);
        if let Some(began) = began {
            self.known.cut_off.add(began, unix_time());
        }
        self.see_state(Kind::Grid, is_cut_off, |known| &mut known.grid)
    }

    /// Outages that Tesla lists and nobody has seen: shorter than a poll over the cloud, or while this
    /// program was not there.
    fn see_listed(&mut self, snapshot: &Snapshot) -> Vec<Entry> {
        let outages = snapshot.reading.as_ref().and_then(|now| now.telemetry.answers().grid_outages());
        let now = unix_time();
        // One that goes on is seen.
        let since = self.known.grid.filter(|grid| grid.is_on).map(|grid| grid.since.unwrap_or(now));
        let mut entries = Vec::new();
        for outage in outages.iter().flat_map(|outages| outages.iter()) {
            let is_recent = outage.end() > now - OLDEST_LISTED && outage.end() <= now;
            let goes_on = since.is_some_and(|since| outage.end() > since - LATE);
            if !is_recent || goes_on || self.known.cut_off.has(outage.start, outage.end()) {
                continue;
            }
            self.known.cut_off.add(outage.start, outage.end());
            let detail = json!({ "state": LISTED, "since": outage.start, "seconds": outage.seconds });
            entries.push(self.entry(Kind::Grid, detail));
        }
        entries
    }

    /// A battery that is low is news only while nothing can charge it but the sun.
    fn see_charge(&mut self, snapshot: &Snapshot) -> Option<Entry> {
        let readings = &snapshot.reading.as_ref()?.telemetry.readings;
        let is_cut_off = match readings.grid? {
            GridStatus::Up => false,
            GridStatus::Down => true,
            GridStatus::Syncing => return None,
        };
        let charge = readings.charge.state_of_energy().map(|raw| raw.to_app_clamped().0);
        let was_low = self.known.low_charge.is_some_and(|state| state.is_on);
        let is_low = match charge {
            _ if !is_cut_off => false,
            Some(percent) => percent < if was_low { LOW_NO_MORE } else { LOW },
            None => return None,
        };
        // The first that is seen is news, too: it may be the last.
        self.known.low_charge.get_or_insert(State { is_on: false, since: None });
        self.see_state(Kind::LowCharge, is_low, |known| &mut known.low_charge)
    }

    fn see_firmware(&mut self, snapshot: &Snapshot) -> Option<Entry> {
        let firmware = snapshot.reading.as_ref()?.telemetry.readings.firmware.as_ref()?;
        // Links differ in whether they add the hash.
        let version = short(firmware.split_whitespace().next()?);
        let before = self.known.firmware.replace(version.clone()).filter(|before| *before != version)?;
        Some(self.entry(Kind::Firmware, json!({ "from": before, "to": version })))
    }

    fn see_links(&mut self, snapshot: &Snapshot) -> Option<Entry> {
        let in_use = snapshot.health.links.iter().filter(|link| link.in_use && link.last_success.is_some());
        let why = in_use.clone().next().map(|link| short(&link.why));
        let words: Vec<String> = in_use.map(|link| link.kind.word().to_owned()).collect();
        if words.is_empty() {
            return None;
        }
        let before = self.known.links.replace(words.clone()).filter(|before| *before != words)?;
        Some(self.entry(Kind::Link, json!({ "from": before, "to": words, "why": why })))
    }

    /// What is new in the alerts that are active.
    pub fn see_alerts(&mut self, active: &[String]) -> Vec<Entry> {
        let mut entries = Vec::new();
        let serves = active.iter().any(|name| name == GRID_SERVICES);
        entries.extend(self.see_state(Kind::GridServices, serves, |known| &mut known.grid_services));
        let names = active.iter().filter(|name| *name != GRID_SERVICES).take(MOST_ALERTS);
        let names: Vec<String> = names.map(|name| short(name)).collect();
        let is_first = !std::mem::replace(&mut self.has_seen_alerts, true);
        let mut now_known = BTreeMap::new();
        for name in names {
            let began = State { is_on: true, since: Some(unix_time().round()) };
            match self.known.alerts.remove(&name) {
                Some(state) if state.is_on => _ = now_known.insert(name, state),
                None if is_first => _ = now_known.insert(name, State { since: None, ..began }),
                _ => {
                    let detail = json!({ "state": "began", "alert": name, "since": began.since });
                    entries.push(self.entry(Kind::Alert, detail));
                    now_known.insert(name, began);
                }
            }
        }
        let gone = std::mem::replace(&mut self.known.alerts, now_known);
        for (name, state) in gone.into_iter().filter(|(_, state)| state.is_on) {
            let mut detail = end_of(state);
            detail["alert"] = name.into();
            entries.push(self.entry(Kind::Alert, detail));
        }
        entries
    }

    /// Something that is on or off, and the place where that is known.
    fn see_state(
        &mut self,
        kind: Kind,
        is_on: bool,
        place: fn(&mut Recalled) -> &mut Option<State>,
    ) -> Option<Entry> {
        let known = *place(&mut self.known);
        match known {
            Some(state) if state.is_on == is_on => None,
            None => {
                *place(&mut self.known) = Some(State { is_on, since: None });
                None
            }
            Some(state) if !is_on => Some(self.ended(kind, state, place)),
            Some(_) => {
                let since = unix_time().round();
                *place(&mut self.known) = Some(State { is_on, since: Some(since) });
                Some(self.entry(kind, json!({ "state": "began", "since": since })))
            }
        }
    }

    fn ended(&mut self, kind: Kind, state: State, place: fn(&mut Recalled) -> &mut Option<State>) -> Entry {
        *place(&mut self.known) = Some(State { is_on: false, since: None });
        self.entry(kind, end_of(state))
    }

    fn entry(&self, kind: Kind, detail: Value) -> Entry {
        Entry::new(kind, &self.id, detail)
    }
}

/// With how long it took, as far as the wall clock says something possible.
fn end_of(state: State) -> Value {
    let seconds = state.since.map(|since| (unix_time() - since).round()).filter(|seconds| *seconds >= 0.0);
    json!({ "state": "ended", "since": state.since, "seconds": seconds })
}

fn short(text: &str) -> String {
    text.chars().take(LONGEST_TEXT).collect()
}
