//! The energies of today, asked of the history once a minute however many pictures are made.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::super::State;
use super::super::timeseries::{day_of, zone_of};
use crate::clock::unix_time;
use crate::model::energy::Flow;
use crate::pictures::Today;
use crate::store::history::queries::daily::{DayRow, Days};
use crate::store::history::queries::zone;

/// How long what is known of today counts.
const FRESH: Duration = Duration::from_secs(60);

/// By id.
pub(super) type ByGateway = HashMap<String, Today>;

/// What was known when it was asked last.
#[derive(Default)]
pub(super) struct Energies(Mutex<Option<(Instant, Arc<ByGateway>)>>);

impl Energies {
    /// Of every gateway that anything was recorded of today. While the file cannot be read, of none: a
    /// picture is shown without what it need not have.
    pub async fn of_all(&self, state: &State) -> Arc<ByGateway> {
        if !state.history.is_on() {
            return Arc::default();
        }
        let mut known = self.0.lock().await;
        if let Some((at, energies)) = known.as_ref()
            && at.elapsed() < FRESH
        {
            return energies.clone();
        }
        let found = Arc::new(asked(state).await.unwrap_or_default());
        *known = Some((Instant::now(), found.clone()));
        found
    }
}

async fn asked(state: &State) -> Option<ByGateway> {
    let entries = state.directory.all();
    let zones: Vec<(String, Option<String>)> =
        entries.iter().map(|entry| (entry.id.clone(), zone_of(&entry.board.glance()))).collect();
    let now = unix_time();
    let found = state.history.ask(move |connection| {
        let mut found = ByGateway::new();
        for (id, reported) in zones {
            let name = match reported {
                Some(name) => Some(name),
                None => zone(connection, &id)?,
            };
            let zone = name.and_then(|name| TimeZone::get(&name).ok()).unwrap_or(TimeZone::UTC);
            let today = day_of(now, &zone);
            let days = Days { gateway: Some(id), first: today.clone(), last: today, before: None };
            found.extend(days.newest(connection, 1)?.iter().map(|row| (row.gateway.clone(), energies(row))));
        }
        Ok(found)
    });
    found.await.ok()
}

fn energies(row: &DayRow) -> Today {
    let watt_hours = |flow: Flow| row.energy[flow].map(|energy| energy * 1000.0);
    Today {
        solar: watt_hours(Flow::Solar),
        home: watt_hours(Flow::Home),
        imported: watt_hours(Flow::Import),
        exported: watt_hours(Flow::Export),
    }
}
