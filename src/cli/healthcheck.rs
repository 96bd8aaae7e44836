//! `healthcheck`: one small request to the running service, for containers that have no `curl`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::settings::HttpSettings;
use crate::tls::any_certificate;

const DEADLINE: Duration = Duration::from_secs(3);

/// Where the service with these settings is asked whether it is alive.
pub fn url(http: &HttpSettings) -> String {
    format!("{}/livez", base(http))
}

/// Where the service with these settings can be asked.
pub fn base(http: &HttpSettings) -> String {
    // Listening everywhere includes this machine.
    let host = match http.bind {
        IpAddr::V4(address) if address.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(address) if address.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        address => address,
    };
    let scheme = if http.tls.is_some() { "https" } else { "http" };
    format!("{scheme}://{}{}", std::net::SocketAddr::new(host, http.port), http.base_path)
}

/// Whether `url` answers 200 within three seconds.
///
/// # Errors
/// With the reason, for the person who reads the container's log.
pub async fn check(url: &str) -> Result<(), String> {
    let outcome = timeout(DEADLINE, status_line(url)).await;
    let status = outcome.map_err(|_| format!("{url}: no answer within {} s", DEADLINE.as_secs()))??;
    match status.split(' ').nth(1) {
        Some("200") => Ok(()),
        _ => Err(format!("{url}: {}", status.trim_end())),
    }
}

/// The certificate does not matter: nothing is sent that anybody could want.
async fn status_line(url: &str) -> Result<String, String> {
    let (is_secure, rest) = match (url.strip_prefix("http://"), url.strip_prefix("https://")) {
        (Some(rest), _) => (false, rest),
        (_, Some(rest)) => (true, rest),
        (None, None) => return Err(format!("{url} does not start with http:// or https://")),
    };
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let failed = |error: std::io::Error| format!("{url}: {error}");
    let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let address = match (has_port, is_secure) {
        (true, _) => host.to_owned(),
        (false, true) => format!("{host}:443"),
        (false, false) => format!("{host}:80"),
    };
    let stream = TcpStream::connect(address).await.map_err(failed)?;
    let request = format!("GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    if !is_secure {
        return first_line(stream, &request).await.map_err(failed);
    }
    let name = host.rsplit_once(':').filter(|_| has_port).map_or(host, |(name, _)| name);
    let name = name.trim_matches(['[', ']']).to_owned();
    let name = ServerName::try_from(name).map_err(|_| format!("{url}: not a host name"))?;
    let stream =
        TlsConnector::from(Arc::new(any_certificate())).connect(name, stream).await.map_err(failed)?;
    first_line(stream, &request).await.map_err(failed)
}

async fn first_line(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    request: &str,
) -> std::io::Result<String> {
    stream.write_all(request.as_bytes()).await?;
    let mut head = Vec::new();
    match stream.take(256).read_to_end(&mut head).await {
        // Some end a TLS connection without saying so; the answer is there all the same.
        Err(error) if head.is_empty() => return Err(error),
        _ => {}
    }
    let text = String::from_utf8_lossy(&head);
    Ok(text.lines().next().unwrap_or("an empty answer").to_owned())
}
