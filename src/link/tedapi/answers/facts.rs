//! The few facts of an answer that every poll needs, taken out once when it arrives.

use serde_json::Value;

use super::parsed::{expansions, powerwall3_units};
use crate::link::bounds::{self, Excess, MOST_BATTERIES, MOST_POWERWALL3};
use crate::link::json::{Look, names};
use crate::model::{Charge, GridStatus, Power, RawPercent};

/// Of `config.json`.
#[derive(Clone, Debug, Default)]
pub(super) struct ConfigFacts {
    /// Whether there is a configuration at all.
    pub known: bool,
    /// DIN of the gateway.
    pub vin: Option<String>,
    /// DINs, leader and followers.
    pub powerwall3_units: Vec<String>,
    /// Battery blocks of any type.
    pub blocks: usize,
    /// Battery blocks and their expansions.
    batteries: usize,
    /// `None` while no block says what hardware this is.
    pub powerwall3: Option<bool>,
    pub reserve: Option<RawPercent>,
    pub mode: Option<String>,
    pub grid_charging: Option<bool>,
    pub grid_export: Option<String>,
    pub site_name: Option<String>,
    pub timezone: Option<String>,
    /// W
    pub nameplate: Option<f64>,
}

impl ConfigFacts {
    pub fn of(config: &Value) -> Self {
        let powerwall3_units = powerwall3_units(config);
        let blocks = config.at(&["battery_blocks"]).items();
        let batteries = blocks.iter().map(|block| 1 + expansions(block).count()).sum();
        let blocks = blocks.len();
        let owned = |value: &Value| value.name().map(str::to_owned);
        let site = config.at(&["site_info"]);
        Self {
            known: true,
            vin: owned(config.at(&["vin"])),
            powerwall3: (blocks > 0).then_some(!powerwall3_units.is_empty()),
            blocks,
            batteries,
            reserve: site.at(&["backup_reserve_percent"]).number().map(|raw| RawPercent(raw.as_f64())),
            mode: owned(config.at(&["default_real_mode"])),
            grid_charging: grid_charging(config),
            grid_export: grid_export(config),
            site_name: owned(site.at(&["site_name"])),
            timezone: owned(site.at(&["timezone"])),
            // In kW.
            nameplate: site
                .at(&["nominal_system_power_ac"])
                .number()
                .map(|kilowatts| kilowatts.as_f64() * 1000.0)
                .filter(|watts| *watts > 0.0),
            powerwall3_units,
        }
    }

    /// Whether a site can be like that. Each unit has topics, series and a number, and is asked for its
    /// components.
    ///
    /// # Errors
    /// With what is too much.
    pub fn check(&self) -> Result<(), Excess> {
        bounds::count(self.batteries, MOST_BATTERIES, "batteries")?;
        bounds::count(self.powerwall3_units.len(), MOST_POWERWALL3, "Powerwall 3 units")?;
        let names = [&self.mode, &self.site_name, &self.timezone].into_iter().flatten();
        names.chain(&self.powerwall3_units).try_for_each(|name| bounds::name(name))
    }
}

/// Whether the battery may charge from the grid. Absent means allowed, but a configuration without any site
/// information says nothing.
fn grid_charging(config: &Value) -> Option<bool> {
    let info = config.at(&["site_info"]).as_object()?;
    match info.get("disallow_charge_from_grid_with_solar_installed") {
        None | Some(Value::Null) => Some(true),
        Some(disallowed) => disallowed.as_bool().map(|disallowed| !disallowed),
    }
}

/// `battery_ok`, `pv_only` or `never`; absent means `battery_ok`.
fn grid_export(config: &Value) -> Option<String> {
    let info = config.at(&["site_info"]).as_object()?;
    let rule = info.get("customer_preferred_export_rule").and_then(Look::name);
    Some(rule.unwrap_or("battery_ok").to_owned())
}

/// Of a controller answer, basic or full.
#[derive(Clone, Debug, Default)]
pub(super) struct StatusFacts {
    pub power: Power,
    pub charge: Charge,
    pub grid: Option<GridStatus>,
    pub contactor_closed: Option<bool>,
    /// The gateway lost contact with its solar meter and may report 0 instead.
    pub solar_meter_silent: bool,
}

impl StatusFacts {
    pub fn of(status: &Value) -> Self {
        let control = status.at(&["control"]);
        let meter = |location: &str| {
            let meters = control.at(&["meterAggregates"]).items().iter();
            let mut meters = meters.filter(|meter| {
                meter.at(&["location"]).text().is_some_and(|text| text.eq_ignore_ascii_case(location))
            });
            meters.next()?.at(&["realPowerW"]).number()
        };
        let energy = control.at(&["systemStatus"]);
        Self {
            power: Power {
                site: meter("SITE"),
                battery: meter("BATTERY"),
                load: meter("LOAD"),
                solar: meter("SOLAR"),
            },
            charge: Charge {
                remaining: energy.at(&["nominalEnergyRemainingWh"]).number(),
                full_pack: energy.at(&["nominalFullPackEnergyWh"]).number(),
                reported: None,
            },
            grid: island_state(status).and_then(GridStatus::of_island_state),
            contactor_closed: contactor_closed(status),
            solar_meter_silent: names(control.at(&["alerts", "active"]))
                .any(|name| name == "SolarMeterComms"),
        }
    }
}

/// What the contactor reports of itself, whatever alerts there are.
fn contactor_closed(status: &Value) -> Option<bool> {
    let contactor = status.at(&["esCan", "bus", "ISLANDER", "ISLAND_GridConnection", "ISLAND_GridConnected"]);
    match contactor.name() {
        Some(state) => Some(state == "ISLAND_GridConnected_Connected"),
        None => status.at(&["control", "islanding", "contactorClosed"]).as_bool(),
    }
}

/// The island state in the words of the customer API. The alert counts first, then the contactor; without
/// either the state is unknown, which is not the same as an outage.
pub(super) fn island_state(status: &Value) -> Option<&'static str> {
    if names(status.at(&["control", "alerts", "active"])).any(|name| name == "SystemConnectedToGrid") {
        return Some("SystemGridConnected");
    }
    let contactor = status.at(&["esCan", "bus", "ISLANDER", "ISLAND_GridConnection", "ISLAND_GridConnected"]);
    match contactor.name()? {
        "ISLAND_GridConnected_Connected" => Some("SystemGridConnected"),
        _ => Some("SystemIslandedActive"),
    }
}
