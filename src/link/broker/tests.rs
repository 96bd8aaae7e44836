use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::answers::BrokerAnswers;
use super::error::BrokerError;
use super::reported::{Device, Meters, Reported};
use super::reports::{Place, Received, Reports};
use super::wire::{Instance, Report, VERSION};
use super::*;
use crate::link::connect_lazily;
use crate::model::order::{Islanding, NewTariff};
use crate::model::{
    Adjustments, Counter, NumberingMemory, Reading, Site, Snapshot, Telemetry, Ttl, Unit, UnitTemperatures,
};
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
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().display().to_string();
    let environment = vec![("PW_GATEWAYS".to_owned(), list), ("PW_AUTH_PATH".to_owned(), path)];
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
    // As it is after a day.
    (small.seq, small.at, small.polls.age_ms) = (17_280, 1_795_000_001.234, Some(1234));
    small.gateway.link = Some("v1r".into());
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
    let serials = |site: &Site| {
        let units = site.units.clone().unwrap_or_default();
        let about = |unit: Unit| {
            let Unit { number, serial, part, kind, is_leader, attached_to, temperatures, alerts, .. } = unit;
            let UnitTemperatures { pack_max, pack_min, ambient, heatsink } = temperatures;
            let celsius = [pack_max, pack_min, ambient, heatsink]
                .map(|celsius| celsius.map(|it| (it.as_f64() * 10.0).round()));
            (number, serial, part, kind, is_leader, attached_to, celsius, alerts)
        };
        units.into_iter().map(about).collect::<Vec<_>>()
    };
    assert_eq!(serials(&here), serials(&there));
    let counters = |site: &Site| {
        let meters = site.meters.as_ref().unwrap();
        let each = [&meters.site, &meters.battery, &meters.load, &meters.solar];
        let whole = |counter: Option<Counter>| counter.map(|it| (it.energy.as_f64().round(), it.source));
        each.map(|meter| [meter.imported, meter.exported].map(whole))
    };
    assert_eq!(counters(&here), counters(&there));
    assert!(counters(&here)[0][0].is_some());
    let names = |site: &Site| {
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

#[actix_web::test]
async fn what_is_offered_is_what_the_site_takes_and_both_allow() {
    let snapshot = snapshot().await;
    let capabilities = snapshot.health.capabilities.clone();
    let able = |kind| capabilities.iter().any(|one| one.order == kind && one.by.is_ok());
    let roles = [None, Some(Role::Operator), Some(Role::Owner)];
    for (here, there) in roles.into_iter().flat_map(|here| roles.map(|there| (here, there))) {
        let place = Place { site: "north.17".into(), gateway: "home".into() };
        let reports = Reports::default();
        let instance = Instance { orders: there.map(|role| role.word().into()), ..instance() };
        let report = Report::of(&snapshot, &instance, (Instant::now(), 1_795_000_001.0));
        let report = Report::read(&report.to_bytes()).unwrap();
        reports.take(place.clone(), Received { report, said: Instant::now() });
        let link = BrokerLink::new(place, reports, here);
        for kind in OrderKind::ALL {
            let may = |role: Option<Role>| role.is_some_and(|role| role.may_order(*kind));
            let can = link.can_take(*kind);
            assert_eq!(
                can.is_ok(),
                may(here) && may(there) && able(*kind),
                "{kind} {here:?} {there:?} {can:?}"
            );
            let Err(unable) = can else { continue };
            let (obstacle, who) = match (may(here), may(there)) {
                (false, _) => (Obstacle::NoPermission, "here"),
                (_, false) => (Obstacle::NoPermission, "there allows it"),
                _ => (Obstacle::NoLink, "no link"),
            };
            assert!(
                unable.obstacle == obstacle && unable.message.contains(who),
                "{kind} {here:?}: {unable:?}"
            );
        }
        let proof = |kind| link.can_take(kind).map(|means| means.proves);
        if (here, there) == (Some(Role::Owner), Some(Role::Owner)) {
            assert_eq!(proof(OrderKind::ReserveHold), Ok(Proof::Stored));
            assert_eq!(proof(OrderKind::Dispatch), Ok(Proof::InEffect));
        }
    }
}

/// The members of `value`, as `docs/fleet.md` writes them.
fn members(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    let meters = ["grid", "battery", "load", "solar", "generator"];
    match value {
        Value::Object(fields) if !["can", "cannot"].contains(&path) => {
            for (key, field) in fields {
                let key =
                    if path == "site.meters" && meters.contains(&key.as_str()) { "{meter}" } else { key };
                let dot = if path.is_empty() { "" } else { "." };
                members(field, &format!("{path}{dot}{key}"), found);
            }
        }
        Value::Array(list) if list.iter().any(Value::is_object) => {
            list.iter().for_each(|entry| members(entry, &format!("{path}[]"), found));
        }
        _ => _ = found.insert(path.to_owned()),
    }
}

#[actix_web::test]
async fn what_a_report_has_is_documented_and_nothing_else_is() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/fleet.md");
    let page = std::fs::read_to_string(page).unwrap();
    let table = page.split("### The report").nth(1).unwrap().split("\n## ").next().unwrap();
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let documented: BTreeSet<String> = rows.map(str::to_owned).collect();
    // Whatever a report may have, …
    let meters = Meters { generator: Some(Default::default()), ..Meters::default() };
    let units = Some(vec![Device::default()]);
    let site = Some(Arc::new(Reported { meters: Some(meters), units, ..Reported::default() }));
    let everything = Report { site, ..Report::default() };
    let mut written = BTreeSet::new();
    members(&serde_json::to_value(&everything).unwrap(), "", &mut written);
    assert_eq!(written, documented);
    // … and one that is real.
    let report = Report::of(&snapshot().await, &instance(), (Instant::now(), 1.0));
    let mut real = BTreeSet::new();
    members(&serde_json::from_slice(&report.to_bytes()).unwrap(), "", &mut real);
    assert!(real.is_subset(&documented) && real.len() > 40, "{:?}", real.difference(&documented));
}

#[test]
fn an_order_arrives_as_it_was_given_also_a_tariff() {
    let content = json!({ "name": "Nights", "seasons": { "All": { "prices": vec![vec![0.25; 500]; 20] } } });
    let settings = json!({ "tariff_content_v2": content });
    let tariff = NewTariff::new(settings.as_object().unwrap().clone()).unwrap();
    for order in [Order::Tariff(tariff), Order::Islanding(Islanding::OffGrid), Order::Resume] {
        let errand = Errand {
            v: VERSION,
            id: "1".into(),
            order: order.kind().word().into(),
            value: order.whole_value(),
            deadline: 1.0,
            ttl_ms: 1,
            by: "somebody".into(),
            confirmed: false,
        };
        assert_eq!(Errand::read(&errand.to_bytes()).unwrap().order(), Some(order));
    }
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
