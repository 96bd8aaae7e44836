//! Who may give orders: whoever knows `PW_CONTROL_SECRET`.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap};
use tokio::time::Instant;

use super::limiter::Limiter;
use super::plumbing::Refusal;
use crate::client::Client;
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
    pub fn check(&self, headers: &HeaderMap, client: Client, now: Instant) -> Result<(), Refusal> {
        let Some(secret) = &self.secret else {
            return Err(Refusal::new(StatusCode::FORBIDDEN, "Control features not enabled"));
        };
        let Some(given) = headers.get(header::AUTHORIZATION) else {
            return Err(Refusal::new(StatusCode::UNAUTHORIZED, "Authorization header required"));
        };
        if let Some(wait) = self.guesses.pause(client, now) {
            return Err(Refusal::too_many(wait, "Too many invalid control tokens"));
        }
        // A header that is no text cannot be the secret, which is one.
        let given = std::str::from_utf8(given.as_bytes()).unwrap_or_default();
        let given = given.strip_prefix("Bearer ").unwrap_or(given);
        if Secret::new(given) == *secret {
            return Ok(());
        }
        let _ = self.guesses.admit(client, now);
        Err(Refusal::new(StatusCode::UNAUTHORIZED, "Invalid control token"))
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use actix_web::http::header::HeaderValue;

    use super::*;

    fn client(address: [u8; 4]) -> Client {
        IpAddr::from(address).into()
    }

    fn check(token: &Token, given: Option<&[u8]>, client: Client, now: Instant) -> u16 {
        let mut headers = HeaderMap::new();
        if let Some(given) = given {
            headers.insert(header::AUTHORIZATION, HeaderValue::from_bytes(given).unwrap());
        }
        token.check(&headers, client, now).map_or_else(|refusal| refusal.status.as_u16(), |()| 200)
    }

    #[test]
    fn only_who_knows_the_secret_may() {
        let (token, now) = (Token::new(Some(Secret::new("grün"))), Instant::now());
        let home = client([127, 0, 0, 1]);
        assert_eq!(check(&Token::new(None), Some(b"Bearer x"), home, now), 403);
        assert_eq!(check(&token, None, home, now), 401);
        assert_eq!(check(&token, Some("Bearer grün".as_bytes()), home, now), 200);
        assert_eq!(check(&token, Some("grün".as_bytes()), home, now), 200);
        for wrong in [&b"bearer gr\xc3\xbcn"[..], b"Bearer ", b"Bearer gr\xfcn", b"Bearer Bearer gr\xc3\xbcn"]
        {
            assert_eq!(check(&token, Some(wrong), home, now), 401, "{wrong:?}");
        }
    }

    #[test]
    fn who_guesses_waits_and_nobody_else_does() {
        let (token, now) = (Token::new(Some(Secret::new("right"))), Instant::now());
        let home = client([127, 0, 0, 1]);
        for _ in 0..GUESSES.requests {
            assert_eq!(check(&token, Some(b"wrong"), home, now), 401);
        }
        assert_eq!(check(&token, Some(b"right"), home, now), 429, "not even with the right one");
        assert_eq!(check(&token, Some(b"right"), client([10, 0, 0, 1]), now), 200);
        assert_eq!(check(&token, Some(b"right"), home, now + GUESSES.window), 200);
    }
}
