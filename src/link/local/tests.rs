use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use tokio::time::sleep;

use super::*;
use crate::link::careful::Careful;
use crate::link::https::{Answer, Call};
use crate::model::answers::interpreted;
use crate::model::{Adjustments, Telemetry};
use crate::settings::{AuthMode, CertificatePolicy, Secret};

const SECOND: Duration = Duration::from_secs(1);
const TICK: Duration = Duration::from_secs(5);

/// A gateway of which every answer can be changed.
#[derive(Default)]
struct Script {
    /// What paths answer instead of their document.
    status: HashMap<&'static str, u16>,
    firmware: &'static str,
    /// Whether no session is good for anything.
    refuses: bool,
    /// Whether sessions end at once.
    forgets: bool,
    /// Whether nothing answers.
    is_down: bool,
    asked: Vec<(String, Instant)>,
    /// What stands there of two gateways.
    is_other: bool,
    /// What its solar meter has counted, Wh.
    counted: u64,
}

impl Script {
    fn count(&self, path: &str) -> usize {
        self.asked.iter().filter(|(asked, _)| asked == path).count()
    }
}

#[derive(Clone, Default)]
struct Gateway(Rc<RefCell<Script>>);

impl Exchange for Gateway {
    fn exchange(&self, call: Call) -> LocalBoxFuture<'_, Result<Answer, LinkError>> {
        let mut script = self.0.borrow_mut();
        script.asked.push((call.path.to_string(), Instant::now()));
        if script.is_down {
            return Box::pin(async { Err(LinkError::Unreachable("no route to host".into())) });
        }
        let path = &*call.path;
        // The oldest firmware is open to everybody.
        let is_open = script.firmware.starts_with("1.");
        // Before 20.49, only the meters are.
        let is_metered = script.firmware.starts_with("20.") && path == "/api/meters/aggregates";
        let is_stranger = call.headers.is_empty() && !is_open && !is_metered;
        let text = match path {
            "/api/login/Basic" => r#"{"token":"t"}"#.to_owned(),
            "/api/meters/aggregates" => {
                let counted = script.counted;
                format!(r#"{{"site":{{"instant_power":1}},"solar":{{"energy_exported":{counted}}}}}"#)
            }
            "/api/system_status/soe" => r#"{"percentage":50}"#.to_owned(),
            "/api/system_status/grid_status" => r#"{"grid_status":"SystemGridConnected"}"#.to_owned(),
            "/api/status" => {
                let serial = if script.is_other { "T2" } else { "T1" };
                format!(r#"{{"version":"{}","din":"1232100-00-E--{serial}"}}"#, script.firmware)
            }
            "/api/networks" => "[]".to_owned(),
            "/api/site_info" if !script.is_other => r#"{"site_name":"Home"}"#.to_owned(),
            "/api/system_status" => {
                let serial = if script.is_other { "B" } else { "A" };
                format!(r#"{{"battery_blocks":[{{"PackageSerialNumber":"{serial}"}}]}}"#)
            }
            "/api/devices/vitals" => String::from_utf8(vec![0x0a, 0]).unwrap(),
            _ => "{}".to_owned(),
        };
        let refused = path != "/api/login/Basic" && (script.refuses || is_stranger);
        let status = if refused { 403 } else { script.status.get(path).copied().unwrap_or(200) };
        script.refuses |= script.forgets && !refused;
        let body = if status == 200 { Bytes::from(text) } else { Bytes::new() };
        let answer = Answer { status, body, ..Answer::default() };
        Box::pin(async { Ok(answer) })
    }
}

struct Bench {
    gateway: Gateway,
    link: Careful,
    started: Instant,
    newest: Option<Arc<dyn Answers>>,
}

impl Bench {
    fn new(firmware: &'static str) -> Self {
        let gateway = Gateway::default();
        gateway.0.borrow_mut().firmware = firmware;
        let config = LocalConfig {
            host: "home".into(),
            port: 443,
            email: "a@b.c".into(),
            password: Secret::new("pass"),
            auth_mode: AuthMode::Cookie,
            timezone: "UTC".into(),
            certificate: CertificatePolicy::Off,
        };
        let memory = Memory::new("home", None);
        let link = LocalLink::over("home", gateway.clone(), &config, memory.clone());
        let link = Careful::new(Box::new(link), memory);
        Self { gateway, link, started: Instant::now(), newest: None }
    }

    /// Polls and refreshes as the gateway's actor does.
    async fn run(&mut self, duration: Duration) {
        let end = Instant::now() + duration;
        while Instant::now() < end {
            let outcome = self.link.poll().await;
            let mut more = outcome.is_ok();
            self.newest = outcome.ok().or(self.newest.take());
            while more {
                let refreshed = self.link.refresh().await;
                more = refreshed.more && refreshed.problem.is_none();
                self.newest = refreshed.source.or(self.newest.take());
            }
            sleep(TICK).await;
        }
    }

    fn script(&self) -> std::cell::RefMut<'_, Script> {
        self.gateway.0.borrow_mut()
    }

    fn count(&self, endpoint: Endpoint) -> usize {
        self.script().count(endpoint.path())
    }

    fn answers(&self) -> Arc<dyn Answers> {
        self.newest.clone().unwrap()
    }

    /// Minutes after the start at which `path` was asked.
    fn minutes(&self, path: &str) -> Vec<u64> {
        let script = self.script();
        let asked = script.asked.iter().filter(|(asked, _)| asked == path);
        asked.map(|(_, at)| (*at - self.started).as_secs() / 60).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn a_steady_gateway_gets_no_more_than_twenty_seven_requests_a_minute_and_one_login() {
    for (firmware, most) in [("23.12.11 a", 27), ("26.26.11 a", 27)] {
        let mut bench = Bench::new(firmware);
        bench.run(60 * SECOND).await;
        bench.script().asked.clear();
        bench.run(3600 * SECOND).await;
        let asked = bench.script().asked.len();
        assert!(asked <= 60 * most, "{firmware}: {asked} in an hour");
        assert_eq!(bench.script().count("/api/login/Basic"), 0);
        assert!(bench.count(Endpoint::GridStatus) >= 350, "an outage shows within ten seconds");
    }
}

#[tokio::test(start_paused = true)]
async fn basic_lan_gets_twenty_a_minute_and_its_verdict_is_looked_at_again_less_and_less_often() {
    let mut bench = Bench::new("26.26.11 a");
    for endpoint in Endpoint::ALL.into_iter().filter(|endpoint| !endpoint.is_basic()) {
        bench.script().status.insert(endpoint.path(), 404);
    }
    bench.run(24 * 3600 * SECOND).await;
    assert!(bench.newest.as_ref().unwrap().is_basic_lan());
    assert_eq!(bench.minutes("/api/status"), [0, 10, 30, 70, 150, 310, 630, 990, 1350]);
    assert_eq!(bench.count(Endpoint::Operation), 0);
    assert!(bench.script().asked.len() <= 24 * 60 * 20 + 20, "{}", bench.script().asked.len());

    // It was a Powerwall 2 all the while, or became one.
    bench.script().status.clear();
    bench.run(6 * 3600 * SECOND).await;
    assert!(!bench.newest.as_ref().unwrap().is_basic_lan());
    assert!(bench.count(Endpoint::Operation) > 0);
    // And the other way round: neither verdict is for ever.
    bench.script().status.insert("/api/status", 404);
    bench.run(600 * SECOND).await;
    assert!(bench.newest.as_ref().unwrap().is_basic_lan());
    assert_eq!(bench.answers().readings(&Adjustments::default()).firmware, None);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_there_is_asked_again_after_ten_minutes_and_vitals_of_newer_firmware_hardly_ever() {
    let mut bench = Bench::new("26.26.11 a");
    bench.script().status.insert("/api/operation", 404);
    bench.script().status.insert("/api/devices/vitals", 404);
    bench.run(3600 * SECOND).await;
    assert_eq!(bench.minutes("/api/operation"), [0, 10, 20, 30, 40, 50]);
    assert_eq!(bench.minutes("/api/devices/vitals"), [0, 10, 30]);

    let mut older = Bench::new("23.12.11 a");
    older.script().status.insert("/api/devices/vitals", 404);
    older.run(3600 * SECOND).await;
    assert_eq!(older.minutes("/api/devices/vitals"), [0, 10, 20, 30, 40, 50]);
}

#[tokio::test(start_paused = true)]
async fn a_charge_that_is_no_longer_reported_is_not_shown_for_long() {
    let mut bench = Bench::new("26.26.11 a");
    bench.run(60 * SECOND).await;
    let charge = |bench: &Bench| bench.answers().readings(&Adjustments::default()).charge.state_of_energy();
    assert!(charge(&bench).is_some());
    bench.script().status.insert("/api/system_status/soe", 500);
    bench.run(60 * SECOND).await;
    assert!(charge(&bench).is_some());
    bench.run(120 * SECOND).await;
    assert_eq!(charge(&bench), None);
    let telemetry = Telemetry::new(bench.newest.clone().unwrap(), Adjustments::default());
    assert!(telemetry.is_meaningful(), "the meters are still reported");
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_refuses_everybody_for_a_day_sees_ten_logins_at_most() {
    for forgets in [false, true] {
        let mut bench = Bench::new("26.26.11 a");
        bench.script().refuses = !forgets;
        // Or one that takes a session back as soon as it was used.
        bench.script().forgets = forgets;
        for _ in 0..24 * 12 {
            bench.run(300 * SECOND).await;
            if forgets {
                bench.script().refuses = false;
            }
        }
        let logins = bench.minutes("/api/login/Basic");
        assert!((4..=10).contains(&logins.len()), "{logins:?}");
        for three in logins.windows(4) {
            assert!(three[3] - three[0] >= 10, "{logins:?}");
        }
        bench.run(24 * 3600 * SECOND).await;
        assert!(bench.minutes("/api/login/Basic").len() <= 20);
    }
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_is_away_for_a_day_costs_no_login_and_is_read_as_soon_as_it_is_back() {
    let mut bench = Bench::new("26.26.11 a");
    bench.script().is_down = true;
    bench.run(24 * 3600 * SECOND).await;
    assert_eq!(bench.script().count("/api/login/Basic"), 0);
    bench.script().is_down = false;
    bench.run(TICK).await;
    assert!(bench.newest.is_some());
    assert_eq!(bench.script().count("/api/login/Basic"), 1);
}

#[tokio::test(start_paused = true)]
async fn firmware_that_is_open_to_everybody_needs_no_login() {
    let mut bench = Bench::new("1.50.1 a");
    bench.run(60 * SECOND).await;
    let documents = interpreted(&*bench.answers(), &Adjustments::default()).documents;
    assert!(documents.system_status.is_object());
    assert_eq!(bench.script().count("/api/login/Basic"), 0);
}

#[tokio::test(start_paused = true)]
async fn firmware_with_open_meters_gets_its_one_login_and_a_wrong_password_few() {
    let mut bench = Bench::new("20.40.3 a");
    bench.run(24 * 3600 * SECOND).await;
    let documents = interpreted(&*bench.answers(), &Adjustments::default()).documents;
    assert!(documents.system_status.is_object() && documents.operation.is_object());
    assert_eq!(bench.script().count("/api/login/Basic"), 1);

    let mut bench = Bench::new("20.40.3 a");
    bench.script().status.insert("/api/login/Basic", 401);
    bench.run(24 * 3600 * SECOND).await;
    assert!(interpreted(&*bench.answers(), &Adjustments::default()).documents.aggregates.is_object());
    let logins = bench.minutes("/api/login/Basic");
    assert!(logins.len() >= 5 && logins.len() <= 9, "{logins:?}");
    assert!(logins.windows(2).all(|pair| pair[1] - pair[0] >= 9), "{logins:?}");
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_is_always_busy_silences_the_gateway_less_and_less_often() {
    let mut bench = Bench::new("26.26.11 a");
    bench.script().status.insert("/api/operation", 503);
    bench.run(24 * 3600 * SECOND).await;
    let asked = bench.script().asked.clone();
    for (index, (_, at)) in asked.iter().enumerate().filter(|(_, (path, _))| path == "/api/operation") {
        let next = asked.get(index + 1).map(|(_, next)| *next - *at);
        assert!(next.is_none_or(|pause| pause >= 300 * SECOND), "{next:?}");
    }
    assert!(bench.count(Endpoint::Operation) <= 10, "{:?}", bench.minutes("/api/operation"));
}

/// What is shown: DIN, name of the site, serials of the batteries.
fn shown(bench: &Bench) -> (Option<String>, Option<String>, Vec<String>) {
    let site = interpreted(&*bench.answers(), &Adjustments::default()).site;
    let serials = site.units.iter().flatten().map(|unit| unit.serial.clone()).collect();
    (site.readings.din.clone(), site.readings.site_name.clone(), serials)
}

#[tokio::test(start_paused = true)]
async fn nothing_of_a_gateway_is_left_when_another_one_stands_at_its_address() {
    let first = (Some("1232100-00-E--T1".to_owned()), Some("Home".to_owned()), vec!["A".to_owned()]);
    let second = (Some("1232100-00-E--T2".to_owned()), None, vec!["B".to_owned()]);

    // It was away for a while, or it answers on: then its batteries give it away, or counters that fall.
    for (known, away, counted, longest) in
        [(120, 60, 1000, TICK), (120, 0, 1000, 35 * SECOND), (20, 0, 1000, 35 * SECOND), (120, 0, 10, TICK)]
    {
        let mut bench = Bench::new("23.44.0 a");
        bench.script().counted = 1000;
        bench.run(known * SECOND).await;
        assert_eq!(shown(&bench), first);
        bench.script().is_down = true;
        bench.run(away * SECOND).await;
        bench.script().is_down = false;
        (bench.script().is_other, bench.script().counted) = (true, counted);
        bench.run(longest).await;
        assert_eq!(shown(&bench), second, "known for {known} s, {away} s away, {counted} Wh");
    }
}

#[tokio::test(start_paused = true)]
async fn a_counter_that_falls_again_and_again_is_worth_one_question_a_minute() {
    let mut bench = Bench::new("23.44.0 a");
    for counted in 0..120 {
        bench.script().counted = if counted % 2 == 0 { 1000 } else { 10 };
        bench.run(TICK).await;
    }
    assert!(bench.count(Endpoint::Status) <= 11, "{}", bench.count(Endpoint::Status));
    // Nor does it help to ask more often if the gateway does not say who it is.
    bench.script().status.insert("/api/status", 500);
    bench.script().is_other = true;
    let before = bench.count(Endpoint::Status);
    bench.run(600 * SECOND).await;
    let asked = bench.count(Endpoint::Status) - before;
    assert!((9..=11).contains(&asked), "{asked}");
    assert_eq!(bench.script().count("/api/login/Basic"), 1);
}
