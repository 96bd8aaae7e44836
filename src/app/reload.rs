//! Reading the settings again while the service runs: where it holds up nobody, and not more often than is
//! good.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Instant, sleep_until};

/// From one reading to the next. Requests in between share one reading.
const BRAKE: Duration = Duration::from_secs(2);

/// Reads when it is asked to.
pub(super) struct Reload<T> {
    read: Arc<dyn Fn() -> T + Send + Sync>,
    /// Whether somebody asked since the last reading began.
    is_asked: bool,
    /// The next reading does not begin before.
    not_before: Instant,
    /// The reading under way, on the blocking pool: the file may lie behind a slow network.
    reading: Option<JoinHandle<T>>,
}

impl<T: Send + 'static> Reload<T> {
    pub fn new(read: impl Fn() -> T + Send + Sync + 'static) -> Self {
        Self { read: Arc::new(read), is_asked: false, not_before: Instant::now(), reading: None }
    }

    pub fn ask(&mut self) {
        self.is_asked = true;
    }

    /// What the next reading brings; waits until somebody asks. May be dropped and called again.
    pub async fn next(&mut self) -> T {
        loop {
            let reading = match &mut self.reading {
                Some(reading) => reading,
                None if self.is_asked => {
                    sleep_until(self.not_before).await;
                    self.is_asked = false;
                    self.not_before = Instant::now() + BRAKE;
                    let read = self.read.clone();
                    self.reading.insert(spawn_blocking(move || read()))
                }
                None => std::future::pending().await,
            };
            let read = reading.await;
            self.reading = None;
            // A reading that panicked has been logged, and brings nothing.
            if let Ok(read) = read {
                return read;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::time::{sleep, timeout};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_storm_of_requests_is_a_reading_in_two_seconds_and_the_last_one_counts() {
        let file = Arc::new(AtomicU32::new(0));
        let now_there = file.clone();
        let mut reload = Reload::new(move || now_there.load(Ordering::SeqCst));
        let mut read = Vec::new();
        for number in 1..=200 {
            file.store(number, Ordering::SeqCst);
            reload.ask();
            // The wait is dropped again and again, as another event would make it.
            if let Ok(number) = timeout(Duration::from_millis(50), reload.next()).await {
                read.push(number);
            }
        }
        assert_eq!(read.len(), 5, "in ten seconds: {read:?}");
        sleep(BRAKE).await;
        assert_eq!(reload.next().await, 200, "what was asked for last is read");
        assert!(timeout(10 * BRAKE, reload.next()).await.is_err(), "and then nothing more");
    }

    #[tokio::test]
    async fn a_reading_that_takes_long_holds_up_nobody() {
        let (opened, file) = std::sync::mpsc::channel::<()>();
        let file = std::sync::Mutex::new(file);
        let mut reload = Reload::new(move || file.lock().unwrap().recv().is_ok());
        reload.ask();
        assert!(timeout(Duration::from_millis(1), reload.next()).await.is_err());
        opened.send(()).unwrap();
        assert!(reload.next().await);
    }
}
