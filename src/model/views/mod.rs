//! The bodies clients ask for, rendered from telemetry at most once and then shared as bytes.

use std::sync::OnceLock;

use bytes::Bytes;

use super::Telemetry;

/// A body that depends on telemetry alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    Aggregates,
}

impl View {
    pub const COUNT: usize = 1;
}

/// One slot per view.
#[derive(Debug)]
pub struct ViewCache {
    slots: [OnceLock<Bytes>; View::COUNT],
}

impl Default for ViewCache {
    fn default() -> Self {
        Self { slots: [const { OnceLock::new() }; View::COUNT] }
    }
}

impl Telemetry {
    /// The bytes of `view`, rendered on first use.
    pub fn view(&self, view: View) -> Bytes {
        self.views.slots[view as usize].get_or_init(|| render(view, self)).clone()
    }
}

fn render(view: View, telemetry: &Telemetry) -> Bytes {
    match view {
        View::Aggregates => serde_json::to_vec(&telemetry.documents().aggregates).unwrap_or_default().into(),
    }
}
