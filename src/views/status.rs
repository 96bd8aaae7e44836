//! The status of gateways and of their sum, as `/api/gateways`, `/api/aggregate` and the WebSockets send it.
//!
//! Keys and their order are those clients know; ours follow at the end. The configuration of a gateway, which
//! holds personal data, is in none of them.

use bytes::{BufMut, Bytes, BytesMut};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::View;
use crate::model::{Aggregate, Freshness, LinkKind, RawPercent, Snapshot, Telemetry, mode_name};

/// The moment at which something is rendered, on both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    pub now: Instant,
    /// Seconds since the Unix epoch.
    pub unix: f64,
}

impl Moment {
    /// Unix seconds of an instant.
    pub fn unix_of(&self, instant: Instant) -> f64 {
        let ago = self.now.saturating_duration_since(instant).as_secs_f64();
        let ahead = instant.saturating_duration_since(self.now).as_secs_f64();
        self.unix - ago + ahead
    }
}

/// `data` of a gateway without its end, which describes the link.
pub(super) fn data(telemetry: &Telemetry) -> Bytes {
    let readings = &telemetry.readings;
    let (site, documents) = (telemetry.site(), telemetry.documents());
    let raw = readings.charge.state_of_energy();
    let data = json!({
        "vitals": documents.vitals,
        "strings": documents.strings,
        "aggregates": documents.aggregates,
        "alerts": site.alerts.as_deref().unwrap_or_default(),
        "temps": documents.temps,
        "grid_status": readings.grid,
        "grid_status_detail": documents.grid_status,
        "reserve": readings.reserve.map(RawPercent::to_app_reserve),
        "time_remaining": readings.time_remaining,
        "system_status": documents.system_status,
        "fan_speeds": documents.fans,
        "networks": match documents.networks {
            Value::Null => Value::Null,
            ref reported => super::customer::networks(reported),
        },
        "powerwalls": null,
        "meters": null,
        "solars": null,
        "solar_powerwall": null,
        "soe_raw": raw,
        "soe": raw.map(RawPercent::to_app_clamped),
        "freq": null,
        "din": readings.din,
        "uptime": documents.status.get("up_time_seconds"),
        "version": readings.firmware,
        "status": documents.status,
        "device_type": null,
        "site_name": readings.site_name,
        "site_info": documents.site_info,
        "mode": readings.mode,
        "grid_charging": readings.grid_charging,
        "grid_export": readings.grid_export,
        "pw3": readings.powerwall3,
    });
    let mut bytes = serde_json::to_vec(&data).unwrap_or_default();
    bytes.pop();
    bytes.into()
}

/// What is the matter with a gateway, in a sentence; `None` while all is well.
pub fn error(snapshot: &Snapshot) -> Option<&str> {
    match &snapshot.health.last_error {
        Some(error) => Some(&error.message),
        None if snapshot.health.polls == 0 => Some("Initializing..."),
        None => None,
    }
}

/// The status of one gateway.
pub fn gateway(snapshot: &Snapshot, at: Moment) -> Bytes {
    let facts = &snapshot.gateway;
    let freshness = snapshot.freshness(at.now);
    let online = freshness == Freshness::Live;
    let error = error(snapshot);
    let link = snapshot.link_in_use();
    let reading = snapshot.reading.as_ref();
    let is_basic_lan = reading.is_some_and(|reading| reading.telemetry.answers().is_basic_lan());
    let about = json!({
        "id": facts.id,
        "name": facts.name,
        "host": facts.host,
        "port": facts.port,
        "rsa_key_configured": facts.rsa_key_configured,
        "wifi_host": facts.wifi_host,
        "site_id": facts.site_id,
        "timezone": facts.timezone,
        "basic_lan": if link.is_some() { is_basic_lan } else { facts.may_be_basic_lan },
        "tedapi_expected": facts.expects_tedapi(),
        "cloud_mode": facts.cloud_mode,
        "fleetapi": facts.fleetapi,
        "type": facts.kind,
        "online": online,
        "last_error": error,
    });
    let mut body = BytesMut::with_capacity(4096);
    body.put_slice(b"{\"gateway\":");
    put(&mut body, &about);
    body.put_slice(b",\"data\":");
    match reading.filter(|_| freshness.has_data()) {
        Some(reading) => {
            body.put_slice(&reading.telemetry.view(View::Data));
            body.put_slice(b",\"tedapi_mode\":");
            put(&mut body, &link.map(LinkKind::tedapi_mode));
            body.put_slice(b",\"connection_mode\":");
            let mode = if is_basic_lan { Some("Basic LAN") } else { link.map(LinkKind::connection_mode) };
            put(&mut body, &mode);
            body.put_slice(b",\"tedapi_config\":null,\"timestamp\":");
            put(&mut body, &reading.taken_at);
            body.put_slice(b"}");
        }
        None => body.put_slice(b"null"),
    }
    let rest = [
        ("online", json!(online)),
        ("last_updated", json!(reading.map(|reading| reading.taken_at))),
        ("error", json!(error)),
        ("freshness", json!(freshness)),
        ("age", json!(snapshot.age(at.now).map(|age| round(age.as_secs_f64())))),
        ("last_attempt", json!(snapshot.health.last_attempt.map(|attempt| round(at.unix_of(attempt))))),
    ];
    for (key, value) in rest {
        body.put_slice(b",\"");
        body.put_slice(key.as_bytes());
        body.put_slice(b"\":");
        put(&mut body, &value);
    }
    body.put_slice(b"}");
    body.freeze()
}

/// Writes `body` under the id of its gateway, as a member of an object.
pub fn put_by_id(out: &mut BytesMut, id: &str, body: &[u8]) {
    put(out, &id);
    out.put_slice(b":");
    out.put_slice(body);
}

/// Puts 0 in place of every unknown number of a sum, for clients that cannot read null.
pub fn with_zeros(sum: &mut Value) {
    let members = sum.as_object_mut().into_iter().flatten();
    // A zero would read as a power cut.
    let unknown = members.filter(|(key, value)| value.is_null() && *key != "grid_status");
    unknown.for_each(|(_, value)| *value = 0.into());
}

/// The sum over all gateways: what stands before and behind the statuses of those that are in it or known;
/// with `zeros` as clients that cannot read null had it.
pub fn around(sum: &Aggregate, at: Moment, zeros: bool) -> (Bytes, Bytes) {
    let mut head = json!({
        "total_battery_percent_raw": sum.state_of_energy,
        "total_battery_percent": sum.app_percent(),
        "total_battery_capacity": sum.capacity,
        "total_site_power": sum.site,
        "total_battery_power": sum.battery,
        "total_load_power": sum.load,
        "total_solar_power": sum.solar,
        "total_grid_power": sum.site,
        "grid_status": sum.grid,
        "num_gateways": sum.gateways,
        "num_online": sum.online,
        "num_degraded": sum.stale.len(),
        "gateways": {},
    });
    let mut tail = json!({
        "timestamp": at.unix,
        "total_energy_remaining": sum.energy_remaining,
        "contributors": sum.contributors,
        "stale": sum.stale,
        "missing": sum.missing,
    });
    if zeros {
        with_zeros(&mut head);
        with_zeros(&mut tail);
    }
    let mut head = serde_json::to_vec(&head).unwrap_or_default();
    head.truncate(head.len().saturating_sub(b"}}".len()));
    let mut tail = serde_json::to_vec(&tail).unwrap_or_default();
    // In the place of its opening brace: the end of the statuses.
    tail.splice(..tail.len().min(1), *b"},");
    (head.into(), tail.into())
}

/// How polling of a gateway goes, for `/health/gateways`.
pub fn health(snapshot: &Snapshot, at: Moment, responding: bool) -> Value {
    let health = &snapshot.health;
    let until = |instant: Option<Instant>| {
        instant.map(|instant| round(instant.saturating_duration_since(at.now).as_secs_f64()))
    };
    let links: Vec<Value> = (health.links.iter())
        .map(|link| {
            json!({
                "kind": link.kind,
                "in_use": link.in_use,
                "why": link.why,
                "last_success": link.last_success.map(|success| round(at.unix_of(success))),
                "last_error": link.last_error,
                "next_try_seconds": until(link.next_try),
            })
        })
        .collect();
    let mut shown = json!({
        "id": snapshot.gateway.id,
        "name": snapshot.gateway.name,
        "mode": mode_name(&snapshot.gateway.links),
        "mode_reason": snapshot.gateway.reason,
        "state": snapshot.freshness(at.now),
        "responding": responding,
        "latency_ms": health.latency.map(|latency| round(latency.as_secs_f64() * 1000.0)),
        "consecutive_failures": health.consecutive_failures,
        "next_attempt_seconds": until(health.next_attempt),
        "cooldown_seconds": until(health.cooldown_until.filter(|until| *until > at.now)),
        "data_age_seconds": snapshot.age(at.now).map(|age| round(age.as_secs_f64())),
        "last_error": health.last_error,
        "polls": health.polls,
        "failures": health.failures,
        "restarts": health.restarts,
        "links": links,
    });
    let supplements = supplements(snapshot, at);
    if !supplements.is_empty() {
        shown["supplements"] = supplements.into();
    }
    shown
}

/// The readings that another link than the one in use knew, and how old they are.
fn supplements(snapshot: &Snapshot, at: Moment) -> Vec<Value> {
    let readings = snapshot.telemetry(at.now).map(|telemetry| &telemetry.readings);
    let supplements = readings.map(|readings| readings.supplements.as_slice()).unwrap_or_default();
    let shown = supplements.iter().map(|one| {
        let age = at.now.saturating_duration_since(one.taken);
        json!({ "field": one.field, "link": one.link, "age_seconds": round(age.as_secs_f64()) })
    });
    shown.collect()
}

/// Milliseconds are enough.
pub(super) fn round(seconds: f64) -> f64 {
    (seconds * 1000.0).round() / 1000.0
}

/// Writes `value` as JSON.
pub fn put(body: &mut BytesMut, value: &impl Serialize) {
    // Serialising into memory cannot fail.
    let _ = serde_json::to_writer(body.writer(), value);
}
