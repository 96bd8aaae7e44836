//! HTTP/2 for the one request that needs it: tokens of the owners API that were asked for otherwise are
//! refused when they are used. Data is asked for over HTTP/1.1 ([`super::web`]).

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::future::LocalBoxFuture;
use h2::Reason;
use h2::client::SendRequest;
use http::{Method, Request, Response, header};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::error::TeslaError;
use super::token_wire::{NotPosted, TokenWire};
use crate::link::https::{Answer, retry_after};
use crate::settings::Origin;

const HTTP_2: &[u8] = b"h2";
/// Tokens take some thousand bytes.
const LARGEST: usize = 256 << 10;

/// A connection that is ready, and has carried nothing yet.
pub(super) struct Http2 {
    client: SendRequest<Bytes>,
    driver: AbortHandle,
    to: Origin,
    limit: Duration,
}

impl Drop for Http2 {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// Connects. `tls` offers HTTP/2 and nothing else.
pub(super) async fn open(tls: Arc<ClientConfig>, to: &Origin, limit: Duration) -> Result<Http2, TeslaError> {
    timeout(limit, connect(tls, to, limit)).await.unwrap_or(Err(TeslaError::Timeout(limit)))
}

async fn connect(tls: Arc<ClientConfig>, to: &Origin, limit: Duration) -> Result<Http2, TeslaError> {
    let unreachable = |why: &dyn std::fmt::Display| TeslaError::Unreachable(why.to_string());
    let host = to.host.clone();
    let name = ServerName::try_from(host.clone()).map_err(|error| unreachable(&error))?;
    let stream = TcpStream::connect((host, to.port)).await.map_err(|error| unreachable(&error))?;
    stream.set_nodelay(true).map_err(|error| unreachable(&error))?;
    let stream = TlsConnector::from(tls).connect(name, stream).await.map_err(|error| {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        match inner {
            Some(rustls::Error::AlertReceived(
                rustls::AlertDescription::NoApplicationProtocol | rustls::AlertDescription::ProtocolVersion,
            )) => TeslaError::NoHttp2(to.host.clone()),
            _ => unreachable(&error),
        }
    })?;
    if stream.get_ref().1.alpn_protocol() != Some(HTTP_2) {
        return Err(TeslaError::NoHttp2(to.host.clone()));
    }
    let (client, connection) = h2::client::handshake(stream).await.map_err(|error| unreachable(&error))?;
    // How it ends shows in the request.
    let driver = tokio::spawn(async move { drop(connection.await) }).abort_handle();
    let mut wire = Http2 { client, driver, to: to.clone(), limit };
    // By then the peer has shown that it speaks HTTP/2 indeed.
    wire.client = wire.client.clone().ready().await.map_err(|error| unreachable(&error))?;
    Ok(wire)
}

impl TokenWire for Http2 {
    fn post(&mut self, path: &'static str, form: String) -> LocalBoxFuture<'_, Result<Answer, NotPosted>> {
        Box::pin(async move {
            let limit = self.limit;
            let lost = || NotPosted::Lost(TeslaError::Timeout(limit).to_string());
            timeout(limit, self.exchange(path, form)).await.unwrap_or_else(|_| Err(lost()))
        })
    }
}

impl Http2 {
    async fn exchange(&mut self, path: &str, form: String) -> Result<Answer, NotPosted> {
        let unsent = |why: &dyn std::fmt::Display| {
            NotPosted::Unsent(TeslaError::Unreachable(format!("connection lost before a request: {why}")))
        };
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("{}{path}", self.to))
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::ACCEPT, "application/json")
            .header(header::USER_AGENT, super::USER_AGENT)
            .body(());
        let request = request.map_err(|error| unsent(&error))?;
        let mut client = self.client.clone().ready().await.map_err(|error| unsent(&error))?;
        let (response, mut stream) = client.send_request(request, false).map_err(|error| unsent(&error))?;
        stream.send_data(form.into(), true).map_err(|error| unsent(&error))?;
        let response = response.await.map_err(|error| match error.reason() {
            // The peer says that it has looked at nothing.
            Some(Reason::REFUSED_STREAM) if error.is_remote() => unsent(&error),
            _ => NotPosted::Lost(error.to_string()),
        })?;
        read(response).await.map_err(NotPosted::Lost)
    }
}

async fn read(response: Response<h2::RecvStream>) -> Result<Answer, String> {
    let (head, mut body) = response.into_parts();
    let after = head.headers.get(header::RETRY_AFTER);
    let retry_after = after.and_then(|value| retry_after(value.to_str().ok()?));
    let mut whole = BytesMut::new();
    while let Some(chunk) = body.data().await {
        let chunk = chunk.map_err(|error| error.to_string())?;
        if whole.len() + chunk.len() > LARGEST {
            return Err("it is larger than any answer with tokens".into());
        }
        // More may come.
        let _ = body.flow_control().release_capacity(chunk.len());
        whole.extend_from_slice(&chunk);
    }
    Ok(Answer { status: head.status.as_u16(), retry_after, body: whole.freeze(), ..Answer::default() })
}
