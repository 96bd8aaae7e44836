//! Grid outages, as the calendar of a site lists them: when each began and how long it lasted. What is made
//! of them is left to whoever reads.

use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;

use super::account::encoded;
use crate::clock::unix_time;
use crate::link::json::Look;
use crate::model::{GridOutage, LinkKind};

/// The newest that are kept.
const MOST: usize = 50;
/// An answer with more is no list of outages.
const MOST_LISTED: usize = 5_000;
/// In seconds: nothing is cut off for longer than this, whatever a list says.
const LONGEST: f64 = 90.0 * 86_400.0;

/// Asks for those up to now: the newest are listed first, and older ones on further pages that nobody needs.
pub(super) fn query(kind: LinkKind, zone: Option<&str>) -> String {
    let known = zone.and_then(|name| Some((name, TimeZone::get(name).ok()?)));
    let now = Timestamp::from_second(unix_time() as i64).unwrap_or_default();
    let there = known.as_ref().map_or(TimeZone::UTC, |(_, zone)| zone.clone());
    let end = now.to_zoned_datetime(there).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string();
    // The two APIs call it differently.
    let key = if kind == LinkKind::Cloud { "timezone" } else { "time_zone" };
    let zone = known.map(|(name, _)| format!("&{key}={}", encoded(name))).unwrap_or_default();
    format!("kind=backup&end_date={}{zone}", encoded(&end))
}

/// The outages of an answer, in order; `None`: it is no list of them.
pub(super) fn listed(response: &Value) -> Option<Arc<[GridOutage]>> {
    let events = response.at(&["events"]).as_array().filter(|events| events.len() <= MOST_LISTED)?;
    let mut outages: Vec<GridOutage> = events.iter().filter_map(outage).collect();
    outages.sort_by(|one, other| one.start.total_cmp(&other.start));
    outages.dedup_by(|later, earlier| later.start == earlier.start);
    let newest = outages.len().saturating_sub(MOST);
    Some(outages.drain(newest..).collect())
}

fn outage(event: &Value) -> Option<GridOutage> {
    let start: Timestamp = event.at(&["timestamp"]).name()?.parse().ok()?;
    let milliseconds = event.at(&["duration"]).number()?.as_f64();
    let seconds = (milliseconds / 1000.0).round();
    let start = start.as_second() as f64;
    (seconds > 0.0 && seconds <= LONGEST).then_some(GridOutage { start, seconds })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_list_is_in_order_and_what_is_none_is_left_out() {
        let event = |at: &str, duration: Value| json!({ "timestamp": at, "duration": duration });
        let list = json!({ "events": [
            event("2026-09-21T14:13:20-07:00", json!(90_400)),
            event("2026-09-01T00:00:00Z", json!(7_200_000)),
            event("2026-09-01T00:00:00Z", json!(7_200_000)),
            event("yesterday", json!(1000)),
            event("2026-09-02T00:00:00Z", json!(0)),
            event("2026-09-02T00:00:00Z", json!(-5)),
            event("2026-09-02T00:00:00Z", json!(1e300)),
            event("2026-09-02T00:00:00Z", Value::Null),
            json!(7),
        ], "next_end_date": null });
        let found = listed(&list).unwrap();
        let of = |start, seconds| GridOutage { start, seconds };
        assert_eq!(*found, [of(1_788_220_800.0, 7200.0), of(1_790_025_200.0, 90.0)]);
        for none in [Value::Null, json!(""), json!({ "events": null }), json!({ "events": {} }), json!([])] {
            assert_eq!(listed(&none), None, "{none}");
        }
        assert_eq!(listed(&json!({ "events": [] })).map(|list| list.len()), Some(0));
        let second = |at: i64| Timestamp::from_second(at).unwrap().to_string();
        let many: Vec<Value> = (0..60).map(|at| event(&second(at * 1000), json!(1000))).collect();
        let kept = listed(&json!({ "events": many })).unwrap();
        assert_eq!((kept.len(), kept[0].start), (MOST, 10_000.0));
    }

    #[test]
    fn a_query_ends_now_by_the_clock_of_the_site() {
        let fleet = query(LinkKind::FleetApi, Some("Europe/Berlin"));
        assert!(fleet.starts_with("kind=backup&end_date=20"), "{fleet}");
        assert!(fleet.ends_with("%3A00&time_zone=Europe%2FBerlin") && fleet.contains("%2B0"), "{fleet}");
        assert!(query(LinkKind::Cloud, Some("Europe/Berlin")).contains("&timezone="));
        for unknown in [None, Some("Nowhere/Else")] {
            assert!(query(LinkKind::FleetApi, unknown).ends_with("%2B00%3A00"), "{unknown:?}");
        }
    }
}
