//! The parts of a site that have topics of their own: batteries, solar strings, remote meters.

use serde_json::{Value, json};

use crate::model::{Counter, Number, Site, SolarString, Transformer, Unit};

/// More parts of a kind than any site has; the rest of what a gateway may claim is left out.
pub(super) const MOST_PARTS: usize = 48;

/// Whether a name can be one level of an MQTT topic.
pub(super) fn is_topic_level(name: &str) -> bool {
    let plain = |c: char| !c.is_control() && !matches!(c, '/' | '+' | '#');
    !name.is_empty() && name.len() <= 64 && name.chars().all(plain)
}

pub(super) fn batteries(site: &Site) -> &[Unit] {
    let units = site.units.as_deref().unwrap_or_default();
    &units[..units.len().min(MOST_PARTS)]
}

/// The serial of a battery, if it has one.
pub(super) fn serial(unit: &Unit) -> Option<&str> {
    Some(unit.serial.as_str()).filter(|serial| !serial.is_empty())
}

/// One solar string, or a pair of strings that lie in parallel.
pub(super) struct Strand {
    /// `A`, or `AB1` for the pair of `A1` and `B1`.
    pub id: String,
    /// Whether it is one string, which the documents have.
    pub is_single: bool,
    /// V
    voltage: Option<f64>,
    /// A
    current: Option<f64>,
    /// W
    power: Option<f64>,
}

impl Strand {
    /// What is measured, by the level of its topic.
    pub fn measured(&self) -> [(&'static str, Option<f64>); 3] {
        [("voltage", self.voltage), ("current", self.current), ("power", self.power)]
    }
}

/// Strings as reported, then the pairs that are complete: at the voltage of the first, with the sum of both.
pub(super) fn strings(site: &Site) -> Vec<Strand> {
    let all = site.strings.as_deref().unwrap_or_default();
    let reported = &all[..all.len().min(MOST_PARTS)];
    let single = |string: &SolarString| Strand {
        id: string.name.clone(),
        is_single: true,
        voltage: float(string.voltage),
        current: float(string.current),
        power: float(string.power),
    };
    let singles = reported.iter().filter(|string| is_topic_level(&string.name)).map(single);
    let pairs = [("A", "B"), ("C", "D"), ("E", "F")].into_iter().flat_map(|(first, second)| {
        reported.iter().filter_map(move |one| {
            let suffix = one.name.strip_prefix(first)?;
            if !suffix.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            let other = all.iter().find(|other| other.name.strip_prefix(second) == Some(suffix))?;
            Some(Strand {
                id: format!("{first}{second}{suffix}"),
                is_single: false,
                voltage: float(one.voltage),
                current: sum(one.current, other.current),
                power: sum(one.power, other.power),
            })
        })
    });
    singles.chain(pairs).collect()
}

/// The sum of what is known.
fn sum(one: Option<Number>, other: Option<Number>) -> Option<f64> {
    match (float(one), float(other)) {
        (None, None) => None,
        (one, other) => Some(one.unwrap_or(0.0) + other.unwrap_or(0.0)),
    }
}

/// One current transformer of a remote meter.
pub(super) struct Meter<'a> {
    pub din: &'a str,
    transformer: &'a Transformer,
}

impl Meter<'_> {
    /// `ct0` …
    pub fn ct(&self) -> String {
        format!("ct{}", self.transformer.index)
    }

    pub fn topic(&self) -> String {
        format!("meters/remote/{}/{}", self.din, self.ct())
    }

    /// What it is clamped around.
    pub fn location(&self) -> Option<&str> {
        self.transformer.location.as_deref().filter(|location| !location.is_empty())
    }

    /// What is measured, by the level of its topic, with the digits behind the point.
    pub fn measured(&self) -> [(&'static str, Option<f64>, usize); 5] {
        let ct = self.transformer;
        [
            ("voltage", float(ct.voltage), 2),
            ("current", float(ct.current), 2),
            ("power", float(ct.power), 1),
            ("energy_imported", watt_hours(ct.imported()), 0),
            ("energy_exported", watt_hours(ct.exported()), 0),
        ]
    }

    /// All of it, as the vitals name it; energies in Ws.
    pub fn fields(&self) -> Value {
        let ct = self.transformer;
        json!({
            "InstRealPower": ct.power,
            "InstReactivePower": ct.reactive_power,
            "InstVoltage": ct.voltage,
            "InstCurrent": ct.current,
            "EnergyExportedWs": ct.exported_ws,
            "EnergyImportedWs": ct.imported_ws,
            "Location": ct.location,
        })
    }
}

pub(super) fn meters(site: &Site) -> Vec<Meter<'_>> {
    let named = site.remote_meters.iter().filter(|meter| is_topic_level(&meter.din));
    let transformers = named.flat_map(|meter| meter.transformers.iter().map(move |ct| (meter, ct)));
    let meters = transformers.map(|(meter, transformer)| Meter { din: &meter.din, transformer });
    meters.take(MOST_PARTS).collect()
}

fn watt_hours(counter: Option<Counter>) -> Option<f64> {
    float(counter.map(|counter| counter.energy))
}

pub(super) fn float(number: Option<Number>) -> Option<f64> {
    number.map(Number::as_f64)
}
