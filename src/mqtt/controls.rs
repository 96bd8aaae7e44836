//! Orders over MQTT: what is heard on the topics for orders, as orders, and what is said of what became of
//! them. Who may do what, how often, and that the gateway does it once, is left to [`crate::control`].

use serde_json::{Value, json};

use crate::model::order::Request;
use crate::model::{Order, OrderId, OrderKind, Standing};
use crate::settings::{Controls, Role};

/// The name under which orders over MQTT stand in the journal.
pub(super) const ASKED_BY: &str = "MQTT";
/// Bytes of an order.
const LONGEST: usize = 1024;

/// What can be ordered over MQTT.
pub(super) const KINDS: [OrderKind; 6] = [
    OrderKind::Reserve,
    OrderKind::ReserveHold,
    OrderKind::Mode,
    OrderKind::Charging,
    OrderKind::Export,
    OrderKind::Islanding,
];

/// The topics on which orders are heard.
pub(super) fn subscription(prefix: &str) -> String {
    format!("{prefix}/+/control/+/set")
}

/// The gateway and the name of the order in a topic; `None`: it is for something else.
pub(super) fn addressed<'a>(topic: &'a str, prefix: &str) -> Option<(&'a str, &'a str)> {
    let rest = topic.strip_prefix(prefix)?.strip_prefix('/')?.strip_suffix("/set")?;
    let (gateway, name) = rest.split_once("/control/")?;
    (!gateway.contains('/') && !name.contains('/')).then_some((gateway, name))
}

/// Where something is said of the orders of one name.
pub(super) fn topic(prefix: &str, gateway: &str, kind: OrderKind, what: &str) -> String {
    format!("{prefix}/{gateway}/control/{}/{what}", kind.word())
}

/// The order with this name, if it is taken over MQTT at all.
pub(super) fn kind(name: &str) -> Option<OrderKind> {
    OrderKind::parse(name).filter(|kind| KINDS.contains(kind))
}

/// Whether the operator lets orders of `kind` be given over MQTT.
pub(super) fn is_allowed(controls: Controls, kind: OrderKind) -> bool {
    match kind {
        OrderKind::Reserve | OrderKind::ReserveHold => controls.reserve,
        OrderKind::Mode => controls.mode,
        OrderKind::Charging => controls.grid_charging,
        OrderKind::Export => controls.grid_export,
        OrderKind::Islanding => controls.islanding,
        OrderKind::Operation
        | OrderKind::MaxBackup
        | OrderKind::StormWatch
        | OrderKind::VehicleReserve
        | OrderKind::Tariff
        | OrderKind::Dispatch
        | OrderKind::Resume => false,
    }
}

/// What whoever is behind the broker may do.
pub(super) fn role(controls: Controls) -> Role {
    if controls.islanding { Role::Owner } else { Role::Operator }
}

/// The order in a message.
///
/// # Errors
/// If it is none: why, for whoever sent it.
pub(super) fn order(controls: Controls, kind: OrderKind, payload: &[u8]) -> Result<Request, String> {
    if !is_allowed(controls, kind) {
        return Err(format!("{} is not among MQTT_CONTROLS", kind.word()));
    }
    if payload.len() > LONGEST {
        return Err(format!("an order has at most {LONGEST} bytes"));
    }
    let body: Value = serde_json::from_slice(payload).map_err(|_| "an order is a JSON object".to_owned())?;
    let request = Request::read(kind, &body).map_err(|misread| misread.to_string())?;
    // Whoever presses a button of a dashboard by mistake must not have moved a contactor.
    if kind == OrderKind::Islanding && !request.confirmed {
        return Err("islanding needs 'confirm': true".into());
    }
    Ok(request)
}

/// What is said of an order that did not even reach the gateway's actor.
pub(super) fn refused(kind: OrderKind, why: &str) -> String {
    let result = json!({
        "id": null, "order": kind.word(), "value": null, "outcome": "not_sent", "evidence": why,
        "final": true,
    });
    result.to_string()
}

/// How an order stands.
pub(super) fn result(id: OrderId, order: &Order, standing: &Standing) -> String {
    let outcome = standing.outcome.as_ref();
    let result = json!({
        "id": id.to_string(), "order": order.kind().word(), "value": order.value(),
        "outcome": outcome.map_or("pending", |outcome| outcome.word()),
        "evidence": outcome.map(|outcome| outcome.evidence()), "final": standing.is_final,
    });
    result.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::order::Islanding;

    const ALL: Controls =
        Controls { reserve: true, mode: true, grid_charging: true, grid_export: true, islanding: true };

    #[test]
    fn only_topics_for_orders_are_taken_for_orders() {
        let prefix = "home/power";
        assert_eq!(addressed("home/power/cabin/control/reserve/set", prefix), Some(("cabin", "reserve")));
        for other in [
            "power/cabin/control/reserve/set",
            "home/power/cabin/control/reserve",
            "home/power/cabin/control/reserve/result",
            "home/power/a/b/control/reserve/set",
            "home/power/cabin/control/a/b/set",
            "home/powercabin/control/reserve/set",
        ] {
            assert_eq!(addressed(other, prefix), None, "{other}");
        }
        assert_eq!((kind("reserve"), kind("dispatch"), kind("fly")), (Some(OrderKind::Reserve), None, None));
    }

    #[test]
    fn an_order_is_what_home_assistant_sends_and_nothing_like_it() {
        for (kind, payload) in [
            (OrderKind::Reserve, r#"{"value": 40}"#),
            (OrderKind::ReserveHold, "{}"),
            (OrderKind::Mode, r#"{"value": "backup"}"#),
            (OrderKind::Charging, r#"{"value": true}"#),
            (OrderKind::Export, r#"{"value": "never"}"#),
            (OrderKind::Islanding, r#"{"action":"off_grid","confirm":true}"#),
        ] {
            let read = order(ALL, kind, payload.as_bytes());
            assert_eq!(read.map(|request| request.order.kind()), Ok(kind), "{payload}");
        }
        let off = order(ALL, OrderKind::Islanding, br#"{"action":"off_grid","confirm":true}"#).unwrap();
        assert_eq!(off.order, Order::Islanding(Islanding::OffGrid));
        for (kind, payload, words) in [
            (OrderKind::Reserve, r#"{"value": 40.5}"#, "an integer reserve level"),
            (OrderKind::Reserve, r#"{"value": 101}"#, "between 0 and 100"),
            (OrderKind::Reserve, "40", "JSON object"),
            (OrderKind::Reserve, "{", "JSON object"),
            (OrderKind::Islanding, r#"{"action":"on_grid"}"#, "confirm"),
            (OrderKind::Islanding, r#"{"action":"on_grid","confirm":1}"#, "boolean"),
        ] {
            let refused = order(ALL, kind, payload.as_bytes()).unwrap_err();
            assert!(refused.contains(words), "{payload}: {refused}");
        }
        let long = format!(r#"{{"value": 40{}}}"#, " ".repeat(LONGEST));
        assert!(order(ALL, OrderKind::Reserve, long.as_bytes()).unwrap_err().contains("1024 bytes"));
        let reserve_alone = Controls { reserve: true, ..Controls::default() };
        assert!(
            order(reserve_alone, OrderKind::Mode, br#"{"value":"backup"}"#)
                .unwrap_err()
                .contains("MQTT_CONTROLS")
        );
        assert_eq!((role(reserve_alone), role(ALL)), (Role::Operator, Role::Owner));
    }
}
