//! A gateway that is no longer among those of a site goes from the bucket and from the centre, also when the
//! program did not run at that moment.

use powerwall_server::simulator::{GatewayHandle, SiteKind, SiteOptions};
use serde_json::json;
use tempfile::TempDir;

use super::centre::centre;
use super::program::Program;
use super::server::{SITE, Server, until};

async fn site(gateways: &[&GatewayHandle], url: &str, folder: &TempDir) -> Program {
    let list = json!(gateways.iter().map(|gateway| gateway.customer_settings()).collect::<Vec<_>>());
    let (list, folder) = (list.to_string(), folder.path().to_str().unwrap());
    let environment = [
        ("PW_GATEWAYS", list.as_str()),
        ("PW_AUTH_PATH", folder),
        ("PW_TIMESERIES_PATH", folder),
        ("PW_PORT", "0"),
        ("PW_BIND_ADDRESS", "127.0.0.1"),
        ("PW_BROKER_URL", url),
        ("PW_BROKER_SITE", SITE),
    ];
    Program::start(&["serve"], &environment).await
}

#[actix_web::test]
async fn a_gateway_that_a_site_has_no_more_goes_from_the_bucket_and_the_centre() {
    let Some(server) = Server::start().await else { return };
    let gateway =
        async |id: &str| GatewayHandle::start(SiteOptions::new(id, id, SiteKind::Powerwall2)).await.unwrap();
    let (home, barn, folder) = (gateway("home").await, gateway("barn").await, tempfile::tempdir().unwrap());
    let centre = centre(&server.url(), &[]).await;
    let seen = async |id: &str| !centre.health(id).await.is_null();
    let mut program = site(&[&home, &barn], &server.url(), &folder).await;
    until(async || seen("north-17-home").await && seen("north-17-barn").await).await;
    program.signal("KILL").await;
    program.ended().await;

    let _program = site(&[&home], &server.url(), &folder).await;
    until(async || !seen("north-17-barn").await).await;
    assert!(seen("north-17-home").await, "the other one stays");
    let bucket = server.jetstream().await.get_key_value("powerwall_sites").await.unwrap();
    assert_eq!(bucket.get("north.17.barn").await.unwrap(), None);
    assert!(bucket.get("north.17.home").await.unwrap().is_some());
}
