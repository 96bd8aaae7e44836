//! One exchange with a gateway: a request over HTTPS and the whole answer, in bounded time and size.
//!
//! What goes over is decided above; [`Transport`] is the seam where tests put a gateway that is not there.

use std::cell::Cell;
use std::io::Read;
use std::rc::Rc;
use std::time::Duration;

use awc::error::{ConnectError, PayloadError, SendRequestError};
use awc::http::{Method, StatusCode, header};
use awc::{Client, Connector};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use flate2::read::GzDecoder;
use futures_util::future::LocalBoxFuture;
use tokio::time::{Instant, timeout};

use super::tls::Trust;
use crate::link::LinkError;
use crate::settings::TedapiAccess;

/// User name of every gateway.
const USER: &str = "Tesla_Energy_Device";
/// Answers of large sites are some hundred kilobytes.
const LARGEST_BODY: usize = 4 << 20;
const LARGEST_INFLATED: u64 = 16 << 20;
/// Smaller ones are inflated at once, larger ones where they hold up nobody.
const QUICKLY_INFLATED: usize = 64 << 10;
/// A connection rests at most this long between two polls …
const KEEP_ALIVE: Duration = Duration::from_secs(150);
/// … and is renewed now and then, so that a changed certificate is noticed.
const CONNECTION_LIFETIME: Duration = Duration::from_secs(3600);

/// A request to a gateway.
#[derive(Clone, Debug)]
pub struct Request {
    pub path: String,
    /// `None`: a GET.
    pub body: Option<Bytes>,
}

/// Carries a request to a gateway and the body of a 200 back.
pub trait Transport {
    fn exchange(&self, request: Request) -> LocalBoxFuture<'_, Result<Bytes, LinkError>>;
}

/// HTTPS with one connection that is kept alive.
pub struct HttpTransport {
    client: Client,
    /// `https://host:port`
    origin: String,
    /// `Authorization` of every request. The client hides it from its own logs; it is shown nowhere.
    authorization: String,
    /// Covers name look-up, connection, handshake and the last byte of the answer.
    limit: Duration,
    /// Which certificate is accepted.
    trust: Rc<Trust>,
    /// When the last exchange ended well: a connection from then may have died in its sleep.
    last_success: Cell<Option<Instant>>,
}

impl HttpTransport {
    /// Builds the client; touches neither network nor files.
    pub fn new(access: &TedapiAccess, limit: Duration) -> Self {
        let trust = Rc::new(Trust::new(&access.certificate));
        let connector = Connector::new()
            .rustls_0_23(trust.client_config())
            .timeout(limit)
            .handshake_timeout(limit)
            .limit(1)
            .conn_keep_alive(KEEP_ALIVE)
            .conn_lifetime(CONNECTION_LIFETIME);
        let client = Client::builder().connector(connector).timeout(limit).disable_redirects().finish();
        let host = match access.host.contains(':') {
            true => format!("[{}]", access.host),
            false => access.host.clone(),
        };
        let credentials = BASE64_STANDARD.encode(format!("{USER}:{}", access.password.expose()));
        Self {
            client,
            origin: format!("https://{host}:{}", access.port),
            authorization: format!("Basic {credentials}"),
            limit,
            trust,
            last_success: Cell::new(None),
        }
    }

    async fn send(&self, request: &Request) -> Result<Bytes, Failure> {
        let method = if request.body.is_some() { Method::POST } else { Method::GET };
        let sent = self
            .client
            .request(method, format!("{}{}", self.origin, request.path))
            .insert_header((header::AUTHORIZATION, self.authorization.as_str()))
            .insert_header((header::CONTENT_TYPE, "application/octet-stream"))
            .insert_header((header::ACCEPT_ENCODING, "gzip"))
            .send_body(request.body.clone().unwrap_or_default());
        let mut response = sent.await.map_err(|error| self.before_answer(error))?;
        let retry_after = retry_after(response.headers().get(header::RETRY_AFTER));
        if let Some(error) = refusal(response.status(), &request.path, retry_after) {
            return Err(Failure::Final(error));
        }
        let announced = response.headers().get(header::CONTENT_LENGTH);
        let announced: Option<usize> = announced.and_then(|length| length.to_str().ok()?.parse().ok());
        let body =
            response.body().limit(LARGEST_BODY).await.map_err(|error| Failure::Final(in_body(&error)))?;
        // The client takes a connection that ends early for the end of the body.
        if announced.is_some_and(|announced| announced != body.len()) {
            let lost = "connection lost in the middle of an answer";
            return Err(Failure::Final(LinkError::Unreachable(lost.into())));
        }
        inflate(body).await.map_err(Failure::Final)
    }

    fn before_answer(&self, error: SendRequestError) -> Failure {
        if let Some(mismatch) = self.trust.take_mismatch() {
            return Failure::Final(mismatch);
        }
        match error {
            SendRequestError::Timeout | SendRequestError::Connect(ConnectError::Timeout) => {
                Failure::Final(LinkError::Timeout(self.limit))
            }
            SendRequestError::Connect(error) => Failure::Final(LinkError::Unreachable(error.to_string())),
            error => Failure::Lost(LinkError::Unreachable(format!("connection lost: {error}"))),
        }
    }
}

/// Why an exchange failed.
enum Failure {
    Final(LinkError),
    /// Before the first byte of an answer, over a connection that stood.
    Lost(LinkError),
}

impl Transport for HttpTransport {
    fn exchange(&self, request: Request) -> LocalBoxFuture<'_, Result<Bytes, LinkError>> {
        Box::pin(async move {
            let whole = async {
                self.trust.recall().await;
                let rested = self.last_success.take().is_some_and(|last| last.elapsed() < KEEP_ALIVE);
                let outcome = match self.send(&request).await {
                    // Every request only reads, so it may be sent again, once, over a fresh connection.
                    Err(Failure::Lost(_)) if rested => self.send(&request).await,
                    outcome => outcome,
                };
                let body = outcome.map_err(|failure| match failure {
                    Failure::Final(error) | Failure::Lost(error) => error,
                })?;
                self.trust.remember().await;
                self.last_success.set(Some(Instant::now()));
                Ok(body)
            };
            timeout(self.limit, whole).await.unwrap_or(Err(LinkError::Timeout(self.limit)))
        })
    }
}

/// What a status other than 200 means.
fn refusal(status: StatusCode, path: &str, retry_after: Option<Duration>) -> Option<LinkError> {
    Some(match status.as_u16() {
        200 => return None,
        status @ (401 | 403) => LinkError::Refused {
            status,
            hint: "check the gateway password (PW_GW_PWD, on the sticker), and that this machine reaches the gateway \
                   over the gateway's own Wi-Fi: firmware since 25.10 refuses routed requests"
                .into(),
        },
        404 => LinkError::NotFound(path.into()),
        429 => LinkError::RateLimited { retry_after },
        503 => LinkError::Busy { retry_after },
        status => LinkError::Status { status, what: path.into() },
    })
}

/// Seconds, or a date to come.
fn retry_after(value: Option<&header::HeaderValue>) -> Option<Duration> {
    let text = value?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    let seconds = date.as_second() as f64 - crate::clock::unix_time();
    Duration::try_from_secs_f64(seconds).ok()
}

fn in_body(error: &PayloadError) -> LinkError {
    match error {
        PayloadError::Overflow => LinkError::Malformed {
            what: "the request".into(),
            why: format!("it is larger than {} MiB", LARGEST_BODY >> 20),
        },
        error => LinkError::Unreachable(format!("connection lost in the middle of an answer: {error}")),
    }
}

/// The answer in plain. Gateways compress when they like, whatever their headers say.
async fn inflate(body: Bytes) -> Result<Bytes, LinkError> {
    if !body.starts_with(&[0x1f, 0x8b]) {
        return Ok(body);
    }
    if body.len() <= QUICKLY_INFLATED {
        return inflate_now(&body);
    }
    let inflated = tokio::task::spawn_blocking(move || inflate_now(&body)).await;
    inflated.unwrap_or_else(|error| Err(bad_gzip(error)))
}

fn inflate_now(body: &[u8]) -> Result<Bytes, LinkError> {
    let mut plain = Vec::with_capacity(body.len() * 4);
    let mut decoder = GzDecoder::new(body).take(LARGEST_INFLATED + 1);
    decoder.read_to_end(&mut plain).map_err(bad_gzip)?;
    if plain.len() as u64 > LARGEST_INFLATED {
        return Err(bad_gzip(format!("it inflates to more than {} MiB", LARGEST_INFLATED >> 20)));
    }
    plain.shrink_to_fit();
    Ok(plain.into())
}

fn bad_gzip(why: impl ToString) -> LinkError {
    LinkError::Malformed {
        what: "the request".into(),
        why: format!("compressed answer: {}", why.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn gzip(plain: &[u8]) -> Bytes {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap().into()
    }

    #[tokio::test]
    async fn compressed_answers_are_recognised_by_their_first_bytes_and_bounded() {
        assert_eq!(inflate(Bytes::from_static(b"plain")).await.unwrap(), "plain");
        assert_eq!(inflate(gzip(b"packed")).await.unwrap(), "packed");
        let bomb = gzip(&vec![0; LARGEST_INFLATED as usize + 1]);
        assert!(bomb.len() < 100_000);
        assert_eq!(inflate(bomb).await.unwrap_err().kind(), "malformed");
        assert_eq!(inflate(gzip(b"packed").slice(..12)).await.unwrap_err().kind(), "malformed");
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let parse = |text: &str| retry_after(Some(&header::HeaderValue::from_str(text).unwrap()));
        assert_eq!(parse(" 120 "), Some(Duration::from_secs(120)));
        assert!(parse("Wed, 21 Oct 2093 07:28:00 GMT").unwrap() > Duration::from_secs(1_000_000));
        assert_eq!(parse("Wed, 21 Oct 2015 07:28:00 GMT"), None);
        assert_eq!(parse("soon"), None);
    }
}
