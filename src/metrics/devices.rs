//! Readings of devices: batteries, temperatures, solar strings, fans.

use super::series::{Series, gauge};
use crate::model::{Fan, Number, SolarString, Unit};

/// More than any site has of one kind; the rest is made up.
const MOST_DEVICES: usize = 64;

/// Name, help, and the value of one part.
type Family<T> = (&'static str, &'static str, fn(&T) -> Option<f64>);

const STRINGS: [Family<SolarString>; 4] = [
    ("powerwall_string_power_watts", "Power of a solar string.", |string| float(string.power)),
    ("powerwall_string_voltage_volts", "Voltage of a solar string.", |string| float(string.voltage)),
    ("powerwall_string_current_amperes", "Current of a solar string.", |string| float(string.current)),
    ("powerwall_string_connected", "Whether a solar string is connected.", |string| {
        string.is_connected.map(|connected| f64::from(u8::from(connected)))
    }),
];

const UNITS: [Family<Unit>; 2] = [
    ("powerwall_unit_energy_watthours", "Energy in one battery.", |unit| float(unit.charge.remaining)),
    ("powerwall_unit_capacity_watthours", "Energy in one battery when it is full.", |unit| {
        float(unit.charge.full_pack)
    }),
];

const FANS: [Family<Fan>; 3] = [
    ("powerwall_fan_speed_rpm", "Speed of a fan.", |fan| float(fan.speed)),
    ("powerwall_fan_target_speed_rpm", "Speed that a fan should have.", |fan| float(fan.target_speed)),
    ("powerwall_fan_duty_percent", "How hard a fan is driven.", |fan| float(fan.duty)),
];

pub(super) fn all() -> Vec<Series> {
    let units = UNITS.into_iter().map(|(name, help, value)| {
        gauge(name, help, move |family, gateway| {
            for unit in distinct(gateway.site().and_then(|site| site.units.as_deref())) {
                family.sample(&[("gateway", gateway.id), ("unit", &unit.serial)], value(unit));
            }
        })
    });
    let temperatures =
        gauge("powerwall_temperature_celsius", "Temperature of a device.", |family, gateway| {
            let temperatures = gateway.site().and_then(|site| site.temperatures.as_ref());
            for one in temperatures.into_iter().flatten().take(MOST_DEVICES) {
                family.sample(&[("gateway", gateway.id), ("device", &one.device)], float(one.celsius));
            }
        });
    let strings = STRINGS.into_iter().map(|(name, help, value)| {
        gauge(name, help, move |family, gateway| {
            let strings = gateway.site().and_then(|site| site.strings.as_ref());
            for string in strings.into_iter().flatten().take(MOST_DEVICES) {
                family.sample(&[("gateway", gateway.id), ("string", &string.name)], value(string));
            }
        })
    });
    let fans = FANS.into_iter().map(|(name, help, value)| {
        gauge(name, help, move |family, gateway| {
            let fans = gateway.site().and_then(|site| site.fans.as_ref());
            for fan in fans.into_iter().flatten().take(MOST_DEVICES) {
                let side = fan.side.unwrap_or("A");
                let labels = [("gateway", gateway.id), ("device", &*fan.device), ("fan", side)];
                family.sample(&labels, value(fan));
            }
        })
    });
    units.chain([temperatures]).chain(strings).chain(fans).collect()
}

/// The batteries that have a serial. One that is there twice counts once: samples must differ in their
/// labels.
fn distinct(units: Option<&[Unit]>) -> Vec<&Unit> {
    let mut distinct: Vec<&Unit> = Vec::new();
    for unit in units.unwrap_or_default().iter().take(MOST_DEVICES) {
        if !unit.serial.is_empty() && distinct.iter().all(|known| known.serial != unit.serial) {
            distinct.push(unit);
        }
    }
    distinct
}

fn float(number: Option<Number>) -> Option<f64> {
    number.map(Number::as_f64)
}
