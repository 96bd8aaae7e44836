//! One simulated gateway: its day, its firmware, and what is wrong with it.
//!
//! A gateway may be reached at several addresses. What goes on in the house is the same at all of them; what
//! is wrong, and what was counted, is each address's own.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use prost::Message;
use rustls::ServerConfig;
use serde_json::Value;
use tokio::time::Instant;

use super::answers::SignedOrder;
use super::answers::{Addressee, Firmware, Question};
use super::certificate;
use super::cloud_documents;
use super::customer::{CustomerAnswer, CustomerRequest, CustomerState};
use super::customer_documents;
use super::day::{Day, Equipment};
use super::faults::{Counters, Fault, Role};
use super::lan::Lan;
use super::orders::{self, Control, Delivered, OrderFault, Orders};
use super::scene::{Scene, SiteKind};
use crate::link::tedapi::wire::{BackupEvent, Backups};

/// A silent meter is bridged with its last reading, which must not be older than a minute. Where time runs
/// faster than this, no client asks often enough to have one.
const FASTEST_WEAK_METER: f64 = 1.0;

/// What to simulate.
#[derive(Clone, Debug)]
pub struct SiteOptions {
    /// For URLs and settings.
    pub id: String,
    /// For people.
    pub name: String,
    pub kind: SiteKind,
    /// Of the gateway; what a client must send.
    pub password: String,
    /// Of the customer: unless the owner changed it, the last five characters of the gateway's.
    pub customer_password: String,
    /// Distinguishes sites: serial numbers, weather, habits.
    pub number: u32,
    /// Hour of the day at the start.
    pub hour: f64,
    /// Simulated seconds in a second.
    pub speed: f64,
    /// 0: the system chooses.
    pub port: u16,
    /// Reports what the home uses, and nothing else of what is measured.
    pub is_tight_lipped: bool,
}

impl SiteOptions {
    pub fn new(id: &str, name: &str, kind: SiteKind) -> Self {
        Self {
            id: id.into(),
            name: name.into(),
            kind,
            password: "SIMULATED1".into(),
            customer_password: "ATED1".into(),
            number: 1,
            hour: 11.0,
            speed: 1.0,
            port: 0,
            is_tight_lipped: false,
        }
    }

    pub(super) fn equipment(&self) -> Equipment {
        let (solar_peak, load, capacity, battery_power) = match self.kind {
            SiteKind::Powerwall2 => (6800.0, 1300.0, 27_000.0, 10_000.0),
            SiteKind::Powerwall3 => (9200.0, 1700.0, 40_500.0, 11_500.0),
            SiteKind::Inverter => (5200.0, 900.0, 0.0, 0.0),
        };
        Equipment { solar_peak, load, capacity, battery_power }
    }
}

/// What goes on in the house, whatever the address.
struct House {
    options: SiteOptions,
    living: Mutex<Living>,
}

struct Living {
    day: Day,
    /// Up to when the day has been lived.
    lived: Instant,
    /// Simulated clock at the last start of the gateway.
    booted: f64,
    firmware: Firmware,
    /// Restarting until then.
    down_until: Option<Instant>,
    control: Control,
}

impl House {
    fn living(&self) -> MutexGuard<'_, Living> {
        let mut living = self.living.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let lived = now.saturating_duration_since(living.lived).as_secs_f64();
        living.day.advance(lived * self.options.speed);
        living.lived = now;
        living.control.live(now);
        living.day.is_off_grid = living.control.commanded.is_off_grid;
        living.day.dispatched = living.control.commanded.dispatch.map(|(watts, _)| watts);
        living
    }
}

/// The state behind the server at one address; shared with its handle.
pub(super) struct Gateway {
    house: Arc<House>,
    /// On the wired LAN: who may sign and log in. `None`: this is the gateway's own Wi-Fi.
    pub lan: Option<Lan>,
    /// Whether it wants the token of an installer instead of the password.
    pub wants_installer: AtomicBool,
    /// Number of the only token of an installer that holds.
    pub installer_token: AtomicU64,
    pub counters: Counters,
    state: Mutex<State>,
}

struct State {
    tls: Arc<ServerConfig>,
    /// What is wrong, with whom.
    faults: Vec<(Option<Role>, Fault)>,
    /// Times of recent requests, for the rate limit.
    recent: VecDeque<Instant>,
    customer: CustomerState,
}

impl Gateway {
    /// At the first address of a house of its own.
    pub fn new(options: SiteOptions) -> std::io::Result<Self> {
        let living = Living {
            day: Day::new(options.equipment(), u64::from(options.number), options.hour),
            lived: Instant::now(),
            // It has been running for two weeks and a bit.
            booted: options.hour * 3600.0 - 1_434_584.192,
            firmware: Firmware { version: "26.26.11 c4db63ce".into(), git_hash: [0xc4; 20] },
            down_until: None,
            control: Control::new(),
        };
        Self::at(Arc::new(House { options, living: Mutex::new(living) }), None)
    }

    /// Another address of the same house.
    fn at(house: Arc<House>, lan: Option<Lan>) -> std::io::Result<Self> {
        let state = State {
            customer: CustomerState::new(house.options.kind),
            tls: certificate::server_config().map_err(std::io::Error::other)?,
            faults: Vec::new(),
            recent: VecDeque::new(),
        };
        Ok(Self {
            house,
            lan,
            wants_installer: AtomicBool::new(false),
            installer_token: AtomicU64::new(1),
            counters: Counters::default(),
            state: Mutex::new(state),
        })
    }

    /// The same gateway at its address on the wired LAN.
    pub fn on_lan(&self) -> std::io::Result<Self> {
        let customer = self.options().customer_password.clone();
        Self::at(self.house.clone(), Some(Lan::new(customer)))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn options(&self) -> &SiteOptions {
        &self.house.options
    }

    pub fn kind(&self) -> SiteKind {
        self.house.options.kind
    }

    pub fn password(&self) -> &str {
        &self.house.options.password
    }

    pub fn tls(&self) -> Arc<ServerConfig> {
        self.state().tls.clone()
    }

    pub fn is_down(&self) -> bool {
        self.house.living().down_until.is_some_and(|until| Instant::now() < until)
    }

    pub fn go_down_for(&self, duration: Duration) {
        self.house.living().down_until = Some(Instant::now() + duration);
    }

    /// Presents another certificate from the next connection on.
    pub fn renew_certificate(&self) -> Result<(), rustls::Error> {
        self.state().tls = certificate::server_config()?;
        Ok(())
    }

    /// From now on `fault` is in requests of that role, or in all.
    pub fn set_fault(&self, role: Option<Role>, fault: Fault) {
        self.state().faults.push((role, fault));
    }

    pub fn heal(&self) {
        self.state().faults.clear();
    }

    /// What is wrong with requests of `role`.
    pub fn faults(&self, role: Role) -> Vec<Fault> {
        let state = self.state();
        let faults = state.faults.iter().filter(|(target, _)| target.is_none_or(|target| target == role));
        faults.map(|(_, fault)| fault.clone()).collect()
    }

    /// The fault with that target that `is` recognises.
    pub fn fault_in(&self, target: Option<Role>, is: impl Fn(&Fault) -> bool) -> Option<Fault> {
        self.state()
            .faults
            .iter()
            .find(|(role, fault)| *role == target && is(fault))
            .map(|(_, fault)| fault.clone())
    }

    /// Counts a request and says whether it is one too many.
    pub fn is_over_limit(&self, requests: u64, window: Duration) -> bool {
        let mut state = self.state();
        let now = Instant::now();
        while state.recent.front().is_some_and(|at| now.duration_since(*at) > window) {
            state.recent.pop_front();
        }
        if state.recent.len() as u64 >= requests {
            return true;
        }
        state.recent.push_back(now);
        false
    }

    fn scene<'a>(&'a self, living: &Living) -> Scene<'a> {
        let options = &self.house.options;
        let clock = living.day.clock();
        Scene {
            kind: options.kind,
            name: &options.name,
            number: options.number,
            flow: living.day.flow(),
            energies: living.day.energies(),
            clock,
            uptime: clock - living.booted,
            mode: living.control.mode,
            reserve: living.control.reserve.clone(),
            written: living.control.written.clone(),
            is_tight_lipped: options.is_tight_lipped,
            has_weak_meter: options.kind == SiteKind::Powerwall3 && options.speed <= FASTEST_WEAK_METER,
        }
    }

    pub fn din(&self) -> String {
        self.scene(&self.house.living()).din()
    }

    /// Whether a question to `recipient` is answered under that path, or the status it gets instead.
    pub fn serves(&self, addressee: &Addressee, recipient: Option<&str>) -> Result<(), u16> {
        let units = self.scene(&self.house.living()).units();
        match addressee {
            Addressee::Gateway if recipient == Some(&self.din()) => Ok(()),
            Addressee::Gateway => Err(400),
            Addressee::Unit(_) if units.is_empty() => Err(404),
            Addressee::Unit(_) if units.len() == 1 => Err(502),
            Addressee::Unit(unit) if units.contains(unit) && recipient == Some(unit) => Ok(()),
            Addressee::Unit(_) => Err(404),
        }
    }

    /// The envelope of an answer.
    pub fn answer(&self, question: &Question) -> Bytes {
        let living = self.house.living();
        let (scene, firmware) = (self.scene(&living), living.firmware.clone());
        drop(living);
        question.answer(&scene, &firmware)
    }

    /// The answer to a request below `/api/`.
    pub fn customer_answer(&self, request: &CustomerRequest<'_>) -> (Role, CustomerAnswer) {
        self.counters.count_path(request.path);
        let living = self.house.living();
        let (scene, firmware) = (self.scene(&living), living.firmware.clone());
        drop(living);
        let password = &self.house.options.customer_password;
        let operate = |body: &[u8]| self.operate(body);
        self.state().customer.answer(request, password, &scene, &firmware.version, operate)
    }

    /// Changes what the customer API is like at this address.
    pub fn change_customer(&self, change: impl FnOnce(&mut CustomerState)) {
        change(&mut self.state().customer);
    }

    /// What came of `POST /api/operation`: status and body.
    fn operate(&self, body: &[u8]) -> (u16, String) {
        let control = &mut self.house.living().control;
        match control.is_unauthorized() {
            true => (401, "{}".into()),
            false => control.operate(body, Instant::now()),
        }
    }

    /// What came of a signed order; `None`: its sender is to log in again.
    pub fn order(&self, order: SignedOrder<'_>) -> Option<Bytes> {
        let mut living = self.house.living();
        let (blob, din) = {
            let scene = self.scene(&living);
            (orders::config(&scene), scene.din())
        };
        let control = &mut living.control;
        if control.is_unauthorized() {
            return None;
        }
        let answer = match order {
            SignedOrder::Update(update) => control.update(update, &blob, &din, Instant::now()),
            SignedOrder::Message(message) => control.command(message, &din, Instant::now()),
        };
        Some(answer.encode_to_vec().into())
    }

    /// Whether somebody has opened the contactor.
    pub fn is_off_grid(&self) -> bool {
        self.house.living().control.commanded.is_off_grid
    }

    /// What is wrong with how it takes orders from now on.
    pub fn set_order_fault(&self, fault: Option<OrderFault>) {
        self.house.living().control.fault = fault;
    }

    /// Somebody else sets the backup reserve, raw scale.
    pub fn somebody_sets_reserve(&self, raw: f64) {
        let mut living = self.house.living();
        let blob = orders::config(&self.scene(&living));
        living.control.somebody_sets_reserve(raw, &blob);
    }

    /// Tesla's cloud hands on what somebody set there.
    pub(super) fn deliver(&self, asked: &Delivered) {
        let mut living = self.house.living();
        let blob = orders::config(&self.scene(&living));
        living.control.deliver(asked, &blob, Instant::now());
    }

    /// Tesla's cloud passes a max backup on, or its end.
    pub(super) fn pass_on_backup(&self, event: Option<BackupEvent>) {
        self.house.living().control.commanded.backup = event;
    }

    /// The backup events that it lists.
    pub(super) fn backups(&self) -> Backups {
        self.house.living().control.commanded.backups()
    }

    pub fn orders(&self) -> Orders {
        self.house.living().control.orders.clone()
    }

    /// The backup reserve, raw scale: as the configuration has it, and as the gateway acts on it.
    pub fn reserve(&self) -> (f64, f64) {
        let living = self.house.living();
        (living.control.reserve.as_f64().unwrap_or_default(), living.control.acts_on)
    }

    pub fn mode(&self) -> &'static str {
        self.house.living().control.mode
    }

    /// The configuration, byte for byte.
    pub fn config(&self) -> Bytes {
        orders::config(&self.scene(&self.house.living()))
    }

    /// `/api/meters/aggregates`, for who may see it.
    pub fn meters(&self) -> Value {
        let living = self.house.living();
        self.scene(&living).meters()
    }

    /// What the customer API has at `path`, for who may see it.
    pub fn customer_document(&self, path: &str) -> Option<Value> {
        let living = self.house.living();
        customer_documents::at(path, &self.scene(&living), &living.firmware.version)
    }

    /// As Tesla's cloud reports the site: `live_status`, `site_info`.
    pub fn in_cloud(&self) -> (Value, Value) {
        let living = self.house.living();
        let (scene, version) = (self.scene(&living), living.firmware.version.clone());
        let config = serde_json::from_slice(&orders::config(&scene)).unwrap_or_default();
        (cloud_documents::live_status(&scene), cloud_documents::site_info(&scene, &config, &version))
    }

    /// Starts again with other firmware.
    pub fn restart(&self, version: &str) {
        let mut living = self.house.living();
        living.firmware = Firmware { version: version.into(), git_hash: [0xd5; 20] };
        living.booted = living.day.clock();
        drop(living);
        self.state().customer.end_sessions();
        if let Some(lan) = &self.lan {
            lan.expire_tokens();
        }
    }

    pub fn skip(&self, simulated: Duration) {
        self.house.living().day.advance(simulated.as_secs_f64());
    }
}
