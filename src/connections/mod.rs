//! Every connection that a client has: how many each may have, and how long it may keep the service waiting.
//!
//! actix-http limits the time for the first head of a connection and for keep-alive, and nothing else. Here
//! the rest is limited, for plain HTTP and HTTPS alike: a connection is admitted by [`Connections`], which
//! keep a [`Connection`] for it; a [`Watched`] stream marks on it when something is read and written; what
//! answers requests marks when that begins and ends; and a few times a second everything that is overdue is
//! cut. What is said over a connection is none of this room's business.

mod admission;
mod connection;
mod network;
mod stream;

use std::time::Duration;

pub use admission::{ConnectionCounts, Connections, Full, Place};
pub use connection::{Connection, Handling, Lengthy};
pub use network::default_gateway;
pub use stream::{Watched, Wire};

/// Looked at this often: so precise are all deadlines here.
pub const TICK: Duration = Duration::from_millis(250);

/// How much strangers may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections of all clients.
    pub total: usize,
    /// Connections of one client that is not a trusted proxy.
    pub per_client: usize,
    /// Places beyond these for this machine, so that it can always ask whether the service is alive.
    pub kept: usize,
    /// For how long such a place is given.
    pub kept_for: Duration,
    /// From the first byte of a request to the end of its head, and from the answer to the end of a body that
    /// is not wanted.
    pub head: Duration,
    /// For how long nothing at all may happen. More than the keep-alive, which closes in order.
    pub idle: Duration,
    /// For how long a client may take nothing of what it is sent.
    pub stall: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            total: 4_000,
            per_client: 256,
            kept: 8,
            kept_for: Duration::from_secs(3),
            head: Duration::from_secs(5),
            idle: Duration::from_secs(10),
            stall: Duration::from_secs(30),
        }
    }
}

impl Limits {
    /// With no more connections than a program that may open so many files, and needs some of them itself,
    /// can have.
    #[must_use]
    pub fn within(self, files: usize, own: usize) -> Self {
        let kept = self.kept.min(files / 16);
        let left = files - own.min(Self::most_own(files)) - kept - Self::arriving(files);
        Self { total: self.total.min(left), kept, ..self }
    }

    /// Connections that are accepted and not yet admitted or refused.
    fn arriving(files: usize) -> usize {
        64.min(files / 16)
    }

    /// However few files there are, some are for clients.
    fn most_own(files: usize) -> usize {
        files - files / 4
    }

    /// More than this are never open at the same time.
    pub fn most_open(&self) -> usize {
        self.total + self.kept + Self::arriving(self.total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_files_for_the_program() {
        for (files, own, total) in [(1 << 20, 128, 4_000), (1_024, 128, 824), (256, 1_000, 40), (64, 128, 8)]
        {
            let limits = Limits::default().within(files, own);
            assert_eq!(limits.total, total, "{files} files");
            assert!(limits.most_open() + own.min(Limits::most_own(files)) <= files, "{files} files");
        }
    }
}
