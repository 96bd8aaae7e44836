//! The gateway at its address on the wired LAN: logins of the customer, and requests signed with a registered key.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use prost::Message;
use prost::bytes::Bytes;
use ring::signature::{RSA_PKCS1_2048_8192_SHA512, UnparsedPublicKey};
use serde_json::{Value, json};

use super::answers::Question;
use super::faults::Role;
use super::gateway::Gateway;
use super::server::{Answer, DENIED, Request};
use crate::clock::unix_time;
use crate::link::tedapi::wire::{Common, Envelope, ErrorResponse, LOCAL_HTTPS, Participant, Status};
use crate::link::v1r::message::{
    self, ENERGY_DEVICE, INACTIVE_KEY, INVALID_SIGNATURE, Routable, TIME_EXPIRED, TIME_TO_LIVE_TOO_LONG,
    UNKNOWN_KEY, WRONG_PERSONALIZATION, to_be_signed,
};

/// The longest a request may hold, in seconds, and a little.
const LONGEST_TIME_TO_LIVE: f64 = 15.0;
const NOT_VERIFIED: &str = "v1r: client authorization not verified";

/// What became of the registration of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registration {
    /// Waits to be confirmed; said in an error of the protocol.
    Pending,
    /// The same, said in plain text where the answer should be, as some firmware does.
    PendingInPlainText,
    /// Not confirmed in time, or removed.
    Inactive,
    Verified,
}

/// Who may sign, who may log in, and what time it is.
pub struct Lan {
    customer_password: String,
    /// Public keys in PKCS#1 DER.
    keys: Mutex<Vec<(Vec<u8>, Registration)>>,
    /// Number of the only token that holds; grows with each login.
    token: AtomicU64,
    /// The gateway's clock minus the true one, seconds.
    clock_offset: AtomicI64,
    /// Whether answers carry the time.
    tells_time: AtomicBool,
    /// Whether a key that nobody registered gets an empty answer instead of a fault.
    is_silent_on_unknown_keys: AtomicBool,
}

impl Lan {
    pub(super) fn new(customer_password: String) -> Self {
        Self {
            customer_password,
            keys: Mutex::default(),
            token: AtomicU64::new(1),
            clock_offset: AtomicI64::new(0),
            tells_time: true.into(),
            is_silent_on_unknown_keys: false.into(),
        }
    }

    fn keys(&self) -> MutexGuard<'_, Vec<(Vec<u8>, Registration)>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on this is what became of the registration of `public_key` (PKCS#1 DER).
    pub fn register(&self, public_key: &[u8], registration: Registration) {
        self.forget(public_key);
        self.keys().push((public_key.to_vec(), registration));
    }

    /// Nobody ever registered it.
    pub fn forget(&self, public_key: &[u8]) {
        self.keys().retain(|(known, _)| known != public_key);
    }

    /// A key that nobody registered gets an empty answer from now on, as from some firmware.
    pub fn stay_silent_on_unknown_keys(&self) {
        self.is_silent_on_unknown_keys.store(true, Ordering::Relaxed);
    }

    /// Sets the gateway's clock, in seconds ahead of the true one. `tells_time`: whether answers have a date.
    pub fn set_clock(&self, ahead: i64, tells_time: bool) {
        self.clock_offset.store(ahead, Ordering::Relaxed);
        self.tells_time.store(tells_time, Ordering::Relaxed);
    }

    /// Tokens that were given no longer hold.
    pub fn expire_tokens(&self) {
        self.token.fetch_add(1, Ordering::Relaxed);
    }

    fn now(&self) -> f64 {
        unix_time() + self.clock_offset.load(Ordering::Relaxed) as f64
    }

    fn current_token(&self) -> String {
        format!("customer-token-{}", self.token.load(Ordering::Relaxed))
    }

    pub(super) fn answer(&self, gateway: &Gateway, request: &Request) -> (Role, Answer) {
        let path = request.path.split('?').next().unwrap_or_default();
        let refused = |status| {
            gateway.counters.refused.fetch_add(1, Ordering::Relaxed);
            Answer::new(status, DENIED)
        };
        let (role, mut answer) = match (request.method.as_str(), path) {
            ("POST", "/api/login/Basic") => {
                let login: Value = serde_json::from_slice(&request.body).unwrap_or_default();
                let is_customer = login["username"] == "customer" && login["email"].is_string();
                match is_customer && login["password"] == *self.customer_password {
                    true => {
                        let token = json!({ "token": self.current_token(), "roles": ["Home_Owner"] });
                        (Role::Login, Answer::new(200, token.to_string()))
                    }
                    false => (Role::Login, refused(401)),
                }
            }
            ("GET", "/tedapi/din") => {
                let expected = format!("Bearer {}", self.current_token());
                match request.authorization.as_deref() == Some(&expected) {
                    true => (Role::Din, Answer::new(200, gateway.din() + "\n")),
                    false => (Role::Din, refused(401)),
                }
            }
            ("GET", "/api/meters/aggregates") => {
                let expected = format!("Bearer {}", self.current_token());
                match request.authorization.as_deref() == Some(&expected) {
                    true => (Role::Meters, Answer::new(200, gateway.meters().to_string())),
                    false => (Role::Meters, refused(401)),
                }
            }
            ("POST", "/tedapi/v1r") => match self.signed(gateway, request.body.clone()) {
                (role, Some(routable)) => (role, Answer::new(200, routable.encode_to_vec())),
                (role, None) => (role, refused(401)),
            },
            _ => (Role::Other, Answer::new(404, "")),
        };
        if self.tells_time.load(Ordering::Relaxed)
            && let Ok(now) = jiff::Timestamp::from_second(self.now() as i64)
        {
            answer.headers += &format!("Date: {}\r\n", now.strftime("%a, %d %b %Y %H:%M:%S GMT"));
        }
        (role, answer)
    }

    /// `None`: the sender is to log in first.
    fn signed(&self, gateway: &Gateway, body: Bytes) -> (Role, Option<Routable>) {
        let Ok(request) = Routable::decode(body) else { return (Role::Other, Some(fault(10))) };
        let question = Question::open(request.envelope.clone());
        let role = question.as_ref().map_or(Role::Other, |question| question.role);
        if let Err(refusal) = self.check(gateway, &request) {
            return (role, Some(*refusal));
        }
        let Ok(mut question) = question else { return (role, Some(fault(10))) };
        if let Some(update) = question.update() {
            return (role, gateway.order(update).map(answer_with));
        }
        // No matter who is asked, the leader answers, about itself.
        question.redirect(&gateway.din());
        (role, Some(answer_with(gateway.answer(&question))))
    }

    fn check(&self, gateway: &Gateway, request: &Routable) -> Result<(), Box<Routable>> {
        if request.to.as_ref().is_none_or(|to| to.domain != ENERGY_DEVICE) {
            return Err(fault(8).into());
        }
        let signature = request.signature.clone().unwrap_or_default();
        let (signer, rsa) = (signature.signer.unwrap_or_default(), signature.rsa.unwrap_or_default());
        let registration = self
            .keys()
            .iter()
            .find(|(key, _)| *key == signer.public_key)
            .map(|(_, registration)| *registration);
        let Some(registration) = registration else {
            // Silence is an answer without fault and without envelope.
            let is_silent = self.is_silent_on_unknown_keys.load(Ordering::Relaxed);
            return Err(fault(if is_silent { 0 } else { UNKNOWN_KEY }).into());
        };
        let verifies = |din: &str| {
            let signed = to_be_signed(din, rsa.expires_at, &request.envelope);
            let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA512, &signer.public_key);
            key.verify(&signed, &rsa.signature).is_ok()
        };
        if !verifies(&gateway.din()) {
            // What is signed for another unit is distinguished by its recipient.
            let asked = Question::open(request.envelope.clone()).ok();
            let asked = asked.as_ref().and_then(|question| question.recipient()).map(str::to_owned);
            let is_for_another = asked.is_some_and(|asked| asked != gateway.din() && verifies(&asked));
            return Err(fault(if is_for_another { WRONG_PERSONALIZATION } else { INVALID_SIGNATURE }).into());
        }
        let left = f64::from(rsa.expires_at) - self.now();
        if left < 0.0 {
            return Err(fault(TIME_EXPIRED).into());
        }
        if left > LONGEST_TIME_TO_LIVE {
            return Err(fault(TIME_TO_LIVE_TOO_LONG).into());
        }
        match registration {
            Registration::Verified => Ok(()),
            Registration::Inactive => Err(fault(INACTIVE_KEY).into()),
            Registration::PendingInPlainText => {
                Err(answer_with(Bytes::from_static(NOT_VERIFIED.as_bytes())).into())
            }
            Registration::Pending => {
                let status = Some(Status { code: 7, message: NOT_VERIFIED.into() });
                let refusal = Envelope {
                    delivery_channel: LOCAL_HTTPS,
                    sender: Some(Participant::din(&gateway.din())),
                    common: Some(Common { error: Some(ErrorResponse { status }), ..Common::default() }),
                    ..Envelope::default()
                };
                Err(answer_with(refusal.encode_to_vec().into()).into())
            }
        }
    }
}

fn fault(fault: i32) -> Routable {
    Routable { status: Some(message::Status { fault }), ..Routable::default() }
}

fn answer_with(envelope: Bytes) -> Routable {
    Routable { envelope, ..Routable::default() }
}
