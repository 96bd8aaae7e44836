use proptest::prelude::*;

use super::*;
use crate::model::{AppPercent, LinkKind, RawPercent, Reserve, Supplement};

const SECOND: Duration = Duration::from_secs(1);

fn reserve(percent: u8) -> Order {
    Order::Reserve(Reserve::new(AppPercent(percent.into())).unwrap())
}

fn id(number: u128) -> OrderId {
    OrderId::new(number)
}

fn why() -> ErrorNote {
    ErrorNote { kind: "why", message: "because".into() }
}

fn accepted() -> Outcome {
    Outcome::Accepted("the gateway says so".into())
}

fn words(changes: &[Change]) -> Vec<(&'static str, bool)> {
    changes.iter().map(|change| (change.outcome.word(), change.is_final)).collect()
}

/// A book of a program that has left nothing.
fn recalled() -> OrderBook {
    let book = OrderBook::default();
    assert!(book.adopt(Left::default(), Instant::now()).is_empty());
    book
}

/// A book with an order that was accepted at `now`.
fn with_accepted(now: Instant) -> (OrderBook, watch::Receiver<Standing>) {
    let book = recalled();
    let standing = book.add(id(1), reserve(20), None, now).unwrap();
    book.recorded(id(1));
    book.begin(|_| false).unwrap();
    assert_eq!(words(&book.finish(accepted(), None, now)), [("accepted", false)]);
    (book, standing)
}

#[test]
fn readings_prove_what_is_news_and_came_over_the_same_link() {
    let readings = |raw: f64| Readings { reserve: Some(RawPercent(raw)), ..Readings::default() };
    let (old, now) = (Instant::now(), Instant::now() + SECOND);
    let stale = Readings {
        supplements: vec![Supplement { field: "reserve", link: LinkKind::Local, taken: old }],
        ..readings(24.0)
    };
    let later = now + SECOND;
    for (shown_before, seen, begun, is_same_link, proves) in [
        (false, readings(24.0), later, true, true),
        (false, readings(25.0), later, true, false),
        (true, readings(24.0), later, true, false),
        (false, readings(24.0), now, true, false),
        (false, readings(24.0), later, false, false),
        (false, stale, later, true, false),
    ] {
        let book = recalled();
        let standing = book.add(id(1), reserve(20), None, now).unwrap();
        book.recorded(id(1));
        book.begin(|_| shown_before).unwrap();
        book.finish(accepted(), None, now);
        let changes = book.seen(&seen, begun, |_| is_same_link);
        assert_eq!(!changes.is_empty(), proves, "{seen:?}");
        assert_eq!(standing.borrow().is_final, proves);
    }
}

#[test]
fn an_order_waits_for_the_journal_and_for_those_before_it() {
    let (book, now) = (recalled(), Instant::now());
    let _first = book.add(id(1), reserve(1), None, now);
    let _second = book.add(id(2), reserve(2), None, now);
    book.recorded(id(2));
    assert_eq!(book.begin(|_| false), None, "the first one is not recorded");
    book.recorded(id(1));
    assert_eq!(book.begin(|_| false), Some((id(1), reserve(1))));
    assert_eq!(book.begin(|_| false), None, "one at a time");
    book.finish(Outcome::Refused(why()), None, now);
    assert_eq!(book.begin(|_| false), Some((id(2), reserve(2))));
}

#[test]
fn only_so_many_wait_and_only_for_so_long() {
    let (book, now) = (recalled(), Instant::now());
    let standings: Vec<_> =
        (0..8).map(|number| book.add(id(number), reserve(1), None, now).unwrap()).collect();
    assert!(book.add(id(9), reserve(1), None, now).is_none());
    assert_eq!(book.expire(now + 29 * SECOND, &why()), []);
    assert_eq!(book.wake(false), Some(now + 30 * SECOND));
    assert_eq!(book.expire(now + 30 * SECOND, &why()).len(), 8);
    for standing in standings {
        assert_eq!(standing.borrow().outcome, Some(Outcome::NotSent(why())));
    }
    assert_eq!(book.begin(|_| false), None);
}

#[test]
fn an_order_is_repeated_once_and_only_after_a_poll() {
    let (book, now) = (recalled(), Instant::now());
    let standing = book.add(id(1), reserve(1), None, now).unwrap();
    book.recorded(id(1));
    book.begin(|_| false).unwrap();
    assert_eq!(book.not_executed(why(), true, now), []);
    assert_eq!(book.begin(|_| false), None, "not before the next poll");
    book.polled();
    assert!(book.begin(|_| false).is_some());
    assert_eq!(words(&book.not_executed(why(), true, now)), [("refused", true)]);
    book.polled();
    assert_eq!(book.begin(|_| false), None);
    assert_eq!(standing.borrow().outcome, Some(Outcome::Refused(why())));
}

#[test]
fn an_order_that_never_left_is_not_called_refused_and_one_that_left_is_not_called_unsent() {
    for (first, second, expected) in [
        (false, Some(false), "not_sent"),
        (true, Some(false), "refused"),
        (false, Some(true), "refused"),
        (true, None, "refused"),
        (false, None, "not_sent"),
    ] {
        let (book, now) = (recalled(), Instant::now());
        let standing = book.add(id(1), reserve(1), None, now).unwrap();
        book.recorded(id(1));
        book.begin(|_| false).unwrap();
        book.not_executed(why(), first, now);
        book.polled();
        book.begin(|_| false).unwrap();
        match second {
            Some(was_sent) => book.not_executed(why(), was_sent, now),
            None => book.finish(Outcome::NotSent(why()), None, now),
        };
        assert_eq!(standing.borrow().outcome.as_ref().unwrap().word(), expected, "{first} {second:?}");
    }
}

#[test]
fn an_accepted_order_is_read_back_until_it_shows_or_the_looks_are_used_up() {
    let start = Instant::now();
    let (book, standing) = with_accepted(start);
    let mut looks = Vec::new();
    for second in 0..600 {
        let now = start + second * SECOND;
        if let Some((of, _)) = book.look(now) {
            looks.push(second);
            book.looked(of, None, Some("it has 5 %"), now);
        }
    }
    assert_eq!(looks, [3, 10, 20, 35, 60, 95, 150, 240]);
    let standing = standing.borrow();
    assert!(standing.is_final);
    let Some(Outcome::Accepted(evidence)) = &standing.outcome else { panic!("{standing:?}") };
    assert_eq!(evidence, "the gateway says so; read back after 240 s, it has 5 %");
}

#[test]
fn what_shows_ends_the_looking() {
    let start = Instant::now();
    let (book, standing) = with_accepted(start);
    let (of, _) = book.look(start + 4 * SECOND).unwrap();
    let stored = Outcome::Stored("read".into());
    assert_eq!(words(&book.looked(of, Some(stored.clone()), None, start + 4 * SECOND)), [("stored", true)]);
    assert_eq!(*standing.borrow(), Standing { outcome: Some(stored), is_final: true });
    assert_eq!((book.look(start + 60 * SECOND), book.wake(true)), (None, None));
}

#[test]
fn a_look_that_takes_long_is_not_the_last_one() {
    let start = Instant::now();
    let (book, standing) = with_accepted(start);
    let (of, _) = book.look(start + 3 * SECOND).unwrap();
    assert_eq!(book.looked(of, None, None, start + 13 * SECOND), []);
    assert!(!standing.borrow().is_final && book.look(start + 13 * SECOND).is_some());
}

#[test]
fn a_gateway_that_was_away_is_looked_at_once_when_it_is_back() {
    let start = Instant::now();
    let (book, standing) = with_accepted(start);
    assert_eq!(book.wake(false), None);
    let back = start + 3600 * SECOND;
    let (of, _) = book.look(back).unwrap();
    assert_eq!(words(&book.looked(of, None, None, back)), [("accepted", true)]);
    assert!(standing.borrow().is_final);
}

#[test]
fn a_newer_order_of_the_kind_ends_the_looking_if_it_may_have_left() {
    let now = Instant::now();
    let (book, first) = with_accepted(now);
    for (number, outcome) in [(2, Outcome::NotSent(why())), (3, Outcome::Unknown(why()))] {
        let _standing = book.add(id(number), reserve(30), None, now);
        book.recorded(id(number));
        book.begin(|_| false).unwrap();
        let may_have_left = matches!(outcome, Outcome::Unknown(_));
        book.finish(outcome, None, now);
        assert_eq!(first.borrow().is_final, may_have_left);
    }
    assert_eq!(first.borrow().outcome, Some(accepted()));
}

#[test]
fn after_a_crash_what_may_have_left_is_unknown_and_nothing_is_sent_again() {
    let now = Instant::now();
    let (book, old) = with_accepted(now);
    let underway = book.add(id(2), reserve(30), None, now).unwrap();
    book.recorded(id(2));
    let waiting = book.add(id(3), reserve(40), None, now).unwrap();
    book.recorded(id(3));
    assert!(book.begin(|_| false).is_some());
    let words = words(&book.recover(&why(), now));
    assert_eq!(words, [("accepted", true), ("unknown", false), ("not_sent", true)]);
    assert!(old.borrow().is_final && waiting.borrow().is_final && !underway.borrow().is_final);
    assert_eq!(book.begin(|_| false), None);
    assert_eq!(book.look(now + 3 * SECOND), Some((id(2), reserve(30))), "reading back decides");
    // It died of the last look.
    book.look(now + 3600 * SECOND).unwrap();
    assert_eq!(book.recover(&why(), now).len(), 1);
    assert!(underway.borrow().is_final);
}

#[derive(Clone, Debug)]
enum Step {
    Add,
    Recorded(u8),
    Begin,
    Finish(u8),
    NotExecuted,
    Polled,
    Look,
    Recover,
    Close,
    Pass(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Add),
        4 => any::<u8>().prop_map(Step::Recorded),
        4 => Just(Step::Begin),
        3 => any::<u8>().prop_map(Step::Finish),
        2 => Just(Step::NotExecuted),
        2 => Just(Step::Polled),
        2 => Just(Step::Look),
        1 => Just(Step::Recover),
        1 => Just(Step::Close),
        2 => any::<u8>().prop_map(Step::Pass),
    ]
}

proptest! {
    #[test]
    fn whatever_happens_no_order_begins_again_unless_it_was_not_executed(
        steps in proptest::collection::vec(step(), 0..80),
    ) {
        let (book, mut now) = (recalled(), Instant::now());
        let mut standings: Vec<watch::Receiver<Standing>> = Vec::new();
        let mut may_begin: Vec<bool> = Vec::new();
        let mut finals = 0;
        let number_of = |of| (0..80_usize).find(|number| id(*number as u128) == of).unwrap();
        for step in steps {
            let changes = match step {
                Step::Add => {
                    if let Some(standing) = book.add(id(standings.len() as u128), reserve(1), None, now) {
                        standings.push(standing);
                        may_begin.push(true);
                    }
                    Vec::new()
                }
                Step::Recorded(number) => {
                    book.recorded(id(number.into()));
                    Vec::new()
                }
                Step::Begin => {
                    if let Some((begun, _)) = book.begin(|_| false) {
                        let number = number_of(begun);
                        prop_assert!(std::mem::take(&mut may_begin[number]), "{number} begins again");
                        prop_assert!(!standings[number].borrow().is_final);
                    }
                    Vec::new()
                }
                Step::Finish(kind) => book.finish(match kind % 4 {
                    0 => Outcome::NotSent(why()),
                    1 => Outcome::Refused(why()),
                    2 => accepted(),
                    _ => Outcome::Unknown(why()),
                }, None, now),
                Step::NotExecuted => {
                    let underway = book.book().underway.as_ref().map(|order| order.id);
                    let changes = book.not_executed(why(), true, now);
                    if let (Some(underway), true) = (underway, changes.is_empty()) {
                        let number = number_of(underway);
                        may_begin[number] = true;
                    }
                    changes
                }
                Step::Polled => {
                    book.polled();
                    Vec::new()
                }
                Step::Look => match book.look(now) {
                    Some((of, _)) => book.looked(of, None, None, now),
                    None => Vec::new(),
                },
                Step::Recover => book.recover(&why(), now),
                Step::Close => book.close(&why()),
                Step::Pass(seconds) => {
                    now += u32::from(seconds) * SECOND;
                    book.expire(now, &why())
                }
            };
            finals += changes.iter().filter(|change| change.is_final).count();
            let waiting = book.book().waiting.len();
            let watched = book.book().watched.len();
            prop_assert!(waiting <= MOST_WAITING + 1 && watched <= MOST_WATCHED);
        }
        finals += book.close(&why()).len();
        prop_assert_eq!(finals, standings.len(), "each order has exactly one last word");
        prop_assert!(standings.iter().all(|standing| standing.borrow().is_final));
    }
}
