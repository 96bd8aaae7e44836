//! What a site reports of one of its gateways over the broker: a snapshot as JSON, version 1
//! (`docs/fleet.md`). How it gets there is left to others.
//!
//! What is unknown is left out and never 0. Watts, watt-hours, volts, amperes, hertz, °C; percents on the raw
//! scale.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::Instant;

use crate::link::bounds::Bounds;
use crate::link::json::{self, Unusable};
use crate::model::{
    Capability, Charge, CounterSource, Freshness, GatewayKind, GridStatus, Meter, Number, Obstacle,
    OrderKind, Side, Site, Snapshot, SolarString, Unit, UnitKind,
};
use crate::settings::Role;

/// Of the bodies. A reader refuses a greater one; members that it does not know are no reason to.
pub const VERSION: u32 = 1;
/// Stands for every order.
const ALL: &str = "*";
/// Stands for all of these, which most links take together.
const SETTINGS: (&str, [OrderKind; 6]) = (
    "settings",
    [
        OrderKind::Reserve,
        OrderKind::ReserveHold,
        OrderKind::Mode,
        OrderKind::Operation,
        OrderKind::Charging,
        OrderKind::Export,
    ],
);
/// No site reports more.
pub const LARGEST: usize = 64 << 10;
const BOUNDS: Bounds = Bounds { bytes: LARGEST, memory: 1 << 20, text: 4 << 10 };

/// The program at the site.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Instance {
    pub version: String,
    /// When it started, Unix seconds.
    pub since: f64,
    pub tags: Vec<String>,
    pub group: Option<String>,
    /// It shuts down; nothing follows.
    pub leaves: bool,
    /// The role with which it takes orders from the broker; absent: it takes none.
    pub orders: Option<String>,
}

/// A snapshot of one gateway.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Report {
    pub v: u32,
    /// When it was published, Unix seconds.
    pub at: f64,
    /// Grows with every publication of this gateway while the instance lives.
    pub seq: u64,
    pub instance: Instance,
    pub gateway: Gateway,
    pub polls: Polls,
    /// Absent where nothing may be shown any more, or was ever read.
    pub site: Option<Arc<Reported>>,
    /// Orders that it takes from the broker at present, by how far their outcome can be proven. [`names`]
    /// reads the lists.
    pub can: BTreeMap<String, Vec<String>>,
    /// What stands in the way of others, by obstacle; No link takes what is named nowhere.
    pub cannot: BTreeMap<String, Vec<String>>,
}

impl Instance {
    /// What may be ordered of it; `None`: nothing.
    pub fn role(&self) -> Option<Role> {
        Role::of_word(self.orders.as_deref()?)
    }
}

/// Who it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Gateway {
    pub name: String,
    /// `powerwall` or `inverter`.
    pub kind: String,
    /// The link in use.
    pub link: Option<String>,
}

/// How polling goes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Polls {
    /// `live`, `stale`, `expired` or `never`.
    pub fresh: String,
    /// How old the reading was when it was published.
    pub age_ms: Option<u64>,
    /// How old readings of this link usually are.
    pub usual_ms: Option<u64>,
    pub failures: u32,
    pub failing_ms: Option<u64>,
    /// Kind and message of the last error.
    pub error: Option<(String, String)>,
}

/// What is measured, and how the gateway is set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Reported {
    pub solar: Option<Number>,
    pub battery: Option<Number>,
    pub load: Option<Number>,
    pub grid_power: Option<Number>,
    /// What is left of the energy, and all of it.
    pub wh: [Option<Number>; 2],
    pub percent: Option<f64>,
    /// `UP`, `DOWN` or `SYNCING`.
    pub grid: Option<String>,
    pub contactor: Option<bool>,
    pub nameplate: Option<f64>,
    pub reserve: Option<f64>,
    pub mode: Option<String>,
    pub charging: Option<bool>,
    pub export: Option<String>,
    pub storm_watch: Option<bool>,
    /// On the scale of the app, as Tesla's cloud has it.
    pub vehicle_reserve: Option<f64>,
    pub site_name: Option<String>,
    pub timezone: Option<String>,
    pub firmware: Option<String>,
    pub din: Option<String>,
    pub powerwall3: Option<bool>,
    pub started: Option<i64>,
    pub meters: Option<Meters>,
    /// Hz and V of three phases, on the side of the grid, and of the home.
    pub sides: [Option<[Option<Number>; 4]>; 2],
    pub units: Option<Vec<Device>>,
    /// Name, V, A, W, state, connected.
    pub strings: Option<Vec<StringReport>>,
    pub alerts: Option<Vec<String>>,
}

/// The meters.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Meters {
    pub grid: Metered,
    pub battery: Metered,
    pub load: Metered,
    pub solar: Metered,
    pub generator: Option<Metered>,
}

/// One meter.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Metered {
    pub w: Option<Number>,
    pub v: Option<Number>,
    pub a: Option<Number>,
    pub hz: Option<Number>,
    /// Imported and exported over its life.
    pub wh: [Option<Number>; 2],
    /// What counted each of them; absent: a meter.
    pub by: Option<[Option<String>; 2]>,
}

/// One battery.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Device {
    pub n: usize,
    /// Absent, as its part, where `din` is made of them: of the leader.
    pub serial: Option<String>,
    pub part: Option<String>,
    pub kind: String,
    /// The number of the unit that it is attached to.
    pub on: Option<usize>,
    /// As for the site.
    pub wh: [Option<Number>; 2],
    pub percent: Option<f64>,
    pub w: Option<Number>,
    pub v: Option<Number>,
    pub hz: Option<Number>,
    /// Warmest and coldest cell, around the inverter, at its heat sink; without what is unknown at the end.
    pub celsius: Option<Vec<Option<Number>>>,
    pub state: Option<String>,
    pub grid: Option<String>,
    /// `None`: there are none.
    pub alerts: Option<Vec<String>>,
}

/// Name, V, A, W, state, connected.
pub type StringReport =
    (String, Option<Number>, Option<Number>, Option<Number>, Option<String>, Option<bool>);

impl Report {
    /// What is reported of `snapshot` at `now`, which is `at` in Unix seconds.
    pub fn of(snapshot: &Snapshot, instance: &Instance, (now, at): (Instant, f64)) -> Self {
        let (health, fresh) = (&snapshot.health, snapshot.freshness(now));
        let telemetry = snapshot.telemetry(now);
        let millis = |duration: std::time::Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let reading = snapshot.reading.as_ref();
        let usual = reading.map(|reading| reading.telemetry.answers().usual_age());
        let [can, cannot] = capabilities(&health.capabilities, instance.role());
        Self {
            v: VERSION,
            at: (at * 1e3).round() / 1e3,
            seq: snapshot.sequence,
            instance: instance.clone(),
            gateway: Gateway {
                name: snapshot.gateway.name.clone(),
                kind: match snapshot.gateway.kind {
                    GatewayKind::Powerwall => "powerwall".into(),
                    GatewayKind::Inverter => "inverter".into(),
                },
                link: snapshot.link_in_use().map(|link| link.word().to_owned()),
            },
            polls: Polls {
                fresh: word(fresh).to_owned(),
                age_ms: snapshot.age(now).map(millis),
                usual_ms: usual.filter(|usual| !usual.is_zero()).map(millis),
                failures: health.consecutive_failures,
                failing_ms: health.failing_since.map(|since| millis(now.saturating_duration_since(since))),
                error: health.last_error.as_ref().map(|note| (note.kind.to_owned(), note.message.clone())),
            },
            site: telemetry.map(|telemetry| Arc::new(telemetry.look(reported))),
            can,
            cannot,
        }
    }

    /// As it is published: without what is unknown, and with numbers as exact as they are measured.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut value = serde_json::to_value(self).unwrap_or_default();
        strip(&mut value);
        value.to_string().into_bytes()
    }

    /// Reads what a site published.
    ///
    /// # Errors
    /// If it is no report, larger than any, or of a later version.
    pub fn read(bytes: &[u8]) -> Result<Self, Unreadable> {
        let document = json::document(bytes, &BOUNDS)?;
        let report: Self =
            serde_json::from_value(document).map_err(|why| Unreadable::Other(why.to_string()))?;
        match report.v {
            VERSION => Ok(report),
            other => Err(Unreadable::Version(other)),
        }
    }

    /// How fresh it was at the site.
    pub fn freshness(&self) -> Freshness {
        match self.polls.fresh.as_str() {
            "live" => Freshness::Live,
            "stale" => Freshness::Stale,
            "expired" => Freshness::Expired,
            _ => Freshness::Never,
        }
    }

    /// Whether it says the same as `other`, whenever either was published.
    pub fn is_as(&self, other: &Self) -> bool {
        let plain = |report: &Self| {
            let polls = Polls { age_ms: None, failing_ms: None, ..report.polls.clone() };
            Self { at: 0.0, seq: 0, polls, ..report.clone() }
        };
        plain(self) == plain(other)
    }
}

/// What a site published and nobody can read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    #[error(transparent)]
    Unusable(#[from] Unusable),
    #[error("it is not a report: {0}")]
    Other(String),
    #[error("it has version {0}, and this program reads {VERSION}; update it")]
    Version(u32),
}

fn word(freshness: Freshness) -> &'static str {
    match freshness {
        Freshness::Live => "live",
        Freshness::Stale => "stale",
        Freshness::Expired => "expired",
        Freshness::Never => "never",
    }
}

/// What of `all` may be ordered with `role`: by proof what can be, by obstacle what cannot.
fn capabilities(all: &[Capability], role: Option<Role>) -> [BTreeMap<String, Vec<String>>; 2] {
    let (mut can, mut cannot) = (BTreeMap::<_, Vec<_>>::new(), BTreeMap::<_, Vec<_>>::new());
    let taken = |capability: &&Capability| role.is_some_and(|role| role.may_order(capability.order));
    let mut count = 0;
    for Capability { order, by } in all.iter().filter(taken) {
        count += 1;
        let (group, word) = match by {
            Ok(means) => (&mut can, means.proves.word()),
            Err(unable) => (&mut cannot, unable.obstacle.word()),
        };
        group.entry(word.to_owned()).or_default().push(order.word().to_owned());
    }
    cannot.remove(Obstacle::NoLink.word());
    let (word, settings) = SETTINGS;
    for orders in can.values_mut().chain(cannot.values_mut()) {
        if orders.len() == count {
            *orders = vec![ALL.to_owned()];
        } else if settings.iter().all(|kind| orders.iter().any(|order| order == kind.word())) {
            orders.retain(|order| settings.iter().all(|kind| order != kind.word()));
            orders.insert(0, word.to_owned());
        }
    }
    [can, cannot]
}

/// Whether `kind` is among these orders of a report.
pub fn names(orders: &[String], kind: OrderKind) -> bool {
    let (word, settings) = SETTINGS;
    let is_it =
        |order: &str| order == kind.word() || order == ALL || (order == word && settings.contains(&kind));
    orders.iter().any(|order| is_it(order))
}

/// As many digits as are measured.
fn rounded(number: Option<Number>, decimals: i32) -> Option<Number> {
    let scale = 10_f64.powi(decimals);
    let rounded = (number?.as_f64() * scale).round() / scale;
    // A whole number is shorter without a point.
    if rounded.fract() == 0.0 && rounded.abs() < 9e15 {
        Some(Number::Int(rounded as i64))
    } else {
        Number::from_f64(rounded)
    }
}

fn percent(percent: Option<f64>) -> Option<f64> {
    percent.map(|percent| (percent * 1e3).round() / 1e3)
}

fn reported(site: &Site) -> Reported {
    let readings = &site.readings;
    let (watts, din) = (|power| rounded(power, 0), readings.din.as_deref());
    Reported {
        solar: watts(readings.power.solar),
        battery: watts(readings.power.battery),
        load: watts(readings.power.load),
        grid_power: watts(readings.power.site),
        wh: [readings.charge.remaining, readings.charge.full_pack].map(watts),
        percent: percent(readings.charge.reported.map(|percent| percent.0)),
        grid: readings.grid.map(|grid| grid_word(grid).to_owned()),
        contactor: readings.contactor_closed,
        nameplate: readings.nameplate,
        reserve: percent(readings.reserve.map(|reserve| reserve.0)),
        mode: readings.mode.clone(),
        charging: readings.grid_charging,
        export: readings.grid_export.clone(),
        storm_watch: readings.storm_watch,
        vehicle_reserve: readings.vehicle_reserve.map(|reserve| reserve.0),
        site_name: readings.site_name.clone(),
        timezone: readings.timezone.clone(),
        firmware: readings.firmware.clone(),
        din: readings.din.clone(),
        powerwall3: readings.powerwall3,
        started: site.started,
        meters: site.meters.as_ref().map(|meters| Meters {
            grid: metered(&meters.site),
            battery: metered(&meters.battery),
            load: metered(&meters.load),
            solar: metered(&meters.solar),
            // The powers of the others stand among the readings.
            generator: meters
                .generator
                .as_ref()
                .map(|meter| Metered { w: rounded(meter.power, 0), ..metered(meter) }),
        }),
        sides: [side(&site.main), side(&site.home)],
        units: site.units.as_ref().map(|units| units.iter().map(|unit| device(unit, din)).collect()),
        strings: site.strings.as_ref().map(|strings| strings.iter().map(string).collect()),
        alerts: site.alerts.clone(),
    }
}

fn grid_word(grid: GridStatus) -> &'static str {
    match grid {
        GridStatus::Up => "UP",
        GridStatus::Syncing => "SYNCING",
        GridStatus::Down => "DOWN",
    }
}

/// What [`grid_word`] says.
pub fn grid_of(word: &str) -> Option<GridStatus> {
    [GridStatus::Up, GridStatus::Syncing, GridStatus::Down].into_iter().find(|grid| grid_word(*grid) == word)
}

fn source_word(source: CounterSource) -> &'static str {
    match source {
        CounterSource::SiteMeter => "meter",
        CounterSource::BatteryBlock => "block",
        CounterSource::Inverter => "inverter",
        CounterSource::RemoteMeter => "remote",
    }
}

/// What [`source_word`] says.
pub fn source_of(word: &str) -> Option<CounterSource> {
    use CounterSource::{BatteryBlock, Inverter, RemoteMeter, SiteMeter};
    [SiteMeter, BatteryBlock, Inverter, RemoteMeter].into_iter().find(|source| source_word(*source) == word)
}

fn metered(meter: &Meter) -> Metered {
    let counters = [meter.imported, meter.exported];
    let sources = counters.map(|counter| counter.map(|counter| counter.source));
    let are_others = sources.iter().flatten().any(|source| *source != CounterSource::SiteMeter);
    Metered {
        w: None,
        v: rounded(meter.voltage, 1),
        a: rounded(meter.current, 2),
        hz: rounded(meter.frequency, 2),
        wh: counters.map(|counter| rounded(counter.map(|counter| counter.energy), 0)),
        by: are_others.then(|| sources.map(|source| source.map(|source| source_word(source).to_owned()))),
    }
}

fn side(side: &Side) -> Option<[Option<Number>; 4]> {
    let [one, two, three] = side.voltages.map(|voltage| rounded(voltage, 1));
    let side = [rounded(side.frequency, 2), one, two, three];
    side.iter().any(Option::is_some).then_some(side)
}

fn device(unit: &Unit, din: Option<&str>) -> Device {
    let is_in_din = din.and_then(parts_of) == Some((unit.part.as_deref().unwrap_or_default(), &unit.serial));
    let temperatures = &unit.temperatures;
    let celsius = [temperatures.pack_max, temperatures.pack_min, temperatures.ambient, temperatures.heatsink]
        .map(|celsius| rounded(celsius, 1));
    let known = celsius.iter().rposition(Option::is_some);
    let Charge { remaining, full_pack, reported } = unit.charge;
    Device {
        n: unit.number,
        serial: (!is_in_din).then(|| unit.serial.clone()),
        part: unit.part.clone().filter(|_| !is_in_din),
        kind: kind_word(unit.kind).to_owned(),
        on: unit.attached_to,
        wh: [remaining, full_pack].map(|energy| rounded(energy, 0)),
        percent: percent(reported.map(|percent| percent.0)),
        w: rounded(unit.power, 0),
        v: rounded(unit.voltage, 1),
        hz: rounded(unit.frequency, 2),
        celsius: known.map(|last| celsius[..=last].to_vec()),
        state: unit.state.clone(),
        grid: unit.grid_state.clone(),
        alerts: (!unit.alerts.is_empty()).then(|| unit.alerts.clone()),
    }
}

/// The part number and the serial number in a DIN.
pub fn parts_of(din: &str) -> Option<(&str, &str)> {
    din.split_once("--")
}

fn kind_word(kind: UnitKind) -> &'static str {
    match kind {
        UnitKind::Powerwall2 => "powerwall2",
        UnitKind::Powerwall3 => "powerwall3",
        UnitKind::Follower => "follower",
        UnitKind::Expansion => "expansion",
        UnitKind::Unknown => "unknown",
    }
}

/// What [`kind_word`] says.
pub fn kind_of(word: &str) -> UnitKind {
    use UnitKind::{Expansion, Follower, Powerwall2, Powerwall3, Unknown};
    let mut kinds = [Powerwall2, Powerwall3, Follower, Expansion].into_iter();
    kinds.find(|kind| kind_word(*kind) == word).unwrap_or(Unknown)
}

fn string(string: &SolarString) -> StringReport {
    (
        string.name.clone(),
        rounded(string.voltage, 1),
        rounded(string.current, 2),
        rounded(string.power, 0),
        string.state.clone(),
        string.is_connected,
    )
}

/// Takes out of objects what is unknown. An empty list stays: that there is nothing is known.
fn strip(value: &mut Value) {
    match value {
        Value::Object(object) => {
            object.values_mut().for_each(strip);
            object.retain(|key, value| match value {
                Value::Null => false,
                Value::Object(inner) => !inner.is_empty(),
                Value::Bool(false) if key == "leaves" => false,
                Value::Number(number) if key == "failures" => number.as_u64() != Some(0),
                Value::Array(list) => list.is_empty() || !list.iter().all(Value::is_null),
                _ => true,
            });
        }
        Value::Array(list) => list.iter_mut().for_each(strip),
        Value::Number(number) => {
            if let Some(whole) = number.as_f64().filter(|number| number.fract() == 0.0 && number.abs() < 9e15)
            {
                *value = Value::from(whole as i64);
            }
        }
        _ => {}
    }
}
