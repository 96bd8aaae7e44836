//! The backup events of a gateway, as the servers before show them.

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::clock::unix_time;
use crate::model::{BackupEvents, Capability, OrderKind, Snapshot};

/// What the gateway lists of backup events; it is asked every five minutes, never by a request that reads.
pub(super) fn answer(snapshot: &Snapshot) -> Value {
    let takes = |capability: &Capability| capability.order == OrderKind::MaxBackup && capability.by.is_ok();
    let events = snapshot.telemetry(Instant::now()).and_then(|telemetry| telemetry.answers().backup_events());
    let Some(events) = events else {
        let can = snapshot.health.capabilities.iter().any(takes);
        let why = match can {
            true => "Failed to get backup events",
            false => "max_backup requires v1r LAN transport",
        };
        return json!({ "error": why });
    };
    listed(&events, unix_time() as i64)
}

/// The same, null while it is not known.
pub(super) fn known(snapshot: &Snapshot) -> Option<Value> {
    let telemetry = snapshot.telemetry(Instant::now())?;
    Some(listed(&*telemetry.answers().backup_events()?, unix_time() as i64))
}

fn listed(events: &BackupEvents, now: i64) -> Value {
    let manual = events.manual.as_ref().map(|event| {
        json!({
            "start_time": event.start, "duration_seconds": event.seconds, "end_time": event.end(),
            "active": event.is_active(now), "priority": event.priority,
        })
    });
    let others = events.others.iter().map(|other| {
        json!({
            "id": other.id, "name": other.name, "start_time": other.event.start,
            "duration_seconds": other.event.seconds, "priority": other.event.priority,
        })
    });
    json!({ "manual_backup": manual, "backup_events": others.collect::<Vec<_>>() })
}
