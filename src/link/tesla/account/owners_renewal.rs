//! Renews the tokens of the owners API, and sends each refresh token once.
//!
//! Tesla takes tokens for good or bad by the connection that they were asked for over, says so only when they
//! are used (403), and has never said that a refresh token may be sent again. So one is sent over HTTP/2 or
//! not at all, is noted as used up before it leaves, and a lost answer means a new login.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use super::{Account, LARGEST_FILE, RENEW, Renewer, encoded_form, fingerprint};
use crate::clock::unix_time;
use crate::files;
use crate::link::bounds::LOGIN;
use crate::link::https::Answer;
use crate::link::json::{Look, document};
use crate::link::tesla::error::{TeslaError, reason};
use crate::link::tesla::ledger::Purpose;
use crate::link::tesla::owners::CLIENT;
use crate::link::tesla::owners::file::OwnersFile;
use crate::link::tesla::owners::spent::{Notes, Use};
use crate::link::tesla::token_wire::NotPosted;
use crate::link::tesla::tokens::Claims;
use crate::pause::{Growth, Pause};
use crate::settings::{Secret, TokenSource};

/// Tokens that could not be written are written again this often.
const SAVE_AGAIN: Duration = Duration::from_secs(10);

pub(super) const LOG_IN: &str = "the refresh token is used up, was withdrawn, or the password was changed; \
    log in again: powerwall-server login --owners, or use FleetAPI: powerwall-server login";
const LOST: &str = "the answer to a renewal was lost, and a refresh token of the owners API is never sent \
    twice; log in again: powerwall-server login --owners";

impl Account {
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
        // Connecting takes a while, in which somebody else may have renewed them.
        self.read_tokens().await;
        if self.state().file.refresh_token().as_ref() != Some(refresh) {
            return Err(TeslaError::UnderWay);
        }
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

    /// Writes new tokens down, then makes them count.
    async fn take_over(&self, answer: Value, refresh: &Secret) -> Result<Secret, TeslaError> {
        let access = answer.at(&["access_token"]).name().map(Secret::new);
        let access = access.ok_or_else(|| TeslaError::LoginNeeded(LOST.into()))?;
        let goes_on = answer.at(&["refresh_token"]).name().is_none_or(|new| new == refresh.expose());
        if goes_on {
            self.unspend(&fingerprint(refresh)).await;
        }
        let unix = unix_time();
        let pause = Pause::new(Growth::constant(SAVE_AGAIN), Instant::now());
        let unsaved = Unsaved { answer: answer.clone(), refresh: refresh.clone(), at: unix, pause };
        self.state().owners.unsaved = Some(unsaved);
        if self.save_again().await == Saved::Others {
            self.read_tokens().await;
            return self.good_token(Duration::ZERO).ok_or(TeslaError::UnderWay);
        }
        // From here on they are used. If they could not be written, they are better than none.
        let (mut state, now) = (self.state(), Instant::now());
        let claimed = Claims::of(&access).expires.map(|end| end - unix);
        let lives = answer.at(&["expires_in"]).as_f64().or(claimed);
        let lives = lives.and_then(|lives| Duration::try_from_secs_f64(lives).ok());
        state.expires = lives.map(|life| now + life);
        state.file.renew_owners(&answer, unix);
        state.minted = Some(fingerprint(&access));
        (state.trouble, state.refused) = (None, None);
        state.renewal = Pause::new(RENEW, now);
        Ok(access)
    }

    /// Writes down tokens that are not on the disk, if there are any and it is time. Other accounts in the
    /// file may have changed meanwhile; so may this one, by a login, which is newer.
    pub(super) async fn save_again(&self) -> Saved {
        let due = {
            let (mut state, now) = (self.state(), Instant::now());
            let unsaved = state.owners.unsaved.as_mut().filter(|unsaved| !unsaved.pause.rests(now));
            unsaved.map(|unsaved| {
                unsaved.pause.begin(now);
                (unsaved.answer.clone(), unsaved.refresh.clone(), unsaved.at)
            })
        };
        let (Some((answer, sent, at)), TokenSource::Owners { file, email }) = (due, &self.config.source)
        else {
            return Saved::Own;
        };
        let mut known = self.state().file.clone();
        known.renew_owners(&answer, at);
        let _lock = files::lock(file).await;
        let (path, email) = (file.clone(), email.clone());
        let written = spawn_blocking(move || {
            let text = files::read_text(&path, LARGEST_FILE).unwrap_or_default();
            let text = match OwnersFile::parse(&text, email.as_deref()) {
                Some(file) if file.refresh_token().is_some_and(|there| there != sent) => return Ok(None),
                Some(mut file) => {
                    file.renew(&answer, at);
                    file.text()
                }
                None => known.text(),
            };
            files::replace(&path, &text).map(|()| Some(text))
        });
        let written = written.await.map_err(std::io::Error::other).flatten();
        let mut state = self.state();
        match written {
            Ok(Some(text)) => (state.owners.unsaved, state.text) = (None, text),
            Ok(None) => {
                (state.owners.unsaved, state.text) = (None, String::new());
                return Saved::Others;
            }
            Err(error) => log::error!(
                event = "tesla_unsaved"; "the Tesla account: cannot write its new tokens into {}: {error}; \
                    without them a restart needs a new login", file.display()
            ),
        }
        Saved::Own
    }
}

/// Tokens that were given and are not on the disk.
pub(super) struct Unsaved {
    /// As Tesla gave them.
    answer: Value,
    /// The refresh token that they were given for: another one in the file came later.
    refresh: Secret,
    /// When they came, Unix seconds.
    at: f64,
    /// When they are written again.
    pause: Pause,
}

/// Whose tokens are in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Saved {
    /// Ours, or they could not be written.
    Own,
    /// Somebody put others there meanwhile.
    Others,
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
