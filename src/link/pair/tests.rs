use std::cell::RefCell;
use std::rc::Rc;

use tokio::time::advance;

use super::*;
use crate::link::error::KeyState;

const DIN: &str = "1707000-11-M--TG1250000001A1";
const FOLLOWER: &str = "1707000-11-M--TG1250000002B2";
const SECOND: Duration = Duration::from_secs(1);

/// A way that answers with its own name, or fails.
#[derive(Default)]
struct Script {
    fails: Option<LinkError>,
    asked: usize,
}

#[derive(Clone)]
struct Scripted(LinkKind, Rc<RefCell<Script>>);

impl Scripted {
    fn new(kind: LinkKind) -> Self {
        Self(kind, Rc::default())
    }

    fn fail(&self, error: LinkError) {
        self.1.borrow_mut().fails = Some(error);
    }

    fn heal(&self) {
        self.1.borrow_mut().fails = None;
    }

    /// How often it was asked since the last look.
    fn asked(&self) -> usize {
        std::mem::take(&mut self.1.borrow_mut().asked)
    }

    fn exchange(&self) -> LocalBoxFuture<'_, Result<Bytes, LinkError>> {
        let mut script = self.1.borrow_mut();
        script.asked += 1;
        let outcome = match &script.fails {
            Some(error) => Err(error.clone()),
            None => Ok(Bytes::from_static(self.0.connection_mode().as_bytes())),
        };
        Box::pin(async { outcome })
    }
}

impl Channel for Scripted {
    fn kind(&self) -> LinkKind {
        self.0
    }

    fn din(&mut self) -> LocalBoxFuture<'_, Result<Bytes, LinkError>> {
        self.exchange()
    }

    fn ask<'a>(&'a mut self, _: Question<'a>) -> LocalBoxFuture<'a, Result<Bytes, LinkError>> {
        self.exchange()
    }

    fn reaches_followers(&self) -> bool {
        self.0 == LinkKind::Tedapi
    }

    fn doubts_din(&self, _: &LinkError) -> bool {
        false
    }
}

struct Bench {
    lan: Scripted,
    wifi: Scripted,
    pair: Pair<Scripted, Scripted>,
}

impl Bench {
    fn new(failover: bool) -> Self {
        let (lan, wifi) = (Scripted::new(LinkKind::V1r), Scripted::new(LinkKind::Tedapi));
        Self { pair: Pair::new("home", lan.clone(), wifi.clone(), failover), lan, wifi }
    }

    async fn leader(&mut self) -> Result<Bytes, LinkError> {
        let target = Target::Gateway { din: DIN };
        let question = Question { din: DIN, target, payload: frames::config(), what: "it" };
        self.pair.ask(question).await
    }

    async fn follower(&mut self) -> Result<Bytes, LinkError> {
        let target = Target::Unit { gateway: DIN, unit: FOLLOWER };
        let question = Question { din: DIN, target, payload: frames::config(), what: "it" };
        self.pair.ask(question).await
    }

    /// What a gateway's actor does every five seconds, while polls succeed. Seconds at which the LAN was
    /// asked.
    async fn run(&mut self, seconds: u64) -> Vec<u64> {
        let mut asked = Vec::new();
        for tick in 0..seconds / 5 {
            let _ = self.leader().await;
            if self.pair.check_due().is_some_and(|due| due <= Instant::now()) {
                self.pair.check(DIN).await.unwrap();
            }
            asked.extend(std::iter::repeat_n(tick * 5, self.lan.asked()));
            advance(5 * SECOND).await;
        }
        asked
    }
}

fn down() -> LinkError {
    LinkError::Unreachable("connection refused".into())
}

fn unknown_key() -> LinkError {
    LinkError::Key { state: KeyState::Unknown, fingerprint: "f".into() }
}

#[tokio::test(start_paused = true)]
async fn a_lan_that_is_down_is_asked_three_times_and_then_ever_more_rarely() {
    let mut bench = Bench::new(true);
    bench.lan.fail(down());
    let asked = bench.run(3000).await;
    assert_eq!(asked[..3], [0, 5, 10], "{asked:?}");
    let pauses: Vec<u64> = asked[2..].windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(pauses, [60, 120, 240, 480, 600, 600, 600], "{asked:?}");
    assert_eq!(bench.pair.kind(), LinkKind::Tedapi);
    bench.lan.heal();
    assert!(!bench.run(600).await.is_empty());
    assert_eq!(bench.pair.kind(), LinkKind::V1r, "it is used again by itself");
    bench.lan.fail(down());
    assert_eq!(bench.run(20).await[..3], [0, 5, 10], "and has all its chances again");
}

#[tokio::test(start_paused = true)]
async fn no_poll_fails_while_one_way_works() {
    for error in [
        down(),
        LinkError::Timeout(SECOND),
        LinkError::Status { status: 502, what: "/".into() },
        LinkError::NotFound("/tedapi/v1r".into()),
        LinkError::Refused { status: 401, hint: String::new() },
        LinkError::LoginBudget { left: 500 * SECOND },
        LinkError::ClockSkew("a minute".into()),
        LinkError::Rejected { fault: 7, name: "insufficient privileges" },
        unknown_key(),
    ] {
        let mut bench = Bench::new(true);
        bench.lan.fail(error.clone());
        for _ in 0..100 {
            assert_eq!(bench.leader().await.unwrap(), "TEDAPI", "{error}");
            advance(5 * SECOND).await;
        }
        bench.lan.heal();
        bench.lan.asked();
        bench.wifi.fail(error.clone());
        assert_eq!(
            bench.run(1000).await.len(),
            200,
            "{error}: the LAN is asked at each poll, and by nobody else"
        );
        assert_eq!(bench.pair.kind(), LinkKind::V1r, "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn when_both_fail_both_are_tried_and_the_lan_is_what_is_reported() {
    let mut bench = Bench::new(true);
    bench.lan.fail(unknown_key());
    bench.wifi.fail(down());
    for poll in 0..5 {
        assert_eq!(bench.leader().await.unwrap_err().kind(), "key_unknown", "{poll}");
        assert_eq!((bench.lan.asked(), bench.wifi.asked()), (1, 1), "{poll}");
        advance(120 * SECOND).await;
    }
    bench.lan.heal();
    assert_eq!(bench.leader().await.unwrap(), "TEDAPI v1r");
}

#[tokio::test(start_paused = true)]
async fn credentials_that_were_refused_are_not_tried_in_need() {
    let mut bench = Bench::new(true);
    bench.wifi.fail(LinkError::Refused { status: 403, hint: String::new() });
    bench.lan.fail(down());
    for _ in 0..12 {
        bench.leader().await.unwrap_err();
        advance(5 * SECOND).await;
    }
    assert_eq!(bench.wifi.asked(), 1, "once in a minute");
}

#[tokio::test(start_paused = true)]
async fn a_follower_is_asked_over_wifi_alone_and_its_silence_is_wifis_alone() {
    let mut bench = Bench::new(true);
    assert_eq!(bench.follower().await.unwrap(), "TEDAPI");
    assert_eq!(bench.leader().await.unwrap(), "TEDAPI v1r");
    bench.wifi.asked();
    bench.wifi.fail(LinkError::RateLimited { retry_after: Some(400 * SECOND) });
    assert_eq!(bench.follower().await.unwrap_err().kind(), "resting", "no silence for the whole gateway");
    for _ in 0..79 {
        assert_eq!(bench.leader().await.unwrap(), "TEDAPI v1r");
        assert_eq!(bench.follower().await.unwrap_err().kind(), "resting");
        advance(5 * SECOND).await;
    }
    assert_eq!(bench.wifi.asked(), 1);
    bench.wifi.heal();
    advance(10 * SECOND).await;
    assert_eq!(bench.follower().await.unwrap(), "TEDAPI");
}

#[tokio::test(start_paused = true)]
async fn a_silence_for_the_leader_is_passed_on_and_wifi_is_left_alone() {
    for error in [LinkError::RateLimited { retry_after: None }, LinkError::Busy { retry_after: None }] {
        let mut bench = Bench::new(true);
        bench.lan.fail(error.clone());
        assert_eq!(bench.leader().await.unwrap_err(), error);
        assert_eq!(bench.wifi.asked(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn wifi_that_nobody_needs_is_looked_after_now_and_then() {
    let mut bench = Bench::new(true);
    bench.run(3600).await;
    let asked = bench.wifi.asked();
    assert!((5..=7).contains(&asked), "{asked} times an hour");
    let wifi = |bench: &Bench| bench.pair.links().unwrap().remove(1);
    assert!(!wifi(&bench).in_use && wifi(&bench).last_success.is_some());
    assert_eq!(wifi(&bench).why, "stands by");
    bench.wifi.fail(down());
    bench.run(3600).await;
    assert_eq!(
        wifi(&bench).last_error.unwrap().kind,
        "unreachable",
        "it is known that it could not take over"
    );
    assert_eq!(bench.pair.kind(), LinkKind::V1r);
}

#[tokio::test(start_paused = true)]
async fn pinned_ways_never_do_each_others_work() {
    let mut bench = Bench::new(false);
    bench.lan.fail(down());
    for _ in 0..10 {
        assert_eq!(bench.leader().await.unwrap_err(), down());
        advance(60 * SECOND).await;
    }
    assert_eq!((bench.wifi.asked(), bench.pair.check_due()), (0, None));
    assert_eq!(bench.follower().await.unwrap(), "TEDAPI");
    bench.lan.heal();
    assert_eq!(bench.leader().await.unwrap(), "TEDAPI v1r");
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_is_busy_for_a_moment_is_asked_over_the_lan_again_at_once() {
    let mut bench = Bench::new(true);
    bench.lan.fail(LinkError::Rejected { fault: 1, name: "busy" });
    for _ in 0..10 {
        assert_eq!(bench.leader().await.unwrap(), "TEDAPI");
        advance(5 * SECOND).await;
    }
    assert_eq!(bench.lan.asked(), 10);
    bench.lan.heal();
    assert_eq!(bench.leader().await.unwrap(), "TEDAPI v1r");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_cannot_be_read_is_no_failure_of_the_way() {
    let mut bench = Bench::new(true);
    bench.lan.fail(LinkError::Malformed { what: "it".into(), why: "no JSON".into() });
    for _ in 0..5 {
        assert_eq!(bench.leader().await.unwrap_err().kind(), "malformed");
    }
    assert_eq!((bench.lan.asked(), bench.wifi.asked()), (5, 0));
}

#[tokio::test(start_paused = true)]
async fn whatever_the_check_of_a_resting_lan_is_answered_the_next_one_waits_for_a_minute() {
    let garbage = || LinkError::Malformed { what: "the check".into(), why: "no protobuf".into() };
    for first in [down(), LinkError::Status { status: 500, what: "/".into() }, unknown_key()] {
        for then in [
            LinkError::Rejected { fault: BUSY, name: "busy" },
            LinkError::Rejected { fault: UNIT_TIMEOUT, name: "no answer from the unit in time" },
            LinkError::Rejected { fault: 11, name: "internal error" },
            garbage(),
            LinkError::NotFound("/tedapi/v1r".into()),
            LinkError::ClockSkew("a minute".into()),
            LinkError::LoginBudget { left: Duration::from_millis(1) },
            LinkError::Silence { left: Duration::ZERO },
            LinkError::Unsupported("it".into()),
        ] {
            let mut bench = Bench::new(true);
            bench.lan.fail(first.clone());
            bench.run(20).await;
            bench.lan.fail(then.clone());
            let mut checks: Vec<Instant> = Vec::new();
            for _ in 0..1200 {
                assert_eq!(bench.leader().await.unwrap(), "TEDAPI", "{first} {then}: Wi-Fi takes over");
                // What a gateway's actor does with slow data: goes on for as long as something is due.
                while bench.pair.check_due().is_some_and(|due| due <= Instant::now()) {
                    bench.pair.check(DIN).await.unwrap();
                    checks.extend(std::iter::repeat_n(Instant::now(), bench.lan.asked()));
                    assert!(checks.len() < 100, "{first}, then {then}: a storm of checks");
                }
                advance(SECOND).await;
            }
            assert!(checks.len() >= 2, "{first}, then {then}: it is never given up for good");
            let pauses: Vec<_> = checks.windows(2).map(|pair| pair[1] - pair[0]).collect();
            assert!(pauses.iter().all(|pause| *pause >= PAUSE), "{first}, then {then}: {pauses:?}");
            let lan = bench.pair.links().unwrap().remove(0);
            assert_eq!(lan.last_error.unwrap().kind, then.kind(), "one learns why it is not used");
            bench.lan.heal();
            bench.run(620).await;
            assert_eq!(bench.pair.kind(), LinkKind::V1r, "{first}, then {then}");
        }
    }
}

/// A way that takes every question and answers none.
struct Hanging(Rc<RefCell<usize>>);

impl Channel for Hanging {
    fn kind(&self) -> LinkKind {
        LinkKind::V1r
    }

    fn din(&mut self) -> LocalBoxFuture<'_, Result<Bytes, LinkError>> {
        Box::pin(std::future::pending())
    }

    fn ask<'a>(&'a mut self, _: Question<'a>) -> LocalBoxFuture<'a, Result<Bytes, LinkError>> {
        let mut asked = self.0.borrow_mut();
        *asked += 1;
        match *asked {
            1..=3 => Box::pin(async { Err(down()) }),
            _ => Box::pin(std::future::pending()),
        }
    }

    fn reaches_followers(&self) -> bool {
        false
    }

    fn doubts_din(&self, _: &LinkError) -> bool {
        false
    }
}

#[tokio::test(start_paused = true)]
async fn a_check_that_is_given_up_from_outside_is_not_made_again_at_once() {
    let asked = Rc::new(RefCell::new(0));
    let mut pair = Pair::new("home", Hanging(asked.clone()), Scripted::new(LinkKind::Tedapi), true);
    let mut checks = 0;
    for second in 0..600 {
        let target = Target::Gateway { din: DIN };
        let question = Question { din: DIN, target, payload: frames::config(), what: "it" };
        assert!(pair.ask(question).await.is_ok(), "{second}");
        while pair.check_due().is_some_and(|due| due <= Instant::now()) {
            checks += 1;
            let _ = tokio::time::timeout(SECOND, pair.check(DIN)).await;
            assert!(checks < 100, "it is checked again and again");
        }
        advance(5 * SECOND).await;
    }
    let lan = *asked.borrow();
    assert!((4..60).contains(&lan), "{lan} questions in 50 minutes");
}

#[tokio::test(start_paused = true)]
async fn that_a_unit_is_not_served_over_wifi_is_reported_whatever_is_wrong_with_the_lan() {
    let not_served = [LinkError::NotFound("/".into()), LinkError::Status { status: 502, what: "/".into() }];
    for lan in [down(), unknown_key(), LinkError::Rejected { fault: UNIT_TIMEOUT, name: "no answer" }] {
        for wifi in &not_served {
            let mut bench = Bench::new(true);
            bench.lan.fail(lan.clone());
            bench.wifi.fail(wifi.clone());
            for poll in 0..5 {
                let target = Target::Unit { gateway: DIN, unit: DIN };
                let question = Question { din: DIN, target, payload: frames::config(), what: "it" };
                assert_eq!(bench.pair.ask(question).await.unwrap_err(), *wifi, "{lan}, {poll}");
                assert_eq!(bench.leader().await.unwrap_err(), lan, "{wifi}, {poll}");
                advance(60 * SECOND).await;
            }
        }
    }
}
