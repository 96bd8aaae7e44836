//! Requests as they are read from a connection, and answers before they are written to one.

use std::io::{Error, ErrorKind};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

const LARGEST_HEAD: usize = 16 << 10;
const LARGEST_BODY: usize = 64 << 10;
/// What a gateway says to those who may not ask.
pub(super) const DENIED: &str = concat!(
    r#"{"code":403,"error":"Unable to GET to resource","#,
    r#""message":"User does not have adequate access rights"}"#,
);

pub(super) struct Request {
    pub method: String,
    pub path: String,
    pub authorization: Option<String>,
    pub cookie: Option<String>,
    pub body: Bytes,
}

/// The next request, or `None` at the end of the connection.
pub(super) async fn read_request(
    stream: &mut (impl AsyncRead + Unpin),
    input: &mut BytesMut,
) -> std::io::Result<Option<Request>> {
    let bad = |what: &str| Error::new(ErrorKind::InvalidData, what.to_owned());
    let (mut request, head, length) = loop {
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let mut parsed = httparse::Request::new(&mut headers);
        if let httparse::Status::Complete(head) = parsed.parse(input).map_err(|_| bad("no HTTP"))? {
            let header = |name: &str| {
                let mut headers =
                    parsed.headers.iter().filter(|header| header.name.eq_ignore_ascii_case(name));
                headers.next().and_then(|header| std::str::from_utf8(header.value).ok())
            };
            let length = header("content-length").map_or(Ok(0), str::parse).map_err(|_| bad("no length"))?;
            let request = Request {
                method: parsed.method.unwrap_or_default().to_owned(),
                path: parsed.path.unwrap_or_default().to_owned(),
                authorization: header("authorization").map(str::to_owned),
                cookie: header("cookie").map(str::to_owned),
                body: Bytes::new(),
            };
            break (request, head, length);
        }
        if input.len() > LARGEST_HEAD {
            return Err(bad("head too large"));
        }
        if stream.read_buf(input).await? == 0 {
            return Ok(None);
        }
    };
    if length > LARGEST_BODY {
        return Err(bad("body too large"));
    }
    input.advance(head);
    while input.len() < length {
        if stream.read_buf(input).await? == 0 {
            return Ok(None);
        }
    }
    request.body = input.split_to(length).freeze();
    Ok(Some(request))
}

pub(super) struct Answer {
    pub status: u16,
    /// Each with its end of line.
    pub headers: String,
    pub body: Bytes,
}

impl Answer {
    pub fn new(status: u16, body: impl Into<Bytes>) -> Self {
        Self { status, headers: String::new(), body: body.into() }
    }
}
