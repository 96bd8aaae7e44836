use ring::digest::{SHA256, digest};
use serde_json::Value;

use super::*;
use crate::link::tedapi::queries::Queries;
use crate::link::tedapi::wire::{AUTH_MTLS, AUTH_PRESENCE};
use crate::settings::QuerySet;

fn vectors() -> Value {
    serde_json::from_str(include_str!("../../../../tests/fixtures/wire/vectors.json")).unwrap()
}

fn read(body: Bytes) -> Result<Bytes, LinkError> {
    query_answer(unwrap(body, "the query")?, "the query").map(|(data, _)| data)
}

fn envelope(hex: &Value) -> Bytes {
    unwrap(bytes(hex), "the answer").unwrap()
}

fn bytes(hex: &Value) -> Bytes {
    let hex = hex.as_str().unwrap();
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn requests_are_the_recorded_ones_byte_for_byte() {
    let vectors = vectors();
    let (din, unit) = (vectors["din"].as_str().unwrap(), vectors["follower_din"].as_str().unwrap());
    let gateway = Target::Gateway { din };
    let follower = Target::Unit { gateway: din, unit };
    let leader = Target::Unit { gateway: din, unit: din };
    let (old, new) = (Queries::of(QuerySet::V2024_06), Queries::of(QuerySet::V2026_06));
    let requests = [
        ("basic_config", config(), gateway),
        ("basic_system_info", system_info(), gateway),
        ("V2024_06_device_controller_basic", query(&old.status), gateway),
        ("V2024_06_device_controller_full", query(&old.controller), gateway),
        ("V2024_06_components", query(&old.components), gateway),
        ("V2024_06_components_follower", query(&old.components), follower),
        ("V2024_06_components_leader_multi", query(&old.components), leader),
        ("V2026_06_DeviceControllerQuery", query(&new.status), gateway),
        ("V2026_06_PW3Query", query(&new.components), gateway),
        ("V2026_06_PW3Query_follower", query(&new.components), follower),
    ];
    for (name, payload, target) in requests {
        let auth = if matches!(target, Target::Unit { .. }) { AUTH_MTLS } else { AUTH_PRESENCE };
        let request = wrap(address(payload, target), auth);
        let expected = &vectors["requests"][name];
        assert_eq!(request.len() as u64, expected["len"].as_u64().unwrap(), "{name}");
        let sha256: String = digest(&SHA256, &request).as_ref().iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(sha256, expected["sha256"].as_str().unwrap(), "{name}");
    }
}

#[test]
fn recorded_answers_are_read() {
    let responses = &vectors()["responses"];
    let query = read(bytes(&responses["query_full_message"])).unwrap();
    assert_eq!(query, r#"{"control":{}}"#);
    let config = config_answer(envelope(&responses["config_full_message"])).unwrap();
    assert_eq!(config, r#"{"vin":"1232100-00-E--TG123456789012"}"#);
    let info = system_info_answer(envelope(&responses["system_info_full"])).unwrap();
    assert_eq!(info.din.as_deref(), Some("1707000-11-J--TG987654321ABC"));
    assert!(info.version.is_some() && info.git_hash.is_some(), "{info:?}");
}

#[test]
fn errors_inside_an_answer_are_errors() {
    let responses = &vectors()["responses"];
    let rejected = read(bytes(&responses["query_graphql_error_full"])).unwrap_err();
    assert!(rejected.to_string().contains("unauthorized (code 2)"), "{rejected}");
    let denied = read(bytes(&responses["common_error_response_full"])).unwrap_err();
    assert!(denied.to_string().contains("permission denied (code 7)"), "{denied}");
}

#[test]
fn what_is_no_answer_is_an_error_and_no_panic() {
    let whole = bytes(&vectors()["responses"]["query_full_message"]);
    for junk in
        [Bytes::new(), Bytes::from_static(b"<html>"), whole.slice(1..), whole.slice(..whole.len() / 2)]
    {
        assert_eq!(read(junk).unwrap_err().kind(), "malformed");
    }
    // A bare envelope instead of a frame decodes without complaint, and must not pass for an answer.
    let bare = bytes(&vectors()["responses"]["query_bare_envelope_v1r"]);
    assert_eq!(read(bare).unwrap_err().kind(), "malformed");
}

#[test]
fn what_goes_with_a_token_is_framed_as_recorded() {
    let recorded: Value =
        serde_json::from_str(include_str!("../../../../tests/fixtures/v1r/vectors.json")).unwrap();
    let (din, recorded) = (recorded["din"].as_str().unwrap(), &recorded["bearer"]);
    let gateway = Target::Gateway { din };
    for (name, payload) in [
        ("config_request_body", config()),
        ("V2026_06_DeviceControllerQuery_body", query(&Queries::of(QuerySet::V2026_06).status)),
    ] {
        let request = wrap(address(payload, gateway), AUTH_PRESENCE);
        let sha256: String = digest(&SHA256, &request).as_ref().iter().map(|b| format!("{b:02x}")).collect();
        let expected = &recorded["requests"][name];
        assert_eq!(request.len() as u64, expected["len"].as_u64().unwrap(), "{name}");
        assert_eq!(sha256, expected["sha256"].as_str().unwrap(), "{name}");
    }
    let answers = &recorded["answers"];
    assert_eq!(read(bytes(&answers["response_query_v2026"])).unwrap(), r#"{"control":{}}"#);
    assert_eq!(read(bytes(&answers["response_query_legacy_empty_object"])).unwrap(), "{}");
    assert_eq!(config_answer(envelope(&answers["response_config"])).unwrap(), r#"{"vin":"x"}"#);
}
