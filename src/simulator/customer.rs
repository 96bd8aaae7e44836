//! The customer API of a simulated gateway: who may log in how often, what a session is worth, and what is
//! there.
//!
//! Cookies are read as a gateway reads them: of several with one name the first counts, and its value is
//! compared byte for byte, so that a client that re-encodes cookies is found out.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use actix_web::web::Query;
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::customer_documents::{self, vitals_bytes};
use super::faults::Role;
use super::scene::{Scene, SiteKind};

/// How much of the customer API a gateway has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CustomerSurface {
    /// Powerwall 2 and +.
    Full,
    /// Powerwall 3 over its wired LAN: three endpoints.
    BasicLan,
    /// Everything is 404, the login too.
    Nothing,
}

impl CustomerSurface {
    pub(super) fn of(kind: SiteKind) -> Self {
        match kind {
            SiteKind::Powerwall2 | SiteKind::Inverter => Self::Full,
            SiteKind::Powerwall3 => Self::BasicLan,
        }
    }
}

/// How often somebody may log in before the gateway answers 429.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoginLimit {
    pub logins: usize,
    pub window: Duration,
}

pub(super) const BASIC: [&str; 3] =
    ["/api/meters/aggregates", "/api/system_status/grid_status", "/api/system_status/soe"];
/// Firmware from here on has no vitals.
const NO_VITALS_SINCE: (u32, u32) = (23, 44);

const DENIED: &str = concat!(
    r#"{"code":403,"error":"Unable to GET to resource","#,
    r#""message":"User does not have adequate access rights"}"#,
);
const BAD_CREDENTIALS: &str = r#"{"code":401,"error":"bad credentials","message":"Login Error"}"#;
const LIMITED: &str =
    r#"{"code":429,"error":"Api Limit reached for this endpoint","message":"API Limit Reached"}"#;
const NO_SESSION: &str = r#"{"code":401,"message":"Token Expired"}"#;
const NOT_FOUND: &str = r#"{"code":404,"error":"File Not Found","message":"Not Found"}"#;

/// What a client sent, as far as it matters here.
pub(super) struct CustomerRequest<'a> {
    pub method: &'a str,
    /// Without its query.
    pub path: &'a str,
    pub cookie: Option<&'a str>,
    pub authorization: Option<&'a str>,
    pub body: &'a [u8],
}

/// What goes back.
pub(super) struct CustomerAnswer {
    pub status: u16,
    /// Whole header lines.
    pub headers: String,
    pub body: Bytes,
}

impl CustomerAnswer {
    fn new(status: u16, body: impl Into<Bytes>) -> Self {
        Self { status, headers: "Content-Type: application/json\r\n".into(), body: body.into() }
    }
}

/// What the customer API of one gateway remembers.
pub(super) struct CustomerState {
    pub surface: CustomerSurface,
    pub limit: LoginLimit,
    /// What single paths answer instead.
    pub instead: HashMap<String, u16>,
    /// What a request with a session that ended gets: 401, or 403 with some firmware.
    pub ended: u16,
    /// How long a session is good.
    pub lifetime: Duration,
    /// Cookies and when they were given.
    sessions: Vec<([String; 2], Instant)>,
    /// Recent logins, good or not.
    logins: VecDeque<Instant>,
    /// Logins ever, for tokens that differ.
    given: u64,
}

impl CustomerState {
    pub fn new(kind: SiteKind) -> Self {
        Self {
            surface: CustomerSurface::of(kind),
            limit: LoginLimit { logins: 5, window: Duration::from_secs(600) },
            instead: HashMap::new(),
            ended: 401,
            lifetime: Duration::from_secs(24 * 3600),
            sessions: Vec::new(),
            logins: VecDeque::new(),
            given: 0,
        }
    }

    /// As a restart does.
    pub fn end_sessions(&mut self) {
        self.sessions.clear();
    }

    fn is_one_login_too_many(&mut self) -> bool {
        let now = Instant::now();
        while self.logins.front().is_some_and(|at| now.duration_since(*at) > self.limit.window) {
            self.logins.pop_front();
        }
        // Those that are refused count as well: only a pause without questions lets a client in again.
        self.logins.push_back(now);
        self.logins.len() > self.limit.logins
    }

    fn log_in(&mut self, password: &str, body: &[u8]) -> CustomerAnswer {
        if self.is_one_login_too_many() {
            return CustomerAnswer::new(429, LIMITED);
        }
        let Some((user, given, email)) = credentials(body) else { return CustomerAnswer::new(400, "{}") };
        if user != "customer" || given != password {
            return CustomerAnswer::new(401, BAD_CREDENTIALS);
        }
        self.given += 1;
        let cookies = [format!("tok/{}+en==", self.given), format!("rec/{}+ord=", self.given)];
        let mut answer = CustomerAnswer::new(
            200,
            json!({
                "email": email, "firstname": "Tesla", "lastname": "Energy", "roles": ["Home_Owner"],
                "token": cookies[0], "provider": "Basic", "loginTime": "2026-06-01T12:00:00.123456789-07:00",
            })
            .to_string(),
        );
        for (name, value) in ["AuthCookie", "UserRecord"].iter().zip(&cookies) {
            answer.headers += &format!("Set-Cookie: {name}={value}; Path=/\r\n");
        }
        self.sessions.push((cookies, Instant::now()));
        answer
    }

    fn is_session(&self, request: &CustomerRequest<'_>) -> bool {
        let sent = |name| cookie(request.cookie.unwrap_or_default(), name);
        let token = request.authorization.and_then(|value| value.strip_prefix("Bearer "));
        self.sessions.iter().any(|([auth, user], given)| {
            let has_cookies = sent("AuthCookie") == Some(auth) && sent("UserRecord") == Some(user);
            given.elapsed() < self.lifetime && (has_cookies || token == Some(auth))
        })
    }

    /// The answer to a request below `/api/`.
    pub fn answer(
        &mut self,
        request: &CustomerRequest<'_>,
        password: &str,
        scene: &Scene<'_>,
        firmware: &str,
        operate: impl FnOnce(&[u8]) -> (u16, String),
    ) -> (Role, CustomerAnswer) {
        let role = match (request.path, request.method) {
            ("/api/login/Basic", _) => Role::Login,
            ("/api/meters/aggregates", _) => Role::Meters,
            ("/api/operation", "POST") => Role::Order,
            _ => Role::Customer,
        };
        if self.surface == CustomerSurface::Nothing {
            return (role, CustomerAnswer::new(404, NOT_FOUND));
        }
        if let (Role::Login, "POST") = (role, request.method) {
            return (role, self.log_in(password, request.body));
        }
        if self.surface == CustomerSurface::BasicLan && !BASIC.contains(&request.path) {
            return (role, CustomerAnswer::new(404, NOT_FOUND));
        }
        // The one path that needs no session.
        if request.path != "/api/status" && !self.is_session(request) {
            let body = if self.ended == 403 { DENIED } else { NO_SESSION };
            return (role, CustomerAnswer::new(self.ended, body));
        }
        let has_vitals = version(firmware).is_some_and(|version| version < NO_VITALS_SINCE);
        let answer = match (self.instead.get(request.path), request.method) {
            (Some(status), _) => CustomerAnswer::new(*status, "{}"),
            (None, "GET") if request.path == "/api/devices/vitals" => match has_vitals {
                true => {
                    let headers = "Content-Type: application/octet-stream\r\n".into();
                    CustomerAnswer { status: 200, headers, body: vitals_bytes(&scene.vitals()) }
                }
                false => CustomerAnswer::new(404, NOT_FOUND),
            },
            (None, "POST") if role == Role::Order => {
                let (status, body) = operate(request.body);
                CustomerAnswer::new(status, body)
            }
            (None, "GET") => match customer_documents::at(request.path, scene, firmware) {
                Some(document) => CustomerAnswer::new(200, document.to_string()),
                None => CustomerAnswer::new(404, NOT_FOUND),
            },
            _ => CustomerAnswer::new(403, DENIED),
        };
        (role, answer)
    }
}

/// The first cookie of that name in a header.
fn cookie<'a>(header: &'a str, name: &str) -> Option<&'a str> {
    let mut cookies = header.split(';').filter_map(|cookie| cookie.trim().split_once('='));
    cookies.find(|(found, _)| *found == name).map(|(_, value)| value)
}

/// User, password and e-mail of a login, as JSON or as a form.
pub(super) fn credentials(body: &[u8]) -> Option<(String, String, String)> {
    if let Ok(document) = serde_json::from_slice::<Value>(body) {
        let text = |key: &str| document.get(key).and_then(Value::as_str).map(str::to_owned);
        return Some((text("username")?, text("password")?, text("email").unwrap_or_default()));
    }
    let form = Query::<HashMap<String, String>>::from_query(std::str::from_utf8(body).ok()?).ok()?;
    let text = |key: &str| form.get(key).cloned();
    Some((text("username")?, text("password")?, text("email").unwrap_or_default()))
}

/// Major and minor number.
fn version(firmware: &str) -> Option<(u32, u32)> {
    let mut parts = firmware.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}
