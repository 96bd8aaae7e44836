//! Topics, payloads and announcements beside those recorded from the server before ours.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::publisher::Farewell;
use super::{Board, Control, Directory, Mqtt, MqttSettings};
use crate::model::Aggregate;

use super::entities::{Announcement, entities};
use super::values::Values;
use crate::link::vitals::alone;
use crate::model::{
    Charge, Documents, Freshness, GatewayFacts, GatewayKind, GridStatus, Interpretation, Number,
    NumberingMemory, Power, RawPercent, Readings, Site,
};
use crate::settings::{Access, Controls};
use crate::store::journal::Journal;

fn recorded() -> Value {
    serde_json::from_str(include_str!("../../tests/fixtures/mqtt/server-0.13.0.json")).unwrap()
}

fn facts() -> GatewayFacts {
    GatewayFacts { id: "home".into(), name: "Home Powerwall".into(), ..GatewayFacts::default() }
}

/// The recorded input as ours holds it.
fn recorded_input() -> (Readings, Documents) {
    let input = &recorded()["input"]["data"];
    let number = |value: &Value| Number::from_json(value);
    let power = |section: &str| number(&input["aggregates"][section]["instant_power"]);
    let text = |key: &str| input[key].as_str().map(str::to_owned);
    let energy = |key: &str| number(&input["system_status"][key]);
    let readings = Readings {
        power: Power {
            site: power("site"),
            battery: power("battery"),
            load: power("load"),
            solar: power("solar"),
        },
        charge: Charge {
            remaining: energy("nominal_energy_remaining"),
            full_pack: energy("nominal_full_pack_energy"),
            reported: Some(RawPercent(62.5)),
        },
        grid: Some(GridStatus::Up),
        reserve: Some(RawPercent(23.999_999_999_999_996)),
        mode: text("mode"),
        grid_charging: input["grid_charging"].as_bool(),
        grid_export: text("grid_export"),
        time_remaining: number(&input["time_remaining"]),
        firmware: text("version"),
        ..Readings::default()
    };
    let documents = Documents {
        aggregates: input["aggregates"].clone(),
        vitals: input["vitals"].clone(),
        strings: input["strings"].clone(),
        system_status: input["system_status"].clone(),
        ..Documents::default()
    };
    (readings, documents)
}

/// What it means.
fn said() -> Interpretation {
    let (readings, documents) = recorded_input();
    alone(documents, readings, &NumberingMemory::default())
}

fn values(facts: &GatewayFacts, freshness: Freshness, said: &Interpretation) -> Values {
    Values::of_parts(facts, freshness, Some((&said.site, &said.documents)))
}

/// Topics and payloads of a recorded publication.
fn publication(name: &str) -> Vec<(String, String)> {
    let recorded = recorded();
    let messages = recorded[name].as_array().unwrap().iter();
    messages
        .map(|message| (message[0].as_str().unwrap().into(), message[1].as_str().unwrap().into()))
        .collect()
}

/// JSON by its content, everything else by its letters.
fn meaning(payload: &str) -> Value {
    match payload.starts_with(['{', '[']) {
        true => serde_json::from_str(payload).unwrap(),
        false => payload.into(),
    }
}

fn below(base: &str, values: Values) -> Vec<(String, String)> {
    values.0.into_iter().map(|(topic, payload)| (format!("{base}/{topic}"), payload)).collect()
}

#[test]
fn a_live_gateway_says_what_was_recorded() {
    let ours = values(&facts(), Freshness::Live, &said());
    let ours = below("pypowerwall/home", ours);
    let theirs = publication("second_publish");
    for ((topic, payload), (their_topic, their_payload)) in ours.iter().zip(&theirs) {
        assert_eq!((topic, meaning(payload)), (their_topic, meaning(their_payload)));
    }
    assert_eq!(ours.len(), theirs.len());
    let texts = |list: &[(String, String)]| {
        list.iter().filter(|(topic, _)| !topic.ends_with("/aggregates")).cloned().collect::<Vec<_>>()
    };
    assert_eq!(texts(&ours), texts(&theirs), "letter by letter");
}

#[test]
fn a_lost_gateway_says_what_was_recorded() {
    let ours = below("pypowerwall/home", Values::of_parts(&facts(), Freshness::Expired, None));
    let theirs = publication("offline_publish").into_iter();
    let theirs: Vec<_> = theirs.filter(|(topic, _)| topic.starts_with("pypowerwall/")).collect();
    assert_eq!(ours, theirs);
}

#[test]
fn a_failed_poll_does_not_end_the_availability() {
    let values = values(&facts(), Freshness::Stale, &said());
    let values: BTreeMap<_, _> = values.0.into_iter().collect();
    assert_eq!((values["online"].as_str(), values["availability"].as_str()), ("false", "online"));
}

fn announcements(facts: &GatewayFacts, site: &Site) -> Vec<(String, String)> {
    let firmware = site.readings.firmware.as_deref();
    let announcement =
        Announcement { prefix: "pypowerwall", discovery_prefix: "homeassistant", facts, firmware };
    let entities = entities(facts, site);
    entities.iter().map(|entity| (announcement.topic(entity), announcement.document(entity))).collect()
}

fn announced(facts: &GatewayFacts) -> Vec<(String, String)> {
    announcements(facts, &said().site)
}

#[test]
fn entities_are_announced_as_recorded_except_those_that_take_orders() {
    let ours = announced(&facts());
    let takes_orders = |topic: &str| {
        ["number", "button", "select", "switch"]
            .iter()
            .any(|component| topic.starts_with(&format!("homeassistant/{component}/")))
    };
    let theirs = publication("first_publish_after_connect").into_iter();
    let theirs = theirs.filter(|(topic, _)| topic.starts_with("homeassistant/"));
    let (orders, theirs): (Vec<_>, Vec<_>) = theirs.partition(|(topic, _)| takes_orders(topic));
    assert_eq!(ours, theirs, "letter by letter, in the same order");
    let announcement = Announcement {
        prefix: "pypowerwall",
        discovery_prefix: "homeassistant",
        facts: &facts(),
        firmware: Some("26.26.11 abcdef"),
    };
    // Ours say of each whether the gateway can take it now, in a third place.
    let without_the_third = |mut document: Value| {
        document["availability"].as_array_mut().unwrap().truncate(2);
        document
    };
    let kinds = super::controls::KINDS.iter().map(|kind| kind.word()).collect();
    let ours: BTreeMap<String, Value> = (announcement.controls(&kinds).into_iter())
        .map(|(topic, document)| (topic, without_the_third(serde_json::from_str(&document).unwrap())))
        .collect();
    for (topic, document) in &orders {
        let theirs = serde_json::from_str::<Value>(document).unwrap_or_default();
        if !theirs.is_null() {
            assert_eq!(ours[topic], theirs);
        }
    }
    assert!(orders.iter().all(|(topic, _)| ours.contains_key(topic)), "{orders:?}");
    let orders: Vec<String> = orders.into_iter().map(|(topic, _)| topic).collect();
    assert_eq!(announcement.foreign_topics(Controls::default()), orders);
}

#[test]
fn a_gateway_without_batteries_has_no_entity_of_a_battery() {
    let mut said = said();
    said.site.units = None;
    let facts = GatewayFacts { kind: GatewayKind::Inverter, ..facts() };
    let entities = entities(&facts, &said.site);
    let states: Vec<_> = entities.iter().map(|entity| entity.state.as_str()).collect();
    for state in
        ["battery", "battery_raw", "powerwall", "reserve", "mode", "total_capacity", "time_remaining"]
    {
        assert!(!states.contains(&state), "{state}");
    }
    for state in ["solar", "grid", "home", "version", "online", "strings/A/power"] {
        assert!(states.contains(&state), "{state}");
    }
    let values = values(&facts, Freshness::Live, &said);
    assert!(values.0.iter().all(|(topic, _)| topic != "battery" && topic != "powerwall"));
}

#[test]
fn a_gateway_that_says_nothing_has_no_value() {
    let values = values(&facts(), Freshness::Live, &Interpretation::default());
    let topics: Vec<_> = values.0.iter().map(|(topic, _)| topic.as_str()).collect();
    assert_eq!(topics, ["online", "name", "status", "availability"]);
}

#[test]
fn every_unit_belongs_to_a_device_that_is_announced_before_it() {
    let mut known = Vec::new();
    for (_, document) in announced(&facts()) {
        let device = &serde_json::from_str::<Value>(&document).unwrap()["device"];
        known.push(device["identifiers"][0].clone());
        if let Some(via) = device.get("via_device") {
            assert!(known.contains(via), "{via}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_publisher_that_keeps_dying_is_restarted_ever_more_rarely() {
    let restarts = async {
        let settings = MqttSettings { host: Some("127.0.0.1".into()), port: 1, ..MqttSettings::default() };
        let directory = Directory::new(Vec::new(), Arc::new(Board::new(Aggregate::default())));
        let status = Arc::new(Board::new(settings.initial_status()));
        let control = Arc::new(Control::new(Access::default(), Journal::in_memory()));
        let mqtt = Mqtt::start(settings, Arc::new(directory), status, control, 1);
        let newest = || mqtt.publisher.borrow().as_ref().unwrap().addr.borrow().clone().unwrap();
        let mut lifetimes = Vec::new();
        for _ in 0..4 {
            let (killed, dead) = (tokio::time::Instant::now(), newest());
            dead.send(Farewell).await.unwrap();
            while newest() == dead {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            assert!(newest().connected());
            lifetimes.push(killed.elapsed().as_secs());
        }
        lifetimes
    };
    let pauses = tokio::task::LocalSet::new().run_until(restarts).await;
    assert!(pauses[0] <= 1, "{pauses:?}");
    assert!(pauses.windows(2).all(|pair| pair[0] < pair[1]) && pauses[3] >= 30, "{pauses:?}");
}

#[test]
fn batteries_that_are_reported_in_another_order_keep_their_numbers() {
    let numbers = NumberingMemory::default();
    let (readings, documents) = recorded_input();
    let before = alone(documents.clone(), readings.clone(), &numbers);
    let mut reversed = documents;
    reversed.system_status["battery_blocks"].as_array_mut().unwrap().reverse();
    let after = alone(reversed, readings, &numbers);
    let values = |said| values(&facts(), Freshness::Live, said).0;
    assert_eq!(values(&before), values(&after));
    assert_eq!(announcements(&facts(), &before.site), announcements(&facts(), &after.site));
}
