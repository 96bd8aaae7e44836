//! `history check`: what was found in a history, in sentences.

use std::fmt::Write;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::store::history::checking::{Checked, Findings};

/// Gaps that are named: the longest ones.
const NAMED: usize = 5;
const DAY: f64 = 86_400.0;

/// Everything that was found.
pub fn report(findings: &Findings) -> String {
    let mut report = String::new();
    for gateway in &findings.gateways {
        describe(gateway, &mut report);
    }
    match findings.flaws.len() {
        0 => report.push_str("Nothing is wrong.\n"),
        _ => {
            report.push_str("Something is wrong:\n");
            findings.flaws.iter().for_each(|flaw| {
                let _ = writeln!(report, "  {flaw}");
            });
        }
    }
    report
}

fn describe(gateway: &Checked, report: &mut String) {
    let Checked { gateway: id, zone, slots, days, span, gaps } = gateway;
    let zone = TimeZone::get(zone).unwrap_or(TimeZone::UTC);
    let moment = |at: f64| {
        let at = Timestamp::from_second(at as i64).unwrap_or_default();
        at.to_zoned_datetime(zone.clone()).strftime("%Y-%m-%d %H:%M").to_string()
    };
    let Some((first, last)) = *span else {
        let _ = writeln!(report, "{id}: {days} days, and no quarters of an hour");
        return;
    };
    let _ = writeln!(
        report,
        "{id}: {slots} quarters of an hour from {} to {}, {days} days",
        moment(first),
        moment(last)
    );
    if gaps.is_empty() {
        let _ = writeln!(report, "{id}: no gaps");
        return;
    }
    let missing: f64 = gaps.iter().map(|(from, to)| to - from).sum();
    let part = missing / (last - first) * 100.0;
    let _ =
        writeln!(report, "{id}: {} gaps, {} together, {part:.1} % of the time", gaps.len(), length(missing));
    let mut longest = gaps.clone();
    longest.sort_by(|one, other| (other.1 - other.0).total_cmp(&(one.1 - one.0)));
    for (from, to) in longest.iter().take(NAMED) {
        let _ = writeln!(report, "{id}:   from {} to {}, {}", moment(*from), moment(*to), length(to - from));
    }
    if let Some(more @ 1..) = gaps.len().checked_sub(NAMED) {
        let _ = writeln!(report, "{id}:   and {more} shorter ones");
    }
}

fn length(seconds: f64) -> String {
    match seconds {
        seconds if seconds >= 2.0 * DAY => format!("{:.1} days", seconds / DAY),
        seconds if seconds >= 7_200.0 => format!("{:.1} hours", seconds / 3600.0),
        seconds => format!("{:.0} minutes", seconds / 60.0),
    }
}
