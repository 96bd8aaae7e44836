//! Gateways that mean harm, or that somebody else speaks for, over real TLS: whatever they send ends in a
//! reading or in an error of its own kind, takes little memory, and costs other gateways nothing.

mod answers;
mod gateway;
mod kinds;
#[path = "../service/program.rs"]
#[allow(dead_code, reason = "every test program uses its own part")]
mod program;

use std::collections::BTreeSet;
use std::time::Duration;

use answers::{Part, customer, filled, framed, http, padded, served, system_info, tedapi, unit};
use gateway::{Asked, Gateway, Greeting, Reply};
use powerwall_server::link::bounds::{self, Bounds};
use powerwall_server::link::{Link, connect_lazily};
use powerwall_server::model::{Adjustments, Telemetry};
use powerwall_server::settings::{GatewaySettings, Inputs, Settings};
use powerwall_server::simulator::{GatewayHandle, SiteKind, SiteOptions};
use program::Program;
use serde_json::Value;

/// Of one exchange, where nothing is to end by it.
const PATIENCE: Duration = Duration::from_secs(60);
/// No link asks more than this in a turn.
const MOST_REFRESHES: usize = 40;

fn settings(entry: Value, limit: Duration) -> GatewaySettings {
    let environment = vec![("PW_GATEWAYS".to_owned(), Value::from(vec![entry]).to_string())];
    let mut settings = Settings::load(&Inputs { environment, flags: Vec::new() }).unwrap().gateways.remove(0);
    settings.timeout = limit;
    settings.state_file = None;
    settings
}

/// Kind of the error of a poll, and the kinds of those of everything slow; renders all there is.
async fn outcome(link: &mut dyn Link) -> (Option<&'static str>, BTreeSet<&'static str>) {
    let mut slow = BTreeSet::new();
    let mut source = match link.poll().await {
        Err(error) => return (Some(error.kind()), slow),
        Ok(source) => source,
    };
    for turn in 0.. {
        assert!(turn < MOST_REFRESHES, "asks and asks");
        let refreshed = link.refresh().await;
        source = refreshed.source.unwrap_or(source);
        slow.extend(refreshed.problem.as_ref().map(|error| error.kind()));
        if !refreshed.more {
            break;
        }
    }
    Telemetry::new(source, Adjustments::default()).render_all();
    (None, slow)
}

#[actix_web::test]
async fn every_kind_of_hostile_gateway_ends_in_a_reading_or_in_an_error_of_its_kind() {
    let mut wrong = Vec::new();
    for kind in kinds::all() {
        let gateway = Gateway::start(kind.greeting, kind.answers).await;
        let limit = if kind.poll == Some("timeout") { Duration::from_millis(500) } else { PATIENCE };
        let mut link = connect_lazily(&settings(gateway.customer("bad"), limit));
        let (poll, slow) = outcome(&mut *link).await;
        let expected: BTreeSet<_> = kind.slow.iter().copied().filter(|_| kind.poll.is_none()).collect();
        if (poll, &slow) != (kind.poll, &expected) {
            wrong.push(format!("{}: {poll:?} {slow:?}, expected {:?} {expected:?}", kind.name, kind.poll));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

type Hostile = (&'static str, Box<dyn Fn(&Asked) -> Vec<u8>>, Option<&'static str>, &'static [&'static str]);

/// Hostile answers of TEDAPI, with the error of a poll and of what is slow.
fn hostile_tedapi() -> Vec<Hostile> {
    let plain = |document: Value| document.to_string().into_bytes();
    let padded = |padded_part| {
        move |asked: &Asked| {
            tedapi(asked, 1, |part, document| match part == padded_part {
                true => padded(&document, r#"{"a":{}}"#, 400, 100_000),
                false => document.to_string().into_bytes(),
            })
        }
    };
    vec![
        ("padded controller", Box::new(padded(Part::Controller)), Some("too_large"), &[]),
        ("padded configuration", Box::new(padded(Part::Config)), None, &["too_large"]),
        ("padded components", Box::new(padded(Part::Components)), None, &["too_large"]),
        (
            "too many units",
            Box::new(move |asked| tedapi(asked, 17, |_, document| plain(document))),
            None,
            &["too_large"],
        ),
        (
            "a site with a long name",
            Box::new(move |asked| {
                tedapi(asked, 1, |_, document| {
                    document.to_string().replace("Home", &"n".repeat(300)).into_bytes()
                })
            }),
            None,
            &["too_large"],
        ),
        (
            "a long version",
            Box::new(move |asked| match Part::of(asked) {
                Part::Other if asked.path != "/tedapi/din" => http(200, "", &system_info(&"9".repeat(300))),
                _ => tedapi(asked, 1, |_, document| plain(document)),
            }),
            None,
            &["too_large"],
        ),
        (
            "nothing but errors",
            Box::new(move |asked| match Part::of(asked) {
                Part::Controller => http(200, "", &framed(Part::Controller, b"{}".to_vec(), 100_000)),
                _ => tedapi(asked, 1, |_, document| plain(document)),
            }),
            Some("too_large"),
            &[],
        ),
    ]
}

#[actix_web::test]
async fn tedapi_has_bounds_as_well() {
    for (name, answers, poll, slow) in hostile_tedapi() {
        let gateway = Gateway::start(Greeting::Tls, move |asked| Reply::Whole(answers(asked))).await;
        let mut link = connect_lazily(&settings(gateway.tedapi("bad"), PATIENCE));
        assert_eq!(outcome(&mut *link).await, (poll, slow.iter().copied().collect()), "{name}");
    }
}

/// Resident memory at its highest so far, in kB.
#[cfg(target_os = "linux")]
fn peak(program: &Program) -> u64 {
    program.kilobytes("VmHWM:")
}

/// What one gateway may cost, whatever it sends, in kB.
#[cfg(target_os = "linux")]
const MOST_GROWTH: u64 = 20 << 10;

/// Everything that is shown of the first gateway, and of all.
#[cfg(target_os = "linux")]
async fn show_all(program: &Program) {
    for path in [
        "/vitals",
        "/strings",
        "/temps/pw",
        "/alerts/pw",
        "/fans/pw",
        "/freq",
        "/pod",
        "/json",
        "/aggregates",
        "/api/powerwalls",
        "/api/system_status",
        "/tedapi/config",
        "/tedapi/status",
        "/tedapi/controller",
        "/tedapi/components",
        "/tedapi/battery",
        "/pw/vitals",
        "/metrics",
        "/api/gateways",
        "/api/live",
    ] {
        assert_eq!(program.get(path).await.0, 200, "{path}");
    }
}

#[cfg(target_os = "linux")]
async fn serve(entries: Vec<Value>) -> Program {
    let (folder, list) = (tempfile::tempdir().unwrap(), Value::from(entries).to_string());
    let environment = [
        ("PW_GATEWAYS", list.as_str()),
        ("PW_AUTH_PATH", folder.path().to_str().unwrap()),
        ("PW_PORT", "0"),
        ("PW_BIND_ADDRESS", "127.0.0.1"),
        ("PW_CACHE_EXPIRE", "1"),
    ];
    Program::start(&[], &environment).await
}

/// How often a gateway was polled.
#[cfg(target_os = "linux")]
fn polls(health: &Value) -> u64 {
    health["polls"].as_u64().unwrap_or_default()
}

#[cfg(target_os = "linux")]
#[actix_web::test]
async fn bombs_take_no_memory_and_nothing_from_other_gateways() {
    const FILLS: [&str; 4] = [r#"{"a":{}}"#, "[]", "1", r#""""#];
    let good = |asked: &Asked| Reply::Whole(served(asked, |_, document| document.to_string().into_bytes()));
    let healthy = GatewayHandle::start(SiteOptions::new("home", "Home", SiteKind::Powerwall2)).await.unwrap();
    let (mut entries, mut gateways) = (vec![healthy.customer_settings()], Vec::new());
    for (number, fill) in FILLS.into_iter().enumerate() {
        let gateway = Gateway::start(Greeting::Tls, good).await;
        entries.push(gateway.customer(&format!("bad-{number}")));
        gateways.push((format!("bad-{number}"), gateway, fill));
    }
    let program = serve(entries).await;
    for (id, ..) in &gateways {
        program.health_becomes(id, |health| polls(health) >= 2).await;
    }
    show_all(&program).await;
    let before = peak(&program);
    for (_, gateway, fill) in &gateways {
        let bomb = answers::gzip(&padded(&customer("/api/meters/aggregates"), fill, 400, 1_000_000));
        gateway.answer(move |_| Reply::Whole(http(200, "", &bomb)));
    }
    let polled = polls(&program.health("home").await);
    for (id, ..) in &gateways {
        let refused = |health: &Value| health["last_error"]["kind"] == "too_large" && health["failures"] != 1;
        program.health_becomes(id, refused).await;
    }
    show_all(&program).await;
    let grown = peak(&program) - before;
    assert!(grown <= MOST_GROWTH, "{grown} kB");
    let home = program.health_becomes("home", |health| polls(health) > polled + 1).await;
    assert_eq!((&home["state"], &home["failures"]), (&"live".into(), &0.into()), "{home}");
}

/// The heaviest that is read: every answer filled to the brim.
fn heaviest(part: Part, document: &Value, units: usize) -> Vec<u8> {
    let bounds: Bounds = match part {
        Part::Config => bounds::CONFIG,
        Part::Components => bounds::components(units),
        Part::Controller | Part::Other => bounds::CONTROLLER,
    };
    filled(document, &bounds)
}

#[cfg(target_os = "linux")]
#[actix_web::test]
async fn the_heaviest_answers_that_are_read_take_little_memory() {
    const UNITS: usize = bounds::MOST_POWERWALL3;
    let small =
        |asked: &Asked| Reply::Whole(tedapi(asked, 1, |_, document| document.to_string().into_bytes()));
    let gateway = Gateway::start(Greeting::Tls, small).await;
    let program = serve(vec![gateway.tedapi("bad")]).await;
    program.health_becomes("bad", |health| polls(health) >= 2).await;
    show_all(&program).await;
    let before = peak(&program);

    let documents = [Part::Config, Part::Components, Part::Controller].map(|part| {
        let document = match part {
            Part::Config => answers::config(UNITS),
            Part::Components => answers::components(),
            _ => answers::controller(),
        };
        (part, heaviest(part, &document, UNITS))
    });
    gateway.answer(move |asked| {
        Reply::Whole(tedapi(asked, UNITS, |part, _| {
            documents.iter().find(|(known, _)| *known == part).map(|(_, text)| text.clone()).unwrap()
        }))
    });
    drop(program);
    let program = serve(vec![gateway.tedapi("bad")]).await;
    let last = unit(UNITS - 1);
    let answered = async {
        while !program.get("/tedapi/components").await.1.contains(&last) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, answered).await.expect("all units answer");
    let polled = polls(&program.health("bad").await);
    program.health_becomes("bad", |health| polls(health) > polled + 3).await;
    show_all(&program).await;
    let grown = peak(&program).saturating_sub(before);
    eprintln!("the heaviest gateway takes {grown} kB");
    assert!(grown <= MOST_GROWTH, "{grown} kB");
}
