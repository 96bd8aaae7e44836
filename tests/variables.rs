//! Every variable and file key of pypowerwall-server 0.13 and of the proxy: it changes something, or it is
//! said to change nothing.

use std::io::Write;

use powerwall_server::settings::reference::{self, Setting};
use powerwall_server::settings::variables::{Effect, VARIABLES, effect};
use powerwall_server::settings::{Inputs, Settings};

/// Variable, a value that is not its default, and what else must be set for it to matter.
type Row = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

const TEDAPI: &[(&str, &str)] = &[("PW_HOST", "10.0.0.1"), ("PW_GW_PWD", "x")];
const LOCAL: &[(&str, &str)] = &[("PW_HOST", "10.0.0.1"), ("PW_PASSWORD", "x")];
const WIRED: &[(&str, &str)] = &[
    ("PW_HOST", "10.0.0.1"),
    ("PW_GW_PWD", "x"),
    ("PW_RSA_KEY_PATH", RSA_KEY),
    ("PW_WIFI_HOST", "192.168.91.1"),
];
const HYBRID: &[(&str, &str)] = &[("PW_HOST", "10.0.0.1"), ("PW_GW_PWD", "x"), ("PW_CLOUD_HYBRID", "yes")];
const BROKER: &[(&str, &str)] = &[("PW_HOST", "10.0.0.1"), ("PW_GW_PWD", "x"), ("MQTT_HOST", "broker")];
/// A broker that knows who somebody is, and somebody who may give orders.
const ORDERING: &[(&str, &str)] = &[
    ("MQTT_HOST", "10.0.0.2"),
    ("MQTT_USERNAME", "powerwall"),
    ("MQTT_PASSWORD", "secret"),
    ("PW_CONTROL_SECRET", "0123456789abcdef"),
];
const SECURE_BROKER: &[(&str, &str)] =
    &[("PW_HOST", "10.0.0.1"), ("PW_GW_PWD", "x"), ("MQTT_HOST", "broker"), ("MQTT_TLS", "yes")];
const LIMITED: &[(&str, &str)] =
    &[("PW_HOST", "10.0.0.1"), ("PW_GW_PWD", "x"), ("PW_RATE_LIMIT_ENABLED", "yes")];
const SECURE: &[(&str, &str)] = &[
    ("PW_HOST", "10.0.0.1"),
    ("PW_GW_PWD", "x"),
    ("PW_TLS_CERT", "/certificate.pem"),
    ("PW_TLS_KEY", "/key.pem"),
];
const RECORDED: &[(&str, &str)] =
    &[("PW_HOST", "10.0.0.1"), ("PW_GW_PWD", "x"), ("PW_TIMESERIES_PATH", "/data/x.db")];
const EXPORTED: &[(&str, &str)] = &[
    ("PW_HOST", "10.0.0.1"),
    ("PW_GW_PWD", "x"),
    ("PW_TIMESERIES_PATH", "/data/x.db"),
    ("PW_EXPORT_URL", "http://victoria:8428/write"),
];
const SITE: &[(&str, &str)] =
    &[("PW_HOST", "10.0.0.1"), ("PW_GW_PWD", "x"), ("PW_BROKER_URL", "nats://broker:4222")];
const CLOUD: &[(&str, &str)] = &[("PW_EMAIL", "someone@example.com")];
const LIST: &str = r#"[{"id":"a","host":"h","gw_pwd":"x"}]"#;

/// In the order of the tables of both contracts. `FILE`, `KEY` and `CERTIFICATE` stand for paths of
/// files.
const TABLE: &[Row] = &[
    ("PW_BIND_ADDRESS", "127.0.0.1", TEDAPI),
    ("PW_PORT", "9000", TEDAPI),
    ("PW_DEBUG", "yes", TEDAPI),
    ("PW_HOST", "10.0.0.9", TEDAPI),
    ("PW_GW_PWD", "x", &[]),
    ("PW_PASSWORD", "x", TEDAPI),
    ("PW_EMAIL", "someone@example.com", &[]),
    ("PW_TIMEZONE", "Europe/Berlin", TEDAPI),
    ("PW_AUTH_PATH", "/auth", TEDAPI),
    ("PW_AUTHPATH", "/auth", TEDAPI),
    ("PW_AUTH_MODE", "token", LOCAL),
    ("PW_CACHE_FILE", "/cache", LOCAL),
    ("PW_SITEID", "12345", TEDAPI),
    ("PW_CACHE_EXPIRE", "7", TEDAPI),
    ("PW_BROWSER_CACHE", "60", TEDAPI),
    ("PW_TIMEOUT", "9", TEDAPI),
    ("PW_POOL_MAXSIZE", "9", TEDAPI),
    ("PW_HTTPS", "yes", SECURE),
    ("PW_SUPPRESS_NETWORK_ERRORS", "yes", TEDAPI),
    ("PW_NETWORK_ERROR_RATE_LIMIT", "9", TEDAPI),
    ("PW_FAIL_FAST", "yes", TEDAPI),
    ("PW_GRACEFUL_DEGRADATION", "no", TEDAPI),
    ("PW_HEALTH_CHECK", "no", TEDAPI),
    ("PW_CACHE_TTL", "60", TEDAPI),
    ("PW_STYLE", "solar", TEDAPI),
    ("PW_CONTROL_SECRET", "x", TEDAPI),
    ("PROXY_BASE_URL", "/powerwall", TEDAPI),
    ("PW_RSA_KEY_PATH", "KEY", TEDAPI),
    ("PW_WIFI_HOST", "192.168.91.1", TEDAPI),
    ("PW_NEG_SOLAR", "no", TEDAPI),
    ("PW_SITE_ZERO_THRESHOLD", "50", TEDAPI),
    ("PW_TEDAPI_API_VERSION", "V2026_06", TEDAPI),
    ("PW_TEDAPI_RECOVERY", "no", TEDAPI),
    ("PW_TEDAPI_PROBE_INTERVAL", "60", TEDAPI),
    ("PW_TEDAPI_AUTH_MODE", "bearer", TEDAPI),
    ("PW_FIRMWARE_CHECK_INTERVAL", "60", TEDAPI),
    ("PW_GATEWAYS", LIST, &[]),
    ("GATEWAYS", LIST, TEDAPI),
    ("CORS_ORIGINS", r#"["http://wall.local"]"#, TEDAPI),
    ("PW_CONFIG", "FILE", TEDAPI),
    ("CONTROL_ENABLED", "yes", TEDAPI),
    ("CONTROL_TOKEN", "x", TEDAPI),
    ("SERVER_HOST", "::", TEDAPI),
    ("SERVER_PORT", "9", TEDAPI),
    ("MQTT_HOST", "broker", TEDAPI),
    ("MQTT_PORT", "8883", BROKER),
    ("MQTT_USERNAME", "house", BROKER),
    ("MQTT_PASSWORD", "x", BROKER),
    ("MQTT_TLS", "yes", BROKER),
    ("MQTT_TLS_CA_CERT", "CERTIFICATE", SECURE_BROKER),
    ("MQTT_TLS_INSECURE", "yes", SECURE_BROKER),
    ("MQTT_TOPIC_PREFIX", "house", BROKER),
    ("MQTT_HA_PREFIX", "ha", BROKER),
    ("MQTT_RETAIN", "no", BROKER),
    ("MQTT_QOS", "0", BROKER),
    ("MQTT_HA_DISCOVERY", "no", BROKER),
    ("MQTT_CLIENT_ID", "house", BROKER),
    ("MQTT_KEEPALIVE", "30", BROKER),
    ("MQTT_CONTROLS", "31", ORDERING),
    ("PW_FAILOVER", "no", WIRED),
    ("PW_FLEETAPI_HTTP", "1.1", CLOUD),
    ("PW_CLOUD_HYBRID", "yes", TEDAPI),
    ("PW_LOCAL_FIRST", "no", HYBRID),
    ("PW_ISLANDING_COOLDOWN", "60", TEDAPI),
    ("PW_RATE_LIMIT_ENABLED", "yes", TEDAPI),
    ("PW_RATE_LIMIT_MAX_REQUESTS", "9", LIMITED),
    ("PW_RATE_LIMIT_WINDOW_SECONDS", "9", LIMITED),
    ("PW_RATE_LIMIT_MAX_BUCKETS", "9", LIMITED),
    ("PW_LIVE_CLIENTS_PER_ADDRESS", "9", TEDAPI),
    ("PW_TIMESERIES_RETENTION", "48h", TEDAPI),
    ("PW_TIMESERIES_DAILY_RETENTION", "1w", TEDAPI),
    ("PW_TIMESERIES_SIGNAL_RETENTION", "1d", TEDAPI),
    ("PW_TIMESERIES_SIGNAL_INTERVAL", "120s", TEDAPI),
    ("PW_TIMESERIES_MAX_MB", "64", TEDAPI),
    ("PW_TIMESERIES_PATH", "/data/x.db", TEDAPI),
    ("PW_EXPORT_URL", "http://victoria:8428/write", RECORDED),
    ("PW_EXPORT_TOKEN", "x", EXPORTED),
    ("PW_EXPORT_POWER", "60s", EXPORTED),
];

fn load(environment: &[(&str, &str)]) -> Settings {
    let environment =
        environment.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    Settings::load(&Inputs { environment, flags: Vec::new() }).unwrap_or_else(|problems| panic!("{problems}"))
}

/// Everything that counts, as text.
fn what_counts(mut settings: Settings) -> String {
    settings.effective.clear();
    settings.warnings.clear();
    format!("{settings:?}")
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::Builder::new().suffix(".yaml").tempfile().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

#[test]
fn every_variable_changes_something_or_is_said_to_change_nothing() {
    let certificate = file(&rcgen::generate_simple_self_signed(vec!["broker".into()]).unwrap().cert.pem());
    let file = file("gateways: [{id: from-file, host: h, gw_pwd: x}]");
    for (name, value, base) in TABLE {
        let value = match *value {
            "FILE" => file.path().to_str().unwrap(),
            "KEY" => RSA_KEY,
            "CERTIFICATE" => certificate.path().to_str().unwrap(),
            value => value,
        };
        // A password without a host is none that anybody is asked for.
        let (before, base): (_, Vec<(&str, &str)>) = match *name {
            "PW_GW_PWD" | "PW_PASSWORD" => (String::new(), vec![("PW_HOST", "10.0.0.1")]),
            _ => (what_counts(load(base)), base.to_vec()),
        };
        let with: Vec<_> =
            base.iter().filter(|(other, _)| other != name).copied().chain([(*name, value)]).collect();
        let settings = load(&with);
        let says_so =
            settings.warnings.iter().any(|warning| warning.starts_with(&format!("{name} has no effect: ")));
        match effect(name) {
            None => panic!("{name} is not known"),
            Some(Effect::None(_)) => assert!(says_so, "{name} changes nothing, and nobody says so"),
            Some(Effect::Live | Effect::Secret | Effect::Private) => {
                assert!(!says_so, "{name}");
                assert_ne!(what_counts(settings), before, "{name}={value} changes nothing");
            }
        }
    }
}

/// A key as they are made for gateways.
const RSA_KEY: &str = "tests/fixtures/v1r/key-4096.pem";

#[test]
fn what_is_known_is_in_the_table_or_ours() {
    const OURS: [&str; 38] = [
        "PW_BROKER_URL",
        "PW_BROKER_CREDENTIALS",
        "PW_BROKER_CA",
        "PW_BROKER_PREFIX",
        "PW_BROKER_REPLICAS",
        "PW_BROKER_SITE",
        "PW_BROKER_TAGS",
        "PW_BROKER_GROUP",
        "PW_BROKER_SITES",
        "PW_BROKER_ORDERS",
        "PW_INGRESS",
        "PW_EXPORT_TOKEN_FILE",
        "PW_IMPORT_PASSWORD",
        "PW_ANONYMOUS",
        "PW_GW_PWD_FILE",
        "PW_PASSWORD_FILE",
        "PW_CONTROL_SECRET_FILE",
        "MQTT_PASSWORD_FILE",
        "PW_LOG_FORMAT",
        "PW_TLS_CERT",
        "PW_TLS_KEY",
        "PW_CERTIFICATE",
        "PW_LEGACY_ZEROS",
        "PW_LIFETIME_ENERGY",
        "PW_ALLOWED_HOSTS",
        "PW_TRUSTED_PROXIES",
        "PW_CONNECTIONS_PER_ADDRESS",
        "MQTT_LAYOUT",
        "PW_FRAME_ANCESTORS",
        "PW_FLEET_BASE",
        "PW_FLEET_TOKEN",
        "PW_FLEET_TOKEN_FILE",
        "PW_FLEET_AUTH",
        "PW_FLEET_CA",
        "PW_FLEET_BUDGET",
        "PW_FLEET_INTERVAL",
        "PW_OWNERS_BASE",
        "PW_OWNERS_AUTH",
    ];
    let in_table = |name: &str| TABLE.iter().any(|(known, ..)| *known == name);
    let stray: Vec<_> = VARIABLES.iter().map(|(name, _)| *name).filter(|name| !in_table(name)).collect();
    let unknown: Vec<_> = stray.iter().filter(|name| !OURS.contains(name)).collect();
    assert!(unknown.is_empty(), "{unknown:?}: of the contracts, or ours?");
}

/// Key, a value, and what else the entry needs.
const GATEWAY_KEYS: [(&str, &str, &str); 16] = [
    ("id", "other", "host: h, gw_pwd: x"),
    ("name", "Other", "id: a, host: h, gw_pwd: x"),
    ("host", "other", "id: a, gw_pwd: x"),
    ("port", "8443", "id: a, host: h, gw_pwd: x"),
    ("gw_pwd", "x", "id: a, host: h"),
    ("password", "x", "id: a, host: h"),
    ("rsa_key_path", "KEY", "id: a, host: h, gw_pwd: x"),
    ("wifi_host", "192.168.91.1", "id: a, host: h, gw_pwd: x"),
    ("email", "someone@example.com", "id: a"),
    ("authpath", "/auth", "id: a, host: h, gw_pwd: x, certificate: tofu"),
    ("timezone", "Europe/Berlin", "id: a, host: h, gw_pwd: x"),
    ("cloud_mode", "true", "id: a, email: someone@example.com, host: h, gw_pwd: x"),
    ("fleetapi", "true", "id: a"),
    ("relay", "true", "id: a, rsa_key_path: KEY, host: h, gw_pwd: x"),
    ("type", "inverter", "id: a, host: h, gw_pwd: x"),
    ("lifetime_energy", "false", "id: a, host: h, gw_pwd: x"),
];

#[test]
fn every_key_of_the_file_changes_something() {
    let read = |text: &str| {
        let file = file(text);
        let inputs = [("PW_CONFIG".to_owned(), file.path().to_str().unwrap().to_owned())];
        Settings::load(&Inputs { environment: inputs.into(), flags: Vec::new() }).map(what_counts)
    };
    let gateway = "gateways: [{id: a, host: h, gw_pwd: x}]";
    let before = read(gateway).unwrap();
    for (key, value) in
        [("host", "127.0.0.1"), ("port", "9000"), ("cors_origins", r#"["http://wall.local"]"#)]
    {
        assert_ne!(read(&format!("server: {{{key}: {value}}}\n{gateway}")).unwrap(), before, "server.{key}");
    }
    for (key, value, rest) in GATEWAY_KEYS {
        let value = if value == "KEY" { RSA_KEY } else { value };
        let rest = rest.replace("KEY", RSA_KEY);
        let before = read(&format!("gateways: [{{{rest}}}]")).ok();
        let after = read(&format!("gateways: [{{{rest}, {key}: {value}}}]"))
            .unwrap_or_else(|problems| panic!("{problems}"));
        assert_ne!(Some(after), before, "gateways[].{key}");
    }
}

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/settings.md");

#[test]
fn the_page_of_settings_is_what_the_table_says() {
    let expected = reference::page();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(PAGE, &expected).unwrap();
    }
    let page = std::fs::read_to_string(PAGE).unwrap_or_default();
    assert!(page == expected, "UPDATE_DOCS=1 cargo test --test variables, and look at the difference");
}

fn explained() -> impl Iterator<Item = &'static Setting> {
    reference::GROUPS.iter().flat_map(|group| group.settings)
}

#[test]
fn every_variable_with_an_effect_is_explained_once() {
    let has_effect = |effect: &Effect| !matches!(effect, Effect::None(_));
    let mut known: Vec<&str> =
        VARIABLES.iter().filter(|(_, effect)| has_effect(effect)).map(|(name, _)| *name).collect();
    let mut explained: Vec<&str> = explained().map(|setting| setting.name).collect();
    known.sort_unstable();
    explained.sort_unstable();
    assert_eq!(explained, known, "src/settings/reference.rs against src/settings/variables.rs");
}

#[test]
fn defaults_are_those_of_the_program() {
    for effective in load(&[]).effective {
        let setting = explained().find(|setting| setting.name == effective.name).expect(effective.name);
        // It depends on the folders of the machine.
        if setting.name == "PW_TIMESERIES_PATH" {
            continue;
        }
        assert_eq!(setting.default, effective.value, "{}", setting.name);
    }
}

#[test]
fn examples_are_accepted_and_one_sentence_is_enough() {
    for Setting { name, what, example, .. } in explained() {
        assert!(what.ends_with('.') && what.len() < 170, "{name}: {what}");
        let of_table = TABLE.iter().find(|(known, ..)| known == name).map_or(TEDAPI, |(_, _, base)| base);
        // What a file holds is read elsewhere.
        if example.starts_with('/') && *name != "PROXY_BASE_URL" {
            continue;
        }
        let owner = [("PW_CONTROL_SECRET", "0123456789abcdef"), ("MQTT_USERNAME", "house")];
        let beside = match of_table {
            _ if name.starts_with("PW_BROKER_") && !cfg!(feature = "broker") => continue,
            _ if name.starts_with("PW_BROKER_") => SITE,
            [] => TEDAPI,
            base => base,
        };
        let beside = beside.iter().chain(&owner).copied().filter(|(other, _)| other != name);
        let environment: Vec<(&str, &str)> = beside.chain([(*name, *example)]).collect();
        let settings = load(&environment);
        let ignored = settings.warnings.iter().find(|warning| warning.starts_with(&format!("{name} has no")));
        assert_eq!(ignored, None);
    }
}
