//! The name of the file that the journal and the history stand in: what its numbers mean ends with it.

use crate::store::history::History;
use crate::store::history::cursors::{self, Usage};

/// Numbers up to here are exact in the table.
const MOST: u64 = 1 << 52;

/// The name, made when it is asked for the first time. Without a file it is another one at each call.
pub async fn of(history: &History) -> String {
    let query = |connection: &rusqlite::Connection| cursors::reached(connection, (Usage::File, ""), "");
    match history.ask(query).await {
        Ok(Some(number)) => name(number),
        _ => renew(history).await,
    }
}

/// Gives the file another name: what it says now is not what it said.
pub async fn renew(history: &History) -> String {
    let number = (rand::random::<u64>() % MOST) as f64;
    // If it cannot be kept, the next run has another one, and what was not acknowledged is sent under it.
    let _ = history.reach((Usage::File, ""), "", number).await;
    name(number)
}

fn name(number: f64) -> String {
    format!("{:013x}", number as u64)
}
