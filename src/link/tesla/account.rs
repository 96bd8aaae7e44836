//! One account at Tesla or at a provider: one source of tokens and one ledger, however many sites are read
//! with it.
//!
//! A refresh token may be used once. So there is one refresh at a time, on a task of its own that no timeout
//! of a caller can cut, and the new token is on the disk before anything is asked with it. What a site
//! answers is left to the links.

mod kept;
mod owners;
mod owners_renewal;
mod renewal;

use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use awc::http::{Method, header};
use bytes::Bytes;
use ring::digest::{SHA256, digest};
use serde_json::Value;
use tokio::time::Instant;

use super::error::TeslaError;
use super::ledger::{Kept, Ledger, Purpose};
use super::owners::Issuer;
use super::products::{Product, products};
use super::region;
use super::tokens::Claims;
use super::web::{Authorities, Web};
use crate::clock::unix_time;
use crate::files;
use crate::link::https::{Answer, Call, secret_header};
use crate::pause::{Growth, Pause};
use crate::settings::{AccountConfig, Origin, Secret, TokenSource};
use kept::Tokens;
use owners::Owners;

pub use owners::Standing;
pub use renewal::{Renewed, Renewer};
pub(super) use renewal::{encoded, encoded_form, form_call, renewed};

/// A file larger than this is not one of ours.
const LARGEST_FILE: usize = 64 << 10;
/// An access token this close to its end is renewed before it is over.
const SOON: Duration = Duration::from_secs(300);
/// The list of sites serves all links for this long.
const PRODUCTS_HOLD: Duration = Duration::from_secs(300);
/// Sites that are gone all at once are looked for once.
const ONE_LOOK: Duration = Duration::from_secs(2);
/// Counts are written down no more often than this, and whenever something else is.
const WRITE_EVERY: Duration = Duration::from_secs(1);
/// Pauses between attempts to renew a token.
const RENEW: Growth = Growth::Doubling { first: Duration::from_secs(10), longest: Duration::from_secs(600) };

/// What to ask.
pub struct Question<'a> {
    pub purpose: Purpose,
    pub method: Method,
    /// From the root.
    pub path: &'a str,
    /// What it is called in messages.
    pub what: &'a str,
    pub body: Bytes,
}

impl<'a> Question<'a> {
    pub fn get(purpose: Purpose, path: &'a str, what: &'a str) -> Self {
        Self { purpose, method: Method::GET, path, what, body: Bytes::new() }
    }

    /// An order, which is sent once.
    pub fn post(path: &'a str, what: &'a str, body: Bytes) -> Self {
        Self { purpose: Purpose::Command, method: Method::POST, path, what, body }
    }
}

pub struct Account {
    config: AccountConfig,
    authorities: Arc<Authorities>,
    state: Mutex<State>,
    /// Held while the ledger is read and written.
    sharing: tokio::sync::Mutex<()>,
    /// Held while a token is renewed.
    renewing: tokio::sync::Mutex<()>,
    /// The sites of the account, and when they were asked for.
    products: tokio::sync::Mutex<Option<(Instant, Arc<[Product]>)>>,
}

struct State {
    /// Whether the files have been read.
    recalled: bool,
    file: Tokens,
    /// What is known of the owners API.
    owners: Owners,
    /// What was read or written last: a file that still says this brings nothing new.
    text: String,
    /// When the access token ends; `None`: unknown.
    expires: Option<Instant>,
    /// Digest of the access token that the last renewal brought.
    minted: Option<String>,
    /// Digest of a refresh token that Tesla has refused for good.
    refused: Option<String>,
    /// What the ledger's file said of that.
    refused_in_file: Option<String>,
    /// What another region named, which counts more than what the file says.
    base: Option<Origin>,
    ledger: Ledger,
    /// When the ledger was written last.
    written: Option<Instant>,
    /// After a token could not be renewed …
    renewal: Pause,
    /// … for this reason.
    trouble: Option<TeslaError>,
}

impl Account {
    pub fn new(config: AccountConfig) -> Arc<Self> {
        let state = State {
            recalled: false,
            file: Tokens::of(&config.source),
            owners: Owners::new(),
            text: String::new(),
            expires: None,
            minted: None,
            refused: None,
            refused_in_file: None,
            base: None,
            ledger: Ledger::new(config.budget),
            written: None,
            renewal: Pause::new(RENEW, Instant::now()),
            trouble: None,
        };
        Arc::new(Self {
            authorities: Arc::new(Authorities::new(config.authorities.clone())),
            config,
            state: Mutex::new(state),
            sharing: tokio::sync::Mutex::default(),
            renewing: tokio::sync::Mutex::default(),
            products: tokio::sync::Mutex::default(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The way to Tesla's servers, or to those of a provider; each answer within `limit`.
    pub fn web(&self, limit: Duration) -> Renewer {
        Renewer::new(Rc::new(Web::new(self.authorities.clone(), limit)))
    }

    /// The site that the token file names.
    pub fn site_of_file(&self) -> Option<u64> {
        let state = self.state();
        state.file.site_id().or(state.owners.site)
    }

    /// Whether the owner consented to orders; unknown counts as yes.
    pub fn may_control(&self) -> bool {
        let token = match &self.config.source {
            TokenSource::Pasted(token) => Some(token.clone()),
            TokenSource::File(_) => self.state().file.access_token(),
            // No scope speaks of it there.
            TokenSource::Owners { .. } => None,
        };
        token.is_none_or(|token| Claims::of(&token).may_control())
    }

    /// Reads the ledger, the first time, and the tokens.
    async fn recall(&self) {
        if self.state().recalled {
            return;
        }
        if let Some(text) = read(self.config.ledger.clone()).await
            && let Ok(kept) = serde_json::from_str::<Kept>(&text)
        {
            let mut state = self.state();
            state.ledger.recall(&kept, Instant::now(), unix_time());
            state.refused.clone_from(&kept.refused);
            state.refused_in_file = kept.refused;
            state.base = kept.base.and_then(|base| Origin::parse(&base).ok());
            if let Some(shut) = kept.shut {
                state.owners.recall(shut, Instant::now(), unix_time());
            }
        }
        self.read_tokens().await;
        self.state().recalled = true;
    }

    /// Takes over what somebody else wrote into the token file.
    async fn read_tokens(&self) {
        let Some(path) = self.config.source.file() else { return };
        self.read_site().await;
        let Some(text) = read(Some(path.to_owned())).await else { return };
        let mut state = self.state();
        if text == state.text {
            return;
        }
        // A broken file is as good as none.
        let Some(file) = Tokens::parse(&self.config.source, &text) else { return };
        state.expires = file.access_token().and_then(|token| {
            let left = Claims::of(&token).expires.or(file.expires())? - unix_time();
            Some(Instant::now() + Duration::try_from_secs_f64(left).unwrap_or_default())
        });
        (state.file, state.text) = (file, text);
        (state.trouble, state.renewal) = (None, Pause::new(RENEW, Instant::now()));
        drop(state);
        self.remark_on_account();
    }

    /// The API.
    fn base(&self) -> Origin {
        if let Some(base) = &self.config.base {
            return base.clone();
        }
        if let Some(issuer) = self.issuer() {
            return issuer.api();
        }
        let state = self.state();
        let (access, refresh) = (state.file.access_token(), state.file.refresh_token());
        let named = state.base.clone().or_else(|| state.file.audience());
        let known = named.or_else(|| region::of_tokens(access.as_ref(), refresh.as_ref()));
        known.unwrap_or_else(|| region::all()[0].clone())
    }

    /// Counts a request that is about to be sent, if it may be sent.
    async fn admit(&self, purpose: Purpose) -> Result<(), TeslaError> {
        {
            let (mut state, now) = (self.state(), Instant::now());
            let is_written =
                state.written.is_some_and(|written| now.saturating_duration_since(written) < WRITE_EVERY);
            if is_written || self.config.ledger.is_none() {
                return state.ledger.admit(purpose, now, unix_time());
            }
        }
        self.share_ledger(Some(purpose)).await
    }

    async fn write_ledger(&self) {
        // Without a request, there is none to refuse.
        let _ = self.share_ledger(None).await;
    }

    /// Takes over what other programs have counted, counts a request if there is one, and writes all of it
    /// down.
    async fn share_ledger(&self, request: Option<Purpose>) -> Result<(), TeslaError> {
        let Some(path) = &self.config.ledger else { return Ok(()) };
        let _only = self.sharing.lock().await;
        let _lock = files::lock(path).await;
        let file = read(Some(path.clone())).await.and_then(|text| serde_json::from_str::<Kept>(&text).ok());
        let text = {
            let (mut state, now, unix) = (self.state(), Instant::now(), unix_time());
            let mut kept = file.unwrap_or_default();
            state.ledger.recall(&kept, now, unix);
            if let Some(purpose) = request {
                state.ledger.admit(purpose, now, unix)?;
            }
            state.ledger.save(&mut kept, now, unix);
            // Whoever has found out something else than the file said knows better.
            if state.refused == state.refused_in_file && kept.refused.is_some() {
                state.refused = kept.refused.take();
            }
            kept.refused.clone_from(&state.refused);
            state.refused_in_file = state.refused.clone();
            kept.base = state.base.as_ref().map(Origin::to_string).or(kept.base);
            kept.shut = state.owners.share(kept.shut.take(), now, unix);
            state.written = Some(now);
            serde_json::to_string(&kept).unwrap_or_default()
        };
        // A failure is logged, and the file is written when it can be.
        let _ = files::keep(path, "what was asked of Tesla", text).await;
        Ok(())
    }

    /// Asks, with a token that is renewed once and in the region that is found out once if need be: neither
    /// of the two answers that lead to this says that anything was done.
    ///
    /// # Errors
    /// With whatever stands in the way.
    pub async fn ask(self: &Arc<Self>, web: &Renewer, question: Question<'_>) -> Result<Answer, TeslaError> {
        self.recall().await;
        self.may_be_asked(&question).await?;
        let (mut attempts, mut has_moved) = (0, false);
        loop {
            let (token, base) = (self.access(web).await?, self.base());
            self.admit(question.purpose).await?;
            let answer = web.wires().send(&base, self.call(&question, &token)?).await?;
            if answer.status == 200 || answer.status == 201 {
                self.accepted();
                return Ok(answer);
            }
            let error = TeslaError::of(&answer, question.what, &base.to_string());
            match self.judge(error, &question, (answer.status, &token)).await {
                // One that somebody else put into the file may be over as well.
                TeslaError::Expired if attempts == 0 || attempts == 1 && !self.is_minted(&token) => {
                    self.expired(&token, &base)?;
                    attempts += 1;
                }
                TeslaError::Expired | TeslaError::LoginNeeded(_) => {
                    return Err(self.refuse(&base).await);
                }
                TeslaError::WrongRegion(_) if !has_moved => {
                    self.find_region(web, &token, &base).await?;
                    has_moved = true;
                }
                TeslaError::Pause { left } => {
                    self.state().ledger.heed(left, Instant::now());
                    self.write_ledger().await;
                    return Err(TeslaError::Pause { left });
                }
                error => return Err(error),
            }
        }
    }

    fn call(&self, question: &Question<'_>, token: &Secret) -> Result<Call, TeslaError> {
        let call = call(question, token)?;
        if !self.config.source.is_owners() {
            return Ok(call);
        }
        let app = header::HeaderName::from_static("x-tesla-user-agent");
        let (app, own) =
            (call.with(app, header::HeaderValue::from_static(super::owners::APP)), header::USER_AGENT);
        Ok(app.with(own, header::HeaderValue::from_static(super::USER_AGENT)))
    }

    /// Whether this program got the token by its last renewal.
    fn is_minted(&self, token: &Secret) -> bool {
        self.state().minted.as_ref() == Some(&fingerprint(token))
    }

    /// A token that is over is renewed before the next question; a pasted one cannot be.
    fn expired(&self, token: &Secret, base: &Origin) -> Result<(), TeslaError> {
        if matches!(self.config.source, TokenSource::Pasted(_)) {
            return Err(TeslaError::TokenRefused(base.to_string()));
        }
        let mut state = self.state();
        // Somebody else may have renewed it meanwhile.
        if state.file.access_token().as_ref() == Some(token) {
            state.expires = Some(Instant::now());
        }
        Ok(())
    }

    /// Only a login helps: a token that was just renewed is refused as well, or Tesla says so. Nothing is
    /// sent until there are other tokens.
    async fn refuse(&self, base: &Origin) -> TeslaError {
        if matches!(self.config.source, TokenSource::Pasted(_)) {
            return TeslaError::TokenRefused(base.to_string());
        }
        {
            let mut state = self.state();
            state.expires = Some(Instant::now());
            state.refused = state.file.refresh_token().map(|token| fingerprint(&token));
        }
        self.write_ledger().await;
        TeslaError::LoginNeeded(self.log_in().into())
    }

    /// Asks one region after the other where the account belongs.
    async fn find_region(&self, web: &Renewer, token: &Secret, asked: &Origin) -> Result<(), TeslaError> {
        let others = region::all().into_iter().filter(|base| base != asked);
        for base in std::iter::once(asked.clone()).chain(others) {
            let question = Question::get(Purpose::Slow, "/api/1/users/region", "region");
            self.admit(question.purpose).await?;
            let Ok(answer) = web.wires().send(&base, call(&question, token)?).await else { continue };
            let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
            let Some(found) = region::of_answer(&body, &base).filter(|_| answer.status == 200) else {
                continue;
            };
            if let Some(set) = self.config.base.as_ref().filter(|set| **set != found) {
                let what = format!("PW_FLEET_BASE (fleet_base) is {set}, and the account belongs to {found}");
                return Err(TeslaError::SetUp(what));
            }
            log::info!(event = "tesla_region"; "the Tesla account belongs to {found}");
            self.state().base = Some(found);
            self.write_ledger().await;
            return Ok(());
        }
        Err(TeslaError::WrongRegion(asked.to_string()))
    }

    /// The sites of the account: asked once for all links, or anew.
    ///
    /// # Errors
    /// As [`Account::ask`].
    pub async fn sites(self: &Arc<Self>, web: &Renewer, anew: bool) -> Result<Arc<[Product]>, TeslaError> {
        let mut known = self.products.lock().await;
        let holds = if anew { ONE_LOOK } else { PRODUCTS_HOLD };
        if let Some((asked, list)) = &*known
            && asked.elapsed() < holds
        {
            return Ok(list.clone());
        }
        let question = Question::get(Purpose::Live, "/api/1/products", "list of sites");
        let list: Arc<[Product]> = products(&self.ask(web, question).await?.body)?.into();
        *known = Some((Instant::now(), list.clone()));
        Ok(list)
    }

    /// What was asked, for people and for metrics.
    pub fn usage(&self) -> Usage {
        let standing = self.standing();
        let api = self.issuer().map(Issuer::api);
        let (state, now, unix) = (self.state(), Instant::now(), unix_time());
        let provider = self.config.base.clone().or(api).unwrap_or_else(|| self.config.auth.clone());
        Usage {
            standing,
            account: provider.host,
            today: state.ledger.today(unix),
            days: state.ledger.days().iter().map(|(day, count)| (day.clone(), *count)).collect(),
            budget: state.ledger.budget(),
            pause_left: state.ledger.pause_left(now),
            login_needed: state.refused.is_some(),
        }
    }
}

/// What an account has asked.
#[derive(Clone, Debug)]
pub struct Usage {
    /// Host of whoever gives the tokens. No secret and no name.
    pub account: String,
    pub today: super::ledger::Count,
    pub days: Vec<(String, super::ledger::Count)>,
    pub budget: Option<u64>,
    pub pause_left: Option<Duration>,
    pub login_needed: bool,
    /// Of an account of the owners API.
    pub standing: Option<Standing>,
}

fn call(question: &Question<'_>, token: &Secret) -> Result<Call, TeslaError> {
    let bearer = secret_header(&format!("Bearer {}", token.expose()));
    let bearer = bearer.ok_or_else(|| TeslaError::LoginNeeded("the access token is damaged".into()))?;
    let json = header::HeaderValue::from_static("application/json");
    let only_reads = question.method == Method::GET;
    let (method, path) = (question.method.clone(), question.path.to_owned().into());
    let call = Call { method, path, headers: Vec::new(), body: question.body.clone(), only_reads };
    Ok(call.with(header::AUTHORIZATION, bearer).with(header::CONTENT_TYPE, json))
}

/// What a token is called in files that hold none.
fn fingerprint(token: &Secret) -> String {
    let digest = digest(&SHA256, token.expose().as_bytes());
    digest.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

async fn read(path: Option<std::path::PathBuf>) -> Option<String> {
    let path = path?;
    let read = tokio::task::spawn_blocking(move || files::read_text(&path, LARGEST_FILE)).await;
    read.ok()?.ok()
}

#[cfg(test)]
mod tests;
