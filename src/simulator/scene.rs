//! A simulated site at one moment: its hardware, and what the day and the owner have made of it.

use bytes::Bytes;
use serde_json::Value;

use super::day::{Energies, Flow, Grid};

/// The zone that all simulated sites report.
pub const ZONE: &str = "America/Los_Angeles";

/// The hardware of a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SiteKind {
    /// Two Powerwall 2 and a solar inverter behind a gateway.
    Powerwall2,
    /// A Powerwall 3 with an expansion, a follower, and a wireless solar meter.
    Powerwall3,
    /// A solar inverter without a battery.
    Inverter,
}

/// A site at one moment.
pub(super) struct Scene<'a> {
    pub kind: SiteKind,
    pub name: &'a str,
    /// Keeps sites apart in their serial numbers.
    pub number: u32,
    pub flow: Flow,
    /// Counted since the start of the simulation.
    pub energies: Energies,
    /// Simulated seconds since the first midnight.
    pub clock: f64,
    /// Simulated seconds since the gateway started.
    pub uptime: f64,
    /// Whether the wireless solar meter falls silent now and then.
    pub has_weak_meter: bool,
    /// Whether all that is reported is what the home uses.
    pub is_tight_lipped: bool,
    pub mode: &'static str,
    /// Backup reserve, raw scale.
    pub reserve: Value,
    /// The configuration as somebody wrote it; `None`: as it was delivered.
    pub written: Option<Bytes>,
}

pub(super) const PVAC_PART: &str = "1538100-00-F";
pub(super) const PACKAGE_PART: &str = "2012170-05-C";
pub(super) const MODULE_PART: &str = "1081100-10-Q";
pub(super) const POWERWALL3_PART: &str = "1707000-11-M";
pub(super) const EXPANSION_PART: &str = "1807000-10-B";
pub(super) const SYNC_PART: &str = "1493315-01-F";

impl Scene<'_> {
    pub(super) fn serial(&self, what: &str) -> String {
        format!("TG26{:05}{what}", self.number)
    }

    pub fn din(&self) -> String {
        let part = match self.kind {
            SiteKind::Powerwall2 => "1232100-00-J",
            SiteKind::Powerwall3 => POWERWALL3_PART,
            SiteKind::Inverter => "1538000-45-D",
        };
        format!("{part}--{}", self.serial("A1"))
    }

    /// DINs of the Powerwall 3 units.
    pub fn units(&self) -> Vec<String> {
        match self.kind {
            SiteKind::Powerwall3 => vec![self.din(), format!("{POWERWALL3_PART}--{}", self.serial("B2"))],
            _ => Vec::new(),
        }
    }

    pub(super) fn expansion(&self) -> String {
        format!("{EXPANSION_PART}--{}", self.serial("C3"))
    }

    pub(super) fn packages(&self) -> Vec<(String, String)> {
        match self.kind {
            SiteKind::Powerwall2 => {
                [1, 2].map(|n| (self.serial(&format!("P{n}")), self.serial(&format!("M{n}")))).into()
            }
            _ => Vec::new(),
        }
    }

    pub(super) fn has_battery(&self) -> bool {
        self.kind != SiteKind::Inverter
    }

    /// ISO time of the simulated clock, with offset.
    pub(super) fn time(&self) -> String {
        // midnight of a first of June, seven hours behind UTC
        let start = jiff::Timestamp::constant(1_780_297_200, 0);
        let now = start + jiff::SignedDuration::from_secs(self.clock as i64);
        jiff::tz::offset(-7).to_datetime(now).strftime("%Y-%m-%dT%H:%M:%S-07:00").to_string()
    }

    /// Every five minutes the wireless solar meter is silent for some seconds.
    pub(super) fn meter_is_silent(&self) -> bool {
        self.has_weak_meter && self.clock % 300.0 < 20.0 && self.flow.solar > 10.0
    }

    pub(super) fn contactor(&self) -> &'static str {
        match self.flow.grid {
            Grid::Connected => "ISLAND_GridConnected_Connected",
            Grid::Islanded | Grid::Syncing => "ISLAND_GridConnected_Disconnected",
        }
    }

    /// Wh
    pub(super) fn capacity(&self) -> i64 {
        match self.kind {
            SiteKind::Powerwall2 => 27_000,
            SiteKind::Powerwall3 => 40_500,
            SiteKind::Inverter => 0,
        }
    }
}
