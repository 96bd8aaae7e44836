use std::cell::RefCell;
use std::rc::Rc;

use proptest::prelude::*;
use tokio::time::advance;

use super::*;
use crate::model::{Adjustments, Interpretation, Number, NumberingMemory, Power, RawPercent, Readings};

const SECOND: Duration = Duration::from_secs(1);

/// What a link of a test knows.
#[derive(Clone, Debug, Default)]
struct Known {
    watts: Option<i64>,
    mode: Option<&'static str>,
    din: Option<&'static str>,
}

impl Answers for Known {
    fn size(&self) -> usize {
        0
    }

    fn readings(&self, _: &Adjustments) -> Readings {
        Readings {
            power: Power { site: self.watts.map(Number::Int), ..Power::default() },
            mode: self.mode.map(str::to_owned),
            reserve: self.mode.map(|_| RawPercent(24.0)),
            din: self.din.map(str::to_owned),
            ..Readings::default()
        }
    }

    fn interpret(&self, _: &Arc<Readings>, _: &Adjustments, _: &NumberingMemory) -> Interpretation {
        Interpretation::default()
    }
}

#[derive(Default)]
struct Script {
    known: Known,
    fails: Option<LinkError>,
    /// When it was asked.
    asked: Vec<Instant>,
}

#[derive(Clone)]
struct Scripted(LinkKind, Rc<RefCell<Script>>);

impl Scripted {
    fn new(kind: LinkKind, known: Known) -> Self {
        Self(kind, Rc::new(RefCell::new(Script { known, ..Script::default() })))
    }

    fn fail(&self, error: LinkError) {
        self.1.borrow_mut().fails = Some(error);
    }

    fn heal(&self) {
        self.1.borrow_mut().fails = None;
    }

    fn asked(&self) -> usize {
        self.1.borrow().asked.len()
    }
}

impl Link for Scripted {
    fn kind(&self) -> LinkKind {
        self.0
    }

    fn poll(&mut self) -> LocalBoxFuture<'_, Result<Arc<dyn Answers>, LinkError>> {
        let mut script = self.1.borrow_mut();
        script.asked.push(Instant::now());
        let outcome: Result<Arc<dyn Answers>, _> = match &script.fails {
            Some(error) => Err(error.clone()),
            None => Ok(Arc::new(script.known.clone())),
        };
        Box::pin(async { outcome })
    }

    fn refresh(&mut self) -> LocalBoxFuture<'_, Refreshed> {
        Box::pin(async { Refreshed::default() })
    }
}

struct Bench {
    links: Vec<Scripted>,
    standby: Standby,
}

/// Basic LAN first, then TEDAPI.
fn bench() -> Bench {
    let local = Known { watts: Some(1), din: Some("A"), ..Known::default() };
    let tedapi = Known { watts: Some(2), mode: Some("backup"), din: Some("A") };
    of(vec![Scripted::new(LinkKind::Local, local), Scripted::new(LinkKind::Tedapi, tedapi)])
}

fn of(links: Vec<Scripted>) -> Bench {
    let boxed = links.iter().map(|link| Box::new(link.clone()) as Box<dyn Link>).collect();
    Bench { links, standby: Standby::new("home", boxed, 5 * SECOND) }
}

impl Bench {
    /// One tick of a gateway's actor: a poll, and slow data if it succeeded. The newest readings.
    async fn tick(&mut self) -> Result<Readings, LinkError> {
        let mut answers = self.standby.poll().await?;
        let refreshed = self.standby.refresh().await;
        answers = refreshed.source.unwrap_or(answers);
        Ok(answers.readings(&Adjustments::default()))
    }

    /// Ticks for so long.
    async fn run(&mut self, seconds: u64) -> Vec<Option<i64>> {
        let mut seen = Vec::new();
        for _ in 0..seconds / 5 {
            seen.push(self.tick().await.ok().and_then(watts));
            advance(5 * SECOND).await;
        }
        seen
    }
}

fn watts(readings: Readings) -> Option<i64> {
    readings.power.site.map(|site| site.as_f64() as i64)
}

fn unreachable() -> LinkError {
    LinkError::Unreachable("no route".into())
}

#[tokio::test(start_paused = true)]
async fn the_next_link_carries_on_within_the_same_poll_and_the_preferred_one_comes_back() {
    let mut bench = bench();
    assert_eq!(bench.run(60).await, [Some(1); 12]);
    bench.links[0].fail(unreachable());
    assert_eq!(bench.run(600).await, [Some(2); 120], "no poll is lost");
    let health = bench.standby.links().unwrap();
    assert_eq!([health[0].in_use, health[1].in_use], [false, true]);
    assert!(health[0].last_error.is_some() && health[0].next_try.is_some());

    bench.links[0].heal();
    let seen = bench.run(700).await;
    assert_eq!(seen.last(), Some(&Some(1)), "fails back by itself");
    assert!(seen.iter().all(Option::is_some));
}

#[tokio::test(start_paused = true)]
async fn a_dead_link_is_asked_ever_more_rarely_and_never_given_up() {
    let mut bench = bench();
    bench.links[0].fail(unreachable());
    bench.run(4 * 3600).await;
    let asked = bench.links[0].asked();
    assert!((20..=40).contains(&asked), "asked {asked} times in four hours");
}

#[tokio::test(start_paused = true)]
async fn what_the_active_link_cannot_know_comes_from_another_one_with_its_age() {
    let mut bench = bench();
    bench.run(120).await;
    let readings = bench.tick().await.unwrap();
    assert_eq!(watts(readings.clone()), Some(1), "power comes from the active link");
    assert_eq!((readings.mode.as_deref(), readings.reserve), (Some("backup"), Some(RawPercent(24.0))));
    let fields: Vec<_> = readings.supplements.iter().map(|one| (one.field, one.link)).collect();
    assert_eq!(fields, [("reserve", LinkKind::Tedapi), ("mode", LinkKind::Tedapi)]);

    // It is shown as long as its source is fresh, and no longer.
    bench.links[1].fail(unreachable());
    let failed = Instant::now();
    loop {
        let readings = bench.tick().await.unwrap();
        let known = readings.mode.is_some();
        assert!(readings.supplements.iter().all(|one| one.taken.elapsed() < FRESH_FOR));
        if !known {
            break;
        }
        advance(5 * SECOND).await;
        assert!(failed.elapsed() < 200 * SECOND);
    }
    assert!(failed.elapsed() > 60 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn another_gateway_supplements_nothing() {
    let local = Known { watts: Some(1), din: Some("A"), ..Known::default() };
    let stranger = Known { watts: Some(2), mode: Some("backup"), din: Some("B") };
    let mut bench =
        of(vec![Scripted::new(LinkKind::Local, local), Scripted::new(LinkKind::Tedapi, stranger)]);
    bench.run(120).await;
    let readings = bench.tick().await.unwrap();
    assert_eq!((readings.mode, readings.supplements), (None, Vec::new()));
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_asks_for_silence_gets_it_over_every_link_and_a_cloud_goes_on() {
    let mut bench = bench();
    bench.run(30).await;
    bench.links[0].fail(LinkError::Busy { retry_after: None });
    let before = bench.links[1].asked();
    assert!(bench.tick().await.is_err());
    advance(5 * SECOND).await;
    let silent = bench.run(290).await;
    assert_eq!((silent.iter().flatten().count(), bench.links[1].asked()), (0, before));

    let cloud = Known { watts: Some(3), ..Known::default() };
    let mut bench = of(vec![bench.links[0].clone(), Scripted::new(LinkKind::Cloud, cloud)]);
    assert_eq!(bench.run(300).await, [Some(3); 60]);
}

#[tokio::test(start_paused = true)]
async fn refused_credentials_are_not_tried_with_every_poll() {
    let mut bench = bench();
    bench.links[0].fail(LinkError::Refused { status: 403, hint: String::new() });
    assert_eq!(bench.run(3600).await, [Some(2); 720]);
    assert!(bench.links[0].asked() <= 15, "asked {} times", bench.links[0].asked());
}

/// What happens to one link at one moment.
#[derive(Clone, Copy, Debug)]
enum Event {
    Heals,
    Unreachable,
    Refuses,
    Busy,
    Babbles,
}

fn events() -> impl Strategy<Value = Vec<(u64, usize, Event)>> {
    let event = prop_oneof![
        3 => Just(Event::Heals),
        2 => Just(Event::Unreachable),
        1 => Just(Event::Refuses),
        1 => Just(Event::Busy),
        1 => Just(Event::Babbles),
    ];
    proptest::collection::vec((1_u64..600, 0_usize..3, event), 1..24)
}

fn cause(link: &Scripted, event: Event) {
    match event {
        Event::Heals => link.heal(),
        Event::Unreachable => link.fail(unreachable()),
        Event::Refuses => link.fail(LinkError::Refused { status: 403, hint: String::new() }),
        Event::Busy => link.fail(LinkError::RateLimited { retry_after: None }),
        Event::Babbles => link.fail(LinkError::Malformed { what: "it".into(), why: "babble".into() }),
    }
}

/// Lives through `plan` and holds every tick against what is promised.
async fn live(plan: Vec<(u64, usize, Event)>) {
    let kinds = [LinkKind::Local, LinkKind::Tedapi, LinkKind::Cloud];
    let links: Vec<_> = kinds
        .into_iter()
        .zip(1..)
        .map(|(kind, watts)| Scripted::new(kind, Known { watts: Some(watts), din: Some("A"), mode: None }))
        .collect();
    let mut bench = of(links);
    for (seconds, place, event) in plan {
        cause(&bench.links[place], event);
        for _ in 0..seconds.div_ceil(5) {
            let before: Vec<usize> = bench.links.iter().map(Scripted::asked).collect();
            let outcome = bench.tick().await;
            for (link, before) in bench.links.iter().zip(before) {
                assert!(link.asked() - before <= 2, "a link was asked again and again within one tick");
            }
            if let Ok(readings) = outcome {
                let carried = bench.standby.active as i64 + 1;
                assert_eq!(
                    watts(readings),
                    Some(carried),
                    "readings are those of the link that is said to be active"
                );
                assert!(bench.links[bench.standby.active].1.borrow().fails.is_none());
            }
            advance(5 * SECOND).await;
        }
    }

    // Once all is well, the preferred link carries the readings again before long.
    bench.links.iter().for_each(Scripted::heal);
    let seen = bench.run(3700).await;
    assert_eq!(seen.last(), Some(&Some(1)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_to_the_links_the_best_one_that_works_carries_the_readings(plan in events()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.unwrap().block_on(live(plan));
    }
}
