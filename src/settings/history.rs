//! `PW_TIMESERIES_…` without the path → what of the history is kept, and for how long.
//!
//! Contract 0.13, section 2.2. What that server takes for its default with a warning is a mistake here.

use std::time::Duration;

use serde::Deserialize;

use super::load::Reader;
use super::values::{self, Refusal};
use crate::store::history::{Keep, Keeping};

/// Raw values that are kept for less than this would be gone before anybody looks at them.
const SHORTEST: Duration = Duration::from_secs(3600);
/// Signals change slowly, and each costs a row.
const SHORTEST_INTERVAL: Duration = Duration::from_secs(30);
const DAY: u64 = 86_400;
/// The longest duration that is accepted: a century.
const LONGEST: u64 = 36_525 * DAY;

#[derive(Default, Deserialize)]
struct HistoryVariables {
    pw_timeseries_retention: Option<String>,
    pw_timeseries_daily_retention: Option<String>,
    pw_timeseries_signal_retention: Option<String>,
    pw_timeseries_signal_interval: Option<String>,
    pw_timeseries_max_mb: Option<String>,
}

impl Reader {
    pub(super) fn history(&mut self) -> Keeping {
        let raw: HistoryVariables = self.variables();
        let default = Keeping::default();
        let mut kept = |name, text, default, shortest| {
            self.value(name, text, default, |text| keep(text, shortest), show)
        };
        let (samples, days, signals) = (
            raw.pw_timeseries_retention,
            raw.pw_timeseries_daily_retention,
            raw.pw_timeseries_signal_retention,
        );
        Keeping {
            samples: kept("PW_TIMESERIES_RETENTION", samples, default.samples, SHORTEST),
            days: kept("PW_TIMESERIES_DAILY_RETENTION", days, default.days, Duration::from_secs(DAY)),
            signals: kept("PW_TIMESERIES_SIGNAL_RETENTION", signals, default.signals, SHORTEST),
            signal_interval: self.value(
                "PW_TIMESERIES_SIGNAL_INTERVAL",
                raw.pw_timeseries_signal_interval,
                default.signal_interval,
                |text| interval(text, default.signal_interval),
                |interval| format!("{} s", interval.as_secs()),
            ),
            most_bytes: self.value(
                "PW_TIMESERIES_MAX_MB",
                raw.pw_timeseries_max_mb,
                default.most_bytes,
                |text| {
                    let most = values::integer(text, 0..=1 << 24)?;
                    if (1..16).contains(&most) {
                        return Err(format!("{text:?} is too little; at least 16, or 0 for no limit"));
                    }
                    Ok((most > 0).then_some(most << 20))
                },
                |most| most.map_or_else(|| "no limit".to_owned(), |most| format!("{} MB", most >> 20)),
            ),
            // Of the file, which is read with the gateways.
            tariffs: default.tariffs,
        }
    }
}

fn show(keep: &Keep) -> String {
    match keep {
        Keep::For(time) => format!("{} s", time.as_secs()),
        Keep::Forever => "for ever".to_owned(),
        Keep::Never => "off".to_owned(),
    }
}

fn keep(text: &str, shortest: Duration) -> Result<Keep, Refusal> {
    Ok(match seconds(text)? {
        0 => Keep::Forever,
        negative if negative < 0 => Keep::Never,
        seconds => Keep::For(Duration::from_secs(seconds.unsigned_abs()).max(shortest)),
    })
}

/// What is not above 0 is the default, as with the servers before.
fn interval(text: &str, default: Duration) -> Result<Duration, Refusal> {
    Ok(match seconds(text)? {
        seconds if seconds <= 0 => default,
        seconds => Duration::from_secs(seconds.unsigned_abs()).max(SHORTEST_INTERVAL),
    })
}

/// `90`, `90s`, `15m`, `24h`, `30d`, `1w`; with a minus sign in front.
pub(super) fn seconds(text: &str) -> Result<i64, Refusal> {
    let refusal = || format!("{text:?} is not a duration such as 90s, 15m, 24h, 30d or 1w");
    let lower = text.to_ascii_lowercase();
    let digits = lower.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &lower[digits.len()..] {
        "" | "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        "d" => DAY as f64,
        "w" => 7.0 * DAY as f64,
        _ => return Err(refusal()),
    };
    let number: f64 = digits.trim_end().parse().map_err(|_| refusal())?;
    let seconds = number * unit;
    // A fraction of a second is not nothing, and not for ever either.
    let whole = if number > 0.0 { seconds.max(1.0) } else { seconds.min(-0.0).floor() };
    (whole.is_finite() && whole <= LONGEST as f64).then_some(whole as i64).ok_or_else(refusal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_in_every_unit() {
        for (text, expected) in [
            ("90", 90),
            ("90s", 90),
            ("15m", 900),
            ("24h", DAY as i64),
            ("1.5H", 5400),
            ("1w", 7 * DAY as i64),
            ("0", 0),
            ("-1", -1),
            ("0.2s", 1),
        ] {
            assert_eq!(seconds(text), Ok(expected), "{text}");
        }
        for text in ["", "h", "1y", "1h30m", "nan", "inf", "1e99", "d1"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_too_short_is_raised_and_zero_is_for_ever() {
        assert_eq!(keep("1s", SHORTEST), Ok(Keep::For(SHORTEST)));
        assert_eq!(keep("0", SHORTEST), Ok(Keep::Forever));
        assert_eq!(keep("-1", SHORTEST), Ok(Keep::Never));
        let default = Duration::from_secs(60);
        assert_eq!(interval("5s", default), Ok(SHORTEST_INTERVAL));
        assert_eq!(interval("-5s", default), Ok(default));
    }
}
