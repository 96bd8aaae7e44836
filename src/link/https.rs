//! One exchange with a gateway over HTTPS: a call and the whole answer, in bounded time and size.
//!
//! Knows no protocol: what is asked and what a status means is decided by the links. [`Exchange`] is the seam
//! where tests put a gateway that is not there.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;
use std::io::{ErrorKind, Read};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use awc::error::{ConnectError, PayloadError, SendRequestError};
use awc::http::{Method, StatusCode, Version, header};
use awc::{Client, Connector};
use bytes::{Bytes, BytesMut};
use flate2::read::GzDecoder;
use futures_util::StreamExt;
use futures_util::future::LocalBoxFuture;
use rustls::ClientConfig;
use tokio::time::{Instant, timeout};

use super::LinkError;
use super::aside::{QUICK, aside};
use super::dial::{Dial, authority};
use super::genuine::is_gateways_answer;
use super::knock::{self, Knock};
use crate::link::bounds::{Excess, LONGEST_ANSWER, length};
use crate::tls::{CertificatePolicy, Mismatch, Trust};

/// What is read of an answer that says no.
const LARGEST_REFUSAL: usize = 16 << 10;
/// A refusal counts even if its body never comes.
const REFUSAL_PATIENCE: Duration = Duration::from_secs(1);
/// A connection rests at most this long between two polls …
const KEEP_ALIVE: Duration = Duration::from_secs(150);
/// … and is renewed now and then, so that a changed certificate is noticed.
const CONNECTION_LIFETIME: Duration = Duration::from_secs(3600);
/// … and sooner where the name of the peer may lead elsewhere.
const CHECKED_LIFETIME: Duration = Duration::from_secs(600);

/// What to send.
#[derive(Clone)]
pub struct Call {
    pub method: Method,
    /// From the root.
    pub path: Cow<'static, str>,
    /// Sent as they are. Values that are credentials are marked as sensitive, see [`secret_header`].
    pub headers: Vec<(header::HeaderName, header::HeaderValue)>,
    pub body: Bytes,
    /// Whether it only reads, so that it may be sent again, once, if the connection died in its sleep.
    pub only_reads: bool,
}

impl fmt::Debug for Call {
    /// A body may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (method, path, headers) = (&self.method, &self.path, &self.headers);
        write!(f, "{method} {path} {headers:?}, {} bytes", self.body.len())
    }
}

impl Call {
    pub fn get(path: impl Into<Cow<'static, str>>) -> Self {
        let (method, path) = (Method::GET, path.into());
        Self { method, path, headers: Vec::new(), body: Bytes::new(), only_reads: true }
    }

    pub fn with(mut self, name: header::HeaderName, value: header::HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }
}

/// A header value that no log shows. `None`: it holds characters that no header may have.
pub fn secret_header(text: &str) -> Option<header::HeaderValue> {
    let mut value = header::HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// What came back, whatever its status.
#[derive(Clone, Default)]
pub struct Answer {
    pub status: u16,
    pub retry_after: Option<Duration>,
    /// What a header such as `RateLimit-Reset` says.
    pub limit_reset: Option<Duration>,
    /// `Date`: what the peer takes for the time, Unix seconds.
    pub date: Option<i64>,
    /// Values of `Set-Cookie`, byte for byte. Credentials.
    pub set_cookies: Vec<String>,
    /// Of a 200 the whole; of anything else what came of it.
    pub body: Bytes,
}

impl fmt::Debug for Answer {
    /// A body may hold a session.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").field("status", &self.status).field("bytes", &self.body.len()).finish()
    }
}

impl Answer {
    /// The body of a 200; what any other status means. `hint` is for the person who must act on refused
    /// credentials.
    ///
    /// # Errors
    /// For any status but 200.
    pub fn ok(self, path: &str, hint: &str) -> Result<Bytes, LinkError> {
        Err(match self.status {
            200 => return Ok(self.body),
            status @ (401 | 403) => LinkError::Refused { status, hint: hint.into() },
            404 => LinkError::NotFound(path.into()),
            429 => LinkError::RateLimited { retry_after: self.retry_after },
            503 => LinkError::Busy { retry_after: self.retry_after },
            status => LinkError::Status { status, what: path.into() },
        })
    }
}

/// Carries a call to a gateway and its answer back.
pub trait Exchange {
    fn exchange(&self, call: Call) -> LocalBoxFuture<'_, Result<Answer, LinkError>>;

    /// Tries a bare connection, see [`Link::knock`](super::Link::knock).
    fn knock(&self, _limit: Duration) -> LocalBoxFuture<'_, Knock> {
        Box::pin(async { Knock::Untried })
    }
}

/// HTTPS with one connection that is kept alive.
pub struct Https {
    client: Client,
    /// `https://host:port`
    origin: String,
    /// Where bare connections go; without the brackets that an IPv6 address has in `origin`.
    address: (String, u16),
    /// Covers name look-up, connection, handshake and the last byte of the answer.
    limit: Duration,
    /// Which certificate is accepted.
    trust: Rc<Trust>,
    /// When the last exchange ended well: a connection from then may have died in its sleep.
    last_success: Cell<Option<Instant>>,
}

impl Https {
    /// Builds the client; touches neither network nor files.
    pub fn new(host: &str, port: u16, certificate: &CertificatePolicy, limit: Duration) -> Self {
        let trust = Rc::new(Trust::new(certificate));
        Self::with(host, port, trust.clone(), trust.http_config(), CONNECTION_LIFETIME, limit)
    }

    /// For a server that authorities vouch for, as `tls` says; its addresses change, so that no connection to
    /// it lives long.
    pub fn checked(host: &str, port: u16, tls: Arc<ClientConfig>, limit: Duration) -> Self {
        let trust = Rc::new(Trust::new(&CertificatePolicy::Off));
        Self::with(host, port, trust, tls, CHECKED_LIFETIME, limit)
    }

    fn with(
        host: &str,
        port: u16,
        trust: Rc<Trust>,
        tls: Arc<ClientConfig>,
        lifetime: Duration,
        limit: Duration,
    ) -> Self {
        let connector = Connector::new()
            .connector(Dial::to(host, port))
            .rustls_0_23(tls)
            .timeout(limit)
            .handshake_timeout(limit)
            .limit(1)
            .conn_keep_alive(KEEP_ALIVE)
            .conn_lifetime(lifetime);
        let client = Client::builder().connector(connector).timeout(limit).disable_redirects().finish();
        let address = (host.to_owned(), port);
        let origin = format!("https://{}", authority(host, port));
        Self { client, origin, address, limit, trust, last_success: Cell::new(None) }
    }

    async fn send(&self, call: &Call) -> Result<Answer, Failure> {
        let mut request = self.client.request(call.method.clone(), format!("{}{}", self.origin, call.path));
        for (name, value) in &call.headers {
            request = request.insert_header((name.clone(), value.clone()));
        }
        let sent = request.insert_header((header::ACCEPT_ENCODING, "gzip")).send_body(call.body.clone());
        let mut response = sent.await.map_err(|error| self.before_answer(error))?;
        let headers = response.headers();
        let text = |value: &header::HeaderValue| value.to_str().ok().map(str::to_owned);
        let set_cookies = headers.get_all(header::SET_COOKIE).filter_map(text).collect();
        let retry_after =
            headers.get(header::RETRY_AFTER).and_then(|value| retry_after(value.to_str().ok()?));
        let limit_reset =
            headers.iter().find_map(|(name, value)| limit_reset(name.as_str(), value.to_str().ok()?));
        let date = headers.get(header::DATE).and_then(|value| date(value.to_str().ok()?));
        let announced: Option<usize> =
            headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        let status = response.status();
        // Old peers end an answer by ending the connection, and some do not say goodbye on the TLS layer.
        let ends_with_connection = announced.is_none() && response.version() == Version::HTTP_10;
        let body = match status {
            StatusCode::OK => {
                if let Some(Err(excess)) = announced.map(|announced| length(announced, LONGEST_ANSWER)) {
                    return Err(Failure::Final(too_large(&call.path, excess)));
                }
                let body = read(&mut response, LONGEST_ANSWER, ends_with_connection).await;
                let body = body.map_err(|error| Failure::Final(in_body(&error, &call.path)))?;
                // The client takes a connection that ends early for the end of the body.
                if announced.is_some_and(|announced| announced != body.len()) {
                    let lost = "connection lost in the middle of an answer";
                    return Err(Failure::Final(LinkError::Unreachable(lost.into())));
                }
                inflate(body, &call.path).await.map_err(Failure::Final)?
            }
            _ => {
                let body = read(&mut response, LARGEST_REFUSAL, ends_with_connection);
                timeout(REFUSAL_PATIENCE, body).await.ok().and_then(Result::ok).unwrap_or_default()
            }
        };
        let status = status.as_u16();
        Ok(Answer { status, retry_after, limit_reset, date, set_cookies, body })
    }

    fn before_answer(&self, error: SendRequestError) -> Failure {
        if let Some(Mismatch { expected, found }) = self.trust.take_mismatch() {
            let (expected, found) = (expected.to_string(), found.to_string());
            return Failure::Final(LinkError::Certificate { expected, found });
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

impl Exchange for Https {
    fn exchange(&self, call: Call) -> LocalBoxFuture<'_, Result<Answer, LinkError>> {
        Box::pin(async move {
            let whole = async {
                self.trust.recall().await;
                let rested = self.last_success.take().is_some_and(|last| last.elapsed() < KEEP_ALIVE);
                let outcome = match self.send(&call).await {
                    Err(Failure::Lost(_)) if rested && call.only_reads => self.send(&call).await,
                    outcome => outcome,
                };
                let answer = outcome.map_err(|failure| match failure {
                    Failure::Final(error) | Failure::Lost(error) => error,
                })?;
                let is_open = answer.status == 200 && self.trust.is_open();
                if is_open && is_gateways_answer(&call.path, &answer.body) {
                    self.trust.remember().await;
                }
                self.last_success.set(Some(Instant::now()));
                Ok(answer)
            };
            timeout(self.limit, whole).await.unwrap_or(Err(LinkError::Timeout(self.limit)))
        })
    }

    fn knock(&self, limit: Duration) -> LocalBoxFuture<'_, Knock> {
        Box::pin(knock::knock(&self.address.0, self.address.1, limit))
    }
}

/// The whole body, of at most `limit` bytes. With `ends_with_connection`, a TLS connection that is closed
/// without its closing message ends the body like any other: whether all of it came is for its reader to
/// decide.
async fn read<S>(
    response: &mut awc::ClientResponse<S>,
    limit: usize,
    ends_with_connection: bool,
) -> Result<Bytes, PayloadError>
where
    S: futures_util::Stream<Item = Result<Bytes, PayloadError>> + Unpin,
{
    let mut body = BytesMut::new();
    while let Some(chunk) = response.next().await {
        match chunk {
            Ok(chunk) if body.len() + chunk.len() > limit => return Err(PayloadError::Overflow),
            Ok(chunk) => body.extend_from_slice(&chunk),
            Err(PayloadError::Io(error) | PayloadError::Incomplete(Some(error)))
                if ends_with_connection && error.kind() == ErrorKind::UnexpectedEof =>
            {
                break;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(body.freeze())
}

/// What `Retry-After` says: seconds, or a date to come.
pub fn retry_after(text: &str) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    Duration::try_from_secs_f64(date(text)? as f64 - crate::clock::unix_time()).ok()
}

/// What a header such as `RateLimit-Reset` or `RateLimit-Data-Reset` says: seconds.
fn limit_reset(name: &str, value: &str) -> Option<Duration> {
    let name = name.to_ascii_lowercase();
    (name.starts_with("ratelimit-") && name.ends_with("-reset")).then(|| retry_after(value)).flatten()
}

/// Unix seconds.
fn date(text: &str) -> Option<i64> {
    let date = jiff::fmt::rfc2822::parse(text.trim()).ok()?;
    Some(date.timestamp().as_second())
}

fn in_body(error: &PayloadError, what: &str) -> LinkError {
    match error {
        PayloadError::Overflow => too_large(what, too_long()),
        error => LinkError::Unreachable(format!("connection lost in the middle of an answer: {error}")),
    }
}

/// The answer in plain. Gateways compress when they like, whatever their headers say. `what` was asked.
///
/// # Errors
/// If it is damaged, or larger than any answer.
pub async fn inflate(body: Bytes, what: &str) -> Result<Bytes, LinkError> {
    if !body.starts_with(&[0x1f, 0x8b]) {
        return Ok(body);
    }
    let damaged = |why: std::io::Error| LinkError::Malformed {
        what: what.into(),
        why: format!("compressed answer: {why}"),
    };
    // How much comes out of it is known only afterwards; most answers are small.
    if let Some(plain) = inflate_now(&body, QUICK).map_err(damaged)? {
        return Ok(plain);
    }
    let inflated = aside(LONGEST_ANSWER, move || inflate_now(&body, LONGEST_ANSWER)).await;
    inflated.map_err(damaged)?.ok_or_else(|| too_large(what, too_long()))
}

/// `None`: there is more than `most` in it.
fn inflate_now(body: &[u8], most: usize) -> std::io::Result<Option<Bytes>> {
    let mut plain = Vec::with_capacity(most.min(body.len() * 4));
    GzDecoder::new(body).take(most as u64 + 1).read_to_end(&mut plain)?;
    plain.shrink_to_fit();
    Ok((plain.len() <= most).then(|| plain.into()))
}

fn too_long() -> Excess {
    Excess::Bytes { most: LONGEST_ANSWER }
}

fn too_large(what: &str, why: Excess) -> LinkError {
    LinkError::unusable(what, &why.into())
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
        let inflate = |body| async { inflate(body, "/api/status").await };
        assert_eq!(inflate(Bytes::from_static(b"plain")).await.unwrap(), "plain");
        assert_eq!(inflate(gzip(b"packed")).await.unwrap(), "packed");
        for length in [QUICK, QUICK + 1, LONGEST_ANSWER] {
            assert_eq!(inflate(gzip(&vec![0; length])).await.unwrap().len(), length);
        }
        let bomb = gzip(&vec![0; LONGEST_ANSWER + 1]);
        assert!(bomb.len() < 2000);
        assert_eq!(inflate(bomb).await.unwrap_err().kind(), "too_large");
        assert_eq!(inflate(gzip(b"packed").slice(..12)).await.unwrap_err().kind(), "malformed");
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        assert_eq!(retry_after(" 120 "), Some(Duration::from_secs(120)));
        assert!(retry_after("Wed, 21 Oct 2093 07:28:00 GMT").unwrap() > Duration::from_secs(1_000_000));
        assert_eq!(retry_after("Wed, 21 Oct 2015 07:28:00 GMT"), None);
        assert_eq!(retry_after("soon"), None);
        assert_eq!(retry_after("1.5"), Some(Duration::from_millis(1500)));
        assert_eq!([retry_after("-5"), retry_after("inf"), retry_after("nan")], [None; 3]);
        assert_eq!(limit_reset("RateLimit-Data-Reset", "9"), Some(Duration::from_secs(9)));
        assert_eq!(limit_reset("ratelimit-limit", "9"), None);
    }
}
