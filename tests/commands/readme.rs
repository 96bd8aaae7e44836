//! What README.md has to type is what works: its commands are run as they stand there, as far as they can be
//! run without a Powerwall, and links of all documents lead somewhere.

use std::fs;
use std::path::{Path, PathBuf};

use super::program::{Program, Said, run};
use super::{House, can_be_ordered};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// Whose password it is.
const PASSWORD: &str = "SIMULATED1";
/// Commands that build, install or need a container engine: others run them.
const ELSEWHERE: [&str; 8] = [
    "cargo test",
    "cargo install",
    "cargo deb",
    "docker build",
    "docker run",
    "docker compose",
    "sudo editor",
    "sudo systemctl",
];

/// One line to type: variables before it, and its words.
#[derive(Debug)]
struct Typed {
    environment: Vec<(String, String)>,
    words: Vec<String>,
}

fn readme() -> String {
    fs::read_to_string(Path::new(ROOT).join("README.md")).unwrap()
}

/// The lines between "```sh" and "```".
fn commands(page: &str) -> Vec<Typed> {
    let blocks = page.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let joined: Vec<String> = blocks.map(|block| block.replace("\\\n", " ")).collect();
    let lines = joined.iter().flat_map(|block| block.lines());
    lines
        .map(|line| {
            let mut words = line.split(" #").next().unwrap().split_whitespace().map(str::to_owned).peekable();
            let mut environment = Vec::new();
            while let Some(word) = words.next_if(|word| word.contains('=')) {
                let (name, value) = word.split_once('=').unwrap();
                environment.push((name.to_owned(), value.to_owned()));
            }
            Typed { environment, words: words.collect() }
        })
        .collect()
}

impl Typed {
    /// What the program itself is given, if it is started.
    fn arguments(&self) -> Option<Vec<&str>> {
        let words: Vec<&str> = self.words.iter().map(String::as_str).collect();
        match words.as_slice() {
            ["powerwall-server", rest @ ..] | ["cargo", "run", "--release", "--", rest @ ..] => {
                Some(rest.into())
            }
            ["cargo", "run", "--", rest @ ..] => Some(rest.into()),
            _ => None,
        }
    }

    /// Runs it with other arguments than those that are written.
    async fn run(&self, arguments: &[&str]) -> Said {
        let environment: Vec<(&str, &str)> =
            self.environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        run(arguments, &environment).await
    }
}

#[actix_web::test]
async fn every_command_of_the_readme_works() {
    let house = House::new("http://127.0.0.1:1").await;
    let service = house.serve().await;
    can_be_ordered(&service, "home").await;
    let (host, port) = (house.home.addr.to_string(), house.home.addr.port().to_string());
    // Where sessions are kept, else it is the folder that somebody types in.
    let auth = tempfile::tempdir().unwrap();
    let mut seen = Vec::new();
    for mut typed in commands(&readme()) {
        let line = typed.words.join(" ");
        let Some(arguments) = typed.arguments() else {
            let is_known = ELSEWHERE.iter().any(|known| line.starts_with(known));
            let is_script = line.starts_with(".ci/") && Path::new(ROOT).join(&line).is_file();
            assert!(is_known || is_script || line.starts_with("echo PW_GW_PWD="), "what is {line:?}?");
            continue;
        };
        let arguments: Vec<String> = arguments.into_iter().map(str::to_owned).collect();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let said = match arguments.as_slice() {
            ["demo"] => {
                assert!(typed.environment.is_empty());
                show().await;
                continue;
            }
            [] => typed.run(&["check-config"]).await,
            ["scan"] => typed.run(&["scan", "127.0.0.1", "--gateway-port", &port]).await,
            ["doctor", "--host", "192.168.91.1"] => {
                typed.environment.iter_mut().for_each(|(_, value)| *value = PASSWORD.to_owned());
                typed.environment.push(("PW_AUTH_PATH".to_owned(), auth.path().display().to_string()));
                typed.run(&["doctor", "--host", &host]).await
            }
            ["get" | "set", ..] => house.typed(service.addr.port(), &arguments).await,
            ["check-config"] | ["settings", _] => typed.run(&arguments).await,
            other => panic!("nothing here knows how to try {other:?}"),
        };
        assert_eq!(said.code, Some(0), "{line}\n{}{}", said.stdout, said.stderr);
        seen.push(arguments.first().copied().unwrap_or("serve").to_owned());
    }
    for command in ["serve", "scan", "doctor", "check-config", "settings", "get", "set"] {
        assert!(seen.iter().any(|known| known == command), "no {command} among {seen:?}");
    }
}

/// The demo, and every page that the README names.
async fn show() {
    let demo = Program::start(&["demo", "--port", "0"], &[]).await;
    let page = readme();
    let named: Vec<&str> =
        page.split("<http://localhost:8675").skip(1).map(|rest| rest.split('>').next().unwrap()).collect();
    assert!(named.len() >= 5, "{named:?}");
    for path in named.into_iter().chain(["/aggregates", "/soe", "/livez"]) {
        assert_eq!(demo.get(path).await.0, 200, "{path}");
    }
}

/// Headings as addresses, as GitHub makes them.
fn anchors(page: &str) -> Vec<String> {
    let mut is_code = false;
    let mut anchors = Vec::new();
    for line in page.lines() {
        is_code ^= line.starts_with("```");
        let Some(title) = line.strip_prefix('#').filter(|_| !is_code) else { continue };
        let title = title.trim_start_matches('#').trim().to_lowercase();
        let kept = title.chars().filter(|one| one.is_alphanumeric() || [' ', '-', '_'].contains(one));
        anchors.push(kept.map(|one| if one == ' ' { '-' } else { one }).collect());
    }
    anchors
}

#[test]
fn links_of_the_documents_lead_somewhere() {
    let docs = fs::read_dir(Path::new(ROOT).join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let mut pages: Vec<PathBuf> =
        docs.filter(|path| path.extension().is_some_and(|end| end == "md")).collect();
    for other in ["README.md", ".github/CONTRIBUTING.md", ".github/SECURITY.md"] {
        pages.push(Path::new(ROOT).join(other));
    }
    let mut broken = Vec::new();
    for path in &pages {
        let page = fs::read_to_string(path).unwrap();
        for link in page.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
            if link.contains("://") {
                continue;
            }
            let (file, anchor) =
                link.split_once('#').map_or((link, None), |(file, anchor)| (file, Some(anchor)));
            let target = if file.is_empty() { path.clone() } else { path.with_file_name("").join(file) };
            let leads = match anchor {
                None => target.exists(),
                Some(anchor) => fs::read_to_string(&target)
                    .is_ok_and(|page| anchors(&page).iter().any(|known| known == anchor)),
            };
            if !leads {
                broken.push(format!("{}: {link}", path.strip_prefix(ROOT).unwrap().display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}
