//! When a gateway started, from the counter of its synchroniser board.
//!
//! The counter advances in steps of about two seconds and the clock beside it is whole seconds, so the
//! difference jitters. It is held until the gateway really restarts: user interfaces reload when the start
//! time changes.

use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::signals::{serial, signal};
use crate::link::json::Look;

/// A counter may run this far backwards without meaning a restart.
const COUNTER_JITTER_MS: f64 = 10_000.0;
/// The computed start may wander this far.
const START_DRIFT: SignedDuration = SignedDuration::from_secs(600);

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Boot {
    start: Timestamp,
    /// Milliseconds, as of `seen`.
    uptime: f64,
    seen: Timestamp,
    /// The gateway's zone, for printing.
    offset: Offset,
}

impl Boot {
    /// `2026-09-24 21:28:16 -0700`
    pub fn start_time(&self) -> String {
        self.offset.to_datetime(self.start).strftime("%Y-%m-%d %H:%M:%S ").to_string() + &self.zone()
    }

    fn zone(&self) -> String {
        let seconds = self.offset.seconds();
        let sign = if seconds < 0 { '-' } else { '+' };
        let minutes = seconds.abs() / 60;
        format!("{sign}{:02}{:02}", minutes / 60, minutes % 60)
    }

    /// `398h29m44.192s`
    pub fn up_time(&self) -> String {
        go_duration(self.uptime)
    }
}

/// What a newer controller answer says about the last start. An older answer than the newest seen changes
/// nothing.
pub(super) fn latch(known: Option<Boot>, controller: &Value) -> Option<Boot> {
    let Some(reported) = reported(controller) else { return known };
    let Some(known) = known else { return Some(reported) };
    if reported.seen < known.seen {
        return Some(known);
    }
    let same_boot = reported.uptime > known.uptime - COUNTER_JITTER_MS
        && reported.start.duration_since(known.start).abs() <= START_DRIFT;
    Some(if same_boot { Boot { start: known.start, ..reported } } else { reported })
}

fn reported(controller: &Value) -> Option<Boot> {
    let board = controller.at(&["esCan", "bus", "SYNC", "packageSerialNumber"]).name()?;
    let components = controller.at(&["components", "msa"]).items().iter();
    let uptime = components
        .filter(|component| serial(component) == Some(board))
        .find_map(|component| signal(component, "SYNC_Uptime").number())
        .map(|uptime| uptime.as_f64())
        .filter(|uptime| *uptime >= 0.0)?;
    let time = controller.at(&["system", "time"]).text()?;
    let seen: Timestamp = time.parse().ok()?;
    let offset = jiff::fmt::temporal::Pieces::parse(time).ok()?.to_numeric_offset()?;
    let ago = SignedDuration::try_from_secs_f64(uptime / 1000.0).ok()?;
    let start = seen.checked_sub(ago).ok()?;
    Some(Boot { start, uptime, seen, offset })
}

/// Milliseconds in the notation of Go: `0s`, `999ms`, `1.5s`, `1h0m0.5s`.
fn go_duration(milliseconds: f64) -> String {
    let total = if milliseconds > 0.0 { milliseconds as u64 } else { 0 };
    match total {
        0 => return "0s".into(),
        1..1000 => return format!("{total}ms"),
        _ => {}
    }
    let (hours, minutes) = (total / 3_600_000, total / 60_000 % 60);
    let (seconds, fraction) = (total / 1000 % 60, total % 1000);
    let mut text = match (hours, minutes) {
        (0, 0) => String::new(),
        (0, _) => format!("{minutes}m"),
        _ => format!("{hours}h{minutes}m"),
    };
    text += &seconds.to_string();
    if fraction > 0 {
        let digits = format!(".{fraction:03}");
        text += digits.trim_end_matches('0');
    }
    text + "s"
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn controller(time: &str, uptime: i64) -> Value {
        let signals = json!([{ "name": "SYNC_Uptime", "value": uptime }]);
        json!({
            "system": { "time": time },
            "esCan": { "bus": { "SYNC": { "packageSerialNumber": "CN1" } } },
            "components": { "msa": [
                { "serialNumber": "", "signals": [{ "name": "SYNC_Uptime", "value": 5 }] },
                { "serialNumber": "CN1", "signals": signals },
            ] },
        })
    }

    #[test]
    fn durations_are_written_as_go_writes_them() {
        let expected = [
            (0.0, "0s"),
            (-5.0, "0s"),
            (0.4, "0s"),
            (1.0, "1ms"),
            (999.0, "999ms"),
            (1000.0, "1s"),
            (1500.0, "1.5s"),
            (61_000.0, "1m1s"),
            (3_600_000.0, "1h0m0s"),
            (3_600_500.0, "1h0m0.5s"),
            (86_400_000.0, "24h0m0s"),
            (459_256_275.0, "127h34m16.275s"),
            (1_434_584_192.5, "398h29m44.192s"),
        ];
        for (milliseconds, text) in expected {
            assert_eq!(go_duration(milliseconds), text);
        }
    }

    #[test]
    fn the_start_is_held_through_jitter_and_given_up_at_a_restart() {
        let first = latch(None, &controller("2026-10-11T11:58:01-07:00", 1_434_584_192)).unwrap();
        assert_eq!(first.start_time(), "2026-09-24 21:28:16 -0700");
        let jittered =
            latch(Some(first.clone()), &controller("2026-10-11T11:58:31-07:00", 1_434_612_000)).unwrap();
        assert_eq!(jittered.start, first.start);
        assert_ne!(jittered.uptime, first.uptime);
        let older = latch(Some(jittered.clone()), &controller("2026-10-11T11:58:01-07:00", 90_000));
        assert_eq!(older, Some(jittered.clone()));
        let restarted =
            latch(Some(jittered.clone()), &controller("2026-10-11T12:00:01-07:00", 90_000)).unwrap();
        assert_eq!(restarted.start_time(), "2026-10-11 11:58:31 -0700");
        let without = latch(Some(jittered.clone()), &json!({ "system": { "time": "2026-10-11T12:00:31Z" } }));
        assert_eq!(without, Some(jittered));
    }
}
