use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};

use super::*;
use crate::link::tedapi::answers::{SystemInfo, TedapiAnswers};
use crate::model::Adjustments;

/// What the gateway of a golden site says, with everything fetched.
pub(crate) fn telemetry(site: &str) -> std::sync::Arc<Telemetry> {
    let golden: Value =
        serde_json::from_str(include_str!("../../tests/fixtures/tedapi/golden.json")).unwrap();
    let input = &golden[site]["input"];
    let bytes = |value: &Value| Bytes::from(value.to_string());
    let mut payloads = TedapiAnswers::new("192.168.91.1");
    payloads.accept_config(bytes(&input["config"])).unwrap();
    payloads.accept_controller(bytes(&input["device_controller"])).unwrap();
    for (din, components) in input["components_by_din"].as_object().unwrap() {
        payloads.accept_components(din, bytes(components)).unwrap();
    }
    payloads.accept_system_info(SystemInfo {
        version: Some("26.26.11 c4db63ce".into()),
        ..SystemInfo::default()
    });
    Telemetry::new(Arc::new(payloads), Adjustments::default())
}

fn view(telemetry: &Telemetry, view: View) -> Value {
    serde_json::from_slice(&telemetry.view(view)).unwrap()
}

#[test]
fn every_number_of_a_unit_means_the_same_unit_everywhere() {
    let telemetry = telemetry("pw3_leader_follower_expansion_trm_dropout");
    let (freq, pod) = (view(&telemetry, View::Freq), view(&telemetry, View::Pod));
    let serials = ["TG1250000001A1", "TG1250000002B2", "TG1250000003C3"];
    for (number, serial) in (1..).zip(serials) {
        let key = format!("PW{number}_PackageSerialNumber");
        assert_eq!((&freq[&key], &pod[&key]), (&json!(serial), &json!(serial)));
        assert!(pod[format!("PW{number}_name")].as_str().unwrap().ends_with(serial));
    }
    assert_eq!(pod["PW3_attached_to"], "PW1");
    assert_eq!(pod["PW2_Type"], "Powerwall3Follower");
    assert_eq!(pod["PW3_POD_nom_full_pack_energy"], 13_200);
    let temps = view(&telemetry, View::TempsPw);
    assert_eq!(temps, json!({ "PW1_temp": 39.7, "PW2_temp": 39.5, "PW3_temp": 38.0 }));
    assert_eq!(freq["grid_status"], 1);
    let fans = view(&telemetry, View::FansPw);
    assert_eq!(
        (&fans["FAN3_actual"], &fans["FAN3_target"], &fans["FAN3_duty"]),
        (&json!(1000), &Value::Null, &json!(5.1000000000000005))
    );
}

#[test]
fn flags_are_numbers_and_unknown_flags_are_null() {
    let pod = view(&telemetry("pw2_two_units_tepod"), View::Pod);
    assert_eq!(pod["PW1_POD_ActiveHeating"], Value::Null);
    assert_eq!(pod["PW2_POD_nom_energy_remaining"], 0);
    assert_eq!(pod["PW1_off_grid"], Value::Null);
    assert_eq!(numbered_flag(json!(true)), json!(1));
}

fn numbered_flag(value: Value) -> Value {
    super::numbered::flag(value)
}

#[test]
fn a_site_that_says_nothing_shows_no_number() {
    let telemetry = telemetry("site_manager_down_null_config");
    let json = view(&telemetry, View::Json);
    assert!(
        json.as_object()
            .unwrap()
            .iter()
            .filter(|(key, _)| *key != "strings")
            .all(|(_, value)| value.is_null())
    );
    assert_eq!(telemetry.view(View::Csv), ",,,,\n");
    assert_eq!(telemetry.view(View::CsvV2), ",,,,,,\n");
    assert_eq!(view(&telemetry, View::Soe), json!({ "percentage": null, "raw_percentage": null }));
    assert_eq!(view(&telemetry, View::Freq)["grid_status"], Value::Null);
}

#[test]
fn a_view_is_rendered_once_and_shared() {
    let telemetry = telemetry("pw2_two_units_tepod");
    assert_eq!(telemetry.view(View::Vitals).as_ptr(), telemetry.view(View::Vitals).as_ptr());
}
