//! A simulated gateway without sockets, for simulations that bring a transport of their own.

use std::io;
use std::sync::Arc;

use awc::http::header::{self, HeaderName};
use bytes::Bytes;

use super::answers::{Addressee, Question, framed};
use super::customer::CustomerRequest;
use super::faults::Role;
use super::gateway::{Gateway, SiteOptions};
use super::orders::{OrderFault, Orders};
use crate::link::https::{Answer, Call};

/// What a healthy gateway answers, asked directly.
pub struct InMemoryGateway(Arc<Gateway>);

impl InMemoryGateway {
    /// # Errors
    /// If no key can be made.
    pub fn new(options: SiteOptions) -> io::Result<Self> {
        Ok(Self(Arc::new(Gateway::new(options)?)))
    }

    pub(super) fn shared(&self) -> Arc<Gateway> {
        self.0.clone()
    }

    /// What a request is for, and the body of its answer or the status it gets instead.
    pub fn answer(&self, path: &str, body: Option<Bytes>) -> (Role, Result<Bytes, u16>) {
        let Some(body) = body else {
            return match path {
                "/tedapi/din" => (Role::Din, Ok(self.0.din().into())),
                _ => (Role::Other, Err(404)),
            };
        };
        let addressee = match path.strip_prefix("/tedapi/device/").and_then(|rest| rest.strip_suffix("/v1")) {
            Some(unit) => Addressee::Unit(unit.to_owned()),
            None => Addressee::Gateway,
        };
        let Ok(question) = Question::read(body, &addressee) else { return (Role::Other, Err(400)) };
        let served = self.0.serves(&addressee, question.recipient());
        (question.role, served.map(|()| framed(self.0.answer(&question))))
    }

    /// What the customer API answers, with its rules about logins and sessions.
    pub fn customer(&self, call: &Call) -> (Role, Answer) {
        let header = |name: HeaderName| {
            let found = call.headers.iter().find(|(known, _)| *known == name);
            found.and_then(|(_, value)| value.to_str().ok())
        };
        let (role, answer) = self.0.customer_answer(&CustomerRequest {
            method: call.method.as_str(),
            path: &call.path,
            cookie: header(header::COOKIE),
            authorization: header(header::AUTHORIZATION),
            body: &call.body,
        });
        let set_cookies = answer.headers.lines().filter_map(|line| line.strip_prefix("Set-Cookie: "));
        let set_cookies = set_cookies.map(str::to_owned).collect();
        (role, Answer { status: answer.status, set_cookies, body: answer.body, ..Answer::default() })
    }

    /// What came of an order in an envelope whose signature is right; `None`: its sender is to log in again.
    pub fn order(&self, envelope: Bytes) -> Option<Bytes> {
        let question = Question::open(envelope).ok()?;
        self.0.order(question.order()?)
    }

    /// `config.json`, byte for byte.
    pub fn config(&self) -> Bytes {
        self.0.config()
    }

    /// What is wrong with how it takes orders from now on.
    pub fn set_order_fault(&self, fault: Option<OrderFault>) {
        self.0.set_order_fault(fault);
    }

    /// Somebody else sets the backup reserve, raw scale.
    pub fn somebody_sets_reserve(&self, raw: f64) {
        self.0.somebody_sets_reserve(raw);
    }

    /// The orders that arrived.
    pub fn orders(&self) -> Orders {
        self.0.orders()
    }

    /// The backup reserve, raw scale: as the configuration has it, and as the gateway acts on it.
    pub fn reserve(&self) -> (f64, f64) {
        self.0.reserve()
    }

    pub fn mode(&self) -> &'static str {
        self.0.mode()
    }

    /// Whether somebody has opened the contactor.
    pub fn is_off_grid(&self) -> bool {
        self.0.is_off_grid()
    }

    /// Runs other firmware from now on, as after a restart.
    pub fn restart(&self, version: &str) {
        self.0.restart(version);
    }

    /// Moves the gateway's own clock forward.
    pub fn skip(&self, simulated: std::time::Duration) {
        self.0.skip(simulated);
    }
}
