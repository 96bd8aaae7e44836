//! What is counted of those who listen by WebSocket or server-sent events. Written by the sessions, read by whoever tells how the service is.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counts since the start of the program, and who is there now.
#[derive(Debug, Default)]
pub struct Audience {
    joined: AtomicU64,
    left: AtomicU64,
    frames: AtomicU64,
    dropped: AtomicU64,
    cut: AtomicU64,
}

/// The counts at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AudienceCounts {
    /// Clients that listen now.
    pub clients: u64,
    /// Frames sent.
    pub frames: u64,
    /// Changes that a client did not see because a newer one was there before its turn came.
    pub dropped: u64,
    /// Clients that were disconnected because they took nothing any more.
    pub cut: u64,
}

impl Audience {
    pub fn joined(&self) {
        self.joined.fetch_add(1, Relaxed);
    }

    /// Counts a client that is gone; `cut`: because it took nothing any more.
    pub fn left(&self, cut: bool) {
        self.left.fetch_add(1, Relaxed);
        self.cut.fetch_add(cut.into(), Relaxed);
    }

    /// Counts a frame that was sent, and the changes it stands for that were not.
    pub fn sent(&self, dropped: u64) {
        self.frames.fetch_add(1, Relaxed);
        self.dropped.fetch_add(dropped, Relaxed);
    }

    pub fn counts(&self) -> AudienceCounts {
        // In this order, so that somebody who leaves meanwhile is not counted as less than nobody.
        let left = self.left.load(Relaxed);
        AudienceCounts {
            clients: self.joined.load(Relaxed).saturating_sub(left),
            frames: self.frames.load(Relaxed),
            dropped: self.dropped.load(Relaxed),
            cut: self.cut.load(Relaxed),
        }
    }
}
