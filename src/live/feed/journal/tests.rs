use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;

fn sections(values: &[(&str, i64)]) -> Vec<Section> {
    values.iter().map(|(key, value)| ((*key).into(), value.to_string().into())).collect()
}

fn journal() -> Journal {
    Journal::new("e".into())
}

fn place(epoch: &str, seq: u64) -> Place {
    Place { epoch: epoch.into(), seq }
}

fn json(message: &Message) -> Value {
    serde_json::from_str(&message.json).unwrap()
}

#[test]
fn only_what_changed_is_sent_and_what_is_gone_is_named() {
    let mut journal = journal();
    assert!(journal.replace(sections(&[("a", 1), ("b", 2)]), 10.0));
    let mut cursor = journal.resume(None);
    let state = json(&journal.next(&mut cursor, 10.1234).unwrap());
    assert_eq!(state["state"], json!({ "a": 1, "b": 2 }));
    assert_eq!((&state["seq"], &state["epoch"], &state["at"]), (&json!(1), &json!("e"), &json!(10.123)));
    assert!(journal.next(&mut cursor, 10.2).is_none());
    assert!(!journal.replace(sections(&[("a", 1), ("b", 2)]), 11.0), "nothing changed");
    assert!(journal.replace(sections(&[("b", 3), ("c", 4)]), 12.0));
    let change = json(&journal.next(&mut cursor, 12.5).unwrap());
    let expected =
        json!({ "type": "change", "seq": 2, "at": 12.0, "set": { "b": 3, "c": 4 }, "gone": ["a"] });
    assert_eq!(change, expected);
    assert!(journal.next(&mut cursor, 12.5).is_none());
}

#[test]
fn a_beat_goes_to_everybody_and_is_serialised_once() {
    let mut journal = journal();
    journal.replace(sections(&[("a", 1)]), 1.0);
    let mut cursors = [journal.resume(None); 9];
    for cursor in &mut cursors {
        journal.next(cursor, 1.0).unwrap();
    }
    assert_eq!(journal.serialised(), 2, "a change and a state");
    journal.beat();
    for cursor in &mut cursors {
        let beat = json(&journal.next(cursor, 6.0).unwrap());
        assert_eq!(beat, json!({ "type": "beat", "seq": 1, "at": 6.0 }));
        assert!(journal.next(cursor, 6.0).is_none());
    }
    assert_eq!(journal.serialised(), 3);
}

#[test]
fn who_comes_back_gets_what_it_missed_or_all() {
    let mut journal = journal();
    for value in 1..=10 {
        journal.replace(sections(&[("a", value)]), 1.0);
    }
    let mut sent = |seen: Place| {
        let mut cursor = journal.resume(Some(&seen));
        let mut sent = Vec::new();
        while let Some(message) = journal.next(&mut cursor, 2.0) {
            sent.push((message.kind, message.seq));
        }
        sent
    };
    assert_eq!(sent(place("e", 7)), [8, 9, 10].map(|seq| (Kind::Change, seq)));
    assert_eq!(sent(place("e", 10)), [(Kind::Beat, 10)]);
    for stranger in [place("e", 11), place("other", 7), place("", 0)] {
        assert_eq!(sent(stranger), [(Kind::State, 10)]);
    }
}

#[test]
fn who_missed_too_much_gets_the_newest_state_and_memory_is_bounded() {
    let mut journal = journal();
    let large = |value: i64| format!("\"{}{value}\"", "x".repeat(20_000));
    let mut slow = journal.resume(None);
    for value in 0..200 {
        journal.replace(vec![("a".into(), large(value).into())], 1.0);
        if value == 0 {
            journal.next(&mut slow, 1.0).unwrap();
        }
        assert!(journal.changes_size <= MOST_BYTES);
        let kept: usize = journal.changes.iter().map(|change| change.json.len()).sum();
        assert_eq!(kept, journal.changes_size);
    }
    let message = journal.next(&mut slow, 1.0).unwrap();
    assert_eq!((message.kind, message.seq), (Kind::State, 200));
    assert!(journal.next(&mut slow, 1.0).is_none());
    for value in 0..2 * MOST_CHANGES as i64 {
        journal.replace(sections(&[("b", value)]), 1.0);
    }
    assert_eq!(journal.changes.len(), MOST_CHANGES);
}

/// What a client makes of the messages.
fn apply(state: &mut Map<String, Value>, seq: &mut u64, message: &Message) {
    let message = json(message);
    let number = message["seq"].as_u64().unwrap();
    match message["type"].as_str().unwrap() {
        "state" => *state = message["state"].as_object().unwrap().clone(),
        "change" => {
            assert_eq!(number, *seq + 1, "no gap");
            state.extend(message["set"].as_object().unwrap().clone());
            for key in message["gone"].as_array().unwrap() {
                assert!(state.remove(key.as_str().unwrap()).is_some());
            }
        }
        _ => assert_eq!(number, *seq),
    }
    *seq = number;
}

proptest! {
    #[test]
    fn whenever_a_client_reads_it_ends_up_with_what_there_is(
        steps in proptest::collection::vec(
            (proptest::collection::btree_map("[a-d]", 0..3_i64, 0..4), any::<bool>(), any::<bool>()), 1..60),
    ) {
        let mut journal = journal();
        let mut cursor = journal.resume(None);
        let (mut state, mut seq) = (Map::new(), 0);
        for (now, reads, reconnects) in steps {
            let now: Vec<(&str, i64)> = now.iter().map(|(key, value)| (key.as_str(), *value)).collect();
            journal.replace(sections(&now), 1.0);
            if reconnects {
                cursor = journal.resume(Some(&place("e", seq)));
            }
            if reads {
                while let Some(message) = journal.next(&mut cursor, 1.0) {
                    apply(&mut state, &mut seq, &message);
                }
                let expected: Map<String, Value> =
                    now.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
                prop_assert_eq!(&state, &expected);
                prop_assert_eq!(seq, journal.seq());
            }
        }
    }
}

#[test]
fn a_large_state_is_shared_for_a_while_and_what_changed_since_follows() {
    let mut journal = journal();
    let large: Bytes = format!("\"{}\"", "x".repeat(LARGE_STATE)).into();
    let with = |value: i64| vec![("large".into(), large.clone()), ("a".into(), value.to_string().into())];
    journal.replace(with(1), 10.0);
    let first = journal.state(10.0);
    journal.replace(with(2), 11.0);
    let mut cursor = journal.resume(None);
    let state = journal.next(&mut cursor, 12.0).unwrap();
    assert!(Arc::ptr_eq(&state, &first), "one for all who come within seconds");
    let change = json(&journal.next(&mut cursor, 12.0).unwrap());
    assert_eq!((&change["seq"], &change["set"]), (&json!(2), &json!({ "a": 2 })));
    assert!(journal.next(&mut cursor, 12.0).is_none());
    assert!(!Arc::ptr_eq(&journal.state(10.0 + LARGE_SHARED_FOR), &first), "it grows old");
}

#[test]
fn a_large_journal_that_nobody_reads_is_forgotten_and_a_small_one_is_not() {
    let mut small = journal();
    small.replace(sections(&[("a", 1)]), 1.0);
    assert!(!small.fall_asleep());
    assert!(
        small
            .next(&mut small.resume(Some(&place("e", 0))), 2.0)
            .is_some_and(|next| next.kind == Kind::Change)
    );

    let mut large = journal();
    large.replace(vec![("a".into(), vec![b'1'; LARGE_STATE + 1].into())], 1.0);
    large.state(1.0);
    assert!(large.fall_asleep());
    assert!(large.sections.is_empty() && large.changes.is_empty() && large.state.is_none());
    large.replace(sections(&[("a", 2)]), 3.0);
    let mut back = large.resume(Some(&place("e", 1)));
    let message = large.next(&mut back, 3.0).unwrap();
    assert_eq!((message.kind, &json(&message)["state"]), (Kind::State, &json!({ "a": 2 })));
}
