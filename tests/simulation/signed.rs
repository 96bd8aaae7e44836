//! Signed requests and their answers on the wire, with a signature that takes no time: a real one would take
//! most of it.

use std::hash::{DefaultHasher, Hash, Hasher};

use bytes::Bytes;
use powerwall_server::link::https::Call;
use powerwall_server::link::tedapi::wire::{Envelope, Files, Party, UpdateFile};
use powerwall_server::link::v1r::message::{
    ENERGY_DEVICE, INVALID_SIGNATURE, Routable, SigningKey, Status, TIME_EXPIRED, TIME_TO_LIVE_TOO_LONG,
    UNKNOWN_KEY, to_be_signed,
};
use prost::Message;

/// Where signed requests go.
pub const SIGNED: &str = "/tedapi/v1r";
/// The longest a request may hold, in seconds, and a little.
const LONGEST_TIME_TO_LIVE: f64 = 15.0;
const PUBLIC_KEY: &[u8] = b"weak";

/// Signs in no time, and secures nothing.
pub struct WeakKey;

impl SigningKey for WeakKey {
    fn public_key(&self) -> &[u8] {
        PUBLIC_KEY
    }

    fn fingerprint(&self) -> &str {
        "weak"
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let mut hasher = DefaultHasher::new();
        message.hash(&mut hasher);
        hasher.finish().to_be_bytes().into()
    }
}

/// The envelope of a request that the gateway with this DIN accepts at that time, or its fault.
pub fn open(body: &Bytes, din: &str, arrived: f64) -> Result<Bytes, i32> {
    open_within(body, din, arrived, LONGEST_TIME_TO_LIVE)
}

/// As [`open`], of a request that may hold for `longest` seconds.
pub fn open_within(body: &Bytes, din: &str, arrived: f64, longest: f64) -> Result<Bytes, i32> {
    let request = Routable::decode(body.clone()).map_err(|_| 10)?;
    if request.to.is_none_or(|to| to.domain != ENERGY_DEVICE) {
        return Err(8);
    }
    let signature = request.signature.unwrap_or_default();
    let rsa = signature.rsa.unwrap_or_default();
    if signature.signer.is_none_or(|signer| signer.public_key != PUBLIC_KEY) {
        return Err(UNKNOWN_KEY);
    }
    let signed = to_be_signed(din, rsa.expires_at, &request.envelope);
    if WeakKey.sign(&signed) != rsa.signature {
        return Err(INVALID_SIGNATURE);
    }
    match f64::from(rsa.expires_at) - arrived {
        left if left < 0.0 => Err(TIME_EXPIRED),
        left if left >= longest => Err(TIME_TO_LIVE_TOO_LONG),
        _ => Ok(request.envelope),
    }
}

/// An answer with this envelope.
pub fn with(envelope: Bytes) -> Bytes {
    Routable { envelope, ..Routable::default() }.encode_to_vec().into()
}

/// An answer with this fault; 0: with nothing at all.
pub fn fault(fault: i32) -> Bytes {
    Routable { status: Some(Status { fault }), ..Routable::default() }.encode_to_vec().into()
}

/// An answer to a key that nobody confirmed.
pub fn not_verified() -> Bytes {
    with(Bytes::from_static(b"v1r: client authorization not verified"))
}

/// Whether a signed request changes something.
pub fn is_order(call: &Call) -> bool {
    call.path == SIGNED && update_in(&call.body).is_some()
}

fn update_in(body: &Bytes) -> Option<UpdateFile> {
    let envelope = Routable::decode(body.clone()).ok()?.envelope;
    Envelope::decode(envelope).ok()?.files?.update_request
}

/// A request, signed again if it brings a configuration and `change` makes another one of it.
pub fn rewritten(body: &Bytes, change: impl FnOnce(String) -> String) -> Bytes {
    let Some(mut update) = update_in(body) else { return body.clone() };
    let Some(file) = &mut update.file else { return body.clone() };
    let config = String::from_utf8(file.blob.to_vec()).unwrap();
    let changed = change(config.clone());
    if changed == config {
        return body.clone();
    }
    file.blob = changed.into();
    let mut request = Routable::decode(body.clone()).unwrap();
    let mut envelope = Envelope::decode(request.envelope).unwrap();
    let Some(Party::Din(din)) = envelope.recipient.clone().and_then(|recipient| recipient.party) else {
        unreachable!("an order is for somebody")
    };
    envelope.files = Some(Files { update_request: Some(update), ..Files::default() });
    request.envelope = envelope.encode_to_vec().into();
    let rsa = request.signature.as_mut().and_then(|signature| signature.rsa.as_mut()).unwrap();
    rsa.signature = WeakKey.sign(&to_be_signed(&din, rsa.expires_at, &request.envelope));
    request.encode_to_vec().into()
}
