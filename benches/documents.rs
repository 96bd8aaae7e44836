//! What one poll costs in computing: reading an answer, deriving the documents, rendering a body.
//!
//! `cargo bench --bench documents`. The site is the recorded Powerwall 3 with a follower and an expansion.

use std::hint::black_box;
use std::sync::Arc;

use bytes::Bytes;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use powerwall_server::link::tedapi::answers::TedapiAnswers;
use powerwall_server::model::{Adjustments, Telemetry};
use powerwall_server::views::View;
use serde_json::Value;

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
}

criterion_group!(documents, benches);
criterion_main!(documents);
