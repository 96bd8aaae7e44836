//! What Tesla's cloud answers when something is wrong, each kind with its own pause.

use std::time::Duration;

use serde_json::Value;

use crate::link::https::{Answer, retry_after};
use crate::link::json::Look;

/// Tesla names no time: it is asked again after this long.
const USUAL_PAUSE: Duration = Duration::from_secs(60);
/// And never later than this, whatever it names.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);
/// What only a person can change is looked at again this often.
const UNTIL_SOMEBODY_ACTS: Duration = Duration::from_secs(600);
/// Longest text of Tesla's that is repeated.
const LONGEST_REASON: usize = 160;
/// `energy_device_data` has 18 letters; a token has more.
const LONGEST_WORD: usize = 20;

/// Phrased for the person who must act. Never carries a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TeslaError {
    #[error("cannot reach Tesla's cloud: {0}")]
    Unreachable(String),
    #[error("no answer from Tesla's cloud within {} ms", .0.as_millis())]
    Timeout(Duration),
    /// The token is dead, and no request can revive it.
    #[error("Tesla wants a new login: {0}")]
    LoginNeeded(String),
    /// The token is over; it is renewed, once.
    #[error("the access token has expired (HTTP 401)")]
    Expired,
    #[error("Tesla has locked the account (HTTP 423); unlock it in the Tesla app")]
    Locked,
    /// The owner did not consent to this.
    #[error("the consent given to this program does not cover this ({0}); change it in your Tesla account")]
    NoPermission(String),
    /// Something about the application at Tesla is not as it must be.
    #[error("the application at Tesla is not set up for this: {0}")]
    SetUp(String),
    #[error("Tesla or the provider requires payment (HTTP 402): {0}")]
    Payment(String),
    /// Asked at the base of another region.
    #[error("the account belongs to another region than {0} (HTTP 421)")]
    WrongRegion(String),
    /// 429, or what is left of the pause that one asked for.
    #[error("Tesla asks for a pause; it is asked again in {} s", .left.as_secs())]
    Pause { left: Duration },
    /// The operator's own limit.
    #[error("the {limit} requests of today are used up (PW_FLEET_BUDGET)")]
    Budget { limit: u64, left: Duration },
    /// Said no to what was asked; asking again does not help.
    #[error("Tesla refuses: {0}")]
    Refused(String),
    /// The gateway has no connection to Tesla.
    #[error("the gateway is not connected to Tesla's cloud at present (HTTP 408)")]
    Offline,
    /// There is no such endpoint, or no such site any more.
    #[error("Tesla has no {0}")]
    NotFound(String),
    /// Which site it is cannot be said, or it is another one.
    #[error("{0}")]
    Site(String),
    /// The operator's own authorities cannot be used.
    #[error("{0}")]
    Authorities(String),
    /// A pasted token was not accepted.
    #[error("{0} does not accept the token; get a new one there and set fleet_token (PW_FLEET_TOKEN)")]
    TokenRefused(String),
    /// Owners API: 403. No refresh and no repetition cures it.
    #[error(
        "Tesla refuses the tokens of this account for the owners API (HTTP 403), and renewing them does not \
         help: log in again (powerwall-server login --owners), or better use FleetAPI (powerwall-server \
         login) or a local link; the next attempt is in {} min",
        .left.as_secs().div_ceil(60)
    )]
    TokensRefused { left: Duration },
    /// Owners API: an endpoint that it no longer has, or no longer lets anybody use.
    #[error("the owners API no longer offers {what} (HTTP {status}); FleetAPI may (powerwall-server login)")]
    Gone { what: String, status: u16 },
    /// Owners API: the server of tokens speaks only what spoils them. Nothing was sent.
    #[error("{0} does not speak HTTP/2 with TLS 1.3; the refresh token was not sent, for nothing else works")]
    NoHttp2(String),
    /// Owners API: files that cannot be used. Nothing was sent.
    #[error("{0}")]
    Files(String),
    /// Owners API: the refresh token was sent a moment ago, by another program or before a restart.
    #[error("the tokens are being renewed by another program")]
    UnderWay,
    #[error("Tesla's cloud is in trouble (HTTP {0})")]
    Busy(u16),
    #[error("cannot use Tesla's answer: {0}")]
    Malformed(String),
}

impl TeslaError {
    /// A stable word for bodies, logs and metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::Timeout(_) => "timeout",
            Self::LoginNeeded(_) | Self::Locked => "login_needed",
            Self::Expired => "expired",
            Self::NoPermission(_) => "no_permission",
            Self::SetUp(_) => "set_up",
            Self::Payment(_) => "payment",
            Self::WrongRegion(_) => "wrong_region",
            Self::Pause { .. } => "rate_limited",
            Self::Budget { .. } => "budget",
            Self::Refused(_) => "refused_by_tesla",
            Self::Offline => "offline",
            Self::NotFound(_) => "not_found",
            Self::Site(_) => "site",
            Self::Authorities(_) => "authorities",
            Self::TokenRefused(_) => "login_needed",
            Self::TokensRefused { .. } => "tokens_refused",
            Self::Gone { .. } => "gone",
            Self::NoHttp2(_) => "no_http2",
            Self::Files(_) => "files",
            Self::UnderWay => "expired",
            Self::Busy(_) => "busy",
            Self::Malformed(_) => "malformed",
        }
    }

    /// How long nothing is asked after it; `None`: as long as our own back-off says.
    pub fn rest(&self) -> Option<Duration> {
        match self {
            Self::Pause { left } | Self::Budget { left, .. } => Some(*left),
            Self::UnderWay => Some(Duration::from_secs(5)),
            Self::Payment(_) | Self::Gone { .. } => Some(LONGEST_PAUSE),
            // Nothing is sent: only the file with the tokens is read again.
            Self::LoginNeeded(_) | Self::Files(_) => Some(USUAL_PAUSE),
            Self::TokensRefused { left } => Some((*left).min(USUAL_PAUSE)),
            Self::NoPermission(_) | Self::SetUp(_) | Self::Site(_) | Self::TokenRefused(_) | Self::Locked => {
                Some(UNTIL_SOMEBODY_ACTS)
            }
            _ => None,
        }
    }

    /// Whether it says that an order was not carried out. A device that is not connected may get it later, a
    /// site that is gone may be a server in trouble.
    pub fn says_not_done(&self) -> bool {
        let says_nothing = matches!(
            self,
            Self::Unreachable(_)
                | Self::Timeout(_)
                | Self::Offline
                | Self::NotFound(_)
                | Self::Busy(_)
                | Self::Malformed(_)
        );
        !says_nothing
    }

    /// What an answer other than a good one means. `what` was asked of `base`.
    pub fn of(answer: &Answer, what: &str, base: &str) -> Self {
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let word = body.at(&["error"]).name().unwrap_or_default();
        let said = reason(&body).unwrap_or_else(|| format!("HTTP {}", answer.status));
        match answer.status {
            400 if SET_UP_WORDS.iter().any(|known| word.contains(known)) => Self::SetUp(said),
            401 if word.contains("login_required") => Self::LoginNeeded(LOG_IN.into()),
            401 => Self::Expired,
            402 => Self::Payment(said),
            403 | 451 => Self::NoPermission(said),
            // A site with another number answers like this, too.
            404 => Self::NotFound(what.to_owned()),
            500 if body.at(&["response"]).is_null() && word.contains("upstream internal error") => {
                Self::NotFound(what.to_owned())
            }
            408 => Self::Offline,
            412 => Self::SetUp(REGISTER.into()),
            421 => Self::WrongRegion(base.to_owned()),
            423 => Self::Locked,
            424 => Self::Malformed(said),
            429 => Self::Pause { left: asked_pause(answer, &body) },
            status @ (499..) => Self::Busy(status),
            _ => Self::Refused(said),
        }
    }
}

const SET_UP_WORDS: [&str; 3] = ["invalid_auth_code", "invalid_redirect_url", "unauthorized_client"];
const REGISTER: &str = "it is not registered in this region; register its domain there: powerwall-server \
    register --domain";
pub(super) const LOG_IN: &str = "the refresh token is used up, was withdrawn, or the password was changed; \
    log in again: powerwall-server login";

/// What an envelope says is wrong, in bounds.
pub(super) fn reason(body: &Value) -> Option<String> {
    let texts = [
        body.at(&["response", "reason"]),
        body.at(&["error_description"]),
        body.at(&["error"]),
        body.at(&["response", "message"]),
    ];
    let text = texts.into_iter().find_map(Look::name)?;
    // A word this long may be a token that is quoted.
    let words = text.split(|letter: char| letter.is_whitespace() || letter.is_control());
    let words: Vec<&str> = words.map(|word| if word.len() < LONGEST_WORD { word } else { "…" }).collect();
    Some(words.join(" ").chars().take(LONGEST_REASON).collect())
}

/// How long a 429 asks to wait: in `Retry-After`, a `RateLimit-…-Reset`, or in words.
fn asked_pause(answer: &Answer, body: &Value) -> Duration {
    let in_words = || in_words(&reason(body).or_else(|| body.text().map(str::to_owned))?);
    let plain = || in_words_of(&answer.body);
    let asked = answer.retry_after.or(answer.limit_reset).or_else(in_words).or_else(plain);
    asked.unwrap_or(USUAL_PAUSE).clamp(Duration::from_secs(1), LONGEST_PAUSE)
}

fn in_words_of(body: &[u8]) -> Option<Duration> {
    in_words(std::str::from_utf8(body.get(..body.len().min(LONGEST_REASON))?).ok()?)
}

/// `Please retry in 10 seconds`, `retry after 7s`.
fn in_words(text: &str) -> Option<Duration> {
    let text = text.to_ascii_lowercase();
    let after = &text[text.find("retry")?..];
    let start = after.find(|letter: char| letter.is_ascii_digit())?;
    let digits = after[start..].split(|letter: char| !letter.is_ascii_digit()).next()?;
    let unit = after[start + digits.len()..].trim_start();
    unit.starts_with('s').then(|| retry_after(digits)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(status: u16, body: &str) -> TeslaError {
        let answer = Answer { status, body: body.to_owned().into(), ..Answer::default() };
        TeslaError::of(&answer, "live_status", "https://eu")
    }

    #[test]
    fn every_status_has_its_kind() {
        let kinds = [
            (400, r#"{"error":"invalid_command"}"#, "refused_by_tesla"),
            (400, r#"{"error":"invalid_auth_code"}"#, "set_up"),
            (401, "", "expired"),
            (401, r#"{"error":"token expired (401)"}"#, "expired"),
            (401, r#"{"error":"login_required"}"#, "login_needed"),
            (402, r#"{"error":"insufficient_credits"}"#, "payment"),
            (403, r#"{"error":"Unauthorized missing scopes"}"#, "no_permission"),
            (404, "", "not_found"),
            (405, "", "refused_by_tesla"),
            (408, "", "offline"),
            (412, "", "set_up"),
            (421, "", "wrong_region"),
            (422, "", "refused_by_tesla"),
            (423, "", "login_needed"),
            (424, "", "malformed"),
            (429, "", "rate_limited"),
            (451, "", "no_permission"),
            (500, r#"{"response":null,"error":"upstream internal error"}"#, "not_found"),
            (500, "", "busy"),
            (502, "<html>", "busy"),
            (540, "", "busy"),
        ];
        for (status, body, kind) in kinds {
            assert_eq!(verdict(status, body).kind(), kind, "{status} {body}");
        }
    }

    #[test]
    fn what_tesla_quotes_is_not_repeated() {
        let body = r#"{"error":"bad token NA_0123456789abcdef012","error_description":""}"#;
        let said = verdict(422, body).to_string();
        assert_eq!(said, "Tesla refuses: bad token …");
    }

    #[test]
    fn a_429_is_heeded_whatever_form_its_pause_has() {
        let seconds = |answer: Answer| match TeslaError::of(&answer, "", "") {
            TeslaError::Pause { left } => left.as_secs(),
            other => panic!("{other:?}"),
        };
        let empty = || Answer { status: 429, ..Answer::default() };
        let after = |seconds| Answer { retry_after: Some(Duration::from_secs(seconds)), ..empty() };
        let says = |body: &'static str| Answer { body: body.into(), ..empty() };
        assert_eq!(seconds(after(7)), 7);
        assert_eq!(seconds(after(9999)), 3600);
        assert_eq!(seconds(Answer { limit_reset: Some(Duration::from_secs(40)), ..empty() }), 40);
        assert_eq!(seconds(says("Please retry in 10 seconds")), 10);
        assert_eq!(seconds(says(r#"{"error":"too many; retry after 8s"}"#)), 8);
        assert_eq!(seconds(says("retry in a while")), 60);
        assert_eq!(seconds(empty()), 60);
    }
}
