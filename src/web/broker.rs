//! `/api/broker`: how this program stands with the broker of a fleet.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Map, Value, json};

use super::State;
use super::plumbing::json_value;
use crate::link::broker::standing::{Goods, Side, Standing};

pub(super) fn standing(state: &State, _: &HttpRequest) -> HttpResponse {
    let side = |standing: &Standing, name: fn(&Side) -> Value| match standing.read() {
        Some(side) => shown(&side, name(&side)),
        None => Value::Null,
    };
    let standings = &state.standings;
    let site = side(&standings.site, |side| json!({ "id": side.names.first() }));
    let centre = side(&standings.centre, |side| json!({ "sites": side.names }));
    json_value(StatusCode::OK, &json!({ "site": site, "centre": centre }))
}

fn shown(side: &Side, mut body: Value) -> Value {
    let counts = Goods::ALL.iter().zip(side.counts);
    let counts: Map<String, Value> =
        counts.map(|(goods, count)| (goods.word().into(), count.into())).collect();
    body["server"] = json!(side.server);
    body["connected"] = json!(side.is_connected);
    body["since"] = json!(side.since);
    body["counts"] = counts.into();
    body["obstacles"] = json!(side.obstacles);
    body
}
