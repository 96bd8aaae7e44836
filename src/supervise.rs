//! Keeps actors running: notices that one died and starts another one, after pauses that grow.
//!
//! actix neither catches a panic nor restarts the actor that panicked: the actor is simply gone. Everything
//! that must outlive a panic is started here. What an actor does, and what it continues from, is left to the
//! one who starts it.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use actix::prelude::*;
use backoff::backoff::Backoff;
use log::error;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

/// How often a kept actor is checked: a dead one is noticed within this.
const ROUND: Duration = Duration::from_secs(1);
/// An actor that ran for this long did not die of what killed the one before it.
const SETTLED: Duration = Duration::from_secs(600);

/// Whose actor it is; names it in the log.
#[derive(Clone, Debug)]
pub enum Name {
    /// The gateway with this id.
    Gateway(String),
    /// A part of the service of which there is one.
    Part(&'static str),
}

impl fmt::Display for Name {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gateway(id) => write!(out, "gateway {id}: its actor"),
            Self::Part(name) => out.write_str(name),
        }
    }
}

/// Why an actor starts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Run {
    First,
    /// The one before it died, which was noticed at `died`.
    AfterCrash {
        died: Instant,
    },
}

/// An actor that is kept running for as long as this lives. Dropping it does not end the actor; it only lets
/// it die.
pub struct Kept {
    watch: JoinHandle<()>,
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.watch.abort();
    }
}

/// Starts an actor at once, and another one whenever it died. The first restart follows within a second; the
/// next ones wait for the pauses of `back_off`, until an actor has run for ten minutes. Runs on the thread of
/// the caller.
pub fn keep<A: Actor<Context = Context<A>>>(
    name: Name,
    mut back_off: impl Backoff + 'static,
    mut start: impl FnMut(Run) -> Addr<A> + 'static,
) -> Kept {
    // What panics here dies as the actor would have.
    let mut begin = move |run| catch_unwind(AssertUnwindSafe(|| start(run))).ok();
    let mut addr = begin(Run::First);
    let watch = async move {
        let mut deaths = 0_u64;
        loop {
            let began = Instant::now();
            while addr.as_ref().is_some_and(Addr::connected) {
                sleep(ROUND).await;
            }
            let died = Instant::now();
            if died - began >= SETTLED {
                back_off.reset();
                deaths = 0;
            }
            deaths += 1;
            let pause = match deaths {
                1 => Duration::ZERO,
                _ => back_off.next_backoff().unwrap_or(SETTLED),
            };
            report(&name, deaths, pause);
            sleep(pause).await;
            addr = begin(Run::AfterCrash { died });
        }
    };
    Kept { watch: actix::spawn(watch) }
}

fn report(name: &Name, deaths: u64, pause: Duration) {
    let pause = pause.as_secs();
    match name {
        Name::Gateway(id) => error!(
            gateway = id.as_str(), event = "crashed", deaths = deaths, pause_s = pause;
            "{name} died; restarting it in {pause} s"
        ),
        Name::Part(part) => error!(
            part = *part, event = "crashed", deaths = deaths, pause_s = pause;
            "{name} died; restarting it in {pause} s"
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use tokio::task::LocalSet;

    use super::*;

    /// Lives for so long.
    struct Mortal(Duration);

    impl Actor for Mortal {
        type Context = Context<Self>;

        fn started(&mut self, ctx: &mut Self::Context) {
            ctx.run_later(self.0, |_, ctx| ctx.stop());
        }
    }

    /// Five seconds, then ten, and so on.
    #[derive(Default)]
    struct Growing(u64);

    impl Backoff for Growing {
        fn next_backoff(&mut self) -> Option<Duration> {
            self.0 += 5;
            Some(Duration::from_secs(self.0))
        }

        fn reset(&mut self) {
            self.0 = 0;
        }
    }

    /// When actors that live for `lives` seconds, one after the other, are started within an hour.
    async fn starts(lives: &'static [u64]) -> Vec<u64> {
        let begun: Rc<RefCell<Vec<u64>>> = Rc::default();
        let (seen, origin) = (begun.clone(), Instant::now());
        let kept = keep(Name::Part("the mortal"), Growing::default(), move |_| {
            let mut begun = begun.borrow_mut();
            let life = lives.get(begun.len()).copied();
            begun.push(origin.elapsed().as_secs());
            assert!(life != Some(0), "a panic on purpose");
            Mortal(Duration::from_secs(life.unwrap_or(10_000))).start()
        });
        sleep(Duration::from_secs(3600)).await;
        drop(kept);
        seen.borrow().clone()
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_restart_is_quick_and_the_next_ones_wait_ever_longer() {
        let begun = LocalSet::new().run_until(starts(&[3, 3, 3, 3])).await;
        let between: Vec<u64> = begun.windows(2).map(|pair| pair[1] - pair[0]).collect();
        for (pause, expected) in between.iter().zip([3, 8, 13, 18]) {
            assert!((expected..=expected + 1).contains(pause), "{between:?}");
        }
        assert_eq!(begun.len(), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn an_actor_that_ran_long_begins_anew() {
        let begun = LocalSet::new().run_until(starts(&[3, 3, 700, 3])).await;
        let last = begun[3] - begun[2];
        assert!((700..=701).contains(&last), "restarted at once after {last} s");
    }

    #[tokio::test(start_paused = true)]
    async fn an_actor_that_cannot_be_started_is_tried_again() {
        let begun = LocalSet::new().run_until(starts(&[0, 0])).await;
        assert_eq!(begun, [0, 0, 5]);
    }
}
