//! The servers of the owners API: where tokens are given, over HTTP/2 and HTTP/1.1, and where sites are asked
//! about.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::BytesMut;
use rustls::{ProtocolVersion, ServerConfig};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::answers::answer;
use super::tokens::{Minted, Shared, count};
use crate::clock::unix_time;
use crate::simulator::delivery::Delivery;
use crate::simulator::http::{Answer, Request, read_request};
use crate::simulator::tesla::state::{Asked, CloudFault};

/// Longer than any client waits.
const FOREVER: Duration = Duration::from_secs(600);

/// What a server offers to whoever connects next.
pub(super) type Offer = Arc<Mutex<Arc<ServerConfig>>>;

/// Takes connections until it is dropped, which ends them too.
pub(super) async fn serve(shared: Arc<Shared>, tls: Offer, listener: TcpListener) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let shared = shared.clone();
                    let tls = tls.lock().unwrap_or_else(PoisonError::into_inner).clone();
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
