//! Token files go back and forth between pypowerwall and this program.

use std::process::Command;

use super::set_up::output;
use super::*;
use crate::common::tools;

/// Reads the file, asks for the sites with it, and writes it again.
const SCRIPT: &str = "
import sys
from pypowerwall.fleetapi.fleetapi import FleetAPI
fleet = FleetAPI(configfile=sys.argv[1])
config = fleet.load_config()
assert config['access_token'] == fleet.access_token and fleet.refresh_token
print(fleet.CLIENT_ID, fleet.site_id)
fleet.save_config()
";

#[actix_web::test]
async fn pypowerwall_reads_what_a_login_wrote_and_its_own_file_is_read() {
    let (Some(python), Some(library)) =
        (tools::required_tool("python3"), tools::required_python("pypowerwall"))
    else {
        return;
    };
    let world = set_up::strangers().await;
    let (is_done, said) = world.log_in(&[], &set_up::application(), |address| address).await;
    assert!(is_done, "{said}");
    let written = world.file().unwrap();
    let file = world.folder.path().join(set_up::FILE);
    let authority = world.folder.path().join("authority.pem");
    let theirs = tokio::task::spawn_blocking(move || {
        Command::new(python)
            .args(["-c", SCRIPT, &file.display().to_string()])
            .env("PYTHONPATH", library)
            .env("REQUESTS_CA_BUNDLE", authority)
            .env("PW_FLEETAPI_HTTP", "1.1")
            .output()
            .unwrap()
    });
    let theirs = theirs.await.unwrap();
    let (said, wrong) = (String::from_utf8_lossy(&theirs.stdout), String::from_utf8_lossy(&theirs.stderr));
    assert_eq!(said.trim(), "simulated-client 11", "{wrong}");

    // Its own file has more keys than ours, and the same tokens.
    let rewritten = world.file().unwrap();
    assert!(rewritten["site_id"] == 11 && rewritten.get("partner_token").is_some());
    for key in written.as_object().unwrap().keys() {
        assert_eq!(rewritten[key], written[key], "{key}");
    }
    let (is_done, said) = output(world.command(&["sites"], &[]), "").await;
    assert!(is_done && said.contains("siteid 11: Home"), "{said}");
    let service = world.serve(&fleet(), &[]);
    becomes(&service, "/aggregates", "is there", |body| body["site"].is_object()).await;
    service.stop().await;
}
