//! What must outlive a connection, an actor and the program: a gateway's session, its logins, and its
//! cool-down.
//!
//! With a file, other processes of this program (`doctor`) share the same budget: each change is read, made
//! and written under the lock of the file. The file holds credentials:
//! it is private from its first byte, and replaced as a whole.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::LinkError;
use super::broker::reports::Reports;
use super::budget::{LoginBudget, SERVED};
use super::silence::{self, Silence};
use super::tesla::Accounts;
use crate::clock::unix_time;
use crate::files::{self, What};
use crate::settings::Secret;

/// A file larger than this is not one of ours.
const LARGEST_FILE: usize = 64 << 10;

/// What a gateway gave for a login.
#[derive(Clone, Debug, PartialEq)]
pub enum Session {
    /// Values of the cookies `AuthCookie` and `UserRecord`, byte for byte.
    Cookies { auth: Secret, user: Secret },
    /// The whole value of `Authorization`.
    Token(Secret),
}

/// The file. Its first three keys are those of the servers before ours, which can go on with the same
/// session.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Kept {
    #[serde(rename = "AuthCookie", skip_serializing_if = "Option::is_none")]
    auth_cookie: Option<String>,
    #[serde(rename = "UserRecord", skip_serializing_if = "Option::is_none")]
    user_record: Option<String>,
    #[serde(rename = "Authorization", skip_serializing_if = "Option::is_none")]
    authorization: Option<String>,
    /// Whose session it is; absent in files of the servers before ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<String>,
    /// Unix seconds.
    logins: Vec<f64>,
    /// Unix seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    silent_until: Option<f64>,
}

#[derive(Default)]
struct State {
    session: Option<Session>,
    /// When it was given; `None` if it was not given to this process.
    given: Option<Instant>,
    /// Whether the last session ended after it had served its time, so that the next login renews it.
    renews: bool,
    budget: LoginBudget,
    silence: Silence,
    /// What was read or written last: a file that still says this brings nothing new.
    text: String,
    /// Whether the file has been read, if there is one.
    recalled: bool,
}

/// The lasting knowledge of one gateway. Shared by everything that may connect to it.
pub struct Memory {
    /// The id of the gateway, for the log.
    gateway: String,
    /// `host[:port]`, for which alone the session is good.
    host: String,
    /// `None`: lasts as long as the program.
    file: Option<PathBuf>,
    state: Mutex<State>,
}

impl Memory {
    /// Of a gateway that the log names by its address.
    pub fn new(host: &str, file: Option<PathBuf>) -> Arc<Self> {
        Self::of(host, host, file)
    }

    /// Of the gateway with the id `gateway`.
    pub fn of(gateway: &str, host: &str, file: Option<PathBuf>) -> Arc<Self> {
        Arc::new(Self { gateway: gateway.to_owned(), host: host.to_owned(), file, state: Mutex::default() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nobody else reads, changes and writes the file meanwhile.
    async fn alone(&self) -> Option<files::Lock> {
        match &self.file {
            Some(file) => Some(files::lock(file).await),
            None => None,
        }
    }

    /// Reads the file, the first time.
    pub async fn recall(self: &Arc<Self>) {
        if !self.state().recalled {
            self.read().await;
        }
    }

    /// Takes over what another process wrote since.
    async fn read(self: &Arc<Self>) {
        if let Some(file) = self.file.clone() {
            let text = tokio::task::spawn_blocking(move || files::read_text(&file, LARGEST_FILE)).await;
            if let Ok(Ok(text)) = text {
                self.take_over(text);
            }
        }
        self.state().recalled = true;
    }

    fn take_over(&self, text: String) {
        let mut state = self.state();
        if text == state.text {
            return;
        }
        // A broken file is as good as none; the next write mends it.
        let Ok(kept) = serde_json::from_str::<Kept>(&text) else { return };
        let (now, unix) = (Instant::now(), unix_time());
        state.budget.recall(&kept.logins, now, unix);
        if let Some(until) = kept.silent_until {
            state.silence.recall(until, now, unix);
        }
        if kept.host.is_none_or(|host| host == self.host) {
            let secret = |text: Option<String>| text.filter(|text| !text.is_empty()).map(Secret::new);
            let cookies = secret(kept.auth_cookie).zip(secret(kept.user_record));
            let cookies = cookies.map(|(auth, user)| Session::Cookies { auth, user });
            let session = cookies.or(secret(kept.authorization).map(Session::Token));
            if session != state.session {
                (state.session, state.given) = (session, None);
            }
        }
        state.text = text;
    }

    /// What is left of the cool-down that the gateway asked for.
    pub fn silence_left(&self) -> Option<Duration> {
        self.state().silence.left(Instant::now())
    }

    /// Heeds what `error` asks for.
    pub async fn heed(self: &Arc<Self>, error: &LinkError) {
        if let Some(pause) = silence::asked(error) {
            let _alone = self.alone().await;
            self.read().await;
            self.state().silence.keep(pause, Instant::now());
            self.write().await;
        }
    }

    pub fn session(&self) -> Option<Session> {
        self.state().session.clone()
    }

    pub async fn keep_session(self: &Arc<Self>, session: Option<Session>) {
        let _alone = self.alone().await;
        // What another process counted in the meantime must not be lost.
        self.read().await;
        {
            let (mut state, now) = (self.state(), Instant::now());
            let served = state.given.is_some_and(|given| now.saturating_duration_since(given) >= SERVED);
            state.renews = session.is_none() && (served || state.renews);
            state.given = session.as_ref().map(|_| now);
            state.session = session;
        }
        self.write().await;
    }

    /// Counts a login that is about to be sent, if one is allowed.
    ///
    /// # Errors
    /// If one is not allowed yet: [`LinkError::LoginBudget`].
    pub async fn spend_login(self: &Arc<Self>) -> Result<(), LinkError> {
        let _alone = self.alone().await;
        self.read().await;
        {
            let (mut state, now) = (self.state(), Instant::now());
            let renews = state.renews;
            if let Some(left) = state.budget.wait(renews, now) {
                return Err(LinkError::LoginBudget { left });
            }
            state.renews = false;
            state.budget.spend(renews, now);
        }
        // Before the login goes out: ending the program now must not buy another one.
        self.write().await;
        Ok(())
    }

    /// Is done when the file says what is known now, or cannot be written, which is logged and tried again.
    async fn write(self: &Arc<Self>) {
        let Some(file) = &self.file else { return };
        let (text, written) = {
            let state = self.state();
            let text = self.text(&state);
            (text.clone(), files::keep(file, What::of(&self.gateway, "the session"), text))
        };
        // Until then the file has the text that it had, which brings nothing new.
        if written.await.is_ok() {
            self.state().text = text;
        }
    }

    fn text(&self, state: &State) -> String {
        let (now, unix) = (Instant::now(), unix_time());
        let expose = |secret: &Secret| Some(secret.expose().to_owned());
        let mut kept = Kept {
            host: Some(self.host.clone()),
            logins: state.budget.saved(now, unix),
            silent_until: state.silence.saved(now, unix),
            ..Kept::default()
        };
        match &state.session {
            Some(Session::Cookies { auth, user }) => {
                (kept.auth_cookie, kept.user_record) = (expose(auth), expose(user));
            }
            Some(Session::Token(token)) => kept.authorization = expose(token),
            None => {}
        }
        // A struct of texts and numbers cannot fail.
        serde_json::to_string(&kept).unwrap_or_default()
    }
}

/// Host and file.
type Key = (String, Option<PathBuf>);

/// The memories of all gateways and accounts, so that a new actor or changed settings do not make one forget.
#[derive(Clone, Default)]
pub struct Memories {
    gateways: Arc<Mutex<HashMap<Key, Arc<Memory>>>>,
    /// At Tesla.
    pub accounts: Accounts,
    /// What other instances of this program report.
    pub reports: Reports,
}

impl Memories {
    /// The memory of the gateway at `host` and `port`; `gateway` is its id, for the log.
    pub fn at(&self, gateway: &str, host: &str, port: u16, file: Option<&Path>) -> Arc<Memory> {
        self.of(gateway, &super::host_and_port(host, port), file)
    }

    /// The memory of the gateway at `host` (`host[:port]`).
    pub fn of(&self, gateway: &str, host: &str, file: Option<&Path>) -> Arc<Memory> {
        let mut memories = self.gateways.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (host.to_owned(), file.map(Path::to_owned));
        let new = |(host, file): &Key| Memory::of(gateway, host, file.clone());
        memories.entry(key).or_insert_with_key(new).clone()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn cookies() -> Session {
        Session::Cookies { auth: Secret::new("a/b+c=="), user: Secret::new("u==") }
    }

    #[tokio::test(start_paused = true)]
    async fn a_restart_keeps_the_session_the_logins_and_the_silence_in_a_private_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("auth").join(".powerwall");
        let before = Memory::new("home", Some(file.clone()));
        before.recall().await;
        assert_eq!(before.session(), None);
        for _ in 0..3 {
            before.spend_login().await.unwrap();
            tokio::time::sleep(3 * SECOND).await;
        }
        before.keep_session(Some(cookies())).await;
        before.heed(&LinkError::Busy { retry_after: Some(400 * SECOND) }).await;

        let text = fs::read_to_string(&file).unwrap();
        assert!(text.contains(r#""AuthCookie":"a/b+c==""#), "byte for byte");
        #[cfg(unix)]
        {
            let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&file).unwrap().permissions());
            assert_eq!(mode & 0o777, 0o600);
        }
        assert_eq!(fs::read_dir(folder.path().join("auth")).unwrap().count(), 1, "nothing is left behind");

        let after = Memory::new("home", Some(file.clone()));
        after.recall().await;
        assert_eq!(after.session(), Some(cookies()));
        let left = after.silence_left().unwrap();
        assert!(left > 380 * SECOND && left <= 400 * SECOND, "{left:?}");
        assert!(matches!(after.spend_login().await, Err(LinkError::LoginBudget { .. })));

        let elsewhere = Memory::new("cabin", Some(file));
        elsewhere.recall().await;
        assert_eq!(elsewhere.session(), None, "a session is good for one host");
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_session_that_served_its_time_is_renewed_for_free() {
        let gateway = Memory::new("home", None);
        for hour in 0..48 {
            gateway.spend_login().await.unwrap_or_else(|error| panic!("hour {hour}: {error}"));
            gateway.keep_session(Some(cookies())).await;
            tokio::time::sleep(3600 * SECOND).await;
            gateway.keep_session(None).await;
        }
        // From here on every session ends after a quarter of an hour.
        let mut logins = 0;
        while gateway.spend_login().await.is_ok() {
            logins += 1;
            gateway.keep_session(Some(cookies())).await;
            tokio::time::sleep(900 * SECOND).await;
            gateway.keep_session(None).await;
        }
        assert_eq!(logins, 11, "one renews the last good session, ten are a day's");
    }

    #[tokio::test]
    async fn two_processes_share_one_budget() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("state");
        let service = Memory::new("home", Some(file.clone()));
        service.spend_login().await.unwrap();
        for _ in 0..2 {
            let mut kept: serde_json::Value =
                serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
            let earliest = kept["logins"][0].as_f64().unwrap();
            kept["logins"].as_array_mut().unwrap().insert(0, (earliest - 10.0).into());
            fs::write(&file, kept.to_string()).unwrap();
        }
        service.keep_session(Some(cookies())).await;
        let kept: serde_json::Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
        assert_eq!(kept["logins"].as_array().unwrap().len(), 3, "nobody's login is forgotten");
        assert!(matches!(service.spend_login().await, Err(LinkError::LoginBudget { .. })));
        fs::write(&file, "{").unwrap();
        assert!(matches!(service.spend_login().await, Err(LinkError::LoginBudget { .. })));
        assert_eq!(service.session(), Some(cookies()), "a file that broke makes nobody forget");
    }

    #[tokio::test]
    async fn processes_that_log_in_at_the_same_moment_share_one_budget() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("state");
        let login = || async {
            let process = Memory::new("home", Some(file.clone()));
            process.spend_login().await.is_ok()
        };
        let allowed = futures_util::future::join_all((0..12).map(|_| login())).await;
        assert_eq!(allowed.into_iter().filter(|allowed| *allowed).count(), 3);
        let kept: serde_json::Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
        assert_eq!(kept["logins"].as_array().unwrap().len(), 3, "nobody's login is forgotten");
    }

    #[tokio::test]
    async fn what_the_servers_before_wrote_is_a_session_and_a_broken_file_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(".powerwall");
        let cases = [
            (r#"{"AuthCookie": "a/b+c==", "UserRecord": "u=="}"#, Some(cookies())),
            (r#"{"Authorization": "Bearer t"}"#, Some(Session::Token(Secret::new("Bearer t")))),
            (r#"{"AuthCookie": "a"}"#, None),
            ("{}", None),
            ("[", None),
            (r#"{"logins": "many"}"#, None),
        ];
        for (text, session) in cases {
            fs::write(&file, text).unwrap();
            let memory = Memory::new("home", Some(file.clone()));
            memory.recall().await;
            assert_eq!(memory.session(), session, "{text}");
        }
        let unwritable = Memory::new("home", Some("/proc/nowhere/.powerwall".into()));
        unwritable.keep_session(Some(cookies())).await;
        assert_eq!(unwritable.session(), Some(cookies()), "what cannot be written is still known");
    }

    #[tokio::test(start_paused = true)]
    async fn what_cannot_be_written_is_not_undone_by_the_old_file_and_is_written_when_there_is_room() {
        let folder = tempfile::tempdir().unwrap();
        let moved = folder.path().join("moved");
        let auth = folder.path().join("auth");
        let file = auth.join(".powerwall");
        let gateway = Memory::new("home", Some(file.clone()));
        gateway.keep_session(Some(Session::Token(Secret::new("Bearer old")))).await;
        let old = fs::read_to_string(&file).unwrap();

        // The old file can be read and no other one can be written, as on a full disk.
        fs::rename(&auth, &moved).unwrap();
        fs::write(&auth, "").unwrap();
        gateway.keep_session(Some(cookies())).await;
        fs::remove_file(&auth).unwrap();
        fs::rename(&moved, &auth).unwrap();
        gateway.read().await;
        assert_eq!(fs::read_to_string(&file).unwrap(), old);
        assert_eq!(gateway.session(), Some(cookies()), "the file is older than what is known");

        tokio::time::sleep(2 * files::RETRY).await;
        assert!(fs::read_to_string(&file).unwrap().contains("AuthCookie"));
    }

    #[test]
    fn a_new_link_to_the_same_gateway_remembers() {
        let memories = Memories::default();
        let at = |host| memories.of("home", host, None);
        assert!(Arc::ptr_eq(&at("a"), &at("a")));
        assert!(!Arc::ptr_eq(&at("a"), &at("b")));
    }
}
