//! What one poll costs in computing: reading an answer, deriving the documents, rendering a body.
//!
//! `cargo bench --bench documents`. The site is the recorded Powerwall 3 with a follower and an expansion.

#[cfg(feature = "pictures")]
use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Arc;
#[cfg(feature = "pictures")]
use std::time::Duration;

use bytes::Bytes;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use powerwall_server::link::tedapi::answers::TedapiAnswers;
use powerwall_server::model::{Adjustments, Telemetry};
#[cfg(feature = "pictures")]
use powerwall_server::model::{Aggregate, GatewayFacts, Reading, Snapshot, Ttl};
#[cfg(feature = "pictures")]
use powerwall_server::pictures::{Asked, Draft, Form, Gallery, Sight};
use powerwall_server::views::View;
use serde_json::Value;
#[cfg(feature = "pictures")]
use tokio::time::Instant;

struct Site {
    status: Bytes,
    payloads: TedapiAnswers,
}

fn site() -> Site {
    let golden: Value =
        serde_json::from_str(include_str!("../tests/fixtures/tedapi/golden.json")).expect("it is JSON");
    let input = &golden["pw3_leader_follower_expansion_trm_dropout"]["input"];
    let bytes = |value: &Value| Bytes::from(value.to_string());
    let mut payloads = TedapiAnswers::new("192.168.91.1");
    payloads.accept_config(bytes(&input["config"])).expect("an object");
    payloads.accept_controller(bytes(&input["device_controller"])).expect("an object");
    for (din, components) in input["components_by_din"].as_object().expect("an object") {
        payloads.accept_components(din, bytes(components)).expect("an object");
    }
    Site { status: bytes(&input["status"]), payloads }
}

fn telemetry(payloads: &TedapiAnswers) -> Arc<Telemetry> {
    Telemetry::new(Arc::new(payloads.clone()), Adjustments::default())
}

fn benches(criterion: &mut Criterion) {
    let site = site();
    criterion.bench_function("a poll: status answer to typed readings", |bench| {
        let mut payloads = site.payloads.clone();
        bench.iter(|| {
            payloads.accept_status(site.status.clone()).expect("an object");
            black_box(telemetry(&payloads))
        });
    });
    criterion.bench_function("the first document of a poll: derive everything", |bench| {
        let fresh = || telemetry(&site.payloads);
        bench.iter_batched(
            fresh,
            |telemetry| black_box(telemetry.view(View::Aggregates)),
            BatchSize::SmallInput,
        );
    });
    criterion.bench_function("another document: render /vitals", |bench| {
        let derived = || {
            let telemetry = telemetry(&site.payloads);
            telemetry.documents();
            telemetry
        };
        bench.iter_batched(
            derived,
            |telemetry| black_box(telemetry.view(View::Vitals)),
            BatchSize::SmallInput,
        );
    });
    let rendered = telemetry(&site.payloads);
    criterion.bench_function("the same body again", |bench| {
        bench.iter(|| black_box(rendered.view(View::Vitals)));
    });
    #[cfg(feature = "pictures")]
    pictures(criterion, &rendered);
}

/// What a display without a browser asks for, drawn anew each time.
#[cfg(feature = "pictures")]
fn pictures(criterion: &mut Criterion, telemetry: &Arc<Telemetry>) {
    let facts = GatewayFacts { id: "home".into(), name: "Home".into(), ..GatewayFacts::default() };
    let ttl = Ttl { stale: Duration::from_secs(3600), live: Duration::from_secs(3600) };
    let mut snapshot = Snapshot::initial(Arc::new(facts), ttl);
    let taken = Instant::now();
    snapshot.reading = Some(Reading { telemetry: telemetry.clone(), taken, taken_at: 1_795_000_000.0 });
    let snapshots = [Arc::new(snapshot)];
    let sum = Aggregate::of(&snapshots, taken);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    for (name, query) in [
        ("a picture of 800 × 480 in colours", "colors=full"),
        ("a picture of 800 × 480 in black and white", "colors=2"),
        ("a picture of 800 × 480 in 16 greys", "colors=16"),
        ("a picture of 1920 × 1080 in colours", "width=1920&height=1080"),
    ] {
        criterion.bench_function(name, |bench| {
            bench.iter(|| {
                let get =
                    |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
                let asked = Asked::read(get).expect("it can be drawn");
                let (now, unix, today) = (taken, 1_795_000_000.0, HashMap::new());
                let sight = Sight {
                    snapshots: &snapshots,
                    sum: &sum,
                    site: None,
                    today: &today,
                    now,
                    unix,
                    demo: None,
                };
                let draft = Draft::of(&sight, asked, Form::Png).expect("there is a site");
                // Another gallery each time: one that knows the picture does not draw it.
                black_box(runtime.block_on(Gallery::default().picture(draft)).expect("it is drawn"))
            });
        });
    }
}

criterion_group!(documents, benches);
criterion_main!(documents);
