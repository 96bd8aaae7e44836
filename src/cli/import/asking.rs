//! Asks an InfluxDB 1 over its HTTP API, and reads only.

use std::time::Duration;

use awc::Client;
use awc::http::header;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Serialize;
use serde_json::Value;

use super::gather::is_time;
use super::{ImportError, InfluxOptions};
use crate::settings::Secret;
use crate::tls::checked_client;

/// The fields of the flows, in their order, and that of the charge.
pub const FIELDS: [&str; 7] = ["solar", "home", "to_pw", "from_pw", "from_grid", "to_grid", "percentage"];
/// A row of the database: Unix seconds and what each field has.
pub type Point = (f64, [Option<f64>; 7]);

/// For one answer. A small computer takes its time over years of minutes.
const LIMIT: Duration = Duration::from_secs(120);
/// Bytes of an answer at most: some days of minutes are one megabyte.
const MOST_BYTES: usize = 32 << 20;

/// A way to ask.
pub struct Asking {
    client: Client,
    /// Without a path.
    url: String,
    database: String,
    measurement: String,
    /// `Basic …`
    login: Option<Secret>,
}

#[derive(Serialize)]
struct Query<'a> {
    db: &'a str,
    epoch: &'static str,
    q: &'a str,
}

impl Asking {
    pub async fn new(
        url: &str,
        options: &InfluxOptions,
        password: Option<Secret>,
    ) -> Result<Self, ImportError> {
        let refuse = |why: &str| Err(ImportError::Influx { url: shown(url), why: why.to_owned() });
        if url.contains('@') {
            return refuse("names and passwords have no place in the address; see --username");
        }
        let password = match &options.password_file {
            Some(file) => {
                let text = crate::files::read_text(file, 4096);
                let text = text.map_err(|error| ImportError::source(file, error))?;
                Some(Secret::new(text.trim_end_matches(['\r', '\n'])))
            }
            None => password,
        };
        let login = match (&options.username, password) {
            (Some(name), Some(password)) => {
                let pair = BASE64_STANDARD.encode(format!("{name}:{}", password.expose()));
                Some(Secret::new(format!("Basic {pair}")))
            }
            (Some(_), None) => return refuse("--username needs PW_IMPORT_PASSWORD or --password-file"),
            (None, _) => None,
        };
        let client = checked_client(LIMIT).await;
        let (database, measurement) = (options.database.clone(), options.measurement.clone());
        Ok(Self { client, url: url.trim_end_matches('/').to_owned(), database, measurement, login })
    }

    /// What distinguishes it from other sources.
    pub fn name(&self) -> String {
        format!("{}/{}/{}", self.url, self.database, self.measurement)
    }

    /// The retention policies of the database.
    pub async fn policies(&self) -> Result<Vec<String>, ImportError> {
        let rows = self.ask("SHOW RETENTION POLICIES").await?;
        Ok(rows.iter().filter_map(|row| Some(row[0].as_str()?.to_owned())).collect())
    }

    /// When the first and the last point of `policy` are.
    pub async fn ends(&self, policy: &str) -> Result<Option<(f64, f64)>, ImportError> {
        let first = self.select(policy, "ORDER BY time ASC LIMIT 1").await?;
        let last = self.select(policy, "ORDER BY time DESC LIMIT 1").await?;
        Ok(first.first().map(|(at, _)| *at).zip(last.first().map(|(at, _)| *at)))
    }

    /// The points of `policy` between two moments, the second one excluded.
    pub async fn points(&self, policy: &str, from: f64, to: f64) -> Result<Vec<Point>, ImportError> {
        let span = format!("WHERE time >= {}s AND time < {}s", from.floor(), to.floor());
        self.select(policy, &span).await
    }

    async fn select(&self, policy: &str, which: &str) -> Result<Vec<Point>, ImportError> {
        let fields = FIELDS.map(|field| format!("\"{field}\"")).join(", ");
        let measurement = self.measurement.replace('\\', "\\\\").replace('"', "\\\"");
        let rows = self.ask(&format!("SELECT {fields} FROM \"{policy}\".\"{measurement}\" {which}")).await?;
        let point = |row: &Value| {
            let mut values = [None; 7];
            for (place, value) in values.iter_mut().enumerate() {
                *value = row[place + 1].as_f64();
            }
            Some((row[0].as_f64().filter(|at| is_time(*at))?, values))
        };
        Ok(rows.iter().filter_map(point).collect())
    }

    /// The rows of the first series of the answer.
    async fn ask(&self, query: &str) -> Result<Vec<Value>, ImportError> {
        let failed = |why: String| ImportError::Influx { url: self.url.clone(), why };
        let mut request = self.client.get(format!("{}/query", self.url));
        if let Some(login) = &self.login {
            request = request.insert_header((header::AUTHORIZATION, login.expose()));
        }
        let query = Query { db: &self.database, epoch: "s", q: query };
        let request = request.query(&query).map_err(|error| failed(error.to_string()))?;
        let mut response = request.send().await.map_err(|error| failed(error.to_string()))?;
        let body = response.body().limit(MOST_BYTES).await.map_err(|error| failed(error.to_string()))?;
        let status = response.status().as_u16();
        if matches!(status, 401 | 403) {
            return Err(failed("it wants another name and password: --username, PW_IMPORT_PASSWORD".into()));
        }
        let mut answer: Value = serde_json::from_slice(&body)
            .map_err(|_| failed(format!("it answers {status}, and not as an InfluxDB 1 does")))?;
        let error = answer["error"].as_str().or_else(|| answer["results"][0]["error"].as_str());
        if let Some(error) = error {
            return Err(failed(error.to_owned()));
        }
        Ok(match answer["results"][0]["series"][0]["values"].take() {
            Value::Array(rows) => rows,
            _ => Vec::new(),
        })
    }
}

/// An address without what stands before its host.
fn shown(url: &str) -> String {
    match url.split_once("://").zip(url.rsplit_once('@')) {
        Some(((scheme, _), (_, rest))) => format!("{scheme}://{rest}"),
        None => url.to_owned(),
    }
}
