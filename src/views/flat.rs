//! Small bodies of numbers: `/json`, `/csv`, `/csv/v2`, `/version`, `/alerts/pw`.

use std::fmt::Write;

use serde::Serialize;
use serde_json::{Value, json};

use crate::model::number::fixed;
use crate::model::{GridStatus, Number, RawPercent, Readings};

/// 1 up, 0 down, −1 on the way between.
pub(super) fn grid_number(grid: GridStatus) -> i64 {
    match grid {
        GridStatus::Up => 1,
        GridStatus::Down => 0,
        GridStatus::Syncing => -1,
    }
}

/// A number; null, or with `zeros` 0, where there is none.
pub(super) fn number(number: Option<impl Serialize>, zeros: bool) -> Value {
    match number {
        Some(number) => json!(number),
        None if zeros => json!(0),
        None => Value::Null,
    }
}

pub(super) fn json(readings: &Readings, strings: &Value, zeros: bool) -> Value {
    let power = &readings.power;
    let raw = readings.charge.state_of_energy();
    json!({
        "grid": number(power.site, zeros),
        "home": number(power.load, zeros),
        "solar": number(power.solar, zeros),
        "battery": number(power.battery, zeros),
        "soe": number(raw, zeros),
        "soe_raw": number(raw, zeros),
        // A zero would read as a power cut.
        "grid_status": number(readings.grid.map(grid_number), false),
        "reserve": number(readings.reserve.map(RawPercent::to_app_reserve), zeros),
        "time_remaining_hours": number(readings.time_remaining, zeros),
        "full_pack_energy": number(readings.charge.full_pack, zeros),
        "energy_remaining": number(readings.charge.remaining, zeros),
        "strings": strings,
    })
}

/// Every alert under its name, as the series that databases make of it: 1 while it is there.
pub(super) fn alerts(names: &[String]) -> Value {
    names.iter().map(|name| (name.clone(), Value::from(1))).collect()
}

/// One line: Grid, Home, Solar, Battery, BatteryLevel (raw); with `more` also GridStatus and Reserve (app
/// scale, rounded). What is unknown leaves its column empty, or with `zeros` puts a zero there; a zero for
/// the grid would read as a power cut.
pub(super) fn csv(readings: &Readings, more: bool, zeros: bool) -> String {
    let power = &readings.power;
    let level = readings.charge.state_of_energy().and_then(|percent| Number::from_f64(percent.0));
    let mut line = String::with_capacity(64);
    for (index, value) in [power.site, power.load, power.solar, power.battery, level].into_iter().enumerate()
    {
        if index > 0 {
            line.push(',');
        }
        if let Some(value) = value.or(zeros.then_some(Number::Int(0))) {
            line.push_str(&fixed(value.as_f64(), 2));
        }
    }
    if more {
        line.push(',');
        if let Some(grid) = readings.grid.map(grid_number) {
            let _ = write!(line, "{grid}");
        }
        line.push(',');
        let reserve = readings.reserve.map(|reserve| reserve.to_app_reserve().0);
        if let Some(reserve) = reserve.or(zeros.then_some(0.0)) {
            line.push_str(&fixed(reserve, 0));
        }
    }
    line.push('\n');
    line
}

/// Null for a gateway that reports no firmware: routes have their own word for that.
pub(super) fn version(firmware: Option<&str>) -> Value {
    let firmware = firmware.map(|firmware| json!({ "version": firmware, "vint": version_number(firmware) }));
    firmware.unwrap_or_default()
}

/// `23.28.2 27626f98` → 232802; `None` without digits.
fn version_number(firmware: &str) -> Option<u64> {
    let first = firmware.split(' ').next()?;
    let plain: String = first.chars().filter(|c| c.is_ascii_digit() || *c == '.').collect();
    let mut parts = plain.split('.').filter(|part| !part.is_empty()).peekable();
    parts.peek()?;
    let mut part = || parts.next().map_or(Some(0), |part| part.parse::<u64>().ok());
    let (major, minor, patch) = (part()?, part()?, part()?);
    major.checked_mul(10_000)?.checked_add(minor.checked_mul(100)?)?.checked_add(patch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_count_in_hundreds() {
        assert_eq!(version_number("23.28.2 27626f98"), Some(232_802));
        assert_eq!(version_number("26.26.11"), Some(262_611));
        assert_eq!(version_number("24.12.6-PW3-AFCI 008bf6ff"), Some(241_263));
        assert_eq!(version_number("25.10"), Some(251_000));
        assert_eq!(version_number("unknown"), None);
        assert_eq!(version_number("99999999999999999999.1"), None);
    }

    #[test]
    fn scripts_that_need_them_get_the_old_zeros() {
        let nothing = Readings::default();
        assert_eq!(csv(&nothing, false, true), "0.00,0.00,0.00,0.00,0.00\n");
        assert_eq!(csv(&nothing, true, true), "0.00,0.00,0.00,0.00,0.00,,0\n");
        let json = json(&nothing, &Value::Null, true);
        let others = |key: &str| !["strings", "grid_status"].contains(&key);
        assert!(json.as_object().unwrap().iter().all(|(key, value)| !others(key) || *value == json!(0)));
        assert_eq!(json["grid_status"], Value::Null);
    }

    #[test]
    fn what_is_unknown_leaves_its_column_empty() {
        assert_eq!(csv(&Readings::default(), false, false), ",,,,\n");
        let mut readings = Readings::default();
        readings.power.site = Some(Number::Int(-2100));
        readings.power.solar = Some(Number::Float(-0.004));
        readings.grid = Some(GridStatus::Syncing);
        readings.reserve = Some(RawPercent(24.0 * 0.95 + 5.0));
        assert_eq!(csv(&readings, true, false), "-2100.00,,0.00,,,-1,24\n");
    }
}
