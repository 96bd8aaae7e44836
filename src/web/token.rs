//! Who may give orders: whoever knows `PW_CONTROL_SECRET`.

use std::net::IpAddr;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap};
use tokio::time::Instant;

use super::limiter::Limiter;
use super::plumbing::Refusal;
use crate::settings::{RateLimit, Secret};

/// Somebody who has guessed wrong this often has to wait.
const GUESSES: RateLimit = RateLimit { requests: 5, window: Duration::from_secs(60), most_clients: 1_000 };

pub(super) struct Token {
    /// `None`: nobody may.
    secret: Option<Secret>,
    /// Wrong guesses by client.
    guesses: Limiter,
}

impl Token {
    pub fn new(secret: Option<Secret>) -> Self {
        Self { secret, guesses: Limiter::new(GUESSES) }
    }

    /// Whether a request with these headers may give orders.
    ///
    /// # Errors
    /// With the reason why not.
    pub fn check(&self, headers: &HeaderMap, client: IpAddr, now: Instant) -> Result<(), Refusal> {
        let Some(secret) = &self.secret else {
            return Err(Refusal::new(StatusCode::FORBIDDEN, "Control features not enabled"));
        };
        let Some(given) = headers.get(header::AUTHORIZATION) else {
            return Err(Refusal::new(StatusCode::UNAUTHORIZED, "Authorization header required"));
        };
        // A header that is no text cannot be the secret, which is one.
        let given = std::str::from_utf8(given.as_bytes()).unwrap_or_default();
        let given = given.strip_prefix("Bearer ").unwrap_or(given);
        if Secret::new(given) == *secret {
            return Ok(());
        }
        // After the comparison: behind a proxy or in one household, the guesses may be somebody else's.
        match self.guesses.admit(client, now) {
            Ok(()) => Err(Refusal::new(StatusCode::UNAUTHORIZED, "Invalid control token")),
            Err(wait) => Err(Refusal::too_many(wait, "Too many invalid control tokens")),
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    const HOME: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn check(token: &Token, given: Option<&[u8]>, client: IpAddr, now: Instant) -> u16 {
        let mut headers = HeaderMap::new();
        if let Some(given) = given {
            headers.insert(header::AUTHORIZATION, HeaderValue::from_bytes(given).unwrap());
        }
        token.check(&headers, client, now).map_or_else(|refusal| refusal.status.as_u16(), |()| 200)
    }

    #[test]
    fn only_who_knows_the_secret_may() {
        let (token, now) = (Token::new(Some(Secret::new("grün"))), Instant::now());
        assert_eq!(check(&Token::new(None), Some(b"Bearer x"), HOME, now), 403);
        assert_eq!(check(&token, None, HOME, now), 401);
        assert_eq!(check(&token, Some("Bearer grün".as_bytes()), HOME, now), 200);
        assert_eq!(check(&token, Some("grün".as_bytes()), HOME, now), 200);
        for wrong in [&b"bearer gr\xc3\xbcn"[..], b"Bearer ", b"Bearer gr\xfcn", b"Bearer Bearer gr\xc3\xbcn"]
        {
            assert_eq!(check(&token, Some(wrong), HOME, now), 401, "{wrong:?}");
        }
    }

    #[test]
    fn who_guesses_waits_and_whoever_knows_the_secret_does_not() {
        let (token, now) = (Token::new(Some(Secret::new("right"))), Instant::now());
        for _ in 0..GUESSES.requests {
            assert_eq!(check(&token, Some(b"wrong"), HOME, now), 401);
        }
        assert_eq!(check(&token, Some(b"wrong"), HOME, now), 429);
        assert_eq!(check(&token, Some(b"right"), HOME, now), 200, "whoever else guesses there");
        assert_eq!(
            check(&token, Some(b"wrong"), HOME, now),
            429,
            "a right one does not start the count anew"
        );
        assert_eq!(check(&token, Some(b"wrong"), [10, 0, 0, 1].into(), now), 401);
        assert_eq!(check(&token, Some(b"wrong"), HOME, now + GUESSES.window), 401);
    }
}
