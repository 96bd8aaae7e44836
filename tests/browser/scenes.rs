//! States of the house, as the live feed sends them.

use powerwall_server::clock::unix_time;
use serde_json::{Value, json};

/// Lays `over` on `base`, objects within objects too.
pub fn laid(mut base: Value, over: Value) -> Value {
    match (&mut base, over) {
        (Value::Object(under), Value::Object(over)) => {
            for (key, value) in over {
                let before = under.remove(&key).unwrap_or(Value::Null);
                under.insert(key, laid(before, value));
            }
            base
        }
        (_, over) => over,
    }
}

fn unit(number: &str, over: Value) -> Value {
    let unit = json!({
        "number": number, "name": "Powerwall \
            3", "kind": "powerwall3", "part": "1707000-11-J", "serial": "…4F2A",
        "attached_to": null, "soe": 52, "soe_raw": 54, "remaining_wh": 7100, "full_wh": 13420, "power": -1600,
        "state": "PCH_ACMODE_GRID_FOLLOWING", "grid_state": null, "freq": 60.01, "voltage": 242.1,
        "volts": [121, 121], "temps": [{ "name": "pack_max", "celsius": 31.4 }],
        "fans": [{ "name": "A", "rpm": 1180, "duty": 32 }], "charge_limit_w": null, "discharge_limit_w": null,
        "charged_wh": null, "discharged_wh": null, "alerts": []
    });
    laid(unit, over)
}

/// Everything the feed sends about one healthy gateway, by the last part of the key.
fn healthy(name: &str) -> Value {
    let now = unix_time();
    json!({
        "status": {
            "name": name, "kind": "powerwall", "freshness": "live", "taken_at": now - 1.0, "error": null,
            "next_attempt_at": now + 4.0, "cooldown_until": null, "consecutive_failures": 0, "polls": 100,
            "failures": 0, "restarts": 0, "latency_ms": 41, "firmware": "26.18.1 \
                c4db63ce", "powerwall3": true,
            "site_name": name, "timezone": "Europe/Berlin", "uptime": "1541h38m20s",
            "boot_at": now - 5_549_900.0
        },
        "links": [
            { "kind": "v1r", "in_use": true, "why": "signed over the \
                LAN", "last_success_at": now - 1.0, "last_error": null,
                "next_try_at": null },
            { "kind": "tedapi", "in_use": false, "why": "stands by", "last_success_at": null,
                "last_error": { "kind": "unreachable", "message": "no route to \
                    192.168.91.1" }, "next_try_at": now + 60.0 }
        ],
        "power": { "site": -840, "battery": -2750, "load": 1210, "solar": 4800 },
        "energy": {
            "soe": 54.2, "soe_raw": 56.5, "reserve": 20, "reserve_raw": 24, "remaining_wh": 18950,
            "full_wh": 33750,
            "mode": "self_consumption", "grid": "UP", "grid_connected": true, "time_remaining_h": 8.4
        },
        "meters": {
            "site": { "power": -840, "voltage": 242.3, "current": -3.5, "currents": [null, null, null],
                "frequency": 60.01 },
            "load": { "power": 1210, "voltage": 242.3, "current": 5.0, "currents": [null, null, null],
                "frequency": 60.01 },
            "main": { "frequency": 60.01, "volts": [121.1, 121.2, null] },
            "home": { "frequency": 60.01, "volts": [121.0, 121.2, null] }
        },
        "units": [
            unit("PW1", json!({})),
            unit("PW2", json!({ "name": "Powerwall 3 \
                expansion", "kind": "expansion", "attached_to": "PW1", "power": null,
                "voltage": null, "volts": [null, null], "freq": null, "fans": [], "state": null })),
            unit("PW3", json!({ "name": "Powerwall 3 follower", "remaining_wh": 4750, "full_wh": 6910 }))
        ],
        "strings": [
            { "name": "A", "voltage": 312.4, "current": 8.21, "power": 2564, "state": "PV_Active",
                "connected": true },
            { "name": "B", "voltage": 298.1, "current": 7.5, "power": 2236, "state": "PV_Active",
                "connected": true },
            { "name": "C", "voltage": 0, "current": 0, "power": 0, "state": "PV_Disabled",
                "connected": false }
        ],
        "alerts": ["PVAC_W_Over_Temp", "SelfTest", "FWUpdateSucceeded", "SystemConnectedToGrid"],
        "fans": [{ "name": "FAN1", "rpm": 1180, "target_rpm": 1200, "duty": 32 }],
        "temps": [{ "number": "PW1", "celsius": 31.5 }]
    })
}

fn keyed(id: &str, parts: Value) -> Value {
    let Value::Object(parts) = parts else { panic!("an object") };
    parts
        .into_iter()
        .map(|(part, value)| (format!("gateway/{id}/{part}"), value))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// Gateways as `(id, name, what is different)`, with the total and its difference.
pub fn house(gateways: &[(&str, &str, Value)], total: Value) -> Value {
    let ids: Vec<&str> = gateways.iter().map(|(id, ..)| *id).collect();
    let sum = json!({
        "site": -840, "battery": -2750, "load": 1210, "solar": 4800, "soe": 54.2, "soe_raw": 56.5,
        "capacity_wh": 33750, "charge_wh": 18950, "grid": "UP", "contributors": ids, "missing": [],
        "online": ids.len(), "gateways": ids.len(), "freshness": "live"
    });
    let mut state = json!({
        "service": { "version": "1.0.0", "started_at": unix_time() - 90_000.0, "epoch": "0123456789abcdef" },
        "order": ids,
        "total": laid(sum, total)
    });
    for (id, name, over) in gateways {
        state = laid(state, keyed(id, laid(healthy(name), over.clone())));
    }
    state
}

pub fn sunny() -> Value {
    house(&[("home", "Home", json!({}))], json!({}))
}

/// Without the difference: two gateways with batteries, one with the sun alone.
fn three(cabin: Value, total: Value) -> Value {
    let home = json!({ "power": { "site": 0, "battery": -2750, "load": 1010, "solar": 3760 } });
    let cabin = laid(json!({ "power": { "site": 0, "battery": -2030, "load": 712, "solar": 2742 } }), cabin);
    let barn = json!({
        "status": { "kind": "inverter" },
        "power": { "site": -2270, "battery": null, "load": 490, "solar": 2760 },
        "energy": { "soe": null, "soe_raw": null, "reserve": null, "remaining_wh": null, "full_wh": null,
            "mode": null, "time_remaining_h": null },
        "units": []
    });
    let sum = json!({ "site": -2270, "battery": -4780, "load": 2212, "solar": 9262, "capacity_wh": 67500,
        "charge_wh": 37900 });
    house(&[("home", "Home", home), ("cabin", "Cabin", cabin), ("barn", "Barn", barn)], laid(sum, total))
}

pub fn three_sites() -> Value {
    three(json!({}), json!({}))
}

/// One site exports what the other one imports, so that the sum says nothing.
pub fn exchanging() -> Value {
    let home = json!({ "power": { "site": -3000, "battery": 0, "load": 1000, "solar": 4000 } });
    let cabin = json!({ "power": { "site": 3000, "battery": 0, "load": 3000, "solar": 0 } });
    let sum = json!({ "site": 0, "battery": 0, "load": 4000, "solar": 4000 });
    house(&[("home", "Home", home), ("cabin", "Cabin", cabin)], sum)
}

/// The sun alone.
pub fn solar_only() -> Value {
    let alone = json!({
        "status": { "kind": "inverter" },
        "power": { "site": -2270, "battery": null, "load": 490, "solar": 2760 },
        "energy": { "soe": null, "soe_raw": null, "reserve": null, "remaining_wh": null, "full_wh": null,
            "mode": null, "time_remaining_h": null },
    });
    house(&[("home", "Home", alone)], json!({ "site": -2270, "battery": null, "load": 490, "solar": 2760 }))
}

pub fn one_of_three_missing() -> Value {
    let now = unix_time();
    let cabin = json!({ "status": {
        "freshness": "expired", "taken_at": now - 1500.0, "consecutive_failures": 7,
        "next_attempt_at": now + 84.0,
        "error": { "kind": "timeout", "message": "the gateway did not answer within 5 s" }
    }, "links": [{ "kind": "tedapi", "in_use": true, "last_success_at": now - 1500.0,
        "last_error": { "kind": "timeout", "message": "the gateway did not answer within 5 s" } }] });
    let missing =
        json!([{ "id": "cabin", "name": "Cabin", "reason": "no fresh data", "last_seen_at": now - 1500.0 }]);
    let total = json!({ "contributors": ["home", "barn"], "missing": missing, "online": 2, "solar": 6520,
        "load": 1500, "battery": -2750, "capacity_wh": 33750, "charge_wh": 18950 });
    three(cabin, total)
}

pub fn outage() -> Value {
    let cut = json!({
        "power": { "site": 0, "battery": 1890, "load": 2310, "solar": 420 },
        "energy": { "soe": 62.3, "grid": "DOWN", "grid_connected": false },
        "alerts": ["GridOutage", "SystemIslandedActive"]
    });
    house(
        &[("home", "Home", cut)],
        json!({ "grid": "DOWN", "site": 0, "battery": 1890, "load": 2310, "solar": 420 }),
    )
}

pub fn one_of_three_cut_off() -> Value {
    let cut = json!({
        "power": { "site": 0, "battery": 1030, "load": 1030, "solar": 0 },
        "energy": { "soe": 48, "grid": "DOWN", "grid_connected": false }
    });
    three(cut, json!({ "grid": "DOWN" }))
}

fn failing(freshness: &str, age: f64, more: Value) -> Value {
    let now = unix_time();
    let status = json!({
        "freshness": freshness, "taken_at": now - age, "consecutive_failures": 3,
        "next_attempt_at": now + 40.0,
        "error": { "kind": "timeout", "message": "the gateway did not answer within 5 s" }
    });
    json!({ "status": laid(status, more) })
}

pub fn stale() -> Value {
    house(&[("home", "Home", failing("stale", 24.0, json!({})))], json!({ "freshness": "stale" }))
}

pub fn offline() -> Value {
    let nothing = json!({ "freshness": "expired", "contributors": [], "online": 0, "site": null,
        "battery": null, "load": null, "solar": null, "soe": null, "soe_raw": null, "grid": null,
        "missing": [{ "id": "home", "name": "Home", "reason": "no fresh \
            data", "last_seen_at": unix_time() - 5400.0 }] });
    let cooling = json!({ "cooldown_until": unix_time() + 184.0 });
    house(&[("home", "Home", failing("expired", 5400.0, cooling))], nothing)
}

pub fn unknown() -> Value {
    let nothing = json!({
        "status": { "firmware": null, "uptime": null, "boot_at": null, "latency_ms": null,
            "site_name": null },
        "power": { "site": null, "battery": null, "load": null, "solar": null },
        "energy": { "soe": null, "soe_raw": null, "reserve": null, "reserve_raw": null, "remaining_wh": null,
            "full_wh": null, "mode": null, "grid": null, "grid_connected": null, "time_remaining_h": null },
        "strings": [{ "name": "A", "voltage": null, "current": null, "power": null, "state": null,
            "connected": null }],
        "temps": [{ "number": "PW1", "celsius": null }],
        "fans": [{ "name": "FAN1", "rpm": null, "target_rpm": null, "duty": null }],
        "meters": { "site": { "power": null, "voltage": null, "current": null, "frequency": null },
            "load": { "power": null, "voltage": null, "current": null, "frequency": null },
            "main": { "frequency": null, "volts": [null, null, null] },
            "home": { "frequency": null, "volts": [null, null, null] } },
        "units": [{ "number": "PW1", "name": null, "kind": null, "serial": null, "attached_to": null,
            "remaining_wh": null,
            "full_wh": null, "power": null, "state": null, "grid_state": null, "freq": null, "voltage": null,
            "volts": [null, null], "temps": [], "fans": [] }],
        "alerts": []
    });
    let sum = json!({ "site": null, "battery": null, "load": null, "solar": null, "soe": null,
        "soe_raw": null, "capacity_wh": null, "charge_wh": null, "grid": null });
    house(&[("home", "Home", nothing)], sum)
}

/// Configured, and not asked yet.
pub fn never() -> Value {
    let status = json!({ "name": "Home", "kind": "powerwall", "freshness": "never", "taken_at": null,
        "error": null, "next_attempt_at": null, "cooldown_until": null, "consecutive_failures": 0, "polls": 0,
        "failures": 0, "restarts": 0, "latency_ms": null, "firmware": null, "powerwall3": null,
        "site_name": null, "timezone": null, "uptime": null, "boot_at": null });
    let links = json!([{ "kind": "tedapi", "in_use": true, "last_success_at": null, "last_error": null }]);
    json!({
        "service": { "version": "1.0.0", "started_at": unix_time(), "epoch": "0123456789abcdef" },
        "order": ["home"],
        "total": { "site": null, "battery": null, "load": null, "solar": null, "soe": null, "soe_raw": null,
            "capacity_wh": null, "charge_wh": null, "grid": null, "contributors": [], "missing": [],
            "online": 0, "gateways": 1, "freshness": "never" },
        "gateway/home/status": status,
        "gateway/home/links": links
    })
}

/// A name is data, no matter who wrote it.
pub fn hostile() -> Value {
    let name = "<img src=x onerror=document.title='owned'>";
    let over = json!({
        "status": { "error": { "kind": "timeout", "message": "<script>document.title='owned'</script>" },
            "freshness": "stale" },
        "alerts": ["<b onclick=1>x</b>"]
    });
    house(&[("home", name, over), ("b&b", "B&amp;B", json!({}))], json!({}))
}
