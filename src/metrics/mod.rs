//! What Prometheus scrapes: every reading of every gateway with its unit in its name, their sum, and how the service
//! itself is. Rendered from the boards when it is asked for, so that nothing is there that no longer counts: a value
//! that is unknown or expired is absent, never 0.
//!
//! Labels are ids of gateways, words of this program, and names of devices and strings, of which a site has few; what
//! a gateway makes up beyond that is cut off. Serves nothing: [`crate::web`] does.

mod devices;
mod exposition;
mod polling;
mod readings;
mod service;
mod sums;

use std::sync::Arc;

use tokio::time::Instant;

use crate::model::{Aggregate, Snapshot, Telemetry};
use exposition::Exposition;
pub use service::ServiceFigures;

/// Of this kind is the page.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A gateway as it is at the moment of asking.
struct Gateway<'a> {
    id: &'a str,
    snapshot: &'a Snapshot,
    /// `None`: nothing that may still be shown.
    telemetry: Option<&'a Telemetry>,
    now: Instant,
}

/// The page.
pub fn page(snapshots: &[Arc<Snapshot>], sum: &Aggregate, service: &ServiceFigures, now: Instant) -> String {
    let gateways: Vec<Gateway<'_>> = (snapshots.iter())
        .map(|snapshot| Gateway {
            id: &snapshot.gateway.id,
            snapshot,
            telemetry: snapshot.telemetry(now).map(Arc::as_ref),
            now,
        })
        .collect();
    let mut page = Exposition::default();
    readings::put(&mut page, &gateways);
    devices::put(&mut page, &gateways);
    sums::put(&mut page, sum);
    polling::put(&mut page, &gateways);
    service::put(&mut page, service);
    page.into_text()
}

/// The words of a grid status.
const GRID_STATES: [&str; 3] = ["up", "syncing", "down"];

fn grid_state(grid: crate::model::GridStatus) -> &'static str {
    match grid {
        crate::model::GridStatus::Up => "up",
        crate::model::GridStatus::Syncing => "syncing",
        crate::model::GridStatus::Down => "down",
    }
}
