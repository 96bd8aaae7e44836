//! `/api/history/health`: what each battery could hold, month by month, beside what it held when it was new.

use std::collections::HashMap;
use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::web::Data;
use serde_json::{Map, Value, json};

use super::State;
use super::route::Later;
use super::timeseries::{Unanswered, answered, of_units, serial_in};
use crate::model::{Telemetry, UnitKind};
use crate::pieces;
use crate::store::StoreError;
use crate::store::history::queries::health::{UnitHealth, health as read};

/// What is left of a new battery after ten years at least, as Tesla warrants it for homes.
const WARRANTED: f64 = 0.7;

/// What is known of a unit beside its history.
type Known = (String, i64, UnitKind);

pub(super) fn health(state: Data<State>, _: HttpRequest) -> Later {
    Box::pin(async move { answered(shown(&state).await.map_err(Unanswered::from)) })
}

async fn shown(state: &State) -> Result<Value, StoreError> {
    let mut gateways = Map::new();
    let ids: Vec<String> = state.directory.all().iter().map(|entry| entry.id.clone()).collect();
    let asked = ids.clone();
    let found = state.history.ask(move |connection| {
        asked.iter().map(|id| read(connection, id)).collect::<rusqlite::Result<Vec<_>>>()
    });
    for (id, units) in ids.into_iter().zip(found.await?) {
        let known = known(state, &id, &units).await;
        let mut documents: Vec<(i64, Value)> =
            units.iter().map(|unit| document(unit, known.get(serial_in(&unit.device)))).collect();
        documents.sort_by_key(|(order, _)| *order);
        let units: Vec<Value> = documents.into_iter().map(|(_, document)| document).collect();
        gateways.insert(id, json!({ "units": units }));
    }
    Ok(json!({ "gateways": gateways }))
}

/// What the gateway `id` says of `units`, by serial.
async fn known(state: &State, id: &str, units: &[UnitHealth]) -> HashMap<String, Known> {
    let serials: Vec<String> = units.iter().map(|unit| serial_in(&unit.device).to_owned()).collect();
    let snapshot = state.directory.get(id).map(|entry| entry.board.read());
    let reading = snapshot.as_ref().and_then(|snapshot| snapshot.reading.as_ref());
    let Some(telemetry) = reading.map(|reading| reading.telemetry.clone()) else { return HashMap::new() };
    pieces::in_turn(move || of_telemetry(&telemetry, serials)).await.unwrap_or_default()
}

fn of_telemetry(telemetry: &Arc<Telemetry>, serials: Vec<String>) -> HashMap<String, Known> {
    let kinds: HashMap<String, UnitKind> = telemetry
        .look(|site| site.units.iter().flatten().map(|unit| (unit.serial.clone(), unit.kind)).collect());
    let named = of_units(telemetry, serials).into_iter();
    named
        .map(|(serial, (name, order))| {
            let kind = kinds.get(&serial).copied().unwrap_or_default();
            (serial, (name, order, kind))
        })
        .collect()
}

/// Where it stands in the list, and what is shown. Of a kind that is not known, nobody knows what a new one
/// holds.
fn document(unit: &UnitHealth, known: Option<&Known>) -> (i64, Value) {
    let serial = serial_in(&unit.device);
    let (name, order, kind) = match known {
        Some((name, order, kind)) => (name.as_str(), *order, *kind),
        None => (serial, i64::MAX, UnitKind::Unknown),
    };
    let new = kind.new_capacity();
    let months: Vec<Value> = unit
        .months
        .iter()
        .map(|(month, capacity)| json!({ "month": month, "capacity_wh": capacity }))
        .collect();
    let last = unit.months.last().map(|(_, capacity)| *capacity);
    let part = |of: Option<f64>| of.zip(new).map(|(of, new)| of / new);
    let document = json!({
        "device": unit.device, "serial": serial, "name": name, "months": months, "new_wh": new,
        "warranted_wh": new.map(|new| new * WARRANTED), "share_of_new": part(last),
        "discharged_wh": unit.discharged, "full_cycles": part(unit.discharged),
    });
    (order, document)
}
