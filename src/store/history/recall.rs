//! What a former run left behind for the next one: the last reading of each kind, and the zone.

use rusqlite::{Connection, OptionalExtension, Row};
use serde_json::{Value, json};

use crate::model::energy::ledger::State;
use crate::model::energy::{Flow, Flows};

/// Where a former run ended with a gateway.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recalled {
    /// `None`: it is new.
    pub state: Option<State>,
    /// The zone of its site, by its IANA name.
    pub zone: Option<String>,
}

impl Recalled {
    /// Of the two servers that may have written into the file, the one that wrote last counts: what it has
    /// added must not be added again.
    pub(super) fn read(connection: &Connection, id: &str) -> rusqlite::Result<Self> {
        let query = "SELECT zone, state FROM history_gateways WHERE id = ?1";
        let columns = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
        let ours: Option<(Option<String>, Option<String>)> =
            connection.query_row(query, [id], columns).optional()?;
        let (zone, state) = ours.unwrap_or_default();
        let ours = state.and_then(|text| from_text(&text));
        let query = "SELECT ts, solar_w, home_w, battery_charge_w, battery_discharge_w, grid_import_w, \
             grid_export_w FROM integration_state WHERE gateway_id = ?1";
        let theirs = connection.query_row(query, [id], of_server_before).optional()?;
        let state = match (ours, theirs) {
            (Some(ours), Some(theirs)) if theirs.at > ours.at => Some(theirs),
            (ours, theirs) => ours.or(theirs),
        };
        Ok(Self { state, zone })
    }
}

fn of_server_before(row: &Row<'_>) -> rusqlite::Result<State> {
    let mut power = Flows::default();
    for (place, flow) in Flow::ALL.into_iter().enumerate() {
        power[flow] = Some(row.get(place + 1)?);
    }
    Ok(State { at: row.get(0)?, power, counters: Flows::default(), din: None })
}

/// `state` as it is kept.
pub fn to_text(state: &State) -> String {
    let counters = state.counters.0.map(|counter| counter.map(|(at, energy)| [at, energy]));
    json!({ "at": state.at, "power": state.power.0, "counters": counters, "din": state.din }).to_string()
}

/// `None`: it is not understood, and recording begins anew.
pub(super) fn from_text(text: &str) -> Option<State> {
    let state: Value = serde_json::from_str(text).ok()?;
    let mut read = State { at: state["at"].as_f64()?, ..State::default() };
    for (place, flow) in Flow::ALL.into_iter().enumerate() {
        read.power[flow] = state["power"][place].as_f64();
        let counter = &state["counters"][place];
        read.counters[flow] = counter[0].as_f64().zip(counter[1].as_f64());
    }
    read.din = state["din"].as_str().map(str::to_owned);
    Some(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_read_as_it_was_written() {
        let state = State {
            at: 1_795_653_813.290_674,
            power: Flows([Some(0.1), None, Some(0.0), None, Some(7.25), None]),
            counters: Flows([Some((1_795_653_800.5, 123_456.789)), None, None, None, None, None]),
            din: Some("1707000-11-M--TG1".into()),
        };
        assert_eq!(from_text(&to_text(&state)), Some(state));
        assert_eq!(from_text("{}"), None);
        assert_eq!(from_text("not JSON"), None);
    }
}
