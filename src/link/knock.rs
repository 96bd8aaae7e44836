//! A bare connection to a machine: whether it is there, and nothing else.
//!
//! No TLS, no login, not one byte. When to try it, and what follows, is the gateway's actor's business.

use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

/// What came of a bare connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Knock {
    /// None was made: there is nothing to connect to, or the gateway wants to be left alone.
    #[default]
    Untried,
    /// No route, no such name, refused, or no answer in time.
    Nobody,
    /// The connection was accepted, and closed again.
    Accepted,
}

impl Knock {
    /// The better of two.
    pub fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Accepted, _) | (_, Self::Accepted) => Self::Accepted,
            (Self::Nobody, _) | (_, Self::Nobody) => Self::Nobody,
            (Self::Untried, Self::Untried) => Self::Untried,
        }
    }
}

/// Connects to `host` and hangs up.
pub async fn knock(host: &str, port: u16, limit: Duration) -> Knock {
    match timeout(limit, TcpStream::connect((host, port))).await {
        Ok(Ok(_)) => Knock::Accepted,
        Ok(Err(_)) | Err(_) => Knock::Nobody,
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_listener_accepts_and_a_closed_port_does_not() {
        let limit = Duration::from_secs(5);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        assert_eq!(knock("127.0.0.1", port, limit).await, Knock::Accepted);
        drop(listener);
        assert_eq!(knock("127.0.0.1", port, limit).await, Knock::Nobody);
        assert_eq!(knock("no.such.name.invalid", port, limit).await, Knock::Nobody);
    }
}
