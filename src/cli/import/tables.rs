//! CSV: what `/api/history` writes, the days of pypowerwall-server's history page, tables that somebody made
//! in the simple form of docs/history.md, and what the `influx` command exports.

use std::collections::BTreeMap;
use std::path::Path;

use csv::{Reader, ReaderBuilder, StringRecord};
use jiff::civil::Date;

use super::gather::{Rows, Span, moment};
use super::intake::Intake;
use super::{ImportError, influx};
use crate::model::energy::{Flow, Flows, SLOT};
use crate::store::history::queries::energy::midnight;

/// What a column of each flow may be called, without its unit.
const FLOWS: [&[&str]; 6] = [
    &["solar"],
    &["home"],
    &["charge", "battery_charge"],
    &["discharge", "battery_discharge"],
    &["import", "grid_import"],
    &["export", "grid_export"],
];
/// Units of energy, and Wh in them.
const UNITS: [(&str, f64); 2] = [("_kwh", 1000.0), ("_wh", 1.0)];

/// Where what is needed stands in a row.
#[derive(Debug, Default)]
struct Columns {
    gateway: Option<usize>,
    start: Option<usize>,
    end: Option<usize>,
    day: Option<usize>,
    coverage: Option<usize>,
    soe: Option<usize>,
    /// With Wh in one of its unit.
    flows: Flows<Option<(usize, f64)>>,
}

impl Columns {
    /// `None`: there is no time, or no energy.
    fn of(header: &StringRecord) -> Option<Self> {
        let names: Vec<String> = header.iter().map(|name| name.trim().to_ascii_lowercase()).collect();
        let find = |wanted: &[&str]| names.iter().position(|name| wanted.contains(&name.as_str()));
        let mut columns = Self {
            gateway: find(&["gateway", "gateway_id"]),
            start: find(&["start", "time"]),
            end: find(&["end"]),
            day: find(&["day", "date", "name"]),
            coverage: find(&["coverage"]),
            soe: find(&["soe"]),
            flows: Flows::default(),
        };
        for flow in Flow::ALL {
            let named = |(unit, wh): (&str, f64)| {
                let names: Vec<String> =
                    FLOWS[flow as usize].iter().map(|name| format!("{name}{unit}")).collect();
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                Some((find(&names)?, wh))
            };
            columns.flows[flow] = UNITS.into_iter().find_map(named);
        }
        let has_time = columns.start.is_some() || columns.day.is_some();
        (has_time && columns.flows.0.iter().any(Option::is_some)).then_some(columns)
    }
}

/// Imports a table.
pub async fn import(path: &Path, intake: &mut Intake) -> Result<(), ImportError> {
    let failed = |error: csv::Error| ImportError::source(path, error);
    let mut reader =
        ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_path(path).map_err(failed)?;
    let header = reader.headers().map_err(failed)?.clone();
    if influx::is_export(&header) {
        return influx::import_export(path, reader, &header, intake).await;
    }
    let Some(columns) = Columns::of(&header) else {
        let why =
            "its first line names no columns such as start, end, solar_kwh, home_kwh; see docs/history.md";
        return Err(ImportError::source(path, why));
    };
    read(path, &mut reader, &columns, intake).await
}

async fn read(
    path: &Path,
    reader: &mut Reader<std::fs::File>,
    columns: &Columns,
    intake: &mut Intake,
) -> Result<(), ImportError> {
    let mut gateways: BTreeMap<String, (String, Rows)> = BTreeMap::new();
    for record in reader.records() {
        let record = record.map_err(|error| ImportError::source(path, error))?;
        let there = columns.gateway.and_then(|at| record.get(at)).unwrap_or_default();
        if !gateways.contains_key(there) {
            let id = intake.id(Some(there).filter(|there| !there.is_empty()))?;
            let rows = Rows::new(intake.zone(&id)?);
            gateways.insert(there.to_owned(), (id, rows));
        }
        let Some((id, rows)) = gateways.get_mut(there) else { continue };
        match span(&record, columns, rows) {
            Some(span) => intake.place(rows.take(&span)),
            None => intake.leave("they cannot be understood"),
        }
        intake.take_rows(id, rows, false).await?;
    }
    for (id, rows) in gateways.values_mut() {
        intake.take_rows(id, rows, true).await?;
    }
    Ok(())
}

/// A row; `None`: it is not understood.
fn span(record: &StringRecord, columns: &Columns, rows: &Rows) -> Option<Span> {
    let text = |at: Option<usize>| at.and_then(|at| record.get(at)).filter(|text| !text.is_empty());
    let date = |text: &str| text.parse::<Date>().ok().filter(|_| text.len() == 10);
    let day = |date: Date| {
        let noon = midnight(date, rows.zone())? + 43_200.0;
        rows.day(noon).map(|(_, start, end)| (start, end))
    };
    let named = text(columns.day).and_then(date).or_else(|| text(columns.start).and_then(date));
    let (start, end) = match named {
        Some(date) => day(date)?,
        None => {
            let start = moment(text(columns.start)?)?;
            (start, text(columns.end).map_or(Some(start + SLOT as f64), moment)?)
        }
    };
    let coverage = match text(columns.coverage) {
        Some(part) => Some(part.parse().ok().filter(|part| (0.0..=1.0).contains(part))?),
        // A day without a word about it may be any part of one.
        None => (named.is_none() && columns.coverage.is_none()).then_some(1.0),
    };
    let mut energy = Flows::default();
    for flow in Flow::ALL {
        let Some((at, wh)) = columns.flows[flow] else { continue };
        energy[flow] = match text(Some(at)) {
            Some(text) => Some(text.parse::<f64>().ok()? * wh),
            None => None,
        };
    }
    let charge = match text(columns.soe) {
        Some(percent) => Some(percent.parse().ok().filter(|percent| (0.0..=100.0).contains(percent))?),
        None => None,
    };
    Some(Span { start, end, energy, coverage, charge })
}
