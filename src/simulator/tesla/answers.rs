//! What a healthy cloud answers to each path.

use serde_json::{Value, json};
use tokio::time::Instant;

use super::replies::{error, response};
use super::state::{Cloud, Site, State};
use super::{CLIENT_ID, authorize, calendar, clients, partner, relay};
use crate::clock::unix_time;
use crate::simulator::SiteKind;
use crate::simulator::http::{Answer, Request};
use crate::simulator::orders::Delivered;

pub(super) fn answer(cloud: &Cloud, request: &Request, is_home: bool) -> Answer {
    let path = request.path.split('?').next().unwrap_or_default();
    let mut state = cloud.state();
    if path == "/oauth2/v3/authorize" {
        return authorize::consent(&mut state, &request.path);
    }
    if path == "/oauth2/v3/token" {
        return token(&mut state, request);
    }
    let bearer = request.authorization.as_deref().and_then(|text| text.strip_prefix("Bearer "));
    if path == "/api/1/partner_accounts" && request.method == "POST" {
        return partner::register(&mut state, bearer, &request.body, is_home);
    }
    let Some(until) = bearer.and_then(|token| state.access.get(token)) else {
        return error(401, "invalid bearer token");
    };
    if *until <= Instant::now() {
        return error(401, "token expired (401)");
    }
    if path == "/api/1/users/region" {
        return response(&json!({ "region": "na", "fleet_api_base_url": cloud.home }));
    }
    if state.needs_registration && !state.registered.contains(&is_home) {
        return error(412, "Account must be registered in the current region");
    }
    if !is_home {
        return error(421, "user out of region");
    }
    if !state.scopes.iter().any(|scope| scope == "energy_device_data") {
        return error(403, "Unauthorized missing scopes energy_device_data");
    }
    match (request.method.as_str(), path) {
        ("GET", "/api/1/products") => products(&state),
        ("POST", path) if path.ends_with("/command") => clients::answer(&mut state, path, &request.body),
        ("POST", path) if path.ends_with("/device_command") => relay::answer(&state, path, &request.body),
        ("POST", path) => order(&mut state, path, &request.body),
        (method, path) => site(&state, method, path, request.path.split('?').nth(1).unwrap_or_default()),
    }
}

fn token(state: &mut State, request: &Request) -> Answer {
    let body = String::from_utf8_lossy(&request.body).into_owned();
    let field = |name: &str| {
        let mut fields = body.split('&').filter_map(|field| field.split_once('='));
        fields.find(|(key, _)| *key == name).map(|(_, value)| value.to_owned()).unwrap_or_default()
    };
    if field("client_id") != CLIENT_ID {
        return error(401, "invalid_client");
    }
    if field("grant_type") == "client_credentials" {
        return partner::token(state, &field("client_secret"));
    }
    let given = match field("grant_type").as_str() {
        "refresh_token" => state.renew(&field("refresh_token")).ok_or((401, "login_required")),
        "authorization_code" => authorize::exchange(state, field),
        _ => Err((400, "unsupported_grant_type")),
    };
    match given {
        Ok((access, refresh)) => Answer::new(
            200,
            json!({
                "access_token": access, "refresh_token": refresh, "id_token": "e30.e30.x",
                "expires_in": state.life.as_secs(), "token_type": "Bearer",
            })
            .to_string(),
        ),
        Err((status, word)) => error(status, word),
    }
}

fn products(state: &State) -> Answer {
    let mut list = vec![json!({ "vehicle_id": 3, "vin": "5YJ3SIMULATED" })];
    list.extend(state.sites.iter().map(|site| {
        let options = site.gateway.options();
        // A site without a battery has no gateway, either.
        if options.kind == SiteKind::Inverter {
            return json!({
                "energy_site_id": site.id, "resource_type": "solar", "site_name": options.name,
                "id": format!("STE{}", site.id),
            });
        }
        json!({
            "energy_site_id": site.id, "resource_type": "battery", "site_name": options.name,
            "id": format!("STE{}", site.id), "gateway_id": site.gateway.din(),
        })
    }));
    list.push(json!({ "resource_type": "wall_connector" }));
    Answer::new(200, json!({ "response": list, "count": list.len() }).to_string())
}

fn site(state: &State, method: &str, path: &str, query: &str) -> Answer {
    let rest = path.strip_prefix("/api/1/energy_sites/").and_then(|rest| rest.split_once('/'));
    let Some((id, what)) = rest else { return error(404, "not_found") };
    let known = |site: &&Site| site.id.to_string() == id;
    let Some(site) = state.sites.iter().find(known) else { return error(404, "not_found") };
    let (mut live, mut info) = site.gateway.in_cloud();
    let taken = unix_time() - state.lag.as_secs_f64();
    let taken = jiff::Timestamp::from_millisecond((taken * 1000.0) as i64).unwrap_or_default();
    live["timestamp"] =
        jiff::tz::offset(-7).to_datetime(taken).strftime("%Y-%m-%dT%H:%M:%S-07:00").to_string().into();
    for (key, value) in &state.instead {
        if key == "live_status" {
            live = value.clone();
        } else if let Some(member) = live.get_mut(key) {
            *member = value.clone();
        } else if let Some(member) = info.get_mut(key) {
            *member = value.clone();
        }
    }
    match (method, what) {
        ("GET", "live_status") => response(&live),
        ("GET", "site_info") => {
            overlay(&mut info, &site.undelivered);
            overlay(&mut info, &site.kept);
            if let Some(tariff) = &site.tariff {
                info["tariff_content_v2"] = tariff.clone();
            }
            response(&info)
        }
        ("GET", "calendar_history") => calendar::answer(query, &site.outages),
        ("GET", "site_status") => response(&status(&live, &info)),
        _ => error(404, "not_found"),
    }
}

/// The site in a few words, as both APIs have it.
pub(super) fn status(live: &Value, info: &Value) -> Value {
    json!({
        "resource_type": "battery", "site_name": info["site_name"], "gateway_id": info["id"],
        "percentage_charged": live["percentage_charged"], "battery_type": "ac_powerwall",
        "backup_capable": true, "battery_power": live["battery_power"],
        "storm_mode_enabled": info["user_settings"]["storm_mode_enabled"],
        "energy_left": 6500, "total_pack_energy": 13_500,
    })
}

/// Puts the members of `over` over those of `value`.
fn overlay(value: &mut Value, over: &Value) {
    match (value, over) {
        (Value::Object(members), Value::Object(over)) => {
            for (key, over) in over {
                overlay(members.entry(key.clone()).or_insert(Value::Null), over);
            }
        }
        (_, Value::Null) => {}
        (value, over) => *value = over.clone(),
    }
}

/// An order: stored, and handed on to the gateway unless Tesla does not.
fn order(state: &mut State, path: &str, body: &[u8]) -> Answer {
    if !state.scopes.iter().any(|scope| scope == "energy_cmds") {
        return error(403, "Unauthorized missing scopes energy_cmds");
    }
    let (delivers, keeps) = (state.delivers, state.keeps);
    let rest = path.strip_prefix("/api/1/energy_sites/").and_then(|rest| rest.split_once('/'));
    let Some((id, what)) = rest else { return error(404, "not_found") };
    let known = |site: &&mut Site| site.id.to_string() == id;
    let Some(site) = state.sites.iter_mut().find(known) else { return error(404, "not_found") };
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    if let Some(answer) = kept(site, keeps, what, &body) {
        return answer;
    }
    let Some((stored, delivered)) = settings(what, &body) else { return error(400, "invalid_command") };
    match delivers {
        true => site.gateway.deliver(&delivered),
        false => overlay(&mut site.undelivered, &stored),
    }
    response(&json!({ "code": 201, "message": "Updated" }))
}

/// An order about what Tesla keeps and no gateway; `None`: it is about something else.
fn kept(site: &mut Site, keeps: bool, what: &str, body: &Value) -> Option<Answer> {
    const CARS: &str = "off_grid_vehicle_charging_reserve_percent";
    let change = match what {
        "storm_mode" => {
            let enabled = body["enabled"].as_bool();
            enabled.map(|enabled| json!({ "user_settings": { "storm_mode_enabled": enabled } }))
        }
        "off_grid_vehicle_charging_reserve" => {
            let percent = body[CARS].as_u64().filter(|percent| *percent <= 100);
            percent.map(|percent| json!({ CARS: percent }))
        }
        "time_of_use_settings" => {
            let content = &body["tou_settings"]["tariff_content_v2"];
            let is_whole = content["seasons"].is_object() && content["energy_charges"].is_object();
            if is_whole && keeps {
                site.tariff = Some(content.clone());
            }
            // A text, as the real one answers.
            let (message, code) = if is_whole { ("Updated", 201) } else { ("Invalid", 400) };
            let text = json!({ "Message": message, "Code": code });
            return Some(response(&format!("{text}\n").into()));
        }
        _ => return None,
    };
    let Some(change) = change else { return Some(error(400, "invalid_command")) };
    if keeps {
        overlay(&mut site.kept, &change);
    }
    Some(response(&json!({ "code": 201, "message": "Updated" })))
}

/// What a request changes: as the site information has it, and as it reaches the gateway.
fn settings(what: &str, body: &Value) -> Option<(Value, Delivered)> {
    let none = Delivered::default();
    match what {
        "backup" => {
            let percent = body["backup_reserve_percent"].as_u64().filter(|percent| *percent <= 100)?;
            let stored = if (81..100).contains(&percent) { 80 } else { percent };
            let reserve = Some(stored as f64 * 0.95 + 5.0);
            Some((json!({ "backup_reserve_percent": stored }), Delivered { reserve, ..none }))
        }
        "operation" => {
            let mode = body["default_real_mode"].as_str()?;
            let mode =
                ["self_consumption", "autonomous", "backup"].into_iter().find(|known| *known == mode)?;
            Some((json!({ "default_real_mode": mode }), Delivered { mode: Some(mode.into()), ..none }))
        }
        "grid_import_export" => {
            // A member that is null is refused.
            if body.as_object()?.values().any(Value::is_null) {
                return None;
            }
            let charging = body["disallow_charge_from_grid_with_solar_installed"].as_bool();
            let export = body["customer_preferred_export_rule"].as_str().map(str::to_owned);
            let delivered = Delivered { charging: charging.map(|forbids| !forbids), export, ..none };
            Some((json!({ "components": body }), delivered))
        }
        _ => None,
    }
}
