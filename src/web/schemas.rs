//! What bodies look like: the schemas of `/openapi.json`, written by hand, by the names that routes use.
//!
//! They hold for every link and every state of a gateway. What is passed on as the gateway reports it has a
//! unit and no type, because nobody promises one; what this program makes is exact, and an object that lists
//! its keys lists all of them unless it says `additionalProperties`. A test holds every answer against them.

use serde_json::{Map, Value};

use crate::views::View;

/// Schemas by name.
const FILES: [&str; 9] = [
    include_str!("schemas/quantities.json"),
    include_str!("schemas/customer.json"),
    include_str!("schemas/facts.json"),
    include_str!("schemas/gateways.json"),
    include_str!("schemas/service.json"),
    include_str!("schemas/live.json"),
    include_str!("schemas/orders.json"),
    include_str!("schemas/fleet.json"),
    include_str!("schemas/history.json"),
];

/// All of them.
pub(super) fn all() -> Map<String, Value> {
    // A test reads them; what is wrong in one leaves the routes as they are.
    let files = FILES.iter().map(|file| serde_json::from_str::<Map<_, _>>(file).unwrap_or_default());
    files.flatten().collect()
}

/// The name of the schema of `view`.
pub(super) const fn of_view(view: View) -> &'static str {
    match view {
        View::Aggregates => "Aggregates",
        View::Soe => "StateOfEnergyRaw",
        View::Battery => "BatteryPower",
        View::Vitals => "Vitals",
        View::Strings => "Strings",
        View::Temps => "Temperatures",
        View::TempsPw => "NumberedTemperatures",
        View::Alerts => "Alerts",
        View::AlertsPw => "AlertFlags",
        View::Fans => "Fans",
        View::FansPw => "NumberedFans",
        View::Freq => "Frequencies",
        View::Pod => "Pods",
        View::Json => "MostWanted",
        View::Csv | View::CsvV2 => "Text",
        View::Version => "Version",
        View::SystemStatus => "SystemStatus",
        View::SystemSoe => "StateOfEnergy",
        View::GridStatus => "GridStatus",
        View::Status => "Status",
        View::SiteInfo => "SiteInfo",
        View::MetersSite => "SiteMeters",
        View::MetersSolar => "SolarMeters",
        View::Powerwalls => "Powerwalls",
        View::Networks => "Networks",
        View::TedapiConfig
        | View::TedapiStatus
        | View::TedapiController
        | View::TedapiComponents
        | View::TedapiBattery => "GatewayDocument",
        View::PwLevel => "PwLevel",
        View::PwPower => "PwPower",
        View::PwSite | View::PwSolar | View::PwBattery | View::PwLoad => "MeterReport",
        View::PwBatteryBlocks => "PwBatteryBlocks",
        View::PwStrings => "PwStrings",
        View::PwDin => "PwDin",
        View::PwUptime => "PwUptime",
        View::PwSiteName => "PwSiteName",
        View::PwAlerts => "PwAlerts",
        View::PwReserve => "PwReserve",
        View::PwMode => "PwMode",
        View::PwTimeRemaining => "PwTimeRemaining",
        View::Data => "GatewayData",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::web::route::{Answer, Content};
    use crate::web::routes::ROUTES;

    /// The names that `value` refers to.
    fn references<'a>(value: &'a Value, found: &mut HashSet<&'a str>) {
        match value {
            Value::Object(fields) => {
                if let Some(reference) = fields.get("$ref").and_then(Value::as_str) {
                    found.insert(reference.strip_prefix("#/components/schemas/").expect(reference));
                }
                fields.values().for_each(|field| references(field, found));
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }

    #[test]
    fn every_schema_has_one_name_and_is_used_and_every_name_has_a_schema() {
        let parsed: Vec<Map<String, Value>> =
            FILES.iter().map(|file| serde_json::from_str(file).unwrap()).collect();
        let schemas = all();
        assert_eq!(schemas.len(), parsed.iter().map(Map::len).sum::<usize>(), "a name twice");
        let mut used = HashSet::from(["Error", "OrderRefused", "WrongParameter"]);
        schemas.values().for_each(|schema| references(schema, &mut used));
        for route in ROUTES {
            used.extend([route.shows, route.confirms].iter().filter(|name| !name.is_empty()));
        }
        for name in &used {
            assert!(schemas.contains_key(*name), "{name} is not in web/schemas/");
        }
        let unused: Vec<_> = schemas.keys().filter(|name| !used.contains(name.as_str())).collect();
        assert!(unused.is_empty(), "{unused:?}");
    }

    #[test]
    fn every_route_with_json_says_which_schema() {
        for route in ROUTES {
            let says = !route.shows.is_empty()
                || matches!(route.answer, Answer::Fixed { .. } | Answer::OrdersOnly)
                || route.content != Content::Json;
            assert!(says, "{}: write a schema in web/schemas/ and name it by .shows()", route.path);
            assert_eq!(route.order.is_some(), !route.confirms.is_empty(), "POST {}", route.path);
        }
    }
}
