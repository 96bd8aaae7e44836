//! The owners API, over real TLS on loopback: where tokens are given, over HTTP/2 and HTTP/1.1, and where
//! sites are asked about. Tokens that were asked for over HTTP/1.1 are spoiled, and a refresh token holds
//! once.

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::{Bytes, BytesMut};
use ring::digest::{SHA256, digest};
use rustls::{ProtocolVersion, ServerConfig};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::answers;
use super::authorize::plain;
use super::replies::{error, response};
use super::state::{Asked, Cloud, CloudFault, Site};
use crate::clock::unix_time;
use crate::simulator::certificate;
use crate::simulator::delivery::Delivery;
use crate::simulator::handle::GatewayHandle;
use crate::simulator::http::{Answer, Request, read_request};

/// What the account is called.
const EMAIL: &str = "owner@example.com";
/// Longer than any client waits.
const FOREVER: Duration = Duration::from_secs(600);

/// Tokens that were given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Minted {
    /// Whether they were asked for over HTTP/2; over anything else they are spoiled.
    pub over_http2: bool,
    /// Whether the connection had TLS 1.3.
    pub over_tls_1_3: bool,
}

/// A running owners API. It stops when this is dropped.
pub struct OwnersHandle {
    shared: Arc<Shared>,
    /// Where tokens are given.
    pub auth: SocketAddr,
    /// Where sites are asked about.
    pub api: SocketAddr,
    /// PEM of the authority that vouches for both.
    authority: String,
    servers: [AbortHandle; 2],
}

struct Shared {
    /// Sites, access tokens, faults, and what was asked.
    cloud: Cloud,
    tokens: Mutex<Tokens>,
    /// What the server of tokens offers.
    tls: Mutex<Arc<ServerConfig>>,
}

#[derive(Default)]
struct Tokens {
    /// The refresh token that holds.
    refresh: Option<String>,
    /// How often each was sent.
    sent: HashMap<String, u32>,
    /// Access tokens that are refused when they are used.
    spoiled: HashSet<String>,
    /// Codes that may be exchanged, each once, with the challenge of who asked for it.
    codes: HashMap<String, String>,
    minted: Vec<Minted>,
    /// Whether a renewal gives no refresh token and leaves the old one.
    keeps: bool,
}

impl Shared {
    fn tokens(&self) -> MutexGuard<'_, Tokens> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tls(&self) -> MutexGuard<'_, Arc<ServerConfig>> {
        self.tls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// New tokens: access and refresh.
    fn give(&self, minted: Minted) -> (String, String) {
        let mut state = self.cloud.state();
        let (number, life) = (state.given.len(), state.life);
        let claims = json!({
            "iss": "https://auth.tesla.com/oauth2/v3", "aud": ["https://owner-api.teslamotors.com/"],
            "scp": ["openid", "email", "offline_access"], "x-enc": "simulated",
            "exp": (unix_time() + life.as_secs_f64()) as i64, "jti": number,
        });
        let part = |text: String| BASE64_URL_SAFE_NO_PAD.encode(text);
        let access = format!("{}.{}.own{number}", part(r#"{"alg":"none"}"#.into()), part(claims.to_string()));
        let refresh = format!("simulated-owners-refresh-{number}");
        state.access.insert(access.clone(), Instant::now() + life);
        state.given.extend([access.clone(), refresh.clone()]);
        drop(state);
        let mut tokens = self.tokens();
        tokens.minted.push(minted);
        if !minted.over_http2 {
            tokens.spoiled.insert(access.clone());
        }
        (access, refresh)
    }
}

impl OwnersHandle {
    /// Listens on loopback. Runs on the current tokio runtime.
    ///
    /// # Errors
    /// If no port is free, or no key can be made.
    pub async fn start() -> io::Result<Self> {
        let (tls, authority) = certificate::cloud_config().map_err(io::Error::other)?;
        let (auth, api) =
            (TcpListener::bind(("127.0.0.1", 0)).await?, TcpListener::bind(("127.0.0.1", 0)).await?);
        let (auth_addr, api_addr) = (auth.local_addr()?, api.local_addr()?);
        let mut data = (*tls).clone();
        data.alpn_protocols = vec![b"http/1.1".to_vec()];
        let cloud = Cloud::new(format!("https://{api_addr}"));
        let shared = Arc::new(Shared { cloud, tokens: Mutex::default(), tls: Mutex::new(tls) });
        let servers = [
            tokio::spawn(serve(shared.clone(), None, auth)).abort_handle(),
            tokio::spawn(serve(shared.clone(), Some(Arc::new(data)), api)).abort_handle(),
        ];
        Ok(Self { shared, auth: auth_addr, api: api_addr, authority, servers })
    }

    /// Puts `gateway` into the account as site `id`.
    pub fn add(&self, id: u64, gateway: &GatewayHandle) {
        self.shared.cloud.state().sites.push(Site::new(id, gateway.gateway()));
    }

    /// Gives a site another number.
    pub fn renumber(&self, from: u64, to: u64) {
        for site in self.shared.cloud.state().sites.iter_mut().filter(|site| site.id == from) {
            site.id = to;
        }
    }

    /// Writes the authority and a token file of pypowerwall into `folder`.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn sign_in(&self, folder: &Path) -> io::Result<()> {
        std::fs::write(self.authority_in(folder), &self.authority)?;
        let (access, refresh) = self.pair();
        let file = json!({ EMAIL: {
            "url": "https://auth.tesla.com/",
            "sso": {
                "token_type": "Bearer", "access_token": access, "refresh_token": refresh,
                "expires_at": (unix_time() + 28_800.0) as i64, "expires_in": 28_800,
            },
        }});
        std::fs::write(folder.join(".pypowerwall.auth"), serde_json::to_string_pretty(&file)?)
    }

    /// Tokens as an app on a phone makes them: access and refresh.
    pub fn pair(&self) -> (String, String) {
        let tokens = self.shared.give(Minted { over_http2: true, over_tls_1_3: true });
        self.shared.tokens().refresh = Some(tokens.1.clone());
        self.shared.tokens().minted.clear();
        tokens
    }

    fn authority_in(&self, folder: &Path) -> PathBuf {
        folder.join("owners-authority.pem")
    }

    /// Writes the authority into `folder`, and nothing else.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn introduce(&self, folder: &Path) -> io::Result<()> {
        std::fs::write(self.authority_in(folder), &self.authority)
    }

    /// The variables that reach it with what is in `folder`.
    pub fn environment(&self, folder: &Path) -> Vec<(String, String)> {
        [
            ("PW_AUTH_PATH", folder.display().to_string()),
            ("PW_OWNERS_AUTH", format!("https://{}", self.auth)),
            ("PW_OWNERS_BASE", format!("https://{}", self.api)),
            ("PW_FLEET_CA", self.authority_in(folder).display().to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// From now on `fault` is in every request whose path contains `part`.
    pub fn set(&self, part: &str, fault: CloudFault) {
        self.shared.cloud.state().faults.push((part.to_owned(), fault, None));
    }

    /// `fault` is in the next `times` requests whose path contains `part`.
    pub fn set_times(&self, part: &str, fault: CloudFault, times: u32) {
        self.shared.cloud.state().faults.push((part.to_owned(), fault, Some(times)));
    }

    /// Nothing is wrong any more.
    pub fn heal(&self) {
        self.shared.cloud.state().faults.clear();
    }

    /// What the server of tokens offers from now on, of `h2` and `http/1.1`.
    pub fn offer(&self, protocols: &[&str]) {
        let mut tls = self.shared.tls();
        let mut changed = (**tls).clone();
        changed.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        *tls = Arc::new(changed);
    }

    /// Every access token is over.
    pub fn expire_tokens(&self) {
        self.shared.cloud.state().access.clear();
    }

    /// Every access token that was given is refused when it is used.
    pub fn spoil(&self) {
        let given = self.shared.cloud.state().given.clone();
        self.shared.tokens().spoiled.extend(given);
    }

    /// The owner changed the password.
    pub fn revoke(&self) {
        self.expire_tokens();
        self.shared.tokens().refresh = None;
    }

    /// Renewals give no refresh token from now on, and leave the old one as it is.
    pub fn keep_refresh_token(&self) {
        self.shared.tokens().keeps = true;
    }

    /// How long access tokens live from now on.
    pub fn set_life(&self, life: Duration) {
        self.shared.cloud.state().life = life;
    }

    /// What a site reports instead of `key` from now on.
    pub fn report_instead(&self, key: &str, value: Value) {
        self.shared.cloud.state().instead.insert(key.to_owned(), value);
    }

    /// Everything that was asked, in order.
    pub fn asked(&self) -> Vec<Asked> {
        self.shared.cloud.state().asked.clone()
    }

    /// How many requests there were whose path contains `part`.
    pub fn requests(&self, part: &str) -> usize {
        self.shared.cloud.state().asked.iter().filter(|asked| asked.path.contains(part)).count()
    }

    /// How often the refresh token was sent that was sent most often.
    pub fn most_sent(&self) -> u32 {
        self.shared.tokens().sent.values().copied().max().unwrap_or(0)
    }

    /// The connections that tokens were given over.
    pub fn minted(&self) -> Vec<Minted> {
        self.shared.tokens().minted.clone()
    }

    /// All tokens and codes that it ever gave out.
    pub fn secrets(&self) -> Vec<String> {
        self.shared.cloud.state().given.clone()
    }
}

impl Drop for OwnersHandle {
    fn drop(&mut self) {
        self.servers.iter().for_each(AbortHandle::abort);
    }
}

/// Takes connections until it is dropped, which ends them too. `tls`: of data; without it tokens are given.
async fn serve(shared: Arc<Shared>, tls: Option<Arc<ServerConfig>>, listener: TcpListener) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let shared = shared.clone();
                    let tls = tls.clone().unwrap_or_else(|| shared.tls().clone());
                    // A client that goes away in the middle is none of our business.
                    connections.spawn(async move { drop(connection(&shared, tls, stream).await) });
                }
                Err(_) => sleep(Duration::from_millis(50)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(shared: &Shared, tls: Arc<ServerConfig>, stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut tls = TlsAcceptor::from(tls).accept(stream).await?;
    let session = tls.get_ref().1;
    let over_tls_1_3 = session.protocol_version() == Some(ProtocolVersion::TLSv1_3);
    let over_http2 = session.alpn_protocol() == Some(b"h2");
    let minted = Minted { over_http2, over_tls_1_3 };
    if over_http2 {
        return http2(shared, tls, minted).await.map_err(io::Error::other);
    }
    let mut input = BytesMut::with_capacity(8 << 10);
    while let Some(request) = read_request(&mut tls, &mut input).await? {
        let Some(answer) = outcome(shared, &request, minted).await else { break };
        Delivery::of(answer).send(&mut tls).await?;
    }
    tls.shutdown().await
}

async fn http2(shared: &Shared, tls: TlsStream<TcpStream>, minted: Minted) -> Result<(), h2::Error> {
    let mut connection = h2::server::handshake(tls).await?;
    while let Some(accepted) = connection.accept().await {
        let (request, mut respond) = accepted?;
        let (head, mut stream) = request.into_parts();
        let mut body = BytesMut::new();
        // Both sides of the connection move while the body comes.
        let whole = async {
            while let Some(chunk) = stream.data().await {
                let chunk = chunk?;
                let _ = stream.flow_control().release_capacity(chunk.len());
                body.extend_from_slice(&chunk);
            }
            Ok::<_, h2::Error>(())
        };
        tokio::select! {
            read = whole => read?,
            _ = std::future::poll_fn(|context| connection.poll_closed(context)) => return Ok(()),
        }
        let header = |name: &str| head.headers.get(name)?.to_str().ok().map(str::to_owned);
        let request = Request {
            method: head.method.to_string(),
            path: head.uri.path_and_query().map(ToString::to_string).unwrap_or_default(),
            authorization: header("authorization"),
            cookie: None,
            body: body.freeze(),
        };
        let Some(answer) = outcome(shared, &request, minted).await else { return Ok(()) };
        let mut builder = http::Response::builder().status(answer.status);
        for line in answer.headers.lines() {
            if let Some((name, value)) = line.split_once(": ") {
                builder = builder.header(name, value);
            }
        }
        let Ok(head) = builder.body(()) else { return Ok(()) };
        respond.send_response(head, false)?.send_data(answer.body, true)?;
    }
    Ok(())
}

/// `None`: the connection ends instead.
async fn outcome(shared: &Shared, request: &Request, minted: Minted) -> Option<Answer> {
    let fault = {
        let body = String::from_utf8_lossy(&request.body).into_owned();
        let mut state = shared.cloud.state();
        state.asked.push(Asked { method: request.method.clone(), path: request.path.clone(), body });
        state.fault(&request.path)
    };
    if request.path.starts_with("/oauth2/v3/token") {
        count(shared, &request.body);
    }
    let mut answer = match fault {
        Some(CloudFault::Answer { status, headers, body }) => Answer { status, headers, body: body.into() },
        Some(CloudFault::Hang) => {
            sleep(FOREVER).await;
            return None;
        }
        Some(CloudFault::Cut) => {
            let _done = answer(shared, request, minted);
            return None;
        }
        None => answer(shared, request, minted),
    };
    let now = jiff::Timestamp::from_second(unix_time() as i64).unwrap_or_default();
    answer.headers += &now.strftime("Date: %a, %d %b %Y %H:%M:%S GMT\r\n").to_string();
    Some(answer)
}

/// A member of a form, or of a JSON object: Tesla takes both.
fn field(body: &Bytes, name: &str) -> String {
    if let Ok(Value::Object(members)) = serde_json::from_slice(body) {
        return members.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    }
    in_form(&String::from_utf8_lossy(body), name)
}

fn in_form(form: &str, name: &str) -> String {
    let mut fields = form.split('&').filter_map(|field| field.split_once('='));
    fields.find(|(key, _)| *key == name).map(|(_, value)| plain(value)).unwrap_or_default()
}

fn count(shared: &Shared, body: &Bytes) {
    let sent = field(body, "refresh_token");
    if !sent.is_empty() {
        *shared.tokens().sent.entry(sent).or_default() += 1;
    }
}

fn answer(shared: &Shared, request: &Request, minted: Minted) -> Answer {
    let path = request.path.split('?').next().unwrap_or_default();
    match path {
        "/oauth2/v3/authorize" => return authorize(shared, &request.path),
        "/oauth2/v3/token" => return token(shared, &request.body, minted),
        _ => {}
    }
    let bearer = request.authorization.as_deref().and_then(|text| text.strip_prefix("Bearer "));
    if bearer.is_some_and(|token| shared.tokens().spoiled.contains(token)) {
        return error(403, "forbidden, see https://developer.tesla.com/docs/fleet-api");
    }
    let is_site = path.starts_with("/api/1/energy_sites/") && request.method == "GET";
    let has_language = !["/tariff_rate", "/calendar_history"].iter().any(|end| path.ends_with(end));
    if is_site && has_language && !request.path.contains("language=en") {
        return error(400, "invalid_request");
    }
    let known = answers::answer(&shared.cloud, request, true);
    let what = path.rsplit('/').next().unwrap_or_default();
    if known.status != 404 || !is_site {
        return known;
    }
    only_here(shared, path, what).unwrap_or(known)
}

/// What FleetAPI does not have.
fn only_here(shared: &Shared, path: &str, what: &str) -> Option<Answer> {
    let state = shared.cloud.state();
    let id = path.strip_prefix("/api/1/energy_sites/")?.split('/').next()?;
    let site = state.sites.iter().find(|site| site.id.to_string() == id)?;
    let (_, mut info) = site.gateway.in_cloud();
    match what {
        "backup_time_remaining" => Some(response(&json!({ "time_remaining_hours": 9.5 }))),
        "tariff_rate" => Some(response(&info["tariff_content_v2"].take())),
        _ => None,
    }
}

/// Sends the browser back with a code. This owner needs no page.
fn authorize(shared: &Shared, path: &str) -> Answer {
    let query = path.split_once('?').map(|(_, query)| query).unwrap_or_default();
    let value = |name: &str| in_form(query, name);
    let expected = [
        ("client_id", "ownerapi"),
        ("response_type", "code"),
        ("redirect_uri", "tesla://auth/callback"),
        ("code_challenge_method", "S256"),
        ("scope", "openid email offline_access"),
    ];
    if let Some((odd, _)) = expected.iter().find(|(name, expected)| value(name) != *expected) {
        return Answer::new(400, json!({ "error": format!("invalid {odd}") }).to_string());
    }
    if value("state").len() < 16 {
        return Answer::new(400, json!({ "error": "invalid_state" }).to_string());
    }
    let mut state = shared.cloud.state();
    let code = format!("simulated-owners-code-{}", state.given.len());
    state.given.push(code.clone());
    let consents = state.consents;
    drop(state);
    shared.tokens().codes.insert(code.clone(), value("code_challenge"));
    let issuer = "https%3A%2F%2Fauth.tesla.com%2Foauth2%2Fv3";
    let query = match consents {
        true => format!("code={code}&state={}&issuer={issuer}", value("state")),
        false => format!("error=login_cancelled&state={}&issuer={issuer}", value("state")),
    };
    Answer { status: 302, headers: format!("Location: tesla://auth/callback?{query}\r\n"), body: "".into() }
}

fn token(shared: &Shared, body: &Bytes, minted: Minted) -> Answer {
    if field(body, "client_id") != "ownerapi" {
        return error(401, "invalid_client");
    }
    let keeps = shared.tokens().keeps;
    let given = match field(body, "grant_type").as_str() {
        "refresh_token" => {
            let sent = field(body, "refresh_token");
            let mut tokens = shared.tokens();
            if tokens.refresh.as_deref() != Some(&sent) {
                return error(401, "login_required");
            }
            drop(tokens.refresh.take());
            drop(tokens);
            let (access, new) = shared.give(minted);
            let new = if keeps { None } else { Some(new) };
            shared.tokens().refresh = Some(new.clone().unwrap_or(sent));
            (access, new)
        }
        "authorization_code" => {
            let challenge = shared.tokens().codes.remove(&field(body, "code"));
            let proof = digest(&SHA256, field(body, "code_verifier").as_bytes());
            if challenge != Some(BASE64_URL_SAFE_NO_PAD.encode(proof)) {
                return error(400, "invalid_grant");
            }
            let (access, new) = shared.give(minted);
            shared.tokens().refresh = Some(new.clone());
            (access, Some(new))
        }
        _ => return error(400, "unsupported_grant_type"),
    };
    let identity = BASE64_URL_SAFE_NO_PAD.encode(json!({ "email": EMAIL }).to_string());
    let mut answer = json!({
        "access_token": given.0, "id_token": format!("e30.{identity}.x"), "token_type": "Bearer",
        "expires_in": shared.cloud.state().life.as_secs(),
    });
    if let Some(refresh) = given.1 {
        answer["refresh_token"] = refresh.into();
    }
    Answer::new(200, answer.to_string())
}
