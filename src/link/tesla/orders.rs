//! Orders over FleetAPI: what is posted for each, and how it is read back from the site information.
//!
//! Each is sent once. Tesla stores it and hands it on to the gateway when it likes, so what reads back there
//! proves that Tesla has it, and no more. Percentages are whole ones, on the scale of the app.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use super::FleetLink;
use super::account::Question;
use super::answers::FleetAnswers;
use super::error::{TeslaError, reason};
use super::ledger::Purpose;
use super::tariff;
use crate::link::json::Look;
use crate::link::order::{Carried, ReadBack};
use crate::link::{Link, LinkError};
use crate::model::order::{ExportRule, Mode};
use crate::model::{
    Adjustments, Answers, ErrorNote, LinkKind, Means, Obstacle, Order, OrderKind, Outcome, Present, Proof,
    Reserve, Setpoint, Unable,
};

const READ: &str = "site information";
const STORED: &str = "what Tesla has stored for the site";
const NOT_OVER_THIS: &str = "FleetAPI does not take this; it goes over TEDAPI v1r (rsa_key_path)";
const NOT_OVER_OWNERS: &str = "the owners API takes a backup reserve, a mode, charging from the grid and \
    export; more goes over FleetAPI (powerwall-server login)";
const NO_STORMS: &str = "the site has no storm watch, as Tesla reports it";
const NO_CARS: &str = "the site has no reserve for cars off grid, as Tesla reports it";
pub(super) const NO_CONSENT: &str = "the consent given in the Tesla account covers reading only; allow \
    energy_cmds (energy commands) for this application there, or log in again with it";
/// From above this up to 100, exclusive, Tesla stores this instead.
const CAP: f64 = 80.0;

/// One request of an order.
struct Step {
    endpoint: &'static str,
    body: Value,
    /// What it does, for a person.
    does: String,
}

impl FleetLink {
    pub(super) fn means(&self, kind: OrderKind) -> Result<Means, Unable> {
        match kind {
            OrderKind::Reserve
            | OrderKind::ReserveHold
            | OrderKind::Mode
            | OrderKind::Operation
            | OrderKind::Charging
            | OrderKind::Export => {}
            _ if self.kind() == LinkKind::Cloud => {
                return Err(Obstacle::NoLink.because(NOT_OVER_OWNERS));
            }
            OrderKind::MaxBackup | OrderKind::StormWatch | OrderKind::VehicleReserve | OrderKind::Tariff => {}
            _ => return Err(Obstacle::NoLink.because(NOT_OVER_THIS)),
        }
        if !self.account.may_control() {
            return Err(Obstacle::NoPermission.because(NO_CONSENT));
        }
        let (Some(answers), Some(_)) = (&self.answers, &self.site) else {
            return Err(Obstacle::NotReached.because("Tesla has not reported the site yet"));
        };
        if answers.has_battery() == Some(false) {
            return Err(Obstacle::NoBattery.because("the site has no battery, as Tesla reports it"));
        }
        let is_unread =
            || Obstacle::NotReached.because("Tesla has not reported the settings of the site yet");
        match (kind, answers.cloud_only()) {
            (OrderKind::StormWatch | OrderKind::VehicleReserve, None) => return Err(is_unread()),
            (OrderKind::StormWatch, Some(known)) if known.watches_storms == Some(false) => {
                return Err(Obstacle::Firmware.because(NO_STORMS));
            }
            (OrderKind::VehicleReserve, Some(known)) if !known.has_vehicle_reserve => {
                return Err(Obstacle::Firmware.because(NO_CARS));
            }
            _ => {}
        }
        self.is_own_site(answers.din().as_deref())?;
        Ok(Means { link: self.kind(), proves: Proof::Stored })
    }

    /// An order reaches the gateway that other links to it reach, or nobody. `reported`: by the site itself.
    fn is_own_site(&self, reported: Option<&str>) -> Result<(), Unable> {
        let listed = self.site.as_ref().and_then(|site| site.din.as_deref());
        let reported = reported.or(listed);
        let expected = self.bound.as_deref().or(listed);
        match (expected, reported) {
            (Some(expected), Some(reported)) if expected != reported => Err(Obstacle::NotReached.because(
                "the site in the Tesla account is another gateway than this one; nothing is ordered from it",
            )),
            (Some(_), None) => Err(Obstacle::NotReached.because(
                "Tesla does not report which gateway the site has, so an order might reach another house",
            )),
            _ => Ok(()),
        }
    }

    pub(super) async fn carry_out_once(&mut self, order: &Order, limit: Duration) -> Carried {
        let began = Instant::now();
        if let Err(unable) = self.means(order.kind()) {
            return Carried::unable(unable);
        }
        if let Order::MaxBackup(asked) = order {
            return self.max_backup(*asked, began + limit).await;
        }
        let steps = match order.setpoint().map_or_else(|| step(order), |asked| steps(&asked)) {
            Ok(steps) => steps,
            Err(why) => return Carried::not_sent("unsupported", why),
        };
        // What is left for the order itself is at least as much again.
        let read = timeout(limit / 2, self.check()).await;
        let answers = match read.unwrap_or(Err(TeslaError::Timeout(limit / 2))) {
            Ok(answers) => answers,
            Err(error) => return Carried::unread(READ, error.into()),
        };
        let present = Present::of(&answers.readings(&Adjustments::default()));
        // By what was just read.
        if let Err(unable) = self.means(order.kind()) {
            return Carried::unable(unable);
        }
        if stands(order, &answers) == Some(Ok(())) {
            let already = format!("{STORED} had it already; nothing was sent");
            return Carried::outcome(Outcome::Stored(already)).after(present);
        }
        self.post_all(&steps, began + limit).await.after(present)
    }

    /// One request after the other, as far as each is accepted.
    async fn post_all(&self, steps: &[Step], ends: Instant) -> Carried {
        let mut done: Vec<&str> = Vec::new();
        let mut carried = Carried::not_sent("unsupported", "it changes nothing");
        for step in steps {
            let left = ends.saturating_duration_since(Instant::now());
            let posted = timeout(left, self.post(step)).await.unwrap_or(Err(TeslaError::Timeout(left)));
            carried = match posted {
                Ok(outcome) => Carried::outcome(outcome),
                // Before anything is sent.
                Err(error @ TeslaError::Budget { .. }) => Carried::not_sent(error.kind(), error.to_string()),
                Err(error) => Carried::failed(LinkError::Tesla(error)),
            };
            if !carried.is_accepted() {
                break;
            }
            done.push(&step.does);
        }
        let is_whole = carried.is_accepted();
        match done.is_empty() || is_whole {
            true => carried,
            false => carried.half_done(&format!("Tesla accepted {}", done.join(" and "))),
        }
    }

    async fn post(&self, step: &Step) -> Result<Outcome, TeslaError> {
        let Some(site) = &self.site else { return Err(TeslaError::Site("the site is not known".into())) };
        let path = format!("/api/1/energy_sites/{}/{}", site.id, step.endpoint);
        let question = Question::post(&path, &step.does, step.body.to_string().into());
        let answer = self.account.ask(&self.web, question).await?;
        Ok(judge(&serde_json::from_slice(&answer.body).unwrap_or_default()))
    }

    /// Reads the settings for an order.
    async fn check(&mut self) -> Result<FleetAnswers, TeslaError> {
        self.info(Purpose::Check).await?;
        self.answers.clone().ok_or_else(|| TeslaError::Site("the site is not known".into()))
    }

    pub(super) async fn read_back_once(&mut self, order: &Order) -> ReadBack {
        if let Order::MaxBackup(asked) = order {
            return self.read_backups(*asked).await;
        }
        match self.check().await {
            Ok(answers) => {
                let present = Present::of(&answers.readings(&Adjustments::default()));
                let mut read = ReadBack::of(order, present, STORED);
                match stands(order, &answers) {
                    Some(Ok(())) => {
                        read.shows = Some(Outcome::Stored(format!("{STORED} reads back as asked")));
                    }
                    Some(Err(instead)) => read.instead = Some(format!("{STORED} has {instead}")),
                    None => {}
                }
                ReadBack { source: Some(std::sync::Arc::new(answers)), ..read }
            }
            Err(error) => ReadBack::failed(error.into()),
        }
    }
}

/// What is posted of a setting that Tesla keeps and no gateway.
fn step(order: &Order) -> Result<Vec<Step>, String> {
    let (endpoint, body) = match order {
        Order::StormWatch(is_on) => ("storm_mode", json!({ "enabled": is_on })),
        Order::VehicleReserve(reserve) => {
            let percent = exact(*reserve)?;
            let body = json!({ "off_grid_vehicle_charging_reserve_percent": percent });
            ("off_grid_vehicle_charging_reserve", body)
        }
        Order::Tariff(tariff) => {
            let settings = tariff.settings().ok_or("nothing of the tariff but its name is known any more")?;
            ("time_of_use_settings", json!({ "tou_settings": settings }))
        }
        _ => return Err(NOT_OVER_THIS.into()),
    };
    Ok(vec![Step { endpoint, body, does: order.to_string() }])
}

/// Whether a setting that Tesla keeps and no gateway is as ordered, or what is there instead; `None`: it is
/// not such a setting.
fn stands(order: &Order, answers: &FleetAnswers) -> Option<Result<(), String>> {
    let known = answers.cloud_only()?;
    let (is_so, instead) = match order {
        Order::StormWatch(is_on) => (
            known.storm_watch == Some(*is_on),
            known.storm_watch.map(|is_on| format!("storm watch {}", if is_on { "on" } else { "off" })),
        ),
        Order::VehicleReserve(asked) => (
            known.vehicle_reserve == Some(asked.app()),
            known.vehicle_reserve.map(|percent| format!("an off-grid vehicle reserve of {} %", percent.0)),
        ),
        Order::Tariff(asked) => {
            let content = asked.settings()?.get("tariff_content_v2")?;
            let stored = answers.tariff_content();
            let name = stored["name"].as_str().map(|name| name.chars().take(60).collect::<String>());
            (is_same(content, &stored), name.map(|name| format!("the tariff {name:?}")))
        }
        _ => return None,
    };
    Some(if is_so { Ok(()) } else { Err(instead.unwrap_or_else(|| "nothing of it".into())) })
}

/// Whether two tariffs mean the same prices under the same name. Tesla adds members, and leaves out zeros.
fn is_same(asked: &Value, stored: &Value) -> bool {
    let meaning = |content: &Value| tariff::of_content(content);
    let is_name = asked["name"].is_null() || asked["name"] == stored["name"];
    match (meaning(asked), meaning(stored)) {
        (Some(asked), Some(stored)) => is_name && asked == stored,
        _ => asked == stored,
    }
}

/// What is posted, in this order; an order that Tesla would not store as it is has no steps.
fn steps(asked: &Setpoint) -> Result<Vec<Step>, String> {
    let mut steps = Vec::new();
    if let Some(reserve) = asked.reserve {
        let body = json!({ "backup_reserve_percent": whole(reserve)? });
        steps.push(Step { endpoint: "backup", body, does: format!("a backup reserve of {reserve}") });
    }
    if let Some(mode) = asked.mode {
        let body = json!({ "default_real_mode": Mode::word(mode) });
        steps.push(Step { endpoint: "operation", body, does: format!("the mode {mode}") });
    }
    let (charging, export) = (asked.charging, asked.export.map(ExportRule::word));
    // Only what changes: a member that is null is refused.
    let mut grid = json!({});
    let mut does = Vec::new();
    if let Some(allowed) = charging {
        grid["disallow_charge_from_grid_with_solar_installed"] = (!allowed).into();
        does.push(if allowed { "charging from the grid" } else { "no charging from the grid" }.to_owned());
    }
    if let Some(rule) = export {
        grid["customer_preferred_export_rule"] = rule.into();
        does.push(format!("the export rule {rule}"));
    }
    if !does.is_empty() {
        steps.push(Step { endpoint: "grid_import_export", body: grid, does: does.join(" and ") });
    }
    Ok(steps)
}

/// The backup reserve as Tesla takes it.
fn whole(reserve: Reserve) -> Result<u8, String> {
    let rounded = f64::from(exact(reserve)?);
    if rounded > CAP && rounded < 100.0 {
        return Err(format!("Tesla would store {CAP} % instead of {reserve}; order {CAP} % or 100 %"));
    }
    Ok(rounded as u8)
}

/// Whole percents.
fn exact(reserve: Reserve) -> Result<u8, String> {
    let percent = reserve.app().0;
    let rounded = percent.round();
    if (percent - rounded).abs() > 0.01 {
        return Err(format!("Tesla takes whole percents, and {reserve} is none"));
    }
    Ok(rounded as u8)
}

/// What an answer with a good status says of an order.
pub(super) fn judge(parsed: &Value) -> Outcome {
    let note = |kind, message: String| ErrorNote { kind, message };
    let response = parsed.at(&["response"]);
    // Some endpoints answer with JSON inside a text.
    let inner = response.text().and_then(|text| serde_json::from_str::<Value>(text).ok());
    let response = inner.as_ref().unwrap_or(response);
    let code = ["code", "Code"].into_iter().find_map(|key| response.at(&[key]).as_u64());
    let said = reason(parsed);
    if response.at(&["result"]).as_bool() == Some(false) || code.is_some_and(|code| code >= 400) {
        let why = said.unwrap_or_else(|| "it gives no reason".into());
        return Outcome::Refused(note("refused_by_tesla", format!("Tesla refuses: {why}")));
    }
    if !response.is_object() {
        return Outcome::Unknown(note("malformed", "Tesla's answer says neither yes nor no".into()));
    }
    let said = said.unwrap_or_else(|| "yes".into());
    Outcome::Accepted(format!("Tesla's cloud accepted it ({said}); it hands it on to the gateway"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::AppPercent;

    fn reserve(percent: f64) -> Setpoint {
        Setpoint { reserve: Reserve::new(AppPercent(percent)), ..Setpoint::default() }
    }

    #[test]
    fn an_order_is_what_teslas_own_pages_name() {
        let all = Setpoint {
            mode: Some(Mode::Autonomous),
            charging: Some(true),
            export: Some(ExportRule::SolarOnly),
            ..reserve(20.0)
        };
        let posted: Vec<String> =
            steps(&all).unwrap().iter().map(|step| format!("{} {}", step.endpoint, step.body)).collect();
        assert_eq!(
            posted,
            [
                r#"backup {"backup_reserve_percent":20}"#,
                r#"operation {"default_real_mode":"autonomous"}"#,
                concat!(
                    r#"grid_import_export {"disallow_charge_from_grid_with_solar_installed":false,"#,
                    r#""customer_preferred_export_rule":"pv_only"}"#
                ),
            ]
        );
        let export = Setpoint { export: Some(ExportRule::Nothing), ..Setpoint::default() };
        let only = steps(&export).unwrap();
        assert_eq!(only[0].body.to_string(), r#"{"customer_preferred_export_rule":"never"}"#);
        assert_eq!(only.len(), 1);
    }

    #[test]
    fn a_reserve_that_tesla_would_store_otherwise_is_not_sent() {
        for stays in [0.0, 5.0, 80.0, 100.0] {
            assert_eq!(steps(&reserve(stays)).unwrap().len(), 1, "{stays}");
        }
        for odd in [80.5, 81.0, 99.0, 33.3] {
            assert!(steps(&reserve(odd)).is_err(), "{odd}");
        }
    }

    #[test]
    fn a_good_status_may_be_a_refusal() {
        let word = |body: &'static str| judge(&serde_json::from_str(body).unwrap_or_default()).word();
        assert_eq!(word(r#"{"response":{"code":201,"message":"Updated"}}"#), "accepted");
        assert_eq!(word(r#"{"response":{"result":true}}"#), "accepted");
        assert_eq!(word(r#"{"response":{"result":false,"reason":"not_supported"}}"#), "refused");
        assert_eq!(word(r#"{"response":{"code":403,"message":"forbidden"}}"#), "refused");
        assert_eq!(word(r#"{"response":{"Code":500}}"#), "refused");
        assert_eq!(word(r#"{"response":"{\"Message\":\"Updated\",\"Code\":201}\n"}"#), "accepted");
        assert_eq!(word(r#"{"response":"{\"Code\":400}"}"#), "refused");
        assert_eq!(word(r#"{"response":null}"#), "unknown");
        assert_eq!(word("<html>"), "unknown");
    }
}
