//! `/api/devices/vitals`: every device with its measurements, from protobuf to the document that clients
//! know.
//!
//! Field numbers and names are those that firmware before 23.44 sends; what is of no use is left out and
//! skipped.

use bytes::Bytes;
use prost::Message;
use serde_json::{Map, Value, json};

use crate::link::bounds;
use crate::link::bounds::protobuf::{self, Most};
use crate::link::json::{Object, Unusable};

/// The messages.
pub mod wire {
    use prost::{Message, Oneof};

    #[derive(Clone, PartialEq, Message)]
    pub struct Devices {
        #[prost(message, repeated, tag = "1")]
        pub devices: Vec<DeviceWithVitals>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub struct DeviceWithVitals {
        #[prost(message, optional, tag = "1")]
        pub connected: Option<Connected>,
        #[prost(message, repeated, tag = "2")]
        pub vitals: Vec<Vital>,
        #[prost(string, repeated, tag = "3")]
        pub alerts: Vec<String>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub struct Connected {
        #[prost(message, optional, tag = "1")]
        pub device: Option<Device>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub struct Device {
        #[prost(message, optional, tag = "1")]
        pub din: Option<Text>,
        #[prost(message, optional, tag = "2")]
        pub part_number: Option<Text>,
        #[prost(message, optional, tag = "3")]
        pub serial_number: Option<Text>,
        #[prost(message, optional, tag = "4")]
        pub manufacturer: Option<Text>,
        #[prost(message, optional, tag = "6")]
        pub parent: Option<Text>,
        #[prost(message, optional, tag = "7")]
        pub firmware: Option<Text>,
        #[prost(message, optional, tag = "8")]
        pub first_communication: Option<Time>,
        #[prost(message, optional, tag = "9")]
        pub last_communication: Option<Time>,
        #[prost(message, optional, tag = "11")]
        pub attributes: Option<Attributes>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub struct Text {
        #[prost(string, tag = "1")]
        pub value: String,
    }

    #[derive(Clone, Copy, PartialEq, Message)]
    pub struct Time {
        /// Since the Unix epoch.
        #[prost(int64, tag = "1")]
        pub seconds: i64,
    }

    #[derive(Clone, PartialEq, Message)]
    pub struct Attributes {
        #[prost(oneof = "Kind", tags = "1, 2, 3, 4")]
        pub kind: Option<Kind>,
    }

    #[derive(Clone, PartialEq, Oneof)]
    pub enum Kind {
        #[prost(message, tag = "1")]
        Ecu(Ecu),
        #[prost(message, tag = "2")]
        Generator(Generator),
        #[prost(message, tag = "3")]
        PvInverter(PvInverter),
        #[prost(message, tag = "4")]
        Meter(Meter),
    }

    #[derive(Clone, Copy, PartialEq, Message)]
    pub struct Ecu {
        #[prost(int32, tag = "1")]
        pub kind: i32,
    }

    #[derive(Clone, Copy, PartialEq, Message)]
    pub struct Generator {
        #[prost(uint64, tag = "1")]
        pub nameplate_watts: u64,
        #[prost(uint64, tag = "2")]
        pub nameplate_va: u64,
    }

    #[derive(Clone, Copy, PartialEq, Message)]
    pub struct PvInverter {
        #[prost(uint64, tag = "1")]
        pub nameplate_watts: u64,
    }

    #[derive(Clone, PartialEq, Message)]
    pub struct Meter {
        #[prost(uint32, repeated, tag = "1")]
        pub location: Vec<u32>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub struct Vital {
        #[prost(string, tag = "1")]
        pub name: String,
        #[prost(oneof = "Measured", tags = "3, 4, 5, 6")]
        pub value: Option<Measured>,
    }

    #[derive(Clone, PartialEq, Oneof)]
    pub enum Measured {
        #[prost(int64, tag = "3")]
        Int(i64),
        #[prost(double, tag = "4")]
        Float(f64),
        #[prost(string, tag = "5")]
        Text(String),
        #[prost(bool, tag = "6")]
        Flag(bool),
    }
}

use wire::{Device, Devices, Kind, Measured};

/// Length of the longest answer; one of two Powerwall 2 has 8 kB.
const LONGEST: usize = 192 << 10;
/// Length of the longest name or text, and of all that identifies a device.
const LONGEST_TEXT: usize = 4 << 10;
/// Ten Powerwall 2 have some sixty devices with 1,300 measurements.
const LIMITS: [Most; 3] = [
    Most { path: &[1], most: 256, what: "devices" },
    Most { path: &[1, 2], most: 6000, what: "measurements" },
    Most { path: &[1, 3], most: 2000, what: "alerts" },
];
/// Of one meter; recorded ones have one.
const MOST_LOCATIONS: usize = 16;

/// The devices in an answer.
pub(super) fn decode(answer: &Bytes) -> Result<Devices, Unusable> {
    bounds::length(answer.len(), LONGEST)?;
    protobuf::check(answer, &LIMITS, LONGEST_TEXT)?;
    let devices = Devices::decode(&answer[..]).map_err(|error| Unusable::NotVitals(error.to_string()))?;
    for entry in &devices.devices {
        let device = entry.connected.as_ref().and_then(|connected| connected.device.as_ref());
        let attributes = device.and_then(|device| device.attributes.as_ref()?.kind.as_ref());
        if let Some(Kind::Meter(meter)) = attributes {
            bounds::count(meter.location.len(), MOST_LOCATIONS, "places of a meter")?;
        }
    }
    Ok(devices)
}

/// The document: devices by DIN. Of a DIN that occurs twice, the first identity counts; later measurements
/// and alerts replace earlier ones.
pub(super) fn document(devices: Devices) -> Value {
    let mut document = Map::new();
    for entry in devices.devices {
        let device = entry.connected.and_then(|connected| connected.device).unwrap_or_default();
        let Some(din) = device.din.clone().map(|din| din.value) else { continue };
        let block = document.entry(din).or_insert_with(|| identity(device));
        let Some(block) = block.as_object_mut() else { continue };
        for vital in entry.vitals {
            let value = match vital.value {
                None => Value::Null,
                Some(Measured::Int(value)) => value.into(),
                // Zero has no sign.
                Some(Measured::Float(value)) => (value + 0.0).into(),
                Some(Measured::Text(value)) => value.into(),
                Some(Measured::Flag(value)) => value.into(),
            };
            block.insert(vital.name, value);
        }
        if !entry.alerts.is_empty() {
            block.insert("alerts".into(), entry.alerts.into());
        }
    }
    Value::Object(document)
}

/// What identifies a device.
fn identity(device: Device) -> Value {
    let mut block = Object::default();
    let texts = [
        ("componentParentDin", device.parent),
        ("partNumber", device.part_number),
        ("serialNumber", device.serial_number),
        ("manufacturer", device.manufacturer),
        ("firmwareVersion", device.firmware),
    ];
    for (key, text) in texts {
        if let Some(text) = text {
            block.set(key, text.value);
        }
    }
    let times = [
        ("firstCommunicationTime", device.first_communication),
        ("lastCommunicationTime", device.last_communication),
    ];
    for (key, time) in times {
        if let Some(time) = time {
            block.set(key, time.seconds);
        }
    }
    match device.attributes.and_then(|attributes| attributes.kind) {
        Some(Kind::Ecu(ecu)) => block.set("teslaEnergyEcuAttributes", json!({ "ecuType": ecu.kind })),
        Some(Kind::Generator(generator)) => block.set(
            "generatorAttributes",
            json!({
                "nameplateRealPowerW": generator.nameplate_watts,
                "nameplateApparentPowerVa": generator.nameplate_va,
            }),
        ),
        Some(Kind::PvInverter(inverter)) => {
            block.set("pvInverterAttributes", json!({ "nameplateRealPowerW": inverter.nameplate_watts }))
        }
        Some(Kind::Meter(meter)) => block.set("meterAttributes", json!({ "meterLocation": meter.location })),
        None => &mut block,
    }
    .build()
}
