//! What the servers before answer to an order that succeeded: what their library returns.

use serde_json::{Map, Value, json};

use super::ordering::Seen;
use crate::model::order::{Islanding, MaxBackup};
use crate::model::{Order, OrderKind, Setpoint};

/// The body of a success, without what is beside it.
pub(super) fn success(seen: &Seen) -> Map<String, Value> {
    let order = OrderKind::parse(&seen.view.order).and_then(|kind| Order::of_value(kind, &seen.view.value));
    let Some(order) = order else { return Map::new() };
    if let Some(setpoint) = order.setpoint() {
        return settings(&setpoint, seen);
    }
    let answer = match &order {
        Order::MaxBackup(MaxBackup::Cancel) => json!({ "max_backup": "Cancelled" }),
        Order::MaxBackup(MaxBackup::Schedule(window)) => {
            json!({ "max_backup": format!("Scheduled for {} seconds", window.seconds()) })
        }
        Order::Islanding(Islanding::OffGrid) => json!({ "mode": 6, "force": true, "result": 1 }),
        Order::Islanding(Islanding::OnGrid) => json!({ "mode": 1, "force": false, "result": 1 }),
        Order::Dispatch(dispatch) => {
            json!({ "power_watts": dispatch.watts(), "duration_seconds": dispatch.seconds() })
        }
        Order::StormWatch(_) | Order::VehicleReserve(_) | Order::Tariff(_) => {
            json!({ "Message": "Updated", "Code": 201 })
        }
        _ => json!({ "resume_battery_operation": true }),
    };
    answer.as_object().cloned().unwrap_or_default()
}

/// Reserve and mode as v1r reports them, the reserve on the raw scale. Charging and export are a bare `true`
/// there, which has no room for anything beside it.
fn settings(setpoint: &Setpoint, seen: &Seen) -> Map<String, Value> {
    let mut answer = Map::new();
    let message = seen.view.evidence.as_deref().unwrap_or_default();
    let result = json!({ "response": { "Message": message, "Code": 200 } });
    if let Some(reserve) = setpoint.reserve {
        let part = json!({ "backup_reserve_percent": reserve.raw(), "din": null, "result": result });
        answer.insert("set_backup_reserve_percent".into(), part);
    }
    if let Some(mode) = setpoint.mode {
        let part = json!({ "real_mode": mode.word(), "din": null, "result": result });
        answer.insert("set_operation".into(), part);
    }
    if setpoint.charging.is_some() || setpoint.export.is_some() {
        answer.insert("result".into(), true.into());
    }
    answer
}
