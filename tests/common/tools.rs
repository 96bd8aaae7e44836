//! Programs that some tests need and `cargo test` alone does not bring: promtool, mosquitto, chromium, nginx
//! ….
//!
//! `.ci/run` installs them and sets `REQUIRE_TOOLS=1`. Without the variable, a test whose program is missing
//! says so aloud and ends; with it, that is a failure. A test program that does not use `common` takes this
//! file alone: `#[path = "common/tools.rs"] mod tools;`
#![allow(dead_code, reason = "every test program uses its own part")]

use std::io::Write;
use std::path::PathBuf;

/// Where daemons live; not in every user's `PATH`.
const MORE_FOLDERS: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

/// The program `name`, or `None` if the test has to be skipped.
///
/// # Panics
/// If it is missing and `REQUIRE_TOOLS` is set.
pub fn required_tool(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(MORE_FOLDERS.iter().map(PathBuf::from));
    let found = folders.map(|folder| folder.join(name)).find(|program| program.is_file());
    said_if_missing(name, found)
}

/// Where Python finds the package `name`, as `.ci/tools` installs it; `None` if the test has to be skipped.
///
/// # Panics
/// As [`required_tool`].
pub fn required_python(name: &str) -> Option<PathBuf> {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/target/python"));
    let found = folder.join(name).is_dir().then_some(folder);
    said_if_missing(name, found)
}

/// The file `path` of a package of npm, as `.ci/tools` installs it; `None` if the test has to be skipped.
///
/// # Panics
/// As [`required_tool`].
pub fn required_script(path: &str) -> Option<PathBuf> {
    let file = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/target/node/node_modules")).join(path);
    said_if_missing(path, Some(file).filter(|file| file.is_file()))
}

fn said_if_missing(name: &str, found: Option<PathBuf>) -> Option<PathBuf> {
    if found.is_none() {
        let required =
            std::env::var_os("REQUIRE_TOOLS").is_some_and(|value| !value.is_empty() && value != "0");
        assert!(!required, "{name} is not installed, and REQUIRE_TOOLS says that it must be");
        // Not through `eprintln!`, which the test harness swallows for a test that passes.
        let _ = writeln!(std::io::stderr(), "SKIPPED: {name} is not installed");
    }
    found
}
