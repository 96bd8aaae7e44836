//! Signed requests and their answers on the wire, with a signature that takes no time: a real one would take most of it.

use std::hash::{DefaultHasher, Hash, Hasher};

use bytes::Bytes;
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
        ..0.0 => Err(TIME_EXPIRED),
        LONGEST_TIME_TO_LIVE.. => Err(TIME_TO_LIVE_TOO_LONG),
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
