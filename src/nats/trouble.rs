//! What keeps something from going on: said once, shown while it lasts, with a pause that grows.

use std::time::Duration;

use log::{info, warn};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::time::{Instant, sleep_until};

use crate::pause::{Growth, Pause};

/// Servers that lost their leader have another one within seconds, and what lasted for long is over within a
/// minute after its reason is.
const AGAIN: Growth = Growth::Steps(&[
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(10),
    Duration::from_secs(20),
]);

/// Given what is kept back, and why.
type Show = Box<dyn Fn(&str, Option<&str>)>;

/// For one of the things that go over the broker.
pub struct Trouble {
    /// What it keeps back, such as `sending reports`.
    what: String,
    /// What was said last; `None`: nothing is in the way.
    said: Option<String>,
    pause: Pause,
    /// Shows others what is kept back, and why; without a reason, that it is not any more.
    show: Show,
}

impl Trouble {
    pub fn new(what: String, seed: u64, show: impl Fn(&str, Option<&str>) + 'static) -> Self {
        let pause = Pause::new(AGAIN, Instant::now()).with_jitter(StdRng::seed_from_u64(seed));
        Self { what, said: None, pause, show: Box::new(show) }
    }

    pub fn is_over(&mut self) {
        if self.said.take().is_some() {
            (self.show)(&self.what, None);
            info!(event = "broker"; "{}: it goes on", self.what);
        }
        self.pause.succeeded(Instant::now());
    }

    /// Says what is in the way, unless that was said, and waits.
    pub async fn is(&mut self, why: String) {
        if self.said.as_ref() != Some(&why) {
            (self.show)(&self.what, Some(&why));
            warn!(event = "broker"; "{}: {why}; tried again, nothing is lost", self.what);
            self.said = Some(why);
        }
        sleep_until(self.pause.failed(Instant::now())).await;
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_in_the_way_is_shown_once_and_waited_for_longer_each_time() {
        let shown = Rc::new(RefCell::new(Vec::new()));
        let noted = shown.clone();
        let show = move |_: &str, why: Option<&str>| noted.borrow_mut().push(why.map(str::to_owned));
        let mut trouble = Trouble::new("sending".into(), 1, show);
        trouble.is_over();
        let begin = Instant::now();
        for why in ["full", "full", "away", "away"] {
            trouble.is(why.into()).await;
        }
        assert!(begin.elapsed().as_secs() >= 2 + 5 + 10 + 20);
        trouble.is_over();
        assert_eq!(*shown.borrow(), [Some("full".to_owned()), Some("away".into()), None]);
        let begin = Instant::now();
        trouble.is("full".into()).await;
        assert!(begin.elapsed().as_secs() < 5, "the pause begins anew");
    }
}
