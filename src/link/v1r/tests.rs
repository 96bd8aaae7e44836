use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use proptest::prelude::*;
use prost::Message;
use ring::digest::{SHA256, digest};
use serde_json::Value;
use tokio::time::advance;

use super::message::{Routable, open};
use super::*;
use crate::link::tedapi::frames::{self, Target};
use crate::link::tedapi::queries::Queries;
use crate::settings::{QuerySet, RsaKey, Secret};

const DIN: &str = "1232100-00-E--TG123456789012";
const FOLLOWER: &str = "1707000-11-J--TG987654321ABC";

fn vectors() -> Value {
    serde_json::from_str(include_str!("../../../tests/fixtures/v1r/vectors.json")).unwrap()
}

fn bytes(hex: &Value) -> Bytes {
    let hex = hex.as_str().unwrap();
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

/// A gateway that answers what it is given, and what it was sent.
#[derive(Clone, Default)]
struct Gateway(Rc<RefCell<Script>>);

#[derive(Default)]
struct Script {
    answers: VecDeque<(u16, Bytes)>,
    sent: Vec<Call>,
}

impl Gateway {
    fn will_answer(&self, status: u16, body: impl Into<Bytes>) {
        self.0.borrow_mut().answers.push_back((status, body.into()));
    }

    fn was_sent(&self) -> Vec<Call> {
        std::mem::take(&mut self.0.borrow_mut().sent)
    }
}

impl Exchange for Gateway {
    fn exchange(&self, call: Call) -> LocalBoxFuture<'_, Result<Answer, LinkError>> {
        let mut script = self.0.borrow_mut();
        script.sent.push(call);
        let (status, body) = script.answers.pop_front().expect("an answer to every call");
        let answer = Answer { status, body, ..Answer::default() };
        Box::pin(async { Ok(answer) })
    }
}

fn channel() -> (Gateway, SignedChannel<Gateway>) {
    let gateway = Gateway::default();
    let key = RsaKey::from_pem(vectors()["key_pem"].as_str().unwrap().as_bytes()).unwrap();
    let login = Login::customer(&Secret::new("FGHIJ"), None, Memory::new("host", None));
    (gateway.clone(), SignedChannel::over(gateway, login, Arc::new(key), Duration::from_secs(5)))
}

fn config() -> Question<'static> {
    let target = Target::Gateway { din: DIN };
    Question { din: DIN, target, payload: frames::config(), what: "the configuration read" }
}

#[tokio::test]
async fn questions_are_signed_as_they_were_recorded() {
    let (gateway, mut channel) = channel();
    let old = Queries::of(QuerySet::V2024_06);
    let (leader, single) = (Target::Gateway { din: DIN }, Target::Gateway { din: DIN });
    let recorded = vectors();
    for (name, query, target) in [
        ("V2024_06_device_controller_full_v1r_envelope", old.controller, leader),
        ("V2024_06_components_v1r_envelope", old.components, single),
    ] {
        gateway.will_answer(200, bytes(&recorded["answers"]["ok_config"]));
        channel.ask(Question { din: DIN, target, payload: frames::query(&query), what: name }).await.unwrap();
        let sent = Routable::decode(gateway.was_sent().remove(0).body).unwrap().envelope;
        let expected = &recorded["envelopes"][name];
        let sha256: String = digest(&SHA256, &sent).as_ref().iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(
            (sent.len() as u64, sha256.as_str()),
            (expected["len"].as_u64().unwrap(), expected["sha256"].as_str().unwrap())
        );
    }
    gateway.will_answer(200, bytes(&recorded["answers"]["ok_config"]));
    let answer = channel.ask(config()).await.unwrap();
    assert_eq!(frames::config_answer(answer).unwrap(), r#"{"vin":"x"}"#);
    let call = gateway.was_sent().remove(0);
    assert_eq!(Routable::decode(call.body).unwrap().envelope, bytes(&recorded["signed"][0]["envelope_hex"]));
    assert!(
        call.headers.iter().all(|(name, _)| *name != header::AUTHORIZATION),
        "a signature needs no token"
    );
    // A single unit behind another gateway is asked in the gateway's name.
    gateway.will_answer(200, bytes(&recorded["answers"]["ok_config"]));
    let unit = Target::Gateway { din: FOLLOWER };
    let question = Question { din: DIN, target: unit, payload: frames::query(&old.components), what: "" };
    channel.ask(question).await.unwrap();
    let sent = Routable::decode(gateway.was_sent().remove(0).body).unwrap();
    let rsa = sent.signature.unwrap().rsa.unwrap();
    let key = ring::signature::UnparsedPublicKey::new(
        &ring::signature::RSA_PKCS1_2048_8192_SHA512,
        bytes(&recorded["public_key"]),
    );
    let signed = message::to_be_signed(DIN, rsa.expires_at, &sent.envelope);
    assert!(key.verify(&signed, &rsa.signature).is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_registration_that_waits_too_long_has_timed_out_until_something_changes() {
    let (gateway, mut channel) = channel();
    let answers = &vectors()["answers"];
    let pending = bytes(&answers["pending_verification_error_response"]);
    let mut kind_after = async |seconds: u64, body: &Bytes| {
        advance(Duration::from_secs(seconds)).await;
        gateway.will_answer(200, body.clone());
        channel.ask(config()).await.map_or_else(|error| error.kind(), |_| "ok")
    };
    assert_eq!(kind_after(0, &pending).await, "key_pending");
    assert_eq!(kind_after(599, &pending).await, "key_pending");
    assert_eq!(kind_after(1, &pending).await, "key_timed_out");
    assert_eq!(kind_after(3600, &pending).await, "key_timed_out");
    let unknown = bytes(&answers["unknown_key"]);
    assert_eq!(kind_after(5, &unknown).await, "key_unknown");
    assert_eq!(kind_after(5, &pending).await, "key_pending", "registered anew, the window is open again");
    assert_eq!(kind_after(5, &bytes(&answers["ok_config"])).await, "ok");
    assert_eq!(kind_after(700, &pending).await, "key_pending");
}

#[tokio::test(start_paused = true)]
async fn a_login_is_never_repeated_for_an_address_that_refuses_everything() {
    let (gateway, mut channel) = channel();
    let token = r#"{"token":"t"}"#;
    // It is asked without a token first, and says no.
    gateway.will_answer(401, "");
    gateway.will_answer(200, token);
    gateway.will_answer(200, DIN);
    assert_eq!(channel.din().await.unwrap(), DIN);
    // Refused with a token in hand: one login, one more attempt.
    for answer in [(403, ""), (200, token), (403, "")] {
        gateway.will_answer(answer.0, answer.1);
    }
    assert_eq!(channel.ask(config()).await.unwrap_err().kind(), "refused");
    assert_eq!(gateway.was_sent().len(), 6);
    for _ in 0..5 {
        advance(Duration::from_secs(60)).await;
        gateway.will_answer(403, "");
        assert_eq!(channel.ask(config()).await.unwrap_err().kind(), "refused");
        assert_eq!(gateway.was_sent().len(), 1, "the token was new; another one would not help");
    }
}

#[tokio::test]
async fn statuses_are_reported_as_everywhere() {
    for (status, kind) in [(404, "not_found"), (429, "rate_limited"), (500, "status"), (503, "busy")] {
        let (gateway, mut channel) = channel();
        gateway.will_answer(status, "");
        assert_eq!(channel.ask(config()).await.unwrap_err().kind(), kind);
    }
    let (gateway, mut channel) = channel();
    gateway.will_answer(401, "");
    gateway.will_answer(200, r#"{"no":"token"}"#);
    assert_eq!(channel.din().await.unwrap_err().kind(), "malformed");
}

proptest! {
    #[test]
    fn no_answer_of_a_gateway_panics(body in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = open(body.into());
    }

    #[test]
    fn no_answer_that_is_nearly_one_panics(at in 0..76_usize, byte: u8) {
        let mut body = bytes(&vectors()["answers"]["ok_config"]).to_vec();
        body[at] = byte;
        if let Ok(envelope) = open(body.into()) {
            let _ = frames::config_answer(envelope);
        }
    }
}
