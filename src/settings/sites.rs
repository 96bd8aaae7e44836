//! Ids of sites, patterns of them, tags and groups: what may stand in them.

use super::values::Refusal;

/// Levels of the id of a site.
const MOST_LEVELS: usize = 4;
const LONGEST_ID: usize = 64;
/// Patterns of sites that one centre watches.
const MOST_PATTERNS: usize = 64;
const MOST_TAGS: usize = 16;
const LONGEST_LABEL: usize = 64;

/// The parts of a list in one text.
pub(super) fn split(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty())
}

/// Whether it may be the id of a gateway, a level of that of a site, and so the name of a file and a part of
/// a path.
pub fn is_id(text: &str) -> bool {
    let is_plain = |character: char| character.is_ascii_alphanumeric() || "_-".contains(character);
    (1..=LONGEST_ID).contains(&text.len()) && text.chars().all(is_plain)
}

pub(super) fn level(text: &str) -> Result<String, Refusal> {
    match is_id(text) {
        true => Ok(text.to_owned()),
        false => Err(format!("{text:?} is not 1 to {LONGEST_ID} of A-Z a-z 0-9 _ -")),
    }
}

/// The id of a site.
pub(super) fn site(text: &str) -> Result<String, Refusal> {
    let levels: Vec<&str> = text.split('.').collect();
    match levels.len() <= MOST_LEVELS && levels.iter().all(|one| is_id(one)) {
        true => Ok(text.to_owned()),
        false => Err(format!("{text:?} is not one to four levels of A-Z a-z 0-9 _ -, such as north.17")),
    }
}

pub(super) fn patterns(text: &str) -> Result<Vec<String>, Refusal> {
    let all: Vec<String> = split(text).map(str::to_owned).collect();
    let is_pattern = |pattern: &String| {
        let levels: Vec<&str> = pattern.split('.').collect();
        let (last, before) = levels.split_last().unwrap_or((&"", &[]));
        let is_right = |level: &&str| *level == "*" || is_id(level);
        levels.len() <= MOST_LEVELS && before.iter().all(is_right) && (*last == ">" || is_right(last))
    };
    match all.iter().find(|pattern| !is_pattern(pattern)) {
        Some(wrong) => Err(format!("{wrong:?} is not the id of a site, nor a pattern such as north.> or >")),
        None if all.len() > MOST_PATTERNS => Err(format!("more than {MOST_PATTERNS} patterns")),
        None => Ok(all),
    }
}

pub(super) fn label(text: &str) -> Result<String, Refusal> {
    let is_right = !text.is_empty() && text.len() <= LONGEST_LABEL && !text.chars().any(char::is_control);
    match is_right {
        true => Ok(text.to_owned()),
        false => Err(format!("{text:?} is not a text of 1 to {LONGEST_LABEL} bytes")),
    }
}

pub(super) fn tags(text: &str) -> Result<Vec<String>, Refusal> {
    let all = split(text).map(label).collect::<Result<Vec<_>, _>>()?;
    if all.len() > MOST_TAGS { Err(format!("more than {MOST_TAGS} tags")) } else { Ok(all) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_has_levels_and_a_pattern_may_leave_some_open() {
        for right in ["north.17", "a", "a.b.c.d"] {
            assert_eq!(site(right).as_deref(), Ok(right));
        }
        for wrong in ["", "a..b", "a.>", "a.*", "a.b.c.d.e", "a b", ".a", "ä"] {
            assert!(site(wrong).is_err(), "{wrong}");
        }
        assert_eq!(patterns("north.>, south.*.a ,>").unwrap(), ["north.>", "south.*.a", ">"]);
        for wrong in ["north.>.a", "a b", "no>"] {
            assert!(patterns(wrong).is_err(), "{wrong}");
        }
    }
}
