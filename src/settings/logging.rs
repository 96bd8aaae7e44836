//! Variables of the log → [`LoggingSettings`].

use serde::Deserialize;

use super::load::Reader;
use super::values::Refusal;

/// How much is logged, and in which form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoggingSettings {
    /// `PW_DEBUG`
    pub debug: bool,
    pub format: LogFormat,
}

/// `PW_LOG_FORMAT`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Plain,
    /// One JSON object per line.
    Json,
}

#[derive(Default, Deserialize)]
struct LoggingVariables {
    pw_debug: Option<String>,
    pw_log_format: Option<String>,
}

impl Reader {
    pub(super) fn logging(&mut self) -> LoggingSettings {
        let raw: LoggingVariables = self.variables();
        let debug = self.boolean("PW_DEBUG", raw.pw_debug, false);
        let name = |format: &LogFormat| match format {
            LogFormat::Plain => "plain".to_owned(),
            LogFormat::Json => "json".to_owned(),
        };
        LoggingSettings {
            debug,
            format: self.value("PW_LOG_FORMAT", raw.pw_log_format, LogFormat::Plain, format, name),
        }
    }
}

fn format(text: &str) -> Result<LogFormat, Refusal> {
    match text.to_ascii_lowercase().as_str() {
        "plain" | "text" => Ok(LogFormat::Plain),
        "json" => Ok(LogFormat::Json),
        _ => Err(format!("{text:?} is neither plain nor json")),
    }
}
