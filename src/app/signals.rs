//! The signals that the running program obeys.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// SIGTERM or SIGINT
    Stop,
    /// SIGHUP
    Reload,
}

/// Hears signals from its creation on.
pub(super) struct Orders {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
    /// SIGXFSZ, which a file that may not grow (`ulimit -f`) raises. Heard, it ends nobody: the write fails,
    /// as on a full disk.
    _too_large: Signal,
}

/// SIGXFSZ of Linux.
const FILE_TOO_LARGE: i32 = 25;

impl Orders {
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
            _too_large: signal(SignalKind::from_raw(FILE_TOO_LARGE))?,
        })
    }

    pub async fn next(&mut self) -> Order {
        tokio::select! {
            _ = self.terminate.recv() => Order::Stop,
            _ = self.interrupt.recv() => Order::Stop,
            _ = self.hang_up.recv() => Order::Reload,
        }
    }
}
