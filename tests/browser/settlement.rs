//! Made-up sites for the page of a fleet: as many as a test wants, always the same ones.

use std::sync::Arc;
use std::time::Duration;

use powerwall_server::clock::unix_time;
use powerwall_server::model::{
    Adjustments, Answers, Charge, ErrorNote, GatewayFacts, GridStatus, Interpretation, Labels, LinkKind,
    Number, NumberingMemory, Power, RawPercent, Reading, Readings, Site, Snapshot, Telemetry, Ttl,
};
use tokio::time::Instant;

use crate::common::{Outputs, SECOND, http};

const GROUPS: [Option<&str>; 5] = [Some("North"), Some("Coast"), Some("Berlin"), Some("Alps"), None];
const PLACES: [&str; 8] = ["Mill", "Harbour", "Orchard", "School", "Bakery", "Lake house", "Depot", "Barn"];

/// What one site reports.
#[derive(Clone, Debug)]
pub struct House {
    pub id: String,
    pub name: String,
    pub labels: Labels,
    /// App percent.
    pub charge: f64,
    pub solar: i64,
    pub home: i64,
    pub battery: i64,
    pub firmware: &'static str,
    pub alerts: Vec<String>,
    pub is_cut_off: bool,
    /// It has not answered for so long.
    pub silent_for: Option<Duration>,
}

impl House {
    /// The one of this number: nine of ten are as they should be.
    pub fn numbered(number: usize) -> Self {
        let tags: &[&str] = match number % 3 {
            0 => &["rental"],
            1 => &["pilot", "rental"],
            _ => &[],
        };
        let (solar, home) = ((number as i64 * 397) % 6_300, 250 + (number as i64 * 131) % 2_900);
        let charge = 32.0 + (number * 7 % 66) as f64;
        Self {
            id: format!("s{number}"),
            name: format!("{} {number}", PLACES[number % PLACES.len()]),
            labels: Labels {
                tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
                group: GROUPS[number % GROUPS.len()].map(str::to_owned),
            },
            charge: if number % 53 == 11 { 8.0 } else { charge },
            solar,
            home,
            battery: (home - solar) / 2,
            firmware: if number % 29 == 5 { "24.36.2 46990655" } else { "25.10.1 3f7cb6de" },
            alerts: if number % 41 == 9 { vec!["PVAC_W_Over_Temp".into()] } else { Vec::new() },
            is_cut_off: number % 97 == 13,
            silent_for: (number % 83 == 7).then_some(1_500 * SECOND),
        }
    }

    pub fn snapshot(self) -> Snapshot {
        let facts = GatewayFacts {
            id: self.id.clone(),
            name: self.name.clone(),
            links: vec![LinkKind::Tedapi],
            labels: self.labels.clone(),
            ..GatewayFacts::default()
        };
        // Nothing grows old while a test takes its time.
        let mut snapshot =
            Snapshot::initial(Arc::new(facts), Ttl { stale: 900 * SECOND, live: 900 * SECOND });
        let age = self.silent_for.unwrap_or(2 * SECOND);
        let now = Instant::now();
        snapshot.health.polls = 1;
        if self.silent_for.is_some() {
            let note = ErrorNote { kind: "timeout", message: "The gateway does not answer".into() };
            snapshot.health.count_failure(note, now - age);
        }
        let telemetry = Telemetry::new(Arc::new(self), Adjustments::default());
        let taken_at = unix_time() - age.as_secs_f64();
        snapshot.reading = Some(Reading { telemetry, taken: now - age, taken_at });
        snapshot
    }
}

impl Answers for House {
    fn size(&self) -> usize {
        0
    }

    fn readings(&self, _: &Adjustments) -> Readings {
        let raw = self.charge * 0.95 + 5.0;
        let grid = if self.is_cut_off { 0 } else { self.home - self.solar - self.battery };
        Readings {
            power: Power {
                site: Some(Number::Int(grid)),
                battery: Some(Number::Int(self.battery)),
                load: Some(Number::Int(self.home)),
                solar: Some(Number::Int(self.solar)),
            },
            charge: Charge {
                full_pack: Some(Number::Float(13_500.0)),
                remaining: Some(Number::Float(135.0 * raw)),
                reported: Some(RawPercent(raw)),
            },
            grid: Some(if self.is_cut_off { GridStatus::Down } else { GridStatus::Up }),
            reserve: Some(RawPercent(24.0)),
            mode: Some("self_consumption".into()),
            firmware: Some(self.firmware.into()),
            ..Readings::default()
        }
    }

    fn interpret(&self, _: &Arc<Readings>, _: &Adjustments, _: &NumberingMemory) -> Interpretation {
        let site = Site { alerts: Some(self.alerts.clone()), ..Site::default() };
        Interpretation { site, ..Interpretation::default() }
    }
}

/// A service that knows the first `number` sites.
pub fn settlement(number: usize) -> Outputs {
    Outputs::with((0..number).map(|one| House::numbered(one).snapshot()).collect(), http(), 10 * SECOND)
}
