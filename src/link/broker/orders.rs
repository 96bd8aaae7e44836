//! Orders to a site, and what it answers, as JSON, version 1 (`docs/fleet.md`).

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::wire::VERSION;
use crate::link::bounds::Bounds;
use crate::link::json;
use crate::model::{ErrorNote, Order, OrderKind, Outcome};

/// A tariff is the largest order.
pub const LARGEST: usize = 72 << 10;
const BOUNDS: Bounds = Bounds { bytes: LARGEST, memory: 4 << 20, text: 4 << 10 };

/// An order on its way to a site.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Errand {
    pub v: u32,
    /// Random; a site carries out each once.
    pub id: String,
    pub order: String,
    pub value: Value,
    /// Unix seconds; a site does nothing after it, by its own clock.
    pub deadline: f64,
    /// How long it is worth anything, whatever the clocks say.
    pub ttl_ms: u64,
    /// Who asked for it, at the centre.
    pub by: String,
    /// Whether somebody confirmed that it may be dangerous.
    pub confirmed: bool,
}

impl Errand {
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads what [`Errand::to_bytes`] writes.
    ///
    /// # Errors
    /// With what is wrong, for whoever sent it.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        let document = json::document(bytes, &BOUNDS).map_err(|why| why.to_string())?;
        let errand: Self = serde_json::from_value(document).map_err(|why| why.to_string())?;
        match errand.v {
            VERSION => Ok(errand),
            other => Err(format!("version {other} is not known here; update the site")),
        }
    }

    /// The order in it.
    pub fn order(&self) -> Option<Order> {
        Order::of_whole_value(OrderKind::parse(&self.order)?, &self.value)
    }
}

/// How an order stands, as a site answers it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    pub v: u32,
    pub id: String,
    /// The word of the outcome; `waiting` while there is none.
    pub outcome: String,
    /// What it is known by, or why not.
    pub evidence: String,
    /// Whether this is the site's last word.
    #[serde(rename = "final")]
    pub is_final: bool,
}

impl Reply {
    pub fn of(id: &str, outcome: &Outcome, is_final: bool) -> Self {
        let evidence = outcome.evidence().to_owned();
        Self { v: VERSION, id: id.to_owned(), outcome: outcome.word().into(), evidence, is_final }
    }

    pub fn not_sent(id: &str, why: impl Into<String>) -> Self {
        Self { v: VERSION, id: id.into(), outcome: "not_sent".into(), evidence: why.into(), is_final: true }
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads what [`Reply::to_bytes`] writes; `None`: it is something else.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let document = json::document(bytes, &BOUNDS).ok()?;
        serde_json::from_value(document).ok()
    }

    /// As the site has it; what is not understood is unknown.
    pub fn outcome(self) -> Outcome {
        let Self { outcome, evidence, .. } = self;
        let note = |message| ErrorNote { kind: "at_site", message };
        match outcome.as_str() {
            "not_sent" => Outcome::NotSent(note(evidence)),
            "refused" => Outcome::Refused(note(evidence)),
            "accepted" => Outcome::Accepted(evidence),
            "stored" => Outcome::Stored(evidence),
            "in_effect" => Outcome::InEffect(evidence),
            _ => Outcome::Unknown(note(evidence)),
        }
    }
}
