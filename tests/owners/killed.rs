//! A program that is killed while it writes new tokens down.
#![cfg(unix)]

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};

use serde_json::json;
use tokio::process::Command;

use super::*;

/// What the kernel ends a program with, in the middle of a file that grows beyond the limit. As with
/// `kill -9`, nothing is left to it to do.
const TOO_LARGE: i32 = 25;

impl World {
    /// Runs `doctor`, which renews the tokens; `limit`: no file may become larger, in blocks of 512 bytes.
    async fn doctor(&self, limit: &str) -> ExitStatus {
        Command::new("sh")
            .args(["-c", &format!("ulimit -f {limit}; exec \"$0\" doctor")])
            .arg(env!("CARGO_BIN_EXE_powerwall-server"))
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .envs(self.tesla.environment(self.folder.path()))
            .env("PW_EMAIL", "owner@example.com")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .status()
            .await
            .unwrap()
    }

    fn text(&self) -> String {
        std::fs::read_to_string(self.folder.path().join(".pypowerwall.auth")).unwrap()
    }
}

#[actix_web::test]
async fn who_is_killed_while_writing_leaves_the_old_file_whole_and_its_token_is_not_sent_again() {
    let world = world().await;
    // Another account makes the file larger than the limit, and it alone.
    let mut file = world.file();
    file["other@example.com"] = json!({ "url": "https://auth.tesla.com/", "note": "x".repeat(40_000) });
    std::fs::write(world.folder.path().join(".pypowerwall.auth"), file.to_string()).unwrap();
    world.tesla.expire_tokens();

    // Without a limit, the file is written.
    assert!(world.doctor("unlimited").await.success());
    let before = world.text();
    assert!(before.contains(&"x".repeat(40_000)) && world.file() != file);
    assert_eq!(world.tesla.minted().len(), 1);

    world.tesla.expire_tokens();
    assert_eq!(world.doctor("32").await.signal(), Some(TOO_LARGE));
    assert_eq!(world.tesla.minted().len(), 2, "it was killed after the answer");
    assert!(world.text() == before, "the old file is there, byte for byte");

    // What was given is lost with the program. What was sent for it is noted, and is not sent again: neither
    // while somebody may still be waiting for the answer, nor afterwards.
    let service = world.serve(&[EMAIL]);
    let text = error(&service, "expired").await;
    assert!(text.contains("by another program"), "{text}");
    service.stop().await;
    let notes = world.folder.path().join(".powerwall-server.owners-spent.json");
    let mut noted: BTreeMap<String, f64> =
        serde_json::from_str(&std::fs::read_to_string(&notes).unwrap()).unwrap();
    noted.values_mut().for_each(|at| *at -= 600.0);
    std::fs::write(&notes, serde_json::to_string(&noted).unwrap()).unwrap();
    let service = world.serve(&[EMAIL]);
    let text = error(&service, "login_needed").await;
    assert!(text.contains("never sent twice"), "{text}");
    service.stop().await;
    assert_eq!((world.tesla.minted().len(), world.tesla.most_sent()), (2, 1));
}
