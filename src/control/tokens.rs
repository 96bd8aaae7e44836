//! Who a client is: the token that it knows.
//!
//! A client that guesses wrong too often has to wait. A secret that no number of guesses finds is compared
//! first, so that somebody else's guesses from the same address lock nobody out who has it.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::time::Instant;

use crate::client::Client;
use crate::limiter::Limiter;
use crate::settings::{Access, RateLimit, Role, Secret, Token};

/// Somebody who has guessed wrong this often has to wait.
const GUESSES: RateLimit = RateLimit { requests: 5, window: Duration::from_secs(60), most_clients: 1_000 };

/// A secret of fewer bytes may be found by guessing as fast as this service answers.
const UNGUESSABLE: usize = 16;

/// Why a client is not who it would have to be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// There is no token that would do.
    #[error("Control features not enabled")]
    Off,
    #[error("Authorization header required")]
    NoToken,
    #[error("Invalid control token")]
    WrongToken,
    #[error("Too many invalid control tokens")]
    TooManyGuesses { wait: Duration },
    #[error("This token has the role {}, and this needs {}", .has.word(), .needed.word())]
    Role { has: Role, needed: Role },
    #[error("This token is not for this gateway")]
    OtherGateway,
}

/// The tokens that are known, and who has guessed at them.
pub struct Tokens {
    /// Replaced when the settings are read again.
    access: ArcSwap<Access>,
    /// Wrong guesses by client.
    guesses: Limiter,
}

impl Tokens {
    pub fn new(access: Access) -> Self {
        Self { access: ArcSwap::from_pointee(access), guesses: Limiter::new(GUESSES) }
    }

    pub fn replace(&self, access: Access) {
        self.access.store(Arc::new(access));
    }

    /// Whether readings need no token.
    pub fn is_open(&self) -> bool {
        self.access.load().is_open
    }

    /// Whether somebody may give orders.
    pub fn takes_orders(&self) -> bool {
        self.access.load().tokens.iter().any(|token| token.role >= Role::Operator)
    }

    /// The token with the secret `given`.
    ///
    /// # Errors
    /// If there is none, or the client has to wait.
    pub fn holder(&self, given: Option<&[u8]>, client: Client, now: Instant) -> Result<Arc<Token>, Denied> {
        let access = self.access.load();
        if access.tokens.is_empty() {
            return Err(Denied::Off);
        }
        let given = given.ok_or(Denied::NoToken)?;
        let pause = self.guesses.pause(&client, now);
        // What is not text cannot be a secret, which is.
        let given = Secret::new(std::str::from_utf8(given).unwrap_or_default());
        // All are compared, so that the time says nothing about which one it is.
        let mut holder = None;
        for token in &access.tokens {
            let may_be = pause.is_none() || token.secret.expose().len() >= UNGUESSABLE;
            if (token.secret == given) & may_be {
                holder = Some(token.clone());
            }
        }
        if let Some(holder) = holder {
            return Ok(holder);
        }
        if let Some(wait) = pause {
            return Err(Denied::TooManyGuesses { wait });
        }
        let admitted = self.guesses.admit(client, now);
        Err(admitted.map_or_else(|wait| Denied::TooManyGuesses { wait }, |()| Denied::WrongToken))
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn client(address: [u8; 4]) -> Client {
        IpAddr::from(address).into()
    }

    fn tokens(secrets: &[&str]) -> Tokens {
        let token = |(number, secret): (usize, &&str)| Token {
            name: number.to_string(),
            role: Role::Operator,
            gateways: None,
            secret: Secret::new(*secret),
        };
        let tokens = secrets.iter().enumerate().map(token).map(Arc::new).collect();
        Tokens::new(Access { is_open: true, tokens })
    }

    /// The name of the token, or why not.
    fn who(tokens: &Tokens, given: &[u8], client: Client, now: Instant) -> String {
        tokens.holder(Some(given), client, now).map_or_else(
            |denied| match denied {
                Denied::TooManyGuesses { .. } => "wait".to_owned(),
                denied => denied.to_string(),
            },
            |token| token.name.clone(),
        )
    }

    #[test]
    fn a_client_is_the_token_that_it_knows() {
        let (home, now) = (client([127, 0, 0, 1]), Instant::now());
        assert_eq!(tokens(&[]).holder(Some(b"x"), home, now), Err(Denied::Off));
        let tokens = tokens(&["grün", "another"]);
        assert_eq!(tokens.holder(None, home, now), Err(Denied::NoToken));
        assert_eq!(who(&tokens, "grün".as_bytes(), home, now), "0");
        assert_eq!(who(&tokens, b"another", home, now), "1");
        for wrong in [&b"gr\xfcn"[..], b"", b"anothe", b"another "] {
            assert_eq!(who(&tokens, wrong, home, now), "Invalid control token", "{wrong:?}");
        }
    }

    #[test]
    fn who_guesses_waits_and_nobody_else_does() {
        let (tokens, now) = (tokens(&["short"]), Instant::now());
        let home = client([127, 0, 0, 1]);
        for _ in 0..GUESSES.requests {
            assert_eq!(who(&tokens, b"wrong", home, now), "Invalid control token");
        }
        assert_eq!(who(&tokens, b"short", home, now), "wait", "a short one could be guessed");
        assert_eq!(who(&tokens, b"short", client([10, 0, 0, 1]), now), "0");
        assert_eq!(who(&tokens, b"short", home, now + GUESSES.window), "0");
    }

    #[test]
    fn a_secret_that_cannot_be_guessed_is_never_locked_out_by_guesses() {
        const LONG: &str = "correct horse battery";
        let (tokens, now) = (tokens(&[LONG, "short"]), Instant::now());
        let home = client([127, 0, 0, 1]);
        for _ in 0..GUESSES.requests {
            who(&tokens, b"wrong", home, now);
        }
        assert_eq!(who(&tokens, b"wrong", home, now), "wait");
        assert_eq!(who(&tokens, LONG.as_bytes(), home, now), "0", "no matter who else guesses there");
        assert_eq!(who(&tokens, b"short", home, now), "wait", "no matter what else cannot be guessed");
        assert_eq!(who(&tokens, b"wrong", home, now), "wait", "a right one does not start the count anew");
        assert_eq!(who(&tokens, b"wrong", client([10, 0, 0, 1]), now), "Invalid control token");
        assert_eq!(who(&tokens, b"wrong", home, now + GUESSES.window), "Invalid control token");
    }

    #[test]
    fn tokens_can_be_taken_back() {
        let (tokens, home, now) =
            (tokens(&["a secret that was lost"]), client([127, 0, 0, 1]), Instant::now());
        assert_eq!(who(&tokens, b"a secret that was lost", home, now), "0");
        tokens.replace(Access::owned_by(Secret::new("the secret after it")));
        assert_eq!(who(&tokens, b"a secret that was lost", home, now), "Invalid control token");
    }
}
