use serde_json::json;

use super::*;
use crate::model::{Counter, CounterSource};

/// The site that these documents describe, if nothing else is known.
fn site(vitals: Value, fans: Value, system_status: Value) -> Site {
    let documents = Documents { vitals, fans, system_status, ..Documents::default() };
    alone(documents, Readings::default(), &NumberingMemory::default()).site
}

fn signals(vitals: Value, fans: Value) -> Vec<(String, Vec<(&'static str, f64)>)> {
    let site = site(vitals, fans, Value::Null);
    let known = |device: &crate::model::DeviceSignals| {
        device.known().map(|(signal, value)| (signal.id, value)).collect()
    };
    site.devices.iter().map(|device| (device.serial.clone(), known(device))).collect()
}

#[test]
fn the_vitals_win_and_the_fans_fill_gaps() {
    let vitals = json!({ "PVAC--1--A": { "PVAC_Fan_Speed_Actual_RPM": 900 } });
    let fans = json!({ "PVAC--1--A": { "PVAC_Fan_Speed_Actual_RPM": 1, "PVAC_Fan_Speed_Target_RPM": 950 } });
    assert_eq!(
        signals(vitals, fans),
        [("A".to_owned(), vec![("fan_rpm", 900.0), ("fan_target_rpm", 950.0)])]
    );
}

#[test]
fn what_is_no_number_or_no_serial_is_left_out() {
    let vitals = json!({
        "TEPOD--1--A": { "HVP_PackTempMax": null, "HVP_PackTempMin": true, "HVP_ShuntTemperature": "30" },
        "TEPOD--1--": { "HVP_PackTempMax": 30.0 },
        "NEURIO--1--D": { "HVP_PackTempMax": 30.0 },
        "TETHC--1--E": { "THC_AmbientTemp": 20, "serialNumber": "F" },
    });
    assert_eq!(signals(vitals, Value::Null), [("F".to_owned(), vec![("controller_ambient", 20.0)])]);
}

#[test]
fn fans_that_two_blocks_report_are_there_once() {
    let vitals = json!({
        "PVAC--1--A": { "PVAC_Fan_Speed_Actual_RPM": 900 },
        "TEPINV--1--A": { "PCH_FanSpeed_A": 901 },
    });
    assert_eq!(signals(vitals, Value::Null), [("A".to_owned(), vec![("fan_a_rpm", 901.0)])]);
}

#[test]
fn what_nobody_reported_is_unknown_and_not_empty_or_zero() {
    let nothing = site(Value::Null, Value::Null, Value::Null);
    assert!(nothing.units.is_none() && nothing.strings.is_none() && nothing.alerts.is_none());
    assert!(nothing.fans.is_none() && nothing.temperatures.is_none() && nothing.meters.is_none());
    let status = json!({ "battery_blocks": [{ "PackageSerialNumber": "A", "p_out": "5", "f_out": null }] });
    let units = site(Value::Null, Value::Null, status).units.unwrap();
    assert_eq!((units.len(), units[0].number, units[0].serial.as_str()), (1, 1, "A"));
    assert_eq!((units[0].power, units[0].frequency, units[0].charge.remaining), (None, None, None));
    assert_eq!(units[0].is_leader, None, "no DIN, no leader");
}

#[test]
fn kilowatts_become_watts_to_the_milliwatt() {
    for (kilowatts, expected) in [
        (Number::Float(1.001), Number::Float(1001.0)),
        (Number::Float(-0.37), Number::Float(-370.0)),
        (Number::Float(0.000_001_4), Number::Float(0.001)),
        (Number::Int(3), Number::Float(3000.0)),
        (Number::Int(0), Number::Int(0)),
    ] {
        assert_eq!(watts(kilowatts), Some(expected), "{kilowatts:?}");
    }
    assert_eq!(watts(Number::Float(1e308)), None);
}

#[test]
fn the_start_of_a_gateway_is_a_time() {
    assert_eq!(started(&json!("2026-09-24 21:28:16 -0700")), Some(1_790_310_496));
    assert_eq!(started(&json!("yesterday")), None);
}

#[test]
fn a_counter_says_what_it_was_read_from() {
    let inverter = json!({
        "PINV_LifetimeEnergyCharged": 700, "PINV_LifetimeEnergyDischarged": 600, "serialNumber": "A",
    });
    let vitals = json!({
        "TEPINV--1--A": inverter,
        "TRM--METER": { "TRM_CT0_EnergyImportedWs": 7200, "TRM_CT0_EnergyExportedWs": null },
    });
    let block = json!({ "PackageSerialNumber": "A", "energy_charged": 710, "energy_discharged": "much" });
    let site = site(vitals, Value::Null, json!({ "battery_blocks": [block] }));
    let unit = &site.units.unwrap()[0];
    let counter = |energy: i64, source| Some(Counter { energy: Number::Int(energy), source });
    assert_eq!(unit.charged, counter(710, CounterSource::BatteryBlock));
    assert_eq!(unit.discharged, counter(600, CounterSource::Inverter), "a text is no energy");
    let transformer = &site.remote_meters[0].transformers[0];
    let watt_hours = Counter { energy: Number::Float(2.0), source: CounterSource::RemoteMeter };
    assert_eq!((transformer.imported(), transformer.exported()), (Some(watt_hours), None));

    let meters = meters(&json!({ "site": { "energy_imported": 0 }, "solar": {} })).unwrap();
    assert_eq!(meters.site.imported, counter(0, CounterSource::SiteMeter), "0 is a count");
    assert_eq!((meters.site.exported, meters.solar.exported), (None, None));
}
