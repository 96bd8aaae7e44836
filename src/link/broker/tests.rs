use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use tokio::time::Instant;

use super::answers::BrokerAnswers;
use super::error::BrokerError;
use super::reports::{Place, Received, Reports};
use super::wire::{Instance, Report, VERSION};
use super::*;
use crate::link::connect_lazily;
use crate::model::{Adjustments, NumberingMemory, Reading, Snapshot, Telemetry, Ttl};
use crate::settings::{Inputs, Role, RsaKey, Settings};
use crate::simulator::{GatewayHandle, Registration, SiteKind, SiteOptions};

const KEY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/v1r/key-4096.pem");

/// What the simulator's Powerwall 3 reports once everything was asked, over a link that takes orders.
async fn snapshot() -> Snapshot {
    let gateway =
        GatewayHandle::start(SiteOptions::new("home", "Lake house", SiteKind::Powerwall3)).await.unwrap();
    let lan = gateway.on_lan().await.unwrap();
    let key = RsaKey::read(KEY.as_ref()).unwrap();
    lan.lan().unwrap().register(key.public_der(), Registration::Verified);
    let list = serde_json::Value::from(vec![gateway.settings_with_lan(&lan, KEY)]).to_string();
    let environment = vec![("PW_GATEWAYS".to_owned(), list)];
    let settings = Settings::load(&Inputs { environment, flags: Vec::new() }).unwrap();
    let settings = &settings.gateways[0];
    let mut link = connect_lazily(settings);
    let mut answers = link.poll().await.unwrap();
    loop {
        let refreshed = link.refresh().await;
        answers = refreshed.source.unwrap_or(answers);
        if !refreshed.more {
            break;
        }
    }
    let second = Duration::from_secs(1);
    let ttl = Ttl::new(5 * second, 5 * second, 30 * second, true);
    let telemetry = Telemetry::new(answers, Adjustments::default());
    let reading = Reading { telemetry, taken: Instant::now(), taken_at: 1_795_000_000.0 };
    let mut snapshot = Snapshot { reading: Some(reading), ..Snapshot::initial(settings.facts.clone(), ttl) };
    snapshot.health.capabilities = link.capabilities().into();
    snapshot
}

fn instance() -> Instance {
    Instance {
        version: "0.1.0".into(),
        since: 1_795_000_000.0,
        tags: vec!["rental".into()],
        orders: Some("owner".into()),
        ..Instance::default()
    }
}

#[actix_web::test]
async fn a_powerwall_3_is_reported_in_little_and_means_the_same_at_the_centre() {
    let snapshot = snapshot().await;
    let report = Report::of(&snapshot, &instance(), (Instant::now(), 1_795_000_001.0));
    let bytes = report.to_bytes();
    println!("{} bytes: {}", bytes.len(), String::from_utf8_lossy(&bytes));
    // The simulator's site has a follower with six strings as well.
    let mut small = report.clone();
    let site = Arc::make_mut(small.site.as_mut().unwrap());
    site.units.as_mut().unwrap().retain(|unit| unit.kind != "follower");
    site.strings.as_mut().unwrap().retain(|string| string.0.len() == 1);
    assert_eq!((site.units.as_ref().unwrap().len(), site.strings.as_ref().unwrap().len()), (2, 6));
    for role in [None, Some("operator"), Some("owner")] {
        let instance = Instance { orders: role.map(str::to_owned), ..instance() };
        let Report { can, cannot, instance, .. } = Report::of(&snapshot, &instance, (Instant::now(), 1.0));
        let length = Report { can, cannot, instance, ..small.clone() }.to_bytes().len();
        println!("{length} bytes with orders of {role:?}");
        assert!(
            length <= 1500,
            "{length} bytes for a Powerwall 3 with one expansion, and orders of {role:?}"
        );
    }

    let read = Report::read(&bytes).unwrap();
    assert!(read.is_as(&report), "{read:?}\n{report:?}");
    let answers =
        BrokerAnswers::of(Arc::new(Received { report: read, said: Instant::now() })).expect("readings");
    let there = snapshot.reading.as_ref().unwrap().telemetry.site().clone();
    let readings = Arc::new(answers.readings(&Adjustments::default()));
    let here = answers.interpret(&readings, &Adjustments::default(), &NumberingMemory::default()).site;
    let near = |one: Option<crate::model::Number>, other: Option<crate::model::Number>, by: f64| match (
        one, other,
    ) {
        (Some(one), Some(other)) => (one.as_f64() - other.as_f64()).abs() <= by,
        (one, other) => one.is_none() && other.is_none(),
    };
    for (one, other) in [
        (here.readings.power.solar, there.readings.power.solar),
        (here.readings.power.site, there.readings.power.site),
        (here.readings.power.battery, there.readings.power.battery),
        (here.readings.charge.remaining, there.readings.charge.remaining),
    ] {
        assert!(near(one, other, 0.5), "{one:?} {other:?}");
    }
    assert_eq!(here.readings.grid, there.readings.grid);
    assert_eq!(
        (&here.readings.firmware, &here.readings.din),
        (&there.readings.firmware, &there.readings.din)
    );
    let serials = |site: &crate::model::Site| {
        let units = site.units.clone().unwrap_or_default();
        units.into_iter().map(|unit| (unit.number, unit.serial, unit.kind, unit.alerts)).collect::<Vec<_>>()
    };
    assert_eq!(serials(&here), serials(&there));
    let names = |site: &crate::model::Site| {
        site.strings.clone().map(|strings| strings.into_iter().map(|string| string.name).collect::<Vec<_>>())
    };
    assert_eq!(names(&here), names(&there));
}

#[tokio::test(start_paused = true)]
async fn who_is_silent_is_told_apart() {
    let reports = Reports::default();
    let place = Place { site: "north.17".into(), gateway: "home".into() };
    let mut link = BrokerLink::new(place.clone(), reports.clone(), Some(Role::Operator));
    let mut error = async || match link.poll().await {
        Err(LinkError::Broker(error)) => Some(error),
        Err(other) => panic!("{other}"),
        Ok(_) => None,
    };
    assert_eq!(error().await, Some(BrokerError::NoConnection));
    reports.connected(None, true);
    assert!(matches!(error().await, Some(BrokerError::NeverReported { .. })));
    let mut report = Report { v: VERSION, site: Some(Default::default()), ..Report::default() };
    report.polls.fresh = "live".into();
    let take = |report: &Report| {
        reports.take(place.clone(), Received { report: report.clone(), said: Instant::now() })
    };
    take(&report);
    assert_eq!(error().await, None);
    tokio::time::advance(Duration::from_secs(80)).await;
    assert!(matches!(error().await, Some(BrokerError::SiteSilent { .. })));
    report.polls.fresh = "stale".into();
    report.polls.error = Some(("timeout".into(), "no answer within 5000 ms".into()));
    take(&report);
    let at_site = error().await.unwrap();
    assert!(at_site.to_string().contains("no answer within 5000 ms"), "{at_site}");
    report.instance.leaves = true;
    take(&report);
    assert!(matches!(error().await, Some(BrokerError::SiteStopped { .. })));
    reports.forget(&place);
    assert!(matches!(error().await, Some(BrokerError::NeverReported { .. })));
}

#[test]
fn a_later_version_and_what_is_too_large_are_refused() {
    let later = Report { v: VERSION + 1, ..Report::default() }.to_bytes();
    assert!(Report::read(&later).unwrap_err().to_string().contains("update"));
    assert!(Report::read(&vec![b' '; wire::LARGEST + 1]).is_err());
    assert!(Report::read(&[b'['; 5000]).is_err());
    assert!(Report::read(br#"{"v":1,"new":{"member":[1]},"gateway":{"name":"x","more":1}}"#).is_ok());
}

proptest! {
    /// Whatever comes over the broker.
    #[test]
    fn nothing_that_comes_makes_it_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..400),
        at in 0usize..1400,
    ) {
        let _ = Report::read(&bytes);
        let mut report = Report { v: VERSION, ..Report::default() }.to_bytes();
        let at = at % report.len();
        report[at] = bytes.first().copied().unwrap_or_default();
        if let Ok(report) = Report::read(&report) {
            let _ = (report.to_bytes(), report.freshness());
        }
        let _ = (Errand::read(&bytes), Reply::read(&bytes));
    }
}
