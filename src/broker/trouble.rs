//! What keeps something from being sent on: said once, with a pause that grows.

use log::{info, warn};
use tokio::time::{Instant, sleep_until};

use crate::link::broker::standing::Standing;
use crate::pause::Pause;

/// For one of the things that are sent on.
pub struct Trouble {
    what: &'static str,
    /// What was said last; `None`: nothing is in the way.
    said: Option<String>,
    pause: Pause,
    /// Where others are shown it.
    standing: Standing,
}

impl Trouble {
    pub fn new(what: &'static str, seed: u64, standing: Standing) -> Self {
        Self { what, said: None, pause: Pause::back_off(seed), standing }
    }

    pub fn is_over(&mut self) {
        if self.said.take().is_some() {
            self.standing.obstacle(self.what, None);
            info!(event = "broker"; "the broker takes {} again", self.what);
        }
        self.pause.succeeded(Instant::now());
    }

    /// Says what is in the way, unless that was said, and waits.
    pub async fn is(&mut self, why: String) {
        if self.said.as_ref() != Some(&why) {
            warn!(event = "broker"; "{} are not at the broker: {why}; nothing is lost", self.what);
            self.standing.obstacle(self.what, Some(&why));
            self.said = Some(why);
        }
        sleep_until(self.pause.failed(Instant::now())).await;
    }
}
