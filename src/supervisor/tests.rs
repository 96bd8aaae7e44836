use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::LocalBoxFuture;
use tokio::task::LocalSet;
use tokio::time::{Instant, sleep};

use super::*;
use crate::link::tedapi::answers::TedapiAnswers;
use crate::link::{LinkError, Refreshed};
use crate::model::{Adjustments, Aggregate, Answers, GatewayFacts, LinkKind};
use crate::settings::LinkConfig;

const SECOND: Duration = Duration::from_secs(1);

/// When each gateway was polled, by id; and which gateways panic at their n-th poll.
#[derive(Default)]
struct World {
    polled: Mutex<HashMap<String, Vec<Instant>>>,
    panics: HashMap<String, usize>,
}

struct WorldLink {
    id: String,
    world: Arc<World>,
}

impl Link for WorldLink {
    fn kind(&self) -> LinkKind {
        LinkKind::Tedapi
    }

    fn poll(&mut self) -> LocalBoxFuture<'_, Result<Arc<dyn Answers>, LinkError>> {
        Box::pin(async {
            let count = {
                let mut polled = self.world.polled.lock().unwrap();
                let polled = polled.entry(self.id.clone()).or_default();
                polled.push(Instant::now());
                polled.len()
            };
            assert!(self.world.panics.get(&self.id) != Some(&count), "a panic on purpose");
            let status = r#"{"control":{"meterAggregates":[{"location":"SITE","realPowerW":100}]}}"#;
            let mut payloads = TedapiAnswers::default();
            payloads.accept_status(Bytes::from_static(status.as_bytes())).unwrap();
            Ok(Arc::new(payloads) as Arc<dyn Answers>)
        })
    }

    fn refresh(&mut self) -> LocalBoxFuture<'_, Refreshed> {
        Box::pin(async { Refreshed::default() })
    }
}

fn gateway(id: &str) -> GatewaySettings {
    GatewaySettings {
        facts: Arc::new(GatewayFacts { id: id.into(), ..GatewayFacts::default() }),
        link: LinkConfig::Unsupported(LinkKind::Cloud),
        timeout: 5 * SECOND,
        state_file: None,
        energies: None,
        standby: Vec::new(),
    }
}

fn polling() -> PollingSettings {
    PollingSettings {
        interval: 5 * SECOND,
        cache_ttl: 30 * SECOND,
        graceful_degradation: true,
        adjustments: Adjustments::default(),
        islanding_cooldown: 30 * SECOND,
        memory: None,
    }
}

struct Bench {
    world: Arc<World>,
    directory: Arc<Directory>,
    supervisor: Addr<Supervisor>,
    started: Instant,
}

impl Bench {
    fn start(ids: &[&str], panics: &[(&str, usize)]) -> Self {
        let panics = panics.iter().map(|(id, nth)| ((*id).to_owned(), *nth)).collect();
        let world = Arc::new(World { panics, ..World::default() });
        let directory = Arc::new(Directory::new(Vec::new(), Arc::new(Board::new(Aggregate::default()))));
        let connect: LinkFactory = {
            let world = world.clone();
            Arc::new(move |settings| {
                let id = settings.facts.id.clone();
                Box::new(WorldLink { id, world: world.clone() })
            })
        };
        let gateways = ids.iter().map(|id| gateway(id)).collect();
        let supervisor = Supervisor::new(gateways, polling(), directory.clone(), connect, 1).start();
        Self { world, directory, supervisor, started: Instant::now() }
    }

    fn polled(&self, id: &str) -> Vec<f64> {
        let polled = self.world.polled.lock().unwrap();
        let polled = polled.get(id).map(Vec::as_slice).unwrap_or_default();
        polled.iter().map(|at| ((*at - self.started).as_secs_f64() * 10.0).round() / 10.0).collect()
    }

    fn snapshot(&self, id: &str) -> Arc<Snapshot> {
        self.directory.get(id).unwrap().board.read()
    }
}

async fn local<F: Future>(test: F) -> F::Output {
    LocalSet::new().run_until(test).await
}

#[tokio::test(start_paused = true)]
async fn a_gateway_whose_actor_panics_is_back_soon_and_the_others_notice_nothing() {
    local(async {
        let bench = Bench::start(&["one", "two"], &[("one", 3)]);
        sleep(6 * SECOND).await;
        let before = bench.snapshot("one");
        assert_eq!(bench.polled("one"), [0.0, 5.0]);
        sleep(SECOND * 95 / 10).await; // the third poll, at 10 s, dies
        let after = bench.snapshot("one");
        assert_eq!(after.health.restarts, 1);
        assert!(bench.polled("one")[3] <= 11.5, "asked again within a round: {:?}", bench.polled("one"));
        assert!(after.sequence > before.sequence);
        assert!(after.telemetry(Instant::now()).is_some());
        assert_eq!(after.health.consecutive_failures, 0);
        // The other one's ticks lie half an interval later, and stay there.
        assert_eq!(bench.polled("two"), [0.0, 2.5, 7.5, 12.5]);
        assert_eq!(bench.snapshot("two").health.restarts, 0);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_changed_configuration_touches_only_what_changed() {
    local(async {
        let bench = Bench::start(&["kept", "changed", "gone"], &[]);
        sleep(SECOND).await;
        let kept = bench.directory.get("kept").unwrap().addr().unwrap();
        let gone = bench.directory.get("gone").unwrap().addr().unwrap();
        let mut changed = gateway("changed");
        changed.timeout = 9 * SECOND;
        let gateways = vec![gateway("kept"), changed, gateway("new")];
        bench.supervisor.send(Configure(gateways, polling())).await.unwrap();
        sleep(SECOND).await;
        assert!(bench.directory.get("kept").unwrap().addr().unwrap() == kept);
        assert!(bench.directory.get("gone").is_none() && !gone.connected());
        assert_eq!(bench.polled("changed").len(), 2, "asked by the old and by the new actor");
        assert_eq!(bench.polled("new").len(), 1);
        assert_eq!(bench.directory.aggregate.read().contributors, ["kept", "changed", "new"]);
        sleep(20 * SECOND).await;
        assert_eq!(bench.polled("gone").len(), 1);
        assert_eq!(bench.snapshot("changed").health.restarts, 0);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_sum_follows_what_the_gateways_publish() {
    local(async {
        let bench = Bench::start(&["one", "two"], &[]);
        sleep(SECOND).await;
        let sum = bench.directory.aggregate.read();
        assert_eq!((sum.site, sum.solar), (Some(200.0), None));
        assert_eq!((sum.gateways, sum.online), (2, 2));
    })
    .await;
}
