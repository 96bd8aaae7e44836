//! Sites as every link brings them home: read over the wire from simulated gateways, and what odd gateways
//! answer.

use std::sync::Arc;
use std::time::Duration;

use powerwall_server::link::connect_lazily;
use powerwall_server::link::local::answers::{CustomerAnswers, Endpoint};
use powerwall_server::model::{Adjustments, LinkKind, Telemetry};
use powerwall_server::settings::{Inputs, RsaKey, Settings};
use powerwall_server::simulator::SiteKind::{self, Inverter, Powerwall2, Powerwall3};
use powerwall_server::simulator::{GatewayHandle, Registration, SiteOptions};
use serde_json::{Value, json};

use crate::common::everything;

const KEY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/v1r/key-4096.pem");

/// A site and the link that brought it home.
pub struct Home {
    pub name: &'static str,
    pub link: LinkKind,
    pub telemetry: Arc<Telemetry>,
}

async fn start(kind: SiteKind) -> GatewayHandle {
    GatewayHandle::start(SiteOptions::new("home", "Home", kind)).await.unwrap()
}

async fn read(name: &'static str, entry: &Value, link: LinkKind) -> Home {
    let folder = tempfile::tempdir().unwrap();
    let environment = vec![
        ("PW_AUTH_PATH".to_owned(), folder.path().display().to_string()),
        ("PW_GATEWAYS".to_owned(), json!([entry]).to_string()),
    ];
    let settings = Settings::load(&Inputs { environment, flags: Vec::new() }).unwrap();
    let mut way = connect_lazily(&settings.gateways[0]);
    assert_eq!(way.kind(), link, "{name}");
    Home { name, link, telemetry: everything(&mut *way).await }
}

/// One of each link, and of each kind of gateway where that matters to it.
pub async fn homes() -> Vec<Home> {
    let mut homes = Vec::new();
    for (name, kind) in [
        ("tedapi, Powerwall 3", Powerwall3),
        ("tedapi, Powerwall 2", Powerwall2),
        ("tedapi, inverter", Inverter),
    ] {
        homes.push(read(name, &start(kind).await.settings(), LinkKind::Tedapi).await);
    }
    let wifi = start(Powerwall3).await;
    let lan = wifi.on_lan().await.unwrap();
    lan.lan().unwrap().register(RsaKey::read(KEY.as_ref()).unwrap().public_der(), Registration::Verified);
    let mut entry = wifi.settings_with_lan(&lan, KEY);
    entry.as_object_mut().unwrap().remove("wifi_host");
    homes.push(read("v1r", &entry, LinkKind::V1r).await);

    let installed = start(Inverter).await;
    installed.want_installer();
    let mut entry = installed.settings();
    entry["tedapi_auth_mode"] = "bearer".into();
    homes.push(read("bearer", &entry, LinkKind::Bearer).await);

    for (name, kind) in
        [("customer API", Powerwall2), ("customer API, inverter", Inverter), ("Basic LAN", Powerwall3)]
    {
        homes.push(read(name, &start(kind).await.customer_settings(), LinkKind::Local).await);
    }
    let old = start(Powerwall2).await;
    old.reboot("23.12.11 452c76cb", Duration::ZERO);
    homes.push(read("customer API with vitals", &old.customer_settings(), LinkKind::Local).await);

    homes.extend(odd());
    homes
}

/// What gateways were seen to answer that no simulated one does, and what none should.
fn odd() -> impl Iterator<Item = Home> {
    let sparse = [(Endpoint::Aggregates, json!({ "load": { "instant_power": 100 } }))];
    let empty = [
        (Endpoint::Aggregates, json!({ "load": { "instant_power": 100 }, "site": null, "solar": {} })),
        (Endpoint::StateOfEnergy, json!({})),
        (Endpoint::GridStatus, json!({})),
        (Endpoint::SystemStatus, json!({})),
        (Endpoint::Status, json!({})),
        (Endpoint::Operation, json!({})),
        (Endpoint::SiteInfo, json!({})),
        (Endpoint::SiteName, json!({})),
        (Endpoint::SolarPowerwall, json!({ "pvac_status": { "string_vitals": [null, 1, {}] } })),
    ];
    let strange = [
        (Endpoint::Aggregates, json!({ "load": { "instant_power": 1e300, "frequency": "60" }, "site": 5 })),
        (Endpoint::StateOfEnergy, json!({ "percentage": "55" })),
        (Endpoint::GridStatus, json!({ "grid_status": 7, "grid_services_active": "no" })),
        (
            Endpoint::SystemStatus,
            json!({
                "nominal_full_pack_energy": "13500", "nominal_energy_remaining": -4,
                "battery_blocks": [null, 3, "x", { "PackageSerialNumber": 9, "p_out": "1" },
                    { "PackageSerialNumber": "TG1", "PackagePartNumber": null, "f_out": [], "p_out": null }],
            }),
        ),
        (Endpoint::Status, json!({ "din": 4, "version": ["x"], "up_time_seconds": 12, "new": {} })),
        (Endpoint::Operation, json!({ "real_mode": 3, "backup_reserve_percent": "20" })),
        (Endpoint::SiteInfo, json!({ "site_name": 1, "timezone": null, "grid_code": "60Hz" })),
        (Endpoint::SolarPowerwall, json!({ "pvac_status": { "string_vitals": 4 }, "pvac_alerts": [1] })),
    ];
    let cases = [("sparse", sparse.to_vec()), ("empty", empty.to_vec()), ("strange", strange.to_vec())];
    cases.into_iter().map(|(name, answers)| {
        let mut accepted = CustomerAnswers::default();
        for (endpoint, answer) in answers {
            accepted.accept(endpoint, answer.to_string().into()).unwrap();
        }
        let telemetry = Telemetry::new(Arc::new(accepted), Adjustments::default());
        Home { name, link: LinkKind::Local, telemetry }
    })
}
