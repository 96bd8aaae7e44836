//! Large bodies, smaller, for clients that take them so.
//!
//! Most large bodies are the same bytes for everybody until the next poll. Each is compressed once, aside
//! from the threads that answer, however many clients ask for it at the same moment.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use actix_web::body::{BodySize, MessageBody};
use actix_web::dev::ServiceResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::web;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::sync::OnceCell;

use super::plumbing::varies;

/// Smaller bodies fit into a few packets anyway.
const WORTH_COMPRESSING: u64 = 8 << 10;
/// What is remembered, counted before compression.
const MOST_REMEMBERED: usize = 2 << 20;

/// A body and what became of it.
struct Remembered {
    /// Kept, so that no other body can take its place in memory while it stands for this one.
    plain: Bytes,
    /// The first to ask compresses; the others wait for it.
    small: Arc<OnceCell<Bytes>>,
}

/// Compresses answers and remembers the last ones.
#[derive(Default)]
pub(super) struct Compressor {
    /// The one asked for last is at the end.
    recent: Mutex<VecDeque<Remembered>>,
}

/// Whether a client takes gzip.
pub(super) fn takes_gzip(headers: &HeaderMap) -> bool {
    let Some(accepted) = headers.get(header::ACCEPT_ENCODING).and_then(|text| text.to_str().ok()) else {
        return false;
    };
    accepted.split(',').any(|coding| {
        let (name, quality) = coding.trim().split_once(';').unwrap_or((coding.trim(), ""));
        let refused = matches!(quality.trim().trim_start_matches("q="), "0" | "0.0" | "0.00" | "0.000");
        name.trim() == "gzip" && !refused
    })
}

fn is_text(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    ["text/", "application/json", "image/svg"].iter().any(|start| kind.starts_with(start))
}

fn is_worth_it(response: &ServiceResponse) -> bool {
    let size = response.response().body().size();
    response.status() == StatusCode::OK
        && is_text(response.headers())
        && !response.headers().contains_key(header::CONTENT_ENCODING)
        && matches!(size, BodySize::Sized(size) if size >= WORTH_COMPRESSING)
}

impl Compressor {
    /// With a large body of text compressed; anything else as it is.
    pub async fn compressed(&self, response: ServiceResponse) -> ServiceResponse {
        if !is_worth_it(&response) {
            return response;
        }
        let (request, response) = response.into_parts();
        let (mut head, body) = response.into_parts();
        let plain = match body.try_into_bytes() {
            Ok(plain) => plain,
            Err(body) => return ServiceResponse::new(request, head.set_body(body)),
        };
        varies(head.headers_mut(), "Accept-Encoding");
        let body = match self.small(&plain).await {
            Ok(small) => {
                head.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
                small
            }
            Err(_) => plain,
        };
        ServiceResponse::new(request, head.set_body(body).map_into_boxed_body())
    }

    async fn small(&self, plain: &Bytes) -> io::Result<Bytes> {
        let slot = self.slot(plain);
        let compress = || async {
            let plain = plain.clone();
            web::block(move || gzip(&plain, Compression::default())).await.map_err(io::Error::other)?
        };
        slot.get_or_try_init(compress).await.cloned()
    }

    fn slot(&self, plain: &Bytes) -> Arc<OnceCell<Bytes>> {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let is_same =
            |known: &Remembered| known.plain.as_ptr() == plain.as_ptr() && known.plain.len() == plain.len();
        let remembered = match recent.iter().position(is_same).and_then(|index| recent.remove(index)) {
            Some(remembered) => remembered,
            None => Remembered { plain: plain.clone(), small: Arc::default() },
        };
        let slot = remembered.small.clone();
        recent.push_back(remembered);
        let mut size: usize = recent.iter().map(|known| known.plain.len()).sum();
        while size > MOST_REMEMBERED
            && let Some(oldest) = recent.pop_front()
        {
            size -= oldest.plain.len();
        }
        slot
    }
}

pub(super) fn gzip(plain: &[u8], effort: Compression) -> io::Result<Bytes> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(plain.len() / 4), effort);
    encoder.write_all(plain)?;
    encoder.finish().map(Bytes::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(size: usize) -> Bytes {
        vec![b'x'; size].into()
    }

    #[actix_web::test]
    async fn a_body_is_compressed_once_for_all_who_ask() {
        let (compressor, body) = (Compressor::default(), text(100_000));
        let (one, other) = futures_util::join!(compressor.small(&body), compressor.small(&body));
        assert_eq!(one.unwrap().as_ptr(), other.unwrap().as_ptr());
        let equal = compressor.small(&text(100_000)).await.unwrap();
        assert_ne!(equal.as_ptr(), compressor.small(&body).await.unwrap().as_ptr(), "another body");
    }

    #[actix_web::test]
    async fn memory_is_bounded() {
        let compressor = Compressor::default();
        for _ in 0..100 {
            compressor.small(&text(100_000)).await.unwrap();
        }
        assert!(compressor.recent.lock().unwrap().len() <= MOST_REMEMBERED / 100_000);
        compressor.small(&text(3 * MOST_REMEMBERED)).await.unwrap();
        assert!(compressor.recent.lock().unwrap().is_empty());
    }
}
