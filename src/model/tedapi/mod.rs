//! What the gateway's own protocol (TEDAPI) tells, and the customer documents derived from it.
//!
//! [`Payloads`] keeps answers as received, because most gateways are never asked for more than their readings, and
//! raw bytes are a tenth of the size of a parsed tree. The readings are taken when an answer arrives; the documents
//! are derived when somebody asks.

mod aggregates;
mod blocks;
mod energies;
mod facts;
mod hold;
pub(super) mod lists;
mod meters;
mod powerwall2;
mod powerwall3;
mod redact;
mod signals;
mod site;
mod site_documents;
mod uptime;
mod vitals;

use std::sync::Arc;

use super::json::object;
use super::{Adjustments, Documents, Readings};
use bytes::Bytes;
use energies::Energies;
use facts::{ConfigFacts, StatusFacts};
use site::Site;
use uptime::Boot;

pub use super::json::Unusable;
pub(super) use site::powerwall3_units;

pub use redact::redacted;

/// Firmware of a gateway, from its own record. Empty texts are `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SystemInfo {
    pub din: Option<String>,
    /// For example `25.10.1 3f7cb6de`.
    pub version: Option<String>,
    pub git_hash: Option<String>,
}

/// The last good answer to each question. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Payloads {
    /// `host[:port]` as configured, for the VITALS block.
    host: Arc<str>,
    /// DIN of the gateway or leader, from the gateway itself.
    din: Option<Arc<str>>,
    /// `config.json`.
    config: Option<Bytes>,
    /// What is needed of the configuration at every poll.
    config_facts: Arc<ConfigFacts>,
    /// The newest of the basic and the full controller answer: the full one contains the basic one.
    status: Option<Bytes>,
    /// What is needed of the status at every poll.
    status_facts: Arc<StatusFacts>,
    /// The full controller answer.
    controller: Option<Bytes>,
    /// When the gateway started, held steady over the jitter of its counter.
    boot: Option<Boot>,
    /// Components of Powerwall 3 units, by DIN.
    components: Vec<(Arc<str>, Bytes)>,
    system: Arc<SystemInfo>,
    /// Lifetime counters, which only the customer API tells.
    energies: Arc<Energies>,
}

impl Payloads {
    pub fn new(host: &str) -> Self {
        Self { host: host.into(), ..Self::default() }
    }

    pub fn set_din(&mut self, din: &str) {
        self.din = Some(din.into());
    }

    /// DIN of the gateway; once known it stays known.
    pub fn din(&self) -> Option<&Arc<str>> {
        self.din.as_ref()
    }

    /// DINs of the Powerwall 3 units that the configuration lists, leader included. Empty: none, or not known yet.
    pub fn powerwall3_units(&self) -> &[String] {
        &self.config_facts.powerwall3_units
    }

    /// Whether the configuration is known, and has no backup reserve.
    pub fn lacks_reserve(&self) -> bool {
        self.config.is_some() && self.config_facts.reserve.is_none()
    }

    /// Whether the site consists of exactly one battery block.
    pub fn has_single_unit(&self) -> bool {
        self.config_facts.blocks == 1
    }

    /// The answer of the basic controller query.
    pub fn accept_status(&mut self, answer: Bytes) -> Result<(), Unusable> {
        self.status_facts = Arc::new(StatusFacts::of(&object(&answer)?));
        self.status = Some(answer);
        Ok(())
    }

    /// The answer of the full controller query, which is a status as well.
    pub fn accept_controller(&mut self, answer: Bytes) -> Result<(), Unusable> {
        let controller = object(&answer)?;
        self.status_facts = Arc::new(StatusFacts::of(&controller));
        self.boot = uptime::latch(self.boot.take(), &controller);
        self.status = Some(answer.clone());
        self.controller = Some(answer);
        Ok(())
    }

    /// `config.json`.
    pub fn accept_config(&mut self, answer: Bytes) -> Result<(), Unusable> {
        let config = object(&answer)?;
        self.config_facts = Arc::new(ConfigFacts::of(&config));
        self.config = Some(answer);
        self.components
            .retain(|(din, _)| self.config_facts.powerwall3_units.iter().any(|unit| **unit == **din));
        Ok(())
    }

    /// The answer of the components query of the Powerwall 3 unit `din`.
    pub fn accept_components(&mut self, din: &str, answer: Bytes) -> Result<(), Unusable> {
        object(&answer)?;
        match self.components.iter_mut().find(|(unit, _)| **unit == *din) {
            Some((_, bytes)) => *bytes = answer,
            None => self.components.push((din.into(), answer)),
        }
        Ok(())
    }

    /// The firmware record. What it leaves out stays as it was.
    pub fn accept_system_info(&mut self, system: SystemInfo) {
        let known = &self.system;
        self.system = Arc::new(SystemInfo {
            din: system.din.or_else(|| known.din.clone()),
            version: system.version.or_else(|| known.version.clone()),
            git_hash: system.git_hash.or_else(|| known.git_hash.clone()),
        });
    }

    /// `/api/meters/aggregates` of the gateway's customer API: nothing but its lifetime energies is taken.
    pub fn accept_energies(&mut self, answer: &Bytes) -> Result<(), Unusable> {
        Arc::make_mut(&mut self.energies).accept(answer)
    }

    /// The newest status answer, as received.
    pub fn raw_status(&self) -> Option<&Bytes> {
        self.status.as_ref()
    }

    /// The newest full controller answer, as received.
    pub fn raw_controller(&self) -> Option<&Bytes> {
        self.controller.as_ref()
    }

    /// The newest components answer of each Powerwall 3 unit, as received, the leader's first.
    pub fn raw_components(&self) -> impl Iterator<Item = (&str, &Bytes)> {
        let units = self.config_facts.powerwall3_units.iter();
        units
            .filter_map(|unit| self.components.iter().find(|(din, _)| **din == **unit))
            .map(|(din, answer)| (&**din, answer))
    }

    /// The readings of this moment. Cheap, but for the seconds in which a solar meter is silent.
    pub fn readings(&self, adjustments: &Adjustments) -> Readings {
        let status = &self.status_facts;
        let config = &self.config_facts;
        let mut power = status.power;
        if status.solar_meter_silent
            && let Some(hold) = hold::of(&Site::of(self))
        {
            hold.apply(&mut power);
        }
        let power = adjustments.apply(power);
        let hours = || status.charge.remaining?.over(power.load.filter(|load| load.as_f64() > 0.0)?);
        Readings {
            power,
            charge: status.charge,
            grid: status.grid,
            reserve: config.reserve,
            mode: config.mode.clone(),
            time_remaining: hours(),
            site_name: config.site_name.clone(),
            timezone: config.timezone.clone(),
            firmware: self.system.version.clone(),
            din: self.din.as_deref().map(str::to_owned),
            powerwall3: config.known.then_some(()).and(config.powerwall3),
        }
    }

    /// Everything that clients ask for beyond the readings.
    pub fn documents(&self, adjustments: &Adjustments) -> Documents {
        let site = Site::of(self);
        let vitals = vitals::vitals(&site);
        let power = self.readings(adjustments).power;
        Documents {
            aggregates: aggregates::aggregates(&site, &power, &self.energies, adjustments.legacy_zeros),
            strings: lists::strings(&vitals),
            temps: lists::temps(&vitals),
            fans: lists::fans(&site),
            alerts: lists::alerts(&site, &vitals),
            system_status: blocks::system_status(&site, &vitals),
            grid_status: site_documents::grid_status(&site),
            status: site_documents::status(&site),
            site_info: site_documents::site_info(&site),
            operation: site_documents::operation(&site),
            grid_charging: site_documents::grid_charging(&site),
            grid_export: site_documents::grid_export(&site),
            config: site.config,
            vitals,
            numbering: Arc::default(),
        }
    }
}

#[cfg(test)]
mod tests;
