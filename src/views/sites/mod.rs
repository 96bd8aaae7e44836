//! Many sites at one moment, for the page of a fleet: what is the matter with each, the worst first, what
//! they add up to, and which of them somebody asks for. Knows nothing of HTTP.

pub mod asked;
pub mod batteries;
pub mod inventory;
pub mod row;
pub mod sums;
mod version;

use std::cell::OnceCell;
use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

use crate::views::status::Moment;
use asked::{Asked, Sort};
use row::{Row, Seen, TroubleKind};
use sums::Sums;
use version::Version;

/// Firmware that fewer of the sites have than this share is not what the others are measured by.
const COMMON: f64 = 0.05;
/// Tags that are counted in an answer.
const MOST_TAGS: usize = 100;

/// Every gateway at one moment. Immutable.
pub struct Roll {
    /// In configured order.
    rows: Vec<Arc<Row>>,
    /// What `old` firmware is older than; `None`: nobody reports any.
    newest_firmware: Option<String>,
    /// How many sites have a tag, most first.
    tags: Vec<(String, usize)>,
}

/// What matches a question, and the part of it that was asked for.
pub struct Selected {
    /// How many match.
    pub matching: usize,
    pub sums: Sums,
    /// How many of what would match without [`Asked::trouble`] have each trouble.
    pub troubles: [usize; TroubleKind::ALL.len()],
    pub rows: Vec<Arc<Row>>,
}

impl Roll {
    /// `before`: the roll of the moment before, if there was one; what did not change is taken from there.
    pub fn of<'a, S: Into<Seen<'a>>>(
        sites: impl Iterator<Item = S>,
        at: Moment,
        before: Option<&Self>,
    ) -> Self {
        let known = Known::of(before);
        let row = |(place, site): (usize, S)| {
            let seen = site.into();
            let before = known.row(place, &seen.snapshot.gateway.id);
            match before.filter(|row| row.is_still(seen, at)) {
                Some(row) => row.clone(),
                None => Arc::new(Row::of(seen, at, before.map(|row| &**row))),
            }
        };
        let mut rows: Vec<Arc<Row>> = sites.enumerate().map(row).collect();
        let newest = newest(&rows);
        for row in &mut rows {
            let is_old = newest.as_ref().is_some_and(|(newest, _)| row.is_old(newest));
            if is_old != row.has(TroubleKind::OldFirmware) {
                Arc::make_mut(row).mark_old(is_old);
            }
        }
        let tags = tags(&rows);
        Self { rows, newest_firmware: newest.map(|(_, text)| text), tags }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub fn newest_firmware(&self) -> Option<&str> {
        self.newest_firmware.as_deref()
    }

    pub fn tags(&self) -> &[(String, usize)] {
        &self.tags
    }

    /// Those that match `asked`, in configured order.
    pub fn matching<'a>(&'a self, asked: &'a Asked) -> impl Iterator<Item = &'a Arc<Row>> {
        self.rows.iter().filter(|row| asked.matches(row) && asked.trouble.is_none_or(|kind| row.has(kind)))
    }

    pub fn select(&self, asked: &Asked) -> Selected {
        let mut troubles = [0; TroubleKind::ALL.len()];
        let mut rows = Vec::new();
        for row in self.rows.iter().filter(|row| asked.matches(row)) {
            for trouble in &row.troubles {
                troubles[trouble.kind as usize] += 1;
            }
            if asked.trouble.is_none_or(|kind| row.has(kind)) {
                rows.push(row);
            }
        }
        let sums = Sums::of(rows.iter().map(|row| &***row));
        let matching = rows.len();
        let end = asked.offset.saturating_add(asked.limit);
        if end < matching {
            // What is behind the page needs no order.
            rows.select_nth_unstable_by(end, |one, other| order(one, other, asked.sort));
            rows.truncate(end);
        }
        rows.sort_unstable_by(|one, other| order(one, other, asked.sort));
        let rows = rows.into_iter().skip(asked.offset).cloned().collect();
        Selected { matching, sums, troubles, rows }
    }

    /// The sums of each group that has a matching site, the worst first; `None`: sites without a group.
    pub fn groups(&self, asked: &Asked) -> Vec<(Option<String>, Sums)> {
        let mut groups: HashMap<Option<&str>, Vec<&Row>> = HashMap::new();
        for row in self.matching(asked) {
            groups.entry(row.facts.labels.group.as_deref()).or_default().push(row);
        }
        let sum =
            |(group, rows): (Option<&str>, Vec<&Row>)| (group.map(str::to_owned), Sums::of(rows.into_iter()));
        let mut groups: Vec<_> = groups.into_iter().map(sum).collect();
        groups.sort_by(|(one, of_one), (other, of_other)| {
            of_other.troubles.cmp(&of_one.troubles).then_with(|| one.cmp(other))
        });
        groups
    }
}

/// The rows of the moment before.
struct Known<'a> {
    rows: &'a [Arc<Row>],
    /// For those that stand elsewhere, because sites came or went.
    by_id: OnceCell<HashMap<&'a str, &'a Arc<Row>>>,
}

impl<'a> Known<'a> {
    fn of(roll: Option<&'a Roll>) -> Self {
        Self { rows: roll.map_or(&[], |roll| &roll.rows), by_id: OnceCell::new() }
    }

    fn row(&self, place: usize, id: &str) -> Option<&'a Arc<Row>> {
        if let Some(row) = self.rows.get(place).filter(|row| row.facts.id == id) {
            return Some(row);
        }
        let all = || self.rows.iter().map(|row| (row.facts.id.as_str(), row)).collect();
        self.by_id.get_or_init(all).get(id).copied()
    }
}

/// No two sites are equal, so that pages do not overlap.
fn order(one: &Row, other: &Row, sort: Sort) -> Ordering {
    let order = match sort {
        Sort::Worst => one.worst_first(other),
        Sort::Name => Ordering::Equal,
        Sort::Charge => unknown_last(one.charge, other.charge),
        Sort::Firmware => {
            let (one, other) = (&one.version, &other.version);
            one.is_none().cmp(&other.is_none()).then_with(|| one.cmp(other))
        }
        Sort::Since => unknown_last(one.since(), other.since()),
    };
    order.then_with(|| one.key.cmp(&other.key)).then_with(|| one.facts.id.cmp(&other.facts.id))
}

fn unknown_last(one: Option<f64>, other: Option<f64>) -> Ordering {
    one.unwrap_or(f64::INFINITY).total_cmp(&other.unwrap_or(f64::INFINITY))
}

/// The newest firmware that is not a rarity.
fn newest(rows: &[Arc<Row>]) -> Option<(Version, String)> {
    let mut counts: HashMap<&Version, (usize, &str)> = HashMap::new();
    for row in rows {
        if let (Some(version), Some(text)) = (&row.version, &row.firmware) {
            counts.entry(version).or_insert((0, text)).0 += 1;
        }
    }
    let all: usize = counts.values().map(|(count, _)| count).sum();
    let is_common = |count: usize| count as f64 >= all as f64 * COMMON;
    let common = counts.into_iter().filter(|(_, (count, _))| is_common(*count));
    common
        .max_by(|(one, _), (other, _)| one.cmp(other))
        .map(|(version, (_, text))| (version.clone(), text.to_owned()))
}

fn tags(rows: &[Arc<Row>]) -> Vec<(String, usize)> {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for tag in rows.iter().flat_map(|row| &row.facts.labels.tags) {
        *counts.entry(tag).or_default() += 1;
    }
    let mut tags: Vec<_> = counts.into_iter().map(|(tag, count)| (tag.to_owned(), count)).collect();
    tags.sort_by(|(one, of_one), (other, of_other)| of_other.cmp(of_one).then_with(|| one.cmp(other)));
    tags.truncate(MOST_TAGS);
    tags
}

#[cfg(test)]
mod tests;
