//! The meters of a site in the shape of `/api/meters/aggregates`.
//!
//! What this protocol does not report (reactive power, frequency) is null. The servers before ours sent 0
//! there, which a database stores as a measurement. Energy counters come from the customer API, if they are
//! known.

use serde_json::Value;

use super::energies::{Energies, Energy};
use super::hold::{self, Hold};
use super::meters::{Ct, neurios, remote_meters, signed};
use super::parsed::Parsed;
use super::powerwall3;
use crate::link::json::{Look, Object, value_of};
use crate::model::{Number, Power};

const NEVER: &str = "0001-01-01T00:00:00Z";
/// A leg with less than this is not connected.
const LIVE_LEG: f64 = 100.0;

/// The document; null without a status. `power` is what the readings say, adjusted and held. `zeros`: what is
/// not reported is 0, for clients that cannot read null.
pub(super) fn aggregates(parsed: &Parsed<'_>, power: &Power, energies: &Energies, zeros: bool) -> Value {
    if !parsed.status.is_object() {
        return Value::Null;
    }
    let time = parsed.status.at(&["system", "time"]);
    let remote: Vec<Ct> = remote_meters(parsed).into_iter().flat_map(|meter| meter.cts).collect();
    let unknown = if zeros { Value::from(0) } else { Value::Null };
    let mut aggregates = Object::default();
    aggregates
        .set(
            "site",
            site_section(parsed, power.site, &remote).build(time, true, energies.of("site"), &unknown),
        )
        .set(
            "battery",
            battery_section(parsed, power.battery).build(time, true, energies.of("battery"), &unknown),
        )
        .set("load", load_section(parsed, power.load).build(time, false, energies.of("load"), &unknown))
        .set(
            "solar",
            solar_section(parsed, power.solar, &remote).build(time, true, energies.of("solar"), &unknown),
        );
    aggregates.build()
}

/// What differs between the sections.
struct Section {
    power: Option<Number>,
    voltage: Option<Number>,
    phases: [Option<Number>; 3],
    timeout: i64,
    meters: usize,
    disclaimer: String,
}

impl Section {
    fn build(&self, time: &Value, meters_first: bool, energy: Energy, unknown: &Value) -> Value {
        let current = self.power.zip(self.voltage).and_then(|(power, voltage)| power.over(voltage));
        let known = |number: Option<Number>| number.map_or_else(|| unknown.clone(), Value::from);
        let source = if energy.is_known() { "; energy from gateway local API" } else { "" };
        let mut section = Object::default();
        section
            .set("last_communication_time", time.clone())
            .set("instant_power", value_of(self.power))
            .set("instant_reactive_power", unknown.clone())
            .set("instant_apparent_power", unknown.clone())
            .set("frequency", unknown.clone())
            .set("energy_exported", known(energy.exported))
            .set("energy_imported", known(energy.imported))
            .set("instant_average_voltage", value_of(self.voltage))
            .set("instant_average_current", value_of(current));
        for (key, phase) in ["i_a_current", "i_b_current", "i_c_current"].into_iter().zip(self.phases) {
            section.set(key, known(phase));
        }
        section
            .set("last_phase_voltage_communication_time", NEVER)
            .set("last_phase_power_communication_time", NEVER)
            .set("last_phase_energy_communication_time", NEVER)
            .set("timeout", self.timeout);
        if meters_first {
            section.set("num_meters_aggregated", self.meters);
        }
        section.set("instant_total_current", value_of(current));
        if !meters_first {
            section.set("num_meters_aggregated", self.meters);
        }
        section.set("disclaimer", format!("{}{source}", self.disclaimer));
        section.build()
    }
}

fn site_section(parsed: &Parsed<'_>, power: Option<Number>, remote: &[Ct]) -> Section {
    let main = |leg: u8| island_voltage(parsed, leg, "Main");
    let neurio: Vec<Ct> = neurios(parsed, &parsed.status).into_iter().flat_map(|meter| meter.cts).collect();
    let (source, phases, voltage) =
        if let Some(phases) = meter_phases(&parsed.sync_meter(&parsed.status, 'X'), 'X') {
            ("Meter X", phases, line_to_line([main(1), main(2), main(3)]))
        } else if let Some(phases) = meter_phases(&parsed.meter_z(), 'Z') {
            ("Meter Z", phases, line_to_line([main(1), main(2), main(3)]))
        } else if let Some((phases, voltages)) = ct_phases(&neurio, "site") {
            ("Neurio", phases, line_to_line(voltages))
        } else if let Some((phases, voltages)) = ct_phases(remote, "site") {
            ("Remote Meter", phases, line_to_line(voltages))
        } else {
            ("unknown", [None; 3], None)
        };
    let disclaimer = format!("site: voltage/current from {source}");
    Section { power, voltage, phases, timeout: 1_500_000_000, meters: 1, disclaimer }
}

fn battery_section(parsed: &Parsed<'_>, power: Option<Number>) -> Section {
    let bus = parsed.status.at(&["esCan", "bus", "PINV"]).items().iter();
    let own = bus.map(|inverter| inverter.at(&["PINV_Status", "PINV_Vout"]).number());
    let voltages = unit_values(parsed, "TEPINV--", "PINV_Vout").into_iter().chain(own.flatten());
    let (voltage, meters) = mean(voltages);
    Section {
        power,
        voltage,
        phases: [None; 3],
        timeout: 1_500_000_000,
        meters,
        disclaimer: "battery: voltage from PINV, calculated current from power".into(),
    }
}

fn load_section(parsed: &Parsed<'_>, power: Option<Number>) -> Section {
    Section {
        power,
        voltage: line_to_line([1, 2, 3].map(|leg| island_voltage(parsed, leg, "Load"))),
        phases: [None; 3],
        timeout: 1_500_000_000,
        meters: 1,
        disclaimer: "load: voltage from ISLAND_AcMeasurements, current calculated from power".into(),
    }
}

fn solar_section(parsed: &Parsed<'_>, power: Option<Number>, remote: &[Ct]) -> Section {
    let bus = parsed.status.at(&["esCan", "bus", "PVAC"]).items().iter();
    let own = bus
        .filter(|pvac| pvac.at(&["packageSerialNumber"]).name().is_some())
        .filter_map(|pvac| pvac.at(&["PVAC_Status", "PVAC_Vout"]).number());
    let voltages = unit_values(parsed, "PVAC--", "PVAC_Vout").into_iter().chain(own);
    let (inverter_voltage, meters) = mean(voltages);
    let meter_y = parsed.sync_meter(&parsed.status, 'Y');
    let remote = ct_phases(remote, "solar");
    let legs_y = [1, 2, 3].map(|leg| meter_y.at(&[&format!("METER_Y_VL{leg}N")]).number());
    let remote_voltage = remote.and_then(|(_, voltages)| line_to_line(voltages));
    let (voltage, source) =
        [(inverter_voltage, "PVAC"), (line_to_line(legs_y), "Meter Y"), (remote_voltage, "Remote Meter")]
            .into_iter()
            .find(|(voltage, _)| voltage.is_some())
            .unwrap_or((None, "unknown"));
    let phases_y = ["A", "B", "C"].map(|ct| meter_y.at(&[&format!("METER_Y_CT{ct}_I")]).number());
    let flows_y = phases_y.iter().flatten().any(|current| !current.is_zero());
    let works_y = !meter_y.at(&["isMIA"]).is_true() && legs_y.iter().flatten().any(|leg| !leg.is_zero());
    let (phases, current) = match remote {
        _ if flows_y => (phases_y, "current from Meter Y"),
        Some((phases, _)) => (phases, "current from Remote Meter"),
        // At night a meter that works measures nothing.
        None if works_y => (phases_y, "calculated current from power"),
        None => ([None; 3], "calculated current from power"),
    };
    let held = hold::of(parsed).map(|Hold { age, .. }| {
        format!("; solar held from remote meter reading during SolarMeterComms (age {age}s)")
    });
    Section {
        power,
        voltage,
        phases,
        timeout: 1_000_000_000,
        meters,
        disclaimer: format!("solar: voltage from {source}, {current}{}", held.unwrap_or_default()),
    }
}

fn island_voltage(parsed: &Parsed<'_>, leg: u8, side: &str) -> Option<Number> {
    parsed
        .status
        .at(&["esCan", "bus", "ISLANDER", "ISLAND_AcMeasurements", &format!("ISLAND_VL{leg}N_{side}")])
        .number()
}

/// Phase currents of one of the gateway's own meters, with the sign of their power; `None` if it is absent or
/// missing in action.
fn meter_phases(readings: &Value, meter: char) -> Option<[Option<Number>; 3]> {
    let present = readings.as_object().is_some_and(|readings| !readings.is_empty());
    if !present || readings.at(&["isMIA"]).is_true() {
        return None;
    }
    Some(["A", "B", "C"].map(|ct| {
        let reading = |what: &str| readings.at(&[&format!("METER_{meter}_CT{ct}_{what}")]).number();
        let (current, power) = (reading("I")?, reading("InstRealPower"));
        match power {
            Some(power) if power.as_f64() < 0.0 => signed(Some(current), Some(power)),
            _ => Some(current),
        }
    }))
}

/// A value for each of the three phases, where it is known.
type PerPhase = [Option<Number>; 3];

/// Currents and voltages of the transformers at `location`, by their position on the meter. `None` without
/// any.
fn ct_phases(cts: &[Ct], location: &str) -> Option<(PerPhase, PerPhase)> {
    let mut found = None;
    for ct in cts.iter().filter(|ct| ct.is_at(location)) {
        let (currents, voltages) = found.get_or_insert(([None; 3], [None; 3]));
        if let Some(current) = currents.get_mut(ct.index) {
            *current = ct.signed_current();
            voltages[ct.index] = ct.voltage.number();
        }
    }
    found
}

/// The values of `key` in the blocks of the Powerwall 3 units whose name starts with `prefix`.
fn unit_values(parsed: &Parsed<'_>, prefix: &str, key: &str) -> Vec<Number> {
    let blocks = powerwall3::blocks(parsed);
    blocks
        .iter()
        .filter(|(name, _)| name.starts_with(prefix))
        .filter_map(|(_, block)| block.at(&[key]).number())
        .collect()
}

/// Mean of the values that are not 0, and how many there are.
fn mean(values: impl Iterator<Item = Number>) -> (Option<Number>, usize) {
    let values: Vec<Number> = values.filter(|value| !value.is_zero()).collect();
    let sum = values.iter().copied().reduce(|sum, value| sum.plus(value).unwrap_or(sum));
    (sum.and_then(|sum| sum.over(Number::Int(values.len() as i64))), values.len())
}

/// The voltage between the legs of single-phase, split-phase and three-phase systems; `None` if there is
/// none.
fn line_to_line(legs: [Option<Number>; 3]) -> Option<Number> {
    let live: Vec<Number> = legs.into_iter().flatten().filter(|leg| leg.as_f64().abs() > LIVE_LEG).collect();
    let voltage = match live[..] {
        [] => legs.into_iter().flatten().reduce(|sum, leg| sum.plus(leg).unwrap_or(sum)),
        [leg] => Some(leg),
        [a, b] => a.plus(b),
        [a, b, c] | [a, b, c, ..] => {
            let between = |a: Number, b: Number| {
                let (a, b) = (a.as_f64(), b.as_f64());
                (a * a + b * b + a * b).sqrt()
            };
            Number::from_f64((between(a, b) + between(b, c) + between(c, a)) / 3.0)
        }
    };
    voltage.filter(|voltage| !voltage.is_zero())
}
