//! Orders, end to end over real TLS: the backup reserve over v1r and over the customer API, and everything
//! that can become of it.

mod common;

use std::time::Duration;

use common::{SECOND, everything};
use powerwall_server::link::order::{Carried, End};
use powerwall_server::link::{Link, connect_lazily};
use powerwall_server::model::order::{BackupWindow, Dispatch, ExportRule, Islanding, MaxBackup, Mode};
use powerwall_server::model::{
    AppPercent, LinkKind, Means, Obstacle, Order, OrderKind, Outcome, Proof, Reserve, Setpoint,
};
use powerwall_server::settings::{Inputs, RsaKey, Settings};
use powerwall_server::simulator::{
    Fault, GatewayHandle, OrderFault, Orders, Registration, Role, SiteKind, SiteOptions,
};
use serde_json::{Value, json};

const KEY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/v1r/key-4096.pem");
const LIMIT: Duration = Duration::from_secs(2);

fn reserve(percent: f64) -> Order {
    Order::Reserve(Reserve::new(AppPercent(percent)).unwrap())
}

/// A gateway, and the link to it that was polled and knows everything.
struct House {
    wifi: GatewayHandle,
    /// `None`: it is reached over its customer API.
    lan: Option<GatewayHandle>,
    link: Box<dyn Link>,
}

impl House {
    async fn v1r(kind: SiteKind) -> Self {
        Self::build(kind, true, |entry| {
            entry.as_object_mut().unwrap().remove("wifi_host");
        })
        .await
    }

    async fn customer() -> Self {
        Self::build(SiteKind::Powerwall2, false, |_| {}).await
    }

    async fn build(kind: SiteKind, signs: bool, change: impl Fn(&mut Value)) -> Self {
        let wifi = GatewayHandle::start(SiteOptions::new("home", "Home", kind)).await.unwrap();
        let lan = if signs { Some(wifi.on_lan().await.unwrap()) } else { None };
        let mut entry = match &lan {
            Some(lan) => {
                let key = RsaKey::read(KEY.as_ref()).unwrap();
                lan.lan().unwrap().register(key.public_der(), Registration::Verified);
                wifi.settings_with_lan(lan, KEY)
            }
            None => wifi.customer_settings(),
        };
        change(&mut entry);
        let folder = tempfile::tempdir().unwrap();
        let environment = vec![
            ("PW_AUTH_PATH".to_owned(), folder.path().display().to_string()),
            ("PW_GATEWAYS".to_owned(), json!([entry]).to_string()),
            ("PW_TIMEOUT".to_owned(), "2".to_owned()),
        ];
        let settings = Settings::load(&Inputs { environment, flags: Vec::new() }).unwrap();
        let mut link = connect_lazily(&settings.gateways[0]);
        everything(&mut *link).await;
        Self { wifi, lan, link }
    }

    /// Where orders arrive.
    fn address(&self) -> &GatewayHandle {
        self.lan.as_ref().unwrap_or(&self.wifi)
    }

    async fn order(&mut self, percent: f64) -> Carried {
        self.link.carry_out(&reserve(percent), LIMIT).await
    }

    /// What reading back shows, as a word.
    async fn shows(&mut self, percent: f64) -> &'static str {
        let read = self.link.read_back(&reserve(percent)).await;
        assert_eq!(read.problem, None);
        read.shows.as_ref().map_or("nothing", Outcome::word)
    }

    fn orders(&self) -> Orders {
        self.wifi.orders()
    }
}

fn word(carried: &Carried) -> &'static str {
    match &carried.end {
        End::Outcome(outcome) => outcome.word(),
        End::NotExecuted(_) => "not executed",
        End::NotYet(_) => "not yet",
    }
}

/// Over both links, one after the other.
async fn both() -> [House; 2] {
    [House::v1r(SiteKind::Powerwall3).await, House::customer().await]
}

const ONCE: Orders = Orders { received: 1, executed: 1 };
const NONE: Orders = Orders { received: 0, executed: 0 };

#[actix_web::test]
async fn a_reserve_is_accepted_and_reads_back_as_it_was_written() {
    for mut house in both().await {
        for percent in [0.0, 33.0, 57.5, 100.0] {
            assert_eq!(word(&house.order(percent).await), "accepted");
            assert_eq!(house.shows(percent).await, "stored");
            let (stored, acts_on) = house.wifi.reserve();
            assert_eq!((stored, acts_on), (percent * 0.95 + 5.0, percent * 0.95 + 5.0));
            let source = house.link.read_back(&reserve(percent)).await.source.unwrap();
            let telemetry = powerwall_server::model::Telemetry::new(source, Default::default());
            let read = telemetry.readings.reserve.unwrap().to_app_reserve().0;
            assert!((read - percent).abs() < 1e-9, "{percent} reads back as {read}");
        }
        assert_eq!(house.orders(), Orders { received: 4, executed: 4 });
        assert_eq!(house.wifi.mode(), "self_consumption");
        assert_eq!(house.address().counters().most_in_flight(), 1);
        let capability = house.link.capabilities().remove(0);
        let link = if house.lan.is_some() { LinkKind::V1r } else { LinkKind::Local };
        assert_eq!(capability.by, Ok(Means { link, proves: Proof::Stored }));
    }
}

#[actix_web::test]
async fn the_configuration_differs_in_one_number_and_no_other_byte() {
    for kind in [SiteKind::Powerwall3, SiteKind::Powerwall2] {
        let mut house = House::v1r(kind).await;
        let before = String::from_utf8(house.wifi.config().to_vec()).unwrap();
        house.order(20.0).await;
        house.order(33.0).await;
        let after = String::from_utf8(house.wifi.config().to_vec()).unwrap();
        let leaf = "\"backup_reserve_percent\":";
        assert_eq!(before.matches(leaf).count(), 1);
        let expected = before.replace(&format!("{leaf}24"), &format!("{leaf}36.349999999999994"));
        assert_eq!(after, expected);
    }
}

#[actix_web::test]
async fn what_is_stored_already_is_not_sent() {
    for mut house in both().await {
        assert_eq!(word(&house.order(20.0).await), "stored");
        assert_eq!(house.orders(), NONE);
    }
}

#[actix_web::test]
async fn a_gateway_that_says_yes_and_does_nothing_has_accepted_and_no_more() {
    for mut house in both().await {
        house.wifi.set_order_fault(Some(OrderFault::Ignored));
        assert_eq!(word(&house.order(50.0).await), "accepted");
        assert_eq!(house.shows(50.0).await, "nothing");
        assert_eq!(house.orders(), ONCE);
    }
}

#[actix_web::test]
async fn a_gateway_that_acts_late_shows_it_late() {
    for mut house in both().await {
        house.wifi.set_order_fault(Some(OrderFault::Late(60 * SECOND)));
        assert_eq!(word(&house.order(50.0).await), "accepted");
        assert_eq!(house.shows(50.0).await, "nothing");
        tokio::time::pause();
        tokio::time::advance(60 * SECOND).await;
        tokio::time::resume();
        assert_eq!(house.shows(50.0).await, "stored");
        assert_eq!(house.orders(), ONCE);
    }
}

#[actix_web::test]
async fn stored_is_not_called_in_effect() {
    for mut house in both().await {
        house.wifi.set_order_fault(Some(OrderFault::WithoutEffect));
        assert_eq!(word(&house.order(50.0).await), "accepted");
        assert_eq!(house.shows(50.0).await, "stored");
        assert_eq!(house.wifi.reserve(), (52.5, 24.0));
    }
}

#[actix_web::test]
async fn a_refusal_is_shown_as_what_it_is() {
    for mut house in both().await {
        house.wifi.set_order_fault(Some(OrderFault::Refused));
        let carried = house.order(50.0).await;
        let End::Outcome(Outcome::Refused(note)) = carried.end else { panic!("{carried:?}") };
        let expected = if house.lan.is_some() { "permission denied (code 7)" } else { "HTTP 403" };
        assert!(note.message.contains(expected), "{note:?}");
        assert_eq!(house.orders(), Orders { received: 1, executed: 0 });
        assert_eq!(house.wifi.reserve(), (24.0, 24.0));
    }
}

#[actix_web::test]
async fn the_customer_api_does_not_offer_what_it_refused_until_there_is_another_session() {
    let mut house = House::customer().await;
    house.wifi.set_order_fault(Some(OrderFault::Refused));
    house.order(50.0).await;
    let by = house.link.capabilities().remove(0).by;
    assert_eq!(by.unwrap_err().obstacle, Obstacle::NoPermission);
    assert_eq!(word(&house.order(50.0).await), "not_sent");
    assert_eq!(house.orders().received, 1);

    house.wifi.set_order_fault(None);
    house.wifi.end_sessions(401);
    everything(&mut *house.link).await;
    assert_eq!(word(&house.order(50.0).await), "accepted");
}

#[actix_web::test]
async fn an_order_whose_answer_is_lost_is_unknown_until_it_is_read_back() {
    for fault in [
        Fault::ResetAt(0),
        Fault::ResetAt(40),
        Fault::Hang,
        Fault::HalfBody,
        Fault::Garbage,
        Fault::EmptyBody,
    ] {
        for mut house in both().await {
            house.address().set_for(Role::Order, fault.clone());
            let carried = house.order(50.0).await;
            // Over the customer API the status alone is the answer.
            let says_yes = house.lan.is_none() && matches!(fault, Fault::Garbage | Fault::EmptyBody);
            assert_eq!(word(&carried), if says_yes { "accepted" } else { "unknown" }, "{fault:?}");
            assert_eq!(house.orders(), ONCE, "{fault:?}");
            house.address().heal();
            assert_eq!(house.shows(50.0).await, "stored", "{fault:?}");
            assert_eq!(house.orders(), ONCE, "{fault:?}");
        }
    }
}

#[actix_web::test]
async fn an_answer_that_does_not_acknowledge_proves_nothing() {
    for mut house in both().await {
        house.wifi.set_order_fault(Some(OrderFault::Unacknowledged));
        assert_eq!(word(&house.order(50.0).await), "unknown");
        assert_eq!(house.orders(), ONCE);
    }
}

#[actix_web::test]
async fn an_answer_that_comes_twice_is_not_the_answer_to_anything_else() {
    for mut house in both().await {
        house.address().set_for(Role::Order, Fault::Twice);
        assert_eq!(word(&house.order(50.0).await), "accepted");
        house.wifi.set_order_fault(Some(OrderFault::Refused));
        let carried = house.order(60.0).await;
        assert_eq!(word(&carried), "refused", "{carried:?}");
        assert_eq!(house.shows(50.0).await, "stored");
        house.link.poll().await.unwrap();
        assert_eq!(house.orders(), Orders { received: 2, executed: 1 });
    }
}

#[actix_web::test]
async fn a_session_that_ended_is_said_to_have_executed_nothing() {
    for mut house in both().await {
        house.wifi.set_order_fault(Some(OrderFault::Unauthorized(1)));
        assert_eq!(word(&house.order(50.0).await), "not executed");
        assert_eq!(house.orders(), Orders { received: 1, executed: 0 }, "no repeat by the link itself");
        house.link.poll().await.unwrap();
        assert_eq!(word(&house.order(50.0).await), "accepted");
    }
}

#[actix_web::test]
async fn a_configuration_that_somebody_else_changes_meanwhile_is_not_overwritten() {
    let mut house = House::v1r(SiteKind::Powerwall3).await;
    house.wifi.set_order_fault(Some(OrderFault::Conflict(1)));
    assert_eq!(word(&house.order(50.0).await), "not executed");
    let theirs = house.wifi.config();
    assert_eq!(word(&house.order(50.0).await), "accepted");
    let ours = String::from_utf8(house.wifi.config().to_vec()).unwrap();
    assert_eq!(ours.replace("52.5", "24").as_bytes(), theirs.as_ref(), "it builds on what they wrote");
}

#[actix_web::test]
async fn nothing_is_sent_if_what_must_be_read_first_cannot_be() {
    for fault in [Fault::Status { code: 500, retry_after: None }, Fault::Garbage, Fault::Refuse, Fault::Hang]
    {
        for mut house in both().await {
            let role = if house.lan.is_some() { Role::Config } else { Role::Customer };
            house.address().set_for(role, fault.clone());
            let carried = house.order(50.0).await;
            assert_eq!(word(&carried), "not_sent", "{fault:?}");
            assert_eq!(house.orders(), NONE);
        }
    }
}

#[actix_web::test]
async fn a_gateway_that_asks_for_silence_gets_no_order() {
    for mut house in both().await {
        house.address().set_for(Role::Order, Fault::Status { code: 429, retry_after: None });
        assert_eq!(word(&house.order(50.0).await), "refused");
        let requests = house.address().counters().all_requests();
        assert_eq!(word(&house.order(50.0).await), "not_sent");
        assert_eq!(house.address().counters().all_requests(), requests);
    }
}

#[actix_web::test]
async fn of_a_pair_the_wired_lan_alone_takes_orders() {
    let mut house = House::build(SiteKind::Powerwall3, true, |_| {}).await;
    assert_eq!(word(&house.order(50.0).await), "accepted");
    assert_eq!(house.wifi.counters().requests(Role::Order), 0);
    house.lan.as_ref().unwrap().set(Fault::Refuse);
    house.link.poll().await.unwrap();
    let by = house.link.capabilities().remove(0).by;
    assert_eq!(by.unwrap_err().obstacle, Obstacle::NotReached);
    assert_eq!(word(&house.order(60.0).await), "not_sent");
    assert_eq!(house.wifi.counters().requests(Role::Order), 0);
    assert_eq!(house.orders(), ONCE);
    assert_eq!(house.shows(50.0).await, "stored", "either way shows it");
}

#[actix_web::test]
async fn what_cannot_be_done_is_not_offered() {
    // Wi-Fi alone only reads.
    let wifi = House::build(SiteKind::Powerwall3, false, |entry| {
        let entry = entry.as_object_mut().unwrap();
        entry.remove("password");
        entry.insert("gw_pwd".into(), "SIMULATED1".into());
    });
    let mut wifi = wifi.await;
    assert_eq!(wifi.link.kind(), LinkKind::Tedapi);
    let by = wifi.link.capabilities().remove(0).by;
    assert_eq!(by.unwrap_err().obstacle, Obstacle::NoLink);
    assert_eq!(word(&wifi.order(50.0).await), "not_sent");

    // Basic LAN has no such endpoint, an inverter has no battery.
    let mut basic = House::build(SiteKind::Powerwall3, false, |_| {}).await;
    assert_eq!(basic.link.capabilities().remove(0).by.unwrap_err().obstacle, Obstacle::NoLink);
    assert_eq!(word(&basic.order(50.0).await), "not_sent");
    let mut inverter = House::v1r(SiteKind::Inverter).await;
    assert_eq!(inverter.link.capabilities().remove(0).by.unwrap_err().obstacle, Obstacle::NoBattery);
    assert_eq!(word(&inverter.order(50.0).await), "not_sent");
    for house in [wifi, basic, inverter] {
        assert_eq!(house.orders(), NONE);
    }
}

/// What the readings show after a poll.
async fn readings(house: &mut House) -> std::sync::Arc<powerwall_server::model::Readings> {
    let source = house.link.poll().await.unwrap();
    powerwall_server::model::Telemetry::new(source, Default::default()).readings.clone()
}

async fn carry(house: &mut House, order: &Order) -> &'static str {
    word(&house.link.carry_out(order, LIMIT).await)
}

async fn shows(house: &mut House, order: &Order) -> (&'static str, String) {
    let read = house.link.read_back(order).await;
    assert_eq!(read.problem, None);
    (read.shows.as_ref().map_or("nothing", Outcome::word), read.instead.unwrap_or_default())
}

#[actix_web::test]
async fn every_reserve_is_read_as_it_was_written_over_every_link() {
    for mut house in both().await {
        for percent in 0..=100 {
            let said = word(&house.order(percent.into()).await);
            assert!(["accepted", "stored"].contains(&said), "{percent}: {said}");
            let source = house.link.read_back(&reserve(percent.into())).await.source.unwrap();
            let telemetry = powerwall_server::model::Telemetry::new(source, Default::default());
            let read = telemetry.readings.reserve.unwrap().to_app_reserve().0;
            assert_eq!(read.round() as i32, percent, "reads back as {read}");
            assert!((read - f64::from(percent)).abs() < 1e-9);
        }
    }
}

#[actix_web::test]
async fn several_settings_go_in_one_order_and_read_back() {
    let mut house = House::v1r(SiteKind::Powerwall3).await;
    let all = Order::Operation(Setpoint {
        reserve: Reserve::new(AppPercent(40.0)),
        mode: Some(Mode::Autonomous),
        charging: Some(false),
        export: Some(ExportRule::SolarOnly),
    });
    assert_eq!(carry(&mut house, &all).await, "accepted");
    assert_eq!(shows(&mut house, &all).await.0, "stored");
    assert_eq!(house.orders(), ONCE);
    let read = readings(&mut house).await;
    assert_eq!((read.mode.as_deref(), read.grid_charging), (Some("autonomous"), Some(false)));
    assert_eq!(read.grid_export.as_deref(), Some("pv_only"));

    // What gateways leave out because it is the default reads back all the same.
    for order in [Order::Charging(true), Order::Export(ExportRule::BatteryAndSolar), Order::Charging(true)] {
        let said = carry(&mut house, &order).await;
        assert!(["accepted", "stored"].contains(&said), "{order}: {said}");
        assert_eq!(shows(&mut house, &order).await.0, "stored", "{order}");
    }
    assert_eq!(house.orders(), Orders { received: 3, executed: 3 }, "what is stored is not sent");
}

#[actix_web::test]
async fn half_an_order_is_called_that() {
    for mut house in both().await {
        house.wifi.set_order_fault(Some(OrderFault::HalfApplied));
        let both = Order::Operation(Setpoint {
            reserve: Reserve::new(AppPercent(40.0)),
            mode: Some(Mode::Backup),
            ..Setpoint::default()
        });
        assert_eq!(carry(&mut house, &both).await, "accepted");
        let (shown, instead) = shows(&mut house, &both).await;
        assert_eq!(shown, "nothing");
        assert!(instead.contains("only a part of it: mode self_consumption"), "{instead}");
    }
}

#[actix_web::test]
async fn the_customer_api_takes_the_reserve_and_the_mode_and_says_so_of_everything_else() {
    let mut house = House::customer().await;
    let mode = Order::Mode(Mode::Backup);
    assert_eq!((carry(&mut house, &mode).await, shows(&mut house, &mode).await.0), ("accepted", "stored"));
    assert_eq!((house.wifi.mode(), house.wifi.reserve().0), ("backup", 24.0));
    for order in [
        Order::Charging(true),
        Order::Export(ExportRule::Nothing),
        Order::Islanding(Islanding::OffGrid),
        Order::MaxBackup(MaxBackup::Cancel),
        Order::Resume,
        Order::Operation(Setpoint { charging: Some(true), ..reserve(50.0).setpoint().unwrap() }),
    ] {
        assert_eq!(carry(&mut house, &order).await, "not_sent", "{order}");
    }
    assert_eq!(house.orders(), ONCE);
}

#[actix_web::test]
async fn islanding_counts_by_the_contactor() {
    let mut house = House::v1r(SiteKind::Powerwall3).await;
    assert_eq!(readings(&mut house).await.contactor_closed, Some(true));
    assert_eq!(carry(&mut house, &Order::Islanding(Islanding::OffGrid)).await, "accepted");
    assert!(house.wifi.is_off_grid());
    assert_eq!(shows(&mut house, &Order::Islanding(Islanding::OffGrid)).await.0, "in_effect");
    assert_eq!(shows(&mut house, &Order::Islanding(Islanding::OnGrid)).await.0, "nothing");
    assert_eq!(readings(&mut house).await.contactor_closed, Some(false));
    assert_eq!(carry(&mut house, &Order::Islanding(Islanding::OnGrid)).await, "accepted");
    assert_eq!(readings(&mut house).await.contactor_closed, Some(true));
    assert_eq!(house.orders(), Orders { received: 2, executed: 2 });
}

#[actix_web::test]
async fn a_battery_runs_as_dispatched_until_it_resumes() {
    let mut house = House::v1r(SiteKind::Powerwall3).await;
    let dispatch = |watts| Order::Dispatch(Dispatch::new(watts, 3600).unwrap());
    assert_eq!(carry(&mut house, &dispatch(-3210.0)).await, "accepted");
    assert_eq!(readings(&mut house).await.power.battery.unwrap().as_f64(), -3210.0);
    assert_eq!(carry(&mut house, &Order::Resume).await, "accepted");
    assert_ne!(readings(&mut house).await.power.battery.unwrap().as_f64(), -3210.0);
    assert_eq!(carry(&mut house, &dispatch(50_000.0)).await, "refused");
}

#[actix_web::test]
async fn max_backup_reads_back_from_the_list_and_a_lost_one_is_reported() {
    let mut house = House::v1r(SiteKind::Powerwall3).await;
    let schedule = |seconds| Order::MaxBackup(MaxBackup::Schedule(BackupWindow::new(None, seconds).unwrap()));
    assert_eq!(carry(&mut house, &Order::MaxBackup(MaxBackup::Cancel)).await, "stored", "there is none");
    assert_eq!(carry(&mut house, &schedule(7200)).await, "accepted");
    assert_eq!(shows(&mut house, &schedule(7200)).await.0, "stored");
    assert_eq!(shows(&mut house, &schedule(3600)).await.0, "nothing");

    // The former one has to be cancelled first. If the new one is refused then, it is gone.
    house.wifi.set_order_fault(Some(OrderFault::HalfApplied));
    let carried = house.link.carry_out(&schedule(3600), LIMIT).await;
    let End::Outcome(Outcome::Refused(why)) = carried.end else { panic!("{carried:?}") };
    assert!(why.message.contains("has been cancelled"), "{why:?}");
    house.wifi.set_order_fault(None);
    assert_eq!(shows(&mut house, &Order::MaxBackup(MaxBackup::Cancel)).await.0, "stored");
    assert_eq!(carry(&mut house, &schedule(3600)).await, "accepted");
    assert_eq!(carry(&mut house, &Order::MaxBackup(MaxBackup::Cancel)).await, "accepted");
    assert_eq!(shows(&mut house, &Order::MaxBackup(MaxBackup::Cancel)).await.0, "stored");
}

#[actix_web::test]
async fn an_order_whose_answer_is_lost_or_comes_twice_is_sent_once() {
    for fault in [Fault::ResetAt(0), Fault::Twice, Fault::Hang] {
        let mut house = House::v1r(SiteKind::Powerwall3).await;
        house.address().set_for(Role::Order, fault.clone());
        let said = carry(&mut house, &Order::Islanding(Islanding::OffGrid)).await;
        let expected = if fault == Fault::Twice { "accepted" } else { "unknown" };
        assert_eq!(said, expected, "{fault:?}");
        assert_eq!(house.orders(), ONCE, "{fault:?}");
        assert_eq!(readings(&mut house).await.contactor_closed, Some(false), "{fault:?}");
    }
}

#[actix_web::test]
async fn what_the_firmware_does_not_have_is_not_offered_again() {
    let mut house = House::v1r(SiteKind::Powerwall3).await;
    house.wifi.set_order_fault(Some(OrderFault::NotImplemented));
    assert_eq!(carry(&mut house, &Order::Resume).await, "refused");
    let why = house.link.can_take(OrderKind::Resume).unwrap_err();
    assert_eq!(why.obstacle, Obstacle::Firmware);
    assert_eq!(carry(&mut house, &Order::Resume).await, "not_sent");
    assert!(house.link.can_take(OrderKind::Reserve).is_ok());
    assert_eq!(house.orders().received, 1);
}
