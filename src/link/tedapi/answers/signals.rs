//! Signals of components: named values that a gateway lists per device.

use serde_json::{Map, Value};

use crate::link::json::{Look, names};

/// The value of a signal: the first of number, truth value and text that is not null. `None`: echoed without
/// value.
fn value(signal: &Value) -> Option<&Value> {
    ["value", "boolValue", "textValue"].iter().map(|key| signal.at(&[key])).find(|value| !value.is_null())
}

/// The signals of one component.
pub(super) fn signals(component: &Value) -> impl Iterator<Item = (&str, Option<&Value>)> {
    component.at(&["signals"]).items().iter().filter_map(|signal| {
        let name = signal.at(&["name"]).name()?;
        Some((name, value(signal)))
    })
}

/// The last value that `component` gives for `name`; null if none.
pub(super) fn signal<'a>(component: &'a Value, name: &str) -> &'a Value {
    signals(component)
        .filter(|(key, _)| *key == name)
        .last()
        .and_then(|(_, value)| value)
        .unwrap_or(&Value::Null)
}

/// The first value that any of `components` gives for `name`; null if none.
pub(super) fn first<'a>(components: impl IntoIterator<Item = &'a Value>, name: &str) -> &'a Value {
    components
        .into_iter()
        .map(|component| signal(component, name))
        .find(|v| !v.is_null())
        .unwrap_or(&Value::Null)
}

/// All signals of one component as an object; a null echo never hides a value.
pub(super) fn table(component: &Value) -> Value {
    let mut table = Map::new();
    for (name, value) in signals(component) {
        match value {
            Some(value) => table.insert(name.to_owned(), value.clone()),
            None => Some(table.entry(name).or_insert(Value::Null).clone()),
        };
    }
    Value::Object(table)
}

/// What a component is about: the common prefix of its signal names, for example `PINV`. `None` if mixed or
/// silent.
pub(super) fn family(component: &Value) -> Option<&str> {
    let mut families = signals(component).map(|(name, _)| name.split('_').next().unwrap_or(name));
    let first = families.next()?;
    families.all(|family| family == first).then_some(first)
}

/// The serial of a component. Slots without one are empty, whatever their signals claim.
pub(super) fn serial(component: &Value) -> Option<&str> {
    component.at(&["serialNumber"]).name()
}

/// Names of the active alerts of a component.
pub(super) fn alerts(component: &Value) -> impl Iterator<Item = &str> {
    component.at(&["activeAlerts"]).items().iter().filter_map(|alert| alert.at(&["name"]).name())
}

/// The active alerts of a device on the bus, as a list.
pub(super) fn bus_alerts(device: &Value) -> Value {
    names(device.at(&["alerts", "active"])).collect()
}
