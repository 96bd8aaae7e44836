//! One site of a fleet: what it is, what it reports, and what is the matter with it.

use std::cmp::Ordering;
use std::fmt::Write;
use std::sync::{Arc, Weak};

use super::batteries::Batteries;
use super::version::Version;
use crate::model::{
    AppPercent, Began, Freshness, GatewayFacts, GatewayKind, GridStatus, LinkKind, Number, RawPercent, Site,
    Snapshot, Telemetry,
};
use crate::views::status::Moment;

/// App percent; less is low.
pub const LOW: f64 = 20.0;
/// A charge that is below the reserve by more than this is low as well, app percent.
const BELOW_RESERVE: f64 = 1.0;

/// Alerts that only say what the system does, or did. `static/panels/sentences.js` has what all of them mean.
pub(super) const HARMLESS: [&str; 17] = [
    "FWUpdateSucceeded",
    "GridCodesWrite",
    "HighCPU",
    "PVS_a060_MciClose",
    "PodCommissionTime",
    "RealPowerAvailableLimited",
    "RealPowerConfigLimited",
    "ScheduledIslandContactorOpen",
    "SelfTest",
    "SiteMaxPowerLimited",
    "SiteMinPowerLimited",
    "SolarChargeOnlyLimited",
    "SystemConnectedToGrid",
    "SystemIslandedActive",
    "SystemIslandedReady",
    "WaitForGridToSync",
    "WaitForUser",
];

/// Whether an alert is no reason to look at a site.
pub fn is_harmless(alert: &str) -> bool {
    HARMLESS.contains(&alert)
}

/// What can be the matter with a site, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TroubleKind {
    /// There is nothing that may be shown.
    Offline,
    /// The home is cut off from the grid.
    Outage,
    /// Something says that it is not well.
    Alert,
    LowCharge,
    OldFirmware,
}

impl TroubleKind {
    pub const ALL: [Self; 5] = [Self::Offline, Self::Outage, Self::Alert, Self::LowCharge, Self::OldFirmware];

    pub fn word(self) -> &'static str {
        match self {
            Self::Offline => "offline",
            Self::Outage => "outage",
            Self::Alert => "alert",
            Self::LowCharge => "low_charge",
            Self::OldFirmware => "old_firmware",
        }
    }
}

/// One thing that is the matter.
#[derive(Clone, Debug, PartialEq)]
pub struct Trouble {
    pub kind: TroubleKind,
    /// Unix seconds; `None`: nobody knows.
    pub since: Option<f64>,
    /// For a person.
    pub words: String,
}

impl Trouble {
    fn old_firmware(firmware: &str) -> Self {
        Self { kind: TroubleKind::OldFirmware, since: None, words: format!("Firmware {firmware}") }
    }
}

/// Who does not say anything, of a gateway that another instance reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silent {
    Site,
    Gateway,
    Broker,
}

impl Silent {
    pub fn word(self) -> &'static str {
        match self {
            Self::Site => "site",
            Self::Gateway => "gateway",
            Self::Broker => "broker",
        }
    }
}

/// What a row is made of.
#[derive(Clone, Copy)]
pub struct Seen<'a> {
    pub snapshot: &'a Snapshot,
    pub began: Began,
}

impl<'a> From<&'a Snapshot> for Seen<'a> {
    /// Of what nobody has watched.
    fn from(snapshot: &'a Snapshot) -> Self {
        Self { snapshot, began: Began::default() }
    }
}

/// One site. What changes by the second is absent unless it may be shown; what a site is (firmware, capacity,
/// batteries) is as it was known last.
#[derive(Clone, Debug)]
pub struct Row {
    pub facts: Arc<GatewayFacts>,
    pub site_name: Option<String>,
    /// The worst first.
    pub troubles: Vec<Trouble>,
    pub freshness: Freshness,
    /// When the last reading was taken, Unix seconds.
    pub taken_at: Option<f64>,
    pub link: Option<LinkKind>,
    pub silent: Option<Silent>,
    /// App percent.
    pub charge: Option<f64>,
    /// App percent.
    pub reserve: Option<f64>,
    pub mode: Option<String>,
    pub grid: Option<GridStatus>,
    /// W
    pub solar: Option<f64>,
    /// W
    pub home: Option<f64>,
    /// W, + discharging.
    pub battery: Option<f64>,
    /// W, + import.
    pub grid_power: Option<f64>,
    /// Wh
    pub stored: Option<f64>,
    /// Wh
    pub capacity: Option<f64>,
    /// `None` while unknown.
    pub batteries: Option<Batteries>,
    pub firmware: Option<String>,
    pub din: Option<String>,
    pub powerwall3: Option<bool>,
    pub alerts: Arc<[String]>,
    /// Of the snapshot that it was made of.
    sequence: u64,
    began: Began,
    /// What alerts and batteries were taken from: the same is not looked at twice.
    source: Weak<Telemetry>,
    /// What is searched, in small letters.
    pub(super) text: String,
    /// What names are sorted by.
    pub(super) key: String,
    /// What firmware is compared by; `None`: it is no number.
    pub(super) version: Option<Version>,
}

impl Row {
    /// `before`: the row of the moment before, if there was one.
    pub fn of<'a>(seen: impl Into<Seen<'a>>, at: Moment, before: Option<&Self>) -> Self {
        let seen = seen.into();
        let Seen { snapshot, began } = seen;
        let facts = snapshot.gateway.clone();
        let freshness = snapshot.freshness(at.now);
        let last = snapshot.reading.as_ref();
        let known = last.map(|reading| &reading.telemetry);
        let shown = known.filter(|_| freshness.has_data());
        let readings = shown.map(|telemetry| &*telemetry.readings);
        let watts = |pick: fn(&crate::model::Power) -> Option<Number>| {
            readings.and_then(|readings| pick(&readings.power)).map(Number::as_f64)
        };
        let charge = readings.and_then(|readings| readings.charge.state_of_energy());
        let about = known.map(|telemetry| &*telemetry.readings);
        let text = |pick: fn(&crate::model::Readings) -> &Option<String>| {
            about.and_then(|readings| pick(readings).clone())
        };
        let source = known.map(Arc::downgrade).unwrap_or_default();
        let (alerts, batteries) = match before.filter(|before| before.is_of(&source, freshness)) {
            Some(before) => (before.alerts.clone(), before.batteries),
            None => known.map(|telemetry| telemetry.peek(alerts_and_batteries)).unwrap_or_default(),
        };
        let firmware = text(|readings| &readings.firmware);
        let mut row = Self {
            site_name: text(|readings| &readings.site_name),
            troubles: Vec::new(),
            freshness,
            taken_at: last.map(|reading| reading.taken_at),
            link: snapshot.link_in_use().or(facts.links.first().copied()),
            silent: silent(snapshot),
            charge: charge.map(|percent| percent.to_app_clamped().0),
            reserve: readings
                .and_then(|readings| readings.reserve)
                .map(RawPercent::to_app_reserve)
                .map(|AppPercent(percent)| percent),
            mode: readings.and_then(|readings| readings.mode.clone()),
            grid: readings.and_then(|readings| readings.grid),
            solar: watts(|power| power.solar),
            home: watts(|power| power.load),
            battery: watts(|power| power.battery),
            grid_power: watts(|power| power.site),
            stored: readings.and_then(|readings| readings.charge.remaining).map(Number::as_f64),
            capacity: about
                .and_then(|readings| readings.charge.full_pack)
                .map(Number::as_f64)
                .filter(|capacity| *capacity > 0.0),
            batteries,
            version: firmware.as_deref().and_then(Version::of),
            firmware,
            din: text(|readings| &readings.din),
            powerwall3: about.and_then(|readings| readings.powerwall3),
            alerts: if freshness.has_data() { alerts } else { Arc::default() },
            sequence: snapshot.sequence,
            began,
            source,
            text: String::new(),
            key: facts.name.to_lowercase(),
            facts,
        };
        row.text = row.searched();
        row.troubles = row.troubles(seen, at);
        row.keep_since(before);
        row
    }

    /// Whether it would be the same if it were made of `seen` at `at`.
    pub(super) fn is_still(&self, Seen { snapshot, began }: Seen<'_>, at: Moment) -> bool {
        Arc::ptr_eq(&self.facts, &snapshot.gateway)
            && self.sequence == snapshot.sequence
            && self.began == began
            && self.freshness == snapshot.freshness(at.now)
    }

    /// Two clocks never agree to the microsecond: what has not changed is not said anew.
    fn keep_since(&mut self, before: Option<&Self>) {
        for trouble in &mut self.troubles {
            let same = before.and_then(|before| before.troubles.iter().find(|one| one.kind == trouble.kind));
            let both = trouble.since.zip(same.and_then(|same| same.since));
            if let Some((_, before)) = both.filter(|(now, before)| (now - before).abs() < 1.0) {
                trouble.since = Some(before);
            }
        }
    }

    /// Whether its firmware is old beside `newest`.
    pub(super) fn is_old(&self, newest: &Version) -> bool {
        self.version.as_ref().is_some_and(|version| version < newest)
    }

    pub(super) fn mark_old(&mut self, is_old: bool) {
        self.troubles.retain(|trouble| trouble.kind != TroubleKind::OldFirmware);
        if is_old {
            // The least of all troubles stands at the end.
            self.troubles.push(Trouble::old_firmware(self.firmware.as_deref().unwrap_or_default()));
        }
    }

    /// Whether its alerts and batteries are those of `source`.
    fn is_of(&self, source: &Weak<Telemetry>, freshness: Freshness) -> bool {
        self.source.ptr_eq(source) && self.freshness.has_data() == freshness.has_data()
    }

    /// Everything that it may be searched by, each in a line of its own.
    fn searched(&self) -> String {
        let (facts, labels) = (&self.facts, &self.facts.labels);
        let place = facts.place.as_ref().map(|place| place.site.as_str());
        let others = [&labels.group, &self.site_name, &self.firmware, &self.din];
        let all = [facts.id.as_str(), facts.name.as_str()].into_iter().chain(place);
        let all = all.chain(others.into_iter().filter_map(|text| text.as_deref()));
        let mut text = String::new();
        for part in all.chain(labels.tags.iter().map(String::as_str)) {
            let _ = writeln!(text, "{}", part.to_lowercase());
        }
        text
    }

    fn troubles(&self, Seen { snapshot, began }: Seen<'_>, at: Moment) -> Vec<Trouble> {
        let mut troubles = Vec::new();
        let mut add = |kind, since, words| troubles.push(Trouble { kind, since, words });
        let health = &snapshot.health;
        // Before the first poll ended, nothing is known to be wrong.
        if !self.freshness.has_data() && health.polls > 0 {
            let failing = health.failing_since.map(|since| at.unix_of(since));
            let words = match &health.last_error {
                Some(error) => sentence(&error.message),
                None => "There is no new reading".to_owned(),
            };
            add(TroubleKind::Offline, failing.or(self.taken_at), words);
        }
        if self.grid == Some(GridStatus::Down) {
            add(TroubleKind::Outage, began.cut_off, "The home is cut off from the grid".to_owned());
        }
        let serious = |name: &&String| !is_harmless(name);
        let mut alerts = self.alerts.iter().filter(serious).map(String::as_str);
        if let Some(first) = alerts.next() {
            let words = match alerts.count() {
                0 => first.to_owned(),
                more => format!("{first} and {more} more"),
            };
            add(TroubleKind::Alert, began.alert, words);
        }
        if let Some(charge) = self.charge.filter(|_| self.facts.kind == GatewayKind::Powerwall) {
            let is_below = self.reserve.is_some_and(|reserve| charge < reserve - BELOW_RESERVE);
            if charge < LOW || is_below {
                let words = match self.reserve.filter(|_| is_below) {
                    Some(reserve) => format!("{charge:.0} % of charge, below the reserve of {reserve:.0} %"),
                    None => format!("{charge:.0} % of charge"),
                };
                add(TroubleKind::LowCharge, None, words);
            }
        }
        troubles
    }

    pub fn has(&self, kind: TroubleKind) -> bool {
        self.troubles.iter().any(|trouble| trouble.kind == kind)
    }

    /// Since when the worst of its troubles is there, Unix seconds.
    pub fn since(&self) -> Option<f64> {
        self.troubles.first()?.since
    }

    /// `Less`: this one is worse.
    pub(super) fn worst_first(&self, other: &Self) -> Ordering {
        match (self.troubles.is_empty(), other.troubles.is_empty()) {
            (false, false) => {
                let (one, another) = (&self.troubles, &other.troubles);
                let worst = one[0].kind.cmp(&another[0].kind);
                let since = |row: &Self| row.since().unwrap_or(f64::INFINITY);
                worst
                    .then_with(|| another.len().cmp(&one.len()))
                    .then_with(|| kinds(one).cmp(kinds(another)))
                    .then_with(|| since(self).total_cmp(&since(other)))
            }
            (is_well, is_other_well) => is_well.cmp(&is_other_well),
        }
    }
}

/// Errors begin small, because they stand behind the name of a gateway in the log.
fn sentence(error: &str) -> String {
    let mut letters = error.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

fn kinds(troubles: &[Trouble]) -> impl Iterator<Item = TroubleKind> {
    troubles.iter().map(|trouble| trouble.kind)
}

fn alerts_and_batteries(site: &Site) -> (Arc<[String]>, Option<Batteries>) {
    let alerts = site.alerts.as_deref().unwrap_or_default();
    (alerts.into(), site.units.as_deref().map(Batteries::of))
}

/// By the kinds of [`crate::link::broker::error::BrokerError`].
fn silent(snapshot: &Snapshot) -> Option<Silent> {
    snapshot.gateway.place.as_ref()?;
    match snapshot.health.last_error.as_ref()?.kind {
        "broker_away" => Some(Silent::Broker),
        "site_silent" | "site_stopped" | "never_reported" => Some(Silent::Site),
        "at_site" => Some(Silent::Gateway),
        _ => None,
    }
}
