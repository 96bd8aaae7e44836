//! What a simulated gateway answers: the simulator's documents, with the moment of the answer in two of the
//! meters.
//!
//! Most answers to polls are a small document instead of the simulator's large one, so that thousands of days
//! fit into a test run. They are real answers all the same: frame, envelope, JSON, read by the real link.

use std::collections::HashMap;
use std::time::Duration;

use awc::http::{Method, header};
use bytes::Bytes;
use powerwall_server::link::https::{Answer, Call};
use powerwall_server::link::tedapi::transport::Request;
use powerwall_server::link::tedapi::wire::{
    AUTH_PRESENCE, Envelope, Frame, GraphQl, QUERY_OK, QueryResponse,
};
use powerwall_server::link::tedapi::{frames, queries};
use powerwall_server::link::v1r::message::Routable;
use powerwall_server::simulator::{InMemoryGateway, OrderFault, Role, SiteKind, SiteOptions};
use prost::Message;
use serde_json::{Value, json};

use crate::options::Way;
use crate::signed::{self, SIGNED};

/// Of every simulated gateway.
pub const PASSWORD: &str = "SIMULATED1";
const METERS: &str = "/api/meters/aggregates";
/// How long answers of the customer API are given again instead of being made anew, which takes most of the
/// time.
const KEPT: Duration = Duration::from_secs(600);

/// When a value was measured, and where: what the meters of a simulated gateway show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp(pub u64);

impl Stamp {
    /// `since`: the start of the simulation.
    pub fn new(since: Duration, site: usize) -> Self {
        Self(u64::try_from(since.as_millis()).unwrap() * 4 + site as u64)
    }

    pub fn site(self) -> usize {
        (self.0 % 4) as usize
    }

    /// Time since the start of the simulation, in whole milliseconds.
    pub fn since(self) -> Duration {
        Duration::from_millis(self.0 / 4)
    }
}

/// The gateway behind a simulated transport.
pub struct Answers {
    gateway: InMemoryGateway,
    /// Answers that do not change while the gateway runs, by path and role.
    kept: HashMap<(String, Role), Bytes>,
    /// The token of an installer, and how many were given.
    installer: Option<u64>,
    installers: u64,
    /// Good answers of the customer API and since when, by path and session.
    kept_of_customer: HashMap<(String, String), (Answer, Duration)>,
}

impl Answers {
    pub fn new(kind: SiteKind, site: usize) -> Self {
        let options = SiteOptions {
            number: site as u32 + 1,
            ..SiteOptions::new(&format!("site-{site}"), &format!("Site {site}"), kind)
        };
        Self {
            gateway: InMemoryGateway::new(options).unwrap(),
            kept: HashMap::new(),
            installer: None,
            installers: 0,
            kept_of_customer: HashMap::new(),
        }
    }

    /// The body of a 200, or another status. `whole`: with the simulator's whole document.
    pub fn answer(&mut self, request: &Request, role: Role, stamp: Stamp, whole: bool) -> Result<Bytes, u16> {
        match role {
            Role::Status | Role::Controller if whole => {
                let body = self.gateway.answer(&request.path, request.body.clone()).1?;
                Ok(framed(stamped(body, stamp)))
            }
            Role::Status | Role::Controller => Ok(framed(small(stamp))),
            // Orders change it.
            Role::Config => self.gateway.answer(&request.path, request.body.clone()).1,
            _ => {
                let key = (request.path.clone(), role);
                if let Some(kept) = self.kept.get(&key) {
                    return Ok(kept.clone());
                }
                let body = self.gateway.answer(&request.path, request.body.clone()).1?;
                self.kept.insert(key, body.clone());
                Ok(body)
            }
        }
    }

    /// What is answered at an address where one logs in for TEDAPI or signs for it. `arrived`: the wall clock
    /// at the arrival of the call.
    pub fn call(&mut self, call: &Call, way: Way, arrived: f64, stamp: Stamp, whole: bool) -> Answer {
        let role = call_role(call);
        let is_welcome = match (way, role) {
            (_, Role::Login) => true,
            (Way::Bearer, _) => self.is_installer(call),
            _ if call.path == SIGNED => true,
            // A client that may see the meters is logged in.
            _ => {
                let meters = Call { headers: call.headers.clone(), ..Call::get(METERS) };
                self.gateway.customer(&meters).1.status == 200
            }
        };
        match (role, &*call.path) {
            _ if !is_welcome => Answer { status: 401, ..Answer::default() },
            (Role::Login, _) if way == Way::Bearer => self.log_installer_in(call),
            (Role::Login, _) => self.gateway.customer(call).1,
            (Role::Meters, _) => {
                let meter = json!({ "energy_exported": stamp.0, "energy_imported": stamp.0 });
                let body = json!({ "site": meter, "battery": meter, "load": meter, "solar": meter });
                Answer { status: 200, body: body.to_string().into(), ..Answer::default() }
            }
            (_, SIGNED) => self.signed(call, role, arrived, stamp, whole),
            (_, path) => {
                let body = Some(call.body.clone()).filter(|body| !body.is_empty());
                let request = Request { path: path.to_owned(), body };
                match self.answer(&request, role, stamp, whole) {
                    Ok(body) => Answer { status: 200, body, ..Answer::default() },
                    Err(status) => Answer { status, ..Answer::default() },
                }
            }
        }
    }

    /// The answer to a signed request: what the leader says over its Wi-Fi, in other wrapping.
    fn signed(&mut self, call: &Call, role: Role, arrived: f64, stamp: Stamp, whole: bool) -> Answer {
        let din = self.din();
        let answer = |body: Bytes| Answer { status: 200, body, ..Answer::default() };
        let envelope = match signed::open(&call.body, &din, arrived) {
            Ok(envelope) => envelope,
            Err(fault) => return answer(signed::fault(fault)),
        };
        if role == Role::Order {
            let outcome = self.gateway.order(envelope);
            return outcome
                .map_or(Answer { status: 401, ..Answer::default() }, |body| answer(signed::with(body)));
        }
        let body = Some(frames::wrap(envelope, AUTH_PRESENCE));
        let request = Request { path: "/tedapi/v1".into(), body };
        match self.answer(&request, role, stamp, whole) {
            Ok(body) => answer(signed::with(Frame::decode(body).unwrap().envelope)),
            Err(status) => Answer { status, ..Answer::default() },
        }
    }

    fn log_installer_in(&mut self, call: &Call) -> Answer {
        let login: Value = serde_json::from_slice(&call.body).unwrap_or_default();
        if login["username"] != "installer" || login["password"] != PASSWORD {
            return Answer { status: 401, ..Answer::default() };
        }
        self.installers += 1;
        self.installer = Some(self.installers);
        let token = json!({ "token": format!("installer-{}", self.installers) });
        Answer { status: 200, body: token.to_string().into(), ..Answer::default() }
    }

    fn is_installer(&self, call: &Call) -> bool {
        let given = call.headers.iter().find(|(name, _)| *name == header::AUTHORIZATION);
        let expected = self.installer.map(|number| format!("Bearer installer-{number}"));
        given.zip(expected).is_some_and(|((_, given), expected)| *given == *expected)
    }

    /// What the customer API answers. A good answer is given again for some minutes to holders of the same
    /// session.
    pub fn customer(&mut self, call: &Call, stamp: Stamp) -> Answer {
        let credentials =
            || call.headers.iter().find_map(|(_, value)| value.to_str().ok()).unwrap_or_default();
        if call.path == "/api/operation" {
            return self.gateway.customer(call).1;
        }
        let key = (call.path.to_string(), credentials().to_owned());
        let kept = self.kept_of_customer.get(&key).filter(|(_, since)| stamp.since() < *since + KEPT);
        let (role, answer) = match kept {
            Some((answer, _)) => (call_role(call), answer.clone()),
            None => {
                let (role, answer) = self.gateway.customer(call);
                if answer.status == 200 && role != Role::Login {
                    self.kept_of_customer.insert(key, (answer.clone(), stamp.since()));
                }
                (role, answer)
            }
        };
        if role != Role::Meters || answer.status != 200 {
            return answer;
        }
        let meter = json!({ "instant_power": stamp.0 });
        let body = json!({ "site": meter, "battery": meter, "load": meter, "solar": meter });
        Answer { body: body.to_string().into(), ..answer }
    }

    /// An answer as good as any, but for the meters.
    pub fn without_meters(is_signed: bool) -> Bytes {
        let envelope = query_answer(&json!({ "control": { "meterAggregates": [] } }));
        if is_signed { signed::with(envelope) } else { framed(envelope) }
    }

    pub fn din(&self) -> String {
        let din = self.gateway.answer("/tedapi/din", None).1.unwrap_or_default();
        String::from_utf8(din.into()).unwrap()
    }

    pub fn restart(&mut self, firmware: &str) {
        self.gateway.restart(firmware);
        self.kept.clear();
        self.installer = None;
        self.kept_of_customer.clear();
    }

    pub fn somebody_sets_reserve(&self, raw: f64) {
        self.gateway.somebody_sets_reserve(raw);
    }

    pub fn set_order_fault(&self, fault: Option<OrderFault>) {
        self.gateway.set_order_fault(fault);
    }

    pub fn mode(&self) -> &'static str {
        self.gateway.mode()
    }

    pub fn skip(&self, by: Duration) {
        self.gateway.skip(by);
    }
}

/// What a request is for. Queries are distinguished by their length: checking signatures would take most of
/// the time.
pub fn role_of(request: &Request) -> Role {
    let Some(body) = &request.body else { return Role::Din };
    role_of_envelope(Frame::decode(body.clone()).unwrap().envelope)
}

fn role_of_envelope(envelope: Bytes) -> Role {
    let envelope = Envelope::decode(envelope).unwrap();
    if let Some(files) = envelope.files {
        return if files.update_request.is_some() { Role::Order } else { Role::Config };
    }
    let Some(query) = envelope.graphql.and_then(|graphql| graphql.request).map(|request| request.query)
    else {
        return Role::SystemInfo;
    };
    let fits = |text: &[u8]| (text.len()..text.len() + 16).contains(&query.len());
    let (name, _) = queries::ALL.iter().find(|(_, known)| fits(known.text)).unwrap();
    match name.split('-').next() {
        Some("status") => Role::Status,
        Some("controller") => Role::Controller,
        _ => Role::Components,
    }
}

/// What a call is for.
pub fn call_role(call: &Call) -> Role {
    match &*call.path {
        "/api/login/Basic" => Role::Login,
        METERS => Role::Meters,
        "/api/operation" if call.method == Method::POST => Role::Order,
        "/tedapi/din" => Role::Din,
        SIGNED => role_of_envelope(Routable::decode(call.body.clone()).unwrap().envelope),
        path if path.starts_with("/tedapi/") => {
            role_of_envelope(Frame::decode(call.body.clone()).unwrap().envelope)
        }
        _ => Role::Customer,
    }
}

/// The encoded envelope of an answer.
fn query_answer(document: &Value) -> Bytes {
    let response = QueryResponse { status: QUERY_OK, data: document.to_string().into(), errors: Vec::new() };
    let graphql = Some(GraphQl { response: Some(response), request: None });
    Envelope { graphql, ..Envelope::default() }.encode_to_vec().into()
}

fn framed(envelope: Bytes) -> Bytes {
    Frame { envelope, auth: None }.encode_to_vec().into()
}

fn small(stamp: Stamp) -> Bytes {
    let meter = |location: &str| json!({ "location": location, "realPowerW": stamp.0 });
    query_answer(&json!({
        "control": {
            "systemStatus": { "nominalFullPackEnergyWh": 13500, "nominalEnergyRemainingWh": 9000 },
            "islanding": { "contactorClosed": true, "gridOK": true },
            "meterAggregates": [meter("SITE"), meter("BATTERY"), meter("LOAD"), meter("SOLAR")],
        },
    }))
}

/// The simulator's own answer with the stamp in the meters that nothing is derived from.
fn stamped(body: Bytes, stamp: Stamp) -> Bytes {
    let envelope = Envelope::decode(Frame::decode(body).unwrap().envelope).unwrap();
    let response = envelope.graphql.and_then(|graphql| graphql.response).unwrap();
    let mut document: Value = serde_json::from_slice(&response.data).unwrap();
    let meters = document["control"]["meterAggregates"].as_array_mut().unwrap();
    for meter in
        meters.iter_mut().filter(|meter| meter["location"] == "SITE" || meter["location"] == "BATTERY")
    {
        meter["realPowerW"] = stamp.0.into();
    }
    query_answer(&document)
}
