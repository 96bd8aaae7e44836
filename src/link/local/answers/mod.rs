//! What the customer API of a gateway reports: answers as received, and what is derived from them.
//!
//! The documents that clients ask for are mostly these answers themselves. A Powerwall 3 over its wired LAN
//! ("Basic LAN") answers the first three endpoints only; everything else stays unknown there.

mod documents;
mod vitals;

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use crate::link::bounds::{self, Bounds, MOST_BATTERIES};
use crate::link::json::{self, Look, Unusable, list, object};
use crate::link::measured;
use crate::model::{
    Adjustments, Answers, Charge, GridStatus, Interpretation, Number, NumberingMemory, Power, RawPercent,
    Readings,
};

pub use vitals::wire;

/// What a gateway can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    Aggregates,
    GridStatus,
    StateOfEnergy,
    SystemStatus,
    Status,
    Operation,
    SiteInfo,
    SiteName,
    /// Devices with their measurements, as protobuf; gone with firmware 23.44.
    Vitals,
    /// Solar strings and alerts where there are no vitals.
    SolarPowerwall,
    /// How the gateway itself is connected.
    Networks,
}

impl Endpoint {
    pub const ALL: [Self; 11] = [
        Self::Aggregates,
        Self::GridStatus,
        Self::StateOfEnergy,
        Self::SystemStatus,
        Self::Status,
        Self::Operation,
        Self::SiteInfo,
        Self::SiteName,
        Self::Vitals,
        Self::SolarPowerwall,
        Self::Networks,
    ];

    pub fn path(self) -> &'static str {
        match self {
            Self::Aggregates => "/api/meters/aggregates",
            Self::GridStatus => "/api/system_status/grid_status",
            Self::StateOfEnergy => "/api/system_status/soe",
            Self::SystemStatus => "/api/system_status",
            Self::Status => "/api/status",
            Self::Operation => "/api/operation",
            Self::SiteInfo => "/api/site_info",
            Self::SiteName => "/api/site_info/site_name",
            Self::Vitals => "/api/devices/vitals",
            Self::SolarPowerwall => "/api/solar_powerwall",
            Self::Networks => "/api/networks",
        }
    }

    /// How large its answer may be.
    fn bounds(self) -> &'static Bounds {
        match self {
            Self::Aggregates => &bounds::METERS,
            Self::SystemStatus => &bounds::SYSTEM_STATUS,
            Self::SolarPowerwall => &bounds::SOLAR,
            _ => &bounds::SMALL,
        }
    }

    /// Whether a Powerwall 3 answers it over its wired LAN.
    pub fn is_basic(self) -> bool {
        matches!(self, Self::Aggregates | Self::GridStatus | Self::StateOfEnergy)
    }
}

/// What every poll needs of the answers, taken out once when they arrive.
#[derive(Clone, Debug, Default)]
struct Facts {
    power: Power,
    percent: Option<RawPercent>,
    charge: Charge,
    grid: Option<GridStatus>,
    reserve: Option<RawPercent>,
    mode: Option<String>,
    site_name: Option<String>,
    timezone: Option<String>,
    firmware: Option<String>,
    din: Option<String>,
    /// Serials of the batteries.
    units: Vec<String>,
    /// The lifetime energies of all meters.
    counters: [Option<f64>; 8],
}

impl Facts {
    /// Whether `newer`, learned from another answer, is hard to believe of the same gateway.
    fn doubt(&self, newer: &Self) -> Doubt {
        let are_all_gone = !self.units.is_empty()
            && !newer.units.is_empty()
            && self.units.iter().all(|serial| !newer.units.contains(serial));
        if are_all_gone {
            return Doubt::Strong;
        }
        let mut counters = self.counters.iter().zip(newer.counters);
        let fell = |(before, now): (f64, f64)| now < before - ROUNDING;
        match counters.any(|(before, now)| before.zip(now).is_some_and(fell)) {
            true => Doubt::Slight,
            false => Doubt::None,
        }
    }
}

/// Whether another gateway may be answering since the DIN was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Doubt {
    #[default]
    None,
    /// A lifetime energy fell, which may be a slip.
    Slight,
    /// None of its batteries is there any more.
    Strong,
}

/// Wh by which a counter may fall without meaning anything: gateways round.
const ROUNDING: f64 = 1.0;

/// The last good answer of each endpoint. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct CustomerAnswers {
    /// As received, by [`Endpoint`].
    answers: [Option<Bytes>; Endpoint::ALL.len()],
    facts: Arc<Facts>,
    /// Whether the gateway is a Powerwall 3 that answers three endpoints only.
    basic_lan: bool,
    /// Whether another gateway may be answering since the DIN was read.
    doubt: Doubt,
}

impl CustomerAnswers {
    /// Takes an answer over. Whether it is that of another gateway: then nothing of the former one is kept.
    ///
    /// # Errors
    /// If it is not what that endpoint answers; the one before it stays.
    pub fn accept(&mut self, endpoint: Endpoint, answer: Bytes) -> Result<bool, Unusable> {
        let value = match endpoint {
            Endpoint::Vitals => {
                vitals::decode(&answer)?;
                Value::Null
            }
            Endpoint::Networks => list(&answer, endpoint.bounds())?,
            _ => object(&answer, endpoint.bounds())?,
        };
        bounds::count(value.at(&["battery_blocks"]).items().len(), MOST_BATTERIES, "batteries")?;
        let is_other = endpoint == Endpoint::Status && self.is_other(&value);
        if is_other {
            *self = Self { basic_lan: self.basic_lan, ..Self::default() };
        }
        let before = self.facts.clone();
        self.learn(endpoint, &value);
        self.doubt = match endpoint {
            Endpoint::Status => Doubt::None,
            _ => self.doubt.max(before.doubt(&self.facts)),
        };
        self.answers[endpoint as usize] = Some(answer);
        Ok(is_other)
    }

    /// Whether a status is that of another gateway than the one before.
    fn is_other(&self, status: &Value) -> bool {
        let din = status.at(&["din"]).name();
        din.zip(self.facts.din.as_deref()).is_some_and(|(din, known)| din != known)
    }

    /// Whether the DIN should be read again.
    pub fn doubt(&self) -> Doubt {
        self.doubt
    }

    /// Drops an answer that is too old to be shown, or that the gateway no longer gives.
    pub fn forget(&mut self, endpoint: Endpoint) {
        if self.answers[endpoint as usize].take().is_some() {
            self.learn(endpoint, &Value::Null);
        }
    }

    fn learn(&mut self, endpoint: Endpoint, value: &Value) {
        let facts = Arc::make_mut(&mut self.facts);
        let percent = |key: &str| value.at(&[key]).number().map(|raw| RawPercent(raw.as_f64()));
        let text = |key: &str| value.at(&[key]).name().map(str::to_owned);
        match endpoint {
            Endpoint::Aggregates => {
                let watts = |meter: &str| {
                    let section = value.at(&[meter]);
                    section.at(&["instant_power"]).number().filter(|_| !measured::is_silent(section))
                };
                facts.power = Power {
                    site: watts("site"),
                    battery: watts("battery"),
                    load: watts("load"),
                    solar: watts("solar"),
                };
                let counters = ["site", "battery", "load", "solar"].into_iter().flat_map(|meter| {
                    ["energy_imported", "energy_exported"].map(|key| value.at(&[meter, key]))
                });
                for (known, counter) in facts.counters.iter_mut().zip(counters) {
                    *known = counter.number().map(Number::as_f64).or(*known);
                }
            }
            Endpoint::StateOfEnergy => facts.percent = percent("percentage"),
            Endpoint::GridStatus => {
                facts.grid = text("grid_status").as_deref().and_then(GridStatus::of_island_state);
            }
            Endpoint::SystemStatus => {
                facts.charge = Charge {
                    remaining: value.at(&["nominal_energy_remaining"]).number(),
                    full_pack: value.at(&["nominal_full_pack_energy"]).number(),
                    reported: None,
                };
                let blocks = value.at(&["battery_blocks"]).items().iter();
                let serials = blocks.filter_map(|block| block.at(&["PackageSerialNumber"]).name());
                facts.units = serials.map(str::to_owned).collect();
            }
            Endpoint::Status => (facts.firmware, facts.din) = (text("version"), text("din")),
            Endpoint::Operation => {
                let mode = text("real_mode").or_else(|| text("mode"));
                (facts.mode, facts.reserve) = (mode, percent("backup_reserve_percent"));
            }
            Endpoint::SiteInfo | Endpoint::SiteName => {
                facts.site_name = text("site_name").or(facts.site_name.take());
                facts.timezone = text("timezone").or(facts.timezone.take());
            }
            Endpoint::Vitals | Endpoint::SolarPowerwall | Endpoint::Networks => {}
        }
    }

    pub fn has(&self, endpoint: Endpoint) -> bool {
        self.answers[endpoint as usize].is_some()
    }

    pub fn set_basic_lan(&mut self, basic_lan: bool) {
        self.basic_lan = basic_lan;
    }

    /// Firmware as major and minor number; `None` while unknown.
    pub fn firmware(&self) -> Option<(u32, u32)> {
        let mut parts = self.facts.firmware.as_deref()?.split(['.', ' ', '-']);
        Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
    }

    /// An answer, parsed; null where there is none.
    fn parsed(&self, endpoint: Endpoint) -> Value {
        let answer = self.answers[endpoint as usize].as_ref();
        answer.and_then(|answer| json::parse(answer).ok()).unwrap_or_default()
    }
}

impl Answers for CustomerAnswers {
    fn size(&self) -> usize {
        self.answers.iter().flatten().map(Bytes::len).sum()
    }

    fn readings(&self, adjustments: &Adjustments) -> Readings {
        let facts = &self.facts;
        let power = adjustments.apply(facts.power);
        let charge = Charge { reported: facts.percent, ..facts.charge };
        Readings {
            power,
            charge,
            grid: facts.grid,
            // Nor of the contactor, nor what the batteries can do.
            contactor_closed: None,
            nameplate: None,
            reserve: facts.reserve,
            mode: facts.mode.clone(),
            // The customer API does not say.
            grid_charging: None,
            grid_export: None,
            storm_watch: None,
            vehicle_reserve: None,
            tariff: None,
            time_remaining: charge.hours_at(power.load),
            site_name: facts.site_name.clone(),
            timezone: facts.timezone.clone(),
            firmware: facts.firmware.clone(),
            din: facts.din.clone(),
            // Only this hardware answers so little.
            powerwall3: match &facts.din {
                Some(din) => Some(din.starts_with("1707000")),
                None => self.basic_lan.then_some(true),
            },
            supplements: Vec::new(),
        }
    }

    fn interpret(
        &self,
        readings: &Arc<Readings>,
        _: &Adjustments,
        numbers: &NumberingMemory,
    ) -> Interpretation {
        documents::interpret(self, readings, numbers)
    }

    fn is_basic_lan(&self) -> bool {
        self.basic_lan
    }
}

#[cfg(test)]
mod tests;
