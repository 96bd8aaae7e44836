//! `docs/compatibility.md` says what is served, and forgets no route of the servers before ours.

mod common;

use actix_web::http::Method;
use common::{OWNER, Outputs, snapshot, telemetry};
use powerwall_server::model::Freshness;
use powerwall_server::simulator::SiteKind;
use powerwall_server::web::compatibility;

/// Every route of pypowerwall-server 0.13 (all but the last line) and what only the proxy has (the last
/// line). Those with actions in their path are written once.
const THEIRS: &str = "\
/ /console /history /example /example.html /favicon.ico /favicon-16x16.png /favicon-32x32.png /static/{file} \
/docs /docs/oauth2-redirect /redoc /openapi.json /[object%20Object] /health POST:/health/reset /stats \
/version /api/mqtt/status \
/aggregates /soe /battery /vitals /strings /freq /pod /json /csv /csv/v2 /temps /temps/pw /alerts /alerts/pw \
/fans /fans/pw /tedapi /tedapi/config /tedapi/status /tedapi/components /tedapi/battery /tedapi/controller \
/api/meters/aggregates /api/meters /api/meters/site /api/meters/solar /api/meters/readings \
/api/system_status /api/system_status/soe /api/system_status/grid_status /api/system_status/grid_faults \
/api/status /api/site_info /api/site_info/site_name /api/site_info/grid_codes /api/sitemaster /api/operation \
/api/powerwalls /api/networks /api/system/networks /api/system/update/status /api/solars /api/solars/brands \
/api/solar_powerwall /api/customer /api/customer/registration /api/installer \
/api/synchrometer/ct_voltage_references /api/troubleshooting/problems /api/auth/toggle/supported \
POST:/api/login/Basic \
/pw/level /pw/power /pw/site /pw/grid /pw/solar /pw/battery /pw/load /pw/home /pw/battery_blocks /pw/vitals \
/pw/temps /pw/strings /pw/din /pw/uptime /pw/version /pw/status /pw/system_status /pw/grid_status \
/pw/aggregates /pw/site_name /pw/alerts /pw/is_connected /pw/get_reserve /pw/get_mode /pw/get_time_remaining \
/api/gateways /api/gateways/{id} /api/gateways/{id}/vitals /api/gateways/{id}/strings \
/api/gateways/{id}/aggregates /api/gateways/{id}/api/{path} POST:/api/gateways/{id}/api/{path} \
/api/aggregate /api/aggregate/power /api/aggregate/soe /api/aggregate/battery /api/aggregate/strings \
/api/aggregate/alerts /api/aggregate/vitals \
/api/timeseries/daily /api/timeseries/today /api/timeseries/trend /api/timeseries/samples \
/api/timeseries/status /api/timeseries/signals /api/timeseries/signal_trend \
/api/tesla/tariff_rate POST:/api/tesla/time_of_use_settings \
/control/status /control/{action} \
/ws/aggregate /ws/gateway/{id} \
/help /stats/clear /health/reset /cloud /cloud/battery /cloud/power /cloud/config /fleetapi /fleetapi/info \
/fleetapi/status /index.html /viz-static/{file} /bogus/{file}";

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/compatibility.md");

/// Paths in the first column, with the cells behind.
fn rows(page: &str) -> Vec<(String, Vec<String>)> {
    let cells = |line: &str| line.split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
    let lines = page.lines().filter(|line| line.starts_with("| `")).map(cells);
    lines.map(|cells| (cells[1].trim_matches('`').to_owned(), cells[2..].to_vec())).collect()
}

#[test]
fn the_page_is_what_the_table_says() {
    let expected = compatibility();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(PAGE, &expected).unwrap();
    }
    let page = std::fs::read_to_string(PAGE).unwrap_or_default();
    assert!(page == expected, "UPDATE_DOCS=1 cargo test --test compatibility");
}

#[test]
fn no_route_of_the_servers_before_is_forgotten() {
    let known = rows(&compatibility());
    let has = |path: &str, method: &str| {
        known.iter().any(|(row, cells)| {
            let as_row = row == path && (cells.len() == 2 || cells[0].contains(method));
            as_row || *row == format!("{method} {path}")
        })
    };
    let forgotten: Vec<&str> = THEIRS
        .split_whitespace()
        .filter(|route| match route.split_once(':') {
            Some((method, path)) => !has(path, method),
            None => !has(route, "GET"),
        })
        .collect();
    assert!(forgotten.is_empty(), "{forgotten:?}");
}

/// Every route of the table, in both forms and by both methods, and by one that it does not have.
#[actix_web::test]
async fn every_route_takes_both_slash_forms_a_query_and_head_and_says_its_length() {
    let telemetry = telemetry(SiteKind::Powerwall3).await;
    let outputs = Outputs::guarded(vec![snapshot("home", &telemetry, Freshness::Live)]);
    for (row, cells) in rows(&compatibility()) {
        // Feeds end when their client goes; they have tests of their own.
        let served = cells.len() > 2 && !row.starts_with("/ws/") && !row.starts_with("/sse/");
        if !served {
            continue;
        }
        let path = row.replace("{id}", "home").replace("{path}", "status").replace("{file}", "live.js");
        let path = path.replace("{action}", "reserve");
        let readable = cells[0].contains("GET");
        let plain = outputs.get(&path).await;
        let is_page = plain.header("content-type").is_some_and(|kind| kind.starts_with("text/html"));
        // A file has a name, and a slash would make it another one.
        let slashed =
            if row.contains("{file}") { path.clone() } else { format!("{}/", path.trim_end_matches('/')) };
        for form in [path.clone(), slashed, format!("{path}?x=1&y")] {
            let answer = outputs.send(Method::GET, &form, &OWNER).await;
            if answer.status == 308 {
                // Addresses in a page are relative, so the form with a slash leads to the one without.
                let there =
                    answer.header("location").and_then(|there| there.strip_prefix("..")).expect(&form);
                assert_eq!(outputs.get(there).await.status, 200, "{there} of {form}");
                continue;
            }
            // A page sends to the form that its relative links need.
            if answer.status == 308 && is_page && form.ends_with('/') {
                continue;
            }
            let good = match row.as_str() {
                // No gateway here has a link to Tesla's cloud.
                "/api/tesla/tariff_rate" => 503,
                // No site is watched here.
                "/api/fleet/journal" => 503,
                // Nothing is recorded here.
                "/api/history" => 503,
                // Nothing was ordered here.
                "/api/orders/{id}" | "/api/fleet/orders/{id}" => 404,
                _ if readable => 200,
                _ => 405,
            };
            assert_eq!(answer.status, good, "{form}");
            let length = answer.header("content-length").map(str::to_owned);
            assert_eq!(length, Some(answer.body.len().to_string()), "{form}");
            assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{form}");
            let head = outputs.send(Method::HEAD, &form, &OWNER).await;
            assert_eq!((head.status, head.body.len()), (answer.status, 0), "HEAD {form}");
            // What carries the time may have grown a digit.
            assert!(head.header("content-length").is_some(), "HEAD {form}");
        }
        let other = outputs.send(Method::DELETE, &path, &[]).await;
        assert_eq!((other.status, other.header("allow")), (405, Some(cells[0].as_str())), "DELETE {path}");
        assert_eq!(other.body, r#"{"detail":"Method Not Allowed"}"#, "DELETE {path}");
        if !cells[0].contains("POST") {
            assert_eq!(outputs.send(Method::POST, &path, &[]).await.status, 405, "POST {path}");
        }
    }
}
