//! `PW_EXPORT_…` → which other database what is recorded is sent to.

use std::time::Duration;

use serde::Deserialize;

use super::history::seconds;
use super::load::Reader;
use super::values::Refusal;
use super::{BrokerSettings, Secret};

/// Points of power may lie this far apart.
const INTERVALS: std::ops::RangeInclusive<i64> = 5..=3600;
/// Parameters of an address that say where in the database something is written; others may be secrets.
const PLACES: [&str; 4] = ["db", "rp", "org", "bucket"];

/// Another database, which takes Influx line protocol.
#[derive(Clone, Debug, PartialEq)]
pub struct ExportSettings {
    /// `PW_EXPORT_URL`: where lines are written, with the database in it.
    pub url: Secret,
    /// `PW_EXPORT_TOKEN`
    pub token: Option<Secret>,
    /// `PW_EXPORT_POWER`: how far points of power lie apart; `None`: none are sent.
    pub power: Option<Duration>,
}

#[derive(Default, Deserialize)]
struct ExportVariables {
    pw_export_url: Option<String>,
    pw_export_token: Option<String>,
    pw_export_power: Option<String>,
}

impl ExportSettings {
    /// The address without what may be secret: for the log, and to distinguish it from others.
    pub fn name(&self) -> String {
        let url = self.url.expose();
        let Some((address, query)) = url.split_once('?') else { return url.to_owned() };
        let is_place = |part: &&str| part.split('=').next().is_some_and(|name| PLACES.contains(&name));
        let places: Vec<&str> = query.split('&').filter(is_place).collect();
        if places.is_empty() { address.to_owned() } else { format!("{address}?{}", places.join("&")) }
    }
}

impl Reader {
    /// `None`: nothing is sent.
    pub(super) fn export(&mut self) -> Option<ExportSettings> {
        let raw: ExportVariables = self.variables();
        let parse = |text: &str| url(text).map(|()| Some(Secret::new(text)));
        let url = self.value("PW_EXPORT_URL", raw.pw_export_url, None, parse, |_| "none".to_owned());
        let power = self.value(
            "PW_EXPORT_POWER",
            raw.pw_export_power,
            None,
            |text| match text.to_ascii_lowercase().as_str() {
                "off" => Ok(None),
                _ => interval(text).map(Some),
            },
            |power: &Option<Duration>| {
                power.map_or_else(|| "off".to_owned(), |every| format!("{} s", every.as_secs()))
            },
        );
        if raw.pw_export_token.is_some() {
            self.note("PW_EXPORT_TOKEN", "", true);
        }
        if url.is_none() && (raw.pw_export_token.is_some() || power.is_some()) {
            self.warnings
                .push("PW_EXPORT_TOKEN and PW_EXPORT_POWER have no effect without PW_EXPORT_URL".into());
        }
        Some(ExportSettings { url: url?, token: raw.pw_export_token.map(Secret::new), power })
    }

    /// `has_store`: whether anything is recorded that could be sent; sites that are watched send theirs.
    pub(super) fn check_export(
        &mut self,
        export: Option<&ExportSettings>,
        has_store: bool,
        broker: Option<&BrokerSettings>,
    ) {
        let arrives = broker.is_some_and(|broker| !broker.watched.is_empty());
        if export.is_some() && !has_store && !arrives {
            let why = "nothing is recorded; PW_TIMESERIES_PATH says where it is kept";
            self.warnings.push(format!("PW_EXPORT_URL has no effect: {why}"));
        }
    }
}

fn interval(text: &str) -> Result<Duration, Refusal> {
    let seconds = seconds(text)?;
    let is_right = INTERVALS.contains(&seconds).then_some(Duration::from_secs(seconds.unsigned_abs()));
    is_right.ok_or_else(|| format!("{text:?} is neither off nor between {} s and an hour", INTERVALS.start()))
}

/// Never shows the address, which may hold a password.
fn url(text: &str) -> Result<(), Refusal> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let is_plain = text.chars().all(|character| character.is_ascii_graphic());
    let Some((host, path)) = rest.and_then(|rest| rest.split_once('/')).filter(|_| is_plain) else {
        return Err("expected an address such as http://host:8428/write".into());
    };
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let has = |wanted: &str| query.split('&').any(|part| part.split('=').next() == Some(wanted));
    let why = match () {
        () if host.is_empty() || !format!("/{path}").ends_with("/write") => {
            "expected an address whose path ends with /write: http://host:8428/write (VictoriaMetrics), \
             http://host:8086/write?db=NAME (InfluxDB 1), \
             http://host:8086/api/v2/write?org=NAME&bucket=NAME (InfluxDB 2)"
        }
        () if host.contains('@') => "a name and a password have no place in it; use PW_EXPORT_TOKEN",
        () if has("precision") => "precision has no place in it; times are sent in seconds",
        () if path.ends_with("api/v2/write") && !has("bucket") => "an InfluxDB 2 needs bucket=NAME in it",
        () => return Ok(()),
    };
    Err(why.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Inputs, Settings};

    #[test]
    fn an_address_names_a_place_to_write_and_no_secret() {
        for right in [
            "http://victoria:8428/write",
            "https://metrics.example/insert/0/influx/write",
            "http://10.0.0.2:8086/write?db=house",
            "http://10.0.0.2:8086/api/v2/write?org=home&bucket=house",
        ] {
            assert_eq!(url(right), Ok(()), "{right}");
        }
        for wrong in [
            "victoria:8428/write",
            "http://victoria:8428",
            "http://victoria:8428/",
            "http:///write",
            "http://name:canary@victoria:8428/write",
            "http://10.0.0.2:8086/write?db=house&precision=ms",
            "http://10.0.0.2:8086/api/v2/write?org=home",
        ] {
            assert!(!url(wrong).unwrap_err().contains("canary"), "{wrong}");
        }
        let settings = ExportSettings {
            url: Secret::new("http://10.0.0.2:8086/write?u=house&p=canary&db=house"),
            token: None,
            power: None,
        };
        assert_eq!(settings.name(), "http://10.0.0.2:8086/write?db=house");
    }

    #[test]
    fn all_mistakes_are_named_with_what_is_accepted() {
        let environment = [("PW_EXPORT_URL", "canary"), ("PW_EXPORT_POWER", "1s"), ("PW_HOST", "10.0.0.1")];
        let environment = environment.map(|(name, text)| (name.to_owned(), text.to_owned())).to_vec();
        let problems = Settings::load(&Inputs { environment, flags: Vec::new() }).unwrap_err().to_string();
        assert!(problems.contains("PW_EXPORT_URL") && problems.contains("/write"), "{problems}");
        assert!(problems.contains("PW_EXPORT_POWER") && problems.contains("an hour"), "{problems}");
        assert!(!problems.contains("canary"), "{problems}");
    }
    #[test]
    fn a_database_without_anything_for_it_is_a_warning_wherever_the_sites_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("centre.yaml");
        std::fs::write(&file, "broker: {url: 'nats://b:4222', sites: ['>']}\ngateways: []\n").unwrap();
        let warned = |more: (&str, &str)| {
            let environment = [("PW_EXPORT_URL", "http://victoria:8428/write"), more];
            let environment = environment.map(|(name, text)| (name.to_owned(), text.to_owned())).to_vec();
            let settings = Settings::load(&Inputs { environment, flags: Vec::new() }).unwrap();
            settings.warnings.iter().any(|warning| warning.starts_with("PW_EXPORT_URL has no effect"))
        };
        assert!(warned(("PW_GATEWAYS", r#"[{"id":"home","host":"10.0.0.1","gw_pwd":"x"}]"#)));
        assert!(!warned(("PW_CONFIG", file.to_str().unwrap())));
    }
}
