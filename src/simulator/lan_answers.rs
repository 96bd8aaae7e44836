//! What a gateway answers at its address on the wired LAN: logins of the customer, and requests signed with a
//! registered key.

use std::sync::atomic::Ordering;

use prost::Message;
use prost::bytes::Bytes;
use ring::signature::{RSA_PKCS1_2048_8192_SHA512, UnparsedPublicKey};
use serde_json::json;

use super::answers::Question;
use super::customer::{BASIC, credentials};
use super::faults::Role;
use super::gateway::Gateway;
use super::http::{Answer, DENIED, Request};
use super::lan::{Lan, Registration};
use crate::link::tedapi::wire::{
    Authorization, Common, Empty, Envelope, ErrorResponse, LOCAL_HTTPS, Participant, Status,
};
use crate::link::v1r::message::{
    self, ENERGY_DEVICE, INACTIVE_KEY, INVALID_SIGNATURE, Routable, TIME_EXPIRED, TIME_TO_LIVE_TOO_LONG,
    UNKNOWN_KEY, WRONG_PERSONALIZATION, to_be_signed,
};

/// The longest a request may hold, in seconds, and a little.
const LONGEST_TIME_TO_LIVE: f64 = 15.0;
/// The same for one that comes through Tesla's cloud.
const LONGEST_ON_THE_WAY: f64 = 330.0;
const NOT_VERIFIED: &str = "v1r: client authorization not verified";

/// The answer to `request`, with the date if `lan` gives it.
pub(super) fn answer(lan: &Lan, gateway: &Gateway, request: &Request) -> (Role, Answer) {
    let path = request.path.split('?').next().unwrap_or_default();
    let refused = |status| {
        gateway.counters.refused.fetch_add(1, Ordering::Relaxed);
        Answer::new(status, DENIED)
    };
    let (role, mut answer) = match (request.method.as_str(), path) {
        ("POST", "/api/login/Basic") => {
            let login = credentials(&request.body);
            match login
                .is_some_and(|(user, password, _)| user == "customer" && password == lan.customer_password())
            {
                true => {
                    let token = json!({ "token": lan.current_token(), "roles": ["Home_Owner"] });
                    (Role::Login, Answer::new(200, token.to_string()))
                }
                false => (Role::Login, refused(401)),
            }
        }
        ("GET", "/tedapi/din") => {
            let expected = format!("Bearer {}", lan.current_token());
            match request.authorization.as_deref() == Some(&expected) {
                true => (Role::Din, Answer::new(200, gateway.din() + "\n")),
                false => (Role::Din, refused(401)),
            }
        }
        ("GET", basic) if BASIC.contains(&basic) => {
            let role = if basic == BASIC[0] { Role::Meters } else { Role::Customer };
            let expected = format!("Bearer {}", lan.current_token());
            match gateway.customer_document(basic) {
                Some(document) if request.authorization.as_deref() == Some(&expected) => {
                    (role, Answer::new(200, document.to_string()))
                }
                _ => (role, refused(401)),
            }
        }
        ("POST", "/tedapi/v1r") => match signed(lan, gateway, request.body.clone(), LONGEST_TIME_TO_LIVE) {
            (role, Some(routable)) => (role, Answer::new(200, routable.encode_to_vec())),
            (role, None) => (role, refused(401)),
        },
        _ => (Role::Other, Answer::new(404, "")),
    };
    if lan.sends_date()
        && let Ok(now) = jiff::Timestamp::from_second(lan.now() as i64)
    {
        answer.headers += &format!("Date: {}\r\n", now.strftime("%a, %d %b %Y %H:%M:%S GMT"));
    }
    (role, answer)
}

/// What the gateway answers to a signed message that Tesla's cloud brings; `None`: nothing that is an answer.
pub(super) fn relayed(lan: &Lan, gateway: &Gateway, body: Bytes) -> Option<Bytes> {
    let (_, routable) = signed(lan, gateway, body, LONGEST_ON_THE_WAY);
    routable.map(|routable| routable.envelope).filter(|envelope| !envelope.is_empty())
}

/// `None`: the sender is to log in first. `longest`: how long a request may hold, in seconds.
fn signed(lan: &Lan, gateway: &Gateway, body: Bytes, longest: f64) -> (Role, Option<Routable>) {
    let Ok(request) = Routable::decode(body) else { return (Role::Other, Some(fault(10))) };
    let question = Question::open(request.envelope.clone());
    let role = question.as_ref().map_or(Role::Other, |question| question.role);
    if let Err(refusal) = check(lan, gateway, &request, longest) {
        return (role, Some(*refusal));
    }
    if let Some(answer) = authorization(lan, gateway, request.envelope.clone()) {
        return (role, Some(answer_with(answer.encode_to_vec().into())));
    }
    let Ok(mut question) = question else { return (role, Some(fault(10))) };
    if let Some(order) = question.order() {
        return (role, gateway.order(order).map(answer_with));
    }
    // Whoever is asked, the leader answers, of itlan.
    question.redirect(&gateway.din());
    (role, Some(answer_with(gateway.answer(&question))))
}

/// The answer to what concerns keys; `None`: it is something else.
fn authorization(lan: &Lan, gateway: &Gateway, envelope: Bytes) -> Option<Envelope> {
    let remove = Envelope::decode(envelope).ok()?.authorization?.remove_request?;
    lan.forget(&remove.public_key);
    Some(Envelope {
        delivery_channel: LOCAL_HTTPS,
        sender: Some(Participant::din(&gateway.din())),
        authorization: Some(Authorization { removed: Some(Empty {}), ..Authorization::default() }),
        ..Envelope::default()
    })
}

fn check(lan: &Lan, gateway: &Gateway, request: &Routable, longest: f64) -> Result<(), Box<Routable>> {
    if request.to.as_ref().is_none_or(|to| to.domain != ENERGY_DEVICE) {
        return Err(fault(8).into());
    }
    let signature = request.signature.clone().unwrap_or_default();
    let (signer, rsa) = (signature.signer.unwrap_or_default(), signature.rsa.unwrap_or_default());
    let Some(registration) = lan.registration(&signer.public_key) else {
        // Silence is an answer without fault and without envelope.
        return Err(fault(if lan.is_silent_on_unknown_keys() { 0 } else { UNKNOWN_KEY }).into());
    };
    let verifies = |din: &str| {
        let signed = to_be_signed(din, rsa.expires_at, &request.envelope);
        let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA512, &signer.public_key);
        key.verify(&signed, &rsa.signature).is_ok()
    };
    if !verifies(&gateway.din()) {
        // What is signed for somebody else is known by who is asked.
        let asked = Question::open(request.envelope.clone()).ok();
        let asked = asked.as_ref().and_then(|question| question.recipient()).map(str::to_owned);
        let is_for_another = asked.is_some_and(|asked| asked != gateway.din() && verifies(&asked));
        return Err(fault(if is_for_another { WRONG_PERSONALIZATION } else { INVALID_SIGNATURE }).into());
    }
    let left = f64::from(rsa.expires_at) - lan.now();
    if left < 0.0 {
        return Err(fault(TIME_EXPIRED).into());
    }
    if left > longest {
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

fn fault(fault: i32) -> Routable {
    Routable { status: Some(message::Status { fault }), ..Routable::default() }
}

fn answer_with(envelope: Bytes) -> Routable {
    Routable { envelope, ..Routable::default() }
}
