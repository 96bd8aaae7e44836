//! What is wrong with the settings, phrased for the person who wrote them. Never holds a secret.

use std::fmt;

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {what}")]
pub struct Problem {
    /// The variable, index and key, for example `PW_GATEWAYS[1].port`.
    pub place: String,
    /// What is wrong with it and what would be right.
    pub what: String,
}

/// All mistakes at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    pub fn add(&mut self, place: impl Into<String>, what: impl Into<String>) {
        self.0.push(Problem { place: place.into(), what: what.into() });
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// The name in `known` that `typed` probably meant.
pub(super) fn nearest<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let close =
        known.into_iter().map(|name| (distance(typed, name), name)).min_by_key(|(distance, _)| *distance)?;
    let tolerance = if typed.len() > 4 { 2 } else { 1 };
    (close.0 <= tolerance).then_some(close.1)
}

/// Letters to insert, drop or change, and neighbours to swap; `_` and `-` do not count.
fn distance(a: &str, b: &str) -> usize {
    let letters = |text: &str| -> Vec<char> {
        text.chars().filter(|c| !matches!(c, '_' | '-')).map(|c| c.to_ascii_lowercase()).collect()
    };
    let (a, b) = (letters(a), letters(b));
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let change = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = change.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_finds_its_name() {
        let known = ["gw_pwd", "host", "port", "password"];
        assert_eq!(nearest("gwpwd", known), Some("gw_pwd"));
        assert_eq!(nearest("hots", known), Some("host"));
        assert_eq!(nearest("prot", known), Some("port"));
        assert_eq!(nearest("hosts", known), Some("host"));
        assert_eq!(nearest("pasword", known), Some("password"));
        assert_eq!(nearest("colour", known), None);
        assert_eq!(nearest("shot", known), None);
    }
}
