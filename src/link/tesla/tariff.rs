//! The tariff of a site as Tesla keeps it (`tariff_content_v2`), and the prices that it means.
//!
//! Prices belong to named periods of named seasons, and fall back to `ALL` for either. A price of 0 is one; a
//! missing one is unknown. Hours are those of the site's clock.

use serde_json::{Map, Value};

use crate::link::json::Look;
use crate::model::tariff::{Period, Tariff};

/// What stands for every season, and for every period.
const ALL: &str = "ALL";
const DAY: u64 = 24 * 60;
/// Prices that change every half hour of each day of the week, in four seasons.
const MOST_PERIODS: usize = 48 * 7 * 4;
/// Per kWh. A larger price is in another unit.
const MOST: f64 = 1e6;

/// What the content of a tariff means; `None`: there is none that can be used.
pub fn of_content(content: &Value) -> Option<Tariff> {
    let buy = prices(content)?;
    let sell = prices(content.at(&["sell_tariff"])).unwrap_or_default();
    let currency = content.at(&["currency"]).name().map(str::to_ascii_uppercase);
    let is_code = |code: &String| code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_uppercase());
    Some(Tariff { currency: currency.filter(is_code), buy, sell })
}

/// `None` without seasons, charges or any price.
fn prices(content: &Value) -> Option<Vec<Period>> {
    let seasons = content.at(&["seasons"]).as_object()?;
    let charges = content.at(&["energy_charges"]).as_object()?;
    let mut periods = Vec::new();
    // An empty season is not used.
    for (name, season) in
        seasons.iter().filter(|(_, season)| season.as_object().is_some_and(|of| !of.is_empty()))
    {
        let Some(dates) = dates(season) else { continue };
        let Some(named) = season.at(&["tou_periods"]).as_object() else { continue };
        for (period, times) in named {
            let Some(price) = price(charges, name, period) else { continue };
            let times = times.at(&["periods"]).as_array().or_else(|| times.as_array());
            let times = times.into_iter().flatten().filter_map(span);
            periods.extend(times.map(|(minutes, days)| Period {
                price,
                minutes: Some(minutes),
                days,
                season: Some(dates),
                ..Period::ALWAYS
            }));
        }
    }
    (!periods.is_empty() && periods.len() <= MOST_PERIODS).then_some(periods)
}

/// The price of a period of a season.
fn price(charges: &Map<String, Value>, season: &str, period: &str) -> Option<f64> {
    let of_season = |season: &str| {
        let rates = charges.get(season)?;
        // Older ones have no `rates` in between.
        let rates = rates.get("rates").unwrap_or(rates);
        let known = |period: &str| rates.at(&[period]).number().map(|price| price.as_f64());
        known(period).or_else(|| known(ALL))
    };
    of_season(season).or_else(|| of_season(ALL)).filter(|price| price.abs() <= MOST)
}

/// The first and the last day of a season.
fn dates(season: &Value) -> Option<((i8, i8), (i8, i8))> {
    let number = |key: &str, most: u64| {
        season.at(&[key]).as_u64().filter(|number| (1..=most).contains(number)).map(|number| number as i8)
    };
    let date = |month: &str, day: &str| {
        let (month, day) = (number(month, 12)?, number(day, 31)?);
        Some((month, if month == 2 { day.min(28) } else { day }))
    };
    Some((date("fromMonth", "fromDay")?, date("toMonth", "toDay")?))
}

/// Minutes from and to, and the days of the week on which they begin, Monday lowest.
fn span(period: &Value) -> Option<((u16, u16), u8)> {
    let number = |key: &str, absent: u64| match period.at(&[key]) {
        Value::Null => Some(absent),
        number => number.as_u64().or_else(|| number.as_f64().map(|number| number as u64)),
    };
    let minute = |hour: &str, minute: &str| {
        let (hour, minute) = (number(hour, 0)?.min(24), number(minute, 0)?.min(60));
        Some((hour * 60 + minute).min(DAY) as u16)
    };
    let (from, to) = (minute("fromHour", "fromMinute")?, minute("toHour", "toMinute")?);
    let (first, last) = (number("fromDayOfWeek", 0)?, number("toDayOfWeek", 6)?);
    if first > 6 || last > 6 || u64::from(from) >= DAY {
        return None;
    }
    let length = (last + 7 - first) % 7;
    let days = (0..=length).fold(0_u8, |bits, ahead| bits | 1 << ((first + ahead) % 7));
    Some(((from, to), days))
}

#[cfg(test)]
mod tests {
    use jiff::civil::{DateTime, date};
    use serde_json::json;

    use super::*;

    /// A Monday at midnight.
    fn monday() -> DateTime {
        date(2026, 11, 23).at(0, 0, 0, 0)
    }

    fn buy(tariff: &Tariff, at: DateTime) -> Option<f64> {
        tariff.price(at).buy
    }

    #[test]
    fn prices_hold_in_their_seasons_on_their_days_and_at_their_hours() {
        let content = json!({
            "currency": "usd",
            "seasons": {
                "Summer": { "fromMonth": 4, "fromDay": 1, "toMonth": 10, "toDay": 31, "tou_periods": {
                    "ALL": { "periods": [{ "toDayOfWeek": 6 }] },
                }},
                "Winter": { "fromMonth": 11, "fromDay": 1, "toMonth": 3, "toDay": 31, "tou_periods": {
                    "ON_PEAK": { "periods": [
                        { "toDayOfWeek": 4, "fromHour": 16, "toHour": 21, "toMinute": 30 },
                    ]},
                    "OFF_PEAK": { "periods": [
                        { "toDayOfWeek": 4, "fromHour": 21, "fromMinute": 30, "toHour": 16 },
                        { "fromDayOfWeek": 5, "toDayOfWeek": 6, "toHour": 24 },
                    ]},
                }},
                "Unused": {},
            },
            "energy_charges": {
                "ALL": { "rates": { "ALL": 0.2 } },
                "Winter": { "rates": { "ON_PEAK": 0.5, "OFF_PEAK": 0 } },
            },
            "sell_tariff": { "seasons": {}, "energy_charges": {} },
        });
        let tariff = of_content(&content).unwrap();
        assert_eq!((tariff.currency.as_deref(), tariff.sell.len()), (Some("USD"), 0));
        let at = |hours: i64| monday().checked_add(jiff::Span::new().hours(hours)).unwrap();
        assert_eq!([39, 40, 45, 46].map(at).map(|at| buy(&tariff, at)), [0.0, 0.5, 0.5, 0.0].map(Some));
        assert_eq!(buy(&tariff, at(5 * 24 + 17)), Some(0.0), "a Saturday");
        // The night of Sunday is not that of a weekday; nobody has said what it costs until Monday begins.
        assert_eq!(buy(&tariff, at(3)), None);
        assert_eq!(buy(&tariff, at(24 + 3)), Some(0.0), "the night of Monday");
        assert_eq!(buy(&tariff, date(2026, 7, 1).at(17, 0, 0, 0)), Some(0.2), "by what holds for all");
    }

    #[test]
    fn odd_and_missing_parts_make_no_price() {
        let content = |change: fn(&mut Value)| {
            let mut content = json!({
                "seasons": { "S": {
                    "fromMonth": 12, "fromDay": 15, "toMonth": 2, "toDay": 29,
                    "tou_periods": {
                    "A": { "periods": [
                        { "fromDayOfWeek": 5, "toDayOfWeek": 0, "toHour": 23, "toMinute": 60 },
                    ]},
                    "B": { "periods": [{ "fromDayOfWeek": 1, "toDayOfWeek": 4 }] },
                }}},
                "energy_charges": { "S": { "rates": { "A": -0.1 } } },
            });
            change(&mut content);
            of_content(&content)
        };
        let tariff = content(|_| ()).unwrap();
        let price = |month, day| buy(&tariff, date(2028, month, day).at(12, 0, 0, 0));
        // 2028 is a leap year; 26 February is a Saturday, and the 29th a Tuesday.
        assert_eq!((price(2, 26), price(2, 29), price(3, 4)), (Some(-0.1), None, None));
        assert_eq!((price(12, 16), price(12, 9), price(1, 3)), (Some(-0.1), None, Some(-0.1)));
        assert_eq!(content(|content| content["energy_charges"] = Value::Null), None);
        assert_eq!(content(|content| content["seasons"]["S"]["toMonth"] = 13.into()), None);
        assert_eq!(content(|content| content["energy_charges"]["S"]["rates"]["A"] = "dear".into()), None);
        assert_eq!(of_content(&Value::Null), None);
        let leap = content(|content| content["energy_charges"]["S"]["rates"]["B"] = 0.3.into()).unwrap();
        assert_eq!(buy(&leap, date(2028, 2, 29).at(12, 0, 0, 0)), Some(0.3), "the 29th as the 28th");
    }
}
