use std::cell::RefCell;
use std::rc::Rc;

use prost::Message;
use tokio::time::advance;

use super::channel::FrameChannel;
use super::transport::{Request, Transport};
use super::wire::{Common, Envelope, File, FileRead, Files, FirmwareVersion, Frame, GraphQl, QueryResponse};
use super::wire::{QUERY_OK, SystemInfoResponse};
use super::*;
use crate::link::https::{Answer, Call, Exchange};
use crate::link::login::Customer;
use crate::link::login::Login;
use crate::link::memory::Memory;
use crate::model::Adjustments;
use crate::model::answers::interpreted;
use crate::settings::{QuerySet, Secret};

const DIN: &str = "1707000-11-M--TG1250000001A1";

/// What a request is for.
#[derive(Clone, Debug, PartialEq)]
enum Asked {
    Din,
    Status,
    Controller,
    Components(String),
    Config,
    SystemInfo,
    Meters,
    Login,
}

#[derive(Default)]
struct Gateway {
    asked: Vec<(Instant, Asked)>,
    units: usize,
    /// Another gateway with this DIN stands there.
    other_din: Option<&'static str>,
    /// What the customer API reports of the meters.
    meters: String,
    /// Answers these with an error, or with something unreadable.
    fails: Vec<(Asked, LinkError)>,
}

#[derive(Clone)]
struct Wire(Rc<RefCell<Gateway>>, Rc<Login>);

/// Takes any login, and any token.
impl Exchange for Wire {
    fn exchange(&self, call: Call) -> LocalBoxFuture<'_, Result<Answer, LinkError>> {
        Box::pin(async move {
            let mut gateway = self.0.borrow_mut();
            let has_token = !call.headers.iter().all(|(name, _)| name != "authorization");
            let (asked, status, body) = match &*call.path {
                "/api/login/Basic" => (Asked::Login, 200, r#"{"token":"t"}"#.to_owned()),
                _ if !has_token => (Asked::Meters, 401, String::new()),
                _ => (Asked::Meters, 200, gateway.meters.clone()),
            };
            gateway.asked.push((Instant::now(), asked.clone()));
            match gateway.fails.iter().find(|(kind, _)| *kind == asked) {
                Some((_, LinkError::Status { status, .. })) => {
                    Ok(Answer { status: *status, ..Answer::default() })
                }
                Some((_, error)) => Err(error.clone()),
                None => Ok(Answer { status, body: body.into(), ..Answer::default() }),
            }
        })
    }
}

fn unit(index: usize) -> String {
    format!("1707000-11-M--TG125000000{index}A1")
}

impl Transport for Wire {
    fn exchange(&self, request: Request) -> LocalBoxFuture<'_, Result<Bytes, LinkError>> {
        Box::pin(async move {
            let mut gateway = self.0.borrow_mut();
            let (asked, answer) = answer(&request, gateway.units, gateway.other_din.unwrap_or(DIN));
            gateway.asked.push((Instant::now(), asked.clone()));
            match gateway.fails.iter().find(|(kind, _)| *kind == asked) {
                Some((_, error)) => Err(error.clone()),
                None => Ok(answer),
            }
        })
    }

    fn customer(&self) -> Option<Customer<'_>> {
        Some(Customer { exchange: self, login: &self.1, may_log_in: true })
    }
}

fn answer(request: &Request, units: usize, din: &'static str) -> (Asked, Bytes) {
    let Some(body) = &request.body else { return (Asked::Din, Bytes::from_static(din.as_bytes())) };
    let envelope = Envelope::decode(Frame::decode(body.clone()).unwrap().envelope).unwrap();
    let mut answer = Envelope::default();
    let asked = if envelope.files.is_some() {
        let blocks: Vec<_> =
            (0..units).map(|index| serde_json::json!({ "vin": unit(index), "type": "Powerwall3" })).collect();
        let blob = serde_json::json!({ "vin": din, "battery_blocks": blocks }).to_string().into();
        let file = File { name: "config.json".into(), blob };
        answer.files = Some(Files {
            read_response: Some(FileRead { file: Some(file), hash: Bytes::from_static(&[1]) }),
            ..Files::default()
        });
        Asked::Config
    } else if envelope.common.is_some() {
        let firmware = FirmwareVersion { version: "26.1".into(), git_hash: vec![1; 20] };
        let info = SystemInfoResponse { firmware: Some(firmware), ..SystemInfoResponse::default() };
        answer.common = Some(Common { system_info: Some(info), ..Common::default() });
        Asked::SystemInfo
    } else {
        let query = envelope.graphql.unwrap().request.unwrap().query;
        let (name, _) = queries::ALL.into_iter().find(|(_, known)| known.signed_bytes() == query).unwrap();
        let data = r#"{"control":{"meterAggregates":[{"location":"SITE","realPowerW":1}]},"components":{}}"#;
        let response =
            QueryResponse { status: QUERY_OK, data: Bytes::from_static(data.as_bytes()), errors: Vec::new() };
        answer.graphql = Some(GraphQl { response: Some(response), request: None });
        match name.split('-').next() {
            Some("status") => Asked::Status,
            Some("controller") => Asked::Controller,
            _ => Asked::Components(request.path.clone()),
        }
    };
    let frame = Frame { envelope: answer.encode_to_vec().into(), auth: None };
    (asked, frame.encode_to_vec().into())
}

struct Bench {
    gateway: Rc<RefCell<Gateway>>,
    link: TedapiLink<FrameChannel<Wire>>,
}

impl Bench {
    fn new(units: usize, set: QuerySet) -> Self {
        let gateway = Rc::new(RefCell::new(Gateway { units, ..Gateway::default() }));
        gateway.borrow_mut().meters = r#"{"solar":{"energy_exported":1000}}"#.into();
        let login = Login::customer(&Secret::new("RIGHT"), None, Memory::new("192.168.91.1", None));
        let channel = FrameChannel::new(Wire(gateway.clone(), login.into()), LinkKind::Tedapi);
        let link = TedapiLink::over("home", channel, Queries::of(set), "192.168.91.1").with_energies(true);
        Self { gateway, link }
    }

    /// What a gateway's actor does every five seconds, `ticks` times.
    async fn run(&mut self, ticks: usize) {
        for _ in 0..ticks {
            if self.link.poll().await.is_ok() {
                while let Refreshed { more: true, problem: None, .. } = self.link.refresh().await {}
            }
            advance(Duration::from_secs(5)).await;
        }
    }

    fn fail(&self, asked: Asked, error: LinkError) {
        self.gateway.borrow_mut().fails.push((asked, error));
    }

    fn asked(&self) -> Vec<Asked> {
        self.gateway.borrow().asked.iter().map(|(_, asked)| asked.clone()).collect()
    }

    fn count(&self, what: fn(&Asked) -> bool) -> usize {
        self.asked().iter().filter(|asked| what(asked)).count()
    }
}

#[tokio::test(start_paused = true)]
async fn a_steady_gateway_gets_no_more_than_fifteen_requests_a_minute_however_many_units_it_has() {
    for (units, set) in
        [(0, QuerySet::V2024_06), (1, QuerySet::V2024_06), (3, QuerySet::V2024_06), (3, QuerySet::V2026_06)]
    {
        let mut bench = Bench::new(units, set);
        bench.run(720).await;
        let per_minute = bench.asked().len() as f64 / 60.0;
        println!("{units} units, {set:?}: {per_minute:.2} requests a minute");
        assert!(per_minute <= 15.0, "{units} units, {set:?}: {per_minute}");
        assert_eq!(bench.count(|asked| *asked == Asked::Din), 1);
        let polls = bench.count(|asked| matches!(asked, Asked::Status | Asked::Controller));
        assert_eq!(polls, 720, "one question a tick");
        for index in 0..units {
            let path = match units {
                1 => "/tedapi/v1".to_owned(),
                _ => format!("/tedapi/device/{}/v1", unit(index)),
            };
            let turns =
                bench.asked().iter().filter(|asked| **asked == Asked::Components(path.clone())).count();
            assert!(turns >= 3600 / (30 * units) - 1, "unit {index} had {turns} turns");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn everything_is_known_after_the_first_tick() {
    let mut bench = Bench::new(2, QuerySet::V2024_06);
    bench.run(1).await;
    let asked = bench.asked();
    assert_eq!(asked[..2], [Asked::Din, Asked::Controller]);
    assert_eq!(asked[6..], [Asked::Meters, Asked::Login, Asked::Meters], "nothing waits for the energies");
    assert_eq!(bench.link.payloads.readings(&Adjustments::default()).firmware.as_deref(), Some("26.1"));
}

#[tokio::test(start_paused = true)]
async fn a_known_din_is_confirmed_after_a_failure_and_never_forgotten() {
    let mut bench = Bench::new(0, QuerySet::V2024_06);
    bench.run(1).await;
    bench.fail(Asked::Din, LinkError::Unreachable("down".into()));
    bench.fail(Asked::Status, LinkError::Unreachable("down".into()));
    bench.run(3).await;
    assert_eq!(bench.link.payloads.din().map(|din| &**din), Some(DIN));
    bench.gateway.borrow_mut().fails.clear();
    bench.run(2).await;
    assert_eq!(bench.count(|asked| *asked == Asked::Din), 4);
}

const OTHER: &str = "1707000-11-M--TG9990000009Z9";

#[tokio::test(start_paused = true)]
async fn nothing_of_a_gateway_is_left_when_another_one_stands_at_its_address() {
    let mut bench = Bench::new(2, QuerySet::V2024_06);
    bench.run(20).await;
    assert_eq!((bench.link.payloads.powerwall3_units().len(), bench.energy()), (2, serde_json::json!(1000)));
    bench.fail(Asked::Status, LinkError::Unreachable("down".into()));
    bench.fail(Asked::Controller, LinkError::Unreachable("down".into()));
    bench.run(1).await;
    let asked_before = bench.asked().len();
    {
        let mut gateway = bench.gateway.borrow_mut();
        (gateway.fails, gateway.other_din, gateway.units) = (Vec::new(), Some(OTHER), 0);
    }
    let readings = bench.link.poll().await.unwrap().readings(&Adjustments::default());
    assert_eq!((readings.din.as_deref(), readings.firmware, readings.powerwall3), (Some(OTHER), None, None));
    assert!(bench.link.payloads.powerwall3_units().is_empty());
    assert_eq!(bench.energy(), serde_json::Value::Null);
    bench.run(1).await;
    let asked = bench.asked().split_off(asked_before);
    assert_eq!(asked[..2], [Asked::Din, Asked::Controller]);
    for slow in [Asked::Config, Asked::SystemInfo, Asked::Meters] {
        assert!(asked.contains(&slow), "{slow:?} is due at once: {asked:?}");
    }
    assert!(!asked.iter().any(|asked| matches!(asked, Asked::Components(_))), "{asked:?}");
}

#[tokio::test(start_paused = true)]
async fn a_configuration_of_another_gateway_has_the_din_read_again() {
    let mut bench = Bench::new(0, QuerySet::V2024_06);
    bench.run(2).await;
    bench.gateway.borrow_mut().other_din = Some(OTHER);
    bench.run(61).await;
    assert_eq!(bench.count(|asked| *asked == Asked::Din), 2);
    assert_eq!(bench.link.payloads.din().map(|din| &**din), Some(OTHER));
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_stumbles_over_the_large_question_is_asked_the_small_one() {
    let mut bench = Bench::new(0, QuerySet::V2024_06);
    bench.fail(Asked::Controller, LinkError::Malformed { what: "it".into(), why: "type".into() });
    bench.run(12).await;
    assert_eq!(bench.count(|asked| *asked == Asked::Status), 12);
    assert_eq!(bench.count(|asked| *asked == Asked::Controller), 1);
}

#[tokio::test(start_paused = true)]
async fn a_unit_that_the_gateway_does_not_serve_is_left_alone_for_ten_minutes() {
    let mut bench = Bench::new(2, QuerySet::V2024_06);
    let path = format!("/tedapi/device/{}/v1", unit(1));
    bench.fail(Asked::Components(path.clone()), LinkError::Status { status: 502, what: path.clone() });
    bench.run(119).await;
    let asked =
        |path: &str| bench.asked().iter().filter(|asked| **asked == Asked::Components(path.into())).count();
    assert_eq!(asked(&path), 1);
    assert!(asked(&format!("/tedapi/device/{}/v1", unit(0))) >= 9);
}

#[tokio::test(start_paused = true)]
async fn only_a_configuration_that_cannot_be_read_is_not_waited_for() {
    let vitals = |bench: &Bench| interpreted(&bench.link.payloads, &Adjustments::default()).documents.vitals;
    for (error, is_waited_for) in [
        (LinkError::Timeout(Duration::from_secs(5)), true),
        (LinkError::Malformed { what: "it".into(), why: "type".into() }, false),
    ] {
        let mut bench = Bench::new(0, QuerySet::V2024_06);
        bench.fail(Asked::Config, error);
        bench.run(1).await;
        assert_eq!(vitals(&bench).is_null(), is_waited_for);
        assert_eq!(vitals(&bench)[format!("STSTSM--{DIN}")].is_null(), is_waited_for);
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_slow_question_is_reported_and_keeps_what_was_known() {
    let mut bench = Bench::new(1, QuerySet::V2024_06);
    bench.run(1).await;
    bench.fail(Asked::Config, LinkError::Timeout(Duration::from_secs(5)));
    advance(LOCALLY.config).await;
    bench.link.poll().await.unwrap();
    let mut problems = Vec::new();
    for _ in 0..3 {
        problems.extend(bench.link.refresh().await.problem);
    }
    assert_eq!(problems, [LinkError::Timeout(Duration::from_secs(5))]);
    assert_eq!(bench.link.payloads.powerwall3_units(), [unit(0)]);
}

impl Bench {
    fn energy(&self) -> serde_json::Value {
        let documents = interpreted(&self.link.payloads, &Adjustments::default()).documents;
        documents.aggregates["solar"]["energy_exported"].clone()
    }

    /// Lives for a day, and counts what was asked of the customer API; every poll must have been answered.
    async fn a_day_with(asked: Asked, error: LinkError) -> (usize, usize) {
        let mut bench = Self::new(0, QuerySet::V2024_06);
        bench.fail(asked, error);
        bench.run(24 * 720).await;
        let polls = bench.count(|asked| matches!(asked, Asked::Status | Asked::Controller));
        assert_eq!(polls, 24 * 720, "the readings go on");
        assert!(bench.energy().is_null(), "unknown is null");
        assert!(bench.link.remark().unwrap().contains("no lifetime energies"));
        (bench.count(|asked| *asked == Asked::Meters), bench.count(|asked| *asked == Asked::Login))
    }
}

fn status(status: u16) -> LinkError {
    LinkError::Status { status, what: "it".into() }
}

#[tokio::test(start_paused = true)]
async fn energies_are_asked_for_every_two_minutes_and_kept_while_they_are_not_reported() {
    let mut bench = Bench::new(0, QuerySet::V2024_06);
    bench.run(720).await;
    assert_eq!(bench.count(|asked| *asked == Asked::Login), 1);
    let read = bench.count(|asked| *asked == Asked::Meters);
    assert!((29..=32).contains(&read), "{read} in an hour");
    assert_eq!(bench.energy(), 1000);
    bench.fail(Asked::Meters, LinkError::Timeout(Duration::from_secs(5)));
    bench.run(720).await;
    assert_eq!(bench.energy(), 1000, "a failed question takes nothing away");
    assert!(bench.count(|asked| *asked == Asked::Meters) - read <= 5, "it rests longer and longer");
    bench.gateway.borrow_mut().fails.clear();
    bench.gateway.borrow_mut().meters = r#"{"solar":{"energy_exported":1010}}"#.into();
    bench.run(720).await;
    assert_eq!((bench.energy(), bench.link.remark()), (1010.into(), None));
}

#[tokio::test(start_paused = true)]
async fn a_customer_api_in_trouble_costs_few_requests_fewer_logins_and_no_reading() {
    let budget = 10;
    // What is asked in a day, at most: questions and logins.
    for (asked, error, questions, logins) in [
        (Asked::Login, status(401), 5, 4),
        (Asked::Login, status(429), 20, budget),
        (Asked::Login, status(503), 20, budget),
        (Asked::Login, LinkError::Timeout(Duration::from_secs(5)), 20, budget),
        (Asked::Meters, status(401), 10, 6),
        (Asked::Meters, status(403), 10, 6),
        (Asked::Meters, status(404), 9, 0),
        (Asked::Meters, status(429), 10, 0),
        (Asked::Meters, status(500), 10, 0),
        (Asked::Meters, LinkError::Timeout(Duration::from_secs(5)), 10, 0),
    ] {
        let counted = Bench::a_day_with(asked.clone(), error.clone()).await;
        println!("{asked:?} {error:?}: {counted:?}");
        assert!(counted.0 <= questions && counted.1 <= logins, "{asked:?} {error:?}: {counted:?}");
        assert!(counted.0 > 1, "it is tried again: {asked:?} {error:?}");
    }
}
