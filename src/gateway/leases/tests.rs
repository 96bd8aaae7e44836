use super::*;
use crate::model::order::Mode;
use crate::model::{AppPercent, ErrorNote, Reserve};

const MINUTE: Duration = Duration::from_secs(60);

fn id(number: u128) -> OrderId {
    OrderId::new(number)
}

fn reserve(app: f64) -> Setpoint {
    Setpoint { reserve: Reserve::new(AppPercent(app)), ..Setpoint::default() }
}

fn at(app: f64) -> Present {
    Present {
        reserve: Some(AppPercent(app).to_raw()),
        mode: Some("self_consumption".into()),
        ..Present::default()
    }
}

/// A lease of ten minutes.
fn terms(former: Setpoint) -> Option<Terms> {
    Some(Terms { lasts: MINUTE * 10, former })
}

/// How the leases ended since this was asked last, in words.
fn ends(leases: &mut Leases) -> Vec<(OrderId, &'static str)> {
    let ended = |news: LeaseNews| match news.event {
        LeaseEvent::Ended(end) => Some((news.order, end.word())),
        LeaseEvent::Holds { .. } => None,
    };
    leases.news().into_iter().filter_map(ended).collect()
}

fn one(now: Instant) -> Leases {
    let mut leases = Leases::default();
    leases.order_sent(id(1), &reserve(80.0), terms(reserve(20.0)), now);
    leases
}

#[tokio::test(start_paused = true)]
async fn the_former_state_is_ordered_back_when_what_was_set_still_stands() {
    let start = Instant::now();
    let mut leases = one(start);
    assert_eq!(leases.wake(), Some(start + MINUTE * 10));
    assert_eq!(leases.due(start + MINUTE * 9), None);
    let end = start + MINUTE * 10;
    assert_eq!(leases.due(end), Some((id(1), reserve(80.0))));
    assert_eq!(leases.due(end), None, "one at a time");
    assert_eq!(leases.checked(id(1), Some(&at(80.0)), end), Step::Restore(reserve(20.0)));
    leases.restoring(id(1), id(2));
    assert_eq!((leases.restored_by(id(2)), leases.wake()), (Some(id(1)), None));
    leases.settled(id(2), &Outcome::Stored("as asked".into()), end);
    assert_eq!(ends(&mut leases), [(id(1), "restored")]);
    assert!(leases.shown().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_somebody_else_has_set_is_left_alone() {
    for (stands, word) in [(50.0, "superseded"), (20.0, "restored"), (20.4, "restored")] {
        let start = Instant::now();
        let mut leases = one(start);
        let end = start + MINUTE * 10;
        leases.due(end);
        assert_eq!(leases.checked(id(1), Some(&at(stands)), end), Step::Wait);
        assert_eq!(ends(&mut leases), [(id(1), word)], "{stands}");
    }
    // Roundings, and what the cloud makes of 90, are nobody's change.
    for (asked, stands) in [(80.0, 80.4), (90.0, 80.0)] {
        let start = Instant::now();
        let mut leases = Leases::default();
        leases.order_sent(id(1), &reserve(asked), terms(reserve(20.0)), start);
        let end = start + MINUTE * 10;
        leases.due(end);
        assert_eq!(leases.checked(id(1), Some(&at(stands)), end), Step::Restore(reserve(20.0)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_during_the_lease_is_verified_and_ends_it() {
    let start = Instant::now();
    let mut leases = one(start);
    // The gateway has not taken it over yet.
    leases.seen(&at(20.0), start);
    assert_eq!(leases.due(start + MINUTE), None);
    leases.seen(&at(80.0), start + MINUTE);
    leases.seen(&at(50.0), start + MINUTE * 2);
    let now = start + MINUTE * 2;
    assert_eq!(leases.due(now), Some((id(1), reserve(80.0))));
    // Those readings were old; this is not.
    assert_eq!(leases.checked(id(1), Some(&at(80.0)), now), Step::Wait);
    assert!(ends(&mut leases).is_empty());
    leases.seen(&at(50.0), now + MINUTE);
    assert!(leases.due(now + MINUTE).is_some());
    assert_eq!(leases.checked(id(1), Some(&at(50.0)), now + MINUTE), Step::Wait);
    assert_eq!(ends(&mut leases), [(id(1), "superseded")]);
}

#[tokio::test(start_paused = true)]
async fn another_order_ends_a_lease_and_a_lease_within_it_inherits_what_was_before() {
    let start = Instant::now();
    let mut leases = one(start);
    assert_eq!(leases.former(&reserve(50.0), &at(80.0)), Some(reserve(20.0)));
    leases.order_sent(id(2), &reserve(50.0), terms(reserve(80.0)), start + MINUTE);
    assert_eq!(ends(&mut leases), [(id(1), "superseded")]);
    assert_eq!(leases.shown()[0].former, reserve(20.0));
    assert_eq!(leases.wake(), Some(start + MINUTE * 11));
    leases.order_sent(id(3), &reserve(30.0), None, start + MINUTE);
    assert_eq!(ends(&mut leases), [(id(2), "superseded")]);
    assert_eq!(leases.wake(), None);
}

#[tokio::test(start_paused = true)]
async fn each_setting_of_a_lease_lives_for_itself() {
    let start = Instant::now();
    let both = |app, mode| Setpoint { mode: Some(mode), ..reserve(app) };
    let mut leases = Leases::default();
    leases.order_sent(id(1), &both(80.0, Mode::Backup), terms(both(20.0, Mode::SelfConsumption)), start);
    leases.order_sent(id(2), &reserve(30.0), None, start);
    assert!(ends(&mut leases).is_empty());
    let end = start + MINUTE * 10;
    let (_, read) = leases.due(end).unwrap();
    assert_eq!(read, Setpoint { mode: Some(Mode::Backup), ..Setpoint::default() });
    let present = Present { mode: Some("backup".into()), ..at(30.0) };
    let restored = Setpoint { mode: Some(Mode::SelfConsumption), ..Setpoint::default() };
    assert_eq!(leases.checked(id(1), Some(&present), end), Step::Restore(restored));
}

#[tokio::test(start_paused = true)]
async fn it_is_tried_five_times_within_an_hour_and_only_while_it_is_proven_to_stand() {
    let start = Instant::now();
    let mut leases = one(start);
    let end = start + MINUTE * 10;
    let lost = Outcome::Unknown(ErrorNote { kind: "timeout", message: "no answer".into() });
    let mut now = end;
    for attempt in 1..=5 {
        assert!(leases.due(now).is_some(), "{attempt}");
        // What cannot be read is not ordered.
        assert_eq!(leases.checked(id(1), None, now), Step::Wait);
        now += READ_AGAIN;
        assert!(leases.due(now).is_some());
        assert_eq!(leases.checked(id(1), Some(&at(80.0)), now), Step::Restore(reserve(20.0)));
        leases.restoring(id(1), id(100 + attempt));
        assert_eq!(leases.due(now + MINUTE * 2), None, "while an order is under way");
        now += MINUTE * 4;
        leases.settled(id(100 + attempt), &lost, now);
        now = leases.wake().unwrap_or(now);
    }
    assert_eq!(ends(&mut leases), [(id(1), "restore_failed")]);
    assert!(now < end + RESTORING, "{:?}", now - end);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_for_an_hour_is_given_up() {
    let start = Instant::now();
    let mut leases = one(start);
    let mut now = start + MINUTE * 10;
    let mut reads = 0;
    while leases.due(now).is_some() {
        assert_eq!(leases.checked(id(1), None, now), Step::Wait);
        reads += 1;
        let Some(wake) = leases.wake() else { break };
        now = wake;
    }
    assert_eq!((ends(&mut leases), reads), (vec![(id(1), "restore_failed")], 61));
}

#[tokio::test(start_paused = true)]
async fn a_lease_outlives_the_program() {
    let start = Instant::now();
    let mut leases = Leases::default();
    let left = |attempts, by| LeftLease {
        order: id(1),
        leased: reserve(80.0),
        former: reserve(20.0),
        left: MINUTE,
        attempts,
        by,
    };
    leases.adopt(left(0, None), start);
    assert_eq!(leases.wake(), Some(start + MINUTE));
    // One that was being restored goes on with its attempts.
    let mut leases = Leases::default();
    leases.adopt(left(4, Some(id(9))), start);
    assert_eq!(leases.wake(), None);
    let unknown = Outcome::Unknown(ErrorNote { kind: "restarted", message: String::new() });
    leases.settled(id(9), &unknown, start);
    let now = leases.wake().unwrap();
    leases.due(now);
    assert_eq!(leases.checked(id(1), Some(&at(80.0)), now), Step::Restore(reserve(20.0)));
}

#[tokio::test(start_paused = true)]
async fn a_change_that_cannot_be_verified_is_not_looked_at_again_and_again() {
    let start = Instant::now();
    let mut leases = one(start);
    leases.seen(&at(80.0), start);
    let mut looks = 0;
    for second in 0..300 {
        let now = start + Duration::from_secs(second);
        leases.seen(&at(50.0), now);
        while leases.due(now).is_some() {
            looks += 1;
            assert!(looks <= 5, "one a minute");
            assert_eq!(leases.checked(id(1), None, now), Step::Wait);
            leases.seen(&at(50.0), now);
        }
    }
    assert_eq!(looks, 5);
}
