//! The wall clock, for labels that people and databases read; ages and deadlines use tokio's clock instead.

/// Seconds since the Unix epoch, with fraction.
#[allow(clippy::disallowed_methods)] // the one place that reads the wall clock
pub fn unix_time() -> f64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0.0, |since_epoch| since_epoch.as_secs_f64())
}
