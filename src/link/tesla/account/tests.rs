use std::cell::RefCell;
use std::collections::VecDeque;
use std::path::Path;
use std::rc::Rc;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use futures_util::future::LocalBoxFuture;

use super::*;
use crate::link::tesla::token_wire::TokenWire;
use crate::link::tesla::web::Wires;
use crate::settings::{OWNERS_AUTH, OWNERS_FILE, TOKEN_FILE};

const SECOND: Duration = Duration::from_secs(1);

/// A cloud that answers what it was given to answer, and remembers what it was asked.
#[derive(Default)]
struct Script {
    answers: RefCell<VecDeque<Result<(u16, &'static str), TeslaError>>>,
    asked: RefCell<Vec<String>>,
    /// What the token file said when each question came.
    files: RefCell<Vec<String>>,
    file: Option<std::path::PathBuf>,
}

impl Wires for Script {
    fn send<'a>(&'a self, to: &'a Origin, call: Call) -> LocalBoxFuture<'a, Result<Answer, TeslaError>> {
        Box::pin(async move {
            let token = call.headers.iter().find(|(name, _)| *name == header::AUTHORIZATION);
            let token = token.and_then(|(_, value)| value.to_str().ok()).unwrap_or_default().to_owned();
            let body = String::from_utf8_lossy(&call.body).into_owned();
            self.asked.borrow_mut().push(format!("{} {} {token}{body}", to.host, call.path));
            let file = self.file.as_ref().and_then(|file| std::fs::read_to_string(file).ok());
            self.files.borrow_mut().push(file.unwrap_or_default());
            // Long enough for everybody to ask at the same time.
            tokio::time::sleep(SECOND).await;
            let answer = self.answers.borrow_mut().pop_front().unwrap_or(Ok((200, "{}")))?;
            Ok(Answer { status: answer.0, body: answer.1.into(), ..Answer::default() })
        })
    }

    fn open<'a>(&'a self, to: &'a Origin) -> LocalBoxFuture<'a, Result<Box<dyn TokenWire>, TeslaError>> {
        Box::pin(async {
            self.asked.borrow_mut().push(format!("{} is opened", to.host));
            Err(TeslaError::NoHttp2(to.host.clone()))
        })
    }
}

fn config(folder: &Path) -> AccountConfig {
    AccountConfig {
        source: TokenSource::File(folder.join(TOKEN_FILE)),
        base: None,
        auth: Origin::of("auth"),
        authorities: None,
        budget: None,
        ledger: Some(folder.join("ledger.json")),
    }
}

/// An account with an access token that nobody has refused yet, and a cloud that answers `answers`.
fn account(
    folder: &Path,
    answers: impl IntoIterator<Item = Result<(u16, &'static str), TeslaError>>,
) -> (Arc<Account>, Rc<Script>, Renewer) {
    let file = folder.join(TOKEN_FILE);
    if !file.exists() {
        let text =
            r#"{"CLIENT_ID": "c", "AUDIENCE": "https://home", "access_token": "a0", "refresh_token": "r0"}"#;
        std::fs::write(&file, text).unwrap();
    }
    let answers = RefCell::new(answers.into_iter().collect());
    let script = Rc::new(Script { answers, file: Some(file), ..Script::default() });
    (Account::new(config(folder)), script.clone(), Renewer::new(script))
}

fn question() -> Question<'static> {
    Question::get(Purpose::Live, "/api/1/x", "x")
}

const NEW: (u16, &str) = (200, r#"{"access_token":"a1","refresh_token":"r1","expires_in":28800}"#);
const OVER: (u16, &str) = (401, r#"{"error":"token expired (401)"}"#);

#[actix::test]
async fn one_token_is_renewed_once_however_many_ask_and_is_stored_before_it_is_used() {
    tokio::time::pause();
    let folder = tempfile::tempdir().unwrap();
    let over = std::iter::repeat_n(Ok(OVER), 20);
    let (account, script, web) = account(folder.path(), over.chain([Ok(NEW)]));
    let asking = (0..20).map(|_| account.ask(&web, question()));
    for outcome in futures_util::future::join_all(asking).await {
        assert_eq!(outcome.unwrap().status, 200);
    }
    let asked = script.asked.borrow();
    let renewals: Vec<_> = asked.iter().filter(|asked| asked.starts_with("auth ")).collect();
    assert_eq!(renewals.len(), 1, "{asked:?}");
    assert!(renewals[0].ends_with("grant_type=refresh_token&client_id=c&refresh_token=r0"));
    let files = script.files.borrow();
    let with_new = asked.iter().zip(&*files).filter(|(asked, _)| asked.contains("Bearer a1"));
    let mut used = 0;
    for (_, file) in with_new {
        assert!(file.contains(r#""refresh_token": "r1""#), "used before it was stored: {file}");
        used += 1;
    }
    assert_eq!(used, 20);
    assert_eq!(account.usage().today.tokens, 1);
}

#[actix::test]
async fn a_lost_answer_is_asked_for_once_more_with_the_same_token() {
    tokio::time::pause();
    let folder = tempfile::tempdir().unwrap();
    let lost = || Err(TeslaError::Unreachable("cut".into()));
    let (account, script, web) = account(folder.path(), [Ok(OVER), lost(), Ok(NEW)]);
    account.ask(&web, question()).await.unwrap();
    assert_eq!(script.asked.borrow().iter().filter(|asked| asked.contains("refresh_token=r0")).count(), 2);
}

#[actix::test]
async fn a_refresh_that_a_caller_gives_up_on_is_carried_through() {
    tokio::time::pause();
    let folder = tempfile::tempdir().unwrap();
    let (account, script, web) = account(folder.path(), [Ok(OVER), Ok(NEW)]);
    let cut = tokio::time::timeout(SECOND + SECOND / 2, account.ask(&web, question())).await;
    assert!(cut.is_err());
    tokio::time::sleep(5 * SECOND).await;
    assert!(std::fs::read_to_string(folder.path().join(TOKEN_FILE)).unwrap().contains("r1"));
    assert_eq!(script.asked.borrow().len(), 2);
}

#[actix::test]
async fn login_required_is_final_over_restarts_until_there_are_other_tokens() {
    tokio::time::pause();
    let folder = tempfile::tempdir().unwrap();
    let refused = (401, r#"{"error":"login_required"}"#);
    let (first, script, web) = account(folder.path(), [Ok(OVER), Ok(refused)]);
    for _ in 0..5 {
        assert_eq!(first.ask(&web, question()).await.unwrap_err().kind(), "login_needed");
        tokio::time::sleep(3600 * SECOND).await;
    }
    assert_eq!(script.asked.borrow().len(), 2, "nothing is sent any more");
    assert!(first.usage().login_needed);

    let (second, script, web) = account(folder.path(), [Ok(OVER)]);
    assert_eq!(second.ask(&web, question()).await.unwrap_err().kind(), "login_needed");
    assert_eq!(script.asked.borrow().iter().filter(|asked| asked.starts_with("auth")).count(), 0);

    let text = r#"{"CLIENT_ID": "c", "AUDIENCE": "https://home", "access_token": "b", "refresh_token": "s"}"#;
    std::fs::write(folder.path().join(TOKEN_FILE), text).unwrap();
    second.ask(&web, question()).await.unwrap();
    assert!(script.asked.borrow().last().unwrap().contains("Bearer b"));
}

#[actix::test]
async fn a_token_that_is_refused_right_after_it_was_renewed_needs_a_login() {
    tokio::time::pause();
    let folder = tempfile::tempdir().unwrap();
    let (account, script, web) = account(folder.path(), [Ok(OVER), Ok(NEW), Ok(OVER)]);
    for _ in 0..3 {
        assert_eq!(account.ask(&web, question()).await.unwrap_err().kind(), "login_needed");
    }
    assert_eq!(script.asked.borrow().len(), 3);
}

#[actix::test]
async fn login_required_is_final_wherever_tesla_says_it() {
    tokio::time::pause();
    let folder = tempfile::tempdir().unwrap();
    let (account, script, web) = account(folder.path(), [Ok((401, r#"{"error":"login_required"}"#))]);
    for _ in 0..3 {
        assert_eq!(account.ask(&web, question()).await.unwrap_err().kind(), "login_needed");
    }
    assert_eq!(script.asked.borrow().len(), 1);
}

#[actix::test]
async fn tesla_in_trouble_is_no_reason_to_log_in_and_costs_growing_pauses() {
    tokio::time::pause();
    let folder = tempfile::tempdir().unwrap();
    let busy = std::iter::repeat_n(Ok((503, "")), 1000);
    let (account, script, web) = account(folder.path(), std::iter::once(Ok(OVER)).chain(busy));
    for _ in 0..360 {
        assert_eq!(account.ask(&web, question()).await.unwrap_err().kind(), "busy");
        tokio::time::sleep(10 * SECOND).await;
    }
    let tries = script.asked.borrow().iter().filter(|asked| asked.starts_with("auth")).count();
    assert!((8..=14).contains(&tries), "{tries} in an hour");
}

#[actix::test]
async fn the_region_is_found_out_once_and_kept() {
    tokio::time::pause();
    let folder = tempfile::tempdir().unwrap();
    let wrong = (421, "");
    let base =
        r#"{"response":{"region":"eu","fleet_api_base_url":"https://fleet-api.prd.eu.vn.cloud.tesla.com"}}"#;
    let (first, script, web) = account(folder.path(), [Ok(wrong), Ok((200, base))]);
    first.ask(&web, question()).await.unwrap();
    let eu = "fleet-api.prd.eu.vn.cloud.tesla.com /api/1/x Bearer a0";
    assert_eq!(script.asked.borrow().last().unwrap(), eu);
    let (second, script, web) = account(folder.path(), []);
    second.ask(&web, question()).await.unwrap();
    assert_eq!(*script.asked.borrow(), [eu]);
}

#[actix::test]
async fn a_pause_that_tesla_asks_for_holds_for_every_site_and_over_a_restart() {
    tokio::time::pause();
    let folder = tempfile::tempdir().unwrap();
    let (first, script, web) = account(folder.path(), [Ok((429, "Please retry in 90 seconds"))]);
    assert_eq!(first.ask(&web, question()).await.unwrap_err().kind(), "rate_limited");
    assert_eq!(first.ask(&web, question()).await.unwrap_err().kind(), "rate_limited");
    assert_eq!(script.asked.borrow().len(), 1);
    let (second, script, web) = account(folder.path(), []);
    assert_eq!(second.ask(&web, question()).await.unwrap_err().kind(), "rate_limited");
    tokio::time::sleep(91 * SECOND).await;
    second.ask(&web, question()).await.unwrap();
    assert_eq!(script.asked.borrow().len(), 1);
}

/// What is asked of whom with tokens of the owners API: a request while the access token holds, and one when
/// it is over. `issuer`: as the access token has it, `url`: as the file.
async fn asked_with_owners_tokens(issuer: &str, url: &str) -> (Vec<String>, Vec<&'static str>) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(OWNERS_FILE);
    let claims = serde_json::json!({ "iss": issuer }).to_string();
    let access = format!("e30.{}.x", BASE64_URL_SAFE_NO_PAD.encode(claims));
    let (mut asked, mut errors) = (Vec::new(), Vec::new());
    for expires in [unix_time() + 3600.0, unix_time() - 3600.0] {
        let sso = serde_json::json!({ "access_token": access, "refresh_token": "r", "expires_at": expires });
        let text = serde_json::json!({ "owner@example.com": { "url": url, "sso": sso } }).to_string();
        std::fs::write(&file, text).unwrap();
        let source = TokenSource::Owners { file: file.clone(), email: None };
        let config = AccountConfig { source, auth: Origin::of(OWNERS_AUTH), ..config(folder.path()) };
        let (account, script) = (Account::new(config), Rc::new(Script::default()));
        let outcome = account.ask(&Renewer::new(script.clone()), question()).await;
        errors.extend(outcome.err().map(|error| error.kind()));
        asked.extend(
            script.asked.borrow().iter().map(|asked| asked.split(" Bearer").next().unwrap().to_owned()),
        );
    }
    (asked, errors)
}

#[actix::test]
async fn tokens_go_to_the_servers_of_who_issued_them_and_to_nobody_else() {
    tokio::time::pause();
    let (world, china) = ("https://auth.tesla.com/oauth2/v3", "https://auth.tesla.cn/oauth2/v3");
    let (asked, errors) = asked_with_owners_tokens(world, "https://auth.tesla.com/").await;
    assert_eq!(asked, ["owner-api.teslamotors.com /api/1/x", "auth.tesla.com is opened"]);
    assert_eq!(errors, ["no_http2"]);
    // pypowerwall notes the same address for everybody.
    for url in ["https://auth.tesla.cn/", "https://auth.tesla.com/"] {
        let (asked, errors) = asked_with_owners_tokens(china, url).await;
        assert_eq!(asked, ["owner-api.vn.cloud.tesla.cn /api/1/x", "auth.tesla.cn is opened"]);
        assert_eq!(errors, ["no_http2"]);
    }
    for issuer in
        ["https://auth.tesla.com.evil.example/", "http://auth.tesla.com/", "https://fleet-auth.tesla.com"]
    {
        let (asked, errors) = asked_with_owners_tokens(issuer, "https://auth.tesla.com/").await;
        assert_eq!((asked.len(), errors), (0, vec!["files", "files"]), "{issuer}");
    }
}
