//! The fuzz targets on any toolchain: each over its whole corpus and over seeded mutations of it. The
//! coverage-guided search is `.ci/fuzz`.
//!
//! `FUZZ_MUTATIONS` says how many per target. A failing input is kept beside the build, and its path is
//! printed; put it into the corpus once the fault is mended.

#[path = "../fuzz/src/bodies.rs"]
mod bodies;

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::{fs, panic};

use bytes::Bytes;
use futures_util::future::LocalBoxFuture;
use powerwall_server::link::https::{Answer, Call, Exchange};
use powerwall_server::link::local::LocalLink;
use powerwall_server::link::local::answers::Endpoint;
use powerwall_server::link::memory::Memory;
use powerwall_server::link::tedapi::channel::FrameChannel;
use powerwall_server::link::tedapi::queries::Queries;
use powerwall_server::link::tedapi::transport::{Request, Transport};
use powerwall_server::link::tedapi::{TedapiLink, frames};
use powerwall_server::link::{Link, LinkError};
use powerwall_server::model::LinkKind;
use powerwall_server::settings::{AuthMode, CertificatePolicy, LocalConfig, QuerySet, Secret};
use powerwall_server::simulator::{InMemoryGateway, Role, SiteKind, SiteOptions};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use bodies::{Body, SEPARATOR, TARGETS};

const MUTATIONS: usize = 1500;
/// What mutations put in: the edges of what parsers know.
const TOKENS: [&[u8]; 22] = [
    b"null",
    b"-1",
    b"1e999",
    b"-0.0",
    b"18446744073709551616",
    b"NaN",
    b"true",
    b"\"\"",
    b"[]",
    b"{}",
    b"[[[[[[[[",
    b"{\"a\":{\"a\":{\"a\":",
    b"\\ud800",
    b"\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
    b"\x80\x80\x80\x80\x80\x01",
    b"\x1f\x8b\x08\x00",
    b"\x00",
    b"\xc3\x28",
    b"--",
    b"&a [*a,*a,*a,*a]",
    b"2026-06-01T12:00:00-07:00",
    b"9999999999999999999999999h59m59.999s",
];

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// Some small damage, or several.
fn mutate(input: &[u8], other: &[u8], rng: &mut StdRng) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..rng.random_range(1..5) {
        if bytes.is_empty() {
            bytes.push(rng.random());
        }
        let at = rng.random_range(0..bytes.len());
        let to = rng.random_range(at..bytes.len().min(at + 200)) + 1;
        match rng.random_range(0..9) {
            0 => bytes[at] ^= 1 << rng.random_range(0..8),
            1 => bytes[at] = rng.random(),
            2 => bytes.truncate(at),
            3 => drop(bytes.drain(at..to)),
            4 => {
                let copy = bytes[at..to].to_vec();
                drop(bytes.splice(at..at, copy));
            }
            5 | 6 => {
                let token = TOKENS[rng.random_range(0..TOKENS.len())];
                // In the place of a number or word as often as between.
                let word = bytes[at..].iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
                let end = if rng.random_bool(0.5) { at + word } else { at };
                drop(bytes.splice(at..end, token.iter().copied()));
            }
            7 if !other.is_empty() => {
                let from = rng.random_range(0..other.len());
                let length = rng.random_range(0..other.len() - from) + 1;
                drop(bytes.splice(at..to, other[from..from + length].iter().copied()));
            }
            _ => {
                let with = rng.random_range(0..bytes.len());
                bytes.swap(at, with);
            }
        }
    }
    bytes.truncate(256 << 10);
    bytes
}

/// Runs a body, and keeps what made it fail.
fn run(target: &str, body: Body, input: &[u8]) {
    if let Err(failure) = panic::catch_unwind(|| body(input)) {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{target}"));
        fs::write(&path, input).unwrap();
        eprintln!("{target} fails with {}", path.display());
        panic::resume_unwind(failure);
    }
}

#[test]
fn nothing_that_comes_from_outside_makes_a_parser_panic() {
    let mutations = std::env::var("FUZZ_MUTATIONS").ok().map_or(MUTATIONS, |number| number.parse().unwrap());
    std::thread::scope(|scope| {
        for (index, (target, body)) in TARGETS.into_iter().enumerate() {
            scope.spawn(move || {
                let corpus = corpus(target);
                assert!(!corpus.is_empty(), "{target} has no corpus");
                corpus.iter().for_each(|input| run(target, body, input));
                let mut rng = StdRng::seed_from_u64(index as u64);
                for turn in 0..mutations {
                    let other = &corpus[rng.random_range(0..corpus.len())];
                    let input = mutate(&corpus[turn % corpus.len()], other, &mut rng);
                    run(target, body, &input);
                }
            });
        }
    });
}

#[test]
fn every_target_is_one_of_the_fuzzer_too() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let manifest = fs::read_to_string(fuzz.join("Cargo.toml")).unwrap();
    for (target, _) in TARGETS {
        assert!(manifest.contains(&format!("name = \"{target}\"")), "{target}");
        let source = fs::read_to_string(fuzz.join(format!("fuzz_targets/{target}.rs"))).unwrap();
        assert!(source.contains(&format!("bodies::{target}(data)")), "{target}");
    }
    assert_eq!(manifest.matches("[[bin]]").count(), TARGETS.len());
}

/// Notes down what a gateway answers.
struct Recorder {
    gateway: InMemoryGateway,
    /// Role, path and body of each answer.
    answers: Rc<RefCell<Vec<(Role, String, Answer)>>>,
}

impl Transport for Recorder {
    fn exchange(&self, request: Request) -> LocalBoxFuture<'_, Result<Bytes, LinkError>> {
        Box::pin(async move {
            let (role, body) = self.gateway.answer(&request.path, request.body);
            let body = body.map_err(|status| LinkError::Status { status, what: request.path.clone() })?;
            let answer = Answer { status: 200, body: body.clone(), ..Answer::default() };
            self.answers.borrow_mut().push((role, request.path, answer));
            Ok(body)
        })
    }
}

impl Exchange for Recorder {
    fn exchange(&self, call: Call) -> LocalBoxFuture<'_, Result<Answer, LinkError>> {
        Box::pin(async move {
            let (role, answer) = self.gateway.customer(&call);
            self.answers.borrow_mut().push((role, call.path.to_string(), answer.clone()));
            Ok(answer)
        })
    }
}

fn keep(target: &str, name: &str, bytes: &[u8]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(name), bytes).unwrap();
}

async fn use_link(link: &mut dyn Link) {
    link.poll().await.unwrap();
    while link.refresh().await.more {}
    link.poll().await.unwrap();
}

/// Not a test: makes the part of the corpus anew that the simulator knows.
/// `cargo test --test fuzz -- --ignored write`
#[tokio::test(start_paused = true)]
#[ignore = "writes the corpus"]
async fn write_the_corpus_that_the_simulator_knows() {
    for (name, kind) in [
        ("powerwall2", SiteKind::Powerwall2),
        ("powerwall3", SiteKind::Powerwall3),
        ("inverter", SiteKind::Inverter),
    ] {
        let gateway = || InMemoryGateway::new(SiteOptions::new("home", "Home", kind)).unwrap();
        let answers = Rc::new(RefCell::new(Vec::new()));
        let recorder = Recorder { gateway: gateway(), answers: answers.clone() };
        let channel = FrameChannel::new(recorder, LinkKind::Tedapi);
        use_link(&mut TedapiLink::over("home", channel, Queries::of(QuerySet::V2024_06), "192.168.91.1"))
            .await;
        let taken = answers.take();
        let bodies: Vec<&[u8]> = taken.iter().map(|(_, _, answer)| &*answer.body).collect();
        keep("tedapi_link", name, &bodies.join(SEPARATOR));
        let of = |wanted: Role| {
            taken.iter().filter(move |(role, ..)| *role == wanted).map(|(_, _, answer)| answer.body.clone())
        };
        for role in [Role::Controller, Role::Config, Role::SystemInfo] {
            let frame = of(role).next().unwrap();
            keep("tedapi_frames", &format!("{name}-{role:?}").to_lowercase(), &frame);
        }
        let opened = |frame: Bytes| frames::unwrap(frame, "").unwrap();
        let config = of(Role::Config).map(|frame| frames::config_answer(opened(frame)).unwrap());
        let query = |role| of(role).map(move |frame| frames::query_answer(opened(frame), "").unwrap().0);
        let parts =
            config.chain(query(Role::Controller)).chain(query(Role::Components)).chain(query(Role::Status));
        keep("tedapi_documents", name, &parts.collect::<Vec<_>>().join(SEPARATOR));

        let answers = Rc::new(RefCell::new(Vec::new()));
        let recorder = Recorder { gateway: gateway(), answers: answers.clone() };
        let config = LocalConfig {
            host: "192.168.91.1".into(),
            port: 443,
            email: "owner@example.com".into(),
            password: Secret::new("ATED1"),
            auth_mode: AuthMode::Cookie,
            timezone: "Europe/Berlin".into(),
            certificate: CertificatePolicy::Off,
        };
        use_link(&mut LocalLink::over("home", recorder, &config, Memory::new("192.168.91.1", None))).await;
        let taken = answers.take();
        let lines = taken.iter().map(|(_, _, answer)| {
            let head = [vec![answer.status.to_string()], answer.set_cookies.clone()].concat().join("|");
            [head.as_bytes(), b"\n", &*answer.body].concat()
        });
        keep("customer_link", name, &lines.collect::<Vec<_>>().join(SEPARATOR));
        let documents = Endpoint::ALL.map(|endpoint| {
            let mut found =
                taken.iter().filter(|(_, path, answer)| path == endpoint.path() && answer.status == 200);
            found.next().map(|(_, _, answer)| answer.body.clone()).unwrap_or_default()
        });
        keep("customer_documents", name, &documents.join(SEPARATOR));
    }
}
