use std::cell::RefCell;
use std::rc::Rc;

use prost::Message;
use tokio::time::advance;

use super::channel::FrameChannel;
use super::transport::{Request, Transport};
use super::wire::{Common, Envelope, File, FileRead, Files, FirmwareVersion, Frame, GraphQl, QueryResponse};
use super::wire::{QUERY_OK, SystemInfoResponse};
use super::*;
use crate::model::Adjustments;
use crate::settings::QuerySet;

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
}

#[derive(Default)]
struct Gateway {
    asked: Vec<(Instant, Asked)>,
    units: usize,
    /// Answers these with an error, or with something unreadable.
    fails: Vec<(Asked, LinkError)>,
}

#[derive(Clone)]
struct Wire(Rc<RefCell<Gateway>>);

fn unit(index: usize) -> String {
    format!("1707000-11-M--TG125000000{index}A1")
}

impl Transport for Wire {
    fn exchange(&self, request: Request) -> LocalBoxFuture<'_, Result<Bytes, LinkError>> {
        Box::pin(async move {
            let mut gateway = self.0.borrow_mut();
            let (asked, answer) = answer(&request, gateway.units);
            gateway.asked.push((Instant::now(), asked.clone()));
            match gateway.fails.iter().find(|(kind, _)| *kind == asked) {
                Some((_, error)) => Err(error.clone()),
                None => Ok(answer),
            }
        })
    }
}

fn answer(request: &Request, units: usize) -> (Asked, Bytes) {
    let Some(body) = &request.body else { return (Asked::Din, Bytes::from_static(DIN.as_bytes())) };
    let envelope = Envelope::decode(Frame::decode(body.clone()).unwrap().envelope).unwrap();
    let mut answer = Envelope::default();
    let asked = if envelope.files.is_some() {
        let blocks: Vec<_> =
            (0..units).map(|index| serde_json::json!({ "vin": unit(index), "type": "Powerwall3" })).collect();
        let blob = serde_json::json!({ "vin": DIN, "battery_blocks": blocks }).to_string().into();
        let file = File { name: "config.json".into(), blob };
        answer.files = Some(Files {
            read_response: Some(FileRead { file: Some(file), hash: vec![1] }),
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
        let channel = FrameChannel::new(Wire(gateway.clone()), LinkKind::Tedapi);
        let link = TedapiLink::over(channel, Queries::of(set), "192.168.91.1");
        Self { gateway, link }
    }

    /// What a gateway's actor does every five seconds, as often as told.
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
    assert_eq!(asked.len(), 6, "{asked:?}");
    let Source::Tedapi(payloads) = bench.link.source() else { panic!("TEDAPI tells in its own words") };
    assert_eq!(payloads.readings(&Adjustments::default()).firmware.as_deref(), Some("26.1"));
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
async fn a_failed_slow_question_is_reported_and_keeps_what_was_known() {
    let mut bench = Bench::new(1, QuerySet::V2024_06);
    bench.run(1).await;
    bench.fail(Asked::Config, LinkError::Timeout(Duration::from_secs(5)));
    advance(CONFIG_EVERY).await;
    bench.link.poll().await.unwrap();
    let mut problems = Vec::new();
    for _ in 0..3 {
        problems.extend(bench.link.refresh().await.problem);
    }
    assert_eq!(problems, [LinkError::Timeout(Duration::from_secs(5))]);
    assert_eq!(bench.link.payloads.powerwall3_units(), [unit(0)]);
}
