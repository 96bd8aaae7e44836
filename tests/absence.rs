//! A gateway that was not there and comes back, over real sockets: it is polled as soon as it takes a
//! connection, however long the pause would have lasted.

mod common;

use std::sync::Arc;
use std::time::Duration;

use actix::Actor;
use common::SECOND;
use powerwall_server::board::Board;
use powerwall_server::gateway::{GatewayActor, GatewayPlan};
use powerwall_server::link::connect_lazily;
use powerwall_server::model::{Adjustments, Freshness, Snapshot, Ttl};
use powerwall_server::settings::{GatewaySettings, Inputs, RsaKey, Settings};
use powerwall_server::simulator::{GatewayHandle, Registration, Role, SiteKind, SiteOptions};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

const KEY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/v1r/key-4096.pem");
/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
const INTERVAL: Duration = SECOND;

fn options(kind: SiteKind, port: u16) -> SiteOptions {
    SiteOptions { port, ..SiteOptions::new("home", "Home", kind) }
}

async fn start(kind: SiteKind, port: u16) -> GatewayHandle {
    GatewayHandle::start(options(kind, port)).await.unwrap()
}

fn settings(entry: &Value) -> GatewaySettings {
    let folder = tempfile::tempdir().unwrap();
    let environment = vec![
        ("PW_GATEWAYS".to_owned(), json!([entry]).to_string()),
        ("PW_AUTH_PATH".to_owned(), folder.path().display().to_string()),
        ("PW_TIMEOUT".to_owned(), "5".to_owned()),
    ];
    Settings::load(&Inputs { environment, flags: Vec::new() }).unwrap().gateways.remove(0)
}

/// Polls the gateway of `entry`, which is not there, until the pauses have grown to a minute.
async fn outage(entry: &Value) -> Arc<Board<Snapshot>> {
    let settings = settings(entry);
    let ttl = Ttl::new(INTERVAL, settings.timeout, 30 * SECOND, true);
    let board = Arc::new(Board::new(Snapshot::initial(settings.facts.clone(), ttl)));
    let plan = GatewayPlan {
        facts: settings.facts.clone(),
        interval: INTERVAL,
        phase: Duration::ZERO,
        timeout: settings.timeout,
        ttl,
        adjustments: Adjustments::default(),
        seed: 1,
        numbers: None,
        islanding_cooldown: SECOND,
    };
    GatewayActor::new(plan, connect_lazily(&settings), board.clone()).start();
    let began = Instant::now();
    let outage = async {
        while board.read().health.consecutive_failures < 4 {
            // What is refused is refused at once; the time in between need not be waited for.
            sleep(SECOND / 100).await;
            tokio::time::pause();
            tokio::time::advance(SECOND / 2).await;
            tokio::time::resume();
        }
    };
    timeout(1000 * SECOND, outage).await.expect("it fails");
    let health = &board.read().health;
    let ticks = began.elapsed().as_secs() + 1;
    assert!((3..=ticks).contains(&health.bare_connections), "{} in {ticks} s", health.bare_connections);
    board
}

/// The gateway listens again: its data is live long before the pause would have been over.
async fn returns(name: &str, board: &Board<Snapshot>) {
    let pause_ends = board.read().health.next_attempt.unwrap();
    assert!(pause_ends > Instant::now() + 40 * SECOND, "{name}");
    let live = async {
        while board.read().freshness(Instant::now()) != Freshness::Live {
            sleep(SECOND / 50).await;
        }
    };
    timeout(PATIENCE, live).await.unwrap_or_else(|_| panic!("{name} is not live again"));
    let snapshot = board.read();
    assert!(snapshot.reading.as_ref().unwrap().taken < pause_ends, "{name}");
    assert_eq!(snapshot.health.failures, 4, "{name}: the poll that was brought forward is a good one");
}

#[actix_web::test]
async fn every_link_polls_as_soon_as_its_gateway_takes_a_connection() {
    let bearer = |gateway: &GatewayHandle| {
        let mut entry = gateway.settings();
        entry["tedapi_auth_mode"] = "bearer".into();
        entry
    };
    let two_links = |gateway: &GatewayHandle| {
        let mut entry = gateway.customer_settings();
        entry["standby"] = json!([gateway.settings()]);
        for key in ["id", "name", "type"] {
            entry["standby"][0].as_object_mut().unwrap().remove(key);
        }
        entry
    };
    type Entry<'a> = &'a dyn Fn(&GatewayHandle) -> Value;
    let cases: [(&str, SiteKind, Entry<'_>); 4] = [
        ("tedapi", SiteKind::Powerwall3, &GatewayHandle::settings),
        ("bearer", SiteKind::Inverter, &bearer),
        ("customer API", SiteKind::Powerwall2, &GatewayHandle::customer_settings),
        ("standby", SiteKind::Powerwall3, &two_links),
    ];
    for (name, kind, entry) in cases {
        let before = start(kind, 0).await;
        let (entry, port) = (entry(&before), before.addr.port());
        drop(before);
        tokio::task::yield_now().await;
        let board = outage(&entry).await;
        let gateway = start(kind, port).await;
        if name == "bearer" {
            gateway.want_installer();
        }
        returns(name, &board).await;
        assert!(gateway.counters().requests(Role::Login) <= 1, "{name}");
    }
}

#[actix_web::test]
async fn a_pair_polls_as_soon_as_either_way_takes_a_connection() {
    for lan_returns in [true, false] {
        let before = start(SiteKind::Powerwall3, 0).await;
        let lan_before = before.on_lan().await.unwrap();
        let entry = before.settings_with_lan(&lan_before, KEY);
        let (wifi_port, lan_port) = (before.addr.port(), lan_before.addr.port());
        drop((before, lan_before));
        tokio::task::yield_now().await;
        let board = outage(&entry).await;
        let (_wifi, _lan);
        if lan_returns {
            let other = start(SiteKind::Powerwall3, 0).await;
            let lan = other.on_lan_at(lan_port).await.unwrap();
            let key = RsaKey::read(KEY.as_ref()).unwrap();
            lan.lan().unwrap().register(key.public_der(), Registration::Verified);
            (_wifi, _lan) = (other, Some(lan));
        } else {
            (_wifi, _lan) = (start(SiteKind::Powerwall3, wifi_port).await, None);
        }
        returns(if lan_returns { "the LAN" } else { "Wi-Fi" }, &board).await;
    }
}
