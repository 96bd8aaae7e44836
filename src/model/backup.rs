//! When the battery is kept full for an outage that is expected, as the gateway lists it; and when it was
//! needed, as Tesla does.

/// One time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupEvent {
    /// Unix seconds.
    pub start: i64,
    pub seconds: u32,
    pub priority: u64,
}

impl BackupEvent {
    /// Unix seconds.
    pub fn end(&self) -> i64 {
        self.start.saturating_add(self.seconds.into())
    }

    /// Whether it is under way at `now`, Unix seconds.
    pub fn is_active(&self, now: i64) -> bool {
        (self.start..self.end()).contains(&now)
    }
}

/// An event that Tesla or a utility has scheduled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedBackup {
    pub id: String,
    /// For people, such as `Storm Watch`.
    pub name: String,
    pub event: BackupEvent,
}

/// All that a gateway lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BackupEvents {
    /// What somebody has ordered (max backup); gateways list one that has ended until it is cancelled.
    pub manual: Option<BackupEvent>,
    pub others: Vec<NamedBackup>,
}

/// A time that the home was cut off from the grid, as Tesla lists it afterwards.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GridOutage {
    /// Unix seconds.
    pub start: f64,
    pub seconds: f64,
}

impl GridOutage {
    /// Unix seconds.
    pub fn end(&self) -> f64 {
        self.start + self.seconds
    }
}
