//! Questions and answers of TEDAPI: what to send for which purpose, and what an answer says. What is put
//! around them on the way is the channel's business; the frame of the plain channel is here.

use prost::Message;
use prost::bytes::Bytes;

use super::queries::Query;
use super::wire::{
    Auth, Common, Empty, Envelope, File, Files, Frame, GraphQl, LOCAL_HTTPS, Participant, QUERY_FAILED,
    QueryRequest, ReadFile, SIGNED_ECDSA, SystemInfoResponse, UpdateFile,
};
use crate::link::LinkError;
use crate::link::bounds::protobuf::{self, Most};
use crate::link::bounds::{self, Excess, LONGEST_ANSWER};
use crate::link::tedapi::answers::SystemInfo;

/// `ReadFile::domain`
const CONFIGURATION: i32 = 1;
const CONFIG_FILE: &str = "config.json";
/// How much of a complaint is kept; nobody reads more.
const LIMITS: [Most; 2] = [
    Most { path: &[16, 2, 3], most: 64, what: "errors" },
    Most { path: &[16, 2, 3, 1], most: 512, what: "fields with errors" },
];
/// What is quoted of a complaint.
const LONGEST_COMPLAINT: usize = 400;

/// Who is asked, seen from the gateway we talk to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target<'a> {
    /// The gateway itself.
    Gateway { din: &'a str },
    /// A unit of a site with several, the leader included; the gateway passes the request on.
    Unit { gateway: &'a str, unit: &'a str },
}

impl Target<'_> {
    pub fn path(&self) -> String {
        match self {
            Self::Gateway { .. } => "/tedapi/v1".into(),
            Self::Unit { unit, .. } => format!("/tedapi/device/{unit}/v1"),
        }
    }
}

/// The payload as it goes to `target` over local HTTPS, encoded: what is put into a frame, or signed.
pub fn address(payload: Envelope, target: Target<'_>) -> Bytes {
    let (sender, recipient) = match target {
        Target::Gateway { din } => (Participant::local(), din),
        Target::Unit { gateway, unit } => (Participant::din(gateway), unit),
    };
    let envelope = Envelope {
        delivery_channel: LOCAL_HTTPS,
        sender: Some(sender),
        recipient: Some(Participant::din(recipient)),
        ..payload
    };
    envelope.encode_to_vec().into()
}

/// A frame around an encoded envelope.
pub fn wrap(envelope: Bytes, auth: i32) -> Bytes {
    Frame { envelope, auth: Some(Auth { kind: auth }) }.encode_to_vec().into()
}

/// The encoded envelope in a frame.
///
/// # Errors
/// The body is empty, is not a frame, or holds no envelope.
pub fn unwrap(body: Bytes, what: &str) -> Result<Bytes, LinkError> {
    if body.is_empty() {
        return Err(malformed(what, "it is empty"));
    }
    let frame = Frame::decode(body).map_err(|error| malformed(what, error))?;
    if frame.envelope.is_empty() {
        return Err(malformed(what, "it holds no envelope"));
    }
    Ok(frame.envelope)
}

pub fn query(query: &Query) -> Envelope {
    let request = QueryRequest {
        format: SIGNED_ECDSA,
        query: query.signed_bytes(),
        signature: Bytes::from_static(query.signature),
        variables: Some(query.variables()),
    };
    Envelope { graphql: Some(GraphQl { request: Some(request), response: None }), ..Envelope::default() }
}

pub fn config() -> Envelope {
    let read = ReadFile { domain: CONFIGURATION, name: CONFIG_FILE.into() };
    Envelope { files: Some(Files { read_request: Some(read), ..Files::default() }), ..Envelope::default() }
}

/// Replaces the configuration that has `hash` by `blob`.
pub fn config_update(blob: Bytes, hash: Bytes) -> Envelope {
    let file = Some(File { name: CONFIG_FILE.into(), blob });
    let update = UpdateFile { domain: CONFIGURATION, file, hash };
    Envelope {
        files: Some(Files { update_request: Some(update), ..Files::default() }),
        ..Envelope::default()
    }
}

pub fn system_info() -> Envelope {
    let common = Common { system_info_request: Some(Empty {}), ..Common::default() };
    Envelope { common: Some(common), ..Envelope::default() }
}

/// The JSON document of a query's answer, and what the gateway complained about if it answered only in part.
///
/// # Errors
/// The envelope cannot be read, reports an error, or holds no data.
pub fn query_answer(envelope: Bytes, what: &str) -> Result<(Bytes, Option<String>), LinkError> {
    let response = open(envelope, what)?.graphql.and_then(|graphql| graphql.response);
    let response = response.ok_or_else(|| malformed(what, "it holds no query response"))?;
    let complaint = || {
        let errors = response.errors.iter().map(|error| format!("{} (code {})", error.message, error.code));
        shortened(&errors.collect::<Vec<_>>().join(", "))
    };
    if response.status == QUERY_FAILED || response.data.is_empty() {
        let why = match response.errors.is_empty() {
            true => "the gateway answered without data".into(),
            false => format!("the gateway rejected the query: {}", complaint()),
        };
        return Err(malformed(what, why));
    }
    let complaint = (!response.errors.is_empty()).then(complaint);
    Ok((response.data, complaint))
}

/// The `config.json` of an answer.
///
/// # Errors
/// As for [`config_file`].
pub fn config_answer(envelope: Bytes) -> Result<Bytes, LinkError> {
    config_file(envelope).map(|(blob, _)| blob)
}

/// The `config.json` of an answer, and its hash, which may be empty.
///
/// # Errors
/// The envelope cannot be read, reports an error, or holds no file.
pub fn config_file(envelope: Bytes) -> Result<(Bytes, Bytes), LinkError> {
    let what = "the configuration read";
    let read = open(envelope, what)?.files.and_then(|files| files.read_response).unwrap_or_default();
    let blob = read.file.map(|file| file.blob).filter(|blob| !blob.is_empty());
    Ok((blob.ok_or_else(|| malformed(what, "it holds no file"))?, read.hash))
}

/// What a gateway answers to a change of its configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Updated {
    Acknowledged,
    /// It says that it did not.
    Error {
        code: i32,
        message: String,
    },
    /// Neither; the text says what there is.
    Unclear(String),
}

/// Codes of `google.rpc.Status` that do not say whether anything was done: cancelled, unknown, deadline
/// exceeded, internal, unavailable, data loss.
pub(super) const UNCLEAR: [i32; 6] = [1, 2, 4, 13, 14, 15];

/// Whether an answer to an order is within bounds.
///
/// # Errors
/// With what is too much.
pub(super) fn check(envelope: &Bytes) -> Result<(), LinkError> {
    protobuf::check(envelope, &LIMITS, LONGEST_ANSWER).map_err(|why| too_large("the answer to an order", why))
}

/// The error in an envelope: its code, and its text as far as it is quoted.
pub(super) fn complaint(envelope: &Envelope) -> Option<(i32, String)> {
    let status = envelope.common.as_ref()?.error.as_ref()?.status.clone().unwrap_or_default();
    Some((status.code, shortened(&status.message)))
}

pub fn config_updated(envelope: Bytes) -> Updated {
    if let Err(why) = check(&envelope) {
        return Updated::Unclear(why.to_string());
    }
    let envelope = match Envelope::decode(envelope) {
        Ok(envelope) => envelope,
        Err(error) => return Updated::Unclear(error.to_string()),
    };
    if let Some((code, message)) = complaint(&envelope) {
        return Updated::Error { code, message };
    }
    match envelope.files {
        Some(Files { update_response: Some(_), .. }) => Updated::Acknowledged,
        Some(_) => Updated::Unclear("it does not acknowledge the change".into()),
        None => Updated::Unclear("it says nothing about files".into()),
    }
}

/// The firmware record of an answer.
///
/// # Errors
/// The envelope cannot be read, reports an error, or holds no system information.
pub fn system_info_answer(envelope: Bytes) -> Result<SystemInfo, LinkError> {
    let what = "the system information request";
    let info = open(envelope, what)?.common.and_then(|common| common.system_info);
    let info = info.map(system_facts).ok_or_else(|| malformed(what, "it holds no system information"))?;
    for text in [&info.din, &info.version, &info.git_hash].into_iter().flatten() {
        bounds::name(text).map_err(|why| too_large(what, why))?;
    }
    Ok(info)
}

fn system_facts(response: SystemInfoResponse) -> SystemInfo {
    let some = |text: String| Some(text).filter(|text| !text.is_empty());
    let firmware = response.firmware.unwrap_or_default();
    let hash = &firmware.git_hash;
    let printable = !hash.is_empty() && hash.iter().all(u8::is_ascii_graphic);
    let git_hash = match printable {
        true => String::from_utf8_lossy(hash).into_owned(),
        false => hash.iter().map(|byte| format!("{byte:02x}")).collect(),
    };
    SystemInfo { din: some(response.din), version: some(firmware.version), git_hash: some(git_hash) }
}

/// Whether an answer says that a key was removed.
///
/// # Errors
/// The envelope cannot be read, or reports an error.
pub fn removed(envelope: Bytes) -> Result<bool, LinkError> {
    let authorization = open(envelope, "the removal of a key")?.authorization.unwrap_or_default();
    Ok(authorization.removed.is_some())
}

/// An answer's envelope, decoded; an error inside is an error.
pub(super) fn open(envelope: Bytes, what: &str) -> Result<Envelope, LinkError> {
    protobuf::check(&envelope, &LIMITS, LONGEST_ANSWER).map_err(|why| too_large(what, why))?;
    let mut envelope = Envelope::decode(envelope).map_err(|error| malformed(what, error))?;
    match envelope.common.as_mut().and_then(|common| common.error.take()) {
        None => Ok(envelope),
        Some(error) => {
            let status = error.status.unwrap_or_default();
            let why = format!("the gateway reports: {} (code {})", shortened(&status.message), status.code);
            Err(malformed(what, why))
        }
    }
}

/// What is quoted of a gateway's text.
fn shortened(text: &str) -> String {
    text.chars().take(LONGEST_COMPLAINT).collect()
}

fn too_large(what: &str, why: Excess) -> LinkError {
    LinkError::unusable(what, &why.into())
}

pub(crate) fn malformed(what: &str, why: impl ToString) -> LinkError {
    LinkError::Malformed { what: what.into(), why: why.to_string() }
}

#[cfg(test)]
mod tests;
