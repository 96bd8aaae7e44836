//! pypowerwall, the library that most programs for a Powerwall are built on, reads the simulated gateways. It
//! is the one reader here that nobody of this project wrote: what it finds, our links must find too.

#[path = "../common/mod.rs"]
mod common;

use std::collections::HashMap;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use common::{everything, tools};
use powerwall_server::link::connect_lazily;
use powerwall_server::model::Telemetry;
use powerwall_server::settings::{Inputs, RsaKey, Settings};
use powerwall_server::simulator::{GatewayHandle, Registration, SiteKind, SiteOptions};
use powerwall_server::views::View;
use serde_json::{Value, json};

const FOLDER: &str = env!("CARGO_MANIFEST_DIR");

/// The documents that are compared: the path, our view of it, and in it what both must agree on.
const DOCUMENTS: [(&str, View, &[&str]); 6] = [
    (
        "/api/meters/aggregates",
        View::Aggregates,
        &["/site/instant_power", "/load/instant_power", "/solar/instant_power", "/battery/instant_power"],
    ),
    ("/api/system_status/soe", View::Soe, &["/percentage"]),
    ("/api/system_status/grid_status", View::GridStatus, &["/grid_status"]),
    ("/api/status", View::Status, &["/din", "/version"]),
    (
        "/api/system_status",
        View::SystemStatus,
        &["/nominal_full_pack_energy", "/nominal_energy_remaining", "/battery_blocks/1/PackageSerialNumber"],
    ),
    ("/api/site_info", View::SiteInfo, &["/site_name"]),
];
/// What only the customer API has.
const CUSTOMER: [&str; 5] =
    ["/api/powerwalls", "/api/networks", "/api/meters/site", "/api/meters/solar", "/api/operation"];

/// A simulated gateway and one way to it.
struct Way {
    name: String,
    /// As the script knows it.
    way: &'static str,
    handle: GatewayHandle,
    /// What our own link is configured with.
    entry: Value,
}

impl Way {
    /// What the script is given.
    fn for_script(&self, key: &str) -> Value {
        let options = self.handle.options();
        let password = match self.way {
            "tedapi" | "bearer" => &options.password,
            _ => &options.customer_password,
        };
        let paths: Vec<&str> = DOCUMENTS.iter().map(|(path, ..)| *path).chain(CUSTOMER).collect();
        json!({
            "name": self.name, "way": self.way, "host": format!("127.0.0.1:{}", self.handle.addr.port()),
            "password": password, "key": key, "paths": paths,
        })
    }
}

async fn ways(key: &str) -> Vec<Way> {
    let mut ways = Vec::new();
    let kinds = [
        ("Powerwall 2", SiteKind::Powerwall2),
        ("Powerwall 3", SiteKind::Powerwall3),
        ("inverter", SiteKind::Inverter),
    ];
    for (number, (name, kind)) in (1..).zip(kinds) {
        // Whoever reads later reads the same.
        let options = SiteOptions { number, speed: 0.0, ..SiteOptions::new("home", "The Nest", kind) };
        for way in ["cookie", "token", "tedapi"] {
            let handle = GatewayHandle::start(options.clone()).await.unwrap();
            let entry = if way == "tedapi" { handle.settings() } else { handle.customer_settings() };
            ways.push(Way { name: format!("{name}, {way}"), way, handle, entry });
        }
        let wifi = GatewayHandle::start(options.clone()).await.unwrap();
        match kind {
            SiteKind::Inverter => {
                wifi.want_installer();
                let mut entry = wifi.settings();
                entry["tedapi_auth_mode"] = "bearer".into();
                ways.push(Way { name: format!("{name}, bearer"), way: "bearer", handle: wifi, entry });
            }
            SiteKind::Powerwall2 => {}
            SiteKind::Powerwall3 => {
                let lan = wifi.on_lan().await.unwrap();
                let public = RsaKey::read(key.as_ref()).unwrap();
                lan.lan().unwrap().register(public.public_der(), Registration::Verified);
                let mut entry = wifi.settings_with_lan(&lan, key);
                entry.as_object_mut().unwrap().remove("wifi_host");
                ways.push(Way { name: format!("{name}, v1r"), way: "v1r", handle: lan, entry });
            }
        }
    }
    ways
}

/// What our link reads over the same way.
async fn ours(entry: &Value) -> Arc<Telemetry> {
    let folder = tempfile::tempdir().unwrap();
    let environment = vec![
        ("PW_AUTH_PATH".to_owned(), folder.path().display().to_string()),
        ("PW_GATEWAYS".to_owned(), json!([entry]).to_string()),
    ];
    let settings = Settings::load(&Inputs { environment, flags: Vec::new() }).unwrap();
    everything(connect_lazily(&settings.gateways[0]).as_mut()).await
}

/// What the script reads; `None`: something that it needs is not installed.
async fn theirs(gateways: Value) -> Option<HashMap<String, Value>> {
    let python = tools::required_tool("python3")?;
    let library = tools::required_python("pypowerwall")?;
    let script = Path::new(FOLDER).join("tests/pypowerwall/read.py");
    let output = tokio::task::spawn_blocking(move || {
        let mut child = Command::new(python)
            .arg(script)
            .env("PYTHONPATH", library)
            // With authorities in these, it would check certificates that gateways sign themselves.
            .env_remove("REQUESTS_CA_BUNDLE")
            .env_remove("CURL_CA_BUNDLE")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(gateways.to_string().as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    });
    let output = output.await.unwrap();
    assert!(output.status.success(), "the script ends with {}", output.status);
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

fn is_same(ours: &Value, theirs: &Value) -> bool {
    match (ours.as_f64(), theirs.as_f64()) {
        (Some(ours), Some(theirs)) => (ours - theirs).abs() < 0.051,
        // Where a meter does not exist, gateways report zeros, and so does the library.
        (None, Some(theirs)) => ours.is_null() && theirs == 0.0,
        _ => ours == theirs,
    }
}

#[actix_web::test]
async fn the_library_reads_every_simulated_gateway_and_finds_what_our_links_find() {
    let key = format!("{FOLDER}/tests/fixtures/v1r/key-4096.pem");
    let ways = ways(&key).await;
    let list = ways.iter().map(|way| way.for_script(&key)).collect();
    let Some(theirs) = theirs(list).await else { return };
    let mut misfits = Vec::new();
    for Way { name, way, entry, .. } in &ways {
        let (ours, theirs) = (ours(entry).await, &theirs[name]);
        for (path, view, agreed) in DOCUMENTS {
            let ours: Value = serde_json::from_slice(&ours.view(view)).unwrap();
            for place in agreed {
                let of = |document: &Value| document.pointer(place).cloned().unwrap_or_default();
                let (ours, theirs) = (of(&ours), of(&theirs[path]));
                if !is_same(&ours, &theirs) {
                    misfits.push(format!("{name}: {path}{place}: ours {ours}, theirs {theirs}"));
                }
            }
        }
        let is_whole = matches!(*way, "cookie" | "token") && !name.starts_with("Powerwall 3");
        for path in CUSTOMER.iter().filter(|_| is_whole) {
            if theirs[*path].is_null() {
                misfits.push(format!("{name}: {path} is not there"));
            }
        }
        if theirs.to_string().contains("-0.0") {
            misfits.push(format!("{name}: a zero has a sign"));
        }
    }
    assert!(misfits.is_empty(), "{}:\n{}", misfits.len(), misfits.join("\n"));
}
