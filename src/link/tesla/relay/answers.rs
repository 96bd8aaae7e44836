//! What a gateway answered over the relay, and how old that is by now: it is asked every few minutes, and
//! shown in between.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use crate::model::{Adjustments, Answers, BackupEvents, Interpretation, NumberingMemory, Part, Readings};

/// The way takes this long at most, and then some.
const ON_THE_WAY: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) struct Relayed {
    pub(super) answers: Arc<dyn Answers>,
    /// When the gateway was asked for what changes by the second.
    pub(super) came: Instant,
    /// How often it is.
    pub(super) interval: Duration,
}

impl Answers for Relayed {
    fn readings(&self, adjustments: &Adjustments) -> Readings {
        self.answers.readings(adjustments)
    }

    fn interpret(
        &self,
        readings: &Arc<Readings>,
        adjustments: &Adjustments,
        numbers: &NumberingMemory,
    ) -> Interpretation {
        self.answers.interpret(readings, adjustments, numbers)
    }

    fn age(&self) -> Duration {
        self.answers.age() + self.came.elapsed()
    }

    /// One question may fail.
    fn usual_age(&self) -> Duration {
        self.interval * 2 + ON_THE_WAY
    }

    fn size(&self) -> usize {
        self.answers.size()
    }

    fn raw(&self, part: Part) -> Option<Bytes> {
        self.answers.raw(part)
    }

    fn backup_events(&self) -> Option<Arc<BackupEvents>> {
        self.answers.backup_events()
    }

    fn is_basic_lan(&self) -> bool {
        self.answers.is_basic_lan()
    }
}
