//! Listening: plain HTTP, or HTTPS with a certificate of the operator.

use std::fmt;
use std::io;
use std::net::TcpListener;
use std::time::Duration;

use actix_http::{HttpService, Request, Response};
use actix_server::Server;
use actix_service::{IntoServiceFactory, Service, ServiceFactory, ServiceFactoryExt, map_config};
use actix_tls::accept::rustls_0_23::TlsStream;
use actix_web::body::MessageBody;
use actix_web::dev::AppConfig;
use actix_web::rt::net::TcpStream;
use actix_web::{Error, HttpServer};
use rustls::ServerConfig;

use super::{DRAIN_SECONDS, HEAD_DEADLINE, MOST_CONNECTIONS_PER_WORKER, WORKERS};
use crate::connection::on_connect;
use crate::slices::WRITE_BUFFER;

/// Serves what `app` builds, one for each worker. With `tls` the framework's own way would offer HTTP/2, whatever
/// the configuration says; so its parts are put together here.
pub(super) fn serve<F, I, S, B>(
    app: F,
    listener: TcpListener,
    tls: Option<ServerConfig>,
    stall_limit: Duration,
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
    let Some(tls) = tls else {
        return Ok(HttpServer::new(app)
            .workers(WORKERS)
            .max_connections(MOST_CONNECTIONS_PER_WORKER)
            .client_request_timeout(HEAD_DEADLINE)
            .h1_write_buffer_size(WRITE_BUFFER)
            .on_connect(on_connect(stall_limit))
            .shutdown_timeout(DRAIN_SECONDS)
            .disable_signals()
            .listen(listener)?
            .run());
    };
    let address = listener.local_addr()?;
    let service = move || {
        let remember = on_connect(stall_limit);
        let app = app().into_factory().map_err(|error| error.into().error_response());
        HttpService::build()
            .client_request_timeout(HEAD_DEADLINE)
            .h1_write_buffer_size(WRITE_BUFFER)
            .local_addr(address)
            .secure()
            .on_connect_ext(move |stream: &TlsStream<TcpStream>, extensions| remember(stream, extensions))
            .h1(map_config(app, |()| AppConfig::default()))
            .rustls_0_23(tls.clone())
    };
    Ok(Server::build()
        .workers(WORKERS)
        .max_concurrent_connections(MOST_CONNECTIONS_PER_WORKER)
        .shutdown_timeout(DRAIN_SECONDS)
        .disable_signals()
        .listen("https", listener, service)?
        .run())
}
