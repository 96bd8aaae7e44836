//! How the commands `get` and `set` ask a running service.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use awc::error::SendRequestError;
use awc::http::{Method, header};
use awc::{Client, Connector};
use serde_json::Value;

use super::wish::Wish;
use crate::settings::Secret;
use crate::tls;

/// Nobody is there if nobody has answered by then.
const CONNECT: Duration = Duration::from_secs(3);
/// Longer than an order is waited for, and than the service takes to find a busy gateway busy.
const PATIENCE: Duration = Duration::from_secs(75);
/// Larger than what is known of any house.
const LARGEST_ANSWER: usize = 4 << 20;

/// Why the service could not be asked, or did not do it.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    #[error("no service answers at {at}: {why}")]
    Absent { at: String, why: String },
    #[error(
        "the service at {at} was asked and its answer did not arrive: {why}; `powerwall-server get` shows \
        what has come of it"
    )]
    Unanswered { at: String, why: String },
    #[error("what answers at {at} is not a powerwall-server")]
    Foreign { at: String },
    #[error("{0}")]
    Refused(String),
}

/// A service that can be asked.
pub struct Running {
    /// Scheme, address and base path.
    base: String,
    token: Option<Secret>,
    client: Client,
}

/// What it answered.
pub struct Reply {
    pub status: u16,
    pub body: Value,
}

impl Running {
    /// `base`: the address without a slash at its end. Certificates are checked unless it is on this machine:
    /// the token must reach nobody else.
    pub async fn at(base: &str, token: Option<Secret>) -> Self {
        let base = base.trim_end_matches('/').to_owned();
        let tls = match is_here(&base) {
            true => Arc::new(tls::any_certificate()),
            false => tls::checked_http(tls::roots().await),
        };
        let connector = Connector::new().rustls_0_23(tls).timeout(CONNECT).handshake_timeout(CONNECT);
        let client = Client::builder().connector(connector).timeout(PATIENCE).disable_redirects().finish();
        Self { base, token, client }
    }

    async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Reply, AskError> {
        let at = || self.base.clone();
        let mut request = self.client.request(method, format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            request = request.insert_header((header::AUTHORIZATION, format!("Bearer {}", token.expose())));
        }
        let sent = match body {
            Some(body) => request.send_json(body).await,
            None => request.send().await,
        };
        let mut response = sent.map_err(|error| match error {
            SendRequestError::Connect(error) => AskError::Absent { at: at(), why: error.to_string() },
            SendRequestError::Url(error) => AskError::Absent { at: at(), why: error.to_string() },
            error => AskError::Unanswered { at: at(), why: error.to_string() },
        })?;
        let status = response.status().as_u16();
        let body = response.json::<Value>().limit(LARGEST_ANSWER).await;
        Ok(Reply { status, body: body.map_err(|_| AskError::Foreign { at: at() })? })
    }

    /// The gateway that is meant without a name: the only one.
    ///
    /// # Errors
    /// If there are several, or the service cannot be asked.
    pub async fn only_gateway(&self) -> Result<String, AskError> {
        let reply = self.ask(Method::GET, "/api/gateways", None).await?.good()?;
        let ids: Vec<&str> = reply.as_object().into_iter().flatten().map(|(id, _)| id.as_str()).collect();
        match ids[..] {
            [id] => Ok(id.to_owned()),
            [] => Err(AskError::Refused("The service watches no gateway".into())),
            _ => Err(AskError::Refused(format!("Say which gateway: --gateway {}", ids.join("|")))),
        }
    }

    /// What `gateway` can take, and what its settings are.
    ///
    /// # Errors
    /// If the service cannot be asked, or knows no such gateway.
    pub async fn control(&self, gateway: &str) -> Result<Value, AskError> {
        self.ask(Method::GET, &format!("/api/gateways/{gateway}/control"), None).await?.good()
    }

    /// Gives an order, once.
    ///
    /// # Errors
    /// If the service cannot be asked.
    pub async fn order(&self, gateway: &str, wish: &Wish, wait: u64) -> Result<Reply, AskError> {
        let path = format!("/api/gateways/{gateway}/control/{}?wait={wait}", wish.kind.word());
        self.ask(Method::POST, &path, Some(&wish.body)).await
    }
}

impl Reply {
    fn good(self) -> Result<Value, AskError> {
        match self.status {
            200 => Ok(self.body),
            status => Err(AskError::Refused(detail(status, &self.body))),
        }
    }
}

/// Why something was refused, as the service says it.
fn detail(status: u16, body: &Value) -> String {
    let said = body["detail"].as_str().unwrap_or("the service refused it");
    format!("{said} ({status})")
}

fn is_here(base: &str) -> bool {
    let authority =
        base.split_once("://").map_or(base, |(_, rest)| rest).split('/').next().unwrap_or_default();
    let host = authority
        .strip_prefix('[')
        .and_then(|rest| rest.split(']').next())
        .unwrap_or_else(|| authority.rsplit_once(':').map_or(authority, |(host, _)| host));
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// How far an order came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Came {
    /// Stored, or in effect.
    About,
    /// Under way, accepted, or nobody knows yet.
    Underway,
    ToNothing,
}

/// An answer to an order, in words.
pub fn outcome(reply: &Reply) -> (Came, String) {
    let came = match reply.status {
        200 => Came::About,
        202 => Came::Underway,
        _ => Came::ToNothing,
    };
    let order = if reply.body["order"].is_object() { &reply.body["order"] } else { &reply.body };
    let Some(outcome) = order["outcome"].as_str() else { return (came, detail(reply.status, &reply.body)) };
    let mut text = format!("{}: {}", text_of(&order["gateway"]), outcome.replace('_', " "));
    if let Some(evidence) = order["evidence"].as_str() {
        let _ = write!(text, " – {evidence}");
    }
    let _ = write!(text, "\norder {}", text_of(&order["id"]));
    (came, text)
}

/// What a gateway can take, for people.
pub fn report(control: &Value) -> String {
    let mut text = format!("{}\n", text_of(&control["gateway"]));
    for (key, value) in control["present"].as_object().into_iter().flatten() {
        let unit = if key == "reserve" && !value.is_null() { " %" } else { "" };
        let _ = writeln!(text, "  {key:<14} {}{unit}", known(value));
    }
    for lease in control["leases"].as_array().into_iter().flatten() {
        let seconds = lease["ends_in_seconds"].as_u64().unwrap_or_default();
        let _ = writeln!(text, "  for {seconds} s more: {}, then {}", lease["value"], lease["former"]);
    }
    text.push_str("can take\n");
    for order in control["orders"].as_array().into_iter().flatten() {
        let (name, can) = (text_of(&order["order"]), order["can"] == true);
        let how = match can {
            true => format!("over {}, up to {}", text_of(&order["link"]), text_of(&order["proves"])),
            false => format!("no: {}", text_of(&order["message"])),
        };
        let _ = writeln!(text, "  {name:<14} {}", how.replace('_', " "));
    }
    if control["enabled"] == false {
        text.push_str("No orders are taken: set PW_CONTROL_SECRET, or tokens in the file.\n");
    }
    text
}

fn known(value: &Value) -> String {
    if value.is_null() { "unknown".into() } else { text_of(value) }
}

fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn certificates_count_wherever_somebody_else_could_answer() {
        for here in
            ["http://127.0.0.1:8675", "https://[::1]:8675/pw", "https://localhost", "http://localhost:1/x"]
        {
            assert!(is_here(here), "{here}");
        }
        for there in
            ["https://192.168.1.5:8675", "https://localhost.example", "https://[fe80::1]:1", "127.0.0.2.x"]
        {
            assert!(!is_here(there), "{there}");
        }
    }

    #[test]
    fn an_order_is_said_to_have_come_no_further_than_it_did() {
        let order =
            |outcome: &str| json!({ "id": "0f", "gateway": "home", "outcome": outcome, "evidence": "why" });
        let said = |status, body| outcome(&Reply { status, body });
        assert_eq!(said(200, order("in_effect")), (Came::About, "home: in effect – why\norder 0f".into()));
        assert_eq!(said(202, order("pending")).0, Came::Underway);
        let refused = json!({ "detail": "why", "order": order("refused") });
        assert_eq!(said(502, refused), (Came::ToNothing, "home: refused – why\norder 0f".into()));
        let denied = json!({ "detail": "No token" });
        assert_eq!(said(401, denied), (Came::ToNothing, "No token (401)".into()));
    }
}
