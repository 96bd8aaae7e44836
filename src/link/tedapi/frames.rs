//! Requests and answers of TEDAPI as bytes: what to send for which purpose, and what an answer says.

use prost::Message;
use prost::bytes::Bytes;

use super::queries::Query;
use super::wire::{
    AUTH_MTLS, AUTH_PRESENCE, Auth, Common, Empty, Envelope, Files, Frame, GraphQl, LOCAL_HTTPS, Participant,
    QUERY_FAILED, QueryRequest, ReadFile, SIGNED_ECDSA, SystemInfoResponse,
};
use crate::link::LinkError;
use crate::model::tedapi::SystemInfo;

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

    fn wrap(&self, mut envelope: Envelope) -> Bytes {
        let (sender, recipient, kind) = match self {
            Self::Gateway { din } => (Participant::local(), din, AUTH_PRESENCE),
            Self::Unit { gateway, unit } => (Participant::din(gateway), unit, AUTH_MTLS),
        };
        envelope.delivery_channel = LOCAL_HTTPS;
        envelope.sender = Some(sender);
        envelope.recipient = Some(Participant::din(recipient));
        let frame = Frame { envelope: envelope.encode_to_vec().into(), auth: Some(Auth { kind }) };
        frame.encode_to_vec().into()
    }
}

pub fn query_request(query: &Query, target: Target<'_>) -> Bytes {
    let request = QueryRequest {
        format: SIGNED_ECDSA,
        query: query.signed_bytes(),
        signature: Bytes::from_static(query.signature),
        variables: Some(query.variables()),
    };
    let graphql = GraphQl { request: Some(request), response: None };
    target.wrap(Envelope { graphql: Some(graphql), ..Envelope::default() })
}

pub fn config_request(din: &str) -> Bytes {
    let read = ReadFile { domain: 1, name: "config.json".into() };
    let files = Files { read_request: Some(read), read_response: None };
    Target::Gateway { din }.wrap(Envelope { files: Some(files), ..Envelope::default() })
}

pub fn system_info_request(din: &str) -> Bytes {
    let common = Common { system_info_request: Some(Empty {}), ..Common::default() };
    Target::Gateway { din }.wrap(Envelope { common: Some(common), ..Envelope::default() })
}

/// The JSON document of a query's answer.
pub fn query_answer(body: Bytes, what: &str) -> Result<Bytes, LinkError> {
    let response = open(body, what)?.graphql.and_then(|graphql| graphql.response);
    let response = response.ok_or_else(|| malformed(what, "it holds no query response"))?;
    let complaint = || {
        let errors = response.errors.iter().map(|error| format!("{} (code {})", error.message, error.code));
        errors.collect::<Vec<_>>().join(", ")
    };
    if response.status == QUERY_FAILED || response.data.is_empty() {
        let why = match response.errors.is_empty() {
            true => "the gateway answered without data".into(),
            false => format!("the gateway rejected the query: {}", complaint()),
        };
        return Err(malformed(what, why));
    }
    if !response.errors.is_empty() {
        log::debug!("{what}: answered in part: {}", complaint());
    }
    Ok(response.data)
}

/// The `config.json` of an answer.
pub fn config_answer(body: Bytes) -> Result<Bytes, LinkError> {
    let what = "the configuration read";
    let file = open(body, what)?.files.and_then(|files| files.read_response).and_then(|read| read.file);
    let blob = file.map(|file| file.blob).filter(|blob| !blob.is_empty());
    blob.ok_or_else(|| malformed(what, "it holds no file"))
}

pub fn system_info_answer(body: Bytes) -> Result<SystemInfo, LinkError> {
    let what = "the system information request";
    let info = open(body, what)?.common.and_then(|common| common.system_info);
    info.map(system_info).ok_or_else(|| malformed(what, "it holds no system information"))
}

fn system_info(response: SystemInfoResponse) -> SystemInfo {
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

/// The envelope inside an answer; an error inside is an error.
fn open(body: Bytes, what: &str) -> Result<Envelope, LinkError> {
    if body.is_empty() {
        return Err(malformed(what, "it is empty"));
    }
    let frame = Frame::decode(body).map_err(|error| malformed(what, error))?;
    if frame.envelope.is_empty() {
        return Err(malformed(what, "it holds no envelope"));
    }
    let mut envelope = Envelope::decode(frame.envelope).map_err(|error| malformed(what, error))?;
    match envelope.common.as_mut().and_then(|common| common.error.take()) {
        None => Ok(envelope),
        Some(error) => {
            let status = error.status.unwrap_or_default();
            let why = format!("the gateway reports: {} (code {})", status.message, status.code);
            Err(malformed(what, why))
        }
    }
}

fn malformed(what: &str, why: impl ToString) -> LinkError {
    LinkError::Malformed { what: what.into(), why: why.to_string() }
}

#[cfg(test)]
mod tests;
