//! What one poll brought home: typed readings for sums and screens, and the documents that clients ask for.
//!
//! Every reading is optional. Unknown is `None`, never 0.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;

use tokio::time::Instant;

use super::shelf::{Shelf, Slot};
use super::tariff::Tariff;
use super::{Answers, AppPercent, Interpretation, LinkKind, Number, NumberingMemory, RawPercent, Site};

/// Watts at the four meters. Site: + import. Battery: + discharge. Load: + consumption. Solar: + production.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Power {
    pub site: Option<Number>,
    pub battery: Option<Number>,
    pub load: Option<Number>,
    pub solar: Option<Number>,
}

/// Energy in the batteries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Charge {
    /// Wh
    pub remaining: Option<Number>,
    /// Wh
    pub full_pack: Option<Number>,
    /// State of energy, raw scale, if the gateway itself reports it.
    pub reported: Option<RawPercent>,
}

impl Charge {
    /// State of energy, raw scale: as reported, else worked out. Unknown without a capacity and with a
    /// negative energy, which no battery has; an empty battery is 0, not unknown.
    pub fn state_of_energy(&self) -> Option<RawPercent> {
        if self.reported.is_some() {
            return self.reported;
        }
        let full = self.full_pack.filter(|full| full.as_f64() > 0.0)?.as_f64();
        let remaining = self.remaining.filter(|remaining| remaining.as_f64() >= 0.0)?.as_f64();
        let percent = remaining / full * 100.0;
        percent.is_finite().then_some(RawPercent(percent))
    }

    /// Hours until empty with a load of so many watts. Unknown without a battery: a capacity of 0 is none.
    pub fn hours_at(&self, load: Option<Number>) -> Option<Number> {
        let is_above_zero = |number: &Number| number.as_f64() > 0.0;
        self.full_pack.filter(is_above_zero)?;
        let remaining = self.remaining.filter(|remaining| remaining.as_f64() >= 0.0)?;
        remaining.over(load.filter(is_above_zero)?)
    }
}

/// Whether the home is connected to the grid. Ordered from best to worst, so that `max` is the worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum GridStatus {
    Up,
    Syncing,
    Down,
}

impl GridStatus {
    /// In the words of the customer API.
    pub fn island_state(self) -> &'static str {
        match self {
            Self::Up => "SystemGridConnected",
            Self::Syncing => "SystemTransitionToGrid",
            Self::Down => "SystemIslandedActive",
        }
    }

    /// What a state in the words of the customer API means for the home; states nobody has described mean
    /// nothing.
    pub fn of_island_state(state: &str) -> Option<Self> {
        match state {
            "SystemGridConnected" => Some(Self::Up),
            "SystemIslandedActive" | "SystemMicroGridFaulted" | "SystemWaitForUser" => Some(Self::Down),
            "SystemTransitionToGrid" | "SystemTransitionToIsland" | "SystemIslandedReady" => {
                Some(Self::Syncing)
            }
            _ => None,
        }
    }
}

/// The typed readings of one poll.
#[derive(Clone, Debug, Default)]
pub struct Readings {
    pub power: Power,
    pub charge: Charge,
    /// `None` when the gateway does not say.
    pub grid: Option<GridStatus>,
    /// Whether the contactor between grid and home is closed, by the contactor itself.
    pub contactor_closed: Option<bool>,
    /// W that the batteries can give or take together, as configured.
    pub nameplate: Option<f64>,
    /// Backup reserve, raw scale as stored in the gateway.
    pub reserve: Option<RawPercent>,
    /// `self_consumption`, `autonomous` or `backup`.
    pub mode: Option<String>,
    /// Whether charging from the grid is allowed.
    pub grid_charging: Option<bool>,
    /// What may flow into the grid: `battery_ok`, `pv_only` or `never`.
    pub grid_export: Option<String>,
    /// Whether the battery is filled when a storm is expected; only Tesla's cloud knows.
    pub storm_watch: Option<bool>,
    /// Below this, cars get nothing during an outage; only Tesla's cloud knows.
    pub vehicle_reserve: Option<AppPercent>,
    /// What energy costs, as Tesla's cloud has it.
    pub tariff: Option<Arc<Tariff>>,
    /// Hours until empty at the present load, by the gateway's own reckoning.
    pub time_remaining: Option<Number>,
    pub site_name: Option<String>,
    /// IANA name of the site's zone.
    pub timezone: Option<String>,
    /// Firmware as the gateway prints it, for example `25.10.1 3f7cb6de`.
    pub firmware: Option<String>,
    /// DIN of the gateway or leader.
    pub din: Option<String>,
    /// Whether this is Powerwall 3 hardware; `None` while unknown.
    pub powerwall3: Option<bool>,
    /// Which of these did not come from the link in use.
    pub supplements: Vec<Supplement>,
}

/// A reading that the link in use cannot know and another one knew.
#[derive(Clone, Debug, PartialEq)]
pub struct Supplement {
    /// Name of the field of [`Readings`].
    pub field: &'static str,
    pub link: LinkKind,
    /// When that link read it.
    pub taken: Instant,
}

/// What the operator wants changed in readings before anyone sees them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adjustments {
    /// `PW_NEG_SOLAR`: `false` turns negative solar into load.
    pub keep_negative_solar: bool,
    /// `PW_SITE_ZERO_THRESHOLD`, watts: site power of at most this size counts as 0; 0 switches it off.
    pub site_zero_threshold: f64,
    /// `PW_LEGACY_ZEROS`: `true` shows 0 instead of unknown in the small bodies that scripts read.
    pub legacy_zeros: bool,
}

impl Default for Adjustments {
    fn default() -> Self {
        Self { keep_negative_solar: true, site_zero_threshold: 0.0, legacy_zeros: false }
    }
}

impl Adjustments {
    /// The powers as the operator wants them seen. Unknown values stay unknown.
    pub fn apply(&self, mut power: Power) -> Power {
        if let Some(solar) = power.solar
            && !self.keep_negative_solar
            && solar.as_f64() < 0.0
        {
            power.load = power.load.and_then(|load| load.minus(solar));
            power.solar = Some(Number::Int(0));
        }
        if self.site_zero_threshold > 0.0
            && power.site.is_some_and(|site| site.as_f64().abs() <= self.site_zero_threshold)
        {
            power.site = Some(Number::Int(0));
        }
        power
    }
}

/// The documents of the customer API, as the reference library shapes them: key order and number types are
/// theirs. `Value::Null` means the gateway did not say.
#[derive(Clone, Debug, Default)]
pub struct Documents {
    /// `/api/meters/aggregates`
    pub aggregates: Value,
    /// Devices keyed by `TYPE--part--serial`.
    pub vitals: Value,
    /// Solar strings keyed by letter and inverter suffix.
    pub strings: Value,
    /// Temperatures keyed by vitals key, °C.
    pub temps: Value,
    /// Fans keyed by vitals key.
    pub fans: Value,
    /// `/api/system_status`
    pub system_status: Value,
    /// `/api/system_status/grid_status`
    pub grid_status: Value,
    /// `/api/status`
    pub status: Value,
    /// `/api/site_info`
    pub site_info: Value,
    /// `/api/operation`, reserve on the raw scale.
    pub operation: Value,
    /// `/api/networks`: how the gateway is connected.
    pub networks: Value,
}

/// How many bodies can be rendered from one telemetry.
pub(crate) const BODIES: usize = 48;

/// Bodies rendered from one telemetry, each at most once while they are kept.
struct Bodies([OnceLock<Bytes>; BODIES]);

impl Default for Bodies {
    fn default() -> Self {
        Self([const { OnceLock::new() }; BODIES])
    }
}

/// What answers mean, in parts that are kept for as long as each is needed.
struct Derived {
    site: Arc<Site>,
    documents: Arc<Documents>,
}

/// Documents take some hundred kilobytes: they are kept for as many gateways as a house may have, and derived
/// again for a fleet.
static DERIVED: Shelf<OnceLock<Derived>> = Shelf::new(16);
/// Bodies are a tenth of that.
static RENDERED: Shelf<Bodies> = Shelf::new(64);

/// One good poll of one gateway; immutable, shared by everybody who shows it.
#[derive(Debug)]
pub struct Telemetry {
    /// What every poll renews.
    pub readings: Arc<Readings>,
    /// What the operator wants changed in everything that is shown.
    adjustments: Adjustments,
    /// What the link brought home.
    answers: Arc<dyn Answers>,
    /// Where numbers come from that must outlive this poll.
    memory: Arc<NumberingMemory>,
    /// Derived on first use: most gateways are never asked for more than their readings.
    derived: Slot<OnceLock<Derived>>,
    /// Taken from there by the first who asks, because outputs ask for the sites of a whole fleet part by
    /// part.
    site: OnceLock<Arc<Site>>,
    /// What was rendered; most telemetries are never asked for anything.
    bodies: Slot<Bodies>,
}

impl Telemetry {
    /// Telemetry with numbers of its own: for one that stands alone.
    pub fn new(answers: Arc<dyn Answers>, adjustments: Adjustments) -> Arc<Self> {
        Self::remembering(answers, adjustments, Arc::default())
    }

    /// Telemetry that takes its numbers from `memory`, and adds to it what has none yet.
    pub fn remembering(
        answers: Arc<dyn Answers>,
        adjustments: Adjustments,
        memory: Arc<NumberingMemory>,
    ) -> Arc<Self> {
        Arc::new(Self {
            readings: Arc::new(answers.readings(&adjustments)),
            adjustments,
            answers,
            memory,
            derived: DERIVED.slot(),
            site: OnceLock::new(),
            bodies: RENDERED.slot(),
        })
    }

    fn derived<T>(&self, part: impl FnOnce(&Derived) -> T) -> T {
        let derive = || {
            let Interpretation { site, documents } =
                self.answers.interpret(&self.readings, &self.adjustments, &self.memory);
            Derived { site: Arc::new(site), documents: Arc::new(documents) }
        };
        part(self.derived.content().get_or_init(derive))
    }

    /// The site, with everything that is known of it.
    pub fn site(&self) -> &Site {
        self.site.get_or_init(|| self.derived(|derived| derived.site.clone()))
    }

    /// What `take` finds in the site, which is kept only where making it again would cost much.
    pub fn peek<T>(&self, take: impl FnOnce(&Site) -> T) -> T {
        match self.site.get() {
            Some(site) => take(site),
            None => match self.answers.site(&self.readings, &self.memory) {
                Some(site) => take(&site),
                None => take(self.site()),
            },
        }
    }

    /// What `take` finds in the site. For a short look: where nobody has asked for the site, all of it is
    /// dropped again.
    pub fn look<T>(&self, take: impl FnOnce(&Site) -> T) -> T {
        if let Some(site) = self.site.get() {
            return take(site);
        }
        take(&self.answers.interpret(&self.readings, &self.adjustments, &self.memory).site)
    }

    /// Names of everything that is active, sorted, each once; `None`: nobody knows. As [`Telemetry::look`].
    pub fn alerts(&self) -> Option<Vec<String>> {
        self.look(|site| site.alerts.clone())
    }

    /// The documents of the customer API, kept for a while by this telemetry and for as long as the caller
    /// needs them.
    pub fn documents(&self) -> Arc<Documents> {
        self.derived(|derived| derived.documents.clone())
    }

    /// Whether it is what would be made of `answers`: of the very same ones, not of equal ones.
    pub fn is_of(&self, answers: &Arc<dyn Answers>, adjustments: &Adjustments) -> bool {
        Arc::ptr_eq(&self.answers, answers) && self.adjustments == *adjustments
    }

    /// What the link brought home.
    pub fn answers(&self) -> &Arc<dyn Answers> {
        &self.answers
    }

    /// The body in `slot`, rendered on first use.
    pub(crate) fn body(&self, slot: usize, render: impl FnOnce() -> Bytes) -> Bytes {
        self.bodies.content().0[slot].get_or_init(render).clone()
    }

    pub fn adjustments(&self) -> &Adjustments {
        &self.adjustments
    }

    /// Whether the poll brought anything that counts as being online: at least one meter has a value.
    pub fn is_meaningful(&self) -> bool {
        let power = &self.readings.power;
        [power.site, power.battery, power.load, power.solar].iter().any(Option::is_some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_watts() -> impl Strategy<Value = Option<Number>> {
        proptest::option::of((-20_000..20_000_i64).prop_map(Number::Int))
    }

    proptest! {
        #[test]
        fn adjustments_keep_the_balance_and_invent_nothing(
            site in any_watts(), battery in any_watts(), load in any_watts(), solar in any_watts(),
            keep_negative_solar: bool, threshold in 0..500_u16,
        ) {
            let seen = Power { site, battery, load, solar };
            let site_zero_threshold = f64::from(threshold);
            let adjustments = Adjustments { keep_negative_solar, site_zero_threshold, legacy_zeros: false };
            let shown = adjustments.apply(seen);
            let is_known = |power: Power| {
                [power.site, power.battery, power.load, power.solar].map(|watts| watts.is_some())
            };
            prop_assert_eq!(is_known(seen), is_known(shown));
            prop_assert_eq!(seen.battery, shown.battery);
            if let (Some(load), Some(solar)) = (seen.load, seen.solar) {
                // What solar takes from the house is shown as load instead; the difference stays.
                prop_assert_eq!(shown.load.unwrap().minus(shown.solar.unwrap()), load.minus(solar));
                prop_assert!(keep_negative_solar || shown.solar.unwrap().as_f64() >= 0.0);
            }
            if let (Some(seen), Some(shown)) = (seen.site, shown.site) {
                prop_assert!(shown == seen || shown.is_zero() && seen.as_f64().abs() <= site_zero_threshold);
                prop_assert!(threshold == 0 || shown.is_zero() || shown.as_f64().abs() > site_zero_threshold);
            }
        }
    }
}
