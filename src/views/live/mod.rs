//! The sections of the live feed: what screens show of one gateway and of the sum, as `docs/live-feed.md`
//! says.
//!
//! A section holds times and no ages, so that it changes with what is known and never with the clock.
//! Everything that telemetry has is shown whatever its age; its age is in the status.

mod unit;

use std::collections::HashSet;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::status::{self, Moment};
use crate::model::order::{Lease, LeaseState};
use crate::model::{
    Aggregate, ErrorNote, Fan, Freshness, GridStatus, LinkHealth, Meter, Meters, Order, RawPercent, Readings,
    Side, Site, Snapshot, SolarString, Temperature,
};

/// Alerts about something done.
const NOTICES: [&str; 4] =
    ["FWUpdateSucceeded", "SystemConnectedToGrid", "GridCodesWrite", "PodCommissionTime"];
/// Alerts about something under way. All others are warnings.
const INFORMATION: [&str; 2] = ["ScheduledIslandContactorOpen", "SelfTest"];

/// Whether an alert is about something wrong, and not about something done or under way.
pub fn is_warning(name: &str) -> bool {
    !NOTICES.contains(&name) && !INFORMATION.contains(&name)
}

/// What the gateway is and how polling goes.
pub fn status(snapshot: &Snapshot, freshness: Freshness, at: Moment) -> Value {
    let health = &snapshot.health;
    let reading = snapshot.reading.as_ref();
    let readings = reading.map(|reading| &reading.telemetry.readings);
    let site = reading.map(|reading| reading.telemetry.site());
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
        "timezone": readings
            .and_then(|readings| readings.timezone.as_ref())
            .or(snapshot.gateway.timezone.as_ref()),
        "uptime": site.and_then(|site| site.uptime.as_ref()),
        "boot_at": site.and_then(|site| site.started),
    })
}

fn unix(instant: Option<Instant>, at: Moment) -> Option<f64> {
    instant.map(|instant| status::round(at.unix_of(instant)))
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

/// What was ordered and has not come about yet, and what holds for a time only. `None`: neither. Everybody
/// who may read sees it, so that it has no name, no address and nothing of the past.
pub fn orders(snapshot: &Snapshot, at: Moment) -> Option<Value> {
    let health = &snapshot.health;
    let pending = |order: &Order| json!({ "order": order.kind().word(), "value": order.value() });
    let pending: Vec<Value> = health.pending.iter().map(pending).collect();
    let holds = health.leases.iter().filter(|lease| lease.state == LeaseState::Holds);
    let leased = |lease: &Lease| {
        // To the second, because a wall clock that is set by a little moves no end.
        let until = at.unix_of(lease.ends).round();
        json!({ "settings": lease.leased.value(), "until": until })
    };
    let leased: Vec<Value> = holds.map(leased).collect();
    let is_quiet = pending.is_empty() && leased.is_empty();
    (!is_quiet).then(|| json!({ "pending": pending, "leased": leased }))
}

/// The sections of a site, by name; without those of which nothing is known yet.
pub fn data(site: &Site) -> Vec<(&'static str, Value)> {
    let readings = &site.readings;
    let sections = [
        ("power", Some(json!(readings.power))),
        ("energy", Some(energy(readings))),
        ("meters", site.meters.as_ref().map(|known| meters(known, site))),
        ("units", site.units.as_deref().map(unit::all)),
        ("strings", site.strings.as_deref().map(strings)),
        ("alerts", Some(alerts(site.alerts.as_deref().unwrap_or_default()))),
        ("fans", site.fans.as_deref().map(fans)),
        ("temps", site.temperatures.as_deref().map(temps)),
    ];
    sections.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
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

fn meters(meters: &Meters, site: &Site) -> Value {
    let meter = |meter: &Meter| {
        json!({
            "power": meter.power,
            "voltage": meter.voltage,
            "current": meter.current,
            "currents": meter.currents,
            "frequency": meter.frequency,
            "imported_wh": meter.imported.map(|counter| counter.energy),
            "exported_wh": meter.exported.map(|counter| counter.energy),
        })
    };
    let side = |side: &Side| json!({ "frequency": side.frequency, "volts": side.voltages });
    let mut shown = json!({
        "site": meter(&meters.site),
        "battery": meter(&meters.battery),
        "load": meter(&meters.load),
        "solar": meter(&meters.solar),
        "main": side(&site.main),
        "home": side(&site.home),
    });
    // Most sites have none, and clients need not know of it.
    if let Some(generator) = &meters.generator {
        shown["generator"] = meter(generator);
    }
    shown
}

fn strings(strings: &[SolarString]) -> Value {
    let string = |string: &SolarString| {
        json!({
            "name": string.name,
            "voltage": string.voltage,
            "current": string.current,
            "power": string.power,
            "state": string.state,
            "connected": string.is_connected,
        })
    };
    strings.iter().map(string).collect()
}

/// Warnings first. They come sorted by name and stay so within their class.
fn alerts(names: &[String]) -> Value {
    let mut alerts: Vec<&str> = names.iter().map(String::as_str).collect();
    alerts.sort_by_key(|name| (NOTICES.contains(name), INFORMATION.contains(name)));
    json!(alerts)
}

fn fans(fans: &[Fan]) -> Value {
    let fan = |fan: &Fan| {
        json!({
            "name": format!("FAN{}", fan.number),
            "rpm": fan.speed,
            "target_rpm": fan.target_speed,
            "duty": fan.duty,
        })
    };
    fans.iter().map(fan).collect()
}

fn temps(temperatures: &[Temperature]) -> Value {
    let temperature =
        |one: &Temperature| json!({ "number": format!("PW{}", one.number), "celsius": one.celsius });
    temperatures.iter().map(temperature).collect()
}

/// The sum over all gateways. `snapshots` say why a gateway is missing.
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
