//! The energies of today, asked of the history once a minute however many pictures are made.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use super::super::State;
use super::super::timeseries::of_today;
use crate::clock::unix_time;
use crate::model::energy::Flow;
use crate::pictures::Today;
use crate::store::history::queries::daily::DayRow;

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
        let rows = of_today(state, unix_time()).await.unwrap_or_default();
        let found: ByGateway = rows.iter().map(|row| (row.gateway.clone(), energies(row))).collect();
        let found = Arc::new(found);
        *known = Some((Instant::now(), found.clone()));
        found
    }
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
