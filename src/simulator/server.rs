//! The HTTPS side of a simulated gateway: connections, and what is answered to each request on them.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::BytesMut;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::answers::{Addressee, Junk, Question, framed};
use super::customer::CustomerRequest;
use super::delivery::{After, Delivery};
use super::faults::{Fault, Role};
use super::gateway::Gateway;
use super::http::{Answer, DENIED, Request, read_request};
use super::lan_answers;
use super::scene::SiteKind;

/// How long a fault that never ends keeps a connection: longer than any client waits.
const FOREVER: Duration = Duration::from_secs(600);

/// Takes connections until the gateway is dropped, which ends them too: nobody talks to a gateway that is
/// gone.
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

async fn exchange<S>(gateway: &Gateway, stream: &mut S, request: Request) -> std::io::Result<After>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (role, answer) = answer(gateway, &request);
    gateway.counters.count(role);
    let mut delivery = Delivery::of(answer);
    for fault in gateway.faults(role) {
        match fault {
            Fault::Refuse => return Ok(After::Reset),
            Fault::Hang => {
                // A client that gives up ends the exchange: what it asks next is not a second one at the same
                // time.
                let _ = timeout(FOREVER, stream.read_u8()).await;
                return Ok(After::Close);
            }
            Fault::Latency(pause) => sleep(pause).await,
            fault => delivery.suffer(fault, gateway)?,
        }
    }
    delivery.send(stream).await?;
    Ok(delivery.after)
}

/// What a healthy gateway answers.
fn answer(gateway: &Gateway, request: &Request) -> (Role, Answer) {
    if let Some(lan) = &gateway.lan {
        return lan_answers::answer(lan, gateway, request);
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
