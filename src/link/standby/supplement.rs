//! Fills in what the active link cannot know from what other links of the same gateway know, with source and
//! age.
//!
//! Only settings and identity: they change when a person changes them. Power, charge and grid always come
//! from the active link alone, so that nothing that moves is older than it looks.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use tokio::time::Instant;

use crate::model::{
    Adjustments, Answers, BackupEvents, GridOutage, Interpretation, LinkKind, NumberingMemory, Part,
    Readings, Supplement,
};

/// What another link brought home.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub link: LinkKind,
    pub answers: Arc<dyn Answers>,
    pub taken: Instant,
}

/// `own` with what `sources` know beyond it; the first source that knows something counts.
pub(super) fn supplemented(own: Arc<dyn Answers>, sources: Vec<Source>) -> Arc<dyn Answers> {
    if sources.is_empty() { own } else { Arc::new(Supplemented { own, sources }) }
}

#[derive(Debug)]
struct Supplemented {
    /// Of the active link.
    own: Arc<dyn Answers>,
    sources: Vec<Source>,
}

impl Answers for Supplemented {
    fn size(&self) -> usize {
        let sources = self.sources.iter().map(|source| &source.answers);
        sources.chain([&self.own]).map(|answers| answers.size()).sum()
    }

    fn age(&self) -> Duration {
        self.own.age()
    }

    fn usual_age(&self) -> Duration {
        self.own.usual_age()
    }

    fn readings(&self, adjustments: &Adjustments) -> Readings {
        let mut readings = self.own.readings(adjustments);
        for source in &self.sources {
            let other = source.answers.readings(adjustments);
            // Another gateway answers there: nothing of it belongs here.
            let is_other_gateway = readings.din.is_some() && other.din.is_some() && readings.din != other.din;
            if !is_other_gateway {
                fill(&mut readings, other, source);
            }
        }
        readings
    }

    fn interpret(
        &self,
        readings: &Arc<Readings>,
        adjustments: &Adjustments,
        numbers: &NumberingMemory,
    ) -> Interpretation {
        let mut interpretation = self.own.interpret(readings, adjustments, numbers);
        let operation = &mut interpretation.documents.operation;
        if operation.is_null() && (readings.mode.is_some() || readings.reserve.is_some()) {
            *operation = json!({
                "real_mode": readings.mode,
                "backup_reserve_percent": readings.reserve.map(|reserve| reserve.0),
            });
        }
        interpretation
    }

    fn raw(&self, part: Part) -> Option<Bytes> {
        let from_cloud = matches!(part, Part::CloudStatus | Part::CloudInfo);
        let others =
            || self.sources.iter().filter(|_| from_cloud).find_map(|source| source.answers.raw(part));
        self.own.raw(part).or_else(others)
    }

    fn backup_events(&self) -> Option<Arc<BackupEvents>> {
        let others = || self.sources.iter().find_map(|source| source.answers.backup_events());
        self.own.backup_events().or_else(others)
    }

    fn grid_outages(&self) -> Option<Arc<[GridOutage]>> {
        let others = || self.sources.iter().find_map(|source| source.answers.grid_outages());
        self.own.grid_outages().or_else(others)
    }

    fn is_basic_lan(&self) -> bool {
        self.own.is_basic_lan()
    }
}

fn fill(readings: &mut Readings, other: Readings, source: &Source) {
    let mut supplements = std::mem::take(&mut readings.supplements);
    let mut note = |field, is_filled: bool| {
        if is_filled {
            supplements.push(Supplement { field, link: source.link, taken: source.taken });
        }
    };
    note("reserve", take(&mut readings.reserve, other.reserve));
    note("mode", take(&mut readings.mode, other.mode));
    note("grid_charging", take(&mut readings.grid_charging, other.grid_charging));
    note("grid_export", take(&mut readings.grid_export, other.grid_export));
    note("storm_watch", take(&mut readings.storm_watch, other.storm_watch));
    note("vehicle_reserve", take(&mut readings.vehicle_reserve, other.vehicle_reserve));
    note("tariff", take(&mut readings.tariff, other.tariff));
    // What the batteries can do, as configured.
    take(&mut readings.nameplate, other.nameplate);
    note("site_name", take(&mut readings.site_name, other.site_name));
    note("timezone", take(&mut readings.timezone, other.timezone));
    note("firmware", take(&mut readings.firmware, other.firmware));
    readings.supplements = supplements;
}

/// Fills an unknown value; whether it did.
fn take<T>(value: &mut Option<T>, other: Option<T>) -> bool {
    let fills = value.is_none() && other.is_some();
    if fills {
        *value = other;
    }
    fills
}
