use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::pending;
use std::rc::Rc;
use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::LocalBoxFuture;
use tokio::task::LocalSet;
use tokio::time::sleep;

use super::*;
use crate::board::Board;
use crate::gateway::GatewayPlan;
use crate::gateway::messages::{CarryOut, Receipt, Stop};
use crate::gateway::order_log::OrderRecord;
use crate::link::tedapi::answers::TedapiAnswers;
use crate::link::{Link, Refreshed};
use crate::model::{
    Adjustments, Answers, AppPercent, GatewayFacts, LinkKind, Means, OrderKind, Proof, Reserve, Snapshot,
    Standing, Ttl, Unable,
};

const SECOND: Duration = Duration::from_secs(1);

/// What the link does with an order.
enum Errand {
    End(Outcome, Duration),
    NotExecuted,
    Silence,
    Hang,
    Die,
}

struct Script {
    errands: VecDeque<Errand>,
    /// What reading back shows.
    shows: Option<Outcome>,
    by: Result<Means, Unable>,
    /// What polls fail with, while they do.
    fails: Option<LinkError>,
    poll_takes: Duration,
    refresh_takes: Duration,
    /// What happened, and how many seconds after the start.
    seen: Vec<(&'static str, u64)>,
    started: Instant,
}

impl Script {
    fn note(&mut self, what: &'static str) {
        let at = self.started.elapsed().as_secs();
        self.seen.push((what, at));
    }
}

struct ScriptedLink(Rc<RefCell<Script>>);

fn source() -> Arc<dyn Answers> {
    let mut payloads = TedapiAnswers::default();
    let status = r#"{"control":{"meterAggregates":[{"location":"SITE","realPowerW":1}]}}"#;
    payloads.accept_status(Bytes::from(status)).unwrap();
    Arc::new(payloads)
}

impl Link for ScriptedLink {
    fn kind(&self) -> LinkKind {
        LinkKind::V1r
    }

    fn poll(&mut self) -> LocalBoxFuture<'_, Result<Arc<dyn Answers>, LinkError>> {
        self.0.borrow_mut().note("poll");
        let (takes, fails) = (self.0.borrow().poll_takes, self.0.borrow().fails.clone());
        Box::pin(async move {
            sleep(takes).await;
            fails.map_or_else(|| Ok(source()), Err)
        })
    }

    fn refresh(&mut self) -> LocalBoxFuture<'_, Refreshed> {
        self.0.borrow_mut().note("refresh");
        let takes = self.0.borrow().refresh_takes;
        Box::pin(async move {
            sleep(takes).await;
            Refreshed { more: true, ..Refreshed::default() }
        })
    }

    fn carry_out<'a>(&'a mut self, _: &'a Order, _: Duration) -> LocalBoxFuture<'a, Carried> {
        self.0.borrow_mut().note("order");
        let errand = self.0.borrow_mut().errands.pop_front().expect("an order too many");
        Box::pin(async move {
            match errand {
                Errand::End(outcome, takes) => {
                    sleep(takes).await;
                    Carried::outcome(outcome)
                }
                Errand::NotExecuted => {
                    Carried::failed(LinkError::Refused { status: 401, hint: String::new() })
                }
                Errand::Silence => Carried::failed(LinkError::RateLimited { retry_after: None }),
                Errand::Hang => pending().await,
                Errand::Die => std::panic::resume_unwind(Box::new("")),
            }
        })
    }

    fn read_back<'a>(&'a mut self, _: &'a Order) -> LocalBoxFuture<'a, ReadBack> {
        self.0.borrow_mut().note("look");
        let shows = self.0.borrow().shows.clone();
        Box::pin(async { ReadBack { shows, ..ReadBack::default() } })
    }

    fn can_take(&self, _: OrderKind) -> Result<Means, Unable> {
        self.0.borrow().by.clone()
    }
}

/// A journal that takes its time, or refuses.
#[derive(Default)]
struct Journal {
    takes: Duration,
    refuses: bool,
    entries: Mutex<Vec<String>>,
}

impl OrderLog for Journal {
    fn record(&self, record: OrderRecord) -> LocalBoxFuture<'static, Result<(), String>> {
        self.entries.lock().unwrap().push(format!("{} by {}", record.order, record.asked_by));
        let (takes, refuses) = (self.takes, self.refuses);
        Box::pin(async move {
            sleep(takes).await;
            if refuses { Err("the disk is full".into()) } else { Ok(()) }
        })
    }

    fn note(&self, _: &str, change: &Change) {
        let last = if change.is_final { "" } else { " so far" };
        self.entries.lock().unwrap().push(format!("{}{last}", change.outcome.word()));
    }
}

struct Bench {
    script: Rc<RefCell<Script>>,
    board: Arc<Board<Snapshot>>,
    book: OrderBook,
    journal: Arc<Journal>,
    plan: GatewayPlan,
}

impl Bench {
    fn new(errands: impl IntoIterator<Item = Errand>) -> Self {
        let ttl = Ttl::new(5 * SECOND, 5 * SECOND, 30 * SECOND, true);
        let facts = Arc::new(GatewayFacts { id: "attic".into(), ..GatewayFacts::default() });
        let script = Script {
            errands: errands.into_iter().collect(),
            shows: None,
            by: Ok(Means { link: LinkKind::V1r, proves: Proof::Stored }),
            fails: None,
            poll_takes: Duration::ZERO,
            refresh_takes: SECOND,
            seen: Vec::new(),
            started: Instant::now(),
        };
        Self {
            script: Rc::new(RefCell::new(script)),
            board: Arc::new(Board::new(Snapshot::initial(facts.clone(), ttl))),
            book: OrderBook::default(),
            journal: Arc::default(),
            plan: GatewayPlan {
                facts,
                interval: 5 * SECOND,
                phase: Duration::ZERO,
                timeout: 5 * SECOND,
                ttl,
                adjustments: Adjustments::default(),
                seed: 1,
                islanding_cooldown: 30 * SECOND,
                numbers: None,
            },
        }
    }

    fn link(&self) -> Box<dyn Link> {
        Box::new(ScriptedLink(self.script.clone()))
    }

    fn start(&self) -> Addr<GatewayActor> {
        let actor = GatewayActor::new(self.plan.clone(), self.link(), self.board.clone());
        actor.with_orders(self.book.clone(), self.journal.clone(), OrderIds::random()).start()
    }

    /// What happened from the second given on.
    fn seen(&self, from: u64) -> Vec<(&'static str, u64)> {
        self.script.borrow().seen.iter().filter(|(_, at)| *at >= from).copied().collect()
    }

    fn count(&self, what: &str) -> usize {
        self.script.borrow().seen.iter().filter(|(seen, _)| *seen == what).count()
    }

    fn entries(&self) -> Vec<String> {
        self.journal.entries.lock().unwrap().clone()
    }
}

fn order() -> CarryOut {
    let order = Order::Reserve(Reserve::new(AppPercent(20.0)).unwrap());
    CarryOut { order, lease: None, confirmed: false, asked_by: "a test".into(), mark: None }
}

fn accepted() -> Outcome {
    Outcome::Accepted("yes".into())
}

fn word(standing: &Standing) -> &'static str {
    standing.outcome.as_ref().map_or("none", Outcome::word)
}

async fn settled(receipt: &mut Receipt) -> Standing {
    receipt.wait(3600 * SECOND, |standing| standing.is_final).await
}

fn on_paused_clock<F: Future<Output = ()>>(test: impl FnOnce() -> F) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    LocalSet::new().block_on(&runtime, async { test().await });
}

#[test]
fn an_order_goes_before_slow_data_and_before_the_next_poll() {
    on_paused_clock(|| async {
        let bench = Bench::new([Errand::End(Outcome::Refused(note("no", "no")), 2 * SECOND)]);
        bench.script.borrow_mut().refresh_takes = 3 * SECOND;
        let addr = bench.start();
        // The second refresh began at 3 s and ends at 6 s; the poll is due at 5 s.
        sleep(4 * SECOND).await;
        let mut receipt = addr.send(order()).await.unwrap();
        assert_eq!(word(&settled(&mut receipt).await), "refused");
        sleep(SECOND / 2).await;
        assert_eq!(bench.seen(3), [("refresh", 3), ("order", 6), ("poll", 8), ("refresh", 8)]);
    });
}

#[test]
fn a_poll_waits_for_one_order_and_no_longer() {
    on_paused_clock(|| async {
        let errand = || Errand::End(Outcome::Refused(note("no", "no")), 3 * SECOND);
        let bench = Bench::new([errand(), errand(), errand()]);
        bench.script.borrow_mut().refresh_takes = SECOND / 2;
        let addr = bench.start();
        sleep(4 * SECOND + SECOND / 4).await;
        for _ in 0..3 {
            addr.send(order()).await.unwrap();
        }
        sleep(12 * SECOND).await;
        let seen: Vec<_> = bench.seen(4).into_iter().filter(|(what, _)| *what != "refresh").collect();
        assert_eq!(seen[..4], [("order", 4), ("poll", 7), ("order", 7), ("poll", 10)]);
        assert_eq!(bench.count("order"), 3);
    });
}

#[test]
fn an_order_is_in_the_journal_before_it_is_sent() {
    on_paused_clock(|| async {
        let mut bench = Bench::new([Errand::End(accepted(), Duration::ZERO)]);
        bench.journal = Arc::new(Journal { takes: 2 * SECOND, ..Journal::default() });
        bench.script.borrow_mut().shows = Some(Outcome::Stored("read".into()));
        let addr = bench.start();
        sleep(SECOND).await;
        let mut receipt = addr.send(order()).await.unwrap();
        sleep(SECOND + SECOND / 2).await;
        assert_eq!((bench.count("order"), bench.entries().len()), (0, 1));
        assert_eq!(word(&settled(&mut receipt).await), "stored");
        assert_eq!(bench.entries(), ["backup reserve 20 % by a test", "accepted so far", "stored"]);
        assert_eq!((bench.count("order"), bench.count("look")), (1, 1));
    });
}

#[test]
fn an_order_that_the_journal_does_not_take_is_not_sent() {
    on_paused_clock(|| async {
        let refuses = Journal { refuses: true, ..Journal::default() };
        let hangs = Journal { takes: 3600 * SECOND, ..Journal::default() };
        for journal in [refuses, hangs] {
            let mut bench = Bench::new([]);
            bench.journal = Arc::new(journal);
            let mut receipt = bench.start().send(order()).await.unwrap();
            let standing = settled(&mut receipt).await;
            let Some(Outcome::NotSent(why)) = standing.outcome else { panic!("{standing:?}") };
            assert_eq!(why.kind, "not_recorded");
            sleep(60 * SECOND).await;
            assert_eq!(bench.count("order"), 0);
        }
        // An actor that was given no journal sends nothing either.
        let bench = Bench::new([]);
        let actor = GatewayActor::new(bench.plan.clone(), bench.link(), bench.board.clone()).start();
        let mut receipt = actor.send(order()).await.unwrap();
        assert_eq!(word(&settled(&mut receipt).await), "not_sent");
    });
}

#[test]
fn what_was_not_executed_is_sent_once_more_after_a_poll() {
    on_paused_clock(|| async {
        let bench = Bench::new([Errand::NotExecuted, Errand::NotExecuted]);
        let addr = bench.start();
        sleep(SECOND).await;
        let mut receipt = addr.send(order()).await.unwrap();
        assert_eq!(word(&settled(&mut receipt).await), "refused");
        sleep(600 * SECOND).await;
        let seen: Vec<_> = bench.seen(0).into_iter().filter(|(what, _)| *what != "refresh").take(4).collect();
        let words: Vec<_> = seen.iter().map(|(what, _)| *what).collect();
        assert_eq!(words, ["poll", "order", "poll", "order"], "{seen:?}");
        assert_eq!(bench.count("order"), 2);
    });
}

#[test]
fn an_order_without_an_answer_is_unknown_and_never_sent_again() {
    on_paused_clock(|| async {
        let bench = Bench::new([Errand::Hang]);
        let addr = bench.start();
        let mut receipt = addr.send(order()).await.unwrap();
        let standing = receipt.wait(60 * SECOND, |standing| standing.outcome.is_some()).await;
        assert_eq!((word(&standing), standing.is_final), ("unknown", false));
        // Reading back decides.
        bench.script.borrow_mut().shows = Some(Outcome::Stored("read".into()));
        assert_eq!(word(&settled(&mut receipt).await), "stored");
        sleep(600 * SECOND).await;
        assert_eq!(bench.count("order"), 1);
    });
}

#[test]
fn a_gateway_that_asks_for_silence_instead_gets_it() {
    on_paused_clock(|| async {
        let bench = Bench::new([Errand::Silence]);
        let addr = bench.start();
        sleep(SECOND).await;
        let mut receipt = addr.send(order()).await.unwrap();
        assert_eq!(word(&settled(&mut receipt).await), "refused");
        let mut second = addr.send(order()).await.unwrap();
        assert_eq!(word(&settled(&mut second).await), "not_sent");
        sleep(295 * SECOND).await;
        assert_eq!(bench.seen(2), [("order", 2)]);
    });
}

#[test]
fn an_order_waits_for_a_gateway_that_does_not_answer_but_not_for_ever() {
    on_paused_clock(|| async {
        let bench = Bench::new([]);
        bench.script.borrow_mut().fails = Some(LinkError::Timeout(SECOND));
        let addr = bench.start();
        sleep(SECOND).await;
        let mut receipt = addr.send(order()).await.unwrap();
        let asked = Instant::now();
        let standing = settled(&mut receipt).await;
        assert_eq!(asked.elapsed().as_secs(), 30);
        assert!(standing.outcome.unwrap().evidence().contains("no answer within 1000 ms"));
        assert_eq!(bench.count("order"), 0);
        let capabilities = &bench.board.read().health.capabilities;
        assert_eq!(capabilities[0].by.as_ref().unwrap_err().obstacle, Obstacle::NotReached);
    });
}

#[test]
fn what_a_gateway_cannot_take_is_said_at_once() {
    on_paused_clock(|| async {
        let bench = Bench::new([]);
        bench.script.borrow_mut().by = Err(Obstacle::NoPermission.because("not allowed"));
        let addr = bench.start();
        sleep(SECOND).await;
        let receipt = addr.send(order()).await.unwrap();
        assert_eq!(receipt.standing.borrow().outcome.as_ref().unwrap().evidence(), "not allowed");
        assert!(bench.entries().is_empty());
    });
}

#[test]
fn an_actor_that_dies_with_an_order_leaves_it_unknown_and_its_successor_reads_it_back() {
    on_paused_clock(|| async {
        let bench = Bench::new([Errand::Die]);
        let addr = bench.start();
        sleep(SECOND).await;
        let mut receipt = addr.send(order()).await.unwrap();
        let waiting = addr.send(order()).await.unwrap();
        sleep(2 * SECOND).await;
        assert!(!addr.connected() && receipt.standing.borrow().outcome.is_none());

        bench.script.borrow_mut().shows = Some(Outcome::Stored("read".into()));
        let actor =
            GatewayActor::after_crash(bench.plan.clone(), bench.link(), bench.board.clone(), Instant::now());
        let _addr = actor.with_orders(bench.book.clone(), bench.journal.clone(), OrderIds::random()).start();
        let standing = receipt.wait(SECOND, |standing| standing.outcome.is_some()).await;
        assert_eq!(word(&standing), "unknown");
        assert_eq!(word(&waiting.standing.borrow()), "not_sent");
        assert_eq!(word(&settled(&mut receipt).await), "stored");
        sleep(600 * SECOND).await;
        assert_eq!(bench.count("order"), 1);
    });
}

#[test]
fn an_actor_that_is_stopped_with_an_order_leaves_it_unknown() {
    on_paused_clock(|| async {
        let bench = Bench::new([Errand::Hang]);
        let addr = bench.start();
        sleep(SECOND).await;
        let underway = addr.send(order()).await.unwrap();
        let waiting = addr.send(order()).await.unwrap();
        sleep(2 * SECOND).await;
        addr.send(Stop).await.unwrap();
        assert_eq!(word(&underway.standing.borrow()), "unknown");
        assert_eq!(word(&waiting.standing.borrow()), "not_sent");
        let successor = bench.start();
        sleep(600 * SECOND).await;
        assert_eq!(bench.count("order"), 1);
        assert!(successor.connected());
    });
}
