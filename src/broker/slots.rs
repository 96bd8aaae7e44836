//! Sends on the quarters of an hour that the history has, in order and in bounded loads. What waits is in the
//! store; how far it was acknowledged as well.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use ring::digest::{SHA256, digest};
use tokio::time::sleep;

use super::{Reporter, identity};
use crate::clock::unix_time;
use crate::directory::Entry;
use crate::link::broker::records::SlotRecord;
use crate::link::broker::standing::Goods;
use crate::nats::letters::Letter;
use crate::store::history::cursors::Usage;
use crate::store::history::queries::waiting::{Rows, Slot, Waiting};

/// Slots that are under way at once.
const MOST: u32 = 100;
/// From one load to the next: years are sent without hurry.
const BETWEEN: Duration = Duration::from_millis(100);
/// How often it is looked whether something waits.
const ROUND: Duration = Duration::from_secs(30);

/// Sends until it is dropped.
pub async fn forward(reporter: &Reporter) {
    let (history, broker) = (&reporter.house.history, &reporter.broker);
    let (peer, file) = (reporter.peer(), identity::of(history).await);
    let mut waiting = Waiting { peer: peer.clone(), most: MOST, ..Waiting::default() };
    let mut trouble = reporter.trouble("quarters of an hour");
    loop {
        broker.there().await;
        waiting.now = unix_time();
        // The history has those that are watched as well, which their sites send.
        waiting.only = reporter.watches.then(|| ids(&reporter.house.directory.own()));
        let asked = waiting.clone();
        // What cannot be read is logged by those who write it.
        let next = history.ask(move |connection| asked.next(connection)).await.unwrap_or_default();
        let Some((load, Rows::Slots(slots))) = next.map(|load| (load.gateway, load.rows)) else {
            sleep(ROUND).await;
            continue;
        };
        let letters = slots.iter().map(|slot| letter(reporter, &file, &load, slot));
        let results = broker.publish_all(letters).await;
        let taken = results.iter().take_while(|result| result.is_ok()).count();
        if let Some(last) = slots[..taken].last() {
            reporter.house.standing.went(Goods::Slots, taken);
            let (reached, key) = (last.at as f64, (Usage::SendSlots, load.clone()));
            // If it cannot be written, it is known here until this ends.
            let _ = history.reach((key.0, &peer), &key.1, reached).await;
            waiting.reached.insert(key, reached);
        }
        match results.into_iter().find_map(Result::err) {
            None => trouble.is_over(),
            Some(why) => trouble.is(why.to_string()).await,
        }
        sleep(BETWEEN).await;
    }
}

fn ids(entries: &[Arc<Entry>]) -> HashSet<String> {
    entries.iter().map(|entry| entry.id.clone()).collect()
}

/// A slot that is sent again has the same id, unless it says something else.
fn letter(reporter: &Reporter, file: &str, gateway: &str, slot: &Slot) -> Letter {
    let body = SlotRecord::of(slot).to_bytes();
    let hash = digest(&SHA256, &body);
    let revision: String = hash.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let start = slot.at;
    Letter {
        subject: reporter.broker.subjects.slots(&reporter.site.id, &level(gateway)),
        body,
        id: Some(format!("{file}/{gateway}/{start}/{revision}")),
        ..Letter::default()
    }
}

/// Ids of gateways that were imported may have anything in them.
fn level(gateway: &str) -> String {
    let plain = |character: char| character.is_ascii_alphanumeric() || "_-".contains(character);
    gateway.chars().map(|character| if plain(character) { character } else { '_' }).collect()
}
