//! Messages about max backup that the cloud passes on to a gateway unsigned.

use serde_json::{Value, json};

use crate::link::tedapi::wire::{BackupEvent, Timestamp};
use crate::simulator::gateway::Gateway;

/// What the gateway answers, and the name of that; `None`: it is no such message.
pub(super) fn answer(gateway: &Gateway, messages: &Value) -> Option<(&'static str, Value)> {
    let (name, content) = messages.as_object()?.iter().next()?;
    match name.as_str() {
        "get_backup_events_request" => Some(("GetBackupEventsResponse", list(gateway))),
        "cancel_manual_backup_event_request" => {
            gateway.pass_on_backup(None);
            Some(("CancelManualBackupEventResponse", json!({})))
        }
        "schedule_manual_backup_event_request" => {
            let info = &content["scheduling_info"];
            let start: jiff::Timestamp = info["start_time"].as_str()?.parse().ok()?;
            gateway.pass_on_backup(Some(BackupEvent {
                start: Some(Timestamp { seconds: start.as_second() }),
                seconds: info["duration_seconds"].as_u64()?.try_into().ok()?,
                priority: info["priority"].as_u64()?,
            }));
            Some(("ScheduleManualBackupEventResponse", json!({})))
        }
        _ => None,
    }
}

fn list(gateway: &Gateway) -> Value {
    let list = gateway.backups();
    let info = |event: &BackupEvent| {
        let seconds = event.start.as_ref().map_or(0, |start| start.seconds);
        let start = jiff::Timestamp::from_second(seconds).unwrap_or_default().to_string();
        json!({ "start_time": start, "duration_seconds": event.seconds, "priority": event.priority })
    };
    let manual = list.manual.as_ref().and_then(|manual| manual.window.as_ref());
    let others = list.others.iter().filter_map(|other| {
        Some(json!({ "id": other.id, "name": other.name, "sheduling_info": info(other.window.as_ref()?) }))
    });
    json!({
        "manual_backup_event": manual.map(|event| json!({ "scheduling_info": info(event) })),
        "backup_events": others.collect::<Vec<_>>(),
    })
}
