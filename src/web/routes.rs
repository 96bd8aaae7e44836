//! Every route with a fixed path: what it answers, and what it answers when a gateway has nothing to show.
//!
//! The table is the contract. The front door looks requests up in it, `/stats` counts by it, `/openapi.json`
//! and the tests are made from it.

use actix_web::HttpRequest;
use actix_web::web::Data;

use super::fleet::{AFTER, LIMIT, PAGE_ERRORS, PAGED};
use super::orders;
use super::route::{
    Answer, Content, Guard, Later, Route, fixed, fixed_of_gateway, fleet, gateway, orders_only, routed,
    service, view, zeroable,
};
use super::without_data::{
    INSTALLER, NO_FIRMWARE, NO_GRID_STATUS, NO_JSON, NO_POWER, NO_SOE, NO_STATUS, TEDAPI_HINT,
    TEDAPI_OFFLINE, ZERO_JSON, ZERO_POWER,
};
use super::{
    State, about_gateway, api, assets, battery_health, broker, docs, fleet_journal, health, history, journal,
    legacy_control, openapi, owners, pictures, scrape, several, sites, stats, tesla, timeseries,
};
use crate::views::View;

const HEALTH_ERRORS: &[(u16, &str)] =
    &[PAGE_ERRORS[0], PAGE_ERRORS[1], (503, "No gateway has fresh data, and ready=1 asks for it")];
const NO_ENERGY: &str = "over TEDAPI the energy counters come from the gateway's customer API, every two \
    minutes; null, not 0, while it does not report them";
const AS_PROXY: &str = "null without data, as the proxy has it";
const DAYS: &str = "what is unknown is null, and there is a row all the same; energy by the counters of the \
    gateway where it has them, else over gaps of five polls at most; 503 while the file cannot be read";
const UNITS: &str = "units have the numbers that they have in every body; of a gateway that was not heard of \
    since the start, powerwall is null";
const UNKNOWN: &str = "unknown is null, not 0";
const EMPTY_COLUMN: &str = "unknown is an empty column, not 0.00; the reserve is rounded, not cut off";
const FROM_MEMORY: &str = "from the last poll, also while the gateway is away; private values are masked";
const NO_CONSTANTS: &str = "what the gateway does not report is null, not a constant";
const STATUS: &str = "says how fresh and how old its data is; the configuration of the gateway is not in it";
const SUM: &str = "weighted by capacity, over data that is good; unknown is null; says who is missing";
const NOTHING_FETCHED: &str = "nothing is fetched from elsewhere";
const CONFIRMED: &str = "confirmed by the gateway: order says what is known, a refusal is 502, an action \
    nobody knows 404; unknown is null; GET max_backup shows a list of at most five minutes and cancels \
    nothing";
const OWN_PAGE: &str = "pages of our own; nothing is fetched from elsewhere";

/// A question about what was recorded.
const fn recorded(
    path: &'static str,
    answer: fn(Data<State>, HttpRequest) -> Later,
    summary: &'static str,
) -> Route {
    Route::new(path, Answer::Fleet(answer), summary).also(timeseries::ERRORS)
}

/// A question about the sites of a fleet.
const fn of_sites(
    path: &'static str,
    answer: fn(Data<State>, HttpRequest) -> Later,
    summary: &'static str,
) -> Route {
    Route::new(path, Answer::Fleet(answer), summary).ours().also(sites::ERRORS)
}

pub(super) const ROUTES: &[Route] = &[
    // The default gateway, for dashboards and scripts.
    view("/aggregates", View::Aggregates, "null", "Power, voltage and current at the four meters")
        .partly(NO_ENERGY),
    view("/soe", View::Soe, "null", "State of energy, raw scale").better(AS_PROXY),
    zeroable(
        "/battery",
        View::Battery,
        [r#"{"power":null}"#, r#"{"power":0}"#],
        "Battery power in W, + discharging",
    )
    .better(UNKNOWN),
    view("/vitals", View::Vitals, "null", "Every device with its measurements").better(AS_PROXY),
    view("/strings", View::Strings, "null", "Solar strings").better(AS_PROXY),
    view("/freq", View::Freq, "{}", "Frequencies and voltages of units and meters, grid status as a number")
        .better(
            "one numbering with /pod; grid_status is -1 while the grid is being joined or left, null \
            when unknown; p_out in watts over every link",
        ),
    view("/pod", View::Pod, "{}", "Batteries with their energies and flags").better(
        "one numbering with /freq and /temps/pw; a flag that is not reported is null, not 0; p_out in \
            watts over every link",
    ),
    zeroable("/json", View::Json, [NO_JSON, ZERO_JSON], "The most wanted values in one flat object")
        .better(UNKNOWN),
    zeroable(
        "/csv",
        View::Csv,
        [",,,,\n", "0.00,0.00,0.00,0.00,0.00\n"],
        "Grid, home, solar, battery, level; ?headers names them",
    )
    .better(EMPTY_COLUMN)
    .asked_with(&[("headers", "present: the names of the columns come first")]),
    zeroable(
        "/csv/v2",
        View::CsvV2,
        [",,,,,,\n", "0.00,0.00,0.00,0.00,0.00,,0\n"],
        "As /csv, with grid status and reserve",
    )
    .better(EMPTY_COLUMN)
    .asked_with(&[("headers", "present: the names of the columns come first")]),
    view("/temps", View::Temps, "{}", "Temperatures by device, °C"),
    view("/temps/pw", View::TempsPw, "{}", "Temperatures by number of the unit, °C")
        .better("one numbering with /pod"),
    view("/alerts", View::Alerts, "[]", "Names of active alerts").better("sorted by name"),
    view("/alerts/pw", View::AlertsPw, "{}", "Active alerts as keys").better("sorted by name"),
    view("/fans", View::Fans, "{}", "Fans by device"),
    view("/fans/pw", View::FansPw, "{}", "Fans by number").better("a fan keeps its number"),
    view("/version", View::Version, NO_FIRMWARE, "Firmware"),
    fixed("/tedapi", TEDAPI_HINT, "What there is below it"),
    view(
        "/tedapi/config",
        View::TedapiConfig,
        TEDAPI_OFFLINE,
        "The gateway's configuration, private parts masked",
    )
    .better(FROM_MEMORY),
    view("/tedapi/status", View::TedapiStatus, TEDAPI_OFFLINE, "The newest status answer of the gateway")
        .better(FROM_MEMORY),
    view("/tedapi/components", View::TedapiComponents, TEDAPI_OFFLINE, "Its components").better(FROM_MEMORY),
    view("/tedapi/battery", View::TedapiBattery, TEDAPI_OFFLINE, "Its configured battery blocks")
        .better(FROM_MEMORY),
    view("/tedapi/controller", View::TedapiController, TEDAPI_OFFLINE, "The newest full controller answer")
        .better(FROM_MEMORY),
    service("/cloud", owners::hint, "What there is below it").shows("CloudDocument"),
    service("/cloud/battery", owners::battery, "What the owners API reports of the battery, in its envelope")
        .shows("CloudDocument")
        .better(FROM_MEMORY),
    service("/cloud/power", owners::power, "Its live status, in its envelope")
        .shows("CloudDocument")
        .better(FROM_MEMORY),
    service("/cloud/config", owners::config, "Its site information, in its envelope, private parts masked")
        .shows("CloudDocument")
        .better(FROM_MEMORY),
    service("/fleetapi", tesla::status, "As /fleetapi/status").shows("CloudDocument"),
    service("/fleetapi/info", tesla::info, "What FleetAPI knows of the site of the default gateway")
        .shows("CloudDocument")
        .better(FROM_MEMORY),
    service("/fleetapi/status", tesla::status, "What FleetAPI reports of the default gateway")
        .shows("CloudDocument")
        .better(FROM_MEMORY),
    service("/api/tesla/tariff_rate", tesla::tariff, "The tariff that Tesla knows of the default gateway")
        .shows("CloudDocument")
        .better("from the last site information; nobody who reads makes a request")
        .also(&[(503, "No link to Tesla's cloud, or no tariff is known")]),
    orders_only(
        legacy_control::TARIFF,
        orders::TARIFF,
        "A tariff for Tesla to reckon with, for the default gateway",
    )
    .better("confirmed by what Tesla reports afterwards: order says what is known")
    .confirms("ControlDone"),
    service("/api/tesla/usage", tesla::usage, "Requests to Tesla's cloud, by account and day (UTC)")
        .shows("TeslaUsage")
        .ours(),
    // The customer API of a gateway.
    view("/api/meters/aggregates", View::Aggregates, "null", "As /aggregates").partly(NO_ENERGY),
    fixed_of_gateway("/api/meters", "[]", "Meters; not reported by the link"),
    view("/api/meters/site", View::MetersSite, "[]", "The site meter")
        .better("the meter of this site, not a sample of another"),
    view("/api/meters/solar", View::MetersSolar, "[]", "The solar meter").partly(NO_ENERGY),
    fixed("/api/meters/readings", "{}", "Always empty"),
    view("/api/system_status", View::SystemStatus, "{}", "Energies, limits and battery blocks")
        .better(NO_CONSTANTS),
    view("/api/system_status/soe", View::SystemSoe, NO_SOE, "State of energy, app scale, with the raw value"),
    view(
        "/api/system_status/grid_status",
        View::GridStatus,
        NO_GRID_STATUS,
        "Grid status in the gateway's words",
    ),
    fixed("/api/system_status/grid_faults", "[]", "Always empty"),
    view("/api/status", View::Status, NO_STATUS, "Firmware, start, DIN"),
    gateway("/api/site_info", about_gateway::site_info, "The site and its ratings").shows("SiteInfo"),
    gateway("/api/site_info/site_name", about_gateway::site_name, "Name and time zone of the site")
        .shows("SiteName"),
    fixed("/api/site_info/grid_codes", "[]", "Always empty"),
    gateway("/api/sitemaster", about_gateway::sitemaster, "Whether the gateway runs").shows("Sitemaster"),
    gateway("/api/operation", about_gateway::operation, "Mode, and reserve on the raw scale")
        .better("reserve on the raw scale, as a gateway has it; says when it is stale")
        .shows("Operation"),
    view("/api/powerwalls", View::Powerwalls, "{}", "The units of the site")
        .better("the units of this site, not a sample of another"),
    view("/api/networks", View::Networks, "[]", "How the gateway is connected; only the customer API has it")
        .better("what is private is masked: hardware addresses, and the SSID of a Wi-Fi network"),
    view("/api/system/networks", View::Networks, "[]", "As /api/networks")
        .better("what is private is masked, as in `/api/networks`"),
    gateway("/api/system/update/status", about_gateway::update_status, "Firmware update")
        .shows("UpdateStatus"),
    fixed_of_gateway("/api/solars", "[]", "Not reported by the link"),
    fixed("/api/solars/brands", "[]", "Always empty")
        .better("empty: only the set-up pages of a gateway read it"),
    fixed_of_gateway("/api/solar_powerwall", "{}", "Not reported by the link"),
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
    orders_only("/api/login/Basic", orders::LOGIN, "The same for everybody: there is nothing to log in to")
        .better("no cookies on other answers")
        .confirms("Account"),
    fixed("/api/auth/toggle/supported", r#"{"toggle_auth_supported":false}"#, "Always false")
        .guarded(Guard::None),
    // One fact each, for scripts.
    view("/pw/level", View::PwLevel, r#"{"level":null}"#, "State of energy, raw scale"),
    zeroable("/pw/power", View::PwPower, [NO_POWER, ZERO_POWER], "Power at the four meters, W")
        .better(UNKNOWN),
    view("/pw/site", View::PwSite, "{}", "The site meter").partly(NO_ENERGY),
    view("/pw/grid", View::PwSite, "{}", "As /pw/site").partly(NO_ENERGY),
    view("/pw/solar", View::PwSolar, "{}", "The solar meter").partly(NO_ENERGY),
    view("/pw/battery", View::PwBattery, "{}", "The battery meter").partly(NO_ENERGY),
    view("/pw/load", View::PwLoad, "{}", "The load meter").partly(NO_ENERGY),
    view("/pw/home", View::PwLoad, "{}", "As /pw/load").partly(NO_ENERGY),
    view("/pw/battery_blocks", View::PwBatteryBlocks, "{}", "Battery blocks by serial"),
    view("/pw/vitals", View::Vitals, "{}", "As /vitals"),
    view("/pw/temps", View::Temps, "{}", "As /temps"),
    view("/pw/strings", View::PwStrings, "{}", "Strings with every reading of their inverter"),
    view("/pw/system_status", View::SystemStatus, "{}", "As /api/system_status").better(NO_CONSTANTS),
    view("/pw/aggregates", View::Aggregates, "{}", "As /aggregates").partly(NO_ENERGY),
    view("/pw/din", View::PwDin, r#"{"din":null}"#, "DIN of the gateway"),
    view("/pw/uptime", View::PwUptime, r#"{"uptime":null}"#, "For how long the gateway has been running"),
    view("/pw/version", View::Version, r#"{"version":"Unknown","vint":0}"#, "Firmware"),
    view("/pw/status", View::Status, NO_STATUS, "As /api/status"),
    view("/pw/grid_status", View::GridStatus, NO_GRID_STATUS, "As /api/system_status/grid_status"),
    view("/pw/site_name", View::PwSiteName, r#"{"site_name":null}"#, "Name of the site"),
    view("/pw/alerts", View::PwAlerts, r#"{"alerts":[]}"#, "Names of active alerts").better("sorted by name"),
    gateway("/pw/is_connected", about_gateway::is_connected, "Whether the last poll succeeded")
        .shows("PwIsConnected"),
    view("/pw/get_reserve", View::PwReserve, r#"{"reserve":null}"#, "Backup reserve, app scale"),
    view("/pw/get_mode", View::PwMode, r#"{"mode":null}"#, "Operation mode"),
    view("/pw/get_time_remaining", View::PwTimeRemaining, r#"{"time_remaining":null}"#, "Hours until empty"),
    // All gateways.
    fleet("/api/gateways", api::gateways, "The status of every gateway, by id")
        .better(STATUS)
        .shows("Gateways"),
    routed("/api/gateways/{id}", "The status of one gateway").better(STATUS).shows("Gateway"),
    routed("/api/gateways/{id}/vitals", "Its vitals").shows("Vitals"),
    routed("/api/gateways/{id}/strings", "Its strings").shows("Strings"),
    routed("/api/gateways/{id}/aggregates", "Its meters").partly(NO_ENERGY).shows("Aggregates"),
    routed("/api/gateways/{id}/control", "What orders it takes at present, over which link, or why not")
        .ours()
        .shows("Control"),
    orders_only(
        "/api/gateways/{id}/control/{action}",
        orders::GATEWAY_CONTROL,
        "An order; answered when it is stored or in effect, or after ?wait= seconds (10; 0 to 60)",
    )
    .ours()
    .confirms("OrderReport"),
    routed("/api/orders", "Orders and their outcomes, the newest first")
        .ours()
        .guarded(Guard::Own)
        .asked_with(journal::OF_ORDERS)
        .also(journal::ERRORS)
        .shows("OrderList"),
    routed("/api/orders/{id}", "One order and its outcome")
        .ours()
        .guarded(Guard::Own)
        .also(journal::ERRORS)
        .shows("OrderReport"),
    orders_only(
        several::ORDERS,
        orders::SEVERAL,
        "One order to several gateways, or with preview what would become of it at each",
    )
    .ours()
    .confirms("FleetOrders"),
    routed(several::ORDER, "An order to several gateways, and its outcome at each")
        .ours()
        .guarded(Guard::Own)
        .also(journal::ERRORS)
        .shows("FleetOrder"),
    routed("/api/journal", "What happened, the newest first: orders, outages, alerts, firmware, links")
        .ours()
        .guarded(Guard::Own)
        .asked_with(journal::OF_JOURNAL)
        .also(journal::ERRORS)
        .shows("JournalPage"),
    of_sites("/api/fleet", sites::sites, "Sites by the worst first: found, sorted, paged and summed")
        .asked_with(sites::OF_SITES)
        .also(sites::PAGE_ERRORS)
        .shows("FleetPage"),
    of_sites("/api/fleet/groups", sites::groups, "The sums of each group of sites, the worst first")
        .asked_with(sites::OF_GROUPS)
        .shows("FleetGroups"),
    of_sites("/api/fleet/inventory", sites::inventory, "Firmware, batteries and capacity of sites")
        .asked_with(sites::OF_GROUPS)
        .shows("FleetInventory"),
    of_sites("/api/fleet/inventory.csv", sites::table, "What each site is and has, one line for each")
        .asked_with(sites::OF_GROUPS)
        .serves(Content::Table),
    routed("/api/fleet/journal", "What happened at the sites that this instance watches, the newest first")
        .ours()
        .guarded(Guard::Own)
        .asked_with(fleet_journal::PARAMETERS)
        .also(fleet_journal::ERRORS)
        .shows("FleetJournalPage"),
    service("/control/status", legacy_control::status_answer, "Whether orders are taken")
        .shows("ControlStatus"),
    routed("/control/{action}", "Orders to the default gateway as JSON or a form; GET reads the setting")
        .takes(orders::CONTROL)
        .better(CONFIRMED)
        .also(&[(405, "It can only be ordered"), (503, "No gateway is configured")])
        .shows("ControlValue")
        .confirms("ControlDone"),
    routed("/api/gateways/{id}/api/{path}", "A route of the customer API for this gateway")
        .better(
            "from the last poll and for the routes of this table only; nothing is passed on to a \
            gateway, POST neither",
        )
        .also(&[(503, "The gateway has no data to show")])
        .shows("OfThatRoute"),
    fleet("/api/aggregate", api::aggregate, "The sum of all gateways, with their statuses")
        .better(SUM)
        .shows("Aggregate"),
    service("/api/aggregate/power", api::power, "The sum of the powers, W")
        .better(SUM)
        .shows("AggregatePower"),
    service("/api/aggregate/soe", api::soe, "State of energy over all batteries, weighted by capacity")
        .better(SUM)
        .shows("AggregateSoe"),
    service("/api/aggregate/battery", api::battery, "Capacity, charge and power of all batteries")
        .better(SUM)
        .shows("AggregateBattery"),
    fleet("/api/aggregate/strings", api::strings, "The strings of every gateway").shows("StringsByGateway"),
    fleet("/api/aggregate/alerts", api::alerts, "The alerts of every gateway").shows("AlertsByGateway"),
    fleet("/api/aggregate/vitals", api::vitals, "The vitals of every gateway").shows("VitalsByGateway"),
    // What was recorded.
    Route::new(
        "/api/history",
        Answer::Fleet(history::history),
        "Energy over any range, kWh, with gaps, sources, and what was counted over outages",
    )
    .asked_with(history::PARAMETERS)
    .also(history::ERRORS)
    .ours()
    .shows("History"),
    Route::new(
        "/api/history/health",
        Answer::Fleet(battery_health::health),
        "Capacity of each battery by month, beside that of a new one",
    )
    .also(&[(503, "The file cannot be read, or takes too long")])
    .ours()
    .shows("BatteryHealth"),
    recorded("/api/timeseries/daily", timeseries::daily, "Energy by day and gateway, kWh, the newest first")
        .asked_with(timeseries::OF_DAILY)
        .better(DAYS)
        .shows("DailyEnergy"),
    recorded("/api/timeseries/today", timeseries::today, "Energy of today by gateway, kWh, by its own clock")
        .better(DAYS)
        .shows("TodaysEnergy"),
    recorded(
        "/api/timeseries/trend",
        timeseries::trend,
        "Power over time as means, summed over the gateways",
    )
    .asked_with(timeseries::OF_TREND)
    .better(
        "the sum of the configured gateways; a point names those of which something is missing; hours \
            count back from end; start after end is refused",
    )
    .shows("PowerTrend"),
    recorded("/api/timeseries/samples", timeseries::samples, "Power of every poll, W")
        .asked_with(timeseries::OF_SAMPLES)
        .better("what a gateway did not report is null; the others of its values are there")
        .shows("PowerSamples"),
    recorded(
        "/api/timeseries/signals",
        timeseries::signals,
        "Temperatures and fans that are recorded, by device",
    )
    .asked_with(timeseries::OF_SIGNALS)
    .better(UNITS)
    .shows("Signals"),
    recorded("/api/timeseries/signal_trend", timeseries::signal_trend, "Their values, as means or by day")
        .asked_with(timeseries::OF_SIGNAL_TREND)
        .better("as signals; more than 100,000 points are refused")
        .shows("SignalTrend"),
    recorded("/api/timeseries/status", timeseries::status, "State of recording, and the amount of data")
        .better(
            "counts are up to a minute old, and null while the file cannot be read; says why it cannot be \
            read or written; also slots, recovered intervals and incomplete samples",
        )
        .shows("HistoryStatus"),
    // The service.
    service(
        "/health",
        health::health,
        "Health of the service and its gateways; 503 with ?ready=1 while none is fresh",
    )
    .better("also what the proxy reports of its settings; 503 with ?ready=1 while nothing is fresh")
    .guarded(Guard::None)
    .asked_with(&[("ready", "1: answer 503 while no gateway has fresh data"), LIMIT, AFTER])
    .also(HEALTH_ERRORS)
    .shows("Health"),
    routed("/health/gateways", "State of polling, by gateway")
        .ours()
        .asked_with(PAGED)
        .also(PAGE_ERRORS)
        .shows("HealthGateways"),
    fixed(
        "/health/reset",
        concat!(
            r#"{"status":"reset_complete","health_counters_reset":false,"cache_cleared":false,"#,
            r#""cache_entries_removed":0,"endpoint_stats_cleared":0}"#,
        ),
        "Nothing is latched, so there is nothing to reset",
    )
    .takes(orders::HEALTH_RESET)
    .guarded(Guard::None)
    .better("GET, as the proxy has it, changes nothing and needs no token")
    .confirms("HealthReset"),
    service("/livez", health::livez, "Whether the program answers")
        .ours()
        .guarded(Guard::None)
        .shows("Alive"),
    service("/readyz", health::readyz, "503 while no gateway has fresh data")
        .ours()
        .guarded(Guard::None)
        .also(&[(503, "No gateway has fresh data")])
        .shows("Ready"),
    service("/stats", stats::stats, "What the service has done so far")
        .better(
            "counts per route of the table, so that nobody can fill it; failures are those of the \
            gateways",
        )
        .asked_with(PAGED)
        .also(PAGE_ERRORS)
        .shows("Stats"),
    Route::new(
        "/metrics",
        Answer::Fleet(scrape::metrics),
        "Every reading and the state of the service, for \
        Prometheus",
    )
    .ours()
    .serves(Content::Metrics),
    service("/stats/clear", stats::clear, "Resets the counters, with the control token")
        .takes(orders::CLEAR_STATISTICS)
        .guarded(Guard::Own)
        .better("not for everybody, because it changes something: GET and POST need the control token")
        .also(&[
            (401, "No control token, or the wrong one"),
            (403, "Orders are not enabled"),
            (429, "Too many wrong control tokens; Retry-After says when again"),
        ])
        .shows("Stats")
        .confirms("Stats"),
    service("/help", stats::help, "The statistics as a page")
        .better("the same as /stats")
        .serves(Content::Page)
        .asked_with(PAGED)
        .also(PAGE_ERRORS),
    service("/api/mqtt/status", api::mqtt_status, "The connection to the MQTT broker")
        .better("also says why it fails, what waits and what was taken")
        .shows("MqttStatus"),
    service(
        "/api/broker",
        broker::standing,
        "The connection to the broker of a fleet, and what went over it",
    )
    .ours()
    .shows("FleetBroker"),
    service("/openapi.json", openapi::document, "This list, for programs")
        .guarded(Guard::None)
        .shows("OpenApi"),
    service("/docs", docs::page, "This list, for people")
        .better(NOTHING_FETCHED)
        .serves(Content::Page)
        .guarded(Guard::None),
    service("/redoc", docs::page, "As /docs")
        .better(NOTHING_FETCHED)
        .serves(Content::Page)
        .guarded(Guard::None),
    service("/docs/oauth2-redirect", docs::page, "As /docs")
        .better(NOTHING_FETCHED)
        .serves(Content::Page)
        .guarded(Guard::None),
    fixed("/[object%20Object]", "{}", "Asked for by mistake by Tesla's pages").guarded(Guard::None),
    fixed("/%5Bobject%20Object%5D", "{}", "Asked for by mistake by Tesla's pages").guarded(Guard::None),
    // The pages.
    service("/", assets::index, "Live power flow")
        .better(OWN_PAGE)
        .serves(Content::File("text/html; charset=utf-8")),
    service("/index.html", assets::index, "As /")
        .better(OWN_PAGE)
        .serves(Content::File("text/html; charset=utf-8")),
    service("/kiosk", assets::kiosk, "As /, for a screen on a wall")
        .ours()
        .serves(Content::File("text/html; charset=utf-8")),
    service("/console", assets::console, "Everything there is to know, per gateway")
        .better(OWN_PAGE)
        .serves(Content::File("text/html; charset=utf-8")),
    service("/history", assets::history, "Energy by day, week, month and year")
        .better(OWN_PAGE)
        .serves(Content::File("text/html; charset=utf-8")),
    service("/fleet", assets::fleet, "Many sites by the worst first, and orders to several of them")
        .ours()
        .serves(Content::File("text/html; charset=utf-8")),
    Route::new("/display.svg", Answer::Fleet(pictures::svg), "The display as a picture, as SVG")
        .ours()
        .serves(Content::File("image/svg+xml"))
        .asked_with(pictures::PARAMETERS)
        .also(pictures::ERRORS),
    Route::new(
        "/display.png",
        Answer::Fleet(pictures::png),
        "The display as a picture, for screens and e-ink without a browser",
    )
    .ours()
    .serves(Content::File("image/png"))
    .asked_with(pictures::PARAMETERS)
    .also(pictures::ERRORS),
    service("/example", assets::example, "How to embed the page")
        .better(OWN_PAGE)
        .serves(Content::File("text/html; charset=utf-8")),
    service("/example.html", assets::example, "As /example")
        .better(OWN_PAGE)
        .serves(Content::File("text/html; charset=utf-8")),
    service("/favicon.ico", assets::favicon, "Picture for browsers")
        .serves(Content::File("image/x-icon"))
        .guarded(Guard::None),
    service("/favicon-16x16.png", assets::favicon_16, "Picture for browsers")
        .serves(Content::File("image/png"))
        .guarded(Guard::None),
    service("/favicon-32x32.png", assets::favicon_32, "Picture for browsers")
        .serves(Content::File("image/png"))
        .guarded(Guard::None),
    routed("/static/{file}", "Files of the pages")
        .guarded(Guard::None)
        .better(OWN_PAGE)
        .serves(Content::File("*/*")),
    routed("/api/live", "All that the pages show, once: the state of the live feed")
        .ours()
        .also(&[(503, "The feed is not ready")])
        .shows("LiveState"),
    routed("/sse/live", "The live feed as server-sent events: the state, then what changes")
        .ours()
        .serves(Content::Events),
    routed("/ws/live", "The live feed as a WebSocket: the state, then what changes")
        .ours()
        .serves(Content::WebSocket),
    routed("/ws/aggregate", "WebSocket: as /api/aggregate, at every change and each second")
        .better("sent when something changes; ends with a reason; other origins only if they are allowed")
        .serves(Content::WebSocket),
    routed("/ws/gateway/{id}", "WebSocket: as /api/gateways/{id}, at every change and each second")
        .better("sent when something changes; ends with a reason; other origins only if they are allowed")
        .serves(Content::WebSocket),
];

/// What the servers before ours have and this one will not have.
pub(super) const GONE: &[(&str, &str)] = &[
    ("/viz-static/{file}", "Tesla's pages are not shipped"),
    ("/bogus/{file}", "sample data of Tesla's pages"),
    ("POST /api/gateways/{id}/api/{path}", "a request that nobody looks at, passed on to a gateway"),
    ("any other path", "is passed on to the gateway by the proxy; 404 here"),
];
