use proptest::prelude::*;

use super::*;

#[test]
fn what_was_known_before_the_start_comes_first() {
    let before = Numbering { units: vec!["b".into(), "a".into()], ..Numbering::default() };
    let memory =
        NumberingMemory::of(Numbering { units: vec!["a".into(), "c".into()], ..Numbering::default() });
    memory.recall(before);
    assert_eq!(memory.known().units, ["b", "a", "c"]);
}

proptest! {
    #[test]
    fn a_number_never_passes_to_another(polls in prop::collection::vec(
        prop::sample::subsequence(vec!["a", "b", "c", "d", "e"], 1..=5).prop_shuffle(), 1..20,
    )) {
        let mut known: Vec<String> = Vec::new();
        for seen in polls {
            let seen: Vec<String> = seen.into_iter().map(str::to_owned).collect();
            let before = known.clone();
            meet(&mut known, &seen);
            prop_assert!(seen.iter().all(|name| known.contains(name)));
            let is_other_site = before.iter().all(|name| !seen.contains(name));
            prop_assert!(is_other_site || known.starts_with(&before));
        }
    }

    #[test]
    fn memory_is_bounded(names in prop::collection::vec("[a-z]{0,200}", 0..200)) {
        let mut known = Vec::new();
        meet(&mut known, &names);
        prop_assert!(known.len() <= MOST && known.iter().all(|name| name.len() <= LONGEST_NAME));
    }
}
