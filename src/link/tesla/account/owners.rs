//! What an account of the owners API has of its own: which tokens Tesla refuses, which endpoints are gone,
//! and a renewal that sends each refresh token once.
//!
//! Tesla takes tokens for good or bad by the connection that they were asked for over, says so only when they
//! are used (403), and has never said that a refresh token may be sent again. So one is sent over HTTP/2 or
//! not at all, is noted as used up before it leaves, and a lost answer means a new login.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use super::{Account, LARGEST_FILE, Question, RENEW, Renewer, encoded_form, fingerprint};
use crate::clock::unix_time;
use crate::files;
use crate::link::bounds::LOGIN;
use crate::link::https::Answer;
use crate::link::json::{Look, document};
use crate::link::tesla::error::{TeslaError, reason};
use crate::link::tesla::ledger::{Purpose, Shut};
use crate::link::tesla::owners::file::{OwnersFile, SITE_FILE, site};
use crate::link::tesla::owners::spent::{Notes, Use};
use crate::link::tesla::owners::{CLIENT, Issuer, issuer};
use crate::link::tesla::products::{Product, products};
use crate::link::tesla::token_wire::NotPosted;
use crate::link::tesla::tokens::Claims;
use crate::pause::{Growth, Pause};
use crate::settings::{OWNERS_AUTH, Origin, Secret, TokenSource};

/// Pauses of tokens that Tesla refuses.
const SHUT: Growth =
    Growth::Doubling { first: Duration::from_secs(300), longest: Duration::from_secs(6 * 3600) };
/// What is gone is left alone for this long.
const GONE: Duration = Duration::from_secs(3600);
/// Tokens that could not be written are written again this often.
const SAVE_AGAIN: Duration = Duration::from_secs(10);

const LOG_IN: &str = "the refresh token is used up, was withdrawn, or the password was changed; log in \
    again: powerwall-server login --owners, or use FleetAPI: powerwall-server login";
const LOST: &str = "the answer to a renewal was lost, and a refresh token of the owners API is never sent \
    twice; log in again: powerwall-server login --owners";

/// How an account of the owners API stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Works,
    /// The access token is over; it is renewed with the next request.
    Expired,
    /// Tesla refuses the tokens.
    Refused,
    LoginNeeded,
}

impl Standing {
    /// For bodies.
    pub fn word(self) -> &'static str {
        match self {
            Self::Works => "works",
            Self::Expired => "expired",
            Self::Refused => "refused",
            Self::LoginNeeded => "login_needed",
        }
    }

    /// What to do, for the person who must.
    pub fn advice(self) -> &'static str {
        match self {
            Self::Works => {
                "nothing; Tesla may end the owners API any day, so prepare FleetAPI (powerwall-server login) \
                 or a local link"
            }
            Self::Expired => "nothing; the tokens are renewed with the next request",
            Self::Refused => {
                "log in again (powerwall-server login --owners), or use FleetAPI (powerwall-server login) or \
                 a local link; renewing does not help"
            }
            Self::LoginNeeded => {
                "log in again (powerwall-server login --owners), or use FleetAPI (powerwall-server login)"
            }
        }
    }
}

/// What is known of the owners API beside the tokens. Empty for other accounts.
pub(super) struct Owners {
    /// What the site file says.
    pub site: Option<u64>,
    /// The access token that Tesla refuses, by its fingerprint …
    shut_for: Option<String>,
    /// … and when it is tried again.
    shut: Pause,
    /// Paths that are gone, with what Tesla answered, and until when.
    gone: Vec<(String, u16, Instant)>,
    /// What was given and could not be written, since when (Unix seconds), and when that is tried again.
    unsaved: Option<(Value, f64, Pause)>,
    /// What has been remarked about the files, so that it is not repeated.
    remarked: Vec<&'static str>,
}

impl Owners {
    pub fn new() -> Self {
        Self {
            site: None,
            shut_for: None,
            shut: Pause::new(SHUT, Instant::now()),
            gone: Vec::new(),
            unsaved: None,
            remarked: Vec::new(),
        }
    }

    /// As it is kept over restarts.
    pub fn kept(&self, now: Instant, unix: f64) -> Option<Shut> {
        let left = self.shut.left(now).unwrap_or_default();
        let (until, failures) = (unix + left.as_secs_f64(), self.shut.failures());
        self.shut_for.clone().map(|token| Shut { token, until, failures })
    }

    /// Takes over what [`Owners::kept`] gave. A clock that was set back makes no pause longer than any.
    pub fn recall(&mut self, kept: Shut, now: Instant, unix: f64) {
        self.shut = Pause::new(SHUT, now).after(kept.failures);
        if let Ok(left) = Duration::try_from_secs_f64(kept.until - unix) {
            self.shut.wait(left.min(SHUT.after(u32::MAX)), now);
        }
        self.shut_for = Some(kept.token);
    }

    fn is_new(&mut self, remark: &'static str) -> bool {
        let is_new = !self.remarked.contains(&remark);
        if is_new {
            self.remarked.push(remark);
        }
        is_new
    }
}

impl Account {
    /// What to say when only a login helps.
    pub(super) fn log_in(&self) -> &'static str {
        match self.config.source.is_owners() {
            true => LOG_IN,
            false => crate::link::tesla::error::LOG_IN,
        }
    }

    /// Whose tokens an account of the owners API has; `None`: it is another account.
    pub(super) fn issuer(&self) -> Option<Issuer> {
        self.config.source.is_owners().then(|| self.known_issuer().unwrap_or(Issuer::World))
    }

    fn known_issuer(&self) -> Result<Issuer, TeslaError> {
        let state = self.state();
        let (access, url) = (state.file.access_token(), state.file.owners().and_then(OwnersFile::url));
        issuer(access.as_ref(), url).map_err(|odd| {
            let odd: String = odd.chars().take(80).collect();
            let path = self.config.source.file().unwrap_or(Path::new("")).display();
            TeslaError::Files(format!(
                "the tokens in {path} are from {odd:?} and not for the owners API of Tesla; log in: \
                 powerwall-server login --owners"
            ))
        })
    }

    /// Where the tokens are renewed.
    fn owners_auth(&self) -> Result<Origin, TeslaError> {
        match self.config.auth == Origin::of(OWNERS_AUTH) {
            true => self.known_issuer().map(Issuer::auth),
            false => Ok(self.config.auth.clone()),
        }
    }

    /// Whether `question` may be put to the owners API at all.
    pub(super) async fn may_be_asked(&self, question: &Question<'_>) -> Result<(), TeslaError> {
        if !self.config.source.is_owners() {
            return Ok(());
        }
        self.save_again().await;
        if self.shut_left().is_some() {
            // Until there are others.
            self.read_tokens().await;
        }
        if self.config.base.is_none() {
            self.known_issuer()?;
        }
        if let Some(left) = self.shut_left() {
            return Err(TeslaError::TokensRefused { left });
        }
        let (mut state, now) = (self.state(), Instant::now());
        state.owners.gone.retain(|(_, _, until)| *until > now);
        let known = state.owners.gone.iter().find(|(path, ..)| path == without_query(question.path));
        match known {
            Some((_, status, _)) => Err(TeslaError::Gone { what: question.what.into(), status: *status }),
            None => Ok(()),
        }
    }

    /// What is left of the pause of the tokens that there are.
    fn shut_left(&self) -> Option<Duration> {
        let state = self.state();
        state.is_shut().then(|| state.owners.shut.left(Instant::now())).flatten()
    }

    /// Tesla has accepted the access token.
    pub(super) fn accepted(&self) {
        let mut state = self.state();
        if state.owners.shut_for.take().is_some() {
            state.owners.shut.succeeded(Instant::now());
            log::info!(event = "tesla_accepts"; "the Tesla account: the owners API accepts the tokens again");
        }
    }

    /// What an answer other than a good one means over the owners API; over FleetAPI it stays as it is.
    pub(super) async fn judge(
        &self,
        error: TeslaError,
        question: &Question<'_>,
        (status, token): (u16, &Secret),
    ) -> TeslaError {
        if !self.config.source.is_owners() {
            return error;
        }
        match status {
            // What Tesla says of one endpoint is not what it says of the tokens.
            403 if question.purpose == Purpose::Live => self.shut_out(token).await,
            403 | 410 => {
                let gone = TeslaError::Gone { what: question.what.into(), status };
                log::warn!(event = "tesla_gone"; "the Tesla account: {gone}");
                let path = without_query(question.path).to_owned();
                self.state().owners.gone.push((path, status, Instant::now() + GONE));
                gone
            }
            412 | 421 => TeslaError::Refused(format!("HTTP {status}")),
            _ => error,
        }
    }

    /// Tesla refuses the token: nothing is asked for a while, and nothing is renewed.
    async fn shut_out(&self, token: &Secret) -> TeslaError {
        let (left, is_first) = {
            let (mut state, now) = (self.state(), Instant::now());
            let is_first = state.owners.shut_for.replace(fingerprint(token)).is_none();
            state.owners.shut.failed(now);
            (state.owners.shut.left(now).unwrap_or_default(), is_first)
        };
        let error = TeslaError::TokensRefused { left };
        if is_first {
            log::warn!(event = "tesla_refuses"; "the Tesla account: {error}");
        }
        self.write_ledger().await;
        error
    }

    /// The sites that `token` shows, which is tried and not kept.
    ///
    /// # Errors
    /// If Tesla does not accept it.
    pub async fn try_token(
        &self,
        web: &Renewer,
        token: &Secret,
        issuer: Issuer,
    ) -> Result<Vec<Product>, TeslaError> {
        let base = self.config.base.clone().unwrap_or_else(|| issuer.api());
        let question = Question::get(Purpose::Live, "/api/1/products", "list of sites");
        self.admit(question.purpose).await?;
        let answer = web.wires().send(&base, self.call(&question, token)?).await?;
        match answer.status {
            200 => products(&answer.body),
            401 => {
                Err(TeslaError::Refused("the access token is not valid (HTTP 401); nothing is kept".into()))
            }
            403 => Err(TeslaError::Refused(
                "these tokens are not accepted by the owners API (HTTP 403), and nothing is kept; FleetAPI \
                 works without it: powerwall-server login"
                    .into(),
            )),
            _ => Err(TeslaError::of(&answer, question.what, "")),
        }
    }

    /// How the account stands; `None`: it is not one of the owners API.
    pub fn standing(&self) -> Option<Standing> {
        if !self.config.source.is_owners() {
            return None;
        }
        let state = self.state();
        let refresh = state.file.refresh_token();
        let is_over = state.expires.is_some_and(|end| end <= Instant::now());
        let access = state.file.access_token().filter(|_| !is_over);
        let is_dead = refresh.is_none_or(|token| state.refused == Some(fingerprint(&token)));
        Some(match (access, is_dead) {
            _ if state.is_shut() => Standing::Refused,
            (Some(_), _) => Standing::Works,
            (None, true) => Standing::LoginNeeded,
            (None, false) => Standing::Expired,
        })
    }

    /// Renews the tokens. The caller sees to it that nobody else in this program does at the same time.
    pub(super) async fn renew_owners(&self, web: &Renewer) -> Result<Secret, TeslaError> {
        let refresh = self.refresh_token_to_send().await?;
        match self.mint(web, &refresh).await {
            Ok(answer) => self.take_over(answer, &refresh).await,
            Err(error) => {
                self.failed(&error, &refresh).await;
                if let TeslaError::Pause { left } = error {
                    self.state().renewal.at_least(left, Instant::now());
                }
                Err(error)
            }
        }
    }

    /// The refresh token, if it may be sent.
    async fn refresh_token_to_send(&self) -> Result<Secret, TeslaError> {
        let refresh = {
            let (mut state, now) = (self.state(), Instant::now());
            if state.is_shut() {
                // Renewing would use up a token and cure nothing.
                let left = state.owners.shut.left(now);
                let left = left.unwrap_or_else(|| state.owners.shut.failed(now) - now);
                return Err(TeslaError::TokensRefused { left });
            }
            let refresh = state.file.refresh_token();
            let is_refused = refresh.is_some() && state.refused == refresh.as_ref().map(fingerprint);
            match (&state.trouble, state.renewal.left(now)) {
                (Some(error @ TeslaError::LoginNeeded(_)), _) if is_refused => return Err(error.clone()),
                _ if is_refused => return Err(TeslaError::LoginNeeded(LOG_IN.into())),
                (Some(TeslaError::Pause { .. }), Some(left)) => return Err(TeslaError::Pause { left }),
                (Some(error), Some(_)) => return Err(error.clone()),
                _ => refresh,
            }
        };
        let Some(refresh) = refresh else { return Err(self.no_tokens().await) };
        match self.notes().of(&fingerprint(&refresh), unix_time()).await {
            Use::Unspent => Ok(refresh),
            known => Err(noted(known)),
        }
    }

    fn notes(&self) -> Notes {
        Notes::beside(self.config.source.file().unwrap_or(Path::new("")))
    }

    /// Why there is no refresh token.
    async fn no_tokens(&self) -> TeslaError {
        let path = self.config.source.file().unwrap_or(Path::new("")).to_owned();
        let shown = path.display().to_string();
        let text = spawn_blocking(move || files::read_text(&path, LARGEST_FILE)).await;
        let TokenSource::Owners { email, .. } = &self.config.source else {
            return TeslaError::LoginNeeded(LOG_IN.into());
        };
        let file = match text {
            Ok(Ok(text)) => OwnersFile::parse(&text, email.as_deref()),
            Ok(Err(error)) if error.kind() == std::io::ErrorKind::NotFound => {
                let why = format!("there are no tokens in {shown}; run powerwall-server login --owners");
                return TeslaError::LoginNeeded(why);
            }
            Ok(Err(error)) => {
                return TeslaError::Files(format!("cannot read {shown}: {error}; let this program read it"));
            }
            Err(_) => None,
        };
        match file.map(|file| file.count()) {
            None => TeslaError::Files(format!("{shown} is not a token file of the owners API")),
            Some(count @ 2..) => TeslaError::Files(format!(
                "{shown} holds {count} accounts; email (PW_EMAIL) must name one of them, with a refresh token"
            )),
            Some(_) => {
                let why = format!("{shown} holds no refresh token; run powerwall-server login --owners");
                TeslaError::LoginNeeded(why)
            }
        }
    }

    /// Sends the refresh token, once; what Tesla gave for it.
    async fn mint(&self, web: &Renewer, refresh: &Secret) -> Result<Value, TeslaError> {
        let auth = self.owners_auth()?;
        self.admit(Purpose::Token).await?;
        let mut wire = web.wires().open(&auth).await?;
        let (notes, token) = (self.notes(), fingerprint(refresh));
        match notes.spend(&token, unix_time()).await {
            Ok(Use::Unspent) => {}
            Ok(known) => return Err(noted(known)),
            Err(error) => {
                let path = notes.path().display();
                return Err(TeslaError::Files(format!(
                    "cannot write {path}: {error}; make it writable, for what has been sent must be noted"
                )));
            }
        }
        let form = encoded_form(&[
            ("grant_type", "refresh_token"),
            ("client_id", CLIENT),
            ("refresh_token", refresh.expose()),
            ("scope", "openid email offline_access"),
        ]);
        let outcome = match wire.post(super::renewal::PATH, form).await {
            Err(NotPosted::Unsent(error)) => Unspent::No(error),
            Err(NotPosted::Lost(why)) => {
                log::error!(event = "tesla_renewal_lost"; "the Tesla account: the answer was lost: {why}");
                return Err(TeslaError::LoginNeeded(LOST.into()));
            }
            Ok(answer) => given(&answer)?,
        };
        match outcome {
            Unspent::Tokens(answer) => Ok(answer),
            Unspent::No(error) => {
                self.unspend(&token).await;
                Err(error)
            }
        }
    }

    async fn unspend(&self, token: &str) {
        if let Err(error) = self.notes().unspend(token).await {
            log::error!(event = "tesla_notes"; "the Tesla account: what was sent cannot be noted: {error}");
        }
    }

    /// Makes new tokens count, and writes them down.
    async fn take_over(&self, answer: Value, refresh: &Secret) -> Result<Secret, TeslaError> {
        let access = answer.at(&["access_token"]).name().map(Secret::new);
        let access = access.ok_or_else(|| TeslaError::LoginNeeded(LOST.into()))?;
        let goes_on = answer.at(&["refresh_token"]).name().is_none_or(|new| new == refresh.expose());
        if goes_on {
            self.unspend(&fingerprint(refresh)).await;
        }
        let unix = unix_time();
        {
            let (mut state, now) = (self.state(), Instant::now());
            let claimed = Claims::of(&access).expires.map(|end| end - unix);
            let lives = answer.at(&["expires_in"]).as_f64().or(claimed);
            let lives = lives.and_then(|lives| Duration::try_from_secs_f64(lives).ok());
            state.expires = lives.map(|life| now + life);
            state.file.renew_owners(&answer, unix);
            (state.trouble, state.refused) = (None, None);
            state.renewal = Pause::new(RENEW, now);
            state.owners.unsaved = Some((answer, unix, Pause::new(Growth::constant(SAVE_AGAIN), now)));
        }
        self.save_again().await;
        Ok(access)
    }

    /// Writes down tokens that are not on the disk, if there are any and it is time. Other accounts in the
    /// file may have changed meanwhile.
    async fn save_again(&self) {
        let due = {
            let (mut state, now) = (self.state(), Instant::now());
            let unsaved = state.owners.unsaved.as_mut().filter(|(_, _, pause)| !pause.rests(now));
            unsaved.map(|(answer, at, pause)| {
                pause.begin(now);
                (answer.clone(), *at)
            })
        };
        let (Some((answer, at)), TokenSource::Owners { file, email }) = (due, &self.config.source) else {
            return;
        };
        let known = self.state().file.clone();
        let _lock = files::lock(file).await;
        let (path, email) = (file.clone(), email.clone());
        let written = spawn_blocking(move || {
            let text = files::read_text(&path, LARGEST_FILE).unwrap_or_default();
            let text = match OwnersFile::parse(&text, email.as_deref()) {
                Some(mut file) => {
                    file.renew(&answer, at);
                    file.text()
                }
                None => known.text(),
            };
            files::replace(&path, &text).map(|()| text)
        });
        let written = written.await.map_err(std::io::Error::other).flatten();
        let mut state = self.state();
        match written {
            Ok(text) => (state.owners.unsaved, state.text) = (None, text),
            Err(error) => log::error!(
                event = "tesla_unsaved"; "the Tesla account: cannot write its new tokens into {}: {error}; \
                    without them a restart needs a new login", file.display()
            ),
        }
    }

    /// Reads which site is meant.
    pub(super) async fn read_site(&self) {
        let TokenSource::Owners { file, .. } = &self.config.source else { return };
        let path = file.with_file_name(SITE_FILE);
        let text = spawn_blocking({
            let path = path.clone();
            move || files::read_text(&path, LARGEST_FILE)
        });
        let Ok(Ok(text)) = text.await else { return };
        let mut state = self.state();
        state.owners.site = site(&text);
        if state.owners.site.is_none() && state.owners.is_new("site") {
            let path = path.display();
            log::warn!(
                event = "site";
                "the Tesla account: {path} holds no number of an energy site; it is left aside",
            );
        }
    }

    /// Says that another account is used than the one that is configured, once.
    pub(super) fn remark_on_account(&self) {
        let TokenSource::Owners { file, email: Some(email) } = &self.config.source else { return };
        let mut state = self.state();
        let is_another = state.file.owners().is_some_and(|tokens| tokens.is_another_than(email));
        if is_another && state.owners.is_new("account") {
            let path = file.display();
            log::warn!(
                event = "tesla_account";
                "the Tesla account: {path} has one, and email (PW_EMAIL) names another; the former is used",
            );
        }
    }

    /// Writes down which site is meant, for this program and for pypowerwall.
    ///
    /// # Errors
    /// If it cannot be written.
    pub async fn keep_site(&self, id: u64) -> std::io::Result<()> {
        let TokenSource::Owners { file, .. } = &self.config.source else { return Ok(()) };
        let path = file.with_file_name(SITE_FILE);
        spawn_blocking(move || files::replace(&path, &id.to_string()))
            .await
            .map_err(std::io::Error::other)??;
        self.state().owners.site = Some(id);
        Ok(())
    }
}

impl super::State {
    /// Whether the access token is one that Tesla refuses.
    fn is_shut(&self) -> bool {
        let token = self.file.access_token().map(|token| fingerprint(&token));
        token.is_some() && token == self.owners.shut_for
    }
}

/// What came of sending a refresh token, where it is known what became of it.
enum Unspent {
    /// New tokens.
    Tokens(Value),
    /// It may be sent again.
    No(TeslaError),
}

fn noted(known: Use) -> TeslaError {
    match known {
        Use::UnderWay => TeslaError::UnderWay,
        _ => TeslaError::LoginNeeded(LOST.into()),
    }
}

/// What Tesla answered to a refresh token.
///
/// # Errors
/// If it is used up, or nobody knows what became of it.
fn given(answer: &Answer) -> Result<Unspent, TeslaError> {
    let body: Value = document(&answer.body, &LOGIN).unwrap_or_default();
    match answer.status {
        200 if body.at(&["access_token"]).name().is_some() => Ok(Unspent::Tokens(body)),
        200 => Err(TeslaError::LoginNeeded(LOST.into())),
        429 | 500.. => Ok(Unspent::No(TeslaError::of(answer, "token", ""))),
        403 => Err(TeslaError::LoginNeeded(format!("the renewal was refused (HTTP 403); {LOG_IN}"))),
        status => {
            let said = reason(&body).map(|said| format!(": {said}")).unwrap_or_default();
            Err(TeslaError::LoginNeeded(format!("HTTP {status}{said}; {LOG_IN}")))
        }
    }
}

fn without_query(path: &str) -> &str {
    path.split('?').next().unwrap_or(path)
}
