//! `healthcheck`: one small request to the running service, for containers that have no `curl`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::settings::HttpSettings;

const DEADLINE: Duration = Duration::from_secs(3);

/// Where the service with these settings can be asked.
pub fn url(http: &HttpSettings) -> String {
    // Listening everywhere includes this machine.
    let host = match http.bind {
        IpAddr::V4(address) if address.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(address) if address.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        address => address,
    };
    format!("http://{}{}/livez", std::net::SocketAddr::new(host, http.port), http.base_path)
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

async fn status_line(url: &str) -> Result<String, String> {
    let rest = url.strip_prefix("http://").ok_or_else(|| format!("{url} does not start with http://"))?;
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let failed = |error: std::io::Error| format!("{url}: {error}");
    let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let address = if has_port { host.to_owned() } else { format!("{host}:80") };
    let mut stream = TcpStream::connect(address).await.map_err(failed)?;
    let request = format!("GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.map_err(failed)?;
    let mut head = Vec::new();
    stream.take(256).read_to_end(&mut head).await.map_err(failed)?;
    let text = String::from_utf8_lossy(&head);
    Ok(text.lines().next().unwrap_or("an empty answer").to_owned())
}
