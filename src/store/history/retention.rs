//! What becomes too old or too much is removed, a little at a time: a clock that jumps ahead must not empty
//! the history, and recording must not wait for it.

use std::sync::Arc;

use arc_swap::ArcSwap;
use rusqlite::{Connection, Transaction, params};

use super::keeping::{Keep, Keeping};
use super::months;
use crate::clock::unix_time;
use crate::model::site::recorded::{CAPACITY, DISCHARGED};
use crate::store::{Database, Durability, Part, StoreError};

/// Every so many rounds of the store: once a minute.
const ROUNDS: u32 = 6;
/// Rows of a table that are removed at once: of a hundred gateways, more than are added in the same time.
const AT_ONCE: u32 = 10_000;
/// Pages that are given back at once.
const PAGES_AT_ONCE: u32 = 2_000;
/// A file that was begun by pypowerwall-server is written anew, so that it can give space back, if so much
/// in it is empty, in bytes …
const WORTH_COMPACTING: u64 = 8 << 20;
/// … and no more than this is not: it goes through memory, and nothing is recorded meanwhile.
const MOST_COMPACTED: u64 = 64 << 20;
const DAY: f64 = 86_400.0;

pub(super) struct Retention {
    keeping: Arc<ArcSwap<Keeping>>,
    /// Rounds until it is due again.
    wait: u32,
    /// Whether the file was written anew, or could not be: that is tried once.
    has_compacted: bool,
}

impl Retention {
    pub fn new(keeping: Arc<ArcSwap<Keeping>>) -> Self {
        Self { keeping, wait: 0, has_compacted: false }
    }
}

impl Part for Retention {
    fn tidy(&mut self, database: &mut Database) {
        if self.wait > 0 {
            self.wait -= 1;
            return;
        }
        self.wait = ROUNDS - 1;
        let keeping = self.keeping.load_full();
        if keeping.is_on() {
            // Has been logged, and is tried again a minute later.
            let _ = prune(database, &keeping, unix_time());
            if !self.has_compacted {
                self.has_compacted = compact(database) != Ok(false);
            }
        }
    }
}

/// Writes the file anew if it cannot give space back, and it is worth it.
fn compact(database: &mut Database) -> Result<bool, StoreError> {
    database.read(|connection| {
        let gives_back = pragma(connection, "auto_vacuum")? != 0;
        let empty = pragma(connection, "freelist_count")? * pragma(connection, "page_size")?;
        if gives_back || empty < WORTH_COMPACTING || bytes(connection)? > MOST_COMPACTED {
            return Ok(false);
        }
        connection.execute_batch("PRAGMA auto_vacuum = INCREMENTAL; VACUUM")?;
        Ok(true)
    })
}

fn pragma(connection: &Connection, name: &str) -> rusqlite::Result<u64> {
    let value: i64 = connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get(0))?;
    Ok(value.unsigned_abs())
}

pub(super) fn prune(database: &mut Database, keeping: &Keeping, now: f64) -> Result<(), StoreError> {
    database.write(Durability::Crash, |change| {
        if let Some(limit) = keeping.samples.limit() {
            remove_samples(change, now - limit.as_secs_f64())?;
        }
        if let Some(limit) = keeping.days.limit() {
            remove_days(change, now - limit.as_secs_f64())?;
        }
        // What was recorded before recording was switched off ages all the same.
        let signals =
            if keeping.signals == Keep::Never { Keeping::default().signals } else { keeping.signals };
        if let Some(limit) = signals.limit() {
            remove_signals(change, now - limit.as_secs_f64())?;
        }
        let Some(most) = keeping.most_bytes else { return Ok(()) };
        if bytes(change)? > most {
            remove_oldest(change)?;
        }
        Ok(())
    })?;
    database.read(|connection| {
        let query = format!("PRAGMA incremental_vacuum({PAGES_AT_ONCE})");
        let mut statement = connection.prepare(&query)?;
        let mut rows = statement.query([])?;
        while rows.next()?.is_some() {}
        Ok(())
    })
}

/// Bytes of the pages that hold something.
fn bytes(file: &Connection) -> rusqlite::Result<u64> {
    let pages = pragma(file, "page_count")?.saturating_sub(pragma(file, "freelist_count")?);
    Ok(pages * pragma(file, "page_size")?)
}

fn remove_samples(change: &Transaction<'_>, before: f64) -> rusqlite::Result<()> {
    let theirs = "DELETE FROM samples WHERE rowid IN
         (SELECT rowid FROM samples WHERE ts < ?1 ORDER BY ts LIMIT ?2)";
    change.execute(theirs, params![before, AT_ONCE])?;
    let ours = "DELETE FROM history_samples WHERE (gateway, at) IN
         (SELECT gateway, at FROM history_samples WHERE at < ?1 LIMIT ?2)";
    change.execute(ours, params![before, AT_ONCE]).map(|_| ())
}

/// Days go by their names in UTC, as with the server before. Their energy stays in their months.
fn remove_days(change: &Transaction<'_>, before: f64) -> rusqlite::Result<()> {
    let Ok(before) = jiff::Timestamp::from_second(before as i64) else { return Ok(()) };
    let day = before.strftime("%Y-%m-%d").to_string();
    months::keep_days_before(change, &day)?;
    for table in ["daily_energy", "history_days"] {
        change.execute(&format!("DELETE FROM {table} WHERE day < ?1"), [&day])?;
    }
    // What batteries could hold is kept: it is little, and worth something after years only.
    let query = "DELETE FROM device_daily WHERE day < ?1 AND series_id NOT IN
         (SELECT series_id FROM device_series WHERE metric IN (?2, ?3))";
    change.execute(query, params![day, CAPACITY, DISCHARGED]).map(|_| ())
}

/// A series without a value left goes with its last one: looked for where something was removed only.
fn remove_signals(change: &Transaction<'_>, before: f64) -> rusqlite::Result<()> {
    let query = "DELETE FROM device_samples WHERE (series_id, ts) IN
         (SELECT series_id, ts FROM device_samples WHERE ts < ?1 ORDER BY ts LIMIT ?2)";
    if change.execute(query, params![before, AT_ONCE])? > 0 {
        let query = "DELETE FROM device_series AS series WHERE
             NOT EXISTS (SELECT 1 FROM device_samples AS kept WHERE kept.series_id = series.series_id)
             AND NOT EXISTS (SELECT 1 FROM device_daily AS kept WHERE kept.series_id = series.series_id)";
        change.execute(query, [])?;
    }
    Ok(())
}

/// The oldest day of power, or the oldest day of signals where there is more of these. Slots and days stay.
fn remove_oldest(change: &Transaction<'_>) -> rusqlite::Result<()> {
    let oldest = |query: &str| change.query_row(query, [], |row| row.get::<_, Option<f64>>(0));
    let power = oldest("SELECT min(ts) FROM samples")?;
    let ours = oldest("SELECT min(at) FROM history_samples")?;
    let signals = oldest("SELECT min(ts) FROM device_samples")?;
    let first = [power, ours, signals].into_iter().flatten().reduce(f64::min);
    if let Some(first) = first {
        remove_samples(change, first + DAY)?;
        remove_signals(change, first + DAY)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::store::history::queries::energy::{Bucket, Question};

    /// The last sample of the file.
    const LAST: f64 = 1_795_653_813.0;

    struct Aged {
        folder: tempfile::TempDir,
        database: Database,
    }

    impl Aged {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("history.db");
            std::fs::copy("tests/fixtures/timeseries-0.13.0.db", &path).unwrap();
            Self { database: Database::at(path), folder }
        }

        fn prune(&mut self, keeping: &Keeping, now: f64) {
            prune(&mut self.database, keeping, now).unwrap();
        }

        fn count(&mut self, table: &str) -> i64 {
            let query = format!("SELECT count(*) FROM {table}");
            let count = |row: &rusqlite::Row<'_>| row.get(0);
            self.database.read(|connection| connection.query_row(&query, [], count)).unwrap()
        }
    }

    #[test]
    fn what_is_too_old_goes_and_days_stay() {
        let mut aged = Aged::new();
        let keeping = Keeping::default();
        aged.prune(&keeping, LAST);
        assert_eq!((aged.count("samples"), aged.count("device_samples")), (218, 250), "nothing is too old");
        aged.prune(&keeping, LAST + 86_400.0 - 100.0);
        let kept = aged.count("samples");
        assert!((30..60).contains(&kept), "{kept}: of the last hundred seconds");
        aged.prune(&keeping, LAST + 31.0 * 86_400.0);
        assert_eq!((aged.count("samples"), aged.count("device_samples")), (0, 0));
        assert_eq!((aged.count("daily_energy"), aged.count("device_daily")), (2, 25));
        assert_eq!(aged.count("device_series"), 25, "their days are still there");
        let short = Keeping { days: Keep::For(Duration::from_secs(86_400)), ..keeping };
        aged.prune(&short, LAST + 31.0 * 86_400.0);
        assert_eq!((aged.count("daily_energy"), aged.count("device_daily")), (0, 0));
    }

    #[test]
    fn a_month_is_the_same_before_and_after_its_days_are_removed() {
        let mut aged = Aged::new();
        let months = |aged: &mut Aged, gateway: &str| {
            let question = Question {
                gateway: gateway.to_owned(),
                zone: jiff::tz::TimeZone::UTC,
                start: LAST - 86_400.0,
                end: LAST,
                bucket: Bucket::Month,
                now: LAST,
            };
            aged.database.read(|connection| question.answer(connection)).unwrap().rows
        };
        let gateways = "SELECT DISTINCT gateway_id FROM daily_energy ORDER BY 1";
        let gateways: Vec<String> = aged
            .database
            .read(|connection| connection.prepare(gateways)?.query_map([], |row| row.get(0))?.collect())
            .unwrap();
        let before: Vec<_> = gateways.iter().map(|id| months(&mut aged, id)).collect();
        assert!(
            before.iter().all(|rows| rows.len() == 1 && rows[0].sum.energy.0[1] > Some(0.0)),
            "{before:?}"
        );
        let short = Keeping { days: Keep::For(Duration::from_secs(86_400)), ..Keeping::default() };
        for _ in 0..2 {
            aged.prune(&short, LAST + 31.0 * 86_400.0);
            assert_eq!(aged.count("daily_energy"), 0);
            let after: Vec<_> = gateways.iter().map(|id| months(&mut aged, id)).collect();
            assert_eq!(before, after);
        }
    }

    #[test]
    fn a_file_of_the_server_before_gives_its_space_back_once_it_is_worth_it() {
        let mut aged = Aged::new();
        let fill = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)
             INSERT INTO samples SELECT 'home', i, 1.5, 1.5, 1.5, 1.5, 1.5, 1.5, 50.5 FROM n";
        aged.database.write(Durability::Crash, |change| change.execute(fill, [])).unwrap();
        let len = |aged: &mut Aged| {
            let checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)";
            aged.database.read(|file| file.query_row(checkpoint, [], |_| Ok(()))).unwrap();
            std::fs::metadata(aged.folder.path().join("history.db")).unwrap().len()
        };
        let full = len(&mut aged);
        assert_eq!(compact(&mut aged.database), Ok(false), "nothing in it is empty");
        for _ in 0..11 {
            aged.prune(&Keeping::default(), LAST);
        }
        assert!(len(&mut aged) >= full, "SQLite would use the space again");
        assert_eq!(compact(&mut aged.database), Ok(true));
        assert!(len(&mut aged) < full / 10, "{} of {full}", len(&mut aged));
        assert_eq!((aged.count("samples"), aged.count("daily_energy")), (218, 2));
        assert_eq!(compact(&mut aged.database), Ok(false), "now it gives back by itself");
    }

    #[test]
    fn what_is_kept_for_ever_stays_unless_there_is_too_much() {
        let mut aged = Aged::new();
        let for_ever = Keeping { samples: Keep::Forever, signals: Keep::Forever, ..Keeping::default() };
        aged.prune(&for_ever, LAST + 1e9);
        assert_eq!((aged.count("samples"), aged.count("device_samples")), (218, 250));
        aged.prune(&Keeping { most_bytes: Some(10_000), ..for_ever }, LAST);
        assert_eq!((aged.count("samples"), aged.count("device_samples")), (0, 0), "all of it is of one day");
        assert_eq!((aged.count("daily_energy"), aged.count("device_daily")), (2, 25));
    }
}
