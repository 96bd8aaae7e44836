//! Where large answers are read: on a thread of their own, one after the other, so that the answer of one
//! gateway holds up no other gateway.
//!
//! One thread and not the blocking pool, because an allocator keeps what a thread has freed for that thread:
//! the memory that the largest answer takes is taken once, and not once for each thread of the pool.

use std::panic::resume_unwind;
use std::sync::LazyLock;

use futures_util::future::pending;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinError;

/// Reading fewer bytes than this takes less time than a change of threads is worth.
pub const QUICK: usize = 64 << 10;

/// Runs nothing but what blocks, on its only thread. `None`: it could not be made.
static READER: LazyLock<Option<Runtime>> = LazyLock::new(|| {
    let reader = Builder::new_current_thread().max_blocking_threads(1).thread_name("large-answers").build();
    reader.inspect_err(|error| log::error!("large answers get no thread of their own: {error}")).ok()
});

/// What `work` makes of `size` bytes: made here if they are few, elsewhere if they are many. A panic is
/// passed on.
pub async fn aside<T: Send + 'static>(size: usize, work: impl FnOnce() -> T + Send + 'static) -> T {
    let Some(reader) = READER.as_ref().filter(|_| size > QUICK) else { return work() };
    match reader.spawn_blocking(work).await.map_err(JoinError::try_into_panic) {
        Ok(made) => made,
        Err(Ok(panic)) => resume_unwind(panic),
        // The program ends.
        Err(Err(_)) => pending().await,
    }
}

#[cfg(test)]
mod tests {
    use std::thread::{self, ThreadId};

    use futures_util::FutureExt;
    use futures_util::future::join_all;

    use super::*;

    fn thread() -> ThreadId {
        thread::current().id()
    }

    #[tokio::test]
    async fn little_is_read_at_once_and_much_on_one_other_thread() {
        assert_eq!(aside(QUICK, thread).now_or_never(), Some(thread()));
        let readers = join_all((0..20).map(|_| aside(QUICK + 1, thread))).await;
        assert_ne!(readers[0], thread());
        assert!(readers.iter().all(|reader| *reader == readers[0]), "{readers:?}");
    }

    #[tokio::test]
    async fn a_panic_kills_its_caller_and_nobody_after() {
        for _ in 0..3 {
            let reader = tokio::spawn(aside(QUICK + 1, || panic!("an answer that kills its reader")));
            assert!(reader.await.unwrap_err().is_panic());
        }
        assert_eq!(aside(QUICK + 1, || 1).await, 1);
    }
}
