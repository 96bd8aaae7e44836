//! What keeps something from going on: said once, with a pause that grows.

use log::{info, warn};
use tokio::time::{Instant, sleep_until};

use crate::pause::Pause;

/// Shows others what is in the way; `None`: nothing is.
type Shown = Box<dyn Fn(Option<&str>)>;

/// How the log says it.
#[derive(Clone, Debug)]
pub struct Words {
    /// `broker` or `export`.
    pub event: &'static str,
    /// What does not go: "slots of > stay at the broker".
    pub stopped: String,
    /// What goes again: "slots of > are passed on again".
    pub goes: String,
}

/// Of one of the things that go on by themselves.
pub struct Trouble {
    words: Words,
    /// What was said last; `None`: nothing is in the way.
    said: Option<String>,
    pause: Pause,
    /// For those who do not read the log.
    shown: Shown,
}

impl Trouble {
    pub fn new(words: Words, pause: Pause, shown: impl Fn(Option<&str>) + 'static) -> Self {
        Self { words, said: None, pause, shown: Box::new(shown) }
    }

    pub fn is_over(&mut self) {
        if self.said.take().is_some() {
            (self.shown)(None);
            info!(event = self.words.event; "{}", self.words.goes);
        }
        self.pause.succeeded(Instant::now());
    }

    /// Says what is in the way, unless that was said, and waits.
    pub async fn is(&mut self, why: String) {
        if self.said.as_ref() != Some(&why) {
            warn!(event = self.words.event; "{}: {why}", self.words.stopped);
            (self.shown)(Some(&why));
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
        let words = Words { event: "broker", stopped: "it stops".into(), goes: "it goes".into() };
        let mut trouble = Trouble::new(words, Pause::back_off(1), move |why| {
            noted.borrow_mut().push(why.map(str::to_owned));
        });
        trouble.is_over();
        let begin = Instant::now();
        for why in ["full", "full", "away", "away"] {
            trouble.is(why.into()).await;
        }
        assert!(begin.elapsed().as_secs() >= 5 + 10 + 30 + 60);
        trouble.is_over();
        assert_eq!(*shown.borrow(), [Some("full".to_owned()), Some("away".into()), None]);
        let begin = Instant::now();
        trouble.is("full".into()).await;
        assert!(begin.elapsed().as_secs() < 10, "the pause begins anew");
    }
}
