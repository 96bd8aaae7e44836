//! What is counted of those who listen by WebSocket or server-sent events. Written by the sessions, read by
//! what reports on the service.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Why a client was disconnected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// It took nothing any more.
    Stalled,
    /// Its connection broke: the client reset it, or the system gave it up because nothing was taken any
    /// more.
    Lost,
    /// It sent something that is not a WebSocket frame of a client.
    Protocol,
    /// It sent a frame larger than clients may send.
    TooLarge,
    /// It sent more than clients may send.
    TooMuch,
}

impl Cut {
    pub const ALL: [Self; 5] = [Self::Stalled, Self::Lost, Self::Protocol, Self::TooLarge, Self::TooMuch];

    pub fn name(self) -> &'static str {
        match self {
            Self::Stalled => "stalled",
            Self::Lost => "lost",
            Self::Protocol => "protocol",
            Self::TooLarge => "too_large",
            Self::TooMuch => "too_much",
        }
    }
}

/// Why there was no place for a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoPlace {
    /// The service has as many clients as it takes.
    Full,
    /// The client's address has its share.
    Share,
}

impl NoPlace {
    pub const ALL: [Self; 2] = [Self::Full, Self::Share];

    pub fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Share => "share",
        }
    }
}

/// Counts since the start of the program, and who is there now.
#[derive(Debug, Default)]
pub struct Audience {
    joined: AtomicU64,
    left: AtomicU64,
    frames: AtomicU64,
    dropped: AtomicU64,
    cut: [AtomicU64; Cut::ALL.len()],
    refused: [AtomicU64; NoPlace::ALL.len()],
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
    /// Clients that were disconnected, in the order of [`Cut::ALL`].
    pub cut: [u64; Cut::ALL.len()],
    /// Clients for which there was no place, in the order of [`NoPlace::ALL`].
    pub refused: [u64; NoPlace::ALL.len()],
}

impl Audience {
    pub fn joined(&self) {
        self.joined.fetch_add(1, Relaxed);
    }

    pub fn left(&self) {
        self.left.fetch_add(1, Relaxed);
    }

    /// Counts a client that was disconnected. When it is gone it is counted by [`Audience::left`] as well.
    pub fn cut(&self, why: Cut) {
        self.cut[why as usize].fetch_add(1, Relaxed);
    }

    /// Counts a client that did not get in.
    pub fn refused(&self, why: NoPlace) {
        self.refused[why as usize].fetch_add(1, Relaxed);
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
            cut: self.cut.each_ref().map(|count| count.load(Relaxed)),
            refused: self.refused.each_ref().map(|count| count.load(Relaxed)),
        }
    }
}
