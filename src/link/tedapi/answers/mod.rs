//! What the gateway's own protocol (TEDAPI) reports, and the customer documents derived from it.
//!
//! [`TedapiAnswers`] keeps answers as received, because most gateways are never asked for more than their
//! readings, and raw bytes are a tenth of the size of a parsed tree. The readings are taken when an answer
//! arrives; the documents are derived when somebody asks.

mod aggregates;
mod blocks;
mod energies;
mod facts;
mod hold;
mod lists;
mod meters;
mod parsed;
mod powerwall2;
mod powerwall3;
mod signals;
mod site_documents;
mod uptime;
mod vitals_document;

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value};

use crate::link::bounds::{self, CONFIG, CONTROLLER};
use crate::link::json::{Look, object, serial_of};
use crate::link::vitals::{self, Devices};
use crate::model::{
    Adjustments, Answers, BackupEvents, Documents, Interpretation, Meter, Meters, Number, NumberingMemory,
    Part, Readings,
};
use energies::Energies;
use facts::{ConfigFacts, StatusFacts};
use parsed::Parsed;
use uptime::Boot;

pub use crate::link::json::Unusable;

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
pub struct TedapiAnswers {
    /// `host[:port]` as configured, for the VITALS block.
    host: Arc<str>,
    /// DIN of the gateway or leader, from the gateway itself.
    din: Option<Arc<str>>,
    /// `config.json`.
    config: Option<Bytes>,
    /// Whether it was read and made no sense, so that nobody waits for it.
    config_is_unreadable: bool,
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
    /// Lifetime counters, which only the customer API reports.
    energies: Arc<Energies>,
    /// When the battery is kept full for an outage.
    backup_events: Option<Arc<BackupEvents>>,
}

impl TedapiAnswers {
    pub fn new(host: &str) -> Self {
        Self { host: host.into(), ..Self::default() }
    }

    /// Takes over the DIN that the gateway reports. Whether another gateway stood here before: nothing that
    /// it answered is kept.
    pub fn set_din(&mut self, din: &str) -> bool {
        if self.din.as_deref() == Some(din) {
            return false;
        }
        let is_other = self.din.is_some();
        if is_other {
            *self = Self { host: self.host.clone(), ..Self::default() };
        }
        self.din = Some(din.into());
        is_other
    }

    /// Whether an answer names another gateway than the one that was asked, by its serial.
    pub fn contradict_din(&self) -> bool {
        let named = [self.config_facts.vin.as_deref(), self.system.din.as_deref()];
        let din = self.din.as_deref().map(serial_of);
        din.is_some_and(|din| named.into_iter().flatten().any(|named| serial_of(named) != din))
    }

    /// DIN of the gateway; once known it stays known.
    pub fn din(&self) -> Option<&Arc<str>> {
        self.din.as_ref()
    }

    /// DINs of the Powerwall 3 units that the configuration lists, leader included. Empty: none, or not known
    /// yet.
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
    ///
    /// # Errors
    /// It is not a JSON object, or exceeds the bounds.
    pub fn accept_status(&mut self, answer: Bytes) -> Result<(), Unusable> {
        self.status_facts = Arc::new(StatusFacts::of(&object(&answer, &CONTROLLER)?));
        self.status = Some(answer);
        Ok(())
    }

    /// The answer of the full controller query, which is a status as well.
    ///
    /// # Errors
    /// It is not a JSON object, or exceeds the bounds.
    pub fn accept_controller(&mut self, answer: Bytes) -> Result<(), Unusable> {
        let controller = object(&answer, &CONTROLLER)?;
        self.status_facts = Arc::new(StatusFacts::of(&controller));
        self.boot = uptime::latch(self.boot.take(), &controller);
        self.status = Some(answer.clone());
        self.controller = Some(answer);
        Ok(())
    }

    /// `config.json`.
    ///
    /// # Errors
    /// It is not a JSON object, or exceeds the bounds.
    pub fn accept_config(&mut self, answer: Bytes) -> Result<(), Unusable> {
        let facts = ConfigFacts::of(&object(&answer, &CONFIG)?);
        facts.check()?;
        self.config_facts = Arc::new(facts);
        self.config = Some(answer);
        self.components
            .retain(|(din, _)| self.config_facts.powerwall3_units.iter().any(|unit| **unit == **din));
        Ok(())
    }

    /// The gateway answers the question for `config.json`, and not with one that can be read: what can be
    /// shown without it is shown from now on.
    pub fn do_without_config(&mut self) {
        self.config_is_unreadable = true;
    }

    /// The answer of the components query of the Powerwall 3 unit `din`.
    ///
    /// # Errors
    /// It is not a JSON object, or exceeds the bounds.
    pub fn accept_components(&mut self, din: &str, answer: Bytes) -> Result<(), Unusable> {
        object(&answer, &bounds::components(self.config_facts.powerwall3_units.len()))?;
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
    ///
    /// # Errors
    /// It has no usable meters, or exceeds the bounds.
    pub fn accept_energies(&mut self, answer: &Bytes) -> Result<(), Unusable> {
        Arc::make_mut(&mut self.energies).accept(answer)
    }

    /// What the gateway lists of backup events.
    pub fn set_backup_events(&mut self, events: BackupEvents) {
        self.backup_events = Some(Arc::new(events));
    }

    /// The newest components answer of the leader, with those of the other units beside it. A Powerwall 2 has
    /// none: its components are in the controller answer.
    fn raw_components(&self) -> Option<Bytes> {
        let units = self.config_facts.powerwall3_units.iter();
        let mut units = units.filter_map(|unit| self.components.iter().find(|(din, _)| **din == **unit));
        let (_, leader) = units.next()?;
        let followers: Map<_, _> = units
            .filter_map(|(din, answer)| Some((din.to_string(), serde_json::from_slice(answer).ok()?)))
            .collect();
        if followers.is_empty() {
            return Some(leader.clone());
        }
        let mut all: Map<String, Value> = serde_json::from_slice(leader).ok()?;
        all.insert("followers".into(), Value::Object(followers));
        serde_json::to_vec(&all).ok().map(Bytes::from)
    }
}

impl Answers for TedapiAnswers {
    fn size(&self) -> usize {
        let single = [&self.config, &self.status, &self.controller].into_iter().flatten();
        single.chain(self.components.iter().map(|(_, answer)| answer)).map(Bytes::len).sum()
    }

    /// The readings of this moment. Cheap, but for the seconds in which a solar meter is silent.
    fn readings(&self, adjustments: &Adjustments) -> Readings {
        let status = &self.status_facts;
        let config = &self.config_facts;
        let mut power = status.power;
        if status.solar_meter_silent
            && let Some(hold) = hold::of(&Parsed::of(self))
        {
            hold.apply(&mut power);
        }
        let power = adjustments.apply(power);
        Readings {
            power,
            charge: status.charge,
            grid: status.grid,
            contactor_closed: status.contactor_closed,
            nameplate: config.nameplate,
            reserve: config.reserve,
            mode: config.mode.clone(),
            grid_charging: config.grid_charging,
            grid_export: config.grid_export.clone(),
            // Tesla's cloud keeps these.
            storm_watch: None,
            vehicle_reserve: None,
            tariff: None,
            time_remaining: status.charge.hours_at(power.load),
            site_name: config.site_name.clone(),
            timezone: config.timezone.clone(),
            firmware: self.system.version.clone(),
            din: self.din.as_deref().map(str::to_owned),
            powerwall3: config.known.then_some(()).and(config.powerwall3),
            supplements: Vec::new(),
        }
    }

    fn interpret(
        &self,
        readings: &Arc<Readings>,
        adjustments: &Adjustments,
        numbers: &NumberingMemory,
    ) -> Interpretation {
        let parsed = Parsed::of(self);
        let vitals = vitals_document::vitals(&parsed);
        let aggregates = |zeros| aggregates::aggregates(&parsed, &readings.power, &self.energies, zeros);
        let truth = aggregates(false);
        let meters = vitals::meters(&truth).map(|meters| Meters { generator: generator(&parsed), ..meters });
        let alerts = lists::alerts(&parsed, &vitals);
        let documents = Documents {
            // What clients that cannot read null are shown is for them alone.
            aggregates: if adjustments.legacy_zeros { aggregates(true) } else { truth },
            strings: vitals::lists::strings(&vitals),
            temps: vitals::lists::temps(&vitals),
            fans: lists::fans(&parsed),
            system_status: blocks::system_status(&parsed, &vitals),
            grid_status: site_documents::grid_status(&parsed),
            status: site_documents::status(&parsed),
            site_info: site_documents::site_info(&parsed),
            operation: site_documents::operation(&parsed),
            vitals,
            ..Documents::default()
        };
        let configured = parsed::configured(&parsed.config);
        let beside = vitals::Beside { readings, meters, alerts, configured, power: unit_power };
        vitals::interpret(documents, beside, numbers)
    }

    fn backup_events(&self) -> Option<Arc<BackupEvents>> {
        self.backup_events.clone()
    }

    fn raw(&self, part: Part) -> Option<Bytes> {
        match part {
            Part::Config => self.config.clone(),
            Part::Status => self.status.clone(),
            Part::Controller => self.controller.clone(),
            Part::Components => self.raw_components().or_else(|| self.controller.clone()),
            Part::CloudStatus | Part::CloudInfo | Part::CloudBattery | Part::CloudTariff => None,
        }
    }
}

/// TEDAPI reports the power of an inverter in kilowatts.
fn unit_power(unit: &Devices<'_>) -> Option<Number> {
    let (_, inverter) = unit.inverter?;
    vitals::watts(inverter.at(&["PINV_Pout"]).number()?)
}

/// The meter of a generator, which reports its power alone.
fn generator(parsed: &Parsed<'_>) -> Option<Meter> {
    let meters = parsed.status.at(&["control", "meterAggregates"]).items().iter();
    let mut generators = meters.filter(|meter| meter.at(&["location"]).text() == Some("GENERATOR"));
    let power = generators.next()?.at(&["realPowerW"]).number();
    power.is_some().then(|| Meter { power, ..Meter::default() })
}

#[cfg(test)]
mod tests;
