//! The sections of the live feed: what screens show of one gateway and of the sum, as `docs/live-feed.md` says.
//!
//! A section holds times and no ages, so that it changes with what is known and never with the clock. Everything that
//! telemetry has is shown whatever its age; how old it is stands in the status.

mod unit;

use std::collections::HashSet;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::numbered;
use super::status::{self, Moment};
use crate::model::{Aggregate, Documents, Freshness, GridStatus, LinkHealth, RawPercent, Readings, Snapshot};
use crate::model::{ErrorNote, Telemetry};

/// Alerts that tell of something done.
const NOTICES: [&str; 4] =
    ["FWUpdateSucceeded", "SystemConnectedToGrid", "GridCodesWrite", "PodCommissionTime"];
/// Alerts that tell of something under way. All others are warnings.
const INFORMATION: [&str; 2] = ["ScheduledIslandContactorOpen", "SelfTest"];

/// What the gateway is and how polling goes.
pub fn status(snapshot: &Snapshot, freshness: Freshness, at: Moment) -> Value {
    let health = &snapshot.health;
    let reading = snapshot.reading.as_ref();
    let readings = reading.map(|reading| &reading.telemetry.readings);
    let documents = reading.map(|reading| reading.telemetry.documents());
    let told = documents.as_ref().map(|documents| &documents.status);
    let cooldown = health.cooldown_until.filter(|until| *until > at.now);
    json!({
        "name": snapshot.gateway.name,
        "kind": snapshot.gateway.kind,
        "freshness": freshness,
        "taken_at": reading.map(|reading| status::round(reading.taken_at)),
        "error": health.last_error,
        "failing_since": unix(health.failing_since, at),
        "next_attempt_at": unix(health.next_attempt, at),
        "cooldown_until": unix(cooldown, at),
        "consecutive_failures": health.consecutive_failures,
        "polls": health.polls,
        "failures": health.failures,
        "restarts": health.restarts,
        "latency_ms": health.latency.map(|latency| status::round(latency.as_secs_f64() * 1000.0)),
        "firmware": readings.and_then(|readings| readings.firmware.as_ref()),
        "powerwall3": readings.and_then(|readings| readings.powerwall3),
        "site_name": readings.and_then(|readings| readings.site_name.as_ref()),
        "timezone": readings.and_then(|readings| readings.timezone.as_ref()).or(snapshot.gateway.timezone.as_ref()),
        "uptime": told.and_then(|told| told.get("up_time_seconds")),
        "boot_at": told.and_then(|told| told.get("start_time")).and_then(boot),
    })
}

fn unix(instant: Option<Instant>, at: Moment) -> Option<f64> {
    instant.map(|instant| status::round(at.unix_of(instant)))
}

/// `2026-09-24 21:28:16 -0700` in Unix seconds.
fn boot(start_time: &Value) -> Option<i64> {
    let start = jiff::Zoned::strptime("%Y-%m-%d %H:%M:%S %z", start_time.as_str()?).ok()?;
    Some(start.timestamp().as_second())
}

/// The ways to reach the gateway. Of two, both may be in use.
pub fn links(snapshot: &Snapshot, at: Moment) -> Value {
    let links = &snapshot.health.links;
    let link = |link: &LinkHealth| {
        json!({
            "kind": link.kind,
            "in_use": link.in_use && link.last_success.is_some(),
            "why": link.why,
            "last_success_at": unix(link.last_success, at),
            "last_error": link.last_error,
            "next_try_at": unix(link.next_try.filter(|next| *next > at.now), at),
        })
    };
    links.iter().map(link).collect()
}

/// The sections that come from telemetry, by name; without those of which nothing is known yet.
pub fn data(telemetry: &Telemetry) -> Vec<(&'static str, Value)> {
    let (readings, documents) = (&telemetry.readings, &*telemetry.documents());
    let knows_devices = documents.vitals.is_object() || documents.system_status.is_object();
    let sections = [
        ("power", true, json!(readings.power)),
        ("energy", true, energy(readings)),
        ("meters", documents.aggregates.is_object(), meters(documents)),
        ("units", knows_devices, unit::all(documents)),
        ("strings", documents.strings.is_object(), strings(documents)),
        ("alerts", true, alerts(documents)),
        ("fans", documents.fans.is_object(), fans(documents)),
        ("temps", documents.temps.is_object(), temps(documents)),
    ];
    sections.into_iter().filter(|(_, known, _)| *known).map(|(name, _, value)| (name, value)).collect()
}

fn energy(readings: &Readings) -> Value {
    let raw = readings.charge.state_of_energy();
    json!({
        "soe": raw.map(RawPercent::to_app_clamped),
        "soe_raw": raw,
        "reserve": readings.reserve.map(RawPercent::to_app_reserve),
        "reserve_raw": readings.reserve,
        "remaining_wh": readings.charge.remaining,
        "full_wh": readings.charge.full_pack,
        "mode": readings.mode,
        "grid": readings.grid,
        "grid_connected": readings.grid.map(|grid| grid == GridStatus::Up),
        "time_remaining_h": readings.time_remaining,
    })
}

fn meters(documents: &Documents) -> Value {
    let meter = |name: &str| {
        let told = |key: &str| numbered::field(documents.aggregates.get(name), key);
        let currents = ["i_a_current", "i_b_current", "i_c_current"].map(told);
        json!({
            "power": told("instant_power"),
            "voltage": told("instant_average_voltage"),
            "current": told("instant_average_current"),
            "currents": currents,
            "frequency": told("frequency"),
            "imported_wh": told("energy_imported"),
            "exported_wh": told("energy_exported"),
        })
    };
    let island = |side: &str| {
        let devices = || documents.vitals.as_object().into_iter().flatten();
        let told = |key: String| {
            devices()
                .filter_map(|(_, device)| device.get(&key))
                .find(|value| value.is_number())
                .cloned()
                .unwrap_or_default()
        };
        let frequencies = [1, 2, 3].map(|leg| told(format!("ISLAND_FreqL{leg}_{side}")));
        let volts = [1, 2, 3].map(|leg| told(format!("ISLAND_VL{leg}N_{side}")));
        json!({
            "frequency": frequencies.into_iter().find(Value::is_number),
            "volts": volts,
        })
    };
    json!({
        "site": meter("site"),
        "battery": meter("battery"),
        "load": meter("load"),
        "solar": meter("solar"),
        "main": island("Main"),
        "home": island("Load"),
    })
}

fn strings(documents: &Documents) -> Value {
    let strings = documents.strings.as_object().into_iter().flatten();
    let string = |(name, told): (&String, &Value)| {
        let told = |key: &str| numbered::field(Some(told), key);
        json!({
            "name": name,
            "voltage": told("Voltage"),
            "current": told("Current"),
            "power": told("Power"),
            "state": told("State"),
            "connected": told("Connected"),
        })
    };
    strings.map(string).collect()
}

/// Warnings first. They come sorted by name and stay so within their class.
fn alerts(documents: &Documents) -> Value {
    let mut alerts: Vec<&str> = documents.alerts.iter().map(String::as_str).collect();
    alerts.sort_by_key(|name| (NOTICES.contains(name), INFORMATION.contains(name)));
    json!(alerts)
}

/// The numbered values `<name>_<what>` as one object per name.
fn fans(documents: &Documents) -> Value {
    let numbered = numbered::fans(documents);
    let told = |name: &str, what: &str| numbered::field(Some(&numbered), &format!("{name}_{what}"));
    let names = numbered.as_object().into_iter().flatten().filter_map(|(key, _)| key.strip_suffix("_actual"));
    let fan = |name: &str| {
        json!({
            "name": name,
            "rpm": told(name, "actual"),
            "target_rpm": told(name, "target"),
            "duty": told(name, "duty"),
        })
    };
    names.map(fan).collect()
}

fn temps(documents: &Documents) -> Value {
    let numbered = numbered::temps(documents);
    let temps = numbered.as_object().into_iter().flatten();
    temps
        .map(|(key, celsius)| json!({ "number": key.trim_end_matches("_temp"), "celsius": celsius }))
        .collect()
}

/// The sum over all gateways. `snapshots` tell why somebody is missing.
pub fn total<'a>(
    sum: &Aggregate,
    snapshots: impl Iterator<Item = &'a Snapshot> + Clone,
    now: Instant,
) -> Value {
    let missing: HashSet<&str> = sum.missing.iter().map(String::as_str).collect();
    let missing: Value = (snapshots.clone())
        .filter(|snapshot| missing.contains(snapshot.gateway.id.as_str()))
        .map(|snapshot| {
            json!({
                "id": snapshot.gateway.id,
                "name": snapshot.gateway.name,
                "reason": reason(snapshot.health.last_error.as_ref()),
                "last_seen_at": snapshot.reading.as_ref().map(|reading| status::round(reading.taken_at)),
            })
        })
        .collect();
    let any_expired = || snapshots.clone().any(|snapshot| snapshot.freshness(now) == Freshness::Expired);
    let freshness = match (sum.contributors.is_empty(), sum.stale.is_empty()) {
        (false, true) => Freshness::Live,
        (false, false) => Freshness::Stale,
        (true, _) if any_expired() => Freshness::Expired,
        (true, _) => Freshness::Never,
    };
    json!({
        "site": sum.site,
        "battery": sum.battery,
        "load": sum.load,
        "solar": sum.solar,
        "soe": sum.app_percent(),
        "soe_raw": sum.state_of_energy,
        "capacity_wh": sum.capacity,
        "charge_wh": sum.energy_remaining,
        "grid": sum.grid,
        "contributors": sum.contributors,
        "missing": missing,
        "online": sum.online,
        "gateways": sum.gateways,
        "freshness": freshness,
    })
}

fn reason(error: Option<&ErrorNote>) -> &str {
    error.map_or("it has not answered yet", |error| &error.message)
}

#[cfg(test)]
mod tests;
