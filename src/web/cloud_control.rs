//! What the statistics say of Tesla's cloud beside local links, in the words of the servers before.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::clock::unix_time;
use crate::model::{LinkHealth, LinkKind, Present, Snapshot};

/// The cloud link of the first gateway that has one beside a local link.
fn beside(snapshots: &[Arc<Snapshot>]) -> Option<(&Snapshot, &LinkHealth)> {
    let is_cloud = |link: &&LinkHealth| matches!(link.kind, LinkKind::FleetApi | LinkKind::Cloud);
    snapshots.iter().find_map(|snapshot| {
        let links = &snapshot.health.links;
        let cloud = links.iter().find(is_cloud)?;
        let has_local = links.iter().any(|link| !is_cloud(&link));
        has_local.then_some((&**snapshot, cloud))
    })
}

fn state(cloud: &LinkHealth) -> &'static str {
    match (&cloud.last_success, &cloud.last_error) {
        (Some(_), None) => "healthy",
        (Some(_), Some(_)) => "degraded",
        (None, _) => "unavailable",
    }
}

/// Whether the cloud works; `None`: no local gateway has it.
pub(super) fn healthy(snapshots: &[Arc<Snapshot>]) -> Option<bool> {
    beside(snapshots).map(|(_, cloud)| state(cloud) == "healthy")
}

/// `cloud_control`; null without such a link. Settings are those of the gateway, whichever link read them.
pub(super) fn described(snapshots: &[Arc<Snapshot>]) -> Value {
    let Some((snapshot, cloud)) = beside(snapshots) else { return Value::Null };
    let now = Instant::now();
    let succeeded = cloud.last_success.map(|at| unix_time() - (now - at).as_secs_f64());
    let known = snapshot.telemetry(now).map(|telemetry| Present::of(&telemetry.readings));
    let known = known.unwrap_or_default();
    let taken = snapshot.reading.as_ref().map(|reading| reading.taken_at);
    let reserve = known.reserve.map(|reserve| reserve.to_app_reserve().0);
    let at = |is_known: bool| taken.filter(|_| is_known);
    json!({
        "configured": true,
        "connected": cloud.last_success.is_some(),
        "state": state(cloud),
        "healthy": state(cloud) == "healthy",
        "consecutive_failures": cloud.failures,
        "last_success_time": succeeded,
        "last_known_mode": known.mode,
        "last_known_mode_time": at(known.mode.is_some()),
        "last_known_reserve": reserve,
        "last_known_reserve_time": at(reserve.is_some()),
        "last_known_grid_charging": known.charging,
        "last_known_grid_charging_time": at(known.charging.is_some()),
        "last_known_grid_export": known.export,
        "last_known_grid_export_time": at(known.export.is_some()),
    })
}
