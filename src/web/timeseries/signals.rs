//! Temperatures and fans: which are recorded, and their values.

use std::collections::HashMap;
use std::sync::Arc;

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::super::State;
use super::super::plumbing::json as json_body;
use super::super::route::Later;
use super::super::tables::Format;
use super::asked::{Asked, Wrong};
use super::{Unanswered, answered, signal_list, zone_of};
use crate::clock::unix_time;
use crate::model::site::recorded::{PARTS, PartGroup, PartSignal, STRING_KEY};
use crate::model::site::signals::{SIGNALS, Signal, SignalGroup};
use crate::model::{Telemetry, Unit};
use crate::pieces;
use crate::store::history::queries::signals::{Extent, Found, Point, Resolution, Selection, Series, Window};

/// 2100-01-01: no time is later.
const LATEST: f64 = 4_102_444_800.0;
/// Clocks may differ by this.
const AHEAD: f64 = 300.0;
const HOUR: f64 = 3600.0;

/// What a unit is called, and where it stands in a list.
pub(in crate::web) type Label = (String, i64);
/// The labels of units, by gateway and serial.
type Labels = HashMap<String, HashMap<String, Label>>;

pub(in crate::web) fn signals(state: Data<State>, request: HttpRequest) -> Later {
    Box::pin(async move {
        let asked = Asked::of(&request);
        let text = asked.text("format");
        match Format::read(text) {
            Ok(None) => answered(listed(&state, &request).await),
            Ok(Some(format)) => {
                signal_list::written(&state, &asked, format).await.unwrap_or_else(Unanswered::answer)
            }
            Err(()) => Wrong::literal("format", text.unwrap_or_default(), "'csv' or 'jsonl'").answer(),
        }
    })
}

async fn listed(state: &State, request: &HttpRequest) -> Result<Value, Unanswered> {
    let asked = Asked::of(request);
    let keeping = state.history.keeping();
    let is_on = state.history.is_on();
    let selection = Selection { gateway: asked.text("gateway").map(str::to_owned), ..Selection::default() };
    let series = match is_on {
        true => state.history.ask(move |connection| selection.extents(connection)).await?,
        false => Vec::new(),
    };
    let labels = labels(state, series.iter().map(|(series, _)| series)).await;
    let document = |(series, extent): &(Series, Extent)| {
        let (unit, label) = kind_of(series).unzip();
        let (powerwall, order) = label_of(series, &labels).unzip();
        let Extent { first, last, first_day, last_day } = extent;
        json!({
            "gateway": series.gateway, "device": series.device, "metric": series.metric, "unit": unit,
            "label": label, "first_ts": first, "last_ts": last, "first_day": first_day, "last_day": last_day,
            "powerwall": powerwall, "powerwall_order": order,
        })
    };
    let list: Vec<Value> = series.iter().map(document).collect();
    Ok(json!({
        "enabled": is_on,
        "signals_enabled": is_on && keeping.signals.is_recorded(),
        "interval_seconds": keeping.signal_interval.as_secs(),
        "metrics": metrics(),
        "groups": groups(),
        "series": list,
    }))
}

/// Every kind of signal. In a group, they stand in the order of the catalogue.
fn metrics() -> Map<String, Value> {
    let order = |signal: &Signal| {
        let group = SIGNALS.iter().filter(|other| other.group == signal.group);
        10 * (1 + group.take_while(|other| other.id != signal.id).count())
    };
    let document = |signal: &Signal| {
        json!({
            "signals": [signal.field], "label": signal.label, "unit": signal.group.unit(),
            "group": signal.group.id(), "order": order(signal),
        })
    };
    let ours = |(place, signal): (usize, &PartSignal)| {
        let document = json!({
            "signals": [], "label": signal.label, "unit": signal.group.unit(),
            "group": signal.group.id(), "order": 10 * (1 + place),
        });
        (signal.id.to_owned(), document)
    };
    let theirs = SIGNALS.iter().map(|signal| (signal.id.to_owned(), document(signal)));
    theirs.chain(PARTS.iter().enumerate().map(ours)).collect()
}

fn groups() -> Map<String, Value> {
    let document = |(place, group): (usize, SignalGroup)| {
        let shown = json!({
            "label": group.label(), "order": 10 * (place + 1), "zero_based": group.is_zero_based(),
            "decimals": group.decimals(),
        });
        (group.id().to_owned(), shown)
    };
    let ours = |(place, group): (usize, PartGroup)| {
        let order = 10 * (1 + SignalGroup::ALL.len() + place);
        let shown = json!({
            "label": group.label(), "order": order, "zero_based": group.is_zero_based(), "decimals": 0,
        });
        (group.id().to_owned(), shown)
    };
    let theirs = SignalGroup::ALL.into_iter().enumerate().map(document);
    theirs.chain(PartGroup::ALL.into_iter().enumerate().map(ours)).collect()
}

pub(in crate::web) fn signal_trend(state: Data<State>, request: HttpRequest) -> Later {
    Box::pin(async move { shown(&state, &request).await.unwrap_or_else(Unanswered::answer) })
}

/// The answer to `signal_trend`, written from what was found: a tree of it would be ten times as large.
#[derive(Serialize)]
struct TrendBody<'a> {
    enabled: bool,
    start: f64,
    end: f64,
    resolution: Option<&'static str>,
    bucket_seconds: Option<f64>,
    series: Vec<SeriesBody<'a>>,
}

#[derive(Serialize)]
struct SeriesBody<'a> {
    gateway: &'a str,
    device: &'a str,
    metric: &'a str,
    unit: Option<&'static str>,
    label: Option<&'static str>,
    points: Vec<PointBody<'a>>,
    powerwall: Option<&'a str>,
    powerwall_order: Option<i64>,
}

#[derive(Serialize)]
struct PointBody<'a> {
    ts: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    day: Option<&'a str>,
    avg: f64,
    min: f64,
    max: f64,
    n: i64,
}

impl<'a> PointBody<'a> {
    fn of(point: &'a Point) -> Self {
        let Point { at, day, mean, least, most, count } = point;
        Self { ts: *at, day: day.as_deref(), avg: *mean, min: *least, max: *most, n: *count }
    }
}

impl<'a> SeriesBody<'a> {
    fn of((series, points): &'a (Series, Vec<Point>), labels: &'a Labels) -> Self {
        let (unit, label) = kind_of(series).unzip();
        let (powerwall, powerwall_order) = label_of(series, labels).unzip();
        Self {
            gateway: &series.gateway,
            device: &series.device,
            metric: &series.metric,
            unit,
            label,
            points: points.iter().map(PointBody::of).collect(),
            powerwall,
            powerwall_order,
        }
    }
}

async fn shown(state: &State, request: &HttpRequest) -> Result<HttpResponse, Unanswered> {
    let asked = Asked::of(request);
    let now = unix_time();
    let (start, end) = (asked.within("start", (0.0, LATEST))?, asked.within("end", (0.0, LATEST))?);
    let hours = asked.integer("hours", (1, 87_840), 24)?;
    let resolution = resolution(&asked)?;
    let end = end.unwrap_or(now + AHEAD);
    let start = start.unwrap_or(end - hours as f64 * HOUR);
    let (start, end) = (start.min(end), start.max(end));
    let selection = Selection {
        gateway: asked.text("gateway").map(str::to_owned),
        metrics: asked.list("metrics"),
        devices: asked.list("devices"),
    };
    let is_on = state.history.is_on();
    let interval = state.history.keeping().signal_interval.as_secs_f64();
    let window = Window { start, end, now, interval, resolution };
    let snapshots = state.directory.snapshots();
    let zones =
        snapshots.iter().filter_map(|snapshot| Some((snapshot.gateway.id.clone(), zone_of(snapshot)?)));
    let zones: HashMap<String, String> = zones.collect();
    let found = match is_on {
        true => state.history.ask(move |connection| selection.values(connection, &window, &zones)).await?,
        false => Found::default(),
    };
    if found.is_too_much {
        let why = "more than 100000 points: name metrics, devices or a gateway, or shorten the window";
        return Err(Wrong::value("metrics", why).into());
    }
    let labels = labels(state, found.series.iter().map(|(series, _)| series)).await;
    let resolution = found.resolution.map(|(resolution, _)| match resolution {
        Resolution::Raw => "raw",
        Resolution::Daily => "daily",
    });
    let body = TrendBody {
        enabled: is_on,
        start,
        end,
        resolution,
        bucket_seconds: found.resolution.map(|(_, seconds)| seconds),
        series: found.series.iter().map(|series| SeriesBody::of(series, &labels)).collect(),
    };
    // Text and numbers can be written.
    Ok(json_body(serde_json::to_vec(&body).unwrap_or_default().into()))
}

fn resolution(asked: &Asked) -> Result<Option<Resolution>, Wrong> {
    match asked.text("resolution") {
        None | Some("auto") => Ok(None),
        Some("raw") => Ok(Some(Resolution::Raw)),
        Some("daily") => Ok(Some(Resolution::Daily)),
        Some(other) => Err(Wrong::literal("resolution", other, "'auto', 'raw' or 'daily'")),
    }
}

/// Unit and label of the signal that a series is of.
fn kind_of(series: &Series) -> Option<(&'static str, &'static str)> {
    let theirs = SIGNALS.iter().map(|signal| (signal.id, signal.group.unit(), signal.label));
    let ours = PARTS.iter().map(|signal| (signal.id, signal.group.unit(), signal.label));
    theirs.chain(ours).find(|(id, ..)| *id == series.metric).map(|(_, unit, label)| (unit, label))
}

/// What the device of a series is called, and where it stands in a list.
fn label_of<'a>(series: &Series, labels: &'a Labels) -> Option<(&'a str, i64)> {
    let is_of_unit = !series.device.starts_with(STRING_KEY);
    let labels = labels.get(&series.gateway).filter(|_| is_of_unit)?;
    labels.get(serial_in(&series.device)).map(|(name, order)| (name.as_str(), *order))
}

pub(in crate::web) fn serial_in(key: &str) -> &str {
    key.rsplit("--").next().unwrap_or(key)
}

/// What the devices of `series` are called, as far as their gateways have been heard of.
async fn labels(state: &State, series: impl Iterator<Item = &Series>) -> Labels {
    let mut serials: HashMap<String, Vec<String>> = HashMap::new();
    for series in series.filter(|series| !series.device.starts_with(STRING_KEY)) {
        let of_gateway = serials.entry(series.gateway.clone()).or_default();
        of_gateway.push(serial_in(&series.device).to_owned());
    }
    let mut labels = Labels::new();
    for (id, serials) in serials {
        let snapshot = state.directory.get(&id).map(|entry| entry.board.read());
        let reading = snapshot.as_ref().and_then(|snapshot| snapshot.reading.as_ref());
        let Some(telemetry) = reading.map(|reading| reading.telemetry.clone()) else { continue };
        let named = pieces::in_turn(move || of_units(&telemetry, serials)).await;
        labels.extend(named.ok().map(|named| (id, named)));
    }
    labels
}

/// Units by their numbers, expansions behind the unit they are attached to, and then what is none of these.
pub(in crate::web) fn of_units(
    telemetry: &Arc<Telemetry>,
    mut serials: Vec<String>,
) -> HashMap<String, Label> {
    let units: Vec<(String, Option<usize>, usize)> = telemetry.look(|site| {
        let units = site.units.iter().flatten();
        units.map(|unit: &Unit| (unit.serial.clone(), unit.attached_to, unit.number)).collect()
    });
    let mut labels = HashMap::new();
    let mut expansions: HashMap<usize, usize> = HashMap::new();
    let mut last = 0;
    for (serial, attached_to, number) in units {
        last = last.max(number);
        let label = match attached_to {
            Some(leader) => {
                let count = expansions.entry(leader).and_modify(|count| *count += 1).or_insert(1);
                (format!("PW{leader} Exp {count}"), (leader * 100 + *count) as i64)
            }
            None => (format!("PW{number}"), number as i64 * 100),
        };
        labels.insert(serial, label);
    }
    serials.sort();
    for serial in serials {
        labels.entry(serial).or_insert_with(|| {
            last += 1;
            (format!("PW{last}"), last as i64 * 100)
        });
    }
    labels
}
