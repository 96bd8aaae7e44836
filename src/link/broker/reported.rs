//! What a report has of the site itself: readings, settings, meters, batteries, strings, as exact as they are
//! measured.

use serde::{Deserialize, Serialize};

use crate::model::{
    Charge, CounterSource, GridStatus, Meter, Number, Side, Site, SolarString, Unit, UnitKind,
};

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

/// What is reported of `site`.
pub(super) fn reported(site: &Site) -> Reported {
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
