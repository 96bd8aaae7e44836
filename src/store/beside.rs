//! Writes into the file beside the service, in short changes with pauses, so that recording waits for none of
//! them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::time::{Instant, sleep};

use super::StoreError;
use super::database::{connect, is_busy, reason};

/// The service gets this long at least after each change.
const REST: Duration = Duration::from_millis(2);
/// Attempts at one change while the file is busy. Each waits for five seconds.
const ATTEMPTS: u32 = 12;

/// A connection beside that of the service, if there is one.
pub struct Beside {
    path: PathBuf,
    connection: Connection,
}

impl Beside {
    /// Opens the file at `path`; a new one if there is none.
    ///
    /// # Errors
    /// If it cannot be used. A damaged file stays where it is.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Ok(Self { path: path.to_owned(), connection: connect(path)? })
    }

    /// # Errors
    /// If the file cannot be read.
    pub fn read<T>(&self, query: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        query(&self.connection)
            .map_err(|error| StoreError::Unusable { path: self.path.clone(), why: reason(&error) })
    }

    /// Makes `change` as a whole or not at all, and then rests for as long as it took.
    ///
    /// # Errors
    /// If the file cannot be written, or others have held it for a minute.
    pub async fn write<T>(
        &mut self,
        mut change: impl FnMut(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let mut attempts = 0;
        loop {
            let started = Instant::now();
            let outcome = self.attempt(&mut change);
            sleep(started.elapsed().max(REST)).await;
            attempts += 1;
            match outcome {
                Ok(outcome) => return Ok(outcome),
                Err(error) if is_busy(&error) && attempts < ATTEMPTS => {}
                Err(error) => {
                    return Err(StoreError::Unwritten { path: self.path.clone(), why: reason(&error) });
                }
            }
        }
    }

    fn attempt<T>(
        &mut self,
        change: &mut impl FnMut(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let outcome = change(&transaction)?;
        transaction.commit()?;
        Ok(outcome)
    }
}
