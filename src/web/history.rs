//! `/api/history`: energy over any range, with its gaps, how it was got, and what was counted over outages.

mod lines;

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write;

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use rusqlite::Connection;
use serde_json::{Map, Value, json};

use super::State;
use super::plumbing::{Refusal, json as json_body, no_such_gateway};
use super::route::Later;
use super::tables::{FORMATS, Format};
use super::timeseries::{Asked, has_battery, zone_of};
use crate::clock::unix_time;
use crate::model::energy::{Flow, Flows, SLOT};
use crate::model::tariff::Cost;
use crate::store::history::batch::Sum;
use crate::store::history::queries::energy::{Bucket, Energy, Interval, Question, Row, date, midnight};
use crate::store::history::queries::zone;
use lines::Unwritten;

/// Rows of an answer at most: a year of hours of one gateway.
const MOST_ROWS: f64 = 10_000.0;
const DAY: f64 = 86_400.0;
const MONTH: f64 = 30.0 * DAY;

/// Parameters.
pub(super) const PARAMETERS: &[(&str, &str)] = &[
    ("start", "Unix seconds, or a date by the clock of each site; today if absent"),
    ("end", "Unix seconds, exclusive, or the last day; now if absent"),
    ("bucket", "slot (15 minutes), hour, day or month; by the length of the range if absent"),
    ("gateway", "ids with commas; all configured gateways if absent"),
    ("format", FORMATS),
];
/// Statuses.
pub(super) const ERRORS: &[(u16, &str)] = &[
    (400, "A parameter is not valid, or the answer would have more than 10,000 rows"),
    (404, "There is no such gateway"),
    (503, "No history is kept, or the file cannot be read, or takes too long"),
];

pub(super) fn history(state: Data<State>, request: HttpRequest) -> Later {
    Box::pin(async move { shown(&state, &request).await.unwrap_or_else(|refused| *refused) })
}

/// Where a range begins or ends.
#[derive(Clone, Copy)]
enum Edge {
    At(f64),
    Of(Date),
}

impl Edge {
    fn read(text: &str) -> Option<Self> {
        let number = text.parse().ok().filter(|at: &f64| (0.0..4_102_444_800.0).contains(at)).map(Self::At);
        number.or_else(|| text.parse().ok().map(Self::Of))
    }

    fn start(self, zone: &TimeZone) -> Option<f64> {
        match self {
            Self::At(at) => Some(at),
            Self::Of(date) => midnight(date, zone),
        }
    }

    /// The end of a range includes the day that is named.
    fn end(self, zone: &TimeZone) -> Option<f64> {
        match self {
            Self::At(at) => Some(at),
            Self::Of(date) => midnight(date.tomorrow().ok()?, zone),
        }
    }
}

type Refused = Box<HttpResponse>;
/// The code of a currency, where the settings name one.
type Currency = Option<String>;

fn bad(why: &str) -> Refused {
    Box::new(Refusal::new(StatusCode::BAD_REQUEST, why.to_owned()).answer())
}

fn unavailable(why: String) -> Refused {
    Box::new(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, why).answer())
}

async fn shown(state: &State, request: &HttpRequest) -> Result<HttpResponse, Refused> {
    let asked = Asked::of(request);
    let plan = Plan::read(&asked).map_err(bad)?;
    let format = Format::read(asked.text("format")).map_err(|()| bad("format is csv or jsonl, or absent"))?;
    let every = || state.directory.all().iter().map(|entry| entry.id.clone()).collect();
    let mut gateways = Vec::new();
    for id in asked.list("gateway").unwrap_or_else(every) {
        let entry = state.directory.get(&id).ok_or_else(|| Box::new(no_such_gateway(&id)))?;
        gateways.push((id, zone_of(&entry.board.glance())));
    }
    if !state.history.is_on() {
        let why = "no history is kept: PW_TIMESERIES_PATH says where, PW_TIMESERIES_RETENTION for how long";
        return Err(unavailable(why.to_owned()));
    }
    if let Some(format) = format {
        let written = lines::written(&state.history, plan, format, gateways).await;
        return written.map_err(|unwritten| match unwritten {
            Unwritten::Bad(why) => bad(why),
            Unwritten::Store(error) => unavailable(format!("the history: {error}")),
        });
    }
    let inverters: HashSet<String> =
        gateways.iter().map(|(id, _)| id.clone()).filter(|id| !has_battery(state, id)).collect();
    // Rendered where it is read, beside the threads that answer.
    let currency = currency(state, &gateways);
    let rendered = state.history.ask(move |connection| {
        let Found { answers, refused } = plan.answers(connection, &gateways)?;
        Ok((document(&answers, &inverters, currency.as_ref()), refused))
    });
    let (text, refused) = rendered.await.map_err(|error| unavailable(format!("the history: {error}")))?;
    if let Some(why) = refused {
        return Err(bad(why));
    }
    // There is no file yet.
    let text = if text.is_empty() { document(&[], &HashSet::new(), None) } else { text };
    Ok(json_body(text.into()))
}

/// What all tariffs of `gateways` are in; `None`: in several currencies, which have no sum.
fn currency(state: &State, gateways: &[(String, Option<String>)]) -> Option<Currency> {
    let keeping = state.history.keeping();
    let tariff = |id: &str| {
        let of_settings = keeping.tariffs.of(id).map(|tariff| tariff.currency.clone());
        let of_tesla = || {
            let snapshot = state.directory.get(id)?.board.read();
            let readings = &snapshot.reading.as_ref()?.telemetry.readings;
            Some(readings.tariff.as_ref()?.currency.clone())
        };
        of_settings.or_else(of_tesla)
    };
    let mut known = gateways.iter().filter_map(|(id, _)| tariff(id));
    let Some(first) = known.next() else { return Some(None) };
    known.all(|other| other == first).then_some(first)
}

/// A parameter. A form sends its empty fields as well.
fn given<'a>(asked: &'a Asked, name: &str) -> Option<&'a str> {
    asked.text(name).filter(|text| !text.is_empty())
}

/// What was found, gateway by gateway.
#[derive(Default)]
struct Found {
    answers: Vec<(Question, Energy)>,
    /// Why nothing was looked for.
    refused: Option<&'static str>,
}

/// What is asked of every gateway.
#[derive(Clone, Copy)]
struct Plan {
    start: Option<Edge>,
    end: Option<Edge>,
    bucket: Option<Bucket>,
    now: f64,
}

impl Plan {
    fn read(asked: &Asked) -> Result<Self, &'static str> {
        let edge = |name: &str, why: &'static str| {
            given(asked, name).map(|text| Edge::read(text).ok_or(why)).transpose()
        };
        let bucket = match given(asked, "bucket") {
            None => None,
            Some("slot") => Some(Bucket::Slot),
            Some("hour") => Some(Bucket::Hour),
            Some("day") => Some(Bucket::Day),
            Some("month") => Some(Bucket::Month),
            Some(_) => return Err("bucket is slot, hour, day or month"),
        };
        Ok(Self {
            start: edge("start", "start is a time in Unix seconds, or a date such as 2026-11-25")?,
            end: edge("end", "end is a time in Unix seconds, or a date such as 2026-11-25")?,
            bucket,
            now: unix_time(),
        })
    }

    /// Asks for each of `gateways`, whose zones may be known.
    fn answers(
        &self,
        connection: &Connection,
        gateways: &[(String, Option<String>)],
    ) -> rusqlite::Result<Found> {
        let mut found = Found::default();
        for (id, reported) in gateways {
            let name = match reported {
                Some(name) => Some(name.clone()),
                None => zone(connection, id)?,
            };
            match self.question(id, name.as_deref(), Some(gateways.len())) {
                Ok(question) => {
                    let energy = question.answer(connection)?;
                    found.answers.push((question, energy));
                }
                Err(why) => return Ok(Found { answers: Vec::new(), refused: Some(why) }),
            }
        }
        Ok(found)
    }

    /// What is asked of the gateway `id`; `gateways`: how many share the rows of an answer that is bounded.
    fn question(
        &self,
        id: &str,
        zone: Option<&str>,
        gateways: Option<usize>,
    ) -> Result<Question, &'static str> {
        let zone = zone.and_then(|name| TimeZone::get(name).ok()).unwrap_or(TimeZone::UTC);
        let end = self.end.map_or(Some(self.now), |end| end.end(&zone));
        let end = end.ok_or("end is too far away")?;
        let today = || midnight(date(end.min(self.now), &zone)?, &zone);
        let start = self.start.map_or_else(today, |start| start.start(&zone));
        let start = start.ok_or("start is too far away")?;
        if start >= end {
            return Err("start must be before end");
        }
        let range = end - start;
        let bucket = self.bucket.unwrap_or(match range {
            range if range <= 2.5 * DAY => Bucket::Slot,
            range if range <= 15.0 * DAY => Bucket::Hour,
            range if range <= 400.0 * DAY => Bucket::Day,
            _ => Bucket::Month,
        });
        let seconds = match bucket {
            Bucket::Slot => SLOT as f64,
            Bucket::Hour => 3600.0,
            Bucket::Day => DAY,
            Bucket::Month => MONTH,
        };
        if gateways.is_some_and(|gateways| range / seconds * gateways as f64 > MOST_ROWS) {
            return Err(
                "that would be more than 10000 rows: ask for a larger bucket, fewer days, or a format",
            );
        }
        Ok(Question { gateway: id.to_owned(), zone, start, end, bucket, now: self.now })
    }
}

/// Written row by row: a tree of all of them would be ten times as large.
fn document(
    found: &[(Question, Energy)],
    inverters: &HashSet<String>,
    currency: Option<&Currency>,
) -> String {
    let bucket = found.first().map(|(question, _)| word(question.bucket));
    let list = |documents: Vec<String>| documents.join(",");
    let of_one = |(question, energy): &(Question, Energy)| {
        let rows = list(energy.rows.iter().map(|one| row(one).to_string()).collect());
        let recovered = list(energy.recovered.iter().map(|one| interval(one).to_string()).collect());
        format!(
            "{}:{{\"zone\":{},\"start\":{},\"end\":{},\"rows\":[{rows}],\"total\":{},\
             \"recovered\":[{recovered}],\"gaps\":{},\"outages\":{}}}",
            json!(question.gateway),
            json!(question.zone.iana_name()),
            json!(question.start),
            json!(question.end),
            Value::from(total(energy)),
            json!(energy.gaps),
            json!(energy.outages.iter().map(|outage| (outage.start, outage.end)).collect::<Vec<_>>()),
        )
    };
    let gateways = list(found.iter().map(of_one).collect());
    let sum = sum(found, inverters, currency.is_some());
    let (bucket, currency) = (json!(bucket), json!(currency));
    format!("{{\"bucket\":{bucket},\"currency\":{currency},\"gateways\":{{{gateways}}},\"sum\":{sum}}}")
}

fn word(bucket: Bucket) -> &'static str {
    match bucket {
        Bucket::Slot => "slot",
        Bucket::Hour => "hour",
        Bucket::Day => "day",
        Bucket::Month => "month",
    }
}

/// Each flow in kWh; unknown is null.
fn kilowatt_hours(energy: &Flows<Option<f64>>) -> Map<String, Value> {
    let flows = Flow::WORDS.iter().zip(energy.0);
    flows.map(|(name, energy)| (format!("{name}_kwh"), json!(energy.map(|energy| energy / 1000.0)))).collect()
}

fn total(energy: &Energy) -> Map<String, Value> {
    let mut document = kilowatt_hours(&energy.total.energy);
    document.extend(cost(&energy.cost, energy.total.energy[Flow::Import]));
    document
}

/// What a row cost that imported so many Wh; nothing, if no price was known.
fn cost(cost: &Cost, imported: Option<f64>) -> Option<(String, Value)> {
    let covered = imported.filter(|imported| *imported > 0.0).map(|imported| cost.priced / imported);
    let document = json!({
        "paid": cost.paid, "earned": cost.earned, "saved_by_battery": cost.saved_by_battery,
        "saved_by_solar": cost.saved_by_solar, "coverage": covered.map(|part| part.clamp(0.0, 1.0)),
    });
    cost.is_known().then(|| ("cost".to_owned(), document))
}

fn row(row: &Row) -> Value {
    let mut document = Map::new();
    document.insert("start".into(), json!(row.start));
    document.insert("end".into(), json!(row.end));
    document.insert("name".into(), json!(row.name));
    document.extend(kilowatt_hours(&row.sum.energy));
    if row.name.is_none() {
        document.insert("soe".into(), json!(row.soe));
    }
    document.extend(cost(&row.cost, row.sum.energy[Flow::Import]));
    document.insert("coverage".into(), json!(coverage(row)));
    let known = Flow::ALL.into_iter().filter(|flow| row.sum.energy[*flow].is_some());
    let sources: Map<String, Value> = known
        .map(|flow| {
            let words: Vec<&str> = row.sum.sources(flow).map(|source| source.word()).collect();
            (flow.word().to_owned(), json!(words))
        })
        .collect();
    document.insert("sources".into(), sources.into());
    document.into()
}

/// Of the flow that is covered least, of those that are known.
fn coverage(row: &Row) -> Option<f64> {
    let known = Flow::ALL.into_iter().filter(|flow| row.sum.energy[*flow].is_some());
    known.map(|flow| row.coverage(flow)).reduce(|one, other| Some(one?.min(other?))).flatten()
}

fn interval(interval: &Interval) -> Value {
    let mut document = Map::new();
    document.insert("start".into(), json!(interval.start));
    document.insert("end".into(), json!(interval.end));
    document.extend(kilowatt_hours(&interval.energy));
    document.into()
}

/// What a gateway, named by its id, adds to a sum.
type OfGateway<'a> = (&'a str, &'a Sum, &'a Cost);

/// The sum of all gateways, row by row: by the name of a day or month, else by their beginning.
/// `has_costs`: whether costs can be added up.
fn sum(found: &[(Question, Energy)], inverters: &HashSet<String>, has_costs: bool) -> String {
    let key = |row: &Row| (row.name.clone(), row.start as i64 * i64::from(row.name.is_none()));
    let mut rows: BTreeMap<(Option<String>, i64), Vec<OfGateway<'_>>> = BTreeMap::new();
    for (question, energy) in found {
        for row in &energy.rows {
            rows.entry(key(row)).or_default().push((&question.gateway, &row.sum, &row.cost));
        }
    }
    let row = |((name, start), sums): (&(Option<String>, i64), &Vec<OfGateway<'_>>)| {
        let mut document = Map::new();
        document.insert("start".into(), json!(name.is_none().then_some(*start as f64)));
        document.insert("name".into(), json!(name));
        document.extend(summed(found, inverters, sums, has_costs));
        Value::from(document).to_string()
    };
    let rows: Vec<String> = rows.iter().map(row).collect();
    let totals: Vec<OfGateway<'_>> = found
        .iter()
        .map(|(question, energy)| (question.gateway.as_str(), &energy.total, &energy.cost))
        .collect();
    let total = Value::from(summed(found, inverters, &totals, has_costs));
    format!("{{\"rows\":[{}],\"total\":{total}}}", rows.join(","))
}

/// The flows of `sums`, with the names of the gateways of which one is missing. Of `inverters`, those of a
/// battery cannot be.
fn summed(
    found: &[(Question, Energy)],
    inverters: &HashSet<String>,
    sums: &[OfGateway<'_>],
    has_costs: bool,
) -> Map<String, Value> {
    let (mut whole, mut whole_cost) = (Sum::default(), Cost::default());
    for (_, sum, cost) in sums {
        whole.add_all(sum);
        whole_cost.add(cost);
    }
    let is_complete = |id: &str| {
        let of_battery = [Flow::Charge, Flow::Discharge];
        let is_needed = |flow: &&Flow| !inverters.contains(id) || !of_battery.contains(flow);
        let is_known = |sum: &Sum| Flow::ALL.iter().filter(is_needed).all(|flow| sum.energy[*flow].is_some());
        sums.iter().any(|(other, sum, _)| *other == id && is_known(sum))
    };
    let ids = found.iter().map(|(question, _)| question.gateway.as_str());
    let missing: Vec<&str> = ids.filter(|id| !is_complete(id)).collect();
    let mut document = kilowatt_hours(&whole.energy);
    document.extend(cost(&whole_cost, whole.energy[Flow::Import]).filter(|_| has_costs));
    document.insert("missing".into(), json!(missing));
    document
}

/// The names of the columns of a table.
fn head() -> String {
    let flows = Flow::WORDS.map(|flow| format!("{flow}_kwh")).join(",");
    format!("gateway,start,end,name,{flows},soe,coverage,sources\r\n")
}

/// One line for each row. An empty column is unknown.
fn lines(table: &mut String, gateway: &str, energy: &Energy) {
    for row in &energy.rows {
        let name = row.name.as_deref().unwrap_or_default();
        let _ = write!(table, "{gateway},{},{},{name}", row.start, row.end);
        for energy in row.sum.energy.0 {
            let _ = match energy {
                Some(energy) => write!(table, ",{:.6}", energy / 1000.0),
                None => write!(table, ","),
            };
        }
        let soe = row.soe.map(|soe| format!("{soe:.2}")).unwrap_or_default();
        let covered = coverage(row).map(|part| format!("{part:.4}")).unwrap_or_default();
        let mut words: Vec<&str> =
            Flow::ALL.iter().flat_map(|flow| row.sum.sources(*flow)).map(|way| way.word()).collect();
        words.sort_unstable();
        words.dedup();
        let _ = write!(table, ",{soe},{covered},{}\r\n", words.join("+"));
    }
}
