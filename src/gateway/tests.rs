use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::pending;
use std::rc::Rc;
use std::sync::OnceLock;
use std::thread::{self, ThreadId};

use bytes::Bytes;
use futures_util::future::LocalBoxFuture;
use tokio::task::LocalSet;
use tokio::time::sleep;

use super::*;
use crate::link::tedapi::answers::TedapiAnswers;
use crate::model::{Freshness, GatewayKind, Interpretation, LinkKind, Readings};

const SECOND: Duration = Duration::from_secs(1);

/// What the gateway does with one exchange.
enum Step {
    /// Answers with this site power after a while.
    Answer(i64, Duration),
    /// Has heard nothing new: answers with these.
    Same(Arc<dyn Answers>),
    Fail(LinkError),
    Hang,
    /// Answers without a single reading.
    Empty,
}

#[derive(Default)]
struct Script {
    polls: VecDeque<Step>,
    refreshes: VecDeque<Refreshed>,
    /// When each poll and refresh began.
    polled: Vec<Instant>,
    refreshed: Vec<Instant>,
}

struct ScriptedLink(Rc<RefCell<Script>>);

fn source(site: i64) -> Arc<dyn Answers> {
    let status =
        format!(r#"{{"control":{{"meterAggregates":[{{"location":"SITE","realPowerW":{site}}}]}}}}"#);
    {
        let mut payloads = TedapiAnswers::default();
        payloads.accept_status(Bytes::from(status)).unwrap();
        Arc::new(payloads)
    }
}

impl Link for ScriptedLink {
    fn kind(&self) -> LinkKind {
        LinkKind::Tedapi
    }

    fn poll(&mut self) -> LocalBoxFuture<'_, Result<Arc<dyn Answers>, LinkError>> {
        Box::pin(async {
            let step = {
                let mut script = self.0.borrow_mut();
                script.polled.push(Instant::now());
                script.polls.pop_front().unwrap_or(Step::Answer(1, Duration::ZERO))
            };
            match step {
                Step::Answer(site, took) => {
                    sleep(took).await;
                    Ok(source(site))
                }
                Step::Same(answers) => Ok(answers),
                Step::Fail(error) => Err(error),
                Step::Hang => pending().await,
                Step::Empty => Ok(Arc::new(TedapiAnswers::default()) as Arc<dyn Answers>),
            }
        })
    }

    fn refresh(&mut self) -> LocalBoxFuture<'_, Refreshed> {
        Box::pin(async {
            let mut script = self.0.borrow_mut();
            script.refreshed.push(Instant::now());
            script.refreshes.pop_front().unwrap_or_default()
        })
    }
}

struct Bench {
    script: Rc<RefCell<Script>>,
    board: Arc<Board<Snapshot>>,
    plan: GatewayPlan,
    started: Instant,
}

impl Bench {
    fn new(polls: impl IntoIterator<Item = Step>) -> Self {
        let interval = 5 * SECOND;
        let ttl = Ttl::new(interval, 5 * SECOND, 30 * SECOND, true);
        let facts = Arc::new(GatewayFacts { id: "attic".into(), ..GatewayFacts::default() });
        assert_eq!(facts.kind, GatewayKind::Powerwall);
        let board = Arc::new(Board::new(Snapshot::initial(facts.clone(), ttl)));
        let plan = GatewayPlan {
            facts,
            interval,
            phase: Duration::ZERO,
            timeout: 5 * SECOND,
            ttl,
            adjustments: Adjustments::default(),
            seed: 1,
            islanding_cooldown: 30 * SECOND,
            numbers: None,
        };
        let script = Script { polls: polls.into_iter().collect(), ..Script::default() };
        Self { script: Rc::new(RefCell::new(script)), board, plan, started: Instant::now() }
    }

    fn link(&self) -> Box<dyn Link> {
        Box::new(ScriptedLink(self.script.clone()))
    }

    fn start(&self) -> Addr<GatewayActor> {
        GatewayActor::new(self.plan.clone(), self.link(), self.board.clone()).start()
    }

    /// Seconds from the start to each poll.
    fn polled(&self) -> Vec<u64> {
        self.script.borrow().polled.iter().map(|at| (*at - self.started).as_secs()).collect()
    }

    fn freshness(&self) -> Freshness {
        self.board.read().freshness(Instant::now())
    }
}

async fn local<F: Future>(test: F) -> F::Output {
    LocalSet::new().run_until(test).await
}

#[tokio::test(start_paused = true)]
async fn what_a_link_brings_again_is_not_worked_out_again() {
    local(async {
        let (one, other) = (source(1), source(1));
        let bench = Bench::new([Step::Same(one.clone()), Step::Same(one), Step::Same(other)]);
        let _gateway = bench.start();
        let mut seen = Vec::new();
        for _ in 0..3 {
            sleep(SECOND).await;
            let reading = bench.board.read().reading.clone().unwrap();
            seen.push((reading.telemetry, reading.taken));
            sleep(4 * SECOND).await;
        }
        assert!(Arc::ptr_eq(&seen[0].0, &seen[1].0));
        assert!(!Arc::ptr_eq(&seen[1].0, &seen[2].0), "equal is not the same");
        assert_eq!(seen[1].1 - seen[0].1, 5 * SECOND, "it is a new reading all the same");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn slow_answers_do_not_make_the_ticks_drift() {
    local(async {
        let bench = Bench::new([
            Step::Answer(1, 3 * SECOND),
            Step::Answer(2, 4 * SECOND),
            Step::Answer(3, 7 * SECOND), // a tick passes meanwhile and is skipped
        ]);
        bench.start();
        sleep(26 * SECOND).await;
        assert_eq!(bench.polled(), [0, 5, 10, 20, 25]);
        assert_eq!(bench.freshness(), Freshness::Live);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_never_answers_is_given_up_and_asked_again_later() {
    local(async {
        let bench = Bench::new([Step::Hang, Step::Hang]);
        bench.start();
        sleep(60 * SECOND).await;
        // Three exchanges of 5 s each, then 5 s and then 10 s of pause, each with jitter.
        assert_eq!(bench.polled()[..2], [0, 20]);
        assert!((45..=48).contains(&bench.polled()[2]), "{:?}", bench.polled());
        assert_eq!(bench.freshness(), Freshness::Live);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn data_of_a_failing_gateway_is_stale_and_then_expired_but_kept() {
    local(async {
        let down = || Step::Fail(LinkError::Unreachable("connection refused".into()));
        let bench = Bench::new([Step::Answer(7, Duration::ZERO), down(), down(), down(), down()]);
        bench.start();
        sleep(6 * SECOND).await;
        assert_eq!(bench.freshness(), Freshness::Stale);
        sleep(20 * SECOND).await;
        assert_eq!(bench.freshness(), Freshness::Stale);
        sleep(10 * SECOND).await;
        assert_eq!(bench.freshness(), Freshness::Expired);
        let snapshot = bench.board.read();
        assert!(snapshot.reading.is_some());
        assert_eq!(snapshot.health.last_error.as_ref().unwrap().kind, "unreachable");
        assert!(snapshot.health.next_attempt.is_some());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_without_any_power_is_a_failure() {
    local(async {
        let bench = Bench::new([Step::Empty]);
        bench.start();
        sleep(SECOND).await;
        let snapshot = bench.board.read();
        assert_eq!(snapshot.health.consecutive_failures, 1);
        assert_eq!(bench.freshness(), Freshness::Never);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_asks_for_silence_gets_it_even_from_a_new_actor() {
    local(async {
        let limited = LinkError::RateLimited { retry_after: None };
        let bench = Bench::new([Step::Answer(1, Duration::ZERO), Step::Fail(limited)]);
        let addr = bench.start();
        sleep(10 * SECOND).await;
        assert!(bench.board.read().health.cooldown_until.is_some());
        addr.send(Stop).await.unwrap();
        GatewayActor::after_crash(bench.plan.clone(), bench.link(), bench.board.clone(), Instant::now())
            .start();
        sleep(285 * SECOND).await;
        assert_eq!(bench.polled(), [0, 5]);
        sleep(90 * SECOND).await;
        assert!(bench.polled().len() > 2);
        assert_eq!(bench.freshness(), Freshness::Live);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn refused_credentials_are_not_tried_again_soon() {
    local(async {
        let refused = || Step::Fail(LinkError::Refused { status: 403, hint: String::new() });
        let bench = Bench::new([refused(), refused(), refused(), refused()]);
        bench.start();
        sleep(700 * SECOND).await;
        assert!(bench.polled().len() <= 4, "{:?}", bench.polled());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn slow_data_is_fetched_between_polls_one_exchange_at_a_time() {
    local(async {
        let bench = Bench::new([]);
        bench.script.borrow_mut().refreshes.extend([
            Refreshed { source: Some(source(8)), more: true, problem: None },
            Refreshed { source: Some(source(9)), more: true, problem: None },
        ]);
        bench.start();
        sleep(SECOND).await;
        assert_eq!(bench.script.borrow().refreshed.len(), 3); // the third said that nothing is due
        let snapshot = bench.board.read();
        assert_eq!(snapshot.reading.as_ref().unwrap().telemetry.readings.power.site, Some(9.into()));
        assert_eq!(snapshot.sequence, 3);
        sleep(5 * SECOND).await;
        assert_eq!(bench.script.borrow().refreshed.len(), 4);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn failed_slow_data_costs_no_reading_but_a_429_cools_down() {
    local(async {
        let bench = Bench::new([]);
        let failed = |problem| Refreshed { problem: Some(problem), more: true, source: None };
        bench.script.borrow_mut().refreshes.extend([
            failed(LinkError::Timeout(5 * SECOND)),
            failed(LinkError::Busy { retry_after: Some(400 * SECOND) }),
        ]);
        bench.start();
        sleep(SECOND).await;
        assert_eq!(bench.freshness(), Freshness::Live);
        assert_eq!(bench.board.read().health.links[0].last_error.as_ref().unwrap().kind, "timeout");
        sleep(5 * SECOND).await;
        assert_eq!(bench.freshness(), Freshness::Stale);
        sleep(390 * SECOND).await;
        assert_eq!(bench.polled(), [0, 5]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_actor_that_keeps_dying_asks_less_and_less_often() {
    local(async {
        let bench = Bench::new([Step::Answer(1, Duration::ZERO)]);
        bench.start().send(Stop).await.unwrap();
        let dead = || {
            GatewayActor::after_crash(bench.plan.clone(), bench.link(), bench.board.clone(), Instant::now())
        };
        let mut pauses = Vec::new();
        for _ in 0..3 {
            drop(dead());
            let due = bench.board.read().health.next_attempt.unwrap();
            pauses.push((due - Instant::now()).as_secs());
            // It dies of the poll that is due then.
            tokio::time::sleep_until(due).await;
        }
        assert_eq!(pauses[0], 0);
        assert!(pauses[1] >= 10 && pauses[2] >= 30, "{pauses:?}");
        assert_eq!(bench.board.read().health.restarts, 3);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn polls_are_counted_with_how_long_they_took_and_why_they_failed() {
    local(async {
        let bench = Bench::new([
            Step::Answer(1, 80 * SECOND / 1000),
            Step::Hang,
            Step::Fail(LinkError::Status { status: 500, what: "the status query".into() }),
            Step::Answer(1, 3 * SECOND),
        ]);
        bench.start();
        // The second failure has come, the good answer has not.
        sleep(5 * SECOND + 15 * SECOND + 9 * SECOND).await;
        let health = bench.board.read().health.clone();
        assert_eq!(health.failures_by_kind.iter().collect::<Vec<_>>(), [("timeout", 1), ("status", 1)]);
        assert_eq!(health.failing_since, Some(bench.started + 20 * SECOND));
        sleep(20 * SECOND).await;
        let health = bench.board.read().health.clone();
        assert_eq!(health.failing_since, None);
        let of_limits = |bound| health.poll_times.at_most().find(|(known, _)| *known == bound).unwrap().1;
        assert_eq!((of_limits(0.1) + 1, of_limits(2.5) + 2), (of_limits(5.0), of_limits(30.0)));
        assert_eq!(health.poll_times.count(), health.polls);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_fails_often_is_asked_less_often_until_it_no_longer_does() {
    local(async {
        // Two of three polls are lost, for a while.
        let lost = || Step::Fail(LinkError::Unreachable("connection reset".into()));
        let flaky = (0..60).flat_map(|_| [Step::Answer(1, Duration::ZERO), lost(), lost()]);
        let mut bench = Bench::new(flaky);
        bench.plan.ttl = Ttl::new(5 * SECOND, 5 * SECOND, 60 * SECOND, true);
        bench.board = Arc::new(Board::new(Snapshot::initial(bench.plan.facts.clone(), bench.plan.ttl)));
        bench.start();
        let mut expired = 0;
        for _ in 0..2400 {
            sleep(SECOND).await;
            expired += usize::from(!bench.freshness().has_data());
        }
        assert_eq!(expired, 0, "its data is shown all the while");
        let polled = bench.polled();
        let pauses: Vec<u64> = polled.windows(2).map(|pair| pair[1] - pair[0]).collect();
        // After failures 5 and 10 s and a bit; after a good poll the fourth tick.
        let expected = |(index, pause): (usize, &u64)| match index % 3 {
            0 => (15..=20).contains(pause),
            1 => (5..=6).contains(pause),
            _ => (10..=12).contains(pause),
        };
        assert!(pauses.iter().enumerate().skip(30).take(60).all(expected), "{pauses:?}");
        sleep(600 * SECOND).await;
        let last = &bench.polled()[bench.polled().len() - 10..];
        assert!(last.windows(2).all(|pair| pair[1] - pair[0] == 5), "{last:?}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_cool_down_that_slow_data_asks_for_is_kept_and_is_no_poll() {
    local(async {
        let lost = || Step::Fail(LinkError::Unreachable("connection reset".into()));
        let bench = Bench::new([Step::Answer(1, Duration::ZERO), lost(), Step::Answer(1, Duration::ZERO)]);
        bench.script.borrow_mut().refreshes.push_back(Refreshed {
            problem: Some(LinkError::Busy { retry_after: Some(400 * SECOND) }),
            ..Refreshed::default()
        });
        bench.start();
        sleep(SECOND).await;
        let health = bench.board.read().health.clone();
        assert_eq!((health.polls, health.failures, health.consecutive_failures), (1, 0, 0));
        assert_eq!(health.failures_by_kind.iter().count(), 0);
        assert_eq!((health.poll_times.count(), health.failing_since), (1, None));
        assert_eq!(health.last_attempt, Some(bench.started), "the last poll was before");
        let cooldown = health.cooldown_until.unwrap();
        assert!(cooldown >= bench.started + 400 * SECOND && health.next_attempt == Some(cooldown));
        assert_eq!(health.last_error.unwrap().kind, "busy", "one learns why it is left alone");
        assert_eq!(bench.freshness(), Freshness::Stale, "nobody asks it for newer data");
        sleep(600 * SECOND).await;
        let polled = bench.polled();
        assert!((400..=481).contains(&polled[1]), "{polled:?}");
        let pause = polled[2] - polled[1];
        assert!((5..=6).contains(&pause), "the first failure of a poll: {pause} s");
        let strides: Vec<_> = polled[2..].windows(2).map(|pair| pair[1] - pair[0]).take(3).collect();
        assert!(strides.iter().all(|stride| *stride <= 6), "the pace of polls is that of polls: {strides:?}");
        assert_eq!(bench.board.read().health.cooldown_until, None);
        assert_eq!(bench.freshness(), Freshness::Live);
    })
    .await;
}

/// What a link brought home, of any size.
#[derive(Debug)]
struct Sized {
    size: usize,
    /// The thread that interpreted it.
    reader: OnceLock<ThreadId>,
}

impl Answers for Sized {
    fn size(&self) -> usize {
        self.size
    }

    fn readings(&self, _: &Adjustments) -> Readings {
        Readings::default()
    }

    fn interpret(&self, _: &Arc<Readings>, _: &Adjustments, _: &NumberingMemory) -> Interpretation {
        self.reader.set(thread::current().id()).unwrap();
        Interpretation::default()
    }
}

#[tokio::test]
async fn a_large_site_is_rendered_elsewhere_before_anybody_sees_it_and_a_small_one_when_somebody_asks() {
    let read = async |size| {
        let answers = Arc::new(Sized { size, reader: OnceLock::new() });
        telemetry(answers.clone(), Adjustments::default(), Arc::default()).await;
        answers.reader.get().copied()
    };
    assert_eq!(read(QUICK).await, None);
    let reader = read(QUICK + 1).await.expect("it is interpreted");
    assert_ne!(reader, thread::current().id());
}
