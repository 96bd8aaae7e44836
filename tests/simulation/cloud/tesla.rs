//! Tesla, as it is simulated: the double's answers, what goes wrong with them, and a witness who judges every
//! request that arrives.
//!
//! The figures are those of `docs/connecting.md` and of Tesla's own pages, written down again on purpose.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::future::pending;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use awc::http::{Method, header};
use futures_util::future::LocalBoxFuture;
use powerwall_server::clock::unix_time;
use powerwall_server::link::https::{Answer, Call};
use powerwall_server::link::tesla::error::TeslaError;
use powerwall_server::link::tesla::web::Wires;
use powerwall_server::settings::{Origin, TOKEN_FILE};
use powerwall_server::simulator::tesla::InMemoryTesla;
use powerwall_server::simulator::{InMemoryGateway, SiteKind, SiteOptions};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::local::Line;
use super::plan::{Event, Plan, Reach, Trouble};
use crate::options::SECOND;

/// Where tokens are renewed.
pub const AUTH: &str = "fleet-auth.prd.vn.cloud.tesla.com";
/// Where an account may move to, and back from.
const REGIONS: [&str; 2] = ["fleet-api.prd.na.vn.cloud.tesla.com", "fleet-api.prd.eu.vn.cloud.tesla.com"];
/// Tesla allows so many requests in any minute.
const PER_MINUTE: usize = 60;
const MINUTE: Duration = Duration::from_secs(60);
/// A client waits for an answer this long.
const PATIENCE: Duration = Duration::from_secs(20);
/// Counts of requests are written down within this: what a killed program may have lost.
const UNWRITTEN: Duration = Duration::from_secs(1);
/// A local link that nothing was wrong with for this long has been read.
const READ: Duration = Duration::from_secs(900);

/// The number of a site in the account.
pub fn id(site: usize) -> u64 {
    1000 + site as u64
}

/// How an exchange with the place of tokens ended for a refresh token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Used {
    UnderWay,
    AnswerLost,
    Answered,
}

struct State {
    tesla: InMemoryTesla,
    rng: StdRng,
    /// Grows when the program is killed: what it had under way brings nothing home.
    run: u32,
    trouble: Option<(Trouble, Instant)>,
    /// Since when Tesla's trouble is over, and what it took to be well again.
    well_since: Instant,
    /// What became of each refresh token that arrived.
    refreshes: HashMap<String, Used>,
    /// Since when a login is required: what arrives later was sent in spite of that.
    login_needed: bool,
    is_revoked: bool,
    /// How many requests have found that out in this run of the program, and the last run that knows.
    found_out: (usize, u32),
    /// The file that the owner's last login wrote.
    of_owner: Option<String>,
    /// The host that `users/region` has named.
    named: Option<String>,
    /// Nothing may be asked before, for 429 was answered.
    pause_until: Option<Instant>,
    /// The requests of the last minute, without those for tokens.
    recent: VecDeque<Instant>,
    /// Requests that are billed, by day.
    billed: BTreeMap<i64, u64>,
    /// Counts that a killed program may have lost, by day.
    uncounted: BTreeMap<i64, u64>,
    /// Orders that arrived, and whether they reached the gateway.
    arrived: HashMap<(usize, u8), bool>,
    delivers: bool,
    violations: Vec<String>,
    tail: VecDeque<String>,
    seen: BTreeMap<&'static str, u64>,
}

/// Everything beyond the program.
pub struct Tesla {
    folder: PathBuf,
    reaches: Vec<Reach>,
    gateways: Vec<(Arc<InMemoryGateway>, Line)>,
    budget: Option<u64>,
    started: Instant,
    /// What the file of tokens said at first.
    first_file: String,
    state: Mutex<State>,
}

impl Tesla {
    pub fn new(plan: &Plan, folder: &Path) -> Self {
        let tesla = InMemoryTesla::default();
        tesla.set_life(plan.life);
        let gateway = |site: usize| {
            let number = site as u32 + 1;
            let options =
                SiteOptions::new(&format!("site-{site}"), &format!("Site {site}"), SiteKind::Powerwall2);
            let gateway = InMemoryGateway::new(SiteOptions { number, ..options }).unwrap();
            tesla.add(id(site), &gateway);
            (Arc::new(gateway), Line::default())
        };
        let gateways: Vec<_> = (0..plan.sites.len()).map(gateway).collect();
        let first_file = tesla.sign_in();
        std::fs::write(folder.join(TOKEN_FILE), &first_file).unwrap();
        let state = State {
            tesla,
            rng: StdRng::seed_from_u64(plan.seed),
            run: 0,
            trouble: None,
            well_since: Instant::now(),
            refreshes: HashMap::new(),
            login_needed: false,
            is_revoked: false,
            found_out: (0, 0),
            of_owner: None,
            named: None,
            pause_until: None,
            recent: VecDeque::new(),
            billed: BTreeMap::new(),
            uncounted: BTreeMap::new(),
            arrived: HashMap::new(),
            delivers: true,
            violations: Vec::new(),
            tail: VecDeque::new(),
            seen: BTreeMap::new(),
        };
        Self {
            folder: folder.to_owned(),
            reaches: plan.sites.clone(),
            gateways,
            budget: plan.budget,
            started: Instant::now(),
            first_file,
            state: Mutex::new(state),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn local(&self, site: usize) -> (Arc<InMemoryGateway>, Line) {
        self.gateways[site].clone()
    }

    pub fn din(&self, site: usize) -> String {
        let din = self.gateways[site].0.answer("/tedapi/din", None).1.unwrap();
        String::from_utf8(din.to_vec()).unwrap()
    }

    pub fn has_local_link(&self, site: usize) -> bool {
        self.reaches[site] != Reach::Cloud
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

    /// Whether an order arrived, and then, whether it reached the gateway.
    pub fn arrivals(&self, site: usize, percent: u8) -> Option<bool> {
        self.state().arrived.get(&(site, percent)).copied()
    }

    /// Whether the local link of a gateway has long been able to show what the gateway has.
    pub fn is_locally_well(&self, site: usize) -> bool {
        let now = Instant::now();
        self.has_local_link(site) && now > self.gateways[site].1.up_since() + READ
    }

    /// For how long there has been no reason for not showing a site.
    pub fn well_for(&self, site: usize, has_local_link: bool, budget: Option<u64>) -> Duration {
        let (now, state) = (Instant::now(), self.state());
        let local = self.gateways[site].1.up_since();
        let is_barred = state.login_needed || state.is_revoked || budget.is_some();
        let since = match is_barred {
            true => now,
            false => state.well_since.max(state.pause_until.unwrap_or(self.started)),
        };
        now.saturating_duration_since(if has_local_link { since.min(local) } else { since })
    }

    /// The program was killed. What it had not written down, nobody knows any more.
    pub fn killed(&self) {
        let (now, mut state) = (Instant::now(), self.state());
        state.run += 1;
        state.found_out.0 = 0;
        state.well_since = now.max(state.well_since);
        let lost = state.recent.iter().filter(|at| now - **at <= UNWRITTEN).count() as u64;
        *state.uncounted.entry(today()).or_insert(0) += lost;
        for used in state.refreshes.values_mut().filter(|used| **used == Used::UnderWay) {
            *used = Used::AnswerLost;
        }
        if state.pause_until.is_some_and(|until| now < until) {
            *state.seen.entry("killed in a pause").or_insert(0) += 1;
        }
    }

    pub fn happens(&self, event: &Event) {
        let (now, mut state) = (Instant::now(), self.state());
        match event {
            Event::Trouble(trouble, lasts) => {
                state.trouble = Some((*trouble, now + *lasts));
                state.well_since = state.well_since.max(now + *lasts);
            }
            Event::NoLocal(site, lasts) => {
                self.gateways[*site].1.is_down_for(*lasts);
            }
            Event::Revoked => {
                state.tesla.revoke();
                state.is_revoked = true;
            }
            Event::LogsIn => {
                let file = state.tesla.sign_in();
                std::fs::write(self.folder.join(TOKEN_FILE), &file).unwrap();
                state.of_owner = Some(file);
                (state.login_needed, state.is_revoked, state.well_since) = (false, false, now);
            }
            Event::Expired => state.tesla.expire_tokens(),
            Event::Moves => {
                let to = if state.tesla.home() == REGIONS[0] { REGIONS[1] } else { REGIONS[0] };
                state.tesla.moves_to(to);
                (state.named, state.well_since) = (None, state.well_since.max(now));
            }
            Event::Delivers(delivers) => {
                state.tesla.set_delivers(*delivers);
                state.delivers = *delivers;
            }
            Event::Killed | Event::Order(..) => unreachable!("they happen to the program"),
        }
    }

    /// For a program that writes no tokens down.
    pub fn forget_file(&self) {
        std::fs::write(self.folder.join(TOKEN_FILE), &self.first_file).unwrap();
    }
}

/// The day by the wall clock, UTC.
fn today() -> i64 {
    (unix_time() / 86_400.0) as i64
}

/// The refresh token in a form.
fn refresh_token(call: &Call) -> String {
    let body = String::from_utf8_lossy(&call.body).into_owned();
    let found = body.split('&').find_map(|field| field.strip_prefix("refresh_token="));
    found.unwrap_or_default().to_owned()
}

impl State {
    fn violated(&mut self, started: Instant, what: String) {
        self.violations.push(format!("{:.3} s: {what}", started.elapsed().as_secs_f64()));
    }

    /// Judges a request for tokens.
    fn token_arrives(&mut self, call: &Call) -> Result<(), String> {
        *self.seen.entry("refreshed").or_insert(0) += 1;
        let token = refresh_token(call);
        if self.refreshes.values().any(|used| *used == Used::UnderWay) {
            return Err("two tokens are renewed at the same time".into());
        }
        match self.refreshes.insert(token, Used::UnderWay) {
            Some(Used::Answered | Used::UnderWay) => {
                Err("a refresh token is used again, although its successor was given".into())
            }
            _ => Ok(()),
        }
    }

    /// Judges a request to the API.
    fn arrives(&mut self, to: &str, call: &Call, folder: &Path, budget: Option<u64>) -> Result<(), String> {
        let now = Instant::now();
        *self.seen.entry("asked").or_insert(0) += 1;
        if let Some(until) = self.pause_until.filter(|until| now < *until) {
            return Err(format!("it is asked {:?} before the pause is over", until - now));
        }
        // One that has had a 421 at the same time asks for the region where it was.
        let asks_region = call.path == "/api/1/users/region";
        if self.named.as_deref().is_some_and(|named| named != to) && !asks_region {
            return Err(format!("{to} is asked, which is another region than the one that was named"));
        }
        let bearer = call.headers.iter().find(|(name, _)| *name == header::AUTHORIZATION);
        let bearer = bearer.and_then(|(_, value)| value.to_str().ok()?.strip_prefix("Bearer "));
        let file = std::fs::read_to_string(folder.join(TOKEN_FILE)).unwrap_or_default();
        // What a login of the owner has just replaced is in the file no more.
        let is_replaced = self.of_owner.as_ref() == Some(&file);
        if !is_replaced && !bearer.is_some_and(|token| file.contains(token)) {
            return Err("a token is used that is not on the disk".into());
        }
        while self.recent.front().is_some_and(|at| now - *at >= MINUTE) {
            self.recent.pop_front();
        }
        self.recent.push_back(now);
        if self.recent.len() > PER_MINUTE {
            return Err(format!("{} requests within a minute", self.recent.len()));
        }
        let billed = self.billed.entry(today()).or_insert(0);
        *billed += 1;
        let room = self.uncounted.get(&today()).copied().unwrap_or_default();
        match budget.filter(|budget| *billed > *budget + room) {
            Some(budget) => Err(format!("{billed} requests of a budget of {budget}")),
            None => Ok(()),
        }
    }

    /// An order arrives, as far as the request is one.
    fn order_arrives(&mut self, call: &Call) -> Result<(), String> {
        let path: Vec<&str> = call.path.split('/').collect();
        let ["", "api", "1", "energy_sites", number, "backup"] = path[..] else { return Ok(()) };
        let body: Value = serde_json::from_slice(&call.body).unwrap_or_default();
        let percent = body["backup_reserve_percent"].as_u64().unwrap_or(255) as u8;
        let site = number.parse::<u64>().unwrap_or_default().wrapping_sub(id(0)) as usize;
        *self.seen.entry("order arrived").or_insert(0) += 1;
        match self.arrived.insert((site, percent), self.delivers) {
            Some(_) => Err(format!("an order arrives again: {percent} % at site {site}")),
            None => Ok(()),
        }
    }
}

/// What is in an answer to a request that has arrived.
enum Fate {
    Answer(Answer),
    Lost,
    Unreachable,
    Hangs,
}

/// The way to Tesla.
pub struct TeslaWires {
    tesla: Arc<Tesla>,
    /// Which run of the program it belongs to.
    run: u32,
}

impl TeslaWires {
    pub fn new(tesla: Arc<Tesla>) -> Self {
        let run = tesla.state().run;
        Self { tesla, run }
    }

    pub fn tesla(&self) -> &Tesla {
        &self.tesla
    }

    fn begins(&self, to: &Origin, call: &Call) -> Duration {
        let Tesla { folder, budget, started, .. } = &*self.tesla;
        let mut state = self.tesla.state();
        // An access token outlives its refresh token, and a new run may have one of which nobody has said
        // that it is over: each site may find out.
        let may_find_out = to.host != AUTH && state.run > state.found_out.1;
        if state.login_needed && !may_find_out {
            state.violated(*started, format!("{} is asked, although a login is required", call.path));
        }
        if state.login_needed && may_find_out {
            state.found_out.0 += 1;
            if state.found_out.0 >= self.tesla.reaches.len() {
                state.found_out = (0, state.run);
            }
        }
        let kept = match to.host == AUTH {
            true => state.token_arrives(call),
            false => state.arrives(&to.host, call, folder, *budget),
        };
        if let Err(what) = kept {
            state.violated(*started, what);
        }
        Duration::from_millis(state.rng.random_range(50..900))
    }

    /// What Tesla makes of it.
    fn fate(&self, to: &Origin, call: &Call) -> Fate {
        let now = Instant::now();
        let mut state = self.tesla.state();
        let trouble = state.trouble.filter(|(_, until)| now < *until).map(|(trouble, _)| trouble);
        let is_token = to.host == AUTH;
        match trouble {
            Some(Trouble::Unreachable) => return Fate::Unreachable,
            Some(Trouble::Hangs) => return Fate::Hangs,
            Some(Trouble::Status(status)) => return Fate::Answer(Answer { status, ..Answer::default() }),
            Some(Trouble::Pause(seconds)) if !is_token => {
                let pause = Duration::from_secs(seconds);
                return Fate::Answer(Answer { status: 429, retry_after: Some(pause), ..Answer::default() });
            }
            _ => {}
        }
        let answer = state.tesla.answer(&to.host, call);
        let is_done = call.method == Method::POST && !is_token && matches!(answer.status, 200..300);
        if is_done && let Err(what) = state.order_arrives(call) {
            state.violated(self.tesla.started, what);
        }
        match trouble {
            Some(Trouble::AnswersLost) => Fate::Lost,
            _ => Fate::Answer(answer),
        }
    }

    /// What an answer that reaches the program says counts from now on.
    fn heard(&self, to: &Origin, call: &Call, answer: &Answer) {
        let (now, mut state) = (Instant::now(), self.tesla.state());
        let body = String::from_utf8_lossy(&answer.body);
        match answer.status {
            429 => {
                let until = answer.retry_after.map(|pause| now + pause);
                state.pause_until = state.pause_until.max(until);
                *state.seen.entry("429").or_insert(0) += 1;
            }
            421 => *state.seen.entry("out of region").or_insert(0) += 1,
            401 if to.host == AUTH && body.contains("login_required") => {
                state.login_needed = true;
                state.found_out = (0, state.run);
                *state.seen.entry("login required").or_insert(0) += 1;
            }
            200 if call.path == "/api/1/users/region" => {
                state.named = REGIONS.iter().find(|host| body.contains(**host)).map(ToString::to_string);
                *state.seen.entry("found the region").or_insert(0) += 1;
            }
            _ => {}
        }
    }

    fn refresh_ends(&self, call: &Call, used: Used) {
        let mut state = self.tesla.state();
        if state.run == self.run {
            state.refreshes.insert(refresh_token(call), used);
        }
    }
}

impl Wires for TeslaWires {
    fn send<'a>(&'a self, to: &'a Origin, call: Call) -> LocalBoxFuture<'a, Result<Answer, TeslaError>> {
        Box::pin(async move {
            if self.tesla.state().run != self.run {
                return pending().await;
            }
            let is_token = to.host == AUTH;
            sleep(self.begins(to, &call) / 2).await;
            let fate = self.fate(to, &call);
            sleep(SECOND / 10).await;
            if matches!(fate, Fate::Hangs) {
                sleep(PATIENCE).await;
            }
            if self.tesla.state().run != self.run {
                return pending().await;
            }
            let (outcome, used) = match fate {
                Fate::Answer(answer) => {
                    self.heard(to, &call, &answer);
                    let is_given = answer.status == 200;
                    (Ok(answer), if is_given { Used::Answered } else { Used::AnswerLost })
                }
                Fate::Lost => {
                    self.tesla.count("answer lost");
                    (Err(TeslaError::Unreachable("cut".into())), Used::AnswerLost)
                }
                Fate::Unreachable => (Err(TeslaError::Unreachable("no route".into())), Used::AnswerLost),
                Fate::Hangs => (Err(TeslaError::Timeout(PATIENCE)), Used::AnswerLost),
            };
            if is_token {
                self.refresh_ends(&call, used);
            }
            let word = outcome.as_ref().map_or_else(ToString::to_string, |answer| answer.status.to_string());
            self.tesla.note(format!("{} {} {}: {word}", to.host, call.method, call.path));
            outcome
        })
    }
}
