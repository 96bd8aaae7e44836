//! What a link brought home, in its own protocol, and what everybody else may ask of it.
//!
//! The interpretation stays in the room of each protocol; nothing here knows one.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::{Adjustments, BackupEvents, GridOutage, Interpretation, NumberingMemory, Readings, Site};

/// A part of what a gateway answered, as it sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The gateway's configuration. Holds personal data: for redacted views only.
    Config,
    /// The newest answer about power, charge and grid.
    Status,
    /// The newest answer that contains all devices of the gateway.
    Controller,
    /// The devices inside each unit, the leader's first.
    Components,
    /// What Tesla's cloud reports of the moment.
    CloudStatus,
    /// What it knows of the site. Holds personal data: for redacted views only.
    CloudInfo,
    /// What the owners API knows of the battery. For redacted views only.
    CloudBattery,
    /// What it knows of the tariff.
    CloudTariff,
}

/// The last good answers of one gateway: immutable, cheap to share.
pub trait Answers: fmt::Debug + Send + Sync {
    /// The readings of this moment. Cheap: every poll asks for them.
    fn readings(&self, adjustments: &Adjustments) -> Readings;

    /// The site around `readings`, and the documents of the customer API, with units, inverters and fans
    /// under the numbers of `numbers`. Expensive: everything is parsed.
    fn interpret(
        &self,
        readings: &Arc<Readings>,
        adjustments: &Adjustments,
        numbers: &NumberingMemory,
    ) -> Interpretation;

    /// The site of [`Answers::interpret`] alone, where that costs less; else `None`.
    fn site(&self, _readings: &Arc<Readings>, _numbers: &NumberingMemory) -> Option<Site> {
        None
    }

    /// How old the readings are at this moment; zero for a gateway that answers about now.
    fn age(&self) -> Duration {
        Duration::ZERO
    }

    /// How old readings are that this way brings while nothing is wrong; they count as fresh that much
    /// longer. Zero for a gateway that answers about now.
    fn usual_age(&self) -> Duration {
        Duration::ZERO
    }

    /// Bytes of all of them, as they were received.
    fn size(&self) -> usize;

    /// An answer as it was received; `None` where the protocol has no such part, or it has not come yet.
    fn raw(&self, _part: Part) -> Option<Bytes> {
        None
    }

    /// When the battery is kept full for an outage; `None`: the link cannot ask, or has not been answered
    /// yet.
    fn backup_events(&self) -> Option<Arc<BackupEvents>> {
        None
    }

    /// The newest grid outages that Tesla lists, in order; `None`: nobody who lists them has been asked yet.
    fn grid_outages(&self) -> Option<Arc<[GridOutage]>> {
        None
    }

    /// Whether a Powerwall 3 answered with the little that it has of the customer API.
    fn is_basic_lan(&self) -> bool {
        false
    }
}

/// What `answers` mean, with numbers of their own.
#[cfg(test)]
pub(crate) fn interpreted(answers: &dyn Answers, adjustments: &Adjustments) -> Interpretation {
    answers.interpret(&Arc::new(answers.readings(adjustments)), adjustments, &NumberingMemory::default())
}
