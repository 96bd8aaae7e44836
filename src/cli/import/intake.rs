//! Where everything that is imported goes in: under which id, in which zone, and how much came of it.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use jiff::tz::TimeZone;
use tokio::time::Instant;

use super::gather::{Placed, Rows};
use super::{Import, ImportError};
use crate::clock::unix_time;
use crate::settings::Settings;
use crate::store::Beside;
use crate::store::history::Keep;
use crate::store::history::cursors::{self, Usage};
use crate::store::history::filling::{Filled, Parcel, Tally, Terms, fill};
use crate::store::history::queries::zone;

const DAY: f64 = 86_400.0;
/// How often progress is said.
const PROGRESS: Duration = Duration::from_secs(5);

/// The way into the file.
pub struct Intake {
    file: Beside,
    /// The gateways that are configured, and the zones that the settings give them.
    configured: Vec<(String, Option<String>)>,
    /// `--gateway`
    gateway: Option<String>,
    /// `--rename`
    renamed: Vec<(String, String)>,
    /// `--timezone`
    timezone: Option<TimeZone>,
    /// Days before this time would be removed at once. Unix seconds.
    days_from: f64,
    /// The same of samples of power.
    pub samples_from: f64,
    /// The same of signals.
    pub signals_from: f64,
    /// What became of what came, by gateway.
    filled: BTreeMap<String, Filled>,
    /// Rows of the source that were not used, and why.
    unused: BTreeMap<&'static str, u64>,
    /// When progress was said last.
    said: Instant,
}

impl Intake {
    pub fn open(file: &Path, settings: &Settings, import: &Import) -> Result<Self, ImportError> {
        let configured = settings.gateways.iter();
        let from = |keep: Keep| keep.limit().map_or(0.0, |limit| unix_time() - limit.as_secs_f64());
        let configured = configured.map(|one| (one.facts.id.clone(), one.facts.timezone.clone()));
        Ok(Self {
            file: Beside::open(file)?,
            configured: configured.collect(),
            gateway: import.gateway.clone(),
            renamed: import.rename.clone(),
            timezone: import.timezone.clone(),
            // A day is removed by its name in UTC.
            days_from: settings.history.days.limit().map_or(0.0, |_| from(settings.history.days) + DAY),
            samples_from: from(settings.history.samples),
            signals_from: from(settings.history.signals),
            filled: BTreeMap::new(),
            unused: BTreeMap::new(),
            said: Instant::now(),
        })
    }

    /// The id here of the gateway `there`; `None`: the source does not say.
    pub fn id(&self, there: Option<&str>) -> Result<String, ImportError> {
        let ids = || self.configured.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>();
        let named = match there {
            Some(there) => {
                let renamed = self.renamed.iter().find(|(old, _)| old == there);
                renamed.map_or_else(|| there.to_owned(), |(_, new)| new.clone())
            }
            None => match (&self.gateway, &ids()[..]) {
                (Some(id), _) => id.clone(),
                (None, [only]) => (*only).to_owned(),
                (None, _) => return Err(ImportError::Unnamed(ids().join(", "))),
            },
        };
        let known = ids();
        if known.is_empty() || known.contains(&named.as_str()) {
            return Ok(named);
        }
        let advice = format!("say --rename {named}={}, or another one of {}", known[0], known.join(", "));
        Err(ImportError::Unknown { there: named, advice })
    }

    /// The zone of the site of the gateway `id`.
    pub fn zone(&self, id: &str) -> Result<TimeZone, ImportError> {
        let kept = self.file.read(|connection| zone(connection, id))?;
        let configured = || self.configured.iter().find(|(other, _)| other == id)?.1.clone();
        let named = |name: String| TimeZone::get(&name).ok();
        let found = kept.and_then(named).or_else(|| self.timezone.clone());
        found.or_else(|| configured().and_then(named)).ok_or_else(|| ImportError::NoZone(id.to_owned()))
    }

    /// Where an import of the gateway `id` from `peer` was interrupted, if it was.
    pub fn reached(&self, peer: &str, id: &str) -> Result<Option<f64>, ImportError> {
        Ok(self.file.read(|connection| cursors::reached(connection, (Usage::Import, peer), id))?)
    }

    /// Takes in what came of the gateway `id`. `came`: where from, and up to where that is done.
    pub async fn take(
        &mut self,
        (id, zone): (&str, &TimeZone),
        parcel: &Parcel,
        came: Option<(&str, Option<f64>)>,
    ) -> Result<(), ImportError> {
        if parcel.is_empty() && came.is_none() {
            return Ok(());
        }
        let terms = Terms { zone: zone.clone(), kept_from: self.days_from, now: unix_time() };
        let filling = |change: &rusqlite::Transaction<'_>| fill(change, (id, &terms), parcel, came);
        let filled = self.file.write(filling).await?;
        self.filled.entry(id.to_owned()).or_default().add(filled);
        if self.said.elapsed() >= PROGRESS {
            self.said = Instant::now();
            let at = parcel.slots.keys().next_back().map(|slot| *slot as f64);
            let at = at.or(parcel.samples.last().map(|sample| sample.at));
            let named = at.and_then(|at| crate::store::history::queries::energy::date(at, zone));
            let reached = named.map(|date| date.to_string()).or(parcel.days.keys().next_back().cloned());
            eprintln!("{id}: up to {}", reached.unwrap_or_default());
        }
        Ok(())
    }

    /// A row of the source was not used.
    pub fn leave(&mut self, why: &'static str) {
        *self.unused.entry(why).or_default() += 1;
    }

    /// Says so if a row was not used.
    pub fn place(&mut self, placed: Placed) {
        match placed {
            Placed::Taken => {}
            Placed::Twice => self.leave("another row of the same time was taken before"),
            Placed::Nowhere => self.leave("they are longer than a day, or go over midnight"),
            Placed::Absurd => self.leave("no house has such an energy, or they have no length"),
        }
    }

    /// Takes in what is complete of `rows`, or all of it.
    pub async fn take_rows(&mut self, id: &str, rows: &mut Rows, is_all: bool) -> Result<(), ImportError> {
        let zone = rows.zone().clone();
        for parcel in rows.parcels(is_all) {
            self.take((id, &zone), &parcel, None).await?;
        }
        Ok(())
    }

    /// Whether nothing came that could be used.
    pub fn is_empty(&self) -> bool {
        let came = |tally: &Tally| tally.filled + tally.known + tally.held;
        self.filled.values().all(|one| came(&one.slots) + came(&one.days) == 0)
    }

    /// What became of everything, in sentences.
    pub fn report(&self) -> String {
        let mut report = String::new();
        for (id, Filled { slots, days, samples, signals }) in &self.filled {
            for (tally, what) in [(slots, "quarters of an hour"), (days, "days")] {
                if *tally == Tally::default() {
                    continue;
                }
                let Tally { filled, known, held } = tally;
                let _ = writeln!(report, "{id}: {filled} {what} filled, {known} known already");
                if *held > 0 {
                    let _ = writeln!(
                        report,
                        "{id}: {held} {what} left out: counters count over them, they are not over (both can \
                         be imported later), or days so old are not kept",
                    );
                }
            }
            if samples + signals > 0 {
                let _ = writeln!(report, "{id}: {samples} samples of power and {signals} of signals added");
            }
        }
        for (why, rows) in &self.unused {
            let _ = writeln!(report, "{rows} rows not used: {why}");
        }
        report
    }
}
