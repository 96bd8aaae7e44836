//! What a report means: the readings, the site, and the documents of the customer API as far as a report has
//! them.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::documents;
use super::reported::{
    Device, Metered, Meters as MetersReport, Reported, grid_of, kind_of, parts_of, source_of,
};
use super::reports::Received;
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

    fn site_around(&self, readings: &Arc<Readings>) -> Site {
        let reported = &self.reported;
        let ([main, home], din) = (&reported.sides, reported.din.as_deref());
        Site {
            readings: readings.clone(),
            meters: reported.meters.as_ref().map(|report| meters(report, &readings.power)),
            main: main.as_ref().map(side).unwrap_or_default(),
            home: home.as_ref().map(side).unwrap_or_default(),
            units: reported
                .units
                .as_ref()
                .map(|units| units.iter().map(|device| unit(device, din)).collect()),
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
        }
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
                remaining: reported.wh[0],
                full_pack: reported.wh[1],
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
        let site = self.site_around(readings);
        let documents = documents::of(&site);
        Interpretation { site, documents }
    }

    fn site(&self, readings: &Arc<Readings>, _numbers: &NumberingMemory) -> Option<Site> {
        Some(self.site_around(readings))
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

fn unit(device: &Device, din: Option<&str>) -> Unit {
    let in_din = din.and_then(parts_of);
    let (part, serial) = match (&device.serial, in_din) {
        (None, Some((part, serial))) => (Some(part.to_owned()), serial.to_owned()),
        (serial, _) => (device.part.clone(), serial.clone().unwrap_or_default()),
    };
    let celsius = |place: usize| *device.celsius.as_ref()?.get(place)?;
    let [remaining, full_pack] = device.wh;
    Unit {
        number: device.n,
        is_leader: in_din.map(|(_, leader)| leader == serial),
        serial,
        part,
        kind: kind_of(&device.kind),
        attached_to: device.on,
        charge: Charge { remaining, full_pack, reported: device.percent.map(RawPercent) },
        power: device.w,
        voltage: device.v,
        frequency: device.hz,
        temperatures: UnitTemperatures {
            pack_max: celsius(0),
            pack_min: celsius(1),
            ambient: celsius(2),
            heatsink: celsius(3),
        },
        state: device.state.clone(),
        grid_state: device.grid.clone(),
        alerts: device.alerts.clone().unwrap_or_default(),
        ..Unit::default()
    }
}
