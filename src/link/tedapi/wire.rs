//! The protobuf messages of TEDAPI: the part that a reading client and the simulator need.
//!
//! Field numbers and types are those both generations of the protocol share. Text that may be large or not
//! quite UTF-8 is declared as bytes. Unknown fields are skipped.

use prost::Message;
use prost::bytes::Bytes;

/// What travels in a body: an envelope and how its sender is trusted.
#[derive(Clone, PartialEq, Message)]
pub struct Frame {
    /// An encoded [`Envelope`], kept raw: wrapping and unwrapping must not re-serialise what is inside.
    #[prost(bytes = "bytes", tag = "1")]
    pub envelope: Bytes,
    #[prost(message, optional, tag = "2")]
    pub auth: Option<Auth>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Auth {
    /// [`AUTH_PRESENCE`] or [`AUTH_MTLS`].
    #[prost(int32, tag = "1")]
    pub kind: i32,
}

/// Requests to the gateway itself, and all answers.
pub const AUTH_PRESENCE: i32 = 1;
/// Requests that the gateway passes on to a unit behind it.
pub const AUTH_MTLS: i32 = 2;

#[derive(Clone, PartialEq, Message)]
pub struct Envelope {
    #[prost(int32, tag = "1")]
    pub delivery_channel: i32,
    #[prost(message, optional, tag = "2")]
    pub sender: Option<Participant>,
    #[prost(message, optional, tag = "3")]
    pub recipient: Option<Participant>,
    #[prost(message, optional, tag = "4")]
    pub common: Option<Common>,
    #[prost(message, optional, tag = "5")]
    pub site: Option<SiteMessage>,
    #[prost(message, optional, tag = "12")]
    pub authorization: Option<Authorization>,
    #[prost(message, optional, tag = "15")]
    pub files: Option<Files>,
    #[prost(message, optional, tag = "16")]
    pub graphql: Option<GraphQl>,
}

/// `Envelope::delivery_channel` of everything sent over local HTTPS.
pub const LOCAL_HTTPS: i32 = 1;
/// `Envelope::delivery_channel` of what an authorized client sends as a command.
pub const HERMES_COMMAND: i32 = 2;

#[derive(Clone, PartialEq, Message)]
pub struct Participant {
    #[prost(oneof = "Party", tags = "1, 3, 4")]
    pub party: Option<Party>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Party {
    #[prost(string, tag = "1")]
    Din(String),
    /// 1: the installer's view, which is what a local client gets.
    #[prost(int32, tag = "3")]
    Local(i32),
    /// 1: the holder of a registered key.
    #[prost(int32, tag = "4")]
    AuthorizedClient(i32),
}

impl Participant {
    pub fn din(din: &str) -> Self {
        Self { party: Some(Party::Din(din.to_owned())) }
    }

    pub fn local() -> Self {
        Self { party: Some(Party::Local(1)) }
    }

    pub fn authorized_client() -> Self {
        Self { party: Some(Party::AuthorizedClient(1)) }
    }
}

#[derive(Clone, PartialEq, Message)]
pub struct Common {
    #[prost(message, optional, tag = "1")]
    pub error: Option<ErrorResponse>,
    #[prost(message, optional, tag = "2")]
    pub system_info_request: Option<Empty>,
    #[prost(message, optional, tag = "3")]
    pub system_info: Option<SystemInfoResponse>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Empty {}

/// About the keys that may sign.
#[derive(Clone, PartialEq, Message)]
pub struct Authorization {
    #[prost(message, optional, tag = "3")]
    pub remove_request: Option<RemoveClient>,
    /// Says yes by being there.
    #[prost(message, optional, tag = "4")]
    pub removed: Option<Empty>,
}

#[derive(Clone, PartialEq, Message)]
pub struct RemoveClient {
    /// PKCS#1 DER.
    #[prost(bytes = "vec", tag = "1")]
    pub public_key: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub struct ErrorResponse {
    #[prost(message, optional, tag = "1")]
    pub status: Option<Status>,
}

/// The shape of `google.rpc.Status`.
#[derive(Clone, PartialEq, Message)]
pub struct Status {
    #[prost(int32, tag = "1")]
    pub code: i32,
    #[prost(string, tag = "2")]
    pub message: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct SystemInfoResponse {
    #[prost(message, optional, tag = "1")]
    pub device: Option<EcuId>,
    #[prost(string, tag = "2")]
    pub din: String,
    #[prost(message, optional, tag = "3")]
    pub firmware: Option<FirmwareVersion>,
    #[prost(int32, tag = "6")]
    pub device_type: i32,
}

#[derive(Clone, PartialEq, Message)]
pub struct EcuId {
    #[prost(string, tag = "1")]
    pub part_number: String,
    #[prost(string, tag = "2")]
    pub serial_number: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct FirmwareVersion {
    #[prost(string, tag = "1")]
    pub version: String,
    /// Normally a raw 20-byte SHA-1; some firmware sends text.
    #[prost(bytes = "vec", tag = "2")]
    pub git_hash: Vec<u8>,
}

/// What a leader does with its site beside its configuration. Answers have no content, or one number.
#[derive(Clone, PartialEq, Message)]
pub struct SiteMessage {
    #[prost(message, optional, tag = "3")]
    pub set_island_mode: Option<SetIslandMode>,
    #[prost(message, optional, tag = "4")]
    pub island_mode_set: Option<IslandModeSet>,
    #[prost(message, optional, tag = "37")]
    pub dispatch: Option<DispatchBattery>,
    #[prost(message, optional, tag = "38")]
    pub dispatched: Option<Empty>,
    #[prost(message, optional, tag = "45")]
    pub schedule_backup: Option<ScheduleBackup>,
    #[prost(message, optional, tag = "46")]
    pub backup_scheduled: Option<Empty>,
    #[prost(message, optional, tag = "47")]
    pub cancel_backup: Option<Empty>,
    #[prost(message, optional, tag = "48")]
    pub backup_cancelled: Option<Empty>,
    #[prost(message, optional, tag = "49")]
    pub list_backups: Option<Empty>,
    #[prost(message, optional, tag = "50")]
    pub backups: Option<Backups>,
}

#[derive(Clone, PartialEq, Message)]
pub struct SetIslandMode {
    /// [`ON_GRID`] or [`OFF_GRID`]; no other may be sent.
    #[prost(int32, tag = "1")]
    pub mode: i32,
    /// Without it, the gateway acknowledges off grid and does not move the contactor.
    #[prost(bool, tag = "2")]
    pub force: bool,
}

pub const ON_GRID: i32 = 1;
pub const OFF_GRID: i32 = 6;

#[derive(Clone, PartialEq, Message)]
pub struct IslandModeSet {
    /// 1: done.
    #[prost(int32, tag = "1")]
    pub result: i32,
}

/// One of the two.
#[derive(Clone, PartialEq, Message)]
pub struct DispatchBattery {
    #[prost(message, optional, tag = "1")]
    pub resume: Option<Empty>,
    #[prost(message, optional, tag = "2")]
    pub power: Option<RealPower>,
}

#[derive(Clone, PartialEq, Message)]
pub struct RealPower {
    /// + discharges, − charges.
    #[prost(double, tag = "1")]
    pub watts: f64,
    #[prost(uint32, tag = "2")]
    pub seconds: u32,
}

#[derive(Clone, PartialEq, Message)]
pub struct ScheduleBackup {
    #[prost(message, optional, tag = "1")]
    pub window: Option<BackupEvent>,
}

/// When everything is kept for an outage.
#[derive(Clone, PartialEq, Message)]
pub struct BackupEvent {
    #[prost(message, optional, tag = "1")]
    pub start: Option<Timestamp>,
    #[prost(uint32, tag = "2")]
    pub seconds: u32,
    #[prost(uint64, tag = "3")]
    pub priority: u64,
}

#[derive(Clone, PartialEq, Message)]
pub struct Timestamp {
    /// Unix seconds.
    #[prost(int64, tag = "1")]
    pub seconds: i64,
}

#[derive(Clone, PartialEq, Message)]
pub struct Backups {
    #[prost(message, optional, tag = "1")]
    pub manual: Option<ScheduleBackup>,
    #[prost(message, repeated, tag = "2")]
    pub others: Vec<NamedBackup>,
}

#[derive(Clone, PartialEq, Message)]
pub struct NamedBackup {
    #[prost(string, tag = "1")]
    pub id: String,
    #[prost(string, tag = "2")]
    pub name: String,
    #[prost(message, optional, tag = "3")]
    pub window: Option<BackupEvent>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Files {
    #[prost(message, optional, tag = "1")]
    pub read_request: Option<ReadFile>,
    #[prost(message, optional, tag = "2")]
    pub read_response: Option<FileRead>,
    #[prost(message, optional, tag = "5")]
    pub update_request: Option<UpdateFile>,
    #[prost(message, optional, tag = "6")]
    pub update_response: Option<FileRead>,
}

#[derive(Clone, PartialEq, Message)]
pub struct ReadFile {
    /// 1: the configuration.
    #[prost(int32, tag = "1")]
    pub domain: i32,
    #[prost(string, tag = "2")]
    pub name: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct UpdateFile {
    /// 1: the configuration.
    #[prost(int32, tag = "1")]
    pub domain: i32,
    #[prost(message, optional, tag = "2")]
    pub file: Option<File>,
    /// Of what was read; the gateway writes nothing if the file has another one by now.
    #[prost(bytes = "bytes", tag = "3")]
    pub hash: Bytes,
}

#[derive(Clone, PartialEq, Message)]
pub struct FileRead {
    #[prost(message, optional, tag = "1")]
    pub file: Option<File>,
    #[prost(bytes = "bytes", tag = "2")]
    pub hash: Bytes,
}

#[derive(Clone, PartialEq, Message)]
pub struct File {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(bytes = "bytes", tag = "100")]
    pub blob: Bytes,
}

#[derive(Clone, PartialEq, Message)]
pub struct GraphQl {
    #[prost(message, optional, tag = "1")]
    pub request: Option<QueryRequest>,
    #[prost(message, optional, tag = "2")]
    pub response: Option<QueryResponse>,
}

#[derive(Clone, PartialEq, Message)]
pub struct QueryRequest {
    /// [`SIGNED_ECDSA`]
    #[prost(int32, tag = "1")]
    pub format: i32,
    /// The exact bytes that were signed: an encoded [`SignedQuery`].
    #[prost(bytes = "bytes", tag = "2")]
    pub query: Bytes,
    #[prost(bytes = "bytes", tag = "3")]
    pub signature: Bytes,
    /// Not covered by the signature.
    #[prost(message, optional, tag = "4")]
    pub variables: Option<StringValue>,
}

/// `QueryRequest::format`: ECDSA over SHA-256, signature in ASN.1 DER.
pub const SIGNED_ECDSA: i32 = 2;

#[derive(Clone, PartialEq, Message)]
pub struct SignedQuery {
    #[prost(uint32, tag = "1")]
    pub version: u32,
    #[prost(bytes = "vec", tag = "2")]
    pub text: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub struct StringValue {
    #[prost(string, tag = "1")]
    pub value: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct QueryResponse {
    /// [`QUERY_OK`], 2 partial, [`QUERY_FAILED`]; older firmware leaves it out.
    #[prost(int32, tag = "1")]
    pub status: i32,
    /// A JSON document, without a wrapper around the data.
    #[prost(bytes = "bytes", tag = "2")]
    pub data: Bytes,
    #[prost(message, repeated, tag = "3")]
    pub errors: Vec<GraphQlError>,
}

pub const QUERY_OK: i32 = 1;
pub const QUERY_FAILED: i32 = 3;

#[derive(Clone, PartialEq, Message)]
pub struct GraphQlError {
    #[prost(string, repeated, tag = "1")]
    pub path: Vec<String>,
    /// 1 field not found, 2 unauthorized, 3 resolver unresponsive, 4 response too big.
    #[prost(int32, tag = "2")]
    pub code: i32,
    #[prost(string, tag = "3")]
    pub message: String,
}
