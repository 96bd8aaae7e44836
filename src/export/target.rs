//! Carries lines to a database over HTTP.

use std::future::Future;
use std::time::Duration;

use awc::Client;
use awc::error::SendRequestError;
use awc::http::header;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use tokio::sync::OnceCell;

use crate::settings::{ExportSettings, Secret};
use crate::tls::checked_client;

/// For the whole of one attempt.
const LIMIT: Duration = Duration::from_secs(30);
/// What is read of an answer that says no.
const MOST_BYTES: usize = 16 << 10;
/// What an InfluxDB says of points that are older than it keeps any.
const TOO_OLD: &str = "beyond retention policy";

/// What came of one attempt.
#[derive(Clone, Debug, PartialEq)]
pub enum Sent {
    Taken,
    /// It takes less at once.
    TooMuch,
    /// Worth another attempt; why.
    NotNow(String),
}

/// Takes lines.
pub trait Target {
    fn take(&self, lines: String) -> impl Future<Output = Sent>;
}

/// A database that is reached over HTTP.
pub struct Web {
    /// With the precision of the times.
    url: Secret,
    /// What is sent as `Authorization`.
    login: Option<Secret>,
    /// Made with the first lines.
    client: OnceCell<Client>,
}

impl Web {
    pub fn of(settings: &ExportSettings) -> Self {
        let url = settings.url.expose();
        let sign = if url.contains('?') { '&' } else { '?' };
        let is_influx_2 = url.split('?').next().is_some_and(|address| address.ends_with("/api/v2/write"));
        let login = settings.token.as_ref().map(|token| match token.expose() {
            token if is_influx_2 => format!("Token {token}"),
            // A name and a password, as an InfluxDB 1 takes them.
            token if token.contains(':') => format!("Basic {}", BASE64_STANDARD.encode(token)),
            token => format!("Bearer {token}"),
        });
        let url = Secret::new(format!("{url}{sign}precision=s"));
        Self { url, login: login.map(Secret::new), client: OnceCell::new() }
    }

    async fn client(&self) -> &Client {
        self.client.get_or_init(|| checked_client(LIMIT)).await
    }
}

impl Target for Web {
    async fn take(&self, lines: String) -> Sent {
        let mut request = self.client().await.post(self.url.expose());
        if let Some(login) = &self.login {
            request = request.insert_header((header::AUTHORIZATION, login.expose()));
        }
        // What an error says may contain the address.
        let mut response = match request.content_type("text/plain; charset=utf-8").send_body(lines).await {
            Ok(response) => response,
            Err(SendRequestError::Timeout) => return Sent::NotNow("no answer in time".into()),
            Err(SendRequestError::Connect(_)) => return Sent::NotNow("it cannot be reached".into()),
            Err(SendRequestError::Url(_)) => return Sent::NotNow("its address is none".into()),
            Err(_) => return Sent::NotNow("the connection broke".into()),
        };
        match response.status().as_u16() {
            200..=299 => Sent::Taken,
            401 | 403 => Sent::NotNow("it wants another token; see PW_EXPORT_TOKEN".into()),
            413 => Sent::TooMuch,
            400 => {
                let body = response.body().limit(MOST_BYTES).await.unwrap_or_default();
                let text = String::from_utf8_lossy(&body);
                if text.contains(TOO_OLD) { Sent::Taken } else { Sent::NotNow("it answered 400".into()) }
            }
            status => Sent::NotNow(format!("it answered {status}")),
        }
    }
}
