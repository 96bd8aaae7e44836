//! Sends what waits, in order and in bounded loads. What could not be sent is sent later, from the store:
//! nothing waits for it in memory.

use std::collections::HashSet;
use std::time::Duration;

use log::{info, warn};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::time::{Instant, sleep, sleep_until};

use super::lines;
use super::target::{Sent, Target};
use crate::clock::unix_time;
use crate::pause::{BACK_OFF, Pause};
use crate::settings::ExportSettings;
use crate::store::history::History;
use crate::store::history::queries::waiting::Waiting;

/// Rows that are sent at once at most.
const MOST: u32 = 500;
/// From one load to the next: years are sent without hurry.
const BETWEEN: Duration = Duration::from_millis(250);
/// How often it is looked whether something waits.
const ROUND: Duration = Duration::from_secs(60);

/// Sends to the database of `settings` until it is dropped. `only`: gateways whose slots are sent; `None`: of
/// all.
pub async fn send(
    settings: &ExportSettings,
    history: &History,
    only: impl Fn() -> Option<HashSet<String>>,
    target: impl Target,
    seed: u64,
) {
    let name = settings.name();
    let mut pause = Pause::new(BACK_OFF, Instant::now()).with_jitter(StdRng::seed_from_u64(seed));
    let mut waiting = Waiting { peer: name.clone(), power: settings.power, most: MOST, ..Waiting::default() };
    let mut is_away = false;
    loop {
        waiting.now = unix_time();
        waiting.only = only();
        let asked = waiting.clone();
        // What cannot be read is logged by those who write it.
        let next = history.ask(move |connection| asked.next(connection)).await.unwrap_or_default();
        let Some(load) = next else {
            sleep(ROUND).await;
            continue;
        };
        let text = lines::of(&load);
        let sent = if text.is_empty() { Sent::Taken } else { target.take(text).await };
        let why = match sent {
            Sent::Taken => {
                if is_away {
                    info!(event = "export"; "{name} takes what is recorded again");
                }
                is_away = false;
                pause.succeeded(Instant::now());
                let key = (load.usage(), load.gateway);
                // If it cannot be written, it is known here until this ends.
                let _ = history.reach((key.0, &name), &key.1, load.reached).await;
                waiting.reached.insert(key, load.reached);
                sleep(BETWEEN).await;
                continue;
            }
            Sent::TooMuch if waiting.most > 1 => {
                waiting.most /= 2;
                continue;
            }
            Sent::TooMuch => "it takes no line at all".to_owned(),
            Sent::NotNow(why) => why,
        };
        if !is_away {
            warn!(event = "export"; "{name}: {why}; what is recorded is sent later");
        }
        is_away = true;
        sleep_until(pause.failed(Instant::now())).await;
    }
}

#[cfg(test)]
mod tests;
