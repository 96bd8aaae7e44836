//! Who may give orders: clients that know `PW_CONTROL_SECRET`.
//!
//! A client that guesses wrong too often has to wait. A secret that no number of guesses finds is compared
//! first, so that somebody else's guesses from the same address lock nobody out who has it.

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

/// A secret of fewer bytes may be found by guessing as fast as this service answers.
const UNGUESSABLE: usize = 16;

pub(super) struct Token {
    /// `None`: nobody may.
    secret: Option<Secret>,
    /// Whether guesses at the secret have to be limited even if that locks out who knows it.
    is_guessable: bool,
    /// Wrong guesses by client.
    guesses: Limiter,
}

impl Token {
    pub fn new(secret: Option<Secret>) -> Self {
        let is_guessable = secret.as_ref().is_some_and(|secret| secret.expose().len() < UNGUESSABLE);
        Self { secret, is_guessable, guesses: Limiter::new(GUESSES) }
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
        let too_many = |wait| Refusal::too_many(wait, "Too many invalid control tokens");
        if self.is_guessable
            && let Some(wait) = self.guesses.pause(client, now)
        {
            return Err(too_many(wait));
        }
        // A header that is not text cannot be the secret, which is.
        let given = std::str::from_utf8(given.as_bytes()).unwrap_or_default();
        let given = given.strip_prefix("Bearer ").unwrap_or(given);
        if Secret::new(given) == *secret {
            return Ok(());
        }
        self.guesses.admit(client, now).map_err(too_many)?;
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
        let (token, now) = (Token::new(Some(Secret::new("short"))), Instant::now());
        let home = client([127, 0, 0, 1]);
        for _ in 0..GUESSES.requests {
            assert_eq!(check(&token, Some(b"wrong"), home, now), 401);
        }
        assert_eq!(check(&token, Some(b"short"), home, now), 429, "a short one could be guessed");
        assert_eq!(check(&token, Some(b"short"), client([10, 0, 0, 1]), now), 200);
        assert_eq!(check(&token, Some(b"short"), home, now + GUESSES.window), 200);
    }

    #[test]
    fn a_secret_that_cannot_be_guessed_is_never_locked_out_by_guesses() {
        const LONG: &str = "correct horse battery";
        let (token, now) = (Token::new(Some(Secret::new(LONG))), Instant::now());
        let home = client([127, 0, 0, 1]);
        for _ in 0..GUESSES.requests {
            assert_eq!(check(&token, Some(b"wrong"), home, now), 401);
        }
        assert_eq!(check(&token, Some(b"wrong"), home, now), 429);
        assert_eq!(check(&token, Some(LONG.as_bytes()), home, now), 200, "no matter who else guesses there");
        assert_eq!(
            check(&token, Some(b"wrong"), home, now),
            429,
            "a right one does not start the count anew"
        );
        assert_eq!(check(&token, Some(b"wrong"), client([10, 0, 0, 1]), now), 401);
        assert_eq!(check(&token, Some(b"wrong"), home, now + GUESSES.window), 401);
    }
}
