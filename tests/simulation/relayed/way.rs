//! The way through Tesla's cloud to one gateway: what is wrong with it, a witness who judges every message
//! that arrives, and defects on purpose.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use futures_util::future::{LocalBoxFuture, join};
use powerwall_server::clock::unix_time;
use powerwall_server::link::LinkError;
use powerwall_server::link::https::{Answer, Call};
use powerwall_server::link::tedapi::frames;
use powerwall_server::link::tedapi::transport::{Request, Transport};
use powerwall_server::link::tedapi::wire::{AUTH_PRESENCE, Envelope, Frame};
use powerwall_server::link::tesla::error::TeslaError;
use powerwall_server::link::tesla::web;
use powerwall_server::settings::{Origin, TOKEN_FILE};
use powerwall_server::simulator::tesla::InMemoryTesla;
use powerwall_server::simulator::{InMemoryGateway, OrderFault, Role, SiteKind, SiteOptions};
use prost::Message;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::options::SECOND;
use crate::signed;

/// The number of the site.
pub const SITE: u64 = 11;
/// Tesla's cloud takes messages that hold for so many seconds, and a little.
const LONGEST: f64 = 301.5;
/// Readings are asked for no more often than this: a tick may come a little early, and the first question
/// waits for the list of sites.
const FASTEST: Duration = Duration::from_secs(280);
/// What can wait is asked for no more often than this.
const FASTEST_SLOW: Duration = Duration::from_millis(19_600);
/// After an order, it is read back within this …
const READ_BACK: Duration = Duration::from_secs(300);
/// … and no more often than this: each costs as much as an order.
const MOST_READ_BACK: u32 = 10;
/// A client waits for an answer this long.
const PATIENCE: Duration = Duration::from_secs(35);

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Trouble {
    Unreachable,
    /// Does what was asked; the answer is lost.
    AnswersLost,
    Hangs,
    Status(u16),
    /// An answer without one of the gateway.
    NoEnvelope,
    /// Asks for a pause of so many seconds.
    Pause(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defect {
    /// Two questions at once.
    Hasty,
    /// A reading is asked for again.
    Impatient,
    OrdersTwice,
    /// 429 is a failure like others.
    HeedsNoPause,
}

/// Each with what is said of it.
pub const ALL: [(Defect, &str); 4] = [
    (Defect::Hasty, "while another one is under way"),
    (Defect::Impatient, "after the ones before"),
    (Defect::OrdersTwice, "an order arrives again"),
    (Defect::HeedsNoPause, "before the pause is over"),
];

struct State {
    rng: StdRng,
    /// Grows when the program is killed: what it had under way brings nothing home.
    run: u32,
    trouble: Option<(Trouble, Instant)>,
    well_since: Instant,
    /// Until when the local link does not answer.
    local_away: Instant,
    pause_until: Option<Instant>,
    is_busy: bool,
    /// In this run.
    last_reading: Option<Instant>,
    last_slow: Option<Instant>,
    last_order: Option<Instant>,
    /// How often it was read back since.
    read_back: u32,
    /// When somebody last gave an order, whether it arrived or not.
    last_given: Option<Instant>,
    /// Whether it may be read back once more, however late: when the gateway can be reached again.
    may_read_late: bool,
    /// When the gateway last reported where its contactor is, whoever asked.
    last_answer: Instant,
    is_read_since_order: bool,
    /// How often each order arrived.
    arrived: Vec<u32>,
    violations: Vec<String>,
    tail: VecDeque<String>,
    seen: BTreeMap<&'static str, u64>,
}

/// Everything beyond the program.
pub struct Way {
    tesla: InMemoryTesla,
    gateway: InMemoryGateway,
    started: Instant,
    state: Mutex<State>,
}

impl Way {
    pub fn new(seed: u64, folder: &Path) -> Self {
        let (tesla, now) = (InMemoryTesla::default(), Instant::now());
        let gateway = InMemoryGateway::new(SiteOptions::new("home", "Home", SiteKind::Powerwall2)).unwrap();
        tesla.add(SITE, &gateway);
        std::fs::write(folder.join(TOKEN_FILE), tesla.sign_in()).unwrap();
        let state = State {
            rng: StdRng::seed_from_u64(seed),
            run: 0,
            trouble: None,
            well_since: now,
            local_away: now,
            pause_until: None,
            is_busy: false,
            last_reading: None,
            last_slow: None,
            last_order: None,
            read_back: 0,
            last_given: None,
            may_read_late: false,
            last_answer: now,
            is_read_since_order: true,
            arrived: Vec::new(),
            violations: Vec::new(),
            tail: VecDeque::new(),
            seen: BTreeMap::new(),
        };
        Self { tesla, gateway, started: now, state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub fn violated(&self, what: String) {
        let at = self.started.elapsed().as_secs_f64();
        self.state().violations.push(format!("{at:.3} s: {what}"));
    }

    /// What was violated, and what happened before.
    pub fn violations(&self) -> Vec<String> {
        let state = self.state();
        match state.violations.is_empty() {
            true => Vec::new(),
            false => state.violations.iter().chain(&state.tail).cloned().collect(),
        }
    }

    pub fn is_violated(&self) -> bool {
        !self.state().violations.is_empty()
    }

    pub fn seen(&self) -> BTreeMap<&'static str, u64> {
        self.state().seen.clone()
    }

    pub fn count(&self, what: &'static str) {
        *self.state().seen.entry(what).or_insert(0) += 1;
    }

    pub fn note(&self, what: String) {
        let at = self.started.elapsed().as_secs_f64();
        let tail = &mut self.state().tail;
        tail.push_back(format!("  {at:.3} s  {what}"));
        if tail.len() > 40 {
            tail.pop_front();
        }
    }

    pub fn trouble(&self, trouble: Trouble, lasts: Duration) {
        let (now, mut state) = (Instant::now(), self.state());
        state.trouble = Some((trouble, now + lasts));
        let pause = if let Trouble::Pause(seconds) = trouble { seconds } else { 0 };
        state.well_since = state.well_since.max(now + lasts + Duration::from_secs(pause));
    }

    pub fn no_local(&self, lasts: Duration) {
        self.state().local_away = Instant::now() + lasts;
    }

    /// Whether the contactor moves when it is told to, from now on.
    pub fn set_moves(&self, moves: bool) {
        self.gateway.set_order_fault((!moves).then_some(OrderFault::WithoutEffect));
    }

    pub fn killed(&self) {
        let mut state = self.state();
        state.run += 1;
        (state.is_busy, state.last_reading, state.last_slow) = (false, None, None);
        state.well_since = state.well_since.max(Instant::now());
    }

    /// The number of an order that is about to be given.
    pub fn gives(&self) -> usize {
        let mut state = self.state();
        (state.last_given, state.may_read_late, state.read_back) = (Some(Instant::now()), true, 0);
        state.is_read_since_order = false;
        state.arrived.push(0);
        state.arrived.len() - 1
    }

    pub fn is_in_effect(&self, number: usize, off_grid: bool) {
        let (arrived, is_read) = {
            let state = self.state();
            (state.arrived[number], state.is_read_since_order)
        };
        // One that never arrived may ask for what is so already.
        if !is_read || self.gateway.is_off_grid() != off_grid {
            let off = self.gateway.is_off_grid();
            self.violated(format!(
                "order {number} is called in effect: arrived {arrived} times, read back {is_read}, off {off}"
            ));
        }
        self.count("in effect");
    }

    pub fn is_not_sent(&self, number: usize) {
        if self.state().arrived[number] > 0 {
            self.violated(format!("order {number} is called not sent, and arrived"));
        }
    }

    /// For how long nobody has heard of the gateway.
    pub fn silent_for(&self) -> Duration {
        self.state().last_answer.elapsed()
    }

    /// For how long there has been no reason for not showing it.
    pub fn well_for(&self) -> Duration {
        Instant::now().saturating_duration_since(self.state().well_since)
    }

    /// What the gateway answers to a signed message, and what is wrong with the message.
    /// Sent at `now`.
    fn arrives(&self, call: &Call, now: Instant) -> Result<Bytes, String> {
        let body: Value = serde_json::from_slice(&call.body).unwrap_or_default();
        let message = body["data"]["routable_message"].as_str().unwrap_or_default();
        let message = BASE64_STANDARD.decode(message).unwrap_or_default().into();
        let din = self.gateway.answer("/tedapi/din", None).1.unwrap();
        let din = String::from_utf8(din.to_vec()).unwrap();
        let envelope = signed::open_within(&message, &din, unix_time(), LONGEST)
            .map_err(|fault| format!("a message has fault {fault}"))?;
        let site = Envelope::decode(envelope.clone()).unwrap().site;
        if site.is_some_and(|site| site.set_island_mode.is_some()) {
            let answer = self.gateway.order(envelope).ok_or("an order is not answered")?;
            let mut state = self.state();
            (state.last_order, state.is_read_since_order) = (Some(now), false);
            let Some(times) = state.arrived.last_mut() else { return Err("nobody gave an order".into()) };
            *times += 1;
            if *times > 1 {
                return Err("an order arrives again".into());
            }
            drop(state);
            self.count("order arrived");
            return Ok(answer);
        }
        // The list of backup events is read as orders are sent.
        if let Some(answer) = self.gateway.order(envelope.clone()) {
            self.keeps_pace(Role::Other, now)?;
            return Ok(answer);
        }
        let framed = Some(frames::wrap(envelope, AUTH_PRESENCE));
        let (role, answer) = self.gateway.answer("/tedapi/v1", framed);
        self.keeps_pace(role, now)?;
        let answer = answer.map_err(|status| format!("a question is answered with {status}"))?;
        Ok(Frame::decode(answer).unwrap().envelope)
    }

    fn keeps_pace(&self, role: Role, now: Instant) -> Result<(), String> {
        let mut state = self.state();
        let reads = is_reading(role);
        let (last, fastest, what) = match reads {
            true => (&mut state.last_reading, FASTEST, "readings"),
            false => (&mut state.last_slow, FASTEST_SLOW, "what can wait"),
        };
        let gap = last.replace(now).map(|last| now - last);
        let reads_back = state.last_given.is_some_and(|given| now - given < READ_BACK);
        *state.seen.entry(what).or_insert(0) += 1;
        state.is_read_since_order |= reads;
        if reads_back && reads {
            state.read_back += 1;
            if state.read_back > MOST_READ_BACK {
                return Err(format!("an order is read back {} times", state.read_back));
            }
            *state.seen.entry("read back").or_insert(0) += 1;
            return Ok(());
        }
        match gap.filter(|gap| *gap < fastest) {
            Some(_) if reads && std::mem::take(&mut state.may_read_late) => Ok(()),
            Some(gap) => Err(format!("{what} are asked for {gap:?} after the ones before")),
            None => Ok(()),
        }
    }
}

/// Whether it is what changes by the second.
fn is_reading(role: Role) -> bool {
    matches!(role, Role::Status | Role::Controller)
}

/// The way to Tesla.
pub struct Wires {
    way: Arc<Way>,
    /// Which run of the program it belongs to.
    run: u32,
    defect: Option<Defect>,
}

/// Frees the way when an exchange ends, however it ends.
struct Busy<'a>(&'a Wires);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        let mut state = self.0.way.state();
        if state.run == self.0.run {
            state.is_busy = false;
        }
    }
}

impl Wires {
    pub fn new(way: Arc<Way>, defect: Option<Defect>) -> Self {
        let run = way.state().run;
        Self { way, run, defect }
    }

    async fn exchange(&self, to: &Origin, call: &Call) -> Result<Answer, TeslaError> {
        let is_message = call.path.ends_with("/device_command");
        let pause = self.way.state().pause_until;
        if let Some(until) = pause.filter(|until| Instant::now() < *until && !call.path.contains("/token")) {
            self.way.violated(format!("it is asked {:?} before the pause is over", until - Instant::now()));
        }
        if is_message && std::mem::replace(&mut self.way.state().is_busy, true) {
            self.way.violated("a message is sent while another one is under way".into());
        }
        let _busy = is_message.then(|| Busy(self));
        let (now, takes) =
            (Instant::now(), Duration::from_millis(self.way.state().rng.random_range(200..9000)));
        sleep(takes / 2).await;
        let trouble = self.way.state().trouble.filter(|(_, until)| now < *until).map(|(trouble, _)| trouble);
        match trouble {
            Some(Trouble::Unreachable) => return Err(TeslaError::Unreachable("no route".into())),
            Some(Trouble::Hangs) => {
                sleep(PATIENCE).await;
                return Err(TeslaError::Timeout(PATIENCE));
            }
            Some(Trouble::Status(status)) => return Ok(Answer { status, ..Answer::default() }),
            Some(Trouble::Pause(seconds)) => {
                let pause = Duration::from_secs(seconds);
                self.way.state().pause_until = Some(Instant::now() + pause);
                self.way.count("pause");
                return Ok(Answer { status: 429, retry_after: Some(pause), ..Answer::default() });
            }
            _ => {}
        }
        if !is_message {
            return Ok(self.way.tesla.answer(&to.host, call));
        }
        let before = self.way.state().last_order;
        let envelope = self.way.arrives(call, now).unwrap_or_else(|what| {
            self.way.violated(what);
            Bytes::new()
        });
        let is_order = self.way.state().last_order != before;
        sleep(takes / 2).await;
        match trouble {
            Some(Trouble::AnswersLost) => {
                self.way.count(if is_order { "order arrived, answer lost" } else { "answer lost" });
                return Err(TeslaError::Unreachable("cut".into()));
            }
            Some(Trouble::NoEnvelope) => return Ok(answer(&json!({}))),
            _ => {}
        }
        self.way.state().last_answer = Instant::now();
        Ok(answer(&json!({ "message_envelope_as_bytes": BASE64_STANDARD.encode(envelope) })))
    }
}

fn answer(response: &Value) -> Answer {
    Answer { status: 200, body: json!({ "response": response }).to_string().into(), ..Answer::default() }
}

impl web::Wires for Wires {
    fn send<'a>(&'a self, to: &'a Origin, call: Call) -> LocalBoxFuture<'a, Result<Answer, TeslaError>> {
        Box::pin(async move {
            if self.way.state().run != self.run {
                return std::future::pending().await;
            }
            let is_message = call.path.ends_with("/device_command");
            let orders = self.way.state().last_order;
            let mut outcome = match self.defect.filter(|_| is_message) {
                Some(Defect::Hasty) => join(self.exchange(to, &call), self.exchange(to, &call)).await.0,
                _ => self.exchange(to, &call).await,
            };
            let is_order = self.way.state().last_order != orders;
            match self.defect.filter(|_| is_message) {
                Some(Defect::OrdersTwice) if is_order => outcome = self.exchange(to, &call).await,
                Some(Defect::Impatient) if !is_order => outcome = self.exchange(to, &call).await,
                _ => {}
            }
            if let (Some(Defect::HeedsNoPause), Ok(answer)) = (self.defect, &mut outcome)
                && answer.status == 429
            {
                *answer = Answer { status: 503, ..Answer::default() };
            }
            if self.way.state().run != self.run {
                return std::future::pending().await;
            }
            let word = outcome.as_ref().map_or_else(ToString::to_string, |answer| answer.status.to_string());
            self.way.note(format!("{}: {word}", call.path));
            outcome
        })
    }
}

/// The way to the gateway over its local link.
pub struct Local {
    way: Arc<Way>,
    /// Answers that do not change, by path and body.
    kept: Mutex<HashMap<(String, Option<Bytes>), Bytes>>,
}

impl Local {
    pub fn new(way: Arc<Way>) -> Self {
        Self { way, kept: Mutex::default() }
    }
}

impl Transport for Local {
    fn exchange(&self, request: Request) -> LocalBoxFuture<'_, Result<Bytes, LinkError>> {
        Box::pin(async move {
            sleep(SECOND / 20).await;
            if Instant::now() < self.way.state().local_away {
                return Err(LinkError::Unreachable("nobody answers".into()));
            }
            let key = (request.path.clone(), request.body.clone());
            let kept = self.kept.lock().unwrap().get(&key).cloned();
            let now = Instant::now();
            if let Some(kept) = kept {
                return Ok(kept);
            }
            let (role, answer) = self.way.gateway.answer(&request.path, request.body);
            let body = answer.map_err(|status| LinkError::Status { status, what: request.path })?;
            if is_reading(role) {
                let mut state = self.way.state();
                (state.last_answer, state.is_read_since_order) = (now, true);
            } else if role != Role::Config {
                self.kept.lock().unwrap().insert(key, body.clone());
            }
            Ok(body)
        })
    }
}
