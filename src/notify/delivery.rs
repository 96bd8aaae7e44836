//! Carries a message to a target over HTTP.

use std::time::Duration;

use awc::Client;
use awc::error::SendRequestError;
use awc::http::header;
use serde_json::Value;
use tokio::sync::OnceCell;

use super::message::Message;
use super::sending::{Carrier, Sent};
use crate::settings::{NotifyKind, NotifyTarget};
use crate::tls::checked_client;

/// For the whole of one attempt.
const LIMIT: Duration = Duration::from_secs(15);

/// HTTP, with certificates checked: an address may be all that it takes to read what is sent there.
#[derive(Default)]
pub(super) struct Web {
    /// Made with the first message: most houses send none.
    client: OnceCell<Client>,
}

impl Web {
    async fn client(&self) -> &Client {
        self.client.get_or_init(|| checked_client(LIMIT)).await
    }
}

impl Carrier for Web {
    async fn carry(&self, target: &NotifyTarget, message: &Message) -> Sent {
        let (url, body) = addressed(target, message);
        let mut request = self.client().await.post(url);
        if let Some(token) = &target.token {
            request = request.insert_header((header::AUTHORIZATION, format!("Bearer {}", token.expose())));
        }
        // What an error says may contain the address.
        match request.send_json(&body).await {
            Ok(response) => answered(response.status().as_u16()),
            Err(SendRequestError::Timeout) => Sent::NotNow("no answer in time".into()),
            Err(SendRequestError::Connect(_)) => Sent::NotNow("it cannot be reached".into()),
            Err(SendRequestError::Url(_)) => Sent::Never("its address is none".into()),
            Err(_) => Sent::NotNow("the connection broke".into()),
        }
    }
}

fn answered(status: u16) -> Sent {
    match status {
        200..=299 => Sent::Taken,
        408 | 425 | 429 | 500..=599 => Sent::NotNow(format!("it answered {status}")),
        _ => Sent::Never(format!("it answered {status}")),
    }
}

/// Where a message goes, and how it is worded there. Texts beyond ASCII have no place in a header, so ntfy
/// gets JSON at its root, with the topic inside.
fn addressed(target: &NotifyTarget, message: &Message) -> (String, Value) {
    let url = target.url.expose().trim_end_matches('/');
    match (target.kind, url.rsplit_once('/')) {
        (NotifyKind::Ntfy, Some((server, topic))) if !server.ends_with('/') => {
            (format!("{server}/"), message.for_ntfy(topic))
        }
        _ => (target.url.expose().to_owned(), message.document()),
    }
}
