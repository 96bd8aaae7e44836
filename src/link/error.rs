//! What can go wrong between us and a gateway, each kind with its own answer.

use std::time::Duration;

use crate::link::broker::error::BrokerError;
use crate::link::json::Unusable;
use crate::link::tesla::error::TeslaError;

/// Phrased for the person who must act. Never carries a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// No route, refused, reset, TLS failed.
    #[error("cannot reach the gateway: {0}")]
    Unreachable(String),
    #[error("no answer within {} ms", .0.as_millis())]
    Timeout(Duration),
    /// 401 or 403: the only kind that may ever lead to a login.
    #[error("the gateway refused the credentials (HTTP {status}): {hint}")]
    Refused { status: u16, hint: String },
    /// 429: a cool-down of `retry_after`, at least 300 s.
    #[error("the gateway asks for a cool-down (HTTP 429)")]
    RateLimited { retry_after: Option<Duration> },
    /// 503: a cool-down of `retry_after`, at least 300 s.
    #[error("the gateway is busy (HTTP 503)")]
    Busy { retry_after: Option<Duration> },
    /// It asked for a cool-down before, and this is left of it: nothing was sent.
    #[error("the gateway asked for a cool-down; the next request is in {} s", .left.as_secs())]
    Silence { left: Duration },
    /// A login is needed, and there were too many of late: nothing was sent.
    #[error(
        "a login is needed, but the gateway had as many as it bears (3 in 10 minutes, 10 a day); the next \
         one is in {} s. If the password is wrong, correct it",
        .left.as_secs()
    )]
    LoginBudget { left: Duration },
    /// 404: remembered, not asked again for a while.
    #[error("the gateway has no {0}")]
    NotFound(String),
    /// Any other status.
    #[error("the gateway answered HTTP {status} to {what}")]
    Status { status: u16, what: String },
    /// The answer could not be read.
    #[error("cannot read the answer to {what}: {why}")]
    Malformed { what: String, why: String },
    /// The answer is larger than that of any gateway, or would be in memory.
    #[error(
        "the answer to {what} is larger than that of any gateway: {why}. Is this the address of a Powerwall \
         gateway? If it is, please report this, with its firmware version"
    )]
    TooLarge { what: String, why: String },
    /// The certificate is not the pinned or remembered one.
    #[error("the gateway's certificate has fingerprint {found}, expected {expected}")]
    Certificate { expected: String, found: String },
    /// v1r: the key is not accepted.
    #[error("{}", .state.in_words(.fingerprint))]
    Key { state: KeyState, fingerprint: String },
    /// v1r: signed requests say until when they hold.
    #[error("{0}; signed requests are valid for 12 s only: synchronise both clocks (NTP)")]
    ClockSkew(String),
    /// v1r: anything else the gateway has against a signed request.
    #[error("the gateway rejects the signed request: {name} (fault {fault})")]
    Rejected { fault: i32, name: &'static str },
    /// One of two ways is left alone for a while after it failed; the other one is not concerned.
    #[error("left alone for a while: {0}")]
    Resting(String),
    #[error("not supported: {0}")]
    Unsupported(String),
    /// Whatever Tesla's cloud, and not the gateway, has to say.
    #[error(transparent)]
    Tesla(#[from] TeslaError),
    /// The gateway is read by another instance of this program.
    #[error(transparent)]
    Broker(#[from] BrokerError),
}

/// What a gateway makes of the key of v1r.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// Registered, and waiting for somebody to confirm it at the gateway.
    Pending,
    /// Nobody did, for longer than the gateway waits.
    TimedOut,
    /// Known, and not accepted any more.
    Inactive,
    Unknown,
}

impl KeyState {
    /// What is the matter, and what to do.
    fn in_words(self, fingerprint: &str) -> String {
        const CONFIRM: &str = "switch one Powerwall off at its own switch for about 15 seconds and on again, \
            within ten minutes of registering the key";
        let key = format!("the RSA key with fingerprint {fingerprint}");
        match self {
            Self::Pending => format!("{key} is registered and waits to be confirmed: {CONFIRM}"),
            Self::TimedOut => {
                format!(
                    "{key} was not confirmed in time: register the same key again (powerwall-server \
                     register), then {CONFIRM}"
                )
            }
            Self::Inactive => format!(
                "the gateway no longer accepts {key}: it was removed, or never confirmed; register the same \
                 public key again, then {CONFIRM}"
            ),
            Self::Unknown => format!(
                "the gateway does not know {key}: register it for this site (powerwall-server register), or \
                 let rsa_key_path (PW_RSA_KEY_PATH) name the key that is registered"
            ),
        }
    }
}

impl LinkError {
    /// Why an answer to `what` is of no use.
    pub(super) fn unusable(what: &str, why: &Unusable) -> Self {
        let (what, text) = (what.into(), why.to_string());
        match why {
            Unusable::TooLarge(_) => Self::TooLarge { what, why: text },
            _ => Self::Malformed { what, why: text },
        }
    }

    /// A stable word for bodies, logs and metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::Timeout(_) => "timeout",
            Self::Refused { .. } => "refused",
            Self::RateLimited { .. } => "rate_limited",
            Self::Busy { .. } => "busy",
            Self::Silence { .. } => "silence",
            Self::LoginBudget { .. } => "login_budget",
            Self::NotFound(_) => "not_found",
            Self::Status { .. } => "status",
            Self::Malformed { .. } => "malformed",
            Self::TooLarge { .. } => "too_large",
            Self::Certificate { .. } => "certificate",
            Self::Key { state: KeyState::Pending, .. } => "key_pending",
            Self::Key { state: KeyState::TimedOut, .. } => "key_timed_out",
            Self::Key { state: KeyState::Inactive, .. } => "key_inactive",
            Self::Key { state: KeyState::Unknown, .. } => "key_unknown",
            Self::ClockSkew(_) => "clock_skew",
            Self::Rejected { .. } => "rejected",
            Self::Resting(_) => "resting",
            Self::Unsupported(_) => "unsupported",
            Self::Tesla(error) => error.kind(),
            Self::Broker(error) => error.kind(),
        }
    }

    /// How long nothing may be asked after it, whatever our own back-off says.
    pub fn rest(&self) -> Option<Duration> {
        match self {
            Self::Silence { left } | Self::LoginBudget { left } => Some(*left),
            Self::Tesla(error) => error.rest(),
            _ => None,
        }
    }

    /// Whether it ends readings only, and orders still have room.
    pub fn leaves_room_for_orders(&self) -> bool {
        matches!(self, Self::Tesla(TeslaError::Budget { .. }))
    }

    /// The status of the answer, if that is what went wrong.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } | Self::Status { status, .. } => Some(*status),
            Self::RateLimited { .. } => Some(429),
            Self::Busy { .. } => Some(503),
            Self::NotFound(_) => Some(404),
            _ => None,
        }
    }
}
