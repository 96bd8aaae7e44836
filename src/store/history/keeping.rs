//! What of the history is kept, and for how long.

use std::time::Duration;

use crate::model::tariff::Tariffs;

const DAY: Duration = Duration::from_secs(86_400);

/// How long something is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    For(Duration),
    Forever,
    /// It is not recorded at all.
    Never,
}

impl Keep {
    /// Whether it is recorded.
    pub fn is_recorded(self) -> bool {
        self != Self::Never
    }

    /// In seconds as the servers before wrote it: 0 is for ever, -1 is not at all.
    pub fn seconds(self) -> i64 {
        match self {
            Self::For(time) => i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
            Self::Forever => 0,
            Self::Never => -1,
        }
    }

    /// How long, if there is an end to it.
    pub fn limit(self) -> Option<Duration> {
        match self {
            Self::For(time) => Some(time),
            Self::Forever | Self::Never => None,
        }
    }
}

/// What of the history is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Keeping {
    /// `PW_TIMESERIES_RETENTION`: power of every poll. `Never` switches the history off.
    pub samples: Keep,
    /// `PW_TIMESERIES_DAILY_RETENTION`: energy by day, and the days of signals.
    pub days: Keep,
    /// `PW_TIMESERIES_SIGNAL_RETENTION`: temperatures and fans.
    pub signals: Keep,
    /// `PW_TIMESERIES_SIGNAL_INTERVAL`: how often these, and the counters, are read.
    pub signal_interval: Duration,
    /// `PW_TIMESERIES_MAX_MB`: bytes that the file may have; `None`: as many as it needs.
    pub most_bytes: Option<u64>,
    /// `tariff` of the file: the prices that are kept with the energy.
    pub tariffs: Tariffs,
}

impl Default for Keeping {
    fn default() -> Self {
        Self {
            samples: Keep::For(DAY),
            days: Keep::Forever,
            signals: Keep::For(30 * DAY),
            signal_interval: Duration::from_secs(60),
            most_bytes: None,
            tariffs: Tariffs::default(),
        }
    }
}

impl Keeping {
    /// Whether anything is recorded.
    pub fn is_on(&self) -> bool {
        self.samples.is_recorded()
    }
}
