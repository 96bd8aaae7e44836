//! The owners API, as it is simulated: the double's answers, what goes wrong with them, and the file that
//! everybody shares. What arrives is judged by [`super::witness`].

use std::future::pending;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use awc::http::{Method, header};
use futures_util::future::LocalBoxFuture;
use powerwall_server::clock::{set_unix_time, unix_time};
use powerwall_server::link::https::{Answer, Call};
use powerwall_server::link::tesla::error::TeslaError;
use powerwall_server::link::tesla::token_wire::{NotPosted, TokenWire};
use powerwall_server::link::tesla::web::Wires;
use powerwall_server::settings::{OWNERS_FILE, Origin};
use powerwall_server::simulator::tesla::InMemoryOwners;
use powerwall_server::simulator::{InMemoryGateway, SiteKind, SiteOptions};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::plan::{Event, Plan, Reach, Step, Trouble};
use super::witness::Witness;
use crate::cloud::local::Line;
use crate::options::SECOND;

/// A client waits for an answer this long.
const PATIENCE: Duration = Duration::from_secs(20);
const HOUR: f64 = 3600.0;

/// The number of a site in the account.
pub fn id(site: usize) -> u64 {
    1000 + site as u64
}

/// Where programs keep what Tesla asked them for.
pub fn ledger(folder: &Path) -> PathBuf {
    folder.join("ledger.json")
}

pub struct State {
    owners: InMemoryOwners,
    rng: StdRng,
    trouble: Option<(Trouble, Instant)>,
    is_back: bool,
    /// Which run of each program it is, and whether it dies with its next step.
    runs: Vec<u32>,
    dying: Vec<Option<u32>>,
    fates: Vec<Option<(Step, u32)>>,
    pub witness: Witness,
}

/// Everything beyond the programs.
pub struct Tesla {
    folder: PathBuf,
    reaches: Vec<Reach>,
    gateways: Vec<(Arc<InMemoryGateway>, Line)>,
    /// What the file of tokens said at first.
    first_file: String,
    state: Mutex<State>,
}

impl Tesla {
    pub fn new(plan: &Plan, folder: &Path) -> Self {
        let owners = InMemoryOwners::default();
        owners.set_life(plan.life);
        let gateway = |site: usize| {
            let (name, number) = (format!("Site {site}"), site as u32 + 1);
            let options = SiteOptions::new(&format!("site-{site}"), &name, SiteKind::Powerwall2);
            let gateway = InMemoryGateway::new(SiteOptions { number, ..options }).unwrap();
            owners.add(id(site), &gateway);
            (Arc::new(gateway), Line::default())
        };
        let gateways: Vec<_> = (0..plan.sites.len()).map(gateway).collect();
        let first_file = owners.sign_in();
        std::fs::write(folder.join(OWNERS_FILE), &first_file).unwrap();
        let state = State {
            owners,
            rng: StdRng::seed_from_u64(plan.seed),
            trouble: None,
            is_back: false,
            runs: vec![0; plan.programs],
            dying: vec![None; plan.programs],
            fates: vec![None; plan.programs],
            witness: Witness::new(plan.life),
        };
        let tesla = Self {
            folder: folder.to_owned(),
            reaches: plan.sites.clone(),
            gateways,
            first_file,
            state: Mutex::new(state),
        };
        tesla.state().witness.given(&tesla.tokens());
        tesla
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn local(&self, site: usize) -> (Arc<InMemoryGateway>, Line) {
        self.gateways[site].clone()
    }

    pub fn reach(&self, site: usize) -> Reach {
        self.reaches[site]
    }

    pub fn din(&self, site: usize) -> String {
        let din = self.gateways[site].0.answer("/tedapi/din", None).1.unwrap();
        String::from_utf8(din.to_vec()).unwrap()
    }

    /// Access and refresh token in the file.
    fn tokens(&self) -> (String, String) {
        let text = std::fs::read_to_string(self.folder.join(OWNERS_FILE)).unwrap();
        let file: Value = serde_json::from_str(&text).expect("the file of tokens is whole");
        let sso = &file["owner@example.com"]["sso"];
        let token = |key: &str| sso[key].as_str().unwrap_or_default().to_owned();
        (token("access_token"), token("refresh_token"))
    }

    /// Lets the witness see what the file holds.
    pub fn look_at_file(&self) {
        let tokens = self.tokens();
        self.state().witness.on_disk(&tokens);
    }

    /// A login of the owner, or tokens of an app.
    fn log_in(&self) {
        let file = self.state().owners.sign_in();
        std::fs::write(self.folder.join(OWNERS_FILE), file).unwrap();
        let tokens = self.tokens();
        let mut state = self.state();
        state.witness.given(&tokens);
        state.witness.is_well_from(Instant::now());
    }

    /// pypowerwall renews the tokens, unless one of the programs is about to.
    fn others_renew(&self) {
        let (_, refresh) = self.tokens();
        let mut state = self.state();
        if state.witness.is_posted(&refresh) {
            return;
        }
        let form = format!("grant_type=refresh_token&client_id=ownerapi&refresh_token={refresh}");
        let answer = state.owners.answer(&posted("/oauth2/v3/token", form));
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let Some(access) = body["access_token"].as_str() else { return };
        let new = body["refresh_token"].as_str().unwrap_or(&refresh).to_owned();
        state.witness.others_renewed(&refresh, &(access.to_owned(), new.clone()));
        drop(state);
        let path = self.folder.join(OWNERS_FILE);
        let mut file: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let sso = &mut file["owner@example.com"]["sso"];
        (sso["access_token"], sso["refresh_token"]) = (access.into(), new.into());
        std::fs::write(path, file.to_string()).unwrap();
    }

    pub fn happens(&self, event: &Event) {
        self.look_at_file();
        match event {
            Event::LogsIn => return self.log_in(),
            Event::OthersRenew => return self.others_renew(),
            Event::NoLocal(site, lasts) => return self.gateways[*site].1.is_down_for(*lasts),
            _ => {}
        }
        let (now, mut state) = (Instant::now(), self.state());
        match event {
            Event::Trouble(trouble, lasts) => {
                state.trouble = Some((*trouble, now + *lasts));
                state.witness.is_well_from(now + *lasts);
            }
            Event::Refuses => state.owners.spoil(),
            Event::Revoked => state.owners.revoke(),
            Event::Expired => state.owners.expire_tokens(),
            Event::Keeps(keeps) => state.owners.keep_refresh_token(*keeps),
            Event::ClockBack(is_back) if *is_back != state.is_back => {
                state.is_back = *is_back;
                set_unix_time(unix_time() + if *is_back { -HOUR } else { HOUR });
            }
            Event::Killed(program) => state.dying[*program] = Some(0),
            Event::KilledAt(program, step, polls) => state.fates[*program] = Some((*step, *polls)),
            _ => {}
        }
    }

    pub fn starts(&self, program: usize) {
        let mut state = self.state();
        state.runs[program] += 1;
        state.dying[program] = None;
        state.witness.is_well_from(Instant::now());
    }

    /// A program is dead; for how long.
    pub fn died(&self, program: usize, forgets_notes: bool) -> Duration {
        if forgets_notes {
            let _ = std::fs::remove_file(self.folder.join(".powerwall-server.owners-spent.json"));
        }
        let mut state = self.state();
        state.dying[program] = None;
        let run = state.runs[program];
        state.witness.died(program, run);
        Duration::from_secs(state.rng.random_range(1..30))
    }

    /// Whether a program has come to its end; counts down to it.
    pub fn is_to_die(&self, program: usize) -> bool {
        let mut state = self.state();
        match &mut state.dying[program] {
            Some(0) => true,
            Some(polls) => {
                *polls -= 1;
                false
            }
            None => false,
        }
    }

    /// Pauses are forgotten.
    pub fn forget_ledger(&self) {
        let _ = std::fs::remove_file(ledger(&self.folder));
    }

    /// For a program that writes no tokens down.
    pub fn forget_file(&self) {
        std::fs::write(self.folder.join(OWNERS_FILE), &self.first_file).unwrap();
    }

    /// Whether somebody with this file can be well: a token of it holds, or can be had for it.
    pub fn file_is_good(&self) -> bool {
        let (access, refresh) = self.tokens();
        let state = self.state();
        let question = Call::get("/api/1/products").with(header::AUTHORIZATION, bearer(&access));
        let holds = state.owners.answer(&question).status;
        holds == 200
            || holds == 401 && state.owners.would_renew(&refresh) && !state.witness.is_posted(&refresh)
    }

    pub fn has_trouble(&self) -> bool {
        let state = self.state();
        state.trouble.is_some_and(|(_, until)| Instant::now() < until)
    }
}

fn bearer(token: &str) -> header::HeaderValue {
    header::HeaderValue::from_str(&format!("Bearer {token}")).unwrap()
}

fn posted(path: &'static str, form: String) -> Call {
    let (headers, body) = (Vec::new(), form.into());
    Call { method: Method::POST, path: path.into(), headers, body, only_reads: false }
}

/// The way of one run of a program to Tesla.
#[derive(Clone)]
pub struct TeslaWires {
    tesla: Arc<Tesla>,
    program: usize,
    run: u32,
}

impl TeslaWires {
    pub fn new(tesla: Arc<Tesla>, program: usize) -> Self {
        let run = tesla.state().runs[program];
        Self { tesla, program, run }
    }

    pub fn tesla(&self) -> &Tesla {
        &self.tesla
    }

    /// The program gets so far; here it may end.
    async fn reaches(&self, step: Step) {
        let ends_here = {
            let mut state = self.tesla.state();
            let fate = state.fates[self.program].take_if(|(fate, _)| *fate == step);
            if let Some((_, polls)) = fate {
                state.dying[self.program] = Some(polls);
                state.witness.count("killed at a step");
            }
            fate.is_some_and(|(_, polls)| polls == 0)
        };
        if ends_here {
            pending::<()>().await;
        }
    }

    fn trouble(&self) -> Option<Trouble> {
        let state = self.tesla.state();
        state.trouble.filter(|(_, until)| Instant::now() < *until).map(|(trouble, _)| trouble)
    }

    async fn travels(&self) {
        let takes = self.tesla.state().rng.random_range(50..900);
        sleep(Duration::from_millis(takes)).await;
    }

    fn note(&self, what: &str) {
        self.tesla.state().witness.note(format!("program {}: {what}", self.program));
    }

    async fn asked(&self, call: Call) -> Result<Answer, TeslaError> {
        let sent = call.headers.iter().find(|(name, _)| *name == header::AUTHORIZATION);
        let sent = sent.and_then(|(_, value)| value.to_str().ok()?.strip_prefix("Bearer "));
        let token = sent.unwrap_or_default().to_owned();
        self.tesla.look_at_file();
        let who = (self.program, self.run);
        self.tesla.state().witness.asks(who, &token, &call.path);
        self.travels().await;
        let outcome = match self.trouble() {
            Some(Trouble::Unreachable) => Err(TeslaError::Unreachable("no route".into())),
            Some(Trouble::Hangs) => {
                sleep(PATIENCE).await;
                Err(TeslaError::Timeout(PATIENCE))
            }
            Some(Trouble::Status(status)) => Ok(Answer { status, ..Answer::default() }),
            Some(Trouble::Pause(seconds)) => {
                let retry_after = Some(Duration::from_secs(seconds));
                Ok(Answer { status: 429, retry_after, ..Answer::default() })
            }
            Some(Trouble::AnswersLost) => {
                drop(self.tesla.state().owners.answer(&call));
                Err(TeslaError::Unreachable("cut".into()))
            }
            _ => Ok(self.tesla.state().owners.answer(&call)),
        };
        sleep(SECOND / 10).await;
        if outcome.as_ref().is_ok_and(|answer| answer.status == 403) {
            self.reaches(Step::Refused).await;
        }
        self.reaches(Step::Asked).await;
        if let Ok(answer) = &outcome {
            self.tesla.state().witness.hears(who, (&token, &call.path), answer);
        }
        let word = outcome.as_ref().map_or_else(ToString::to_string, |answer| answer.status.to_string());
        self.note(&format!("{}: {word}", call.path));
        outcome
    }

    async fn opened(&self) -> Result<(), TeslaError> {
        self.travels().await;
        match self.trouble() {
            Some(Trouble::Unreachable) => return Err(TeslaError::Unreachable("no route".into())),
            Some(Trouble::NoHttp2) => return Err(TeslaError::NoHttp2("auth.tesla.com".into())),
            _ => {}
        }
        self.reaches(Step::Opened).await;
        Ok(())
    }

    async fn sent(&self, form: String) -> Result<Answer, NotPosted> {
        self.reaches(Step::Posted).await;
        if self.trouble() == Some(Trouble::Unsent) {
            self.tesla.state().witness.count("unsent");
            return Err(NotPosted::Unsent(TeslaError::Unreachable("closed before a request".into())));
        }
        self.tesla.look_at_file();
        let refresh = form.split('&').find_map(|field| field.strip_prefix("refresh_token=")).unwrap();
        let (who, refresh) = ((self.program, self.run), refresh.to_owned());
        self.tesla.state().witness.posts(who, &refresh);
        self.travels().await;
        let call = posted("/oauth2/v3/token", form);
        let outcome = match self.trouble() {
            Some(Trouble::Hangs) => {
                sleep(PATIENCE).await;
                Err(NotPosted::Lost("no answer in time".into()))
            }
            Some(Trouble::Status(status)) => Ok(Answer { status, ..Answer::default() }),
            Some(Trouble::AnswersLost) => {
                drop(self.tesla.state().owners.answer(&call));
                Err(NotPosted::Lost("cut".into()))
            }
            _ => Ok(self.tesla.state().owners.answer(&call)),
        };
        sleep(SECOND / 10).await;
        if let Ok(answer) = &outcome {
            // Whatever becomes of the program, Tesla has said it.
            self.tesla.state().witness.gives(&refresh, answer);
        }
        self.reaches(Step::Answered).await;
        self.tesla.state().witness.ends(&refresh, outcome.as_ref().ok());
        let word = outcome.as_ref().map_or_else(|_| "lost".to_owned(), |answer| answer.status.to_string());
        self.note(&format!("renews: {word}"));
        outcome
    }
}

impl Wires for TeslaWires {
    fn send<'a>(&'a self, _: &'a Origin, call: Call) -> LocalBoxFuture<'a, Result<Answer, TeslaError>> {
        Box::pin(self.asked(call))
    }

    fn open<'a>(&'a self, _: &'a Origin) -> LocalBoxFuture<'a, Result<Box<dyn TokenWire>, TeslaError>> {
        Box::pin(async move {
            self.opened().await?;
            Ok(Box::new(self.clone()) as Box<dyn TokenWire>)
        })
    }
}

impl TokenWire for TeslaWires {
    fn post(&mut self, _: &'static str, form: String) -> LocalBoxFuture<'_, Result<Answer, NotPosted>> {
        Box::pin(self.sent(form))
    }
}
