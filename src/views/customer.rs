//! Bodies of the customer API of a gateway (`/api/…`) where they are more than a document as it stands.

use serde_json::{Map, Value, json};

use super::redact::{MASK, redacted};
use crate::model::{Documents, RawPercent, Readings};

/// `/api/system_status/soe`: app scale, with the raw value beside it.
pub(super) fn state_of_energy(readings: &Readings) -> Value {
    let raw = readings.charge.state_of_energy();
    json!({ "percentage": raw.map(RawPercent::to_app_clamped), "raw_percentage": raw })
}

/// `/api/system_status/grid_status`; the word clients know for a gateway that does not say.
pub(super) fn grid_status(documents: &Documents) -> Value {
    match &documents.grid_status {
        Value::Null => json!({ "grid_status": "Unknown", "grid_services_active": null }),
        known => known.clone(),
    }
}

/// `/api/meters/site` and `/api/meters/solar`: a list of one meter, or of none.
pub(super) fn meters(documents: &Documents, location: &str) -> Value {
    let section = documents.aggregates.get(location).filter(|section| section.is_object());
    match (location, section) {
        (_, None) => json!([]),
        ("site", Some(section)) => json!([{ "id": 0, "location": "site", "Cached_readings": section }]),
        (_, Some(section)) => json!([section]),
    }
}

/// `/api/powerwalls`: the units there are, without what the protocol does not report of them.
pub(super) fn powerwalls(readings: &Readings, documents: &Documents) -> Value {
    let blocks = documents.system_status.get("battery_blocks").and_then(Value::as_array);
    let units = blocks.into_iter().flatten().filter(|block| block.is_object()).map(|block| {
        let reported = ["Type", "PackagePartNumber", "PackageSerialNumber", "pinv_state", "pinv_grid_state"];
        reported.into_iter().map(|key| (key.to_owned(), block[key].clone())).collect::<Map<_, _>>()
    });
    json!({ "powerwalls": units.map(Value::Object).collect::<Value>(), "gateway_din": readings.din })
}

/// `/api/networks`: how the gateway is connected, without what strangers must not read; empty where it does
/// not say. The name of a Wi-Fi network is its SSID.
pub(super) fn networks(reported: &Value) -> Value {
    let mut networks = redacted(reported);
    let Value::Array(list) = &mut networks else { return json!([]) };
    for network in list.iter_mut().filter(|network| network["interface"] == "WifiType") {
        for name in ["/network_name", "/iface_network_info/network_name"] {
            if let Some(name) = network.pointer_mut(name) {
                *name = MASK.into();
            }
        }
    }
    networks
}

/// Numbers that the server before had as 0 where a gateway does not report them.
const ZEROS: [&str; 18] = [
    "battery_target_power",
    "battery_target_reactive_power",
    "max_power_energy_remaining",
    "max_power_energy_to_be_charged",
    "instantaneous_max_discharge_power",
    "instantaneous_max_charge_power",
    "instantaneous_max_apparent_power",
    "hardware_capability_charge_power",
    "hardware_capability_discharge_power",
    "available_charger_blocks",
    "ffr_power_availability_high",
    "ffr_power_availability_low",
    "load_charge_constraint",
    "max_sustained_ramp_rate",
    "smart_inv_delta_p",
    "smart_inv_delta_q",
    "auxiliary_load",
    "expected_energy_remaining",
];

/// `/api/system_status`; with `zeros` as clients that cannot read null had it.
pub(super) fn system_status(documents: &Documents, zeros: bool) -> Value {
    let mut status = documents.system_status.clone();
    for key in ZEROS.iter().filter(|_| zeros) {
        if let Some(value) = status.get_mut(*key).filter(|value| value.is_null()) {
            *value = 0.into();
        }
    }
    status
}
