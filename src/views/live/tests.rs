use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::link::tedapi::answers::TedapiAnswers;
use crate::model::order::{LeaseEnd, Mode, Reserve};
use crate::model::{Adjustments, AppPercent, GatewayFacts, LinkKind, OrderId, Reading, Telemetry, Ttl};
use crate::views::tests::telemetry;

const SECOND: Duration = Duration::from_secs(1);

fn section(telemetry: &Telemetry, name: &str) -> Value {
    data(telemetry.site()).into_iter().find(|(known, _)| *known == name).unwrap_or_else(|| panic!("{name}")).1
}

fn snapshot(id: &str, reading: Option<Reading>) -> Snapshot {
    let facts = GatewayFacts { id: id.into(), name: id.to_uppercase(), ..GatewayFacts::default() };
    let ttl = Ttl::new(5 * SECOND, 5 * SECOND, 30 * SECOND, true);
    Snapshot { reading, ..Snapshot::initial(Arc::new(facts), ttl) }
}

fn reading(telemetry: Arc<Telemetry>, taken: Instant) -> Option<Reading> {
    Some(Reading { telemetry, taken, taken_at: 1_795_000_000.123_456 })
}

#[test]
fn units_have_the_numbers_of_the_other_bodies_and_watts() {
    let telemetry = telemetry("pw3_leader_follower_expansion_trm_dropout");
    let units = section(&telemetry, "units");
    let all = |key: &str| units.as_array().unwrap().iter().map(|unit| unit[key].clone()).collect::<Vec<_>>();
    assert_eq!(all("number"), ["PW1", "PW2", "PW3"]);
    assert_eq!(all("serial"), ["…01A1", "…02B2", "…03C3"]);
    assert_eq!(all("kind"), ["powerwall3", "powerwall3", "expansion"]);
    assert_eq!(all("attached_to"), [Value::Null, Value::Null, json!("PW1")]);
    assert_eq!(all("power"), [json!(1500.0), json!(-370.0), Value::Null]);
    assert_eq!(units[0]["temps"][0], json!({ "name": "pack_max", "celsius": 39.7 }));
    assert_eq!(units[1]["fans"][1], json!({ "name": "B", "rpm": 991, "duty": 6.6 }));
    assert_eq!(units[0]["alerts"], json!(["PCH_a054_Example"]));
    let temps = section(&telemetry, "temps");
    assert_eq!(temps[2], json!({ "number": "PW3", "celsius": 38.0 }));
    let fans = section(&telemetry, "fans");
    assert_eq!(
        fans[2],
        json!({ "name": "FAN3", "rpm": 1000, "target_rpm": null, "duty": 5.1000000000000005 })
    );
}

#[test]
fn an_empty_unit_is_at_zero_and_an_unknown_one_is_not() {
    let units = section(&telemetry("pw2_two_units_tepod"), "units");
    assert_eq!((&units[1]["soe"], &units[1]["remaining_wh"]), (&json!(0.0), &json!(0)));
    assert_eq!(units[1]["kind"], "powerwall2");
    assert_eq!(units[0]["power"], 550.0);
    let unknown = &section(&telemetry("pw3_leader_follower_expansion_trm_dropout"), "units")[2];
    for key in ["power", "state", "freq", "voltage", "charge_limit_w", "charged_wh"] {
        assert_eq!(unknown[key], Value::Null, "{key}");
    }
}

#[test]
fn a_gateway_that_reported_its_power_only_has_no_sections_of_devices() {
    let mut payloads = TedapiAnswers::default();
    let status = r#"{"control":{"meterAggregates":[{"location":"SITE","realPowerW":100}]}}"#;
    payloads.accept_status(status.into()).unwrap();
    let telemetry = Telemetry::new(Arc::new(payloads), Adjustments::default());
    let names: Vec<_> = data(telemetry.site()).into_iter().map(|(name, _)| name).collect();
    assert!(
        !names.contains(&"strings") && !names.contains(&"temps") && !names.contains(&"fans"),
        "{names:?}"
    );
    let power = section(&telemetry, "power");
    assert_eq!(power, json!({ "site": 100, "battery": null, "load": null, "solar": null }));
    let energy = section(&telemetry, "energy");
    assert!(energy.as_object().unwrap().values().all(Value::is_null), "{energy}");
}

#[test]
fn warnings_come_first() {
    let names = ["FWUpdateSucceeded", "PVAC_a1", "SelfTest", "SolarMeterComms"].map(str::to_owned);
    assert_eq!(alerts(&names), json!(["PVAC_a1", "SolarMeterComms", "SelfTest", "FWUpdateSucceeded"]));
}

#[test]
fn a_status_has_times_and_no_ages() {
    let telemetry = telemetry("pw2_two_units_tepod");
    let now = Instant::now() + 1000 * SECOND;
    let mut snapshot = snapshot("home", reading(telemetry, now - 20 * SECOND));
    snapshot.health.next_attempt = Some(now + 5 * SECOND);
    snapshot.health.cooldown_until = Some(now + 300 * SECOND);
    let link = |kind, last_success| LinkHealth {
        kind,
        in_use: kind != LinkKind::V1r,
        why: String::new(),
        last_success,
        last_error: None,
        failures: 0,
        next_try: None,
    };
    snapshot.health.links = vec![
        link(LinkKind::V1r, Some(now - 100 * SECOND)),
        link(LinkKind::Tedapi, Some(now - 20 * SECOND)),
        link(LinkKind::Cloud, None),
    ];
    let later = |seconds: u32| Moment { now: now + seconds * SECOND, unix: 5000.0 + f64::from(seconds) };
    let at_once = status(&snapshot, Freshness::Live, later(0));
    assert_eq!(at_once, status(&snapshot, Freshness::Live, later(7)));
    assert_eq!(at_once["taken_at"], 1_795_000_000.123);
    assert_eq!(at_once["next_attempt_at"], 5005.0);
    assert_eq!(at_once["cooldown_until"], 5300.0);
    assert_eq!(status(&snapshot, Freshness::Live, later(301))["cooldown_until"], Value::Null);
    let ways = links(&snapshot, later(0));
    assert_eq!(ways, links(&snapshot, later(7)));
    assert_eq!(ways[1]["last_success_at"], 4980.0);
    let in_use =
        |ways: &Value| ways.as_array().unwrap().iter().map(|way| way["in_use"].clone()).collect::<Vec<_>>();
    assert_eq!(in_use(&ways), [false, true, false]);
}

#[test]
fn orders_are_shown_with_their_target_and_end_and_with_nobody_s_name() {
    let now = Instant::now() + 1000 * SECOND;
    let mut snapshot = snapshot("home", None);
    let later = |seconds: u32| Moment { now: now + seconds * SECOND, unix: 5000.2 + f64::from(seconds) };
    assert_eq!(orders(&snapshot, later(0)), None, "nothing is ordered");
    let reserve = |percent| Order::Reserve(Reserve::new(AppPercent(percent)).unwrap());
    let lease = Lease {
        order: OrderId::new(7),
        leased: reserve(40.0).setpoint().unwrap(),
        former: reserve(20.0).setpoint().unwrap(),
        ends: now + 7200 * SECOND,
        state: LeaseState::Holds,
    };
    let ended = Lease { state: LeaseState::Ended(LeaseEnd::Restored("by somebody".into())), ..lease.clone() };
    snapshot.health.leases = vec![ended].into();
    assert_eq!(orders(&snapshot, later(0)), None, "what is over is no longer shown");
    snapshot.health.leases = vec![lease].into();
    snapshot.health.pending = vec![Order::Mode(Mode::Backup)].into();
    let expected = json!({
        "pending": [{ "order": "mode", "value": "backup" }],
        "leased": [{ "settings": { "reserve": 40.0 }, "until": 12_200.0 }],
    });
    assert_eq!(orders(&snapshot, later(0)), Some(expected.clone()));
    assert_eq!(orders(&snapshot, later(7)), Some(expected), "the clock alone changes nothing");
}

#[test]
fn a_sum_says_who_is_missing_and_why() {
    let telemetry = telemetry("pw2_two_units_tepod");
    let now = Instant::now() + 1000 * SECOND;
    let live = snapshot("live", reading(telemetry.clone(), now));
    let mut expired = snapshot("expired", reading(telemetry, now - 900 * SECOND));
    let message = "the gateway did not answer within 5 s".to_owned();
    expired.health.last_error = Some(ErrorNote { kind: "timeout", message: message.clone() });
    expired.health.consecutive_failures = 9;
    let never = snapshot("never", None);
    let total_of = |snapshots: Vec<Snapshot>| {
        let snapshots: Vec<_> = snapshots.into_iter().map(Arc::new).collect();
        total(&Aggregate::of(&snapshots, now), snapshots.iter().map(Arc::as_ref), now)
    };
    let all = total_of(vec![live, expired.clone(), never.clone()]);
    assert_eq!(all["contributors"], json!(["live"]));
    assert_eq!(
        all["missing"],
        json!([
            { "id": "expired", "name": "EXPIRED", "reason": message, "last_seen_at": 1_795_000_000.123 },
            { "id": "never", "name": "NEVER", "reason": "it has not answered yet", "last_seen_at": null },
        ])
    );
    assert_eq!((&all["online"], &all["gateways"], &all["freshness"]), (&json!(1), &json!(3), &json!("live")));
    let gone = total_of(vec![expired, never.clone()]);
    assert_eq!((&gone["site"], &gone["freshness"]), (&Value::Null, &json!("expired")));
    assert_eq!(total_of(vec![never])["freshness"], "never");
}
