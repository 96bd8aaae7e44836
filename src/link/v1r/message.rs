//! The signed message of v1r: what is signed, how it travels, and what an answer says before it says
//! anything.

use prost::Message;
use prost::bytes::Bytes;

use crate::settings::RsaKey;

/// Signs requests. The seam where a simulation puts a signature that costs nothing.
pub trait SigningKey: Send + Sync {
    /// PKCS#1 `RSAPublicKey`, by which the gateway knows who signed.
    fn public_key(&self) -> &[u8];

    /// By which people know the key.
    fn fingerprint(&self) -> &str;

    /// May take milliseconds: not for a thread that others wait for.
    fn sign(&self, message: &[u8]) -> Vec<u8>;
}

impl SigningKey for RsaKey {
    fn public_key(&self) -> &[u8] {
        self.public_der()
    }

    fn fingerprint(&self) -> &str {
        self.fingerprint()
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.sign(message)
    }
}

/// A signed request holds for this long, in seconds.
pub const HOLDS: u32 = 12;
/// What a gateway says of a registration that nobody confirmed. Answers that say so are short.
const NOT_VERIFIED: &[u8] = b"authorization not verified";
const LONGEST_REFUSAL: usize = 1024;

/// What travels in a body, in both directions.
#[derive(Clone, PartialEq, Message)]
pub struct Routable {
    #[prost(message, optional, tag = "6")]
    pub to: Option<Destination>,
    /// An encoded envelope, exactly as it was signed.
    #[prost(bytes = "bytes", tag = "10")]
    pub envelope: Bytes,
    #[prost(message, optional, tag = "12")]
    pub status: Option<Status>,
    #[prost(message, optional, tag = "13")]
    pub signature: Option<SignatureData>,
    /// Any text that differs from request to request.
    #[prost(bytes = "bytes", tag = "51")]
    pub uuid: Bytes,
}

#[derive(Clone, PartialEq, Message)]
pub struct Destination {
    /// [`ENERGY_DEVICE`]
    #[prost(int32, tag = "1")]
    pub domain: i32,
}

pub const ENERGY_DEVICE: i32 = 7;

#[derive(Clone, PartialEq, Message)]
pub struct Status {
    /// 0: none; see [`fault_name`].
    #[prost(int32, tag = "1")]
    pub fault: i32,
}

#[derive(Clone, PartialEq, Message)]
pub struct SignatureData {
    #[prost(message, optional, tag = "1")]
    pub signer: Option<Signer>,
    #[prost(message, optional, tag = "7")]
    pub rsa: Option<RsaSignature>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Signer {
    /// PKCS#1 `RSAPublicKey`.
    #[prost(bytes = "vec", tag = "1")]
    pub public_key: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub struct RsaSignature {
    /// Unix seconds.
    #[prost(fixed32, tag = "1")]
    pub expires_at: u32,
    #[prost(bytes = "vec", tag = "2")]
    pub signature: Vec<u8>,
}

/// Faults with a meaning of their own here.
pub const BUSY: i32 = 1;
pub const UNIT_TIMEOUT: i32 = 2;
pub const UNKNOWN_KEY: i32 = 3;
pub const INACTIVE_KEY: i32 = 4;
pub const INVALID_SIGNATURE: i32 = 5;
pub const INTERNAL: i32 = 11;
pub const WRONG_PERSONALIZATION: i32 = 12;
pub const TIME_EXPIRED: i32 = 17;
pub const TIME_TO_LIVE_TOO_LONG: i32 = 20;

/// The name of a fault that is not [`KeyState`](crate::link::error::KeyState) or time.
pub fn fault_name(fault: i32) -> &'static str {
    match fault {
        BUSY => "busy",
        UNIT_TIMEOUT => "no answer from the unit in time",
        INVALID_SIGNATURE => "invalid signature",
        6 => "invalid token or counter",
        7 => "insufficient privileges",
        8 => "invalid domains",
        9 => "invalid command",
        10 => "cannot decode the request",
        INTERNAL => "internal error",
        WRONG_PERSONALIZATION => "signed for another gateway",
        13 => "bad parameter",
        14 => "keychain is full",
        15 => "incorrect epoch",
        16 => "wrong length",
        18 => "not provisioned with an identity",
        19 => "could not hash the metadata",
        21 => "remote access is disabled",
        22 => "request not supported",
        _ => "unknown fault",
    }
}

/// The bytes that the signature covers: what the request is, for whom, until when, and the envelope.
pub fn to_be_signed(din: &str, expires_at: u32, envelope: &[u8]) -> Vec<u8> {
    // A DIN has some thirty characters, and is checked when it is read.
    let din = &din.as_bytes()[..din.len().min(255)];
    let mut bytes = Vec::with_capacity(envelope.len() + din.len() + 16);
    // Tag, length, value: signed with RSA, for an energy device.
    bytes.extend_from_slice(&[0, 1, 7, 1, 1, ENERGY_DEVICE as u8, 2, din.len() as u8]);
    bytes.extend_from_slice(din);
    bytes.extend_from_slice(&[4, 4]);
    bytes.extend_from_slice(&expires_at.to_be_bytes());
    bytes.push(0xff);
    bytes.extend_from_slice(envelope);
    bytes
}

/// A request that holds for [`HOLDS`] seconds from `unix_time` on. Takes milliseconds.
pub fn sign(key: &dyn SigningKey, din: &str, envelope: Bytes, unix_time: f64, uuid: u128) -> Bytes {
    sign_until(key, din, envelope, (unix_time.ceil() as u32).saturating_add(HOLDS), uuid)
}

/// As [`sign`], for a request that holds until `expires_at`, Unix seconds.
pub fn sign_until(key: &dyn SigningKey, din: &str, envelope: Bytes, expires_at: u32, uuid: u128) -> Bytes {
    let signature = key.sign(&to_be_signed(din, expires_at, &envelope));
    let routable = Routable {
        to: Some(Destination { domain: ENERGY_DEVICE }),
        envelope,
        status: None,
        signature: Some(SignatureData {
            signer: Some(Signer { public_key: key.public_key().to_vec() }),
            rsa: Some(RsaSignature { expires_at, signature }),
        }),
        uuid: written(uuid).into(),
    };
    routable.encode_to_vec().into()
}

/// As the 36 characters of a random UUID.
fn written(uuid: u128) -> String {
    let uuid = uuid & !(0xf << 76) & !(0x3 << 62) | 4 << 76 | 2 << 62;
    let digits = format!("{uuid:032x}");
    [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
}

/// Why an answer holds no envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    Fault(i32),
    /// The key is registered, but nobody confirmed it at the gateway.
    NotVerified,
    /// Neither fault nor envelope: how some firmware answers a key it does not know.
    Empty,
    Malformed(String),
}

/// Whether an answer says that nobody has confirmed the key.
pub fn says_not_verified(body: &[u8]) -> bool {
    // Most windows differ in their first letter, which is compared without a call.
    let first = NOT_VERIFIED[0] | 0x20;
    let is_refusal = |window: &[u8]| window[0] | 0x20 == first && window.eq_ignore_ascii_case(NOT_VERIFIED);
    body.len() <= LONGEST_REFUSAL && body.windows(NOT_VERIFIED.len()).any(is_refusal)
}

/// The encoded envelope of an answer.
///
/// # Errors
/// With what the gateway says instead.
pub fn open(body: Bytes) -> Result<Bytes, Refusal> {
    if body.is_empty() {
        return Err(Refusal::Malformed("it is empty".into()));
    }
    let says_not_verified = says_not_verified(&body);
    let routable = Routable::decode(body).map_err(|error| Refusal::Malformed(error.to_string()))?;
    match routable.status.map_or(0, |status| status.fault) {
        0 if says_not_verified => Err(Refusal::NotVerified),
        0 if routable.envelope.is_empty() => Err(Refusal::Empty),
        0 => Ok(routable.envelope),
        fault => Err(Refusal::Fault(fault)),
    }
}

#[cfg(test)]
mod tests {
    use ring::digest::{SHA512, digest};
    use serde_json::Value;

    use super::*;

    fn vectors() -> Value {
        serde_json::from_str(include_str!("../../../tests/fixtures/v1r/vectors.json")).unwrap()
    }

    fn bytes(hex: &Value) -> Bytes {
        let hex = hex.as_str().unwrap();
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    }

    #[test]
    fn signed_requests_are_the_recorded_ones_byte_for_byte() {
        let vectors = vectors();
        let key = RsaKey::from_pem(vectors["key_pem"].as_str().unwrap().as_bytes()).unwrap();
        assert_eq!(key.public_der(), bytes(&vectors["public_key"]));
        assert_eq!(key.fingerprint(), vectors["fingerprint"].as_str().unwrap());
        let din = vectors["din"].as_str().unwrap();
        for recorded in vectors["signed"].as_array().unwrap() {
            let envelope = bytes(&recorded["envelope_hex"]);
            let expires_at = recorded["expires_at"].as_u64().unwrap() as u32;
            let signed = to_be_signed(din, expires_at, &envelope);
            if !recorded["tlv_hex"].is_null() {
                assert_eq!(signed, bytes(&recorded["tlv_hex"]));
            }
            assert_eq!(digest(&SHA512, &signed).as_ref(), bytes(&recorded["tlv_sha512"]));
            let uuid: String = recorded["uuid"].as_str().unwrap().replace('-', "");
            let uuid = u128::from_str_radix(&uuid, 16).unwrap();
            let message = sign(&key, din, envelope, recorded["unix_time"].as_f64().unwrap(), uuid);
            assert_eq!(message, bytes(&recorded["routable_message_hex"]));
        }
    }

    #[test]
    fn recorded_answers_are_distinguished() {
        let answers = &vectors()["answers"];
        let open = |name: &str| open(bytes(&answers[name]));
        assert!(open("ok_config").is_ok());
        assert_eq!(open("unknown_key"), Err(Refusal::Fault(UNKNOWN_KEY)));
        assert_eq!(open("fault_timeout"), Err(Refusal::Fault(2)));
        assert_eq!(open("pending_verification_plain"), Err(Refusal::NotVerified));
        assert_eq!(open("pending_verification_error_response"), Err(Refusal::NotVerified));
        assert_eq!(open("empty_inner"), Err(Refusal::Empty));
    }

    #[test]
    fn what_is_no_answer_is_an_error_and_no_panic() {
        let whole = bytes(&vectors()["answers"]["ok_config"]);
        for junk in [Bytes::new(), Bytes::from_static(b"<html>"), whole.slice(..whole.len() / 2)] {
            assert!(matches!(open(junk), Err(Refusal::Malformed(_))));
        }
        assert_eq!(fault_name(-7), "unknown fault");
        assert!(to_be_signed(&"x".repeat(1000), 1, &[]).len() < 300);
    }
}
