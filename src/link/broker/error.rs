//! What can be wrong with a gateway that is reached through another instance of this program.

use std::time::Duration;

/// Says whether the site is silent or its gateway.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BrokerError {
    #[error("there is no connection to the broker; PW_BROKER_URL names it")]
    NoConnection,
    #[error("the broker knows nothing of gateway {gateway} at site {site}; does that site run?")]
    NeverReported { site: String, gateway: String },
    /// The site itself does not report.
    #[error("site {site} has not reported for {}; its gateway may be well", minutes(*.silent))]
    SiteSilent { site: String, silent: Duration },
    #[error("the program at site {site} was shut down {} ago", minutes(*.since))]
    SiteStopped { site: String, since: Duration },
    /// The site reports, and cannot reach its gateway.
    #[error("site {site} reports, and its gateway is in trouble: {message}")]
    AtSite { site: String, message: String },
}

impl BrokerError {
    /// A stable word for bodies, logs and metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NoConnection => "broker_away",
            Self::NeverReported { .. } => "never_reported",
            Self::SiteSilent { .. } => "site_silent",
            Self::SiteStopped { .. } => "site_stopped",
            Self::AtSite { .. } => "at_site",
        }
    }
}

fn minutes(duration: Duration) -> String {
    match duration.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3600),
    }
}
