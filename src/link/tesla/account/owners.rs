//! What an account of the owners API has of its own: which tokens Tesla refuses, which endpoints are gone,
//! and which site is meant. How tokens are renewed is left to [`super::owners_renewal`].

use std::path::Path;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::Instant;

use super::owners_renewal::{self, Unsaved};
use super::{Account, LARGEST_FILE, Question, Renewer, fingerprint};
use crate::files;
use crate::link::tesla::error::TeslaError;
use crate::link::tesla::ledger::{Purpose, Shut};
use crate::link::tesla::owners::file::{OwnersFile, SITE_FILE, site};
use crate::link::tesla::owners::{Issuer, issuer};
use crate::link::tesla::products::{Product, products};
use crate::pause::{Growth, Pause};
use crate::settings::{OWNERS_AUTH, Origin, Secret, TokenSource};

/// Pauses of tokens that Tesla refuses.
const SHUT: Growth =
    Growth::Doubling { first: Duration::from_secs(300), longest: Duration::from_secs(6 * 3600) };
/// What is gone is left alone for this long.
const GONE: Duration = Duration::from_secs(3600);

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
    pub shut: Pause,
    /// The one that it refused and accepts again: what other programs wrote of it is over.
    lifted: Option<String>,
    /// Paths that are gone, with what Tesla answered, and until when.
    gone: Vec<(String, u16, Instant)>,
    /// What was given and is not on the disk.
    pub unsaved: Option<Unsaved>,
    /// What has been remarked about the files, so that it is not repeated.
    remarked: Vec<&'static str>,
}

impl Owners {
    pub fn new() -> Self {
        Self {
            site: None,
            shut_for: None,
            shut: Pause::new(SHUT, Instant::now()),
            lifted: None,
            gone: Vec::new(),
            unsaved: None,
            remarked: Vec::new(),
        }
    }

    /// Puts what is known here together with what other programs have written: as it is kept over restarts.
    pub fn share(&mut self, file: Option<Shut>, now: Instant, unix: f64) -> Option<Shut> {
        let is_news = |shut: &Shut| self.shut_for.is_none() && self.lifted.as_ref() != Some(&shut.token);
        if let Some(theirs) = file.filter(is_news) {
            self.recall(theirs, now, unix);
        }
        let left = self.shut.left(now).unwrap_or_default();
        let (until, failures) = (unix + left.as_secs_f64(), self.shut.failures());
        self.shut_for.clone().map(|token| Shut { token, until, failures })
    }

    /// Takes over what [`Owners::share`] gave. A clock that was set back makes no pause longer than any.
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
            true => owners_renewal::LOG_IN,
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
    pub(super) fn owners_auth(&self) -> Result<Origin, TeslaError> {
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
        // What came of it shows when the tokens are read.
        let _ = self.save_again().await;
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
        if let Some(token) = state.owners.shut_for.take() {
            state.owners.lifted = Some(token);
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
            let known = state.owners.shut_for.replace(fingerprint(token));
            if known != state.owners.shut_for {
                state.owners.shut.succeeded(now);
            }
            let is_first = known.is_none();
            // What was under way when the first answer came says the same once more.
            if !state.owners.shut.rests(now) {
                state.owners.shut.failed(now);
            }
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
    pub(super) fn is_shut(&self) -> bool {
        let token = self.file.access_token().map(|token| fingerprint(&token));
        token.is_some() && token == self.owners.shut_for
    }
}

fn without_query(path: &str) -> &str {
    path.split('?').next().unwrap_or(path)
}
