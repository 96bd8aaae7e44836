//! The log: lines for people, or one JSON object per line for programs.
//!
//! Keys of the JSON lines that are always there: `ts` (RFC 3339, UTC), `level`, `target`, `message`. Where
//! they apply: `gateway` (its id), `event` (a stable word for what happened), `status` (of an HTTP answer),
//! `latency_ms`, and what else belongs to the event.

use std::any::Any;
use std::io::{self, Write};
use std::panic::{self, PanicHookInfo};

use env_logger::fmt::Formatter;
use env_logger::{Builder, Env};
use log::kv::{Error, Key, Value, VisitSource};
use log::{LevelFilter, Record, error};
use serde_json::{Map, Value as Json};

use super::repeats::Repeats;
use crate::settings::{LogFormat, LoggingSettings};

/// `RUST_LOG` decides how much is said; without it, `PW_DEBUG` does.
pub(super) fn start(settings: LoggingSettings) {
    let level = if settings.debug { LevelFilter::Debug } else { LevelFilter::Info };
    // What the libraries below have to say is for those who ask for it.
    // That for NATS says at each attempt what `nats` says once.
    let default = format!("warn,async_nats=off,{}={level}", env!("CARGO_CRATE_NAME"));
    let mut builder = Builder::from_env(Env::default().default_filter_or(default));
    match settings.format {
        LogFormat::Plain => builder.format_key_values(|_, _| Ok(())),
        LogFormat::Json => builder.format(|out, record| {
            let ts = out.timestamp_millis().to_string();
            write_json(out, record, ts)
        }),
    };
    let logger = builder.build();
    log::set_max_level(logger.filter());
    // Nobody else sets a logger.
    let _ = log::set_boxed_logger(Box::new(Repeats::new(logger)));
    panic::set_hook(Box::new(report_panic));
}

fn write_json(out: &mut Formatter, record: &Record<'_>, ts: String) -> io::Result<()> {
    serde_json::to_writer(&mut *out, &json(record, ts))?;
    out.write_all(b"\n")
}

fn json(record: &Record<'_>, ts: String) -> Json {
    let mut line = Map::new();
    line.insert("ts".into(), ts.into());
    line.insert("level".into(), record.level().as_str().to_lowercase().into());
    line.insert("target".into(), record.target().into());
    line.insert("message".into(), record.args().to_string().into());
    // Visiting a map of values that are there cannot fail.
    let _ = record.key_values().visit(&mut Fields(&mut line));
    Json::Object(line)
}

/// Puts the fields of a record behind those that every line has.
struct Fields<'a>(&'a mut Map<String, Json>);

impl<'kvs> VisitSource<'kvs> for Fields<'_> {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
        let json = match (value.to_u64(), value.to_i64(), value.to_f64(), value.to_bool()) {
            (Some(number), ..) => number.into(),
            (_, Some(number), ..) => number.into(),
            (.., Some(number), _) => number.into(),
            (.., Some(truth)) => truth.into(),
            _ => match value.to_borrowed_str() {
                Some(text) => text.into(),
                // An `Option` without a value.
                None if value.to_string() == Value::null().to_string() => return Ok(()),
                None => value.to_string().into(),
            },
        };
        self.0.entry(key.as_str()).or_insert(json);
        Ok(())
    }
}

/// A panic is a line of the log like any other.
fn report_panic(info: &PanicHookInfo<'_>) {
    let message = message(info.payload());
    let place = info.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
    error!(event = "panic", place = place.as_str(); "internal error at {place}: {message}");
}

/// What a panic says, without what it quotes: that may be a part of a gateway's answer, or of a setting.
fn message(payload: &(dyn Any + Send)) -> &str {
    if let Some(text) = payload.downcast_ref::<&'static str>() {
        return text; // written in the program's own text
    }
    let text = payload.downcast_ref::<String>().map_or("", String::as_str);
    let end = text.find(['`', '"', '\'', ':']).unwrap_or(text.len());
    text[..end].trim_end()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::*;
    use log::Level;
    use serde_json::json;

    #[test]
    fn a_line_has_its_keys_and_one_line_only() {
        let fields = [
            ("gateway", Value::from("home")),
            ("latency_ms", 12_u64.into()),
            ("status", Value::null()),
            ("level", "odd".into()),
        ];
        let args = format_args!("two\nlines \"and\" quotes");
        let record =
            Record::builder().level(Level::Warn).target("here").key_values(&fields).args(args).build();
        let line = super::json(&record, "2026-01-02T03:04:05.678Z".into());
        let expected = json!({
            "ts": "2026-01-02T03:04:05.678Z", "level": "warn", "target": "here",
            "message": "two\nlines \"and\" quotes", "gateway": "home", "latency_ms": 12,
        });
        assert_eq!(line, expected, "a field cannot take the place of a key that every line has");
        assert!(!line.to_string().contains('\n'));
    }

    /// The text of the macro whose parenthesis opens at the beginning of `text`.
    fn to_its_end(text: &str) -> &str {
        let mut depth = 0;
        let end = text.find(|character| {
            depth += i32::from(character == '(') - i32::from(character == ')');
            depth == 0
        });
        &text[..end.unwrap()]
    }

    /// The files of the program below `folder`, tests left out.
    fn sources(folder: &Path) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => found.extend(sources(&path)),
                false if path.ends_with("tests.rs") || path.extension() != Some("rs".as_ref()) => {}
                false => found.push(path),
            }
        }
        found
    }

    #[test]
    fn every_line_about_a_gateway_names_it() {
        /// The only lines there that are about all gateways, or about all of an account.
        const OF_ALL: [&str; 2] = ["large answers get no thread of their own", "the Tesla account"];
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut lines = 0;
        for path in ["link", "gateway", "supervisor"].into_iter().flat_map(|room| sources(&source.join(room)))
        {
            let text = fs::read_to_string(&path).unwrap();
            for name in ["log!", "error!", "warn!", "info!", "debug!", "trace!"] {
                for (at, _) in text.match_indices(name) {
                    let line = to_its_end(&text[at + name.len()..]);
                    let is_named = line.contains("gateway = ") && line.contains("\"gateway {");
                    let is_of_all = OF_ALL.iter().any(|words| line.contains(words));
                    assert!(is_named || is_of_all, "{}: {name}{line})", path.display());
                    lines += 1;
                }
            }
        }
        assert!(lines > 20, "{lines} lines were found");
    }

    #[test]
    fn a_panic_keeps_what_it_quotes_to_itself() {
        let said = |panic: fn()| message(&*panic::catch_unwind(panic).unwrap_err()).to_owned();
        assert_eq!(said(|| panic!("no link in a gateway that polls")), "no link in a gateway that polls");
        assert_eq!(
            said(|| drop("hunter2ä"[..8].to_owned())),
            "end byte index 8 is not a char boundary; it is inside"
        );
        assert_eq!(said(|| drop(std::hint::black_box(Err::<String, _>("hunter2")).unwrap())), "called");
        assert_eq!(said(|| assert_eq!([0; 3][std::hint::black_box(5)], 0)), "index out of bounds");
    }
}
