//! Every route with a fixed path: what it answers, and what it answers when a gateway has nothing to show.
//!
//! The table is the contract. The front door looks requests up in it, `/stats` counts by it, `/openapi.json` and the
//! tests are made from it.

use actix_web::{HttpRequest, HttpResponse};
use serde_json::Value;

use super::{State, about_gateway, api, assets, docs, health, stats};
use crate::model::Snapshot;
use crate::model::views::View;
use crate::model::views::status::Moment;

/// One path and what is there.
pub(super) struct Route {
    pub path: &'static str,
    pub answer: Answer,
    /// For people.
    pub summary: &'static str,
}

pub(super) enum Answer {
    /// A view of the default gateway's telemetry.
    View {
        view: View,
        /// Without telemetry to show.
        empty: &'static str,
        /// Without telemetry to show, for scripts that need the old zeros.
        zeros: Option<&'static str>,
    },
    /// Facts about the default gateway that change with the clock.
    Gateway(fn(&Snapshot, Moment) -> Value),
    /// Always the same.
    Fixed {
        body: &'static str,
        /// Whether it speaks of a gateway, so that there must be one.
        of_gateway: bool,
    },
    /// Of the service as a whole.
    Service(fn(&State, &HttpRequest) -> HttpResponse),
    /// A path with variable parts or an asynchronous answer; actix-web finds it.
    Routed,
}

const fn view(path: &'static str, view: View, empty: &'static str, summary: &'static str) -> Route {
    Route { path, answer: Answer::View { view, empty, zeros: None }, summary }
}

const fn zeroable(
    path: &'static str,
    view: View,
    [empty, zeros]: [&'static str; 2],
    summary: &'static str,
) -> Route {
    Route { path, answer: Answer::View { view, empty, zeros: Some(zeros) }, summary }
}

const fn gateway(path: &'static str, body: fn(&Snapshot, Moment) -> Value, summary: &'static str) -> Route {
    Route { path, answer: Answer::Gateway(body), summary }
}

const fn fixed(path: &'static str, body: &'static str, summary: &'static str) -> Route {
    Route { path, answer: Answer::Fixed { body, of_gateway: false }, summary }
}

const fn fixed_of_gateway(path: &'static str, body: &'static str, summary: &'static str) -> Route {
    Route { path, answer: Answer::Fixed { body, of_gateway: true }, summary }
}

const fn service(
    path: &'static str,
    answer: fn(&State, &HttpRequest) -> HttpResponse,
    summary: &'static str,
) -> Route {
    Route { path, answer: Answer::Service(answer), summary }
}

const fn routed(path: &'static str, summary: &'static str) -> Route {
    Route { path, answer: Answer::Routed, summary }
}

const NO_SOE: &str = r#"{"percentage":null,"raw_percentage":null}"#;
const NO_JSON: &str = r#"{"grid":null,"home":null,"solar":null,"battery":null,"soe":null,"soe_raw":null,"grid_status":null,"reserve":null,"time_remaining_hours":null,"full_pack_energy":null,"energy_remaining":null,"strings":null}"#;
const ZERO_JSON: &str = r#"{"grid":0,"home":0,"solar":0,"battery":0,"soe":0,"soe_raw":0,"grid_status":0,"reserve":0,"time_remaining_hours":0,"full_pack_energy":0,"energy_remaining":0,"strings":{}}"#;
const NO_POWER: &str = r#"{"site":null,"solar":null,"battery":null,"load":null}"#;
const ZERO_POWER: &str = r#"{"site":0,"solar":0,"battery":0,"load":0}"#;
const NO_STATUS: &str = r#"{"din":null,"start_time":null,"up_time_seconds":null,"is_new":false,"version":"Unknown","git_hash":null,"commission_count":0,"device_type":null,"teg_type":"unknown","sync_type":"unknown","cellular_disabled":false,"can_reboot":true}"#;
const NO_GRID_STATUS: &str = r#"{"grid_status":"Unknown","grid_services_active":null}"#;
const NO_FIRMWARE: &str = r#"{"version":"SolarOnly","vint":0}"#;
const INSTALLER: &str = r#"{"company":"Tesla","customer_id":"","phone":"","email":"","location":"","mounting":"","wiring":"","backup_configuration":"Whole Home","solar_installation":"New","solar_installation_type":"PV Panel","run_sitemaster":true,"verified_config":true,"installation_types":["Residential"]}"#;
const TEDAPI_HINT: &str = r#"{"error":"Use /tedapi/config, /tedapi/status, /tedapi/components, /tedapi/battery, /tedapi/controller"}"#;
const TEDAPI_OFFLINE: &str = r#"{"error":"Gateway offline - TEDAPI unavailable"}"#;
const NO_CLOUD: &str = r#"{"error":"Cloud API not enabled"}"#;
const NO_FLEET: &str = r#"{"error":"FleetAPI not enabled"}"#;
const NO_MQTT: &str = r#"{"enabled":false,"host":null,"port":1883,"connected":false,"topic_prefix":"pypowerwall","ha_discovery":true,"qos":1,"retain":true,"tls":false}"#;

pub(super) const ROUTES: &[Route] = &[
    // The default gateway, for dashboards and scripts.
    view("/aggregates", View::Aggregates, "null", "Power, voltage and current at the four meters"),
    view("/soe", View::Soe, "null", "State of energy, raw scale"),
    zeroable(
        "/battery",
        View::Battery,
        [r#"{"power":null}"#, r#"{"power":0}"#],
        "Battery power in W, + discharging",
    ),
    view("/vitals", View::Vitals, "null", "Every device with its measurements"),
    view("/strings", View::Strings, "null", "Solar strings"),
    view("/freq", View::Freq, "{}", "Frequencies and voltages of units and meters, grid status as a number"),
    view("/pod", View::Pod, "{}", "Batteries with their energies and flags"),
    zeroable("/json", View::Json, [NO_JSON, ZERO_JSON], "The most wanted values in one flat object"),
    zeroable(
        "/csv",
        View::Csv,
        [",,,,\n", "0.00,0.00,0.00,0.00,0.00\n"],
        "Grid, home, solar, battery, level; ?headers names them",
    ),
    zeroable(
        "/csv/v2",
        View::CsvV2,
        [",,,,,,\n", "0.00,0.00,0.00,0.00,0.00,0,0\n"],
        "As /csv, with grid status and reserve",
    ),
    view("/temps", View::Temps, "{}", "Temperatures by device, °C"),
    view("/temps/pw", View::TempsPw, "{}", "Temperatures by number of the unit, °C"),
    view("/alerts", View::Alerts, "[]", "Names of active alerts"),
    view("/alerts/pw", View::AlertsPw, "{}", "Active alerts as keys"),
    view("/fans", View::Fans, "{}", "Fans by device"),
    view("/fans/pw", View::FansPw, "{}", "Fans by number"),
    view("/version", View::Version, NO_FIRMWARE, "Firmware"),
    fixed("/tedapi", TEDAPI_HINT, "What there is below it"),
    view(
        "/tedapi/config",
        View::TedapiConfig,
        TEDAPI_OFFLINE,
        "The gateway's configuration, private parts masked",
    ),
    view("/tedapi/status", View::TedapiStatus, TEDAPI_OFFLINE, "The newest status answer of the gateway"),
    view("/tedapi/components", View::TedapiComponents, TEDAPI_OFFLINE, "Its components"),
    view("/tedapi/battery", View::TedapiBattery, TEDAPI_OFFLINE, "Its configured battery blocks"),
    view("/tedapi/controller", View::TedapiController, TEDAPI_OFFLINE, "The newest full controller answer"),
    fixed("/cloud", NO_CLOUD, "The owners cloud; this version has no link to it"),
    fixed("/cloud/battery", NO_CLOUD, "As /cloud"),
    fixed("/cloud/power", NO_CLOUD, "As /cloud"),
    fixed("/cloud/config", NO_CLOUD, "As /cloud"),
    fixed("/fleetapi", NO_FLEET, "FleetAPI; this version has no link to it"),
    fixed("/fleetapi/info", NO_FLEET, "As /fleetapi"),
    fixed("/fleetapi/status", NO_FLEET, "As /fleetapi"),
    // The customer API of a gateway.
    view("/api/meters/aggregates", View::Aggregates, "null", "As /aggregates"),
    fixed_of_gateway("/api/meters", "[]", "Meters; not told by the link"),
    view("/api/meters/site", View::MetersSite, "[]", "The site meter"),
    view("/api/meters/solar", View::MetersSolar, "[]", "The solar meter"),
    fixed("/api/meters/readings", "{}", "Always empty"),
    view("/api/system_status", View::SystemStatus, "{}", "Energies, limits and battery blocks"),
    view("/api/system_status/soe", View::SystemSoe, NO_SOE, "State of energy, app scale, with the raw value"),
    view(
        "/api/system_status/grid_status",
        View::GridStatus,
        NO_GRID_STATUS,
        "Grid status in the gateway's words",
    ),
    fixed("/api/system_status/grid_faults", "[]", "Always empty"),
    view("/api/status", View::Status, NO_STATUS, "Firmware, start, DIN"),
    gateway("/api/site_info", about_gateway::site_info, "The site and its ratings"),
    gateway("/api/site_info/site_name", about_gateway::site_name, "Name and time zone of the site"),
    fixed("/api/site_info/grid_codes", "[]", "Always empty"),
    gateway("/api/sitemaster", about_gateway::sitemaster, "Whether the gateway runs"),
    gateway("/api/operation", about_gateway::operation, "Mode, and reserve on the raw scale"),
    view("/api/powerwalls", View::Powerwalls, "{}", "The units of the site"),
    fixed_of_gateway("/api/networks", "[]", "Not told by the link"),
    fixed_of_gateway("/api/system/networks", "[]", "Not told by the link"),
    gateway("/api/system/update/status", about_gateway::update_status, "Firmware update"),
    fixed_of_gateway("/api/solars", "[]", "Not told by the link"),
    fixed("/api/solars/brands", "[]", "Always empty"),
    fixed_of_gateway("/api/solar_powerwall", "{}", "Not told by the link"),
    fixed("/api/customer", r#"{"registered":true}"#, "Always the same"),
    fixed(
        "/api/customer/registration",
        r#"{"status":"404 Response - API Disabled"}"#,
        "Disabled: personal data",
    ),
    fixed("/api/installer", INSTALLER, "Always the same"),
    fixed(
        "/api/synchrometer/ct_voltage_references",
        r#"{"ct1":"Phase1","ct2":"Phase2","ct3":"Phase1"}"#,
        "Always the same",
    ),
    fixed("/api/troubleshooting/problems", r#"{"problems":[]}"#, "Always empty"),
    fixed("/api/auth/toggle/supported", r#"{"toggle_auth_supported":false}"#, "Always false"),
    // One fact each, for scripts.
    view("/pw/level", View::PwLevel, r#"{"level":null}"#, "State of energy, raw scale"),
    zeroable("/pw/power", View::PwPower, [NO_POWER, ZERO_POWER], "Power at the four meters, W"),
    view("/pw/site", View::PwSite, "{}", "The site meter"),
    view("/pw/grid", View::PwSite, "{}", "As /pw/site"),
    view("/pw/solar", View::PwSolar, "{}", "The solar meter"),
    view("/pw/battery", View::PwBattery, "{}", "The battery meter"),
    view("/pw/load", View::PwLoad, "{}", "The load meter"),
    view("/pw/home", View::PwLoad, "{}", "As /pw/load"),
    view("/pw/battery_blocks", View::PwBatteryBlocks, "{}", "Battery blocks by serial"),
    view("/pw/vitals", View::Vitals, "{}", "As /vitals"),
    view("/pw/temps", View::Temps, "{}", "As /temps"),
    view("/pw/strings", View::PwStrings, "{}", "Strings with every reading of their inverter"),
    view("/pw/system_status", View::SystemStatus, "{}", "As /api/system_status"),
    view("/pw/aggregates", View::Aggregates, "{}", "As /aggregates"),
    view("/pw/din", View::PwDin, r#"{"din":null}"#, "DIN of the gateway"),
    view("/pw/uptime", View::PwUptime, r#"{"uptime":null}"#, "For how long the gateway has been running"),
    view("/pw/version", View::Version, r#"{"version":"Unknown","vint":0}"#, "Firmware"),
    view("/pw/status", View::Status, NO_STATUS, "As /api/status"),
    view("/pw/grid_status", View::GridStatus, NO_GRID_STATUS, "As /api/system_status/grid_status"),
    view("/pw/site_name", View::PwSiteName, r#"{"site_name":null}"#, "Name of the site"),
    view("/pw/alerts", View::PwAlerts, r#"{"alerts":[]}"#, "Names of active alerts"),
    gateway("/pw/is_connected", about_gateway::is_connected, "Whether the last poll succeeded"),
    view("/pw/get_reserve", View::PwReserve, r#"{"reserve":null}"#, "Backup reserve, app scale"),
    view("/pw/get_mode", View::PwMode, r#"{"mode":null}"#, "Operation mode"),
    view("/pw/get_time_remaining", View::PwTimeRemaining, r#"{"time_remaining":null}"#, "Hours until empty"),
    // All gateways.
    service("/api/gateways", api::gateways, "The status of every gateway, by id"),
    routed("/api/gateways/{id}", "The status of one gateway"),
    routed("/api/gateways/{id}/vitals", "Its vitals"),
    routed("/api/gateways/{id}/strings", "Its strings"),
    routed("/api/gateways/{id}/aggregates", "Its meters"),
    routed("/api/gateways/{id}/api/{path}", "A route of the customer API for this gateway"),
    service("/api/aggregate", api::aggregate, "The sum of all gateways, with their statuses"),
    service("/api/aggregate/power", api::power, "The sum of the powers, W"),
    service("/api/aggregate/soe", api::soe, "State of energy over all batteries, weighted by capacity"),
    service("/api/aggregate/battery", api::battery, "Capacity, charge and power of all batteries"),
    service("/api/aggregate/strings", api::strings, "The strings of every gateway"),
    service("/api/aggregate/alerts", api::alerts, "The alerts of every gateway"),
    service("/api/aggregate/vitals", api::vitals, "The vitals of every gateway"),
    // The service.
    service(
        "/health",
        health::health,
        "How the service and its gateways are; 503 with ?ready=1 while none is fresh",
    ),
    routed("/health/gateways", "How polling of each gateway goes"),
    fixed(
        "/health/reset",
        r#"{"status":"reset_complete","health_counters_reset":false,"cache_cleared":false,"cache_entries_removed":0,"endpoint_stats_cleared":0}"#,
        "Nothing is latched, so there is nothing to reset",
    ),
    service("/livez", health::livez, "Whether the program answers"),
    service("/readyz", health::readyz, "503 while no gateway has fresh data"),
    service("/stats", stats::stats, "What the service has done so far"),
    service("/stats/clear", stats::clear, "Starts counting anew; from this machine only"),
    service("/help", stats::help, "The statistics as a page"),
    fixed("/api/mqtt/status", NO_MQTT, "MQTT; this version has none"),
    service("/openapi.json", docs::openapi, "This list, for programs"),
    service("/docs", docs::page, "This list, for people"),
    service("/redoc", docs::page, "As /docs"),
    // The pages.
    service("/", assets::index, "Live power flow"),
    service("/index.html", assets::index, "As /"),
    service("/kiosk", assets::kiosk, "As /, for a screen on a wall"),
    service("/console", assets::console, "Everything there is to know, per gateway"),
    service("/example", assets::example, "How to embed the page"),
    service("/example.html", assets::example, "As /example"),
    service("/favicon.ico", assets::favicon, "Picture for browsers"),
    service("/favicon-16x16.png", assets::favicon_16, "Picture for browsers"),
    service("/favicon-32x32.png", assets::favicon_32, "Picture for browsers"),
    routed("/static/{file}", "Files of the pages"),
    routed("/api/live", "All that the pages show, once: the state of the live feed"),
    routed("/sse/live", "The live feed as server-sent events: the state, then what changes"),
    routed("/ws/live", "The live feed as a WebSocket: the state, then what changes"),
    routed("/ws/aggregate", "WebSocket: as /api/aggregate, at every change and each second"),
    routed("/ws/gateway/{id}", "WebSocket: as /api/gateways/{id}, at every change and each second"),
];
