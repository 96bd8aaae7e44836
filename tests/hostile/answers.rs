//! What a gateway answers, good and padded, and what is put around it.

use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use powerwall_server::link::bounds::Bounds;
use powerwall_server::link::tedapi::frames;
use powerwall_server::link::tedapi::wire::{
    AUTH_PRESENCE, Common, Envelope, File, FileRead, Files, FirmwareVersion, GraphQl, GraphQlError, QUERY_OK,
    QueryResponse, SystemInfoResponse,
};
use prost::Message;
use serde_json::{Map, Value, json};

use super::gateway::Asked;

pub const DIN: &str = "1707000-11-M--TG126000000A1";

/// An answer with its head; `headers` end their lines themselves.
pub fn http(status: u16, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n{headers}\r\n", body.len());
    [head.as_bytes(), body].concat()
}

pub fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

/// The customer API of a Powerwall 2; null for what it does not have.
pub fn customer(path: &str) -> Value {
    let meter = |watts: i32| {
        json!({
            "last_communication_time": "2026-01-01T00:00:00Z", "instant_power": watts, "frequency": 60,
            "energy_exported": 1000, "energy_imported": 2000, "instant_average_voltage": 240,
        })
    };
    let block = json!({
        "PackagePartNumber": "3012170-05-B", "PackageSerialNumber": "TG000000000001",
        "nominal_energy_remaining": 8000, "nominal_full_pack_energy": 14000, "p_out": 100, "f_out": 60,
    });
    match path {
        "/api/meters/aggregates" => {
            json!({ "site": meter(100), "battery": meter(200), "load": meter(300), "solar": meter(0) })
        }
        "/api/system_status/grid_status" => json!({ "grid_status": "SystemGridConnected" }),
        "/api/system_status/soe" => json!({ "percentage": 69.1 }),
        "/api/system_status" => json!({
            "nominal_full_pack_energy": 14000, "nominal_energy_remaining": 8000, "battery_blocks": [block],
        }),
        "/api/status" => json!({ "din": "1232100-00-E--TG000000000001", "version": "23.40.0 abc" }),
        "/api/operation" => json!({ "real_mode": "self_consumption", "backup_reserve_percent": 24 }),
        "/api/site_info" => json!({ "site_name": "Site", "timezone": "UTC" }),
        "/api/solar_powerwall" => json!({
            "pvac_status": { "string_vitals": [{ "string_id": 1, "connected": true, "measured_power": 1 }] },
            "pvac_alerts": { "PVAC_A1": true }, "pvs_alerts": {},
        }),
        _ => Value::Null,
    }
}

/// The login, and every document as `change` makes it; 404 for what there is not.
pub fn served(asked: &Asked, change: impl Fn(&str, Value) -> Vec<u8>) -> Vec<u8> {
    const COOKIES: &str = "Set-Cookie: AuthCookie=a; Path=/\r\nSet-Cookie: UserRecord=b; Path=/\r\n";
    match (asked.path.as_str(), customer(&asked.path)) {
        ("/api/login/basic", _) => http(200, COOKIES, br#"{"token":"tok"}"#),
        (_, Value::Null) => http(404, "", b""),
        (path, document) => http(200, "", &change(path, document)),
    }
}

/// `document` with `fill` again and again in a part that nobody reads, in lists of `list` each, up to
/// `bytes`.
pub fn padded(document: &Value, fill: &str, list: usize, bytes: usize) -> Vec<u8> {
    let list = format!("[{}0],", format!("{fill},").repeat(list));
    let text = document.to_string();
    let times = bytes.saturating_sub(text.len()) / list.len();
    let text = text.strip_suffix('}').unwrap();
    format!(r#"{text},"x":[{}0]}}"#, list.repeat(times)).into_bytes()
}

/// `document` with as much of the costliest as `bounds` allow.
pub fn filled(document: &Value, bounds: &Bounds) -> Vec<u8> {
    let candidates = (1..=bounds.bytes / 400).rev().map(|share| share * 400);
    let mut fitting = candidates.map(|bytes| padded(document, r#"{"a":{}}"#, 40, bytes));
    fitting.find(|text| bounds.check(text).is_ok()).unwrap()
}

/// Every value of a document through `change`.
pub fn mapped(value: Value, change: &impl Fn(Value) -> Value) -> Value {
    match value {
        Value::Object(object) => {
            let entries = object.into_iter().map(|(key, value)| (key, mapped(value, change)));
            Value::Object(entries.collect::<Map<_, _>>())
        }
        Value::Array(list) => list.into_iter().map(|value| mapped(value, change)).collect(),
        value => change(value),
    }
}

/// Every number of a document as `text`.
pub fn numbers(document: Value, text: &str) -> Vec<u8> {
    let marked = mapped(document, &|value| if value.is_number() { "@@".into() } else { value });
    marked.to_string().replace("\"@@\"", text).into_bytes()
}

/// The status, which is also the controller, of a Powerwall 3.
pub fn controller() -> Value {
    let meters = [("SITE", 100), ("BATTERY", 200), ("LOAD", 300), ("SOLAR", 0)];
    let meters = meters.map(|(location, watts)| json!({ "location": location, "realPowerW": watts }));
    json!({
        "control": {
            "systemStatus": { "nominalFullPackEnergyWh": 14000, "nominalEnergyRemainingWh": 8000 },
            "meterAggregates": meters, "alerts": { "active": ["SystemConnectedToGrid"] },
        },
        "esCan": { "bus": {} }, "components": { "msa": [] },
    })
}

/// The configuration of a site with so many Powerwall 3.
pub fn config(units: usize) -> Value {
    let unit = |number: usize| json!({ "vin": unit(number), "type": "Powerwall3" });
    let blocks: Value = (0..units).map(unit).collect();
    json!({ "vin": DIN, "battery_blocks": blocks, "site_info": { "site_name": "Home", "timezone": "UTC" } })
}

pub fn unit(number: usize) -> String {
    format!("1707000-11-M--TG126000000A{}", number + 1)
}

/// The components of one Powerwall 3.
pub fn components() -> Value {
    json!({ "components": { "pch": [], "bms": [], "hvp": [] } })
}

/// What TEDAPI is asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Part {
    Config,
    Components,
    Controller,
    Other,
}

impl Part {
    pub fn of(asked: &Asked) -> Self {
        let envelope = frames::unwrap(Bytes::copy_from_slice(&asked.body), "a test").unwrap_or_default();
        let envelope = Envelope::decode(envelope).unwrap_or_default();
        let query = envelope.graphql.and_then(|graphql| graphql.request).map(|request| request.query);
        match query {
            _ if envelope.files.is_some() => Self::Config,
            None => Self::Other,
            Some(query) if contains(&query, b"ComponentsQuery") => Self::Components,
            Some(_) => Self::Controller,
        }
    }
}

fn contains(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len()).any(|window| window == word)
}

/// A document as TEDAPI sends it. `errors`: so many, empty ones.
pub fn framed(part: Part, document: Vec<u8>, errors: usize) -> Vec<u8> {
    let mut envelope = Envelope::default();
    if part == Part::Config {
        let file = File { name: "config.json".into(), blob: document.into() };
        let read_response = Some(FileRead { file: Some(file), hash: Default::default() });
        envelope.files = Some(Files { read_response, ..Files::default() });
    } else {
        let errors = vec![GraphQlError::default(); errors];
        let response = QueryResponse { status: QUERY_OK, data: document.into(), errors };
        envelope.graphql = Some(GraphQl { request: None, response: Some(response) });
    }
    frames::wrap(envelope.encode_to_vec().into(), AUTH_PRESENCE).to_vec()
}

/// The firmware record with this version.
pub fn system_info(version: &str) -> Vec<u8> {
    let firmware = FirmwareVersion { version: version.into(), git_hash: vec![7; 20] };
    let system_info = SystemInfoResponse { din: DIN.into(), firmware: Some(firmware), ..Default::default() };
    let common = Common { system_info: Some(system_info), ..Common::default() };
    let envelope = Envelope { common: Some(common), ..Envelope::default() };
    frames::wrap(envelope.encode_to_vec().into(), AUTH_PRESENCE).to_vec()
}

/// TEDAPI of a Powerwall 3 with every document as `change` makes it.
pub fn tedapi(asked: &Asked, units: usize, change: impl Fn(Part, Value) -> Vec<u8>) -> Vec<u8> {
    if asked.path == "/tedapi/din" {
        return http(200, "", DIN.as_bytes());
    }
    let part = Part::of(asked);
    let document = match part {
        Part::Config => config(units),
        Part::Components => components(),
        Part::Controller => controller(),
        Part::Other => return http(200, "", &system_info("25.10.1 abc")),
    };
    http(200, "", &framed(part, change(part, document), 0))
}
