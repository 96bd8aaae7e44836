use bytes::Bytes;
use serde_json::{Value, json};

use super::*;
use crate::model::answers::interpreted;
use crate::model::{Number, Telemetry};
use crate::simulator::vitals_bytes;
use crate::views::View;
use proptest::prelude::*;

fn golden() -> Value {
    serde_json::from_str(include_str!("../../../../tests/fixtures/golden/proxy-t97-local_fresh.json"))
        .unwrap()
}

/// What the recorded gateway answered.
fn recorded(with_vitals: bool) -> CustomerAnswers {
    let golden = golden();
    let body = |path: &str| Bytes::from(golden[path]["json"].to_string());
    let mut answers = CustomerAnswers::default();
    for (endpoint, path) in [
        (Endpoint::Aggregates, "/api/meters/aggregates"),
        (Endpoint::GridStatus, "/api/system_status/grid_status"),
        // The same path of the proxy is on another scale.
        (Endpoint::StateOfEnergy, "/soe"),
        (Endpoint::Status, "/api/status"),
        (Endpoint::SiteInfo, "/api/site_info"),
        (Endpoint::SiteName, "/api/site_info/site_name"),
        (Endpoint::SolarPowerwall, "/api/solar_powerwall"),
    ] {
        answers.accept(endpoint, body(path)).unwrap();
    }
    if with_vitals {
        answers.accept(Endpoint::Vitals, vitals_bytes(&golden["/pw/vitals"]["json"])).unwrap();
    }
    answers
}

fn telemetry(answers: CustomerAnswers) -> std::sync::Arc<Telemetry> {
    Telemetry::new(Arc::new(answers), Adjustments::default())
}

#[test]
fn bodies_are_those_the_proxy_was_recorded_with() {
    let (golden, telemetry) = (golden(), telemetry(recorded(true)));
    for (path, view) in [
        ("/aggregates", View::Aggregates),
        ("/vitals", View::Vitals),
        ("/pw/vitals", View::Vitals),
        ("/strings", View::Strings),
        ("/temps", View::Temps),
        ("/temps/pw", View::TempsPw),
        ("/version", View::Version),
        ("/fans", View::Fans),
        ("/fans/pw", View::FansPw),
        ("/api/status", View::Status),
        ("/api/site_info", View::SiteInfo),
        ("/api/system_status/grid_status", View::GridStatus),
        ("/tedapi/status", View::TedapiStatus),
        ("/tedapi/components", View::TedapiComponents),
        ("/pw/level", View::PwLevel),
        ("/pw/power", View::PwPower),
        ("/pw/din", View::PwDin),
        ("/pw/site_name", View::PwSiteName),
        ("/pw/uptime", View::PwUptime),
        ("/pw/strings", View::PwStrings),
    ] {
        let ours: Value = serde_json::from_slice(&telemetry.view(view)).unwrap();
        let theirs = &golden[path]["json"];
        match path.starts_with("/tedapi/") {
            true => assert!(ours["error"].is_string() && theirs["error"].is_string()),
            false => assert_eq!(&ours, theirs, "{path}"),
        }
    }
    assert_eq!(telemetry.view(View::Csv), golden["/csv"]["text"].as_str().unwrap());
    // Where theirs sends 0 for what it does not know, or lists units by other names, ours does not.
    for (path, view) in [("/freq", View::Freq), ("/pod", View::Pod), ("/json", View::Json)] {
        let ours: Value = serde_json::from_slice(&telemetry.view(view)).unwrap();
        for (key, theirs) in golden[path]["json"].as_object().unwrap() {
            let unknown = theirs == &json!(0) && ours[key].is_null();
            assert!(ours[key] == *theirs || unknown, "{path} {key}: {} instead of {theirs}", ours[key]);
        }
    }
    let mut alerts: Vec<String> = serde_json::from_value(golden["/alerts"]["json"].clone()).unwrap();
    alerts.sort_unstable();
    assert_eq!(*telemetry.site().alerts.as_ref().unwrap(), alerts);
}

#[test]
fn without_vitals_strings_and_alerts_come_from_the_inverter() {
    let telemetry = telemetry(recorded(false));
    let strings = &telemetry.documents().strings;
    assert_eq!(strings["A"], json!({ "Connected": true, "Voltage": 10.3, "Current": 0, "Power": 0 }));
    assert_eq!(strings.as_object().unwrap().len(), 4);
    let alerts = ["PVS_a018_MciStringB", "PVS_a059_MciOpen", "SystemConnectedToGrid"];
    assert_eq!(*telemetry.site().alerts.as_ref().unwrap(), alerts);
}

#[test]
fn what_the_operator_wants_changed_is_changed_in_readings_and_documents_alike() {
    let mut answers = CustomerAnswers::default();
    let body = concat!(
        r#"{"site":{"instant_power":30,"energy_imported":7},"solar":{"instant_power":-40},"#,
        r#""load":{"instant_power":500}}"#,
    );
    answers.accept(Endpoint::Aggregates, Bytes::from_static(body.as_bytes())).unwrap();
    let adjustments =
        Adjustments { keep_negative_solar: false, site_zero_threshold: 50.0, ..Adjustments::default() };
    let power = answers.readings(&adjustments).power;
    assert_eq!((power.site, power.solar, power.load), (Some(0.into()), Some(0.into()), Some(540.into())));
    assert_eq!(power.battery, None);
    let expected = concat!(
        r#"{"site":{"instant_power":0,"energy_imported":7},"solar":{"instant_power":0},"#,
        r#""load":{"instant_power":540}}"#,
    );
    assert_eq!(interpreted(&answers, &adjustments).documents.aggregates.to_string(), expected);
}

#[test]
fn a_forgotten_answer_takes_its_readings_along_and_a_bad_one_changes_nothing() {
    let mut answers = recorded(true);
    assert_eq!(answers.firmware(), Some((23, 44)));
    for bad in ["", "null", "[1]", "{", "<html>"] {
        answers.accept(Endpoint::StateOfEnergy, Bytes::from_static(bad.as_bytes())).unwrap_err();
        answers.accept(Endpoint::Aggregates, Bytes::from_static(bad.as_bytes())).unwrap_err();
    }
    let before = answers.readings(&Adjustments::default());
    assert_eq!(before.charge.state_of_energy().unwrap().0, 23.975_388);
    answers.forget(Endpoint::StateOfEnergy);
    answers.forget(Endpoint::GridStatus);
    let after = answers.readings(&Adjustments::default());
    assert_eq!((after.charge.state_of_energy(), after.grid), (None, None));
    assert_eq!(after.power, before.power);
}

#[test]
fn a_percentage_works_out_hours_only_with_energy() {
    let mut answers = recorded(true);
    assert_eq!(answers.readings(&Adjustments::default()).time_remaining, None);
    let body = r#"{"nominal_energy_remaining":4500,"nominal_full_pack_energy":13500}"#;
    answers.accept(Endpoint::SystemStatus, Bytes::from_static(body.as_bytes())).unwrap();
    let readings = answers.readings(&Adjustments::default());
    assert_eq!(readings.time_remaining, Some(Number::Float(5.0)));
    assert_eq!(readings.charge.state_of_energy().unwrap().0, 23.975_388, "the gateway's own word counts");
    assert_eq!(
        interpreted(&answers, &Adjustments::default()).documents.system_status["battery_blocks"],
        json!([])
    );
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), text in ".{0,80}") {
        let mut answers = CustomerAnswers::default();
        for endpoint in Endpoint::ALL {
            let _ = answers.accept(endpoint, bytes.clone().into());
            let body = format!(r#"{{"{endpoint:?}":{text:?},"percentage":1e999}}"#);
            let _ = answers.accept(endpoint, body.into());
        }
        let _ = interpreted(&answers, &Adjustments::default()).documents;
        let _ = answers.readings(&Adjustments::default());
    }

    /// A truncated list may be a shorter list, but never something else.
    #[test]
    fn a_cut_list_of_devices_is_refused_or_shorter(cut in 0_usize..7000) {
        let whole = vitals_bytes(&golden()["/pw/vitals"]["json"]);
        let part = whole.slice(..cut.min(whole.len()));
        if let Ok(devices) = vitals::decode(&part) {
            let document = vitals::document(devices);
            let all = golden()["/pw/vitals"]["json"].clone();
            for (din, block) in document.as_object().unwrap() {
                prop_assert_eq!(block, &all[din]);
            }
        }
    }
}
