//! A client for peers over HTTP whose certificates are checked.

use std::time::Duration;

use awc::{Client, Connector};

use super::{checked_http, roots};

/// A client that gives each request this long, checks certificates against the roots that [`roots`] brings,
/// and follows nobody elsewhere: what is sent may be a secret.
pub async fn checked_client(limit: Duration) -> Client {
    let connector = Connector::new().rustls_0_23(checked_http(roots().await));
    let connector = connector.timeout(limit).handshake_timeout(limit);
    Client::builder().connector(connector).timeout(limit).disable_redirects().finish()
}
