//! From a request body to an answer body, as a gateway does it: who is asked, is the query signed, what was
//! asked for.

use std::collections::HashSet;
use std::sync::{LazyLock, Mutex, PoisonError};

use p521::ecdsa::signature::hazmat::PrehashVerifier;
use p521::ecdsa::{DerSignature, VerifyingKey};
use prost::Message;
use prost::bytes::Bytes;
use ring::digest::{SHA256, digest};
use serde_json::{Map, Value, json};

use super::components::Component;
use super::faults::Role;
use super::orders;
use super::scene::Scene;
use crate::link::tedapi::queries::{self, TESLA_PUBLIC_KEY};
use crate::link::tedapi::wire::{
    AUTH_MTLS, AUTH_PRESENCE, Auth, Common, EcuId, Envelope, ErrorResponse, Files, FirmwareVersion, Frame,
    GraphQl, GraphQlError, LOCAL_HTTPS, Participant, Party, QUERY_FAILED, QUERY_OK, QueryRequest,
    QueryResponse, SIGNED_ECDSA, SiteMessage, Status, SystemInfoResponse, UpdateFile,
};

/// Which message a path takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Addressee {
    Gateway,
    /// `/tedapi/device/{din}/v1`
    Unit(String),
}

/// What only a signed request may ask.
pub(super) enum SignedOrder<'a> {
    Update(&'a UpdateFile),
    Message(&'a SiteMessage),
}

/// What a body asks for, once understood.
pub(super) struct Question {
    envelope: Envelope,
    pub role: Role,
    /// Of a query: its name in [`queries::ALL`]; `None` for a text that nobody signed.
    query: Option<&'static str>,
}

/// What firmware the gateway runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Firmware {
    /// For example `25.10.1 3f7cb6de`.
    pub version: String,
    pub git_hash: [u8; 20],
}

/// A body that is not a request at all.
pub(super) struct Junk;

impl Question {
    /// From a frame, as it comes over the gateway's own Wi-Fi or with a token.
    pub fn read(body: Bytes, addressee: &Addressee) -> Result<Self, Junk> {
        let frame = Frame::decode(body).map_err(|_| Junk)?;
        let expected = match addressee {
            Addressee::Gateway => AUTH_PRESENCE,
            Addressee::Unit(_) => AUTH_MTLS,
        };
        if frame.auth.is_none_or(|auth| auth.kind != expected) || frame.envelope.is_empty() {
            return Err(Junk);
        }
        Self::open(frame.envelope)
    }

    pub fn open(envelope: Bytes) -> Result<Self, Junk> {
        let envelope = Envelope::decode(envelope).map_err(|_| Junk)?;
        let asked = envelope.graphql.as_ref().and_then(|graphql| graphql.request.as_ref());
        let query = asked.and_then(signed_query);
        let role = match query {
            Some(name) if name.starts_with("status") => Role::Status,
            Some(name) if name.starts_with("controller") => Role::Controller,
            Some(_) => Role::Components,
            None if envelope.files.as_ref().is_some_and(|files| files.update_request.is_some()) => {
                Role::Order
            }
            None if envelope.site.as_ref().is_some_and(|message| message.list_backups.is_none()) => {
                Role::Order
            }
            None if envelope.files.is_some() => Role::Config,
            None if envelope.common.is_some() => Role::SystemInfo,
            None => Role::Other,
        };
        Ok(Self { envelope, role, query })
    }

    /// As if it were asked of `din`.
    pub fn redirect(&mut self, din: &str) {
        self.envelope.recipient = Some(Participant::din(din));
    }

    /// The DIN that is asked.
    pub fn recipient(&self) -> Option<&str> {
        match self.envelope.recipient.as_ref()?.party.as_ref()? {
            Party::Din(din) => Some(din),
            Party::Local(_) | Party::AuthorizedClient(_) => None,
        }
    }

    /// What it asks to change, or asks about what was changed.
    pub fn order(&self) -> Option<SignedOrder<'_>> {
        if let Some(message) = &self.envelope.site {
            return Some(SignedOrder::Message(message));
        }
        self.envelope.files.as_ref()?.update_request.as_ref().map(SignedOrder::Update)
    }

    /// The encoded envelope of the answer.
    pub fn answer(&self, scene: &Scene<'_>, firmware: &Firmware) -> Bytes {
        let mut answer = Envelope {
            delivery_channel: LOCAL_HTTPS,
            sender: self.recipient().map(Participant::din),
            recipient: self.envelope.sender.clone(),
            ..Envelope::default()
        };
        match self.role {
            Role::Config => {
                answer.files = Some(Files { read_response: Some(orders::read(scene)), ..Files::default() });
            }
            // Nobody signed it.
            Role::Order => {
                let status = Some(Status { code: 7, message: "permission denied".into() });
                answer.common = Some(Common { error: Some(ErrorResponse { status }), ..Common::default() });
            }
            Role::SystemInfo => {
                let din = scene.din();
                let (part, serial) = din.split_once("--").unwrap_or_default();
                let device = EcuId { part_number: part.into(), serial_number: serial.into() };
                let info = SystemInfoResponse {
                    device: Some(device),
                    firmware: Some(FirmwareVersion {
                        version: firmware.version.clone(),
                        git_hash: firmware.git_hash.to_vec(),
                    }),
                    device_type: 4,
                    din,
                };
                answer.common = Some(Common { system_info: Some(info), ..Common::default() });
            }
            _ => {
                let response = self.query(scene).unwrap_or_else(|error| QueryResponse {
                    status: QUERY_FAILED,
                    data: Bytes::new(),
                    errors: vec![error],
                });
                answer.graphql = Some(GraphQl { response: Some(response), request: None });
            }
        }
        answer.encode_to_vec().into()
    }

    fn query(&self, scene: &Scene<'_>) -> Result<QueryResponse, GraphQlError> {
        let unsigned = || GraphQlError { path: Vec::new(), code: 2, message: "unauthorized".into() };
        let name = self.query.ok_or_else(unsigned)?;
        let request = self.envelope.graphql.as_ref().and_then(|graphql| graphql.request.as_ref());
        let variables =
            request.and_then(|request| request.variables.as_ref()).map(|variables| &*variables.value);
        let variables: Value = serde_json::from_str(variables.unwrap_or("{}")).unwrap_or_default();
        let newer = name.ends_with("2026");
        let mut document = match self.role {
            Role::Components => Map::new(),
            _ => scene.controller(newer),
        };
        match (self.role, newer) {
            (Role::Status, _) => {}
            (Role::Controller, false) => {
                let msa = listed(scene.msa(), Some(&variables["msaComp"]), Some(&variables["msaSignals"]))?;
                document.insert("components".into(), json!({ "msa": msa }));
                document.insert("teslaRemoteMeter".into(), scene.remote_meters());
                document.insert("ieee20305".into(), Value::Null);
            }
            (Role::Controller, true) => {
                let sync = listed(scene.sync(), None, None)?;
                document.insert("components".into(), json!({ "msa": [], "sync": sync }));
                document.insert("teslaRemoteMeter".into(), scene.remote_meters());
            }
            _ => {
                let units = scene.units();
                let unit = units.iter().position(|unit| Some(unit.as_str()) == self.recipient());
                let mut groups = Map::new();
                for (group, components) in unit.map(|unit| scene.inside(unit)).unwrap_or_default() {
                    let (filter, names) = (format!("{group}ComponentsFilter"), format!("{group}SignalNames"));
                    let list = match newer {
                        true => listed(components, None, None)?,
                        false => listed(components, Some(&variables[filter]), Some(&variables[names]))?,
                    };
                    groups.insert(group.into(), list);
                }
                document.insert("components".into(), Value::Object(groups));
                document.insert("pw3Can".into(), json!({ "firmwareUpdate": { "isUpdating": false } }));
            }
        }
        let data = Value::Object(document).to_string().into();
        Ok(QueryResponse { status: QUERY_OK, data, errors: Vec::new() })
    }
}

/// A frame around the envelope of an answer.
pub(super) fn framed(envelope: Bytes) -> Bytes {
    Frame { envelope, auth: Some(Auth { kind: AUTH_PRESENCE }) }.encode_to_vec().into()
}

/// Every type a filter may name; another one fails the whole query.
const KINDS: [&str; 13] = [
    "PVS", "PVAC", "TESYNC", "TEPINV", "TETHC", "STSTSM", "TEMSA", "TEPOD", "PW3SAF", "PCH", "PW3BMS",
    "PW3HVP", "BAGGR",
];

/// Every signal name the gateway knows: those that clients ask for.
static NAMES: LazyLock<HashSet<String>> = LazyLock::new(|| {
    let variables = queries::ALL
        .iter()
        .filter_map(|(_, query)| serde_json::from_str::<Map<_, Value>>(query.variables).ok());
    let lists = variables.flatten().filter_map(|(_, value)| value.as_array().cloned()).flatten();
    lists.filter_map(|name| name.as_str().map(str::to_owned)).collect()
});

/// Components as the gateway lists them: those of the filter, with the signals asked for, in the order they
/// were asked for. A known signal that is not there is echoed with three nulls; an unknown one is dropped.
fn listed(
    components: Vec<Component>,
    filter: Option<&Value>,
    names: Option<&Value>,
) -> Result<Value, GraphQlError> {
    let kinds: Option<Vec<&str>> = filter
        .map(|filter| filter["types"].as_array().into_iter().flatten().filter_map(Value::as_str).collect());
    if let Some(unknown) = kinds.iter().flatten().find(|kind| !KINDS.contains(kind)) {
        let message = format!("{unknown} is no component type");
        return Err(GraphQlError { path: vec!["components".into()], code: 1, message });
    }
    let asked: Option<Vec<&str>> =
        names.map(|names| names.as_array().into_iter().flatten().filter_map(Value::as_str).collect());
    let signal = |name: &str, value: &Value| {
        let only = |fits: bool| if fits { value.clone() } else { Value::Null };
        json!({
            "name": name, "value": only(value.is_number()), "textValue": only(value.is_string()),
            "boolValue": only(value.is_boolean()), "timestamp": null,
        })
    };
    let list = components
        .into_iter()
        .filter(|component| kinds.as_ref().is_none_or(|kinds| kinds.contains(&component.kind)));
    let list = list.map(|component| {
        let signals: Vec<Value> = match &asked {
            Some(asked) => (asked.iter().filter(|name| NAMES.contains(**name)))
                // A device is silent on what is none of its business.
                .filter(|name| component.signals.contains_key(**name) || same_family(name, &component))
                .map(|name| signal(name, component.signals.get(*name).unwrap_or(&Value::Null)))
                .collect(),
            None => component.signals.iter().map(|(name, value)| signal(name, value)).collect(),
        };
        let alerts: Vec<Value> = component.alerts.iter().map(|name| json!({ "name": name })).collect();
        json!({
            "partNumber": component.part, "serialNumber": component.serial, "signals": signals,
            "activeAlerts": alerts,
        })
    });
    Ok(list.collect())
}

fn same_family(name: &str, component: &Component) -> bool {
    let family = |name: &str| name.split('_').next().map(str::to_owned);
    component.signals.keys().next().is_some_and(|own| family(own) == family(name))
}

/// The name of a query whose signature is right.
fn signed_query(request: &QueryRequest) -> Option<&'static str> {
    if request.format != SIGNED_ECDSA || !is_signed(&request.query, &request.signature) {
        return None;
    }
    static SIGNED: LazyLock<Vec<(&str, Bytes)>> =
        LazyLock::new(|| queries::ALL.iter().map(|(name, query)| (*name, query.signed_bytes())).collect());
    SIGNED.iter().find(|(_, bytes)| *bytes == request.query).map(|(name, _)| *name)
}

/// Verifying takes a millisecond, and clients ask the same again and again.
fn is_signed(query: &[u8], signature: &[u8]) -> bool {
    static VERIFIED: Mutex<Vec<[u8; 32]>> = Mutex::new(Vec::new());
    let mut both = query.to_vec();
    both.extend_from_slice(signature);
    let mut key = [0; 32];
    key.copy_from_slice(digest(&SHA256, &both).as_ref());
    if VERIFIED.lock().unwrap_or_else(PoisonError::into_inner).contains(&key) {
        return true;
    }
    let mut prehash = [0; 66];
    prehash[34..].copy_from_slice(digest(&SHA256, query).as_ref());
    let verified = VerifyingKey::from_sec1_bytes(TESLA_PUBLIC_KEY)
        .ok()
        .zip(DerSignature::from_bytes(signature).ok())
        .is_some_and(|(key, signature)| key.verify_prehash(&prehash, &signature).is_ok());
    if verified {
        VERIFIED.lock().unwrap_or_else(PoisonError::into_inner).push(key);
    }
    verified
}
