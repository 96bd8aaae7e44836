//! Who has asked too much lately: counts in windows, for clients or for whatever else asks. Its memory is
//! bounded.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::client::Client;
use crate::settings::RateLimit;

/// Counts what each of many asks.
pub struct Limiter<K = Client> {
    limit: RateLimit,
    /// Start of the window and requests within it, by who asks.
    clients: Mutex<HashMap<K, (Instant, u64)>>,
}

impl<K: Eq + Hash + Clone> Limiter<K> {
    pub fn new(limit: RateLimit) -> Self {
        Self { limit, clients: Mutex::default() }
    }

    /// How long `client` has to wait; `None`: it may come. Counts nothing.
    pub fn pause(&self, client: &K, now: Instant) -> Option<Duration> {
        let clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let (start, made) = clients.get(client)?;
        let left = self.limit.window.saturating_sub(now.saturating_duration_since(*start));
        (*made >= self.limit.requests && !left.is_zero()).then_some(left)
    }

    /// Counts a request of `client`.
    ///
    /// # Errors
    /// If it is one too many, with the time until the next one may come.
    pub fn admit(&self, client: K, now: Instant) -> Result<(), Duration> {
        let RateLimit { requests, window, most_clients } = self.limit;
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if clients.len() >= most_clients && !clients.contains_key(&client) {
            clients.retain(|_, (start, _)| now.saturating_duration_since(*start) < window);
            if clients.len() >= most_clients
                && let Some(oldest) =
                    clients.iter().min_by_key(|(_, (start, _))| *start).map(|(client, _)| client.clone())
            {
                clients.remove(&oldest);
            }
        }
        let (start, made) = clients.entry(client).or_insert((now, 0));
        let elapsed = now.saturating_duration_since(*start);
        if elapsed >= window {
            (*start, *made) = (now, 0);
        }
        if *made >= requests {
            return Err(window.saturating_sub(elapsed));
        }
        *made += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn limiter(requests: u64, most_clients: usize) -> Limiter {
        Limiter::new(RateLimit { requests, window: 60 * SECOND, most_clients })
    }

    fn client(number: u8) -> Client {
        IpAddr::from([10, 0, 0, number]).into()
    }

    #[test]
    fn one_too_many_waits_for_the_next_window_and_others_do_not() {
        let (limiter, now) = (limiter(2, 10), Instant::now());
        assert_eq!(limiter.admit(client(1), now), Ok(()));
        assert_eq!(limiter.admit(client(1), now + SECOND), Ok(()));
        assert_eq!(limiter.admit(client(1), now + 10 * SECOND), Err(50 * SECOND));
        assert_eq!(limiter.admit(client(2), now + 10 * SECOND), Ok(()));
        assert_eq!(limiter.admit(client(1), now + 60 * SECOND), Ok(()));
    }

    #[test]
    fn strangers_cannot_fill_the_memory() {
        let (limiter, now) = (limiter(1, 3), Instant::now());
        for number in 0..200 {
            let at = now + u32::from(number) * SECOND / 100;
            assert_eq!(limiter.admit(client(number), at), Ok(()));
            assert!(limiter.clients.lock().unwrap().len() <= 3);
        }
    }
}
