//! Connects to the address of a gateway, for the HTTP client, whose own way leads to no address of version 6.

use std::io::{Error, ErrorKind};

use actix_service::Service;
use actix_tls::connect::{ConnectError, ConnectInfo, Connection, Connector, ConnectorService};
use awc::http::Uri;
use futures_util::future::LocalBoxFuture;
use tokio::net::{TcpStream, lookup_host};

/// Stands for an address of version 6 where the client takes the name for TLS from: it would take the
/// brackets along. Of an address no name is sent, and a certificate is judged by its fingerprint; servers
/// that authorities vouch for have names.
const AN_ADDRESS: &str = "https://0.0.0.0";

/// The connections of one client.
#[derive(Clone)]
pub(super) struct Dial {
    /// Host without brackets, and with its zone, if it is an address of version 6.
    host: Option<String>,
    port: u16,
    usual: ConnectorService,
}

impl Dial {
    pub fn to(host: &str, port: u16) -> Self {
        let host = host.contains(':').then(|| host.to_owned());
        Self { host, port, usual: Connector::default().service() }
    }
}

/// Host and port as a URI has them: an address of version 6 in brackets, and without its zone, which means
/// something on this machine only.
pub(super) fn authority(host: &str, port: u16) -> String {
    match host.contains(':') {
        true => format!("[{}]:{port}", host.split('%').next().unwrap_or(host)),
        false => format!("{host}:{port}"),
    }
}

impl Service<ConnectInfo<Uri>> for Dial {
    type Response = Connection<Uri, TcpStream>;
    type Error = ConnectError;
    type Future = LocalBoxFuture<'static, Result<Self::Response, Self::Error>>;

    actix_service::always_ready!();

    fn call(&self, info: ConnectInfo<Uri>) -> Self::Future {
        let Some(host) = self.host.clone() else { return Box::pin(self.usual.call(info)) };
        let (usual, port) = (self.usual.clone(), self.port);
        Box::pin(async move {
            let mut found = lookup_host((host.as_str(), port)).await.map_err(ConnectError::Io)?;
            let nothing = || ConnectError::Io(Error::new(ErrorKind::NotFound, "no such address"));
            let mut address = found.next().ok_or_else(nothing)?;
            // One that stands for an address of version 4 is reached without version 6.
            address.set_ip(address.ip().to_canonical());
            let (stream, _) = usual.call(info.set_addr(address)).await?.into_parts();
            Ok(Connection::new(Uri::from_static(AN_ADDRESS), stream))
        })
    }
}
