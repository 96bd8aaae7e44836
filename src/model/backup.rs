//! When the battery is kept full for an outage that is expected, as the gateway lists it.

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
