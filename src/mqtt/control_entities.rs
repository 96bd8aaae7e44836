//! The entities by which Home Assistant gives orders: contract 0.13, section 4.3. As with all others, none of
//! their ids may ever change.

use serde_json::{Map, Value, json};

use super::controls::topic;
use crate::model::OrderKind;

/// How an entity gives its orders.
enum Gives {
    /// A number with its bounds and its unit.
    Number,
    /// One of these.
    Choice(&'static [&'static str]),
    Switch,
    /// This, when it is pressed.
    Press(&'static str),
}

/// An entity by which orders of a kind are given.
pub(super) struct ControlEntity {
    pub kind: OrderKind,
    component: &'static str,
    /// The end of its unique id.
    suffix: &'static str,
    name: &'static str,
    /// Where the present value is published, below the topic of the gateway; empty: nowhere.
    state: &'static str,
    gives: Gives,
    icon: &'static str,
}

const fn control(
    kind: OrderKind,
    (component, suffix, name): (&'static str, &'static str, &'static str),
    state: &'static str,
    gives: Gives,
    icon: &'static str,
) -> ControlEntity {
    ControlEntity { kind, component, suffix, name, state, gives, icon }
}

const MODES: &[&str] = &["self_consumption", "backup", "autonomous"];
const RULES: &[&str] = &["battery_ok", "pv_only", "never"];

pub(super) const ALL: [ControlEntity; 7] = [
    control(
        OrderKind::Reserve,
        ("number", "reserve_control", "Backup Reserve Control"),
        "reserve",
        Gives::Number,
        "mdi:battery-lock",
    ),
    control(
        OrderKind::ReserveHold,
        ("button", "reserve_hold", "Hold Battery"),
        "",
        Gives::Press("{}"),
        "mdi:battery-lock",
    ),
    control(
        OrderKind::Mode,
        ("select", "mode_control", "Operation Mode Control"),
        "mode",
        Gives::Choice(MODES),
        "mdi:cog",
    ),
    control(
        OrderKind::Charging,
        ("switch", "grid_charging_control", "Grid Charging Control"),
        "grid_charging",
        Gives::Switch,
        "mdi:battery-charging-outline",
    ),
    control(
        OrderKind::Export,
        ("select", "grid_export_control", "Grid Export Control"),
        "grid_export",
        Gives::Choice(RULES),
        "mdi:transmission-tower-export",
    ),
    control(
        OrderKind::Islanding,
        ("button", "go_off_grid", "Go Off Grid"),
        "",
        Gives::Press(r#"{"action":"off_grid","confirm":true}"#),
        "mdi:transmission-tower-off",
    ),
    control(
        OrderKind::Islanding,
        ("button", "reconnect_grid", "Reconnect Grid"),
        "",
        Gives::Press(r#"{"action":"on_grid","confirm":true}"#),
        "mdi:transmission-tower",
    ),
];

/// What Home Assistant calls those entities.
pub(super) const COMPONENTS: [&str; 4] = ["number", "button", "select", "switch"];

impl ControlEntity {
    /// The topic that announces it for the gateway with this id.
    pub fn config_topic(&self, discovery_prefix: &str, id: &str) -> String {
        format!("{discovery_prefix}/{}/pypowerwall_{id}_{}/config", self.component, self.suffix)
    }

    /// The document that announces it. `device` is that of the gateway.
    pub fn document(&self, prefix: &str, id: &str, device: Value) -> Map<String, Value> {
        let mut document = Map::new();
        let mut set = |key: &str, value: Value| _ = document.insert(key.to_owned(), value);
        set("name", self.name.into());
        set("unique_id", format!("pypowerwall_{id}_{}", self.suffix).into());
        if !self.state.is_empty() {
            set("state_topic", format!("{prefix}/{id}/{}", self.state).into());
        }
        set("command_topic", topic(prefix, id, self.kind, "set").into());
        match &self.gives {
            Gives::Number => {
                set("command_template", r#"{"value": {{ value | int }}}"#.into());
                set("min", 0.into());
                set("max", 100.into());
                set("step", 1.into());
            }
            Gives::Choice(options) => {
                set("command_template", r#"{"value": "{{ value }}"}"#.into());
                set("options", json!(options));
            }
            Gives::Switch => {
                set("payload_on", r#"{"value": true}"#.into());
                set("payload_off", r#"{"value": false}"#.into());
                set("state_on", "true".into());
                set("state_off", "false".into());
            }
            Gives::Press(payload) => set("payload_press", (*payload).into()),
        }
        set("device", device);
        let (up, down) = ("online", "offline");
        let availability =
            |topic: String| json!({ "topic": topic, "payload_available": up, "payload_not_available": down });
        // Also of what the gateway can take at present: what cannot be done is not offered.
        let topics = [
            format!("{prefix}/{id}/availability"),
            format!("{prefix}/availability"),
            topic(prefix, id, self.kind, "availability"),
        ];
        set("availability", topics.map(availability).to_vec().into());
        set("availability_mode", "all".into());
        if matches!(self.gives, Gives::Number) {
            set("unit_of_measurement", "%".into());
        }
        set("icon", self.icon.into());
        document
    }
}
