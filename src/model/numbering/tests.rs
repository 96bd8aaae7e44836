use bytes::Bytes;
use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::link::tedapi::answers::TedapiAnswers;
use crate::model::{Adjustments, Telemetry};
use crate::views::View;

const POWERWALL3: &str = "pw3_leader_follower_expansion_trm_dropout";
const POWERWALL2: &str = "pw2_two_units_tepod";

/// What a recorded site says, changed by a test.
fn input(site: &str) -> Value {
    let golden: Value =
        serde_json::from_str(include_str!("../../../tests/fixtures/tedapi/golden.json")).unwrap();
    golden[site]["input"].clone()
}

fn said(input: &Value, memory: &Arc<NumberingMemory>) -> Arc<Telemetry> {
    let bytes = |value: &Value| Bytes::from(value.to_string());
    let mut payloads = TedapiAnswers::new("192.168.91.1");
    payloads.accept_config(bytes(&input["config"])).unwrap();
    payloads.accept_controller(bytes(&input["device_controller"])).unwrap();
    for (din, components) in input["components_by_din"].as_object().into_iter().flatten() {
        payloads.accept_components(din, bytes(components)).unwrap();
    }
    Telemetry::remembering(Arc::new(payloads), Adjustments::default(), memory.clone())
}

/// Every body with numbers in it, as sets of values: their order may differ.
fn numbered(telemetry: &Telemetry) -> Vec<(String, Value)> {
    let mut values = Vec::new();
    for view in [View::Freq, View::Pod, View::TempsPw, View::FansPw, View::Strings] {
        let body: Value = serde_json::from_slice(&telemetry.view(view)).unwrap();
        let fields = body.as_object().unwrap().iter();
        values.extend(fields.map(|(key, value)| (format!("{view:?} {key}"), value.clone())));
    }
    values.sort_by(|(one, _), (other, _)| one.cmp(other));
    values
}

/// The first two of a list change places; the devices of one slot stand at the same place of each list.
fn swapped(list: &mut Value) {
    if let Some(list) = list.as_array_mut().filter(|list| list.len() > 1) {
        list.swap(0, 1);
    }
}

#[test]
fn units_listed_in_another_order_keep_their_numbers() {
    let mut powerwall3 = input(POWERWALL3);
    let mut powerwall2 = input(POWERWALL2);
    for site in [&mut powerwall3, &mut powerwall2] {
        let memory = Arc::default();
        let before = numbered(&said(site, &memory));
        assert!(before.iter().any(|(key, value)| key == "Freq PW2_PackageSerialNumber" && value.is_string()));
        swapped(&mut site["config"]["battery_blocks"]);
        for bus in ["THC", "POD", "PINV", "PVAC", "PVS"] {
            swapped(&mut site["device_controller"]["esCan"]["bus"][bus]);
        }
        let anew = numbered(&said(site, &Arc::default()));
        assert_ne!(anew, before, "who does not remember takes the order of today");
        let remembered = numbered(&said(site, &memory));
        for ((key, before), (_, after)) in before.iter().zip(&remembered) {
            assert_eq!(after, before, "{key}");
        }
        assert_eq!(remembered.len(), before.len());
    }
}

#[test]
fn a_unit_that_does_not_answer_keeps_its_place() {
    let whole = input(POWERWALL3);
    let expected = numbered(&said(&whole, &Arc::default()));
    let dins: Vec<&String> = whole["components_by_din"].as_object().unwrap().keys().collect();
    for silent in dins {
        let mut part = whole.clone();
        part["components_by_din"].as_object_mut().unwrap().remove(silent);
        let memory = Arc::default();
        let first = numbered(&said(&part, &memory));
        for (key, value) in &first {
            let same = expected.iter().find(|(known, _)| known == key).unwrap_or_else(|| panic!("{key}"));
            assert!(value.is_null() || *value == same.1, "{silent} is silent: {key} is {value}");
        }
        assert!(first.iter().filter(|(_, value)| !value.is_null()).count() > 20);
        assert_eq!(numbered(&said(&whole, &memory)), expected, "once {silent} answers");
    }
}

#[test]
fn another_site_is_numbered_anew() {
    let memory = Arc::default();
    said(&input(POWERWALL3), &memory).documents();
    let fresh = Arc::default();
    assert_eq!(numbered(&said(&input(POWERWALL2), &memory)), numbered(&said(&input(POWERWALL2), &fresh)));
}

#[test]
fn what_was_known_before_the_start_comes_first() {
    let before = Numbering { units: vec!["b".into(), "a".into()], ..Numbering::default() };
    let memory =
        NumberingMemory::of(Numbering { units: vec!["a".into(), "c".into()], ..Numbering::default() });
    memory.recall(before);
    assert_eq!(memory.known().units, ["b", "a", "c"]);
}

proptest! {
    #[test]
    fn a_number_never_passes_to_another(polls in prop::collection::vec(
        prop::sample::subsequence(vec!["a", "b", "c", "d", "e"], 1..=5).prop_shuffle(), 1..20,
    )) {
        let mut known: Vec<String> = Vec::new();
        for seen in polls {
            let seen: Vec<String> = seen.into_iter().map(str::to_owned).collect();
            let before = known.clone();
            meet(&mut known, &seen);
            prop_assert!(seen.iter().all(|name| known.contains(name)));
            let is_other_site = before.iter().all(|name| !seen.contains(name));
            prop_assert!(is_other_site || known.starts_with(&before));
        }
    }

    #[test]
    fn memory_is_bounded(names in prop::collection::vec("[a-z]{0,200}", 0..200)) {
        let mut known = Vec::new();
        meet(&mut known, &names);
        prop_assert!(known.len() <= MOST && known.iter().all(|name| name.len() <= LONGEST_NAME));
    }
}
