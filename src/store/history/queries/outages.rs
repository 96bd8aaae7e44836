//! When the grid was away, as the journal has it.

use rusqlite::{Connection, params};
use serde_json::Value;

/// A time in which a site was cut off from the grid.
#[derive(Clone, Debug, PartialEq)]
pub struct Outage {
    /// Unix seconds; `None`: it had begun when the gateway was read first.
    pub start: Option<f64>,
    /// Unix seconds; `None`: it has not ended.
    pub end: Option<f64>,
}

impl Outage {
    fn touches(&self, (start, end): (f64, f64)) -> bool {
        self.start.is_none_or(|begun| begun < end) && self.end.is_none_or(|ended| ended > start)
    }
}

/// The outages of `gateway` that touch a range of Unix seconds, in order.
///
/// # Errors
/// If the file cannot be read.
pub fn outages(connection: &Connection, gateway: &str, range: (f64, f64)) -> rusqlite::Result<Vec<Outage>> {
    // An outage may be longer than any range; there are few of them.
    let query = "SELECT at, detail FROM journal WHERE kind = 'grid' AND gateway = ?1 ORDER BY id";
    let mut statement = connection.prepare_cached(query)?;
    let mut rows = statement.query(params![gateway])?;
    let (mut found, mut begun) = (Vec::new(), None);
    while let Some(row) = rows.next()? {
        let (at, detail): (f64, String) = (row.get(0)?, row.get(1)?);
        let detail: Value = serde_json::from_str(&detail).unwrap_or_default();
        let since = detail["since"].as_f64();
        match detail["state"].as_str() {
            Some("began") => begun = begun.or(since).or(Some(at)),
            Some("ended") => {
                found.push(Outage { start: since.or(begun), end: Some(at) });
                begun = None;
            }
            _ => {}
        }
    }
    found.extend(begun.map(|start| Outage { start: Some(start), end: None }));
    found.retain(|outage| outage.touches(range));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::schema;

    #[test]
    fn an_outage_is_what_the_journal_says_began_and_ended() {
        let mut file = Connection::open_in_memory().unwrap();
        schema::migrate(&mut file, 0).unwrap();
        for (at, gateway, kind, detail) in [
            (100.0, "home", "grid", r#"{"state":"ended","since":null,"seconds":null}"#),
            (200.0, "home", "grid", r#"{"state":"began","since":199.0}"#),
            (250.0, "home", "outage", r#"{"state":"began","since":240.0}"#),
            (300.0, "home", "grid", r#"{"state":"ended","since":199.0,"seconds":101}"#),
            (310.0, "cabin", "grid", r#"{"state":"began","since":310.0}"#),
            (400.0, "home", "grid", r#"{"state":"began","since":400.0}"#),
        ] {
            let values = params![at, gateway, kind, detail];
            file.execute("INSERT INTO journal (at, gateway, kind, detail) VALUES (?, ?, ?, ?)", values)
                .unwrap();
        }
        let of = |gateway: &str, range| {
            let found = outages(&file, gateway, range).unwrap();
            found.into_iter().map(|Outage { start, end }| (start, end)).collect::<Vec<_>>()
        };
        let all = [(None, Some(100.0)), (Some(199.0), Some(300.0)), (Some(400.0), None)];
        assert_eq!(of("home", (0.0, 500.0)), all);
        assert_eq!(of("home", (100.0, 200.0)), all[1..2]);
        assert_eq!(of("home", (600.0, 700.0)), all[2..], "it goes on");
        assert_eq!(of("cabin", (0.0, 500.0)), [(Some(310.0), None)]);
        assert_eq!(of("barn", (0.0, 500.0)), []);
    }
}
