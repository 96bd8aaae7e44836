//! Which answers speak for themselves: they come from a gateway, and from nothing else that may stand at an
//! address.

use bytes::Bytes;
use serde::de::IgnoredAny;

use super::tedapi::frames;
use super::v1r::message::{self, Refusal};

/// Whether `body`, the answer with status 200 to a question at `path`, is one that only a gateway gives. A
/// page of a router is none, nor is the answer to a login: whatever stands there may accept passwords.
pub(super) fn is_gateways_answer(path: &str, body: &Bytes) -> bool {
    match path {
        "/tedapi/din" => is_din(body),
        "/tedapi/v1r" => !matches!(message::open(body.clone()), Err(Refusal::Malformed(_) | Refusal::Empty)),
        path if path.starts_with("/tedapi/") => frames::unwrap(body.clone(), path).is_ok(),
        path if path.starts_with("/api/login/") => false,
        _ => is_document(body.trim_ascii()),
    }
}

/// A JSON document with something in it.
fn is_document(text: &[u8]) -> bool {
    let is_structured = matches!(text, [b'{' | b'[', ..]) && text != b"{}";
    is_structured && serde_json::from_slice::<IgnoredAny>(text).is_ok()
}

/// Part number and serial of a gateway.
pub(super) fn is_din(body: &[u8]) -> bool {
    body.len() <= 64 && body.windows(2).any(|pair| pair == b"--")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_gateway_alone_answers_speaks_for_its_certificate() {
        let envelope = frames::wrap(Bytes::from_static(b"\x08\x01"), 1);
        let is_one = |path: &str, body: &[u8]| is_gateways_answer(path, &Bytes::copy_from_slice(body));
        assert!(is_one("/tedapi/din", b"1707000-11-M--T1\n"));
        assert!(is_one("/tedapi/v1", &envelope));
        assert!(is_one("/tedapi/device/1707000-11-M--T1/v1", &envelope));
        assert!(is_one("/api/meters/aggregates", br#"{"site":{}}"#));
        assert!(is_one("/api/networks", b"[]"));
        let page =
            "<html><title>Router -- log in</title><body>What stood here before the gateway</body></html>";
        for path in ["/tedapi/din", "/tedapi/v1", "/tedapi/v1r", "/api/status", "/api/meters/aggregates"] {
            for body in [page, "", "{}", "{", "null", "OK"] {
                assert!(!is_one(path, body.as_bytes()), "{path}: {body}");
            }
        }
        assert!(!is_one("/api/login/Basic", br#"{"token":"t"}"#));
    }
}
