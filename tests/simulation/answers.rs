//! What a simulated gateway answers: the simulator's documents, with the moment of the answer in two of the meters.
//!
//! Most answers to polls are a small document instead of the simulator's large one, so that thousands of days fit
//! into a test run. They are real answers all the same: frame, envelope, JSON, read by the real link.

use std::collections::HashMap;
use std::time::Duration;

use awc::http::Method;
use bytes::Bytes;
use powerwall_server::link::https::{Answer, Call};
use powerwall_server::link::tedapi::queries;
use powerwall_server::link::tedapi::transport::Request;
use powerwall_server::link::tedapi::wire::{Envelope, Frame, GraphQl, QUERY_OK, QueryResponse};
use powerwall_server::simulator::{InMemoryGateway, OrderFault, Role, SiteKind, SiteOptions};
use prost::Message;
use serde_json::{Value, json};

/// How long answers of the customer API are given again instead of being made anew, which takes most of the time.
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
            kept_of_customer: HashMap::new(),
        }
    }

    /// The body of a 200, or another status. `whole`: with the simulator's whole document.
    pub fn answer(&mut self, request: &Request, role: Role, stamp: Stamp, whole: bool) -> Result<Bytes, u16> {
        match role {
            Role::Status | Role::Controller if whole => {
                let body = self.gateway.answer(&request.path, request.body.clone()).1?;
                Ok(stamped(body, stamp))
            }
            Role::Status | Role::Controller => Ok(small(stamp)),
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

    /// What the customer API answers. A good answer is given again for some minutes to whoever has the same session.
    pub fn customer(&mut self, call: &Call, stamp: Stamp) -> Answer {
        let credentials =
            || call.headers.iter().find_map(|(_, value)| value.to_str().ok()).unwrap_or_default();
        if call.path == "/api/operation" {
            return self.gateway.customer(call).1;
        }
        let key = (call.path.to_string(), credentials().to_owned());
        let kept = self.kept_of_customer.get(&key).filter(|(_, since)| stamp.since() < *since + KEPT);
        let (role, answer) = match kept {
            Some((answer, _)) => (customer_role(call), answer.clone()),
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
    pub fn without_meters() -> Bytes {
        query_answer(&json!({ "control": { "meterAggregates": [] } }))
    }

    pub fn restart(&mut self, firmware: &str) {
        self.gateway.restart(firmware);
        self.kept.clear();
        self.kept_of_customer.clear();
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

/// What a request is for. Queries are told apart by their length: checking signatures would take most of the time.
pub fn role_of(request: &Request) -> Role {
    let Some(body) = &request.body else { return Role::Din };
    let envelope = Envelope::decode(Frame::decode(body.clone()).unwrap().envelope).unwrap();
    if envelope.files.is_some() {
        return Role::Config;
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

/// What a call to the customer API is for.
pub fn customer_role(call: &Call) -> Role {
    match &*call.path {
        "/api/login/Basic" => Role::Login,
        "/api/meters/aggregates" => Role::Meters,
        "/api/operation" if call.method == Method::POST => Role::Order,
        _ => Role::Customer,
    }
}

fn query_answer(document: &Value) -> Bytes {
    let response = QueryResponse { status: QUERY_OK, data: document.to_string().into(), errors: Vec::new() };
    let graphql = Some(GraphQl { response: Some(response), request: None });
    let envelope = Envelope { graphql, ..Envelope::default() };
    Frame { envelope: envelope.encode_to_vec().into(), auth: None }.encode_to_vec().into()
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
