//! The HTTPS side of the cloud.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use rustls::ServerConfig;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;

use super::answers;
use super::state::{Asked, Cloud, CloudFault};
use crate::clock::unix_time;
use crate::simulator::delivery::Delivery;
use crate::simulator::http::{Answer, Request, read_request};

/// Longer than any client waits.
const FOREVER: Duration = Duration::from_secs(600);

/// Takes connections until the cloud is dropped, which ends them too.
pub(super) async fn serve(cloud: Arc<Cloud>, tls: Arc<ServerConfig>, listener: TcpListener, is_home: bool) {
    let acceptor = TlsAcceptor::from(tls);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let (cloud, acceptor) = (cloud.clone(), acceptor.clone());
                    // A client that goes away in the middle is none of our business.
                    connections.spawn(async move {
                        drop(connection(&cloud, acceptor, stream, is_home).await);
                    });
                }
                Err(_) => sleep(Duration::from_millis(50)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(
    cloud: &Cloud,
    acceptor: TlsAcceptor,
    stream: TcpStream,
    is_home: bool,
) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut tls = acceptor.accept(stream).await?;
    let mut input = BytesMut::with_capacity(8 << 10);
    while let Some(request) = read_request(&mut tls, &mut input).await? {
        let Some(answer) = outcome(cloud, &request, is_home).await else { break };
        Delivery::of(answer).send(&mut tls).await?;
    }
    tls.shutdown().await
}

/// `None`: the connection ends instead.
async fn outcome(cloud: &Cloud, request: &Request, is_home: bool) -> Option<Answer> {
    let fault = {
        let (method, path) = (request.method.clone(), request.path.clone());
        let body = String::from_utf8_lossy(&request.body).into_owned();
        let mut state = cloud.state();
        state.asked.push(Asked { method, path, body });
        state.fault(&request.path)
    };
    let mut answer = match fault {
        Some(CloudFault::Answer { status, headers, body }) => Answer { status, headers, body: body.into() },
        Some(CloudFault::Hang) => {
            sleep(FOREVER).await;
            return None;
        }
        Some(CloudFault::Cut) => {
            let _done = answers::answer(cloud, request, is_home);
            return None;
        }
        None => answers::answer(cloud, request, is_home),
    };
    let now = jiff::Timestamp::from_second(unix_time() as i64).unwrap_or_default();
    answer.headers += &now.strftime("Date: %a, %d %b %Y %H:%M:%S GMT\r\n").to_string();
    Some(answer)
}
