//! The wall clock, for labels that people and databases read; ages and deadlines use tokio's clock instead.

use std::cell::Cell;

use tokio::time::Instant;

thread_local! {
    /// What this thread's wall clock showed when it was set, and when that was.
    static SET: Cell<Option<(f64, Instant)>> = const { Cell::new(None) };
}

/// Seconds since the Unix epoch, with fraction.
#[allow(clippy::disallowed_methods)] // the one place that reads the wall clock
pub fn unix_time() -> f64 {
    if let Some((unix, at)) = SET.get() {
        return unix + at.elapsed().as_secs_f64();
    }
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0.0, |since_epoch| since_epoch.as_secs_f64())
}

/// Sets the wall clock of this thread, which from then on goes with tokio's clock. For simulations: it lets
/// the wall clock jump while the rest of the machine notices nothing.
pub fn set_unix_time(unix: f64) {
    SET.set(Some((unix, Instant::now())));
}
