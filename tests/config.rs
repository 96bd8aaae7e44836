//! The ready-made files under `config/`, each checked by the tool it is for.

#[path = "common/tools.rs"]
mod tools;

use std::path::{Path, PathBuf};
use std::process::Command;

use tools::required_tool;

fn config(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config").join(file)
}

/// Runs `program` and returns what it said.
///
/// # Panics
/// With what it said, if it is not content.
fn run(command: &mut Command) -> String {
    let outcome = command.output().unwrap();
    let said =
        [outcome.stdout, outcome.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(outcome.status.success(), "{command:?}: {said}");
    said
}

#[test]
fn prometheus_accepts_its_configuration_and_the_alerts_fire_when_they_should() {
    let Some(promtool) = required_tool("promtool") else { return };
    run(Command::new(&promtool).args(["check", "config"]).arg(config("prometheus/prometheus.yml")));
    run(Command::new(&promtool).args(["test", "rules"]).arg(config("prometheus/alerts.test.yml")));
}
