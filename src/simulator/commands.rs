//! How a simulated gateway takes what is no change of its configuration: islanding, battery dispatch, max
//! backup.

use std::time::Duration;

use tokio::time::Instant;

use crate::clock::unix_time;
use crate::link::tedapi::wire::{
    BackupEvent, Backups, Empty, IslandModeSet, NamedBackup, OFF_GRID, ON_GRID, ScheduleBackup, SiteMessage,
    Timestamp,
};

/// The most that the battery gives, W; beyond it, a dispatch is out of range.
const MOST_WATTS: f64 = 10_000.0;
const OUT_OF_RANGE: i32 = 11;

/// What was ordered beside the configuration, and holds.
#[derive(Clone, Debug, Default)]
pub(super) struct Commanded {
    /// Whether somebody has opened the contactor.
    pub is_off_grid: bool,
    /// W, and when it ends.
    pub dispatch: Option<(f64, Instant)>,
    pub backup: Option<BackupEvent>,
}

/// What is changed in [`Commanded`].
#[derive(Clone, Debug)]
pub(super) enum Command {
    Island(bool),
    Dispatch(Option<(f64, Duration)>),
    Backup(Option<BackupEvent>),
}

impl Commanded {
    pub fn apply(&mut self, command: Command, now: Instant) {
        match command {
            Command::Island(is_off_grid) => self.is_off_grid = is_off_grid,
            Command::Dispatch(power) => self.dispatch = power.map(|(watts, length)| (watts, now + length)),
            Command::Backup(event) => self.backup = event,
        }
    }

    /// The list of backup events.
    pub fn backups(&self) -> Backups {
        let manual = self.backup.clone().map(|event| ScheduleBackup { window: Some(event) });
        let start = Some(Timestamp { seconds: unix_time() as i64 + 86_400 });
        let storm = NamedBackup {
            id: "storm-1".into(),
            name: "Storm Watch".into(),
            window: Some(BackupEvent { start, seconds: 3600, priority: 10 }),
        };
        Backups { manual, others: vec![storm] }
    }
}

/// What is to be done, if anything, and the answer that acknowledges it.
pub(super) type Read = (Option<Command>, SiteMessage);

/// What somebody orders in `message`, and the answer if it is carried out; `Err`: a code and a text.
pub(super) fn read(message: &SiteMessage) -> Result<Read, (i32, &'static str)> {
    let none = SiteMessage::default();
    if let Some(mode) = &message.set_island_mode {
        let done = SiteMessage { island_mode_set: Some(IslandModeSet { result: 1 }), ..none };
        return match (mode.mode, mode.force) {
            (OFF_GRID, true) => Ok((Some(Command::Island(true)), done)),
            (ON_GRID, _) => Ok((Some(Command::Island(false)), done)),
            // Acknowledged, and nothing moves.
            (OFF_GRID, false) => Ok((None, done)),
            _ => Err((OUT_OF_RANGE, "no such mode")),
        };
    }
    if let Some(dispatch) = &message.dispatch {
        let done = SiteMessage { dispatched: Some(Empty {}), ..none };
        return match (&dispatch.resume, &dispatch.power) {
            (Some(_), None) => Ok((Some(Command::Dispatch(None)), done)),
            (None, Some(power)) if power.watts.abs() <= MOST_WATTS && power.seconds > 0 => {
                let length = Duration::from_secs(power.seconds.into());
                Ok((Some(Command::Dispatch(Some((power.watts, length)))), done))
            }
            _ => Err((OUT_OF_RANGE, "out of range")),
        };
    }
    if let Some(schedule) = &message.schedule_backup {
        let event = schedule.window.clone().filter(|event| event.seconds >= 60 && event.start.is_some());
        let done = SiteMessage { backup_scheduled: Some(Empty {}), ..none };
        return match event {
            Some(event) => Ok((Some(Command::Backup(Some(event))), done)),
            None => Err((OUT_OF_RANGE, "out of range")),
        };
    }
    let done = SiteMessage { backup_cancelled: Some(Empty {}), ..none };
    Ok((Some(Command::Backup(None)), done))
}
