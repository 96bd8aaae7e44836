//! Logging in to the customer API, and how the session then travels.
//!
//! Cookies leave as they came, byte for byte: gateways do not understand them otherwise.

use awc::http::header;

use crate::link::LinkError;
use crate::link::https::{Answer, Call, secret_header};
use crate::link::login::{self, LONGEST_CREDENTIAL};
use crate::link::memory::Session;
use crate::settings::{AuthMode, LocalConfig, Secret};

const USER: &str = "customer";
const LOGIN_REFUSED: &str = "check the customer password (PW_PASSWORD): the owner's own or, unless changed, \
    the last five characters of the password on the gateway's sticker";

/// The login of `config`. It must not be sent without having been counted.
pub fn login(config: &LocalConfig) -> Call {
    login::login(USER, &config.password, &config.email, &config.timezone)
}

/// The session in the answer to a login: cookies or token, as `mode` prefers and the gateway gives.
///
/// # Errors
/// If the login was refused, or gave nothing to go on with.
pub fn opened(answer: Answer, mode: AuthMode) -> Result<Session, LinkError> {
    let set_cookies = answer.set_cookies.clone();
    let body = answer.ok(login::PATH, LOGIN_REFUSED)?;
    login::readable(&body)?;
    let cookie = |name: &str| set_cookies.iter().find_map(|cookie| cookie_value(cookie, name));
    let cookies = cookie("AuthCookie").zip(cookie("UserRecord"));
    let cookies = cookies.map(|(auth, user)| Session::Cookies { auth, user });
    let token = || login::bearer(&body).map(Session::Token);
    let session = match mode {
        AuthMode::Cookie => cookies.or_else(token),
        AuthMode::Token => token().or(cookies),
    };
    session.ok_or_else(|| LinkError::Malformed {
        what: "the login".into(),
        why: "there is no session in it; is this the address of a Powerwall gateway?".into(),
    })
}

/// The value of `name` in a `Set-Cookie`.
fn cookie_value(cookie: &str, name: &str) -> Option<Secret> {
    let pair = cookie.split(';').next()?;
    let (found, value) = pair.split_once('=')?;
    let fits = found.trim() == name && (1..=LONGEST_CREDENTIAL).contains(&value.len());
    fits.then(|| Secret::new(value.trim()))
}

/// A request that only reads, with the session if there is one. `None`: the session holds what no header may
/// hold.
pub fn get(path: &'static str, session: Option<&Session>) -> Option<Call> {
    let (name, value) = match session {
        None => return Some(Call::get(path)),
        Some(Session::Cookies { auth, user }) => {
            let cookies = format!("AuthCookie={}; UserRecord={}", auth.expose(), user.expose());
            (header::COOKIE, secret_header(&cookies)?)
        }
        Some(Session::Token(token)) => (header::AUTHORIZATION, secret_header(token.expose())?),
    };
    Some(Call::get(path).with(name, value))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn answer(status: u16, set_cookies: &[&str], body: &'static str) -> Answer {
        let set_cookies = set_cookies.iter().map(|cookie| (*cookie).to_owned()).collect();
        Answer { status, set_cookies, body: Bytes::from_static(body.as_bytes()), ..Answer::default() }
    }

    const COOKIES: [&str; 2] = ["AuthCookie=a/b+c==; Path=/", "UserRecord=eyJ9==; Path=/"];
    const BODY: &str = r#"{"email":"e","token":"a/b+c==","provider":"Basic"}"#;

    #[test]
    fn cookies_leave_as_they_came() {
        let session = opened(answer(200, &COOKIES, BODY), AuthMode::Cookie).unwrap();
        let call = get("/api/status", Some(&session)).unwrap();
        assert_eq!(call.headers[0].1.to_str().unwrap(), "AuthCookie=a/b+c==; UserRecord=eyJ9==");
        assert!(!format!("{call:?}").contains("a/b"), "{call:?}");
        let shown = format!("{:?}", answer(200, &COOKIES, BODY));
        assert!(!shown.contains("a/b"), "{shown}");
        let session = opened(answer(200, &COOKIES, BODY), AuthMode::Token).unwrap();
        assert_eq!(get("/", Some(&session)).unwrap().headers[0].1.to_str().unwrap(), "Bearer a/b+c==");
    }

    #[test]
    fn a_login_is_judged_by_what_it_gives() {
        for (status, cookies, body, kind) in [
            (
                401,
                &COOKIES[..],
                r#"{"code":401,"error":"bad credentials","message":"Login Error"}"#,
                "refused",
            ),
            (403, &[], "", "refused"),
            (429, &[], "", "rate_limited"),
            (503, &[], "", "busy"),
            (404, &[], "", "not_found"),
            (500, &[], "", "status"),
            (200, &COOKIES[..1], "{}", "malformed"),
            (200, &[], "<html>", "malformed"),
            (200, &[], r#"{"token":""}"#, "malformed"),
        ] {
            let error = opened(answer(status, cookies, body), AuthMode::Cookie).unwrap_err();
            assert_eq!(error.kind(), kind, "{status} {body}");
        }
        // A gateway that gives only one of both is taken at its word.
        let token = opened(answer(200, &[], BODY), AuthMode::Cookie).unwrap();
        assert!(matches!(token, Session::Token(_)));
        assert!(matches!(opened(answer(200, &COOKIES, ""), AuthMode::Token), Ok(Session::Cookies { .. })));
    }

    #[test]
    fn a_session_that_no_header_can_hold_is_none() {
        assert!(get("/", Some(&Session::Token(Secret::new("Bearer a\r\nX: y")))).is_none());
    }
}
