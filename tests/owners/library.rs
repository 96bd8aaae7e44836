//! pypowerwall goes on with the files that this program wrote, and the other way round.

use std::path::Path;
use std::process::Command;

use powerwall_server::clock::unix_time;
use serde_json::json;

use super::common::tools;
use super::*;

/// What the library reads in `folder`, and then writes there; `None`: it is not installed.
async fn library(folder: &Path, renewed: Option<Value>) -> Option<Value> {
    let (python, library) = (tools::required_tool("python3")?, tools::required_python("pypowerwall")?);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/owners/owners.py");
    let mut command = Command::new(python);
    command.arg(script).arg(folder).arg("owner@example.com").env("PYTHONPATH", library);
    if let Some(renewed) = renewed {
        command.arg(renewed.to_string()).arg("12");
    }
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

#[actix_web::test]
async fn the_files_go_either_way() {
    let world = world().await;
    let folder = world.folder.path();
    world.tesla.add(12, &house("cabin", 2).await);
    let address = |back: &str| (!back.is_empty()).then(|| back.to_owned());
    let (is_done, said) = world.log_in(&["--siteid", "11"], address).await;
    assert!(is_done, "{said}");
    world.tesla.expire_tokens();
    let service = world.serve(&[]);
    is_read(&service).await;
    service.stop().await;
    // What this program wrote after a renewal …
    let newest = world.tesla.secrets();
    let (access, refresh) = world.tesla.pair();
    let renewed = json!({
        "access_token": access, "refresh_token": refresh, "token_type": "Bearer", "expires_in": 28_800,
        "expires_at": unix_time() + 28_800.0,
    });
    let Some(read) = library(folder, Some(renewed)).await else { return };
    assert_eq!(read["token"]["refresh_token"], newest[newest.len() - 1].as_str(), "{read}");
    assert_eq!(read["token"]["access_token"], newest[newest.len() - 2].as_str(), "{read}");
    assert_eq!((&read["url"], &read["site"]), (&"https://auth.tesla.com/".into(), &11.into()), "{read}");
    // … and what the library wrote after one of its own.
    assert_eq!(world.file()["owner@example.com"]["sso"]["refresh_token"], refresh.as_str());
    world.tesla.expire_tokens();
    let service = world.serve(&[]);
    is_read(&service).await;
    service.stop().await;
    assert!(world.tesla.requests("/12/live_status") > 0, "the site that the library wrote is read");
    let sent = world.tesla.asked().into_iter().rfind(|asked| asked.path.contains("/oauth2"));
    assert!(sent.unwrap().body.contains(&refresh));
    assert_eq!(world.tesla.most_sent(), 1);
}
