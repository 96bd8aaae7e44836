//! The permissions of `config/nats/nats-server.conf`: what a site and a centre need works with them, and a
//! site that tries to break out gets nowhere.

use std::time::Duration;

use async_nats::jetstream;
use async_nats::{Client, ConnectOptions};
use futures_util::StreamExt;
use powerwall_server::simulator::{GatewayHandle, SiteKind, SiteOptions};
use serde_json::Value;
use tokio::time::timeout;

use super::centre::{HOME, centre, order, site};
use super::server::{SITE, Server, until};

const CONFIGURATION: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/config/nats/nats-server.conf");
const PASSWORDS: [(&str, &str); 3] = [
    ("CENTRE_PASSWORD", "of-the-centre"),
    ("NORTH_17_PASSWORD", "of-north"),
    ("SOUTH_1_PASSWORD", "of-south"),
];

async fn client(server: &Server, user: &str, password: &str, inbox: &str) -> Client {
    let options = ConnectOptions::with_user_and_password(user.into(), password.into());
    let options = options.custom_inbox_prefix(inbox).request_timeout(Some(Duration::from_secs(1)));
    options.connect(server.url()).await.unwrap()
}

/// The server has read everything that `client` sent before.
async fn read_by_server(client: &Client) {
    client.flush().await.unwrap();
    // Publishing and subscribing are answered in order by the answer to this, whatever it says.
    let _ = client.request("powerwall.orders.nowhere", Vec::new().into()).await;
}

#[actix_web::test]
async fn a_site_reads_and_writes_what_is_its_own_and_nothing_else() {
    let Some(server) = Server::with(CONFIGURATION, &PASSWORDS).await else { return };
    let gateway = GatewayHandle::start(SiteOptions::new("home", "Home", SiteKind::Powerwall2)).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let at = |user: &str, password: &str| server.url().replace("://", &format!("://{user}:{password}@"));
    let centre = centre(&at("centre", "of-the-centre"), &[("PW_BROKER_ORDERS", "yes")]).await;
    let _site = site(&gateway, &at(SITE, "of-north"), &folder, "yes").await;
    // All of it works with the permissions: report, bucket, journal, order and answer.
    until(async || centre.json(&format!("/api/gateways/{HOME}")).await["online"] == true).await;
    until(async || order(&centre, 35).await.1["outcome"] == "stored").await;
    let reader = client(&server, "centre", "of-the-centre", "_INBOX").await;
    let jetstream = jetstream::new(reader.clone());
    let count = async |stream: &str| jetstream.get_stream(stream).await.unwrap().cached_info().state.messages;
    until(async || count("powerwall_journal").await > 0).await;

    let thief = client(&server, "south.1", "of-south", "_INBOX_south.1").await;
    let before = (count("powerwall_journal").await, count("powerwall_slots").await);
    let mut heard = Vec::new();
    for subject in ["powerwall.orders.>", "powerwall.orders.north.17.*", "_INBOX.>", "_INBOX_north.17.>", ">"]
    {
        heard.push(thief.subscribe(subject).await.unwrap());
    }
    for subject in [
        "$KV.powerwall_sites.north.17.home",
        "$KV.powerwall_sites.north.18.home",
        "powerwall.slots.north.17.home",
        "powerwall.journal.north.17",
        "powerwall.orders.north.17.home",
        "_INBOX.x",
    ] {
        thief.publish(subject, r#"{"v":1}"#.into()).await.unwrap();
    }
    for asked in [
        "STREAM.DELETE.powerwall_journal",
        "STREAM.PURGE.powerwall_journal",
        "STREAM.UPDATE.powerwall_journal",
        "STREAM.CREATE.stolen",
        "STREAM.MSG.GET.powerwall_journal",
        "CONSUMER.CREATE.powerwall_journal",
        "DIRECT.GET.powerwall_journal.powerwall.journal.north.17",
        "DIRECT.GET.KV_powerwall_sites.$KV.powerwall_sites.north.17.home",
    ] {
        let answer = thief.request(format!("$JS.API.{asked}"), "{}".into()).await;
        assert!(answer.is_err(), "{asked}: {answer:?}");
    }
    read_by_server(&thief).await;
    // What the centre orders is heard by the site alone.
    let ordered = order(&centre, 40).await.1;
    assert_eq!(ordered["outcome"], "stored", "{ordered}");
    for subscription in &mut heard {
        let message = timeout(Duration::from_millis(50), subscription.next()).await;
        assert!(!matches!(message, Ok(Some(_))), "{message:?}");
    }
    let bucket = jetstream.get_key_value("powerwall_sites").await.unwrap();
    let report: Value = serde_json::from_slice(&bucket.get("north.17.home").await.unwrap().unwrap()).unwrap();
    assert!(report["gateway"].is_object(), "{report}");
    assert_eq!(bucket.get("north.18.home").await.unwrap(), None);
    assert!(count("powerwall_journal").await >= before.0);
    assert_eq!(count("powerwall_slots").await, before.1);
    let wrong = ConnectOptions::with_user_and_password("south.1".into(), "of-north".into());
    assert!(wrong.connect(server.url()).await.is_err(), "another site's password");
}
