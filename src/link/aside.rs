//! Where large answers are read: on the blocking pool and few at a time, so that the answer of one gateway holds up no
//! other gateway, and so that many of them at once take no more memory than a few.

use std::panic::resume_unwind;

use futures_util::future::pending;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

/// Reading fewer bytes than this takes less time than a change of threads is worth.
pub const QUICK: usize = 64 << 10;
/// How many are read at the same time, over all gateways.
const AT_A_TIME: usize = 2;

static TURNS: Semaphore = Semaphore::const_new(AT_A_TIME);

/// What `work` makes of `size` bytes: made here if they are few, elsewhere if they are many. A panic is passed on.
pub async fn aside<T: Send + 'static>(size: usize, work: impl FnOnce() -> T + Send + 'static) -> T {
    if size <= QUICK {
        return work();
    }
    let turn = TURNS.acquire().await;
    let made = spawn_blocking(move || {
        let _turn = turn;
        work()
    });
    match made.await.map_err(tokio::task::JoinError::try_into_panic) {
        Ok(made) => made,
        Err(Ok(panic)) => resume_unwind(panic),
        // The program ends.
        Err(Err(_)) => pending().await,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use std::thread;

    use futures_util::FutureExt;
    use futures_util::future::join_all;

    use super::*;

    #[tokio::test]
    async fn little_is_read_at_once_and_much_elsewhere_by_two_at_a_time() {
        let here = thread::current().id();
        assert_eq!(aside(QUICK, move || thread::current().id()).now_or_never(), Some(here));
        static BUSY: AtomicUsize = AtomicUsize::new(0);
        let readers = (0..20).map(|_| {
            aside(QUICK + 1, move || {
                assert_ne!(thread::current().id(), here);
                let busy = BUSY.fetch_add(1, SeqCst) + 1;
                thread::yield_now();
                BUSY.fetch_sub(1, SeqCst);
                busy
            })
        });
        let most = join_all(readers).await.into_iter().max();
        assert!(most <= Some(AT_A_TIME), "{most:?}");
    }

    #[tokio::test]
    async fn a_panic_kills_whoever_asked_and_nobody_after() {
        for _ in 0..AT_A_TIME * 2 {
            let reader = tokio::spawn(aside(QUICK + 1, || panic!("an answer that kills its reader")));
            assert!(reader.await.unwrap_err().is_panic());
        }
        assert_eq!(aside(QUICK + 1, || 1).await, 1);
    }
}
