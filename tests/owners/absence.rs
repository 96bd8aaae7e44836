//! What a site does not have, or Tesla does not say, is unknown and nothing else.

use serde_json::json;

use super::*;

#[actix_web::test]
async fn a_site_without_a_battery_is_shown_without_one() {
    let options = SiteOptions { number: 3, ..SiteOptions::new("roof", "Roof", SiteKind::Inverter) };
    let (roof, tesla) = (GatewayHandle::start(options).await.unwrap(), OwnersHandle::start().await.unwrap());
    tesla.add(12, &roof);
    let folder = tempfile::tempdir().unwrap();
    tesla.sign_in(folder.path()).unwrap();
    let world = World { house: roof, tesla, folder };
    let service = world.serve(&[]);
    let aggregates = is_read(&service).await;
    assert!(aggregates["solar"]["instant_power"].is_number(), "{aggregates}");
    assert_eq!(aggregates["battery"]["instant_power"], Value::Null, "{aggregates}");
    let charge = get(&service, "/api/system_status/soe").await;
    assert!(charge["percentage"].is_null(), "{charge}");
    service.stop().await;
}

#[actix_web::test]
async fn a_live_status_of_nothing_is_trouble_and_no_value() {
    for nothing in [Value::Null, json!(""), json!([])] {
        let world = world().await;
        world.tesla.report_instead("live_status", nothing.clone());
        let service = world.serve(&[]);
        let kind = |body: &Value| body["gateways"][0]["last_error"]["kind"].is_string();
        let health = becomes(&service, "/health/gateways", "an error", kind).await;
        let kind = &health["gateways"][0]["last_error"]["kind"];
        assert!(["offline", "malformed"].map(Value::from).contains(kind), "{nothing}: {health}");
        let aggregates = get(&service, "/aggregates").await;
        assert!(!aggregates.to_string().contains("instant_power"), "{nothing}: {aggregates}");
        // Nothing of it is the fault of the tokens.
        assert_eq!(world.tesla.requests("/oauth2"), 0);
        service.stop().await;
    }
}
