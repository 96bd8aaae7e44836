//! What a report means: the readings, the site, and the documents of the customer API as far as a report has
//! them.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::documents;
use super::reports::Received;
use super::wire::{Device, Metered, Meters as MetersReport, Reported, grid_of, kind_of, source_of};
use crate::model::{
    Adjustments, Answers, AppPercent, Charge, Counter, CounterSource, Interpretation, Meter, Meters, Number,
    NumberingMemory, Power, RawPercent, Readings, Side, Site, SolarString, Unit, UnitTemperatures,
};

/// A site reports at least this often.
pub const EVERY: Duration = Duration::from_secs(60);

/// A report that has readings.
#[derive(Debug)]
pub struct BrokerAnswers {
    received: Arc<Received>,
    /// What of it can be shown.
    reported: Arc<Reported>,
}

impl BrokerAnswers {
    /// `None`: there is nothing in the report that could be shown.
    pub fn of(received: Arc<Received>) -> Option<Self> {
        let reported = received.report.site.clone()?;
        Some(Self { received, reported })
    }
}

impl Answers for BrokerAnswers {
    fn readings(&self, adjustments: &Adjustments) -> Readings {
        let reported = &self.reported;
        let power = Power {
            site: reported.grid_power,
            battery: reported.battery,
            load: reported.load,
            solar: reported.solar,
        };
        Readings {
            power: adjustments.apply(power),
            charge: Charge {
                remaining: reported.remaining,
                full_pack: reported.full,
                reported: reported.percent.map(RawPercent),
            },
            grid: reported.grid.as_deref().and_then(grid_of),
            contactor_closed: reported.contactor,
            nameplate: reported.nameplate,
            reserve: reported.reserve.map(RawPercent),
            mode: reported.mode.clone(),
            grid_charging: reported.charging,
            grid_export: reported.export.clone(),
            storm_watch: reported.storm_watch,
            vehicle_reserve: reported.vehicle_reserve.map(AppPercent),
            tariff: None,
            time_remaining: None,
            site_name: reported.site_name.clone(),
            timezone: reported.timezone.clone(),
            firmware: reported.firmware.clone(),
            din: reported.din.clone(),
            powerwall3: reported.powerwall3,
            supplements: Vec::new(),
        }
    }

    fn interpret(
        &self,
        readings: &Arc<Readings>,
        _adjustments: &Adjustments,
        _numbers: &NumberingMemory,
    ) -> Interpretation {
        let reported = &self.reported;
        let [main, home] = &reported.sides;
        let site = Site {
            readings: readings.clone(),
            meters: reported.meters.as_ref().map(|report| meters(report, &readings.power)),
            main: main.as_ref().map(side).unwrap_or_default(),
            home: home.as_ref().map(side).unwrap_or_default(),
            units: reported.units.as_ref().map(|units| units.iter().map(unit).collect()),
            strings: reported.strings.as_ref().map(|strings| {
                let strings = strings.iter();
                strings
                    .map(|(name, voltage, current, power, state, is_connected)| SolarString {
                        name: name.clone(),
                        voltage: *voltage,
                        current: *current,
                        power: *power,
                        state: state.clone(),
                        is_connected: *is_connected,
                    })
                    .collect()
            }),
            alerts: reported.alerts.clone(),
            started: reported.started,
            ..Site::default()
        };
        let documents = documents::of(&site);
        Interpretation { site, documents }
    }

    fn age(&self) -> Duration {
        let at_site = Duration::from_millis(self.received.report.polls.age_ms.unwrap_or_default());
        Instant::now().saturating_duration_since(self.received.said).saturating_add(at_site)
    }

    fn usual_age(&self) -> Duration {
        EVERY + Duration::from_millis(self.received.report.polls.usual_ms.unwrap_or_default())
    }

    fn size(&self) -> usize {
        std::mem::size_of::<Received>()
    }
}

/// Imported, exported.
fn counters(metered: &Metered) -> [Option<Counter>; 2] {
    let source = |place: usize| match &metered.by {
        None => Some(CounterSource::SiteMeter),
        Some(by) => source_of(by[place].as_deref()?),
    };
    [0, 1].map(|place| source(place)?.counted(metered.wh[place]))
}

fn meter(metered: &Metered) -> Meter {
    let [imported, exported] = counters(metered);
    Meter {
        power: metered.w,
        voltage: metered.v,
        current: metered.a,
        frequency: metered.hz,
        imported,
        exported,
        ..Meter::default()
    }
}

fn meters(meters: &MetersReport, power: &Power) -> Meters {
    let with = |metered: &Metered, power: Option<Number>| Meter { power, ..meter(metered) };
    Meters {
        site: with(&meters.grid, power.site),
        battery: with(&meters.battery, power.battery),
        load: with(&meters.load, power.load),
        solar: with(&meters.solar, power.solar),
        generator: meters.generator.as_ref().map(meter),
    }
}

fn side([frequency, voltages @ ..]: &[Option<Number>; 4]) -> Side {
    Side { frequency: *frequency, voltages: *voltages }
}

fn unit(device: &Device) -> Unit {
    let [pack_max, pack_min, ambient, heatsink] = device.celsius.unwrap_or_default();
    Unit {
        number: device.n,
        serial: device.serial.clone(),
        part: device.part.clone(),
        kind: kind_of(&device.kind),
        is_leader: device.leader,
        attached_to: device.on,
        charge: Charge {
            remaining: device.remaining,
            full_pack: device.full,
            reported: device.percent.map(RawPercent),
        },
        power: device.w,
        voltage: device.v,
        frequency: device.hz,
        temperatures: UnitTemperatures { pack_max, pack_min, ambient, heatsink },
        state: device.state.clone(),
        grid_state: device.grid.clone(),
        alerts: device.alerts.clone().unwrap_or_default(),
        ..Unit::default()
    }
}
