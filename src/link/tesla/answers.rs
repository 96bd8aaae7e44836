//! What Tesla reports of a site: live status and site information as received, and what they mean.
//!
//! Percentages of Tesla's cloud are on the scale of the app; readings are on the raw one. How old Tesla's own
//! value was when it was sent counts into the age of the readings.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use tokio::time::Instant;

use super::error::TeslaError;
use super::extras::Extras;
use super::{documents, tariff};
use crate::link::bounds::{CONFIG, METERS};
use crate::link::json::{Look, document};
use crate::model::tariff::Tariff;
use crate::model::{
    Adjustments, Answers, AppPercent, BackupEvents, Charge, GridOutage, GridStatus, Interpretation,
    NumberingMemory, Part, Power, RawPercent, Readings,
};

/// Tesla renews the values of a site when it likes; older ones are as good as none.
const SLOW: Duration = Duration::from_secs(600);
/// No value is older, whatever a clock says.
const OLDEST: Duration = Duration::from_secs(7 * 86_400);

/// Of one site. Cheap to clone.
#[derive(Clone, Debug)]
pub struct FleetAnswers {
    /// `live_status`, as received.
    live: Bytes,
    /// `site_info`, as received; `None` before it came.
    info: Option<Bytes>,
    /// What is asked for rarely.
    pub(super) extras: Extras,
    /// What the gateway listed when it was asked for an order; nobody asks for it otherwise, as it costs.
    backups: Option<Arc<BackupEvents>>,
    facts: Arc<Facts>,
    /// When `live` came.
    came: Instant,
    /// How old Tesla's value was then.
    age: Duration,
    /// How often it is asked for.
    interval: Duration,
}

/// What every poll needs.
#[derive(Clone, Debug, Default)]
struct Facts {
    power: Power,
    percent: Option<RawPercent>,
    grid: Option<GridStatus>,
    info: Settings,
}

/// What the site information holds.
#[derive(Clone, Debug, Default)]
struct Settings {
    reserve: Option<RawPercent>,
    mode: Option<String>,
    grid_charging: Option<bool>,
    grid_export: Option<String>,
    site_name: Option<String>,
    timezone: Option<String>,
    firmware: Option<String>,
    din: Option<String>,
    has_battery: Option<bool>,
    storm_watch: Option<bool>,
    /// Whether there is a storm watch to be set.
    watches_storms: Option<bool>,
    vehicle_reserve: Option<AppPercent>,
    /// Whether there is a reserve for cars to be set.
    has_vehicle_reserve: bool,
    tariff: Option<Arc<Tariff>>,
}

impl FleetAnswers {
    /// From a first `live_status`, which came with a `Date` of `sent`, Unix seconds.
    ///
    /// # Errors
    /// If it is not what Tesla reports of a site.
    pub fn new(live: Bytes, sent: f64, din: Option<String>, interval: Duration) -> Result<Self, TeslaError> {
        let (now, info) = (Instant::now(), Settings { din, ..Settings::default() });
        let facts = Arc::new(Facts { info, ..Facts::default() });
        let empty = Bytes::new();
        let (age, extras) = (Duration::ZERO, Extras::default());
        let mut answers =
            Self { live: empty, info: None, extras, backups: None, facts, came: now, age, interval };
        answers.accept_live(live, sent)?;
        Ok(answers)
    }

    /// Takes over a `live_status`.
    ///
    /// # Errors
    /// If it is not one; the one before it stays.
    pub fn accept_live(&mut self, body: Bytes, sent: f64) -> Result<(), TeslaError> {
        let answer = document(&body, &METERS).map_err(|why| TeslaError::Malformed(why.to_string()))?;
        let live = answer.at(&["response"]);
        if !live.is_object() {
            // A site that is not connected is reported as null, or as a text.
            return Err(TeslaError::Malformed("it reports nothing of the site; it may be offline".into()));
        }
        let watts = |key: &str| live.at(&[key]).number();
        let facts = Arc::make_mut(&mut self.facts);
        facts.power = Power {
            site: watts("grid_power"),
            battery: watts("battery_power"),
            load: watts("load_power"),
            solar: watts("solar_power"),
        };
        facts.percent = percent(live.at(&["percentage_charged"]));
        facts.grid = grid(live);
        (self.came, self.age) = (Instant::now(), age(live, sent));
        self.live = body;
        Ok(())
    }

    /// Takes over a `site_info`.
    ///
    /// # Errors
    /// If it is not one; the one before it stays.
    pub fn accept_info(&mut self, body: Bytes) -> Result<(), TeslaError> {
        let answer = document(&body, &CONFIG).map_err(|why| TeslaError::Malformed(why.to_string()))?;
        let info = answer.at(&["response"]);
        if !info.is_object() {
            return Err(TeslaError::Malformed("it reports nothing of the site; it may be offline".into()));
        }
        let text = |key: &str| info.at(&[key]).name().map(str::to_owned);
        let facts = Arc::make_mut(&mut self.facts);
        let din = text("id").filter(|id| id.contains("--"));
        facts.info = Settings {
            reserve: percent(info.at(&["backup_reserve_percent"])),
            mode: text("default_real_mode"),
            grid_charging: Some(!forbids_charging(info)),
            grid_export: export(info),
            site_name: text("site_name"),
            timezone: text("installation_time_zone"),
            firmware: text("version"),
            din: din.or(facts.info.din.take()),
            has_battery: info.at(&["components", "battery"]).as_bool(),
            storm_watch: info.at(&["user_settings", "storm_mode_enabled"]).as_bool(),
            watches_storms: info.at(&["components", "storm_mode_capable"]).as_bool(),
            vehicle_reserve: app_percent(info.at(&["off_grid_vehicle_charging_reserve_percent"])),
            has_vehicle_reserve: info
                .at(&["components", "off_grid_vehicle_charging_reserve_supported"])
                .is_true(),
            tariff: tariff::of_content(info.at(&["tariff_content_v2"])).map(Arc::new),
        };
        self.info = Some(body);
        Ok(())
    }

    /// What `body` is about; null where there is nothing.
    fn response(body: Option<&Bytes>) -> Value {
        let parsed = body.and_then(|body| serde_json::from_slice::<Value>(body).ok());
        parsed.map(|mut answer| answer["response"].take()).unwrap_or_default()
    }

    /// DIN of the gateway, as the site reports it.
    pub(super) fn din(&self) -> Option<String> {
        self.facts.info.din.clone()
    }

    /// Whether the site has a battery, as it reports it.
    pub(super) fn has_battery(&self) -> Option<bool> {
        self.facts.info.has_battery
    }

    /// The settings that Tesla keeps and no gateway, as it reported them last; `None`: it has not yet.
    pub(super) fn cloud_only(&self) -> Option<CloudOnly> {
        self.info.as_ref()?;
        let info = &self.facts.info;
        Some(CloudOnly {
            storm_watch: info.storm_watch,
            watches_storms: info.watches_storms,
            vehicle_reserve: info.vehicle_reserve,
            has_vehicle_reserve: info.has_vehicle_reserve,
        })
    }

    /// The tariff of the site as Tesla keeps it; null where it has none.
    pub(super) fn tariff_content(&self) -> Value {
        Self::response(self.info.as_ref())["tariff_content_v2"].take()
    }

    /// Takes over the list of backup events.
    pub(super) fn accept_backups(&mut self, events: BackupEvents) {
        self.backups = Some(Arc::new(events));
    }

    /// Time zone of the site, as it reports it.
    pub(super) fn zone(&self) -> Option<&str> {
        self.facts.info.timezone.as_deref()
    }

    /// When the live status came.
    pub fn came(&self) -> Instant {
        self.came
    }
}

/// Settings that Tesla keeps and no gateway.
pub(super) struct CloudOnly {
    pub storm_watch: Option<bool>,
    /// Whether there is a storm watch to be set, if Tesla says.
    pub watches_storms: Option<bool>,
    pub vehicle_reserve: Option<AppPercent>,
    pub has_vehicle_reserve: bool,
}

/// On the raw scale; what is not between 0 and 100 is none.
fn percent(app: &Value) -> Option<RawPercent> {
    app_percent(app).map(AppPercent::to_raw)
}

fn app_percent(app: &Value) -> Option<AppPercent> {
    let app = app.number()?.as_f64();
    (0.0..=100.0).contains(&app).then_some(AppPercent(app))
}

/// Whether the home is connected to the grid; sites of solar alone report `Unknown`, and are.
fn grid(live: &Value) -> Option<GridStatus> {
    match (live.at(&["island_status"]).name(), live.at(&["grid_status"]).name()) {
        (Some("on_grid"), _) => Some(GridStatus::Up),
        (Some("off_grid" | "off_grid_intentional" | "off_grid_unintentional"), _) => Some(GridStatus::Down),
        (_, Some("Active")) => Some(GridStatus::Up),
        (_, Some("Unknown")) if live.at(&["battery_power"]).number().is_none() => Some(GridStatus::Up),
        (_, Some("Unknown")) | (_, None) => None,
        (_, Some(_)) => Some(GridStatus::Down),
    }
}

/// Absent counts as allowed, as Tesla has it.
fn forbids_charging(info: &Value) -> bool {
    const KEY: &str = "disallow_charge_from_grid_with_solar_installed";
    info.at(&["components", KEY]).is_true() || info.at(&[KEY]).is_true()
}

fn export(info: &Value) -> Option<String> {
    let components = info.at(&["components"]);
    let rule = components.at(&["customer_preferred_export_rule"]).name();
    match (components.at(&["non_export_configured"]).is_true(), rule) {
        (true, _) => Some("never".into()),
        (false, rule) => rule.map(str::to_owned),
    }
}

/// How old Tesla's own value is, by Tesla's own clock.
fn age(live: &Value, sent: f64) -> Duration {
    let taken = live.at(&["timestamp"]).name().and_then(|text| text.parse::<jiff::Timestamp>().ok());
    let age = taken.map(|taken| sent - taken.as_millisecond() as f64 / 1000.0);
    age.and_then(|age| Duration::try_from_secs_f64(age).ok()).unwrap_or_default().min(OLDEST)
}

impl Answers for FleetAnswers {
    fn size(&self) -> usize {
        self.live.len() + self.info.as_ref().map_or(0, Bytes::len) + self.extras.size()
    }

    fn age(&self) -> Duration {
        self.age + self.came.elapsed()
    }

    fn usual_age(&self) -> Duration {
        self.interval * 2 + SLOW
    }

    fn readings(&self, adjustments: &Adjustments) -> Readings {
        let facts = &self.facts;
        let info = &facts.info;
        Readings {
            power: adjustments.apply(facts.power),
            charge: Charge { reported: facts.percent, ..Charge::default() },
            grid: facts.grid,
            // What Tesla reports of the island is not what the contactor says.
            contactor_closed: None,
            nameplate: None,
            reserve: info.reserve,
            mode: info.mode.clone(),
            grid_charging: info.grid_charging.filter(|_| self.info.is_some()),
            grid_export: info.grid_export.clone(),
            storm_watch: info.storm_watch,
            vehicle_reserve: info.vehicle_reserve.filter(|_| info.has_vehicle_reserve),
            tariff: info.tariff.clone(),
            time_remaining: self.extras.hours(),
            site_name: info.site_name.clone(),
            timezone: info.timezone.clone(),
            firmware: info.firmware.clone(),
            powerwall3: info.din.as_ref().map(|din| din.starts_with("1707000")),
            din: info.din.clone(),
            supplements: Vec::new(),
        }
    }

    fn interpret(
        &self,
        readings: &Arc<Readings>,
        _: &Adjustments,
        numbers: &NumberingMemory,
    ) -> Interpretation {
        let (live, info) = (Self::response(Some(&self.live)), Self::response(self.info.as_ref()));
        let status = Self::response(self.extras.status.as_ref());
        documents::interpret((&live, &info, &status), readings, numbers)
    }

    fn backup_events(&self) -> Option<Arc<BackupEvents>> {
        self.backups.clone()
    }

    fn grid_outages(&self) -> Option<Arc<[GridOutage]>> {
        self.extras.outages.clone()
    }

    fn raw(&self, part: Part) -> Option<Bytes> {
        match part {
            Part::CloudStatus => Some(self.live.clone()),
            Part::CloudInfo => self.info.clone(),
            Part::CloudBattery => self.extras.status.clone(),
            Part::CloudTariff => self.extras.tariff.clone(),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn live(changes: Value) -> Bytes {
        let mut live = json!({
            "solar_power": 3102, "battery_power": -1000.5, "load_power": 2000, "grid_power": 0,
            "percentage_charged": 50.0, "grid_status": "Active", "island_status": "on_grid",
            "timestamp": "2026-09-21T14:13:20-07:00",
        });
        for (key, value) in changes.as_object().unwrap() {
            live[key] = value.clone();
        }
        json!({ "response": live }).to_string().into()
    }

    fn readings(changes: Value) -> Readings {
        let answers = FleetAnswers::new(live(changes), 0.0, None, Duration::from_secs(60)).unwrap();
        answers.readings(&Adjustments::default())
    }

    /// Of the timestamp above.
    const TAKEN: f64 = 1_790_025_200.0;

    #[test]
    fn what_is_missing_is_unknown_and_percentages_are_raw() {
        let all = readings(json!({}));
        assert_eq!(all.power.battery.unwrap().as_f64(), -1000.5);
        assert_eq!(all.power.site.unwrap().as_f64(), 0.0);
        assert_eq!(all.charge.state_of_energy(), Some(RawPercent(52.5)));
        let none = readings(json!({ "percentage_charged": null, "solar_power": null }));
        assert_eq!((none.charge.state_of_energy(), none.power.solar), (None, None));
        assert_eq!((none.grid_charging, none.reserve, none.mode), (None, None, None));
        for odd in ["null", r#""""#, "[]"] {
            let body = Bytes::from(format!(r#"{{"response":{odd}}}"#));
            let error = FleetAnswers::new(body, 0.0, None, Duration::ZERO).unwrap_err();
            assert_eq!(error.kind(), "malformed", "{odd}");
        }
    }

    #[test]
    fn the_grid_is_up_down_or_unknown() {
        let grid = |island: Value, status: Value, battery: Value| {
            readings(json!({ "island_status": island, "grid_status": status, "battery_power": battery })).grid
        };
        let (up, down) = (Some(GridStatus::Up), Some(GridStatus::Down));
        assert_eq!(grid("off_grid_intentional".into(), "Active".into(), 1.into()), down);
        assert_eq!(grid("off_grid_unintentional".into(), "Inactive".into(), 1.into()), down);
        assert_eq!(grid("island_status_unknown".into(), "Active".into(), 1.into()), up);
        assert_eq!(grid(Value::Null, "Inactive".into(), 1.into()), down);
        assert_eq!(grid(Value::Null, "Unknown".into(), Value::Null), up);
        assert_eq!(grid(Value::Null, "Unknown".into(), 1.into()), None);
        assert_eq!(grid(Value::Null, Value::Null, 1.into()), None);
    }

    #[tokio::test(start_paused = true)]
    async fn the_age_of_teslas_own_value_counts() {
        let minute = Duration::from_secs(60);
        let mut answers = FleetAnswers::new(live(json!({})), TAKEN + 180.0, None, minute).unwrap();
        assert_eq!(answers.age(), 3 * minute);
        tokio::time::sleep(minute).await;
        assert_eq!(answers.age(), 4 * minute);
        // A clock of Tesla's that runs behind makes nothing younger than now.
        answers.accept_live(live(json!({})), TAKEN - 5.0).unwrap();
        assert_eq!(answers.age(), Duration::ZERO);
    }

    #[test]
    fn settings_come_from_the_site_information() {
        let mut answers =
            FleetAnswers::new(live(json!({})), TAKEN, Some("p--A".into()), Duration::ZERO).unwrap();
        assert_eq!(answers.readings(&Adjustments::default()).din.as_deref(), Some("p--A"));
        let info = json!({ "response": {
            "id": "1707000-11-J--TG1", "site_name": "Home", "backup_reserve_percent": 20,
            "default_real_mode": "autonomous", "version": "26.10",
            "installation_time_zone": "Europe/Berlin",
            "components": { "disallow_charge_from_grid_with_solar_installed": true,
                "customer_preferred_export_rule": "pv_only" },
        }});
        answers.accept_info(info.to_string().into()).unwrap();
        let readings = answers.readings(&Adjustments::default());
        assert_eq!(readings.reserve, Some(RawPercent(24.0)));
        assert_eq!((readings.grid_charging, readings.grid_export.as_deref()), (Some(false), Some("pv_only")));
        assert_eq!((readings.powerwall3, readings.din.as_deref()), (Some(true), Some("1707000-11-J--TG1")));
        let error = answers.accept_info(Bytes::from_static(br#"{"response":null}"#)).unwrap_err();
        assert_eq!(error.kind(), "malformed");
        assert_eq!(answers.readings(&Adjustments::default()).mode.as_deref(), Some("autonomous"));
    }
}
