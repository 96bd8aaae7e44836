//! `import`: brings into the history what other programs recorded, and says what became of it. What may be
//! filled is decided by the store; each kind of source has a module that reads it.

mod asking;
mod gather;
mod influx;
mod intake;
mod server_before;
mod tables;
mod tesla;

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::link::tesla::error::TeslaError;
use crate::settings::{Secret, Settings};
use crate::store::StoreError;
use intake::Intake;

/// What a file of SQLite begins with.
const SQLITE: &[u8] = b"SQLite format 3\0";

/// What `import` is given.
#[derive(Args, Debug, PartialEq)]
pub struct Import {
    /// The file of pypowerwall-server 0.13, a CSV file, or the address of the InfluxDB 1 of
    /// Powerwall-Dashboard, such as http://localhost:8086, or the word tesla for Tesla's own records
    #[arg(value_name = "SOURCE")]
    pub from: String,
    /// The gateway that it is of, if the source does not say; may be left out if there is one only.
    #[arg(long, value_name = "ID")]
    pub gateway: Option<String>,
    /// A gateway that has another id in the source; may be repeated.
    #[arg(long, value_name = "THERE=HERE", value_parser = pair)]
    pub rename: Vec<(String, String)>,
    /// The zone of the site, such as Europe/Berlin, if neither the history nor the settings know it.
    #[arg(long, value_name = "ZONE", value_parser = zone)]
    pub timezone: Option<TimeZone>,
    /// Of Tesla's records: the first day, such as 2024-05-01, instead of where the last import ended, or the
    /// day of the installation.
    #[arg(long, value_name = "DAY")]
    pub from_day: Option<Date>,
    #[command(flatten)]
    pub influx: InfluxOptions,
}

/// How an InfluxDB is asked.
#[derive(Args, Clone, Debug, PartialEq)]
pub struct InfluxOptions {
    #[arg(long, default_value = "powerwall")]
    pub database: String,
    #[arg(long, default_value = "http")]
    pub measurement: String,
    /// With the password in PW_IMPORT_PASSWORD or in --password-file.
    #[arg(long)]
    pub username: Option<String>,
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').filter(|(there, here)| !there.is_empty() && !here.is_empty());
    let pair = pair.map(|(there, here)| (there.to_owned(), here.to_owned()));
    pair.ok_or_else(|| "expected two ids, such as default=home".to_owned())
}

fn zone(name: &str) -> Result<TimeZone, String> {
    TimeZone::get(name).map_err(|_| "no such zone; expected one such as Europe/Berlin".to_owned())
}

/// Why an import ends before its end. What it has brought until then stays, and the same import goes on.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error("{path} cannot be read: {why}", path = .path.display())]
    Source { path: PathBuf, why: String },
    #[error("{url}: {why}")]
    Influx { url: String, why: String },
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Tesla(#[from] TeslaError),
    #[error("{0} is not reached over FleetAPI, so Tesla cannot be asked for it; see docs/connecting.md")]
    NoCloud(String),
    #[error(
        "Tesla does not report when the site was installed; say --from-day, such as --from-day 2024-05-01"
    )]
    NoFirstDay,
    #[error("the source has a gateway {there}, and none of that id is configured here; {advice}")]
    Unknown { there: String, advice: String },
    #[error("the source does not say which gateway it is of; say --gateway with one of {0}")]
    Unnamed(String),
    #[error(
        "the time zone of {0}, which determines when its days begin, is unknown; give --timezone, such as \
         --timezone Europe/Berlin"
    )]
    NoZone(String),
}

impl ImportError {
    fn source(path: &Path, why: impl ToString) -> Self {
        Self::Source { path: path.to_owned(), why: why.to_string() }
    }
}

/// Imports, reports, and says how it went. `password`: that of the InfluxDB, from the environment.
pub fn run(settings: &Settings, import: &Import, password: Option<Secret>) -> ExitCode {
    let Some(file) = settings.store.as_deref() else {
        eprintln!("There is no file to import into: PW_TIMESERIES_PATH says where it is.");
        return ExitCode::from(2);
    };
    actix::System::new().block_on(async {
        let mut intake = match Intake::open(file, settings, import) {
            Ok(intake) => intake,
            Err(error) => {
                eprintln!("{error}");
                return ExitCode::FAILURE;
            }
        };
        let outcome = match import.from.as_str() {
            tesla::NAME => tesla::import(settings, import.from_day, &mut intake).await,
            _ => read(import, password, &mut intake).await,
        };
        print!("{}", intake.report());
        match outcome {
            // Of Tesla there may be no new day.
            Ok(()) if intake.is_empty() && import.from != tesla::NAME => {
                eprintln!("{}: there is nothing in it that can be imported", import.from);
                ExitCode::FAILURE
            }
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{error}\nWhat has been imported stays; the same command goes on from there.");
                ExitCode::FAILURE
            }
        }
    })
}

async fn read(import: &Import, password: Option<Secret>, intake: &mut Intake) -> Result<(), ImportError> {
    if import.from.starts_with("http://") || import.from.starts_with("https://") {
        return influx::import(&import.from, &import.influx, password, intake).await;
    }
    let path = Path::new(&import.from);
    match is_database(path).map_err(|error| ImportError::source(path, error))? {
        true => server_before::import(path, intake).await,
        false => tables::import(path, intake).await,
    }
}

fn is_database(path: &Path) -> std::io::Result<bool> {
    let mut beginning = Vec::new();
    std::fs::File::open(path)?.take(SQLITE.len() as u64).read_to_end(&mut beginning)?;
    Ok(beginning == SQLITE)
}
