//! What a site reports of one of its gateways over the broker: a snapshot as JSON, version 1
//! (`docs/fleet.md`). How it gets there is left to others.
//!
//! What is unknown is left out and never 0. Watts, watt-hours, volts, amperes, hertz, °C; percents on the raw
//! scale.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::Instant;

use super::offer::offered;
use super::reported::{Reported, reported};
use crate::link::bounds::Bounds;
use crate::link::json::{self, Unusable};
use crate::model::{Freshness, GatewayKind, Snapshot};
use crate::settings::Role;

/// Of the bodies. A reader refuses a greater one; members that it does not know are no reason to.
pub const VERSION: u32 = 1;
/// No site reports more.
pub const LARGEST: usize = 64 << 10;
const BOUNDS: Bounds = Bounds { bytes: LARGEST, memory: 1 << 20, text: 4 << 10 };

/// The program at the site.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Instance {
    pub version: String,
    /// When it started, Unix seconds.
    pub since: f64,
    pub tags: Vec<String>,
    pub group: Option<String>,
    /// It shuts down; nothing follows.
    pub leaves: bool,
    /// The role with which it takes orders from the broker; absent: it takes none.
    pub orders: Option<String>,
}

/// A snapshot of one gateway.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Report {
    pub v: u32,
    /// When it was published, Unix seconds.
    pub at: f64,
    /// Grows with every publication of this gateway while the instance lives.
    pub seq: u64,
    pub instance: Instance,
    pub gateway: Gateway,
    pub polls: Polls,
    /// Absent where nothing may be shown any more, or was ever read.
    pub site: Option<Arc<Reported>>,
    /// Orders that it takes from the broker at present, by how far their outcome can be proven.
    /// [`super::offer`] reads the lists.
    pub can: BTreeMap<String, Vec<String>>,
    /// What stands in the way of others, by obstacle; No link takes what is named nowhere.
    pub cannot: BTreeMap<String, Vec<String>>,
}

impl Instance {
    /// What may be ordered of it; `None`: nothing.
    pub fn role(&self) -> Option<Role> {
        Role::of_word(self.orders.as_deref()?)
    }
}

/// Who it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Gateway {
    pub name: String,
    /// `powerwall` or `inverter`.
    pub kind: String,
    /// The link in use.
    pub link: Option<String>,
}

/// How polling goes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Polls {
    /// `live`, `stale`, `expired` or `never`.
    pub fresh: String,
    /// How old the reading was when it was published.
    pub age_ms: Option<u64>,
    /// How old readings of this link usually are.
    pub usual_ms: Option<u64>,
    pub failures: u32,
    pub failing_ms: Option<u64>,
    /// Kind and message of the last error.
    pub error: Option<(String, String)>,
}

impl Report {
    /// What is reported of `snapshot` at `now`, which is `at` in Unix seconds.
    pub fn of(snapshot: &Snapshot, instance: &Instance, (now, at): (Instant, f64)) -> Self {
        let (health, fresh) = (&snapshot.health, snapshot.freshness(now));
        let telemetry = snapshot.telemetry(now);
        let millis = |duration: std::time::Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let reading = snapshot.reading.as_ref();
        let usual = reading.map(|reading| reading.telemetry.answers().usual_age());
        let [can, cannot] = offered(&health.capabilities, instance.role());
        Self {
            v: VERSION,
            at: (at * 1e3).round() / 1e3,
            seq: snapshot.sequence,
            instance: instance.clone(),
            gateway: Gateway {
                name: snapshot.gateway.name.clone(),
                kind: match snapshot.gateway.kind {
                    GatewayKind::Powerwall => "powerwall".into(),
                    GatewayKind::Inverter => "inverter".into(),
                },
                link: snapshot.link_in_use().map(|link| link.word().to_owned()),
            },
            polls: Polls {
                fresh: word(fresh).to_owned(),
                age_ms: snapshot.age(now).map(millis),
                usual_ms: usual.filter(|usual| !usual.is_zero()).map(millis),
                failures: health.consecutive_failures,
                failing_ms: health.failing_since.map(|since| millis(now.saturating_duration_since(since))),
                error: health.last_error.as_ref().map(|note| (note.kind.to_owned(), note.message.clone())),
            },
            site: telemetry.map(|telemetry| Arc::new(telemetry.look(reported))),
            can,
            cannot,
        }
    }

    /// As it is published: without what is unknown, and with numbers as exact as they are measured.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut value = serde_json::to_value(self).unwrap_or_default();
        strip(&mut value);
        value.to_string().into_bytes()
    }

    /// Reads what a site published.
    ///
    /// # Errors
    /// If it is no report, larger than any, or of a later version.
    pub fn read(bytes: &[u8]) -> Result<Self, Unreadable> {
        let document = json::document(bytes, &BOUNDS)?;
        let report: Self =
            serde_json::from_value(document).map_err(|why| Unreadable::Other(why.to_string()))?;
        match report.v {
            VERSION => Ok(report),
            other => Err(Unreadable::Version(other)),
        }
    }

    /// How fresh it was at the site.
    pub fn freshness(&self) -> Freshness {
        match self.polls.fresh.as_str() {
            "live" => Freshness::Live,
            "stale" => Freshness::Stale,
            "expired" => Freshness::Expired,
            _ => Freshness::Never,
        }
    }

    /// Whether it says the same as `other`, whenever either was published.
    pub fn is_as(&self, other: &Self) -> bool {
        let plain = |report: &Self| {
            let polls = Polls { age_ms: None, failing_ms: None, ..report.polls.clone() };
            Self { at: 0.0, seq: 0, polls, ..report.clone() }
        };
        plain(self) == plain(other)
    }
}

/// What a site published and nobody can read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    #[error(transparent)]
    Unusable(#[from] Unusable),
    #[error("it is not a report: {0}")]
    Other(String),
    #[error("it has version {0}, and this program reads {VERSION}; update it")]
    Version(u32),
}

fn word(freshness: Freshness) -> &'static str {
    match freshness {
        Freshness::Live => "live",
        Freshness::Stale => "stale",
        Freshness::Expired => "expired",
        Freshness::Never => "never",
    }
}

/// Takes out of objects what is unknown. An empty list stays: that there is nothing is known.
fn strip(value: &mut Value) {
    match value {
        Value::Object(object) => {
            object.values_mut().for_each(strip);
            object.retain(|key, value| match value {
                Value::Null => false,
                Value::Object(inner) => !inner.is_empty(),
                Value::Bool(false) if key == "leaves" => false,
                Value::Number(number) if key == "failures" => number.as_u64() != Some(0),
                Value::Array(list) => list.is_empty() || !list.iter().all(Value::is_null),
                _ => true,
            });
        }
        Value::Array(list) => list.iter_mut().for_each(strip),
        Value::Number(number) => {
            if let Some(whole) = number.as_f64().filter(|number| number.fract() == 0.0 && number.abs() < 9e15)
            {
                *value = Value::from(whole as i64);
            }
        }
        _ => {}
    }
}
