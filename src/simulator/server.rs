//! The HTTPS side of a simulated gateway: connections, heads and bodies, and whatever is wrong with them.

use std::io::{Error, ErrorKind, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::{Buf, Bytes, BytesMut};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::answers::{Addressee, Junk, Question, framed};
use super::customer::CustomerRequest;
use super::documents::SiteKind;
use super::faults::{Fault, Role};
use super::gateway::Gateway;

const LARGEST_HEAD: usize = 16 << 10;
const LARGEST_BODY: usize = 64 << 10;
/// How long a fault that never ends keeps a connection: longer than any client waits.
const FOREVER: Duration = Duration::from_secs(600);
pub(super) const DENIED: &str = r#"{"code":403,"error":"Unable to GET to resource","message":"User does not have adequate access rights"}"#;

/// Takes connections until the gateway is dropped, which ends them too: nobody talks to a gateway that is gone.
pub(super) async fn serve(gateway: Arc<Gateway>, listener: TcpListener) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let gateway = gateway.clone();
                    // A client that goes away in the middle is none of our business.
                    connections.spawn(async move { drop(connection(&gateway, stream).await) });
                }
                Err(_) => sleep(Duration::from_millis(50)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(gateway: &Gateway, stream: TcpStream) -> std::io::Result<()> {
    gateway.counters.connections.fetch_add(1, Ordering::Relaxed);
    if gateway.is_down() || gateway.fault_in(None, |fault| matches!(fault, Fault::Refuse)).is_some() {
        return reset(&stream);
    }
    if gateway.fault_in(None, |fault| matches!(fault, Fault::HangInHandshake)).is_some() {
        sleep(FOREVER).await;
        return Ok(());
    }
    stream.set_nodelay(true)?;
    let raw = socket2::SockRef::from(&stream).try_clone()?;
    let mut tls = TlsAcceptor::from(gateway.tls()).accept(stream).await?;
    let mut input = BytesMut::with_capacity(8 << 10);
    while let Some(request) = read_request(&mut tls, &mut input).await? {
        let flying = gateway.counters.in_flight.fetch_add(1, Ordering::Relaxed) + 1;
        gateway.counters.most_in_flight.fetch_max(flying, Ordering::Relaxed);
        let outcome = exchange(gateway, &mut tls, request).await;
        gateway.counters.in_flight.fetch_sub(1, Ordering::Relaxed);
        match outcome {
            Ok(After::Keep) => {}
            Ok(After::Close) => break,
            Ok(After::Drop) => return Ok(()),
            Ok(After::Reset) => return raw.set_linger(Some(Duration::ZERO)),
            Err(error) => return Err(error),
        }
    }
    tls.shutdown().await
}

fn reset(stream: &TcpStream) -> std::io::Result<()> {
    socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO))
}

pub(super) struct Request {
    pub method: String,
    pub path: String,
    pub authorization: Option<String>,
    pub cookie: Option<String>,
    pub body: Bytes,
}

/// The next request, or `None` at the end of the connection.
async fn read_request(
    stream: &mut (impl AsyncRead + Unpin),
    input: &mut BytesMut,
) -> std::io::Result<Option<Request>> {
    let bad = |what: &str| Error::new(ErrorKind::InvalidData, what.to_owned());
    let (mut request, head, length) = loop {
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let mut parsed = httparse::Request::new(&mut headers);
        if let httparse::Status::Complete(head) = parsed.parse(input).map_err(|_| bad("no HTTP"))? {
            let header = |name: &str| {
                let mut headers =
                    parsed.headers.iter().filter(|header| header.name.eq_ignore_ascii_case(name));
                headers.next().and_then(|header| std::str::from_utf8(header.value).ok())
            };
            let length = header("content-length").map_or(Ok(0), str::parse).map_err(|_| bad("no length"))?;
            let request = Request {
                method: parsed.method.unwrap_or_default().to_owned(),
                path: parsed.path.unwrap_or_default().to_owned(),
                authorization: header("authorization").map(str::to_owned),
                cookie: header("cookie").map(str::to_owned),
                body: Bytes::new(),
            };
            break (request, head, length);
        }
        if input.len() > LARGEST_HEAD {
            return Err(bad("head too large"));
        }
        if stream.read_buf(input).await? == 0 {
            return Ok(None);
        }
    };
    if length > LARGEST_BODY {
        return Err(bad("body too large"));
    }
    input.advance(head);
    while input.len() < length {
        if stream.read_buf(input).await? == 0 {
            return Ok(None);
        }
    }
    request.body = input.split_to(length).freeze();
    Ok(Some(request))
}

/// What becomes of the connection.
enum After {
    Keep,
    Close,
    Reset,
    /// Closed without a word on the TLS layer.
    Drop,
}

pub(super) struct Answer {
    status: u16,
    /// Each with its end of line.
    pub headers: String,
    body: Bytes,
}

impl Answer {
    pub fn new(status: u16, body: impl Into<Bytes>) -> Self {
        Self { status, headers: String::new(), body: body.into() }
    }
}

async fn exchange<S>(gateway: &Gateway, stream: &mut S, request: Request) -> std::io::Result<After>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (role, mut answer) = answer(gateway, &request);
    gateway.counters.count(role);
    let mut after = After::Keep;
    let mut pace = None;
    let mut is_old = false;
    let mut cut = None;
    let mut times = 1;
    for fault in gateway.faults(role) {
        match fault {
            Fault::Refuse => return Ok(After::Reset),
            Fault::HangInHandshake => {}
            Fault::Hang => {
                // A client that gives up ends the exchange: what it asks next is not a second one at the same time.
                let _ = timeout(FOREVER, stream.read_u8()).await;
                return Ok(After::Close);
            }
            Fault::Latency(pause) => sleep(pause).await,
            Fault::Status { code, retry_after } => {
                answer = Answer::new(code, "");
                if let Some(seconds) = retry_after {
                    answer.headers += &format!("Retry-After: {seconds}\r\n");
                }
            }
            Fault::LockOut => {
                gateway.counters.refused.fetch_add(1, Ordering::Relaxed);
                answer = Answer::new(403, DENIED);
            }
            Fault::RateLimit { requests, window } => {
                if gateway.is_over_limit(requests, window) {
                    answer = Answer::new(429, "");
                }
            }
            Fault::Garbage => answer = Answer::new(200, "\u{7f}no protobuf, no JSON"),
            Fault::EmptyBody => answer = Answer::new(200, ""),
            Fault::Gzip { declared } => {
                answer.body = gzip(&answer.body)?;
                if declared {
                    answer.headers += "Content-Encoding: gzip\r\n";
                }
            }
            Fault::SlowBytes { bytes, every } => pace = Some((bytes.max(1), every)),
            Fault::ResetAt(bytes) => {
                cut = Some(bytes);
                after = After::Reset;
            }
            Fault::Twice => times = 2,
            Fault::Http10 => {
                is_old = true;
                after = After::Drop;
            }
            Fault::HalfBody => {
                cut = Some(usize::MAX);
                after = After::Close;
            }
        }
    }
    let (status, length, headers) = (answer.status, answer.body.len(), &answer.headers);
    let head = match is_old {
        true => format!("HTTP/1.0 {status} Simulated\r\n{headers}\r\n"),
        false => format!("HTTP/1.1 {status} Simulated\r\nContent-Length: {length}\r\n{headers}\r\n"),
    };
    let mut bytes = head.into_bytes();
    let whole = bytes.len() + answer.body.len();
    bytes.extend_from_slice(&answer.body);
    let mut bytes = bytes.repeat(times);
    match cut {
        Some(usize::MAX) => bytes.truncate(whole - answer.body.len() / 2),
        Some(at) => bytes.truncate(at),
        None => {}
    }
    match pace {
        Some((step, pause)) => {
            for part in bytes.chunks(step) {
                stream.write_all(part).await?;
                stream.flush().await?;
                sleep(pause).await;
            }
        }
        None => stream.write_all(&bytes).await?,
    }
    stream.flush().await?;
    Ok(after)
}

fn gzip(plain: &[u8]) -> std::io::Result<Bytes> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(plain)?;
    Ok(encoder.finish()?.into())
}

/// What a healthy gateway answers.
fn answer(gateway: &Gateway, request: &Request) -> (Role, Answer) {
    if let Some(lan) = &gateway.lan {
        return lan.answer(gateway, request);
    }
    let path = request.path.split('?').next().unwrap_or_default();
    if gateway.wants_installer.load(Ordering::Relaxed) && path == "/api/login/Basic" {
        return (Role::Login, installer_login(gateway, request));
    }
    let role = match (request.method.as_str(), path) {
        ("GET", "/") => Role::Probe,
        ("GET", "/tedapi/din") => Role::Din,
        _ => Role::Other,
    };
    if path == "/api/meters/aggregates"
        && gateway.wants_installer.load(Ordering::Relaxed)
        && is_welcome(gateway, request)
    {
        return (Role::Meters, Answer::new(200, gateway.meters().to_string()));
    }
    if path.starts_with("/api/") {
        let (role, answer) = gateway.customer_answer(&CustomerRequest {
            method: &request.method,
            path,
            cookie: request.cookie.as_deref(),
            authorization: request.authorization.as_deref(),
            body: &request.body,
        });
        return (role, Answer { status: answer.status, headers: answer.headers, body: answer.body });
    }
    if !is_welcome(gateway, request) {
        gateway.counters.refused.fetch_add(1, Ordering::Relaxed);
        return (role, Answer::new(403, DENIED));
    }
    match role {
        Role::Probe => {
            let status = if gateway.kind() == SiteKind::Powerwall2 { 200 } else { 403 };
            return (role, Answer::new(status, ""));
        }
        Role::Din => return (role, Answer::new(200, gateway.din() + "\n")),
        _ => {}
    }
    let unit = path.strip_prefix("/tedapi/device/").and_then(|rest| rest.strip_suffix("/v1"));
    let addressee = match (request.method.as_str(), path, unit) {
        ("POST", "/tedapi/v1", _) => Addressee::Gateway,
        ("POST", _, Some(unit)) => Addressee::Unit(unit.to_owned()),
        _ => return (role, Answer::new(404, "")),
    };
    let Ok(question) = Question::read(request.body.clone(), &addressee) else {
        let Junk = Junk;
        return (role, Answer::new(400, ""));
    };
    let role = question.role;
    let answer = match gateway.serves(&addressee, question.recipient()) {
        Ok(()) => Answer::new(200, framed(gateway.answer(&question))),
        Err(status) => Answer::new(status, ""),
    };
    (role, answer)
}

/// What the installer's token is until the gateway forgets it.
fn installer_token(gateway: &Gateway) -> String {
    format!("installer-token-{}", gateway.installer_token.load(Ordering::Relaxed))
}

fn installer_login(gateway: &Gateway, request: &Request) -> Answer {
    let login: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let is_right = login["username"] == "installer"
        && login["email"].is_string()
        && login["password"] == gateway.password();
    if !is_right {
        gateway.counters.refused.fetch_add(1, Ordering::Relaxed);
        return Answer::new(401, r#"{"code":401,"error":"bad credentials"}"#);
    }
    Answer::new(200, json!({ "token": installer_token(gateway) }).to_string())
}

fn is_welcome(gateway: &Gateway, request: &Request) -> bool {
    if gateway.wants_installer.load(Ordering::Relaxed) {
        return request.authorization.as_deref() == Some(&format!("Bearer {}", installer_token(gateway)));
    }
    let credentials = request.authorization.as_deref().and_then(|text| text.strip_prefix("Basic "));
    let credentials = credentials.and_then(|text| BASE64_STANDARD.decode(text).ok());
    let expected = format!("Tesla_Energy_Device:{}", gateway.password());
    credentials.is_some_and(|credentials| credentials == expected.as_bytes())
}
