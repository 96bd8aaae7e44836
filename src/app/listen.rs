//! Listening: plain HTTP, or HTTPS with a certificate of the operator.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_http::error::DispatchError;
use actix_http::{HttpService, Request, Response};
use actix_server::Server;
use actix_service::{IntoServiceFactory, Service, ServiceFactory, ServiceFactoryExt, fn_service, map_config};
use actix_web::Error;
use actix_web::body::MessageBody;
use actix_web::dev::AppConfig;
use actix_web::rt::net::TcpStream;
use rustls::ServerConfig;
use socket2::{Domain, SockRef, Socket, Type};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::{DRAIN_SECONDS, WORKERS};
use crate::connections::{Connections, Watched, Wire};
use crate::slices::WRITE_BUFFER;

/// Connections that the system holds until they are accepted. More than come at once when a house comes back.
const BACKLOG: i32 = 1_024;
/// From the answer to a request whose body is not wanted to the end of the connection.
const LINGER: Duration = Duration::from_secs(1);
/// A client must have agreed on how to encrypt by then.
const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(3);
/// The system gives a peer up this much later than the service does. It is the first nevertheless where
/// little is sent: what fits into its buffers has been taken, as far as the service can see.
#[cfg(target_os = "linux")]
const AFTER_STALL: Duration = Duration::from_secs(2);
/// For those who have too many connections already.
const FULL: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\ncontent-type: application/json\r\n\
    content-length: 33\r\n\r\n{\"detail\":\"Too many connections\"}";

/// Listens at `address`.
///
/// # Errors
/// If something else does, or the system does not let this program.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    // Otherwise connections of the last run, which the system remembers for a minute, would be in the way.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Serves what `app` builds, one for each worker, to whom `connections` admit.
///
/// The framework's own way would offer HTTP/2 over TLS, whatever the configuration says, and time only the
/// first head of a connection; so its parts are put together here.
///
/// # Errors
/// If the system gives no threads.
pub fn serve<F, I, S, B>(
    app: F,
    listener: TcpListener,
    tls: Option<ServerConfig>,
    connections: Arc<Connections>,
) -> io::Result<Server>
where
    F: Fn() -> I + Send + Clone + 'static,
    I: IntoServiceFactory<S, Request>,
    S: ServiceFactory<Request, Config = AppConfig> + 'static,
    S::Error: Into<Error> + 'static,
    S::InitError: fmt::Debug,
    S::Response: Into<Response<B>> + 'static,
    <S::Service as Service<Request>>::Future: 'static,
    S::Service: 'static,
    B: MessageBody + 'static,
{
    let address = listener.local_addr()?;
    let most_open = connections.limits().most_open();
    let acceptor = tls.map(|config| TlsAcceptor::from(Arc::new(config)));
    let server = Server::build();
    let stopping = server.graceful_shutdown_signal();
    let service = move || {
        let (connections, acceptor, stopping) = (connections.clone(), acceptor.clone(), stopping.clone());
        let app = app().into_factory().map_err(|error| error.into().error_response());
        let http = HttpService::build()
            .client_request_timeout(connections.limits().head)
            .client_disconnect_timeout(LINGER)
            .h1_write_buffer_size(WRITE_BUFFER)
            .local_addr(address)
            .graceful_shutdown_signal(move || {
                let stopping = stopping.clone();
                async move { stopping.notified().await }
            })
            .on_connect_ext(|stream: &Watched, extensions| {
                extensions.insert(stream.connection().clone());
            });
        let http = if acceptor.is_some() { http.secure() } else { http };
        fn_service(move |stream: TcpStream| {
            let (connections, acceptor) = (connections.clone(), acceptor.clone());
            async move { open(stream, &connections, acceptor).await.map_err(DispatchError::Io) }
        })
        .and_then(http.h1(map_config(app, |()| AppConfig::default())))
    };
    Ok(server
        .workers(WORKERS)
        // A bound for connections that are accepted and not yet looked at. A worker that is full leaves them
        // to the other.
        .max_concurrent_connections(most_open.div_ceil(WORKERS))
        .shutdown_timeout(DRAIN_SECONDS)
        .disable_signals()
        .listen("http", listener, service)?
        .run())
}

/// A connection that is let in, and from where it comes.
async fn open(
    stream: TcpStream,
    connections: &Arc<Connections>,
    acceptor: Option<TlsAcceptor>,
) -> io::Result<(Watched, Option<SocketAddr>)> {
    let (peer, local) = (stream.peer_addr()?, stream.local_addr()?);
    let place = match connections.admit(peer.ip(), Some(local.ip())) {
        Ok(place) => place,
        Err(full) => {
            if acceptor.is_none() {
                let _ = stream.try_write(FULL);
            }
            return Err(io::Error::other(full));
        }
    };
    // Lets the system give up a peer that is gone.
    #[cfg(target_os = "linux")]
    let _ = SockRef::from(&stream).set_tcp_user_timeout(Some(connections.limits().stall + AFTER_STALL));
    let wire = match acceptor {
        None => Wire::Plain(stream),
        Some(acceptor) => {
            let agreed = timeout(HANDSHAKE_DEADLINE, acceptor.accept(stream)).await;
            Wire::Tls(Box::new(agreed.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??))
        }
    };
    Ok((Watched::new(wire, place), Some(peer)))
}
