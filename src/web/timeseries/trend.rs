//! Power over time, as means.

use actix_web::HttpRequest;
use actix_web::web::Data;
use serde_json::{Value, json};

use super::super::State;
use super::super::route::Later;
use super::asked::{Asked, Wrong};
use super::{Unanswered, answered, configured, has_battery};
use crate::clock::unix_time;
use crate::store::history::queries::samples::Samples;
use crate::store::history::queries::trend::{Means, Trend, trend as means};

const HOUR: f64 = 3600.0;
/// Clocks may differ by this: samples of so many seconds ahead are of now.
const AHEAD: f64 = 300.0;
/// Means that a trend has at most, roughly.
const POINTS: f64 = 360.0;
const MINUTE: f64 = 60.0;

pub(in crate::web) fn trend(state: Data<State>, request: HttpRequest) -> Later {
    Box::pin(async move { answered(shown(&state, &request).await) })
}

async fn shown(state: &State, request: &HttpRequest) -> Result<Value, Unanswered> {
    let asked = Asked::of(request);
    let hours = asked.integer("hours", (1, 168), 24)?;
    // 0 is absent.
    let time = |name: &str| Ok::<_, Wrong>(asked.finite(name)?.filter(|at| *at != 0.0));
    let (start, end, fit) = (time("start")?, time("end")?, asked.boolean("fit")?);
    if start.zip(end).is_some_and(|(start, end)| start > end) {
        return Err(Wrong::value("start", "must not be after end").into());
    }
    if !state.history.is_on() {
        return Ok(json!({ "enabled": false, "points": [], "count": 0 }));
    }
    let now = unix_time();
    let gateway = asked.text("gateway").map(str::to_owned);
    let summed = match &gateway {
        Some(id) => vec![id.clone()],
        None => configured(state),
    };
    let summed: Vec<Member> =
        summed.into_iter().map(|id| Member { has_battery: has_battery(state, &id), id }).collect();
    let hours_before_end = end.unwrap_or(now) - hours as f64 * HOUR;
    let window = (start.unwrap_or(hours_before_end), end.unwrap_or(now + AHEAD));
    let found = state.history.ask(move |connection| {
        let mut window = window;
        if fit {
            let all = Samples { gateway: gateway.clone(), start: None, end: Some(now + AHEAD) };
            window = all.span(connection)?.unwrap_or(window);
        }
        let (start, end) = window;
        let seconds = stretch(end - start);
        let samples = Samples { gateway, start: Some(start), end: Some(end) };
        Ok(Some((window, seconds, means(connection, &samples, seconds)?)))
    });
    let ((start, end), seconds, trend) =
        found.await?.unwrap_or((window, stretch(window.1 - window.0), Trend::new()));
    let points: Vec<Value> =
        trend.iter().filter_map(|(stretch, means)| point(*stretch, means, &summed)).collect();
    Ok(json!({
        "enabled": true, "hours": hours, "bucket_seconds": f64::from(seconds), "start": start, "end": end,
        "count": points.len(), "points": points, "last_updated": now,
    }))
}

/// Seconds of a stretch in a window of so many seconds: whole minutes.
fn stretch(window: f64) -> u32 {
    let minutes = (window.max(MINUTE) / POINTS / MINUTE).round_ties_even();
    (minutes * MINUTE).clamp(MINUTE, f64::from(u32::MAX)) as u32
}

/// A gateway that counts in a sum.
struct Member {
    id: String,
    /// Of a site without one, no power of a battery is missing.
    has_battery: bool,
}

/// The sum of those that count, with the names of those of which something is missing.
fn point(stretch: i64, means: &[(String, Means)], summed: &[Member]) -> Option<Value> {
    let known: Vec<&(String, Means)> =
        means.iter().filter(|(id, _)| summed.iter().any(|member| member.id == *id)).collect();
    if known.is_empty() {
        return None;
    }
    let kilowatts = |of: fn(&Means) -> Option<f64>| {
        let watts = known.iter().filter_map(|(_, means)| of(means));
        watts.reduce(|sum, watts| sum + watts).map(|watts| watts / 1000.0)
    };
    let levels: Vec<f64> = known.iter().filter_map(|(_, means)| means.soe).collect();
    let level = (!levels.is_empty()).then(|| levels.iter().sum::<f64>() / levels.len() as f64);
    let mut point = json!({
        "ts": stretch as f64,
        "solar_kw": kilowatts(|means| means.solar),
        "home_kw": kilowatts(|means| means.home),
        "battery_kw": kilowatts(|means| means.battery),
        "grid_kw": kilowatts(|means| means.grid),
        "battery_level": level,
    });
    let is_complete = |member: &&Member| {
        let means = known.iter().find(|(id, _)| *id == member.id).map(|(_, means)| means);
        means.is_some_and(|means| {
            let needed = [means.solar, means.home, means.grid];
            needed.iter().all(Option::is_some) && (means.battery.is_some() || !member.has_battery)
        })
    };
    let missing = summed.iter().filter(|member| !is_complete(member));
    let missing: Vec<&str> = missing.map(|member| member.id.as_str()).collect();
    if !missing.is_empty() {
        point["missing"] = json!(missing);
    }
    Some(point)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_are_whole_minutes_a_half_is_rounded_to_even() {
        for (window, expected) in
            [(0.0, 60), (-5.0, 60), (86_700.0, 240), (32_400.0, 120), (54_000.0, 120), (1e12, 2_777_777_760)]
        {
            assert_eq!(stretch(window), expected, "{window}");
        }
    }

    #[test]
    fn a_sum_names_who_is_missing_and_what_is_unknown_is_not_zero() {
        let full = Means {
            solar: Some(1000.0),
            home: Some(500.0),
            battery: Some(-500.0),
            grid: Some(0.0),
            soe: Some(50.0),
        };
        let partial = Means { solar: None, soe: None, ..full.clone() };
        let means = vec![
            ("a".to_owned(), full.clone()),
            ("b".to_owned(), partial),
            ("gone".to_owned(), Means::default()),
        ];
        let member = |id: &str| Member { id: id.to_owned(), has_battery: true };
        let point = point(60, &means, &["a", "b", "c"].map(member)).unwrap();
        assert_eq!(point["missing"], json!(["b", "c"]));
        assert_eq!((&point["solar_kw"], &point["home_kw"]), (&json!(1.0), &json!(1.0)));
        assert_eq!(point["battery_level"], json!(50.0));
        assert!(super::point(60, &means, &[member("gone-too")]).is_none());
        let roof = [("roof".to_owned(), Means { battery: None, ..full })];
        let inverter = [Member { id: "roof".into(), has_battery: false }];
        let point = super::point(60, &roof, &inverter).unwrap();
        assert_eq!((point.get("missing"), &point["battery_kw"]), (None, &Value::Null));
    }
}
